--- `orrery token create | list | revoke`: who may ask a server of this store for what.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local out = require "orrery.cli.shared.out"
local session = require "orrery.cli.shared.session"
local tokens = require "orrery.serve.tokens"

local token = {}

local array = core.json.array

local function user()
  local ok, found = pcall(require("luv").os_get_passwd)
  return ok and found and found.username or os.getenv "USER" or "unknown"
end

local function record(db, action, target, before, after)
  audit.write(db, { { time = core.time(), who = user(), via = "command", origin = "orrery token",
    action = action,
    target = target, before = before, after = after } })
end

local function expiry(text)
  if not text then return nil end
  local seconds, message = require("orrery.duration").parse(text)
  if not seconds then session.stop(2, "--expires: " .. message) end
  return core.time() + seconds
end

local function create(db, args)
  if not args.scope then
    session.stop(2,
      "what may it do? --scope read, run, operate or admin: each may do what those before it may")
  end
  local workflows = args.workflow and #args.workflow > 0 and args.workflow or nil
  local text, row = tokens.create(db, { scope = args.scope, name = args.name, expires = expiry(args.expires),
    workflows = workflows })
  record(db, "token.create", row.id, nil, { name = row.name, scope = row.scope, workflows = workflows })
  if args.json then
    session.json { id = row.id, token = text, name = row.name, scope = row.scope, created = row.created,
      expires = row.expires, workflows = workflows and array(workflows) or nil }
    return
  end
  out.line(text)
  session.note(("token %s (%s) may %s; it is not shown again"):format(row.id, row.name, row.scope))
end

local TITLES = { "ID", "NAME", "SCOPE", "WORKFLOWS", "CREATED", "EXPIRES", "STATE" }

local function state_of(row, now)
  if row.revoked then return { "revoked", style = "dim" } end
  return row.expires and row.expires <= now and { "expired", style = "yellow" } or row.kind
end

local function list(db, args)
  local rows, now = tokens.list(db), session.now()
  local shown, term = require "orrery.cli.display.shown", require "orrery.cli.display.term"
  local lines = {}
  for i, row in ipairs(rows) do
    if args.json then
      row.workflows = row.workflows and array(row.workflows) or nil
      if not session.json(row) then return end
    end
    lines[i] = { row.id, term.clean(row.name), row.scope, term.clean(table.concat(row.workflows or {}, " ")),
      shown.time(row.created), shown.time(row.expires), state_of(row, now) }
  end
  if args.json then return end
  if #rows == 0 then return session.note "no tokens yet: `orrery token create --scope S` makes one" end
  session.table(TITLES, lines)
end

local function revoke(db, args)
  if not args.id then session.stop(2, "which token? Give its id or name; `orrery token list` shows them") end
  local ok, row, n = pcall(tokens.revoke, db, args.id)
  if not ok then session.stop(2, type(row) == "table" and row.message or tostring(row)) end
  record(db, "token.revoke", row.id, { name = row.name, scope = row.scope })
  if args.json then session.json { id = row.id, revoked = n } else
    out.line(n == 0 and ("token %s was revoked before"):format(row.id) or ("revoked %s (%s)"):format(row.id,
      row.name))
  end
end

local ACTIONS = { create = create, list = list, revoke = revoke }

-- The first token comes before the first run: it makes the store.
local function prepare(args)
  if args.action ~= "create" then return end
  local open = require "orrery.store.open"
  local url = open.nearest(args)
  local path = open.path(url)
  if path and path ~= "" and not require("luv").fs_stat(path) then
    local opened, store = pcall(core.store, url, "own")
    if opened then store:close() end
  end
end

local main = session.command("token", function(db, args)
  if args.action ~= "create" then
    for _, name in ipairs { "scope", "expires" } do
      if args[name] then session.stop(2, ("--%s belongs to `orrery token create`"):format(name)) end
    end
  end
  return ACTIONS[args.action or "list"](db, args)
end, function(args) return args.action == nil or args.action == "list" end)

function token.main(args)
  prepare(args)
  return main(args)
end

return token
