-- One secret goes through every node type of the library, in each key of its config, and stands
-- nowhere afterwards: not in the store, logs, events, errors, what commands show, the terminal.
local flow = require "orrery"
local loopback = require "spec.support.loopback"
local place = require "spec.support.place"
local types = require "orrery.definition.type"

local VALUE = "p4ss w0rd\"&<x>+'ü'-of-types" -- no path's separator: it is a file's name too
local SECRET = "${secret.SPEC_TYPES_TOKEN}"

-- What the types are given; DIR and URL are replaced. Each config of `uses` has to complete; of the
-- first, each key in turn gets the secret as well, and may fail. A type of which no key may hold a
-- text has none. A new type needs a line here.
local ROWS = { { name = SECRET, n = 1 }, { name = "x" .. SECRET, n = 2 } }
local READ = { path = "DIR/" .. SECRET }
local HTTP = { url = "URL/echo", query = { q = SECRET }, headers = { Authorization = "Bearer " .. SECRET },
  max_time = "20s" }
local function with(config, more)
  local made = {}
  for key, value in pairs(config) do made[key] = value end
  for key, value in pairs(more) do made[key] = value end
  return made
end
local SENT = { with(HTTP, { json = { token = SECRET, ["<" .. "t>"] = "a " .. SECRET } }),
  with(HTTP, { form = { token = SECRET } }), with(HTTP, { body = SECRET }),
  { url = "http://robot:" .. "${secret.SPEC_TYPES_ESCAPED}" .. "@HOST/echo", body = "x" } }
local BUCKET = { endpoint = "URL", bucket = "b", access_key = "a", secret_key = SECRET,
  session_token = SECRET,
  max_time = "20s" }
local S3 = with(BUCKET, { key = SECRET })
local MAIL = { host = "127.0.0.1", port = 1, tls = "none", user = "u", password = SECRET,
  from = "a@example.org",
  to = "b@example.org", subject = SECRET, max_time = "20s" }
local function hook(more) return { with({ url = "URL/echo?" .. "${secret.SPEC_TYPES_ESCAPED}",
  message = SECRET,
  title = SECRET, fields = { a = SECRET }, max_time = "20s" }, more or {}) } end

local POSTGRES = { host = "127.0.0.1", port = 1, user = "u", password = SECRET, database = "d" }

local REDIS = { host = "127.0.0.1", port = 1, user = "u", password = SECRET }

local AGENT = { url = "URL/v1", key = SECRET, model = "m" .. SECRET, prompt = "Say " .. SECRET,
  system = SECRET,
  headers = { ["X-Key"] = SECRET }, max_time = "20s" }

local CASES = {
  action = { with = { name = "none" } }, -- it stands for the type that is named
  cleanup = { uses = { { node = { type = "log", with = { message = SECRET } } } } },
  setup = { uses = { { node = { type = "log", with = { message = SECRET } } } } },
  assert = { fails = { { test = "1 == 2", message = SECRET, details = { a = SECRET } } } },
  barrier = { uses = { { name = "b" .. SECRET, count = 1 } } },
  fail = { fails = { { message = "a " .. SECRET, details = { a = SECRET } } } },
  trigger = { with = {} },
  agent = { uses = { AGENT, { simulate = true, prompt = ("x"):rep(190) .. SECRET } },
    fails = { with(AGENT, { url = "URL/500" }) } },
  ["agent.classify"] = { uses = { { simulate = true, text = SECRET, labels = { "a", "b" .. SECRET } } } },
  ["agent.extract"] = { uses = { { simulate = { name = SECRET }, text = SECRET,
    schema = { name = "string" } } } },
  condition = { with = { test = "true" } },
  const = { uses = { { value = { SECRET, { key = "x" .. SECRET .. "y" } } } } },
  ["csv.read"] = { uses = { { path = "DIR/rows.csv", columns = { "a" .. SECRET, "b" } } } },
  ["csv.write"] = { uses = { { path = "DIR/1.csv", rows = ROWS } } },
  ["data.aggregate"] = { uses = { { rows = ROWS, by = "name", figures = { sum = "sum n" } } } },
  ["data.dedupe"] = { uses = { { rows = ROWS, by = "name", memory = 0 } } },
  ["data.filter"] = { uses = { { rows = ROWS, where = "row.n == 1", rejects = true } } },
  ["data.group"] = { uses = { { rows = ROWS, by = "name", memory = 0 } } },
  ["data.map"] = { uses = { { rows = ROWS, rename = { name = SECRET } } } },
  ["data.sort"] = { uses = { { rows = ROWS, by = "name", memory = 0 } } },
  ["data.validate"] = { uses = { { rows = ROWS, schema = { name = { "a", "b" }, n = "integer" } } } },
  ["data.batch"] = { uses = { { rows = ROWS, size = 2 } } },
  ["data.diff"] = { uses = { { old = ROWS, new = { { name = SECRET, n = 3 } }, by = "name" } } },
  ["data.flatten"] = { uses = { { rows = { { a = { b = SECRET } } } } } },
  ["data.join"] = { uses = { { rows = ROWS, right = ROWS, by = "name" } } },
  ["data.merge"] = { uses = { { values = { { a = SECRET }, { ["k" .. SECRET] = SECRET } } } } },
  ["data.normalize"] = { uses = { { rows = ROWS, fields = { name = "trim" } } },
    fails = { { rows = ROWS, fields = { name = "email" }, rejects = false } } },
  ["data.split"] = { uses = { { rows = ROWS, parts = 2 } } },
  ["data.template"] = { uses = { { text = "x ${secret.SPEC_TYPES_TOKEN}" } } },
  delay = { with = { duration = "1ms" } },
  exec = { uses = {
    { argv = { "sh", "-c", 'echo "$1"; echo "$1" >&2; echo "$T" | base64; cat', "sh", SECRET },
      stdin = "in " .. SECRET,
      env = { T = "T=" .. SECRET } },
    { argv = { "echo", SECRET }, output = "log" }, { argv = { "echo", SECRET }, output = "lines" },
    { argv = { "sh", "-c", 'echo "$0 out"; echo "$0 err" >&2; printf %s "$0"', SECRET },
      output = "inherit" },
  }, fails = {
    { argv = { "sh", "-c", ': "$1"; yes "$1" | head -n 500 >&2; yes "$1" | head -n 500; exit 3', "sh",
      SECRET } },
    { argv = { "sh", "-c", 'yes "$1" | head -n 500; exit 3', "sh", "xx " .. SECRET }, output = "log" },
    { argv = { "sh", "-c", "exit 3", ("x"):rep(100) .. SECRET } },
    { argv = { "echo", "{ " .. SECRET }, output = "json" },
  } },
  ["file.archive"] = { uses = { { from = "DIR/in", to = "DIR/1.tar", prefix = SECRET } } },
  ["file.copy"] = { uses = { { from = "DIR/in", to = "DIR/copy" .. SECRET } } },
  ["file.extract"] = { uses = { { path = "DIR/in.tar", to = "DIR/out" .. SECRET } } },
  ["file.find"] = { uses = { { patterns = { "*", SECRET }, path = "DIR/in" } } },
  ["file.hash"] = { uses = { READ } },
  ["file.list"] = { uses = { { path = "DIR/in" } } },
  ["file.mkdir"] = { uses = { { path = "DIR/made" .. SECRET } } },
  ["file.move"] = { uses = { { from = "DIR/move", to = "DIR/moved" .. SECRET } } },
  ["file.read"] = { uses = { READ } },
  ["file.remove"] = { uses = { { path = "DIR/remove" } } },
  ["file.stat"] = { uses = { READ } },
  ["file.temp"] = { uses = { { dir = "DIR", name = SECRET } } },
  ["file.watch"] = { uses = { { path = "DIR/in", pattern = SECRET, timeout = "50ms",
    on_timeout = "continue" } } },
  ["file.write"] = { uses = { { path = "DIR/w" .. SECRET, content = SECRET } } },
  ["http.delete"] = { uses = SENT },
  ["http.get"] = { uses = { HTTP, with(HTTP, { url = "URL/302" }) }, fails = { with(HTTP,
    { url = "URL/500" }) } },
  ["http.pages"] = { uses = { { url = "URL/pages", query = { q = SECRET },
    headers = { ["X-Key"] = SECRET } } } },
  ["http.patch"] = { uses = SENT }, ["http.post"] = { uses = SENT }, ["http.put"] = { uses = SENT },
  ["http.request"] = { uses = SENT, fails = { with(HTTP, { url = "http://127.0.0.1:1/" .. SECRET }) } },
  ["jsonl.read"] = { uses = { { path = "DIR/rows.jsonl" } }, fails = { READ } },
  ["jsonl.write"] = { uses = { { path = "DIR/1.jsonl", rows = ROWS } } },
  log = { uses = { { message = "a " .. SECRET, fields = { f = SECRET } } } },
  ["mail.send"] = { fails = { MAIL } },
  ["notify.discord"] = { uses = hook() }, ["notify.slack"] = { uses = hook() },
  ["notify.teams"] = { uses = hook() }, ["notify.webhook"] = { uses = hook() },
  ["notify.email"] = { fails = { { host = "127.0.0.1", port = 1, tls = "none", password = SECRET,
    user = "u",
    from = "a@example.org", to = "b@example.org", message = SECRET } } },
  ["notify.log"] = { uses = { { message = SECRET, title = SECRET, fields = { a = SECRET } } } },
  ["notify.ntfy"] = { uses = { { server = "URL", topic = "echo", message = SECRET, token = SECRET,
    title = SECRET } } },
  pipe = { uses = { { stages = { { type = "csv.read", with = { path = "DIR/" .. SECRET } },
    { type = "data.map", with = { rename = { a = SECRET } } },
    { type = "csv.write", with = { path = "DIR/piped" .. SECRET } } } } } },
  ["bus.publish"] = { uses = { { topic = "t" .. SECRET, message = SECRET },
    { topic = "s" .. SECRET, message = { a = SECRET }, stream = true } } },
  ["bus.wait"] = { uses = { { topic = "t" .. SECRET, group = "g" .. SECRET, timeout = "10ms",
    on_timeout = "continue" } }, fails = { { topic = "t" .. SECRET, timeout = "10ms" } } },
  ["redis.command"] = { fails = { with(REDIS, { args = { "ECHO", SECRET } }) } },
  ["redis.get"] = { fails = { with(REDIS, { key = SECRET }) } },
  ["redis.publish"] = { fails = { with(REDIS, { channel = SECRET, message = SECRET }) } },
  ["redis.set"] = { fails = { with(REDIS, { key = SECRET, value = SECRET }) } },
  ["redis.stream_add"] = { fails = { with(REDIS, { stream = SECRET, fields = { a = SECRET } }) } },
  ["redis.stream_read"] = { fails = { with(REDIS, { stream = SECRET, group = SECRET, timeout = "10ms" }) } },
  ["redis.subscribe"] = { fails = { with(REDIS, { channels = { SECRET }, timeout = "10ms" }) } },
  ["postgres.load"] = { fails = { with(POSTGRES, { table = "t" .. SECRET, rows = ROWS }) } },
  ["postgres.query"] = { fails = { with(POSTGRES, { sql = "SELECT $1", params = { SECRET } }) } },
  ["s3.get"] = { uses = { S3 } }, ["s3.list"] = { fails = { with(BUCKET, { prefix = SECRET }) } },
    ["s3.put"] = { uses = { with(S3, { body = SECRET }) } },
  ["sqlite.load"] = { uses = { { database = "DIR/1.db", table = "t" .. SECRET, create = true,
    rows = ROWS } } },
  ["sqlite.query"] = { uses = { { database = "DIR/2.db", sql = "SELECT ? AS a", params = { SECRET } } } },
  ["state.get"] = { uses = { { key = "k" .. SECRET } } },
  ["state.set"] = { uses = { { key = "k" .. SECRET, value = { a = SECRET } } } },
  ["state.update"] = { uses = { { key = "u" .. SECRET, change = "1" } } },
  switch = { uses = { { value = SECRET, map = { a = "b" }, default = "c" } } },
  ["test.case"] = { uses = { { argv = { "echo", SECRET } } }, fails = { { argv = { "sh", "-c",
    'echo "$0"; exit 3', SECRET } } } },
  ["test.suite"] = { uses = { { argv = { "sh", "-c", 'echo "1..1"; echo "ok 1 - $0"', SECRET },
    report = "DIR/report.xml" } } },
  wait = { uses = { { signal = "s" .. SECRET, timeout = "50ms", on_timeout = "continue" },
    { approval = { message = SECRET, by = { SECRET } }, timeout = "50ms", on_timeout = "continue" } } },
  ["xml.decode"] = { uses = { { text = "<a>x</a>", name = SECRET } }, fails = { { text = "<a>"
    .. SECRET } } },
  ["xml.encode"] = { uses = { { value = { a = SECRET } } } },
  ["xml.read"] = { uses = { { path = "DIR/doc.xml" } }, fails = { READ } },
  ["xml.write"] = { uses = { { path = "DIR/1.xml", value = { a = { b = SECRET } } } } },
  workflow = { uses = { { workflow = "ALL/child.json", input = { token = SECRET } } } },
}

-- ---- what must be nowhere -----------------------------------------------------------------------

local function forms_of(value)
  local escaped = flow.url.escape(value)
  local forms = { value, escaped, escaped:lower(), (escaped:gsub("%%20", "+")),
    flow.json.encode(value):sub(2, -2),
    (value:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })) }
  local digits = io.popen(("printf %%s '%s' | base64 -w0"):format(value:gsub("'", "'\\''")))
  forms[#forms + 1] = digits:read("a"):sub(1, -5)
  digits:close()
  for before = 1, 2 do -- the digits that do not depend on what stands before it
    digits = io.popen(("printf %%s '%s' | base64 -w0"):format((("u"):rep(before) .. value):gsub("'",
      "'\\''")))
    forms[#forms + 1] = digits:read("a"):sub(before + 2, -5)
    digits:close()
  end
  return forms
end

-- Of what a cut may leave, too: a secret's beginning is a part of it.
local BEGINNING = VALUE:sub(1, 9)

local function leak(text, forms)
  for _, form in ipairs(forms) do
    local at = text:find(form, 1, true)
    if at then return ("%q in …%s…"):format(form, text:sub(math.max(1, at - 150), at + #form + 60)) end
  end
end

local CHILD = [[{ "name": "child", "input": { "token": "string" }, "output": "${input.token}",
  "nodes": [ { "id": "a", "type": "log", "with": { "message": "child ${input.token}" } } ] }]]

-- ---- the run ------------------------------------------------------------------------------------

local function filled(value, words)
  if type(value) == "string" then return (value:gsub("%u+", words)) end
  if type(value) ~= "table" then return value end
  local made = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do made[filled(key, words)] = filled(inner, words) end
  return made
end

-- A node for each config, and for each key of the first.
local function nodes_of(here, T, case, words)
  local nodes, expected, word = {}, {}, T.name:gsub("%.", "_")
  local function add(id, config, state)
    words.DIR = here.folder .. "/" .. (state and id
      or "all") -- none of which much is expected is in another's way
    local node = { id = id, type = T.name, with = filled(config, words) }
    here:write("one.json", flow.json.encode { name = "one", nodes = { node } })
    local good, problems = pcall(flow.check, here.folder .. "/one.json")
    assert(good, ("%s: %s"):format(id, problems))
    assert(not state or #problems == 0, problems[1] and id .. ": " .. problems[1].message)
    if #problems > 0 then return end
    nodes[#nodes + 1], expected[id] = node, state
  end
  for i, config in ipairs(case.uses or {}) do add(("%s_uses_%d"):format(word, i), config, "completed") end
  for i, config in ipairs(case.fails or {}) do add(("%s_fails_%d"):format(word, i), config, "failed") end
  local first = case.with or (case.uses or case.fails)[1]
  for _, field in ipairs(T.config:fields()) do
    if not T.expressions[field.name] and field.name ~= T.nodes then
      add(("%s_key_%s"):format(word, field.name), with(first, { [field.name] = SECRET }))
    end
  end
  return nodes, expected
end

local function chat(request)
  local content = request.headers.authorization .. " " .. request.body
  return { headers = { ["Content-Type"] = "application/json" }, body = flow.json.encode { model = "m",
    choices = { { message = { role = "assistant", content = content }, finish_reason = "stop" } } } }
end

local function answer(request)
  if request.path == "/v1/chat/completions" then return chat(request) end
  local echo = { path = request.path, query = request.query, headers = request.headers,
    body = request.body }
  local response = { status = tonumber(request.path:match "^/(%d%d%d)$"), body = flow.json.encode(echo),
    headers = { ["Content-Type"] = "application/json", ["X-Echo"] = request.headers.authorization
      or "none" } }
  if request.path == "/302" then response.headers.Location = "/" .. (request.query or "") end
  if request.path == "/500" then response.body = request.headers.authorization .. ("; "
    .. VALUE):rep(200) end
  if request.path == "/pages" then response.body = flow.json.encode { { request.headers["x-key"] },
    request.query } end
  return response
end

local function sh(here, line) assert(os.execute(("cd %s && { %s; }"):format(here.folder, line))) end

local function run(here, words)
  local result = flow.now(flow.exec { shell = words, cwd = here.folder, check = false, env = {
    SPEC_TYPES_TOKEN = VALUE, SPEC_TYPES_ESCAPED = flow.url.escape(VALUE),
    ORRERY = place.orrery_path, ORRERY_STORE = "s.db" }, limit = 256 * 1024 * 1024 })
  return result.stdout .. result.stderr
end

describe("a secret", function()
  local here, server
  before_each(function()
    here = place.new()
    sh(here, "mkdir all all/in; echo x >all/in/x; tar cf all/in.tar -C all in")
    for name, text in pairs { ["rows.csv"] = "a,b\n1,2\n", [VALUE] = "a,b\n1,2\n", ["rows.jsonl"] = "1\n",
      ["doc.xml"] = "<a>1</a>",
      move = "",
      remove = "", ["child.json"] = CHILD } do
      here:write("all/" .. name, text)
    end
    server = loopback.start(answer)
  end)
  after_each(function()
    server.stop()
    here:__close()
  end)

  it("goes through every node type, and is nowhere afterwards", function()
    local nodes, expected, words = {}, {}, { ALL = here.folder .. "/all", URL = server.url "",
      HOST = "127.0.0.1:" .. server.port }
    for _, T in ipairs(types.all()) do
      if types.is_standard(T) then
        local case = assert(CASES[T.name], T.name .. " has no case in " .. debug.getinfo(1, "S").short_src)
        local own, states = nodes_of(here, T, case, words)
        table.move(own, 1, #own, #nodes + 1, nodes)
        for id, state in pairs(states) do expected[id] = state end
      end
    end
    local ids = {}
    for id in pairs(expected) do ids[#ids + 1] = id end
    here:write("ids", table.concat(ids, "\n"))
    sh(here, "xargs -n1 cp -r all <ids")
    here:write("w.json", flow.json.encode { name = "w", on_error = "continue", concurrency = 16,
      nodes = nodes })
    local events = run(here, '"$ORRERY" run w.json --json')
    local id = events:match '"run":"([-0-9a-f]+)"'
    assert.truthy(id, events:sub(1, 2000))

    local states = flow.json.decode(run(here, ('"$ORRERY" show %s --json'):format(id)))
    local by_id = {}
    for _, node in ipairs(states.nodes) do by_id[node.name] = node end
    local other = {}
    for name, state in pairs(expected) do
      if by_id[name].state ~= state then other[#other + 1] = flow.json.encode(by_id[name]) end
    end
    assert.equal("", table.concat(other, "\n"))

    local texts = { events = events, terminal = run(here, '"$ORRERY" run w.json --store t.db'),
      tty = run(here, 'script -qec \'"$ORRERY" run w.json --store u.db\' /dev/null') }
    for _, line in ipairs { "show %s --outputs", "show %s --json --outputs", "logs %s", "logs %s --json",
      "runs --json",
      "why %s exec_fails_1", "why %s switch_uses_1 --json", "why %s http_get_fails_1" } do
      texts[line] = run(here, '"$ORRERY" ' .. line:format(id))
    end
    for _, name in ipairs { "s.db", "s.db-wal", "t.db", "t.db-wal", "u.db",
      "u.db-wal" } do texts[name] = here:read(name) end
    assert.truthy(texts["s.db"]:find("•••", 1, true))
    local forms = forms_of(VALUE)
    forms[#forms + 1] = BEGINNING
    local found = {}
    for name, text in pairs(texts) do
      local what = leak(text, forms)
      if what then found[#found + 1] = name .. ": " .. what end
    end
    assert.equal("", table.concat(found, "\n"))
  end)
end)
