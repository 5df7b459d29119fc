--- `jsonl.read`, `jsonl.write`: JSON Lines, a value on each line, as streams of rows.
local flow = require "orrery"

local function refuse(config, stage, text, reason, line)
  text = flow.masked(text)
  if config.rejects then return stage:reject(text:sub(1, 200), reason, line) end
  flow.error { code = "jsonl_error", retryable = false,
    details = { path = config.path, line = line, text = text:sub(1, 200) },
    message = ("%s:%d: %s; rejects = \"FILE\" keeps such lines apart and goes on")
      :format(config.path, line, reason) }
end

-- The value of a line, or nil and the reason.
local function value_of(line)
  local ok, value = pcall(flow.json.decode, line, { name = "JSON" })
  if ok then return value end
  local reason = tostring(type(value) == "table" and value.message or value)
  return nil, (reason:gsub("^JSON:%d+:(%d+): ", "column %1: "))
end

flow.type {
  name = "jsonl.read",
  errors = { "jsonl_error", "file_error" },
  doc = "Reads JSON Lines, a value on each line; lines without anything are left out. A line that is no "
    .. "JSON fails with \"jsonl_error\" and its number; with rejects, a file or true, it is kept apart.",
  config = flow.schema { path = "string", rejects = "string|boolean?",
    max_row = { type = "integer", default = 16 * 1024 * 1024, min = 1, doc = "bytes of a line" } },
  positional = "path",
  source = true,
  examples = { [[flow.jsonl.read { path = "events.jsonl", rejects = "bad.jsonl" }]] },
  stage = function(config, _, stage)
    local input, number, ended = stage:input(config.path), 0, false
    local parts, size, skips = {}, 0, false -- of the line that is not whole yet

    local function take(line, rows)
      number = number + 1
      local skipped = skips
      skips = false
      if skipped or not line:find "%S" then return end
      local value, reason = value_of(line)
      if reason then refuse(config, stage, line, reason, number)
      else rows[#rows + 1] = value end
    end

    local function keep(text)
      if skips then return end
      parts[#parts + 1], size = text, size + #text
      if size <= config.max_row then return end
      refuse(config, stage, table.concat(parts), "the line is longer than max_row", number + 1)
      parts, size, skips = {}, 0, true
    end

    local function split(piece, rows)
      local at = 1
      while true do
        local stop = piece:find("\n", at, true)
        if not stop then break end
        local line = piece:sub(at, stop - 1)
        if size > 0 then
          parts[#parts + 1] = line
          line = table.concat(parts)
          parts, size = {}, 0
        end
        take(line, rows)
        at = stop + 1
      end
      keep(piece:sub(at))
    end

    return function()
      if ended then return nil end
      local piece, rows = input:read(), {}
      ended = piece == nil
      if piece then split(piece, rows)
      elseif size > 0 then take(table.concat(parts), rows) end
      return rows
    end
  end,
}

flow.type {
  name = "jsonl.write",
  errors = { "invalid_content", "file_error" },
  doc = "Writes rows as JSON Lines, and passes them on. The file is in its place once all of the pipe has "
    .. "ended. What JSON cannot hold fails with \"invalid_content\".",
  config = flow.schema { path = "string", rows = "array?" },
  positional = "path",
  sink = true,
  examples = { [[flow.jsonl.write { path = "out.jsonl", rows = "${nodes.list}" }]] },
  stage = function(config, rows, stage)
    local output = stage:output(config.path)
    return function()
      local chunk = rows()
      if not chunk or #chunk == 0 then return chunk end
      local lines = {}
      for i = 1, #chunk do
        local ok, text = pcall(flow.json.encode, chunk[i])
        if not ok then
          flow.error { code = "invalid_content", retryable = false,
            message = ("cannot write %s: %s"):format(config.path, (tostring(text):gsub("^value", "a row"))) }
        end
        lines[i] = text
      end
      lines[#lines + 1] = ""
      output:write(table.concat(lines, "\n"))
      return chunk
    end
  end,
}
