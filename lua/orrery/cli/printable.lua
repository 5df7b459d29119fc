--- Values as JSON that prints: what handlers hand over may hold bytes that are no text, and numbers that JSON has not.
local printable = {}

-- Text with what is not UTF-8 replaced by U+FFFD, byte by byte.
local function clean_text(text)
  local parts, from = {}, 1
  while true do
    local length, bad = utf8.len(text, from)
    if length then break end
    parts[#parts + 1] = text:sub(from, bad - 1)
    parts[#parts + 1] = "\u{FFFD}"
    from = bad + 1
  end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts)
end

-- `open` holds the tables that the value lies in.
local function clean(value, open)
  local kind = type(value)
  if kind == "string" then return clean_text(value) end
  if kind == "number" then return (value ~= value or value == math.huge or value == -math.huge) and tostring(value) or value end
  if kind == "nil" or kind == "boolean" or kind == "userdata" then return value end
  if kind ~= "table" then return "(" .. kind .. ")" end
  if open[value] then return "(the same table again)" end
  open[value] = true
  local made = {}
  for key, inner in next, value do
    if type(key) == "string" then key = clean_text(key) end
    made[key] = clean(inner, open)
  end
  open[value] = nil
  return setmetatable(made, getmetatable(value))
end

--- Encodes a value. Where JSON cannot hold it as it is, what does not fit is shown as text instead.
---@param encode fun(value: any, options: table?): string
---@param value any
---@return string
function printable.encode(encode, value)
  local ok, text = pcall(encode, value)
  if ok then return text end
  ok, text = pcall(function() return encode(clean(value, {})) end)
  if ok then return text end
  return encode { event = type(value) == "table" and value.event or nil, unprintable = text }
end

--- Encodes a value that must not be changed: text, or nil and why JSON cannot hold it.
---@param encode fun(value: any, options: table?): string
---@param value any
---@param what string what the value is called in the sentence
---@param options? table for the encoder
---@return string|nil text
---@return string|nil message
function printable.exact(encode, value, what, options)
  local ok, text = pcall(encode, value, options)
  if ok then return text end
  return nil, (tostring(text):gsub("^value", what))
end

return printable
