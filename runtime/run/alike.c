/* alike.c - see alike.h */
#include "run/alike.h"

#include <math.h>
#include <string.h>

enum { MOST_KINDS = 256, MOST_DEPTH = 3 };

/* Keys that say nothing but a policy, the same for all nodes that write it the same. Others may
 * hold code, mention nodes, or depend on the node that has them. */
static const char *const policy_keys[] = {
    "retry", "timeout", "deadline", "heartbeat", "estimate", "on_error", "handles", "pool", "priority",
};
enum { POLICY_KEYS = sizeof policy_keys / sizeof *policy_keys };

/* Stack of core.alike while it works. */
enum {
    AT_FLAT = 1,
    AT_BUILD,
    AT_TYPED,
    AT_SCALARS,
    AT_ALIKE,
    AT_SPECS,
    AT_INDEX,
    AT_NAME_OF,
    AT_EDGES,
    AT_LINES,
    AT_PLACE,
    AT_RESERVED,
    AT_ARRAY,
    AT_KEYS,
    AT_RUN = AT_KEYS + POLICY_KEYS,
    AT_AFTER,
    AT_TYPE,
    AT_WITH,
    AT_MADE, /* by kind with a type: what its handlers are made with, or false */
    AT_SPEC,
    AT_TOP = AT_MADE
};

static const char *const fields[] = {"specs", "index", "name_of", "edges", "lines", "place", "reserved"};

typedef struct look {
    orr_script *s;
    orr_alike *a;
    /* texts of short strings: equal ones are the same */
    const char *run, *after, *type, *with, *keys[POLICY_KEYS];
    lua_Integer line;
    bool typed, named; /* the node at hand has a type; by a name, `type = "…"` */
    uint8_t len;
    unsigned char mark[ALIKE_MARK];
} look;

/* ---- memory ---------------------------------------------------------------------------------- */

static void close_alike(orr_script *s, orr_owned *owned) {
    orr_alike *a = (orr_alike *)owned;
    orr_mem_free(&s->alloc, a->kind, a->n, sizeof *a->kind);
    orr_mem_free(&s->alloc, a->begin, a->n + (size_t)1, sizeof *a->begin);
    orr_mem_free(&s->alloc, a->from, a->room, sizeof *a->from);
    orr_mem_free(&s->alloc, a->kinds, a->kinds_room, sizeof *a->kinds);
    orr_free_box(s, owned, sizeof *a);
}

static orr_alike *new_alike(lua_State *L, orr_script *s, lua_Integer n) {
    luaL_argcheck(L, n >= 0 && n < INT32_MAX, 1, "too many nodes");
    orr_alike *a = orr_new_box(L, s,
                               &(orr_box_kind){.size = sizeof *a,
                                               .values = ALIKE_VALUES,
                                               .metatable = orr_runs_of(s)->alike_mt,
                                               .collect = close_alike,
                                               .close = close_alike});
    uint32_t *kind = orr_mem_new(&s->alloc, n ? (size_t)n : 1, sizeof *kind);
    uint32_t *begin = orr_mem_new(&s->alloc, (size_t)n + 1, sizeof *begin);
    if (!kind || !begin) {
        orr_mem_free(&s->alloc, kind, n ? (size_t)n : 1, sizeof *kind);
        orr_mem_free(&s->alloc, begin, (size_t)n + 1, sizeof *begin);
        luaL_error(L, "not enough memory");
    }
    a->n = (uint32_t)n;
    a->kind = kind;
    a->begin = begin;
    return a;
}

/* Room for one more in an array that doubles. */
static void *grown(lua_State *L, const look *k, void *array, size_t room, size_t size) {
    size_t more = room ? room * 2 : 16;
    array = orr_mem_resize(&k->s->alloc, array, room, more, size);
    if (!array) luaL_error(L, "not enough memory");
    return array;
}

/* ---- dependencies ---------------------------------------------------------------------------- */

static void add_from(lua_State *L, const look *k, uint32_t from) {
    orr_alike *a = k->a;
    if (a->n_from == a->room) {
        a->from = grown(L, k, a->from, a->room, sizeof *a->from);
        a->room = a->room ? a->room * 2 : 16;
    }
    a->from[a->n_from++] = from;
}

/* The node's name or the very table at the top, which is popped; false: it is neither. */
static bool take_node(lua_State *L, const look *k) {
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_gettable(L, AT_NAME_OF);
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        return false;
    }
    lua_rawget(L, AT_INDEX);
    lua_Integer j = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (j < 1 || j > k->a->n) return false;
    add_from(L, k, (uint32_t)j - 1);
    return true;
}

/* Whether the list at the top has no key but 1 to n and none but names and nodes in it. */
static bool take_list(lua_State *L, const look *k) {
    int list = lua_gettop(L);
    lua_Integer seen = 0;
    lua_pushnil(L);
    while (lua_next(L, list)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != ++seen || !take_node(L, k)) {
            lua_settop(L, list);
            return false;
        }
    }
    return true;
}

/* What stands in `after`, at the top: a name, a node, or a list of these, JSON's as well. */
static bool take_after(lua_State *L, const look *k) {
    lua_pushvalue(L, -1);
    if (take_node(L, k)) return true;
    if (lua_type(L, -1) != LUA_TTABLE) return false;
    if (lua_getmetatable(L, -1)) {
        bool is_array = lua_rawequal(L, -1, AT_ARRAY);
        lua_pop(L, 1);
        if (!is_array) return false;
    }
    return take_list(L, k);
}

/* ---- what tells kinds apart ------------------------------------------------------------------ */

static bool mark_bytes(look *k, char type, const void *bytes, size_t len) {
    if (len + 1 > ALIKE_MARK - (size_t)k->len) return false;
    k->mark[k->len++] = (unsigned char)type;
    memcpy(k->mark + k->len, bytes, len);
    k->len = (uint8_t)(k->len + len);
    return true;
}

static bool mark_value(lua_State *L, look *k, int depth);

/* Keys and values of the table at the top, in the order in which they come: where it is another
 * one, equal tables are of two kinds, which costs nothing but one more that is built. */
static bool mark_table(lua_State *L, look *k, int depth) {
    if (depth == MOST_DEPTH || lua_getmetatable(L, -1) || !mark_bytes(k, '{', "", 0)) return false;
    int table = lua_gettop(L);
    bool good = true;
    lua_pushnil(L);
    while (good && lua_next(L, table)) {
        lua_pushvalue(L, -2);
        good = mark_value(L, k, depth + 1);
        lua_pop(L, 1);
        good = good && mark_value(L, k, depth + 1);
        lua_pop(L, 1);
    }
    lua_settop(L, table);
    return good && mark_bytes(k, '}', "", 0);
}

/* A text is told by its place: short ones are kept once, and a long one is taken for another where
 * it is not the very same. One with a template stands for more than it says. */
static bool mark_value(lua_State *L, look *k, int depth) {
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tostring(L, -1);
        return !strchr(text, '$') && mark_bytes(k, 's', &text, sizeof text);
    }
    case LUA_TNUMBER: {
        if (lua_isinteger(L, -1)) {
            lua_Integer whole = lua_tointeger(L, -1);
            return mark_bytes(k, 'i', &whole, sizeof whole);
        }
        lua_Number number = lua_tonumber(L, -1);
        return mark_bytes(k, 'n', &number, sizeof number);
    }
    case LUA_TBOOLEAN: return mark_bytes(k, lua_toboolean(L, -1) ? 't' : 'f', "", 0);
    case LUA_TTABLE: return mark_table(L, k, depth);
    default: return false;
    }
}

/* A policy under its key, the value at the top. */
static bool mark_policy(lua_State *L, look *k, const char *key) {
    int at = 0;
    while (at < POLICY_KEYS && k->keys[at] != key) at++;
    if (at == POLICY_KEYS) return false;
    return mark_bytes(k, (char)('A' + at), "", 0) && mark_value(L, k, 1);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Notes the node's type, if it has one. False: its metatable is not that of a type. */
static bool look_at_type(lua_State *L, look *k) {
    k->typed = k->named = false;
    if (lua_getmetatable(L, AT_SPEC)) {
        lua_pushliteral(L, "orrery_type");
        if (lua_rawget(L, -2) != LUA_TTABLE) return false;
        const void *type = lua_topointer(L, -1);
        k->typed = true;
        return mark_bytes(k, 'T', &type, sizeof type);
    }
    lua_pushvalue(L, AT_TYPE);
    if (lua_rawget(L, AT_SPEC) == LUA_TNIL) return true;
    k->typed = k->named = true;
    return lua_type(L, -1) == LUA_TSTRING && mark_bytes(k, 'N', "", 0) && mark_value(L, k, 1);
}

/* Whether a key of a node with a type, below its value, is config; that is checked in Lua. A
 * `timeout` that the type takes as config counts as a policy here, which makes a few more kinds. */
static bool is_config(lua_State *L, const look *k, const char *key) {
    if (!key || (key == k->with) || (key == k->type && k->named)) return true;
    lua_pushvalue(L, -2);
    bool reserved = lua_rawget(L, AT_RESERVED) != LUA_TNIL;
    lua_pop(L, 1);
    return !reserved;
}

/* Looks at one key of the node, its value at the top. */
static bool look_at_key(lua_State *L, look *k, const char *key, bool *has_run) {
    if (key && key == k->run) {
        *has_run = lua_type(L, -1) == LUA_TFUNCTION;
        return *has_run && !k->typed;
    }
    if (key && key == k->after) return take_after(L, k);
    if (k->typed && is_config(L, k, key)) return true;
    return key && mark_policy(L, k, key);
}

/* Looks at the table of node i, at AT_SPEC. True where all it has is a handler or the config of a
 * type, dependencies (which are taken) and policies (whose mark is made). */
static bool look_at(lua_State *L, look *k, lua_Integer i) {
    k->len = 0;
    bool has_run = false, good = true;
    if (lua_type(L, AT_SPEC) != LUA_TTABLE || !look_at_type(L, k)) return false;
    if (!lua_isnil(L, AT_EDGES) && lua_rawgeti(L, AT_EDGES, i) != LUA_TNIL) return false;
    lua_settop(L, AT_SPEC);
    lua_pushnil(L);
    while (good && lua_next(L, AT_SPEC)) {
        int value = lua_gettop(L);
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        good = look_at_key(L, k, key, &has_run);
        lua_settop(L, value - 1);
    }
    return good && has_run != k->typed;
}

static uint32_t hash_of(const look *k) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < k->len; i++) hash = (hash ^ k->mark[i]) * 16777619u;
    return hash;
}

/* The number of the kind that has the mark, from 1; 0: there is none. */
static uint32_t find_kind(const look *k, uint32_t hash) {
    for (uint32_t i = 0; i < k->a->n_kinds; i++) {
        const orr_alike_kind *kind = &k->a->kinds[i];
        if (kind->hash == hash && kind->len == k->len && memcmp(kind->mark, k->mark, k->len) == 0)
            return i + 1;
    }
    return 0;
}

static void add_kind(lua_State *L, const look *k, uint32_t hash, uint32_t node) {
    orr_alike *a = k->a;
    if (a->n_kinds == MOST_KINDS) return;
    if (a->n_kinds == a->kinds_room) {
        a->kinds = grown(L, k, a->kinds, a->kinds_room, sizeof *a->kinds);
        a->kinds_room = a->kinds_room ? a->kinds_room * 2 : 16;
    }
    orr_alike_kind *kind = &a->kinds[a->n_kinds++];
    *kind = (orr_alike_kind){.first = node, .hash = hash, .len = k->len, .typed = k->typed};
    memcpy(kind->mark, k->mark, k->len);
    a->kind[node] = a->n_kinds;
}

/* The first node of a line says where the line's nodes are said to stand, so it is asked in the
 * order of the nodes. */
static void note_place(lua_State *L, look *k, lua_Integer i) {
    if (lua_isnil(L, AT_LINES)) return;
    bool same = lua_rawgeti(L, AT_LINES, i) == LUA_TNIL; /* as the node before it */
    lua_Integer line = lua_tointeger(L, -1);
    lua_settop(L, AT_SPEC);
    if (same || line == k->line) return;
    k->line = line;
    lua_pushvalue(L, AT_PLACE);
    lua_pushinteger(L, i);
    lua_call(L, 1, 0);
}

/* ---- config of scalars ----------------------------------------------------------------------- */

/* Above the node: what its kind is made with, and the config that is made. */
enum { AT_PARTS = AT_SPEC + 1, AT_TAKEN, AT_NEEDED, AT_MAKE, AT_CONFIG };

/* What the schema calls a value, as lua/orrery/schema/scalars.lua has it; 0: it has to be looked at
 * more closely. */
static lua_Integer scalar_at(lua_State *L, int idx) {
    size_t n;
    const char *text;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING: text = lua_tolstring(L, idx, &n); return memchr(text, '$', n) ? 0 : 1;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx)) return 2;
        return isfinite(lua_tonumber(L, idx)) ? 4 : 0;
    case LUA_TBOOLEAN: return 8;
    default: return 0;
    }
}

/* Puts what is config among the fields of a table into the one at AT_CONFIG. False where it has to
 * be looked at more closely, or is there already. */
static bool take_scalars(lua_State *L, int from, bool in_with, int *n) {
    lua_pushnil(L);
    while (lua_next(L, from)) {
        int key = lua_gettop(L) - 1, value = key + 1;
        lua_pushvalue(L, key);
        if (lua_rawget(L, AT_TAKEN) != LUA_TNUMBER) return false;
        lua_Integer taken = lua_tointeger(L, -1);
        lua_settop(L, value);
        if (taken == 0 && !in_with) {
            lua_settop(L, key);
            continue;
        }
        if (!(taken & scalar_at(L, value))) return false;
        lua_pushvalue(L, key);
        if (in_with && lua_rawget(L, AT_CONFIG) != LUA_TNIL) return false;
        lua_settop(L, value);
        lua_pushvalue(L, key);
        lua_insert(L, value);
        lua_rawset(L, AT_CONFIG);
        ++*n;
    }
    return true;
}

static bool has_needed(lua_State *L) {
    for (lua_Integer i = 1; lua_rawgeti(L, AT_NEEDED, i) != LUA_TNIL; i++) {
        if (lua_rawget(L, AT_CONFIG) == LUA_TNIL) return false;
        lua_pop(L, 1);
    }
    return true;
}

/* Pushes what handlers of the kind are made with, which is asked for once; false: there is none. */
static bool push_parts(lua_State *L, uint32_t kind, lua_Integer i) {
    if (lua_rawgeti(L, AT_MADE, kind) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 3, 0);
        lua_pushvalue(L, AT_SCALARS);
        lua_pushinteger(L, i);
        lua_call(L, 1, 3);
        if (lua_isnil(L, -3)) {
            lua_pushboolean(L, 0);
            lua_replace(L, AT_PARTS);
        } else {
            for (lua_Integer part = 3; part > 0; part--) lua_rawseti(L, AT_PARTS, part);
        }
        lua_settop(L, AT_PARTS);
        lua_pushvalue(L, AT_PARTS);
        lua_rawseti(L, AT_MADE, kind);
    }
    if (!lua_istable(L, AT_PARTS)) return false;
    for (int part = 1; part <= 3; part++) lua_rawgeti(L, AT_PARTS, part);
    return true;
}

/* Pushes the handler of node i, which is of the kind and has a type, where its config is scalars
 * that the schema takes as they are. */
static bool push_handler(lua_State *L, look *k, uint32_t kind, lua_Integer i) {
    int n = 0;
    orr_alike_kind *of = &k->a->kinds[kind - 1];
    if (!push_parts(L, kind, i)) return false;
    lua_createtable(L, 0, of->fields);
    if (!take_scalars(L, AT_SPEC, false, &n)) return false;
    lua_pushvalue(L, AT_WITH);
    if (lua_rawget(L, AT_SPEC) != LUA_TNIL &&
        (!lua_istable(L, -1) || !take_scalars(L, lua_gettop(L), true, &n)))
        return false;
    if (!has_needed(L)) return false;
    of->fields = n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
    lua_settop(L, AT_CONFIG);
    lua_call(L, 1, 1);
    return true;
}

/* Has the handler of node i made, which has a type. False where there is more to it. */
static bool take_handler(lua_State *L, look *k, uint32_t kind, lua_Integer i) {
    if (!push_handler(L, k, kind, i)) {
        lua_settop(L, AT_SPEC);
        lua_pushvalue(L, AT_TYPED);
        lua_pushinteger(L, i);
        lua_call(L, 1, 1);
    }
    if (!lua_isfunction(L, -1)) return false;
    if (lua_getiuservalue(L, AT_ALIKE, ALIKE_RUNS) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, AT_ALIKE, ALIKE_RUNS);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, i);
    return true;
}

static void take(lua_State *L, look *k, lua_Integer i) {
    orr_alike *a = k->a;
    size_t n_from = a->n_from;
    uint32_t node = (uint32_t)i - 1, hash = 0;
    lua_settop(L, AT_TOP);
    lua_rawgeti(L, AT_SPECS, i);
    bool simple = look_at(L, k, i);
    lua_settop(L, AT_SPEC);
    if (simple) {
        hash = hash_of(k);
        a->kind[node] = find_kind(k, hash);
        if (a->kind[node] && k->typed && !take_handler(L, k, a->kind[node], i)) {
            a->kind[node] = 0;
            simple = false;
        }
    }
    if (a->kind[node]) {
        note_place(L, k, i);
    } else {
        a->n_from = n_from;
        lua_pushvalue(L, AT_BUILD);
        lua_pushinteger(L, i);
        lua_call(L, 1, 1);
        if (simple && lua_toboolean(L, -1)) add_kind(L, k, hash, node);
    }
    a->begin[node + 1] = (uint32_t)a->n_from;
}

/* Pushes the metatable that arrays from JSON have. */
static void push_array_mark(lua_State *L) {
    lua_newtable(L);
    orr_json_mark_array(L, -1);
    lua_getmetatable(L, -1);
    lua_remove(L, -2);
}

/* core.alike(flat, build, typed, scalars) -> alike. Calls build(i) for each node, in their order,
 * that is not like one before it; build returns whether it found no mistake. Where it is like one
 * and has a type, typed(i) returns its handler, or nil, having noted nothing, where it has to be
 * built. scalars(i), asked once a kind, says which config needs no such look: Builder:scalars_of.
 * `flat` has count, names, specs, index, name_of (as in definition/groups.lua), edges (by node;
 * nil: none), reserved (the keys that are no config), and lines (by node; nil: that of the node
 * before) and place(i) where the place of the first node of a line holds for all of them. */
static int core_alike(lua_State *L) {
    look k = {.s = orr_script_of(L), .line = -2};
    luaL_checktype(L, AT_FLAT, LUA_TTABLE);
    luaL_checktype(L, AT_BUILD, LUA_TFUNCTION);
    luaL_checktype(L, AT_TYPED, LUA_TFUNCTION);
    luaL_checktype(L, AT_SCALARS, LUA_TFUNCTION);
    lua_settop(L, AT_SCALARS);
    luaL_checkstack(L, LUA_MINSTACK + AT_TOP + 4 * MOST_DEPTH, NULL);
    lua_getfield(L, AT_FLAT, "count");
    lua_Integer n = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    k.a = new_alike(L, k.s, n);
    lua_getfield(L, AT_FLAT, "names");
    lua_setiuservalue(L, AT_ALIKE, ALIKE_NAMES);
    lua_getfield(L, AT_FLAT, "specs");
    lua_setiuservalue(L, AT_ALIKE, ALIKE_SPECS);
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) lua_getfield(L, AT_FLAT, fields[f]);
    luaL_checktype(L, AT_RESERVED, LUA_TTABLE);
    push_array_mark(L);
    for (int p = 0; p < POLICY_KEYS; p++) k.keys[p] = lua_pushstring(L, policy_keys[p]);
    k.run = lua_pushliteral(L, "run");
    k.after = lua_pushliteral(L, "after");
    k.type = lua_pushliteral(L, "type");
    k.with = lua_pushliteral(L, "with");
    lua_newtable(L);
    for (lua_Integer i = 1; i <= n; i++) take(L, &k, i);
    lua_settop(L, AT_ALIKE);
    return 1;
}

/* ---- what was kept --------------------------------------------------------------------------- */

orr_alike *orr_check_alike(lua_State *L, int idx) {
    if (lua_isnoneornil(L, idx)) return NULL;
    return orr_check_box(L, idx, orr_runs_of(orr_script_of(L))->alike_mt, "list of alike nodes");
}

void orr_alike_push_run(lua_State *L, int idx, const orr_alike_kind *kind, uint32_t i) {
    lua_getiuservalue(L, idx, kind->typed ? ALIKE_RUNS : ALIKE_SPECS);
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    lua_remove(L, -2);
    if (kind->typed) return;
    lua_pushliteral(L, "run");
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

static lua_Integer check_node(lua_State *L, const orr_alike *a) {
    lua_Integer i = luaL_checkinteger(L, 2);
    luaL_argcheck(L, i >= 1 && i <= a->n, 2, "there is no such node");
    return i;
}

/* alike:of(i) -> the node that was built in Lua and that node i is like, or nil where it was built
 * itself; its handler; {{node = j}, …} or nil: its dependencies */
static int alike_of(lua_State *L) {
    const orr_alike *a = orr_check_alike(L, 1);
    uint32_t i = (uint32_t)check_node(L, a) - 1;
    const orr_alike_kind *kind = orr_alike_kind_of(a, i);
    if (!kind) return 0;
    lua_pushinteger(L, (lua_Integer)kind->first + 1);
    orr_alike_push_run(L, 1, kind, i);
    uint32_t count = a->begin[i + 1] - a->begin[i];
    if (count == 0) return 2;
    lua_createtable(L, (int)count, 0);
    for (uint32_t d = 0; d < count; d++) {
        lua_createtable(L, 0, 1);
        lua_pushinteger(L, (lua_Integer)a->from[a->begin[i] + d] + 1);
        lua_setfield(L, -2, "node");
        lua_rawseti(L, -2, (lua_Integer)d + 1);
    }
    return 3;
}

void orr_open_alike(lua_State *L, orr_script *s) {
    lua_newtable(L);
    orr_box_metatable(L);
    lua_pushliteral(L, "orrery.alike");
    lua_setfield(L, -2, "__name");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, alike_of);
    lua_setfield(L, -2, "of");
    lua_setfield(L, -2, "__index");
    orr_runs_of(s)->alike_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, core_alike);
}
