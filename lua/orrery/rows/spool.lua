--- The rows that a node outputs: a list, or, where they take more memory than an output may keep
--- there, a file of JSON Lines and a list that reads it (runtime/lua/lazy.h).
---
--- A run in a store has the file in the folder beside the store, under a name that begins with the
--- run's id and follows from the place in the handler: what an attempt has left that was cut off
--- the
--- next writes anew. A run in memory has a file without a name, which is gone with the last who
--- holds the list.
local core = require "orrery.core"
local errors = require "orrery.errors"
local files = require "orrery.rows.files"

local spool = {}

local MOST = 1000000 -- rows of a list that is not kept in a file
local SLICE = 1000   -- rows that become text at once
local PENDING = 500  -- rows that come one by one and are taken together

---@class orrery.rows.Spool
---@field stream orrery.rows.Stream
---@field what string who gives the rows, for errors
---@field place string|false folder, "" for a file without a name; see core.spools
---@field most integer bytes of memory
---@field list any[]|nil rows while they are in memory
---@field rows integer
---@field size integer bytes of memory that they take
---@field output orrery.rows.Output|nil
---@field file string|nil its name in the folder
---@field pending any[] rows that came one by one
local Spool = {}
Spool.__index = Spool

local function masked(rows)
  local mask = package.loaded["orrery.mask"] -- without it nothing is secret
  if not mask or #mask.values() == 0 then return rows end
  return mask.value(rows)
end

function Spool:too_many()
  errors.error { code = "too_many_rows", retryable = false,
    message = ("%s gives more than %d rows, too many for an output; end the pipe with a stage that "
      .. "writes them, such as csv.write"):format(self.what, MOST) }
end

-- Named files are removed where the attempt ends otherwise.
function Spool:begin()
  local folder = self.place
  if folder == "" then
    local at = self.stream.folder()
    self.output = files.unnamed(core.rows().unnamed(at), at)
  else
    files.folder(folder)
    self.output = files.output(folder .. "/" .. self.file, "part", 384) -- 0600
  end
  self.stream:on_close(function()
    self.output:close()
    if self.file and not self.stream.committed then core.fs("unlink", folder .. "/" .. self.file) end
  end)
end

function Spool:write(rows)
  rows = masked(rows)
  for from = 1, #rows, SLICE do
    self.output:write(core.rows().lines(rows, from, math.min(from + SLICE - 1, #rows)))
    self.stream:turn_if_due()
  end
end

function Spool:add(chunk)
  self.rows = self.rows + #chunk
  if self.output then return self:write(chunk) end
  local list = self.list
  table.move(chunk, 1, #chunk, #list + 1, list)
  if not self.place then
    if self.rows > MOST then self:too_many() end
    return
  end
  self.size = self.size + core.rows().size(chunk)
  if self.size <= self.most then return end
  self:begin()
  self:write(list)
  self.list = nil
end

--- Adds one row. May wait.
---@param row any
function Spool:push(row)
  local pending = self.pending
  pending[#pending + 1] = row
  if #pending < PENDING then return end
  self.pending = {}
  self:add(pending)
end

--- All rows as a list, which is not to be changed; the file is there for good, as far as this
--- attempt can say. Waits.
---@return any[]
function Spool:finish()
  if #self.pending > 0 then self:add(self.pending) end
  self.pending = {}
  if not self.output then return core.json.array(self.list) end
  local rows, bytes = self.rows, self.output.bytes
  if not self.file then
    return core.rows().spooled { rows = rows, bytes = bytes, fd = self.output:give() }
  end
  self.output:commit()
  files.keep(self.place)
  return core.rows().spooled { rows = rows, bytes = bytes, folder = self.place, file = self.file }
end

--- Begins a list, which takes rows by `push` and `add` (a list of them) and is given by `finish`.
--- In a run in a store the first of a stream is a step of the handler. Waits.
---@param stream orrery.rows.Stream
---@param what string who gives the rows, for errors
---@return orrery.rows.Spool
function spool.new(stream, what)
  local ctx = stream.ctx
  local place, most = core.spools(ctx)
  local self = setmetatable({ stream = stream, what = what, place = place, most = most, list = {}, rows = 0,
    size = 0, pending = {} }, Spool)
  if not place or place == "" then return self end
  -- whether they are many or few, this is a place in the handler
  stream.mark = stream.mark or ("%s-%s"):format(ctx.run.id, ctx:uuid():gsub("-", ""))
  stream.spools = (stream.spools or 0) + 1
  self.file = stream.mark .. (stream.spools > 1 and "-" .. stream.spools or "") .. ".jsonl"
  return self
end

--- All rows as one list, after which what the stages have written is committed. Waits. Raises
--- `too_many_rows`, `file_error`, `spool_error`, `invalid_output`.
---@param stream orrery.rows.Stream
---@param rows fun(): any[]?
---@param what string who gives them, for errors
---@return any[] list not to be changed
function spool.collect(stream, rows, what)
  local self = spool.new(stream, what)
  for chunk in rows do self:add(chunk) end
  local list = self:finish()
  stream:commit()
  return list
end

return spool
