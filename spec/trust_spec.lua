-- What a store holds is code: it runs only where the store is one's own, or is trusted; and it is
-- never bytecode.
local command = require "spec.support.command"
local trust = require "orrery.store.trust"

local ME = require("luv").getuid()

local function owned_by(uids)
  return function(path) return uids[path] and { uid = uids[path] } end
end

local function problem_of(url, uids)
  local ok, e = pcall(trust.check, url, owned_by(uids))
  return not ok and e or nil
end

describe("the code of a store", function()
  it("runs where the store is one's own, or is not there", function()
    assert.is_nil(problem_of("sqlite:/x/mine.db", { ["/x/mine.db"] = ME, ["/x/mine.db-wal"] = ME }))
    assert.is_nil(problem_of("/x/mine.db", { ["/x/mine.db"] = ME }))
    assert.is_nil(problem_of("sqlite:/x/none.db", {}))
    assert.is_nil(problem_of("memory:", {}))
  end)

  it("does not run where the store or its log is another user's", function()
    for _, uids in ipairs { { ["/x/s.db"] = ME + 1 }, { ["/x/s.db"] = ME, ["/x/s.db-wal"] = ME + 1 } } do
      local e = problem_of("sqlite:/x/s.db", uids)
      assert.equal("untrusted_store", e.code)
      assert.is_true(e.message:find(("the user with the id %d"):format(ME + 1), 1, true) ~= nil, e.message)
    end
  end)

  it("runs where it is trusted", function()
    trust.give "sqlite:/x/trusted.db"
    assert.is_nil(problem_of("sqlite:/x/trusted.db", { ["/x/trusted.db"] = ME + 1 }))
    assert.is_not_nil(problem_of("sqlite:/x/other.db", { ["/x/other.db"] = ME + 1 }))
  end)

  it("of another user is refused by the commands that would run it, with what to type", function()
    if ME ~= 0 then
      pending "only root can give a file away"
      return
    end
    local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
    local result = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir
      unset ORRERY_STORE SUDO_UID; orrery=%s
      printf '%%s' 'local flow = require "orrery" io.stderr:write "CODE\n"
        local w = flow.workflow { name = "w" } w.a = flow.wait { signal = "go" } return w' >w.lua
      $orrery run w.lua -q --no-wait --key k --store s.db 2>/dev/null
      chown 12345 s.db s.db-wal
      id=$($orrery runs --json --store s.db | sed -n 's/.*"id":"\([-0-9a-f]*\)".*/\1/p')
      for word in resume retry fork; do
        $orrery $word $id --store s.db --no-wait >out 2>&1; echo "$word $?"; cat out
      done
      $orrery resume --store s.db --no-wait 2>&1; echo "all $?"
      $orrery resume $id --store s.db --trust --no-wait 2>&1; echo "trusted $?"]]):format(path))
    local refused = result.out:match "^(.*all %d)"
    assert.is_nil(refused:find("CODE", 1, true), result.out)
    for _, word in ipairs { "resume", "retry", "fork" } do
      local sentence = "%s 2\norrery %s: the store 's.db' belongs to the user with the id 12345"
      assert.matches(sentence:format(word, word), result.out)
      assert.matches(("`orrery %s [%%x-]+ %%-%%-trust %%-%%-store s.db` does so"):format(word), result.out)
    end
    assert.matches("\nCODE\n.*trusted 5\n$", result.out)
  end)
end)

describe("bytecode", function()
  it("in a store is not loaded", function()
    local ran = false
    rawset(_G, "note_that_it_ran", function() ran = true end)
    local text = string.dump(load "note_that_it_ran() return {}")
    local env = require("orrery.bundle.environment").new(
      { bad = { name = "bad", path = "bad.lua", text = text } }, function() end)
    local ok, message = pcall(env.require, "bad")
    assert.is_false(ok)
    assert.matches("attempt to load a binary chunk", message, 1, true)
    assert.is_false(pcall(require("orrery.definition.load").read, text, "x.lua", { format = "lua" }, env))
    assert.is_false(ran)
    rawset(_G, "note_that_it_ran", nil)
  end)
end)
