--- OpenRouter: chats with many models behind one endpoint. The API is described at
--- openrouter.ai/docs. An `agent` asks it too, with url = "https://openrouter.ai/api/v1".
local flow = require "orrery"

return flow.connector {
  name = "openrouter",
  base = "https://openrouter.ai/api/v1",
  auth = { header = "Authorization", scheme = "Bearer" },
  key = flow.secret "OPENROUTER_API_KEY",
  rate = "20/s",
  error = "error.message",
  operations = {
    chat = {
      doc = "Sends messages to a model. Outputs its answer as it came, { choices = { { message } }, usage, "
        .. "model }.",
      path = "/chat/completions",
      config = { model = "string", messages = "object[]", temperature = "number?", max_tokens = "integer?",
        response_format = "object?", models = { type = "string[]", optional = true,
          doc = "to fall back on" } },
      body = { "model", "messages", "temperature", "max_tokens", "response_format", "models" },
      examples = { [[openrouter.chat { model = "openai/gpt-4o-mini",
  messages = { { role = "user", content = "Sum up: ${nodes.fetch.body}" } } }]] },
    },
    models = {
      doc = "Lists the models with their prices. Outputs a list of { id, name, context_length, pricing, … }.",
      path = "/models",
      result = "data",
    },
  },
}
