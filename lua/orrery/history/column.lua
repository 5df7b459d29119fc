--- Columns of the store's tables that hold JSON: as they stand there and,
--- where it is large, with the value fetched from where it is kept.
local column = {}

--- A column that holds JSON, as a value; what is no JSON stands for itself.
---@param text string|nil
---@return any
function column.plain(text)
  if text == nil then return nil end
  local ok, value = pcall(require("orrery.core").json.decode, text, { binary = true })
  if ok then return value end
  return text
end

local decode

-- A value above 1 MiB stands among the blobs, and its column says where. A value of the user's
-- never begins so: one that has a key with a $ is written as {"$object": itself}.
local MARK = '^{"%$blob":"'

-- What is kept in files becomes the list that reads them, where the store says in which folder;
-- of a list of which some items are kept as large values these are fetched.
function decode(text, db)
  local function lists(items, kept)
    for i, place in pairs(kept) do
      local row = db:get("blob", place["$blob"])
      items[math.tointeger(tonumber(i))] = row and decode(row.data, db) or place
    end
    return items
  end
  return require("orrery.core").json.decode(text, { binary = true, spools = db and db.rows_folder or nil,
    lists = db and lists or nil })
end

---@class orrery.Place where a large value stands
---@field ["$blob"] string hash of the row of `blobs`
---@field size integer bytes
---@field member? string it is this member of the object that stands there

--- Where the value of a column stands, if it is not in the column itself.
---@param text string|nil
---@return orrery.Place|nil
function column.place(text)
  return text and text:find(MARK) and decode(text) or nil
end

--- Whether a column says where its value stands, or a part of it.
---@param text string|nil
---@return boolean
function column.refers(text)
  return text ~= nil and (text:find(MARK) or text:find('{"$rows":', 1, true)
    or text:find('{"$list":', 1, true)) ~= nil
end

--- The value of a column of JSON, a large one included.
---@param db orrery.Store
---@param text string|nil
---@return any value the place itself where nothing stands there any more
---@return orrery.Place|nil missing that place
function column.value(db, text)
  if text == nil then return nil end
  local place = column.place(text)
  if not place then return decode(text, db) end
  local kept = db:get("blob", place["$blob"])
  if not kept then return place, place end
  local value = decode(kept.data, db)
  if not place.member then return value end
  return type(value) == "table" and value[place.member] or nil
end

--- The same as JSON text.
---@param db orrery.Store
---@param text string|nil
---@return string|nil
function column.text(db, text)
  local place = column.place(text)
  if not place then return text end
  if place.member then
    return require("orrery.core").json.encode(column.value(db, text), { binary = true })
  end
  local kept = db:get("blob", place["$blob"])
  return kept and kept.data or text
end

--- The value of JSON as the store keeps it.
---@param db orrery.Store
---@param text string
---@return any
function column.decode(db, text) return decode(text, db) end

return column
