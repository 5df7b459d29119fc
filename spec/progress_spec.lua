-- What a terminal, a pipe and a program see of a run, from hand-made events; time, width and height
-- are given, so that nothing depends on the machine. UPDATE_GOLDEN=1 accepts new text.
local board_of = require "orrery.cli.display.board"
local golden = require "spec.golden.compare"
local live_of = require "orrery.cli.display.live"
local progress = require "orrery.cli.display.progress"
local summary = require "orrery.cli.display.summary"
local term = require "orrery.cli.display.term"
local json_lines = require "orrery.cli.display.json_lines"
local watch = require "orrery.cli.display.watch"

local T0 = 1000
local plain = term.painter(false)

local function event(time, kind, fields)
  local e = { event = kind, run = "r1", workflow = "weather", time = T0 + time }
  for key, value in pairs(fields or {}) do e[key] = value end
  return e
end

local REFUSED = { code = "http_status", message = "connection refused by api.example.org:443",
  retryable = true }

-- Up to 2.5 s: one done, one running with progress, one that retries, one that waits, items under
-- way.
local function middle()
  return {
    event(0, "run_started", { nodes = 9, layers = 4 }),
    event(0, "node_started", { node = "list", attempt = 1 }),
    event(0.2, "node_completed", { node = "list", seconds = 0.2 }),
    event(0.2, "node_started", { node = "download", attempt = 1 }),
    event(0.2, "node_started", { node = "fetch", attempt = 1 }),
    event(0.3, "node_started", { node = "approve", attempt = 1 }),
    event(0.4, "node_waiting", { node = "approve", due = T0 + 60.4 }),
    event(0.5, "node_expanded", { node = "hash", items = 12 }),
    event(0.5, "node_started", { node = "hash", item = 1, attempt = 1 }),
    event(0.5, "node_started", { node = "hash", item = 2, attempt = 1 }),
    event(0.9, "node_completed", { node = "hash", item = 1, seconds = 0.4 }),
    event(1.0, "node_retrying",
      { node = "fetch", attempt = 1, delay = 0.5, due = T0 + 1.5, error = REFUSED }),
    event(1.5, "node_started", { node = "fetch", attempt = 2 }),
    event(1.9, "node_retrying", { node = "fetch", attempt = 2, delay = 1, due = T0 + 2.9, error = REFUSED }),
    event(2.0, "progress", { node = "download", fraction = 0.42, message = "part 5 of 12" }),
    event(2.1, "node_skipped", { node = "warn", reason = "when" }),
    event(2.2, "log", { node = "download", level = "warn", message = "slow mirror",
      fields = { host = "b", rate = 12 } }),
  }
end

local function ending()
  return {
    event(2.9, "node_started", { node = "fetch", attempt = 3 }),
    event(3.0, "node_failed", { node = "fetch", seconds = 0.1, error = REFUSED }),
    event(3.0, "run_stopping", { cause = "failure" }),
    event(3.1, "node_cancelled", { node = "approve" }),
    event(3.1, "node_cancelled", { node = "hash" }),
    event(3.2, "node_cancelled", { node = "download" }),
    event(3.2, "node_skipped", { node = "parse", reason = "upstream", by = "fetch" }),
    event(3.2, "node_skipped", { node = "gold", reason = "outcome", by = "route" }),
    event(3.3, "node_started", { node = "cleanup", attempt = 1 }),
    event(3.6, "node_completed", { node = "cleanup", seconds = 0.3 }),
    event(3.6, "run_failed", { state = "failed", error = REFUSED }),
  }
end

local function board_after(...)
  local board = board_of.new { nodes = 9, name = "weather" }
  for _, events in ipairs { ... } do
    for _, e in ipairs(events) do board:take(e) end
  end
  return board
end

local function frame(board, now, width, height, paint)
  return progress.frame(board, { now = T0 + now, width = width, height = height, paint = paint or plain })
end

local function text(lines) return table.concat(lines, "\n") .. "\n" end

describe("the live region", function()
  it("shows what runs, waits and retries", function()
    golden("frame_100.txt", text(frame(board_after(middle()), 2.5, 100, 24)))
  end)

  it("shows a fallback as what it is, and counts it as no retry", function()
    local failing = { code = "gone", message = "the archive is closed" }
    local events = {
      event(0, "run_started", { nodes = 1 }),
      event(0, "node_started", { node = "old", attempt = 1 }),
      event(0.1, "node_retrying", { node = "old", attempt = 1, delay = 1, due = T0 + 1.1, error = failing }),
      event(1.1, "node_started", { node = "old", attempt = 2 }),
      event(1.2, "node_retrying",
        { node = "old", attempt = 2, delay = 0, due = T0 + 1.2, error = failing, fallback = true }),
      event(1.2, "node_started", { node = "old", attempt = 3, fallback = true }),
    }
    local board = board_after(events)
    assert.equal(1, board.retries)
    assert.matches("old .*fallback  after: the archive is closed", frame(board, 1.5, 100, 24)[2])
    assert.matches("old  takes its fallback: the archive is closed %[gone%]$", progress.line(events[5], T0))
    assert.matches("old  started its fallback$", progress.line(events[6], T0))
    board:take(event(2, "node_failed", { node = "old", seconds = 0.8, error = failing }))
    assert.equal(2, board.failures[1].attempts)
  end)

  it("cuts names and details on a narrow terminal", function()
    golden("frame_48.txt", text(frame(board_after(middle()), 2.5, 48, 24)))
  end)

  it("colours what it shows", function()
    golden("frame_colour.txt", text(frame(board_after(middle()), 2.5, 100, 24, term.painter(true))))
  end)

  it("is never wider than the terminal or higher than it", function()
    local board = board_after(middle())
    for width = 12, 140 do
      for height = 3, 24, 7 do
        local lines = frame(board, 2.5, width, height)
        assert.is_true(#lines < height)
        for _, line in ipairs(lines) do
          assert.is_true(term.width(line) < width, ("%d columns: %s"):format(width, line))
        end
      end
    end
  end)

  it("does not let a node's name or message draw on the terminal", function()
    local board = board_after { event(0, "run_started", { nodes = 1 }),
      event(0, "node_started", { node = "evil\27[2J", attempt = 1 }),
      event(0, "progress", { node = "evil\27[2J", fraction = 0.5, message = "a\nb\27[H\255" }) }
    local lines = frame(board, 1, 80, 24)
    assert.equal(2, #lines)
    for _, line in ipairs(lines) do assert.is_nil(line:find("[%c]")) end
  end)

  it("says how many more run than fit", function()
    local board = board_of.new { nodes = 5000, name = "wide" }
    for i = 1, 5000 do board:take(event(i / 1000, "node_started", { node = "n" .. i, attempt = 1 })) end
    local lines = frame(board, 6, 80, 24)
    assert.equal("  … and 4,990 more", lines[#lines])
    assert.is_truthy(lines[2]:find("n1 ", 1, true))
  end)

  it("keeps no memory of nodes that have ended but the slowest", function()
    local board = board_of.new { nodes = 100000, name = "many" }
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 100000 do
      board:take(event(i, "node_started", { node = "n" .. i, attempt = 1 }))
      board:take(event(i + (i * 7919 % 1000) / 1000, "node_completed", { node = "n" .. i, seconds = 0 }))
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 200)
    assert.equal(100000, board.counts.completed)
    assert.equal(0, board.active)
    local top = board:top(5)
    for _, row in ipairs(top) do assert.is_true(row.seconds > 0.99) end
  end)

  it("shows counts alone where a run is watched by its statistics", function()
    local board = board_of.new { nodes = 1000000, name = "million" }
    board.started = T0
    board:sample { by_state = { completed = 250000, failed = 2, running = 64 }, retries = 7 }
    golden("frame_million.txt", text(frame(board, 2, 100, 24)))
  end)

  it("passes over the events of child runs", function()
    local board = board_after(middle())
    board:take({ event = "node_completed", run = "r2", workflow = "child", time = T0 + 2, node = "list",
      seconds = 1 })
    assert.equal(1, board.counts.completed)
  end)

  it("redraws in place, with logs and prints above", function()
    local written, now = {}, 0
    local board = board_after(middle())
    local region = live_of.new { board = board, now = function() return T0 + now end, paint = plain,
      write = function(s) written[#written + 1] = s end, size = function() return 80, 24 end }
    now = 2.5
    region:draw()
    assert.is_truthy(written[1]:find("^warn download  slow mirror host=b rate=12\n"))
    local _, drawn = written[1]:gsub("\n", "")
    drawn = drawn - 1
    region:print("from a handler")
    region:draw()
    assert.equal(("\27[%dA\r\27[Jfrom a handler\n"):format(drawn),
      written[2]:sub(1, #written[2]:match("^(.-\n)")))
    for _, e in ipairs(ending()) do board:take(e) end
    now = 3.6
    region:finish("failed")
    assert.is_truthy(written[3]:find("\27[?25h", 1, true))
    golden("region_end.txt", written[#written])
    region:stop()
    assert.equal(4, #written)
  end)
end)

describe("the summary", function()
  it("draws a time chart with retries", function()
    golden("chart.txt", text(summary.chart(board_after(middle(), ending()), { width = 100, paint = plain })))
  end)

  it("fits on narrow terminals, the bars before the words beside them", function()
    for _, width in ipairs { 60, 36 } do
      local lines = summary.chart(board_after(middle(), ending()), { width = width, paint = plain })
      golden(("chart_%d.txt"):format(width), text(lines))
      for _, line in ipairs(lines) do assert.is_true(term.width(line) < width, line) end
    end
    assert.same({}, summary.chart(board_after(middle(), ending()), { width = 20, paint = plain }))
  end)

  it("draws at most twenty rows, the slowest", function()
    local board = board_of.new { nodes = 100, name = "many" }
    board:take(event(0, "run_started", { nodes = 100 }))
    for i = 1, 100 do
      board:take(event(i, "node_started", { node = "n" .. i, attempt = 1 }))
      board:take(event(i + i / 50, "node_completed", { node = "n" .. i }))
    end
    board:take(event(103, "run_completed", { state = "completed" }))
    local lines = summary.chart(board, { width = 80, paint = plain })
    assert.equal(21, #lines)
    assert.is_truthy(lines[1]:find("n81 ", 1, true))
    assert.equal("  the 20 slowest; 80 more ran", lines[21])
    for _, line in ipairs(lines) do assert.is_true(term.width(line) < 80) end
  end)

  it("says in one sentence how it ended", function()
    assert.equal("weather failed in 3.6 s: 2 completed, 1 failed, 3 skipped, 3 cancelled, 2 retries",
      summary.sentence(board_after(middle(), ending()), { state = "failed", now = T0 + 9, paint = plain }))
  end)
end)

describe("failures", function()
  local function printed(failure, options)
    options.paint = plain
    return text(summary.failure(failure, options))
  end

  it("name the node, the place, the attempts, the user's lines and what to try", function()
    golden("failure.txt", printed({ node = "parse", attempts = 3, error = {
      code = "handler_error", message = "weather.lua:15: attempt to index a nil value (field 'wind')",
      retryable = true,
      traceback = "stack traceback:\n\t[C]: in metamethod 'index'\n\tweather.lua:15: in upvalue 'wind'\n"
        .. "\tweather.lua:22: in function <weather.lua:20>\n\t[string \"orrery/compile.lua\"]:90: in "
          .. "function <x>",
    } }, { where = "weather.lua:12" }))
  end)

  it("suggest a remedy by the error's code", function()
    golden("failure_timeout.txt",
      printed({ node = "fetch", item = 3, error = { code = "timeout", message = "it took longer than 5 s" } },
      { where = "weather.lua:9" }))
  end)

  it("print the skipped nodes with their reasons, and the run's own error once", function()
    local out = {}
    watch.failures(board_after(middle(), ending()), {
      def = { nodes = { { name = "fetch", where = "weather.lua:9", type = "http.get" } } }, paint = plain,
      error = { code = "http_status", message = REFUSED.message, node = "fetch" },
      write = function(s) out[#out + 1] = s end,
    })
    golden("failures.txt", table.concat(out))
  end)

  it("print a run's error that no node has", function()
    local out = {}
    watch.failures(board_of.new { nodes = 1, name = "w" }, { def = { nodes = {} }, paint = plain,
      error = { code = "run_timeout", message = "the run took longer than 1 s" },
      write = function(s) out[#out + 1] = s end })
    assert.equal("✗ the run failed: the run took longer than 1 s [run_timeout]\n"
      .. "    try: raise the workflow's `timeout`, or run the slow part on its own with --only\n",
      table.concat(out))
  end)
end)

describe("log lines", function()
  it("show fields in the order of their names, tables as JSON, alike on a terminal and in a pipe", function()
    local e = event(1, "log", { node = "n", level = "info", message = "m",
      fields = { z = 1, a = { y = { 1, 2 }, x = "t" }, k = "text" } })
    local words = '  m a={"x":"t","y":[1,2]} k=text z=1'
    assert.equal("info n" .. words, progress.log_line(e, plain))
    assert.equal("   1.000  n  info:" .. words:sub(2), progress.line(e, T0))
  end)
end)

describe("the live region and breakers", function()
  it("shows which one a node waits for", function()
    local board = board_after { event(0, "run_started", { nodes = 1 }),
      event(0, "node_started", { node = "a", attempt = 1 }),
      event(1, "node_waiting", { node = "a", due = T0 + 31, breaker = "site" }) }
    assert.truthy(text(frame(board, 1, 80, 24)):find("waits for breaker site in 30", 1, true))
  end)
end)

describe("without a terminal", function()
  it("one event is one line", function()
    local out = {}
    local board = board_of.new { nodes = 9, name = "weather" }
    local lines = watch.lines(board, function(s) out[#out + 1] = s end)
    for _, events in ipairs { middle(), ending() } do
      for _, e in ipairs(events) do lines.take(e) end
    end
    lines.take { event = "node_started", run = "r2", workflow = "child", node = "inner", time = T0 + 3.6 }
    lines.finish({ state = "failed" }, { now = function() return T0 + 3.6 end, paint = plain })
    golden("lines.txt", table.concat(out))
  end)

  it("gathers lines until the loop's next turn", function()
    local out, turns = {}, {}
    local lines = watch.lines(board_of.new { nodes = 2, name = "w" }, function(s) out[#out + 1] = s end,
      function(fn) turns[#turns + 1] = fn end)
    lines.take(event(0, "run_started", { nodes = 2 }))
    lines.take(event(0, "node_started", { node = "a" }))
    assert.same({}, out)
    assert.equal(1, #turns)
    turns[1]()
    assert.equal(1, #out)
    assert.equal(2, select(2, out[1]:gsub("\n", "")))
  end)
end)

describe("as JSON", function()
  local function ended_with(run)
    local out = {}
    -- An encoder that keeps the tables, so that they can be looked at.
    local lines = json_lines(board_of.new { nodes = 1, name = "weather" }, function(v)
      out[#out + 1] = v
      return tostring(#out)
    end, function() end)
    for _, e in ipairs { event(0, "run_started", { nodes = 1 }), event(1, "node_completed", { node = "a" }),
      event(1, "run_" .. (run.state == "completed" and "completed" or "failed"), { state = run.state }) } do
      lines.take(e)
    end
    lines.finish(run, { name = "weather", now = function() return T0 + 2 end, null = "NULL" })
    return out
  end

  it("the last line carries the output", function()
    local out = ended_with { id = "r1", state = "completed", output = { 1, 2 } }
    assert.equal(3, #out)
    local last = out[3]
    assert.same({ "run_completed", "r1", "completed", { 1, 2 } },
      { last.event, last.run, last.state, last.output })
    assert.is_nil(last.error)
  end)

  it("the last line has a null where there is no output", function()
    local out = ended_with { id = "r1", state = "completed" }
    assert.equal("NULL", out[3].output)
  end)

  it("the last line carries the error", function()
    local out = ended_with { id = "r1", state = "failed", error = { code = "x", message = "y" } }
    assert.same({ code = "x", message = "y" }, out[3].error)
    assert.is_nil(out[3].output)
  end)
end)

describe("term", function()
  it("writes durations for people", function()
    local cases = { { 0, "0 ms" }, { 0.0005, "500 µs" }, { 0.0121, "12 ms" }, { 0.9996, "1.0 s" },
      { 3.44, "3.4 s" },
      { 59.96, "1m00s" }, { 125, "2m05s" }, { 3720, "1h02m" }, { 90000, "1d01h" }, { -1, "0 ms" } }
    for _, case in ipairs(cases) do assert.equal(case[2], term.duration(case[1])) end
  end)

  it("counts wide characters as two columns and cuts between them", function()
    assert.equal(4, term.width("节点"))
    assert.equal("节…", term.cut("节点", 3))
    assert.equal("…", term.cut("节点", 2))
    assert.equal("é", term.cut("é", 1))
    assert.equal("ab   ", term.fit("ab", 5))
  end)

  it("fills bars in eighths", function()
    assert.equal("░░░░", term.bar(0, 4))
    assert.equal("██▌░", term.bar(0.625, 4))
    assert.equal("████", term.bar(1.5, 4))
  end)

  it("colours only a terminal, and not with NO_COLOR", function()
    local function env(t) return function(name) return t[name] end end
    assert.is_true(term.wants_colour(true, env { TERM = "xterm" }))
    assert.is_false(term.wants_colour(true, env { TERM = "xterm", NO_COLOR = "1" }))
    assert.is_true(term.wants_colour(true, env { TERM = "xterm", NO_COLOR = "" }))
    assert.is_false(term.wants_colour(true, env { TERM = "dumb" }))
    assert.is_false(term.wants_colour(false, env { TERM = "xterm" }))
  end)
end)
