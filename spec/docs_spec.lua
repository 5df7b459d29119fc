-- The manual cannot rot: its examples are checked and run, its links lead somewhere, and what it
-- names exists.
--
-- A block ```lua whose first line is `-- file: NAME` is a file; its second line says what is done
-- with it:
--   -- run ARGUMENTS      `orrery check` and `orrery run`
--   -- script ARGUMENTS   the interpreter
--   -- test               `orrery test`
--   -- module             nothing, others load it
--   (anything else)       `orrery check`
-- A block ```json file: NAME is a file too. All files of a page stand in one folder.
local command = require "spec.support.command"
local flow = require "orrery"
local types = require "orrery.definition.type"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function lines_of(shell)
  local lines = {}
  local pipe <close> = assert(io.popen(shell))
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines
end

local function exists(path) return os.execute("test -e " .. command.quote(path)) == true end

local pages = lines_of "ls README.md docs/*.md"
local texts = {}
for _, page in ipairs(pages) do texts[page] = read(page) end

-- ---- blocks -------------------------------------------------------------------------------------

-- The fenced blocks of a page as { info, body, line }, and the text without them.
local function blocks_of(text)
  local blocks, rest, open, number = {}, {}, nil, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    if open and line == "```" then
      open.body = table.concat(open, "\n") .. "\n"
      blocks[#blocks + 1] = open
      open = nil
    elseif open then
      open[#open + 1] = line
    elseif line:find "^```" then
      open = { info = line:sub(4), line = number }
    else
      rest[#rest + 1] = line
    end
  end
  assert(not open, "a block is not closed")
  return blocks, table.concat(rest, "\n")
end

-- What a block is as a file: { name, body, how, arguments }, or nil.
local function file_of(block)
  local name = block.info:match "^json file: (%S+)$"
  if name then
    return { name = name, body = block.body, how = name:find "definition" and "check" or "data" }
  end
  name = block.info == "lua" and block.body:match "^%-%- file: (%S+)\n"
  if not name then return nil end
  local how, arguments = block.body:match "^[^\n]*\n%-%- (%a+) ?([^\n]*)\n"
  local known = how == "run" or how == "script" or how == "module" or how == "test"
  return { name = name, body = block.body, how = known and how or "check",
    arguments = known and arguments or "", line = block.line }
end

local function write_files(folder, files)
  for _, file in ipairs(files) do
    local path = folder .. "/" .. file.name
    os.execute("mkdir -p " .. command.quote(path:match "^(.*)/"))
    local out <close> = assert(io.open(path, "wb"))
    out:write(file.body)
  end
end

local here = lines_of("pwd")[1]
local path = command.path:match "^/" and command.path or here .. "/" .. command.path
local quoted = command.quote(path)

-- What is done with a file, as shell lines that all must succeed.
local DO = {
  check = function(file) return { ("%s check %s"):format(quoted, file.name) } end,
  run = function(file)
    return { ("%s check %s"):format(quoted, file.name),
      ("%s run %s %s"):format(quoted, file.name, file.arguments) }
  end,
  script = function(file) return { ("%s %s %s"):format(quoted, file.name, file.arguments) } end,
  test = function(file) return { ("env -u CI %s test %s"):format(quoted, file.name) } end,
  module = function() return {} end,
  data = function() return {} end,
}

local function try(folder, file)
  for _, line in ipairs(DO[file.how](file)) do
    local result = command.shell(("cd %s && timeout 300 %s"):format(command.quote(folder), line))
    assert.are.equal(0, result.code, line .. "\n" .. result.err .. result.out)
  end
end

local total = 0

describe("the examples of", function()
  for _, page in ipairs(pages) do
    local files = {}
    for _, block in ipairs((blocks_of(texts[page]))) do files[#files + 1] = file_of(block) end
    total = total + #files
    for _, file in ipairs(files) do
      it(("%s: %s"):format(page, file.name), function()
        local folder = os.tmpname()
        os.remove(folder)
        write_files(folder, files)
        finally(function() os.execute("rm -rf " .. command.quote(folder)) end)
        try(folder, file)
      end)
    end
  end

  it("all pages are found", function() assert.is_true(total >= 20, total .. " examples") end)

  for _, page in ipairs(pages) do
    for _, block in ipairs((blocks_of(texts[page]))) do
      if block.info == "lua" then
        it(("%s:%d is Lua"):format(page, block.line), function()
          local body = block.body:gsub("…", "")
          local chunk, problem = load(body, "=block", "t")
          if not chunk then chunk, problem = load("return {" .. body .. "}", "=block", "t") end
          assert.is_truthy(chunk, problem)
        end)
      end
    end
  end
end)

-- ---- commands -----------------------------------------------------------------------------------

local commands = require("orrery.cli.shared.options").commands
local help = {}

local function help_of(name)
  help[name] = help[name] or command.run({ name, "--help" }).out
  return help[name]
end

-- One shell line that begins with the command: its subcommand exists and has the options.
local function check_line(line)
  local rest = line:match "^build/orrery%s*(.*)$" or line:match "^orrery%s+(.*)$"
  if not rest then return end
  rest = (" " .. rest):gsub("%s+#.*$", ""):gsub("%s|.*$", ""):match "^%s*(.*)$"
  local word = rest:match "^%S+"
  if not word or word:find "%.lua$" or word:find "^%-" then return end
  assert.is_truthy(commands[word], ("%s: there is no command %q"):format(line, word))
  for option in rest:gmatch "%s(%-%-?[%a-]+)" do
    assert.is_truthy((help_of(word) .. " "):find("[%s%[,]" .. option:gsub("%-", "%%-") .. "[%s%],]"),
      ("%s: orrery %s has no option %s"):format(line, word, option))
  end
end

describe("the manual", function()
  it("shows commands and options that exist", function()
    for _, page in ipairs(pages) do
      for _, block in ipairs((blocks_of(texts[page]))) do
        if block.info == "sh" then
          for line in block.body:gmatch "[^\n]+" do check_line(line) end
        end
      end
    end
  end)

  it("names every command and option", function()
    local text = texts["docs/command.md"]
    for name, entry in pairs(commands) do
      assert.is_truthy(text:find("`" .. name, 1, true),
        "docs/command.md: the command " .. name .. " is missing")
      for _, argument in ipairs(entry) do
        for option in argument[1]:gmatch "%-%-[%a-]+" do
          assert.is_truthy(text:find(option, 1, true),
            ("docs/command.md: %s %s is missing"):format(name, option))
        end
      end
    end
  end)

  -- ---- links ------------------------------------------------------------------------------------

  -- How GitHub makes an anchor of a heading.
  local function anchors_of(text)
    local anchors = {}
    local _, rest = blocks_of(text)
    for heading in ("\n" .. rest):gmatch "\n#+ ([^\n]+)" do
      local anchor = heading:lower():gsub("[^%w%s_%-]", ""):gsub("%s", "-")
      anchors[anchor] = true
    end
    return anchors
  end

  it("has links that lead somewhere", function()
    for _, page in ipairs(pages) do
      local folder = page:match "^(.*)/" or "."
      local _, rest = blocks_of(texts[page])
      for link in rest:gmatch "%]%(([^%s)]+)%)" do
        if not link:find "^%a+:" then
          local target, anchor = link:match "^([^#]*)#?(.*)$"
          local file = target == "" and page or folder .. "/" .. target
          file = file:gsub("^%./", ""):gsub("[^/]+/%.%./", "")
          assert.is_true(exists(file), ("%s: the link %s leads to nothing"):format(page, link))
          if anchor ~= "" then
            assert.is_true(anchors_of(texts[file] or read(file))[anchor],
              ("%s: %s has no heading for #%s"):format(page, file, anchor))
          end
        end
      end
    end
  end)

  it("is reached from the README, page by page", function()
    for _, page in ipairs(pages) do
      if page ~= "README.md" then
        assert.is_truthy(texts["README.md"]:find("(" .. page .. ")", 1, true),
          page .. " is not linked from README.md")
      end
    end
  end)

  -- ---- names ------------------------------------------------------------------------------------

  it("names C functions and files that exist", function()
    local sources = table.concat(lines_of "cat runtime/*/*.h runtime/*/*.c runtime/*/*/*.h runtime/*/*/*.c",
      "\n")
    local files = lines_of "find runtime lua stdlib spec examples -type f"
    local function is_there(name)
      for _, file in ipairs(files) do
        if file == name or file:sub(-#name - 1) == "/" .. name then return true end
      end
      return false
    end
    for _, page in ipairs { "docs/architecture.md", "docs/c-api.md" } do
      for name in texts[page]:gmatch "orr_[%a_]*%a" do
        assert.is_truthy(sources:find("%f[%w_]" .. name), page .. ": " .. name .. " is not in the sources")
      end
      local _, rest = blocks_of(texts[page])
      for file in rest:gmatch "`([%w_/]+%.%l+)`" do
        if file:find "%.[ch]$" or file:find "%.lua$" then
          assert.is_true(is_there(file), page .. ": there is no file " .. file)
        end
      end
    end
  end)

  it("names all of the C API", function()
    local text = texts["docs/c-api.md"]
    for name in read("runtime/include/orrery.h"):gmatch "(orr_[%a_]+)%(" do
      assert.is_truthy(text:find(name, 1, true), "docs/c-api.md: " .. name .. " is missing")
    end
  end)

  it("names all of flow, of a node's keys and of ctx", function()
    local text = texts["docs/lua-api.md"]
    local names = {}
    for name in pairs(flow) do names[#names + 1] = "flow." .. name end
    for name in pairs(flow.json) do names[#names + 1] = "flow.json." .. name end
    for _, t in ipairs(flow.types()) do
      if types.is_standard(t) then
        names[#names + 1] = "flow." .. (t.name == "workflow" and "call" or t.name)
      end
    end
    for _, name in ipairs(require("orrery.definition.node_keys").NAMES) do
      names[#names + 1] = "`" .. name .. "`"
    end
    for name in read("runtime/run/ctx.c"):match("} fields%[%] = {(.-)\n};"):gmatch '{"([%a_]+)"' do
      names[#names + 1] = "`ctx." .. name .. "`"
    end
    for name in read("runtime/run/ctx.c"):match("methods%[%] = {(.-)};"):gmatch '{"([%a_]+)"' do
      names[#names + 1] = "ctx:" .. name
    end
    assert.is_true(#names > 80, #names .. " names")
    for _, name in ipairs(names) do
      assert.is_truthy(text:find(name, 1, true), "docs/lua-api.md: " .. name .. " is missing")
    end
  end)

  it("names all events", function()
    local listed = read("runtime/core/core.h"):match "#define ORR_EVENTS(.-)\n\n"
    for name in listed:gmatch '"([%a_]+)"' do
      assert.is_truthy(texts["docs/lua-api.md"]:find("`" .. name .. "`", 1, true),
        "docs/lua-api.md: " .. name .. " is missing")
    end
  end)

  it("names all functions of expressions and types of schemas", function()
    local text = texts["docs/expressions.md"]
    for name in pairs(require "orrery.expr.functions") do
      assert.is_truthy(text:find("`" .. name .. "(", 1, true),
        "docs/expressions.md: " .. name .. "() is missing")
    end
    for _, name in ipairs(require("orrery.schema.types").NAMES) do
      assert.is_truthy(text:find("`" .. name .. "`", 1, true),
        "docs/expressions.md: the type " .. name .. " is missing")
    end
  end)
end)
