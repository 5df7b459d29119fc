--- The live region on a terminal: frames of `progress` redrawn in place by a timer, ten times a
--- second.
---
--- Every write is one string: erase the old frame, print what belongs above it, draw the new one.
--- The cursor always rests on the line after the frame, so a program that prints meanwhile writes
--- below it and nothing is lost.
local progress = require "orrery.cli.display.progress"
local summary = require "orrery.cli.display.summary"

local live = {}
live.__index = live

local INTERVAL = 100 -- ms

local HIDE, SHOW = "\27[?25l", "\27[?25h"

---@param options { board: table, now: fun(): number, write: fun(text: string), size: fun(): integer, integer,
--- paint: function, sample?: fun() }
function live.new(options)
  local self = setmetatable({ drawn = 0, above = {} }, live)
  for key, value in pairs(options) do self[key] = value end
  return self
end

-- Moves to the first line of the old frame and clears all below.
local function erase(self)
  return self.drawn > 0 and ("\27[%dA\r\27[J"):format(self.drawn) or ""
end

-- Lines that scroll: log messages of nodes and what handlers print.
local function take_above(self)
  for _, e in ipairs(self.board.notes) do
    self.above[#self.above + 1] = progress.log_line(e, self.paint) .. "\n"
  end
  self.board.notes = {}
  local text = table.concat(self.above)
  self.above = {}
  return text ~= "" and text:sub(-1) ~= "\n" and text .. "\n" or text
end

--- Draws one frame now.
function live:draw()
  if self.sample then self.sample() end
  local width, height = self.size()
  local lines = progress.frame(self.board,
    { now = self.now(), width = width, height = height, paint = self.paint })
  local text = erase(self) .. take_above(self) .. table.concat(lines, "\n") .. "\n"
  self.drawn = #lines
  self.write(text)
end

--- Text that a handler prints: shown above the frame.
---@param text string
function live:print(text) self.above[#self.above + 1] = text end

--- Starts drawing, on the loop of the process. The timer alone keeps no loop alive.
function live:start()
  self.write(HIDE)
  self.timer = require("orrery.core").hide(require("luv").new_timer())
  self.timer:start(INTERVAL, INTERVAL, function() self:draw() end)
  self.timer:unref()
end

--- Ends the region: erases the frame and shows the cursor. May be called twice.
function live:stop()
  if self.stopped then return end
  self.stopped = true
  if self.timer then
    self.timer:stop()
    self.timer:close()
  end
  if self.sample then self.sample() end
  self.write(erase(self) .. take_above(self) .. SHOW)
  self.drawn = 0
end

--- Prints how it ended: the time chart and one sentence.
---@param state string
function live:finish(state)
  self:stop()
  local width = self.size()
  local lines = summary.chart(self.board, { width = width, paint = self.paint })
  lines[#lines + 1] = summary.sentence(self.board, { state = state, now = self.now(), paint = self.paint })
  self.write(table.concat(lines, "\n") .. "\n")
end

--- The size of a terminal, asked anew each time because windows change; COLUMNS and LINES, then 80
--- × 24 otherwise.
---@param fd integer
---@return fun(): integer, integer
function live.size_of(fd)
  local ok, tty = pcall(require("luv").new_tty, fd, false)
  local handle = ok and tty or nil
  return function()
    local width, height
    if handle then width, height = handle:get_winsize() end
    if not width or width <= 0 then
      width, height = tonumber(os.getenv "COLUMNS"), tonumber(os.getenv "LINES")
    end
    return width or 80, height or 24
  end, function() if handle then handle:close() end end
end


return live
