--- What the terminal output of the command has in common: widths, colours, durations.
local term = {}

local SGR = {
  bold = "1", dim = "2", red = "31", green = "32", yellow = "33", blue = "34", magenta = "35", cyan = "36",
}

--- A function that colours text, or leaves it as it is.
---@param on boolean
---@return fun(style: string, text: string): string
function term.painter(on)
  if not on then return function(_, text) return text end end
  return function(style, text)
    return text == "" and "" or "\27[" .. SGR[style] .. "m" .. text .. "\27[0m"
  end
end

--- Whether colours are wanted on a stream. NO_COLOR: https://no-color.org
---@param tty boolean
---@param getenv? fun(name: string): string|nil
---@return boolean
function term.wants_colour(tty, getenv)
  getenv = getenv or os.getenv
  local no = getenv("NO_COLOR")
  return tty and not (no and no ~= "") and getenv("TERM") ~= "dumb"
end

--- Text made safe for one line.
---@type fun(text: any): string
term.clean = require("orrery.cli.display.printable").line

-- East Asian wide blocks and emoji, as ranges; enough to keep columns straight (Unicode TR 11).
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F },
  { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD },
}

local function columns_of(code)
  if code < 0x1100 then return (code >= 0x300 and code <= 0x36F) and 0 or 1 end
  if code >= 0x200B and code <= 0x200F then return 0 end
  for _, range in ipairs(WIDE) do
    if code >= range[1] and code <= range[2] then return 2 end
  end
  return 1
end

--- A node, or an item of it by its name or number, as clean text: "fetch[Oslo]", "fetch[3]".
---@param node string
---@param item integer|nil nil or 0 for the whole node
---@param name string|nil
---@return string
function term.task(node, item, name)
  if not item or item == 0 then return term.clean(node) end
  return term.clean(("%s[%s]"):format(node, name or item))
end

--- Columns that clean text takes on a terminal.
---@param text string
---@return integer
function term.width(text)
  if not text:find("[\128-\255]") then return #text end
  local n = 0
  for _, code in utf8.codes(text) do n = n + columns_of(code) end
  return n
end

--- Text cut to a number of columns, with an ellipsis where something is missing.
---@param text string
---@param columns integer
---@return string
function term.cut(text, columns)
  if columns <= 0 then return "" end
  if term.width(text) <= columns then return text end
  local used, parts = 0, {}
  for _, code in utf8.codes(text) do
    local w = columns_of(code)
    if used + w > columns - 1 then break end
    used, parts[#parts + 1] = used + w, utf8.char(code)
  end
  return table.concat(parts) .. "…"
end

--- Text cut or filled with spaces to exactly a number of columns.
---@param text string
---@param columns integer
---@return string
function term.fit(text, columns)
  text = term.cut(text, columns)
  return text .. (" "):rep(columns - term.width(text))
end

--- Text filled with spaces on the left.
---@param text string
---@param columns integer
---@return string
function term.right(text, columns)
  return (" "):rep(columns - term.width(text)) .. text
end

--- Seconds for people: "12 ms", "3.4 s", "2m05s", "1h02m".
---@param seconds number
---@return string
function term.duration(seconds)
  if seconds <= 0 then return "0 ms" end
  if seconds < 0.0009995 then return ("%.0f µs"):format(seconds * 1e6) end
  if seconds < 0.9995 then return ("%.0f ms"):format(seconds * 1e3) end
  if seconds < 59.95 then return ("%.1f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 3600 then return ("%dm%02ds"):format(whole // 60, whole % 60) end
  if whole < 86400 then return ("%dh%02dm"):format(whole // 3600, whole % 3600 // 60) end
  return ("%dd%02dh"):format(whole // 86400, whole % 86400 // 3600)
end

--- A whole number with thin groups: 1,234,567.
---@param n integer
---@return string
function term.count(n)
  local s = ("%d"):format(n)
  return (s:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

--- "1 node", "2 nodes".
---@param n integer
---@param noun string
---@param plural? string
---@return string
function term.plural(n, noun, plural)
  return term.count(n) .. " " .. (n == 1 and noun or plural or noun .. "s")
end

-- Eighths of a cell, from empty to full.
local EIGHTHS = { [0] = "", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" }

--- A bar of exactly `columns` columns, filled by `fraction` in steps of an eighth.
---@param fraction number 0..1
---@param columns integer
---@return string
function term.bar(fraction, columns)
  fraction = fraction < 0 and 0 or fraction > 1 and 1 or fraction
  local eighths = math.floor(fraction * columns * 8)
  local full, rest = eighths // 8, eighths % 8
  local used = full + (rest > 0 and 1 or 0)
  return ("█"):rep(full) .. EIGHTHS[rest] .. ("░"):rep(columns - used)
end

--- Whether a descriptor is a terminal.
---@param fd integer
---@return boolean
function term.is_tty(fd)
  return require("orrery.host").isatty(fd)
end

return term
