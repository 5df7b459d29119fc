--- `orrery cache`: stored outputs of nodes with `cache`.
local history = require "orrery.cli.history"

local cache = {}

local TITLES = { "WORKFLOW", "NODE", "TYPE", "STORED", "EXPIRES", ">SIZE", "KEY" }

local function condition(args)
  local parts, parameters = {}, {}
  for _, name in ipairs { "workflow", "node" } do
    if args[name] then
      parts[#parts + 1] = "cache." .. name .. " = ?"
      parameters[#parameters + 1] = args[name]
    end
  end
  return #parts > 0 and table.concat(parts, " AND ") or "1", parameters
end

local ROWS = [[SELECT cache.rowid AS at, cache.key, cache.workflow, cache.node, cache.type, runs.id AS run, cache.created, cache.expires,
  CASE WHEN instr(cache.output, '{"$blob":"') = 1 THEN json_extract(cache.output, '$.size')
    ELSE length(CAST(cache.output AS BLOB)) END AS size
  FROM cache LEFT JOIN runs ON runs.number = cache.run]]

-- Newest first, a page at a time.
local function each(db, args)
  local where, parameters = condition(args)
  local page, at, last = {}, 0, math.maxinteger
  local sql = ROWS .. " WHERE cache.rowid < ? AND " .. where .. " ORDER BY cache.rowid DESC LIMIT 500"
  return function()
    at = at + 1
    if not page[at] then
      page, at = db:query(sql, last, table.unpack(parameters)), 1
    end
    last = page[at] and page[at].at
    return page[at]
  end
end

local function expiry(row, now)
  if not row.expires then return "" end
  if row.expires <= now then return { "expired", style = "yellow" } end
  return "in " .. require("orrery.cli.term").duration(row.expires - now)
end

local function size_text(bytes)
  if bytes < 1024 then return bytes .. " B" end
  return bytes < 1024 * 1024 and ("%.1f KiB"):format(bytes / 1024) or ("%.1f MiB"):format(bytes / 1024 / 1024)
end

local function list(db, args)
  local term, now, rows = require "orrery.cli.term", history.now(), {}
  for row in each(db, args) do
    if args.json then
      row.at = nil
      if not history.json(row) then return end
    else
      rows[#rows + 1] = { term.clean(row.workflow or ""), term.clean(row.node or ""), term.clean(row.type or ""),
        history.time(row.created), expiry(row, now), size_text(row.size or 0), term.clean(row.key) }
    end
  end
  if args.json then return end
  if #rows == 0 then
    history.note "nothing is stored: nodes with `cache` put their outputs here"
    return
  end
  local width, paint = history.screen()
  io.stdout:write(table.concat(require("orrery.cli.columns").draw(TITLES, rows, { width = width, paint = paint }), "\n"), "\n")
end

local function clear(db, args)
  local where, parameters = condition(args)
  local n = db:change { { "DELETE FROM cache WHERE " .. where, table.unpack(parameters) } }
  if args.json then
    history.json { cleared = n }
  else
    print("cleared " .. require("orrery.cli.term").plural(n, "entry", "entries"))
  end
end

cache.main = history.command("cache", function(db, args)
  if args.workflow then require("orrery.cli.filter").check_workflow(db, args.workflow) end
  if args.action == "clear" then clear(db, args) else list(db, args) end
end, function(args) return args.action ~= "clear" end)

return cache
