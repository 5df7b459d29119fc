--- `data.template`: a text from a template.
local flow = require "orrery"

return flow.type {
  name = "data.template",
  errors = { "template_error", "file_error" },
  doc = "Makes a text from a template: text, which reads what config reads anywhere, or the file at path, "
    .. "which reads values. Beside ${…} there are ${for x in list} … ${end}, ${for i, x in list}, and ${if "
    .. "…} … ${elseif …} … ${else} … ${end}; where one stands alone in a line, that leaves no line. Fails "
    .. "with \"template_error\" where the file cannot be read as a template.",
  config = flow.schema { text = "string?", path = "string?", values = "any?" },
  check = function(config)
    if (config.text == nil) == (config.path == nil) then return "give it text, or path", "text" end
    if config.text and config.values ~= nil then
      return "values are for a file; a text reads nodes and input itself", "values"
    end
  end,
  positional = "text",
  examples = {
    [[flow.data.template { text = "Hello ${input.name}:\n${for i, x in nodes.list}\n${i}. ${x.title}\n${end}" }]],
    [[flow.data.template { path = "mail.txt", values = { orders = "${nodes.orders}", name = "${input.name}" } }]],
  },
  run = function(ctx, config)
    if config.text then return config.text end
    local text = flow.file.read { path = config.path }
    return flow.template(text, { root = "values", name = config.path })(ctx, config.values)
  end,
}
