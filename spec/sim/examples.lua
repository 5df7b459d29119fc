-- Workflows of examples/ with a bug planted in them, of the kinds that testing hardly finds. Each
-- is the example with edits: `watched` says what it does outside, and what must hold; `planted` is
-- the bug. With the first alone nothing is found.
return {
  { example = "saga", bug = "a compensation that forgets",
    invariant = "who gets no parcel has the money", clue = "effect charged",
    faults = "crash,hang,late,slow,commit_unsure,cancel,skip,stall", -- who fails says that nothing was done
    watched = {
      { "local function charge(ctx, inputs)\n",
        'local function charge(ctx, inputs)\n  flow.effect "charged"\n' },
      { "  return (\"refunded ", '  flow.effect "refunded"\n  return ("refunded ' },
      { "return flow.saga(", [[
flow.invariant("who gets no parcel has the money", function(h)
  if h.state == "completed" or h.count "charged" == 0 or h.count "refunded" > 0 then return true end
  return false, ("the run is %s, and the money is gone"):format(h.state)
end)

return flow.saga(]] },
    },
    planted = { { "local function refund(ctx)\n",
      "local function refund(ctx)\n  if not ctx.output then return end -- nothing was paid\n" } } },

  { example = "retry_fallback", bug = "a retry that pays twice", invariant = "billed once",
    clue = "effect billed",
    watched = {
      { "return w", [[
flow.model("fresh", function(ctx, _, world)
  local key = ctx.idempotency_key
  if not world[key] then flow.effect "billed" end
  world[key] = true
  return { gold = 2650, tries = ctx.attempt }
end)

flow.invariant("billed once", function(h)
  return h.count "billed" <= 1, ("%d bills for one answer"):format(h.count "billed")
end)

return w]] },
    },
    planted = { { "local key = ctx.idempotency_key",
      'local key = ctx.idempotency_key .. "/" .. ctx.attempt' } } },

  { example = "approval", bug = "a race of signal and timeout",
    invariant = "what is withdrawn is not published", clue = "signal go",
    watched = {
      { "run = function(_, inputs)\n", "run = function(_, inputs)\n  flow.effect \"published\"\n" },
      { "w.publish = {", [[
w.withdraw = { after = "go", join = "failed", run = function() flow.effect "withdrawn" end }

w.publish = {]] },
      { "-- loaded as a workflow", [[
flow.model("signal:go", { data = { approved = true, by = "ada", why = "done" } })

flow.invariant("what is withdrawn is not published", function(h)
  return h.count "withdrawn" == 0 or h.count "published" == 0, "it is withdrawn, and published"
end)

-- loaded as a workflow]] },
    },
    -- who withdraws looks at a clock of its own
    planted = {
      { 'timeout = "3d"', 'timeout = "4d"' },
      { 'w.withdraw = { after = "go", join = "failed", run = function() flow.effect "withdrawn" end }', [[
w.withdraw = { after = "build", run = function(ctx)
  ctx:sleep "3d"
  if ctx.states.go ~= "completed" then flow.effect "withdrawn" end
end }]] } } },
}
