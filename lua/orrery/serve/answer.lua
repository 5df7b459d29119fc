--- From a request to its answer: the gate, the route, the checks, the handler, the audit.
local calls = require "orrery.serve.call"
local core = require "orrery.core"
local gate = require "orrery.serve.gate"
local problem = require "orrery.serve.problem"
local uv = require "luv"

local NOBODY = { name = "nobody", scope = "none", via = "none" }

local READS = { GET = true, HEAD = true }

-- ---- what is sent -------------------------------------------------------------------------------

local function wants_page(request)
  return request.method == "GET" and (request.headers.accept or ""):find("text/html", 1, true) ~= nil
end

local function send_problem(self, request, e)
  local document, headers = problem.of(e), gate.headers(request)
  if problem.is_bug(e) then self.say(("%s %s: %s"):format(request.method, request.path, tostring(e))) end
  headers["content-type"] = problem.TYPE
  if document.allow then
    headers.allow = table.concat(document.allow, ", ")
    document.allow = nil
  end
  if document.status == 503 then headers["retry-after"] = "5" end
  if document.status == 401 then headers["www-authenticate"] = 'Bearer realm="orrery"' end
  if document.code == "unauthorized" and wants_page(request) then -- a person gets the form instead
    headers["content-type"] = "text/html; charset=utf-8"
    request:respond(401, headers, (require("orrery.serve.api.login").form()))
    return 401
  end
  request:respond(document.status, headers, core.json.encode(document, { sort = true, binary = true }))
  return document.status
end

local function send(request, row, value, options)
  local headers = gate.headers(request)
  headers["content-type"] = options.type or row.type or "application/json"
  for name, text in pairs(options.headers or {}) do headers[name] = text end
  local text = (options.type or row.type) and value or core.json.encode(value, { binary = true })
  local status = options.status or row.status or 200
  request:respond(status, headers, text)
  return status
end

-- ---- the way through ----------------------------------------------------------------------------

local function missing(request, allowed)
  if not allowed then problem.raise("not_found", ("there is nothing at %s"):format(request.path:sub(1,
    200))) end
  problem.raise("method_not_allowed", ("%s takes %s"):format(request.path:sub(1, 200),
    table.concat(allowed, ", ")), { allow = allowed })
end

-- Every request comes through here, whatever it asks for; only what a row exempts needs nobody, and
-- a delivery to the path of a hook, which shows by itself who has sent it.
local function admit(self, request)
  self.gate:check(request)
  local row, params, allowed = self.router:find(request.method, request.path)
  if not row then row, params = self.hooks:route(request) end
  if row and not row.scope then return row, params, NOBODY end
  local who = self.gate:identify(request)
  if not row then missing(request, allowed) end
  self.gate:authorize(who, row)
  if self.read_only and not READS[request.method] and not row.silent then
    problem.raise("read_only", "this server only shows: it was started with --read-only")
  end
  return row, params, who
end

-- What a token that is bound to workflows asks of a run or workflow.
local function check_bounds(call)
  if not call.who.workflows then return end
  if call.row.of == "run" then call:must(call:run_workflow()) end
  if call.row.of == "workflow" then call:must(call.params.name) end
end

local function handler_of(row)
  local module, name = row.calls:match "^(.*)%.([^.]*)$"
  return require("orrery.serve.api." .. module)[name]
end

-- Leaves the row in `found`, also where it raises; returns the status.
local function attempt(self, request, found)
  local row, params, who = admit(self, request)
  found.row = row
  local call = calls.new { host = self, request = request, row = row, who = who, params = params,
    query = calls.query(row, request.query), body = calls.body(row, request),
      headers = gate.headers(request) }
  check_bounds(call)
  local value, options = handler_of(row)(call)
  if row.streams then return 200 end
  options = options or {}
  if row.scope and not READS[row.method] and not row.silent then
    self:record(call, { action = row.does, target = call.target or params.id or params.name,
      status = options.status or row.status or 200, before = call.before, after = call.after })
  end
  if options.wait then options.wait(value) end
  return send(request, row, value, options)
end

local function traced(e)
  if problem.is_bug(e) then return debug.traceback(tostring(e), 2) end
  return e
end

--- Answers a request. May wait; raises nothing.
---@param self orrery.serve.Host
---@param request table as the server gives it
return function(self, request)
  local began, found = uv.hrtime(), {}
  local ok, status = xpcall(attempt, traced, self, request, found)
  if not ok then
    local told, sent = pcall(send_problem, self, request, status)
    if not told then
      self.say(("an answer to %s could not be sent: %s"):format(request.path, tostring(sent)))
    end
    status = told and sent or 500
  end
  self.metrics:answered(found.row, status, (uv.hrtime() - began) / 1e9)
end
