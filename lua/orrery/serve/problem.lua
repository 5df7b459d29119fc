--- What is said of a request that is not done: RFC 9457 problems, with the codes of docs/errors.md.
local core = require "orrery.core"

local problem = {}

-- By code; another error of the engine is 500.
local STATUS = {
  bad_request = 400, unauthorized = 401, forbidden = 403, forged_request = 403,
  read_only = 403, not_approver = 403, not_found = 404, run_not_found = 404, method_not_allowed = 405,
  run_not_begun = 409, run_owned = 409, run_ended = 409, run_not_ended = 409, no_bundle = 409,
    no_source = 409,
  definition_changed = 409, conflict = 409, duplicate_id = 409, duplicate_key = 409, crash_loop = 409,
  untrusted_store = 409, workflow_broken = 409, no_approval = 409, wrong_type_of_body = 415,
    body_too_large = 413,
    expr_error = 422, hook_unverified = 401,
  wrong_host = 421, validation_error = 422, definition_error = 422, key_conflict = 422, internal_error = 500,
  store_error = 503, draining = 503, node_not_found = 404, answer_too_large = 422, too_busy = 503,
}

local TITLES = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [413] = "Content Too Large", [409] = "Conflict",
  [415] = "Unsupported Media Type", [421] = "Misdirected Request", [422] = "Unprocessable Content",
  [500] = "Internal Server Error", [503] = "Service Unavailable",
}

problem.TYPE = "application/problem+json"

--- Ends the handling of a request with a problem.
---@param code string
---@param message string one sentence
---@param more? table further members of the document: `problems`, `allow`, …
function problem.raise(code, message, more)
  error(setmetatable({ code = code, message = message, retryable = false, more = more }, core.error_mt), 0)
end

--- The status that belongs to a code.
---@param code string
---@return integer
function problem.status(code) return STATUS[code] or 500 end

-- What a client is told of an error. What is no error of ours is a bug: its words are for the log.
local function words_of(e)
  if require("orrery.history.mistake").is(e) then return "bad_request", e.message end
  if type(e) == "table" and type(e.code) == "string" then return e.code, tostring(e.message) end
  return "internal_error", "the server could not do this, and has said why in its log"
end

--- Mistakes of a definition or an input, without what is for people only.
---@param list table[]
---@return table[] an array for JSON
function problem.mistakes(list)
  local made = {}
  for i, each in ipairs(list) do
    made[i] = { message = each.message, kind = each.kind, where = each.where, node = each.node,
      field = each.field, line = each.line, column = each.column }
  end
  return core.json.array(made)
end

--- A raised value as a document.
---@param e any
---@return table document `status` is the status of the answer
function problem.of(e)
  local code, message = words_of(e)
  local status = problem.status(code)
  local made = { type = "urn:orrery:error:" .. code, title = TITLES[status], status = status, code = code,
    detail = message }
  local fields = type(e) == "table" and e or {}
  for name, value in pairs(fields.more or {}) do made[name] = value end
  if fields.problems then made.problems = problem.mistakes(fields.problems) end
  if type(fields.details) == "table" then made.details = fields.details end
  return made
end

--- Whether a raised value is a bug of ours, which belongs into the log with its traceback.
---@param e any
---@return boolean
function problem.is_bug(e)
  return not (type(e) == "table" and type(e.code) == "string") and not require("orrery.history.mistake").is(e)
end

return problem
