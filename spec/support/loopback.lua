-- loopback.lua: a web server on a free port of 127.0.0.1 whose answers are functions.
--
--   local server = loopback.start(function(request) return { status = 200, body = "ok" } end)
--   server.url "/path"        http://127.0.0.1:PORT/path
--   server.requests           those that came whole: { method, path, query, headers, body, size }
--   server.stop()
--
-- Names of headers are in lower case. What the function returns is { status, headers, body }, a
-- string that is sent as it is, or nil: the connection is then its own, `request.client`. With
-- `keep = false` bodies are counted in `size` and not kept.
local uv = require "luv"

local loopback = {}

local function head_of(text)
  local finish = text:find("\r\n\r\n", 1, true)
  if not finish then return nil end
  local method, target = text:match "^(%u+) (%S+) HTTP"
  local headers = {}
  for name, value in text:sub(1, finish + 1):gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  local path, query = (target or ""):match "^([^?]*)%??(.*)$"
  return { method = method, target = target, path = path, query = query, headers = headers },
    text:sub(finish + 4)
end

local function response_text(response)
  local lines = { ("HTTP/1.1 %d %s"):format(response.status or 200, response.reason or "Said") }
  local body = response.body or ""
  for name, value in pairs(response.headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  lines[#lines + 1] = ("Content-Length: %d"):format(#body)
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

-- Reads requests from a connection and calls `answer` with each that is whole.
local function serve(client, keep, answer)
  local text, request, parts
  local function take(data)
    if not request then
      text = (text or "") .. data
      request, data = head_of(text)
      if not request then return end
      text, parts, request.size, request.client = nil, {}, 0, client
      request.length = tonumber(request.headers["content-length"]) or 0
      if request.headers.expect then client:write "HTTP/1.1 100 Continue\r\n\r\n" end
    end
    if keep then parts[#parts + 1] = data end
    request.size = request.size + #data
    if request.size < request.length then return end
    local whole = request
    whole.body, request = table.concat(parts), nil
    answer(whole)
  end
  client:read_start(function(_, data)
    if data then take(data)
    elseif not client:is_closing() then client:close() end
  end)
end

--- Starts it.
---@param answer fun(request: table): table|string|nil
---@param options? {keep: boolean?}
---@return table server
function loopback.start(answer, options)
  local listener, clients, requests = uv.new_tcp(), {}, {}
  local keep = not options or options.keep ~= false
  assert(listener:bind("127.0.0.1", 0))
  listener:listen(64, function()
    local client = uv.new_tcp()
    listener:accept(client)
    clients[#clients + 1] = client
    serve(client, keep, function(request)
      requests[#requests + 1] = request
      local response = answer(request)
      if type(response) == "table" then response = response_text(response) end
      if response and not client:is_closing() then client:write(response) end
    end)
  end)
  local port = listener:getsockname().port
  return {
    port = port, requests = requests,
    url = function(path) return ("http://127.0.0.1:%d%s"):format(port, path or "/") end,
    connections = function() return #clients end,
    stop = function()
      for _, client in ipairs(clients) do if not client:is_closing() then client:close() end end
      if not listener:is_closing() then listener:close() end
    end,
  }
end

return loopback
