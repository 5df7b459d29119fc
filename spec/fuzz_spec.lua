-- Each fuzz target for some hundred inputs. `make fuzz` tries them for a minute each. FUZZ_SEED
-- repeats a round.
local corpus = require "spec.fuzz.corpus"
local driver = require "spec.fuzz.driver"

local SEED = tonumber(os.getenv "FUZZ_SEED") or os.time()
local INPUTS = tonumber(os.getenv "FUZZ_INPUTS") or 300

describe("what strangers send", function()
  for _, name in ipairs(require "spec.fuzz.targets.init") do
    it(("is read or refused, in time: %s (FUZZ_SEED=%d)"):format(name, SEED), function()
      local target = require("spec.fuzz.targets." .. name)
      local known = corpus.read("spec/fuzz/corpus/" .. name)
      local result = driver.fuzz(target, { seed = SEED, corpus = known,
        inputs = #target.seeds + #known + INPUTS })
      assert.is_nil(result.finding, result.input and ("%s, of %q"):format(result.finding, result.input))
      assert.is_true(result.kinds > 3, "all inputs come to the same")
    end)
  end
end)

describe("a fuzz target", function()
  local function found(run)
    return driver.fuzz({ seeds = { "seed" }, words = { "x" }, run = run }, { seed = 1, inputs = 200 }).finding
  end

  it("is told of what raises, and of what only a fault of ours says", function()
    assert.truthy(found(function(input) assert(#input ~= 5, "five") return "" end):find "five")
    assert.truthy(found(function() return driver.kind "attempt to index a nil value" end):find "of ours")
    assert.is_nil(found(function() return driver.kind "column 1: expected a value" end))
  end)

  it("is told of what takes too long for its length", function()
    local least, per_byte = driver.LEAST, driver.PER_BYTE
    driver.LEAST, driver.PER_BYTE = 0.001, 1e-6
    local finding = found(function(input)
      local n = 0
      for i = 1, #input * 100000 do n = n + i end
      return tostring(n > 0)
    end)
    driver.LEAST, driver.PER_BYTE = least, per_byte
    assert.truthy(finding:find "of processor time, more than", finding)
  end)
end)
