--- Tokens and the audit, for admins.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local problem = require "orrery.serve.problem"
local tokens = require "orrery.serve.tokens"

local access = {}

local function plain(row)
  row.workflows = row.workflows and core.json.array(row.workflows) or nil
  return row
end

function access.tokens(call)
  local rows = tokens.list(call.host.store)
  for _, row in ipairs(rows) do plain(row) end
  return { tokens = core.json.array(rows) }
end

local function expiry(text)
  if not text then return nil end
  local seconds, message = require("orrery.duration").parse(text)
  if not seconds then problem.raise("bad_request", "expires: " .. message) end
  return core.time() + seconds
end

function access.create_token(call)
  local body = call.body
  local text, row = tokens.create(call.host.store, { scope = body.scope, name = body.name,
    expires = expiry(body.expires), workflows = body.workflows })
  call.target, call.after = row.id, { name = row.name, scope = row.scope, workflows = body.workflows }
  return { id = row.id, token = text, name = row.name, scope = row.scope, workflows = body.workflows,
    created = row.created, expires = row.expires }
end

function access.revoke_token(call)
  local row, n = tokens.revoke(call.host.store, call.params.id)
  call.target, call.before = row.id, { name = row.name, scope = row.scope, revoked = row.revoked }
  return { revoked = n }
end

function access.audit(call)
  local rows = audit.list(call.host.store, call.query.before, call.query.limit)
  return { entries = core.json.array(rows), next = #rows == call.query.limit and rows[#rows].id or nil }
end

--- Whether all lines are as they were written. A long audit takes its time, on a thread.
function access.verify_audit(call)
  return call.host.reads:slowly("orrery.serve.audit", "verify"), { type = "application/json" }
end

return access
