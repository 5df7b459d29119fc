--- `flow.connector`: a service's API as node types, from one table. The library's own are in
--- lua/orrery/connectors.
local core = require "orrery.core"
local errors = require "orrery.errors"
local pools = require "orrery.definition.pools"
local types = require "orrery.definition.type"
local url = require "orrery.url"
local where = require "orrery.where"

local json = core.json

---@class orrery.ConnectorOptions
---@field name string the first word of its types' names: "hunter" makes `hunter.find`
---@field base string the URL that the paths of operations follow
---@field doc? string
---@field auth? {header: string?, scheme: string?, query: string?} where the key goes: a header, with a scheme such as
--- "Bearer" before it, or a parameter. Without it there is no key
---@field key? string|orrery.Secret the key, where a node gives none
---@field headers? table<string, string>
---@field rate? string|number of all its nodes together, "10/s"
---@field retry? orrery.RetryPreset|integer|orrery.RetryPolicy of its nodes, where they say nothing ("standard")
---@field error? string where an answer with an error says what is wrong, "error.message"
---@field operations table<string, orrery.Operation>

---@class orrery.Operation
---@field doc string
---@field path? string below `base`; {name} is the value of that key of the config, escaped
---@field method? string ("GET", with `body` "POST")
---@field config? table fields of the node's config, in the shorthand of schemas
---@field query? string[] keys of the config that are parameters of the URL
---@field body? string[]|string keys of the config that are sent as a JSON object; or the key that is sent as it is
---@field expect? any statuses that are no failure, as of `http.request`
---@field result? string what of the answer is the output, "data"; without it all of it
---@field paging? {items: string?, next: any, query: table?} fetched page after page, as by `http.pages`; the output is the list
---@field run? fun(ctx: orrery.Context, config: table, api: table<string, fun(config: table): any>): any in place of all that: made
--- of other operations, each call of which is a step
---@field output? any
---@field examples? string[]
---@field errors? string[]

local FIELDS = { name = "string", base = "string", doc = "string", auth = "table", key = "any",
  headers = "table",
  rate = "any", retry = "any", error = "string", operations = "table" }
local OPERATION = { doc = "string", path = "string", method = "string", config = "table", query = "table",
  body = "any", expect = "any", result = "string", paging = "table", run = "function", output = "any",
  examples = "table", errors = "table" }

local WEB_ERRORS = { "http_status", "http_connect", "http_json", "http_resolve", "http_timeout", "http_tls" }

-- ---- the declaration ----------------------------------------------------------------------------

local function refuse(message, ...)
  errors.error { code = "definition_error", retryable = false, message = "flow.connector: "
    .. message:format(...) }
end

local function check_fields(t, fields, what)
  if type(t) ~= "table" then refuse("%s: expected a table, got a %s", what, type(t)) end
  for key, value in pairs(t) do
    local expected = fields[key]
    if not expected then
      local known = {}
      for name in pairs(fields) do known[#known + 1] = name end
      refuse("%s: unknown field %q%s", what, tostring(key), errors.suggest(tostring(key), known))
    end
    if expected ~= "any" and type(value) ~= expected then
      refuse("%s: %s is a %s, got a %s", what, key, expected, type(value))
    end
  end
end

local function check(t)
  check_fields(t, FIELDS, "the connector")
  if not (t.name or ""):find "^[%a_][%w_]*$" then refuse "name is a word of letters, digits and _" end
  if not (t.base or ""):find "^https?://" then refuse("base is a URL, got %s", tostring(t.base)) end
  if not t.operations then refuse "operations are missing: name = { doc = …, path = … }" end
  for name, operation in pairs(t.operations) do
    check_fields(operation, OPERATION, "operation " .. tostring(name))
    if not operation.run and not operation.path then refuse("operation %s has neither path nor run", name) end
    for key in (operation.path or ""):gmatch "{([%w_]+)}" do
      if not (operation.config or {})[key] then
        refuse("operation %s: the path has {%s}, and the config has no such key", name, key)
      end
    end
  end
end

-- ---- a request ----------------------------------------------------------------------------------

local function picked(config, keys)
  local made = {}
  for _, key in ipairs(keys or {}) do made[key] = config[key] end
  return made
end

local function path_of(operation, config)
  return (operation.path:gsub("{([%w_]+)}", function(key) return url.escape(config[key]) end))
end

local function key_of(self, config)
  local key = config.key or self.key
  if key == nil then
    errors.error { code = "config_error", retryable = false,
      message = ("%s needs a key: give it one, key = flow.secret \"NAME\""):format(self.name) }
  end
  return type(key) == "string" and key or key:value()
end

-- The key goes where the service wants it.
local function authorise(self, config, headers, query)
  local auth = self.auth
  if not auth then return end
  local key = key_of(self, config)
  if auth.query then query[auth.query] = key
  else headers[auth.header or "Authorization"] = auth.scheme and auth.scheme .. " " .. key or key end
end

local function request_of(self, operation, config)
  local headers, query = {}, picked(config, operation.query)
  for name, value in pairs(self.headers or {}) do headers[name] = value end
  authorise(self, config, headers, query)
  local body = operation.body
  return { url = self.base:gsub("/+$", "") .. path_of(operation, config), headers = headers,
    query = next(query) ~= nil and query or nil, expect = operation.expect,
    method = operation.method or body and "POST" or "GET",
    json = type(body) == "string" and config[body] or body and json.object(picked(config, body)) or nil,
    max_time = config.max_time, ca = config.ca, parse = "json" }
end

local function at(value, path)
  for word in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    value = value[math.tointeger(tonumber(word)) or word]
  end
  if value == json.null then return nil end
  return value
end

-- What the service says of an error stands in its message, in place of the body.
local function explain(self, name, problem)
  if type(problem) ~= "table" or problem.code ~= "http_status" then error(problem, 0) end
  local details = problem.details or {}
  local ok, body = pcall(json.decode, details.body or "")
  local said = self.error and ok and at(body, self.error)
  if type(said) == "table" then said = json.encode(said) end
  errors.error { code = problem.code, retryable = problem.retryable, retry_after = problem.retry_after,
    details = { status = details.status, url = details.url, body = ok and body or details.body },
    message = said and ("%s.%s answered %s: %s"):format(self.name, name, details.status, tostring(said))
      or problem.message }
end

local function fetch_one(operation, _, request)
  local answer = types.find "http.request"(request).json
  if operation.result then return at(answer, operation.result) end
  return answer
end

local function fetch_pages(operation, config, request)
  local paging, query = operation.paging, {}
  for _, set in ipairs { paging.query or {}, request.query or {} } do
    for key, value in pairs(set) do query[key] = value end
  end
  return types.find "http.pages" { url = request.url, headers = request.headers, query = query,
    items = paging.items, next = paging.next, max_items = config.max_items, partial = config.max_items ~= nil,
    parse = "json", max_time = config.max_time, ca = config.ca }.items
end

local function fetch(self, name, operation, config)
  local request = request_of(self, operation, config)
  local ok, value = pcall(operation.paging and fetch_pages or fetch_one, operation, config, request)
  if ok then return value end
  return explain(self, name, value)
end

-- The operations as functions of one run of a node: each call is a step.
local function api_of(self, ctx, config)
  local count = 0
  return setmetatable({}, { __index = function(_, name)
    local operation = self.operations[name] or refuse("%s has no operation %q", self.name, tostring(name))
    return function(given)
      local all = { key = config.key, max_time = config.max_time, ca = config.ca }
      for key, value in pairs(given or {}) do all[key] = value end
      count = count + 1
      return ctx:step(("%s.%s %d"):format(self.name, name, count), fetch, self, name, operation, all)
    end
  end })
end

-- ---- the types ----------------------------------------------------------------------------------

local function config_of(self, operation)
  local config = {}
  for name, kind in pairs(operation.config or {}) do config[name] = kind end
  if self.auth then
    config.key = { type = "string", optional = true,
      doc = "the service's key, in place of the connector's: a secret" }
  end
  if operation.paging then config.max_items = { type = "integer", optional = true, min = 1 } end
  config.max_time = { type = "duration", default = "2m", doc = "of one request" }
  config.ca = { type = "string", optional = true, doc = "a file of trusted certificates" }
  return config
end

local function declare(self, name, operation, place)
  local codes = table.move(WEB_ERRORS, 1, #WEB_ERRORS, 1, {})
  for _, code in ipairs(operation.errors or {}) do codes[#codes + 1] = code end
  return types.declare({
    name = self.name .. "." .. name, doc = operation.doc, config = config_of(self, operation),
    output = operation.output, examples = operation.examples, errors = codes,
    retry = self.retry or "standard", pool = self.rate and self.name or nil,
    run = function(ctx, config)
      if operation.run then return operation.run(ctx, config, api_of(self, ctx, config)) end
      return fetch(self, name, operation, config)
    end,
  }, place)
end

local Connector = { __name = "orrery.connector" }

--- Makes a connector: a table of its node types by the operations' names, which are types
--- `NAME.OPERATION` as well. Raises what is wrong with the declaration.
---@param t orrery.ConnectorOptions
---@return table connector
return function(t)
  local place = where.text(where.here(2))
  check(t)
  local self = {}
  for key, value in pairs(t) do self[key] = value end
  if self.rate then pools.declare(self.name, { rate = self.rate, default = true }) end
  local made = {}
  for name, operation in pairs(self.operations) do made[name] = declare(self, name, operation, place) end
  --- Changes where it goes and what it sends, for all of its nodes: `base`, `key`, `headers`.
  function made.configure(options)
    check_fields(options, { base = "string", key = "any", headers = "table" }, self.name .. ".configure")
    for key, value in pairs(options) do self[key] = value end
  end
  return setmetatable(made, Connector)
end
