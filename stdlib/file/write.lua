--- `file.write`: a file, whole.
local flow = require "orrery"
local beside = require "orrery.stdlib.file.shared.beside"
local open_files = require "orrery.stdlib.file.shared.open_files"
local paths = require "orrery.stdlib.file.shared.paths"
local requests = require "orrery.stdlib.file.shared.requests"
local uv = require "luv"

local O = uv.constants

-- A symbolic link keeps pointing where it did, and the file keeps its mode. What is no regular file
-- is never replaced: a device or a FIFO is written to.
local function replace(path, data)
  local err, target = requests.fs("realpath", path)
  if err then target = path end
  local stat_err, stat = requests.fs("stat", target)
  if not stat_err and stat.type ~= "file" then
    local file <close> = open_files.open("write", path, O.O_WRONLY)
    return file:write(data)
  end
  local mode = not stat_err and stat.mode & 4095 or nil -- 07777
  beside.write({ path = path, target = target, mode = mode }, function(file) file:write(data) end)
end

local function append(path, data)
  local file <close> = open_files.open("open", path, O.O_WRONLY | O.O_CREAT | O.O_APPEND)
  file:write(data)
end

local STREAMS = { ["/dev/stdout"] = 1, ["/dev/stderr"] = 2 }

-- What the process has open already is written where it stands, whatever it is: an opening of its
-- own would have a place of its own in a file.
local function descriptor_of(path)
  return STREAMS[path] or tonumber(path:match "^/dev/fd/(%d+)$" or path:match "^/proc/self/fd/(%d+)$")
end

local function json_of(content, path)
  local ok, text = pcall(flow.json.encode, content, { indent = 2 })
  if ok then return text .. "\n" end
  flow.error { code = "invalid_content", retryable = false, details = { path = path },
    message = ("cannot write %s: as JSON, %s"):format(path, (tostring(text):gsub("^value", "content"))) }
end

return flow.type {
  name = "file.write",
  errors = { "file_error", "invalid_content" },
  doc = "Writes a file at once: readers see the old content or the new, never a part. What is not a string "
    .. "is written as "
    .. 'JSON; what JSON cannot hold fails with code "invalid_content". mkdirs = true makes missing folders; '
      .. 'append = true '
    .. "adds to the end instead. Outputs { path, bytes }.",
  config = flow.schema {
    path = "string", content = "any", append = { type = "boolean", default = false },
    mkdirs = { type = "boolean", default = false },
  },
  output = { path = "string", bytes = "integer" },
  examples = { [[flow.file.write { path = "out/report.json", content = "${nodes.report}", mkdirs = true }]] },
  run = function(_, config)
    local path, data = config.path, config.content
    if type(data) ~= "string" then data = json_of(data, path) end
    if config.mkdirs then paths.make_folders(paths.parent(path)) end
    local fd = descriptor_of(path)
    if fd then open_files.standing(path, fd):write(data)
    elseif config.append then append(path, data)
    else replace(path, data) end
    return { path = path, bytes = #data }
  end,
}
