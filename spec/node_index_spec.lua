-- docs/nodes.md is made from the node types, each of which says what it takes, raises and looks
-- like; and `orrery types` has a line for each that fits.
local codes = require "spec.errors.codes"
local flow = require "orrery"
local page = require "spec.nodes.page"
local type_groups = require "orrery.cli.shared.type_groups"
local types_command = require "orrery.cli.types"

describe("the index of node types", function()
  it("is as the types are now", function()
    local file <close> = assert(io.open(page.PATH, "rb"))
    assert(file:read "a" == page.text(),
      page.PATH .. " is not what the node types make now: run `make nodes`, read the difference")
  end)

  for _, group in ipairs(page.groups()) do
    for _, T in ipairs(group.types) do
      it(T.name .. " is told whole", function()
        assert(group.title ~= type_groups.OTHERS,
          T.name .. " is in no group; name its first word in lua/orrery/cli/shared/type_groups.lua")
        assert(T.doc:find "^%u" and T.doc:find "[.)]$", T.name .. ": doc is sentences")
        local examples = types_command.described(T).examples
        assert(#examples > 0, T.name .. ": give it an example")
        for _, example in ipairs(examples) do assert.is_function(load(example)) end
        for _, code in ipairs(T.errors or {}) do
          assert(codes[code],
            ("%s: errors: there is no code %q in spec/errors/codes.lua"):format(T.name, code))
        end
      end)
    end
  end
end)

describe("orrery types", function()
  it("has a line for each type, in its group", function()
    local text = types_command.table(flow.types(), 100)
    assert.matches("^Flow\n  trigger  ", text)
    assert.is_nil(text:find("…", 1, true))
    local lines = 0
    for line in text:gmatch "[^\n]+" do
      assert.is_true(utf8.len(line) <= 100, line)
      if line:find "^  " then
        lines = lines + 1
        assert.matches("^  [%w_.]+ +%u.*%.$", line)
      end
    end
    assert.equal(#flow.types(), lines)
  end)

  it("cuts a sentence where it may end, and types of one's own come last", function()
    local long = ("word"):rep(40)
    local text = types_command.table({
      { name = "x.y", doc = "Does this (and that), as far as it goes: well. Not more." },
      { name = "x.z", doc = long }, { name = "exec", doc = "Runs." },
    }, 50)
    assert.equal("Outside world\n  exec  Runs.\n\nOthers\n  x.y   Does this (and that), as far as it goes.\n"
      .. "  x.z   " .. long:sub(1, 41) .. "…\n\nOne in full: orrery types NAME\n", text)
  end)

  it("shows the error codes of a type", function()
    assert.matches("\nError codes\n  barrier_timeout\n",
      types_command.full(types_command.described(flow.barrier), 90), 1, true)
  end)
end)
