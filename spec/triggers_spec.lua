-- What starts the runs of a workflow by itself, as it is declared.
local flow = require "orrery"

local function mistakes(triggers)
  local w = flow.workflow { name = "w", triggers = triggers, output = 1 }
  w.a = { run = function() end }
  local list = {}
  for i, problem in ipairs(flow.check(w)) do
    list[i] = problem.message:gsub('^workflow "w": ', "")
  end
  return list
end

local function in_json(triggers)
  local list = {}
  local text = ('{ "name": "w",\n "triggers": %s,\n'
    .. '"nodes": [ { "id": "a", "type": "const", "value": 1 } ] }'):format(triggers)
  for i, problem in ipairs(flow.check { source = text, name = "w.json" }) do
    list[i] = ("%s: %s"):format(problem.where, problem.message)
  end
  return list
end

describe("triggers", function()
  it("are taken where they are right, with names of their own", function()
    assert.same({}, mistakes {
      flow.schedule { cron = { "30 2 * * *", "H H * * sat" }, zone = "Europe/Berlin", missed = "last",
        overlap = "cancel", jitter = "5m", pause_on_failure = true, start = "2026-01-01",
          ["end"] = "2027-01-01",
        except = "--12-25", input = { day = "${schedule.date}" } },
      flow.schedule { name = "often", every = "15m", anchor = "2026-01-01T00:05" },
      flow.watch { path = "inbox", pattern = "*.csv", on = "create", settle = "5s",
        input = "${trigger.created}" },
      flow.after_run { workflow = "load", state = { "failed", "cancelled" } },
      flow.hook { name = "orders", verify = "standard", secrets = { flow.secret "A", flow.secret "B" },
        wait = "30s" },
      { type = "schedule", name = "plain", every = 60 },
      flow.alert { name = "fails", on = "failures", workflow = "load", limit = "20%", least = 5,
        remind = "4h" },
      flow.alert { name = "slow", on = "slow", workflow = "load", limit = "1.5 p95" },
      flow.alert { name = "skips", on = "skipped", input = { text = "${alert.message}" } },
    })
    local w = flow.workflow { name = "etl", triggers = { flow.schedule { every = "1h" },
      flow.watch { path = "x" } } }
    w.a = { run = function() end }
    local ids = {}
    for i, trigger in ipairs(flow.compile(w).triggers) do ids[i] = trigger.id end
    assert.same({ "etl:schedule", "etl:watch" }, ids)
  end)

  it("say what is wrong with them", function()
    for _, case in ipairs {
      { {}, nil },
      { "x", "triggers: expected a list, { flow.schedule { … } }, got the string \"x\"" },
      { { flow.schedule {} }, 'triggers[1]: a schedule has either cron = "30 2 * * *" or every = "15m"' },
      { { flow.schedule { cron = "0 60 * * *" } },
        'triggers[1]: cron "0 60 * * *", column 3: 60 is no hour; expected an hour, 0-23' },
      { { flow.schedule { every = "1h", overlap = "que_one" } },
        'triggers[1]: overlap: expected "skip", "queue_one", '
        .. '"queue_all", "cancel", "terminate" or "allow", got the string "que_one"; '
        .. 'did you mean "queue_one"?' },
      { { flow.schedule { every = "1h", jiter = 3 } },
        'triggers[1]: a schedule has no field "jiter"; did you mean "jitter"?' },
      { { flow.schedule { every = "1h", input = "${input.x}" } },
        "triggers[1]: input: it is made before the run begins, so it may use schedule, not input" },
      { { flow.schedule { every = "1h", pause_on_failure = 0 } },
        "triggers[1]: pause_on_failure: expected true, or after how many failures in a row, got 0" },
      { { flow.schedule { every = "1h" }, flow.schedule { every = "2h" } },
        'triggers[2]: another trigger is called "schedule" as well; give each a name' },
      { { flow.schedule { every = "1h", name = "a b" } },
        'triggers[1]: name: expected letters, digits, _, . and -, got the string "a b"' },
      { { flow.watch {} }, "triggers[1]: a watch needs path" },
      { { flow.after_run { workflow = "w" } },
        "triggers[1]: workflow: a run after each of its own runs would never end; name another" },
      { { flow.after_run {} }, "triggers[1]: an after_run needs workflow" },
      { { flow.alert {} }, "triggers[1]: an alert needs on" },
      { { flow.alert { on = "failure", workflow = "x" } }, 'triggers[1]: on: expected "failures", "slow", '
        .. '"skipped", "stalled" or "disk", got the string "failure"; did you mean "failures"?' },
      { { flow.alert { on = "failures" } }, "triggers[1]: an alert on failures needs workflow" },
      { { flow.alert { on = "failures", workflow = "w" } },
        "triggers[1]: workflow: its own runs tell of others; watch them by another workflow" },
      { { flow.alert { on = "slow", workflow = "x" } }, "triggers[1]: an alert on slow needs limit" },
      { { flow.alert { on = "slow", workflow = "x", limit = "20%" } },
        'triggers[1]: limit: of slow it is a duration, "10m", or one of the runs before, "2 p95": twice '
        .. 'what 95 of 100 stay below; got the string "20%"' },
      { { flow.alert { on = "disk", workflow = "x" } },
        "triggers[1]: workflow: an alert on disk is not about one" },
      { { flow.hook {} }, "triggers[1]: a hook needs a name, of which its path is made" },
      { { flow.hook { name = "h" } },
        'triggers[1]: a hook needs secrets = flow.secret "NAME", by which it knows its sender; '
        .. 'verify = "none" lets anybody in' },
      { { flow.hook { name = "h", secrets = "s3cret" } },
        'triggers[1]: secrets: expected flow.secret "NAME" (in JSON "${secret.NAME}"), whose value is kept '
        .. "nowhere, got a string" },
      { { flow.hook { name = "h", verify = "none", secrets = flow.secret "A" } },
        'triggers[1]: secrets: nothing is verified by them with verify = "none"' },
      { { flow.hook { name = "h", verify = "none", start = true, signal = "x", run = "${hook.body.run}" } },
        "triggers[1]: a hook starts runs or signals one: give start or signal, not both" },
      { { flow.hook { name = "h", verify = "none", signal = "x" } },
        'triggers[1]: signal: say for which run it is: run = "${hook.body.run}", its id, or key = '
        .. '"${hook.body.order}", its key' },
      { { flow.hook { name = "h", verify = "none", run = "x" } },
        "triggers[1]: run: it is whom a signal is for; give signal as well" },
      { { flow.hook { name = "h", verify = "none", key = "${input.x}" } },
        "triggers[1]: key: it is made before the run begins, so it may use hook, not input" },
      { { flow.hook { name = "h", secrets = { flow.secret "A", flow.secret "B", flow.secret "C",
        flow.secret "D", flow.secret "E" } } }, "triggers[1]: secrets: expected one to 4 secrets, got 5" },
      { { { type = "schedul" } },
        'triggers[1]: type: expected "schedule", "hook", "watch", "after_run" or "alert", got the string '
        .. '"schedul"; did you mean "schedule"?' },
      { { 3 }, "triggers[1]: expected flow.schedule { … } or another trigger, got 3" },
    } do assert.equal(case[2], mistakes(case[1])[1]) end
    assert.is_false((pcall(flow.schedule, "x")))
  end)

  it("are told in JSON as well, with the place in the file", function()
    assert.same({}, in_json '[ { "type": "schedule", "cron": "30 2 * * *", "zone": null } ]')
    assert.same({ 'w.json:2:47: triggers[0].secrets: workflow "w": triggers[0]: secrets: the secret '
      .. '"A" is not allowed here: the loader allows none; add it to its `secrets`' },
      in_json '[ { "type": "hook", "name": "h", "secrets": ["${secret.A}"] } ]')
    assert.same({ 'w.json:2:38: triggers[0].cron: workflow "w": triggers[0]: cron "0 60 * * *", column 3: '
      .. '60 is no hour; '
      .. "expected an hour, 0-23" }, in_json '[ { "type": "schedule", "cron": "0 60 * * *" } ]')
    assert.same({ 'w.json:2:35: triggers[0].path: workflow "w": triggers[0]: a definition that is data '
      .. "watches no files" },
      in_json '[ { "type": "watch", "path": "/etc" } ]')
  end)
end)
