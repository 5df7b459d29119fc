-- What goes wrong with the place where runs are kept: each time a sentence that says what and what
-- helps, or a correct run; never a silent loss and never a hang.

local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local stories = require "spec.support.story"
local uv = require "luv"

local WORKFLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.c}" }
w.a = { run = function() return 1 end }
w.b = { after = "a", run = function(ctx)
  local input = ctx.input or {}
  ctx:sleep(input.sleep or 0)
  while input.gate and not io.open "go" do flow.sleep "10ms" end
  return ("x"):rep(input.size or 1)
end }
w.c = { after = "b", run = function(_, inputs) io.open("did", "a"):write "c\n" return #inputs.b end }
return w]]

local function story(lines) return stories.tell(WORKFLOW, lines) end

local has = stories.has

local function is_root() return command.shell("id -u").out == "0\n" end

describe("a store that is none", function()
  it("of another kind of file is refused", function()
    local done = story [[
      echo "a plain text, long enough to look like something, which is no database at all" >text.db
      run text.db; resume text.db
      for size in 1 15 70; do head -c $size text.db >short.db; run short.db; cmp -n $size text.db short.db; done]]
    has(done, "code 2", "text.db' cannot be opened: the file is no SQLite database: restore a backup, or "
      .. "name another file")
    assert(not done.out:find "code 0" and not done.out:find "differ", done.out)
  end)

  it("of a newer schema is left alone", function()
    local done = story [[
      run r.db; sqlite3 r.db "PRAGMA user_version = 99"; run r.db; resume r.db; sqlite3 r.db "PRAGMA user_version"]]
    has(done, "code 0\ncode 2\ncode 2\n99\n",
      "has schema version 99, made by a newer Orrery, and this one knows versions up to 7: "
      .. "use the newer Orrery, or another store")
  end)

  it("is cut off is said to be damaged", function()
    local done = story [[run r.db; truncate -s 20000 r.db; run r.db; resume r.db; orrery runs --store sqlite:r.db; echo "code $?"]]
    has(done, "code 0\ncode 2\ncode 2\ncode 1\n",
      "the file is damaged: restore a backup, or save what can be read with `sqlite3 FILE .recover`")
  end)

  it("is overwritten in the middle is said to be damaged", function()
    local done = story [[
      run r.db; yes damage | dd of=r.db bs=4096 seek=2 count=6 conv=notrunc iflag=fullblock status=none; run r.db]]
    has(done, "code 0\ncode 2\n", "the file is damaged")
  end)

  it("lost its process while it was overwritten is checked before its runs go on", function()
    local done = story [[
      ORRERY_CRASH=3 orrery run w.lua -q --store sqlite:r.db 2>/dev/null; echo "run $?"
      sqlite3 r.db 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
      pages=$(($(stat -c %s r.db) / 4096))
      yes damage | dd of=r.db bs=4096 seek=1 count=$((pages - 1)) conv=notrunc iflag=fullblock status=none
      resume r.db]]
    has(done, "run 137\ncode 2\n", "the file is damaged")
  end)

  it("is found damaged beside a run ends the run, and is refused until it is mended", function()
    local done = story [[
      ORRERY_CRASH=3 orrery run w.lua -q --store sqlite:r.db 2>/dev/null; echo "run $?"
      sqlite3 r.db 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
      at=$(($(sqlite3 r.db "SELECT rootpage FROM sqlite_schema WHERE name = 'signals'") - 1))
      dd if=r.db of=page bs=4096 skip=$at count=1 status=none
      yes damage | dd of=r.db bs=4096 seek=$at count=1 conv=notrunc iflag=fullblock status=none
      orrery run w.lua -q -i sleep:=600 --store sqlite:r.db; echo "long $?"
      run r.db; resume r.db
      dd if=page of=r.db bs=4096 seek=$at count=1 conv=notrunc status=none
      run r.db]]
    has(done, "run 137\nlong 1\ncode 2\ncode 2\n1\ncode 0\n", "the file is damaged (signals: ",
      "[store_error]")
  end)
end)

describe("a store that may not be written", function()
  it("because of its file", function()
    local done = story [[run r.db; chmod 444 r.db; as_user run w.lua -q --store sqlite:r.db; echo "code $?"]]
    has(done, "code 0\ncode 2\n", "r.db' cannot be opened: ", "Permission denied")
  end)

  it("because of its folder", function()
    local done = story [[mkdir ro; chmod 555 ro; as_user run w.lua -q --store sqlite:ro/r.db; echo "code $?"]]
    has(done, "code 2\n", "ro/r.db' cannot be made (Permission denied): make its directory writable, or name "
      .. "another")
  end)
end)

describe("a store that goes away", function()
  local ways = { ["with its folder"] = "rm -rf place", ["alone"] = "rm -f place/r.db*",
    ["for another"] = "cp place/r.db x; mv x place/r.db" }
  for name, lost in pairs(ways) do
    it(name .. " is reported, and nothing goes on that is not kept", function()
      local done = story(([[mkdir place
        orrery run w.lua -i gate:=true --store sqlite:place/r.db >out 2>&1 & sh=$!
        await out 'b  waits'; pid=$(pid_of place/r.db)
        %s
        touch go; await out 'store  error'; ls did 2>&1; kill -TERM $pid; wait $sh; echo "code $?"; cat out]]):format(lost))
      has(done, "of the store was deleted, moved or replaced while it was open: put it back, or end this "
        .. "process and start again",
        "cannot access 'did'")
      assert(not done.out:find "code 0", done.out)
    end)
  end
end)

describe("a full disk", function()
  local function on_full_disk(lines)
    if not is_root() then
      pending "only root can mount a small disk"
      return nil
    end
    local done = story([[mkdir full; mount -t tmpfs -o size=512k tmpfs full || { echo "no mount"; exit; }
      orrery run w.lua -i sleep:=0.1 -i size:=700000 --store sqlite:full/r.db >out 2>&1 & sh=$!
      await out 'store  error'; ls did 2>&1; grep 'store  error' out
      ]] .. lines)
    if done.out:find("no mount", 1, true) then
      pending "no file system can be mounted here"
      return nil
    end
    has(done, "cannot access 'did'", "full/r.db' cannot be written: the disk is full: free some space")
    return done
  end

  it("is reported, and the run goes on once there is room", function()
    local done = on_full_disk [[mount -o remount,size=8m full; wait $sh; echo "code $?"; cat did out]]
    if done then has(done, "code 0\nc\n", "store  info: the store can be written again", "700000") end
  end)

  it("does not keep a run from being suspended and resumed", function()
    local done = on_full_disk [[kill -TERM $(pid_of full/r.db); wait $sh; echo "code $?"
      mount -o remount,size=8m full; resume full/r.db; cat did; sqlite3 full/r.db 'SELECT state, output FROM runs']]
    if done then has(done, "code 5\ncode 0\nc\ncompleted|700000\n") end
  end)
end)

describe("two processes on a store", function()
  local LONG = [[
    orrery run w.lua -i gate:=true -q --store sqlite:r.db >one 2>&1 & one=$!
    for i in $(seq 6000); do [ -n "$(sqlite3 r.db 'SELECT id FROM runs' 2>/dev/null)" ] && break; sleep 0.01; done
    id=$(sqlite3 r.db 'SELECT id FROM runs'); pid=$(pid_of r.db)
]]

  it("keep their own runs, and do not take the other's", function()
    local done = story(LONG .. [[
      run r.db; resume r.db; orrery resume $id --store sqlite:r.db; echo "code $?"
      touch go; wait $one; echo "one $?"; cat one; cat did; sqlite3 r.db "SELECT count(DISTINCT fence) FROM journal WHERE run = 1"]])
    has(done, "one 0\n1\nc\nc\n1\n", "wait for it or end it, or take the run with force")
  end)

  it("one that was stopped while its run was taken with force writes nothing more, and says so", function()
    local done = story(LONG .. [[
      $support/stop.sh $pid r.db; touch go
      orrery resume $id -q --force --store sqlite:r.db; echo "taken $?"
      before=$(sqlite3 r.db 'SELECT count(*), max(fence) FROM journal')
      kill -CONT $pid; wait $one; echo "one $?"
      [ "$before" = "$(sqlite3 r.db 'SELECT count(*), max(fence) FROM journal')" ] && echo "nothing written"
      cat one did; sqlite3 r.db 'SELECT state, output FROM runs']])
    -- it finds out when it looks, or when it wants to write
    has(done, "1\ntaken 0\n", "nothing written", "taken over", "c\ncompleted|1\n")
    assert(not done.out:find("one 0", 1, true), done.out)
    assert(select(2, done.out:gsub("c\n", "")) == 1, done.out)
  end)
end)

describe("a clock that jumped back", function()
  it("does not keep a run from going on, nor its sleep from ending", function()
    local folder = os.tmpname() .. ".d"
    local url = "sqlite:" .. folder .. "/runs.db"
    assert(os.execute("mkdir " .. folder))
    local w = flow.workflow { name = "w", output = "${nodes.b}" }
    w.a = { run = function() return 1 end }
    w.b = { after = "a", run = function(ctx) ctx:sleep(60) return ctx.nodes.a + 1 end }
    local compiled = flow.compile(w)
    -- A day ahead, left while it sleeps.
    local ahead = core.runtime { clock = "virtual", now = core.time() + 86400, store = url }
    local run = flow.start(compiled, { runtime = ahead })
    local id = run.id
    for _ = 1, 60000 do
      if run:states().b == "waiting" then break end
      ahead:step()
      uv.sleep(1) -- for the disk
    end
    assert.equal("waiting", run:states().b)
    run:suspend()
    ahead:close()
    local now = core.runtime { clock = "virtual", now = core.time(), store = url }
    local again = now:wait(now:restore(compiled.plan, id, {}))
    assert.equal("completed", again.state)
    assert.equal(2, again.output)
    local records, due = again:journal(), nil
    for i, record in ipairs(records) do
      assert.equal(i, record.seq)
      if record.kind == "waiting" then due = record.due end
    end
    assert(records[#records].time >= due, "it slept less than it was to")
    now:close()
    os.execute("rm -rf " .. folder)
  end)
end)
