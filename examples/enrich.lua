-- Enrichment: what a service and a model know of people is added to a list, a few at a time; what
-- comes out is checked by a schema, and who was not found stands apart with the reason.
--   HUNTER_API_KEY=… orrery run examples/enrich.lua --input file=people.csv
-- The agent is a function here; flow.agent("writer", { url = …, model = … }) asks a model.
local flow = require "orrery"
local hunter = require "orrery.connectors.hunter"

if os.getenv "HUNTER_URL" then hunter.configure { base = os.getenv "HUNTER_URL" } end -- a server of one's own

flow.agent("writer", function(request)
  local text = request.messages[#request.messages].content
  return { content = { label = text:lower():find "engineer" and "technical" or "other" } }
end)

local w = flow.workflow {
  name = "enrich",
  input = flow.schema { file = "string" },
  output = { people = "${nodes.checked.rows}", rejected = "${nodes.checked.rejects}" },
}

w.people = flow.csv.read { path = "${input.file}" }

w.address = hunter.find { each = "${nodes.people}", each_parallel = 4, each_failures = "100%",
  full_name = "${item.name}", domain = "${item.domain}" }

w.kind = flow.agent.classify { each = "${nodes.people}", agent = "writer", text = "${item.role}",
  labels = { "technical", "other" } }

-- One row of each person, of its answers.
w.merged = { after = { "people", "address", "kind" }, run = function(_, inputs)
  local rows = {}
  for i, person in ipairs(inputs.people) do
    local found = inputs.address[i]
    rows[i] = { name = person.name, role = person.role, kind = inputs.kind[i].value.label,
      email = type(found) == "table" and found.email or nil, score = type(found) == "table" and found.score
        or nil }
  end
  return flow.json.array(rows)
end }

w.checked = flow.data.validate { rows = "${nodes.merged}", formats = true, schema = {
  ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
  type = "object", required = { "name", "email", "kind" },
  properties = { email = { type = "string", format = "email" }, score = { type = "integer", minimum = 50 } },
} }

return w
