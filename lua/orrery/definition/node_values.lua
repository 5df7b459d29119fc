--- What the readers of a node's keys ask of its builder: to note a mistake, and to compile what may
--- hold expressions. Loaded when the first of these is called.
local errors = require "orrery.errors"
local output_path = require "orrery.expr.output_path"
local types = require "orrery.definition.type"
local Builder = require "orrery.definition.node"

-- The expression language is loaded where the first expression is met.
local function template() return require "orrery.expr.template" end

-- Whether a config key stands in the node's `with`, or would where it is missing.
function Builder:is_in_with(key)
  if not self.with or self.with[key] then return self.with ~= nil end
  return not types.RESERVED[key] and rawget(self.flat.specs[self.i], key) == nil
end

--- Notes a mistake of the node at hand.
---@param field string|nil
---@param kind string
---@param message string a sentence without node and place
function Builder:bad(field, kind, message)
  local place = self.flat.place(self.i)
  if self.json and field then
    place = place .. "." .. (self:is_in_with(field:match "^[^.%[]+") and "with." or "") .. field
  end
  self.problems[#self.problems + 1] = { kind = kind, node = self.name, field = field, where = place,
    order = self.i,
    message = ('node "%s": %s'):format(self.name, message) }
end

--- "; did you mean …?" among the workflow's nodes.
---@param wrong any
---@return string
function Builder:nearest_node(wrong)
  if self.suggestions == 0 or self.flat.count > 20000 then return "" end
  self.suggestions = self.suggestions - 1
  return errors.did_you_mean(wrong, self.flat.names)
end

-- `nodes.a-b` is a difference. Where there is a node "a-b" and none "a", it was meant as a name.
function Builder:check_dashes(field, compiled)
  for _, dash in ipairs(compiled.dashed or {}) do
    if self.flat.index[dash.name] and not self.flat.index[dash.name:match "^[^-]*"] then
      self:bad(field, "dashed_name",
        ('%s: %s.%s is a difference; the node "%s" is written %s["%s"]'):format(field, dash.root,
        dash.name, dash.name, dash.root, dash.name))
    end
  end
end

-- Fields that an expression reads and that cannot be there.
function Builder:check_fields(field, paths)
  for _, message in ipairs(self:unknown_fields(paths)) do
    self:bad(field, "unknown_field", ("%s: %s"):format(field, message))
  end
end

--- What is wrong with paths in an expression, each as the rest of a sentence.
---@param paths {root: string, keys: any[]}[]
---@return string[]
function Builder:unknown_fields(paths)
  local list = {}
  if self.any_field or #paths == 0 then return list end
  local fields = require "orrery.definition.fields"
  for _, path in ipairs(paths) do
    local message
    if path.root == "input" then
      message = fields.wrong(self.input and self.input.shape, "input", path.keys, 1)
    elseif path.root == "run" then
      message = fields.wrong(fields.of_run(), "run", path.keys, 1)
    else
      local j = self.flat.index[path.keys[1]]
      local shape = j and fields.of_node(self.flat.specs[j])
      message = shape and fields.wrong(shape, "nodes", path.keys, 2)
    end
    list[#list + 1] = message
  end
  return list
end

-- Notes which nodes an expression mentions and whether it may read the environment it reads.
function Builder:note_mentions(field, compiled)
  for _, name in ipairs(compiled.mentions.list) do
    self.mentions = self.mentions or {}
    table.insert(self.mentions, { name = name, field = field })
  end
  self:check_dashes(field, compiled)
  self:check_fields(field, compiled.paths)
  for _, name in ipairs(compiled.mentions.env_list) do
    self.env_read = name
    if not self.allowed_env[name] then
      self:bad(field, "env", ("%s: env.%s may not be read here; allow it with %s"):format(field, name,
        (self.json and '"env": [ "%s" ]' or 'flow.workflow { env = { "%s" } }'):format(name)))
    end
  end
end

--- Compiles a condition: an expression, a "${…}" template, a function or a boolean.
---@param field string
---@param value any
---@param extra? string a further name that the expression may use, given as the second argument
---@return function|nil
function Builder:condition(field, value, extra)
  if type(value) == "function" then return value end
  if type(value) == "boolean" then return function() return value end end
  if type(value) ~= "string" then
    return self:bad(field, "wrong_type",
      ("%s: expected an expression, true, false or a function(ctx), got %s"):format(
      field, errors.show(value)))
  end
  local compiled = self:expression(field, value, extra)
  return compiled and compiled.test
end

--- Compiles an expression, written as it is or as one "${…}".
---@param field string
---@param text string
---@param extra? string
---@param names? boolean whether to note what it reads, see `orrery.expr`
---@return orrery.expr.Compiled|nil
function Builder:expression(field, text, extra, names)
  local options = { where = self.flat.place(self.i), field = field, extra = extra, names = names }
  local compiled, mistake = template().expression(text, options)
  if not compiled then
    return self:bad(field, "bad_expression",
      ("%s: column %d: %s"):format(field, mistake.column, mistake.reason))
  end
  self:note_mentions(field, compiled)
  return compiled
end

--- A template's mistake as one sentence.
---@param mistake orrery.template.Mistake
---@return string
function Builder.template_words(mistake)
  if not mistake.column then return ("%s: %s"):format(mistake.field, mistake.reason) end
  return ("%s: column %d: %s"):format(mistake.field, mistake.column, mistake.reason)
end

-- What stands for `${secret.NAME}`; nil and the reason where the node may not use it.
local function secret_named(b, name)
  local good, why = true, nil
  if b.limits then good, why = require("orrery.definition.limits").secret(b.limits, name) end
  return good and require("orrery.secret").new(name) or nil, why
end

--- Compiles a value that may hold templates.
---@param field string
---@param value any
---@param is_config? boolean whether it is config, in which secrets may stand
---@return any constant, function|nil resolve `resolve(ctx)` gives the value where there are templates in it
function Builder:value(field, value, is_config)
  if type(value) == "string" and not value:find("${", 1, true) then return value end
  if type(value) ~= "string" and type(value) ~= "table" then return value end
  local compiled, mistakes = output_path(value), nil
  if not compiled then
    compiled, mistakes = template().compile(value, { where = self.flat.place(self.i), field = field,
      extra = self.extra_root,
      secrets = is_config and function(name) return secret_named(self, name) end or nil })
  end
  for _, mistake in ipairs(mistakes or {}) do
    self:bad(mistake.field, "bad_template", Builder.template_words(mistake))
  end
  if not compiled or compiled.static then return value end
  self:note_mentions(field, compiled)
  self.secret_read = self.secret_read or compiled.secrets
  return nil, compiled.fn
end

--- Compiles the list of `each`.
---@return function|nil
function Builder:list(field, value)
  if type(value) == "function" then return value end
  if type(value) == "string" then
    local compiled = self:expression(field, value)
    return compiled and compiled.fn
  end
  local constant, resolve = self:value(field, value)
  return resolve or function() return constant end
end

--- Notes a pool that nobody declared.
function Builder:check_pool(name)
  local pools = require "orrery.definition.pools"
  if pools.has(name) then return end
  self:bad("pool", "unknown_pool",
    ('pool: no pool "%s" is declared%s; declare it with the workflow, pools = { %s = 4 }, or with '
    .. 'flow.pool("%s", { max = 4 }) before it is loaded')
    :format(name, errors.did_you_mean(name, pools.names()),
      name:find "^[%a_][%w_]*$" and name or ("[%q]"):format(name), name))
end

return Builder
