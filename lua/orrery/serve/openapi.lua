--- The OpenAPI 3.1 document, made from the table of routes.
local core = require "orrery.core"
local shapes = require "orrery.serve.shapes"

local array, object = core.json.array, core.json.object

local function reference(name) return { ["$ref"] = "#/components/schemas/" .. name } end

local function schema_of(shape)
  if type(shape) == "string" then return reference(shape) end
  return shapes.schema(shape):json_schema()
end

-- A list of a query may be sent repeated, or with commas.
local function query_parameters(into, row)
  local fields = row.query and shapes.schema(row.query):json_schema() or { properties = {} }
  local names, needed = {}, {}
  for name in pairs(fields.properties) do names[#names + 1] = name end
  for _, name in ipairs(fields.required or {}) do needed[name] = true end
  table.sort(names)
  for _, name in ipairs(names) do
    into[#into + 1] = { name = name, ["in"] = "query", required = needed[name] or false,
      schema = fields.properties[name] }
  end
end

local function parameters_of(row)
  local list = {}
  for name in row.path:gmatch "{(.-)}" do
    list[#list + 1] = { name = name, ["in"] = "path", required = true, schema = { type = "string" } }
  end
  query_parameters(list, row)
  if row.does == "run.start" then
    list[#list + 1] = { name = "Idempotency-Key", ["in"] = "header", required = false,
      schema = { type = "string", minLength = 1, maxLength = 255 } }
  end
  return #list > 0 and array(list) or nil
end

local function content(kind, schema) return { [kind] = { schema = schema } } end

local function body_of(row)
  if row.body then
    return { required = true, content = content("application/json", schema_of(row.body)) }
  end
  return row.text and { required = true, content = content("*/*", { type = "string" }) } or nil
end

local function answer_of(row)
  if row.streams then return content(row.type or "text/event-stream", { type = "string" }) end
  if row.type then
    local made = content(row.type, { type = "string" })
    if row.also then made[row.also] = { schema = { type = "string" } } end
    return made
  end
  return row.answer and content("application/json", schema_of(row.answer)) or nil
end

local function responses_of(row)
  local made = { [tostring(row.status or 200)] = { description = row.words, content = answer_of(row) } }
  made.default = { description = "It was not done.",
    content = content("application/problem+json", reference "Problem") }
  if row.does == "run.start" then
    made["200"] = { description = "The run was there already.", content = answer_of(row) }
  elseif row.does == "health.ready" then
    made["503"] = { description = "The server takes no runs now.", content = answer_of(row) }
  end
  return made
end

local function operation(row)
  local made = { operationId = row.does, summary = row.words, parameters = parameters_of(row),
    requestBody = body_of(row), responses = responses_of(row), tags = array { row.does:match "^[^.]*" } }
  made["x-scope"] = row.scope
  if not row.scope then made.security = array {} end
  return made
end

local function components()
  local made = {}
  for name in pairs(shapes.ALL) do made[name] = shapes.schema(name):json_schema() end
  return made
end

--- Makes the document of these rows.
---@param rows orrery.serve.Route[]
---@return table
return function(rows)
  local paths = {}
  for _, row in ipairs(rows) do
    paths[row.path] = paths[row.path] or {}
    paths[row.path][row.method:lower()] = operation(row)
  end
  return {
    openapi = "3.1.0",
    info = { title = "Orrery", version = require "orrery.version",
      description = "Workflows, their runs, and what a server does with them." },
    servers = array { { url = "/" } },
    paths = object(paths),
    components = { schemas = components(),
      securitySchemes = { token = { type = "http", scheme = "bearer" },
        session = { type = "apiKey", ["in"] = "cookie", name = "orrery_session" } } },
    security = array { { token = array {} }, { session = array {} } },
  }
end
