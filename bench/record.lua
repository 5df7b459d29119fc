-- Puts the last report into the manual, between its two markers. usage: lua5.4 bench/record.lua
-- RESULTS.md DOCUMENT.md [NAME] The markers are `<!-- NAME: begin -->` and `<!-- NAME: end -->`;
-- NAME is `results` where it is left out.

local name = arg[3] or "results"
local BEGIN, END = ("<!-- %s: begin -->\n"):format(name), ("<!-- %s: end -->"):format(name)

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local results, document = read(arg[1]), read(arg[2])
local _, first = document:find(BEGIN, 1, true)
local last = first and document:find(END, first, true)
if not last then
  io.stderr:write(("bench: %s has no markers '<!-- %s: begin -->' and '<!-- %s: end -->'\n")
    :format(arg[2], name, name))
  os.exit(1)
end
local file = assert(io.open(arg[2], "w"))
assert(file:write(document:sub(1, first), "\n", results, "\n", document:sub(last)))
assert(file:close())
