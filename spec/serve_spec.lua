-- `orrery serve` as a process, asked by curl.
local core = require "orrery.core"
local flow = require "orrery"
local Place = require "spec.support.place"
local uv = require "luv"

local HELLO = [[
local flow = require "orrery"
local w = flow.workflow { name = "hello", input = { name = { type = "string", default = "world" } },
  output = "${nodes.greet}" }
w.greet = { run = function(ctx) return "Hello, " .. ctx.input.name end }
return w
]]

-- Writes lines to the file `did` at its start and at its end, with a wait between.
local SLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "slow", input = { seconds = "number" }, output = "${nodes.second}" }
local function note(text)
  local file <close> = assert(io.open("did", "a"))
  file:write(text, "\n")
end
w.first = { run = function(ctx) note "first" return 1 end }
w.second = { after = "first", run = function(ctx)
  note "begins"
  for _ = 1, ctx.input.seconds * 100 do flow.sleep(0.01) end
  note "ends"
  return 2
end }
return w
]]

local Server = {}
Server.__index = Server

-- Starts the command in a place and waits until it listens.
local function serve(here, ...)
  local process = here:start { "serve", "flows", "--listen", "127.0.0.1:0", ... }
  local self = setmetatable({ here = here, process = process }, Server)
  self.url = here:until_true(function()
    return process.code or here:read(process.err):match "listening at (http%S+)"
  end, "listening")
  assert(type(self.url) == "string", here:read(process.err))
  return self
end

local function place(files)
  local here = Place.new()
  uv.fs_mkdir(here.folder .. "/flows", 493)
  for name, text in pairs(files or { ["hello.lua"] = HELLO, ["slow.lua"] = SLOW }) do here:write("flows/"
    .. name, text) end
  return here
end

local function token(here, scope)
  return (here:ends(0, "token", "create", "--scope", scope).out:gsub("%s+$", ""))
end

-- Runs curl; waits meanwhile.
local function curl(...)
  local argv = { "curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", ... }
  local err, result = flow.await(function(resume)
    core.spawn({ argv = argv }, function(e, done) resume(e, done) end)
  end)
  assert(not err, err and err.message)
  local body, status = result.stdout:match "^(.*)\n(%d+)$"
  assert(status, result.stderr)
  local ok, json = pcall(core.json.decode, body)
  return tonumber(status), ok and json or body, result.stderr
end

function Server:ask(method, path, options)
  options = options or {}
  local words = { "-X", method }
  if options.token then table.move({ "-H", "Authorization: Bearer " .. options.token }, 1, 2, #words + 1,
    words) end
  if options.body then
    table.move({ "-H", "Content-Type: application/json", "-d", core.json.encode(options.body) }, 1, 4,
      #words + 1, words)
  end
  for _, header in ipairs(options.headers or {}) do
    words[#words + 1], words[#words + 2] = "-H", header
  end
  words[#words + 1] = (options.url or self.url) .. path
  return curl(table.unpack(words))
end

function Server:start_run(token_text, body)
  local status, made = self:ask("POST", "/api/v1/runs", { token = token_text, body = body })
  assert.equal(201, status, tostring(made.detail))
  return made.id
end

local function state_of(here, id)
  local row = here:query("SELECT state FROM runs WHERE id = ?", id)[1]
  return row and row.state
end

local function until_state(here, id, state)
  here:until_true(function() return state_of(here, id) == state end, "state " .. state)
end

describe("orrery serve", function()
  it("starts runs for who has a token, beside the commands on its store", function()
    local here <close> = place()
    local run = token(here, "run")
    local server = serve(here)
    assert.equal(200, (server:ask("GET", "/health/live")))
    assert.equal(401, (server:ask("GET", "/api/v1/workflows")))
    assert.equal(401, (server:ask("GET", "/api/v1/workflows", { token = "orr_wrong" })))
    assert.equal(403, (server:ask("GET", "/api/v1/tokens", { token = run })))
    assert.equal(421, (server:ask("GET", "/api/v1/workflows", { token = run,
      headers = { "Host: evil.example" } })))
    assert.equal(403, (server:ask("GET", "/api/v1/workflows", { token = run,
      headers = { "Origin: http://evil.example" } })))
    local id = server:start_run(run, { workflow = "hello", input = { name = "Ada" } })
    until_state(here, id, "completed")
    local listed = core.json.decode(here:ends(0, "runs", "--json").out)
    assert.same({ id, "completed" }, { listed.id, listed.state })
    here:ends(0, "audit", "verify")
    Place.has(here:ends(0, "audit").out, "run.start")
    local slow = server:start_run(run, { workflow = "slow", input = { seconds = 3600 } })
    here:until_did "begins"
    here:ends(0, "cancel", slow) -- another process asks, the server does it
    until_state(here, slow, "cancelled")
    server.process.handle:kill "sigterm"
    assert.equal(0, here:finish(server.process).code)
  end)

  it("logs in by its link once", function()
    local here <close> = place()
    local server = serve(here)
    local link = here:until_true(function()
      return here:read(server.process.err):match "log in once: (%S+)"
    end)
    local jar = here.folder .. "/jar"
    assert.equal(303, (curl("-c", jar, link)))
    assert.equal(401, (curl(link)))
    local status, me = curl("-b", jar, server.url .. "/api/v1/me")
    assert.same({ 200, "admin", "session" }, { status, me.scope, me.via })
  end)

  it("drains: what runs gets its time, then it is suspended and goes on at the next start", function()
    local here <close> = place()
    local operate = token(here, "operate")
    local server = serve(here, "--grace", "20s")
    local short = server:start_run(operate, { workflow = "slow", input = { seconds = 1 } })
    here:until_did "begins"
    server.process.handle:kill "sigterm"
    local status, refused = 201, nil
    here:until_true(function()
      if server.process.code then return true end
      local ok, code, body = pcall(server.ask, server, "POST", "/api/v1/runs", { token = operate,
        body = { workflow = "hello" } })
      if ok and code == 503 then status, refused = code, body end
      return not ok or code == 503
    end)
    if status == 503 then assert.equal("draining", refused.code) end
    assert.equal(0, here:finish(server.process).code)
    assert.equal("completed", state_of(here, short))

    server = serve(here, "--grace", "0s")
    local long = server:start_run(operate, { workflow = "slow", input = { seconds = 3600 } })
    here:until_true(function() return here:counts().begins == 2 end)
    server.process.handle:kill "sigterm"
    assert.equal(0, here:finish(server.process).code)
    assert.equal(1, here:counts().ends)
    assert.is_nil(here:query("SELECT ended FROM runs WHERE id = ?", long)[1].ended)
    server = serve(here)
    here:until_true(function() return here:counts().begins == 3 end, "going on")
    assert.equal(2, here:counts().first) -- what had completed did not run again
    assert.equal(202, (server:ask("POST", "/api/v1/runs/" .. long .. "/cancel", { token = operate })))
    until_state(here, long, "cancelled")
  end)

  it("takes its runs up after a kill", function()
    local here <close> = place()
    local operate = token(here, "operate")
    local server = serve(here)
    local id = server:start_run(operate, { workflow = "slow", input = { seconds = 2 } })
    here:until_did "begins"
    server.process.handle:kill "sigkill"
    here:until_true(function() return server.process.code end)
    server = serve(here)
    until_state(here, id, "completed")
    assert.equal(1, here:counts().first)
    assert.equal(2, here:counts().begins)
    here:ends(0, "audit", "verify")

    -- a start that was not answered is sent again with its key, and begins nothing twice
    local keyed = { token = operate, body = { workflow = "hello" }, headers = { "Idempotency-Key: k" } }
    local _, made = server:ask("POST", "/api/v1/runs", keyed)
    server.process.handle:kill "sigkill"
    here:until_true(function() return server.process.code end)
    server = serve(here)
    local status, again = server:ask("POST", "/api/v1/runs", keyed)
    assert.same({ 200, made.id, true }, { status, again.id, again.existing })
    keyed.body.input = { name = "Eve" }
    status, again = server:ask("POST", "/api/v1/runs", keyed)
    assert.same({ 422, "key_conflict" }, { status, again.code })
    assert.equal(1, #here:query "SELECT 1 FROM runs WHERE workflow = 'hello'")
  end)

  it("watches its folder, and lets a broken file disturb no other", function()
    local here <close> = place { ["hello.lua"] = HELLO }
    local run = token(here, "run")
    local server = serve(here)
    local function states()
      local found = {}
      for _, each in ipairs(select(2, server:ask("GET", "/api/v1/workflows", { token = run })).workflows) do
        found[each.file:match "[^/]*$"] = each.state
      end
      return found
    end
    assert.same({ ["hello.lua"] = "ready" }, states())
    here:write("flows/other.lua", "return (")
    here:until_true(function() return states()["other.lua"] == "broken" end)
    until_state(here, server:start_run(run, { workflow = "hello" }), "completed")
    here:write("flows/other.lua", (HELLO:gsub('"hello"', '"other"')))
    here:until_true(function() return states()["other.lua"] == "ready" end)
    os.remove(here.folder .. "/flows/other.lua")
    here:until_true(function() return states()["other.lua"] == nil end)
    here:write("flows/hello.lua", (HELLO:gsub("Hello, ", "Bye, ")))
    server.process.handle:kill "sighup"
    here:until_true(function()
      local id = server:start_run(run, { workflow = "hello" })
      until_state(here, id, "completed")
      return here:query("SELECT output FROM runs WHERE id = ?", id)[1].output == '"Bye, world"'
    end)
    assert.is_nil(server.process.code)
  end)

  it("starts what is due", function()
    local here <close> = place { ["often.lua"] = [[
      local flow = require "orrery"
      local w = flow.workflow { name = "often", triggers = { flow.schedule { every = "1s" } } }
      w.a = { run = function(ctx) return ctx.trigger.kind end }
      return w ]] }
    serve(here)
    here:until_true(function()
      return uv.fs_stat(here.db) and #here:query "SELECT 1 FROM runs WHERE state = 'completed'" >= 2
    end, "two runs")
    here:write("flows/often.lua", (HELLO:gsub('"hello"', '"often"'))) -- which has no schedule any more
    here:until_true(function() return #here:query "SELECT 1 FROM schedules" == 0 end, "its end")
  end)

  it("listens at unix sockets and refuses addresses that strangers reach", function()
    local here <close> = place()
    for _, address in ipairs { "0.0.0.0:0", "[::]:0" } do
      local refused = here:ends(2, "serve", "flows", "--listen", address)
      Place.has(refused.err, "orrery token create")
    end
    Place.has(here:ends(2, "serve", "flows", "--listen", "nonsense").err, "HOST:PORT")
    Place.has(here:ends(2, "serve", "nowhere").err, "nowhere")
    Place.has(here:ends(2, "serve", "flows", "--tls", "a.pem", "b.pem").err, "a.pem")
    local run = token(here, "run")
    local process = here:start { "serve", "flows", "--listen", "unix:http.sock", "--listen", "127.0.0.1:0" }
    here:until_true(function() return here:read(process.err):find "listening at http://127" end)
    local status, me = curl("--unix-socket", here.folder .. "/http.sock", "-H", "Authorization: Bearer "
      .. run,
      "http://any.name/api/v1/me")
    assert.same({ 200, "run" }, { status, me.scope })
    assert.is_nil(process.code)
  end)

  it("takes the sockets that systemd hands over", function()
    local here <close> = place()
    here:write("activate.py", [[
import os, socket, sys
s = socket.socket()
s.bind((sys.argv[1], 0))
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.pop("ORRERY_STORE", None)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
print(s.getsockname()[1], flush=True)
os.execv(sys.argv[2], sys.argv[2:])
]])
    local run = token(here, "run")
    local function activate(address)
      local n = #here.processes + 1
      local out, err = ("%s/%d.out"):format(here.folder, n), ("%s/%d.err"):format(here.folder, n)
      local one, two, process = assert(uv.fs_open(out, "w", 420)), assert(uv.fs_open(err, "w", 420)), {}
      process.out, process.err = n .. ".out", n .. ".err"
      process.handle, process.pid = uv.spawn("python3", { args = { "activate.py", address, Place.orrery_path,
        "serve",
        "flows" }, cwd = here.folder, stdio = { nil, one, two } }, function(code, signal)
        process.code = signal ~= 0 and 128 + signal or code
        process.handle:close()
      end)
      uv.fs_close(one)
      uv.fs_close(two)
      here.processes[n] = process
      return process
    end
    local process = activate "127.0.0.1"
    here:until_true(function() return here:read(process.err):find "listening at" end)
    local port = here:read(process.out):match "%d+"
    local status, me = curl("-H", "Authorization: Bearer " .. run,
      ("http://127.0.0.1:%s/api/v1/me"):format(port))
    assert.same({ 200, "run" }, { status, me.scope })
    process.handle:kill "sigterm"
    assert.equal(0, here:finish(process).code)
    for _, made in ipairs(here:query "SELECT id FROM tokens") do here:ends(0, "token", "revoke", made.id) end
    local refused = here:finish(activate "0.0.0.0")
    assert.equal(2, refused.code)
    Place.has(refused.err, "orrery token create")
  end)

  it("speaks TLS, behind which it may be reached from elsewhere", function()
    local here <close> = place()
    assert(os.execute(("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
      .. "-days 2 "
      .. "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem "
        .. "2>/dev/null"):format(
      here.folder)))
    local process = here:start { "serve", "flows", "--listen", "0.0.0.0:0", "--tls", "cert.pem", "key.pem" }
    here:until_true(function() return process.code or here:read(process.err):find "listening at" end)
    local port = here:read(process.err):match "listening at https://[^:]*:(%d+)"
    local status, health = curl("--cacert", here.folder .. "/cert.pem",
      ("https://127.0.0.1:%s/health/ready"):format(port))
    assert.same({ 200, "ok" }, { status, health.status })
  end)

  it("believes the header of a proxy on this machine", function()
    local here <close> = place()
    local server = serve(here, "--user-header", "X-Forwarded-User", "--user-scope", "read")
    local status, me = server:ask("GET", "/api/v1/me", { headers = { "X-Forwarded-User: ada" } })
    assert.same({ 200, "ada", "read" }, { status, me.name, me.scope })
    assert.equal(403, (server:ask("POST", "/api/v1/runs", { headers = { "X-Forwarded-User: ada" },
      body = { workflow = "hello" } })))
    assert.equal(401, (server:ask("GET", "/api/v1/me")))
  end)

  it("tells the manager of services that it is ready and stops", function()
    local here <close> = place()
    local script = [[
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
open(sys.argv[1] + ".bound", "w").close()
out = open(sys.argv[2], "w", buffering=1)
while True:
    text = s.recv(4096).decode()
    out.write(text + "\n---\n")
    if text.startswith("STOPPING"):
        break
]]
    here:write("listen.py", script)
    local at, said = here.folder .. "/notify", here.folder .. "/said"
    local handle, done
    handle = uv.spawn("python3", { args = { here.folder .. "/listen.py", at, said } }, function()
      done = true
      handle:close()
    end)
    here:until_true(function() return uv.fs_stat(at .. ".bound") end)
    local process = here:start({ "serve", "flows", "--listen", "127.0.0.1:0" }, { NOTIFY_SOCKET = at })
    here:until_true(function() return here:read "said":find "READY=1" end)
    process.handle:kill "sigterm"
    here:until_true(function() return done end)
    Place.has(here:read "said", "STOPPING=1")
    assert.equal(0, here:finish(process).code)
  end)
end)

describe("orrery token", function()
  it("prints a token alone, and lists and revokes without it", function()
    local here <close> = place()
    local made = here:ends(0, "token", "create", "--scope", "read", "--name", "ci", "--expires", "1d",
      "--workflow", "a")
    assert.is_truthy(made.out:find "^orr_%x+\n$")
    local listed = here:ends(0, "token", "list")
    Place.has(listed.out, "ci")
    assert.is_nil(listed.out:find(made.out:match "%x%x%x%x%x%x%x%x", 1, true))
    here:ends(0, "token", "revoke", "ci")
    Place.has(here:ends(0, "token").out, "revoked")
    here:ends(2, "token", "revoke", "ci")
    here:ends(2, "token", "create")
    here:ends(2, "token", "create", "--scope", "all")
    Place.has(here:ends(0, "audit").out, "token.revoke")
  end)

  it("needs no store that is there", function()
    local here <close> = Place.new()
    assert.is_truthy(here:ends(0, "token", "create", "--scope", "admin").out:find "^orr_")
    here:ends(0, "audit", "verify")
  end)
end)
