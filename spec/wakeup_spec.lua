-- What a callback of the loop makes ready is seen at once, and not only when the loop wakes up for
-- something else.
--
-- libuv calls some callbacks right before it blocks. Whether one of them comes at just that moment
-- is a matter of microseconds, so there are thousands of rounds, in a process that has nothing else
-- to wake up for than a timeout.
local command = require "spec.support.command"

-- Prints how many rounds took longer than any machine needs.
local frame = [[
local flow, uv = require "orrery", require "luv"
local function late(rounds, round)
  local n = 0
  for _ = 1, rounds do
    local begun = uv.hrtime()
    if not pcall(flow.now, { timeout = "30s", run = round }) or uv.hrtime() - begun > 4e9 then n = n + 1 end
    if n > 3 then break end
  end
  return n
end
%s
]]

local function late(body)
  local result = command.run_with({ ["rounds.lua"] = frame:format(body) }, { "rounds.lua" })
  assert.equal("", result.err)
  return result.out
end

local server = [[
local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(64, function()
  local peer = uv.new_tcp()
  server:accept(peer)
  peer:read_start(function(_, data)
    if data then peer:write(answer) else peer:close() end
  end)
end)
local port = server:getsockname().port
]]

describe("the loop blocks for nothing that has come:", function()
  it("timers of no time", function()
    assert.equal("0\n", late [[
      print(late(3000, function()
        flow.await(function(resume)
          local timer = uv.new_timer()
          timer:start(0, 0, function() timer:close() resume() end)
        end)
      end))]])
  end)

  it("a timer that is left open", function()
    assert.equal("0\n", late [[
      print(late(1000, function()
        flow.await(function(resume) uv.new_timer():start(0, 0, function() resume() end) end)
      end))]])
  end)

  it("a handler that a timer of no time wakes while a socket listens", function()
    assert.equal("0\n", late('local answer = ""\n' .. server .. [[
      print(late(1000, function()
        flow.await(function(resume)
          uv.new_timer():start(0, 0, function() uv.new_timer():start(0, 0, function() resume() end) end)
        end)
      end))
      server:close()]]))
  end)

  it("requests on kept connections", function()
    assert.equal("0\n", late('local answer = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"\n' .. server .. [[
      local url = "http://127.0.0.1:" .. port .. "/"
      print(late(1000, function() return flow.http.get { url } end))
      os.exit(0, true)]]))
  end)

  it("bytes on a socket", function()
    assert.equal("0\n", late('local answer = "x"\n' .. server .. [[
      local client = uv.new_tcp()
      flow.now { run = function() flow.await(function(resume) client:connect("127.0.0.1", port, resume) end) end }
      local resume_with
      client:read_start(function(_, data) resume_with(data) end)
      print(late(3000, function()
        flow.await(function(resume)
          resume_with = resume
          client:write "y"
        end)
      end))
      os.exit(0, true)]]))
  end)

  it("a child process that ends", function()
    assert.equal("0\n", late [[
      print(late(100, function() return flow.exec { "true" } end))]])
  end)

  it("a run that a callback starts and waits for", function()
    assert.equal("0\n", late [[
      local w = flow.workflow { name = "child", output = "${nodes.a}" }
      w.a = { run = function() return 1 end }
      local rt = flow.runtime {}
      print(late(1000, function()
        local run
        flow.await(function(resume)
          local timer = uv.new_timer()
          timer:start(0, 0, function()
            timer:close()
            run = flow.start(w, { runtime = rt, on_event = function(e) if e.event == "run_completed" then resume() end end })
          end)
        end)
      end))]])
  end)
end)
