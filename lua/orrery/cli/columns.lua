--- Rows of text under titles, as `ls -l` would have them: columns as wide as what stands in them, the last one cut to the terminal.
local term = require "orrery.cli.term"

local columns = {}

---@class orrery.cli.Cell
---@field [1] string
---@field style string|nil

local function text_of(cell) return type(cell) == "table" and cell[1] or cell or "" end

local function widths_of(titles, rows)
  local widths = {}
  for c, title in ipairs(titles) do
    widths[c] = term.width(title:gsub("^>", ""))
    for _, row in ipairs(rows) do widths[c] = math.max(widths[c], term.width(text_of(row[c]))) end
  end
  return widths
end

-- A column without anything in it but its title is left out.
local function filled(titles, rows)
  local keep = {}
  for c in ipairs(titles) do
    for _, row in ipairs(rows) do
      if text_of(row[c]) ~= "" then
        keep[#keep + 1] = c
        break
      end
    end
  end
  return keep
end

local function line_of(row, keep, titles, widths, options)
  local parts, used = {}, 0
  for i, c in ipairs(keep) do
    local text, right = text_of(row[c]), titles[c]:sub(1, 1) == ">"
    local last = i == #keep
    if last and options.width then text = term.cut(text, math.max(8, options.width - used)) end
    local style = type(row[c]) == "table" and row[c].style or options.style
    local shown = style and text ~= "" and options.paint(style, text) or text
    local gap = (" "):rep(widths[c] - term.width(text))
    parts[i] = right and gap .. shown or last and shown or shown .. gap
    used = used + widths[c] + 2
  end
  return (table.concat(parts, "  "):gsub(" +$", ""))
end

--- Draws a table.
---@param titles string[] one that begins with ">" is of numbers, which stand to the right
---@param rows (string|orrery.cli.Cell)[][] clean text
---@param options { paint: function, width: integer|nil, indent: string|nil }
---@return string[] lines
function columns.draw(titles, rows, options)
  local widths, keep, indent = widths_of(titles, rows), filled(titles, rows), options.indent or ""
  local width = options.width and options.width - #indent
  local heads = {}
  for c, title in ipairs(titles) do heads[c] = (title:gsub("^>", "")) end
  local lines = { indent .. line_of(heads, keep, titles, widths, { paint = options.paint, width = width, style = "dim" }) }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = indent .. line_of(row, keep, titles, widths, { paint = options.paint, width = width })
  end
  return lines
end

return columns
