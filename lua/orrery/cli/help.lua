--- `orrery help [COMMAND]`, and the manual page with `--man`.
local out = require "orrery.cli.shared.out"
local options = require "orrery.cli.shared.options"

local help = {}

--- The overview.
---@return string
function help.overview()
  local lines = {
    "Orrery runs workflows written in Lua.", "",
    "Usage:",
    "   orrery COMMAND …             one of the commands below",
    "   orrery FILE.lua [ARG …]      runs a Lua script, as lua does (-e -l -i -v -)",
    "   orrery                       a prompt where waits work", "",
    "Commands:",
  }
  for _, name in ipairs(options.names()) do
    lines[#lines + 1] = ("   %-11s %s"):format(name, options.commands[name].summary)
  end
  lines[#lines + 1] = "\nMore: orrery COMMAND --help\nStart: orrery new hello && orrery run hello.lua\n"
  return table.concat(lines, "\n")
end

--- The manual page, in roff.
---@return string
function help.man()
  return require("orrery.cli.display.man").page(require("orrery.cli.shared.words").all(),
    { version = require("orrery").version, exits = options.exits })
end

function help.main(args)
  if args.man then
    out.write(help.man())
    return 0
  end
  if not args.command then
    out.write(help.overview())
    return 0
  end
  if options.commands[args.command] then
    out.write(options.help(args.command))
    return 0
  end
  local nearest = require "orrery.nearest"(args.command, options.names())
  out.err(("orrery help: there is no command '%s'%s\n"):format(args.command,
    nearest and ("; did you mean '%s'?"):format(nearest)
      or "; the commands are: " .. table.concat(options.names(), ", ")))
  return 2
end

return help
