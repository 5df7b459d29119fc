-- The town of examples/game: played without a window and without hands.

local command = require "spec.support.command"

local BUILD = command.path:match("^(.*)/[^/]+$")
local TOWN = BUILD .. "/examples/game/town --headless "

--- Plays, and gives what it printed, its times left out: they are those of the machine.
local function play(line, before)
  local done = command.shell((before or "") .. "timeout 300 " .. TOWN .. line)
  assert.equal("", done.err)
  assert.equal(0, done.code, done.out)
  return done.out
end

local function hash(out) return (assert(out:match("\nworld (%x+)\n$"), out)) end
local function game_time(out) return tonumber(out:match("game time ([%d.]+) s")) end

--- How days ended: count by the word, of those that began with that version of the scripts.
local function days(out, script)
  local counts = {}
  for version, count, word in out:gmatch("script (%d+): (%d+) ([%a ]+)") do
    if tonumber(version) == script then counts[word] = tonumber(count) end
  end
  return counts
end

local function with_folder(line)
  return ('dir=$(mktemp -d); trap \'rm -rf "$dir"\' EXIT\n%s\n'):format(line)
end

describe("the town", function()
  local plain = play "--seed 3 --frames 600"

  it("plays the same game for the same seed, and says what its frames took", function()
    assert.equal(hash(plain), hash(play "--seed 3 --frames 600"))
    assert.not_equal(hash(plain), hash(play "--seed 4 --frames 600"))
    assert.truthy(plain:find("frames 600, held %d+, game time 10.000 s"), plain)
    -- however little of it is done in a frame
    assert.equal(hash(plain), hash(play "--seed 3 --frames 600 --budget 30"))
    local p50, p99, worst = plain:match "orr_step p50 ([%d.]+) ms, p99 ([%d.]+) ms, worst ([%d.]+) ms"
    assert.truthy(0 < tonumber(p50) and tonumber(p50) <= tonumber(p99) and tonumber(p99) <= tonumber(worst))
  end)

  it("goes on after a load as if it had not been saved", function()
    local saved = command.shell(with_folder(([[
      %s --seed 3 --frames 600 --press 250:F5 --save $dir/town.save
      %s --load $dir/town.save --frames 350
      %s --seed 3 --frames 600 --press 401:F5 --press 401:F9 --save $dir/town.save]]):gsub("%%s", TOWN)))
    assert.equal("", saved.err)
    local hashes = {}
    for one in saved.out:gmatch("world (%x+)") do hashes[#hashes + 1] = one end
    assert.same({ hash(plain), hash(plain), hash(plain) }, hashes)
  end)

  it("goes on as it is where a saved game is refused", function()
    local out = command.shell(with_folder(([[
      %s --seed 3 --frames 20 --press 10:F5 --save $dir/town.save >/dev/null
      head -c 450000 $dir/town.save >$dir/cut; printf 'no game' >$dir/other
      cp $dir/town.save $dir/changed; printf 'X' | dd of=$dir/changed bs=1 seek=5000 conv=notrunc 2>/dev/null
      %s --load $dir/cut --frames 1; echo "code $?"
      %s --load $dir/other --frames 1; echo "code $?"
      %s --load $dir/changed --frames 1; echo "code $?"
      %s --seed 3 --frames 600 --press 300:F9 --save $dir/cut]]):gsub("%%s", TOWN)))
    assert.truthy(out.err:find("cut: its runs cannot be loaded", 1, true), out.err)
    assert.truthy(out.err:find("other: is no saved game of this program", 1, true), out.err)
    assert.truthy(out.err:find("changed: is no saved game of this program", 1, true), out.err)
    assert.truthy(out.out:find("^code 1\ncode 1\ncode 1\n"), out.out)
    assert.equal(hash(plain), hash(out.out))
  end)

  it("stands still while it is paused, and is slow in slow motion", function()
    local paused = play "--seed 3 --frames 700 --press 200:P --press 300:P"
    assert.equal(game_time(plain), game_time(paused))
    assert.equal(hash(plain), hash(paused))
    local slow = play "--seed 3 --frames 300 --press 100:S --press 200:S"
    assert.near(200 / 60 + 100 / 60 / 4, game_time(slow), 0.002)
  end)

  it("takes changed scripts for the days that begin, and for no others", function()
    local mod = with_folder [[
      cp -r examples/game/scripts $dir/mod; sed -i 's/"fed"/"well fed"/' $dir/mod/villager.lua]]
    local before = days(play "--seed 3 --frames 300", 1)
    local out = play("--seed 3 --frames 600 --press 300:R --mod $dir/mod", mod)
    local old, new = days(out, 1), days(out, 2)
    assert.truthy(old.fed > before.fed, out) -- days under way
    assert.truthy(new["well fed"] > 0, out)
    assert.is_nil(old["well fed"])
    assert.is_nil(new.fed)
    -- a mistake changes nothing
    mod = with_folder "cp -r examples/game/scripts $dir/mod; echo oh >>$dir/mod/hero.lua"
    local wrong = command.shell(mod .. TOWN .. "--seed 3 --frames 600 --press 300:R --mod $dir/mod")
    assert.truthy(wrong.err:find("hero.lua", 1, true), wrong.err)
    assert.equal(hash(plain), hash(wrong.out))
  end)

  it("gives the deposit of a failed quest back", function()
    local out = play "--seed 3 --frames 1800"
    local finished, undone, unpaid = out:match("quests (%d+) done, (%d+) undone, (%d+) unpaid")
    assert.truthy(tonumber(finished) > 0 and tonumber(undone) > 0, out)
    assert.equal("0", unpaid)
    -- without the compensation it is missing
    local mod = with_folder [[
      cp -r examples/game/scripts $dir/mod; sed -i 's/gold = 5 }/gold = 0 }/' $dir/mod/hero.lua]]
    local cheated = command.shell(mod .. TOWN .. "$dir/mod --seed 3 --frames 1800")
    assert.equal(undone, cheated.out:match("(%d+) unpaid"))
  end)

  it("tells of whoever is clicked what is done and why", function()
    local all = play "--seed 3 --frames 601 --list 600"
    local found, there = {}, {}
    for place in all:gmatch "at (%d+, %d+)\n" do there[place] = (there[place] or 0) + 1 end
    for text in all:gmatch("%-%- frame 600\n(%a+ %d+.-)\n%f[%-f]") do
      -- who stands alone, so that a click finds nobody else
      local who = there[text:match "at (%d+, %d+)\n"] == 1 and text:match "^%a+ (%d+),"
      found.sleeping = found.sleeping or text:find "\nsleep: sleeps, %d+%.%d s left" and who
      found.waiting = found.waiting or text:find "\npatrol: waits for 'alarm', %d+%.%d s left" and who
      found.trading = found.trading or text:find "\nmarket: waits for 'sold', %d+%.%d s left" and who
      found.walking = found.walking or text:find "\nmarket: walks to %d+, %d+" and who
    end
    for what, words in pairs {
      sleeping = "sleep: sleeps, ", waiting = "patrol: waits for 'alarm', ",
      trading = "market: waits for 'sold', ", walking = "market: walks to ",
    } do
      local out = play("--seed 3 --frames 601 --click 600:" .. assert(found[what], what))
      assert.truthy(out:find("-- frame 600\n", 1, true), out)
      assert.truthy(out:find(words, 1, true), out)
    end
  end)

  it("draws it", function()
    local drawn = command.shell(with_folder(([[
      %s --seed 3 --frames 30 --picture $dir/a >/dev/null; %s --seed 3 --frames 30 --picture $dir/b >/dev/null
      %s --seed 3 --frames 30 --click 29:0 --picture $dir/c >/dev/null
      head -c 2 $dir/a; echo; cmp -l $dir/a $dir/c | wc -l]]):gsub("%%s", TOWN)))
    assert.equal("", drawn.err)
    local points = drawn.out:match("^BM\n(%d+)\n$")
    assert.truthy(tonumber(points) > 3000, drawn.out) -- the text of the overlay
  end)

  it("says how it is called", function()
    local done = command.shell(TOWN .. "--frame 3")
    assert.equal(2, done.code)
    assert.truthy(done.err:find "^usage: town")
    assert.equal(2, command.shell(TOWN .. "--seed three").code)
  end)
end)
