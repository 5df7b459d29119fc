--- Lines and columns of mistakes in a JSON definition. A mistake names its path,
--- "flow.json: nodes[2].with.url"; only where there are any is the text gone through again, once,
--- to see where the paths lie.
local json_places = {}

-- ---- paths --------------------------------------------------------------------------------------

-- The keys of a path: names, and places in lists, which count from 0 in the lists at the top and
-- from 1 in values, as messages have them.
local function keys_of(path)
  local keys, at = {}, 1
  while at <= #path do
    local name, after = path:match("^%.?([^%.%[]+)()", at)
    if not name then
      local index
      index, after = path:match("^%[(%d+)%]()", at)
      name = index and math.tointeger(tonumber(index)) + (#keys == 1 and 1 or 0)
      if not name then name, after = path:match('^%["(.-)"%]()', at) end
    end
    if not name then break end
    keys[#keys + 1], at = name, after
  end
  return keys
end

-- A tree of the paths that are wanted: what lies at each key.
local function tree_of(paths)
  local tree = { at = 1, inner = {} }
  for path in pairs(paths) do
    local node = tree
    for _, key in ipairs(keys_of(path)) do
      node.inner[key] = node.inner[key] or { inner = {} }
      node = node.inner[key]
    end
  end
  return tree
end

-- ---- going through the text ---------------------------------------------------------------------

-- After the string that begins at `at`.
local function after_string(text, at)
  local found = at
  repeat
    found = text:find('["\\]', found + 1)
    if not found then return #text + 1 end
    local escaped = text:byte(found) == 92
    if escaped then found = found + 1 end
  until not escaped
  return found + 1
end

-- After the value that begins at `at`, whatever is in it.
local function after_value(text, at)
  local depth = 0
  while true do
    local char = text:sub(at, at)
    if char == '"' then
      at = after_string(text, at)
    elseif char == "{" or char == "[" then
      depth, at = depth + 1, at + 1
    elseif char == "}" or char == "]" then
      depth, at = depth - 1, at + 1
    else -- a number or a word
      at = text:find('[%s,:%]}]', at + 1) or #text + 1
    end
    if depth <= 0 or at > #text then return at end
    at = text:find('["{}%[%]]', at) or #text + 1
  end
end

local function skip(text, at) return text:find("[^%s,:]", at) or #text + 1 end

-- A key as it is meant; what has escapes is not looked for, so that its object stands for it.
local function key_at(text, from, stop) return text:sub(from + 1, stop - 2) end

local note

-- Each level of the tree is one of the text, so that this goes no deeper than the longest path.
local function note_object(text, at, node)
  at = skip(text, at + 1)
  while text:byte(at) == 34 do
    local stop = after_string(text, at)
    local wanted = node.inner[key_at(text, at, stop)]
    local value = skip(text, stop)
    if wanted then
      wanted.at = at
      at = note(text, value, wanted)
    else
      at = after_value(text, value)
    end
    at = skip(text, at)
  end
  return at + 1
end

local function note_list(text, at, node)
  at = skip(text, at + 1)
  local i = 0
  while at <= #text and text:byte(at) ~= 93 do
    i = i + 1
    local wanted = node.inner[i]
    if wanted then
      wanted.at = at
      at = note(text, at, wanted)
    else
      at = after_value(text, at)
    end
    at = skip(text, at)
  end
  return at + 1
end

-- Notes where the wanted parts of a value begin; returns the place after it.
function note(text, at, node)
  local char = text:sub(at, at)
  if next(node.inner) and char == "{" then return note_object(text, at, node) end
  if next(node.inner) and char == "[" then return note_list(text, at, node) end
  return after_value(text, at)
end

-- The place of a path, or of as much of it as is there.
local function offset_of(tree, path)
  local node, at = tree, tree.at
  for _, key in ipairs(keys_of(path)) do
    node = node.inner[key]
    if not node or not node.at then break end
    at = node.at
  end
  return at
end

-- Lines and columns, in characters, of places in the text in rising order. Each part of the text is
-- looked at once, also where all of it is one line.
local function positions(text, offsets)
  local found, line, column, at = {}, 1, 1, 1
  local stop = text:find("\n", 1, true)
  for _, offset in ipairs(offsets) do
    while stop and stop < offset do
      line, column, at = line + 1, 1, stop + 1
      stop = text:find("\n", at, true)
    end
    local passed = text:sub(at, offset - 1)
    column, at = column + (utf8.len(passed) or #passed), math.max(at, offset)
    found[offset] = { line = line, column = column }
  end
  return found
end

--- Adds line and column to the mistakes of a definition: `where` becomes
--- "flow.json:3:14: nodes[2].with.url", and the fields `line` and `column` are set.
---@param problems orrery.Problem[]
---@param text string which is JSON
---@param name string of the file, with which their places begin
function json_places.add(problems, text, name)
  local paths, prefix = {}, name .. ": "
  for _, problem in ipairs(problems) do
    local where = problem.where or ""
    if where == name then paths[""] = true end
    if where:sub(1, #prefix) == prefix then paths[where:sub(#prefix + 1)] = true end
  end
  local tree = tree_of(paths)
  tree.at = skip(text, text:find "^\xEF\xBB\xBF" and 4 or 1)
  note(text, tree.at, tree)
  local offsets, offset = {}, {}
  for path in pairs(paths) do
    offset[path] = offset_of(tree, path)
    offsets[#offsets + 1] = offset[path]
  end
  table.sort(offsets)
  local found = positions(text, offsets)
  for _, problem in ipairs(problems) do
    local where = problem.where or ""
    local path = where == name and "" or where:sub(1, #prefix) == prefix and where:sub(#prefix + 1)
    local place = path and found[offset[path]]
    if place then
      problem.line, problem.column = place.line, place.column
      problem.where = ("%s:%d:%d%s"):format(name, place.line, place.column, path == "" and "" or ": " .. path)
    end
  end
end

return json_places
