-- smtp.lua: mail servers on loopback for specs.
--
--   local server = smtp.real { tls = "starttls" }   aiosmtpd; nil where it is not installed
--   server.port, server.ca, server.mails            what came, as smtp_server.py prints it
--   local server = smtp.scripted { RCPT = "550 no" } says what it is told to, in clear text
--   server.said                                      the commands that came
local flow = require "orrery"
local uv = require "luv"

local smtp = {}

smtp.USER, smtp.PASSWORD = "robot", "smtp-p4ss/word+of the spec"

local PYTHON = "/usr/bin/python3"
smtp.installed = uv.fs_access(PYTHON, "X")
  and uv.fs_access("/usr/lib/python3/dist-packages/aiosmtpd/smtp.py", "R")

local function certificate(folder)
  return os.execute(([[cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out ca.pem 2>openssl.log]]):format(folder))
end

-- Calls `take` with each line that comes from a pipe.
local function lines_of(pipe, take)
  local text = ""
  pipe:read_start(function(_, data)
    text = text .. (data or "")
    while text:find("\n", 1, true) do
      local line, rest = text:match "^([^\n]*)\n(.*)$"
      text = rest
      take(line)
    end
  end)
end

--- Starts a server that speaks all of it.
---@param options {tls: "none"|"starttls"|"tls"?}
---@return table server
function smtp.real(options)
  local folder = assert(uv.fs_mkdtemp(os.tmpname():match "^(.*/)" .. "smtp-XXXXXX"))
  local server = { mails = {}, folder = folder, ca = folder .. "/ca.pem" }
  local args = { "spec/support/smtp_server.py", options.tls or "none", smtp.USER, smtp.PASSWORD }
  if options.tls then
    assert(certificate(folder), "openssl makes no certificate")
    args[#args + 1], args[#args + 2] = folder .. "/ca.pem", folder .. "/key.pem"
  end
  local input, output = uv.new_pipe(), uv.new_pipe()
  local process = assert(uv.spawn(PYTHON, { args = args, stdio = { input, output, 2 } }, function() end))
  flow.await(function(resume)
    lines_of(output, function(line)
      if server.port then
        server.mails[#server.mails + 1] = flow.json.decode(line)
        if server.came then server.came() end
      else
        server.port = tonumber(line)
        resume()
      end
    end)
  end)
  --- Waits for the n-th mail: its line may come after the answer to who sent it.
  function server.mail(n)
    if not server.mails[n] then
      flow.await(function(resume)
        server.came = function() if server.mails[n] then resume() end end
      end)
    end
    return server.mails[n]
  end
  function server.stop()
    process:kill "sigterm"
    for _, handle in ipairs { input, output,
      process } do if not handle:is_closing() then handle:close() end end
    os.execute("rm -rf " .. folder)
  end
  return server
end

local GOOD = { greeting = "220 here", EHLO = "250-here\r\n250 AUTH PLAIN", MAIL = "250 ok", RCPT = "250 ok",
  DATA = "354 go on",
  ["."] = "250 taken", QUIT = "221 bye", AUTH = "235 ok", HELO = "250 ok", RSET = "250 ok" }

--- Starts a server that answers with `replies` by the command, or as one that takes all; "." is the
--- end of the message. `false` says nothing, "close" ends the connection.
---@param replies table<string, string|false>
---@return table server
function smtp.scripted(replies)
  local listener, clients, server = uv.new_tcp(), {}, { said = {}, connections = 0 }
  local function reply(client, word)
    local text = replies[word]
    if text == nil then text = GOOD[word] or "500 what?" end
    if text == "close" then client:close()
    elseif text and not client:is_closing() then client:write(text .. "\r\n") end
    return text
  end
  listener:bind("127.0.0.1", 0)
  listener:listen(16, function()
    local client, text, in_data = uv.new_tcp(), "", false
    listener:accept(client)
    server.connections = server.connections + 1
    clients[#clients + 1] = client
    reply(client, "greeting")
    client:read_start(function(_, data)
      if not data then if not client:is_closing() then client:close() end return end
      text = text .. data
      while text:find("\r\n", 1, true) do
        local line, rest = text:match "^(.-)\r\n(.*)$"
        text = rest
        if not in_data or line == "." then
          server.said[#server.said + 1] = line
          local said = reply(client, line:match "^%a+" or line)
          in_data = not in_data and line == "DATA" and said == GOOD.DATA
        end
      end
    end)
  end)
  server.port = listener:getsockname().port
  function server.stop()
    for _, client in ipairs(clients) do if not client:is_closing() then client:close() end end
    listener:close()
  end
  return server
end

return smtp
