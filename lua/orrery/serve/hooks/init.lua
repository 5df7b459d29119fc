--- The hooks of what is served: `POST /hooks/NAME` starts or signals runs of the workflow that
--- declares a hook of that name.
---
--- A delivery needs no token: it shows by its signature who has sent it. So nothing of it is read
--- before that, and nothing that strangers send is written anywhere: it is counted.
local core = require "orrery.core"
local problem = require "orrery.serve.problem"

local hooks = {}

---@class orrery.serve.Hook
---@field trigger orrery.Trigger
---@field refused integer deliveries that could not be verified
---@field refused_last number|nil
---@field refused_why string|nil

---@class orrery.serve.Hooks
---@field by_path table<string, orrery.serve.Hook>
---@field log orrery.serve.Journal
local Hooks = {}
Hooks.__index = Hooks

--- Makes the hooks of a host; there are none yet.
---@param log orrery.serve.Journal
---@param say fun(text: string)
---@return orrery.serve.Hooks
function hooks.new(log, say)
  return setmetatable({ by_path = {}, others = {}, log = log, say = say }, Hooks)
end

local function path_of(name) return "/hooks/" .. name end

local function note_other(self, trigger, first)
  local text = ("hook %s: the workflow %s has it; give that of %s another name"):format(trigger.name,
    first.workflow, trigger.workflow)
  if not self.others[text] then self.say(text) end
  return text
end

--- Takes the hooks of these workflows in place of those before. Of two with one name the workflow
--- that comes first by name has it.
---@param workflows table<string, orrery.serve.Entry>
function Hooks:reload(workflows)
  local names, before, others = {}, self.by_path, {}
  for name in pairs(workflows) do names[#names + 1] = name end
  table.sort(names)
  self.by_path = {}
  for _, name in ipairs(names) do
    for _, trigger in ipairs(workflows[name].compiled.triggers or {}) do
      local path = path_of(trigger.name)
      if trigger.type == "hook" and self.by_path[path] then
        others[note_other(self, trigger, self.by_path[path].trigger)] = trigger
      elseif trigger.type == "hook" then
        local known = before[path]
        self.by_path[path] = { trigger = trigger, refused = known and known.refused or 0,
          refused_last = known and known.refused_last, refused_why = known and known.refused_why }
      end
    end
  end
  self.others = others
end

--- The hooks that are served, by name; and what could not be served, a sentence for each.
---@return orrery.serve.Hook[]
---@return table<string, orrery.Trigger> others
function Hooks:list()
  local list = {}
  for _, hook in pairs(self.by_path) do list[#list + 1] = hook end
  table.sort(list, function(a, b) return a.trigger.name < b.trigger.name end)
  return list, self.others
end

--- The hook of a name; nil: there is none.
---@param name string
---@return orrery.serve.Hook|nil
function Hooks:get(name) return self.by_path[path_of(name)] end

local ROUTE = { method = "POST", path = "/hooks/{name}", does = "hook.receive", calls = "hooks.receive",
  text = true, query = { ["..."] = "any" }, words = "Takes a delivery to a hook." }

--- The route of a request to a hook: the very path of one that is served, and nothing else. nil:
--- it is none.
---@param request table
---@return orrery.serve.Route|nil
---@return table<string, string>|nil params
function Hooks:route(request)
  local hook = request.method == "POST" and self.by_path[request.path]
  if hook then return ROUTE, { name = hook.trigger.name } end
end

-- ---- deliveries ---------------------------------------------------------------------------------

-- What shows who has sent it, or lets whoever reads it pass for him.
local KEPT_BACK = { authorization = true, cookie = true, ["proxy-authorization"] = true,
  ["webhook-signature"] = true, ["x-hub-signature"] = true, ["x-hub-signature-256"] = true,
  ["stripe-signature"] = true }

local function without_proofs(headers)
  local made = {}
  for name, value in pairs(headers) do
    if not KEPT_BACK[name] then made[name] = value end
  end
  return made
end

local function values_of(secrets)
  local values = {}
  for i, secret in ipairs(secrets or {}) do values[i] = secret:value() end
  return values
end

local MOST = 1 << 20 -- bytes of a body: hashing it keeps the loop, before anybody has shown who he is

--- A delivery, once it has shown who has sent it. May wait for a secret. Raises `hook_unverified`,
--- which does not say why, `body_too_large`, and `too_busy` where the secret cannot be read.
---@param hook orrery.serve.Hook
---@param request table
---@return orrery.serve.Delivery
function Hooks:verified(hook, request)
  local trigger, now = hook.trigger, core.time()
  local body = request.body or ""
  if #body > MOST then problem.raise("body_too_large", "a delivery to a hook has at most 1 MiB") end
  local ok, id, why = pcall(function()
    return require("orrery.serve.hooks.verify").delivery(trigger.verify, { headers = request.headers,
      body = body }, values_of(trigger.secrets), now)
  end)
  if not ok then
    self.say(("hook %s takes nothing: %s"):format(trigger.name, type(id) == "table" and id.message or id))
    problem.raise("too_busy", "the hook takes no deliveries now: try again later")
  end
  if id == nil then
    hook.refused, hook.refused_last, hook.refused_why = hook.refused + 1, now, why
    problem.raise("hook_unverified", "the delivery could not be verified")
  end
  return { id = id, headers = without_proofs(request.headers), body = body, query = request.query or "",
    received = now }
end

--- Does what a delivery is for and keeps it in the log. Waits. Raises what its sender is told.
---@param host orrery.serve.Host
---@param hook orrery.serve.Hook
---@param delivery orrery.serve.Delivery
---@return orrery.serve.HookResult
function Hooks:deliver(host, hook, delivery)
  local result = require("orrery.serve.hooks.act").on(host, hook.trigger, delivery)
  self.log:write(require("orrery.serve.hooks.log").entry(hook.trigger.name, delivery, result))
  if result.problem then error(result.problem, 0) end
  return result
end

return hooks
