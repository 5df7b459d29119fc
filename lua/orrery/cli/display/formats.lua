--- The graph as text: a layered list, Graphviz's DOT, Mermaid.
local term = require "orrery.cli.display.term"
local trim_end = require "orrery.text".trim_end
local view_of = require "orrery.history.graph.view"

local formats = {}

-- The dependencies of each node, as indices of edges.
local function incoming(view)
  local into = {}
  for i = 1, #view.nodes do into[i] = {} end
  for e, edge in ipairs(view.edges) do
    local list = into[edge.to]
    list[#list + 1] = e
  end
  return into
end

local function sources(view, edges)
  local names = {}
  for i, e in ipairs(edges) do
    local edge = view.edges[e]
    if i == 9 and #edges > 9 then
      names[i] = ("… %d more"):format(#edges - 8)
      break
    end
    names[i] = view.nodes[edge.from].name .. (edge.label and ":" .. edge.label or "")
  end
  return table.concat(names, ", ")
end

local WIDTH = 110 -- columns that a drawing may take

--- A drawing where the workflow is small enough for one, and the layers as a list: each node with
--- its type, what it waits for, and its policies.
---@param view orrery.graph.View
---@return string
function formats.text(view)
  local names, types = 4, 3
  for _, node in ipairs(view.nodes) do
    names = math.max(names, math.min(32, term.width(node.name)))
    types = math.max(types, math.min(20, term.width(node.type)))
  end
  local into = incoming(view)
  local lines = { ("%s: %s, %s, %s"):format(view.name, term.plural(#view.nodes, "node"),
    term.plural(#view.edges, "edge"), term.plural(view.layers, "layer")), "" }
  local digits = #tostring(view.layers)
  for l, layer in ipairs(view_of.by_layer(view)) do
    for at, i in ipairs(layer) do
      local node = view.nodes[i]
      local rail = #layer == 1 and "──" or at == 1 and "┬─" or at == #layer and "└─" or "├─"
      local line = ("%" .. digits .. "s %s %s  %s")
        :format(at == 1 and l or "", rail, term.fit(node.name, names),
        term.fit(node.type, types))
      if #into[i] > 0 then line = line .. "  ← " .. sources(view, into[i]) end
      if #node.marks > 0 then line = line .. "  (" .. table.concat(node.marks, ", ") .. ")" end
      lines[#lines + 1] = trim_end(line)
    end
  end
  local drawn = #view.edges > 0 and require("orrery.cli.display.drawing").draw(view, WIDTH)
  if drawn then table.insert(lines, 2, "\n" .. drawn:sub(1, -2)) end
  return table.concat(lines, "\n") .. "\n"
end

local function quoted(text)
  return '"' .. term.clean(text):gsub('[\\"]', "\\%0") .. '"'
end

--- DOT, the language of Graphviz (graphviz.org/doc/info/lang.html).
---@param view orrery.graph.View
---@return string
function formats.dot(view)
  local lines = { ("digraph %s {"):format(quoted(view.name)), "  rankdir=TB;",
    '  node [shape=box, style=rounded, fontname="monospace"];',
    '  edge [fontname="monospace", fontsize=10];' }
  for _, node in ipairs(view.nodes) do
    local label = quoted(node.name):sub(1, -2) .. "\\n" .. quoted(node.type):sub(2)
    lines[#lines + 1] = ("  %s [label=%s];"):format(quoted(node.name), label)
  end
  for _, edge in ipairs(view.edges) do
    local attributes = {}
    if edge.label then attributes[1] = "label=" .. quoted(edge.label) end
    if edge.dashed then attributes[#attributes + 1] = "style=dashed" end
    lines[#lines + 1] = ("  %s -> %s%s;")
      :format(quoted(view.nodes[edge.from].name), quoted(view.nodes[edge.to].name),
      #attributes > 0 and " [" .. table.concat(attributes, ", ") .. "]" or "")
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

-- Mermaid has no escape but entities.
local function mermaid_text(text)
  return (term.clean(text):gsub('[#"&<>|]', function(c) return ("#%d;"):format(c:byte()) end))
end

--- A Mermaid flowchart (mermaid.js.org/syntax/flowchart.html). Ids are numbers, as names could be
--- words of the language.
---@param view orrery.graph.View
---@return string
function formats.mermaid(view)
  local lines = { "flowchart TB" }
  for i, node in ipairs(view.nodes) do
    lines[#lines + 1] = ('  n%d["%s<br/><small>%s</small>"]')
      :format(i, mermaid_text(node.name), mermaid_text(node.type))
  end
  for _, edge in ipairs(view.edges) do
    lines[#lines + 1] = ("  n%d %s%s n%d"):format(edge.from, edge.dashed and "-.->" or "-->",
      edge.label and '|"' .. mermaid_text(edge.label) .. '"|' or "", edge.to)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- SVG, see `orrery.cli.display.svg`.
---@param view orrery.graph.View
---@return string
function formats.svg(view) return require("orrery.cli.display.svg").draw(view) end

return formats
