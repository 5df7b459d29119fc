-- Every example is run by the command under test, as a reader of the manual would run it.
local command = require "spec.support.command"
local place = require "spec.support.place"
local json = require("orrery.core").json

local FILES = { "/var/lib/dpkg/status", "/usr/share/common-licenses/BSD" }

local function present(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function example(name, ...)
  local result = command.run { "run", "examples/" .. name, ... }
  assert.are.equal(0, result.code, result.err)
  return json.decode(result.out), result
end

-- An example over files of the machine; elsewhere than on Debian they may be absent.
local function on_debian(name, test)
  it(name, function()
    for _, path in ipairs(FILES) do
      if not present(path) then return pending(path .. " is not on this machine") end
    end
    test()
  end)
end

describe("the example", function()
  it("hello.lua greets", function()
    assert.are.equal("Hello, world!", (example "hello.lua"))
    assert.are.equal("Hello, Ada!", (example("hello.lua", "--input", "name=Ada")))
  end)

  on_debian("linear.lua ranks the installed packages", function()
    local out = example("linear.lua", "--input", "top=3")
    assert.are.equal(3, #out.largest)
    assert.is_true(out.packages > 20)
    assert.is_true(out.largest[1].kib >= out.largest[2].kib)
  end)

  it("linear.lua reads another database", function()
    local path = command.file(
      "Package: a\nInstalled-Size: 2048\n\nPackage: b\n\nPackage: c\nInstalled-Size: 10\n")
    local out = example("linear.lua", "--input", "status=" .. path)
    os.remove(path)
    assert.are.same({ packages = 2, mib = 2,
      largest = { { name = "a", kib = 2048 }, { name = "c", kib = 10 } } }, out)
  end)

  it("pipe.lua sums orders up and keeps the wrong ones apart", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local out = example("pipe.lua", "--input", "folder=" .. folder)
    assert.are.same({ rejected = 2, countries = { { country = "DE", orders = 2, total = 22.0, most = 20.5 },
      { country = "FR", orders = 1, total = 8, most = 8 } } }, out)
    local rejected <close> = io.open(folder .. "/rejected.jsonl")
    assert.are.equal(5, json.decode(rejected:read "a").line)
    os.execute("rm -r " .. folder)
  end)

  it("ci.lua tests each of a matrix, and writes one report whatever fails", function()
    local p <close> = place.new()
    local out = example("ci.lua", "--input", "folder=" .. p.folder)
    assert.are.same({ 9, 7, p.folder .. "/report.xml" }, { out.cases, out.passed, out.report })
    assert.truthy(p:read("report.xml"):find('name="slug (C.UTF-8)"', 1, true))
    local result = command.run { "run", "examples/ci.lua", "--input", "folder=" .. p.folder,
      "--input", "only=none" }
    assert.are.equal(1, result.code)
    assert.truthy(p:read("report.xml"):find('name="slug (C)"', 1, true))
  end)

  it("watermark.lua takes what has come since the run before it", function()
    local orders, store = os.tmpname(), os.tmpname()
    os.remove(store)
    local function add(text)
      local file <close> = assert(io.open(orders, "a"))
      file:write(text)
    end
    local function run()
      return (example("watermark.lua", "--input", "file=" .. orders, "--store", "sqlite:" .. store))
    end
    add '{"id":1,"amount":5}\n{"id":2,"amount":7}\n'
    assert.are.same({ since = 0, orders = 2, total = 12 }, run())
    add '{"id":3,"amount":1}\n'
    assert.are.same({ since = 2, orders = 1, total = 1 }, run())
    assert.are.same({ since = 3, orders = 0, total = 0 }, run())
    os.execute("rm -f " .. orders .. " " .. store .. "*")
  end)

  on_debian("parallel.lua asks three questions at a time", function()
    local out = example "parallel.lua"
    assert.are.equal("string", type(out.longest))
    assert.is_true(out.words > 1000)
    assert.is_true(#out.without_warranty > 3)
  end)

  it("retry_fallback.lua tries again and falls back", function()
    local out, result = example "retry_fallback.lua"
    assert.are.same({ today = { gold = 2650, tries = 3 }, archive = { gold = 2600, stale = true } }, out)
    assert.truthy(result.err:find("fresh  started, attempt 3", 1, true))
  end)

  it("branching.lua takes one branch", function()
    for amount, by in pairs { [500] = "courier", [50] = "parcel", [5] = "letter" } do
      local out = example("branching.lua", "--input", "amount:=" .. amount)
      assert.are.equal(by, out.by)
      assert.are.equal(amount, out.amount)
    end
  end)

  on_debian("fan_out.lua counts the lines of each file", function()
    local out = example "fan_out.lua"
    assert.is_true(out.files > 5)
    assert.is_true(out.lines > 1000)
  end)

  on_debian("custom_type.lua uses a type of its own twice", function()
    local out = example "custom_type.lua"
    assert.is_true(out.all.words > out.long.words and out.long.words > 0)
  end)

  on_debian("definition.json takes one of two edges", function()
    local out, result = example "definition.json"
    assert.is_true(out.licences > 5)
    assert.truthy(result.err:find("licences are many", 1, true))
    assert.truthy(result.err:find("say_few  skipped", 1, true))
    result = select(2, example("definition.json", "--input", "limit:=1000"))
    assert.truthy(result.err:find("only %d+ licences"))
  end)

  it("build_c.lua compiles, links and runs a program", function()
    if not os.execute("command -v cc >/dev/null 2>&1") then
      return pending("there is no C compiler on this machine")
    end
    local folder = os.tmpname()
    os.remove(folder)
    local out = example("build_c.lua", "--input", "out=" .. folder)
    assert.are.equal("6! = 720, fib(20) = 6765\n", out.says)
    local store = { "--store", "sqlite:" .. folder .. "/runs.db", "--input", "out=" .. folder }
    local function cached()
      local _, result = example("build_c.lua", table.unpack(store))
      return select(2, result.err:gsub("completed from the cache", "")), result.err
    end
    assert.are.equal(0, (cached())) -- a store of its own knows nothing yet
    assert.are.equal(4, (cached()))
    os.remove(folder .. "/main.o")
    local n, said = cached()
    os.execute("rm -r " .. command.quote(folder))
    assert.are.equal(3, n) -- the object is as it was, so it is not linked again
    assert.truthy(said:find("compile_main  completed in", 1, true), said)
  end)

  on_debian("tour.lua retries, fans out and reports", function()
    local out, result = example "tour.lua"
    assert.is_true(out.packages.installed > 20)
    assert.is_true(#out.licences > 5)
    assert.truthy(result.err:find("retries in", 1, true))
  end)

  it("saga.lua undoes an order that cannot be sent", function()
    assert.are.same({ parcel = "parcel-1", paid = 25.0 }, (example "saga.lua"))
    local result = command.run { "run", "--json", "examples/saga.lua", "--input", "stock:=0" }
    assert.are.equal(1, result.code)
    local last = json.decode(result.out:match "([^\n]+)\n$")
    assert.are.equal("compensated", last.state)
    assert.are.equal("no_stock", last.error.code)
    assert.are.equal("charge", last.compensations[1].node)
    assert.truthy(last.compensations[1].value:find("refunded 25.00 of payment-", 1, true))
    assert.are.equal("released 2", last.compensations[2].value)
  end)

  it("approval.lua goes on when it is approved", function()
    local result = command.run { "examples/approval.lua" }
    assert.are.equal(0, result.code, result.err)
    assert.truthy(result.out:find("asked:\tPublish app-1.4.tar.gz?", 1, true), result.out)
    assert.truthy(result.out:find('completed:\t"published, as ada wished: tests are green"', 1, true),
      result.out)
    result = command.run { "examples/approval.lua", "no" }
    assert.truthy(result.out:find('completed:\t{"approved":false,"by":"ada","why":"tests are red"}', 1, true),
      result.out)
  end)

  it("all of them have no mistakes", function()
    local files = {}
    for path in io.popen("ls examples/*.lua examples/*.json"):lines() do files[#files + 1] = path end
    assert.is_true(#files >= 10)
    local result = command.run { "check", table.unpack(files) }
    assert.are.equal(0, result.code, result.err)
  end)
end)

describe("the tests of the examples", function()
  it("pass, and their snapshots are what happens", function()
    local result = command.run({ "test", "examples/tests" }, nil, "cd $OLD; export CI=1;")
    assert.are.equal(0, result.code, result.out .. result.err)
    assert.is_truthy(result.out:find("%d+ passed, 0 failed %("), result.out)
    assert.is_nil(result.out:find("snapshot", 1, true), result.out)
  end)
end)
