-- Completions and the manual page: what the table of options has, they have.
local command = require "spec.support.command"
local options = require "orrery.cli.shared.options"

local made = {}

local function script(shell)
  made[shell] = made[shell] or command.run { "completions", shell }.out
  return made[shell]
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is missing"):format(part))
end

-- Calls `found(command, names, entry)` for every option of every command.
local function each_option(found)
  for name, entry in pairs(options.commands) do
    for _, each in ipairs(entry) do
      if each[1]:find "^%-" then found(name, each[1], each) end
    end
  end
end

local function is_there(shell) return command.shell("command -v " .. shell).code == 0 end

describe("the completions of bash", function()
  -- What each of these lines of words is completed by, the last word being completed.
  local function all_completed(lines)
    local text = {}
    for i, words in ipairs(lines) do
      local quoted = {}
      for k, word in ipairs(words) do quoted[k] = command.quote(word) end
      text[i] = "try orrery " .. table.concat(quoted, " ")
    end
    local result = command.shell("bash -s", ([[
source "$SCRIPT"; orrery() { "$ORRERY" "$@"; }
try() { COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _orrery; printf '%s ' "${COMPREPLY[@]}"; echo; }
]]) .. table.concat(text, "\n"))
    assert.equal("", result.err)
    local list = {}
    for line in result.out:gmatch "([^\n]*)\n" do
      local words = {}
      for word in line:gmatch "%S+" do words[#words + 1] = word end
      list[#list + 1] = words
    end
    return list
  end

  local function completed(...) return all_completed({ { ... } })[1] end

  local folder, before
  setup(function()
    folder = os.tmpname()
    before = command.shell
    local path = command.path:match "^/" and command.path or "$OLD/" .. command.path
    command.shell = function(line, input)
      return before(("cd %s; export SCRIPT=%s/script ORRERY=%s; unset ORRERY_STORE; %s"):format(folder,
        folder,
        path, line), input)
    end
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    for name, text in pairs { script = script "bash", ["a.lua"] = "", ["b.txt"] = "" } do
      local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
      file:write(text)
    end
  end)
  teardown(function()
    command.shell = before
    os.execute("rm -r " .. folder)
  end)

  it("are commands and scripts, then the options of the command", function()
    assert.same({ "resume", "retry", "restore" }, completed "re")
    assert.same({ "interrupted" }, completed("runs", "--state", "in"))
    assert.same({ "a.lua" }, completed "a.")
    local lines = {}
    each_option(function(name, names)
      for option in names:gmatch "%S+" do lines[#lines + 1] = { name, option } end
    end)
    for i, words in ipairs(all_completed(lines)) do
      assert.equal(lines[i][2], words[1], lines[i][1])
    end
    assert.same({ "--help" }, completed("stats", "--h"))
    assert.same({ "--workflow" }, completed("runs", "--wo"))
  end)

  it("are what may stand there: choices, files, runs, types, commands, and nothing for other values",
    function()
    assert.same({ "strict", "relaxed", "none" }, completed("run", "--durability", ""))
    assert.same({ "bash", "zsh", "fish" }, completed("completions", ""))
    assert.same({ "b.txt" }, completed("run", "--store", "b"))
    assert.same({ "@last" }, completed("show", ""))
    assert.same({ "http.pages", "http.patch", "http.post", "http.put" }, completed("types", "http.p"))
    assert.same({ "show" }, completed("help", "sh"))
    assert.same({}, completed("run", "-j", ""))
  end)
end)

describe("the completions of zsh and fish", function()
  it("have every command and option", function()
    for name, entry in pairs(options.commands) do
      has(script "zsh", ("\n    %s)\n"):format(name))
      has(script "fish", ("-a %s -d "):format(name))
      assert.is_truthy(entry.summary)
    end
    each_option(function(name, names, entry)
      local of_zsh = script "zsh":match(("\n    %s%%)\n(.-) ;;\n"):format(name))
      for option in names:gmatch "%S+" do
        has(of_zsh, option .. "[")
        local flag = (option:find "^%-%-" and " -l " or " -s ") .. option:gsub("^%-+", "")
        local found = false
        for line in script "fish":gmatch "[^\n]+" do
          found = found or line:find("_from " .. name .. "'", 1, true) and (line .. " "):find(flag .. " ",
            1, true)
        end
        assert.is_truthy(found, ("fish: %s %s"):format(name, option))
      end
      for _, choice in ipairs(entry.choices or {}) do has(of_zsh, choice) end
    end)
  end)

  it("are well formed", function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      if is_there(shell) then
        local path = command.file(script(shell))
        local result = command.shell(shell .. " -n " .. path)
        os.remove(path)
        assert.same({ 0, "" }, { result.code, result.err })
      end
    end
  end)
end)

describe("the manual page", function()
  it("has every command, argument and option with its text", function()
    local page = command.run { "help", "--man" }.out
    assert.is_truthy(page:find "^%.TH ORRERY 1")
    local plain = page:gsub("\\f[BIR]", ""):gsub("\\%-", "-"):gsub("\\&", ""):gsub("\\e", "\\")
    for name, entry in pairs(options.commands) do
      has(plain, "\n.SS " .. name .. "\norrery " .. name)
      has(plain, entry.summary)
      for _, each in ipairs(entry) do has(plain, each[2]) end
      for _, example in ipairs(entry.examples) do has(plain, example) end
    end
    each_option(function(_, names) has(plain, names:gsub(" ", ", ")) end)
    if is_there "groff" then
      local result = command.shell("groff -K utf8 -man -Tutf8 -ww >/dev/null", page)
      assert.same({ 0, "" }, { result.code, result.err })
    end
  end)
end)
