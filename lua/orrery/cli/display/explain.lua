--- Explains a run while it goes on (`orrery run -d explain`): a line for each thing that happens,
--- with why. Why a node starts is found in the events: its join, and which dependency settled last;
--- why it waits is what the engine itself says (`run:why`). What a store does stands among the
--- lines.
local events = require "orrery.events"
local progress = require "orrery.cli.display.progress"
local reasons = require "orrery.cli.display.reasons"
local summary = require "orrery.cli.display.summary"
local term = require "orrery.cli.display.term"

local explain = {}

---@class orrery.cli.Explain
---@field nodes table<string, table> name -> its entry in the definition
---@field names string[] by place in the definition
---@field settled table<string, { order: integer, word: string }> nodes that have settled
---@field ready table<string, { since: number, why: string, wait: string|nil, kind: string|nil }> not started yet
---@field waits table<string, number> since when nodes wait, by name and item
---@field breakers table<string, string> the breaker that a node waits for, by name and item
---@field delays table<string, number> how long nodes wait before they are tried again, by name and item
---@field lines { time: number, text: string }[] not written yet
local Explain = {}
Explain.__index = Explain

-- Asking about a ready node takes as long as its line is. So where very many are ready the further
-- ones are not asked about, and where many are it is done once, when they become so, and not again
-- each turn.
local MOST_READY, MOST_ASKED = 1000, 50

local WORDS = {
  node_completed = "completed",
  node_failed = "failed",
  node_skipped = "was skipped",
  node_cancelled = "was cancelled",
}

-- ---- why it starts ------------------------------------------------------------------------------

-- The names of what a node depends on, each once.
local function dependencies(self, name)
  local list, seen = {}, {}
  for _, dep in ipairs((self.nodes[name] or {}).deps or {}) do
    local other = self.names[dep.node]
    if other and not seen[other] then
      seen[other] = true
      list[#list + 1] = other
    end
  end
  return list
end

-- The dependency that settled last, of those that ended so where a word is given; and how many
-- there are.
local function last_settled(self, list, word)
  local last, n = nil, 0
  for _, name in ipairs(list) do
    local one = self.settled[name]
    if one and (not word or one.word == word) then
      n = n + 1
      if not last or one.order > self.settled[last].order then last = name end
    end
  end
  return last, n
end

local function how(self, name) return ("%s %s"):format(term.clean(name), self.settled[name].word) end

local function of_all(self, list, join)
  local last, n = last_settled(self, list)
  if n == 1 and #list == 1 then return join .. how(self, last) end
  return ("%sall %d that it depends on have settled; the last: %s"):format(join, #list, how(self, last))
end

-- join -> what made it hold.
local JOINS = {
  any = function(self, list)
    local last = last_settled(self, list, "completed")
    return last and ("its join is any, and %s first"):format(how(self, last))
  end,
  need = function(self, list, node)
    local last, n = last_settled(self, list, "completed")
    local text = "its join needs %d, and %d completed; the last: %s"
    return last and text:format(node.need or n, n, term.clean(last))
  end,
  done = function(self, list) return of_all(self, list, "its join is done, and ") end,
  failed = function(self, list) return of_all(self, list, "its join is failed, and ") end,
  all_completed = function(self, list) return of_all(self, list, "its join is all_completed, and ") end,
}

-- Why a node may start, at the moment when it becomes ready.
local function why_ready(self, name)
  local list, node = dependencies(self, name), self.nodes[name] or {}
  if #list == 0 then return "it depends on nothing" end
  if not last_settled(self, list) then
    return "what it depends on is left out, or had settled before this process took the run up"
  end
  local say = JOINS[node.join]
  return say and say(self, list, node) or of_all(self, list, "")
end

-- ---- why it waits -------------------------------------------------------------------------------

-- Kinds of `run:why` that keep a ready node from starting.
local HELD = { run_limit = true, pool = true, rate = true, breaker = true, paused = true, priority = true,
  compensation = true, stopped = true }

-- What such a node waited for, once that is over.
local WAITED = {
  run_limit = "a place in the run",
  pool = "pool '%s'",
  rate = "the rate of pool '%s'",
  breaker = "breaker '%s'",
}

-- What the engine says of a node now; nil where it can say nothing, as before the run has been
-- handed out.
local function ask(self, name, item)
  local run = self.run()
  if not run then return nil end
  local ok, why = pcall(run.why, run, name, item)
  return ok and why or nil
end

-- In words, with its end as the time that is left: lines have times of their own.
local function words_of(why, time)
  local due = why.due
  why.due = nil
  local text = reasons.say(why, time)
  return text and due and due > time and ("%s (%s from now)"):format(text, term.duration(due - time)) or text
end

-- The line of a ready node that does not start, where there is something new to say. Nodes before
-- it in its line are worth one only if they still are there at the end of the turn.
local function held(self, name, time, turn_over)
  local entry, why = self.ready[name], ask(self, name)
  if not why or not HELD[why.kind] or why.state ~= "ready" then return end
  if why.kind == "priority" and not (turn_over and (why.count or 0) > 0) then return end
  local kind = why.kind .. (why.name or "")
  if kind == entry.kind then return end
  entry.kind, entry.wait = kind, WAITED[why.kind] and WAITED[why.kind]:format(term.clean(why.name or ""))
  self:put(time, ("%s  %s"):format(term.clean(name), words_of(why, time) or "waits"))
end

-- Ready nodes are asked about again: what kept one from starting may have become another thing.
local function ask_again(self)
  if self.n_ready == 0 or self.n_ready > MOST_ASKED then return end
  local names = {}
  for name in pairs(self.ready) do names[#names + 1] = name end
  table.sort(names)
  local now = self.now()
  for _, name in ipairs(names) do held(self, name, now, true) end
end

-- ---- the lines ----------------------------------------------------------------------

--- Adds a line.
---@param time number
---@param text string
function Explain:put(time, text)
  if #self.lines == 0 and self.later then self.later(function() self:flush() end) end
  self.lines[#self.lines + 1] = { time = time, order = #self.lines, text = text }
end

-- What stores have done since.
local function add_traced(self)
  local lines, lost = self.traced()
  if lost > 0 then self:put(lines[1].time, ("store  %d lines were lost"):format(lost)) end
  local of_run = "of run " .. (self.board.run or "?")
  for _, line in ipairs(lines) do
    local text = term.clean(line.text)
    local from, to = text:find(of_run, 1, true)
    if from then text = text:sub(1, from - 1) .. "of this run" .. text:sub(to + 1) end
    self:put(line.time, line.topic .. "  " .. text)
  end
end

-- Writes what there is in the order of its times: what is told late, since a disk was waited for,
-- goes where it belongs.
function Explain:flush()
  add_traced(self)
  ask_again(self)
  local lines = self.lines
  if #lines == 0 then return end
  self.lines = {}
  table.sort(lines, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    return a.order < b.order
  end)
  self.from = self.from or lines[1].time
  for i, line in ipairs(lines) do lines[i] = ("%8.3f  %s\n"):format(line.time - self.from, line.text) end
  self.write(table.concat(lines))
end

local function leave_ready(self, name)
  local entry = self.ready[name]
  if entry then
    self.ready[name] = nil
    self.n_ready = self.n_ready - 1
  end
  return entry
end

local function place(e) return term.task(e.node, e.item, e.item_name) end

-- How long the node of this event has waited, which is over then.
local function after_wait(self, e)
  local since = self.waits[place(e)]
  self.waits[place(e)] = nil
  return since and " after " .. term.duration(e.time - since) or ""
end

-- Event -> what is said behind its line; false: nothing at all is said.
local SAY = {}

function SAY.node_ready(self, e)
  if self.ready[e.node] == nil then self.n_ready = self.n_ready + 1 end
  self.ready[e.node] = { since = e.time, why = why_ready(self, e.node) }
  if self.n_ready <= MOST_READY then held(self, e.node, e.time) end
  return false
end

local function of_items(self, e)
  local items = self.items[e.node] or { n = e.item, since = e.time }
  local waited = e.time - items.since
  local text = ("item %d of %d"):format(e.item, items.n)
  return waited > 0 and ("%s, %s after they were known"):format(text, term.duration(waited)) or text
end

function SAY.node_started(self, e)
  local entry = not e.item and leave_ready(self, e.node)
  if e.fallback then return "no attempt is left" end
  local delay = self.delays[place(e)]
  local breaker = self.breakers[place(e)]
  self.breakers[place(e)] = nil
  if breaker then return "breaker '" .. term.clean(breaker) .. "' lets it through" .. after_wait(self, e) end
  if (e.attempt or 1) > 1 then
    local text = "the attempt before failed"
    return delay and ("%s, and its backoff of %s is over"):format(text, term.duration(delay)) or text
  end
  if (e.iteration or 1) > 1 then return ("iteration %d of its loop"):format(e.iteration) end
  if e.item then return of_items(self, e) end
  if not entry then return nil end
  local waited = e.time - entry.since
  if not entry.kind or waited <= 0 then return entry.why end
  local wait = entry.wait and ", waiting for " .. entry.wait or ""
  return ("%s; was ready for %s%s"):format(entry.why, term.duration(waited), wait)
end

function SAY.node_retrying(self, e) self.delays[place(e)] = e.delay end

function SAY.node_waiting(self, e)
  self.waits[place(e)] = e.time
  self.breakers[place(e)] = e.breaker
  if e.breaker then return nil end
  local why = ask(self, e.node, e.item)
  if not why or why.kind ~= "signal" then return nil end
  local text = why.name and words_of(why, e.time) or "waits for another run"
  self:put(e.time, ("%s  %s"):format(place(e), text))
  return false
end

function SAY.node_resumed(self, e)
  self:put(e.time, ("%s  goes on%s"):format(term.clean(place(e)), after_wait(self, e)))
  return false
end

function SAY.node_expanded(self, e)
  leave_ready(self, e.node)
  self.items[e.node] = { n = e.items, since = e.time }
end

function SAY.node_skipped(self, e)
  if (e.reason == "upstream" or e.reason == "upstream_failed") and e.by and self.settled[e.by] then
    local join = (self.nodes[e.node] or {}).join
    local text = "it " .. self.settled[e.by].word
    return join == "failed" and text .. ", and the join failed wants one that failed" or text
  end
  local last = last_settled(self, dependencies(self, e.node))
  if not last then return nil end
  if e.reason == "when" then return "asked when " .. how(self, last) end
  local node = self.nodes[e.node]
  return not e.by and ("its join is %s; the last: %s"):format(node.join or "all", how(self, last)) or nil
end

function SAY.run_stopping(self, e)
  self.cause = reasons.cause(e.cause)
  return self.cause
end

function SAY.node_cancelled(self) return self.cause and "the run is ending, because " .. self.cause or nil end

local function settle(self, e)
  local word = WORDS[e.event]
  if not word or e.item then return end
  leave_ready(self, e.node)
  self.waits[e.node] = nil
  self.order = self.order + 1
  self.settled[e.node] = { order = self.order, word = word }
end

--- Takes an event.
---@param e table
function Explain:take(e)
  local board = self.board
  board:take(e)
  board.notes = {}
  local child = e.run and e.run ~= board.run
  local say, why = SAY[e.event], nil
  if say and not child then why = say(self, e) end
  if not child then settle(self, e) end
  local text = why ~= false and progress.text(e, child)
  if text then self:put(e.time, text .. (why and ": " .. why or "")) end
  if events.ENDS[e.event] and not e.node and not child then self:flush() end
end

--- A watcher of a run (see `orrery.cli.display.watch`) that explains it.
---@param board table see `orrery.cli.display.board`
---@param options { def: table, run: (fun(): orrery.Run|nil), now: (fun(): number), write: fun(text: string),
--- traced: (fun(): table[], integer), later: fun(fn: function)|nil } `def` is the definition;
--- `traced` answers as `core.traced`; `later` calls fn at the next turn of the loop
---@return table watcher whose `rest` writes what its store did at last
function explain.new(board, options)
  local self = setmetatable({
    board = board, run = options.run, write = options.write, now = options.now,
    traced = options.traced, later = options.later,
    nodes = {}, names = {}, settled = {}, order = 0, ready = {}, n_ready = 0, items = {},
    waits = {}, breakers = {}, delays = {}, lines = {},
  }, Explain)
  for i, node in ipairs(options.def.nodes) do
    local name = node.name or tostring(i)
    self.names[i], self.nodes[name] = name, node
  end
  local function flush() self:flush() end
  return {
    take = function(e) self:take(e) end,
    stop = flush,
    finish = function(run, info)
      flush()
      local state = info.state or run.state
      self.write(summary.sentence(board, { state = state, now = info.now(), paint = info.paint }) .. "\n")
    end,
    rest = flush,
  }
end

return explain
