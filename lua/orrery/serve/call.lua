--- A request that has passed the gate and found its route, as handlers see it.
local core = require "orrery.core"
local problem = require "orrery.serve.problem"
local shapes = require "orrery.serve.shapes"
local unescape = require("orrery.text").unescape

---@class orrery.serve.Call
---@field host orrery.serve.Host
---@field request table as the server gives it
---@field row orrery.serve.Route
---@field who orrery.serve.Who
---@field params table<string, string> of the path
---@field query table the parameters of the query, checked
---@field body any the JSON body, checked; the text of it where the row says so
---@field headers table<string, string> what every answer has, for streams
---@field target string|nil what the audit calls what is changed; the id or name in the path otherwise
---@field before any what it was, for the audit
---@field after any what it is now
local Call = {}
Call.__index = Call

local call = {}

--- Makes one.
---@param fields table
---@return orrery.serve.Call
function call.new(fields) return setmetatable(fields, Call) end

--- Whether who asks may do this with a workflow.
---@param workflow string
---@return boolean
function Call:may(workflow)
  local list = self.who.workflows
  if not list then return true end
  for _, name in ipairs(list) do
    if name == workflow then return true end
  end
  return false
end

--- Raises `forbidden` where they may not.
---@param workflow string
function Call:must(workflow)
  if self:may(workflow) then return end
  problem.raise("forbidden", ("this token is bound to other workflows than '%s'"):format(workflow))
end

local function is_id(text)
  return #text == 36 and text:find "^%x+%-%x+%-%x+%-%x+%-%x+$" ~= nil
end

--- The row of the run in the path, brought up to date, as `history.find` gives it. Raises
--- `run_not_found`.
---@return table
function Call:run()
  if self.found then return self.found end
  local store, id = self.host.store, (self.params.id or ""):lower()
  if id ~= "@last" and not is_id(id) and not id:find "^%x[%x-]*$" then
    problem.raise("bad_request",
      "a run is named by its id, a UUID, a beginning of it that no other has, or @last")
  end
  store:project()
  local row, message = require("orrery.history.find").one(store, id)
  if not row then problem.raise("run_not_found", message) end
  self.found = row
  return row
end

--- The workflow of the run in the path. Of what only reads, nothing is read on the loop.
---@return string
function Call:run_workflow()
  if self.request.method ~= "GET" then return self:run().workflow end
  return self.host.reads:value("orrery.serve.reads.asks", "which", self.params.id).workflow
end

-- ---- what was sent ------------------------------------------------------------------------------

local function decoded(text)
  text = unescape((text:gsub("+", " ")))
  if not utf8.len(text) then problem.raise("bad_request", "the query is not UTF-8") end
  return text
end

-- Names with the lists of their values.
local function pairs_of(query)
  local given = {}
  for part in (query or ""):gmatch "[^&]+" do
    local name, value = part:match "^([^=]*)=?(.*)$"
    name = decoded(name)
    given[name] = given[name] or {}
    table.insert(given[name], decoded(value))
  end
  return given
end

local BOOLEANS = { ["true"] = true, ["1"] = true, [""] = true, ["false"] = false, ["0"] = false }

local READ = {
  integer = function(text) return math.tointeger(tonumber(text)) end,
  number = function(text) return tonumber(text) end,
  boolean = function(text) return BOOLEANS[text] end,
}

local function split(values)
  local list = {}
  for _, value in ipairs(values) do
    for word in value:gmatch "[^,]+" do list[#list + 1] = word end
  end
  return core.json.array(list)
end

-- The value that the texts stand for; a text that stands for none is left, for the schema to
-- refuse.
local function read(name, values, field)
  local word = type(field) == "table" and field.type or field
  word = type(word) == "string" and word:gsub("%?$", "") or "string"
  if word == "string[]" then return split(values) end
  if #values > 1 then problem.raise("bad_request", ("the query has '%s' more than once"):format(name)) end
  local as = READ[word]
  local value = as and as(values[1])
  if value == nil then return values[1] end
  return value
end

local function checked(shape, value, root, refuse)
  local made, found = shapes.schema(shape):check(value, { root = root })
  if not found then return made end
  local problems = {}
  for i, each in ipairs(found) do problems[i] = { message = each.message, field = each.field,
    kind = each.kind } end
  refuse(found[1].message, { problems = core.json.array(problems) })
end

--- The parameters of a query, checked by a row.
---@param row orrery.serve.Route
---@param query string|nil raw
---@return table
function call.query(row, query)
  local values = {}
  for name, texts in pairs(pairs_of(query)) do
    local field = row.query and row.query[name]
    values[name] = field and read(name, texts, field) or texts[1]
  end
  return checked(row.query or {}, core.json.object(values), "query",
    function(message, more) problem.raise("bad_request", message, more) end)
end

local function media_type(request) return (request.headers["content-type"] or ""):match "^[^;%s]*":lower() end

--- The body of a request, checked by a row.
---@param row orrery.serve.Route
---@param request table
---@return any
function call.body(row, request)
  local text = request.body or ""
  if row.text then return text end
  if not row.body then return nil end
  local kind = media_type(request)
  if text ~= "" and kind ~= "application/json" and not kind:find "%+json$" then
    problem.raise("wrong_type_of_body",
      "the body is to be JSON, with the header Content-Type: application/json")
  end
  local ok, value = true, core.json.object()
  if text ~= "" then ok, value = pcall(core.json.decode, text, { name = "body" }) end
  if not ok then problem.raise("bad_request", "the body is not JSON: " .. tostring(value)) end
  return checked(row.body, value, "body",
    function(message, more) problem.raise("validation_error", message, more) end)
end

return call
