-- Processes that keep runs, killed at commits and at random moments: what was committed is neither
-- lost nor done again. `make crash` does the same at length. The seed is new each time; CRASH_SEED
-- repeats one, as far as the machine's timing lets it.
local flow = require "orrery"
local harness = require "spec.crash.harness"
local journal = require "spec.crash.journal"
local storm = require "spec.crash.storm"
local world = require "spec.crash.world"
local command = require "spec.support.command"

local SEED = tonumber(os.getenv "CRASH_SEED") or os.time() % 1000000

local function campaign(body)
  local folder = os.tmpname()
  os.remove(folder)
  local all = harness.new(folder .. ".crash", SEED)
  body(all)
  local reported = all:summary() .. "\n" .. table.concat(all.broken, "\n")
  print("crash: " .. all:summary())
  all:close()
  assert(#all.broken == 0, reported)
  return all
end

describe("a kill", function()
  it("at a commit, before it or after it, breaks no promise", function()
    local all = campaign(function(all)
      for _, name in ipairs { "chain", "saga", "steps", "signals", "parent", "wide" } do
        all:boundaries(name, 8)
      end
    end)
    assert(all.kills >= 15, all:summary())
  end)

  it("at a random moment breaks no promise", function()
    local all = campaign(function(all)
      while all.kills < 15 do all:random(10) end
    end)
    assert(all.runs >= 10, all:summary())
  end)

  it("of one of two processes on a store breaks no promise", function()
    campaign(function(all)
      while all.kills < 15 do all:pair(10) end
    end)
  end)
end)

describe("a storm of commands on one store", function()
  it("leaves runs that end as if nothing had happened", function()
    local folder = os.tmpname()
    os.remove(folder)
    local all = storm.new(folder .. ".storm", SEED)
    all:wave(3, 4)
    local reported = all:summary() .. "\n" .. table.concat(all.broken, "\n")
    print("storm: " .. all:summary())
    all:close()
    assert(#all.broken == 0, reported)
    assert(all.commands > 10, all:summary())
  end)
end)

local KILLER = [[
local flow = require "orrery"
local w = flow.workflow { name = "killer", output = "${nodes.after}" }
w.before = { run = function() return 1 end }
w.killer = { after = "before", run = function(ctx)
  if io.open "calm" then return ctx.attempt end
  require "luv".kill(require "luv".os_getpid(), "sigkill")
end }
w.after = { after = "killer", run = function(ctx, inputs) return inputs.killer + 10 end }
return w]]

describe("a handler that ends its process", function()
  local function story(lines)
    local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
    return command.shell(([[dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
      orrery() { %s "$@"; }
      export ORRERY_STORE=sqlite:$dir/runs.db; cd $dir; cat >w.lua <<'END'
%s
END
%s]]):format(path, KILLER, lines))
  end
  local THREE = [[orrery run w.lua -q 2>/dev/null; echo "run $?"
    id=$(orrery runs --json | sed 's/.*"id":"\([^"]*\)".*/\1/')
    for i in 1 2; do orrery resume -q $id 2>/dev/null; echo "resume $?"; done
    orrery resume -q $id 2>err; echo "last $?"; cat err]]

  it("three times ends in crash_loop, and a retry gives it another try", function()
    local done = story(THREE .. [[

      orrery show $id | grep -c crash_loop
      touch calm; orrery retry -q $id; echo "retry $?"]])
    assert.matches("^run 137\nresume 137\nresume 137\nlast 1\n", done.out)
    assert.matches("attempt 1 was cut off 3 times by the end of its process: 'orrery retry' lets it try "
      .. "again, "
      .. "and 'orrery resume %-%-force' does not give it up in the first place", done.out)
    assert.matches("crash_loop", done.out)
    assert.matches("\n12\nretry 0\n$", done.out)
  end)

  it("goes on by force before that", function()
    local done = story((THREE:gsub("orrery resume %-q %$id 2>err",
      "touch calm; orrery resume -q --force $id 2>err")))
    assert.matches("^run 137\nresume 137\nresume 137\n11\nlast 0\n", done.out)
  end)

  it("goes on by force in a child run, too", function()
    local done = story((THREE:gsub("orrery resume %-q %$id 2>err",
      "touch calm; orrery resume -q --force $id 2>err"):gsub(
      "^", [[printf '%%s\n' 'local flow = require "orrery"' 'local w = flow.workflow { name = "parent", output = "${nodes.call}" }' \
      'w.call = flow.call { workflow = "w.lua" }' 'return w' >parent.lua
      ]]):gsub("run w.lua", "run parent.lua"):gsub("orrery runs %-%-json", "orrery runs --json --workflow parent")))
    assert.matches("^run 137\nresume 137\nresume 137\n11\nlast 0\n", done.out)
  end)
end)

describe("the harness notices", function()
  -- A chain that was killed after its fourth commit, and what the watch says once `harm` was done.
  local function harmed(harm)
    local folder = os.tmpname()
    os.remove(folder)
    local one = world.one("chain", 1)
    local w = world.new(folder .. ".d", { one })
    w:outlive(w:start(w:running(one), "4:after"))
    w.watch:mark()
    assert.same({}, w.watch.broken)
    harm(w, one)
    local ok, problem = pcall(w.watch.mark, w.watch)
    w:close()
    os.execute("rm -rf " .. folder .. ".d")
    return ok and table.concat(w.watch.broken, "\n") or tostring(problem)
  end

  local function tell(w, one, node)
    local file <close> = assert(io.open(w.folder .. "/log", "a"))
    file:write(("begin\t%s\t%s\t0\t1\t1\t0a-0b\t-\t1\n"):format(one.id, node))
  end

  it("what is done again after it was committed", function()
    assert.matches("begin n2/0/1/1 again after its end was committed",
      harmed(function(w, one) tell(w, one, "n2") end))
  end)

  it("what is done before that which it needs was committed", function()
    assert.matches("begin n9/0/1/1 before what it depends on was committed",
      harmed(function(w, one) tell(w, one, "n9") end))
  end)

  it("what begins before its record in a process that did not make the run", function()
    assert.matches("begin n9/0/1/1 before its start was committed",
      harmed(function(w, one) tell(w, one, "n9") end))
  end)

  it("a commit that is lost", function()
    assert.matches("record %d+ is another than was committed", harmed(function(w, one)
      assert.equal(1, w.store:change { { "DELETE FROM commits WHERE id = (SELECT max(id) FROM commits)" } })
      w:outlive(w:start(w:resuming(one.id)))
    end))
  end)
end)

describe("the decoder of the harness", function()
  it("reads what the engine's own reads", function()
    local folder = os.tmpname() .. ".d"
    local url = "sqlite:" .. folder .. "/runs.db"
    assert(os.execute("mkdir " .. folder))
    local rt = flow.runtime { store = url }
    local w = flow.workflow { name = "w" }
    w.a = { each = { 1, 2 }, run = function(ctx) return ctx:step("s", function() return ctx.item end) end }
    local run = rt:wait(flow.start(w, { runtime = rt }))
    local own = run:journal()
    rt:close()
    local store <close> = require "orrery.core".store(url)
    local read = {}
    for row in journal.rows(store, 0) do table.move(row.records, 1, #row.records, #read + 1, read) end
    assert.equal(#own, #read)
    for i, record in ipairs(own) do
      assert.same({ record.kind, record.seq }, { read[i].kind, read[i].seq })
    end
    os.execute("rm -rf " .. folder)
  end)
end)
