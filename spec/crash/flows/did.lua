--- What the handlers of these workflows leave behind: one line for each thing they do, appended
--- with one write to the file that CRASH_LOG names. The lines of several processes, dead and alive,
--- stand there in the order in which they happened.
local uv = require "luv"

local did = {}

--- Appends a line: what, run, node, item, iteration, attempt, idempotency key, name, process.
---@param ctx table
---@param what string "begin", "end", "undo", "undone", "step", "stepped"
---@param name? string of the step
function did.line(ctx, what, name)
  local file <close> = assert(io.open(os.getenv "CRASH_LOG", "a"))
  file:write(table.concat({ what, ctx.run.id, ctx.node, ctx.index or 0, ctx.iteration or 1, ctx.attempt,
    ctx.idempotency_key,
    name or "-", math.tointeger(uv.os_getpid()) }, "\t"), "\n")
end

local function between(first, last, fn)
  return function(ctx, inputs)
    did.line(ctx, first)
    local value = fn(ctx, inputs)
    did.line(ctx, last)
    return value
  end
end

--- A handler that tells when it begins and when it ends well.
---@param fn fun(ctx: table, inputs: table): any
function did.run(fn) return between("begin", "end", fn) end

--- A compensation that tells the same.
---@param fn? fun(ctx: table, inputs: table): any
function did.undo(fn) return between("undo", "undone", fn or function(ctx) return ctx.output end) end

--- `ctx:step` of a function that tells the same.
---@param ctx table
---@param name string
---@param fn fun(...): any
function did.step(ctx, name, fn, ...)
  return ctx:step(name, function(...)
    did.line(ctx, "step", name)
    local value = fn(...)
    did.line(ctx, "stepped", name)
    return value
  end, ...)
end

--- Keeps the processor for about a millisecond, so that kills fall into handlers, too.
function did.work()
  local x = 0
  for i = 1, 20000 do x = (x * 31 + i) % 1000003 end
  return x
end

return did
