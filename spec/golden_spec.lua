-- Comparing with accepted texts: what accepts new ones never passes for a test, and CI accepts
-- none.
local command = require "spec.support.command"

-- Runs one spec that compares "new" with an accepted text, in a folder of its own; what is accepted
-- afterwards.
local function try(accepted, environment)
  local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
  local done = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT
    mkdir -p $dir/spec/golden $dir/spec/support
    cp spec/golden/compare.lua $dir/spec/golden; cp spec/support/run.lua $dir/spec/support; cd $dir
    echo 'local golden = require "spec.golden.compare"
      it("a", function() golden("a.txt", "new") golden("b.txt", "new") end)' >spec/one_spec.lua
    %s
    unset CI UPDATE_GOLDEN; %s %s spec/support/run.lua
    echo "code $?"; for name in a b; do printf '%%s=' $name; cat spec/golden/$name.txt; echo; done]]):format(
    accepted and ("printf %s >spec/golden/a.txt; printf %s >spec/golden/b.txt"):format(accepted, accepted)
      or "", environment, path))
  return done.out
end

local function has(text, part) assert.is_true(text:find(part, 1, true) ~= nil, text) end

describe("an accepted text", function()
  it("passes where it is the same", function()
    has(try("new", ""), "1 passed, 0 failed\ncode 0\na=new\nb=new\n")
  end)

  it("fails where it is another or missing", function()
    has(try("old", ""), "0 passed, 1 failed\ncode 1\na=old\nb=old\n")
    local missing = try(nil, "")
    has(missing, "a.txt is missing; look at the text and accept it with UPDATE_GOLDEN=1")
    has(missing, "0 passed, 1 failed\ncode 1\n")
  end)

  it("is written by a run that says so and fails", function()
    for _, accepted in ipairs { "old", false } do
      local out = try(accepted, "UPDATE_GOLDEN=1")
      has(out, "spec/golden/a.txt was written anew")
      has(out, "spec/golden/b.txt was written anew")
      has(out, "1 passed, 2 failed\ncode 1\na=new\nb=new\n")
    end
  end)

  it("is not written where it is the same", function()
    has(try("new", "UPDATE_GOLDEN=1"), "1 passed, 0 failed\ncode 0\n")
  end)

  it("is never written where CI is set", function()
    local out = try("old", "CI=true UPDATE_GOLDEN=1")
    has(out, "UPDATE_GOLDEN is refused where CI is set")
    has(out, "0 passed, 1 failed\ncode 1\na=old\nb=old\n")
    out = try("new", "CI=true UPDATE_GOLDEN=1")
    has(out, "0 passed, 1 failed\ncode 1\n")
  end)
end)
