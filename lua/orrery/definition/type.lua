--- Node types: what a node's is, and what their nodes have in common. Finding types by name,
--- declaring and calling them is loaded when the first of these is done.
local defer = require "orrery.defer"

local types = {}

defer(types, "orrery.definition.type_registry", { "find", "space", "words", "all", "names", "type_of",
  "is_standard", "scope", "enter", "scoped", "aliases", "remove" })
defer(types, "orrery.definition.type_call", { "place_positional", "placed", "made_at", "check", "outcomes" })
defer(types, "orrery.definition.type_declare", { "declare" })

---@class orrery.NodeType
---@field name string
---@field doc? string
---@field config orrery.Schema
---@field run fun(ctx: orrery.Context, config: table, inputs: table): any
---@field pool? string of its nodes, where they name none
---@field retry? any of its nodes, where they say nothing
---@field outcomes? string[]|fun(config: table): string[]
---@field expressions? table<string, {extra: string?, names: boolean?}> by config key; declared as a list of keys, or
--- key -> a further root that its expressions may read, or this
---@field stage? fun(config: table, rows: (fun(): any[]?)|nil, stage: orrery.rows.Stage): (fun(): any[]?) see `orrery.rows.stage`
---@field source? boolean it is a stage that takes no rows
---@field sink? boolean it is a stage whose rows are written when they have passed it
---@field nodes? string the config key that holds nodes; the handler gets {type, config} of each
---@field positional? string
---@field check? fun(config: table): string?, string? what is wrong with the config as a whole, and the key it is about
---@field files? orrery.FileKeys which keys of the config name the files that a node reads and makes
---@field cleanup? fun(ctx: orrery.Context, config: table, node: string) runs when the run ends, after a node that has begun
---@field becomes? fun(config: table): table, table? the node that one of the type stands for, and keys that it has
--- unless they are written
---@field place? "first"|"last" of such a type: before or after all other nodes, where a node has no `after`
---@field own_timeout? boolean a node's `timeout` is config: the type bounds by it what it waits for
---@field strategy? "direct"|"thread" where it runs, if the node does not say
---@field examples? any
---@field errors? string[] codes that it raises, beside those of any node
---@field output? any
---@field where string

--- What is put around the handlers of nodes while workflows are tested (`orrery.testing`):
--- `around(T, run, here)` gives what runs in place of `run`, of a Lua node where T is nil; `here`:
--- it is called inside a handler. False: nothing is.
---@type false|fun(T: orrery.NodeType|nil, run: function, here: boolean|nil): function
types.around = false

--- The same for what undoes a node.
---@type false|fun(run: function): function
types.around_undo = false

--- Keys that a type's config may not have, because a node's own keys stand beside it.
types.RESERVED = {
  after = true, when = true, join = true, retry = true, timeout = true, deadline = true, heartbeat = true,
  on_error = true, fallback = true, handles = true, compensate = true, pool = true, priority = true,
  breaker = true, cache = true, each = true, each_failures = true, each_on_failure = true,
  each_parallel = true, item_name = true, loop = true, estimate = true, strategy = true, run = true,
  doc = true, with = true,
}

--- Whether a key stands for a node's policy in a node of the type, and not for config.
---@param T orrery.NodeType|nil
---@param key any
---@return boolean|nil
function types.is_reserved(T, key)
  return types.RESERVED[key] and not (key == "timeout" and T and T.own_timeout)
end

-- coroutine -> depth: it loads a file, so calls make nodes
local builders = setmetatable({}, { __mode = "k" })

--- Whether a call of a node type makes a node also inside a handler.
---@return boolean
function types.building() return builders[coroutine.running()] ~= nil end

--- Calls `fn`, a file's chunk. Node types that it calls make nodes, even inside a handler.
---@param fn function
---@return boolean ok, any ... as pcall; after an error also the place in the file, "file:line", that was left last
function types.build(fn)
  local co = coroutine.running()
  local source, place = debug.getinfo(fn, "S").source, nil
  local function note_place(e)
    local level, info = 2, debug.getinfo(2, "Sl")
    while info and (info.source ~= source or info.currentline < 0) do
      level = level + 1
      info = debug.getinfo(level, "Sl")
    end
    place = info and require("orrery.where").text(info.short_src, info.currentline)
    return e
  end
  builders[co] = (builders[co] or 0) + 1
  local results = table.pack(xpcall(fn, note_place))
  builders[co] = builders[co] > 1 and builders[co] - 1 or nil
  if not results[1] then return false, results[2], place end
  return table.unpack(results, 1, results.n)
end


local any_rewriting = false

--- Notes that there is a type whose nodes are cleaned up after, or stand for others.
function types.note_rewriting() any_rewriting = true end

--- Whether there is a type whose nodes are cleaned up after, or stand for others.
---@return boolean
function types.any_rewriting() return any_rewriting end

--- The type of a node, or nil when it is a plain table.
---@param node table
---@return orrery.NodeType|nil
function types.of(node)
  local meta = getmetatable(node)
  return type(meta) == "table" and meta.orrery_type or nil
end

--- The type that a plain table names, or nil.
---@param node table
---@return orrery.NodeType|nil
function types.named(node)
  local name = rawget(node, "type")
  return type(name) == "string" and types.find(name) or nil
end

return types
