--- Recorded scientific workflows (WfFormat 1.5, https://wfcommons.org/format) as definitions: each
--- task is a node that sleeps as long as the task took, and has that as its `estimate`.
---
--- A file says twice what depends on what, by parents and by children; an edge that one of both
--- says counts. Names of nodes are the tasks' ids, with an underscore for what a name may not have.
local core = require "orrery.core"
local errors = require "orrery.errors"

local wfformat = {}

local json = core.json
local VERSION = "1.5"
local LONGEST = 1e9 -- seconds a task may have taken

local function is_list(value)
  return type(value) == "table" and (json.is_array(value) or next(value) == nil)
end

local function is_object(value) return type(value) == "table" and not json.is_array(value) end

---@class orrery.cli.WfReader
---@field name string of the file
---@field problems orrery.Problem[]

local function note(r, path, message)
  r.problems[#r.problems + 1] = { kind = "bad_value", where = path == "" and r.name
    or ("%s: %s"):format(r.name, path), message = message }
end

-- A part of the file; nil where it is not what it has to be, which is noted.
local function part(r, of, path, key, is, expected)
  local value = of[key]
  path = path == "" and key or path .. "." .. key
  if is(value) then return value, path end
  note(r, path, ("%s: expected %s, got %s"):format(key, expected, errors.show(value)))
end

-- ---- tasks --------------------------------------------------------------------------------------

-- A name for a node that no other has.
local function free_name(id, taken)
  local base = id:gsub("[^%w_-]", "_")
  if not base:find "^[%a_]" then base = "_" .. base end
  base = base:sub(1, 200)
  local name, n = base, taken[base] or 1
  while taken[name] do
    n = n + 1
    name = ("%s_%d"):format(base, n)
  end
  taken[base], taken[name] = n, taken[name] or 1
  return name
end

-- The tasks in the order of the file, by id as well.
local function read_tasks(r, list, path)
  local tasks, by_id, taken = {}, {}, {}
  for k, given in ipairs(list) do
    local at = ("%s[%d]"):format(path, k)
    local id = is_object(given) and given.id
    if type(id) ~= "string" or id == "" then
      note(r, at, "expected a task with an id, got " .. errors.show(is_object(given) and id or given))
    elseif by_id[id] then
      note(r, at .. ".id", ("there is a task \"%s\" already, the one before it at place %d of the list")
        :format(id, by_id[id].place))
    else
      local task = { id = id, place = k, name = free_name(id, taken), at = at, given = given, after = {},
        follows = {} }
      tasks[#tasks + 1], by_id[id] = task, task
    end
  end
  return tasks, by_id
end

local function add_edge(from, to)
  if to.follows[from] then return end
  to.follows[from] = true
  to.after[#to.after + 1] = from
end

local function read_edges(r, task, by_id, key)
  local list = task.given[key]
  local at = ("%s.%s"):format(task.at, key)
  if list == nil or list == json.null then return end
  if not is_list(list) then
    return note(r, at, ("%s: expected a list of ids, got %s"):format(key, errors.show(list)))
  end
  for i, id in ipairs(list) do
    local other = type(id) == "string" and by_id[id]
    if not other then
      note(r, ("%s[%d]"):format(at, i), ("no task has the id %s"):format(errors.show(id)))
    elseif key == "parents" then
      add_edge(other, task)
    else
      add_edge(task, other)
    end
  end
end

local function read_seconds(r, list, path, by_id)
  for k, given in ipairs(list) do
    local at = ("%s[%d]"):format(path, k)
    local id = is_object(given) and given.id
    local task = type(id) == "string" and by_id[id]
    local seconds = task and given.runtimeInSeconds
    if not task then
      note(r, at, "it is about no task of the specification: "
        .. errors.show(is_object(given) and id or given))
    elseif type(seconds) ~= "number" or not (seconds >= 0 and seconds <= LONGEST) then
      note(r, at .. ".runtimeInSeconds",
        ("expected seconds from 0 to %d, got %s"):format(LONGEST, errors.show(seconds)))
      task.seconds = 0
    else
      task.seconds = seconds
    end
  end
end

local function check_seconds(r, tasks)
  for _, task in ipairs(tasks) do
    if not task.seconds then
      note(r, task.at, ("workflow.execution.tasks does not say how long task \"%s\" took"):format(task.id))
    end
  end
end

-- ---- the file -----------------------------------------------------------------------------------

local function read(r, file)
  if file.schemaVersion ~= VERSION then
    note(r, "schemaVersion", ("expected \"%s\", got %s"):format(VERSION, errors.show(file.schemaVersion)))
  end
  local w, path = part(r, file, "", "workflow", is_object, "an object")
  if not w then return nil end
  local specification, of_tasks = part(r, w, path, "specification", is_object, "an object")
  local execution, of_times = part(r, w, path, "execution", is_object,
    "an object, with the times of the tasks")
  if not specification or not execution then return nil end
  local given, at = part(r, specification, of_tasks, "tasks", is_list, "a list of tasks")
  local times, at_times = part(r, execution, of_times, "tasks", is_list, "a list with the times of the tasks")
  if not given or not times then return nil end
  if #given == 0 then note(r, at, "it has no tasks") end
  local tasks, by_id = read_tasks(r, given, at)
  for _, task in ipairs(tasks) do
    read_edges(r, task, by_id, "parents")
    read_edges(r, task, by_id, "children")
  end
  read_seconds(r, times, at_times, by_id)
  check_seconds(r, tasks)
  return tasks
end

local function name_of(file, name)
  local given = type(file.name) == "string" and file.name ~= "" and file.name or name:match "([^/]*)$"
  return (given:gsub("%.json$", ""):gsub("[^%w_.-]", "_"))
end

-- A plan has at most 65,535 different policies, of which an estimate is a part: of more different
-- times three digits stand in the estimates. Nodes sleep as long as was recorded all the same.
local MOST_TIMES = 50000

local function estimates_of(tasks)
  local known, n, estimates = {}, 0, {}
  for i, task in ipairs(tasks) do
    estimates[i] = task.seconds
    if not known[task.seconds] then known[task.seconds], n = true, n + 1 end
  end
  if n <= MOST_TIMES then return estimates end
  for i, seconds in ipairs(estimates) do estimates[i] = tonumber(("%.3g"):format(seconds)) end
  return estimates
end

local function node_of(task, estimate)
  local after = {}
  for k, other in ipairs(task.after) do after[k] = other.name end
  return { id = task.name, type = "delay", with = { duration = task.seconds }, estimate = estimate,
    after = #after > 0 and json.array(after) or nil, pool = { name = "slots", hold = true },
    doc = task.name ~= task.id and task.id or nil }
end

local function text_of(name, nodes, slots)
  local lines = {}
  for i, node in ipairs(nodes) do lines[i] = "    " .. json.encode(node, { sort = true }) end
  return ('{\n  "name": %s,\n  "doc": "A recorded workflow: each node sleeps as long as its task took.",\n'
    .. '  "pools": { "slots": { "max": %d } },\n  "nodes": [\n%s\n  ]\n}\n')
    :format(json.encode(name), slots, table.concat(lines, ",\n"))
end

-- What only the compiler finds: cycles.
local function check(r, text)
  local flow = require "orrery"
  local compiled, problems = flow.compile(flow.load { source = text, name = "definition.json" })
  for _, problem in ipairs(compiled and {} or problems) do
    note(r, "workflow.specification.tasks", problem.message)
  end
  return compiled
end

--- The definition of a recorded workflow, as text. Raises all mistakes, each with its place.
---@param text string
---@param name string of the file, for messages
---@param slots integer places of the pool that its nodes draw from
---@return string definition JSON
---@return { nodes: integer, edges: integer, seconds: number } figures
function wfformat.definition(text, name, slots)
  local ok, file = pcall(json.decode, text, { name = name })
  if not ok then
    local place, rest = tostring(file):match "^(.-:%d+:%d+): (.*)$"
    errors.raise { { kind = "bad_json", where = place or name,
      message = "not valid JSON: " .. (rest or tostring(file)) } }
  end
  local r = { name = name, problems = {} }
  local tasks = is_object(file) and read(r, file)
  if not is_object(file) then note(r, "", "expected a JSON object, got " .. errors.show(file)) end
  local made, figures
  if #r.problems == 0 then
    local nodes, estimates = {}, estimates_of(tasks)
    figures = { nodes = #tasks, edges = 0, seconds = 0 }
    for i, task in ipairs(tasks) do
      nodes[i] = node_of(task, estimates[i])
      figures.edges, figures.seconds = figures.edges + #task.after, figures.seconds + task.seconds
    end
    made = text_of(name_of(file, name), nodes, slots)
    check(r, made)
  end
  if #r.problems > 0 then
    require("orrery.definition.json_places").add(r.problems, text, name)
    errors.raise(r.problems)
  end
  return made, figures
end

return wfformat
