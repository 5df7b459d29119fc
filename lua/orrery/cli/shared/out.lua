--- Where the command writes. What it prints holds names, messages and values of strangers, so all
--- of it goes through `printable`.
local printable = require "orrery.cli.display.printable"

local out = { fd = 1 }

local file = io.stdout

--- Keeps the standard output for what the command itself writes: what scripts and programs print
--- there goes to the standard error from now on.
function out.claim()
  local own, fd = require("orrery.host").claim()
  if own then file, out.fd = own, fd end
end

--- Writes out what is in the buffer.
---@return file*|nil
---@return string|nil message why it could not be written
function out.flush() return file:flush() end

local coloured = {} -- by descriptor

local function keeps_colours(fd)
  if coloured[fd] == nil then
    local term = require "orrery.cli.display.term"
    coloured[fd] = term.wants_colour(term.is_tty(fd))
  end
  return coloured[fd]
end

-- Only what has an escape character asks whether there is a terminal.
local function clean(fd, text)
  return printable.text(text, text:find("\27", 1, true) ~= nil and keeps_colours(fd))
end

--- Writes to the standard output, with the colours of `term.painter`.
---@return file*|nil file nil where it cannot be written
---@return string|nil message
function out.write(...) return file:write(clean(out.fd, table.concat { ... })) end

--- Writes a line without colours to the standard output.
---@param text string
function out.line(text) return file:write(printable.text(text), "\n") end

--- Writes JSON, and a newline, to the standard output.
---@param text string
function out.json(text) return file:write(printable.json(text), "\n") end

--- Writes lines of JSON, with their ends, to the standard output.
---@param text string
function out.lines_of_json(text) return file:write(printable.json(text)) end

--- Writes without colours to the standard error: sentences.
function out.err(...) return io.stderr:write(printable.text(table.concat { ... })) end

--- Writes to the standard error, with the colours of `term.painter`.
---@param text string
function out.show(text) return io.stderr:write(clean(2, text)) end

return out
