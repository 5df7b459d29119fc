--- One node of a workflow, from the table that was written to its place in the definition.
---
--- Here is what each node needs; what only some need is loaded with the first of them.
local groups = require "orrery.definition.groups"
local defer = require "orrery.defer"

---@class orrery.NodeBuilder what the readers of a node's keys talk to; one for a whole compilation
---@field flat orrery.Flat
---@field problems orrery.Problem[]
---@field allowed_env table<string, boolean>
---@field limits orrery.Limits|nil what nodes of a definition that is data may do
---@field input orrery.Schema|nil the workflow's
---@field any_field boolean|nil whether fields that cannot be there may be read: they are nil
---@field json boolean whether the nodes come from a JSON file
---@field i integer the node at hand
---@field name string
---@field with table<string, boolean>|nil config keys that were written inside `with`
---@field mentions {name: string, field: string}[]|nil nodes that the node's expressions mention
---@field types table `orrery.definition.type`
---@field in_worker boolean|nil whether its handler is to run in a worker; nil: the type says
---@field env_read string|nil a variable of the environment that one of them reads
---@field secret_read boolean|nil whether one of them has a secret
---@field compilation {compiled: orrery.Compiled|nil, identity: function, work: function, threaded: table?}
--- what it becomes, once it has
---@field suggestions integer how many more names may be looked for; each costs a look at every node
local Builder = {}
Builder.__index = Builder

defer(Builder, "orrery.definition.node_values", { "is_in_with", "bad", "nearest_node", "unknown_fields",
  "condition", "expression", "template_words", "value", "list", "check_pool" })
defer(Builder, "orrery.definition.typed_node", { "config_of", "scalars_of", "run_like", "undo_handler",
  "build_special", "outcomes_of" })

local READ -- by key, its reader; loaded with the first key that has one

local function read_key(b, out, spec, key, value)
  READ = READ or require("orrery.definition.node_keys").READ
  local read = READ[key]
  if key == "timeout" then
    local types = require "orrery.definition.type"
    if not types.is_reserved(types.of(spec) or types.named(spec), key) then read = nil end
  end
  if read then read(b, out, value, key) end
  return read ~= nil
end

-- A Lua node whose output is cached.
local function cached_run(b, out, run)
  local through = require("orrery.definition.cached").through
  local entry = { cache = out.cache, type = "lua", compilation = b.compilation }
  return function(ctx, inputs)
    return through(entry, ctx, nil, inputs, function() return run(ctx, inputs) end)
  end
end

-- Stands in for the handler of a node that has mistakes, so that the graph's own mistakes are still
-- found.
local function nothing() end

--- Builds node i of the definition, dependencies apart.
---@param i integer
---@return table out the node of the definition
function Builder:build(i)
  local flat = self.flat
  local spec, name = flat.specs[i], flat.names[i]
  self.i, self.name, self.mentions, self.with, self.in_worker = i, name, nil, nil, nil
  local run = rawget(spec, "run")
  local closing = getmetatable(spec) and groups.closes(spec)
  -- all its fields at once, so that the table of each of a million nodes is made in its final size
  local out = { name = name, where = flat.place(i), type = closing or "lua", run = run, deps = nil }
  local before, plain = #self.problems, type(run) == "function" and (closing or not getmetatable(spec))
  for key, value in next, spec do
    if key ~= "run" and key ~= "after" and not read_key(self, out, spec, key, value) then plain = false end
  end
  if plain then
    if self.in_worker then
      local threaded = require "orrery.definition.threaded"
      out.run = threaded.handler(self, run, false, threaded.takes(run, 2))
    end
    if self.types.around and not closing then out.run = self.types.around(nil, out.run) end
    if out.cache then out.run = cached_run(self, out, out.run) end
    return out
  end
  out.run = nil
  self:build_special(out, spec)
  if #self.problems > before and not out.run then out.run = nothing end
  return out
end

--- Makes a builder.
---@param flat orrery.Flat
---@param problems orrery.Problem[]
---@param options {env: table<string, boolean>, json: boolean, limits: orrery.Limits?, identity: function, work: function,
--- types: table, input: orrery.Schema?, any_field: boolean?}
---@return orrery.NodeBuilder
function Builder.new(flat, problems, options)
  return setmetatable({ flat = flat, problems = problems, allowed_env = options.env, json = options.json,
    limits = options.limits, input = options.input, any_field = options.any_field,
    types = options.types, suggestions = 100, makers = {}, scratch = {},
    compilation = { identity = options.identity, work = options.work } }, Builder)
end

return Builder
