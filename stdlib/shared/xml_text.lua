--- Values as XML (https://www.w3.org/TR/xml/, fifth edition), in the two forms in which xml.read
--- gives them: objects and trees. What XML cannot hold is refused with the place.
local flow = require "orrery"

local xml_text = {}

local json = flow.json
local DEEPEST = 400 -- levels of elements

xml_text.DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

-- ---- what XML can hold --------------------------------------------------------------------------

-- Code points that may begin a name, and those that may only follow (productions 4 and 4a).
local BEGIN = { 0xC0, 0xD6, 0xD8, 0xF6, 0xF8, 0x2FF, 0x370, 0x37D, 0x37F, 0x1FFF, 0x200C, 0x200D,
  0x2070, 0x218F, 0x2C00, 0x2FEF, 0x3001, 0xD7FF, 0xF900, 0xFDCF, 0xFDF0, 0xFFFD, 0x10000, 0xEFFFF }
local FOLLOW = { 0xB7, 0xB7, 0x300, 0x36F, 0x203F, 0x2040 }

local function is_in(ranges, code)
  for i = 1, #ranges, 2 do
    if code >= ranges[i] and code <= ranges[i + 1] then return true end
  end
  return false
end

local function is_name(name)
  if type(name) ~= "string" or not name:find "^[%a_:\x80-\xFF][%w_:.\x80-\xFF-]*$" or not utf8.len(name) then
    return false
  end
  for at, code in utf8.codes(name) do
    if code > 127 and not is_in(BEGIN, code) and (at == 1 or not is_in(FOLLOW, code)) then return false end
  end
  return true
end

-- What a text has that is no character of XML (production 2), in words; nil where there is nothing.
local function bad_character(text)
  local at = text:find "[%z\1-\8\11\12\14-\31]"
  if at then return ("the control character 0x%02X"):format(text:byte(at)) end
  local length, broken = utf8.len(text)
  if not length then return ("the byte 0x%02X, which is no UTF-8"):format(text:byte(broken)) end
  at = text:find "\xEF\xBF[\xBE\xBF]"
  return at and ("the character U+%X"):format(utf8.codepoint(text, at)) or nil
end

local ESCAPED = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\t"] = "&#9;",
  ["\n"] = "&#10;", ["\r"] = "&#13;" }
local IN_TEXT, IN_ATTRIBUTE = "[&<>\r]", "[&<>\"\t\n\r]"

-- ---- a writer -----------------------------------------------------------------------------------

local Writer = {}
Writer.__index = Writer

local function new_writer(options)
  return setmetatable({ parts = {}, n = 0, bytes = 0, names = {}, limit = options.max_size or 1 << 26,
    step = (" "):rep(options.indent or 2), breaks = (options.indent or 2) > 0 }, Writer)
end

-- Raises what is wrong, with the names of the elements around it.
function Writer:refuse(format, ...)
  error(("%s: %s"):format(table.concat(self.names, "/"), format:format(...)), 0)
end

function Writer:put(text)
  self.n = self.n + 1
  self.parts[self.n], self.bytes = text, self.bytes + #text
  if self.bytes > self.limit then self:refuse("it becomes larger than %d bytes", self.limit) end
end

function Writer:line(level)
  if self.breaks then self:put("\n" .. self.step:rep(level)) end
end

-- The text of a value that is no table, escaped.
function Writer:scalar(value, pattern, what)
  if type(value) == "number" then
    local ok, text = pcall(json.encode, value)
    if not ok then self:refuse("%s is %s, and XML has no such number", what, tostring(value)) end
    return text
  elseif type(value) == "boolean" then
    return tostring(value)
  elseif type(value) ~= "string" then
    self:refuse("%s is a %s, expected a text, a number, true or false", what, type(value))
  end
  local bad = bad_character(value)
  if bad then self:refuse("%s holds %s, and XML cannot; leave it out, or write it as base64", what, bad) end
  return (value:gsub(pattern, ESCAPED))
end

function Writer:begin(name)
  if not is_name(name) then
    self:refuse("%q is no name of an element; such names have letters, digits, - _ . and :, and begin "
      .. "with no digit, - or .", tostring(name))
  end
  self.names[#self.names + 1] = name
  if #self.names > DEEPEST then self:refuse("elements are nested deeper than %d levels", DEEPEST) end
  self:put("<" .. name)
end

function Writer:attribute(name, value)
  if not is_name(name) then self:refuse("%q is no name of an attribute", tostring(name)) end
  if value == json.null then return end
  self:put((' %s="%s"'):format(name, self:scalar(value, IN_ATTRIBUTE, "@" .. name)))
end

function Writer:finish(name, empty)
  self:put(empty and "/>" or ("</%s>"):format(name))
  self.names[#self.names] = nil
end

-- ---- objects ------------------------------------------------------------------------------------

local function names_in(object, first)
  local names, seen = {}, {}
  for _, name in ipairs(first or {}) do
    if object[name] ~= nil and not seen[name] then names[#names + 1], seen[name] = name, true end
  end
  local from = #names
  for name in next, object do
    if not seen[name] then names[#names + 1] = name end
  end
  local rest = table.move(names, from + 1, #names, 1, {})
  table.sort(rest, function(a, b) return tostring(a) < tostring(b) end)
  return table.move(rest, 1, #rest, from + 1, names)
end

-- The names of attributes, and of elements, of an object.
local function fields_of(w, object, first)
  local attributes, elements = {}, {}
  for _, name in ipairs(names_in(object, first)) do
    if type(name) ~= "string" then w:refuse("the key %s is no name", tostring(name)) end
    if name:sub(1, 1) == "@" then attributes[#attributes + 1] = name
    elseif name ~= "#text" then elements[#elements + 1] = name end
  end
  return attributes, elements
end

local put_value

local function put_object(w, name, object, level, first)
  local attributes, elements = fields_of(w, object, first)
  local text, wrote = object["#text"], false
  w:begin(name)
  for _, key in ipairs(attributes) do w:attribute(key:sub(2), object[key]) end
  if text ~= nil and text ~= json.null then
    wrote = true
    w:put(">" .. w:scalar(text, IN_TEXT, "#text"))
  end
  local mixed = wrote
  for _, key in ipairs(elements) do
    local items = json.is_array(object[key]) and object[key] or { object[key] }
    for i = 1, #items do
      if not wrote then w:put ">" end
      wrote = true
      if not mixed then w:line(level + 1) end
      put_value(w, key, items[i], level + 1)
    end
  end
  if wrote and not mixed then w:line(level) end
  if wrote then w:finish(name) else w:finish(name, true) end
end

-- One element of an object form. `first`: names that come before others.
function put_value(w, name, value, level, first)
  if type(value) == "table" then
    if json.is_array(value) then
      w:refuse("%s is a list in a list; give its items a name, { item = list }", name)
    end
    return put_object(w, name, value, level, first)
  end
  w:begin(name)
  if value == json.null or value == "" then return w:finish(name, true) end
  w:put(">" .. w:scalar(value, IN_TEXT, "it"))
  w:finish(name)
end

-- ---- trees --------------------------------------------------------------------------------------

local TREE = { name = true, attributes = true, content = true }

local function check_tree(w, tree)
  if type(tree) ~= "table" then w:refuse("expected an element { name, attributes, content }") end
  for key in next, tree do
    if not TREE[key] then
      w:refuse("an element has name, attributes and content, and no %s", tostring(key))
    end
  end
  for _, key in ipairs { "attributes", "content" } do
    if tree[key] ~= nil and type(tree[key]) ~= "table" then w:refuse("%s is no table", key) end
  end
end

local function has_text(content)
  for _, item in ipairs(content) do
    if type(item) ~= "table" then return true end
  end
  return false
end

local function put_tree(w, tree, level)
  check_tree(w, tree)
  local attributes, content = tree.attributes or {}, tree.content or {}
  w:begin(tree.name)
  for _, name in ipairs(names_in(attributes)) do w:attribute(name, attributes[name]) end
  if #content == 0 then return w:finish(tree.name, true) end
  local mixed = has_text(content)
  w:put ">"
  for i = 1, #content do
    local item = content[i]
    if type(item) ~= "table" then
      w:put(w:scalar(item, IN_TEXT, "its text"))
    else
      if not mixed then w:line(level + 1) end
      put_tree(w, item, level + 1)
    end
  end
  if not mixed then w:line(level) end
  w:finish(tree.name)
end

-- ---- what others call ---------------------------------------------------------------------------

local function root_of(w, value)
  local name, inner = nil, nil
  if type(value) == "table" then name, inner = next(value) end
  if name == nil or next(value, name) ~= nil then
    w:refuse("a document is { root = value }, with one name; got %s", type(value) ~= "table"
      and "a " .. type(value) or ("%d names"):format(#names_in(value)))
  end
  return name, inner
end

---@class stdlib.xml_text.Options
---@field form? "object"|"tree"
---@field indent? integer spaces a level; 0: all on one line
---@field declaration? boolean false: without <?xml …?>
---@field max_size? integer bytes

--- A document as text. Raises a sentence for what XML cannot hold.
---@param value table { root = value }, or a tree
---@param options stdlib.xml_text.Options
---@return string
function xml_text.document(value, options)
  local w = new_writer(options)
  if options.declaration ~= false then w:put(xml_text.DECLARATION) end
  w.names[1] = "document" -- where it stands, as long as there is no element
  if options.form == "tree" then
    check_tree(w, value)
    w.names[1] = nil
    put_tree(w, value, 0)
  else
    local name, inner = root_of(w, value)
    w.names[1] = nil
    put_value(w, name, inner, 0)
  end
  return table.concat(w.parts) .. "\n"
end

--- An element in a document whose root is written apart, indented by one level, with the end of its
--- line. Raises a sentence for what XML cannot hold.
---@param name string
---@param value any
---@param options stdlib.xml_text.Options
---@param first? string[] fields that come before others, in this order
---@return string
function xml_text.row(name, value, options, first)
  local w = new_writer(options)
  w:put(w.step)
  if options.form == "tree" then put_tree(w, value, 1) else put_value(w, name, value, 1, first) end
  return table.concat(w.parts) .. (w.breaks and "\n" or "")
end

--- Whether a text may be the name of an element.
---@param name any
---@return boolean
function xml_text.is_name(name) return is_name(name) end

return xml_text
