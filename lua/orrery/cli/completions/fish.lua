--- Completion for fish.
local words = require "orrery.cli.shared.words"

local HEAD = [[
# Completion of orrery for fish, made by `orrery completions fish`.

function __orrery_runs
    echo @last
    orrery runs --limit 50 2>/dev/null | sed 1d | sed 's/^ *//; s/ .*//'
end

function __orrery_types
    orrery types 2>/dev/null | sed -n 's/^  \([a-z][^ ]*\) .*/\1/p'
end

complete -c orrery -f
]]

local function quoted(text) return "'" .. text:gsub("[\\']", "\\%0") .. "'" end

local function source(word, commands)
  if word.kind == "choices" then return " -xa " .. quoted(table.concat(word.choices, " ")) end
  if word.kind == "command" then return " -xa " .. quoted(commands) end
  if word.kind == "file" then return " -rF" end
  return word.kind and (" -xa '(__orrery_%ss)'"):format(word.kind) or " -x"
end

return function(list)
  local names = {}
  for i, command in ipairs(list) do names[i] = command.name end
  local commands = table.concat(names, " ")
  local lines = { HEAD, "complete -c orrery -n __fish_use_subcommand -ka '(__fish_complete_suffix .lua)'" }
  for _, command in ipairs(list) do
    lines[#lines + 1] = ("complete -c orrery -n __fish_use_subcommand -a %s -d %s"):format(command.name,
      quoted(words.short(command.summary)))
  end
  for _, command in ipairs(list) do
    local head = ("complete -c orrery -n '__fish_seen_subcommand_from %s'"):format(command.name)
    for _, option in ipairs(command.options) do
      local flags = ""
      for _, name in ipairs(option.names) do
        flags = flags .. (name:find "^%-%-" and " -l " or " -s ") .. name:gsub("^%-+", "")
      end
      lines[#lines + 1] = ("%s%s%s -d %s"):format(head, flags, option.value and source(option,
        commands) or "",
        quoted(words.short(option.help)))
    end
    local argument = command.arguments[1]
    if argument then
      lines[#lines + 1] = head .. (argument.kind == "file" and " -F" or (source(argument,
        commands):gsub("^ %-x(a?)",
        " -f%1"):gsub("^ %-fa", " -fa")))
    end
  end
  return table.concat(lines, "\n") .. "\n"
end
