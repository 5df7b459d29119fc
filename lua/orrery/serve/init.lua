--- `orrery serve`: a host that owns a store, serves workflows, takes up what was cut off, and
--- answers HTTP. It does nothing that a script could not.
local audit = require "orrery.serve.audit"
local core = require "orrery.core"
local folder = require "orrery.serve.folder"
local gate = require "orrery.serve.gate"
local launch = require "orrery.runtime.launch"
local listen = require "orrery.serve.listen"
local problem = require "orrery.serve.problem"
local ticker = require "orrery.schedule.ticker"
local tokens = require "orrery.serve.tokens"
local uv = require "luv"

local serve = {}

---@class orrery.serve.Options
---@field runtime orrery.Runtime of the store
---@field paths string[] folders and files with workflows
---@field listen orrery.serve.Address[]
---@field tls { cert: string, key: string }|nil PEM
---@field read_only boolean|nil nothing is changed by the API
---@field hosts string[]|nil names by which it may be called
---@field user_header string|nil
---@field user_scope string|nil
---@field grace number seconds that runs get when it drains
---@field say fun(text: string) a line of the log

---@class orrery.serve.Host
---@field rt orrery.Runtime
---@field store orrery.Store
---@field reads orrery.serve.Reads
---@field previews orrery.serve.Previews
---@field workflows orrery.serve.Workflows
---@field gate orrery.serve.Gate
---@field router orrery.serve.Router
---@field hooks orrery.serve.Hooks
---@field ends orrery.serve.Ends
---@field metrics orrery.serve.Metrics
---@field read_only boolean|nil
---@field ready boolean|nil
---@field draining boolean|nil
---@field starting table<string, { id: string, digest: string }> runs with keys that are not on the disk yet
local Host = {}
Host.__index = Host

--- Makes a host; nothing runs yet.
---@param options orrery.serve.Options
---@return orrery.serve.Host
function serve.new(options)
  local rt = options.runtime
  local store = rt:store()
  local self = setmetatable({ rt = rt, store = store, options = options, say = options.say,
    read_only = options.read_only, starting = {}, mail = {},
      audit = audit.journal(require("orrery.serve.reads").open(store)),
    reads = require("orrery.serve.reads").open(store),
    previews = require("orrery.serve.previews").new(core.time) }, Host)
  self.workflows = folder.new(options.paths, options.say)
  self.hooks = require("orrery.serve.hooks").new(audit.journal(self.audit.thread, "orrery.serve.hooks.log"),
    options.say)
  self.ends = require("orrery.serve.ends").new(rt, self.reads)
  self.metrics = require("orrery.serve.metrics").new(self)
  self.router = require("orrery.serve.router").new(require("orrery.serve.routes").ROWS)
  self.gate = gate.new { hosts = options.hosts, user_header = options.user_header,
    user_scope = options.user_scope,
    find = tokens.finder(store) }
  return self
end

-- ---- what handlers ask --------------------------------------------------------------------------

--- Answers a request. See `orrery.serve.answer`.
Host.handle = require "orrery.serve.answer"

--- Raises `draining` where no run may begin any more.
function Host:must_start()
  if not self.draining then return end
  problem.raise("draining", "the server is being stopped and begins no more runs: ask again in a moment")
end

--- Writes a line of the audit and waits until it is on the disk.
---@param call orrery.serve.Call
---@param entry { action: string, target: string|nil, status: integer|nil, before: any, after: any }
function Host:record(call, entry)
  entry.time, entry.who, entry.via = core.time(), call.who.name, call.who.via
  entry.origin = call.request.peer
  self.audit:write(entry)
end

--- Looks at the files of workflows again. Waits.
---@return string[] changed
function Host:reload()
  local changed = self.workflows:scan()
  self.workflows:watch(function() self:post "changed" end)
  if #changed > 0 then
    self.hooks:reload(self.workflows.by_name)
    self:tick()
  end
  return changed
end

-- The schedules of what is served now. A schedule that is wrong is a mistake of its workflow, which
-- then is not served; what is left has to do with the store.
function Host:tick()
  if self.read_only or self.draining then return end
  local list = {}
  for _, entry in pairs(self.workflows.by_name) do list[#list + 1] = entry.compiled end
  table.sort(list, function(a, b) return a.name < b.name end)
  local ok, problem_of_it = pcall(function()
    if self.ticker then self.ticker:reload(list) else self.ticker = ticker.start(self.rt, self.store,
      list) end
  end)
  if not ok then self.say("schedules: " .. tostring(problem_of_it)) end
end

-- ---- logging in ---------------------------------------------------------------------------------

--- A link that logs in once; its path alone where only a unix socket is listened at.
---@return string url
function Host:login_link()
  self.code = tokens.random(32)
  local base = ""
  for i = #self.urls, 1, -1 do
    if self.urls[i]:find "^http" then base = self.urls[i] end
  end
  return ("%s/login?code=%s"):format(base, self.code)
end

--- Takes the code of such a link: it is good once.
---@param code string
---@return boolean
function Host:take_code(code)
  if not self.code or core.sha256(code) ~= core.sha256(self.code) then return false end
  self.code = nil
  return true
end

-- ---- news ---------------------------------------------------------------------------------------

--- Leaves word for the host: "changed", "reload", "stop". May be called by any callback.
---@param word string
function Host:post(word)
  self.mail[word] = true
  local wake = self.wake
  self.wake = nil
  if wake then wake() end
end

function Host:wait()
  if not next(self.mail) then require("orrery").await(function(resume) self.wake = resume end) end
  local mail = self.mail
  self.mail = {}
  return mail
end

--- Says something to the manager of services, where there is one: "READY=1".
---@param text string
function Host:notify(text)
  if self.options.notify then core.notify(self.options.notify, text) end
end

-- ---- from the start to the end ------------------------------------------------------------------

local function recover(self)
  require("orrery.store.recover").begin(self.rt, {
    on_refused = function(id, workflow, why)
      self.say(("run %s of %s cannot go on: %s"):format(id, workflow, type(why) == "table" and why.message
        or tostring(why)))
    end,
  })
end

-- A line a second at most: what is slow once is slow often.
function Host:note_slow(path, ms)
  local now = uv.now()
  self.slow = (self.slow or 0) + 1
  if now < (self.slow_again or 0) then return end
  self.say(("%s kept everything else waiting for %d ms; that makes %d so far"):format(path, ms // 1 | 0,
    self.slow))
  self.slow_again = now + 1000
end

-- Opens what it listens at. nil and a sentence where it cannot.
local function open(self)
  local options = self.options
  local server, message = core.http_server { listen = options.listen, tls = options.tls,
    limits = options.limits,
    on_request = function(request) self:handle(request) end,
    on_slow = function(target, ms) self:note_slow(target:match "^[^?]*", ms) end }
  if not server then return nil, message end
  self.server, self.urls = server, server:addresses()
  local found = listen.of_urls(self.urls)
  local refused = listen.refusal(found, options.tls ~= nil or tokens.any(self.store))
  if not refused then return true end
  server:stop(0)
  return nil, refused, true
end

--- Begins: listens, loads workflows, takes up runs. Waits.
---@return boolean|nil ok
---@return string|nil message why it cannot
---@return boolean|nil usage it must not, as it was asked for
function Host:start()
  local ok, message, usage = open(self)
  if not ok then return nil, message, usage end
  self:reload()
  if not self.ticker then self:tick() end -- schedules that commands have made need no workflow that is served
  if not self.read_only then recover(self) end
  self.ready = true
  for _, url in ipairs(self.urls) do self.say("listening at " .. url) end
  self:notify(("READY=1\nSTATUS=%d workflows are served"):format((self.workflows:count())))
  return true
end

local SETTLES = 0.1 -- seconds: editors write a file in several steps

-- Does what came, until it is to stop. Waits.
function Host:run()
  while true do
    local mail = self:wait()
    if mail.stop then return end
    if mail.changed then require("orrery").sleep(SETTLES) end
    if mail.reload then self:notify "RELOADING=1" end
    self:reload()
    if mail.reload then self:notify "READY=1" end
  end
end

local LOOK = 0.05

-- Whether a run does something, or is about to within so many seconds.
local function is_busy(self, left)
  local due = self.rt:due()
  return self.rt:idle() == 0 or due ~= nil and due < left
end

--- Stops in good order: no run begins any more, those that do something get their time, then all
--- are suspended, to be resumed by whoever comes next. Waits.
function Host:drain()
  local flow = require "orrery"
  self.draining = true
  self.ends:close()
  self:notify "STOPPING=1"
  if self.ticker then self.ticker:stop() end
  self.workflows:close()
  local ends = uv.hrtime() / 1e9 + self.options.grace
  local left = self.options.grace
  while left > 0 and not self.hurry and is_busy(self, left) do
    flow.sleep(LOOK)
    left = ends - uv.hrtime() / 1e9
  end
  self.reads:close()
  self.server:stop(1)
  self.audit:close()
  core.commands "terminate" -- what comes of that is not recorded
  for _, run in ipairs(launch.all()) do run:suspend() end
  while core.commands() > 0 do flow.sleep(LOOK) end
  self.rt:close()
end

return serve
