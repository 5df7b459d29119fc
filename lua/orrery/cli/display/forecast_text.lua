--- What `orrery plan --estimate` says, for people.
local columns = require "orrery.cli.display.columns"
local term = require "orrery.cli.display.term"

local PATH = 20 -- nodes of a path that are all named

local text = {}

--- A chain of names, the middle of a long one left out.
---@param path string[]
---@return string
function text.chain(path)
  if #path <= PATH then return table.concat(path, " → ") end
  return table.concat(path, " → ", 1, 10) .. (" → … %s more … → "):format(term.count(#path - 15))
    .. table.concat(path, " → ", #path - 4)
end

local function basis(data)
  local parts = {}
  local function add(n, what) if n > 0 then parts[#parts + 1] = term.count(n) .. " " .. what end end
  add(data.by_history, ("by the store's %s"):format(term.plural(data.runs, "run")))
  add(data.by_estimate, "by `estimate`")
  local known = data.by_history + data.by_estimate
  add(data.unknown, known > 0 and ("as the mean of the others, %s"):format(term.duration(data.mean))
    or "as a second each: no node has an `estimate`, and the store has no runs of it")
  return ("times of %s: %s"):format(term.plural(data.nodes, "node"), table.concat(parts, ", "))
end

local function number(value)
  return value == math.floor(value) and math.abs(value) < 1e15 and term.count(math.tointeger(value))
    or ("%.4g"):format(value)
end

text.number = number

local function slot_rows(data)
  local rows = {}
  for i, one in ipairs(data.slots) do
    rows[i] = { term.count(one.slots), term.duration(one.seconds), one.p95 and term.duration(one.p95) or "",
      term.duration(one.bound) }
  end
  return rows
end

local function cost_rows(data)
  local rows = {}
  for i, cost in ipairs(data.costs) do
    rows[i] = { term.clean(cost.name), number(cost.mean), not data.few and number(cost.p95) or "",
      term.count(cost.runs) }
  end
  return rows
end

--- The whole.
---@param data table of `orrery.cli.shared.forecast`
---@return string[] lines
function text.lines(data)
  local path = data.critical_path
  local lines = { basis(data), ("critical path: %s, %s; work: %s"):format(term.plural(#path.nodes, "node"),
    term.duration(path.seconds), term.duration(data.work)), "  " .. term.clean(text.chain(path.nodes)), "" }
  local function add(titles, rows)
    local drawn = columns.draw(titles, rows, { indent = "  ", paint = term.painter(false) })
    table.move(drawn, 1, #drawn, #lines + 1, lines)
  end
  add({ ">SLOTS", ">EXPECTED", ">95 %", ">AT LEAST" }, slot_rows(data))
  if #data.costs > 0 then
    lines[#lines + 1] = ""
    add({ "COST OF A RUN", ">EXPECTED", ">95 %", ">RUNS" }, cost_rows(data))
  end
  if data.few and data.runs > 0 then
    lines[#lines + 1] = ("  %s, too few to tell the 95th percentile"):format(term.plural(data.runs, "run"))
  end
  return lines
end

return text
