--- Completion for bash.
local words = require "orrery.cli.shared.words"

local HEAD = [[
# Completion of orrery for bash, made by `orrery completions bash`.

_orrery_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_orrery_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
_orrery_runs() { _orrery_words "@last $(orrery runs --limit 50 2>/dev/null | sed 1d | sed 's/^ *//; s/ .*//')"; }
_orrery_types() { _orrery_words "$(orrery types 2>/dev/null | sed -n 's/^  \([a-z][^ ]*\) .*/\1/p')"; }

_orrery() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -W "@COMMANDS@" -- "$cur"; compgen -f -X '!*.lua' -- "$cur"; compgen -d -- "$cur")
    return
  fi
]]

local function call(word, commands)
  if word.kind == "choices" then return ('_orrery_words "%s"'):format(table.concat(word.choices, " ")) end
  if word.kind == "command" then return ('_orrery_words "%s"'):format(commands) end
  return word.kind and ("_orrery_%ss"):format(word.kind) or ":"
end

-- The value of an option that stands before the word.
local function values(command, commands)
  local lines = {}
  for _, option in ipairs(command.options) do
    if option.value then
      local patterns = {}
      for i, name in ipairs(option.names) do patterns[i] = ("%s:%s"):format(command.name, name) end
      lines[#lines + 1] = ("    %s) %s; return ;;"):format(table.concat(patterns, "|"), call(option,
        commands))
    end
  end
  return lines
end

return function(list)
  local names = {}
  for i, command in ipairs(list) do names[i] = command.name end
  local commands = table.concat(names, " ")
  local lines = { (HEAD:gsub("@COMMANDS@", commands)), '  case "$command:$prev" in' }
  for _, command in ipairs(list) do
    for _, line in ipairs(values(command, commands)) do lines[#lines + 1] = line end
  end
  lines[#lines + 1] = '  esac\n  case "$command:$cur" in'
  for _, command in ipairs(list) do
    lines[#lines + 1] = ('    %s:-*) _orrery_words "%s"; return ;;'):format(command.name,
      table.concat(words.option_names(command), " "))
  end
  lines[#lines + 1] = '  esac\n  case "$command" in'
  for _, command in ipairs(list) do
    local argument = command.arguments[1]
    local second = command.arguments[2]
    if argument and argument.kind and second and second.kind == "file" then
      lines[#lines + 1] = ('    %s) if [ "$COMP_CWORD" -eq 2 ]; then %s; else %s; fi ;;')
        :format(command.name, call(argument, commands), call(second, commands))
    elseif argument and argument.kind then
      lines[#lines + 1] = ("    %s) %s ;;"):format(command.name, call(argument, commands))
    end
  end
  lines[#lines + 1] = "    *) _orrery_files ;;\n  esac\n}\n\ncomplete -F _orrery orrery\n"
  return table.concat(lines, "\n")
end
