--- `file.read`: what is in a file.
local flow = require "orrery"
local open_files = require "orrery.stdlib.file.shared.open_files"
local uv = require "luv"

local function read_all(file, limit)
  local parts, size, path = {}, 0, file.path
  while true do
    local data = file:read()
    if data == "" then return table.concat(parts) end
    size = size + #data
    if size > limit then
      flow.error { code = "file_too_large", retryable = false, details = { path = path, limit = limit },
        message = ("%s is larger than %d bytes; raise max_size to read it"):format(path, limit) }
    end
    parts[#parts + 1] = data
  end
end

local function lines_of(text)
  local lines = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch "(.-)\r?\n" do
    lines[#lines + 1] = line
  end
  if text == "" then lines = {} end
  return flow.json.array(lines)
end

local FORMS = {
  text = function(text) return text end,
  lines = lines_of,
  json = function(text, path) return flow.json.decode(text, { name = path }) end,
}

return flow.type {
  name = "file.read",
  errors = { "file_error", "file_too_large", "invalid_content" },
  doc = 'Reads a file. as = "text" outputs its bytes as a string, "lines" an array of lines, "json" the '
    .. 'decoded value. Fails with code "file_too_large" where it is larger than max_size.',
  config = flow.schema {
    path = "string",
    as = { enum = { "text", "lines", "json" }, default = "text" },
    max_size = { type = "integer", default = 64 * open_files.CHUNK, min = 1 },
  },
  positional = "path",
  examples = { [[flow.file.read { path = "/etc/hostname" }]],
    [[flow.file.read { path = "conf.json", as = "json" }]] },
  run = function(_, config)
    local file <close> = open_files.open("open", config.path, uv.constants.O_RDONLY)
    return FORMS[config.as](read_all(file, config.max_size), config.path)
  end,
}
