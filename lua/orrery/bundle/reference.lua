--- Naming a workflow that a file makes, for another Lua state that has loaded the same file.
local core = require "orrery.core"
local load_file = require "orrery.definition.load"
local workflow = require "orrery.definition.workflow"

local reference = {}

---@class orrery.WorkflowReference
---@field name string of the workflow
---@field file string what the file is called in messages
---@field text string SHA-256 of the file
---@field part orrery.Part|nil which of the file's workflows it is; nil: the one that it returns

--- What names a workflow; nil and a reason for a value that no file has made.
---@param w any
---@return orrery.WorkflowReference|nil
---@return string|nil reason
function reference.of(w)
  local state, origin = workflow.state(w), load_file.origin(w)
  if not state then return nil, "it is no workflow and no path of one" end
  if not origin then
    return nil, ('workflow "%s" was made by the handler itself; make it where the file is loaded, or write '
      .. "it to a file and give its path"):format(state.name)
  end
  return { name = state.name, file = origin.name, text = core.sha256(origin.text), part = origin.part }
end

local function same_part(a, b)
  if not a or not b then return a == b end
  return a.name == b.name and a.place == b.place and a.n == b.n
end

--- The workflow of this state that a reference names; nil where no such file was loaded here.
---@param given orrery.WorkflowReference
---@return orrery.Workflow|nil
function reference.find(given)
  for w, origin in load_file.origins() do
    if origin.name == given.file and same_part(origin.part, given.part)
      and core.sha256(origin.text) == given.text then
      return w
    end
  end
end

return reference
