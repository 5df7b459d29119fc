-- `flow.connector`, and the connectors of the library: against a server on loopback that speaks the
-- requests and answers that the services describe.
local flow = require "orrery"
local loopback = require "spec.support.loopback"
local one_node = require "spec.support.one_node"
local json = flow.json

local output, failure, contains = one_node.output, one_node.failure, one_node.contains

local server, routes

-- What stands for "METHOD /path": a value that is sent as JSON, { each = a list of such }, one
-- after the other, or a function of the request.
local function respond(request)
  local answer = routes[request.method .. " " .. request.path]
  if type(answer) == "table" and answer.each then answer = table.remove(answer.each, 1) end
  if type(answer) == "function" then answer = answer(request) end
  if answer == nil then answer = { status = 404,
    body = json.encode { error = { message = "no such route" } } } end
  if answer.status then return answer end
  return { headers = { ["Content-Type"] = "application/json" }, body = json.encode(answer) }
end

local function last(n) return server.requests[n or #server.requests] end

before_each(function()
  routes = {}
  server = loopback.start(respond)
end)
after_each(function() server.stop() end)

local function connector(name) -- which goes to the server, with a key
  local made = require("orrery.connectors." .. name)
  made.configure { base = server.url "/api", key = "the-key" }
  return made
end

describe("flow.connector", function()
  local made
  before_each(function()
    made = flow.connector { name = "shop", base = server.url "/v1/", auth = { query = "token" }, key = "k-1",
      rate = "1000/s", error = "problem", headers = { ["X-Client"] = "spec" }, retry = { max = 2,
        delay = "1ms" },
      operations = {
        get = { doc = "Fetches an order.", path = "/orders/{id}", config = { id = "string",
          full = "boolean?" },
          query = { "full" }, result = "order" },
        add = { doc = "Adds one.", path = "/orders", config = { city = "string", n = "integer?" },
          body = { "city", "n" } },
        raw = { doc = "Sends what it is given.", path = "/raw", config = { data = "any" }, body = "data" },
        all = { doc = "Lists orders.", path = "/orders",
          paging = { items = "orders", next = { page = "page" }, query = { size = 2 } } },
        both = { doc = "Adds one and fetches it.", config = { city = "string" }, run = function(_, config,
          api)
          return api.get { id = api.add { city = config.city }.id }
        end },
      } }
  end)

  it("puts paths, parameters, headers and bodies together", function()
    routes["GET /v1/orders/a%2F..%2Fb"] = { order = { city = "Oslo" } }
    assert.same({ city = "Oslo" }, output(made.get { id = "a/../b", full = true }))
    assert.equal("spec", last().headers["x-client"])
    contains(last().query, "full=true")
    contains(last().query, "token=k-1")
    routes["POST /v1/orders"] = { id = "7" }
    assert.equal("7", output(made.add { city = "Bergen" }).id)
    assert.equal('{"city":"Bergen"}', last().body)
    routes["POST /v1/raw"] = { ok = true }
    output(made.raw { data = { 1, 2 } })
    assert.equal("[1,2]", last().body)
  end)

  it("gives false as it is, and nothing for null", function()
    routes["GET /v1/orders/1"] = { each = { { order = false }, { order = json.null } } }
    assert.is_false(output(made.get { id = "1" }))
    assert.is_nil(output(made.get { id = "1" }))
  end)

  it("fetches all pages, or as many items as are wanted", function()
    routes["GET /v1/orders"] = function(request)
      local page = tonumber(request.query:match "page=(%d+)")
      return { orders = json.array(page <= 2 and { page * 10, page * 10 + 1 } or {}) }
    end
    assert.same({ 10, 11, 20, 21 }, output(made.all {}))
    contains(last().query, "size=2")
    assert.same({ 10, 11, 20 }, output(made.all { max_items = 3 }))
  end)

  it("tries again as its types say, and what a node says comes first", function()
    routes["GET /v1/orders/1"] = { each = { { status = 503 }, { status = 500 }, { order = 1 } } }
    assert.equal(1, output(made.get { id = "1" }))
    assert.equal(3, #server.requests)
    routes["GET /v1/orders/1"] = { each = { { status = 503 }, { order = 1 } } }
    assert.equal("http_status", failure(made.get { id = "1", retry = 0 }).code)
  end)

  it("says what the service says of an error", function()
    routes["GET /v1/orders/1"] = { status = 422, body = '{"problem": "the id is old"}' }
    local e = failure(made.get { id = "1" })
    assert.equal("shop.get answered 422: the id is old", e.message)
    assert.same({ "http_status", 422, "the id is old" }, { e.code, e.details.status, e.details.body.problem })
    routes["GET /v1/orders/1"] = { status = 400, body = '{"problem": ["a", "b"]}' }
    contains(failure(made.get { id = "1" }).message, '["a","b"]')
    routes["GET /v1/orders/1"] = { status = 400, body = "<html>" }
    contains(failure(made.get { id = "1" }).message, "<html>")
  end)

  it("calls other operations in an operation of its own, each as a step", function()
    routes["POST /v1/orders"], routes["GET /v1/orders/9"] = { id = "9" }, { order = { city = "Oslo" } }
    assert.same({ city = "Oslo" }, output(made.both { city = "Oslo" }))
  end)

  it("takes a secret as its key, also from a node, and says where none is", function()
    local uv = require "luv"
    uv.os_setenv("CONNECTOR_SPEC_KEY", "from-the-environment")
    made.configure { key = flow.secret "CONNECTOR_SPEC_KEY" }
    routes["GET /v1/orders/1"] = { order = 1 }
    output(made.get { id = "1" })
    contains(last().query, "token=from-the-environment")
    output(made.get { id = "1", key = flow.secret "CONNECTOR_SPEC_KEY" })
    local bare = flow.connector { name = "bare", base = server.url "/", auth = { header = "K" },
      operations = { x = { doc = "X.", path = "/x" } } }
    contains(failure(bare.x {}).message, "bare needs a key")
  end)

  it("refuses a declaration with its mistakes", function()
    local function mistake(t)
      local ok, e = pcall(flow.connector, t)
      assert.is_false(ok)
      return e.message
    end
    contains(mistake { name = "a b", base = "http://x" }, "name is a word")
    contains(mistake { name = "a", base = "ftp://x" }, "base is a URL")
    contains(mistake { name = "a", base = "http://x", opertions = {} },
      'unknown field "opertions"; did you mean "operations"?')
    contains(mistake { name = "a", base = "http://x" }, "operations are missing")
    contains(mistake { name = "a", base = "http://x", operations = { x = { doc = "X." } } },
      "neither path nor run")
    contains(mistake { name = "a", base = "http://x", operations = { x = { doc = "X.", path = "/{id}" } } },
      "the path has {id}")
  end)
end)

describe("the connector", function()
  it("hunter finds, verifies and searches", function()
    local hunter = connector "hunter"
    routes["GET /api/email-finder"] = { data = { email = "ada@example.org", score = 97 } }
    assert.equal("ada@example.org", output(hunter.find { domain = "example.org", full_name = "Ada" }).email)
    assert.equal("the-key", last().headers["x-api-key"])
    routes["GET /api/email-verifier"] = { each = {
      { status = 202, headers = { ["Content-Type"] = "application/json" }, body = '{"data":{}}' },
      { data = { status = "valid", score = 100 } } } }
    local w = flow.workflow { name = "w", output = "${nodes.it.status}" }
    w.it = hunter.verify { email = "ada@example.org" }
    assert.equal("valid", flow.run(w).output)
    routes["GET /api/domain-search"] = function(request)
      local offset = tonumber(request.query:match "offset=(%d+)" or 0)
      return { data = { emails = json.array { { value = "m" .. offset } } }, meta = { results = 150 } }
    end
    local found = output(hunter.search { domain = "example.org" })
    assert.same({ "m0", "m100" }, { found[1].value, found[2].value })
    routes["GET /api/email-finder"] = { status = 401,
      body = '{"errors":[{"id":"authentication_failed","details":"No user found for the API key"}]}' }
    contains(failure(hunter.find { domain = "x" }).message, "No user found for the API key")
  end)

  it("apify runs an actor to its end and fetches its items", function()
    local apify = connector "apify"
    routes["POST /api/acts/a~b/runs"] = { data = { id = "r1", status = "READY", defaultDatasetId = "d1" } }
    routes["GET /api/actor-runs/r1"] = { each = {
      { data = { id = "r1", status = "RUNNING", defaultDatasetId = "d1" } },
      { data = { id = "r1", status = "SUCCEEDED", defaultDatasetId = "d1" } } } }
    routes["GET /api/datasets/d1/items"] = function(request)
      local offset = tonumber(request.query:match "offset=(%d+)" or 0)
      return { status = 200, headers = { ["Content-Type"] = "application/json",
        ["X-Apify-Pagination-Total"] = "1001" },
        body = json.encode(json.array { { n = offset } }) }
    end
    local out = output(apify.run { actor = "a~b", input = { url = "x" } })
    assert.same({ { n = 0 }, { n = 1000 } }, out.items)
    assert.equal("Bearer the-key", last().headers.authorization)
    assert.equal('{"url":"x"}', last(1).body)
    routes["POST /api/acts/a~b/runs"] = { data = { id = "r2", status = "FAILED" } }
    assert.equal("actor_failed", failure(apify.run { actor = "a~b" }).code)
  end)

  it("apollo enriches people and companies, within its rate limits", function()
    local apollo = connector "apollo"
    routes["POST /api/people/match"] = { each = { { status = 429, headers = { ["Retry-After"] = "0" } },
      { person = { name = "Ada" } } } }
    assert.equal("Ada", output(apollo.person { email = "ada@example.org", retry = { max = 1,
      delay = "1ms" } }).name)
    assert.equal("ada@example.org", json.decode(last().body).email)
    routes["GET /api/organizations/enrich"] = { organization = { name = "Example" } }
    assert.equal("Example", output(apollo.company { domain = "example.org" }).name)
  end)

  it("mixedbread makes vectors", function()
    local mixedbread = connector "mixedbread"
    routes["POST /api/embeddings"] = { data = { { index = 0, embedding = { 0.1, 0.2 } } },
      usage = { total_tokens = 3 } }
    assert.same({ 0.1, 0.2 }, output(mixedbread.embed { input = { "a text" } }).data[1].embedding)
    assert.is_true(json.decode(last().body).normalized)
  end)

  it("openrouter chats and lists models", function()
    local openrouter = connector "openrouter"
    routes["POST /api/chat/completions"] = { choices = { { message = { content = "hi" } } } }
    assert.equal("hi", output(openrouter.chat { model = "m", messages = { { role = "user",
      content = "?" } } })
      .choices[1].message.content)
    routes["GET /api/models"] = { data = { { id = "m" } } }
    assert.equal("m", output(openrouter.models {})[1].id)
    routes["GET /api/models"] = { status = 402, body = '{"error":{"code":402,"message":"no credit"}}' }
    contains(failure(openrouter.models {}).message, "openrouter.models answered 402: no credit")
  end)
end)

describe("the example enrich.lua", function()
  it("adds what a service and an agent know, and keeps apart who was not found", function()
    routes["GET /api/email-finder"] = function(request)
      local name = request.query:match "full_name=(%a+)"
      if name == "Nobody" then return { data = json.object {} } end
      if name == "Broken" then return { status = 400, body = '{"errors":[{"details":"bad name"}]}' } end
      return { data = { email = name:lower() .. "@example.org", score = name == "Guess" and 10 or 90 } }
    end
    local place = require "spec.support.place"
    local here <close> = place.new()
    here:write("people.csv", "name,domain,role\nAda,example.org,Engineer\nNobody,example.org,Buyer\n"
      .. "Guess,example.org,Buyer\nBroken,example.org,Engineer\nBob,example.org,Buyer\n")
    local out = output(flow.exec { argv = { place.orrery_path, "run", "-q", "examples/enrich.lua", "--input",
      "file=" .. here.folder .. "/people.csv" }, output = "json",
      env = { HUNTER_URL = server.url "/api", HUNTER_API_KEY = "k" } }).stdout
    local names = {}
    for i, row in ipairs(out.people) do names[i] = row.name .. " " .. row.kind .. " " .. row.email end
    assert.same({ "Ada technical ada@example.org", "Bob other bob@example.org" }, names)
    local rejected = {}
    for i, reject in ipairs(out.rejected) do rejected[i] = reject.row.name end
    assert.same({ "Nobody", "Guess", "Broken" }, rejected)
  end)
end)
