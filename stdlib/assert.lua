--- `assert`: goes on only where an expression holds, and otherwise shows what it was made of.
local flow = require "orrery"

local LONGEST = 1024 -- bytes of a value's JSON that the error keeps
local SHOWN = 60     -- and of its text in the message

local function cut(text, most)
  if #text <= most then return text end
  return text:sub(1, (utf8.offset(text, 0, most + 1) or most + 1) - 1) .. "…"
end

local function is_there(value) return value ~= nil and value ~= flow.json.null end

-- A value as the error keeps it: whole, or the beginning of its text where that is long.
local function kept(value)
  if not is_there(value) then return flow.json.null, "nil" end
  local ok, text = pcall(flow.json.encode, value)
  if not ok then text = tostring(value) end
  if ok and #text <= LONGEST then return value, cut(text, SHOWN) end
  return cut(text, LONGEST), cut(text, SHOWN)
end

-- What the expression read: by its text as data, and as one text. What is in the environment may be
-- a secret, so it is not shown.
local function values_of(ctx, named)
  local values, texts = {}, {}
  for _, path in ipairs(named or {}) do
    if not path.text:find "^env%f[%W]" then
      local value, text = kept(path.fn(ctx))
      values[path.text], texts[#texts + 1] = value, ("%s is %s"):format(path.text, text)
    end
  end
  return flow.json.object(values), table.concat(texts, ", ")
end

local function default_message(test, shown)
  local said = test and ("%s does not hold"):format(cut((test:gsub("%s+", " ")), 200))
    or "the assertion does not hold"
  return shown == "" and said or ("%s: %s"):format(said, shown)
end

local CODE = { type = "string", optional = true, min = 1, doc = "otherwise assertion_failed" }

return flow.type {
  name = "assert",
  errors = { "assertion_failed" },
  doc = "Completes with true where an expression holds, and fails where it does not. The error has the "
    .. "values of what the expression names, in the message and in details.values.",
  config = flow.schema {
    test = { type = "any", doc = "an expression, or a function(ctx)" },
    message = { type = "string", optional = true,
      doc = "what is wrong; otherwise the expression and the values of what it names" },
    code = CODE,
    details = { type = "object", optional = true, doc = "data beside test and values" },
  },
  expressions = { test = { names = true } },
  positional = "test",
  check = function(config)
    local kind = type(config.test)
    if kind == "string" or kind == "boolean" or kind == "function" then return nil end
    return ("test: expected an expression, got a %s"):format(kind), "test"
  end,
  examples = {
    [[flow.assert { "#nodes.rows >= input.least" }]],
    [[flow.assert { test = "nodes.load.rejected == 0", code = "rejects", message = "${nodes.load.rejected} rows were rejected" }]],
  },
  run = function(ctx, config)
    local holds, named, test = config.test, nil, nil
    if type(holds) == "function" then holds, named, test = holds(ctx) end
    if is_there(holds) and holds then return true end
    if type(named) ~= "table" or type(test) ~= "string" then named, test = nil, nil end -- a user's function
    local details = {}
    for key, value in pairs(config.details or {}) do details[key] = value end
    local values, shown = values_of(ctx, named)
    details.test, details.values = test, values
    flow.error { code = config.code or "assertion_failed", retryable = false, details = details,
      message = config.message or default_message(test, shown) }
  end,
}
