--- Two runs beside each other: what went in and came out, their code, and their nodes a page at a
--- time. Called on the thread; each answer is of one moment.
local bundle_compare = require "orrery.bundle.compare"
local column = require "orrery.history.column"
local core = require "orrery.core"
local find = require "orrery.history.find"
local difference = require "orrery.difference"
local mistake = require "orrery.history.mistake"
local nodes = require "orrery.history.nodes"
local parts = require "orrery.history.parts"
local plain_run = require "orrery.history.plain_run"

local compared = {}

local json = core.json
local array = json.array

local SHOWN = 16 << 10      -- bytes of a value that is in an answer
local MOST_CODE = 4 << 20   -- bytes of the code of both that are compared line by line
local MOST_LINES = 2000     -- lines of differences, of all sources together
local MOST_SENTENCES = 200  -- differences of the definitions
local LONGEST = 400         -- bytes of a line
local MOST_OUTPUTS = 16 << 20 -- bytes of large outputs that a page of nodes looks into

-- Of one moment, with the runs in place of their ids.
local function about_runs(fn)
  return function(db, id, other, args)
    return db:snapshot(function() return fn(db, find.must(db, id), find.must(db, other), args or {}) end)
  end
end

-- ---- values -------------------------------------------------------------------------------------

local function sorted(text) return json.encode(column.plain(text), { sort = true, binary = true }) end

-- Whether two columns of JSON hold the same, whatever the order of their members. Of values that
-- stand elsewhere, which are large, the bytes count.
local function same_text(a, b)
  if a == b then return true end
  if not a or not b or column.refers(a) or column.refers(b) or #a ~= #b then return false end
  return sorted(a) == sorted(b)
end

-- A column of JSON as an answer has it: the value, or how many bytes it has.
local function shown(text)
  if text == nil then return nil, nil end
  local place = column.place(text)
  if place then return nil, place.size end
  if #text > SHOWN then return nil, #text end
  return column.plain(text), nil
end

local function pair(a, b)
  local made = { same = same_text(a, b) }
  made.one, made.one_bytes = shown(a)
  made.other, made.other_bytes = shown(b)
  return made
end

-- ---- code ---------------------------------------------------------------------------------------

local function cut(line)
  if #line <= LONGEST then return line end
  return line:sub(1, utf8.offset(line, 0, LONGEST + 1) - 1) .. "…"
end

local function lines_of(text)
  local list = {}
  for line in (text:gsub("\n$", "") .. "\n"):gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

-- The sources of a bundle in order, and by a key: the name, or "" of the workflow itself.
local function sources_of(db, row)
  local list, by_name = json.decode(row.sources, { binary = true }), {}
  for _, file in ipairs(db:get("module", row.hash)) do
    list[#list + 1] = { name = file.name, path = file.path, text = file.source }
  end
  for _, file in ipairs(list) do
    file.key = file.main and "" or file.name
    by_name[file.key] = file
  end
  return list, by_name
end

-- What two files are told apart by.
local function content(file) return file.text or file.hex or file.code or "" end

-- The files that differ, with their lines; `left` are the lines that may still be shown. The second
-- result: not all are.
local function source_changes(one, other)
  local list, left, more = {}, MOST_LINES, false
  local function add(file, change, a, b)
    local main = file.key == "" or nil
    local made = { name = main and file.path or file.name, main = main, change = change, lines = array {} }
    if a.hex or b.hex then made.binary = true end
    local lines = made.binary and {} or difference.of(lines_of(a.text or ""), lines_of(b.text or ""))
    for _, line in ipairs(lines) do
      if left == 0 then
        more = true
        break
      end
      left = left - 1
      made.lines[#made.lines + 1] = cut(line)
    end
    list[#list + 1] = made
  end
  for _, file in ipairs(one.list) do
    local there = other.by_name[file.key]
    if not there then add(file, "gone", file, {})
    elseif content(file) ~= content(there) then add(file, "changed", file, there) end
  end
  for _, file in ipairs(other.list) do
    if not one.by_name[file.key] then add(file, "new", {}, file) end
  end
  return array(list), more
end

local function definition_changes(a, b)
  local list = bundle_compare.differences(a, b)
  local made = {}
  for i = 1, math.min(#list, MOST_SENTENCES) do made[i] = cut(list[i]) end
  return array(made), #list > MOST_SENTENCES
end

local function bytes_of(row) return #row.definition + #row.sources end

-- The code of both, told apart by the hashes of their bundles.
local function code_of(db, one, other)
  local made = { same = one ~= nil and one == other, one = one, other = other, known = false, more = false,
    definition = array {}, sources = array {} }
  local a, b = one and db:get("bundle", one), other and db:get("bundle", other)
  made.known = a ~= nil and b ~= nil
  if made.same or not made.known then return made end
  if bytes_of(a) + bytes_of(b) > MOST_CODE then
    made.more = true
    return made
  end
  made.arguments = pair(a.arguments, b.arguments)
  local more_files
  made.definition, made.more = definition_changes(a.definition, b.definition)
  local x, y = {}, {}
  x.list, x.by_name = sources_of(db, a)
  y.list, y.by_name = sources_of(db, b)
  made.sources, more_files = source_changes(x, y)
  made.more = made.more or more_files
  return made
end

--- Two runs without their nodes: what they are, whether their input, context, output and error are
--- the same, and how their code differs. A value above 16 KiB is left out, and its bytes are told.
---@param db orrery.Store
---@param id string or the beginning of one
---@param other string
---@return table as the shape `Comparison`
compared.runs = about_runs(function(db, run, other)
  local a = db:row("run_values", { run = run.number }) or {}
  local b = db:row("run_values", { run = other.number }) or {}
  local function head(row)
    local made = plain_run.of(row)
    made.short, made.context = row.short, nil
    return made
  end
  return { one = head(run), other = head(other), input = pair(a.input, b.input),
    context = pair(run.context, other.context), output = pair(a.output, b.output),
    code = code_of(db, a.bundle, b.bundle) }
end)

-- ---- nodes --------------------------------------------------------------------------------------

-- A row of `parts.nodes` as a side of a comparison has it.
local function side(row)
  if not row then return nil end
  return { state = row.state, attempts = row.attempts, iteration = row.iteration, started = row.started,
    ended = row.ended, items = row.items, outcome = row.outcome, source = row.source, error = row.error,
    output = row.output, output_bytes = row.output_bytes }
end

local function text_of(db, run, name)
  local row = nodes.find(db, run, name)
  return row and row.output
end

local function sorted_value(value) return json.encode(value, { sort = true, binary = true }) end

-- Whether two nodes have put out the same; `budget.left` are the bytes of large ones that may be
-- looked into.
local function same_output(db, pair_of, budget)
  local a, b = pair_of.a, pair_of.b
  if a.output_bytes ~= b.output_bytes then return false end
  if not a.output_bytes then
    if a.output == nil or b.output == nil then return a.output == b.output end
    return sorted_value(a.output) == sorted_value(b.output)
  end
  budget.left = budget.left - 2 * a.output_bytes
  return same_text(text_of(db, pair_of.run, a.name), text_of(db, pair_of.other, b.name))
end

local function code_word(e) return type(e) == "table" and (e.code or "") or e end

local function message_word(e) return type(e) == "table" and e.message or e end

-- In what two nodes differ; when they ran, and how often, does not count.
local function differences(db, pair_of, budget)
  local a, b, list = pair_of.a, pair_of.b, {}
  local function add(word, yes) if yes then list[#list + 1] = word end end
  if not a or not b then return array { "presence" } end
  add("state", a.state ~= b.state)
  add("outcome", a.outcome ~= b.outcome)
  add("items", a.items ~= b.items)
  add("output", not same_output(db, pair_of, budget))
  add("error", code_word(a.error) ~= code_word(b.error) or message_word(a.error) ~= message_word(b.error))
  return array(list)
end

-- The node of that name in a run, as `parts.nodes` has it; `near` is a page where it is likely.
local function node_named(db, run, name, near)
  if near[name] then return near[name] end
  local row = nodes.has(db, run, name) and nodes.find(db, run, name)
  if not row then return nil end
  return parts.nodes(db, run, { limit = 1, cursor = row.idx > 0 and tostring(row.idx - 1) or nil }).nodes[1]
end

local function by_name(list)
  local index = {}
  for _, node in ipairs(list) do index[node.name] = node end
  return index
end

-- The nodes of the first run behind a place, with those of the second.
local function nodes_of_one(db, run, other, asked)
  local page = parts.nodes(db, run, asked)
  local near = by_name(parts.nodes(db, other, asked).nodes)
  local made, budget = {}, { left = MOST_OUTPUTS }
  for _, node in ipairs(page.nodes) do
    if budget.left <= 0 then return made, tostring(page.nodes[#made].index - 1) end
    local pair_of = { run = run, other = other, a = node, b = node_named(db, other, node.name, near) }
    made[#made + 1] = { name = node.name, differs = differences(db, pair_of, budget), one = side(node),
      other = side(pair_of.b) }
  end
  return made, page.next
end

-- Those of the second run that the first one does not have.
local function nodes_of_other(db, run, other, asked)
  local page, made = parts.nodes(db, other, asked), {}
  for _, node in ipairs(page.nodes) do
    if not nodes.has(db, run, node.name) then
      made[#made + 1] = { name = node.name, differs = array { "presence" }, other = side(node) }
    end
  end
  return made, page.next
end

--- Their nodes by name: those of the first run in the order of its definition, then those that only
--- the second has. A page may have few, or none, and not be the last.
---@param db orrery.Store
---@param id string
---@param other string
---@param args { limit: integer, cursor: string|nil }
---@return { nodes: table[], next: string|nil } `differs`: "presence" where only one run has it, or
---  those of "state", "outcome", "items", "output", "error" that are not the same
compared.nodes = about_runs(function(db, run, other, args)
  local phase, place = (args.cursor or "a"):match "^([ab])(%d*)$"
  if not phase then mistake.cursor(args.cursor) end
  local asked = { limit = args.limit, cursor = place ~= "" and place or nil }
  local made = {}
  if phase == "a" then
    local list, more = nodes_of_one(db, run, other, asked)
    if more then return { nodes = array(list), next = "a" .. more } end
    if #list == asked.limit then return { nodes = array(list), next = "b" } end
    made, asked = list, { limit = asked.limit - #list }
  end
  local rest, behind = nodes_of_other(db, run, other, asked)
  table.move(rest, 1, #rest, #made + 1, made)
  return { nodes = array(made), next = behind and "b" .. behind or nil }
end)

return compared
