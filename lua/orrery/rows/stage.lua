--- Stages: functions through which rows stream, in chunks.
---
--- A stage is `function(config, rows, stage)` that returns `function() -> chunk or nil`. `rows` is
--- the same of the stage before it; a chunk is a list of rows, which may be empty, and nil is the
--- end. So the last stage pulls all others, no row waits in a queue, and nothing switches
--- coroutines.
--- The list of a chunk belongs to whoever was given it; rows are never changed, because others may
--- hold them.
local core = require "orrery.core"
local errors = require "orrery.errors"
local files = require "orrery.rows.files"
local uv = require "luv"

local SLICE = 10 * 1000000 -- ns after which the loop has a turn
local SIGN = 10000 * 1000000 -- ns between two signs of life

---@class orrery.rows.Stage what a stage is given beside its config and rows
---@field ctx orrery.Context
---@field type string
---@field source boolean it takes no rows
---@field rows_in integer
---@field rows_out integer
---@field rejected integer
---@field rejects orrery.rows.Spool|any[]|nil where the config says so; a list once it is committed
---@field report table further fields for the output
---@field stream orrery.rows.Stream
local Stage = {}
Stage.__index = Stage

---@class orrery.rows.Stream the stages of one attempt
---@field columns string[]|nil names in the order in which they are written
---@field stages orrery.rows.Stage[]
---@field closers fun()[]
---@field commits fun()[]
---@field inputs orrery.rows.Input[]
---@field outputs orrery.rows.Output[]
---@field committed boolean|nil
---@field turn integer when the loop had its last turn
---@field told integer when the last sign of life was given
local Stream = {}
Stream.__index = Stream

local stage = {}

-- ---- what a stage can do ------------------------------------------------------------------------

local function reject_line(line)
  local ok, text = pcall(core.json.encode, line, { sort = true })
  if not ok then
    line.row = ("%q"):format(tostring(line.row)) -- bytes that JSON does not hold, escaped
    text = core.json.encode(line, { sort = true })
  end
  return text .. "\n"
end

--- Counts a row that does not go on, and keeps it with the reason where the config's `rejects`
--- says.
--- May wait.
---@param row any
---@param reason string
---@param line? integer where it stood in its file
---@param more? table further fields that are kept with it
function Stage:reject(row, reason, line, more)
  self.rejected = self.rejected + 1
  local to = self.config.rejects
  if to == nil or to == false then return end
  local kept = { row = row, reason = reason, line = line }
  for key, value in next, more or {} do kept[key] = value end
  if to == true then return self.rejects:push(kept) end
  self.rejects_file = self.rejects_file or self:output(to)
  self.rejects_file:write(reject_line(kept))
end

--- Lets the loop have a turn, where its last is long enough ago: for work that reads no rows. May
--- wait.
function Stage:turn() self.stream:turn_if_due() end

--- A file that is there once all stages have ended; see `orrery.rows.files`. Waits.
---@param path string
---@return orrery.rows.Output
function Stage:output(path)
  local outputs = self.stream.outputs
  for _, other in ipairs(outputs) do
    if other.path == path then
      errors.error { code = "config_error", retryable = false,
        message = ("%s: two stages write %s; give each a file of its own"):format(self.type, path) }
    end
  end
  local mark = core.sha256(self.ctx.idempotency_key .. " " .. #outputs):sub(1, 12)
  local output = files.output(path, mark)
  outputs[#outputs + 1] = output
  self:on_close(function() output:close() end)
  self.files[#self.files + 1] = output
  return output
end

--- A file that is read; closed at the end. Waits.
---@param path string
---@return orrery.rows.Input
function Stage:input(path)
  local input = files.input(path)
  table.insert(self.stream.inputs, input)
  self:on_close(function() input:close() end)
  return input
end

--- Calls a function, which may not wait, when the stages end, however they do.
---@param fn fun()
function Stage:on_close(fn) self.stream:on_close(fn) end

--- Calls a function, which may wait, once all stages have ended without a failure, in the order of
--- the calls and before files are put in their places.
---@param fn fun()
function Stage:on_commit(fn) table.insert(self.stream.commits, fn) end

--- The names of the columns in their order, where a stage before has said them; or says them.
---@param names? string[]|false false: what was said is true no longer
---@return string[]|nil
function Stage:columns(names)
  if names ~= nil then self.stream.columns = names or nil end
  return self.stream.columns
end

--- The folder for what does not fit in memory.
---@return string
function Stage.folder() return os.getenv "TMPDIR" or "/tmp" end

--- Sorts rows that may be larger than memory; see `core.rows().sorter`. Closed at the end.
---@param memory? integer bytes
---@return table
function Stage:sorter(memory)
  local sorter = core.rows().sorter { memory = memory, folder = self.folder() }
  self:on_close(function() sorter:close() end)
  return sorter
end

local CHUNK = 500

--- Chunks of what a sorter holds, in order: rows and their keys.
---@param sorter table
---@return fun(): any[]?, string[]?
function Stage.sorted(sorter)
  return function() return sorter:next(CHUNK) end
end

-- ---- running ------------------------------------------------------------------------------------

-- Lets the loop have a turn.
local function breathe()
  core.await(function(resume)
    local timer = uv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      resume()
    end)
    return function() timer:close() end
  end)
end

function Stream:close()
  for i = #self.closers, 1, -1 do self.closers[i]() end
  self.closers = {}
end
Stream.__close = Stream.close

-- How far it is: of the files that are read, how much of their bytes was.
function Stream:tell()
  local read, size, first = 0, 0, self.stages[1]
  for _, input in ipairs(self.inputs) do read, size = read + input.at, size + input.size end
  local fraction = size > 0 and math.min(1, read / size) or 0
  self.ctx:progress(fraction, ("%d rows"):format(first.rows_out + first.rejected))
end

function Stream:give_turn()
  breathe()
  self.turn = uv.hrtime()
  if self.turn - self.told < SIGN then return end
  self.told = self.turn
  self:tell()
end

function Stream:turn_if_due()
  if uv.hrtime() - self.turn > SLICE then self:give_turn() end
end

-- The chunks of a stage, counted for it and the one after it.
local function counted(self, pull, from, to)
  return function()
    local chunk = pull()
    if not chunk then return nil end
    from.rows_out = from.rows_out + #chunk
    if to then to.rows_in = to.rows_in + #chunk end
    self:turn_if_due()
    return chunk
  end
end

local function new_stage(self, T, config)
  local made = setmetatable({ type = T.name, source = T.source == true, config = config, ctx = self.ctx,
    stream = self, rows_in = 0, rows_out = 0, rejected = 0, files = {}, report = {} }, Stage)
  self.stages[#self.stages + 1] = made
  if config.rejects == true then made.rejects = require "orrery.rows.spool".new(self, T.name) end
  return made
end

function Stream:on_close(fn) table.insert(self.closers, fn) end
Stream.folder = Stage.folder

--- Begins a stream; a to-be-closed value.
---@param ctx orrery.Context
---@return orrery.rows.Stream
function stage.stream(ctx)
  return setmetatable({ ctx = ctx, stages = {}, closers = {}, commits = {}, inputs = {}, outputs = {},
    turn = uv.hrtime(), told = uv.hrtime() }, Stream)
end

---@class orrery.rows.Lists
local Lists = {}
Lists.__index = Lists
function Lists:__close() self.stream:close() end

--- Begins a list. Waits.
---@return orrery.rows.Spool
function Lists:new() return require "orrery.rows.spool".new(self.stream, self.what) end

--- Lets the loop have a turn, where its last is long enough ago. May wait.
function Lists:turn() self.stream:turn_if_due() end

--- Keeps the files of all lists. Waits.
function Lists:keep() self.stream:commit() end

--- See `flow.rows.lists`.
---@param ctx orrery.Context
---@param what string
---@return orrery.rows.Lists
function stage.lists(ctx, what) return setmetatable({ stream = stage.stream(ctx), what = what }, Lists) end

--- Joins stages, each of which pulls the one before it.
---@param list {type: orrery.NodeType, config: table}[]
---@param rows? fun(): any[]? what the first is given
---@return fun(): any[]? rows of the last
function Stream:join(list, rows)
  local all = {}
  for i, item in ipairs(list) do all[i] = new_stage(self, item.type, item.config) end
  if rows then rows = counted(self, rows, { rows_out = 0 }, all[1]) end
  for i, item in ipairs(list) do
    rows = counted(self, item.type.stage(item.config, rows, all[i]), all[i], all[i + 1])
  end
  return rows
end

--- Commits what stages have written: rejects in lists, databases, then files. Waits.
function Stream:commit()
  for _, each in ipairs(self.stages) do
    if each.rejects then each.rejects = each.rejects:finish() end
  end
  for _, fn in ipairs(self.commits) do fn() end
  for _, output in ipairs(self.outputs) do output:commit() end
  self.committed = true
end

return stage
