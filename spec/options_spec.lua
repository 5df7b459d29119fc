-- The options of a subcommand: calls that need no parser mean what the parser makes of them.
local options = require "orrery.cli.shared.options"
local plain = require "orrery.cli.shared.plain"

local WORDS = { "a.lua", "b.lua", "--json", "--dry", "-q", "--quiet", "--store", "memory:", "--store=x.db",
  "--key", "k", "--id", "-", "--", "--stor", "" }
local KEYS = { "file", "store", "key", "id", "json", "dry", "quiet" }

local function parse(words, forced)
  local argv = table.move(words, 1, #words, 1, {})
  if forced then table.move({ "--seed", "1" }, 1, 2, #argv + 1, argv) end -- which only the parser takes
  local args = plain("run", argv) or options.parse("run", argv)
  return args
end

local function compare(words)
  local quick, full = parse(words), parse(words, true)
  local shown = table.concat(words, " ")
  assert.equal(full ~= nil, quick ~= nil, shown)
  for _, key in ipairs(full and KEYS or {}) do assert.equal(full[key], quick[key], shown .. ": " .. key) end
end

describe("options", function()
  it("mean the same with and without the parser", function()
    local taken = 0
    for _, first in ipairs(WORDS) do
      for _, second in ipairs(WORDS) do
        local calls = { { first, second }, { first, second, "c.lua" }, { "--store", first, second } }
        for _, words in ipairs(calls) do
          if first ~= "--" and second ~= "--" then compare(words) end -- behind it no option is one
          if parse(words) then taken = taken + 1 end
        end
      end
    end
    assert.is_true(taken > 50, taken .. " calls were understood")
  end)
end)
