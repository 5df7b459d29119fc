-- postgres.lua: a real PostgreSQL server for specs, with data in a folder of its own, a socket
-- there and a free port of 127.0.0.1. As root it runs as the user `postgres`, for it refuses root.
--
--   local server = postgres.start { tls = true }
--   server.fields { sql = … }     config of a node, with host, database and user added
--   server.sql "SELECT 1"         what psql says, over a connection of its own
--   server.stop "immediate"       as if it had been killed; also "fast"
--   server.go()                   starts it again, on the same port
--   server.remove()               stops it, and removes the folder
local command = require "spec.support.command"
local flow = require "orrery"
local uv = require "luv"

local postgres = {}

local PATIENCE = 60 * 1000000000 -- ns

local function folder_of_programs()
  for _, version in ipairs { "15", "16", "17", "14", "13" } do
    local folder = ("/usr/lib/postgresql/%s/bin"):format(version)
    if uv.fs_access(folder .. "/postgres", "X") then return folder end
  end
  error "PostgreSQL is not installed; `make services` installs it"
end

local function shell(line)
  local result = command.shell(line)
  if result.code ~= 0 then error(("%s\n%s%s"):format(line, result.out, result.err)) end
  return result.out
end

local as_user = uv.getuid() == 0 and "cd / && runuser -u postgres -- " or ""

local function free_port()
  local socket = uv.new_tcp()
  socket:bind("127.0.0.1", 0)
  local port = socket:getsockname().port
  socket:close()
  return port
end

-- A certificate for 127.0.0.1 and localhost that only the specs trust.
local function make_certificate(folder)
  shell(([[cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout data/server.key -out data/server.crt 2>openssl.log
    cp data/server.crt ca.pem && chmod 600 data/server.key && chmod 644 ca.pem]]):format(folder))
end

local SETTINGS = [[
listen_addresses = '127.0.0.1'
unix_socket_directories = '%s'
fsync = off
max_connections = 30
%s
]]
-- A password over TCP, none over the socket, whose folder is the user's own.
local ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"

local function write(path, text)
  local file <close> = assert(io.open(path, "ab"))
  file:write(text)
end

--- Makes and starts one; user `orrery`, password `pass/word`, database `orrery`.
---@param options? {tls: boolean?, settings: string?}
---@return table server
function postgres.start(options)
  options = options or {}
  local bin = folder_of_programs()
  local folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "postgres-XXXXXX"))
  if as_user ~= "" then shell("chown postgres " .. folder) end
  shell("chmod 755 " .. folder)
  write(folder .. "/password", "pass/word\n")
  shell("chmod 644 " .. folder .. "/password")
  shell(("%s%s/initdb -N -D %s/data -U orrery -E UTF8 --locale=C.UTF-8 -A trust --pwfile=%s/password")
    :format(as_user, bin, folder, folder))
  if options.tls then make_certificate(folder) end
  if as_user ~= "" then shell(("chown -R postgres %s/data"):format(folder)) end
  write(folder .. "/data/postgresql.conf", SETTINGS:format(folder, (options.tls and "ssl = on\n" or "")
    .. (options.settings or "")))
  shell(("cp /dev/null %s/data/pg_hba.conf"):format(folder))
  write(folder .. "/data/pg_hba.conf", ACCESS)

  local server = { folder = folder, host = folder, port = nil, ca = options.tls and folder
    .. "/ca.pem" or nil }

  function server.go()
    local port = server.port or free_port()
    local line = ("%s%s/pg_ctl -w -t 60 -D %s/data -l %s/data/log -o '-p %d' start"):format(as_user, bin,
      folder, folder, port)
    for try = 1, 5 do
      if command.shell(line .. " >/dev/null 2>&1").code == 0 then break end
      if try == 5 then error("PostgreSQL did not start:\n"
        .. shell(("tail -20 %s/data/log"):format(folder))) end
      if not server.port then -- somebody else has taken it meanwhile
        port = free_port()
        line = line:gsub("%-p %d+", "-p " .. port)
      end
    end
    server.port = port
  end

  function server.stop(how)
    shell(("%s%s/pg_ctl -w -D %s/data -m %s stop >/dev/null"):format(as_user, bin, folder, how or "fast"))
  end

  function server.remove()
    command.shell(("%s%s/pg_ctl -w -D %s/data -m immediate stop >/dev/null 2>&1"):format(as_user, bin,
      folder))
    os.execute("rm -rf " .. folder)
  end

  function server.fields(config)
    config.host, config.port, config.user, config.database = config.host or folder, server.port, "orrery",
      config.database or "orrery"
    return config
  end

  --- What it says, without the end of the last line.
  function server.sql(text)
    return (shell(("%s/psql -X -q -A -t -h %s -p %d -U orrery orrery -c %s"):format(bin, folder, server.port,
      command.quote(text))):gsub("\n$", ""))
  end

  --- Waits until a query gives that.
  function server.until_says(text, expected)
    local late, said = uv.hrtime() + PATIENCE, server.sql(text)
    while said ~= expected do
      if uv.hrtime() > late then error(("%s gives %s, not %s"):format(text, said, expected), 2) end
      flow.sleep(0.02)
      said = server.sql(text)
    end
  end

  --- Waits until so many connections are there whose statement has that comment, /* MARK */.
  function server.until_running(mark, count)
    server.until_says(([[SELECT count(*) FROM pg_stat_activity
      WHERE query LIKE '%%/* %s */%%' AND pid <> pg_backend_pid()]]):format(mark), tostring(count))
  end

  local ok, e = pcall(function()
    server.go()
    shell(("%s/createdb -h %s -p %d -U orrery orrery"):format(bin, folder, server.port))
  end)
  if not ok then
    server.remove()
    error(e, 0)
  end
  return server
end

return postgres
