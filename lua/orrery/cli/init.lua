--- The command: `main(argv)` finds the subcommand, parses and runs it. Each subcommand is a module of its own
--- (`orrery.cli.<name>`, function `main(args) -> exit code`), loaded when it is asked for.
local cli = {}

--- Exit codes, see `orrery run --help`.
cli.EXIT = { completed = 0, failed = 1, usage = 2, cancelled = 3, timeout = 4, waiting = 5 }

local function unknown(name)
  local options = require "orrery.cli.options"
  local nearest = require("orrery.nearest")(name, options.names())
  io.stderr:write(("orrery: '%s' is neither a command nor a Lua file%s\nThe commands are: %s.\nMore: orrery help\n"):format(
    name, nearest and "; did you mean '" .. nearest .. "'?" or ".", table.concat(options.names(), ", ")))
  return cli.EXIT.usage
end

local ALIASES = { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version" }

-- What was printed is in the buffer until here: on a full disk or a closed descriptor it is lost, and no success.
local function finish(code)
  local ok, why = io.stdout:flush()
  if ok then return code end
  io.stderr:write("orrery: the output could not be written: ", why, "\n")
  return code == cli.EXIT.completed and cli.EXIT.failed or code
end

--- Runs the command.
---@param argv string[] the words after the program's name
---@return integer exit code
function cli.main(argv)
  local name = argv[1] or "help"
  name = ALIASES[name] or name
  local options = require "orrery.cli.options"
  if not options.commands[name] then return unknown(name) end
  local args, stop = options.parse(name, table.move(argv, 2, #argv, 1, {}))
  if args then
    local problem = args.require and require("orrery.cli.modules").load(args)
    if problem then
      io.stderr:write("orrery ", name, ": ", problem, "\n")
      return cli.EXIT.usage
    end
    return finish(require("orrery.cli." .. name).main(args))
  end
  if stop.help then
    io.stdout:write(stop.help)
    return finish(cli.EXIT.completed)
  end
  io.stderr:write(stop.usage)
  return cli.EXIT.usage
end

return cli
