-- The page without a browser: its files, the document that `orrery show --html` writes, and the
-- data that both draw. What a browser makes of it, spec/page sees (`make page`).
local command = require "spec.support.command"
local coordinates = require "orrery.history.graph.coordinates"
local core = require "orrery.core"
local document = require "orrery.page.document"
local fold = require "orrery.history.graph.fold"
local graph = require "orrery.history.graph"
local page = require "orrery.page"
local place_of = require "spec.support.place"

local json = core.json
local KIB = 1024
local MARKUP = "</script><script>document.title='owned'</script><!-- <script> -->" -- of flows/hostile.lua

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function has(text, part) place_of.has(text, part) end

local function lacks(text, part)
  assert.is_nil(text:find(part, 1, true), ("%q is in:\n%s"):format(part, text:sub(1, 4000)))
end

-- A folder in which a workflow of spec/page/flows has run, and the id of the run.
local function ran(name, code)
  local place = place_of.new { ["flow.lua"] = read(("spec/page/flows/%s.lua"):format(name)) }
  place:ends(code, "run", "flow.lua", "--quiet")
  return place, place:newest()
end

-- ---- files --------------------------------------------------------------------------------------

describe("the files of the page", function()
  local function each_file(ending)
    local names, at = page.names(), 0
    return function()
      repeat at = at + 1 until not names[at] or names[at]:find(ending)
      return names[at], names[at] and page.text(names[at])
    end
  end

  it("are those that stand beside their module, and are sent compressed", function()
    local total = 0
    for _, name in ipairs(page.names()) do
      local file = page.packed(name)
      assert.equal(read("lua/orrery/page/" .. name), page.text(name))
      local path = os.tmpname()
      local out <close> = assert(io.open(path, "wb"))
      out:write(file.body)
      out:flush()
      assert.equal(page.text(name), command.shell("gzip -dc <" .. path).out)
      os.remove(path)
      assert.is_truthy(file.etag:find '^"%x+"$')
      assert.is_truthy(file.type)
      total = total + #file.body
    end
    assert.is_true(total > 5 * KIB and total < 120 * KIB, total .. " bytes")
    assert.is_nil(page.packed "none.js")
    assert.is_nil(page.text "../init.lua")
  end)

  it("never read data as HTML or code, and ask nobody else", function()
    for name, text in each_file "%.js$" do
      for _, word in ipairs { "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
        "new Function", "DOMParser",
        "createContextualFragment", "srcdoc", "javascript:", "setAttribute(\"style\"" } do
        assert.is_nil(text:find(word, 1, true), name .. " has " .. word)
      end
      for address in text:gmatch "https?://[%w./]+" do
        assert.equal("http://www.w3.org/2000/svg", address, name)
      end
    end
    for name, text in each_file "%.html$" do
      assert.is_nil(text:find "%son%a+=", name)
      assert.is_nil(text:find("style=", 1, true), name)
      assert.is_nil(text:find "<script[^>]*>[^<]", name)
      assert.is_nil(text:find("http", 1, true), name)
    end
    for name, text in each_file "%.css$" do assert.is_nil(text:find("url(", 1, true), name) end
  end)

  it("import what is there, each in a line of its own", function()
    for name, text in each_file "%.js$" do
      for line in text:gmatch "[^\n]+" do
        if line:find "^import" then
          local other = line:match '^import .-"%./([^"]+)";$'
          assert.is_truthy(other, name .. ": " .. line)
          assert.is_truthy(page.text(other), name .. ": " .. line)
        end
      end
    end
  end)

  it("are all asked for at once", function()
    local index = page.text "index.html"
    for name in each_file "%.js$" do
      local is_own = name ~= "report.js"
      assert.equal(is_own, index:find('"/page/' .. name .. '"', 1, true) ~= nil, name)
    end
  end)

  it("have no name of the top level in common, as they become one script", function()
    local seen = {}
    for line in document.script():gmatch "[^\n]+" do
      local name = line:match "^async function ([%w_]+)" or line:match "^function ([%w_]+)"
        or line:match "^class ([%w_]+)" or line:match "^const ([%w_]+)" or line:match "^let ([%w_]+)"
      if name then
        assert.is_nil(seen[name], name .. " is there twice")
        seen[name] = true
      end
      assert.is_nil(line:find "^import " or line:find "^export ", line)
    end
    assert.is_truthy(seen.report)
  end)
end)

-- ---- the document -------------------------------------------------------------------------------

local function script_of(html) return html:match '<script type="module">(.-)</script>' end
local function data_of(html) return html:match '<script type="application/json" id="data">(.-)</script>' end

-- As openssl has it.
local function hash_of(text)
  return (command.shell("openssl dgst -sha256 -binary | openssl base64", text).out:gsub("%s", ""))
end

local function judged(html)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(html)
  file:flush()
  local result = command.shell("xmllint --html --noout " .. path)
  os.remove(path)
  return result
end

describe("orrery show --html", function()
  it("writes one page that a policy allows to run its own script and nothing else", function()
    local place <close>, id = ran("times", 0)
    place:ends(0, "show", id, "--html", "run.html")
    local html = place:read "run.html"
    local result = judged(html)
    assert.equal("", result.err)
    has(html, "default-src 'none'; script-src 'sha256-" .. hash_of(script_of(html)) .. "';")
    has(html, "style-src 'sha256-" .. hash_of(html:match "<style>(.-)</style>") .. "';")
    lacks(html:match "<meta http%-equiv.->", "unsafe")
    assert.is_nil(html:find "<[^>]* src=")
    assert.equal(html, place:ends(0, "show", id, "--html", "-").out:gsub('"made":[%d.]+',
      html:match '"made":[%d.]+') .. "")
    local data = json.decode(data_of(html))
    assert.equal(id, data.run.id)
    assert.equal(7, #data.graph.nodes)
    assert.equal("begins", data.logs.lines[1].message)
    assert.equal("done", data.run.output.last)
  end)

  it("tells queue, run, wait and retry apart, and the measured critical path", function()
    local place <close>, id = ran("times", 0)
    local data = json.decode(data_of(place:ends(0, "show", id, "--html", "-").out))
    local function kinds(name)
      local list, last = {}, nil
      local node = data.timeline.nodes[name]
      for i, span in ipairs(node.spans) do
        list[i] = span.kind .. (span.failed and "!" or "")
        assert.is_true(span.from >= (last or node.queued) - 1e-6 and span.to >= span.from, name)
        last = span.to
      end
      return table.concat(list, " ")
    end
    assert.equal("run wait run", kinds "slow")
    assert.equal("run! retry run", kinds "flaky")
    assert.equal("run", kinds "start")
    assert.same({ "start", "slow", "last" }, data.timeline.critical)
    assert.equal("start", data.timeline.nodes.slow.by)
    local queued = data.timeline.nodes.queued
    assert.is_true(queued.spans[1].from >= queued.queued)
    assert.is_nil(data.timeline.nodes.never)
    has(data.why.never.sentence, "was skipped")
  end)

  it("escapes what would end its element, and keeps it whole", function()
    local place <close>, id = ran("hostile", 1)
    local html = place:ends(0, "show", id, "--html", "-").out
    local text = data_of(html)
    for _, sign in ipairs { "<", ">", "&", "\27", "\u{2028}", "\u{202E}" } do lacks(text, sign) end
    local _, scripts = html:gsub("<script", "")
    assert.equal(2, scripts)
    lacks(html, "<img")
    lacks(html:match "<title>(.-)</title>", "<")
    assert.equal("", judged(html).err)
    local data = json.decode(text)
    local output = data.run.nodes[1].output
    assert.equal(MARKUP, output[MARKUP])
    assert.equal(9007199254740993, output.big)
    has(data.logs.lines[1].message, "\27[31mred\27[0m")
    has(data.run.workflow, "\u{202E}")
    assert.equal("<b>code</b>", data.run.nodes[2].error.code)
  end)

  it("says where an error is and what helps", function()
    local place <close>, id = ran("failed", 1)
    local data = json.decode(data_of(place:ends(0, "show", id, "--html", "-").out))
    local failed = data.run.nodes[2]
    assert.equal("failed", failed.state)
    has(failed.help.lines[1], "flow.lua:12:")
    has(failed.help.try, "innermost first")
    has(data.why.parse.remedy, "retry")
  end)

  it("shows a run whose code the store does not have", function()
    local past = require "spec.support.history"
    local hooks = {}
    past.each_test { before_each = function(fn) hooks[1] = fn end,
      after_each = function(fn) hooks[2] = fn end }
    hooks[1]()
    local ok, problem = pcall(function()
      local data = json.decode(data_of(past.ok("show", past.SAGA, "--html", "-").out))
      assert.is_nil(data.graph)
      assert.equal("reserve", data.run.nodes[1].name)
      data = json.decode(data_of(past.ok("show", past.DONE, "--html", "-").out))
      assert.equal(4, #data.graph.nodes)
      assert.equal(4, #data.graph.edges)
      past.refused(2, "give --html a path in a folder that exists", "show", past.DONE, "--html",
        "/none/run.html")
    end)
    hooks[2]()
    if not ok then error(problem, 0) end
  end)
end)

-- ---- coordinates --------------------------------------------------------------------------------

-- A view of random layers, groups and nodes that are alike.
local function random_view(seed)
  math.randomseed(seed)
  local nodes, edges, deepest = {}, {}, 0
  local function add(name, kind, deps)
    local layer = 1
    for _, from in ipairs(deps) do
      layer = math.max(layer, nodes[from].layer + 1)
      edges[#edges + 1] = { from = from, to = #nodes + 1 }
    end
    nodes[#nodes + 1] = { name = name, type = kind, layer = layer, marks = {} }
    deepest = math.max(deepest, layer)
    return #nodes
  end
  add("first", "lua", {})
  for i = 1, math.random(2, 8) do
    local from, kind = math.random(#nodes), math.random(3)
    if kind == 1 then
      local members = {}
      for m = 1, math.random(2, 6) do members[m] = add(("g%d_%d"):format(i, m), "lua", { from }) end
      add("g" .. i, "parallel", members)
    elseif kind == 2 then
      for m = 1, math.random(2, 6) do add(("like%d_%d"):format(i, m), "exec", { from }) end
    else
      local other = math.random(#nodes)
      add("n" .. i, "lua", other ~= from and { from, other } or { from })
    end
  end
  return { name = "random", nodes = nodes, edges = edges, layers = deepest }
end

describe("coordinates", function()
  it("put no box over another and lead each edge from box to box, on random graphs", function()
    for seed = 1, 60 do
      local view = random_view(seed)
      local g = coordinates.of(view)
      for e, edge in ipairs(view.edges) do
        local points, from, to = g.lines[e], g.boxes[edge.from], g.boxes[edge.to]
        local first, last = points[1], points[#points]
        assert.is_true(first.x > from.x and first.x < from.x + from.width
          and first.y == from.y + from.height, "seed " .. seed)
        assert.is_true(last.x > to.x and last.x < to.x + to.width and last.y == to.y, "seed " .. seed)
      end
      for a = 1, #g.boxes do
        local one = g.boxes[a]
        assert.is_true(one.x >= -1e-6 and one.x + one.width <= g.width + 1e-6
          and one.y + one.height <= g.height)
        for b = a + 1, #g.boxes do
          local other = g.boxes[b]
          local apart = one.y ~= other.y or one.x + one.width < other.x
            or other.x + other.width < one.x
          assert.is_true(apart, "seed " .. seed)
        end
      end
    end
  end)

  it("fold so that each node is in one place and no cycle is made, on random graphs", function()
    local folded_any = 0
    for seed = 1, 200 do
      local view = random_view(seed)
      local folded = fold.of(view)
      if folded then
        folded_any = folded_any + 1
        local seen = {}
        for _, node in ipairs(folded.nodes) do
          for _, i in ipairs(node.members or { node.at }) do
            assert.is_nil(seen[i], "seed " .. seed)
            seen[i] = true
          end
        end
        for i in ipairs(view.nodes) do assert.is_true(seen[i], ("seed %d, node %d"):format(seed, i)) end
        for _, edge in ipairs(folded.edges) do
          assert.is_true(folded.nodes[edge.from].layer < folded.nodes[edge.to].layer, "seed " .. seed)
        end
        assert.is_true(#folded.nodes < #view.nodes)
      end
    end
    assert.is_true(folded_any > 50, folded_any .. " folded")
  end)

  it("are data with indices from zero, and with the folded graph", function()
    local view = { name = "fan", layers = 2, edges = {},
      nodes = { { name = "a", type = "lua", layer = 1, marks = {} } } }
    for i = 1, 5 do
      view.nodes[i + 1] = { name = "b" .. i, type = "exec", layer = 2, marks = { "retry 2" } }
      view.edges[i] = { from = 1, to = i + 1, label = i == 1 and "yes" or nil }
    end
    local data = json.decode(json.encode(graph.of(view)))
    assert.equal(0, data.edges[5].from)
    assert.equal(5, data.edges[5].to)
    assert.equal(4, #data.edges[5].points)
    assert.same({ "retry 2" }, data.nodes[2].marks)
    assert.equal(2, #data.folded.nodes)
    assert.same({ 1, 2, 3, 4, 5 }, data.folded.nodes[2].members)
    assert.equal("× 5", data.folded.nodes[2].marks[1])
  end)
end)

-- ---- the server ---------------------------------------------------------------------------------

describe("the page of a server", function()
  local served = require "spec.support.served"
  local TIMES, LARGE = read "spec/page/flows/times.lua", read "spec/page/flows/large.lua"

  it("is sent compressed to who takes it so, and once while it is the same", function()
    local s <close> = served.new {}
    local token = s:token "read"
    local plain = s:expect(200, "GET", "/", { token = token })
    assert.equal(page.text "index.html", plain.body)
    assert.equal("accept-encoding", plain.headers.vary)
    for _, name in ipairs(page.names()) do
      local file = page.packed(name)
      local packed = s:ask("GET", "/page/" .. name, { token = token,
        headers = { ["accept-encoding"] = "br, gzip" } })
      assert.equal(200, packed.status)
      assert.equal(file.body, packed.body)
      assert.equal("gzip", packed.headers["content-encoding"])
      assert.equal(file.type, packed.headers["content-type"])
      assert.equal("nosniff", packed.headers["x-content-type-options"])
      local again = s:ask("GET", "/page/" .. name, { token = token,
        headers = { ["accept-encoding"] = "gzip", ["if-none-match"] = packed.headers.etag } })
      assert.equal(304, again.status)
      assert.equal("", again.body)
      local none = s:ask("GET", "/page/" .. name, { token = token,
        headers = { ["accept-encoding"] = "gzip;q=0" } })
      assert.equal(page.text(name), none.body)
      assert.is_nil(none.headers["content-encoding"])
      assert.are_not.equal(packed.headers.etag, none.headers.etag)
    end
    assert.equal(404, s:ask("GET", "/page/init.lua", { token = token }).status)
    assert.equal(401, s:ask("GET", "/page/app.js").status)
  end)

  it("gets graphs with coordinates, and times", function()
    local s <close> = served.new { ["times.lua"] = TIMES, ["large.lua"] = LARGE }
    local token = s:token "run"
    local drawn = s:expect(200, "GET", "/api/v1/workflows/large/graph", { token = token })
    assert.equal(3001, #drawn.nodes)
    assert.equal(2002, #drawn.folded.nodes)
    local id = s:expect(201, "POST", "/api/v1/runs", { token = token, body = { workflow = "times" } }).id
    s:until_state(id, "completed")
    local path = "/api/v1/runs/" .. id
    assert.same(s:expect(200, "GET", "/api/v1/workflows/times/graph", { token = token }),
      s:expect(200, "GET", path .. "/graph", { token = token }))
    local times = s:expect(200, "GET", path .. "/timeline", { token = token })
    assert.same({ "start", "slow", "last" }, times.critical)
    assert.equal(6, times.started)
  end)
end)
