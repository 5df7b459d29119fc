/* plan.c - from a definition in Lua to a plan. What Lua functions there are go into tables
 * beside the plan, by node or by edge; the definition itself is not kept.
 */
#include "run/alike.h"
#include <math.h>
#include <string.h>

/* ---- keys of a node -------------------------------------------------------------------------- */

enum {
    KEY_NAME = 1,
    KEY_RUN,
    KEY_DEPS,
    KEY_PLAIN,
    KEY_WHEN,
    KEY_EACH,
    KEY_LOOP,
    KEY_FALLBACK,
    KEY_POOL,
    KEY_BREAKER,
    KEY_COMPENSATE,
    KEY_ITEM_NAME,
    KEY_POLICY
};

static const struct {
    const char *name;
    int key;
} node_keys[] = {
    {"name", KEY_NAME},         {"run", KEY_RUN},
    {"deps", KEY_DEPS},         {"type", KEY_PLAIN},
    {"where", KEY_PLAIN},       {"when", KEY_WHEN},
    {"each", KEY_EACH},         {"loop", KEY_LOOP},
    {"fallback", KEY_FALLBACK}, {"pool", KEY_POOL},
    {"breaker", KEY_BREAKER},   {"compensate", KEY_COMPENSATE},
    {"cache", KEY_PLAIN},       {"item_name", KEY_ITEM_NAME},
};

/* Stack of core.plan while it works. */
enum { AT_DEF = 1, AT_ALIKE, AT_KEYS, AT_PLAN, AT_NODES, AT_NAMES, AT_HANDLERS, AT_PLACES, AT_NODE };

typedef struct binding {
    orr_planbox *box;
    orr_alike *alike; /* or NULL */
    lua_Integer n_nodes;
    uint32_t edges;
    bool run_timed;
} binding;

static void check_memory(lua_State *L, orr_status status) {
    if (status == ORR_ENOMEM) luaL_error(L, "not enough memory for the plan");
}

/* Sets place `i` of a table of the plan's to the value at the top, which is popped. */
static void put(lua_State *L, int table, lua_Integer i) {
    if (lua_getiuservalue(L, AT_PLAN, table) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, AT_PLAN, table);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, i);
    lua_pop(L, 1);
}

static void expect(lua_State *L, int type, lua_Integer node, const char *key) {
    if (lua_type(L, -1) != type)
        luaL_error(L, "node %d: %s is a %s; expected a %s", (int)node, key, luaL_typename(L, -1),
                   lua_typename(L, type));
}

/* The value of a key is at the top; pops it. */
static void read_key(lua_State *L, lua_Integer node, int key) {
    switch (key) {
    case KEY_WHEN:
        expect(L, LUA_TFUNCTION, node, "when");
        put(L, PLAN_WHENS, node);
        break;
    case KEY_EACH:
        expect(L, LUA_TFUNCTION, node, "each");
        put(L, PLAN_EACHS, node);
        break;
    case KEY_ITEM_NAME:
        expect(L, LUA_TFUNCTION, node, "item_name");
        put(L, PLAN_ITEM_NAMES, node);
        break;
    case KEY_LOOP:
        expect(L, LUA_TTABLE, node, "loop");
        lua_getfield(L, -1, "until_");
        if (lua_isfunction(L, -1)) put(L, PLAN_UNTILS, node);
        else lua_pop(L, 1);
        lua_pop(L, 1);
        break;
    case KEY_FALLBACK:
        expect(L, LUA_TTABLE, node, "fallback");
        put(L, PLAN_FALLBACKS, node);
        break;
    case KEY_COMPENSATE:
        expect(L, LUA_TTABLE, node, "compensate");
        lua_getfield(L, -1, "fn");
        expect(L, LUA_TFUNCTION, node, "compensate.fn");
        put(L, PLAN_COMPENSATES, node);
        lua_pop(L, 1);
        break;
    case KEY_POOL:
        if (lua_isfunction(L, -1)) put(L, PLAN_POOLS, node);
        else lua_pop(L, 1);
        break;
    case KEY_BREAKER: /* its settings go to the runtime when a run starts */
        if (lua_istable(L, -1)) put(L, PLAN_BREAKERS, node);
        else lua_pop(L, 1);
        break;
    default: lua_pop(L, 1); break;
    }
}

/* Gives the handler at the top (popped) a place, and says how it is begun. */
static uint32_t new_handler(lua_State *L, orr_planbox *box) {
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">u", &ar);
    uint32_t how = ++box->n_handlers << NODE_HANDLER_SHIFT;
    if (ar.isvararg || ar.nparams >= 1) how |= TAKES_CTX;
    if (ar.isvararg || ar.nparams >= 2) how |= TAKES_INPUTS;
    if (box->n_handlers >= UINT32_MAX >> NODE_HANDLER_SHIFT) luaL_error(L, "too many different handlers");
    if (box->n_handlers == ORR_MANY_HANDLERS)
        box->fetch = orr_mem_new(&box->alloc, box->n_how + 1, sizeof *box->fetch);
    if (box->fetch) box->fetch[box->n_handlers] = lua_topointer(L, -1);
    lua_rawseti(L, AT_HANDLERS, box->n_handlers);
    return how;
}

/* Functions that are looked for among those of nodes before: where there are more, most nodes have
 * one of their own, and a table of them all would be larger than what it saves. */
enum { MOST_SHARED = 65536 };

/* How the handler at the top (popped) is begun. Nodes with the same function share its place. */
static uint32_t how_of(lua_State *L, orr_planbox *box) {
    lua_pushvalue(L, -1);
    if (lua_rawget(L, AT_PLACES) == LUA_TNUMBER) {
        uint32_t how = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 2);
        return how;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    uint32_t how = new_handler(L, box);
    lua_pushinteger(L, how);
    if (box->n_handlers <= MOST_SHARED) lua_rawset(L, AT_PLACES);
    else lua_pop(L, 2);
    return how;
}

/* What a look through the keys of a node found. */
typedef struct node_keys_seen {
    bool policy, deps;
    const char *name;
    size_t name_len;
    uint32_t how;
} node_keys_seen;

static void read_node(lua_State *L, orr_planbox *box, lua_Integer i, node_keys_seen *seen) {
    *seen = (node_keys_seen){0};
    bool has_run = false;
    lua_pushnil(L);
    while (lua_next(L, AT_NODE)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, AT_KEYS);
        int key = lua_isnil(L, -1) ? KEY_POLICY : (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        switch (key) {
        case KEY_NAME:
            expect(L, LUA_TSTRING, i, "name");
            seen->name = lua_tolstring(L, -1, &seen->name_len);
            put(L, PLAN_NAMES, i);
            break;
        case KEY_RUN:
            expect(L, LUA_TFUNCTION, i, "run");
            seen->how = how_of(L, box);
            has_run = true;
            break;
        case KEY_DEPS:
            expect(L, LUA_TTABLE, i, "deps");
            seen->deps = true;
            lua_pop(L, 1);
            break;
        case KEY_PLAIN: lua_pop(L, 1); break;
        default:
            seen->policy = true;
            read_key(L, i, key);
            break;
        }
    }
    if (!has_run)
        luaL_error(L, "node %d (%s) has no run function", (int)i, seen->name ? seen->name : "without a name");
}

static void add_edges(lua_State *L, binding *b, lua_Integer to) {
    lua_getfield(L, AT_NODE, "deps");
    int deps = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, deps);
    for (lua_Integer i = 1; i <= n; i++, lua_settop(L, deps)) {
        if (lua_rawgeti(L, deps, i) != LUA_TTABLE)
            luaL_error(L, "node %d: dependency %d is no table", (int)to, (int)i);
        lua_getfield(L, -1, "node");
        lua_Integer from = lua_tointeger(L, -1);
        uint16_t port = ORR_PORT_ANY;
        size_t len;
        lua_getfield(L, -2, "port");
        const char *name = lua_tolstring(L, -1, &len);
        if (name) {
            orr_status status = orr_plan_port(b->box->builder, name, len, &port);
            check_memory(L, status);
            if (status != ORR_OK) luaL_error(L, "node %d: there are too many different outcomes", (int)to);
        }
        bool when = lua_getfield(L, -3, "when") == LUA_TFUNCTION;
        if (when) put(L, PLAN_EDGES, (lua_Integer)b->edges + 1);
        uint32_t index = from < 1 || from > b->n_nodes ? ORR_NONE - 1 : (uint32_t)(from - 1);
        check_memory(L, orr_plan_edge(b->box->builder, index, (uint32_t)(to - 1), port, when));
        b->edges++;
    }
    lua_settop(L, AT_NODE);
}

static uint16_t policy_of(lua_State *L, binding *b, uint32_t *how) {
    orr_policy policy;
    uint16_t index;
    orr_read_policy(L, AT_NODE, &policy);
    orr_status status = orr_plan_policy(b->box->builder, &policy, &index);
    lua_settop(L, AT_NODE); /* the policy's strings and arrays were on the stack until here */
    check_memory(L, status);
    if (status != ORR_OK) luaL_error(L, "the workflow has more than 65,535 different policies");
    if (policy.timeout || policy.deadline || policy.heartbeat || policy.join == ORR_JOIN_DONE)
        *how |= NODE_TIMED;
    return index;
}

static void add_node(lua_State *L, binding *b, lua_Integer i) {
    node_keys_seen seen;
    if (lua_rawgeti(L, AT_NODES, i) != LUA_TTABLE) luaL_error(L, "node %d is no table", (int)i);
    read_node(L, b->box, i, &seen);
    uint16_t policy = 0;
    if (seen.policy) policy = policy_of(L, b, &seen.how);
    if (b->run_timed) seen.how |= NODE_TIMED;
    uint32_t index;
    orr_status status = orr_plan_node(b->box->builder, seen.name, seen.name_len, policy, &index);
    check_memory(L, status);
    if (status != ORR_OK)
        luaL_error(L, "node %d (%s) is refused by the plan", (int)i, seen.name ? seen.name : "?");
    b->box->how[i - 1] = seen.how;
    if (seen.deps) add_edges(L, b, i);
    lua_settop(L, AT_PLACES);
    orr_alike_kind *kind = b->alike ? orr_alike_kind_by(b->alike, index) : NULL;
    if (kind) {
        kind->policy = policy;
        kind->how = seen.how & NODE_TIMED;
    }
}

/* Node i, which is like one before it and was built no further. */
static void add_alike(lua_State *L, binding *b, lua_Integer i, const orr_alike_kind *kind) {
    const orr_alike *a = b->alike;
    uint32_t node = (uint32_t)i - 1;
    size_t len;
    lua_rawgeti(L, AT_NAMES, i);
    const char *name = lua_tolstring(L, -1, &len);
    orr_alike_push_run(L, AT_ALIKE, kind, node);
    expect(L, LUA_TFUNCTION, i, "run");
    /* that of a node with a type was made for this node */
    b->box->how[node] = (kind->typed ? new_handler(L, b->box) : how_of(L, b->box)) | kind->how;
    orr_status status = orr_plan_node(b->box->builder, name, len, kind->policy, NULL);
    check_memory(L, status);
    if (status != ORR_OK) luaL_error(L, "node %d (%s) is refused by the plan", (int)i, name ? name : "?");
    for (uint32_t d = a->begin[node]; d < a->begin[node + 1]; d++) {
        check_memory(L, orr_plan_edge(b->box->builder, a->from[d], node, ORR_PORT_ANY, false));
        b->edges++;
    }
    lua_settop(L, AT_PLACES);
}

/* ---- problems -------------------------------------------------------------------------------- */

typedef struct problem_list {
    lua_State *L;
    int at;      /* the list */
    bool failed; /* no memory to report one */
} problem_list;

static const char *const problem_kinds[] = {
    [ORR_BAD_DUPLICATE_NAME] = "duplicate_name",
    [ORR_BAD_DUPLICATE_EDGE] = "duplicate_edge",
    [ORR_BAD_SELF_EDGE] = "self_edge",
    [ORR_BAD_UNKNOWN_NODE] = "unknown_node",
    [ORR_BAD_CYCLE] = "cycle",
    [ORR_BAD_NEED] = "need",
    [ORR_BAD_EMPTY] = "empty",
    [ORR_BAD_MIXED_EDGE] = "mixed_edge",
};

/* `node` is the node where the mistake can be corrected: the dependent of an edge. */
static int push_problem(lua_State *L) {
    const orr_problem *p = lua_touserdata(L, 2);
    bool edge = p->kind == ORR_BAD_DUPLICATE_EDGE || p->kind == ORR_BAD_UNKNOWN_NODE ||
                p->kind == ORR_BAD_MIXED_EDGE;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, problem_kinds[p->kind]);
    lua_setfield(L, -2, "kind");
    if (p->kind != ORR_BAD_CYCLE && p->kind != ORR_BAD_EMPTY) {
        lua_pushinteger(L, (lua_Integer)(edge ? p->b : p->a) + 1);
        lua_setfield(L, -2, "node");
        lua_pushinteger(L, (lua_Integer)(edge ? p->a : p->b) + 1);
        lua_setfield(L, -2, "other");
    }
    if (p->n_path) {
        lua_createtable(L, (int)p->n_path, 0);
        for (uint32_t i = 0; i < p->n_path; i++) {
            lua_pushinteger(L, (lua_Integer)p->path[i] + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        lua_setfield(L, -2, "path");
        lua_pushinteger(L, (lua_Integer)p->path[0] + 1);
        lua_setfield(L, -2, "node");
    }
    lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
    return 0;
}

static void report(void *ud, const orr_problem *problem) {
    problem_list *list = ud;
    lua_State *L = list->L;
    lua_pushcfunction(L, push_problem);
    lua_pushvalue(L, list->at);
    lua_pushlightuserdata(L, (void *)(uintptr_t)problem);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
    lua_pop(L, 1);
    list->failed = true;
}

/* ---- core.plan ------------------------------------------------------------------------------- */

static const char *const on_errors[] = {"stop", "drain", "continue", NULL};

static void read_options(lua_State *L, orr_plan_options *o) {
    lua_getfield(L, AT_DEF, "name");
    o->name = lua_tostring(L, -1);
    lua_getfield(L, AT_DEF, "on_error");
    const char *on_error = lua_tostring(L, -1);
    for (int i = 0; on_error && on_errors[i]; i++)
        if (strcmp(on_error, on_errors[i]) == 0) o->on_error = (uint8_t)i;
    lua_getfield(L, AT_DEF, "concurrency");
    lua_Integer concurrency = lua_tointeger(L, -1);
    if (concurrency < 0 || concurrency > UINT32_MAX) luaL_error(L, "concurrency is out of range");
    o->concurrency = (uint32_t)concurrency;
    o->timeout = orr_read_seconds(L, AT_DEF, "timeout");
    o->cleanup_timeout = orr_read_seconds(L, AT_DEF, "cleanup_timeout");
}

static void close_plan(orr_script *s, orr_owned *owned) {
    orr_planbox *box = (orr_planbox *)owned;
    if (box->builder) orr_plan_abandon(box->builder);
    if (box->plan) orr_plan_unref(box->plan);
    orr_mem_free(&s->alloc, box->how, box->n_how, sizeof *box->how);
    orr_mem_free(&s->alloc, box->fetch, box->n_how + 1, sizeof *box->fetch);
    orr_mem_free(&s->alloc, box->natives, box->n_natives, sizeof *box->natives);
    orr_free_box(s, owned, sizeof *box);
}

static orr_planbox *new_box(lua_State *L, orr_script *s, lua_Integer n) {
    orr_planbox *box = orr_new_box(L, s,
                                   &(orr_box_kind){.size = sizeof *box,
                                                   .values = PLAN_VALUES,
                                                   .metatable = orr_runs_of(s)->plan_mt,
                                                   .collect = close_plan,
                                                   .close = close_plan});
    box->alloc = s->alloc;
    box->n_how = (uint32_t)(n ? n : 1);
    box->how = orr_mem_new(&box->alloc, box->n_how, sizeof *box->how);
    if (!box->how) luaL_error(L, "not enough memory for the plan");
    return box;
}

orr_planbox *orr_plan_push(lua_State *L, orr_script *s, orr_plan *plan) {
    orr_planbox *box = new_box(L, s, 0);
    lua_newtable(L);
    lua_setiuservalue(L, -2, PLAN_NAMES);
    box->plan = plan;
    return box;
}

/* Pushes the names of all nodes, where some of them are alike; nil otherwise. */
static void push_names(lua_State *L, const binding *b) {
    if (b->alike) lua_getiuservalue(L, AT_ALIKE, ALIKE_NAMES);
    else lua_pushnil(L);
    /* the workflow's own list, which only grows, need not be copied */
    if (b->alike) lua_pushvalue(L, AT_NAMES);
    else lua_createtable(L, (int)b->n_nodes, 0);
    lua_setiuservalue(L, AT_PLAN, PLAN_NAMES);
}

/* core.plan(def[, alike]) -> plan | nil, problems. `alike` is what core.alike has made of the
 * nodes; def.nodes then lacks those that are like others. Raises where the definition is not of the
 * shape that the builder makes. */
int orr_core_plan(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, AT_DEF, LUA_TTABLE);
    lua_settop(L, AT_ALIKE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_getfield(L, AT_DEF, "nodes");
    if (!lua_istable(L, -1)) return luaL_error(L, "a definition has a list `nodes`");
    binding b = {.alike = orr_check_alike(L, AT_ALIKE)};
    b.n_nodes = b.alike ? (lua_Integer)b.alike->n : (lua_Integer)lua_rawlen(L, -1);
    if (b.n_nodes >= INT32_MAX) return luaL_error(L, "too many nodes");
    orr_planbox *box = b.box = new_box(L, s, b.n_nodes);
    lua_insert(L, AT_PLAN);
    lua_getfield(L, AT_DEF, "output");
    if (lua_isfunction(L, -1)) lua_setiuservalue(L, AT_PLAN, PLAN_OUTPUT);
    lua_getfield(L, AT_DEF, "output_nodes");
    if (lua_istable(L, -1)) lua_setiuservalue(L, AT_PLAN, PLAN_OUTPUT_NODES);
    lua_settop(L, AT_NODES);
    orr_plan_options options = {0};
    read_options(L, &options);
    b.run_timed = options.timeout > 0;
    box->builder = orr_plan_begin(&box->alloc, &options);
    if (!box->builder) return luaL_error(L, "not enough memory for the plan");
    lua_settop(L, AT_NODES);
    push_names(L, &b);
    lua_newtable(L); /* handlers */
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, AT_PLAN, PLAN_HANDLERS);
    lua_newtable(L); /* handler -> how it is begun */
    check_memory(L, orr_plan_reserve(box->builder, (uint32_t)b.n_nodes, (uint32_t)b.n_nodes));
    for (lua_Integer i = 1; i <= b.n_nodes; i++) {
        const orr_alike_kind *kind = b.alike ? orr_alike_kind_of(b.alike, (uint32_t)i - 1) : NULL;
        if (kind) add_alike(L, &b, i, kind);
        else add_node(L, &b, i);
    }

    lua_newtable(L);
    problem_list list = {L, lua_gettop(L), false};
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_plan_builder *builder = box->builder;
    box->builder = NULL;
    orr_status status = orr_plan_end(builder, report, &list, &box->plan);
    if (status == ORR_ENOMEM || list.failed) return luaL_error(L, "not enough memory for the plan");
    if (status == ORR_OK) {
        lua_pushvalue(L, AT_PLAN);
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- a plan in Lua --------------------------------------------------------------------------- */

orr_planbox *orr_check_plan(lua_State *L, int idx) {
    return orr_check_box(L, idx, orr_runs_of(orr_script_of(L))->plan_mt, "plan");
}

static int plan_len(lua_State *L) {
    lua_pushinteger(L, orr_check_plan(L, 1)->plan->n_nodes);
    return 1;
}

/* plan:layers() -> {layer number, from 1, per node} */
static int plan_layers(lua_State *L) {
    const orr_plan *plan = orr_check_plan(L, 1)->plan;
    lua_createtable(L, (int)plan->n_nodes, 0);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        lua_pushinteger(L, (lua_Integer)plan->layer_of[i] + 1);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* plan:critical([seconds of a node without an estimate = 1]) -> {node indices}, seconds */
static int plan_critical(lua_State *L) {
    const orr_plan *plan = orr_check_plan(L, 1)->plan;
    lua_Number unknown = luaL_optnumber(L, 2, 1);
    luaL_argcheck(L, unknown >= 0 && unknown <= ORR_MAX_SECONDS, 2, "out of range");
    uint32_t *path = lua_newuserdatauv(L, plan->n_layers * sizeof *path, 0);
    int64_t total;
    uint32_t n = orr_plan_critical_path(plan, (int64_t)(unknown * 1e9), path, &total);
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        lua_pushinteger(L, (lua_Integer)path[i] + 1);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushnumber(L, (lua_Number)total / 1e9);
    return 2;
}

/* plan:ports() -> the names of outcomes that edges ask for, in the order of their numbers */
static int plan_ports(lua_State *L) {
    const orr_plan *plan = orr_check_plan(L, 1)->plan;
    lua_createtable(L, (int)plan->n_ports, 0);
    for (uint32_t i = 0; i < plan->n_ports; i++) {
        lua_pushstring(L, plan->ports[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int plan_bytes(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)orr_plan_bytes(orr_check_plan(L, 1)->plan));
    return 1;
}

void orr_open_plan(lua_State *L, orr_script *s) {
    static const luaL_Reg methods[] = {
        {"layers", plan_layers},
        {"critical", plan_critical},
        {"ports", plan_ports},
        {"bytes", plan_bytes},
        {NULL, NULL},
    };
    lua_newtable(L);
    orr_box_metatable(L);
    lua_pushcfunction(L, plan_len);
    lua_setfield(L, -2, "__len");
    lua_pushliteral(L, "orrery.plan");
    lua_setfield(L, -2, "__name");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    orr_runs_of(s)->plan_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 16);
    for (size_t i = 0; i < sizeof node_keys / sizeof *node_keys; i++) {
        lua_pushinteger(L, node_keys[i].key);
        lua_setfield(L, -2, node_keys[i].name);
    }
    lua_pushcclosure(L, orr_core_plan, 1);
}
