--- What may be shown on a terminal. Names, messages, commands and errors come from strangers, and
--- a terminal obeys what it is sent: control characters (C0, DEL, C1) move its cursor, change its
--- title or answer with keys; marks of direction make a text look like another one; marks without
--- width hide in it. All that the command prints goes through here.
local is_ascii = require("orrery.host").is_ascii

local printable = {}

-- In well-formed UTF-8: a lead byte and what follows it say which character it is.
local UNSEEN = {
  "\194[\128-\159]",           -- U+0080 to U+009F: C1
  "\216\156",                  -- U+061C: Arabic letter mark
  "\226\128[\139\142\143]",    -- U+200B, U+200E, U+200F: no width; left to right, right to left
  "\226\128[\168-\174]",       -- U+2028 to U+202E: separators, embeddings and overrides
  "\226\129[\160-\175]",       -- U+2060 to U+206F: isolates and what has no width
  "\239\187\191",              -- U+FEFF: a byte order mark
  "\239\191[\185-\187]",       -- U+FFF9 to U+FFFB: annotations
  "\243\160[\128-\129][\128-\191]", -- U+E0000 to U+E007F: tags
}

-- What is no UTF-8, byte by byte, as another text.
local function utf8_of(text, instead)
  local parts, from = {}, 1
  while true do
    local length, bad = utf8.len(text, from)
    if length then break end
    parts[#parts + 1] = text:sub(from, bad - 1)
    parts[#parts + 1] = instead
    from = bad + 1
  end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts)
end

-- What is no UTF-8, or is not to be seen, as "?".
local function plain(text)
  if is_ascii(text) then return text end
  text = utf8_of(text:gsub("\127", "?"), "?")
  for _, pattern in ipairs(UNSEEN) do text = text:gsub(pattern, "?") end
  return text
end

--- Text for one line: control characters become spaces, what is no text "?".
---@param text any
---@return string
function printable.line(text)
  text = tostring(text)
  if not text:find "[\0-\31\127-\255]" then return text end
  return plain((text:gsub("[\0-\31]+", " ")))
end

--- Lines that the command has made.
---@param text string
---@param painted? boolean whether to keep the colours that `term.painter` gives; whoever says so has made each name
--- and message in it a line of its own, by `printable.line`
---@return string
function printable.text(text, painted)
  if not text:find "[\0-\8\11-\31\127-\255]" then return text end
  text = text:gsub("\0", "?")
  if painted then text = text:gsub("\27(%[3?%dm)", "\0%1") end
  text = text:gsub("[\1-\8\11-\31]", "?")
  return (plain(text):gsub("\0", "\27"))
end

--- JSON with all that is not to be seen in it written as \u escapes, so that it means the same.
---@param text string
---@return string
function printable.json(text)
  if is_ascii(text) then return text end
  text = text:gsub("\127", "\\u007f")
  for _, pattern in ipairs(UNSEEN) do
    text = text:gsub(pattern, function(c)
      local code = utf8.codepoint(c)
      if code < 0x10000 then return ("\\u%04x"):format(code) end
      code = code - 0x10000
      return ("\\u%04x\\u%04x"):format(0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
    end)
  end
  return text
end

-- ---- values -------------------------------------------------------------------------------------

-- `open` holds the tables that the value lies in.
local function clean(value, open)
  local kind = type(value)
  if kind == "string" then return utf8_of(value, "\u{FFFD}") end
  if kind == "number" then
    return (value ~= value or value == math.huge or value == -math.huge) and tostring(value) or value
  end
  if kind == "nil" or kind == "boolean" or kind == "userdata" then return value end
  if kind ~= "table" then return "(" .. kind .. ")" end
  if open[value] then return "(the same table again)" end
  open[value] = true
  local made = {}
  for key, inner in next, value do
    if type(key) == "string" then key = utf8_of(key, "\u{FFFD}") end
    made[key] = clean(inner, open)
  end
  open[value] = nil
  return setmetatable(made, getmetatable(value))
end

--- Encodes a value as `encode` below does, for who writes many and makes them printable
--- together, by `printable.json`.
---@param encode fun(value: any, options: table?): string
---@param value any
---@return string json that holds what is not to be seen as it came
function printable.encoded(encode, value)
  local ok, text = pcall(encode, value)
  if ok then return text end
  ok, text = pcall(function() return encode(clean(value, {})) end)
  if ok then return text end
  return encode { event = type(value) == "table" and value.event or nil, unprintable = text }
end

--- Encodes a value. What handlers return may hold bytes that are no text, and numbers that JSON
--- does not have: where JSON cannot hold it as it is, what does not fit is shown as text instead.
---@param encode fun(value: any, options: table?): string
---@param value any
---@return string
function printable.encode(encode, value)
  return printable.json(printable.encoded(encode, value))
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
  if ok then return printable.json(text) end
  return nil, (tostring(text):gsub("^value", what))
end

return printable
