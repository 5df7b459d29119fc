--- `csv.read`, `csv.write`: CSV files (RFC 4180) as streams of rows.
local flow = require "orrery"

local function row_error(path, reject)
  flow.error { code = "csv_error", retryable = false,
    details = { path = path, line = reject.line, text = reject.text },
    message = ("%s:%d: %s; rejects = \"FILE\" keeps such rows apart and goes on")
      :format(path, reject.line, reject.reason) }
end

-- What a row that is rejected was, and why: kept, or an error where nobody asked for it.
local function handle(config, stage, rejects)
  for _, reject in ipairs(rejects) do
    if not config.rejects then row_error(config.path, reject) end
    stage:reject(reject.text, reject.reason, reject.line)
  end
end

local function new_reader(config)
  local ok, reader = pcall(flow.rows.csv_reader, config)
  if ok then return reader end
  flow.error { code = "config_error", retryable = false, message = "csv.read: " .. tostring(reader) }
end

local function read_piece(reader, path, piece)
  local ok, rows, rejects = pcall(reader.read, reader, piece)
  if ok then return rows, rejects end
  flow.error { code = "csv_error", retryable = false, details = { path = path, line = reader:line() },
    message = ("%s:%d: %s"):format(path, reader:line(), tostring(rows)) }
end

local function missing_type(config, columns)
  local known = {}
  for _, name in ipairs(columns) do known[name] = true end
  for name in pairs(config.types or {}) do
    if not known[name] then
      flow.error { code = "csv_error", retryable = false,
        message = ('%s has no column "%s", which types names; it has %s')
          :format(config.path, name, table.concat(columns, ", ", 1, math.min(#columns, 20))) }
    end
  end
end

local FORMAT = {
  separator = { type = "string", default = ",", min = 1, max = 1, doc = "one byte" },
  quote = { type = "string", default = '"', max = 1, doc = 'one byte; "": there are no quotes' },
}

flow.type {
  name = "csv.read",
  errors = { "csv_error", "invalid_content", "file_error" },
  doc = "Reads a CSV file as rows { column = text }. types gives columns another type, in which an empty "
    .. "field is missing. A row that is broken or does not fit fails with \"csv_error\" and its line; with "
    .. "rejects, a file for them (JSON Lines with row, reason and line) or true, they are kept apart.",
  config = flow.schema {
    path = "string", separator = FORMAT.separator, quote = FORMAT.quote,
    header = { type = "boolean", default = true, doc = "the first row names the columns" },
    columns = { type = "string[]", optional = true, doc = "names, for a file without header" },
    types = { type = "object", optional = true, doc = 'column -> "string", "integer", "number", "boolean"' },
    max_row = { type = "integer", default = 1024 * 1024, min = 1, doc = "bytes" },
    rejects = "string|boolean?",
  },
  positional = "path",
  source = true,
  examples = { [[flow.csv.read { path = "people.csv", types = { age = "integer" } }]] },
  stage = function(config, _, stage)
    local input, reader = stage:input(config.path), new_reader(config)
    local ended, known = false, false
    return function()
      if ended then return nil end
      local piece = input:read()
      ended = piece == nil
      local rows, rejects = read_piece(reader, config.path, piece)
      if not known and reader:columns() then
        known = true
        missing_type(config, reader:columns())
        stage:columns(reader:columns())
      end
      if rejects then handle(config, stage, rejects) end
      return rows
    end
  end,
}

-- All names in a row, sorted.
local function names_of(row)
  local names = {}
  for name in pairs(row) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function text_of(config, rows, columns)
  local ok, text = pcall(flow.rows.csv_text, rows, columns, config.separator, config.quote)
  if ok then return text end
  flow.error { code = "invalid_content", retryable = false,
    message = ("cannot write %s: %s"):format(config.path, tostring(text)) }
end

flow.type {
  name = "csv.write",
  errors = { "csv_error", "invalid_content", "file_error" },
  doc = "Writes rows as a CSV file, and passes them on. The file is in its place once all of the pipe has "
    .. "ended. Columns are those given, else those of the file that was read, else the fields of the first "
    .. "row in the order of their names. A field that CSV cannot hold fails with \"invalid_content\".",
  config = flow.schema {
    path = "string", rows = { type = "array", optional = true, doc = "where it is no stage of a pipe" },
    separator = FORMAT.separator, quote = FORMAT.quote,
    header = { type = "boolean", default = true, doc = "writes the names of the columns first" },
    columns = { type = "string[]", optional = true },
  },
  sink = true,
  examples = { [[flow.csv.write { path = "out.csv", rows = "${nodes.list}", columns = { "name", "age" } }]] },
  stage = function(config, rows, stage)
    local output, columns = stage:output(config.path), config.columns
    local function begin(first)
      columns = columns or stage:columns() or names_of(first or {})
      if not config.header or #columns == 0 then return end
      local head = {}
      for _, name in ipairs(columns) do head[name] = name end
      output:write(text_of(config, { head }, columns))
    end
    local begun = false
    return function()
      local chunk = rows()
      if not begun and (not chunk or #chunk > 0) then
        begun = true
        begin(chunk and chunk[1])
      end
      if chunk and #chunk > 0 then output:write(text_of(config, chunk, columns)) end
      return chunk
    end
  end,
}
