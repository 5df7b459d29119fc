--- Programs that inherit an output while a live region is drawn: their lines are shown above it.
local flow = require "orrery"
local printable = require "orrery.cli.display.printable"

local programs = {}

-- A line that does not end is shown in pieces.
local LONGEST = 65536

-- What is left of a line on a terminal: without the sequences that move a cursor or colour, and
-- without what the line itself has written over.
local function shown(line)
  line = line:gsub("\27%[[%d;:?]*[ -/]*[@-~]", ""):gsub("\27%][^\7\27]*\27?[\7\\]?", "")
  local last = #line
  while line:byte(last) == 13 do last = last - 1 end
  return printable.text((line:sub(1, last):gsub("^.*\r", "")))
end

-- Calls `put` for each line of what comes in pieces; `finish` for the last one, which may not end.
local function splitter(put)
  local rest = ""
  local function take(text)
    rest = rest .. text
    local from = 1
    for at in rest:gmatch "()\n" do
      put(rest:sub(from, at - 1))
      from = at + 1
    end
    rest = rest:sub(from)
    while #rest >= LONGEST do
      put(rest:sub(1, LONGEST))
      rest = rest:sub(LONGEST + 1)
    end
  end
  return take, function()
    if rest ~= "" then put(rest) end
    rest = ""
  end
end

-- The options and the callback with streams in place of what is inherited.
local function through(put, streams, options, callback)
  local own, takes, finishes = {}, {}, {}
  for key, value in pairs(options) do own[key] = value end
  for _, name in ipairs(streams) do
    if options[name] == "inherit" then
      own[name] = "stream"
      takes[name], finishes[#finishes + 1] = splitter(put)
    end
  end
  function own.on_chunk(name, text)
    if takes[name] then return takes[name](text) end
    options.on_chunk(name, text)
  end
  return own, function(...)
    for _, finish in ipairs(finishes) do finish() end
    return callback(...)
  end
end

--- From now on shows what programs write to these outputs, where they inherit them. What goes on
--- alone after its end (`detach`) keeps what it has.
---@param streams string[] "stdout", "stderr"
---@param print fun(text: string)
---@return fun() restore
function programs.divert(streams, print)
  local spawn = flow.spawn
  local function put(line) print(shown(line) .. "\n") end
  function flow.spawn(options, callback)
    if type(options) ~= "table" or options.detach or type(callback) ~= "function" then
      return spawn(options, callback)
    end
    return spawn(through(put, streams, options, callback))
  end
  return function() flow.spawn = spawn end
end

return programs
