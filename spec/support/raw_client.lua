-- raw_client.lua: a client that sends what it is told, by TCP or a unix socket, and keeps what
-- comes.
--
--   local client = raw_client.connect(address)     "http://127.0.0.1:PORT" or "unix:PATH"
--   client:send(text)   client:shut() (no more comes from us)   client:close()
--   client:until_found(pattern)   waits for it in what has come; what the pattern captures
--   client:to_end()               waits for the end of the connection; all that has come
--   client:pause() client:go_on() does not read meanwhile
-- The waits give up after a minute.
local flow = require "orrery"
local uv = require "luv"

local raw_client = {}
raw_client.__index = raw_client

local PATIENCE = 60000 -- ms

-- What is sent to a server that has closed is an error of the write.
local sigpipe = uv.new_signal()
sigpipe:start "sigpipe"
sigpipe:unref()

-- Waits until it is true, looked at each time something has come.
local function wait(self, what, is_true)
  if is_true() then return end
  local timer = uv.new_timer()
  local late = flow.await(function(resume)
    timer:start(PATIENCE, 0, function() resume(true) end)
    self.look = function() if is_true() then resume(false) end end
  end)
  timer:close()
  self.look = nil
  if late then error(("%s did not come; what came: %q"):format(what, self.text:sub(1, 400)), 0) end
end

function raw_client.connect(address)
  local path = address:match "^unix:(.+)"
  local self = setmetatable({ text = "", handle = path and uv.new_pipe(false) or uv.new_tcp() }, raw_client)
  local err = flow.await(function(resume)
    if path then self.handle:connect(path, resume)
    else
      local host, port = address:match "^https?://(.+):(%d+)$"
      self.handle:connect(host:match "^%[(.+)%]$" or host, tonumber(port), resume)
    end
  end)
  if err then error(err, 0) end
  self:go_on()
  return self
end

function raw_client:go_on()
  self.handle:read_start(function(err, data)
    if data then self.text = self.text .. data
    else
      self.ended, self.error = true, err
      self.handle:read_stop()
    end
    if self.look then self.look() end
  end)
end

function raw_client:pause() self.handle:read_stop() end

function raw_client:send(text)
  if not self.handle:is_closing() then self.handle:write(text) end
  return self
end

function raw_client:shut()
  self.handle:shutdown()
  return self
end

function raw_client:until_found(pattern)
  wait(self, pattern, function() return self.text:find(pattern) or self.ended end)
  if not self.text:find(pattern) then
    error(("%s did not come before the end; what came: %q"):format(pattern, self.text:sub(1, 400)), 0)
  end
  return self.text:match(pattern)
end

function raw_client:to_end()
  wait(self, "the end", function() return self.ended end)
  self:close()
  return self.text
end

function raw_client:close()
  if not self.handle:is_closing() then self.handle:close() end
end

--- Sends a text on a connection of its own; all that comes until the server closes it.
---@param address string
---@param text string
---@return string
function raw_client.tell(address, text)
  return raw_client.connect(address):send(text):to_end()
end

return raw_client
