--- References between schemas: RFC 3986, as far as resolving one needs it.
local uri = {}

-- Section 5.2.4: "." and ".." go.
local function without_dots(path)
  local made = {}
  local is_folder = path:find "/%.%.?$" ~= nil or path:sub(-1) == "/"
  for part in path:gmatch "[^/]+" do
    if part == ".." then made[#made] = nil
    elseif part ~= "." then made[#made + 1] = part end
  end
  local text = table.concat(made, "/")
  return (path:sub(1, 1) == "/" and "/" or "") .. text .. (is_folder and text ~= "" and "/" or "")
end

local function split(text)
  local rest, query = text:match "^([^?]*)(.*)$"
  local scheme, behind = rest:match "^(%a[%w+.-]*:)(.*)$"
  rest = behind or rest
  local authority, path = rest:match "^(//[^/]*)(.*)$"
  return { scheme = scheme, authority = authority, path = path or rest, query = query }
end

local function merged(base, path)
  if base.authority and base.path == "" then return "/" .. path end
  return (base.path:match "^.*/" or "") .. path
end

--- Parts a reference from its fragment.
---@param text string
---@return string without
---@return string|nil fragment as it is written
function uri.parts(text)
  local without, fragment = text:match "^([^#]*)#(.*)$"
  return without or text, fragment
end

--- What a reference without a fragment means, beside `base` (section 5.2.2).
---@param base string
---@param text string
---@return string
function uri.resolve(base, text)
  if text == "" then return base end
  local ref, from = split(text), split(base)
  if ref.scheme then return text end
  if ref.authority then return (from.scheme or "") .. text end
  if ref.path == "" then
    return (from.scheme or "") .. (from.authority or "") .. from.path .. ref.query
  end
  local path = ref.path:sub(1, 1) == "/" and ref.path or merged(from, ref.path)
  return (from.scheme or "") .. (from.authority or "") .. without_dots(path) .. ref.query
end

--- Undoes %XX.
uri.decode = require("orrery.text").unescape

--- The tokens of a JSON pointer (RFC 6901).
---@param pointer string begins with "/"
---@return string[]
function uri.tokens(pointer)
  local list = {}
  for token in (pointer:sub(2) .. "/"):gmatch "([^/]*)/" do
    list[#list + 1] = (token:gsub("~1", "/"):gsub("~0", "~"))
  end
  return list
end

--- A pointer with one more token, as schemas' places are written.
---@param pointer string
---@param token string|integer
---@return string
function uri.below(pointer, token)
  return pointer .. "/" .. tostring(token):gsub("~", "~0"):gsub("/", "~1")
end

return uri
