-- The official tests of JSON Schema, draft 2020-12 and draft 7. What does not pass stands with its
-- reason in spec/support/json_schema_exceptions.lua; an exception that passes is a failure too.
local exceptions = require "spec.support.json_schema_exceptions"
local json = require "orrery.core".json
local json_schema = require "orrery.schema.json"

local CORPUS = "../shared/corpus/json-schema/"

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and json.decode(file:read "a", { duplicates = "last" })
end

local function files(folder)
  local list = {}
  local pipe <close> = io.popen(("cd %s 2>/dev/null && find . -name '*.json' | sort"):format(folder))
  for name in pipe:lines() do list[#list + 1] = name:sub(3) end
  return list
end

local remotes = {}
for _, name in ipairs(files(CORPUS .. "remotes")) do
  remotes["http://localhost:1234/" .. name] = read(CORPUS .. "remotes/" .. name)
end

-- What an exception list says of a test: the most exact entry wins.
local function exception(...)
  local names = { ... }
  for i = #names, 1, -1 do
    local found = exceptions[table.concat(names, " | ", 1, i)]
    if found then return found end
  end
end

local function judge(group, options, test)
  local good, found = pcall(function()
    local made, mistakes = json_schema.compile(group.schema, options)
    if not made then return mistakes[1].message end
    local problems = made:problems(test.data)
    if (problems == nil) == test.valid then return nil end
    return problems and "it is refused: " .. problems[1].message or "it is taken"
  end)
  return good and found or not good and "an error: " .. tostring(found) or nil
end

local passed, excepted = 0, 0

for _, draft in ipairs { "draft2020-12", "draft7" } do
  for _, name in ipairs(files(CORPUS .. "tests/" .. draft)) do
    it(draft .. "/" .. name, function()
      local wrong = {}
      local options = { draft = draft, remotes = remotes, formats = name:find "optional/format/" ~= nil }
      for _, group in ipairs(read(CORPUS .. "tests/" .. draft .. "/" .. name)) do
        for _, test in ipairs(group.tests) do
          local message = judge(group, options, test)
          local why = exception(name, group.description, test.description)
          if message and not why or why and not message then
            wrong[#wrong + 1] = ("%s | %s: %s"):format(group.description, test.description,
              message or "it passes; take the exception away")
          end
          if message then excepted = excepted + 1 else passed = passed + 1 end
        end
      end
      assert.equal("", table.concat(wrong, "\n"))
    end)
  end
end

describe("the official suite", function()
  it("is there", function()
    if not next(remotes) then
      pending "../shared/corpus/json-schema is absent"
      return
    end
    assert.is_true(passed > 3000, ("%d tests passed, %d are excepted"):format(passed, excepted))
  end)
end)
