-- command.lua: runs the command under test as a person would, through the shell.

local command = {}

--- The command that runs this spec.
command.path = arg[-1]

--- Whether it was built with a sanitizer, whose runtime only a program built alike can load.
command.sanitized = os.getenv "ORRERY_SANITIZED" ~= nil

--- A word that the shell passes on unchanged.
---@param word string
---@return string
function command.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function read_and_remove(path)
  local file <close> = assert(io.open(path, "rb"))
  os.remove(path)
  return file:read("a")
end

--- Whether a process still runs: one that ended and that process 1 has not reaped does not.
---@param pid integer
---@return boolean
function command.runs(pid)
  local file <close> = io.open(("/proc/%d/cmdline"):format(pid))
  return file ~= nil and file:read(1) ~= nil
end

---@class command.Result
---@field out string standard output
---@field err string standard error
---@field code integer exit code; 128 + the signal's number where one ended it

--- Runs a line of shell with `input` as standard input; $OLD in it is the folder of the project.
---@param line string
---@param input? string
---@return command.Result
function command.shell(line, input)
  local out, err, feed = os.tmpname(), os.tmpname(), os.tmpname()
  local file <close> = assert(io.open(feed, "wb"))
  file:write(input or "")
  file:flush()
  local _, how, code = os.execute(("OLD=$PWD; { %s\n} <%s >%s 2>%s"):format(line, feed, out, err))
  os.remove(feed)
  return { out = read_and_remove(out), err = read_and_remove(err),
    code = how == "signal" and 128 + code or code }
end

--- Runs the shell line `before`, the command and its arguments, with `input` as standard input.
---@param arguments string[]
---@param input? string
---@param before? string such as "cd /tmp && X=1"
---@return command.Result
function command.run(arguments, input, before)
  local words = { command.path:match("^/") and command.path or '"$OLD"/' .. command.path }
  for _, argument in ipairs(arguments) do words[#words + 1] = command.quote(argument) end
  return command.shell((before or "") .. " " .. table.concat(words, " "), input)
end

--- Runs the command in a folder made for it, that holds files of these texts and is removed
--- afterwards.
---@param files table<string, string> name -> text
---@param arguments string[]
---@param input? string
---@param before? string a line for the shell, in that folder
---@return command.Result
function command.run_with(files, arguments, input, before)
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  for name, text in pairs(files) do
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
  end
  local result = command.run(arguments, input, ("cd %s; %s"):format(folder, before or ""))
  os.execute("rm -r " .. folder)
  return result
end

--- A file with this text, removed by the caller.
---@param text string
---@param suffix? string
---@return string path
function command.file(text, suffix)
  local name = os.tmpname()
  local path = name .. (suffix or "")
  if suffix then os.remove(name) end
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  return path
end

return command
