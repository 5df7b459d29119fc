--- Finds the route of a request among rows of a table of routes.
---
--- A path is compared segment by segment; `{name}` takes one segment, whatever it is, where no row
--- has that very segment there.
local router = {}

local Router = {}
Router.__index = Router

local function segments(path)
  local list = {}
  for part in path:gmatch "[^/]+" do list[#list + 1] = part end
  return list
end

local function add(tree, row)
  local at, names = tree, {}
  for _, part in ipairs(segments(row.path)) do
    local name = part:match "^{(.+)}$"
    if name then names[#names + 1] = name end
    local key = name and 1 or part -- 1: any
    at[key] = at[key] or {}
    at = at[key]
  end
  at[2] = at[2] or {} -- the rows that end here, by method
  assert(not at[2][row.method], row.path)
  at[2][row.method] = { row = row, names = names }
end

--- Makes a router.
---@param rows orrery.serve.Route[]
---@return orrery.serve.Router
function router.new(rows)
  local tree = {}
  for _, row in ipairs(rows) do add(tree, row) end
  return setmetatable({ tree = tree }, Router)
end

-- Goes down the tree; what is named comes before what takes anything.
local function find(at, parts, i, taken)
  if i > #parts then return at[2], taken end
  if at[parts[i]] and type(parts[i]) == "string" then
    local rows, values = find(at[parts[i]], parts, i + 1, taken)
    if rows then return rows, values end
  end
  if not at[1] then return nil end
  return find(at[1], parts, i + 1, { parts[i], before = taken })
end

local function params_of(names, taken)
  local params = {}
  for i = #names, 1, -1 do
    params[names[i]] = taken[1]
    taken = taken.before
  end
  return params
end

local function methods_of(rows)
  local list = {}
  for method in pairs(rows) do list[#list + 1] = method end
  if rows.GET then list[#list + 1] = "HEAD" end
  table.sort(list)
  return list
end

local MOST_SEGMENTS = 16

--- The row for a method and a path, and the path's parameters.
---@param method string HEAD is answered as GET
---@param path string decoded
---@return orrery.serve.Route|nil row nil: there is none
---@return table<string, string>|nil params
---@return string[]|nil allowed the methods that the path has, where it has others
function Router:find(method, path)
  local parts = segments(path)
  if path:sub(1, 1) ~= "/" or #parts > MOST_SEGMENTS or path:find("//", 1, true)
    or #path > 1 and path:sub(-1) == "/" then return nil end
  local rows, taken = find(self.tree, parts, 1, nil)
  if not rows then return nil end
  local found = rows[method == "HEAD" and "GET" or method]
  if not found then return nil, nil, methods_of(rows) end
  return found.row, params_of(found.names, taken)
end

return router
