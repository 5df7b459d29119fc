-- Steps across a kill of the process: what was recorded is not done again, and the run ends as if
-- nothing had happened.

local command = require "spec.support.command"

local SCRIPT = "spec/support/durable_steps.lua"
local PLACES = { "in a step", "after a step", "after an error", "in a sleep", "after a sleep",
  "after a gather", "in the child",
  "after the child", "after a call", "after a signal", "in a wait", "after a timeout" }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function shell(text)
  local pipe <close> = assert(io.popen(text))
  return pipe:read "a"
end

-- What two processes after one another print, and what they did.
local function run(folder, place)
  local run_one = ("%s %s sqlite:%s/runs.db %s/did %s 2>&1")
    :format(command.quote(command.path), SCRIPT, folder, folder,
    command.quote(place))
  shell(("rm -rf %s; mkdir -p %s"):format(folder, folder))
  -- the shell says of a command that it was killed
  local out = shell("{ timeout 120 " .. run_one .. "; } 2>/dev/null; true")
  if place ~= "nowhere" then
    assert(not out:find "completed", "it was to be killed " .. place)
    out = shell("timeout 120 " .. run_one:gsub("'" .. place .. "'", "nowhere"))
  end
  return out, read(folder .. "/did")
end

describe("steps", function()
  local folder = os.tmpname()
  os.remove(folder)
  folder = folder .. ".d"
  local function calm(text) return (text:gsub("now [%d.]+", "now")) end
  local expected, effects = run(folder, "nowhere")

  it("of all kinds end once", function()
    assert.matches("^completed\t", expected)
    assert.equal("first\nnow\nbad\ntold\ng2\ng1\nin child\n", calm(effects))
  end)

  for _, place in ipairs(PLACES) do
    it("are done once where the process is killed " .. place, function()
      local out, did = run(folder, place)
      assert.equal(expected, out)
      assert.equal(calm(effects), calm(did))
    end)
  end
  os.execute("rm -rf " .. folder)
end)
