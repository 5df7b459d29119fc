-- A run that keeps its journal: every change as a record, in order, with its value.

local flow = require "orrery"

local function run_of(nodes, options)
  local w = flow.workflow { name = "j", on_error = "continue" }
  for _, node in ipairs(nodes) do w[node[1]] = node[2] end
  return flow.run(w, options or { journal = true, clock = "virtual" })
end

local function kinds(run)
  local found = {}
  for i, record in ipairs(run:journal()) do
    assert.equal(i, record.seq)
    found[i] = record.kind .. (record.node and " " .. record.node or "")
  end
  return found
end

describe("a journal", function()
  it("reports every attempt, wait and end", function()
    local run = run_of {
      { "a", { run = function(ctx) ctx:sleep("1s") return { n = 1 } end } },
      { "b", { after = "a", when = "nodes.a.n > 1", run = function() end } },
    }
    assert.same({ "run_created", "attempt_started a", "step a", "waiting a", "woken a", "woken a",
      "completed a", "skipped b",
      "run_ended" }, kinds(run))
    local journal = run:journal()
    assert.same({ n = 1 }, journal[7].value)
    assert.equal("completed", journal[9].state)
    assert.equal(1, journal[5].time - journal[4].time)
    assert.equal(journal[5].time, journal[4].due)
  end)

  it("reports retries with their errors, and items with their values", function()
    local run = run_of {
      { "list", { run = function() return { "x", "y" } end } },
      { "each", { each = "${nodes.list}", retry = { max = 1, delay = "2s", jitter = "none" },
        run = function(ctx)
        if ctx.attempt == 1 and ctx.index == 1 then flow.error { code = "shy", message = "not yet" } end
        return ctx.item:upper()
      end } },
    }
    local expanded, failed, completed
    for _, record in ipairs(run:journal()) do
      if record.kind == "expanded" then expanded = record end
      if record.kind == "attempt_failed" then failed = record end
      if record.kind == "completed" and record.item == 1 then completed = record end
    end
    assert.equal(2, expanded.items)
    assert.same({ "x", "y" }, expanded.value)
    assert.same({ code = "shy", message = "not yet" }, failed.error)
    assert.equal(1, failed.attempt)
    assert.equal(failed.time + 2, failed.due)
    assert.equal("X", completed.value)
    assert.equal(2, completed.attempt)
  end)

  it("is kept only where it is asked for", function()
    local run = run_of({ { "a", { run = function() end } } }, { clock = "virtual" })
    assert.has_error(function() run:journal() end,
      "this run keeps no journal; start it with { journal = true }")
  end)

  it("belongs to one run, not to its neighbours", function()
    local rt = flow.runtime { clock = "virtual" }
    local w = flow.workflow { name = "n" }
    w.a = { run = function(ctx) return ctx.input end }
    local kept = flow.run(w, { runtime = rt, journal = true, input = 1 })
    local other = flow.run(w, { runtime = rt, journal = true, input = 2 })
    flow.run(w, { runtime = rt, input = 3 })
    assert.equal(1, kept:journal()[1].value.input)
    assert.equal(2, other:journal()[1].value.input)
    assert.equal(4, #kept:journal())
  end)
end)
