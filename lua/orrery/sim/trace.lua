--- A history as a few lines that people read.
local null = require "orrery.core".json.null

local trace = {}

local MOST = 16 -- lines of what happened

-- A value in a few words.
local function show(value, most)
  local kind = type(value)
  if kind == "string" then
    return #value <= most and ("%q"):format(value) or ("%q…"):format(value:sub(1, most))
  end
  if value == null then return "null" end
  if kind ~= "table" then return tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    if i > 4 then
      parts[i] = "…"
      break
    end
    local text = show(value[key], 16)
    parts[i] = type(key) == "number" and text or ("%s = %s"):format(key, text)
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } }

local function seconds(n)
  for _, unit in ipairs(UNITS) do
    if math.abs(n) >= unit[1] then return ("%.4g%s"):format(n / unit[1], unit[2]) end
  end
  return ("%gms"):format(n * 1000)
end

local function name_of(start)
  local name = start.item and ("%s[%d]"):format(start.node, start.item) or start.node
  if start.phase == "undo" then return "undo " .. name end
  return start.attempt > 1 and ("%s, attempt %d"):format(name, start.attempt) or name
end

-- ---- faults -------------------------------------------------------------------------------------

local HANDLER = {
  fail = function() return "fails before it has done anything" end,
  fail_after = function() return "does its work, and then fails" end,
  slow = function(f) return ("waits %s before it works"):format(seconds(f.by)) end,
  slow_after = function(f) return ("works, and returns %s later"):format(seconds(f.by)) end,
  hang = function() return "hangs for a day" end,
  late = function() return "hangs, and returns though it was cancelled" end,
  twice = function() return "returns twice" end,
}

local COMMIT = { slow = "takes %d turns", fails = "fails, and is made %d turns later",
  unsure = "is made, but reported as failed for %d turns" }

local ACT = {
  cancel = function(f) return ("a cancel after %s"):format(seconds(f.at)) end,
  pause = function(f) return ("a pause after %s for %s"):format(seconds(f.at), seconds(f.by)) end,
  stall = function(f)
    return ("a commit after %s that takes %s"):format(seconds(f.at), seconds(f.by))
  end,
  skip = function(f) return ("a clock that jumps by %s after %s"):format(seconds(f.by), seconds(f.at)) end,
  signal = function(f) return ("signal %s after %s"):format(f.name, seconds(f.at)) end,
  hold_back = function(f) return ("signal %s does not come"):format(f.name) end,
}

--- A fault in a few words.
---@param f orrery.sim.Fault
---@return string
function trace.fault(f)
  if f.kind == "crash" then
    return ("a crash with record %d, %s down"):format(f.record, seconds(f.down))
  end
  if f.commit then return ("commit %d "):format(f.commit) .. COMMIT[f.kind]:format(f.turns) end
  if f.act then return ACT[f.act](f) end
  local name = f.item and ("%s[%d]"):format(f.node, f.item) or f.node
  return ("%s%s (start %d) %s"):format(f.phase == "undo" and "undo " or "", name, f.nth, HANDLER[f.kind](f))
end

-- ---- what happened ------------------------------------------------------------------------------

local LINE = {
  attempt = function(e)
    if e.cut then return name_of(e) .. " starts" end
  end,
  ["end"] = function(e)
    local start = e.start
    local fault = start.fault and (" (it %s)"):format(HANDLER[start.fault.kind](start.fault)) or ""
    if start.done then
      local value = start.value ~= nil and " → " .. show(start.value, 24) or ""
      return name_of(start) .. value .. fault, not start.fault
    end
    if fault ~= "" then return name_of(start) .. " fails" .. fault end
    return ("%s fails: %s"):format(name_of(start), (start.message:match "^[^\n]*"))
  end,
  effect = function(e)
    return ("  effect %s %s"):format(e.name, e.data ~= nil and show(e.data, 24) or "")
  end,
  outside = function(e)
    if e.what == "clock" then return ("from outside: the clock jumps by %s"):format(seconds(e.by)) end
    if e.what == "stall" then return ("the disk takes %s for a commit"):format(seconds(e.by)) end
    return ("from outside: %s %s"):format(e.what, e.data ~= nil and show(e.data, 24) or "")
  end,
  crash = function(e) return ("the process dies: record %d is the last that is kept"):format(e.record) end,
  life = function(e) return ("a new process goes on after %s"):format(seconds(e.down)) end,
}

local function cut_middle(lines)
  if #lines <= MOST then return lines end
  local first, last = MOST // 2, MOST - MOST // 2 - 1
  local out = table.move(lines, 1, first, 1, {})
  out[#out + 1] = { text = ("… %d lines"):format(#lines - first - last) }
  return table.move(lines, #lines - last + 1, #lines, #out + 1, out)
end

-- Without what went as it should, in place of which a count stands.
local function eventful(lines)
  local out, dull = {}, 0
  local function flush()
    if dull > 0 then out[#out + 1] = { text = ("… %d that went well"):format(dull) } end
    dull = 0
  end
  for _, line in ipairs(lines) do
    if line.dull then
      dull = dull + 1
    else
      flush()
      out[#out + 1] = line
    end
  end
  flush()
  return out
end

--- What happened, in order.
---@param h orrery.sim.History
---@return string[]
function trace.lines(h)
  local lines, effects = {}, {}
  for _, entry in ipairs(h.log) do
    if entry.kind == "effect" and entry.node then effects[entry.node] = true end
  end
  for _, entry in ipairs(h.log) do
    local text, dull = LINE[entry.kind](entry)
    if text then
      local node = entry.start and entry.start.node
      lines[#lines + 1] = { at = entry.at, text = text, dull = dull and not effects[node] }
    end
  end
  if #lines > MOST then lines = eventful(lines) end
  local out = {}
  for i, line in ipairs(cut_middle(lines)) do
    out[i] = line.at and ("%9s  %s"):format(("%.3f"):format(line.at), line.text) or (" "):rep(11) .. line.text
  end
  local state = h.state and ("the run is %s%s"):format(h.state,
    h.output ~= nil and " → " .. show(h.output, 40) or "") or "the run has not ended"
  out[#out + 1] = ("%9s  %s"):format(("%.3f"):format(h.seconds), state)
  return out
end

--- A text that two histories share if they are the same.
---@param h orrery.sim.History
---@return string
function trace.digest(h)
  local parts = {}
  for i, e in ipairs(h.log) do
    local start = e.start or e
    parts[i] = ("%.6f %d %s %s %s %s %s"):format(e.at, e.life, e.kind, start.node or e.what or e.name or "",
      tostring(start.item), tostring(start.attempt), tostring(start.committed or e.record))
  end
  for _, r in ipairs(h.journal) do
    parts[#parts + 1] = ("%d %.6f %s %s %s"):format(r.seq, r.time, r.kind, r.node or "",
      tostring(r.attempt))
  end
  parts[#parts + 1] = tostring(h.state)
  return table.concat(parts, "\n")
end

return trace
