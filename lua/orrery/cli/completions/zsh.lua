--- Completion for zsh.
local words = require "orrery.cli.shared.words"

local HEAD = [[
#compdef orrery
# Completion of orrery for zsh, made by `orrery completions zsh`.

_orrery_runs() {
  local -a runs
  runs=(@last ${(f)"$(orrery runs --limit 50 2>/dev/null | sed 1d | sed 's/^ *//; s/ .*//')"})
  compadd -a runs
}

_orrery_types() {
  local -a types
  types=(${(f)"$(orrery types 2>/dev/null | sed -n 's/^  \([a-z][^ ]*\) .*/\1/p')"})
  compadd -a types
}

_orrery() {
  local -a commands
  commands=(
]]

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- A text inside of a specification of `_arguments`.
local function inside(text) return (text:gsub("[%[%]:\\]", "\\%0")) end

local function action(word)
  if word.kind == "choices" then return "(" .. table.concat(word.choices, " ") .. ")" end
  if word.kind == "command" then return "(${commands%%:*})" end
  if word.kind == "file" then return "_files" end
  return word.kind and ("_orrery_%ss"):format(word.kind) or " "
end

local function option_specs(option)
  local list = {}
  local value = option.value and (":%s:%s"):format(inside(option.value), action(option)) or ""
  local others = option.many and "*" or #option.names > 1 and ("(%s)"):format(table.concat(option.names,
    " ")) or ""
  for i, name in ipairs(option.names) do
    list[i] = quoted(("%s%s[%s]%s"):format(others, name, inside(words.short(option.help)), value))
  end
  return list
end

return function(list)
  local lines = { HEAD:sub(1, -2) }
  for _, command in ipairs(list) do
    lines[#lines + 1] = "    " .. quoted(command.name .. ":" .. words.short(command.summary))
  end
  lines[#lines + 1] = [[
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _files -g '*.lua'
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in]]
  for _, command in ipairs(list) do
    lines[#lines + 1] = ("    %s)\n      _arguments -s -S \\"):format(command.name)
    for _, option in ipairs(command.options) do
      for _, spec in ipairs(option_specs(option)) do lines[#lines + 1] = ("        %s \\"):format(spec) end
    end
    for i, argument in ipairs(command.arguments) do
      lines[#lines + 1] = ("        %s \\"):format(quoted(("%s:%s:%s"):format(argument.many and "*" or i,
        inside(argument.name), action(argument))))
    end
    lines[#lines] = lines[#lines]:gsub(" \\$", " ;;")
  end
  lines[#lines + 1] = "    *) _files ;;\n  esac\n}\n\n_orrery \"$@\"\n"
  return table.concat(lines, "\n")
end
