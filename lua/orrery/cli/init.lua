--- The command: `main(argv)` finds the subcommand, parses and runs it. Each subcommand is a module
--- of its own (`orrery.cli.<name>`, function `main(args) -> exit code`), loaded when it is asked
--- for.
local out = require "orrery.cli.shared.out"
local cli = {}

--- Exit codes, see `orrery run --help`.
cli.EXIT = { completed = 0, failed = 1, usage = 2, cancelled = 3, timeout = 4, waiting = 5 }

local function unknown(name)
  local options = require "orrery.cli.shared.options"
  local nearest = require("orrery.nearest")(name, options.names())
  out.err(("orrery: '%s' is neither a command nor a Lua file%s\nThe commands are: %s.\nMore: orrery "
    .. "help\n"):format(
    name, nearest and "; did you mean '" .. nearest .. "'?" or ".", table.concat(options.names(), ", ")))
  return cli.EXIT.usage
end

-- What these print is read by others also without --json.
local FOR_PROGRAMS = { graph = true, plan = true }

local ALIASES = { ["--help"] = "help", ["-h"] = "help", ["--version"] = "version" }

-- What has to be so before the command begins; what is wrong with it, or nil.
local function prepare(args)
  if args.bus then
    local ok, e = pcall(require("orrery.bus").set_default, args.bus)
    if not ok then return type(e) == "table" and e.message or tostring(e) end
  end
  return args.require and require("orrery.cli.shared.modules").load(args) or nil
end

-- What was printed may be in the buffer until here. On a full disk or a closed descriptor it is
-- lost, so the command has failed.
local function finish(code)
  local ok, why = out.flush()
  if ok then return code end
  out.err("orrery: the output could not be written: ", why, "\n")
  return code == cli.EXIT.completed and cli.EXIT.failed or code
end

--- Runs the command.
---@param argv string[] the words after the program's name
---@return integer exit code
function cli.main(argv)
  local name = argv[1] or "help"
  name = ALIASES[name] or name
  local words = table.move(argv, 2, #argv, 1, {})
  local args, stop = require "orrery.cli.shared.plain"(name, words), nil
  if not args then
    local options = require "orrery.cli.shared.options"
    if not options.commands[name] then return unknown(name) end
    args, stop = options.parse(name, words)
  end
  if args then
    if args.json or FOR_PROGRAMS[name] then out.claim() end
    local problem = prepare(args)
    if problem then
      out.err("orrery ", name, ": ", problem, "\n")
      return cli.EXIT.usage
    end
    return finish(require("orrery.cli." .. name).main(args))
  end
  if stop.help then
    out.write(stop.help)
    return finish(cli.EXIT.completed)
  end
  out.err(stop.usage)
  return cli.EXIT.usage
end

return cli
