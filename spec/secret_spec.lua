-- Secrets are used, and neither kept nor shown.
local command = require "spec.support.command"
local flow = require "orrery"
local mask = require "orrery.mask"
local uv = require "luv"

-- What has once been looked up is masked from then on in the whole process, other specs included:
-- no value here stands in anything else.
local NAME, KNOWN = "ORRERY_SPEC_TOKEN", "kn0wn-t0ken-of-the-spec"
uv.os_setenv(NAME, KNOWN)

local function file_with(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

describe("flow.secret", function()
  it("is looked up when it is asked for, in the environment or a file", function()
    assert.equal(KNOWN, flow.secret(NAME):value())
    local path = file_with "t0ken-in-a-file\n"
    assert.equal("t0ken-in-a-file", flow.secret({ file = path }):value())
    assert.equal("Bearer t0ken-in-a-file!", ("Bearer " .. flow.secret { file = path } .. "!"):value())
    os.remove(path)
    local ok, e = pcall(function() return flow.secret({ file = path }):value() end)
    assert.is_false(ok)
    assert.equal("config_error", e.code)
    assert.is_false(pcall(function() return flow.secret("ORRERY_NO_SUCH_NAME"):value() end))
    for _, wrong in ipairs { "", 1, {}, { file = "" } } do assert.is_false(pcall(flow.secret, wrong)) end
  end)

  it("is not shown as text", function()
    assert.equal("•••", tostring(flow.secret(NAME)))
    assert.is_false(pcall(function() return flow.secret(NAME) .. {} end))
  end)

  it("is masked wherever it stands, and nothing else is", function()
    local path = file_with "s3cr3t \"value\"/x"
    local value = flow.secret({ file = path }):value()
    local plain = { "a", { b = 1 }, value = { true } }
    assert.equal(plain, mask.value(plain))
    assert.same({ "a ••• b •••", { ["•••"] = "•••" } }, mask.value { "a " .. value .. " b " .. value,
      { [value] = value } })
    assert.equal("?q=•••", mask.value("?q=" .. flow.url.escape(value)))
    assert.equal('{"a":"•••"}', mask.value(flow.json.encode { a = value }))
    local loop = {}
    loop.again, loop.text = loop, value
    assert.equal("•••", mask.value(loop).text)
    os.remove(path)
  end)
end)

describe("flow.secret of a command", function()
  local dir
  before_each(function() dir = assert(uv.fs_mkdtemp "/tmp/orrery_secret_XXXXXX") end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  local function program(text)
    local path = dir .. "/program"
    local file = assert(io.open(path, "w"))
    file:write("#!/bin/sh\n", text)
    file:close()
    assert(uv.fs_chmod(path, 448))
    return path
  end

  local function times()
    local file = io.open(dir .. "/times")
    local text = file and file:read "a" or ""
    if file then file:close() end
    return #text
  end

  local function failure(from)
    local ok, e = pcall(function() return flow.secret(from):value() end)
    assert.is_false(ok)
    return e
  end

  it("is what it prints, without a shell, and asked for once in a process", function()
    local path = program('printf x >>"$1"; printf "%s\\n" "c0mmand $2"')
    local token = flow.secret { command = { path, dir .. "/times", "$HOME;`x`" } }
    local w = flow.workflow { name = "w" }
    for i = 1, 5 do
      w["n" .. i] = { run = function() return #("Bearer " .. token):value() end }
    end
    local run = flow.run(w)
    assert.equal("completed", run.state)
    assert.equal("c0mmand $HOME;`x`", token:value())
    assert.equal(#"Bearer c0mmand $HOME;`x`", run:outputs().n1)
    assert.equal(1, times())
    assert.equal("a ••• b", flow.masked "a c0mmand $HOME;`x` b")
  end)

  it("stands in NAME_COMMAND as a list in JSON", function()
    uv.os_setenv("ORRERY_SPEC_PASS_COMMAND", flow.json.encode { program 'echo "by-$1"', "a name" })
    assert.equal("by-a name", flow.secret("ORRERY_SPEC_PASS"):value())
    uv.os_setenv("ORRERY_SPEC_PASS_COMMAND", "pass show token")
    local e = failure "ORRERY_SPEC_PASS"
    assert.equal("config_error", e.code)
    assert.truthy(e.message:find('["pass", "show", "token"]', 1, true))
  end)

  it("tells how it failed, and is asked again", function()
    local path = program('printf x >>"$1/times"; test -e "$1/there" || { echo no >&2; echo locked >&2; '
      .. 'exit 3; }; '
      .. 'echo opened-after-all')
    local from = { command = { path, dir } }
    local e = failure(from)
    assert.equal("secret_command", e.code)
    assert.equal(('there is no secret of `%s`: the command "%s" exited with code 3: locked'):format(path,
      path),
      e.message)
    assert.equal(3, e.details.code)
    assert(io.open(dir .. "/there", "w")):close()
    assert.equal("opened-after-all", flow.secret(from):value())
    assert.equal(2, times())
  end)

  it("is none where it cannot be run, prints nothing or too much, or is killed", function()
    for text, said in pairs { ["true"] = "printed nothing",
      ["head -c 70000 /dev/zero"] = "more than 64 KiB",
      ["kill -9 $$"] = "was ended by" } do
      assert.truthy(failure({ command = { program(text), text } }).message:find(said, 1, true))
    end
    local e = failure { command = { dir .. "/none" } }
    assert.equal("secret_command", e.code)
    assert.truthy(e.message:find("cannot be run", 1, true), e.message)
    for _, wrong in ipairs { {}, { 1 }, { "a", x = "b" }, { "" }, { "a\0b" }, "text" } do
      assert.is_false(pcall(flow.secret, { command = wrong }))
    end
    assert.is_false(pcall(flow.secret, { command = { "a" }, file = "b" }))
    assert.is_false(pcall(flow.secret, { file = "a", other = 1 }))
  end)

  it("lets the loop go on, and is ended with the last who waits for it", function()
    local path = program('echo $$ >"$1/pid"; exec sleep 600')
    local token = flow.secret { command = { path, dir } }
    local function started()
      local file = io.open(dir .. "/pid")
      local pid = file and file:read "n"
      if file then file:close() end
      return pid
    end
    local w = flow.workflow { name = "w", on_error = "continue" }
    for _, name in ipairs { "a", "b" } do
      w[name] = { run = function() return token:value() end }
    end
    local rt = flow.runtime {}
    local run = flow.start(w, { runtime = rt })
    while not started() do flow.sleep(0.01) end
    run:cancel()
    rt:wait(run)
    assert.equal("cancelled", run.state)
    while uv.kill(started(), 0) == 0 do flow.sleep(0.01) end
  end)
end)

describe("${secret.NAME} in a definition", function()
  local function load(text, options)
    options = options or {}
    options.source = text
    return flow.load(options)
  end

  local DEFINITION = [[{ "name": "w", "input": { "n": "integer" }, "nodes": [
    { "id": "run", "type": "exec", "with": { "argv": [ "sh", "-c", "printf '%s ' \"$@\"; printf %s \"$1\" | wc -c", "sh",
      "${secret.ORRERY_SPEC_TOKEN}", "<${ secret.ORRERY_SPEC_TOKEN }, ${input.n}>", "n=${input.n}" ] } } ] }]]
  local ALLOWED = { types = { "exec" }, commands = { "sh" }, secrets = { "ORRERY_SPEC_*" } }

  it("is looked up for each attempt, and joined to texts and values", function()
    local run = flow.run(load(DEFINITION, ALLOWED), { input = { n = 3 } })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.equal(("••• <•••, 3> n=3 %d\n"):format(#KNOWN), run:outputs().run.stdout)
  end)

  it("is used only where the loader allows its name", function()
    local function refused(secrets)
      local problems = flow.check(load(DEFINITION, { types = { "exec" }, commands = { "sh" },
        secrets = secrets }))
      return problems[1] and problems[1].message
    end
    assert.is_nil(refused { "ORRERY_SPEC_TOKEN" })
    local message = refused { "OTHER" }
    assert.truthy(message:find('the secret "ORRERY_SPEC_TOKEN" is not allowed here: the loader allows '
      .. '"OTHER"; add it '
      .. 'to its `secrets`', 1, true), message)
    assert.truthy(refused(nil):find("the loader allows none", 1, true))
    assert.is_false(pcall(load, DEFINITION, { secrets = "ORRERY_SPEC_TOKEN" }))
  end)

  it("stands in templates of Lua too, also in nodes within nodes and where a node is undone", function()
    local path = file_with "a\n1\n"
    uv.os_setenv("ORRERY_SPEC_PATH", path)
    local w = flow.workflow { name = "w" }
    w.rows = flow.pipe { { type = "csv.read", with = { path = "${secret.ORRERY_SPEC_PATH}" } } }
    w.sent = { after = "rows", run = function() return 7 end, compensate = { type = "exec", with = {
      argv = { "sh", "-c", 'printf %s "$1" >"$2"', "sh", "${secret.ORRERY_SPEC_TOKEN}-${nodes.sent}",
        path } } } }
    w.fails = { after = "sent", run = function() error "no" end }
    assert.equal("compensated", flow.run(w).state)
    local file <close> = assert(io.open(path))
    assert.equal(KNOWN .. "-7", file:read "a")
    os.remove(path)
  end)

  it("stands alone, and in config only", function()
    local function mistake(config, keys)
      local w = flow.workflow { name = "w" }
      w.a = flow.exec(config)
      for key, value in pairs(keys or {}) do w.a[key] = value end
      local problems = flow.check(w)
      return problems[1].message
    end
    local said = 'a secret stands in the config of a node type, alone between its braces: '
      .. '"Bearer ${secret.TOKEN}"'
    assert.truthy(mistake({ "echo", "${'x' .. secret.TOKEN}" }):find(said, 1, true))
    assert.truthy(mistake({ "echo", "${secret['TOKEN']}" }):find(said, 1, true))
    assert.truthy(mistake({ "echo", when = "secret.TOKEN == 'x'" }):find(said, 1, true))
    assert.truthy(mistake({ "echo", pool = "${secret.TOKEN}" }):find(said, 1, true))
    assert.truthy(mistake({ "echo", each = "${secret.TOKEN}" }):find(said, 1, true))
  end)
end)

describe("a secret as types write it", function()
  local VALUE = "p&ss/w0rd <ü> 'x' \"y\"+~"

  local function base64(text)
    local out = {}
    for i = 1, #text, 3 do
      local a, b, c = text:byte(i, i + 2)
      local bits = a << 16 | (b or 0) << 8 | (c or 0)
      for k = 3, 0, -1 do
        local digit = bits >> (6 * k) & 63
        out[#out + 1] = (k == 0 and not c or k == 1 and not b) and "="
          or ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):sub(digit + 1, digit + 1)
      end
    end
    return table.concat(out)
  end

  it("is masked: in URLs, forms, JSON, XML, a shell's words, lines", function()
    mask.protect(VALUE)
    local escaped = flow.url.escape(VALUE)
    for _, form in ipairs { VALUE, escaped, escaped:lower(), (escaped:gsub("%%20", "+")),
      flow.json.encode(VALUE):sub(2, -2),
      "p&amp;ss/w0rd &lt;ü&gt; 'x' \"y\"+~", "p&amp;ss/w0rd &lt;ü&gt; &#39;x&#39; &quot;y&quot;+~",
      VALUE:gsub("'", "'\\''"), "" } do
      if form ~= "" then assert.equal("<•••>", flow.masked("<" .. form .. ">")) end
    end
    mask.protect "-----BEGIN KEY-----\n  q8Zk3hdF7aLines\r\nshort\n"
    assert.same({ "•••", "short", "  •••" }, flow.masked { "-----BEGIN KEY-----", "short",
      "  q8Zk3hdF7aLines" })
  end)

  it("is masked in base64, wherever it begins and ends", function()
    for length = 6, 20 do
      local value = ("\xFB\xEFz?>~k3Yw-_+/Qx.b;a"):sub(1, length)
      mask.protect(value)
      for before = 0, 5 do
        for after = 0, 3 do
          local text = base64(("u"):rep(before) .. value .. ("v"):rep(after))
          for _, form in ipairs { text, (text:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })), (text:gsub("=",
            "")) } do
            local shown = flow.masked(form)
            local left = shown:gsub("•••", ""):gsub("=", "")
            assert.truthy(shown:find("•••", 1, true), form)
            assert.is_true(#left <= (before * 8 + 5) // 6 + (after * 8 + 5) // 6 + 2, form .. " " .. shown)
          end
        end
      end
    end
  end)
end)

local VALUE = "hunter2-correct-horse"

describe("a run with secrets", function()
  it("uses them, and its outputs, errors, logs, events and store do not have them", function()
    local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
    local result = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir
      unset ORRERY_STORE; cat >w.lua; export TOKEN=%s
      echo '{"name":"child","input":{"token":"string"},"nodes":[{"id":"a","type":"log","with":{"message":"${input.token}"}}]}' \
        >child.json
      %s run w.lua --json --store s.db >out 2>&1; cat out
      id=$(sed -n 's/.*"run":"\([-0-9a-f]*\)".*/\1/p' out | head -n1)
      for words in "show $id --outputs" "show $id --json" "logs $id" "why $id" "runs --json"; do
        %s $words --store s.db 2>&1
      done
      echo === store; cat s.db s.db-wal]]):format(VALUE, path, path), [[
local flow = require "orrery"
flow.pool("tenant", { max = 2 })
local token = flow.secret "TOKEN"
local w = flow.workflow { name = "w", on_error = "continue", output = function() return { token:value() } end }
w.length = flow.exec { "sh", "-c", 'printf %s "$1" | wc -c', "sh", token }
w.env = flow.exec { shell = "echo $T", env = { T = token } }
w.stdin = flow.exec { "cat", stdin = "x " .. token .. " y", after = "env" }
w.fails = flow.exec { "sh", "-c", "echo $1 >&2; exit 3", "sh", token }
w.code = { run = function(ctx)
  local value = token:value()
  ctx:log("info", "with " .. value, { token = value })
  ctx:progress(0.5, value)
  ctx:emit("used", { value })
  ctx:step("made", function() return value end)
  return { value = value, length = #value }
end }
w.raises = { run = function() error("bad " .. token:value()) end }
w.details = { run = function() flow.error { code = "c", message = "m", details = { token:value() } } end }
w.names = { run = function(ctx)
  local value = token:value()
  ctx:step("step " .. value, function() return 1 end)
  ctx:emit("event " .. value)
  pcall(ctx.wait, ctx, "signal " .. value, { timeout = 0.01 })
  return ctx:call("child.json", { token = value })
end }
w.items = { after = "names", each = function() return { token:value(), "two" } end,
  item_name = function(ctx) return "item " .. ctx.item end, pool = function() return "tenant:" .. token:value() end,
  run = function(ctx) return ctx.item end }
w.list_fails = { after = "names", each = function() error("list " .. token:value()) end, run = function() end }
w.when_fails = { after = "names", when = function() error("when " .. token:value()) end, run = function() end }
w.fallback = { run = function() error "no" end, fallback = function() return token:value() end }
w.undone = { run = function() error("undo " .. token:value()) end, retry = { max = 1, delay = 0.01 } }
w.in_worker = { strategy = "thread", run = function(ctx)
  local value = flow.secret "TOKEN":value()
  ctx:log("info", "worker " .. value)
  return { value, #value }
end }
w.worker_exec = flow.exec { "sh", "-c", "echo $1; exit 3", "sh", "cut " .. token, strategy = "thread", output = "inherit" }
w.worker_fails = { strategy = "thread", run = function() error("worker fails " .. flow.secret "TOKEN":value()) end }
w.missing = flow.exec { "true", env = { X = flow.secret "ORRERY_NO_SUCH_NAME" } }
return w
]])
    local text = result.out
    local shown, store = text:match "^(.-)=== store\n(.*)$"
    assert.is_nil(text:find(VALUE, 1, true))
    assert.is_true(shown:find(tostring(#VALUE), 1, true) ~= nil, shown)
    assert.is_true(shown:find("x ••• y", 1, true) ~= nil, shown)
    assert.is_true(shown:find("with •••", 1, true) ~= nil, shown)
    assert.is_true(shown:find("bad •••", 1, true) ~= nil, shown)
    assert.is_true(shown:find("there is no secret ORRERY_NO_SUCH_NAME", 1, true) ~= nil, shown)
    for _, part in ipairs { "worker •••", "worker fails •••", "step •••", "signal •••", "item •••",
      "list •••",
      "when •••", "cut •••" } do
      assert.is_true(shown:find(part, 1, true) ~= nil, part .. "\n" .. shown)
    end
    assert.is_true(store:find("TOKEN", 1, true) ~= nil) -- its name
  end)

  it("does not cache what it does with them", function()
    local path = file_with "a-secret-value"
    local w = flow.workflow { name = "w" }
    w.a = flow.const { value = { flow.secret { file = path } }, cache = true }
    local run = flow.run(w)
    assert.same({ "•••" }, run.output or run:outputs().a)
    os.remove(path)
  end)
end)

describe("the user and password of a URL", function()
  local URLS = { "http://u:PASSWORD@127.0.0.1:1/x", "http://u:PASS@WORD@127.0.0.1:1/x",
    "http://u:PASS/WORD@127.0.0.1:1/x", "http://u:PASSWORD\\x@127.0.0.1:1/x",
    "http://u:PASS?WORD@127.0.0.1:1/x", "http://u:PASS#WORD@127.0.0.1:1/x" }
  for _, url in ipairs(URLS) do
    it("are in no error of " .. url, function()
      local w = flow.workflow { name = "w" }
      w.a = flow.http.get { url = url, max_time = 3 }
      local run = flow.run(w)
      assert.equal("failed", run.state)
      local text = flow.json.encode(run.error)
      assert.is_nil(text:find("PASS", 1, true), text)
      assert.is_nil(text:find("WORD", 1, true), text)
    end)
  end
end)
