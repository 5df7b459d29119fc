-- workplace.lua: folders with real files for the specs of the node types, and nodes that are run
-- there.
local flow = require "orrery"
local uv = require "luv"

local workplace = {}
workplace.__index = workplace

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

--- A new folder; `close` removes it.
---@param beside? string where; the folder for temporary files
function workplace.new(beside)
  local root = assert(uv.fs_mkdtemp((beside or os.getenv "TMPDIR" or "/tmp") .. "/orrery-spec-XXXXXX"))
  return setmetatable({ root = root }, workplace)
end

function workplace:close()
  self:sh "umount full 2>/dev/null; chmod -R u+rwx . 2>/dev/null; true"
  os.execute("rm -rf " .. quoted(self.root))
end

function workplace:at(name) return self.root .. "/" .. name end

--- Runs lines of shell in the folder; returns what they print.
---@param lines string
---@return string
function workplace:sh(lines)
  local pipe <close> = assert(io.popen(("cd %s && { %s\n} 2>&1"):format(quoted(self.root), lines)))
  return pipe:read "a"
end

function workplace:write(name, text)
  local file <close> = assert(io.open(self:at(name), "wb"))
  file:write(text)
  return self:at(name)
end

function workplace:read(name)
  local file <close> = io.open(self:at(name), "rb")
  return file and file:read "a"
end

--- The names below the folder, in their order, each in front of a space.
function workplace:names(name)
  return (self:sh(("cd %s && find . -mindepth 1 | cut -c3- | LC_ALL=C sort"):format(quoted(name or ".")))
    :gsub("\n", " "))
end

--- A file system of its own in the folder `full`, of so many bytes. Nil and the reason where there
--- can be none.
---@param size string as mount(8) has it, "512k"
---@return string|nil path
---@return string|nil reason
function workplace:small_disk(size)
  if uv.getuid() ~= 0 then return nil, "only root can mount a small disk" end
  local said = self:sh(("mkdir -p full; mount -t tmpfs -o size=%s tmpfs full && echo mounted"):format(size))
  if not said:find "mounted" then return nil, "no file system can be mounted here" end
  return self:at "full"
end

--- Runs one node and returns its run.
function workplace.run(node, options)
  local w = flow.workflow { name = "one", output = "${nodes.it}" }
  w.it = node
  return flow.run(w, options)
end

function workplace.output(node, options)
  local run = workplace.run(node, options)
  if run.state ~= "completed" then error(("%s: %s"):format(run.state, run.error and run.error.message), 2) end
  return run.output
end

function workplace.failure(node, options)
  local run = workplace.run(node, options)
  if run.state ~= "failed" then error("the run has " .. run.state, 2) end
  return run.error
end

return workplace
