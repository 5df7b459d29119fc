--- Bundles: the exact source of a workflow and of the modules it loaded, kept with its runs, so
--- that a run resumes with the code it began with.
---
--- A bundle is a row of texts, and its hash names it by its content:
---
---   definition   the workflow without its code, see orrery.bundle.canonical
---   sources      [{ "name", "path", "text", "main": true }, { "name", "path", "text" }, …,
---                { "name", "missing": true }]: the workflow, then its modules in the order in
---                which they were asked for; those that were not found stand as missing. A text
---                that is not UTF-8 stands as "hex". A module of a searcher of the program's own
---                whose text is not known has "code" in its place, which tells whether it changed
---   arguments    { "path", "arg", "first", "only", "from", "part", "pools" }: what `flow.load` was
---                given; the global `arg` where a source mentions it; modules to be loaded before
---                the workflow; which nodes run; which workflow it is, where the file makes several
---                and returns another; pools that its nodes use and that it may not declare itself;
---                "learned": the retry policies that were learned from earlier runs, by node;
---                and "reads": SHA-256 by path of files that were read while it was loaded
---   engine       the version that made it
---   hash         SHA-256 over "definition", "sources" and "arguments" as netstrings ("5:hello,"),
---                and the journal's version
---
--- Modules that a handler requires later, while its run goes on, are appended; `on_module` reports
--- them.
local compile = require "orrery.definition.compile"
local core = require "orrery.core"
local errors = require "orrery.errors"
local load_file = require "orrery.definition.load"
local pools = require "orrery.definition.pools"
local types = require "orrery.definition.type"

local json = core.json
local bundle = {}

--- Must grow when journals or definitions of an earlier version would mean something else.
bundle.JOURNAL = 1

---@class orrery.Bundle
---@field hash string
---@field workflow string its name
---@field definition string JSON
---@field sources string JSON
---@field arguments string JSON
---@field engine string
---@field modules {name: string, path: string, source: string}[] those that were appended since, in order

---@class orrery.BundleEntry what is known of a compiled workflow's bundle while the process lives
---@field bundle orrery.Bundle
---@field known table<string, boolean> modules that are in it
---@field asked table<string, boolean> modules that its handlers have asked for

---@type table<table, orrery.BundleEntry>
local entries = setmetatable({}, { __mode = "k" }) -- by compiled workflow
local owners = setmetatable({}, { __mode = "k" })  -- by plan
local unbundled = setmetatable({}, { __mode = "k" }) -- by compiled workflow: why it has none
local listener

--- The compiled definition as canonical JSON.
bundle.definition = require "orrery.bundle.canonical"

--- What differs between two definitions, in words. See orrery.bundle.compare.
---@param old string
---@param new string
---@return string[]
function bundle.compare(old, new) return require("orrery.bundle.compare").differences(old, new) end

--- Whether a journal of one definition fits another. See orrery.bundle.compare for the rules.
---@param old string
---@param new string
---@param touched table<string, string> state by node, of all nodes the journal speaks of
---@return {node: string, message: string}[] problems
function bundle.fits(old, new, touched) return require("orrery.bundle.compare").fits(old, new, touched) end

-- ---- modules that are required later ------------------------------------------------------------

--- Calls `fn(module, bundle)` for every module that is appended to a bundle: { name, path, source
--- }. One listener; nil for none.
---@param fn fun(module: table, bundle: orrery.Bundle)|nil
function bundle.on_module(fn) listener = fn end

local function append(entry, file)
  if entry.known[file.name] or not file.text then return end
  entry.known[file.name] = true
  local module = { name = file.name, path = file.path, source = file.text }
  table.insert(entry.bundle.modules, module)
  if listener then listener(module, entry.bundle) end
end

local function running_entry()
  local plan = core.running_plan()
  return plan and owners[plan]
end

--- The bundle of the run whose handler is running, where it has been made.
---@return orrery.Bundle|nil
function bundle.running()
  local entry = running_entry()
  return entry and entry.bundle
end

-- Called when a handler requires a module by the process's own `require`.
local function on_ask(name)
  local entry = running_entry()
  if not entry or entry.asked[name] then return end
  entry.asked[name] = true
  local found = require("orrery.definition.sources").closure { name }
  for _, file in ipairs(found.modules) do append(entry, file) end
end

local function on_load(file)
  local entry = running_entry()
  if entry then append(entry, file) end
end

-- ---- making one ---------------------------------------------------------------------------------

local function remember(compiled, made, known)
  local entry = { bundle = made, known = known, asked = {} }
  entries[compiled], owners[compiled.plan] = entry, entry
  local sources = package.loaded["orrery.definition.sources"]
  if sources then sources.watch(on_ask, on_load) end
  return entry
end

local function with_text(entry, text)
  if utf8.len(text) then
    entry.text = text
  else
    entry.hex = text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  end
  return entry
end

-- The modules that declare the types a definition names, where the workflow's own files do not. Nil
-- and a reason where no module declares one.
local function declaring(compiled, origin)
  local found, seen = {}, {}
  local function is_known(place)
    local holds = require("orrery.definition.sources").holds
    if holds(origin.name, place) then return true end
    for _, file in ipairs(origin.modules) do
      if holds(file.path, place) then return true end
    end
  end
  for _, node in ipairs(compiled.def.nodes) do
    local T = not seen[node.type] and types.find(node.type)
    seen[node.type] = true
    if T and not T.native and not types.is_standard(T) and not is_known(T.where) then
      local file = require("orrery.definition.sources").at(T.where)
      if not file then
        return nil, ('the node type "%s" is declared at %s, which is no module that can be kept with the '
          .. 'workflow; declare it in'
          .. " a module of its own and require that"):format(node.type, T.where)
      end
      found[#found + 1] = file.name
    end
  end
  return found
end

-- The files of a bundle: those its origin has seen and those that declare its types.
local function files_of(compiled, origin)
  local names, reason = declaring(compiled, origin)
  if not names then return nil, reason end
  local files, known = {}, {}
  local function add(file)
    if known[file.name] then return end
    known[file.name] = true
    files[#files + 1] = file
  end
  for _, file in ipairs(origin.modules) do add(file) end
  local first = table.move(origin.first, 1, #origin.first, 1, {})
  if #names > 0 then
    for _, file in ipairs(require("orrery.definition.sources").closure(names).modules) do add(file) end
    table.move(names, 1, #names, #first + 1, first)
  end
  return files, known, first
end

local function sources_text(origin, files)
  local list = { with_text({ name = origin.name, path = origin.path, main = true }, origin.text) }
  for _, file in ipairs(files) do
    local entry = { name = file.name, path = file.path, code = file.code }
    list[#list + 1] = file.text and with_text(entry, file.text) or entry
  end
  for _, name in ipairs(origin.missing) do list[#list + 1] = { name = name, missing = true } end
  return json.encode(json.array(list), { sort = true })
end

-- The command's arguments, only where a source reads them: otherwise each command line would make a
-- bundle of its own.
local function arg_of(origin, files)
  local used = origin.text:find "%f[%w_]arg%f[^%w_]"
  for _, file in ipairs(files) do used = used or file.text and file.text:find "%f[%w_]arg%f[^%w_]" end
  local given = rawget(_G, "arg")
  if not used or type(given) ~= "table" then return nil end
  local kept = {}
  for i, word in pairs(given) do
    if math.type(i) == "integer" and type(word) == "string" and utf8.len(word) then
      kept[tostring(i)] = word
    end
  end
  return kept
end

-- The pools that nodes name, as they are declared now. All pools where a node computes which one it
-- uses.
local function pools_of(compiled)
  local names, kept = {}, nil
  for _, node in ipairs(compiled.def.nodes) do
    local T = node.pool and node.type ~= "lua" and types.find(node.type)
    if type(node.pool) == "function" then
      for _, name in ipairs(pools.names()) do names[name] = true end
    elseif node.pool and not (T and T.pool == node.pool) then
      names[node.pool:match "^[^:]*"] = true
    end
  end
  for name in pairs(names) do
    kept = kept or {}
    kept[name] = pools.declare(name)
  end
  return kept and next(kept) and kept or nil
end

-- A stranger's definition may do no more when it is loaded again. A file's limits are what they
-- would be anyway.
local function limits_of(origin)
  local given = origin.limits
  if not given then return nil end
  local kept = {}
  for name, list in pairs(given) do kept[name] = json.array(table.move(list, 1, #list, 1, {})) end
  return kept
end

-- What a file says that is read while the workflow is loaded is not kept, but it counts: another
-- content makes another bundle, for which the cache has other outputs.
local function reads_of(origin)
  local kept
  for _, read in ipairs(origin.reads or {}) do
    kept = kept or {}
    kept[read.path] = require("orrery.definition.files_read").hash(read.path)
  end
  return kept
end

local function arguments_text(compiled, origin, files, first)
  local cut = compiled.cut or {}
  return json.encode({
    path = origin.path, arg = arg_of(origin, files), first = #first > 0 and json.array(first) or nil,
    only = cut.only,
    from = cut.from, part = origin.part, limits = limits_of(origin), pools = pools_of(compiled),
    reads = reads_of(origin), learned = compiled.learned_retry,
  }, { sort = true })
end

local function netstring(text) return ("%d:%s,"):format(#text, text) end

--- The hash of a bundle's texts.
---@param definition string
---@param sources string
---@param arguments string
---@return string hex
function bundle.hash(definition, sources, arguments)
  return core.sha256(netstring(definition) .. netstring(sources) .. netstring(arguments) .. bundle.JOURNAL)
end

--- Whether a bundle that was read is the one that its hash names. One of another version of the
--- journal has a hash made with that version, and is not checked.
---@param row {hash: string, definition: string, sources: string, arguments: string, engine: string}
---@return boolean
function bundle.is_whole(row)
  if row.engine:match "journal (%d+)$" ~= tostring(bundle.JOURNAL) then return true end
  return bundle.hash(row.definition, row.sources, row.arguments) == row.hash
end

local function make(compiled, origin)
  local files, known, first = files_of(compiled, origin)
  if not files then return nil, ('workflow "%s": %s'):format(compiled.name, known) end
  local made = {
    workflow = compiled.name, definition = bundle.definition(compiled), sources = sources_text(origin, files),
    arguments = arguments_text(compiled, origin, files, first), modules = {},
    engine = ("orrery %s, journal %d"):format(require "orrery.version", bundle.JOURNAL),
  }
  made.hash = bundle.hash(made.definition, made.sources, made.arguments)
  return remember(compiled, made, known).bundle
end

--- The bundle of a compiled workflow, made once. A workflow that was not loaded from a text has
--- none.
---@param compiled orrery.Compiled
---@return orrery.Bundle|nil
---@return string|nil reason
function bundle.of(compiled)
  local entry = entries[compiled]
  if entry then return entry.bundle end
  if unbundled[compiled] then return nil, unbundled[compiled] end
  local origin = load_file.origin(compiled.workflow)
  if not origin then
    unbundled[compiled] = ('workflow "%s" was made by a script and has no source of its own, so its runs '
      .. 'cannot be resumed; write it to a'
      .. " file and load that with flow.load"):format(compiled.name)
    return nil, unbundled[compiled]
  end
  return make(compiled, origin)
end

-- ---- loading one --------------------------------------------------------------------------------

local function text_of(entry)
  if entry.text or entry.code then return entry.text end
  return require("orrery.text").unhex(entry.hex)
end

-- The workflow's own text and its modules by name. What was appended later does not replace what
-- was there first.
local function read_sources(row, modules)
  local main, files, known = nil, {}, {}
  for _, entry in ipairs(json.decode(row.sources)) do
    if entry.main then
      main = entry
    elseif entry.missing then
      files[entry.name] = { name = entry.name, missing = true }
    else
      files[entry.name] = { name = entry.name, path = entry.path, text = text_of(entry), code = entry.code }
      known[entry.name] = true
    end
  end
  for _, module in ipairs(modules or {}) do
    if not known[module.name] then
      files[module.name] = { name = module.name, path = module.path, text = module.source }
      known[module.name] = true
    end
  end
  return main, files, known
end

local function declare_pools(declared)
  for name, pool in pairs(declared or {}) do
    if not pools.has(name) then
      pools.declare(name, { max = pool.max, burst = pool.burst, default = true,
        rate = pool.rate and ("%s/%s"):format(pool.rate, pool.per .. "s") })
    end
  end
end

local function set_arg(env, given)
  if not given then return end
  env.arg = {}
  for i, word in pairs(given) do env.arg[math.tointeger(tonumber(i))] = word end
end

-- The workflow of a part: a workflow that the file makes beside the one it returns.
local function part_of(made, returned, wanted)
  for _, each in ipairs(load_file.parts(made, returned)) do
    local part = each.part
    if part.name == wanted.name and part.place == wanted.place and part.n == wanted.n then
      return each.workflow
    end
  end
  errors.raise({ { kind = "definition_changed",
    message = ('workflow "%s": its source, loaded again, does not make it at %s'):format(
    wanted.name, wanted.place) } }, "definition_changed")
end

-- Handlers call the other workflows that the source makes; their bundles have the same files.
local function origin_of(row, main, arguments)
  local origin = { name = main.name, path = main.path, text = text_of(main), modules = {}, missing = {},
    limits = arguments.limits, format = arguments.limits and "json" or nil, first = arguments.first or {} }
  for _, entry in ipairs(json.decode(row.sources)) do
    if entry.missing then
      table.insert(origin.missing, entry.name)
    elseif not entry.main then
      table.insert(origin.modules,
        { name = entry.name, path = entry.path, text = text_of(entry), code = entry.code })
    end
  end
  return origin
end

local function build(row, main, files, arguments, added)
  local env, scope = require("orrery.bundle.environment").new(files, added)
  set_arg(env, arguments.arg)
  for _, name in ipairs(arguments.first or {}) do env.require(name) end
  local _ <close> = types.enter(scope)
  local limits = arguments.limits
  local how = { format = limits and "json" or nil, limits = limits }
  local w, made = load_file.read(text_of(main), main.name, how, env)
  load_file.note(origin_of(row, main, arguments), made, w)
  if arguments.part then w = part_of(made, w, arguments.part) end
  local compiled, problems = compile.workflow(w, { any_field = true, reloads = true })
  if not compiled then errors.raise(problems) end
  compiled = require("orrery.definition.only").compiled(compiled, arguments, core.plan)
  if not arguments.learned then return compiled end
  return require("orrery.definition.learned").compiled(compiled, { retry = arguments.learned }, core.plan)
end

local function warn_of_reads(row, reads)
  for path, hash in pairs(reads or {}) do
    if require("orrery.definition.files_read").hash(path) ~= hash then
      warn(("orrery: workflow \"%s\" read %s when it was loaded, which is another file now or not there: "
        .. "its runs go on with what is read now"):format(row.workflow, path))
    end
  end
end

local function check_definition(compiled, row)
  if bundle.definition(compiled) == row.definition then return end
  local found = bundle.compare(row.definition, bundle.definition(compiled))
  if #found == 0 then return end -- but for names that types of the library have got since
  local more = #found > 1 and (" (and %d more)"):format(#found - 1) or ""
  errors.raise({ { kind = "definition_changed",
    message = ('workflow "%s": its source, loaded again, makes another workflow: %s%s; it'
    .. " must not depend on what may change, such as files, the environment or the time"):format(row.workflow,
      found[1], more) } }, "definition_changed")
end

--- Loads the workflow of a bundle, in an environment of its own. Raises `definition_changed` where
--- that makes another workflow, and what flow.load and flow.compile raise.
---@param row {hash: string, workflow: string, definition: string, sources: string, arguments: string, engine: string}
---@param modules? {name: string, path: string, source: string}[] those that were appended
---@return orrery.Compiled
function bundle.load(row, modules)
  local main, files, known = read_sources(row, modules)
  local arguments, entry, early = json.decode(row.arguments), nil, {}
  declare_pools(arguments.pools)
  local compiled = build(row, main, files, arguments, function(file)
    if entry then append(entry, file) else early[#early + 1] = file end
  end)
  check_definition(compiled, row)
  warn_of_reads(row, arguments.reads)
  entry = remember(compiled, {
    hash = row.hash, workflow = row.workflow, definition = row.definition, sources = row.sources,
    arguments = row.arguments,
    engine = row.engine, modules = table.move(modules or {}, 1, #(modules or {}), 1, {}),
  }, known)
  for _, file in ipairs(early) do append(entry, file) end
  return compiled
end

return bundle
