--- `fail`: ends with an error of one's own.
local flow = require "orrery"

local CODE = { type = "string", optional = true, min = 1,
  doc = "what `retry.on` and other nodes tell it by; otherwise failed" }

return flow.type {
  name = "fail",
  errors = { "failed" },
  doc = "Fails with a chosen code and message. Where no other node handles that, the run ends with this "
    .. "error, as the workflow's `on_error` says, and with on_error = \"stop\" at once. "
    .. "It is tried again only with retryable = true.",
  config = flow.schema {
    message = { type = "string", doc = "what is wrong, as one sentence" },
    code = CODE,
    details = { type = "any", optional = true, doc = "data beside the message" },
    retryable = { type = "boolean", default = false },
    retry_after = { type = "duration", optional = true, doc = "how long to wait before that, at least" },
  },
  positional = "message",
  examples = {
    [[flow.fail { after = "route:unknown", code = "bad_country", message = "no carrier for ${input.country}" }]],
    [[flow.fail { when = "nodes.load.rows_out == 0", on_error = "stop", message = "nothing was loaded" }]],
  },
  run = function(_, config)
    flow.error { code = config.code or "failed", message = config.message, details = config.details,
      retryable = config.retryable, retry_after = config.retry_after }
  end,
}
