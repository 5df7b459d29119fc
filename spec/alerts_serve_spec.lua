-- Alerts of `orrery serve` as a process, killed, with a hook of another one as the receiver.
local Place = require "spec.support.place"
local uv = require "luv"

local ENV = { HOOK = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }

local RECEIVES = [[
local flow = require "orrery"
local w = flow.workflow { name = "heard", triggers = { flow.hook { name = "pager", secrets = flow.secret "HOOK" } } }
w.it = { run = function(ctx)
  local file <close> = io.open("did", "a")
  file:write(ctx.input.state, " ", ctx.input.text, "\n")
end }
return w
]]

local TELLS = [[
local flow = require "orrery"
local w = flow.workflow { name = "tell", on_error = "continue", triggers = { flow.alert { name = "load",
  on = "failures", workflow = "load", every = "1s" } } }
w.nobody = flow.notify.webhook { url = "http://127.0.0.1:1/", message = "never heard" }
w.pager = flow.notify.webhook { url = "%s/hooks/pager", secret = flow.secret "HOOK", message = "${input.message}",
  retry = { max = 100, delay = "100ms", strategy = "fixed" },
  payload = { state = "${input.state}", text = "${input.message}" } }
return w
]]

local LOAD = [[
local flow = require "orrery"
local w = flow.workflow { name = "load" }
w.it = { run = function() error "no" end }
return w
]]

local function place(file, text)
  local here = Place.new()
  uv.fs_mkdir(here.folder .. "/flows", 493)
  here:write("flows/" .. file, text)
  return here
end

local function serve(here, at)
  local process = here:start({ "serve", "flows", "--listen", at or "127.0.0.1:0" }, ENV)
  local url = here:until_true(function()
    return process.code or here:read(process.err):match "listening at (http%S+)"
  end, "listening")
  return process, url
end

describe("an alert of orrery serve", function()
  it("reaches a receiver that is down when it comes, signed, and once, whoever is killed", function()
    local there <close> = place("heard.lua", RECEIVES)
    local receiver, url = serve(there)
    receiver.handle:kill "sigkill"
    there:until_true(function() return receiver.code end, "its end")

    local here <close> = place("tell.lua", (TELLS:gsub("%%s", url)))
    here:write("load.lua", LOAD)
    local server = serve(here)
    here:orrery("run", "load.lua")
    here:until_true(function()
      return #here:query "SELECT 1 FROM runs WHERE workflow = 'tell'" == 1
    end, "the alert")
    server.handle:kill "sigkill"
    here:until_true(function() return server.code end, "its end")
    serve(there, url:match "//(.*)$")
    server = serve(here)
    there:until_true(function() return #there:did() > 0 end, "the message")
    assert.same({ "firing 1 of the last 1 runs of load failed (100 %)" }, there:did())
    here:until_true(function()
      return here:query("SELECT state FROM runs WHERE workflow = 'tell'")[1].state == "failed"
    end, "the end of the run, of which one channel has failed")
    server.handle:kill "sigterm"
    here:finish(server)
    assert.equal(1, #there:did())
    assert.equal(1, #here:query "SELECT 1 FROM runs WHERE workflow = 'tell'")
    assert.is_nil(here:read(".orrery/runs.db"):find(ENV.HOOK:sub(7), 1, true))
  end)

  it("is shown with its mistakes, and checked before", function()
    local here <close> = place("tell.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "tell", triggers = { flow.alert { on = "slow", workflow = "load" } } }
w.it = flow.notify.log "m"
return w
]])
    local process = serve(here)
    here:until_true(function()
      return here:read(process.err):find("an alert on slow needs limit", 1, true)
    end)
    local result = here:orrery("check", "flows/tell.lua")
    assert.equal(2, result.code)
    here.has(result.err .. result.out, "tell.lua:2")
  end)
end)
