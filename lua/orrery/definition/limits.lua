--- What a definition that is data may do: lists of what its loader allows, by which a stranger's
--- definition reaches nothing else. Node types and variables are checked when it is compiled;
--- paths, hosts and commands when a node runs, because they may be templates.
local errors = require "orrery.errors"

local limits = {}

---@class orrery.Limits each a list of names; `*` in them is any text
---@field types string[] node types
---@field env string[] variables of the environment
---@field secrets string[] secrets
---@field paths string[] folders; what lies in them, links followed
---@field hosts string[] hosts of URLs, "example.org" or "*.example.org"
---@field commands string[] programs, as argv[1] names them; "*" alone allows `shell` as well
---@field modules string[] modules that it may require, which are Lua and may do anything

local NAMES = { "types", "env", "secrets", "paths", "hosts", "commands", "modules" }

-- These reach nothing outside of their run.
local PURE = { "assert", "const", "condition", "data.merge", "data.validate", "delay", "fail", "log", "merge",
  "notify.log", "switch", "trigger", "wait" }

local ANY = { "*" }

--- What a file may do whose path the user gave: all. It holds no Lua itself.
---@type orrery.Limits
limits.FILE = { types = ANY, env = ANY, secrets = ANY, paths = ANY, hosts = ANY, commands = ANY,
  modules = ANY }

local function is_any(list) return list[1] == "*" and #list == 1 end

local function list_of(from, name, otherwise)
  local list = from[name]
  if list == nil then return otherwise end
  local good = type(list) == "table"
  for key, value in pairs(good and list or {}) do
    if math.type(key) ~= "integer" or type(value) ~= "string" then good = false end
  end
  if not good then
    errors.raise { { kind = "wrong_type", field = name,
      message = ("flow.load: %s: expected a list of names, got %s"):format(name, errors.show(list)) } }
  end
  return table.move(list, 1, #list, 1, {})
end

--- Reads what `flow.load { … }` allows. What it does not name is not allowed, and of node types
--- only those that reach nothing.
---@param from table
---@param otherwise? orrery.Limits for what it does not name
---@return orrery.Limits
function limits.read(from, otherwise)
  local made = {}
  for _, name in ipairs(NAMES) do
    made[name] = list_of(from, name, otherwise and otherwise[name] or name == "types" and PURE or {})
  end
  return made
end

local function allows(list, name)
  for _, pattern in ipairs(list) do
    if pattern == name or pattern == "*" then return true end
    local match = pattern:find("*", 1, true) and require "orrery.glob"(pattern)
    if match and match(name) then return true end
  end
  return false
end

local function shown(list)
  return #list == 0 and "allows none" or "allows " .. errors.list(list, "and")
end

--- Whether it may have nodes of a type; nil and the rest of a sentence where not.
---@param limit orrery.Limits
---@param name string
---@return boolean|nil
---@return string|nil message
function limits.type(limit, name)
  if allows(limit.types, name) then return true end
  return nil, ('the type "%s" is not allowed here: the loader %s; add it to its `types`')
    :format(name, shown(limit.types))
end

--- Whether it may read a variable; nil and the rest of a sentence where not.
---@param limit orrery.Limits
---@param name string
---@return boolean|nil
---@return string|nil message
function limits.env(limit, name)
  if allows(limit.env, name) then return true end
  return nil, ('"%s" may not be read here: the loader %s; add it to its `env`'):format(name, shown(limit.env))
end

--- Whether it may use a secret; nil and the rest of a sentence where not.
---@param limit orrery.Limits
---@param name string
---@return boolean|nil
---@return string|nil message
function limits.secret(limit, name)
  local list = limit.secrets or {} -- none where an older version has kept the lists
  if allows(list, name) then return true end
  return nil, ('the secret "%s" is not allowed here: the loader %s; add it to its `secrets`')
    :format(name, shown(list))
end

--- Whether it may require a module; nil and the rest of a sentence where not.
---@param limit orrery.Limits
---@param name string
---@return boolean|nil
---@return string|nil message
function limits.module(limit, name)
  local list = limit.modules or {} -- none where an older version has kept the lists
  if allows(list, name) then return true end
  return nil, ('the module "%s" is not allowed here: the loader %s; add it to its `modules`')
    :format(name, shown(list))
end

-- ---- when a node runs ---------------------------------------------------------------------------

local function refuse(what, list, name)
  errors.error { code = "not_allowed", retryable = false,
    message = ("%s is not allowed here: the loader %s; add it to its `%s`"):format(what, shown(list), name) }
end

-- A path without links and "..", also of a file that is not there yet; nil where it cannot be told.
local function real(path)
  local uv, rest = require "luv", ""
  if path:find("\0", 1, true) then return nil end
  if path:sub(1, 1) ~= "/" then path = uv.cwd() .. "/" .. path end
  while true do
    local found = uv.fs_realpath(path)
    if found then return (found == "/" and "" or found) .. rest end
    -- a link to nothing is there all the same, and what is written through it goes elsewhere
    if uv.fs_lstat(path) then return nil end
    local folder, name = path:match "^(.*)/([^/]*)/*$"
    if not folder or name == ".." then return nil end
    if name ~= "" and name ~= "." then rest = "/" .. name .. rest end
    path = folder == "" and "/" or folder
  end
end

local function check_path(limit, path)
  if is_any(limit.paths) then return end
  local at = real(path)
  for _, folder in ipairs(limit.paths) do
    local below = at and real(folder)
    if below and (at == below or below == "" or at:sub(1, #below + 1) == below .. "/") then return end
  end
  refuse(("the path %s"):format(errors.show(path):gsub("^the string ", "")), limit.paths, "paths")
end

-- The host of a URL, where there is but one way to read it.
local function host_of(url)
  if url:find "[%c%s\\]" then return nil end
  local authority = url:match "^[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)"
  if not authority then return nil end
  local host = authority:match "^[^@]*@([^@]*)$" or not authority:find("@", 1, true) and authority
  host = host and (host:match "^(%[[%x:.]+%])$" or host:match "^(%[[%x:.]+%]):%d*$"
    or host:match "^([^:]+)$" or host:match "^([^:]+):%d*$")
  return host and host:lower():gsub("%.$", "")
end

local function check_host(limit, url)
  if is_any(limit.hosts) then return end
  local host = type(url) == "string" and host_of(url)
  if host and allows(limit.hosts, host) then return end
  refuse(host and ('the host "%s"'):format(host) or "a URL that names no host plainly", limit.hosts, "hosts")
end

-- Of what follows no redirects, the host of the URL is where it goes.
local function check_post(limit, config)
  check_host(limit, config.url)
  return config
end

-- Without an endpoint it is Amazon's. The bucket may be a part of the host's name.
local function check_s3(limit, config)
  if config.from then check_path(limit, config.from) end
  if config.to then check_path(limit, config.to) end
  local url = config.endpoint or ("https://s3.%s.amazonaws.com"):format(config.region)
  check_host(limit, url)
  if config.path_style == false then check_host(limit, (url:gsub("//", "//" .. config.bucket .. ".", 1))) end
  return config
end

-- A host that stands without a URL.
local function check_mail(limit, config)
  for _, part in ipairs(type(config.attachments) == "table" and config.attachments or {}) do
    if type(part) == "table" and part.from then check_path(limit, part.from) end
  end
  check_host(limit, "https://" .. tostring(config.host))
  return config
end

local function check_ntfy(limit, config)
  check_host(limit, config.server)
  return config
end

-- The files that a body comes from and goes to.
local function check_bodies(limit, config)
  if config.from then check_path(limit, config.from) end
  if config.to then check_path(limit, config.to) end
  for _, part in pairs(type(config.multipart) == "table" and config.multipart or {}) do
    if type(part) == "table" and part.from then check_path(limit, part.from) end
  end
end

local function check_url(limit, config)
  check_bodies(limit, config)
  if is_any(limit.hosts) then return config end
  check_host(limit, config.url)
  -- a redirect leads to any host
  local made = {}
  for key, value in pairs(config) do made[key] = value end
  made.follow = false
  return made
end

-- What a pattern finds lies below its folder, links followed.
local function check_pattern(limit, folder, text)
  local fileset = require "orrery.fileset"
  local pattern = fileset.pattern(text)
  if not pattern then return end -- an error of its own
  local base = fileset.base(pattern)
  check_path(limit, base:sub(1, 1) == "/" and base or (folder or ".") .. "/" .. base)
end

local function check_command(limit, config)
  if not is_any(limit.commands) then
    if config.shell ~= nil then refuse("a line for the shell", limit.commands, "commands") end
    local program = tostring((config.argv or {})[1])
    if not allows(limit.commands, program) then
      refuse(('the command "%s"'):format(program), limit.commands, "commands")
    end
    if config.env ~= nil and next(config.env) ~= nil then
      refuse("an environment for the command", limit.commands, "commands")
    end
  end
  if config.cwd then check_path(limit, config.cwd) end
  for _, patterns in ipairs { config.inputs or {}, config.outputs or {} } do
    for _, text in ipairs(patterns) do check_pattern(limit, config.cwd, text) end
  end
  return config
end

-- A child that is a file is data as well, and may do no more than its parent.
local function load_child(limit, config)
  local path = config.workflow
  if type(path) ~= "string" then return config end
  if not path:find "%.json$" then
    errors.error { code = "not_allowed", retryable = false,
      message = ("the workflow %s is not JSON, and a definition that is data runs no Lua; give it a JSON "
        .. "file"):format(errors.show(path):gsub("^the string ", "")) }
  end
  check_path(limit, path)
  return { workflow = require "orrery.definition.load".child(path, limit), input = config.input }
end

-- What a model gives a tool is not looked at here, so tools stand only where everything is allowed.
local function check_tools(limit, tools)
  local made = {}
  for name, tool in pairs(tools) do
    for _, list in ipairs { "types", "paths", "hosts", "commands" } do
      if not is_any(limit[list]) then refuse("a tool of an agent", limit[list], list) end
    end
    made[name] = tool
    if type(tool) == "table" and tool.workflow then
      local child = load_child(limit, tool)
      made[name] = { doc = tool.doc, parameters = tool.parameters, workflow = child.workflow }
    end
  end
  return made
end

-- An agent that flow.agent has declared is Lua's, and goes where that says.
local function check_agent(limit, config)
  if config.url then check_host(limit, config.url) end
  if config.prompt_file then check_path(limit, config.prompt_file) end
  if type(config.tools) ~= "table" then return config end
  local made = {}
  for key, value in pairs(config) do made[key] = value end
  made.tools = check_tools(limit, config.tools)
  return made
end

local function check_rows(limit, config)
  for _, path in ipairs { config.path or false, config.rejects or false, config.database or false } do
    if type(path) == "string" then check_path(limit, path) end
  end
  return config
end

-- What a test runs, and the reports that a suite reads and writes.
local function check_tests(limit, config)
  if config.argv ~= nil or config.shell ~= nil then check_command(limit, config) end
  local results = type(config.results) == "string" and { config.results } or config.results or {}
  for _, text in ipairs(results) do check_pattern(limit, config.cwd, text) end
  if config.report then check_path(limit, config.report) end
  if config.workflow == nil then return config end
  local made = {}
  for key, value in pairs(config) do made[key] = value end
  made.workflow = load_child(limit, config).workflow
  return made
end

local function check_postgres(limit, config)
  local hosts, paths = require "orrery.rows.postgres.settings".reach(config)
  for _, host in ipairs(hosts) do
    check_host(limit, (host:find ":" and "https://[%s]" or "https://%s"):format(host))
  end
  if type(config.rejects) == "string" then paths[#paths + 1] = config.rejects end
  for _, path in ipairs(paths) do check_path(limit, path) end
  return config
end

local function check_redis(limit, config)
  local at = require "orrery.redis.settings".read(config)
  if at.path then check_path(limit, at.path)
  else check_host(limit, (at.host:find ":" and "https://[%s]" or "https://%s"):format(at.host)) end
  return config
end

-- The name itself lies in a folder that is allowed, also where it is a link that leads into one.
local function check_entry(limit, path)
  check_path(limit, path)
  check_path(limit, path:match "^(.*)/[^/]+/*$" or ".")
end

-- How the types of files reach what keys of their config name: `path` and what it leads to, or the
-- `entry` itself.
local FILES = {
  read = { path = check_path }, write = { path = check_path }, list = { path = check_path },
  find = { path = check_path }, stat = { path = check_path }, hash = { path = check_path },
  mkdir = { path = check_path }, watch = { path = check_path }, remove = { path = check_entry },
  archive = { from = check_path, to = check_entry }, extract = { path = check_path, to = check_entry },
  copy = { from = check_path, to = check_entry }, move = { from = check_entry, to = check_entry },
}

local function check_files(limit, config, keys)
  for key, check in pairs(keys) do
    if config[key] ~= nil then check(limit, config[key]) end
  end
  return config
end

local CHECKS = {
  exec = check_command, workflow = load_child, ["http.get"] = check_url, ["http.request"] = check_url,
  ["csv.read"] = check_rows, ["csv.write"] = check_rows, ["data.filter"] = check_rows,
  ["data.map"] = check_rows, ["data.normalize"] = check_rows, ["data.validate"] = check_rows,
  ["data.template"] = check_rows,
  ["jsonl.read"] = check_rows, ["jsonl.write"] = check_rows,
  ["sqlite.load"] = check_rows, ["sqlite.query"] = check_rows,
  ["test.case"] = check_tests, ["test.suite"] = check_tests,
  ["xml.read"] = check_rows, ["xml.write"] = check_rows,
  ["postgres.load"] = check_postgres, ["postgres.query"] = check_postgres,
  ["redis.get"] = check_redis, ["redis.set"] = check_redis, ["redis.command"] = check_redis,
  ["redis.publish"] = check_redis, ["redis.subscribe"] = check_redis, ["redis.stream_add"] = check_redis,
  ["redis.stream_read"] = check_redis,
  ["http.pages"] = check_url, ["http.post"] = check_url, ["http.put"] = check_url, ["http.patch"] = check_url,
  ["http.delete"] = check_url,
  ["notify.webhook"] = check_post, ["notify.slack"] = check_post, ["notify.teams"] = check_post,
  ["notify.discord"] = check_post, ["notify.ntfy"] = check_ntfy,
  ["mail.send"] = check_mail, ["notify.email"] = check_mail,
  agent = check_agent, ["agent.extract"] = check_agent, ["agent.classify"] = check_agent,
  ["s3.put"] = check_s3, ["s3.get"] = check_s3, ["s3.list"] = check_s3,
}
-- A name that is given nowhere is made in the system's folder.
CHECKS["file.temp"] = function(limit, config)
  check_path(limit, config.dir or os.getenv "TMPDIR" or "/tmp")
  return config
end
for name, keys in pairs(FILES) do
  CHECKS["file." .. name] = function(limit, config) return check_files(limit, config, keys) end
end

--- What a type may do that is made of another, and leaves it to its config where that one goes.
---@param name string
---@param other string the other type
function limits.alike(name, other) CHECKS[name] = CHECKS[other] end

--- What looks at the config of a node before each attempt: gives the config to use, or raises
--- `not_allowed`. Nil for a type that reaches nothing.
---@param limit orrery.Limits
---@param name string
---@return (fun(config: table): table)|nil
function limits.guard(limit, name)
  local check = CHECKS[name]
  return check and function(config) return check(limit, config) end
end

return limits
