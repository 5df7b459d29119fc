-- HTTP requests: a client that sends the input, and then nothing more. What a handler is shown
-- stands in the input as it is, and each answer is one of HTTP.
local core = require "orrery.core"
local raw = require "spec.support.raw_client"

local input, problem, asked = "", nil, 0

local function check(request)
  asked = asked + 1
  local low = input:lower()
  local function must(fact, what) if not fact then problem = problem or what end end
  must(input:find(request.method .. " ", 1, true), "a method that was not sent")
  must(input:find(request.target .. " HTTP/1.", 1, true), "a target that was not sent")
  must(not (request.path .. "/"):find "/%.%.?/", "a dot segment")
  must(not request.path:find "[%c\\]", "a control character or a backslash in a path")
  for name, value in pairs(request.headers) do
    must(low:find("\n" .. name .. ":", 1, true), "a header that was not sent: " .. name)
    must(value:find "[,;] " or input:find(value, 1, true), "a value that was not sent: " .. value)
  end
  must(request.headers["transfer-encoding"] or input:find(request.body, 1, true), "a body that was not sent")
  if request.path == "/stream" then
    local stream = request:stream(200, { ["Content-Type"] = "text/event-stream" })
    stream:write "data: 1\n\n"
    stream:close()
  else request:respond(200, nil, request.body)
  end
end

local server = assert(core.http_server { listen = { { port = 0 } }, on_request = check,
  limits = { head_bytes = 4096, body_bytes = 4096, head_seconds = 5, body_seconds = 5 } })
local address = server:addresses()[1]

local function request(line, ...)
  return table.concat({ line .. " HTTP/1.1", "Host: x", ... }, "\r\n")
end

return {
  seeds = { request("GET /a?b=c", "", ""), request("GET /%41%2e", "", "") .. request("GET /stream", "", ""),
    request("POST /", "Content-Length: 5", "", "hello"), request("HEAD /stream", "Connection: close", "", ""),
    request("PUT /x", "Transfer-Encoding: chunked", "", "3\r\nabc\r\n0\r\n\r\n"),
    request("PUT /x", "Transfer-Encoding: chunked", "Trailer: t", "", "3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\n"),
    request("POST /", "Expect: 100-continue", "Content-Length: 2", "", "ok"),
    request("GET /", "Cookie: a=b; c=\"d\"", "X-A: 1", "X-A: 2", "", ""),
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    request("GET http://x/y", "", "") },
  words = { "\r\n", "\n", "\r", " ", "\t", "\0", ":", ";", "%", "%00", "%2e%2e/", "../", "/./", "\\", "?",
    "&", "=",
    "HTTP/1.1", "HTTP/1.0", "HTTP/2", "Content-Length: ", "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: y\r\n", "0\r\n\r\n", "ffffffffffffffff\r\n", "Connection: close\r\n", "Upgrade: h2c\r\n", "\xff",
    "Expect: 100-continue\r\n", "Cookie: ", "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
    "99999999999999999999", "-1" },
  run = function(text)
    input, problem, asked = text, nil, 0
    local client = raw.connect(address)
    local said = client:send(text):shut():to_end()
    assert(not problem, problem)
    local kinds = {}
    for status in said:gmatch "HTTP/1%.1 (%d%d%d) " do kinds[#kinds + 1] = status end
    assert(said == "" or #kinds > 0, "an answer that is none")
    assert(#kinds >= math.min(asked, 1) or said == "", "asked, and not answered")
    return ("%s, %d asked"):format(table.concat(kinds, " ", 1, math.min(#kinds, 4)), math.min(asked, 4))
  end,
}
