--- The nearest right name, for messages: the one with the fewest letters to insert, drop, change or
--- swap with their neighbour (optimal string alignment distance; Damerau 1964, Levenshtein 1966).
--- Where none is near, one that begins the name or that the name begins, "int" for "integer", or
--- that shares a long beginning: "retries" for "retry".

local LONGEST = 64      -- longer names are not compared
local MOST = 20000      -- nor are more names than these: a message must not cost more than the work

--- How many single edits lead from `a` to `b`, or nil where it is more than `limit`.
local function distance(a, b, limit)
  if math.abs(#a - #b) > limit then return nil end
  local before, row, last = {}, {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    before, last, row = last, row, before
    row[0] = i
    local least, x = i, a:byte(i)
    for j = 1, #b do
      local y = b:byte(j)
      local cost = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x == y and 0 or 1))
      if i > 1 and j > 1 and x == b:byte(j - 1) and a:byte(i - 1) == y then
        cost = math.min(cost, before[j - 2] + 1)
      end
      row[j] = cost
      if cost < least then least = cost end
    end
    if least > limit then return nil end
  end
  return row[#b] <= limit and row[#b] or nil
end

-- One edit in short words, two from five letters on, three from nine: more would suggest what was
-- never meant.
local function tolerance(name)
  if #name < 3 then return 1 end
  return math.min(3, 1 + (#name - 1) // 4)
end

local function begins(a, b)
  local n = math.min(#a, #b)
  return n >= 3 and a:sub(1, n) == b:sub(1, n)
end

-- Whether they are forms of one word: at least four letters and half of the longer one are the same
-- from the start, and the rest is not far.
local function akin(a, b, limit)
  local n = math.max(4, (math.max(#a, #b) + 1) // 2)
  return a:sub(1, n) == b:sub(1, n) and distance(a, b, limit) ~= nil
end

--- Finds the candidate nearest to `name`, case aside; of equally near ones the first.
---@param name string
---@param candidates string[] or a set whose keys are the names (then in the order of the letters)
---@return string|nil nearest nil where none is near enough to be what was meant
local function nearest(name, candidates)
  if type(name) ~= "string" or #name == 0 or #name > LONGEST then return nil end
  if #candidates == 0 and next(candidates) ~= nil then
    local names = {}
    for key in pairs(candidates) do
      if type(key) == "string" then names[#names + 1] = key end
    end
    table.sort(names)
    candidates = names
  end
  local wanted, limit, best, begun = name:lower(), tolerance(name), nil, nil
  for i = 1, math.min(#candidates, MOST) do
    local candidate = candidates[i]
    if candidate ~= name and #candidate <= LONGEST then
      local other = candidate:lower()
      local d = distance(wanted, other, limit)
      if d and d < #name then
        best, limit = candidate, d - 1
        if limit < 0 then break end
      elseif not begun and not best
          and (begins(wanted, other) or akin(wanted, other, tolerance(name) + 1)) then
        begun = candidate
      end
    end
  end
  return best or begun
end

return nearest
