-- Real schemas with the documents that their authors call valid and invalid.
local json = require "orrery.core".json
local json_schema = require "orrery.schema.json"

local CORPUS = "../shared/corpus/schemastore/"

-- Documents that are judged otherwise, with the reason.
local EXCEPTIONS = {}

local function lines_of(command)
  local list = {}
  local pipe <close> = io.popen(("{ %s; } 2>/dev/null"):format(command))
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return json.decode(file:read "a", { duplicates = "last", name = path })
end

local judged = 0

for _, name in ipairs(lines_of("cd " .. CORPUS .. " && ls -d */")) do
  it(name, function()
    local made, mistakes = json_schema.compile(read(CORPUS .. name .. "schema.json"))
    assert.is_nil(mistakes and mistakes[1].message)
    for _, kind in ipairs { "valid", "invalid" } do
      for _, path in ipairs(lines_of(("ls %s%s%s/*.json"):format(CORPUS, name, kind))) do
        local problems = made:problems(read(path))
        local message = problems and problems[1].message or "no problem"
        assert.equal(kind == "valid" ~= (EXCEPTIONS[path:sub(#CORPUS + 1)] ~= nil), problems == nil,
          path .. ": " .. message)
        judged = judged + 1
      end
    end
  end)
end

describe("the schemas of the store", function()
  it("are there", function()
    if judged == 0 then
      pending "../shared/corpus/schemastore is absent"
      return
    end
    assert.is_true(judged > 300, judged .. " documents were judged")
  end)
end)
