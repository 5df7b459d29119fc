-- What strangers write is printed clean: no command shows a name, a message, a code or a value of
-- theirs with characters that a terminal obeys, or that hide.
local command = require "spec.support.command"
local printable = require "orrery.cli.display.printable"

-- A colour, a title, a bell, C1, an override, no width, a line's begin, going back, DEL.
local HOSTILE = "\27[31mX\27]0;T\7\194\155" .. "31m\226\128\174R\226\128\139Z\r\8\127"

local function literal(text)
  return '"' .. text:gsub("[^%w ]", function(c) return ("\\%03d"):format(c:byte()) end) .. '"'
end

local WORKFLOW = ([[
local flow = require "orrery"
local E = %s
flow.pool("p" .. E, { max = 1 })
local w = flow.workflow { name = "hostile", doc = E, on_error = "continue", output = E .. "${nodes.c}" }
w.a = { run = function(ctx)
  ctx:log("info", E, { ["k" .. E] = E, t = { E } })
  ctx:progress(0.5, E)
  ctx:emit("ev" .. E, { x = E })
  error(E)
end }
w.b = { run = function(ctx) flow.error { code = "c" .. E, message = E .. "\n" .. E,
  details = { [E] = E } } end }
w.c = { run = function(ctx) return { out = E } end, doc = E }
w.d = { run = function(ctx)
  ctx:step("s" .. E, function() return E end)
  return ctx:wait("sig" .. E, { timeout = "1h" })
end }
w.e = flow.exec { "sh", "-c", "printf '\\033[31mX\\302\\233' >&2; exit 3", E }
w.f = flow.wait { approval = { message = E, by = { E } }, timeout = "1h" }
w.g = { pool = "p" .. E, run = function() return 1 end }
w.k = flow.file.read { "/nonexistent/" .. E }
w.m = flow.http.get { "http://127.0.0.1:1/x" .. E }
w.n = { each = { E, E }, run = function(ctx) error { code = E, message = E } end }
return w
]]):format(literal(HOSTILE))

local json = require "orrery.core".json

local function definition()
  local bad = json.encode("x" .. HOSTILE)
  return ([[{"name":"n",%s:1,"nodes":[{"id":%s,"type":"const"},{"id":"b","type":%s},{"id":"c","type":"const",
    "when":%s,"after":%s,"with":{"value":"x"}}],"edges":[{"from":%s,"to":"c"}]}]])
    :format(bad, bad, bad, bad, bad, bad)
end

local BAD = {
  { "a colour of theirs", "\27%[31mX" }, { "a title", "\27%]" }, { "a bell", "\7" }, { "going back", "\8" },
  { "DEL", "\127" }, { "C1", "\194[\128-\159]" }, { "an override", "\226\128[\168-\174]" },
  { "no width", "\226\128\139" }, { "a line's begin", "\r[^\r\n]" },
}

local function is_clean(text, what, terminal)
  for _, bad in ipairs(BAD) do
    local rule = bad[2]
    local moves = terminal and rule == "\r[^\r\n]" -- the live region of ours moves the cursor
    if not moves and text:find(rule) then
      local at = text:find(rule)
      error(("%s: %s in %q"):format(what, bad[1], text:sub(math.max(1, at - 40), at + 40)), 2)
    end
  end
end

local COMMANDS = {
  "run hostile.lua --no-wait --label " .. command.quote("l=" .. HOSTILE) .. " --key "
    .. command.quote(HOSTILE),
  "run hostile.lua --no-wait --json", "run hostile.lua -q --no-wait", "run hostile.lua --dry",
  "run hostile.lua -d explain --no-wait",
  "runs", "runs --json", "runs --workflow " .. command.quote(HOSTILE),
  "runs --label " .. command.quote(HOSTILE),
  "show RUN", "show RUN --outputs", "show RUN --json", "logs RUN",
  "logs RUN --json", "why RUN", "why RUN --json",
  "stats", "stats --json", "stats --workflow hostile", "plan hostile.lua", "plan hostile.lua --json",
  "check hostile.lua", "check bad.json", "check bad.json --json",
  "check " .. command.quote("no" .. HOSTILE .. ".lua"), "check " .. command.quote("no" .. HOSTILE .. ".json"),
  "run bad.json", "run " .. command.quote("no" .. HOSTILE .. ".lua"),
  "run hostile.lua --no-wait -i " .. command.quote(HOSTILE .. "=1"),
  "graph hostile.lua", "graph hostile.lua -f svg", "graph hostile.lua -f dot", "graph hostile.lua -f mermaid",
  "cache", "doctor", "signal RUN " .. command.quote("x" .. HOSTILE),
  "signal RUN a " .. command.quote(HOSTILE),
  "retry RUN --no-wait", "fork RUN --from c --no-wait", "resume RUN --no-wait", "resume --no-wait",
  "pause --workflow " .. command.quote(HOSTILE), "cancel RUN", "cancel " .. command.quote(HOSTILE),
  "types", "types " .. command.quote(HOSTILE), "help " .. command.quote(HOSTILE), command.quote(HOSTILE),
  "new " .. command.quote(HOSTILE .. ".lua"), "prune --dry", "show " .. command.quote(HOSTILE),
}

-- Runs them all in one folder; what each has printed.
local function outputs(wrap)
  local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
  local lines = { "dir=$(mktemp -d); trap 'cd /; rm -rf \"$dir\"' EXIT; cd $dir",
    "export ORRERY_STORE=sqlite:store.db; ORRERY=" .. path,
    "printf '%s' " .. command.quote(WORKFLOW) .. " >hostile.lua; printf '%s' " .. command.quote(definition())
    .. " >bad.json; RUN=" }
  for i, words in ipairs(COMMANDS) do
    local line = 'timeout 300 "$ORRERY" ' .. words:gsub("RUN", '"$RUN"')
    lines[#lines + 1] = ("printf '\\n=== %d ===\\n'; %s"):format(i, wrap(line))
    if i == 1 then
      lines[#lines + 1] = [[RUN=$("$ORRERY" runs --json | sed -n 's/.*"id":"\([-0-9a-f]*\)".*/\1/p' | head -n1)]]
    end
  end
  local out = command.shell(table.concat(lines, "\n")).out
  local list = {}
  local at = 1
  for i = 1, #COMMANDS do
    local mark = ("\n=== %d ===\n"):format(i)
    local from, to = out:find(mark, at, true)
    local stop = out:find(("\n=== %d ===\n"):format(i + 1), to, true)
    list[i], at = out:sub(to + 1, (stop or #out + 1) - 1), to
    assert(from)
  end
  return list
end

describe("what strangers wrote is clean", function()
  it("in a pipe, from every command", function()
    local list = outputs(function(line) return line .. " 2>&1 </dev/null" end)
    assert.is_true(list[10]:find("hostile", 1, true) ~= nil, list[10]) -- there was a run to show
    for i, words in ipairs(COMMANDS) do
      is_clean(list[i], words)
      assert.is_nil(list[i]:find("\27", 1, true), words)
    end
  end)

  it("on a terminal, from every command", function()
    if not os.execute "script -qec true /dev/null >/dev/null 2>&1 </dev/null" then
      pending "script(1) finds no terminal to give here"
      return
    end
    local list = outputs(function(line)
      return "printf '%s' " .. command.quote(line) .. " >line; export ORRERY RUN; TERM=xterm-256color"
        .. " script -qec 'sh line' /dev/null </dev/null"
    end)
    local coloured = false
    for i, words in ipairs(COMMANDS) do
      local text = list[i]:gsub("\r+\n", "\n")
      is_clean(text, words, true)
      coloured = coloured or text:find "\27%[3%dm" ~= nil
    end
    assert.is_true(coloured)
  end)
end)

describe("the interpreter", function()
  it("prints the message of an error as every command prints text", function()
    local seen = "a\u{9B}b\u{202E}c\u{200B}d\u{FEFF}e\u{FFF9}f\u{E0041}g\u{E007F}h\u{2066}i\u{61C}j"
    local result = command.run { "-e", "error(" .. literal(seen) .. ", 0)" }
    local first = result.err:match "^[^\n]*"
    assert.equal("orrery: a?b?c?d?e?f?g?h?i?j", first)
    assert.equal("orrery: " .. require("orrery.cli.display.printable").line(seen), first)
  end)
end)

describe("printable", function()
  it("leaves plain text alone", function()
    for _, text in ipairs { "", "a b", "é ü 日本 😀", "👩‍👩‍👧", "a\xCC\x81" } do
      assert.equal(text, printable.line(text))
      assert.equal(text, printable.text(text))
      assert.equal(text, printable.json(text))
    end
    assert.equal("a\n\tb", printable.text "a\n\tb")
  end)

  it("makes one line of text", function()
    assert.equal("a b", printable.line "a\r\n\0b")
    assert.equal("?[31m a?\\", printable.line "\194\155[31m\27a\255\\")
    assert.equal("a?b?c?d?", printable.line "a\u{202E}b\u{200B}c\u{FEFF}d\u{2066}")
    assert.equal("é?", printable.line "é\xC3")
  end)

  it("keeps colours of ours only where it is told to", function()
    assert.equal("\27[31mred\27[0m?[2J?]0;x?", printable.text("\27[31mred\27[0m\27[2J\27]0;x\7", true))
    assert.equal("?[31mred?[0m", printable.text "\27[31mred\27[0m")
    assert.equal("?[31m", printable.text("\0[31m", true))
  end)

  it("writes JSON that means the same", function()
    local value = { text = HOSTILE .. "\u{E0041}\u{2028}é" }
    local text = printable.json(json.encode(value))
    is_clean(text, "JSON")
    assert.same(value, json.decode(text))
    assert.is_true(text:find("\\u202e", 1, true) ~= nil and text:find("é", 1, true) ~= nil)
  end)
end)
