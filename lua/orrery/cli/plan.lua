--- `orrery plan FILE`: layers, the widest of them, the critical path; with `--estimate` how long it
--- takes on so many slots, and what it costs.
local out = require "orrery.cli.shared.out"
local files = require "orrery.cli.shared.files"
local term = require "orrery.cli.display.term"
local view_of = require "orrery.history.graph.view"

local plan = {}

-- What both forms print.
local function facts_of(compiled)
  local def, compiled_plan = compiled.def, compiled.plan
  local view = view_of.of(def, compiled_plan:layers())
  local layers = view_of.by_layer(view)
  local widest = 1
  for l, layer in ipairs(layers) do
    if #layer > #layers[widest] then widest = l end
  end
  local path, seconds = compiled_plan:critical()
  return { view = view, layers = layers, widest = widest, path = path, seconds = seconds,
    bytes = compiled_plan:bytes(), def = def }
end

local function names_of(view, indices)
  local names = {}
  for i, index in ipairs(indices) do names[i] = view.nodes[index].name end
  return names
end

--- The facts as plain data.
---@param facts table
---@return table
function plan.data(facts)
  local layers = {}
  for l, layer in ipairs(facts.layers) do layers[l] = names_of(facts.view, layer) end
  local estimates = {}
  for _, index in ipairs(facts.path) do estimates[#estimates + 1] = facts.def.nodes[index].estimate end
  return {
    name = facts.view.name, nodes = #facts.view.nodes, edges = #facts.view.edges, layers = layers,
    widest = { layer = facts.widest, nodes = #facts.layers[facts.widest] },
    critical_path = { nodes = names_of(facts.view, facts.path), seconds = facts.seconds,
      estimated = #estimates },
    bytes = facts.bytes, estimate = facts.estimate,
  }
end

local SHOWN = 12 -- names of one layer in the text form

local function list(names, most)
  if #names <= most then return table.concat(names, ", ") end
  return table.concat(names, ", ", 1, most - 1) .. (", … %s more"):format(term.count(#names - most + 1))
end

--- The facts for people.
---@param data table of `plan.data`
---@return string
function plan.text(data)
  local lines = { ("%s: %s, %s, %s, %.1f KiB"):format(data.name, term.plural(data.nodes, "node"),
    term.plural(data.edges, "edge"), term.plural(#data.layers, "layer"), data.bytes / 1024), "" }
  local digits = #tostring(#data.layers)
  for l, names in ipairs(data.layers) do
    if l > 50 and l < #data.layers then
      if l == 51 then lines[#lines + 1] = ("  … %s more layers"):format(term.count(#data.layers - 51)) end
    else
      lines[#lines + 1] = ("  %" .. digits .. "d  %6s  %s"):format(l, "×" .. #names, list(names, SHOWN))
    end
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = ("widest layer: %d with %s")
    :format(data.widest.layer, term.plural(data.widest.nodes, "node"))
  if data.estimate then
    local told = require "orrery.cli.display.forecast_text".lines(data.estimate)
    return table.concat(table.move(told, 1, #told, #lines + 1, lines), "\n") .. "\n"
  end
  local critical = data.critical_path
  local note = critical.estimated == #critical.nodes and ", by the nodes' estimates"
    or critical.estimated > 0
      and (", %d of %d nodes have an `estimate`"):format(critical.estimated, #critical.nodes)
    or ", no node has an `estimate`: the longest chain"
  local time = critical.estimated > 0 and ", " .. term.duration(critical.seconds) or ""
  lines[#lines + 1] = ("critical path: %s%s%s"):format(term.plural(#critical.nodes, "node"), time, note)
  lines[#lines + 1] = "  " .. require "orrery.cli.display.forecast_text".chain(critical.nodes)
  return table.concat(lines, "\n") .. "\n"
end

-- The store whose runs are asked; none is needed unless somebody named it.
local function open_store(args)
  local store = require "orrery.store.open"
  local url, named = store.nearest(args)
  if url == "memory:" and not args.store then return nil end -- where nothing is kept there is no history
  local db, problem = store.look(url)
  if not db then return nil, (named or not problem.absent) and problem.message or nil end
  pcall(db.project, db) -- what was recorded last may be missing
  return db
end

-- "2,4" and "8" are { 2, 4, 8 }; nil and the word that is no number of slots.
local function slots_of(words)
  local found = {}
  for word in table.concat(words, ","):gmatch "[^,]+" do
    local n = math.tointeger(tonumber(word))
    if not n or n < 1 or n > 1 << 30 then return nil, word end
    found[#found + 1] = n
  end
  return #found > 0 and found or nil
end

local function forecast_of(args, compiled)
  local slots, wrong = slots_of(args.slots or {})
  if wrong then return nil, ("--slots: '%s' is no number of slots, such as 4 or 2,4,8"):format(wrong) end
  local db, problem = open_store(args)
  if problem then return nil, problem end
  local made = require "orrery.cli.shared.forecast".of(compiled, db, slots)
  if db then db:close() end
  return made
end

function plan.main(args)
  local compiled = files.compile(args.file)
  if not compiled then return 2 end
  local facts = facts_of(compiled)
  if args.estimate or args.store or args.slots and #args.slots > 0 then
    local problem
    facts.estimate, problem = forecast_of(args, compiled)
    if problem then
      out.err("orrery plan: ", problem, "\n")
      return 2
    end
  end
  local data = plan.data(facts)
  if args.json then files.json(data) else out.write(plan.text(data)) end
  return 0
end

return plan
