-- Modules that a searcher of the program's own makes, of packed assets: what is kept of them with a
-- run, and what is said where that cannot be known.
local bundle = require "orrery.bundle"
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"

local folder, former_loaded

local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
end

local function workflow(body, options)
  return ('local flow = require "orrery"\nlocal w = flow.workflow { name = "x", %s }\n%s\nreturn w\n')
    :format(options or "", body)
end

local function compiled()
  local made, problems = flow.compile(flow.load(folder .. "/w.lua"))
  return assert(made, problems and problems[1].message)
end

-- As after a restart: no module of the program's is loaded.
local function forget()
  for name in pairs(package.loaded) do
    if not former_loaded[name] and not name:find "^orrery" then package.loaded[name] = nil end
  end
end

-- What is kept of a bundle in a store.
local function stored(b)
  local row = {}
  for _, key in ipairs { "hash", "workflow", "definition", "sources", "arguments", "engine" } do
    row[key] = b[key]
  end
  return row
end

local function output_of(what)
  local the_run = flow.run(what)
  assert(the_run.state == "completed", the_run.error and tostring(the_run.error.message) or the_run.state)
  return the_run.output
end

local function source_names(b)
  local names = {}
  for i, entry in ipairs(core.json.decode(b.sources)) do names[i] = entry.main and "(main)" or entry.name end
  return names
end

describe("the bundle of modules from packed assets", function()
  local packed, searcher

  -- How a program may make a module of a packed text.
  local WAYS = {
    ["a chunk"] = function(text, name) return load(text, "@pack/" .. name) end,
    ["a chunk named by its text"] = function(text) return load(text) end,
    ["a function around a chunk"] = function(text)
      local chunk = load(text)
      return function(...) return chunk(...) end
    end,
    ["a function that compiles later"] = function(text)
      return function(...) return load(text)(...) end
    end,
  }
  local MAIN = 'local util = require "packed"\n'
    .. workflow("w.a = { run = function() return util.version() end }", 'output = "${nodes.a}"')

  local function give(way)
    searcher = function(name)
      if packed[name] then return WAYS[way](packed[name], name), "pack:" .. name end
    end
    table.insert(package.searchers, searcher)
  end

  local function made() return assert(bundle.of(compiled())) end

  before_each(function()
    packed = { packed = "return { version = function() return 1 end }" }
    folder = command.shell("mktemp -d").out:match "%S+"
    write("w.lua", MAIN)
    former_loaded = {}
    for name in pairs(package.loaded) do former_loaded[name] = true end
  end)
  after_each(function()
    forget()
    command.shell("rm -rf " .. folder)
    for i, each in ipairs(package.searchers) do
      if each == searcher then table.remove(package.searchers, i) end
    end
  end)

  for _, way in ipairs { "a chunk", "a chunk named by its text", "a function around a chunk" } do
    it("keeps the text of " .. way .. ", and runs it later", function()
      give(way)
      local b = made()
      assert.same({ "(main)", "packed" }, source_names(b))
      packed.packed = "return { version = function() return 2 end }"
      forget()
      assert.equal(1, output_of(bundle.load(stored(b))))
      assert.equal(2, output_of(compiled()))
    end)
  end

  it("goes on with what compiles later while it is the same, and says when it is not", function()
    give "a function that compiles later"
    local b = made()
    forget()
    assert.equal(1, output_of(bundle.load(stored(b))))
    packed.packed = "return { version = function() return 2 end }"
    forget()
    local ok, e = pcall(bundle.load, stored(b))
    assert.is_false(ok)
    assert.equal("definition_changed", e.code)
    assert.truthy(tostring(e):find("packed", 1, true), tostring(e))
  end)

  it("keeps what such a module requires", function()
    packed.packed = "local n = require 'inner' return { version = function() return n end }"
    packed.inner = "return 5"
    give "a chunk"
    local b = made()
    assert.same({ "(main)", "packed", "inner" }, source_names(b))
    packed.inner = "return 6"
    forget()
    assert.equal(5, output_of(bundle.load(stored(b))))
  end)
end)
