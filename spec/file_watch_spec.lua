-- file.watch: real files that come, change and go while a node waits.
local flow = require "orrery"
local uv = require "luv"
local workplace = require "spec.support.workplace"

local failure, output = workplace.failure, workplace.output
local file = flow.file

local here

before_each(function() here = workplace.new() end)
after_each(function() here:close() end)

-- Runs the node, does something once it waits, and returns its output and the seconds it took.
local function watched(config, act)
  local w, began = flow.workflow { name = "w", output = "${nodes.it}" }, uv.hrtime()
  config.path = here:at(config.path)
  config.timeout = config.timeout or 60
  w.it = file.watch(config)
  w.act = { run = function(ctx)
    ctx:sleep(0.2)
    act(ctx)
  end }
  local run = flow.run(w)
  assert.equal("completed", run.state, run.error and run.error.message)
  return run.output, (uv.hrtime() - began) / 1e9
end

local function names(list)
  local made = {}
  for i, path in ipairs(list) do made[i] = path:match "[^/]*$" end
  return table.concat(made, " ")
end

describe("file.watch", function()
  it("sees a file change, by an event and not by looking now and then", function()
    here:write("conf", "old")
    local out, seconds = watched({ path = "conf", poll = 600 }, function() here:write("conf", "newer") end)
    assert.same({ path = here:at "conf", created = {}, changed = { here:at "conf" }, removed = {} }, out)
    assert.is_true(seconds < 50, seconds)
  end)

  it("sees a file that is renamed over it, comes or goes", function()
    here:write("conf", "old")
    here:write("next", "new")
    local out = watched({ path = "conf", poll = 600 }, function() here:sh "mv next conf" end)
    assert.equal("conf", names(out.changed))
    out = watched({ path = "conf", poll = 600 }, function() here:sh "rm conf" end)
    assert.equal("conf", names(out.removed))
    out = watched({ path = "conf", poll = 600 }, function() here:write("conf", "") end)
    assert.equal("conf", names(out.created))
  end)

  it("sees what changes in a folder, of the names that fit", function()
    here:sh "mkdir inbox; echo 1 >inbox/a.csv; echo 1 >inbox/b.csv"
    local out = watched({ path = "inbox", pattern = "*.csv", poll = 600 }, function(ctx)
      here:write("inbox/c.txt", "not this one")
      ctx:sleep(0.2)
      here:sh "mkdir other; cp inbox/a.csv other/; echo 2 >>other/a.csv; mv other/a.csv inbox"
    end)
    assert.same({ "", "a.csv", "" }, { names(out.created), names(out.changed), names(out.removed) })
    out = watched({ path = "inbox", poll = 600 }, function() here:sh "rm inbox/b.csv" end)
    assert.equal("b.csv", names(out.removed))
  end)

  it("waits until something is there, or is not, and not where that is so", function()
    here:sh "mkdir inbox"
    local out = watched({ path = "inbox", pattern = "*.csv", on = "create", poll = 600 },
      function() here:sh "touch inbox/x.txt; sleep 0.1; touch inbox/x.csv" end)
    assert.equal("x.csv", names(out.created))
    out = output(file.watch { here:at "inbox", pattern = "*.csv", on = "create", timeout = 60 })
    assert.equal("x.csv", names(out.created))
    out = watched({ path = "lock", on = "remove" }, function() end)
    assert.equal("", names(out.removed))
    here:write("lock", "")
    out = watched({ path = "lock", on = "remove", poll = 600 }, function() here:sh "rm lock" end)
    assert.equal("lock", names(out.removed))
  end)

  it("waits until a file is not written any more", function()
    local out = watched({ path = "big", on = "create", settle = 0.5 }, function(ctx)
      for i = 1, 8 do
        here:sh("echo " .. i .. " >>big")
        ctx:sleep(0.1)
      end
    end)
    assert.equal("big", names(out.created))
    assert.equal("1\n2\n3\n4\n5\n6\n7\n8\n", here:read "big")
  end)

  it("looks now and then where no event comes, as for a folder that is not there yet", function()
    local out = watched({ path = "later/on/file", on = "create", poll = 0.05 },
      function() here:sh "mkdir -p later/on; touch later/on/file" end)
    assert.equal("file", names(out.created))
  end)

  it("ends with its timeout, and where it is cancelled", function()
    here:write("conf", "old")
    local e = failure(file.watch { here:at "conf", timeout = 0.1 })
    assert.same({ "watch_timeout", false, here:at "conf" }, { e.code, e.retryable, e.details.path })
    assert.same({ path = here:at "conf", timed_out = true },
      output(file.watch { here:at "conf", timeout = 0.1, on_timeout = "continue" }))
    local rt = flow.runtime { clock = "virtual" }
    e = failure(file.watch { here:at "conf", timeout = "1d" }, { runtime = rt })
    assert.equal("watch_timeout", e.code)
    local w = flow.workflow { name = "w", timeout = 0.2 }
    w.it = file.watch { here:at "conf" }
    assert.equal("run_timeout", flow.run(w).error.code)
  end)

  it("fails where it may not look", function()
    local e = failure(file.watch { path = ("x"):rep(300), timeout = 60 })
    assert.same({ "file_error", "ENAMETOOLONG" }, { e.code, e.details.errno })
    assert.equal("config_error",
      failure(file.watch { here.root, pattern = ("x"):rep(300), timeout = 60 }).code)
  end)

  it("finds after a resume what has changed while no process ran", function()
    here:write("conf", "old")
    here:write("w.lua", [[local flow = require "orrery"
      local w = flow.workflow { name = "w", output = "${nodes.it}" }
      w.it = flow.file.watch { "conf" }
      return w]])
    local command = require "spec.support.command"
    local said = here:sh((([[%s run w.lua --store sqlite:s.db >out 2>&1 & pid=$!
      id=; while [ -z "$(%s runs --store sqlite:s.db --json 2>/dev/null | grep -o '"id"')" ]; do sleep 0.1; done
      id=$(%s runs --store sqlite:s.db --json | grep -o '"id":"[^"]*"' | cut -d'"' -f4)
      until sqlite3 s.db .dump | grep -q "'before'"; do sleep 0.1; kill -0 $pid || break; done
      kill -9 $pid; wait $pid 2>/dev/null; echo newer >conf
      timeout 60 %s resume $id --store sqlite:s.db; echo "code $?"]]):gsub("%%s", uv.fs_realpath(command.path))))
    assert.matches('"changed": %[%s+"conf"', said)
    assert.matches("code 0", said)
  end)
end)
