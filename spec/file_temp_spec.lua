-- file.temp, and types of one's own with `cleanup`: what they make is gone when the run has ended,
-- however it does.
local command = require "spec.support.command"
local flow = require "orrery"
local uv = require "luv"
local workplace = require "spec.support.workplace"

local here

before_each(function() here = workplace.new() end)
after_each(function() here:close() end)

local function temp(more)
  local config = { dir = here.root }
  for key, value in pairs(more or {}) do config[key] = value end
  return flow.file.temp(config)
end

-- A workflow with a folder that a node writes into, which then does `act`.
local function with_folder(act, options)
  options = options or {}
  options.name = "w"
  local w = flow.workflow(options)
  w.tmp = temp()
  w.use = { after = "tmp", run = function(ctx, inputs)
    assert.equal("directory 700\n", here:sh(("stat -c '%%F %%a' '%s'"):format(inputs.tmp.path)))
    here:sh(("mkdir -p '%s/a/b'; echo x >'%s/a/b/c'"):format(inputs.tmp.path, inputs.tmp.path))
    return act(ctx, inputs)
  end }
  return w
end

describe("file.temp", function()
  it("makes a folder that is gone when the run has completed", function()
    local w = with_folder(function(_, inputs) return inputs.tmp.path end, { output = "${nodes.use}" })
    local run = flow.run(w)
    assert.equal("completed", run.state)
    assert.matches("/orrery%-" .. run.id:gsub("%-", "%%-") .. "%-tmp$", run.output)
    assert.equal("", here:names())
    assert.equal("completed", run:states()["tmp.cleanup"])
  end)

  it("is gone in a workflow with groups, too", function()
    local w = with_folder(function() end)
    w.pair = flow.parallel { a = flow.const { 1 }, b = flow.sequence { flow.const { 2 }, flow.const { 3 } } }
    assert.equal("completed", flow.run(w).state)
    assert.equal("", here:names())
  end)

  it("is gone when the run has failed, was cancelled or timed out", function()
    local run = flow.run(with_folder(function() error "no" end))
    assert.equal("failed", run.state)
    assert.equal("", here:names())
    run = flow.run(with_folder(function(ctx) ctx:sleep(600) end, { timeout = 0.3 }))
    assert.equal("run_timeout", run.error.code)
    assert.equal("", here:names())
    local w
    w = with_folder(function(ctx)
      run:cancel()
      ctx:sleep(600)
    end)
    run = flow.start(w)
    flow.runtime():wait(run)
    assert.equal("cancelled", run.state)
    assert.equal("", here:names())
  end)

  it("is there for cleanup nodes, and for what undoes", function()
    local seen = {}
    local w = with_folder(function() error "no" end)
    w.paid = { after = "tmp", run = function() return 1 end, compensate = function(ctx)
      seen.undo = here:names():find "a/b/c" ~= nil and ctx.node
    end }
    w.last = { after = { "use", "paid" }, join = "done", run = function()
      seen.last = here:names():find "a/b/c" ~= nil
    end }
    w.use.after = { "tmp", "paid" }
    assert.equal("compensated", flow.run(w).state)
    assert.same({ undo = "paid", last = true }, seen)
    assert.equal("", here:names())
  end)

  it("gives each item its own, each iteration an empty one, and a file where one is named", function()
    local seen, tries = {}, 0
    local w = flow.workflow { name = "w" }
    w.each = temp { each = { "a", "b" }, name = "rows.csv" }
    w.look = { after = "each", run = function(_, inputs)
      for i, one in ipairs(inputs.each) do
        local path = one.path:match "/orrery.*$":gsub("orrery.*each", "R")
        seen[i] = path .. here:sh(("stat -c ' %%s %%a' '%s'"):format(one.path))
      end
    end }
    w.again = temp { after = "look", loop = { max = 3, ["until"] = function(ctx, output)
      tries = tries + 1
      assert.equal("", here:sh(("ls '%s'; touch '%s/x'"):format(output.path, output.path)))
      return ctx.iteration == 3
    end } }
    local run = flow.run(w)
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.same({ { "/R/1/rows.csv 0 600\n", "/R/2/rows.csv 0 600\n" }, 3 }, { seen, tries })
    assert.equal("", here:names())
  end)

  it("is gone after its process was killed and the run resumed, also by one with another TMPDIR", function()
    here:write("w.lua", [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.tmp = flow.file.temp {}
      w.each = flow.file.temp { each = { 1, 2 } }
      w.wait = { after = { "tmp", "each" }, run = function(ctx) ctx:wait("go", { timeout = "1h" }) end }
      return w]])
    local said = here:sh((([[mkdir one two; export TMPDIR=$PWD/one
      %s run w.lua --store sqlite:s.db >out 2>&1 & pid=$!
      until grep -q 'wait  waits' out 2>/dev/null; do sleep 0.1; kill -0 $pid || break; done
      kill -9 $pid; wait $pid 2>/dev/null; ls one | wc -l
      id=$(%s runs --store sqlite:s.db --json | grep -o '"id":"[^"]*"' | cut -d'"' -f4)
      TMPDIR=$PWD/two %s signal $id go --store sqlite:s.db >/dev/null 2>&1
      TMPDIR=$PWD/two timeout 60 %s resume $id --store sqlite:s.db >/dev/null 2>&1; echo "code $?"; ls one two]])
      :gsub("%%s", uv.fs_realpath(command.path))))
    assert.equal("2\ncode 0\none:\n\ntwo:\n", said)
  end)

  it("works in a definition in JSON, in a part of a workflow, and where the node is skipped", function()
    local w = flow.load { source = flow.json.encode { name = "j", nodes = flow.json.array {
      { id = "t", type = "file.temp", with = { dir = here.root } } } },
      types = { "file.temp" }, paths = { here.root } }
    assert.equal("completed", flow.run(w).state)
    local refused = flow.load { source = '{"name":"j","nodes":[{"id":"t","type":"file.temp"}]}',
      types = { "file.temp" }, paths = { here.root } }
    assert.equal("not_allowed", flow.run(refused).error.code)
    w = with_folder(function() error "not run" end)
    local run = flow.run(w, { only = "tmp" })
    assert.same({ "completed", { tmp = "completed", ["tmp.cleanup"] = "completed" } },
      { run.state, run:states() })
    run = flow.run(with_folder(function() end), { from = "use" })
    assert.is_nil(run:states()["tmp.cleanup"])
    w = flow.workflow { name = "w" }
    w.first = temp()
    w.second = temp()
    w.use = { after = "second", run = function(_, inputs) return uv.fs_stat(inputs.second.path).type end }
    run = flow.run(w, { only = "use" })
    assert.same({ "directory", "skipped", "completed" },
      { run:outputs().use, run:states()["first.cleanup"], run:states()["second.cleanup"] })
    w = flow.workflow { name = "w" }
    w.tmp = temp { when = "false" }
    assert.equal("skipped", flow.run(w):states()["tmp.cleanup"])
    assert.equal("", here:names())
  end)

  it("takes no folder that somebody else has made, and follows no link", function()
    here:sh "mkdir precious; echo x >precious/x"
    local w = flow.workflow { name = "w" }
    w.plant = { run = function(ctx)
      uv.fs_symlink(here:at "precious", here:at("orrery-" .. ctx.run.id .. "-tmp"))
    end }
    w.tmp = temp { after = "plant" }
    local e = flow.run(w).error
    assert.equal("file_error", e.code)
    assert.matches("somebody else has made it", e.message)
    assert.equal("precious precious/x ", here:names())
  end)

  it("says why it cannot be made, or called inside a handler", function()
    local e = workplace.failure(temp { dir = here:at "none" })
    assert.same({ "file_error", "ENOENT" }, { e.code, e.details.errno })
    for _, name in ipairs { "a/b", "..", "" } do
      local w = flow.workflow { name = "w" }
      w.tmp = temp { name = name }
      assert.matches("is no name of a file", flow.check(w)[1].message)
    end
    local w = flow.workflow { name = "w" }
    w.it = { run = function() return flow.file.temp {} end }
    e = flow.run(w).error
    assert.equal("config_error", e.code)
    assert.matches("write it as one, w.x = flow.file.temp", e.message, 1, true)
  end)
end)

describe("a type with cleanup", function()
  it("is cleaned up after with its config, and what that raises fails the run", function()
    local did = {}
    local lease = flow.type { name = "test.lease", config = { what = "string", fails = "boolean?" },
      run = function(_, config) did[#did + 1] = "take " .. config.what end,
      cleanup = function(ctx, config, node)
        did[#did + 1] = ("give back %s of %s, %s"):format(config.what, node, ctx.states[node])
        if config.fails then error "cannot" end
      end }
    local w = flow.workflow { name = "w" }
    w.a = lease { what = "${input.what}", retry = 2 }
    w.b = { after = "a", run = function() did[#did + 1] = "use" end }
    assert.equal("completed", flow.run(w, { input = { what = "it" } }).state)
    assert.same({ "take it", "use", "give back it of a, completed" }, did)
    w = flow.workflow { name = "w" }
    w.a = lease { what = "it", fails = true }
    local run = flow.run(w)
    assert.same({ "failed", "a.cleanup" }, { run.state, run.error.node })
  end)
end)
