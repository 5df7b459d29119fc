--- Templates that are no config: texts read while a node runs.
local errors = require "orrery.errors"
local template = require "orrery.expr.template"

local function refuse(name, message)
  errors.error { code = "template_error", retryable = false, message = ("%s: %s"):format(name, message) }
end

-- The line and the column in it of a byte.
local function place_of(text, column)
  local before = text:sub(1, column - 1)
  local _, lines = before:gsub("\n", "")
  return lines + 1, #before:match "[^\n]*$" + 1
end

--- Reads a text with `${…}`. Raises `template_error`, which names the line.
---@param text string
---@param options? {root: string?, name: string?} root: a further name that expressions may read; name: what messages call
--- the text, "template" unless it is given
---@return fun(ctx: table, value: any): string render value: of the root. Raises `config_error` where the text cannot be made
return function(text, options)
  options = options or {}
  local name = options.name or "template"
  local compiled, problems = template.compile(text, { field = name, extra = options.root, text = true })
  if not compiled then
    local line, column = place_of(text, problems[1].column or 1)
    refuse(name, ("line %d, column %d: %s"):format(line, column, problems[1].reason))
  end
  local node = compiled.mentions.list[1]
  if node then
    refuse(name, ("it reads the node %s, and nothing would wait for it; hand on what it needs"):format(node))
  end
  return compiled.fn
end
