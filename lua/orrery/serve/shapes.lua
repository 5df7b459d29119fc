--- The shapes of what is sent and answered, by name, in the shorthand of `flow.schema` (or as JSON
--- Schema). They are the components of the OpenAPI document.
local shapes = {}

local function list(of) return { type = "array", items = of } end

local PROBLEM = { message = "string", kind = "string?", where = "string?", node = "string?",
  field = "string?",
  line = "integer?", column = "integer?" }

local RUN = { id = "string", short = "string", workflow = "string", state = "string", created = "number",
  started = "number?", ended = "number?", labels = "object", context = "any?", key = "string?", parent =
  "string?", durability = "string", nodes = "integer", completed = "integer", failed = "integer", skipped =
  "integer", cancelled = "integer", running = "integer", waiting = "integer", owned = "boolean?", error =
  "any?" }

local RUN_DETAILS = { seq = "integer", input = "any?", output = "any?", bundle = "string?", forked_from =
  "string?", owner = { type = "object", optional = true }, lock = { type = "object", optional = true },
  inbox = { type = "array", items = "any" }, awaits = { type = "array", items = "any" }, children = { type =
  "array", items = "any" } }
for name, field in pairs(RUN) do RUN_DETAILS[name] = field end

local NODE = { name = "string", index = "integer", item = "integer?", item_name = "string?", state =
  "string", attempts = "integer", iteration = "integer?", started = "number?", ended = "number?", due =
  "number?", output = "any?", output_bytes = "integer?", error = "any?", source = "string?", outcome =
  "string?", why = "any?", items = "integer?", begun = "integer?", live = "integer?", settled = "integer?",
  failed = "integer?" }

local DELIVERY = { id = "integer", hook = "string", delivery = "string?", received = "number", outcome =
  { "started", "signalled", "existing", "skipped", "ignored", "failed" }, status = "integer", run = "string?",
  message = "string?", bytes = "integer", again = "integer?" }

local WHOLE_DELIVERY = { headers = "object", query = "string", body = "any?" }
for name, field in pairs(DELIVERY) do WHOLE_DELIVERY[name] = field end

--- name -> shape. Another shape is named by its name, as the type of a field or the items of a
--- list.
shapes.ALL = {
  Problem = { type = "string", title = "string?", status = "integer", detail = "string", code = "string",
    problems = { type = "array", items = PROBLEM, optional = true }, details = { type = "object",
      optional = true },
    ["..."] = "any" },
  Ready = { status = "string", draining = "boolean", workflows = "integer", broken = "integer" },
  Me = { name = "string", scope = "string", workflows = "string[]?", via = "string", read_only = "boolean",
    server = "string" },

  Workflow = { name = "string", file = "string?", loaded = "number?", hash = "string?", nodes = "integer?",
    paused = "boolean?", doc = "string?", state = { "ready", "broken" },
    problems = list(PROBLEM), warnings = list(PROBLEM) },
  Source = { name = "string", file = "string?", text = "string",
    modules = list { name = "string", path = "string?", text = "string?" } },
  Check = { problems = list(PROBLEM), warnings = list(PROBLEM), count = "integer" },
  Paused = { name = "string", paused = "boolean", changed = "boolean" },

  Start = { workflow = "string", input = "any?", key = "string?", id = "string?",
    labels = { type = "object", optional = true }, context = "any?",
    durability = { type = "string", enum = { "strict", "relaxed", "none" }, optional = true },
    only = "string[]?", from = "string[]?", concurrency = "integer?" },
  Started = { id = "string", workflow = "string", state = "string", existing = "boolean",
    skipped = "boolean?",
    forked_from = "string?", taken_over = "integer?", output = "any?", error = "any?" },
  RunCommand = { id = "string", workflow = "string", message = "string", state = "string", owned = "boolean",
    duplicate = "boolean?", late = "boolean?" },
  Signal = { name = "string", data = "any?", id = "string?" },
  Approval = { name = "string?", approved = "boolean", why = "string?", id = "string?" },
  Fork = { from = "string[]?", input = "any?", set = { type = "object", optional = true } },

  BulkFilter = { action = { "cancel", "pause", "resume", "retry", "signal" }, workflow = "string?",
    state = "string[]?", label = "string[]?", since = "string?", ["until"] = "string?" },
  BulkPreview = { action = "string", token = "string", expires = "number", count = "integer",
    more = "boolean", examples = list "Run" },
  Bulk = { token = "string", signal = { type = "object", optional = true } },

  Run = RUN, RunPage = { runs = list "Run", next = "string?" }, RunDetails = RUN_DETAILS,
  Node = NODE, NodePage = { nodes = list "Node", next = "string?" },
  ItemPage = { items = list "Node", next = "string?", total = "integer" },
  Attempt = { node = "string", item = "integer?", iteration = "integer?", attempt = "integer", phase =
    "string", state = "string", started = "number?", ended = "number?", error = "any?", interrupted =
    "integer?" },
  Step = { node = "string", item = "integer?", iteration = "integer?", path = "string?", ordinal = "integer",
    name = "string", kind = "string?", attempt = "integer?", value = "any?", value_bytes = "integer?",
    error = "any?", time = "number?" },
  ReceivedSignal = { seq = "integer", name = "string", data = "any?", sent = "number?", received = "number?",
    taken = "number?" },
  Published = { name = "string", value = "any?", node = "string?", item = "integer?", attempt = "integer?",
    time = "number?" },
  LogPage = { lines = list { id = "integer", node = "string?", item = "integer?", item_name = "string?",
    iteration = "integer?", attempt = "integer?", time = "number?", level = "string?", message = "string",
    message_bytes = "integer?", fields = "any?" }, last = "integer", more = "boolean" },
  Why = { node = "string", item = "integer?", item_name = "string?", state = "string", attempts = "integer",
    kind = "string?", error = "any?", source = "string?", held = "string?", abandoned = "boolean?",
    left = "boolean?", help = { type = "object", optional = true }, ["..."] = "any" },

  ComparedValue = { same = "boolean", one = "any?", other = "any?", one_bytes = "integer?",
    other_bytes = "integer?" },
  ComparedCode = { same = "boolean", known = "boolean", one = "string?", other = "string?", more = "boolean",
    definition = "string[]", arguments = { type = "object", optional = true },
    sources = list { name = "string", main = "boolean?", change = { "changed", "gone", "new" },
      binary = "boolean?", lines = "string[]" } },
  Comparison = { one = "object", other = "object", input = "ComparedValue", context = "ComparedValue",
    output = "ComparedValue", code = "ComparedCode" },
  ComparedNode = { name = "string", differs = "string[]", one = { type = "object", optional = true },
    other = { type = "object", optional = true } },

  Pool = { name = "string", max = "integer?", rate = "number?", per = "number?", paused = "boolean" },
  Breaker = { name = "string", state = { "closed", "open", "half_open" }, ["until"] = "number?",
    threshold = "integer?",
    window = "number?", cooldown = "number?" },
  Store = { url = "string", schema = "integer", engine = "string", runs = "integer", unfinished = "integer",
    bytes = "integer?", log_bytes = "integer?", keep = { type = "object", optional = true } },
  Prune = { older = "string", state = "string[]?", workflow = "string?", dry = "boolean?" },

  Schedule = { id = "string", kind = "string", workflow = "string", declared = "boolean", file = "string?",
    definition = "object", paused = "boolean", paused_at = "number?", reason = "string?",
      watermark = "number",
    next = "number?" },
  ScheduleDetails = { id = "string", kind = "string", workflow = "string", declared = "boolean",
    file = "string?", definition = "object", paused = "boolean", paused_at = "number?", reason = "string?",
    watermark = "number", next = "number?", runs = list "any", skips = list "any", skipped = "object",
    asked = list "any" },

  Hook = { name = "string", workflow = "string", path = "string", verify = "string",
    does = { "start", "signal" }, wait = "number?", kept = "integer", last = "number?", refused = "integer",
    refused_last = "number?", refused_why = "string?", problem = "string?" },
  Delivery = DELIVERY, WholeDelivery = WHOLE_DELIVERY,
  HookAnswer = { hook = "string", workflow = "string", delivery = "string?", outcome = "string",
    run = "string?", state = "string?", output = "any?", error = "any?" },

  Token = { id = "string", kind = { "token", "session" }, name = "string", scope = "string",
    workflows = "string[]?", created = "number", expires = "number?", revoked = "number?",
      parent = "string?" },
  NewToken = { scope = { "read", "run", "operate", "admin" }, name = "string?", expires = "string?",
    workflows = "string[]?" },
  CreatedToken = { id = "string", token = "string", name = "string", scope = "string",
    workflows = "string[]?",
    created = "number", expires = "number?" },
  AuditEntry = { id = "integer", hash = "string", time = "number", who = "string", via = "string",
    origin = "string", action = "string", target = "string?", status = "integer?", before = "any?",
      after = "any?" },
}

-- A shape with the shapes it names in their places: as a schema wants it.
local resolve

local function field_of(field)
  if type(field) == "string" and shapes.ALL[field] then return resolve(shapes.ALL[field]) end
  if type(field) ~= "table" then return field end
  local made = {}
  for key, value in pairs(field) do made[key] = value end
  if made.type == "array" and made.items ~= nil then made.items = field_of(made.items) end
  return made
end

function resolve(shape)
  if type(shape) == "string" then shape = assert(shapes.ALL[shape], shape) end
  local made = {}
  for name, field in pairs(shape) do
    made[name] = type(name) == "string" and field_of(field) or field
  end
  return made
end

local schemas = setmetatable({}, { __mode = "k" })
local by_name = {}

--- The schema of a shape, or of the name of one; made once.
---@param shape table|string
---@return orrery.Schema
function shapes.schema(shape)
  local known = by_name[shape] or schemas[shape]
  if known then return known end
  local made = require("orrery.schema").new(resolve(shape), 2)
  if type(shape) == "string" then by_name[shape] = made else schemas[shape] = made end
  return made
end

return shapes
