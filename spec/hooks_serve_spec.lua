-- Hooks of `orrery serve` as a process, asked by curl, and killed.
local core = require "orrery.core"
local flow = require "orrery"
local Place = require "spec.support.place"
local verify = require "orrery.serve.hooks.verify"
local uv = require "luv"

local SECRET, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" .. ("bmV3"):rep(8)

local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", input = { n = "integer" }, output = "${nodes.it}",
  triggers = { flow.hook { name = "in", secrets = { flow.secret "HOOK_OLD", flow.secret "HOOK_NEW" } },
    flow.hook { name = "asks", secrets = flow.secret "HOOK_OLD", wait = "60s" } } }
w.it = { run = function(ctx) return ctx.input.n + 1 end }
return w
]]

local function place()
  local here = Place.new()
  uv.fs_mkdir(here.folder .. "/flows", 493)
  here:write("flows/w.lua", FLOW)
  return here
end

local function serve(here, env)
  local process = here:start({ "serve", "flows", "--listen", "127.0.0.1:0" }, env)
  local url = here:until_true(function()
    return process.code or here:read(process.err):match "listening at (http%S+)"
  end, "listening")
  return process, url
end

local function decoded_key(secret)
  return require("orrery.signature").decode((secret:gsub("^whsec_", "")))
end

-- The signature as base64, by another program than the one that is tested.
local function sign(text, secret)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local command = ("openssl dgst -sha256 -mac HMAC -macopt hexkey:%s -binary %s | base64"):format(
    verify.hex(decoded_key(secret)), path)
  local pipe <close> = assert(io.popen(command))
  local out = pipe:read "a":gsub("%s", "")
  os.remove(path)
  return out
end

-- Sends a delivery; the status (0: no answer) and what was answered.
local function send(url, name, id, body, options)
  options = options or {}
  local time = options.time or os.time()
  local text = core.json.encode(body)
  local argv = { "curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "-H",
    "Content-Type: application/json",
    "-H", "webhook-id: " .. id, "-H", "webhook-timestamp: " .. time, "-H", "webhook-signature: v1,"
    .. sign(("%s.%d.%s"):format(id, time, text), options.secret or SECRET), "-d", text, url .. "/hooks/"
      .. name }
  local err, result = flow.await(function(resume)
    core.spawn({ argv = argv }, function(e, done) resume(e, done) end)
  end)
  assert(not err, err and err.message)
  local answer, status = result.stdout:match "^(.*)\n(%d+)$"
  local ok, json = pcall(core.json.decode, answer)
  return tonumber(status), ok and json or answer
end

local ENV = { HOOK_OLD = SECRET, HOOK_NEW = NEW }

describe("hooks of orrery serve", function()
  it("take what is signed by either secret, and nothing else", function()
    local here <close> = place()
    local _, url = serve(here, ENV)
    assert.equal(202, (send(url, "in", "a", { n = 1 })))
    assert.equal(202, (send(url, "in", "b", { n = 1 }, { secret = NEW })))
    assert.equal(401, (send(url, "in", "c", { n = 1 }, { secret = "whsec_" .. ("AAAA"):rep(8) })))
    assert.equal(401, (send(url, "in", "d", { n = 1 }, { time = os.time() - 3600 })))
    assert.equal(401, (send(url, "other", "e", { n = 1 })))
    local status, answer = send(url, "asks", "f", { n = 41 })
    assert.same({ 200, "completed", 42 }, { status, answer.state, answer.output })
    here:ends(0, "runs")
    assert.equal(3, here:query("SELECT count(*) AS n FROM runs")[1].n)
    for _, name in ipairs { ".orrery/runs.db", ".orrery/runs.db-wal" } do
      local kept = here:read(name)
      assert.is_nil(kept:find(SECRET:sub(7), 1, true))
      assert.is_nil(kept:find(NEW:sub(7), 1, true))
    end
  end)

  it("answer who waits when the server is stopped", function()
    local here <close> = place()
    here:write("flows/waits.lua", [[
local flow = require "orrery"
local w = flow.workflow { name = "waits",
  triggers = { flow.hook { name = "long", secrets = flow.secret "HOOK_OLD", wait = "300s" } } }
w.it = flow.wait { signal = "go", timeout = "1h" }
return w]])
    local process, url = serve(here, ENV)
    local status, answer
    flow.gather { function() status, answer = send(url, "long", "a", {}) end, function()
      here:until_true(function()
        return uv.fs_stat(here.db) and #here:query "SELECT 1 FROM hook_deliveries" == 1
      end, "the delivery")
      process.handle:kill "sigterm"
    end }
    assert.same({ 202, "started", nil }, { status, answer.outcome, answer.state })
    assert.equal(0, here:finish(process).code)
  end)

  it("lose nothing that was answered and do nothing twice, whenever the server is killed", function()
    local here <close> = place()
    local answered = {}
    for round = 1, 6 do
      local process, url = serve(here, ENV)
      local killed = false
      local function kill()
        flow.sleep(0.05 + 0.1 * round)
        process.handle:kill "sigkill"
        killed = true
      end
      local function sender(lane)
        return function()
          local n = 0
          while not killed do
            n = n + 1
            local id = ("%d-%d-%d"):format(round, lane, n)
            local status, answer = send(url, "in", id, { n = n })
            if status == 202 then answered[id] = answer.run end
          end
        end
      end
      flow.gather { sender(1), sender(2), kill }
      here:until_true(function() return process.code end, "its end")
    end
    assert.is_truthy(next(answered))
    local process, url = serve(here, ENV)
    for id, run in pairs(answered) do
      local status, again = send(url, "in", id, { n = 1 })
      assert.same({ 202, "existing", run }, { status, again.outcome, again.run }, id)
    end
    here:until_true(function()
      return here:query("SELECT count(*) AS n FROM runs WHERE ended IS NULL")[1].n == 0
    end, "the end of all runs")
    local rows = here:query "SELECT id, key FROM runs"
    local seen, by_id = {}, {}
    for _, row in ipairs(rows) do
      assert.is_nil(seen[row.key], row.key)
      seen[row.key], by_id[row.id] = true, row.key
    end
    for id, run in pairs(answered) do assert.equal("hook:in@" .. id, by_id[run]) end
    process.handle:kill "sigterm"
    assert.equal(0, here:finish(process).code)
  end)
end)
