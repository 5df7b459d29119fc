-- Advice by what runs have shown, and retries that are learned from it.
local command = require "spec.support.command"
local core = require "orrery.core"
local flow = require "orrery"
local Place = require "spec.support.place"
local PRESETS = require "orrery.definition.retry_policy".PRESETS
local advice = require "orrery.history.advice"
local retries = require "orrery.history.advice.retries"

local json = core.json

local function has(text, part) assert.truthy(text:find(part, 1, true), text) end

-- ---- retries, by recorded failures --------------------------------------------------------------

-- One task as a store would have recorded it under `standard`: what fails is there again after
-- `back` seconds, or at the attempt of that number.
local function record(code, back, number, took)
  local task, at, k = { node = "n", attempts = {} }, 0, 0
  local waits = { 0.75, 1.5, 3 }
  repeat
    k = k + 1
    local failed = k == 1 or (back and at < back or number and k < number) or not (back or number)
    table.insert(task.attempts, { started = at, ended = at + took, code = failed and code or nil })
    at = at + took + (waits[k] or 0)
  until not failed or k > 3
  return task
end

-- Tasks of several kinds of failures, by chance.
local function draw(random, n)
  local tasks, kinds = {}, {
    function() return record("busy", random() * 0.3, nil, 0.01) end,
    function() return record("rate_limited", 2 + 40 * random() ^ 3, nil, 0.05) end,
    function() return record("http_status", -math.log(1 - random()) * 3, nil, 0.2) end,
    function() return record("flaky", nil, random() < 0.6 and 2 or random() < 0.6 and 3 or 4, 0.1) end,
    function() return record("gone", nil, nil, 0.1) end,
  }
  local used = {}
  local any = false
  for i = 1, 5 do
    used[i] = random() < 0.7
    any = any or used[i]
  end
  for i = 1, n do
    local kind
    repeat kind = math.floor(random() * 5) + 1 until used[kind] or not any
    tasks[i] = kinds[kind]()
  end
  return tasks
end

local function generator(seed)
  local state = seed
  return function()
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 11) / 2.0 ^ 53
  end
end

describe("a policy that is learned", function()
  it("is never worse than standard on recorded failures, those it has seen and others", function()
    local seed = tonumber(os.getenv "ORR_SEED") or 11
    local better = 0
    for round = 1, 300 do
      local random = generator(seed * 1000 + round)
      local many = 20 + math.floor(random() * 300)
      local seen = draw(random, many)
      local policies = retries.learn(seen)
      local other = draw(random, many)
      for _, tasks in ipairs { seen, other } do
        for _, model in ipairs { "time", "count" } do
          local learned = retries.replay(tasks, policies, model)
          local standard = retries.replay(tasks, { PRESETS.standard }, model)
          assert.truthy(learned.completed >= standard.completed, ("seed %d, round %d, %s: %d, standard %d")
            :format(seed, round, model, learned.completed, standard.completed))
          if learned.completed > standard.completed or learned.seconds < standard.seconds then
            better = better + 1
          end
        end
      end
    end
    assert.truthy(better > 300, better) -- and it is worth something
  end)

  it("knows standard as the definitions do", function()
    assert.same(PRESETS.standard, retries.STANDARD)
  end)

  it("tries no more what no retry has helped with, and soon what is there again soon", function()
    local tasks = {}
    for i = 1, 40 do
      tasks[#tasks + 1] = record("gone", nil, nil, 0.1)
      tasks[#tasks + 1] = record("busy", 0.1 + i / 1000, nil, 0.01)
    end
    local policies, figures = retries.learn(tasks)
    local by_code = {}
    for _, policy in ipairs(policies) do by_code[policy.on and policy.on[1] or "*"] = policy end
    assert.equal(0, by_code.gone.max)
    assert.truthy(by_code.busy.delay <= 1)
    assert.truthy(retries.reach(by_code.busy) >= retries.reach(PRESETS.standard))
    assert.same(PRESETS.standard, by_code["*"])
    assert.same({ "gone", 120, 0 }, { figures[1].code, figures[1].tries, figures[1].helped })
  end)

  it("waits longer where that is what helped", function()
    local tasks = {}
    for _ = 1, 40 do
      local task = record("rate_limited", nil, nil, 0.1)
      local last = task.attempts[#task.attempts]
      table.insert(task.attempts, { started = last.ended + 40, ended = last.ended + 40.1 })
      tasks[#tasks + 1] = task
    end
    local policies = retries.learn(tasks)
    assert.truthy(policies[1].on[1] == "rate_limited" and policies[1].delay >= 30, policies[1].delay)
    assert.equal(40, retries.replay(tasks, policies, "time").completed)
    assert.equal(0, retries.replay(tasks, { PRESETS.standard }, "time").completed)
  end)

  it("is standard where there is too little to tell", function()
    local tasks = {}
    for _ = 1, retries.FEW // 3 do tasks[#tasks + 1] = record("gone", nil, nil, 0.1) end
    assert.same({ retries.STANDARD }, (retries.learn(tasks)))
    assert.same({ retries.STANDARD }, (retries.learn {}))
  end)
end)

-- ---- a store ------------------------------------------------------------------------------------

-- `unstable` fails twice in most runs; `down` in the first three of four attempts, for good.
local FLOW = [[
local flow = require "orrery"
local w = flow.workflow { name = "shop", on_error = "continue", pools = { advised = 1 } }
local function fails(code, retryable) flow.error { code = code, message = "no", retryable = retryable } end
w.fetch = { run = function(ctx) ctx:sleep(1 + ctx.input / 10) return { "the same" } end }
w.unstable = { retry = %s, on_error = "ignore", run = function(ctx)
  if ctx.attempt < 3 then fails "busy" end
end }
w.down = { retry = 3, on_error = "ignore", run = function() fails "gone" end }
w.one = flow.delay { "5s", pool = { name = "advised", hold = true } }
w.two = flow.delay { "6s", pool = { name = "advised", hold = true } }
w.three = flow.delay { "1s", after = { "two", "fetch" } }
return w
]]

local function history(here, text, runs)
  local file = here.folder .. "/shop.lua"
  here:write("shop.lua", text)
  local url = "sqlite:" .. here.folder .. "/runs.db"
  local rt = flow.runtime { clock = "virtual", store = url }
  local last
  for i = 1, runs do last = flow.run(file, { runtime = rt, input = i % 5 }) end
  rt:sync()
  rt:close()
  return url, last
end

local function advised(url, workflow)
  local db <close> = core.store(url)
  db:project()
  local found = {}
  for _, one in ipairs(advice.of(db, workflow).advice) do
    found[(one.node or "") .. " " .. one.kind] = one
  end
  return found
end

describe("advice", function()
  it("is given with the figures behind it", function()
    local here <close> = Place.new()
    local url = history(here, FLOW:format "3", 30)
    local found = advised(url, "shop")
    assert.equal('timeout = "3s"', found["fetch timeout"].proposal)
    assert.equal(30, found["fetch timeout"].figures.n)
    assert.near(1.4, found["fetch timeout"].figures.most, 0.001)
    local retry = found["unstable retry"].figures.codes[1]
    assert.same({ "busy", 60, 30, 30, 0 }, { retry.code, retry.tries, retry.helped, retry.first_tries,
      retry.first_helped })
    has(found["down retry"].proposal, '{ on = { "gone" }, max = 0 }')
    has(found[" pool"].proposal, 'flow.pool("advised", { max = 2 })')
    assert.equal("cache = true", found["fetch cache"].proposal)
    assert.truthy(found["two priority"])
    assert.equal('estimates = "learned"', found[" estimate"].proposal)
    assert.near(1.2, found[" estimate"].figures.estimates.fetch.estimate, 0.001)
    assert.truthy(found["down breaker"])
    local printed = command.run { "advise", "--store", url }
    assert.equal(0, printed.code, printed.err)
    has(printed.out, "shop: its newest 30 runs")
    has(printed.out, 'fetch: timeout = "3s"\n    30 attempts took 1.2 s at the median')
    has(printed.out, "busy: 30 of 60 retries helped, the last that did was number 2")
    local data = json.decode(command.run { "advise", "shop", "--store", url, "--json" }.out)
    assert.equal("shop", data.workflows[1].workflow)
    assert.truthy(#data.workflows[1].advice >= 7)
  end)

  it("says where there is too little to tell", function()
    local here <close> = Place.new()
    local url = history(here, FLOW:format "3", 4)
    has(command.run({ "advise", "--store", url }).out, "shop: 4 runs, too few to tell")
    local some = history(here, FLOW:format "3", 4)
    local text = command.run({ "advise", "shop", "--store", some }).out
    has(text, "too few runs of a node to tell its percentiles (20 are enough): fetch 8")
    assert.is_nil(text:find("timeout = ", 1, true))
    local none = command.run { "advise", "nothing", "--store", url }
    assert.equal(2, none.code)
    has(none.err, "nothing")
  end)
end)

describe("retry = \"learned\"", function()
  it("begins a run with what helped before, keeps that with the run, and says so", function()
    local here <close> = Place.new()
    local text = FLOW:format '"learned"'
    local url, first = history(here, text, 1)
    assert.equal("completed", first:states().unstable)
    local why = command.run { "why", first.id, "unstable", "--store", url }
    has(why.out, "its retries were learned from earlier runs when this one was created")
    has(why.out, "too little to tell, so as \"standard\" says")
    local _, last = history(here, text, 24)
    assert.equal("completed", last:states().unstable)
    why = command.run { "why", last.id, "unstable", "--store", url }
    has(why.out, "after busy at most ")
    local db <close> = core.store(url)
    db:project()
    local row = db:row("run", { id = last.id })
    local definition = json.decode(db:get("bundle", row.bundle).definition)
    assert.equal("busy", definition.nodes[2].retry[1].on[1])
    assert.is_true(definition.nodes[2].learned)
  end)

  it("goes on after a restart with the policy that it began with", function()
    local here <close> = Place.new()
    local text = FLOW:format '"learned"':gsub("return w\n$", [[
w.gate = { run = function(ctx) return ctx.input == 99 and ctx:wait "go" or 0 end }
return w
]])
    local url = history(here, text, 24)
    local rt = flow.runtime { store = url }
    local run = flow.start(here.folder .. "/shop.lua", { runtime = rt, input = 99 })
    here:until_true(function() return run:why("gate").kind == "signal" end)
    run:suspend()
    rt:close()
    local db <close> = core.store(url)
    db:project()
    local bundle = db:row("run", { id = run.id }).bundle
    local kept = json.decode(db:get("bundle", bundle).arguments).learned.unstable
    assert.equal("busy", kept[1].on[1])
    local loaded = require "orrery.bundle".load(db:get("bundle", bundle), db:get("module", bundle))
    assert.same(kept[1].max, loaded.def.nodes[2].retry[1].max)
    assert.equal(bundle, require "orrery.bundle".of(loaded).hash)
  end)

  it("is standard without a store, and refused where it cannot be", function()
    local w = flow.workflow { name = "w" }
    w.a = { retry = "learned", run = function() end }
    local compiled = assert(flow.compile(w))
    assert.same(PRESETS.standard, compiled.def.nodes[1].retry)
    assert.equal("completed", flow.run(w).state)
    local wrong = flow.workflow { name = "wrong" }
    wrong.a = { retry = "lerned", run = function() end }
    assert.is_nil((flow.compile(wrong)))
  end)
end)
