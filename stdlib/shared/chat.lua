--- One question to a model: the Chat Completions request that OpenAI's API reference describes and
--- most services speak, its answer whole or as a stream of events (the HTML standard's
--- text/event-stream), and what it cost.
local flow = require "orrery"
local transfer = require "orrery.stdlib.shared.transfer"

local chat = {}

local LIMIT = 16 * 1024 * 1024 -- bytes of an answer

local function broken(model, message, details)
  flow.error { code = "agent_answer", retryable = true, details = details,
    message = ("the model %s %s"):format(model, message) }
end

local function text_of(value) return type(value) == "string" and value or nil end
local function count_of(value) return math.tointeger(tonumber(value) or 0) or 0 end

-- ---- the request --------------------------------------------------------------------------------

local function tools_of(tools)
  local list = {}
  for i, tool in ipairs(tools) do
    list[i] = { type = "function",
      ["function"] = { name = tool.name, description = tool.doc, parameters = tool.parameters } }
  end
  return #list > 0 and flow.json.array(list) or nil
end

local FORMATS = {
  json_schema = function(schema)
    return { type = "json_schema", json_schema = { name = "answer", schema = schema } }
  end,
  json_object = function() return { type = "json_object" } end,
  none = function() return nil end,
}

local function body_of(model, question)
  local body = {}
  for key, value in pairs(model.options or {}) do body[key] = value end
  body.model, body.messages = model.model, flow.json.array(question.messages)
  body.temperature, body.max_tokens = model.temperature, model.max_tokens
  body.tools = tools_of(question.tools)
  if question.schema then body.response_format = FORMATS[model.format or "json_schema"](question.schema) end
  if question.stream then body.stream, body.stream_options = true, { include_usage = true } end
  return flow.json.encode(body)
end

local function options_of(model, question)
  local headers = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = question.key }
  if model.key then headers.Authorization = "Bearer " .. model.key end
  for name, value in pairs(model.headers or {}) do headers[name] = value end
  return { url = (model.url:gsub("/+$", "")) .. "/chat/completions", method = "POST", headers = headers,
    body = body_of(model, question), limit = LIMIT, redirects = 0, ca = model.ca,
    timeout = model.max_time, connect_timeout = 30, user_agent = "orrery/" .. flow.version }
end

-- ---- the answer ---------------------------------------------------------------------------------

local function calls_of(list)
  local calls = {}
  for i, each in ipairs(type(list) == "table" and list or {}) do
    local inner = type(each) == "table" and each["function"]
    if type(inner) == "table" and text_of(inner.name) then
      calls[#calls + 1] = { id = text_of(each.id) or "call_" .. i, name = inner.name,
        arguments = text_of(inner.arguments) or "" }
    end
  end
  return #calls > 0 and calls or nil
end

local function usage_of(model, usage)
  usage = type(usage) == "table" and usage or {}
  local input, output = count_of(usage.prompt_tokens), count_of(usage.completion_tokens)
  local prices = model.prices
  local cost = tonumber(usage.cost)
    or prices and (input * (prices.input or 0) + output * (prices.output or 0)) / 1e6 or nil
  return { input = input, output = output, cost = cost }
end

-- Some services say what went wrong behind them in an answer of status 200.
local function check_error(model, answer)
  local said = answer.error
  if type(said) ~= "table" then return end
  local status = tonumber(said.code)
  flow.error { code = "agent_answer", details = { error = said },
    retryable = status == nil or status == 429 or status >= 500,
    message = ("the model %s failed: %s"):format(model.model, text_of(said.message)
      or "it does not say why") }
end

local function reply_of(model, answer)
  if type(answer) ~= "table" then broken(model.model, "answered with what is no object") end
  check_error(model, answer)
  local choice = type(answer.choices) == "table" and answer.choices[1]
  local message = type(choice) == "table" and choice.message
  if type(message) ~= "table" then broken(model.model, "answered without a message") end
  return { content = text_of(message.content) or text_of(message.refusal) or "",
    calls = calls_of(message.tool_calls), finish = text_of(choice.finish_reason),
    model = text_of(answer.model) or model.model, usage = usage_of(model, answer.usage) }
end

local function decode(model, text)
  local ok, value = pcall(flow.json.decode, text, { name = "the answer", limit = 8 * LIMIT })
  if not ok then
    broken(model.model, "answered with what is not JSON: " .. tostring(value),
      { body = flow.masked(text):sub(1, transfer.KEPT_BODY) })
  end
  return value
end

-- ---- a stream -----------------------------------------------------------------------------------

local function add_calls(all, list)
  for _, delta in ipairs(type(list) == "table" and list or {}) do
    local at = count_of(delta.index) + 1
    local inner = type(delta["function"]) == "table" and delta["function"] or {}
    if at > #all + 1 or at < 1 then at = #all + 1 end
    local one = all[at] or { type = "function", ["function"] = { pieces = {} } }
    all[at] = one
    one.id = text_of(delta.id) or one.id
    one["function"].name = text_of(inner.name) or one["function"].name
    table.insert(one["function"].pieces, text_of(inner.arguments) or "")
  end
end

-- What has come of the answer: the rest of the stream that is no whole line yet, and what the
-- events said.
local Stream = {}
Stream.__index = Stream

function Stream:event(data)
  if data == "[DONE]" then
    self.done = true
    return
  end
  local event = decode(self.model, data)
  if type(event) ~= "table" then return end
  check_error(self.model, event)
  self.named, self.usage = text_of(event.model) or self.named, event.usage or self.usage
  local choice = type(event.choices) == "table" and event.choices[1]
  if type(choice) ~= "table" then return end
  self.finish = text_of(choice.finish_reason) or self.finish
  local delta = type(choice.delta) == "table" and choice.delta or {}
  local text = text_of(delta.content)
  if text and text ~= "" then
    self.pieces[#self.pieces + 1] = text
    self.say(text)
  end
  add_calls(self.calls, delta.tool_calls)
end

-- Lines end with LF or CRLF; an event is one `data:` line, as all services send it.
function Stream:take(piece)
  if not piece:find("\n", 1, true) then
    self.rest[#self.rest + 1] = piece
    return
  end
  self.rest[#self.rest + 1] = piece
  local text, at = table.concat(self.rest), 1
  for line, after in text:gmatch "([^\n]*)\n()" do
    local data = line:match "^data: ?(.-)\r?$"
    if data and data ~= "" then self:event(data) end
    at = after
  end
  self.rest = { text:sub(at) }
end

function Stream:answer()
  if not self.done and not self.finish then broken(self.model.model,
    "stopped in the middle of its answer") end
  for _, one in ipairs(self.calls) do
    one["function"].arguments = table.concat(one["function"].pieces)
  end
  return { model = self.named, usage = self.usage, choices = { { finish_reason = self.finish,
    message = { content = table.concat(self.pieces), tool_calls = self.calls } } } }
end

local function streamed(model, options, say)
  local stream = setmetatable({ model = model, rest = {}, pieces = {}, calls = {}, say = say }, Stream)
  local response, failure = transfer.stream(options, function(piece) stream:take(piece) end)
  return response, failure, stream
end

-- ---- asking -------------------------------------------------------------------------------------

local function is_stream(response)
  return (response.headers["content-type"] or ""):find "^%s*text/event%-stream" ~= nil
end

---@class stdlib.chat.Question
---@field messages table[]
---@field tools {name: string, doc: string?, parameters: table}[]
---@field schema? table a JSON Schema that the answer is to fit
---@field stream? boolean
---@field key string the idempotency key

---@class stdlib.chat.Reply
---@field content string
---@field calls? {id: string, name: string, arguments: string}[] tools that it wants called
---@field finish? string why it ended: "stop", "length", "tool_calls", …
---@field model string
---@field usage {input: integer, output: integer, cost: number?}

--- Asks a model once; waits. Raises the errors of HTTP, and `agent_answer`.
---@param model orrery.Agent with the values of its secrets
---@param question stdlib.chat.Question
---@param say fun(text: string) what is called with each piece of text of a stream
---@return stdlib.chat.Reply
function chat.ask(model, question, say)
  local options = options_of(model, question)
  local response, failure, stream
  if question.stream then response, failure, stream = streamed(model, options, say)
  else response, failure = transfer.perform(options) end
  if response.status // 100 ~= 2 then transfer.fail_status("POST", "2xx", response) end
  if failure then flow.error(failure) end
  if stream and is_stream(response) then return reply_of(model, stream:answer()) end
  return reply_of(model, decode(model, response.body))
end

return chat
