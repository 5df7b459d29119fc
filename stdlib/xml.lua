--- `xml.read`, `xml.write`: XML files, as values and as streams of rows; `xml.decode`,
--- `xml.encode`: texts.
local flow = require "orrery"
local xml_text = require "orrery.stdlib.shared.xml_text"

local PIECE = 256 * 1024 -- of a text, after which the loop has a turn

-- ---- reading ------------------------------------------------------------------------------------

local READS = {
  form = { enum = { "object", "tree" }, default = "object",
    doc = "an element as { [\"@attribute\"] = text, element = value, [\"#text\"] = text }, or text alone; "
      .. "or as { name, attributes, content }" },
  lists = { type = "string[]", optional = true, doc = "elements that are lists also where there is one" },
  encoding = { type = "string", optional = true, doc = "in the place of what the document says of itself" },
  max_depth = { type = "integer", default = 100, min = 1, max = 400, doc = "levels of elements" },
}

local function fail(name, problem)
  flow.error { code = "xml_error", retryable = false,
    details = { path = name, line = problem.line, column = problem.column },
    message = ("%s:%d:%d: %s"):format(name, problem.line, problem.column, problem.reason) }
end

local function new_reader(config, what)
  local lists = {}
  for _, name in ipairs(config.lists or {}) do lists[name] = true end
  local ok, reader = pcall(flow.rows.xml_reader, { rows = config.rows, form = config.form, lists = lists,
    encoding = config.encoding, max_row = config.max_row, max_size = config.max_size,
    max_depth = config.max_depth })
  if ok then return reader end
  if type(reader) == "table" then error(reader, 0) end
  flow.error { code = "config_error", retryable = false, message = ("%s: %s"):format(what, tostring(reader)) }
end

local function read_piece(reader, name, piece)
  local values, problem = reader:read(piece)
  if problem then fail(name, problem) end
  return values
end

local read
read = flow.type {
  name = "xml.read",
  errors = { "xml_error", "xml_unavailable", "file_error" },
  doc = "Reads an XML file. Outputs the document, or with rows, a path such as \"feed/entry\" or "
    .. "\"//entry\", the elements there, as a list; it may be the source of a pipe. An element is its text, "
    .. "or an object of its attributes (\"@name\"), its elements, which are lists where there are several, "
    .. "and \"#text\"; form = \"tree\" keeps order and all texts. Nothing outside of the file is ever read. "
    .. "What is no XML, or too deep or large, fails with \"xml_error\", its line and column.",
  config = flow.schema {
    path = "string", rows = { type = "string", optional = true, doc = "a path of names; * is any name" },
    form = READS.form, lists = READS.lists, encoding = READS.encoding,
    max_row = { type = "integer", default = 1024 * 1024, min = 1, doc = "bytes of a row, about" },
    max_size = { type = "integer", default = 64 * 1024 * 1024, min = 1, doc = "bytes of a document, about" },
    max_depth = READS.max_depth,
  },
  positional = "path",
  source = true,
  examples = { [[flow.xml.read { path = "feed.xml", rows = "feed/entry" }]],
    [[flow.xml.read { path = "pom.xml", lists = { "dependency" } }]] },
  run = function(ctx, config)
    local list = flow.rows.run(ctx, { { type = read, config = config } }).rows
    if config.rows then return list end
    return list[1]
  end,
  stage = function(config, _, stage)
    local input, reader = stage:input(config.path), new_reader(config, "xml.read")
    local ended = false
    return function()
      if ended then return nil end
      local piece = input:read()
      ended = piece == nil
      return read_piece(reader, config.path, piece)
    end
  end,
}

local function read_text(reader, name, text)
  local value
  for at = 1, #text, PIECE do
    if at > 1 then flow.sleep(0) end
    value = read_piece(reader, name, text:sub(at, at + PIECE - 1))[1] or value
  end
  return read_piece(reader, name, nil)[1] or value
end

flow.type {
  name = "xml.decode",
  errors = { "xml_error", "xml_unavailable" },
  doc = "Reads a text that is an XML document; see xml.read. Inside a handler, value = flow.xml.decode { "
    .. "text = … }. name is what errors call it.",
  config = flow.schema {
    text = "string", name = { type = "string", default = "XML" }, form = READS.form, lists = READS.lists,
    encoding = READS.encoding,
    max_size = { type = "integer", default = 64 * 1024 * 1024, min = 1, doc = "bytes, about" },
    max_depth = READS.max_depth,
  },
  positional = "text",
  examples = { [[flow.xml.decode { text = "${nodes.fetch.body}", lists = { "item" } }]] },
  run = function(_, config)
    return read_text(new_reader(config, "xml.decode"), config.name, config.text)
  end,
}

-- ---- writing ------------------------------------------------------------------------------------

local WRITES = {
  form = { enum = { "object", "tree" }, default = "object", doc = "as of xml.read" },
  indent = { type = "integer", default = 2, min = 0, max = 16, doc = "spaces a level; 0: no line ends" },
}

-- Calls a function that raises a sentence for what XML cannot hold.
local function text_of(what, make, ...)
  local ok, text = pcall(make, ...)
  if ok then return text end
  flow.error { code = "invalid_content", retryable = false,
    message = ("cannot write %s: %s"):format(what, tostring(text)) }
end

local function write_problem(config)
  if config.value ~= nil and config.rows ~= nil then
    return "give it value, a document, or rows, a list of elements, not both", "rows"
  end
  for _, key in ipairs { "root", "row" } do
    local name = config[key]
    if type(name) == "string" and not name:find("${", 1, true) and not xml_text.is_name(name) then
      return ("%s: %q is no name of an element"):format(key, name), key
    end
  end
end

local write
write = flow.type {
  name = "xml.write",
  errors = { "invalid_content", "file_error" },
  doc = "Writes an XML file. A document, value, is as xml.read gives it, and outputs { path, bytes }; of "
    .. "rows, also those of a pipe, each is an element in the root, and they are passed on. Fields are "
    .. "written in the order of columns, or of the file that was read, then by name; what XML cannot hold "
    .. "fails with \"invalid_content\". The file is in its place once all is there.",
  config = flow.schema {
    path = "string", value = "any?", rows = "array?",
    root = { type = "string", default = "rows", doc = "of rows" },
    row = { type = "string", default = "row", doc = "the element of each row" },
    columns = { type = "string[]", optional = true, doc = "fields of rows that come first" },
    form = WRITES.form, indent = WRITES.indent,
  },
  sink = true,
  check = write_problem,
  examples = { [[flow.xml.write { path = "out.xml", value = { order = { ["@id"] = 7, item = { "a", "b" } } } }]],
    [[flow.xml.write { path = "people.xml", root = "people", row = "person", rows = "${nodes.people}" }]] },
  run = function(ctx, config, inputs)
    if config.value == nil then return flow.rows.alone(write, ctx, config, inputs) end
    return flow.file.write { path = config.path,
      content = text_of(config.path, xml_text.document, config.value, config) }
  end,
  stage = function(config, rows, stage)
    if config.value ~= nil then
      flow.error { code = "config_error", retryable = false,
        message = "xml.write: a stage of a pipe writes the rows that come; leave out value" }
    end
    local output, columns, ended = stage:output(config.path), config.columns, false
    local line = config.indent > 0 and "\n" or ""
    output:write(("%s<%s>%s"):format(xml_text.DECLARATION, config.root, line))
    return function()
      local chunk = not ended and rows() or nil
      if not chunk then
        if not ended then output:write(("</%s>\n"):format(config.root)) end
        ended = true
        return nil
      end
      columns = columns or stage:columns()
      for i = 1, #chunk do
        output:write(text_of(config.path, xml_text.row, config.row, chunk[i], config, columns))
      end
      return chunk
    end
  end,
}

flow.type {
  name = "xml.encode",
  errors = { "invalid_content" },
  doc = "Makes the text of an XML document of a value, as xml.decode and xml.read give it. Fields are "
    .. "written by name; form = \"tree\" has an order of its own. What XML cannot hold fails with "
    .. "\"invalid_content\".",
  config = flow.schema {
    value = "any", form = WRITES.form, indent = WRITES.indent,
    declaration = { type = "boolean", default = true, doc = "begins with <?xml …?>" },
  },
  examples = { [[flow.xml.encode { value = { order = { ["@id"] = "${input.id}", item = "${input.items}" } } }]] },
  run = function(_, config) return text_of("XML", xml_text.document, config.value, config) end,
}
