-- Recorded scientific workflows as definitions: what they become, what is refused and where, and a
-- corpus of real ones with figures that were computed elsewhere.
local command = require "spec.support.command"
local core = require "orrery.core"
local errors = require "orrery.errors"
local flow = require "orrery"
local schedule = require "orrery.cli.shared.schedule"
local wfformat = require "orrery.cli.import.wfformat"

local json = core.json

-- A recorded workflow: tasks { id, seconds, parents }.
local function recorded(tasks, change)
  local specification, execution = {}, {}
  for i, task in ipairs(tasks) do
    specification[i] = { id = task[1], name = task[1], parents = json.array(task[3] or {}),
      children = json.array {} }
    execution[i] = { id = task[1], runtimeInSeconds = task[2] }
  end
  local file = { name = "small", schemaVersion = "1.5", workflow = {
    specification = { tasks = json.array(specification) }, execution = { tasks = json.array(execution) } } }
  if change then change(file) end
  return json.encode(file, { indent = 1, sort = true })
end

local SMALL = { { "split", 1 }, { "left.1", 4, { "split" } }, { "right 2", 2, { "split" } },
  { "join", 1.5, { "left.1", "right 2" } } }

local function refused(text)
  local ok, problems = pcall(wfformat.definition, text, "small.json", 2)
  assert.is_false(ok)
  local list = assert(errors.problems_of(problems), tostring(problems))
  local lines = {}
  for i, problem in ipairs(list) do lines[i] = ("%s: %s"):format(problem.where, problem.message) end
  return table.concat(lines, "\n")
end

local function load(text) return flow.load { source = text, name = "imported.json" } end

-- Each number of slots is a pool of its own: there is one of a name in a process.
local function on_slots(text, slots)
  text = text:gsub('"slots": { "max": %d+ }', ('"slots_%d": { "max": %d }'):format(slots, slots))
  return (text:gsub('"name":"slots"', ('"name":"slots_%d"'):format(slots)))
end

local function makespan(text)
  local run = flow.run(load(text), { clock = "virtual" })
  assert.equal("completed", run.state, run.error and run.error.message)
  local stats = run:stats()
  return stats.ended - stats.started
end

describe("a recorded workflow", function()
  it("becomes nodes that sleep as long as its tasks took, one place each", function()
    local text, figures = wfformat.definition(recorded(SMALL), "small.json", 2)
    local made = json.decode(text)
    assert.same({ nodes = 4, edges = 4, seconds = 8.5 }, figures)
    assert.equal("small", made.name)
    assert.same({ slots = { max = 2 } }, made.pools)
    assert.same({ id = "left_1", type = "delay", with = { duration = 4 }, estimate = 4, after = { "split" },
      pool = { name = "slots", hold = true }, doc = "left.1" }, made.nodes[2])
    assert.same({ "left_1", "right_2" }, made.nodes[4].after)
    assert.equal(6.5, makespan(on_slots(text, 2)))
    assert.equal(8.5, makespan(on_slots(text, 1)))
  end)

  it("takes an edge that parents or children say, once", function()
    local text, figures = wfformat.definition(recorded(SMALL, function(file)
      local tasks = file.workflow.specification.tasks
      tasks[1].children = json.array { "left.1", "join" }
      tasks[2].parents = json.array {}
      tasks[4].parents = json.array { "left.1", "left.1", "right 2" }
    end), "small.json", 2)
    assert.equal(5, figures.edges)
    assert.same({ "split" }, json.decode(text).nodes[2].after)
  end)

  it("gives each node a name of its own", function()
    local tasks = { { "a.b", 1 }, { "a b", 1 }, { "a_b", 1 }, { "1", 1 }, { "é", 1 },
      { ("x"):rep(300), 1 }, { ("x"):rep(300) .. "y", 1 } }
    local text = wfformat.definition(recorded(tasks), "small.json", 2)
    local names, seen = {}, {}
    for i, node in ipairs(json.decode(text).nodes) do
      names[i] = node.id
      assert.is_nil(seen[node.id])
      seen[node.id] = true
    end
    assert.same({ "a_b", "a_b_2", "a_b_3", "_1", "__" }, table.move(names, 1, 5, 1, {}))
  end)

  it("may have more different times than a plan has policies", function()
    local tasks = {}
    for i = 1, 70000 do tasks[i] = { "t" .. i, 1 + i / 1e6 } end
    local text, figures = wfformat.definition(recorded(tasks), "small.json", 2)
    assert.equal(70000, figures.nodes)
    assert.truthy(text:find('"estimate":1.01,"id":"t9999",', 1, true))
    assert.truthy(text:find('"with":{"duration":1.009999}', 1, true))
  end)

  it("is refused with the place of each mistake", function()
    local function with(change) return refused(recorded(SMALL, change)) end
    local WRONG = {
      { function(f) f.schemaVersion = "1.4" end, "small.json:%d+:%d+: schemaVersion: expected \"1.5\", got" },
      { function(f) f.workflow = nil end,
        "small.json:1:1: workflow: workflow: expected an object, got nothing" },
      { function(f) f.workflow.execution = json.array {} end,
        "workflow.execution: execution: expected an object, with the times" },
      { function(f) f.workflow.specification.tasks = "x" end, "specification.tasks: tasks: expected a list" },
      { function(f) f.workflow.specification.tasks = json.array {} end, "it has no tasks" },
      { function(f) f.workflow.specification.tasks[2].parents = json.array { "nobody" } end,
        "small.json:%d+:%d+: workflow.specification.tasks%[2%].parents%[1%]: no task has the id.*nobody" },
      { function(f) f.workflow.specification.tasks[3].id = "split" end, "there is a task \"split\" already" },
      { function(f) f.workflow.specification.tasks[3].id = 7 end, "expected a task with an id" },
      { function(f) f.workflow.specification.tasks[3] = "x" end, "expected a task with an id" },
      { function(f) f.workflow.specification.tasks[1].children = "join" end,
        "children: expected a list of ids" },
      { function(f) f.workflow.specification.tasks[1].parents = json.array { "join" } end, "cycle" },
      { function(f) f.workflow.specification.tasks[1].parents = json.array { "split" } end, "itself" },
      { function(f) f.workflow.execution.tasks[1].runtimeInSeconds = -1 end,
        "small.json:%d+:%d+: workflow.execution.tasks%[1%].runtimeInSeconds: expected seconds" },
      { function(f) f.workflow.execution.tasks[1].runtimeInSeconds = "1" end, "expected seconds" },
      { function(f) f.workflow.execution.tasks[1].runtimeInSeconds = 1e300 end, "expected seconds" },
      { function(f) table.remove(f.workflow.execution.tasks, 2) end,
        "does not say how long task \"left.1\" took" },
      { function(f) f.workflow.execution.tasks[1].id = "other" end, "about no task of the specification" },
    }
    for i, row in ipairs(WRONG) do
      local said = with(row[1])
      assert.truthy(said:find(row[2]), ("row %d: %s"):format(i, said))
    end
    assert.truthy(refused("[1]"):find("expected a JSON object", 1, true))
    assert.truthy(refused("7"):find("expected a JSON object", 1, true))
  end)

  it("is refused with its place where it is cut, wherever that is", function()
    local text = recorded(SMALL)
    for size = 0, #text - 2, 7 do
      assert.truthy(refused(text:sub(1, size)):find "^small%.json:%d+:%d+: not valid JSON: ", size)
    end
  end)

  it("is imported by the command, and runs", function()
    local files = { ["small.json"] = recorded(SMALL), ["bad.json"] = recorded(SMALL, function(f)
      f.workflow.specification.tasks[2].parents = json.array { "nobody" }
    end) }
    local made = command.run_with(files, { "import", "wfformat", "small.json", "-o", "flow.json", "--slots",
      "3" })
    assert.equal(0, made.code, made.err)
    assert.truthy(made.out:find("flow.json written: 4 nodes, 4 edges, 8.5 s of work", 1, true), made.out)
    local printed = command.run_with(files, { "import", "wfformat", "small.json" })
    files["flow.json"] = printed.out
    local run = command.run_with(files, { "run", "flow.json", "--clock", "virtual", "-q" })
    assert.equal(0, run.code, run.err)
    local bad = command.run_with(files, { "import", "wfformat", "bad.json" })
    assert.equal(2, bad.code)
    assert.truthy(bad.err:find "^bad%.json:%d+:%d+: workflow%.specification%.tasks%[2%]%.parents%[1%]: ",
      bad.err)
    assert.equal(2, command.run_with(files, { "import", "wfformat", "none.json" }).code)
    assert.equal(2, command.run_with(files, { "import", "other", "small.json" }).code)
  end)
end)

-- ---- the corpus ---------------------------------------------------------------------------------

local CORPUS = "../shared/corpus/wfinstances/"

local function rows_of_oracle()
  local file = io.open(CORPUS .. "oracle.tsv")
  if not file then return nil end
  local columns, rows = nil, {}
  for line in file:lines() do
    local fields = {}
    for field in (line .. "\t"):gmatch "([^\t]*)\t" do fields[#fields + 1] = field end
    if columns then
      local row = {}
      for i, name in ipairs(columns) do row[name] = tonumber(fields[i]) or fields[i] end
      rows[#rows + 1] = row
    else
      columns = fields
    end
  end
  file:close()
  return rows
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function figures_of(compiled)
  local def, graph = compiled.def, schedule.graph(compiled.def)
  local found = { tasks = #def.nodes, edges = 0, roots = 0, leaves = 0, isolated = 0, layers = 0,
    maxwidth = 0, work_s = 0 }
  local widths, seconds = {}, {}
  for i, layer in ipairs(compiled.plan:layers()) do
    widths[layer] = (widths[layer] or 0) + 1
    found.layers, found.maxwidth = math.max(found.layers, layer), math.max(found.maxwidth, widths[layer])
    seconds[i] = def.nodes[i].estimate
    found.work_s = found.work_s + seconds[i]
    local root, leaf = graph.before[i] == 0, #graph.after[i] == 0
    found.edges = found.edges + graph.before[i]
    found.roots, found.leaves = found.roots + (root and 1 or 0), found.leaves + (leaf and 1 or 0)
    found.isolated = found.isolated + (root and leaf and 1 or 0)
  end
  local _, longest = compiled.plan:critical(0)
  found.cp_s = longest
  return found, graph, seconds
end

local function near(expected, got, what)
  assert.truthy(math.abs(expected - got) <= 0.0015 + 1e-9 * math.abs(expected),
    ("%s: expected %s, got %s"):format(what, expected, got))
end

describe("the recorded workflows of the corpus", function()
  local rows = rows_of_oracle()

  it("are all there, and agree with figures that were computed elsewhere", function()
    if not rows then return pending(CORPUS .. " is absent") end
    assert.equal(28, #rows)
    for _, row in ipairs(rows) do
      local text = wfformat.definition(read(CORPUS .. row.file), row.file, 8)
      local found, graph, seconds = figures_of(assert(flow.compile(load(text))))
      for _, key in ipairs { "tasks", "edges", "roots", "leaves", "isolated", "layers", "maxwidth" } do
        assert.equal(row[key], found[key], row.file .. ": " .. key)
      end
      near(row.work_s, found.work_s, row.file .. ": work")
      near(row.cp_s, found.cp_s, row.file .. ": critical path")
      for slots = 2, 64 do
        local bound = row["lb" .. slots]
        if bound then
          local takes = schedule.makespan(graph, seconds, slots)
          -- Graham's bound of any order that leaves no slot idle
          assert.truthy(takes >= bound - 0.002 and takes <= row.work_s / slots + row.cp_s + 0.002,
            ("%s on %d slots: %s"):format(row.file, slots, takes))
        end
      end
    end
  end)

  it("run in virtual time as it is foreseen, the longest path first", function()
    if not rows then return pending(CORPUS .. " is absent") end
    for k, row in ipairs(rows) do
      local text = wfformat.definition(read(CORPUS .. row.file), row.file, 8)
      local _, graph, seconds = figures_of(assert(flow.compile(load(text))))
      local slots = 2 << (k - 1) % 6
      near(schedule.makespan(graph, seconds, slots), makespan(on_slots(text, slots)),
        ("%s on %d slots"):format(row.file, slots))
    end
  end)
end)
