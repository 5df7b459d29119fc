--- URLs.
local url = {}

--- Text as a part of a URL, a name or a value of a query for instance: all but the unreserved
--- characters of RFC 3986, section 2.3, as "%XX".
---@param value string|number|boolean
---@return string
function url.escape(value)
  return (tostring(value):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function names_of(values)
  local names = {}
  for name in pairs(values) do
    if type(name) ~= "string" then error("flow.url.query: expected a table of name = value", 3) end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- A query, "a=1&b=2": escaped, in the order of the names, so that equal values give equal texts.
---@param values table<string, any> a value or a list of values for each name
---@return string
function url.query(values)
  local parts = {}
  for _, name in ipairs(names_of(values)) do
    local value = values[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if type(one) == "table" then
        error(("flow.url.query: %s is a value or a list of values"):format(name), 2)
      end
      parts[#parts + 1] = url.escape(name) .. "=" .. url.escape(one)
    end
  end
  return table.concat(parts, "&")
end

--- A URL with more parameters in its query.
---@param text string
---@param values? table<string, any>
---@return string
function url.with(text, values)
  local query = url.query(values or {})
  if query == "" then return text end
  local base, fragment = text:match "^([^#]*)(#?.*)$"
  local join = not base:find("?", 1, true) and "?" or base:find "[?&]$" and "" or "&"
  return base .. join .. query .. fragment
end

--- Where a reference in a document leads to (RFC 3986, section 5.2, but for "." and ".." in paths,
--- which are left to who fetches).
---@param base string an absolute URL
---@param reference string
---@return string
function url.join(base, reference)
  if reference:find "^%a[%w+.-]*:" then return reference end
  local scheme, authority, path, query = base:match "^(%a[%w+.-]*:)(//[^/?#]*)([^?#]*)(%??[^#]*)"
  if not scheme then error("flow.url.join: the base is no absolute URL", 2) end
  if reference:find "^//" then return scheme .. reference end
  if reference:find "^/" then return scheme .. authority .. reference end
  if reference == "" or reference:find "^#" then return scheme .. authority .. path .. query .. reference end
  if reference:find "^%?" then return scheme .. authority .. path .. reference end
  return scheme .. authority .. (path:match "^(.*/)" or "/") .. reference
end

local PORTS = { http = "80", https = "443" }

--- Scheme, host and port of a URL, by which browsers tell who may see what; nil for what is no
--- plain
--- http or https URL.
---@param text string
---@return string|nil
function url.origin(text)
  if text:find "[%c%s\\]" then return nil end
  local scheme, authority = text:match "^(%a+)://([^/?#]*)"
  scheme = (scheme or ""):lower()
  if not PORTS[scheme] then return nil end
  local host = authority:match "([^@]*)$":lower()
  local name, port = host:match "^(%[[%x:.]+%]):?(%d*)$"
  if not name then name, port = host:match "^([^:]+):?(%d*)$" end
  if not name then return nil end
  return ("%s://%s:%s"):format(scheme, name, port == "" and PORTS[scheme] or port)
end

return url
