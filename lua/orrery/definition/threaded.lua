--- Handlers that run in a worker (`strategy = "thread"`). Loaded with the first of them.
local threaded = {}

--- Whether a function takes at least so many parameters.
---@param run function
---@param n integer
---@return boolean
function threaded.takes(run, n)
  local info = debug.getinfo(run, "u")
  return info.nparams >= n or info.isvararg
end

--- What runs in place of a handler that runs in a worker: it has one do it, which finds the handler
--- by the node's name.
---@param b orrery.NodeBuilder
---@param run function
---@param typed boolean whether it takes config: run(ctx, config, inputs)
---@param takes_inputs boolean
---@return function
function threaded.handler(b, run, typed, takes_inputs)
  local compilation, how = b.compilation, { name = b.name, typed = typed, takes_inputs = takes_inputs }
  compilation.threaded = compilation.threaded or {}
  compilation.threaded[b.name] = run
  if typed then
    return function(ctx, config, inputs) return compilation.work(compilation, how, ctx, config, inputs) end
  end
  return function(ctx, inputs) return compilation.work(compilation, how, ctx, nil, inputs) end
end

return threaded
