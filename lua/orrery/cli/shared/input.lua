--- `--input`: name=text, name:=json, @file.json; @- is the standard input.
local input = {}

local function read(path)
  if path == "-" then return io.read "a" end
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text = file:read("a")
  file:close()
  if not text then return nil, path .. ": cannot be read" end
  return text
end

local function decode(json, text, what)
  local ok, value = pcall(json.decode, text, { name = what })
  if ok then return true, value end
  local place, rest = tostring(value):match "^(.-:%d+:%d+): (.*)$"
  return nil, ("%s: not valid JSON: %s"):format(place or what, rest or tostring(value))
end

-- name=text takes the type that the workflow's input schema gives the name; without a schema it
-- stays text.
local function typed(key, text, schema)
  if not schema then return text end
  return schema:from_strings({ [key] = text })[key]
end

--- Builds the input of a run.
---@param words string[]|nil the values of --input, in order
---@param json table `orrery.core`'s codec
---@param schema? orrery.Schema of the workflow's input
---@return boolean ok
---@return any value the input (nil when no word was given), or the mistake in one sentence
function input.parse(words, json, schema)
  if not words or #words == 0 then return true, nil end
  local value = {}
  for _, word in ipairs(words) do
    local path = word:match("^@(.+)$")
    local name, raw = word:match("^([^=:@][^=:]*):=(.*)$")
    local key, text = word:match("^([^=:@][^=]*)=(.*)$")
    if path then
      local content, why = read(path)
      if not content then return false, ("--input %s: %s"):format(word, why) end
      local ok, decoded = decode(json, content, path == "-" and "stdin" or path)
      if not ok then return false, decoded end
      if #words == 1 then return true, decoded end
      if type(decoded) ~= "table" or json.is_array(decoded) then
        return false, ("--input %s: only an object can be joined with other inputs"):format(word)
      end
      for k, v in pairs(decoded) do value[k] = v end
    elseif name then
      local ok, decoded = decode(json, raw, ("--input %s"):format(name))
      if not ok then return false, decoded end
      value[name] = decoded
    elseif key then
      value[key] = typed(key, text, schema)
    else
      return false, ("--input %s: expected name=text, name:=json or @file.json"):format(word)
    end
  end
  return true, value
end

return input
