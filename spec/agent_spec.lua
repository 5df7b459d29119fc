-- The node types `agent`, `agent.extract` and `agent.classify`: against a server on loopback that
-- speaks the Chat Completions requests and answers, and against functions.
local flow = require "orrery"
local command = require "spec.support.command"
local loopback = require "spec.support.loopback"
local one_node = require "spec.support.one_node"
local json = flow.json

local output, failure, contains = one_node.output, one_node.failure, one_node.contains

local server, answers

-- What a model says: the next of `answers`, a text, a message, or a response of HTTP.
local function respond(request)
  request.asked = json.decode(request.body)
  local answer = table.remove(answers, 1)
  if type(answer) == "function" then return answer(request) end
  if type(answer) == "table" and answer.status then return answer end
  local message = type(answer) == "table" and answer or { content = answer }
  message.role = "assistant"
  return { headers = { ["Content-Type"] = "application/json" }, body = json.encode { id = "1",
    model = "tiny-2", choices = { { index = 0, message = message,
      finish_reason = message.tool_calls and "tool_calls" or "stop" } },
    usage = { prompt_tokens = 100, completion_tokens = 10, total_tokens = 110 } } }
end

before_each(function()
  answers = {}
  server = loopback.start(respond)
end)
after_each(function() server.stop() end)

local function says(...) answers = { ... } end

local function with(config)
  local all = { url = server.url "/v1", model = "tiny" }
  for key, value in pairs(config) do all[key] = value end
  return flow.agent(all)
end

local function asked(n) return server.requests[n or #server.requests].asked end

local function call(id, name, arguments)
  return { id = id, type = "function", ["function"] = { name = name, arguments = arguments } }
end

describe("agent", function()
  it("sends a prompt and outputs the answer with what it used", function()
    says "Hello."
    local out = output(with { prompt = "Greet.", system = "Be brief.", temperature = 0.5, max_tokens = 50,
      options = { top_p = 0.9 }, prices = { input = 1.0, output = 5.0 }, key = "k-123" })
    assert.equal("Hello.", out.content)
    assert.same({ input = 100, output = 10, cost = 0.00015 }, out.usage)
    assert.equal("tiny-2", out.model)
    assert.equal(1, out.rounds)
    assert.same({ { role = "system", content = "Be brief." }, { role = "user", content = "Greet." } },
      asked().messages)
    assert.same({ "tiny", 0.5, 50, 0.9 }, { asked().model, asked().temperature, asked().max_tokens,
      asked().top_p })
    assert.equal("/v1/chat/completions", server.requests[1].path)
    assert.equal("Bearer k-123", server.requests[1].headers.authorization)
  end)

  it("is declared by name, and may be a function", function()
    flow.agent("spec_echo", function(request, ctx)
      return { content = ctx.node .. " says " .. request.messages[1].content, usage = { input = 3,
        output = 4 } }
    end)
    local out = output(flow.agent { agent = "spec_echo", prompt = "hi" })
    assert.same({ "it says hi", 3, 4 }, { out.content, out.usage.input, out.usage.output })
    flow.agent("spec_server", { url = server.url "/v1", model = "tiny", system = "S" })
    says "yes"
    assert.equal("yes", output(flow.agent { agent = "spec_server", prompt = "?", model = "large" }).content)
    assert.same({ "large", "S" }, { asked().model, asked().messages[1].content })
  end)

  it("fails without an agent, and says what there is", function()
    flow.agent("spec_writer", function() return "" end)
    local e = failure(flow.agent { prompt = "?" })
    assert.equal("no_agent", e.code)
    contains(e.message, 'flow.agent("default", { url = …, model = … })')
    contains(failure(flow.agent { agent = "spec_writr", prompt = "?" }).message,
      'no agent "spec_writr" is configured; did you mean "spec_writer"?')
  end)

  it("refuses a declaration with its mistakes", function()
    contains(select(2, pcall(flow.agent, "x", { url = "u" })).message, "url and model are missing")
    contains(select(2, pcall(flow.agent, "x", { url = "u", modle = "m" })).message, 'did you mean "model"?')
    contains(select(2, pcall(flow.agent, "x", 7)).message, "an agent is a table with url and model")
    contains(select(2, pcall(function() return flow.agent.extrat end)), 'did you mean "extract"?')
  end)

  it("asks nobody where it is simulated, and marks the result", function()
    local out = output(flow.agent { prompt = "?", simulate = true, schema = { name = "string",
      age = { type = "integer", min = 18 }, tags = "string[]?" } })
    assert.same({ name = "", age = 18 }, out.value)
    assert.is_true(out.simulated)
    assert.equal("simulated: why?", output(flow.agent { prompt = "why?", simulate = true }).content)
    assert.equal("because", output(flow.agent { prompt = "why?", simulate = "because" }).content)
    contains(failure(flow.agent { prompt = "?", simulate = { x = 1 }, schema = { y = "string" } }).message,
      "simulate: it does not fit the schema")
    assert.equal(0, #server.requests)
  end)

  it("takes its prompt from a template in a file", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write "Dear ${values.name},${for x in values.list} ${x}!${end}"
    file:close()
    says "ok"
    output(with { prompt_file = path, values = { name = "Ada", list = { 1, 2 } } })
    assert.equal("Dear Ada, 1! 2!", asked().messages[1].content)
    contains(failure(with { prompt_file = path, prompt = "?" }).message, "one too many")
    os.remove(path)
    assert.equal("file_error", failure(with { prompt_file = path }).code)
  end)

  it("has nothing to ask without a prompt", function()
    contains(failure(with { system = "s" }).message, "there is nothing to ask; give it a prompt")
  end)
end)

describe("an answer by a schema", function()
  local SCHEMA = { city = "string", degrees = "number" }

  it("is asked for as JSON Schema and checked", function()
    says '```json\n{"city": "Oslo", "degrees": -3}\n```'
    local out = output(with { prompt = "?", schema = SCHEMA })
    assert.same({ city = "Oslo", degrees = -3 }, out.value)
    local format = asked().response_format
    assert.equal("json_schema", format.type)
    assert.same({ type = "string" }, format.json_schema.schema.properties.city)
    assert.is_false(format.json_schema.schema.additionalProperties)
  end)

  it("is asked for again where it does not fit, with the reason", function()
    says('{"city": "Oslo"}', '{"city": "Oslo", "degrees": 1.5}')
    local out = output(with { prompt = "?", schema = SCHEMA, format = "json_object" })
    assert.same({ 1.5, 2, 200 }, { out.value.degrees, out.rounds, out.usage.input })
    assert.same({ type = "json_object" }, asked().response_format)
    contains(asked().messages[3].content, "degrees is missing")
  end)

  it("fails where it still does not fit", function()
    says("no JSON", "{}")
    local e = failure(with { prompt = "?", schema = SCHEMA })
    assert.equal("agent_output", e.code)
    assert.equal("{}", e.details.answer)
    assert.equal(2, #server.requests)
    says "no JSON"
    contains(failure(with { prompt = "?", schema = SCHEMA, repairs = 0 }).message, "it is not JSON")
  end)

  it("may be a JSON Schema as it is", function()
    local schema = { ["$schema"] = "https://json-schema.org/draft/2020-12/schema", type = "object",
      properties = { n = { type = "integer", multipleOf = 5 } }, required = { "n" } }
    says('{"n": 4}', '{"n": 10}')
    assert.equal(10, output(with { prompt = "?", schema = schema }).value.n)
    assert.same(schema, asked().response_format.json_schema.schema)
  end)
end)

describe("tools", function()
  it("are functions, node types and workflows, whose results are told to the model", function()
    local child = flow.workflow { name = "child", input = flow.schema { n = "integer" },
      output = "${nodes.a}" }
    child.a = { run = function(ctx) return ctx.input.n * 2 end }
    says({ content = "", tool_calls = { call("a", "twice", '{"n": 21}'), call("b", "fixed",
      '{"value": "other"}'),
      call("c", "add", '{"a": 1, "b": 2}') } }, "done")
    local out = output(with { prompt = "?", tools = {
      twice = { doc = "Doubles.", parameters = { n = "integer" }, workflow = child },
      fixed = { parameters = { value = "string" }, type = "const", with = { value = "mine" } },
      add = { parameters = { a = "integer", b = "integer" }, run = function(_,
        args) return args.a + args.b end },
    } })
    assert.equal("done", out.content)
    assert.same({ "42", "mine", "3" }, { out.calls[1].result, out.calls[2].result, out.calls[3].result })
    local messages = asked().messages
    assert.same({ role = "tool", tool_call_id = "a", content = "42" }, messages[3])
    assert.same({ "add", "fixed", "twice" }, { asked().tools[1]["function"].name,
      asked().tools[2]["function"].name, asked().tools[3]["function"].name })
    assert.same({ type = "integer" }, asked().tools[3]["function"].parameters.properties.n)
  end)

  it("that fail, are unknown or get what does not fit tell the model so", function()
    says({ tool_calls = { call("a", "bad", "{}"), call("b", "none", "{}"), call("c", "bad", '{"x": 1}'),
      call("d", "bad", "{") } }, "sorry")
    local out = output(with { prompt = "?", tools = { bad = { run = function()
      flow.error { code = "broken", message = "it is broken" }
    end } } })
    assert.equal("sorry", out.content)
    assert.equal("error: it is broken", out.calls[1].result)
    contains(out.calls[2].result, "there is no such tool")
    contains(out.calls[3].result, "the arguments do not fit")
    contains(out.calls[4].result, "the arguments are not JSON")
    assert.is_true(out.calls[1].failed)
  end)

  it("are bounded in rounds", function()
    local again = { tool_calls = { call("a", "t", "{}") } }
    says(again, again, again, again)
    local e = failure(with { prompt = "?", max_rounds = 3,
      tools = { t = { run = function() return 1 end } } })
    assert.equal("agent_rounds", e.code)
    assert.equal(3, #server.requests)
  end)

  it("are checked when the workflow is", function()
    local function mistake(tools)
      local w = flow.workflow { name = "w" }
      w.it = with { prompt = "?", tools = tools }
      local problems = flow.check(w)
      return problems[1] and problems[1].message or ""
    end
    contains(mistake { t = { doc = "x" } }, "tools.t: give it one of run")
    contains(mistake { t = { type = "no.such" } }, 'there is no node type "no.such"')
    contains(mistake { t = { run = print, nmae = 1 } }, 'it has no key "nmae"')
    contains(mistake { ["a b"] = { run = print } }, "its name has letters")
  end)

  it("that wait are cancelled with the node", function()
    says { tool_calls = { call("a", "slow", "{}") } }
    local node = with { prompt = "?", tools = { slow = { run = function() flow.exec { "sleep",
      "60" } end } } }
    node.timeout = "300ms"
    assert.equal("timeout", failure(node).code)
  end)
end)

describe("what goes wrong outside", function()
  local BUSY = { status = 429, headers = { ["Retry-After"] = "0" },
    body = '{"error":{"message":"slow down"}}' }

  it("is tried again by the node's retry, with the same key", function()
    says(BUSY, { status = 503 }, "ok")
    local node = with { prompt = "?" }
    node.retry = { max = 3, delay = "1ms" }
    assert.equal("ok", output(node).content)
    local keys = {}
    for i, request in ipairs(server.requests) do keys[i] = request.headers["idempotency-key"] end
    assert.equal(3, #keys)
    assert.same({ keys[1], keys[1] }, { keys[2], keys[3] })
  end)

  it("is an error of HTTP, or of the answer", function()
    says(BUSY)
    local e = failure(with { prompt = "?" })
    assert.same({ "http_status", true }, { e.code, e.retryable })
    says { status = 200, body = "<html>" }
    assert.equal("agent_answer", failure(with { prompt = "?" }).code)
    says { status = 200, body = '{"choices":[]}' }
    contains(failure(with { prompt = "?" }).message, "answered without a message")
    says { status = 200, body = '{"error":{"code":402,"message":"no credit"}}' }
    e = failure(with { prompt = "?" })
    assert.same({ "agent_answer", false }, { e.code, e.retryable })
    contains(e.message, "no credit")
    says { status = 302, headers = { Location = "http://elsewhere.invalid/" } }
    assert.equal("http_status", failure(with { prompt = "?" }).code)
    server.stop()
    assert.equal("http_connect", failure(with { prompt = "?" }).code)
  end)

  it("is bounded in time", function()
    says(function() return nil end)
    assert.equal("http_timeout", failure(with { prompt = "?", max_time = "200ms" }).code)
  end)
end)

-- A stream of events, written in pieces of a size.
local function stream(events, size, last)
  return function(request)
    local text = {}
    for i, event in ipairs(events) do
      text[i] = (type(event) == "string" and event or "data: " .. json.encode(event)) .. "\r\n\r\n"
    end
    local body = table.concat(text) .. (last or "data: [DONE]\n\n")
    request.client:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    for at = 1, #body, size do request.client:write(body:sub(at, at + size - 1)) end
    request.client:shutdown()
    return nil
  end
end

local function delta(fields, finish) return { choices = { { index = 0, delta = fields,
  finish_reason = finish } } } end

describe("a stream", function()
  local EVENTS = { ": a comment", delta { role = "assistant" }, delta { content = "One\nTw" },
    delta { content = "o" },
    delta({}, "stop"), { model = "tiny-3", choices = json.array {}, usage = { prompt_tokens = 7,
      completion_tokens = 2 } } }

  it("goes to the log by lines while it comes, however it is cut", function()
    for _, size in ipairs { 1, 7, 100000 } do
      local logged = {}
      says(stream(EVENTS, size))
      local r = one_node.run(with { prompt = "?", stream = true }, { on_event = function(e)
        if e.event == "log" then logged[#logged + 1] = e.message end
      end })
      assert.equal("completed", r.state, r.error and r.error.message)
      assert.same({ "One\nTwo", "tiny-3", 7 }, { r.output.content, r.output.model, r.output.usage.input })
      assert.same({ "One", "Two" }, logged)
      assert.is_true(asked().stream_options.include_usage)
    end
  end)

  it("may call tools", function()
    says(stream({ delta { tool_calls = { { index = 0, id = "a", ["function"] = { name = "t",
      arguments = '{"n"' } } } },
      delta { tool_calls = { { index = 0, ["function"] = { arguments = ": 4}" } } } }, delta({},
        "tool_calls") }, 50),
      stream({ delta { content = "16" }, delta({}, "stop") }, 50))
    local out = output(with { prompt = "?", stream = true, tools = { t = { parameters = { n = "integer" },
      run = function(_, args) return args.n * args.n end } } })
    assert.same({ "16", "16" }, { out.content, out.calls[1].result })
  end)

  it("that stops in the middle is an error that may be retried", function()
    says(stream({ delta { content = "half" } }, 100, ""))
    local e = failure(with { prompt = "?", stream = true })
    assert.same({ "agent_answer", true }, { e.code, e.retryable })
    contains(e.message, "stopped in the middle")
    says(stream({ { error = { message = "overloaded" } } }, 100))
    contains(failure(with { prompt = "?", stream = true }).message, "overloaded")
  end)

  it("is taken whole from who does not stream", function()
    says "plain"
    assert.equal("plain", output(with { prompt = "?", stream = true }).content)
  end)
end)

describe("agent.extract and agent.classify", function()
  it("take contacts, or what a schema says, from a text", function()
    says '{"contacts": [{"name": "Ada", "email": "ada@example.org"}]}'
    local out = output(flow.agent.extract { url = server.url "/v1", model = "tiny", text = "Ada wrote." })
    assert.equal("Ada", out.value.contacts[1].name)
    assert.equal("Ada wrote.", asked().messages[2].content)
    says '{"order": "A-7"}'
    out = output(flow.agent.extract { url = server.url "/v1", model = "tiny", text = "…",
      schema = { order = "string" } })
    assert.equal("A-7", out.value.order)
  end)

  it("give a text its labels, and no others", function()
    says('{"label": "blame"}', '{"label": "praise"}')
    local out = output(flow.agent.classify { url = server.url "/v1", model = "tiny", text = "good",
      labels = { "praise", "complaint" } })
    assert.equal("praise", out.value.label)
    says '{"labels": ["chess", "music"]}'
    out = output(flow.agent.classify { url = server.url "/v1", model = "tiny", text = "…", many = true,
      labels = { chess = "the game", music = "any", sports = "others" } })
    assert.same({ "chess", "music" }, out.value.labels)
    contains(asked().messages[1].content, "- chess: the game")
  end)
end)

describe("a run that is killed in the middle of a conversation", function()
  it("asks only what was under way again, with the same key, and its use is counted", function()
    says({ content = "", tool_calls = { call("a", "note", "{}") } }, function() return nil end, "the end")
    -- as a node, so that the server goes on meanwhile
    local ran = output(flow.exec { shell = ([[
      dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
      orrery=%s; case $orrery in /*) ;; *) orrery=$PWD/$orrery ;; esac; cd $dir
      cat >w.lua <<'END'
      local flow = require "orrery"
      local w = flow.workflow { name = "talk", output = "$${nodes.a.content}" }
      w.a = flow.agent { url = "%s", model = "tiny", prompt = "?", prices = { input = 10.0, output = 0 },
        tools = { note = { run = function() io.open("did", "a"):write("noted\n"):close() return 1 end } } }
      return w
END
      $orrery run -q w.lua --store s.db >out 2>&1 & pid=$!
      until [ -s did ] && sqlite3 -readonly s.db 'SELECT count(*) FROM steps' 2>/dev/null | grep -q 2; do sleep 0.02; done
      kill -9 $pid; wait $pid 2>/dev/null
      $orrery resume -q --store s.db @last; echo "code $?"; cat did
      $orrery stats --store s.db --workflow talk]]):format(command.quote(command.path), server.url "/v1") })
    contains(ran.stdout, "the end")
    contains(ran.stdout, "code 0\nnoted\n")
    assert.truthy(ran.stdout:find("talk%s+a%s+default%s+tiny%-2%s+2%s+200%s+20%s+0%.0020"), ran.stdout
      .. ran.stderr)
    local keys = {}
    for i, request in ipairs(server.requests) do keys[i] = request.headers["idempotency-key"] end
    assert.equal(3, #keys)
    assert.equal(keys[2], keys[3])
    assert.are_not.equal(keys[1], keys[2])
  end)
end)
