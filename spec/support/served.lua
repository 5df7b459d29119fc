-- served.lua: a host of `orrery serve` in this process, asked without a network; and what its
-- answers have to be by the OpenAPI document.
local core = require "orrery.core"
local flow = require "orrery"
local openapi = require "orrery.serve.openapi"
local routes = require "orrery.serve.routes"
local serve = require "orrery.serve"
local tokens = require "orrery.serve.tokens"

local served = {}
served.__index = served

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

--- A host over files of these texts, with a store of its own. Close it (`<close>`).
---@param files table<string, string>
---@param options? table more options of the host
function served.new(files, options)
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder .. "/flows")
  local self = setmetatable({ folder = folder, said = {} }, served)
  for name, text in pairs(files) do self:write(name, text) end
  local rt = flow.runtime { store = "sqlite:" .. folder .. "/runs.db" }
  local all = { runtime = rt, paths = { folder .. "/flows" }, grace = 5,
    say = function(text) self.said[#self.said + 1] = text end }
  for name, value in pairs(options or {}) do all[name] = value end
  self.host = serve.new(all)
  self.host.urls = { "http://127.0.0.1:7750" }
  self.host:reload()
  self.host.ready = true
  self.rt, self.store = rt, rt:store()
  return self
end

function served:write(name, text) write(self.folder .. "/flows/" .. name, text) end

function served:__close()
  self.host.workflows:close()
  self.host.reads:close()
  pcall(function() self.rt:close() end)
  os.execute("rm -rf " .. self.folder)
end

--- A token of that scope.
function served:token(scope, more)
  local new = { scope = scope }
  for name, value in pairs(more or {}) do new[name] = value end
  return (tokens.create(self.store, new))
end

--- Asks; `options`: token, body (encoded unless it is a text), headers, peer,
--- leaves (a stream's client does so after that many writes).
---@return { status: integer, headers: table, body: string, json: any }
function served:ask(method, target, options)
  options = options or {}
  local headers = { host = "127.0.0.1:7750" }
  if options.token then headers.authorization = "Bearer " .. options.token end
  local body = options.body
  if body ~= nil and type(body) ~= "string" then
    body, headers["content-type"] = core.json.encode(body), "application/json"
  end
  for name, value in pairs(options.headers or {}) do headers[name] = value or nil end
  local path, query = target:match "^([^?]*)%??(.*)$"
  local got
  local function respond(_, status, answered, text)
    assert(not got, "answered twice")
    got = { status = status, headers = answered, body = text }
  end
  -- A stream whose client reads at once; `leaves` after so many writes.
  local function stream(_, status, answered)
    got = { status = status, headers = answered, body = "", writes = 0 }
    local left
    return { waiting = function() return 0 end, on_close = function(_, f) left = f end,
      close = function() end, write = function(_, text)
        got.body, got.writes = got.body .. text, got.writes + 1
        if got.writes == options.leaves then left() end
        return got.writes ~= options.leaves
      end }
  end
  local request = { method = method, target = target, path = path, query = query, headers = headers,
    body = body or "",
    peer = options.peer or "127.0.0.1:50000", respond = respond,
    stream = stream }
  flow.gather { function() self.host:handle(request) end } -- in a fiber, as the server does
  assert(got, "no answer")
  if (got.headers["content-type"] or ""):find "[/+]json$" then got.json = core.json.decode(got.body) end
  return got
end

-- ---- what answers have to be --------------------------------------------------------------------

local document = openapi(routes.ROWS)
local schemas = {}

local function row_of(method, path)
  local router = served.router or require("orrery.serve.router").new(routes.ROWS)
  served.router = router
  return (router:find(method, path))
end

--- The problems of an answer by the document; none: nil.
---@return string|nil
function served.unlike(method, target, answer)
  local row = row_of(method, target:match "^[^?]*")
  local described = document.paths[row and row.path or ""]
  local responses = described and described[method:lower()].responses
  local response = responses and (responses[tostring(answer.status)] or responses.default)
  if not response then return "the document has no such route: " .. method .. " " .. target end
  local kind = answer.headers["content-type"]
  local content = response.content and response.content[kind]
  if not content then return ("%s %s: %d as %s is not described"):format(method, target, answer.status,
    kind) end
  if not kind:find "[/+]json$" then return nil end
  local key = row.path .. method .. (responses[tostring(answer.status)] and answer.status or "default")
  if not schemas[key] then
    local whole = { ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
      components = document.components }
    for name, value in pairs(content.schema) do whole[name] = value end
    schemas[key] = flow.schema(whole)
  end
  local _, found = schemas[key]:check(answer.json, { root = "answer" })
  return found and ("%s %s: %s"):format(method, target, found[1].message) or nil
end

--- Asks, and compares the answer with the document and the status.
function served:expect(status, method, target, options)
  local answer = self:ask(method, target, options)
  if answer.status ~= status then
    error(("%s %s: %d, expected %d: %s"):format(method, target, answer.status, status, answer.body
      .. table.concat(self.said, "\n")), 2)
  end
  local unlike = served.unlike(method, target, answer)
  if unlike then error(unlike .. "\n" .. answer.body, 2) end
  return answer.json or answer
end

--- Waits for a state of a run.
function served:until_state(id, ...)
  local wanted = {}
  for _, state in ipairs { ... } do wanted[state] = true end
  for _ = 1, 6000 do
    self.store:project()
    local row = self.store:row("run", { id = id })
    if row and wanted[row.state] then return row end
    flow.sleep(0.01)
  end
  error(("run %s did not come to %s"):format(id, table.concat({ ... }, ", ")), 2)
end

return served
