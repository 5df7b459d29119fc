-- What runs the tests: which skips it expects, and what it says to a name that no test has.
local command = require "spec.support.command"

local function unexpected(skips, list)
  local one, two = command.file(skips), command.file(list or "")
  local done = command.shell(("spec/support/unexpected_skips.sh %s %s"):format(one, list and two or ""))
  os.remove(one)
  os.remove(two)
  assert.equal("", done.err)
  return done.out
end

local LIST = [[
# a comment: with a colon

some name: the reason
test_graphs: ../shared/* is absent
]]

describe("a skip", function()
  it("is expected by a part of its name and its whole reason", function()
    assert.equal("", unexpected(
      "skipped a some name of: the reason\nskipped test_graphs one: ../shared/x is absent\n", LIST))
    assert.equal("", unexpected("", LIST))
  end)

  it("is reported where name or reason is another", function()
    for _, skip in ipairs { "skipped another name: the reason\n",
      "skipped some name: the reason, or another\n",
      "skipped some name: pending\n", "skipped a comment: with a colon\n",
      "skipped test_graphs one: ../shared/x is there\n" } do
      assert.equal(skip, unexpected("skipped some name: the reason\n" .. skip, LIST))
    end
  end)

  it("is expected of the corpus, as the list stands, and not of anything else", function()
    assert.equal("", unexpected "skipped the corpus is read: ../shared/corpus/durations is absent\n")
    assert.equal("skipped the store: no time\n", unexpected "skipped the store: no time\n")
  end)
end)

describe("a name of no test", function()
  it("is answered with near names", function()
    local done = command.shell("lua5.4 spec/support/near.lua jsom spec/json_spec.lua spec/c/test_json.c "
      .. "spec/cli_spec.lua")
    assert.equal(2, done.code)
    assert.equal('no spec or C test has "jsom" in its file name; near it are: json\n', done.err)
    done = command.shell "lua5.4 spec/support/near.lua zzzzzz spec/json_spec.lua"
    assert.equal('no spec or C test has "zzzzzz" in its file name; see spec/*_spec.lua and spec/c/test_*.c\n',
      done.err)
  end)
end)

describe("what is too long", function()
  local function widths(ends, text)
    local path = command.file(text)
    assert(os.rename(path, path .. ends))
    local done = command.shell("lua5.4 spec/support/widths.lua " .. path .. ends)
    os.remove(path .. ends)
    return done.code, (done.out:gsub("/[^:]*/", ""):gsub("^[^:]*:", ""))
  end

  it("is a line of code above 110 columns, and a comment above 100", function()
    for _, ends in ipairs { ".lua", ".c", ".mk" } do
      local begin = ({ [".lua"] = "-- ", [".c"] = "/* ", [".mk"] = "# " })[ends]
      assert.same({ 0, "" }, { widths(ends, ("x"):rep(110) .. "\n" .. begin .. ("ä"):rep(100 - #begin)) })
      assert.same({ 1, "1: 111 columns; at most 110\n" }, { widths(ends, ("x"):rep(111)) })
      assert.same({ 1, "2: 101 columns; at most 100\n" },
        { widths(ends, "\n" .. begin .. ("x"):rep(101 - #begin)) })
    end
  end)

  it("is no long string and no annotation", function()
    local long = ("x"):rep(120)
    assert.equal(0, (widths(".lua", "local a = [[\n" .. long .. "]]\n---@param a " .. long)))
    assert.equal(0, (widths(".lua", "f([==[" .. long .. "]]]==])\n")))
    for _, text in ipairs { "local a = 'x[[' .. " .. long, "-- it's [[ \nlocal " .. long,
      "a = [[b]]\nlocal " .. long,
      "a[b[1]] = " .. long .. "]]" } do
      assert.equal(1, (widths(".lua", text)), text)
    end
  end)
end)

describe("a function of C", function()
  local function parameters(text)
    local path = command.file(text)
    local done = command.shell("lua5.4 spec/support/parameters.lua " .. path)
    os.remove(path)
    return done.code, (done.out:gsub("^[^:]*:", ""))
  end

  it("has at most six parameters", function()
    assert.same({ 0, "" }, { parameters [[
int six(int a, int b, int c, int d, int e, void (*f)(int g, int h)) {
    return call(1, 2, 3, 4, 5, 6, 7);
}
/* int old(int a, int b, int c, int d, int e, int f, int g) { */
static const int *none(void) {]] })
    assert.same({ 1, "2: seven has 7 parameters; at most 6, so pass it a struct\n" }, { parameters [[

static unsigned char *seven(int a, int b, int c /* , */, int d,
                            int e, int f, struct s *g) {]] })
  end)
end)

describe("the planter of faults", function()
  local function said(words)
    local done = command.shell("lua5.4 spec/mutants/main.lua " .. words)
    return done.code, done.err:match "[^\n]*"
  end

  it("plants none where it does not understand", function()
    for words, why in pairs { ["--lits"] = "unknown word '--lits'", ["list"] = "unknown word 'list'",
      ["--only"] = "--only: expected a pattern, got 'nothing'",
      ["--sample x"] = "--sample: expected a number, got 'x'",
      ["--list --seed 3"] = "--seed is of --sample",
      ["--list --only 'no such fault'"] = "no fault is chosen" } do
      assert.same({ 2, why }, { said(words) })
    end
  end)

  it("says how it is called", function()
    local done = command.shell "lua5.4 spec/mutants/main.lua --help"
    assert.equal(0, done.code)
    assert.equal("", done.err)
    for _, word in ipairs { "usage: ", "--only", "--sample", "--seed", "--list" } do
      assert.truthy(done.out:find(word, 1, true), word)
    end
  end)

  it("lists those of a pattern", function()
    local done = command.shell "lua5.4 spec/mutants/main.lua --list --only core/join"
    assert.equal(0, done.code)
    for line in done.out:gmatch "[^\n]+" do assert.matches("core/join", line, 1, true) end
  end)
end)

describe("test.sh", function()
  -- Runs "tests" that say and do what is given for their names, `jobs` at once.
  local function tests(jobs, said, more)
    local names = {}
    local lines = { "dir=$(mktemp -d); trap 'rm -rf \"$dir\"' EXIT; mkdir $dir/spec; : >$dir/log" }
    for name, text in pairs(said) do
      local path = name:find "^test_" and "spec/" .. name or name
      lines[#lines + 1] = ("cat >$dir/%s <<'END'\n%s\nEND\n"):format(path, text)
      names[#names + 1] = name:find "^test_" and "spec/c/" .. name .. ".c" or "spec/" .. name .. ".lua"
    end
    table.sort(names)
    lines[#lines + 1] = ([[cat >$dir/orrery <<'END'
#!/bin/sh
name=${2##*/}; . "${0%%/*}/${name%%.lua}"
END
chmod +x $dir/orrery $dir/spec/*
env -u CI %s TEST_JOBS=%d spec/support/test.sh $dir %s; echo "code $?"]])
      :format(more or "", jobs, table.concat(names, " "))
    return command.shell(table.concat(lines, "\n")).out
  end

  local PASSES = "echo 'a_spec.lua  2 passed, 0 failed'; echo '2 passed, 0 failed'"
  local C_PASSES = [[#!/bin/sh
echo '[==========] 3 test(s) run.'; echo '[  PASSED  ] 3 test(s).']]
  local C_FAILS = [[#!/bin/sh
echo '[==========] 3 test(s) run.'; echo 'the reason'; echo '[  PASSED  ] 1 test(s).'; exit 2]]
  local FAILS = [[echo 'b_spec.lua  1 passed, 1 failed, 1 skipped'; echo 'FAILED it'; echo why
    echo 'skipped this: no time'; echo '1 passed, 1 failed, 1 skipped'; exit 1]]

  it("adds up, and says at the end again what failed", function()
    assert.equal("a_spec.lua  2 passed, 0 failed\n\n2 passed, 0 failed\ncode 0\n",
      tests(2, { a_spec = PASSES }))
    local out = tests(2, { a_spec = PASSES, b_spec = FAILS, test_c = C_PASSES, test_d = C_FAILS })
    assert.equal([[
a_spec.lua  2 passed, 0 failed
b_spec.lua  1 passed, 1 failed, 1 skipped
FAILED it
why
skipped this: no time
test_c                           3 passed, 0 failed
FAILED test_d (exit code 2):
[==========] 3 test(s) run.
the reason
[  PASSED  ] 1 test(s).

---- what failed ----
b_spec.lua  1 passed, 1 failed, 1 skipped
FAILED it
why
skipped this: no time
FAILED test_d (exit code 2):
[==========] 3 test(s) run.
the reason
[  PASSED  ] 1 test(s).

7 passed, 3 failed, 1 skipped
code 1
]], out)
  end)

  it("counts a process that dies as a failure, and one that runs nothing as none", function()
    local out = tests(1, { a_spec = "echo half; kill -SEGV $$", test_c = "#!/bin/sh\nkill -SEGV $$" })
    assert.truthy(out:find("FAILED spec/a_spec.lua (exit code 139)", 1, true), out)
    assert.truthy(out:find("FAILED test_c (exit code 139)", 1, true), out)
    assert.truthy(out:find("\n0 passed, 2 failed\ncode 1\n", 1, true), out)
    assert.equal("\n0 passed, 0 failed\ncode 1\n", tests(1, { a_spec = "echo '0 passed, 0 failed'" }))
  end)

  it("fails on a skip that nobody expects, where CI is set", function()
    local SKIPS = "echo 'skipped this: no time'; echo '1 passed, 0 failed, 1 skipped'"
    assert.matches("\n1 passed, 0 failed, 1 skipped\ncode 0\n$", tests(1, { a_spec = SKIPS }))
    assert.matches("skipped this: no time\n\n1 passed, 1 failed, 1 skipped\ncode 1\n$",
      tests(1, { a_spec = SKIPS }, "CI=1"))
  end)

  it("runs some at once, and prints them in their order", function()
    -- each waits for the other to have begun
    local function meets(own, other)
      return ("touch ${0%%/*}/%s; while [ ! -e ${0%%/*}/%s ]; do sleep 0.01; done; echo %s; "
        .. "echo '1 passed, 0 failed'"):format(own, other, own)
    end
    assert.equal("one\ntwo\n\n2 passed, 0 failed\ncode 0\n",
      tests(2, { a_spec = meets("one", "two"), b_spec = "sleep 0.1; " .. meets("two", "one") }))
  end)
end)
