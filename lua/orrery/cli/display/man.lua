--- The manual page, from the same table as the help.
local man = {}

-- A text for roff: its backslashes and dashes are its own, and a dot does not begin a request.
local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (text:gsub("^[.']", "\\&%0"):gsub("\n[.']", function(s) return "\n\\&" .. s:sub(2) end))
end

local function bold(text) return "\\fB" .. roff(text) .. "\\fR" end
local function italic(text) return "\\fI" .. roff(text) .. "\\fR" end

local function synopsis(command)
  local parts = { bold("orrery " .. command.name), "[" .. italic "options" .. "]" }
  for _, argument in ipairs(command.arguments) do
    local text = italic(argument.value) .. (argument.many and " ..." or "")
    parts[#parts + 1] = argument.optional and "[" .. text .. "]" or text
  end
  return table.concat(parts, " ")
end

local function add_option(lines, option)
  local names = {}
  for i, name in ipairs(option.names) do names[i] = bold(name) end
  lines[#lines + 1] = ".TP\n" .. table.concat(names, ", ") .. (option.value and " "
    .. italic(option.value) or "")
  local choices = option.choices and (" (%s)"):format(table.concat(option.choices, ", ")) or ""
  lines[#lines + 1] = roff(option.help .. choices)
end

local function add_command(lines, command)
  lines[#lines + 1] = ".SS " .. roff(command.name)
  lines[#lines + 1] = synopsis(command) .. "\n.PP\n" .. roff(command.summary)
  for _, argument in ipairs(command.arguments) do
    lines[#lines + 1] = ".TP\n" .. italic(argument.value) .. "\n" .. roff(argument.help)
  end
  for _, option in ipairs(command.options) do
    if option.name ~= "--help" then add_option(lines, option) end
  end
  lines[#lines + 1] = ".PP\n.nf\n.RS"
  for _, example in ipairs(command.examples) do lines[#lines + 1] = roff(example) end
  if command.epilog then lines[#lines + 1] = "\n" .. roff(command.epilog) end
  lines[#lines + 1] = ".RE\n.fi"
end

local INTERPRETER = {
  { "-e CODE", "Runs the code." }, { "-l NAME", "Requires a module into a global of its name." },
  { "-i", "A prompt once the script has run." }, { "-v", "Prints the version." },
  { "-E", "Ignores the environment's variables." }, { "-W", "Turns warnings on." },
  { "-", "Runs the standard input." },
}

local ENVIRONMENT = {
  { "ORRERY_STORE", "Where runs are kept, unless --store says it." },
  { "ORRERY_BUS", "Where the bus of runs is, unless --bus says it." },
  { "ORRERY_TRACE", "Topics (core, wait, turn, store, all) of which each thing that happens is told on the "
    .. "standard error." },
  { "NO_COLOR", "No colours." },
  { "LUA_PATH, LUA_CPATH, LUA_INIT", "As for lua(1)." },
}

local function add_pairs(lines, title, list)
  lines[#lines + 1] = ".SH " .. title
  for _, pair in ipairs(list) do lines[#lines + 1] = ".TP\n" .. bold(pair[1]) .. "\n" .. roff(pair[2]) end
end

--- The page in roff.
---@param list table[] of `words.all`
---@param options { version: string, exits: string }
---@return string
function man.page(list, options)
  local lines = {
    (".TH ORRERY 1 \"\" \"Orrery %s\" \"User Commands\""):format(options.version),
    ".SH NAME\norrery \\- runs workflows written in Lua",
    ".SH SYNOPSIS\n" .. bold "orrery" .. " " .. italic "COMMAND" .. " ...\n.br\n" .. bold "orrery" .. " ["
      .. italic "options" .. "] [" .. italic "SCRIPT" .. " [" .. italic "ARGUMENT" .. " ...]]",
    ".SH DESCRIPTION\n" .. roff "Orrery runs workflows: Lua files that return one, or JSON definitions. "
    .. "It keeps "
      .. roff "their runs in a store, one SQLite file, and goes on with them after a crash. It is a Lua "
      .. "interpreter "
      .. roff "as well; without arguments it shows a prompt.",
    ".SH COMMANDS",
  }
  for _, command in ipairs(list) do add_command(lines, command) end
  add_pairs(lines, "INTERPRETER", INTERPRETER)
  lines[#lines + 1] = ".SH \"EXIT STATUS\"\n.nf\n" .. roff((options.exits:gsub("^[^\n]*\n", ""))) .. "\n.fi"
  add_pairs(lines, "ENVIRONMENT", ENVIRONMENT)
  lines[#lines + 1] = ".SH FILES\n.TP\n" .. bold "./.orrery/runs.db"
    .. "\nThe store, unless another is named."
  lines[#lines + 1] = ".SH \"SEE ALSO\"\n.BR lua (1)\n"
  return table.concat(lines, "\n")
end

return man
