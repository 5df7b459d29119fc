--- Functions that are loaded when the first of them is called: a start pays for none that it does
--- not call.

--- Puts a function of each name into a table. The first that is called loads the module, which puts
--- the real ones in their place. A call is passed on as a tail call, so that levels of the stack
--- are as if the real one had been called.
---@param into table
---@param module string
---@param names string[]
return function(into, module, names)
  for i = 1, #names do
    local name = names[i]
    into[name] = function(...)
      require(module)
      return into[name](...)
    end
  end
end
