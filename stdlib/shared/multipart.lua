--- Bodies of several parts: multipart/form-data (RFC 7578).
local flow = require "orrery"
local uv = require "luv"

local multipart = {}

local function config_error(message)
  flow.error { code = "config_error", retryable = false, message = "http: multipart: " .. message }
end

-- In the way of browsers (WHATWG HTML, "multipart/form-data encoding algorithm"), so that no name
-- can
-- end its place.
local ESCAPED = { ['"'] = "%22", ["\r"] = "%0D", ["\n"] = "%0A" }

local function quoted(name)
  return '"' .. tostring(name):gsub('["\r\n]', ESCAPED) .. '"'
end

local function is_plain(value)
  local kind = type(value)
  return kind == "string" or kind == "number" or kind == "boolean"
end

local KEYS = { name = true, body = true, from = true, filename = true, type = true }

-- A part as { name, body or from, filename, type }.
local function part_of(name, value)
  if is_plain(value) then return { name = name, body = tostring(value) } end
  if type(value) ~= "table" then config_error(("part %s: expected a text or a "
    .. "table"):format(tostring(name))) end
  for key in pairs(value) do
    if not KEYS[key] then
      config_error(('part %s: "%s" is not known; it takes body or from, filename and type')
        :format(tostring(name), tostring(key)))
    end
  end
  if (value.body == nil) == (value.from == nil) or (value.body ~= nil and not is_plain(value.body)) then
    config_error(("part %s: give either body, a text, or from, a file"):format(tostring(name)))
  end
  return { name = name, body = value.body, from = value.from, filename = value.filename, type = value.type }
end

-- In the order of a list, or else of their names.
local function parts_of(given)
  local parts, names = {}, {}
  if #given > 0 then
    for i, value in ipairs(given) do
      local name = type(value) == "table" and value.name
      if type(name) ~= "string" then config_error(("part %d has no name"):format(i)) end
      parts[i] = part_of(name, value)
    end
    return parts
  end
  for name in pairs(given) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = part_of(name, given[name]) end
  return parts
end

local function head_of(part, boundary)
  local lines = { "--" .. boundary, "Content-Disposition: form-data; name=" .. quoted(part.name) }
  if part.filename then lines[2] = lines[2] .. "; filename=" .. quoted(part.filename) end
  local kind = part.type or part.from and "application/octet-stream"
  if kind then
    if kind:find "%c" then config_error(("part %s: type has a control character"):format(part.name)) end
    lines[3] = "Content-Type: " .. kind
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- 192 random bits: no text has them by chance, nor by intent.
local function new_boundary()
  return "orrery-" .. uv.random(24):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
end

--- A body, as a list of texts and files.
---@param given table parts by name, or a list of parts with their names
---@param open fun(path: string): {fd: integer, size: integer, name: string}
---@return table body
---@return string content_type
function multipart.body(given, open)
  local boundary = new_boundary()
  local body = {}
  for _, part in ipairs(parts_of(given)) do
    local file = part.from and open(part.from)
    if file and not part.filename then part.filename = file.name end
    body[#body + 1] = head_of(part, boundary)
    body[#body + 1] = file or tostring(part.body)
    body[#body + 1] = "\r\n"
  end
  body[#body + 1] = "--" .. boundary .. "--\r\n"
  return body, "multipart/form-data; boundary=" .. boundary
end

return multipart
