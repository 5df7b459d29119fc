--- Text without the spaces at its ends, as Lua would have it written, and bytes as digits. A
--- pattern such as " +$" tries every run of spaces from each of its places, which takes hours for a
--- text of spaces that somebody means harm with; these read a text once.
local text = {}

--- Its bytes as hexadecimal digits.
---@param bytes string
---@return string
function text.hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function byte_of(digits) return string.char(tonumber(digits, 16)) end

--- The bytes that hexadecimal digits stand for.
---@param digits string an even number of them
---@return string
function text.unhex(digits) return (digits:gsub("%x%x", byte_of)) end

--- With each %XX undone, as in parts of a URL (RFC 3986, section 2.1).
---@param s string
---@return string
function text.unescape(s) return (s:gsub("%%(%x%x)", byte_of)) end

--- Without white space at both ends.
---@param s string
---@return string
function text.trim(s)
  local from = s:match "^%s*()"
  return from > #s and "" or s:match("^.*%S", from)
end

--- Without spaces at its end.
---@param s string
---@return string
function text.trim_end(s)
  return s:match "^.*[^ ]" or ""
end

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

--- As it stands between double quotes in Lua.
---@param s string
---@return string
function text.escaped(s)
  return (s:gsub('[%c"\\]', function(c) return ESCAPES[c] or ("\\%03d"):format(c:byte()) end))
end

return text
