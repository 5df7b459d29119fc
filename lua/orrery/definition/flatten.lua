--- Opens the groups of a workflow (see `orrery.definition.groups`): each becomes its members and
--- the node that closes it. Loaded with the first workflow that has one.
local core = require "orrery.core"
local groups = require "orrery.definition.groups"
local types = require "orrery.definition.type"
local workflow = require "orrery.definition.workflow"

local closings = groups.CLOSINGS

local MAX_NESTING = 50

local KEYS = { after = true, when = true, join = true, priority = true, pool = true, doc = true }

-- ---- members ------------------------------------------------------------------------------------

-- `{ docs = node }`: the name and the node, or nil when the table is a node itself.
local function named_step(item)
  if type(item) ~= "table" or getmetatable(item) ~= nil then return nil end
  local key, value = next(item)
  if type(key) == "string" and type(value) == "table" and next(item, key) == nil
      and not types.RESERVED[key] then
    return key, value
  end
end

local function sorted_names(group)
  local names = {}
  for key in next, group do
    if type(key) == "string" and not KEYS[key] and key ~= "orrery_bad" then names[#names + 1] = key end
  end
  table.sort(names)
  return names
end

-- The members in order as {name, spec}, and whether they are all named.
local function members_of(group, kind, say)
  local list, named, refused = {}, #group == 0, false
  for i = 1, #group do
    local name, spec = named_step(group[i])
    list[i] = { name = name or tostring(i), spec = spec or group[i] }
  end
  for _, key in ipairs(sorted_names(group)) do
    if types.RESERVED[key] then
      refused = true
      say(key, "unknown_key", (
        "a group takes after, when, join, priority, pool and doc; put %s on its members"):format(key))
    elseif kind == "sequence" then
      refused = true
      say(key, "unknown_key", ("the order of named fields is not kept; write the step as { %s = … }")
        :format(key))
    else
      list[#list + 1] = { name = key, spec = group[key] }
    end
  end
  if #list == 0 and not refused then
    say(nil, "empty", ("flow.%s has no member; give it a node, or leave it out"):format(kind))
  end
  return list, named
end

local function add_all(list, value)
  if value == nil then return end
  list[#list + 1] = value
end

local function both(outer, inner)
  if outer == nil then return inner end
  if inner == nil then return outer end
  return setmetatable({ outer, inner }, groups.ALL)
end

-- The member's own table is not changed: a copy gets what the group adds.
local function member_spec(spec, after, inherited)
  local made = {}
  for key, value in next, spec do made[key] = value end
  made.after = after
  made.when = both(inherited.when, made.when)
  for _, key in ipairs { "join", "priority", "pool" } do
    if made[key] == nil then made[key] = inherited[key] end
  end
  return setmetatable(made, getmetatable(spec))
end

-- What a member takes over from its group: the first ones its `after`, all of them its priority and
-- pool.
local function inherited_by(group, first)
  return {
    when = first and group.when or nil, join = first and group.join or nil,
    priority = group.priority, pool = group.pool,
  }
end

-- ---- closing nodes ------------------------------------------------------------------------------

local function array_of(names)
  return function(_, inputs)
    local output = {}
    for i, name in ipairs(names) do
      local value = inputs[name]
      output[i] = value == nil and core.json.null or value
    end
    return core.json.array(output)
  end
end

local function object_of(names, keys)
  return function(_, inputs)
    local output = {}
    for i, name in ipairs(names) do output[keys[i]] = inputs[name] end
    return core.json.object(output)
  end
end

local function last_of(name)
  return function(_, inputs) return inputs[name] end
end

-- ---- flattening ---------------------------------------------------------------------------------

local Flattener = {}
Flattener.__index = Flattener

function Flattener:add(name, spec, place, original)
  local flat = self.flat
  local earlier = flat.index[name] or self.state.index[name]
  if earlier and not (original and earlier == original) then
    flat.problems[#flat.problems + 1] = { kind = "duplicate_name", node = name, where = place,
      message = ('node "%s": a member of a group would bear the name of another node; rename one of them')
        :format(name) }
    return
  end
  local i = flat.count + 1
  flat.count, flat.names[i], flat.specs[i], flat.index[name] = i, name, spec, i
  self.places[i] = place
end

function Flattener:problem(name, place, field, kind, message)
  local problems = self.flat.problems
  problems[#problems + 1] = { kind = kind, node = name, field = field, where = place,
    message = ('group "%s": %s'):format(name, message) }
end

local function made_at(spec, fallback)
  local place = types.made_at(spec)
  if place then return place end
  local run = rawget(spec, "run")
  local info = type(run) == "function" and debug.getinfo(run, "S")
  if info and info.what ~= "C" and info.short_src == fallback:match("^(.*):%d+$") then
    return info.short_src .. ":" .. info.linedefined
  end
  return fallback
end

function Flattener:member(group_name, member, place, after, inherited)
  local name, spec = group_name .. "_" .. member.name, member.spec
  local message = workflow.spec_problem(name, spec)
  local other = not message and self.flat.name_of[spec]
  if other then -- a group that contains itself ends here, too
    message = ('node "%s": the same table is already node "%s"; make a table of its own for each node')
      :format(name, other)
  end
  if message then
    local problems = self.flat.problems
    problems[#problems + 1] = { kind = other and "shared_table" or "not_a_node", node = name, where = place,
      message = message }
    return nil
  end
  self.flat.name_of[spec] = name
  self:open(name, member_spec(spec, after, inherited), made_at(spec, place))
  return name
end

-- What is wrong with a group as a whole.
local function group_problem(group, depth)
  if group.orrery_bad then return group.orrery_bad end
  if depth > MAX_NESTING then
    return ("groups are nested deeper than %d levels; put some of them into a workflow of their own")
      :format(MAX_NESTING)
  end
end

-- Opens a group: its members, then the node that closes it.
function Flattener:group(name, group, place, original)
  local kind = groups.kind(group)
  local message = group_problem(group, self.depth)
  if message then
    self:problem(self.outermost or name, place, nil, "bad_group", message)
    return self:add(name, setmetatable({ run = last_of(name) }, closings[kind]), place, original)
  end
  local list, named = members_of(group, kind, function(...) self:problem(name, place, ...) end)
  local names, keys, previous = {}, {}, nil
  self.depth = self.depth + 1
  self.outermost = self.outermost or name
  for i, member in ipairs(list) do
    local first = i == 1 or kind == "parallel"
    local after = {}
    add_all(after, first and group.after or nil)
    add_all(after, not first and previous or nil)
    if type(member.spec) == "table" then add_all(after, rawget(member.spec, "after")) end
    local made = self:member(name, member, place, #after > 0 and after or nil, inherited_by(group, first))
    if made then
      names[#names + 1], keys[#keys + 1] = made, member.name
      previous = made
    end
  end
  self.depth = self.depth - 1
  if self.depth == 0 then self.outermost = nil end
  self:close(name, group, kind, { names = names, keys = keys, named = named }, place, original)
end

function Flattener:close(name, group, kind, members, place, original)
  local names = members.names
  local run = kind == "sequence" and last_of(names[#names])
    or members.named and object_of(names, members.keys) or array_of(names)
  local after = kind == "sequence" and { names[#names] } or names
  local all = {}
  for _, member in ipairs(names) do
    all[#all + 1] = member
    for _, inner in ipairs(self.flat.groups[member] or {}) do all[#all + 1] = inner end
  end
  self.flat.groups[name] = all
  self:add(name, setmetatable({ after = after, run = run, doc = group.doc }, closings[kind]), place, original)
end

function Flattener:open(name, spec, place, original)
  if groups.kind(spec) then return self:group(name, spec, place, original) end
  return self:add(name, spec, place, original)
end

--- Opens the groups of a workflow.
---@param state orrery.WorkflowState
---@return orrery.Flat
return function(state)
  local places = {}
  local flat = {
    count = 0, names = {}, specs = {}, index = {},
    name_of = setmetatable({}, { __index = state.name_of }),
    place = function(i) return places[i] end,
    groups = {}, problems = {},
  }
  local flattener = setmetatable({ flat = flat, places = places, state = state, depth = 0 }, Flattener)
  for i = 1, state.count do
    flattener:open(state.names[i], state.specs[i], workflow.place(state, i), i)
  end
  return flat
end
