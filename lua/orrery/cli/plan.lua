--- `orrery plan FILE`: layers, the widest of them, the critical path.
local out = require "orrery.cli.shared.out"
local files = require "orrery.cli.shared.files"
local term = require "orrery.cli.display.term"
local view_of = require "orrery.cli.display.view"

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
    bytes = facts.bytes,
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
  local critical = data.critical_path
  local note = critical.estimated == #critical.nodes and ", by the nodes' estimates"
    or critical.estimated > 0
      and (", %d of %d nodes have an `estimate`"):format(critical.estimated, #critical.nodes)
    or ", no node has an `estimate`: the longest chain"
  local time = critical.estimated > 0 and ", " .. term.duration(critical.seconds) or ""
  lines[#lines + 1] = ("critical path: %s%s%s"):format(term.plural(#critical.nodes, "node"), time, note)
  local path = critical.nodes
  local chain = #path <= 20 and table.concat(path, " → ")
    or table.concat(path, " → ", 1, 10) .. (" → … %s more … → ")
      :format(term.count(#path - 15)) .. table.concat(path, " → ", #path - 4)
  lines[#lines + 1] = "  " .. chain
  return table.concat(lines, "\n") .. "\n"
end

function plan.main(args)
  local compiled = files.compile(args.file)
  if not compiled then return 2 end
  local data = plan.data(facts_of(compiled))
  if args.json then files.json(data) else out.write(plan.text(data)) end
  return 0
end

return plan
