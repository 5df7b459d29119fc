-- nginx.lua: a real web server for specs, on free ports of 127.0.0.1, with a folder of its own that
-- is removed at the end.
--
--   local server = nginx.start { files = { ["a.json"] = "{}" },
--     locations = "location /x { return 200 ok; }" }
--   server.url "/a.json"      http://127.0.0.1:PORT/a.json
--   server.tls "/a.json"      https://…; nil where there is no openssl to make a certificate
--   server.ca                 the file of that certificate
--   server.stop()
local uv = require "luv"

local nginx = {}

local function found(program)
  for _, folder in ipairs { "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin" } do
    local path = folder .. "/" .. program
    if uv.fs_access(path, "X") then return path end
  end
  return nil
end

--- Whether the server is installed, for `pending`.
nginx.program = found "nginx"

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a" or ""
end

local function free_port()
  local socket = uv.new_tcp()
  socket:bind("127.0.0.1", 0)
  local port = socket:getsockname().port
  socket:close()
  return port
end

-- A certificate for 127.0.0.1 that only the specs trust.
local function make_certificate(folder)
  local openssl = found "openssl"
  return openssl ~= nil and os.execute(([[cd %s && %s req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem 2>openssl.log]]):format(folder, openssl)) == true
end

local TEMPLATE = [[
daemon on;
master_process off;
pid nginx.pid;
error_log error.log;
events { worker_connections 256; }
http {
  access_log access.log;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  types { application/json json; text/html html; text/plain txt; }
  server {
    listen 127.0.0.1:%d;
    %s
    root www;
    %s
  }
}
]]

local function configuration(port, tls_port, locations, http2)
  local tls = tls_port
    and ("listen 127.0.0.1:%d ssl %s; ssl_certificate ca.pem; ssl_certificate_key key.pem;")
    :format(tls_port, http2 and "http2" or "")
  return TEMPLATE:format(port, tls or "", locations or "")
end

-- It reads its configuration, binds, and only then leaves the foreground, so that it answers when
-- this returns. A port may be taken by somebody else in the meantime: then there is another try
-- with others.
local function launch(folder, locations, has_tls, http2)
  for _ = 1, 5 do
    local port, tls_port = free_port(), has_tls and free_port() or nil
    write(folder .. "/nginx.conf", configuration(port, tls_port, locations, http2))
    if os.execute(("%s -p %s -c nginx.conf 2>%s/start.log"):format(nginx.program, folder, folder)) then
      return port, tls_port
    end
  end
  error("nginx did not start:\n" .. read(folder .. "/start.log") .. read(folder .. "/error.log"))
end

--- Starts a server.
---@param options {files: table<string, string>?, locations: string?, http2: boolean?}
---@return table
function nginx.start(options)
  local folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "nginx-XXXXXX"))
  uv.fs_mkdir(folder .. "/www", 493)
  for name, text in pairs(options.files or {}) do write(folder .. "/www/" .. name, text) end
  local has_tls = make_certificate(folder)
  local port, tls_port = launch(folder, options.locations, has_tls, options.http2)
  local server = { folder = folder, port = port, ca = has_tls and folder .. "/ca.pem" or nil }
  function server.url(path) return ("http://127.0.0.1:%d%s"):format(port, path) end
  function server.tls(path) return tls_port and ("https://127.0.0.1:%d%s"):format(tls_port, path) or nil end
  function server.log() return read(folder .. "/access.log") end
  function server.stop()
    local pid = tonumber((read(folder .. "/nginx.pid"):match "%d+"))
    if pid then uv.kill(pid, "sigterm") end
    os.execute("rm -rf " .. folder) -- nginx removes its pid file meanwhile
  end
  return server
end

return nginx
