-- Files of a store that are copied, replaced, restored or have two names: what comes out is right,
-- or a sentence says why not; never a store that is mixed of two.

local stories = require "spec.support.story"

local WORKFLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "w", output = "${nodes.c}" }
w.a = { run = function() return 1 end }
w.b = { after = "a", run = function(ctx) ctx:sleep((ctx.input or {}).sleep or 0) return "b" end }
w.c = { after = "b", run = function() io.open("did", "a"):write "c\n" return 1 end }
return w]]

local function story(lines)
  return stories.tell(WORKFLOW, [[
    list() { orrery runs --json --store sqlite:$1 | grep -o '"state":"[a-z]*"' | sort | uniq -c; echo "list $?"; }
    # a run that waits for long, in the background: its process is $waiting
    begin() { orrery run w.lua -i sleep:=60 --store sqlite:$1 >out 2>&1 & await out 'b  waits'; waiting=$(pid_of $1); }
    kill_it() { kill -9 $waiting; wait 2>/dev/null; }
    ]] .. lines)
end
local has = stories.has

describe("a backup beside the log of another time", function()
  it("is refused, and restored in its place", function()
    local done = story [[
      run s.db; orrery backup --store sqlite:s.db b.db
      begin s.db; kill_it; cp b.db s.db
      list s.db; resume s.db; orrery runs --store s.db; echo "code $?"
      orrery restore b.db --store s.db; echo "code $?"
      orrery restore b.db --store s.db --overwrite; echo "code $?"
      list s.db; run s.db; list s.db]]
    has(done, "s.db-wal' belongs to another file than ",
      "restore a backup with `orrery restore BACKUP --overwrite`",
      "s.db' is there already: replace it with --overwrite, or name another",
      "s.db holds what b.db did: 1 run\ncode 0\n      1 \"state\":\"completed\"\nlist 0\n1\ncode 0\n"
      .. "      2 \"state\":\"completed\"\n")
  end)

  it("is refused also where the log was begun anew since", function()
    -- many commits, so that the log goes round
    local done = story [[
      run s.db; cp s.db old.db
      for i in 1 2 3; do run s.db; done >/dev/null
      begin s.db; kill_it; cp old.db s.db; resume s.db]]
    has(done, "belongs to another file", "code 2")
  end)

  it("which is the file's own is played back", function()
    local done = story [[run s.db; begin s.db; kill_it; mkdir copy; cp s.db* copy/; list copy/s.db
      sqlite3 copy/s.db 'PRAGMA integrity_check']]
    has(done, '1 "state":"completed"', '1 "state":"waiting"', "ok\n")
  end)
end)

describe("orrery restore", function()
  it("makes a store of its user's alone, also in a folder that is not there", function()
    local done = story [[run s.db; orrery backup --store sqlite:s.db b.db; chmod 644 b.db
      orrery restore b.db --store at/n.db --json; stat -c '%a' at/n.db; ls at; list at/n.db]]
    has(done, '"runs":1', '"unfinished":0', "600\nn.db\nn.db-lock\n", '1 "state":"completed"')
  end)

  it("waits for nobody: a store in use stays as it is", function()
    local done = story [[run s.db; orrery backup --store sqlite:s.db b.db; begin s.db
      orrery restore b.db --store s.db --overwrite; echo "code $?"; kill_it
      sqlite3 s.db 'BEGIN; SELECT 1 FROM runs LIMIT 0; SELECT "reads"; .shell orrery_was_here' >/dev/null 2>&1
      list s.db]]
    has(done, "processes use the store '", "end them, and restore the backup then\n", "code 1\n",
      '1 "state":"completed"')
  end)

  it("does not replace a store by one that is damaged", function()
    local done = story [[run s.db; orrery backup --store sqlite:s.db b.db
      sqlite3 b.db "UPDATE journal SET records = zeroblob(length(records))"
      orrery restore b.db --store s.db --overwrite; echo "code $?"; list s.db
      echo 'no store' >c.db; orrery restore c.db --store s.db --overwrite; echo "code $?"
      orrery restore nowhere.db --store s.db; echo "code $?"; : >d.db
      orrery restore d.db --store new.db; echo "code $?"; orrery restore s.db --store ./s.db; echo "code $?"
      ls]]
    has(done, "b.db' is damaged, and nothing was restored: ", "is not what was written",
      '1 "state":"completed"',
      "no SQLite database", "there is no file nowhere.db", "d.db' is empty and no backup",
      "the backup and the store are one file")
    assert(not done.out:find "%.part", done.out)
  end)

  it("goes on with the runs of the backup", function()
    local done = story [[orrery run w.lua -i sleep:=1 --store sqlite:s.db >out 2>&1 & await out 'b  waits'
      orrery backup --store sqlite:s.db b.db; kill -9 $(pid_of s.db); wait 2>/dev/null
      orrery restore b.db --store s.db --overwrite; resume s.db; list s.db; cat did]]
    has(done, "1 of them unfinished: `orrery resume --store s.db` goes on with them", "code 0\n",
      '1 "state":"completed"', "c\n")
  end)
end)

describe("a copy of a store that is in use", function()
  it("is refused without its log, and a backup of it is not", function()
    local done = story [[begin s.db
      for i in $(seq 600); do # a copy that is whole and has the process: what was recorded last is in the log
        cp s.db x.db
        looks=$(sqlite3 -readonly 'file:x.db?immutable=1' 'SELECT count(*) FROM owners; PRAGMA integrity_check' 2>&1)
        [ "$(echo $looks)" = "1 ok" ] && break
        sleep 0.05
      done; mv x.db copy.db; list copy.db; run copy.db
      orrery restore copy.db --store new.db; list new.db; kill_it]]
    has(done, "copy.db' is a copy that was made while a process used the store, and lacks its log: copy "
      .. "it with `orrery backup`, or take what is in it with `orrery restore ", "code 2\n",
      "new.db holds what copy.db did",
      "1 of them unfinished")
  end)

  it("is a store of its own once the process has left", function()
    local done = story [[run s.db; cp s.db copy.db; run copy.db; list copy.db; list s.db]]
    has(done, '2 "state":"completed"', '1 "state":"completed"')
  end)
end)

describe("a store that is overwritten while it is open", function()
  it("is reported, and nothing goes on that is not kept", function()
    -- A reader keeps the log from being emptied, and the process notices with its next record.
    local done = story [[run s.db; orrery backup --store sqlite:s.db b.db
      { echo 'BEGIN; SELECT count(*) FROM runs;'; sleep 100; } | sqlite3 s.db >reads & await reads 1
      orrery run w.lua -i sleep:=6 --store sqlite:s.db >out 2>&1 & await out 'b  waits'; rm did
      cp b.db s.db; await out 'store  error'; grep 'store  error' out
      ls did; kill -9 $(fuser s.db 2>/dev/null || cat s.db-lock | head -1)
      pkill -P $$ sleep; wait 2>/dev/null
      resume s.db; orrery restore b.db --store s.db --overwrite; list s.db]]
    has(done, "cannot access 'did'", '1 "state":"completed"')
    -- Who opens the file while cp has emptied it takes the log away, as SQLite does: then the file
    -- is what the backup was.
    if done.out:find("-wal' of the store was deleted, moved or replaced", 1, true) then return end
    has(done, "was overwritten while it was open: end the processes", "code 2")
    -- damaged, where the process has written back into the file before it saw that it is another
    local why = done.err:find("belongs to another file", 1, true) or done.err:find("is damaged", 1, true)
    assert(why, done.err)
  end)
end)

describe("a store that SQLite's own shell has read after a crash", function()
  it("is the same store, without a log", function()
    local done = story [[begin s.db; kill_it; id=$(sqlite3 s.db 'SELECT id FROM runs'); ls s.db-wal
      orrery cancel $id --store s.db; echo "code $?"; resume s.db; list s.db]]
    has(done, "cannot access 's.db-wal'", '1 "state":"cancelled"')
    assert(not done.err:find "overwritten", done.err)
  end)
end)

describe("a store that SQLite's own shell has read after a crash, opened by many at once", function()
  it("is refused to none", function()
    local done = story [[begin s.db; kill_it; sqlite3 s.db 'SELECT id FROM runs' >/dev/null
      sed -i 's/input or {}).sleep or 0/input or {}).none or 0.5/' w.lua
      for i in 1 2 3 4 5 6; do run s.db >out$i 2>&1 & done; wait; cat out?]]
    assert(not done.out:find "overwritten", done.out)
    assert.equal(("1\ncode 0\n"):rep(6), done.out)
  end)
end)

describe("a store that is deleted while it is open", function()
  it("and does not come back ends the runs, also where virtual time waits for them", function()
    local done = stories.tell([[
      local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.a = { run = function(ctx) os.remove "s.db" ctx:sleep "1h" return 1 end }
      w.b = { after = "a", run = function() io.open("did", "a"):write "c\n" end }
      return w]], [[orrery run w.lua --clock virtual --store s.db; echo "code $?"; ls did]])
    has(done, "s.db' of the store was deleted, moved or replaced while it was open",
      "did not come back within 5 s: the runs of this process are given up", "[store_error]",
      "code 1\n", "cannot access 'did'")
  end)

  it("goes on once it is put back", function()
    local done = story [[orrery run w.lua -i sleep:=0.3 --store sqlite:s.db >out 2>&1 & await out 'b  waits'
      mv s.db x.db; await out 'store  error'; mv x.db s.db; wait; cat out; list s.db]]
    has(done, "the store can be written again", '1 "state":"completed"')
  end)
end)

describe("a run of a process that was stopped while it had the store locked", function()
  local WITH_LOCK = [[
    ORRERY_CRASH=$at:stop orrery run w.lua -q --store s.db >out 2>&1 & sh=$!
    for i in $(seq 300); do pid=$(head -1 s.db-lock 2>/dev/null | tr -d ' '); grep -q 'State:.T' /proc/${pid:-0}/status 2>/dev/null && break
      sleep 0.02; done
    id=$(sqlite3 s.db 'SELECT id FROM runs');]]
  it("is taken by force, and the process does nothing more", function()
    local done = story("at=2;" .. WITH_LOCK .. [[
      orrery runs --store s.db | grep -c w; orrery resume -q --store s.db $id --force; echo "code $?"
      kill -CONT $pid 2>/dev/null; wait $sh; echo "stopped $?"; cat out did; list s.db]])
    has(done, "1\n1\ncode 0\nstopped 1\n", "[ownership_lost]", '1 "state":"completed"')
    -- it learns that before it acts, or from its next commit, which mostly knows by whom
    local how = done.out:find("another process has taken over the runs", 1, true)
      or done.out:find "were taken over by %l* ?process"
    assert(how, done.out)
    assert(done.out:find "c\n" and not done.out:find "c\nc\n", done.out)
  end)
end)

describe("a limit of the system is named, with what helps", function()
  it("of open files", function()
    -- without what was inherited, which would count
    local done = story [[run s.db; for n in 11 12 13; do
      ( exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n $n; run s.db ) >out 2>&1
      grep -c "s.db.* (Too many open files): close some, or raise the limit (.ulimit -n.)" out; done
      list s.db]]
    has(done, "code 0\n1\n1\n1\n", '1 "state":"completed"')
  end)

  it("of open files, in whatever a run has too few of them, and the run ends", function()
    local done = story [[cat >few.lua <<'END'
local flow = require "orrery"
local w = flow.workflow { name = "few", on_error = "continue" }
w.commands = flow.exec { each = { 1, 2, 3, 4 }, "sleep", "0.2" }
w.worker = { strategy = "thread", run = function() return 1 end }
w.fetched = flow.http.get { "http://127.0.0.1:1/", max_time = "5s" }
w.read = { each = { 1, 2, 3, 4 }, run = function() return #flow.file.read { path = "few.lua" } end }
return w
END
      for n in $(seq 11 26); do
        ( exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n $n
          orrery run few.lua -q -j 20 --store f$n.db >out$n 2>&1; echo $? >code$n ) & p=$!
        for i in $(seq 600); do test -e code$n && break; sleep 0.1; done
        test -e code$n && wait $p || { echo "hangs with $n"; cat out$n; kill $p; }
      done
      cat code*; grep -ch 'oo many open files' out11 out16]]
    assert(not done.out:find "hangs" and not done.out:find "1[23]%d", done.out)
    has(done, "\n1\n", "\n2\n")
  end)

  it("of the size of a file, which ends no process", function()
    local done = story [[( ulimit -f 10; run s.db )
      sed 's/return 1 end/return ("x"):rep(900000) end/' w.lua >big.lua
      ( ulimit -f 1000; orrery run big.lua --store t.db >out 2>&1 & await out 'store  error'
        grep 'store  error' out
        kill $(head -1 t.db-lock); wait )
      resume t.db; list t.db]]
    has(done, "s.db' cannot be given its tables: reading or writing failed (File too large): raise "
      .. "the limit of a file's size (`ulimit -f`)", "code 2\n",
      "t.db' cannot be written: reading or writing failed (File too large)", "code 0\n",
      '1 "state":"completed"')
  end)

  it("of a folder that may not be written", function()
    local done = story [[run s.db; mkdir ro at; orrery backup b.db --store s.db; mv b.db at; cp at/b.db ro/r.db
      chmod 644 at/* ro/*; chmod 777 at; chmod 555 ro
      as_user backup --store at/b.db ro/c.db; as_user restore at/b.db --store ro/n.db
      as_user run w.lua --store ro/r.db; ls ro]]
    has(done, "c.db.part' cannot be made (Permission denied): make its folder writable",
      "the file or its directory is read-only: make both writable")
    assert(done.out:find "\nr.db\n$", done.out)
  end)
end)

describe("two names of one store", function()
  it("as links of the file are refused", function()
    local done = story [[run s.db; ln s.db t.db; list t.db; run t.db; run s.db; rm t.db; run s.db]]
    has(done, "t.db' has 2 names (hard links), and its log and its locks would be of one alone",
      "code 2\ncode 2\n1\ncode 0\n")
  end)

  it("as a link to it are one store", function()
    local done = story [[begin s.db; mkdir x; ln -s ../s.db x/t.db; list x/t.db; resume x/t.db; ls x did; kill_it]]
    has(done, '1 "state":"waiting"', "code 0\n", "cannot access 'did'", "x:\nt.db\n")
  end)

  it("as a folder that is mounted elsewhere are one store, and a file that is mounted is refused", function()
    if require("spec.support.command").shell("id -u").out ~= "0\n" then
      pending "only root can mount"
      return
    end
    local done = story [[mkdir a full; begin a/s.db
      mount --bind a full || { echo "no mount"; kill_it; exit; }
      list full/s.db; resume full/s.db; ls did; umount full; kill_it
      mkdir c; : >c/t.db; mount --bind a/s.db c/t.db; list c/t.db; run c/t.db; umount c/t.db; ls c]]
    if done.out:find("no mount", 1, true) then
      pending "no file system can be mounted here"
      return
    end
    has(done, '1 "state":"waiting"', "code 0\n", "cannot access 'did'",
      "c/t.db' is a file that is mounted by itself", "mount its folder", "code 2\n", "t.db\n")
  end)
end)
