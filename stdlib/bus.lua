--- `bus.publish`, `bus.wait`: messages between runs. In handlers they are `flow.publish` and
--- `flow.receive`.
local flow = require "orrery"

local TOPIC = { type = "string", doc = "1 to 512 bytes without control characters and braces" }

local SERVER = { "redis_busy", "redis_connection", "redis_denied", "redis_error", "redis_timeout",
  "redis_too_large", "redis_unavailable" }

flow.type {
  name = "bus.publish",
  errors = SERVER,
  doc = [[Publishes a message on the bus: to all runs that wait for its topic now; outputs { id, receivers }.
With stream = true it is kept for each group that reads the topic, now or later, and goes to one of the
group; outputs { id }. The bus is inside the process, or in a Redis server where --bus or the runtime says
so.]],
  config = flow.schema { topic = TOPIC, message = "any",
    stream = { type = "boolean", default = false, doc = "it must not be lost" },
    max_length = { type = "integer", default = 100000, min = 1,
      doc = "about how many messages the stream keeps; the oldest go" } },
  output = { id = "string", receivers = "integer?" },
  examples = {
    [[flow.bus.publish { topic = "rates", message = "${nodes.fetch.json}" }]],
    [[flow.bus.publish { topic = "orders", stream = true, message = { id = "${input.id}" } }]],
  },
  check = function(config)
    if config.stream == false and config.max_length ~= 100000 then
      return "max_length: only a stream keeps messages; add stream = true", "max_length"
    end
  end,
  run = function(_, config)
    return flow.publish(config.topic, config.message, { stream = config.stream,
      max_length = config.stream and config.max_length or nil })
  end,
}

flow.type {
  name = "bus.wait",
  errors = table.move(SERVER, 1, #SERVER, 2, { "wait_timeout" }),
  own_timeout = true,
  doc = [[Waits for the next message of a topic on the bus: outputs { message, id }. Without a group it is one
that is published while it waits, and all who wait are given it. With a group it is the next of the topic's
stream, each of which goes to one of the group. What came is recorded, so that a resumed run sees the same,
and acknowledged only when the record is on disk; a message that comes twice, after a crash, has the same
id. The node holds no place in a pool meanwhile.]],
  config = flow.schema { topic = TOPIC,
    group = { type = "string", optional = true,
      doc = "who reads the stream; all of a group share its messages" },
    timeout = { type = "duration", optional = true, doc = "how long it waits" },
    on_timeout = { enum = { "fail", "continue" }, default = "fail",
      doc = "continue: the output is { timed_out = true }" } },
  output = { message = "any?", id = "string?", timed_out = "boolean?" },
  positional = "topic",
  examples = {
    [[flow.bus.wait { topic = "paid.${input.order}", timeout = "3d" }]],
    [[flow.bus.wait { topic = "orders", group = "billing" }]],
  },
  run = function(_, config)
    local ok, got = pcall(flow.receive, config.topic, { group = config.group, timeout = config.timeout })
    if ok then return got end
    if config.on_timeout == "continue" and type(got) == "table" and got.code == "wait_timeout" then
      return { timed_out = true }
    end
    error(got, 0)
  end,
}
