--- What a script says for simulations (`orrery sim`): what must hold, what stands in for the world
--- outside, and what handlers do to it. Outside of a simulation all of it does nothing.
local errors = require "orrery.errors"

local simulated = {
  invariants = {}, -- { name, fn } in the order of their declaration
  models = {}, -- node, node type or "signal:NAME" -> model
  world = nil, -- the history that is being played
}

--- Forgets what was declared: for who loads the next file.
function simulated.clear()
  simulated.invariants, simulated.models = {}, {}
end

---@class orrery.sim.End what a history has come to, as invariants see it
---@field state string of the run
---@field input any
---@field output any
---@field error table|nil
---@field outputs table by node
---@field states table by node
---@field errors table by node
---@field effects {name: string, data: any, node: string?, attempt: integer?, time: number}[] in their order
---@field count fun(name: string, data?: table): integer effects of that name with these fields
---@field world table what models have kept

--- Declares what must hold of every history of the workflow, looked at when its run has ended.
---@param name string
---@param fn fun(h: orrery.sim.End): boolean?, string? false and a text where it is broken
function simulated.invariant(name, fn)
  if type(name) ~= "string" or name == "" then
    error("flow.invariant: expected a name, got " .. errors.show(name), 2)
  end
  if type(fn) ~= "function" then
    error(('flow.invariant "%s": expected a function(h), got %s'):format(name, errors.show(fn)), 2)
  end
  table.insert(simulated.invariants, { name = name, fn = fn })
end

local FIELDS = { run = "a function", takes = "a duration, or two that it lies between",
  fails = "a probability from 0 to 1", code = "a text", data = "any value" }

-- The shortest and the longest time in seconds.
local function span(takes, where)
  local duration = require "orrery.duration"
  local pair = type(takes) == "table" and takes or { takes, takes }
  local least, most = duration.parse(pair[1]), duration.parse(pair[2])
  if not least or not most or least > most then
    error(("%s: takes: expected %s, got %s"):format(where, FIELDS.takes, errors.show(takes)), 3)
  end
  return { least, most }
end

local function check(where, model)
  for key in pairs(model) do
    if not FIELDS[key] then
      error(("%s: unknown field %q%s"):format(where, tostring(key),
        errors.suggest(key, { "run", "takes", "fails", "code", "data" })), 3)
    end
  end
  local fails = model.fails or 0
  if type(fails) ~= "number" or not (fails >= 0 and fails <= 1) then
    error(("%s: fails: expected %s, got %s"):format(where, FIELDS.fails, errors.show(fails)), 3)
  end
  if model.run ~= nil and type(model.run) ~= "function" then
    error(("%s: run: expected a function, got %s"):format(where, errors.show(model.run)), 3)
  end
end

--- Says what stands in a simulation for a node (by its name), a node type (`"http.post"`) or who
--- sends a signal (`"signal:NAME"`).
---@param what string
---@param model function|{run: function?, takes: any, fails: number?, code: string?, data: any} the
--- function takes what the handler takes, and then the world, a table that is new for each history
--- and outlives crashes; that of a signal takes the world alone and gives the signal's data
function simulated.model(what, model)
  if type(what) ~= "string" or what == "" then
    error("flow.model: expected the name of a node, of a node type or \"signal:NAME\", got "
      .. errors.show(what), 2)
  end
  local where = ('flow.model "%s"'):format(what)
  if type(model) == "function" then model = { run = model } end
  if type(model) ~= "table" then
    error(("%s: expected a function or a table, got %s"):format(where, errors.show(model)), 2)
  end
  check(where, model)
  simulated.models[what] = { run = model.run, fails = model.fails or 0, code = model.code,
    data = model.data, takes = model.takes ~= nil and span(model.takes, where) or nil }
end

--- Says that something was done outside of the workflow: a payment, a mail. A simulation keeps it
--- for the invariants, whatever becomes of the attempt.
---@param name string
---@param data? any
function simulated.effect(name, data)
  if type(name) ~= "string" or name == "" then
    error("flow.effect: expected a name, got " .. errors.show(name), 2)
  end
  if simulated.world then simulated.world:effect(name, data) end
end

return simulated
