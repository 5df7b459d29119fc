local nearest = require "orrery.nearest"

describe("nearest", function()
  local NAMES = { "string", "integer", "number", "boolean", "timeout", "retry" }
  local CASES = {
    { "strng", "string" }, { "tiemout", "timeout" }, { "TIMEOUT", "timeout" }, { "retyr", "retry" },
    { "Integer", "integer" },
    { "retries", "retry" }, { "timeouts_of", "timeout" }, { "timeline" }, { "retinue" },
    { "int", "integer" }, { "bool", "boolean" }, { "num", "number" }, { "colour" }, { "" }, { "x" }, { "in" },
    { ("a"):rep(100) },
  }
  for _, case in ipairs(CASES) do
    it(("finds %s for %q"):format(case[2], case[1]), function()
      assert.are.equal(case[2], nearest(case[1], NAMES))
    end)
  end

  it("takes the first of equally near names, and never the name itself", function()
    assert.are.equal("cat", nearest("bat", { "cat", "rat" }))
    assert.are.equal("fetch", nearest("fetched", { "fetched", "fetch" }))
  end)

  it("takes sets, empty lists and what is no name", function()
    assert.are.equal("fetch", nearest("fecth", { fetch = true, parse = true }))
    assert.is_nil(nearest("a", {}))
    assert.is_nil(nearest(nil, { "a" }))
    assert.is_nil(nearest({}, { "a" }))
  end)

  it("does not take long over many names", function()
    local names = {}
    for i = 1, 200000 do names[i] = "a_rather_long_name_" .. i end
    local before = os.clock()
    nearest("a_rather_lang_name_x", names)
    assert.is_true(os.clock() - before < 20)
  end)
end)
