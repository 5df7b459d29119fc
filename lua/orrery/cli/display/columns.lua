--- Rows of text under titles, as `ls -l` would have them: columns as wide as their contents, the
--- last one cut to the terminal.
local term = require "orrery.cli.display.term"
local trim_end = require "orrery.text".trim_end

local columns = {}

local READABLE = 20 -- columns of the last text, below which it gets a line of its own
local BELOW = 4     -- columns by which that is further in

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

-- A column with nothing but its title is left out.
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

-- The columns as lines: what does not fit beside the others stands below them, further in. The last
-- column is text that may be cut, as long as enough of it is left to be read.
local function split(keep, widths, width)
  local lines, used = { {} }, 0
  for i, c in ipairs(keep) do
    local wanted = i == #keep and math.min(widths[c], READABLE) or widths[c]
    if width and #lines[#lines] > 0 and used + wanted > width then
      lines[#lines + 1], used = {}, BELOW
    end
    table.insert(lines[#lines], c)
    used = used + widths[c] + 2
  end
  return lines
end

-- `group`: the columns that stand on the line. Nil where there is nothing in any of them.
local function line_of(row, group, titles, widths, options)
  local parts, used, any = {}, options.lead, false
  for i, c in ipairs(group) do
    local text, right = text_of(row[c]), titles[c]:sub(1, 1) == ">"
    local last = i == #group
    if last and options.width then text = term.cut(text, math.max(8, options.width - used)) end
    local style = type(row[c]) == "table" and row[c].style or options.style
    local shown = style and text ~= "" and options.paint(style, text) or text
    local gap = (" "):rep(widths[c] - term.width(text))
    parts[i] = right and gap .. shown or last and shown or shown .. gap
    used, any = used + widths[c] + 2, any or text ~= ""
  end
  return any and (" "):rep(options.lead) .. trim_end(table.concat(parts, "  ")) or nil
end

--- Draws a table.
---@param titles string[] one that begins with ">" is of numbers, which stand to the right
---@param rows (string|orrery.cli.Cell)[][] clean text
---@param options { paint: function, width: integer|nil, indent: string|nil }
---@return string[] lines
function columns.draw(titles, rows, options)
  local widths, keep, indent = widths_of(titles, rows), filled(titles, rows), options.indent or ""
  local width = options.width and options.width - #indent
  local groups, heads, lines = split(keep, widths, width), {}, {}
  for c, title in ipairs(titles) do heads[c] = (title:gsub("^>", "")) end
  local function add(row, style)
    for g, group in ipairs(groups) do
      local line = line_of(row, group, titles, widths,
        { paint = options.paint, width = width, style = style, lead = g > 1 and BELOW or 0 })
      if line or g == 1 then lines[#lines + 1] = indent .. (line or "") end
    end
  end
  add(heads, "dim")
  for _, row in ipairs(rows) do add(row) end
  return lines
end

return columns
