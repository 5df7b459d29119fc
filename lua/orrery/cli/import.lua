--- `orrery import FORMAT FILE`: a definition from a file that another program has written.
local errors = require "orrery.errors"
local files = require "orrery.cli.shared.files"
local out = require "orrery.cli.shared.out"
local term = require "orrery.cli.display.term"

local import = {}

local SLOTS = 8 -- places of a recorded workflow, unless they are said

local function refuse(text)
  out.err("orrery import: ", text, "\n")
  return 2
end

local function read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text
  text, why = file:read "a"
  file:close()
  return text, why and ("%s: %s"):format(path, why)
end

local function write(path, text)
  local file, why = io.open(path, "wb")
  if not file then return nil, why end
  local ok
  ok, why = file:write(text)
  local closed, late = file:close()
  return ok and closed, why or late
end

function import.main(args)
  local text, why = read(args.file)
  if not text then return refuse("cannot read " .. why) end
  local ok, made, figures = pcall(require "orrery.cli.import.wfformat".definition, text, args.file,
    args.slots or SLOTS)
  if not ok then
    local problems = errors.problems_of(made)
    if not problems then error(made, 0) end
    for _, problem in ipairs(problems) do out.err(files.sentence(problem, args.file), "\n") end
    return 2
  end
  if not args.output then
    out.write(made)
    return 0
  end
  ok, why = write(args.output, made)
  if not ok then return refuse("cannot write " .. tostring(why)) end
  out.write(("%s written: %s, %s, %s of work\n"):format(args.output, term.plural(figures.nodes, "node"),
    term.plural(figures.edges, "edge"), term.duration(figures.seconds)))
  return 0
end

return import
