-- A definition that is data does what its loader allows, and nothing else.
local command = require "spec.support.command"
local flow = require "orrery"
local json = require "orrery.core".json

local function definition(node, top)
  local made = { name = "d", nodes = json.array { node }, output = "${nodes." .. node.id .. "}" }
  for key, value in pairs(top or {}) do made[key] = value end
  return json.encode(made)
end

local function load(source, options)
  local from = { source = source }
  for key, value in pairs(options or {}) do from[key] = value end
  return flow.load(from)
end

-- The kinds of mistakes, or the code of the run's error, or nil where it completes.
local function result_of(node, options, top)
  local w = load(definition(node, top), options)
  local problems = flow.check(w)
  if #problems > 0 then return problems[1].kind, problems[1].message end
  local run = flow.run(w)
  return run.error and run.error.code, run.error and run.error.message
end

local function refused(code, message) assert.equal("not_allowed", code, message) end

describe("a text is JSON", function()
  local LUA = "_G.ran = true return require('orrery').workflow { name = 'x' }"

  it("unless its format or its name's ending says that it is Lua", function()
    for _, name in ipairs { false, "upload-17", "upload.json", "x.lua.txt" } do
      local from = { source = LUA, name = name or nil }
      assert.is_false(pcall(flow.load, from))
      assert.equal("bad_json", flow.check(from)[1].kind)
      assert.is_nil(rawget(_G, "ran"))
    end
    assert.is_false(pcall(flow.load, { source = LUA, name = "x.lua", format = "json" }))
    assert.is_nil(rawget(_G, "ran"))
    assert.is_true(pcall(flow.load, { source = LUA, format = "lua" }))
    rawset(_G, "ran", nil)
    assert.is_true(pcall(flow.load, { source = LUA, name = "x.lua" }))
    rawset(_G, "ran", nil)
  end)

  it("and what is said of it is known", function()
    assert.is_false(pcall(flow.load, { source = "{}", format = "yaml" }))
    assert.is_false(pcall(flow.load, { source = "{}", type = { "const" } }))
    assert.is_false(pcall(flow.load, { source = "{}", types = "const" }))
    assert.is_false(pcall(flow.load, { source = "{}", hosts = { a = "b" } }))
  end)
end)

describe("a definition may use", function()
  it("types that reach nothing, unless there is a list", function()
    assert.is_nil(result_of { id = "a", type = "const", with = { value = 1 } })
    for _, node in ipairs {
      { id = "a", type = "exec", with = { shell = "true" } },
      { id = "a", type = "file.read", with = { path = "/etc/hostname" } },
      { id = "a", type = "http.get", with = { url = "http://127.0.0.1:1/" } },
      { id = "a", type = "workflow", with = { workflow = "x.json" } },
    } do refused(result_of(node)) end
    refused(result_of({ id = "a", type = "const", with = { value = 1 } }, { types = { "log" } }))
    assert.is_nil(result_of({ id = "a", type = "exec", with = { argv = json.array { "true" } } },
      { types = { "ex*" }, commands = { "true" } }))
  end)

  it("no other to undo a node", function()
    refused(result_of { id = "a", type = "const", with = { value = 1 },
      compensate = { type = "exec", with = { shell = "true" } } })
  end)

  it("variables of its list", function()
    local node = { id = "a", type = "const", with = { value = "${env.HOME}" } }
    refused(result_of(node, nil, { env = json.array { "HOME" } }))
    refused(result_of(node, { env = { "HOMER" } }, { env = json.array { "HOME" } }))
    assert.is_nil(result_of(node, { env = { "HOME" } }, { env = json.array { "HOME" } }))
  end)

  it("commands of its list", function()
    local options = { types = { "exec" }, commands = { "true" } }
    local function exec(with) return result_of({ id = "a", type = "exec", with = with }, options) end
    assert.is_nil(exec { argv = json.array { "true" } })
    refused(exec { argv = json.array { "false" } })
    refused(exec { argv = json.array { "/bin/true" } })
    refused(exec { shell = "true" })
    refused(exec { argv = json.array { "true" }, env = { PATH = "/tmp" } })
    refused(exec { argv = json.array { "true" }, cwd = "/" })
    options = { types = { "exec" }, commands = { "*" } }
    assert.is_nil(exec { shell = "true" })
  end)

  it("files of HTTP bodies in its folders, and hosts for every method", function()
    local options = { types = { "http.*" }, hosts = { "127.0.0.1" }, paths = { "/srv" } }
    local function http(word, config)
      config.url = config.url or "http://127.0.0.1:1/"
      return result_of({ id = "a", type = "http." .. word, with = config }, options)
    end
    refused(http("put", { from = "/etc/passwd" }))
    refused(http("get", { to = "/tmp/x" }))
    refused(http("post", { multipart = { a = { from = "/etc/passwd" } } }))
    refused(http("post", { multipart = json.array { { name = "a", from = "/etc/passwd" } } }))
    for _, word in ipairs { "post", "put", "patch", "delete", "request", "get", "pages" } do
      refused(http(word, { url = "http://localhost:1/" }))
      assert.equal("http_connect", (http(word, {})))
    end
    options.hosts = { "*" }
    refused(http("put", { from = "/etc/passwd" }))
  end)

  it("hosts of its list", function()
    local options = { types = { "http.*" }, hosts = { "127.0.0.1", "*.example.org" } }
    local function get(url)
      return result_of({ id = "a", type = "http.get", with = { url = url } }, options)
    end
    assert.are_not.equal("not_allowed", (get "http://127.0.0.1:1/x"))
    for _, url in ipairs { "http://localhost:1/", "http://127.0.0.1@localhost:1/",
      "http://localhost:1\\@127.0.0.1/", "http://127.0.0.1:1@localhost/", "http://example.org/",
      "http://x.example.org.evil.test/", "127.0.0.1:1", "file:///etc/passwd", "http://[::1]/",
      "http://localhost#@127.0.0.1/", "http://localhost?@127.0.0.1/" } do
      refused(get(url))
    end
  end)
end)

describe("a definition reaches", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir -p %s/in %s/out && echo hello >%s/in/a && echo secret >%s/out/b"
      .. " && ln -s ../out/b %s/in/link && ln -s ../out/new %s/in/dangling && ln -s ../out %s/in/folder")
      :gsub("%%s", folder)))
  end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  local function file(kind, path, more)
    local with = { path = folder .. path }
    for key, value in pairs(more or {}) do with[key] = value end
    return result_of({ id = "a", type = "file." .. kind, with = with },
      { types = { "file.*" }, paths = { folder .. "/in" } })
  end

  it("files in its folders", function()
    assert.is_nil(file("read", "/in/a"))
    assert.is_nil(file("read", "/in/../in/./a"))
    assert.is_nil(file("write", "/in/deep/new", { content = "x", mkdirs = true }))
    assert.is_nil(file("list", "/in"))
  end)

  it("no others, by whatever path or link", function()
    for _, path in ipairs { "/out/b", "/in/../out/b", "/in/link", "/in/folder/b", "/in2",
      "/in/none/../../out/b" } do
      refused(file("read", path))
    end
    for _, path in ipairs { "/in/dangling", "/in/folder/new", "/in/x/../../out/new" } do
      refused(file("write", path, { content = "x" }))
    end
    refused(file("list", ""))
    assert.is_false(os.execute(("test -e %s/out/new"):format(folder)) or false)
  end)

  local function files(kind, with)
    for key, value in pairs(with) do
      if type(value) == "string" then with[key] = folder .. value end
    end
    return result_of({ id = "a", type = "file." .. kind, with = with },
      { types = { "file.*" }, paths = { folder .. "/in" } })
  end

  it("no others to copy, move, remove or look at", function()
    assert.is_nil(files("copy", { from = "/in/a", to = "/in/c" }))
    assert.is_nil(files("move", { from = "/in/c", to = "/in/d" }))
    assert.is_nil(files("remove", { path = "/in/d" }))
    os.execute(("ln -s ../in/a %s/out/back"):format(folder))
    refused(files("copy", { from = "/out/b", to = "/in/c" }))
    refused(files("copy", { from = "/in/a", to = "/out/c" }))
    refused(files("copy", { from = "/in/a", to = "/in/folder/c" }))
    refused(files("move", { from = "/out/back", to = "/in/c" }))
    refused(files("move", { from = "/in/a", to = "/out/back" }))
    refused(files("remove", { path = "/out/back" }))
    refused(files("remove", { path = "/in", recursive = true }))
    refused(files("archive", { from = "/out", to = "/in/c.tar" }))
    refused(files("archive", { from = "/in", to = "/out/c.tar" }))
    refused(files("extract", { path = "/in/a", to = "/out/c" }))
    refused(files("extract", { path = "/out/b", to = "/in/c" }))
    for _, kind in ipairs { "stat", "hash", "mkdir", "watch" } do
      refused(files(kind, { path = "/out/b" }))
    end
    refused(files("find", { path = "/out", patterns = flow.json.array { "*" } }))
    assert.is_true(os.execute(("cd %s; test -e out/back -a -e in/a"):format(folder)) or false)
  end)
end)

describe("Lua", function()
  it("is not run by a JSON file, not as a child either", function()
    local result = command.shell(([[dir=$(mktemp -d); trap 'cd /; rm -rf "$dir"' EXIT; cd $dir
      printf '%%s' '{"name":"b","nodes":[{"id":"w","type":"file.write","with":{"path":"evil.lua",
        "content":"io.stderr:write(\"RAN\\n\") return require(\"orrery\").workflow { name = \"e\", output = 1 }"}},
        {"id":"c","type":"workflow","after":"w","with":{"workflow":"${\"evil.lua\"}"}}]}' >b.json
      cp b.json evil.json; %s run b.json --store memory:]]):format(
      command.path:match "^/" and command.path or '"$OLD"/' .. command.path))
    assert.equal(1, result.code)
    assert.is_nil(result.err:find "RAN\n")
    assert.is_true(result.err:find("runs no Lua", 1, true) ~= nil, result.err)
  end)

  it("is not run in a child of a text, and the child may do no more than its parent", function()
    local path = os.tmpname() .. ".json"
    local out <close> = assert(io.open(path, "w"))
    out:write(definition { id = "x", type = "exec", with = { shell = "true" } })
    out:flush()
    local node = { id = "a", type = "workflow", with = { workflow = path } }
    local _, message = result_of(node, { types = { "workflow" }, paths = { "/" } })
    assert.is_true(message:find('the type "exec" is not allowed', 1, true) ~= nil, message)
    refused(result_of(node, { types = { "workflow", "exec" }, commands = { "*" } }))
    assert.is_nil(result_of(node, { types = { "workflow", "exec" }, commands = { "*" }, paths = { "*" } }))
    os.remove(path)
  end)
end)

describe("a run that is resumed", function()
  it("may do no more than before", function()
    local bundle = require "orrery.bundle"
    local with = { argv = json.array { "${input.program}" } }
    local source = definition({ id = "a", type = "exec", with = with }, { input = { program = "string" } })
    local compiled = assert(flow.compile(load(source, { types = { "exec" }, commands = { "true" } })))
    local again = bundle.load(assert(bundle.of(compiled)))
    assert.equal("completed", flow.run(again, { input = { program = "true" } }).state)
    assert.equal("not_allowed", flow.run(again, { input = { program = "false" } }).error.code)
  end)
end)
