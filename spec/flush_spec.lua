-- That `strict` is real: how often the disk is flushed, as the system counts it.

local command = require "spec.support.command"

local CHAIN = [[
local flow = require "orrery"
local w = flow.workflow { name = "chain" }
for i = 1, 30 do w["n" .. i] = { after = i > 1 and "n" .. (i - 1) or nil, run = function() end } end
return w]]

-- Flushes of a run of the chain in a store that is there, nil where nothing can be traced.
local function flushes(durability)
  local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
  local done = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir
    cat >w.lua <<'END'
%s
END
    %s run w.lua -q --store sqlite:r.db
    strace -f -c -e trace=fdatasync -o counts %s run w.lua -q --store sqlite:r.db --durability %s; echo "code $?"
    awk '$NF == "fdatasync" { print "flushes", $4 }' counts]]):format(CHAIN, path, path, durability))
  assert(done.out:find "code 0" or not done.out:find "flushes", done.out .. done.err)
  return tonumber(done.out:match "flushes (%d+)")
end

describe("the disk is flushed", function()
  it("for every node of a chain where the run is strict, and now and then where it is relaxed", function()
    if command.sanitized then return pending "a leak sanitizer cannot work in a traced process" end
    local strict, relaxed = flushes "strict", flushes "relaxed"
    if not strict or not relaxed then return pending "processes cannot be traced here" end
    -- one a node: its end and the start of the next are one commit; and a few to open and to close
    -- the store
    assert.is_true(strict >= 31 and strict <= 31 + 8, strict .. " flushes")
    assert.is_true(relaxed <= 8, relaxed .. " flushes")
  end)
end)
