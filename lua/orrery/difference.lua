--- The difference of two lists of lines: what only the first has, and what the second has instead.
local difference = {}

local AROUND = 3        -- equal lines that are shown around a difference
local MOST = 1 << 20    -- pairs of lines that are compared with each other

-- The lengths of the longest common parts of a from i and b from j on.
local function lengths(a, b)
  local rows = {}
  for i = #a + 1, 1, -1 do
    local row, below = {}, rows[i + 1]
    row[#b + 1] = 0
    for j = #b, 1, -1 do
      if i > #a then
        row[j] = 0
      elseif a[i] == b[j] then
        row[j] = below[j + 1] + 1
      else
        row[j] = math.max(below[j], row[j + 1])
      end
    end
    rows[i] = row
  end
  return rows
end

-- What is between the equal beginnings and ends of both.
local function trim(a, b)
  local first, last = 0, 0
  while first < #a and first < #b and a[first + 1] == b[first + 1] do first = first + 1 end
  while last < #a - first and last < #b - first and a[#a - last] == b[#b - last] do last = last + 1 end
  return first, last
end

-- Two lists of lines as one of { " " | "-" | "+", line }.
local function compare(a, b)
  local first, last = trim(a, b)
  local x = table.move(a, first + 1, #a - last, 1, {})
  local y = table.move(b, first + 1, #b - last, 1, {})
  local list = {}
  for i = 1, first do list[i] = { " ", a[i] } end
  local long = #x * #y > MOST
  local rows = not long and lengths(x, y) or nil
  local i, j = 1, 1
  while i <= #x or j <= #y do
    if rows and i <= #x and j <= #y and x[i] == y[j] then
      list[#list + 1] = { " ", x[i] }
      i, j = i + 1, j + 1
    elseif i <= #x and (long or j > #y or rows[i + 1][j] >= rows[i][j + 1]) then
      list[#list + 1] = { "-", x[i] }
      i = i + 1
    else
      list[#list + 1] = { "+", y[j] }
      j = j + 1
    end
  end
  for k = #a - last + 1, #a do list[#list + 1] = { " ", a[k] } end
  return list
end

-- Which lines are near enough to a difference to be shown.
local function near(list)
  local shown = {}
  for i, line in ipairs(list) do
    if line[1] ~= " " then
      for k = math.max(1, i - AROUND), math.min(#list, i + AROUND) do shown[k] = true end
    end
  end
  for i = 1, #list do -- one line alone is shown as well as what would stand for it
    if not shown[i] and (shown[i - 1] or i == 1) and (shown[i + 1] or i == #list) then shown[i] = true end
  end
  return shown
end

--- The difference, each line with "- " (only the first has it), "+ " (only the second) or "  "
--- before it. Equal lines that are far from any difference are left out, with "  …" in their place.
--- Where the parts that differ are long, all lines of one come before all of the other.
---@param one string[]
---@param other string[]
---@return string[]
function difference.of(one, other)
  local list, made, gap = compare(one, other), {}, false
  local shown = near(list)
  for i, line in ipairs(list) do
    if shown[i] then
      made[#made + 1], gap = line[1] .. " " .. line[2], false
    elseif not gap then
      made[#made + 1], gap = "  …", true
    end
  end
  return made
end

return difference
