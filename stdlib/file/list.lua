--- `file.list`: what is in a folder.
local flow = require "orrery"
local walk = require "orrery.stdlib.file.shared.walk"

local function matcher(pattern)
  local ok, match = pcall(flow.glob, pattern)
  if ok then return match end
  flow.error { code = "config_error", message = tostring(match), retryable = false }
end

local function rules_of(config, match)
  return {
    what = "list", skips_denied = config.on_denied == "skip",
    takes = function(item) return config.hidden or item.name:sub(1, 1) ~= "." end,
    wants = function(item)
      return (config.kind == "any" or config.kind == item.type) and (not match or match(item.name))
    end,
    enters = function() return config.recursive end,
  }
end

return flow.type {
  name = "file.list",
  errors = { "file_error" },
  doc = "Lists a folder, with recursive = true also those inside it (links are not followed), as an array of "
    .. "{ path, name, type, "
    .. "size, modified } in the order of the names. pattern chooses names (*.txt), kind what is listed, "
      .. "hidden = true also "
    .. "names that begin with a dot. What it is not allowed to read inside the folder fails the node, and is "
      .. "left out with "
    .. "on_denied = \"skip\"; the folder itself must be readable.",
  config = flow.schema {
    path = { type = "string", default = "." },
    pattern = "string?",
    recursive = { type = "boolean", default = false },
    kind = { enum = { "file", "directory", "link", "any" }, default = "file" },
    hidden = { type = "boolean", default = false },
    on_denied = { enum = { "fail", "skip" }, default = "fail" },
  },
  positional = "path",
  examples = { [[flow.file.list { path = "/usr/share/common-licenses", pattern = "GPL*" }]] },
  run = function(_, config)
    local items = walk.items(config.path, rules_of(config, config.pattern and matcher(config.pattern)))
    for i, item in ipairs(items) do items[i] = walk.entry(item) end
    return flow.json.array(items)
  end,
}
