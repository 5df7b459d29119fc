--- Mixedbread: texts as vectors. The API is described at mixedbread.com/docs.
local flow = require "orrery"

return flow.connector {
  name = "mixedbread",
  base = "https://api.mixedbread.com/v1",
  auth = { header = "Authorization", scheme = "Bearer" },
  key = flow.secret "MXBAI_API_KEY",
  rate = "10/s",
  error = "detail",
  operations = {
    embed = {
      doc = "Makes vectors of texts. Outputs { model, data = { { index, embedding } … }, usage }, in the "
        .. "texts' order.",
      path = "/embeddings",
      config = { input = { type = "string[]", doc = "the texts" },
        model = { type = "string", default = "mixedbread-ai/mxbai-embed-large-v1" }, dimensions = "integer?",
        prompt = "string?", normalized = { type = "boolean", default = true },
        encoding_format = { enum = { "float", "int8", "binary" }, default = "float" } },
      body = { "input", "model", "dimensions", "prompt", "normalized", "encoding_format" },
      examples = { [[mixedbread.embed { input = "${nodes.texts}", dimensions = 512 }]] },
    },
  },
}
