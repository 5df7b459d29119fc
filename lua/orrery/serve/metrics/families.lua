--- The metrics of a server, in the order in which they are shown: docs/serve.md has this table too.
---
--- A row is `{ NAME, TYPE, LABELS, WORDS, OF }`. A counter's sample has `_total` behind the name.
--- `OF` is what takes its values from what `orrery.serve.metrics` has gathered: it calls
--- `add(value, label values…)` for each sample; a histogram's value is a list of counts, those of
--- the buckets and one of what is above the last, with `sum`.
local families = {}

---@class orrery.serve.Family
---@field name string
---@field type "counter"|"gauge"|"histogram"
---@field labels string[]
---@field words string
---@field of fun(seen: orrery.serve.Gathered, add: fun(value: any, ...: string))

local RUN_ENDS = { "completed", "failed", "cancelled", "compensated", "compensation_failed" }
local NODE_ENDS = { "completed", "failed", "skipped", "cancelled", "compensated", "compensation_failed" }
local WAITS = { "queue", "backoff", "outside" }

-- A value of each workflow's events.
local function of_events(name)
  return function(seen, add)
    for _, row in ipairs(seen.tally.workflows) do add(row.events[name], row.workflow) end
  end
end

local function of_states(prefix, states)
  return function(seen, add)
    for _, row in ipairs(seen.tally.workflows) do
      for _, state in ipairs(states) do add(row.events[prefix .. state], row.workflow, state) end
    end
  end
end

local function of_workflows(field)
  return function(seen, add)
    for _, row in ipairs(seen.tally.workflows) do add(row[field], row.workflow) end
  end
end

local function of_waits(field)
  return function(seen, add)
    for _, row in ipairs(seen.tally.workflows) do
      for _, reason in ipairs(WAITS) do add(row.waits[reason][field], row.workflow, reason) end
    end
  end
end

local function of_names(...)
  local path = { ... }
  return function(seen, add)
    local at = seen
    for _, name in ipairs(path) do at = at and at[name] end
    local names = {}
    for name in pairs(at or {}) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do add(at[name], name) end
  end
end

local function of_value(part, field)
  return function(seen, add)
    local value = seen[part] and seen[part][field]
    if value ~= nil then add(value) end
  end
end

local function of_pools(field)
  return function(seen, add)
    for _, pool in ipairs(seen.pools) do add(pool[field], pool.name) end
  end
end

local STATES = { "closed", "open", "half_open" }

local function of_breakers(seen, add)
  for _, breaker in ipairs(seen.breakers) do
    for _, state in ipairs(STATES) do add(breaker.state == state, breaker.name, state) end
  end
end

local function of_store_runs(seen, add)
  for _, row in ipairs(seen.kept.runs) do
    add(row.unfinished, row.workflow, "unfinished")
    for _, state in ipairs(RUN_ENDS) do add(row[state], row.workflow, state) end
  end
end

local function of_requests(seen, add)
  for _, one in ipairs(seen.requests) do add(one.n, one.route, one.code) end
end

local function of_latencies(seen, add)
  for _, one in ipairs(seen.latencies) do add(one.histogram, one.route) end
end

local W, C, G, H = { "workflow" }, "counter", "gauge", "histogram"

local ROWS = {
  { "orrery_build", G, { "version" }, "1; the version of the server.", of_names "build" },
  { "orrery_start_time_seconds", G, {}, "When the server began, in seconds since the epoch.",
    of_value("host", "started") },

  { "orrery_runs_started", C, W, "Runs that began.", of_events "run_started" },
  { "orrery_runs_recovered", C, W, "Runs that went on from their journals.", of_events "run_recovered" },
  { "orrery_runs_ended", C, { "workflow", "state" }, "Runs that ended, by how.",
    of_states("run_", RUN_ENDS) },
  { "orrery_run_seconds", H, W, "From the creation of a run to its end.", of_workflows "runs" },
  { "orrery_nodes_ended", C, { "workflow", "state" }, "Nodes and items that have settled or were undone.",
    of_states("node_", NODE_ENDS) },
  { "orrery_attempts_started", C, W, "Attempts that began.", of_events "node_started" },
  { "orrery_attempt_seconds", H, W, "From the beginning of an attempt to its end, waits within it included.",
    of_workflows "attempts" },
  { "orrery_retries", C, W, "Attempts that failed and are tried again.", of_events "node_retrying" },
  { "orrery_attempts_interrupted", C, W, "Attempts that the end of a process had cut off.",
    of_events "node_interrupted" },
  { "orrery_failures", C, { "code" }, "Failed attempts and nodes, by the code of the error.",
    of_names("tally", "codes") },
  { "orrery_waits", C, { "workflow", "reason" }, "Waits that ended (backoff: that began): queue, ready and "
    .. "not begun yet; backoff, to be tried again; outside, for a time, a signal or another run.",
    of_waits "n" },
  { "orrery_wait_seconds", C, { "workflow", "reason" }, "How long these were.", of_waits "seconds" },

  { "orrery_live_runs", G, { "state" }, "Runs of this process that are not over.", of_names("live", "runs") },
  { "orrery_live_nodes", G, { "state" }, "Nodes of those runs; ready ones stand in a line.",
    of_names("live", "nodes") },
  { "orrery_live_tasks", G, {}, "Nodes and items that hold a slot of their run.",
    of_value("tally", "running") },

  { "orrery_pool_places", G, { "pool" }, "Places of a pool; those of all keys of one together.",
    of_pools "max" },
  { "orrery_pool_used", G, { "pool" }, "Places that are taken.", of_pools "used" },
  { "orrery_pool_waiting", G, { "pool" }, "Tasks that wait for a place.", of_pools "waiting" },
  { "orrery_pool_paused", G, { "pool" }, "1 where it gives no places.", of_pools "paused" },
  { "orrery_breaker", G, { "breaker", "state" }, "1 for the state that a breaker is in.", of_breakers },

  { "orrery_workers", G, {}, "Threads for handlers.", of_value("workers", "threads") },
  { "orrery_worker_jobs_queued", G, {}, "Handlers that wait for a thread.", of_value("workers", "queued") },
  { "orrery_worker_jobs_running", G, {}, "Handlers in threads.", of_value("workers", "live") },
  { "orrery_worker_jobs_done", C, {}, "Handlers that ended well in threads.", of_value("workers", "done") },
  { "orrery_worker_jobs_failed", C, {}, "Handlers that failed there.", of_value("workers", "failed") },

  { "orrery_store_commits", C, {}, "Commits with records.", of_value("store", "commits") },
  { "orrery_store_failing", G, {}, "1 while commits do not work.", of_value("store", "failing") },
  { "orrery_store_tables_late_seconds", G, {}, "Since when the tables lack a record that is committed.",
    of_value("store", "late") },
  { "orrery_store_bytes", G, { "file" }, "How big the files of the store are.", of_names("kept", "bytes") },
  { "orrery_store_runs", G, { "workflow", "state" }, "Runs that the store has, of all processes.",
    of_store_runs },

  { "orrery_schedule_runs_started", C, {}, "Runs that schedules and other triggers began.",
    of_value("schedules", "started") },
  { "orrery_schedule_late_seconds", C, {}, "How long after their times they began, added up.",
    of_value("schedules", "late") },
  { "orrery_schedule_skipped", C, { "reason" }, "Times of schedules that were skipped.",
    of_names("schedules", "skipped") },

  { "orrery_http_requests", C, { "route", "code" }, "Requests that were answered; streams when "
    .. "they end. The route `none` is that of what the gate turned away, or found nothing.",
    of_requests },
  { "orrery_http_request_seconds", H, { "route" }, "From a whole request to its answer, streams left out.",
    of_latencies },
  { "orrery_http_connections", G, {}, "Connections that are open.", of_value("http", "connections") },
  { "orrery_http_streams", G, {}, "Streams that are open.", of_value("http", "streams") },
  { "orrery_http_refused", C, {}, "Connections and requests that were refused for a limit.",
    of_value("http", "refused") },
  { "orrery_loop_held", C, {}, "Requests that kept everything else waiting for more than 10 ms.",
    of_value("http", "slow") },
}

---@type orrery.serve.Family[]
families.ALL = {}
for i, row in ipairs(ROWS) do
  families.ALL[i] = { name = row[1], type = row[2], labels = row[3], words = row[4], of = row[5] }
end

--- The table as Markdown, for the docs.
---@return string
function families.markdown()
  local lines = { "| metric | type | labels | |", "|---|---|---|---|" }
  for _, family in ipairs(families.ALL) do
    lines[#lines + 1] = ("| `%s%s` | %s | %s | %s |"):format(family.name,
      family.type == "counter" and "_total" or "", family.type, table.concat(family.labels, ", "),
      family.words)
  end
  return table.concat(lines, "\n")
end

return families
