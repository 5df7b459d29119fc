--- Tokens: who may ask the server for what. The store has the SHA-256 of each, never the token:
--- one of 256 random bits needs no slower hash. A session of the page is one as well, made from a
--- token or from the link that is printed at the start.
local core = require "orrery.core"
local problem = require "orrery.serve.problem"
local hex = require("orrery.text").hex

local tokens = {}

local PREFIX = { token = "orr_", session = "orrs_" }
local BYTES = 32

--- Random bytes of the system, as hex.
---@param n integer
---@return string
function tokens.random(n) return hex(assert(require("luv").random(n))) end

local function plain(row)
  if not row then return nil end
  row.hash = nil
  row.workflows = row.workflows and core.json.decode(row.workflows) or nil
  return row
end

---@class orrery.serve.NewToken
---@field scope "read"|"run"|"operate"|"admin"
---@field name? string
---@field expires? number seconds since the epoch; nil: never
---@field workflows? string[] only these; nil: all
---@field kind? "token"|"session"
---@field parent? string the id of the token that a session was begun with

--- Makes one. Raises the store's errors.
---@param store orrery.Store
---@param new orrery.serve.NewToken
---@return string text this is the only time that it is told
---@return table row
function tokens.create(store, new)
  local kind = new.kind or "token"
  local text = PREFIX[kind] .. tokens.random(BYTES)
  local id = tokens.random(6)
  local row = { id = id, kind = kind, name = new.name or kind .. " " .. id, scope = new.scope,
    created = core.time(), expires = new.expires, parent = new.parent }
  store:perform("token_create", { id = id, kind = kind, hash = core.sha256(text), name = row.name,
    scope = row.scope, workflows = new.workflows and core.json.encode(core.json.array(new.workflows)) or nil,
    created = row.created, expires = row.expires, parent = row.parent })
  row.workflows = new.workflows
  return text, row
end

local LONGEST = 128

--- The token with this text.
---@param store orrery.Store
---@param text string
---@param kind "token"|"session"
---@return table|nil row
---@return string|nil why a sentence
function tokens.find(store, text, kind)
  local row = #text <= LONGEST and store:row("token_by_hash", { hash = core.sha256(text) }) or nil
  if not row or row.kind ~= kind then return nil, ("there is no such %s"):format(kind) end
  if row.revoked then return nil, ("this %s was revoked"):format(kind) end
  if row.expires and row.expires <= core.time() then return nil, ("this %s has expired"):format(kind) end
  return plain(row)
end

local BELIEVED, MOST = 1, 1000 -- seconds; tokens in mind at a time

--- `tokens.find` of a store for whoever asks often: what was found is believed for a second. What
--- this
--- process revokes is noticed at once.
---@param store orrery.Store
---@return fun(text: string, kind: "token"|"session"): table|nil, string|nil
function tokens.finder(store)
  local known, n, revoked = {}, 0, tokens.revoked
  return function(text, kind)
    local now = core.hrtime() / 1e9
    local found = revoked == tokens.revoked and known[text]
    if found and found.kind == kind and now < found.till then return found.row end
    local row, why = tokens.find(store, text, kind)
    if n >= MOST or revoked ~= tokens.revoked then known, n, revoked = {}, 0, tokens.revoked end
    if row then known[text], n = { row = row, kind = kind, till = now + BELIEVED }, n + 1 end
    return row, why
  end
end

tokens.revoked = 0 -- how many times something was revoked here

--- All of them, oldest first, without what is secret.
---@param store orrery.Store
---@return table[]
function tokens.list(store)
  local rows = store:rows "tokens"
  for i, row in ipairs(rows) do rows[i] = plain(row) end
  return rows
end

--- Revokes the token with that id, or that name, and the sessions that were begun with it. Raises
--- `not_found`, and `bad_request` where several have the name.
---@param store orrery.Store
---@param word string
---@return table row the token as it was
---@return integer revoked how many, sessions included
function tokens.revoke(store, word)
  local found
  for _, row in ipairs(tokens.list(store)) do
    if row.id == word then
      found = row
      break
    end
    if row.name == word and row.kind == "token" and not row.revoked then
      if found then problem.raise("bad_request",
        ("several tokens are called '%s'; give the id"):format(word)) end
      found = row
    end
  end
  if not found then
    problem.raise("not_found",
      ("no token has the id or name '%s'; `orrery token list` shows them"):format(word))
  end
  tokens.revoked = tokens.revoked + 1
  return found, store:perform("token_revoke", { id = found.id, time = core.time() })
end

--- Whether any token is there that may still be used.
---@param store orrery.Store
---@return boolean
function tokens.any(store)
  for _, row in ipairs(tokens.list(store)) do
    if row.kind == "token" and not row.revoked and not (row.expires and row.expires <= core.time()) then
      return true
    end
  end
  return false
end

return tokens
