-- HTTP responses: a server that sends the input and closes. The node has an output or an error.
local driver = require "spec.fuzz.driver"
local flow = require "orrery"
local uv = require "luv"

local reply = ""
local listener = uv.new_tcp()
listener:bind("127.0.0.1", 0)
listener:listen(16, function()
  local client = uv.new_tcp()
  listener:accept(client)
  local seen = ""
  client:read_start(function(_, data)
    seen = seen .. (data or "")
    if data and not seen:find("\r\n\r\n", 1, true) then return end
    client:read_stop()
    client:write(reply, function() if not client:is_closing() then client:close() end end)
  end)
end)
listener:unref()
local url = ("http://127.0.0.1:%d/"):format(listener:getsockname().port)

local w = flow.workflow { name = "fuzz", output = "${nodes.it}" }
w.it = flow.http.get { url = url, timeout = "5s", follow = true }

return {
  seeds = { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\":[1]}",
    "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 200\r\n\r\nbody",
    "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b\r\n\r\n",
    "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n" },
  words = { "\r\n", "\r\n\r\n", "HTTP/1.1 200 OK", "HTTP/2 ", "Content-Length: ",
    "Transfer-Encoding: chunked", "Location: ",
    "Retry-After: ", "Content-Type: application/json", "Content-Encoding: deflate", "charset=", "0", "-1",
    "99999999999", ":",
    ";", "\0", "\xff", "\n ", "\r", "{", "}", "\"", "Connection: keep-alive", "Trailer: x", "f\r\n",
    "Set-Cookie: " },
  run = function(text)
    reply = text
    local ended = flow.run(w)
    if ended.state == "completed" then
      assert(math.type(ended.output.status) == "integer", "no status")
      return ("status %d, %s"):format(ended.output.status // 100, type(ended.output.body))
    end
    assert(ended.state == "failed", "it ended as " .. ended.state)
    assert(ended.error.code ~= "internal_error" and ended.error.code ~= "handler_error",
    driver.told(ended.error))
    return ended.error.code .. ": " .. driver.kind(ended.error)
  end,
}
