--- `-l MODULE`: modules that are required before a workflow is loaded, for the node types that they
--- declare.
local modules = {}

-- `require` finds modules beside the workflows, from wherever the command is started.
local function look_beside(paths)
  for _, path in ipairs(paths) do
    local folder = path:match "^(.*/)" or "./"
    package.path = ("%s?.lua;%s?/init.lua;%s"):format(folder, folder, package.path)
  end
end

--- Requires the modules that the arguments name.
---@param args { require: string[]|nil, file: string|string[]|nil } of any command
---@return string|nil message why one of them cannot be had
function modules.load(args)
  local names = args.require or {}
  if #names == 0 then return nil end
  require("orrery.definition.sources").given(names)
  look_beside(type(args.file) == "table" and args.file or { args.file or "./" })
  for _, name in ipairs(names) do
    local ok, why = pcall(require, name)
    if not ok then
      why = tostring(why)
      if why:find("^module '.-' not found:") then
        why = "there is no such module in the workflow's folder or in package.path; give its name as "
          .. "`require` takes it, types.words"
      end
      return ("-l %s: %s"):format(name, why)
    end
  end
  return nil
end

return modules
