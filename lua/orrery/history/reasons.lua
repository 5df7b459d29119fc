--- What nodes wait for, as the store knows it. The engine's own word (`run:why`) stands in the
--- column `why` of `nodes`.
local column = require "orrery.history.column"

local reasons = {}

---@class orrery.Why see `run:why`
---@field kind string
---@field by? string
---@field by_run? string
---@field name? string
---@field count? integer
---@field limit? integer
---@field due? number
---@field left? number in place of `due` while its run is paused: seconds
---@field held? true it has a due time, and while its run is paused nobody has said how much is left
---@field since? number
---@field cause? string
---@field child? string the workflow of the child run whose end a signal without a name is
---@field approval? { message: string|nil, by: string[]|nil } what the signal is to decide

--- The step in which a node of the type `wait` keeps what it asks for, and whom: `{ message, by }`.
reasons.APPROVAL = "approval_requested"

-- Steps that wait, and what a node waits for meanwhile.
local WAITS = { wait = "signal", sleep = "timer", call = "signal" }

--- What the open step of a node says of its wait, where its owner has said nothing yet.
---@param kind string of the step
---@param name string
---@param due number|nil
---@return orrery.Why|nil
function reasons.of_step(kind, name, due)
  return WAITS[kind] and { kind = WAITS[kind], name = kind == "wait" and name or nil, due = due,
    child = kind == "call" and name or nil }
end

--- Adds which child run a node waits for: its owner knows only that it waits to be woken.
---@param said orrery.Why changed
---@param kind string|nil of the node's open step
---@param name string|nil
function reasons.add_child(said, kind, name)
  if said.kind == "signal" and not said.name and kind == "call" then said.child = name end
end

--- What is known of a wait while its run is paused: the time that was said before counts no more.
---@param said orrery.Why changed
---@return orrery.Why
function reasons.in_pause(said)
  if said.due and not said.left then said.due, said.held = nil, true end
  return said
end

local function decoded(text)
  local value = column.plain(text)
  return type(value) == "table" and value or {}
end

--- The signals that nodes of the run wait for now: as their owner last said, or in a step that is
--- open.
---@param db orrery.Store
---@param number integer of the run
---@return { name: string, approval: { message: string|nil, by: string[]|nil }|nil }[] in the order
---  of their names; `approval`: what is to be decided, and by whom
function reasons.awaited(db, number)
  local waits = {}
  for row in db:each_row("signals_awaited", { run = number }) do
    local asked = db:row("signal_step_value", { run = number, signal = row.name, name = reasons.APPROVAL })
    waits[#waits + 1] = { name = row.name, approval = asked and decoded(asked.value) }
  end
  return waits
end

--- The same of the run with that id; nil where there is none.
---@param db orrery.Store
---@param id string
---@return { name: string, approval: table|nil }[]|nil
function reasons.awaited_by(db, id)
  local run = db:row("run_number", { id = id })
  return run and reasons.awaited(db, run.number)
end

--- What a node or item waits in, by its open step; nil where it has none.
---@param db orrery.Store
---@param node table row of `nodes`
---@return orrery.Why|nil
function reasons.of_open_step(db, node)
  local step = db:row("step_open", { run = node.run, node = node.node, item = node.item })
  return step and reasons.of_step(step.kind, step.name, node.due)
end

--- The id of the child run of a workflow that a run waits for; nil where there is none.
---@param db orrery.Store
---@param run { number: integer }
---@param workflow string
---@return string|nil
function reasons.child_run(db, run, workflow)
  local id
  for child in db:each_row("runs_of_parent", { run = run.number }) do
    if child.workflow == workflow and not child.ended then id = child.id end
  end
  return id
end

--- What the approval is asked for that a node or item waits for; nil where it waits for none.
---@param db orrery.Store
---@param node table row of `nodes`
---@return any
function reasons.approval(db, node)
  local asked = db:row("step_value",
    { run = node.run, node = node.node, item = node.item, name = reasons.APPROVAL })
  return asked and column.plain(asked.value)
end

return reasons
