--- Node types by what they are for, as `orrery types` and docs/nodes.md list them.
local type_groups = {}

-- Each with the first words of its types' names, in the order in which they are listed.
local GROUPS = {
  { "Flow", "trigger action setup cleanup condition switch barrier wait delay assert fail workflow" },
  { "Data", "const merge pipe data csv jsonl xml" },
  { "Files", "file" },
  { "State and databases", "state sqlite postgres redis bus" },
  { "Outside world", "exec http s3 mail notify log" },
  { "Tests", "test" },
  { "Agents", "agent" },
}

--- What is none of the library's.
type_groups.OTHERS = "Others"

local place_of = {} -- first word -> { group, place in it }
for i, group in ipairs(GROUPS) do
  local n = 0
  for word in group[2]:gmatch "%S+" do
    n = n + 1
    place_of[word] = { i, n }
  end
end

local function placed(entry)
  return place_of[entry.name:match "^[^.]+"] or { #GROUPS + 1, 0 }
end

local function is_before(a, b)
  local x, y = placed(a), placed(b)
  if x[1] ~= y[1] then return x[1] < y[1] end
  if x[2] ~= y[2] then return x[2] < y[2] end
  return a.name < b.name
end

--- The types in groups, in order; a group without types is left out.
---@generic T: { name: string }
---@param list T[]
---@return { title: string, types: T[] }[]
function type_groups.of(list)
  local sorted, made = table.move(list, 1, #list, 1, {}), {}
  table.sort(sorted, is_before)
  for _, entry in ipairs(sorted) do
    local group = GROUPS[placed(entry)[1]]
    local title = group and group[1] or type_groups.OTHERS
    if not made[1] or made[#made].title ~= title then made[#made + 1] = { title = title, types = {} } end
    table.insert(made[#made].types, entry)
  end
  return made
end

return type_groups
