-- redis.lua: a real Redis server for specs, with a folder of its own, a free port of 127.0.0.1, a
-- socket in the folder, and the password `pass/word`.
--
--   local server = redis.start()
--   server.fields { key = … }     config of a node, with host, port and password added
--   server.url(2)                 its URL, with that database
--   server.call("GET", "k")       over a connection of its own, by redis-cli
--   server.kill()                 at once, as nothing else would end it
--   server.go()                   starts it again, on the same port, with what it had
--   server.remove()               stops it, and removes the folder
local command = require "spec.support.command"
local flow = require "orrery"
local uv = require "luv"

local redis = {}

local PATIENCE = 60 * 1000000000 -- ns

redis.PASSWORD = "pass/word"

local function free_port()
  local socket = uv.new_tcp()
  socket:bind("127.0.0.1", 0)
  local port = socket:getsockname().port
  socket:close()
  return port
end

--- Waits until a function gives something true.
function redis.until_true(fn, what)
  local late = uv.hrtime() + PATIENCE
  while true do
    local found = fn()
    if found then return found end
    if uv.hrtime() > late then error((what or "it") .. " did not happen", 2) end
    flow.sleep(0.01)
  end
end

--- Makes and starts one.
---@param settings? string lines of redis.conf
---@return table server
function redis.start(settings)
  local folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "redis-XXXXXX"))
  local server = { folder = folder, socket = folder .. "/socket", port = free_port() }

  local function cli(words)
    local line = { "REDISCLI_AUTH=" .. redis.PASSWORD, "redis-cli", "-s", server.socket }
    for _, word in ipairs(words) do line[#line + 1] = command.quote(tostring(word)) end
    return command.shell(table.concat(line, " "))
  end

  --- What it says, without the end of the last line.
  function server.call(...) return (cli({ ... }).out:gsub("\n$", "")) end

  function server.go()
    local file <close> = assert(io.open(folder .. "/redis.conf", "wb"))
    file:write(([[
bind 127.0.0.1
port %d
unixsocket %s
requirepass %s
dir %s
appendonly yes
appendfsync no
save ""
%s
]]):format(server.port, server.socket, redis.PASSWORD, folder, settings or ""))
    file:close()
    local handle, pid
    handle, pid = uv.spawn("redis-server", { args = { folder .. "/redis.conf" }, stdio = {} }, function()
      handle:close()
      if server.handle == handle then server.handle = nil end
    end)
    assert(handle, pid)
    server.handle = handle
    redis.until_true(function() return server.call "PING" == "PONG" end, "the start of redis-server")
  end

  function server.kill()
    if server.handle then server.handle:kill "sigkill" end
    redis.until_true(function() return not server.handle end, "the end of redis-server")
  end

  function server.remove()
    server.kill()
    os.execute("rm -rf " .. folder)
  end

  function server.fields(config)
    config.host, config.port, config.password = config.host or "127.0.0.1", server.port,
      config.password or redis.PASSWORD
    return config
  end

  function server.url(database)
    return ("redis://:%s@127.0.0.1:%d/%d"):format("pass%2Fword", server.port, database or 0)
  end

  --- Waits until a command gives that.
  function server.until_says(expected, ...)
    local words = { ... }
    redis.until_true(function() return server.call(table.unpack(words)) == expected end,
      table.concat(words, " ") .. " = " .. expected)
  end

  local ok, e = pcall(server.go)
  if not ok then
    server.remove()
    error(e, 0)
  end
  return server
end

return redis
