/* plain.c - what a plain value is, and how a place in one is named. */
#include "lua/json_inner.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define PATH_HEAD 8 /* segments shown of a long path: the first ones and the last ones */
#define PATH_TAIL 4
#define KEY_SHOWN 40     /* bytes shown of a long key */
#define SEEN_AFTER 10000 /* tables walked before shared ones are remembered */
#define SLOTS 16         /* stack slots that every level of a walk wants free */

/* ---- paths ----------------------------------------------------------------------------------- */

static bool is_name(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
        if (!letter && !(i > 0 && s[i] >= '0' && s[i] <= '9')) return false;
    }
    return n > 0 && n <= KEY_SHOWN;
}

static void add_key(luaL_Buffer *b, const char *s, size_t n) {
    const char *end = s + (n < KEY_SHOWN ? n : KEY_SHOWN);
    if (is_name(s, n)) {
        luaL_addchar(b, '.');
        luaL_addlstring(b, s, n);
        return;
    }
    luaL_addstring(b, "[\"");
    while (s < end) { /* a message is printable text, whatever the key is */
        int length = orr_utf8_sequence(s, end);
        bool shown = length > 0 && (unsigned char)*s >= 0x20 && *s != '"';
        luaL_addlstring(b, shown ? s : "?", shown ? (size_t)length : 1);
        s += shown ? length : 1;
    }
    luaL_addstring(b, n > KEY_SHOWN ? "...\"]" : "\"]");
}

static void add_segment(luaL_Buffer *b, lua_State *L, const orr_jframe *f) {
    if (f->key != 0 && lua_type(L, f->key) == LUA_TSTRING) {
        size_t n;
        const char *s = lua_tolstring(L, f->key, &n);
        add_key(b, s, n);
        return;
    }
    lua_Integer item = f->key != 0 ? lua_tointeger(L, f->key) : f->item;
    char text[40];
    int n = snprintf(text, sizeof text, "[" LUA_INTEGER_FMT "]", (LUAI_UACINT)item);
    luaL_addlstring(b, text, (size_t)n);
}

static size_t depth_of(const orr_jframe *at) {
    size_t depth = 0;
    for (; at->up; at = at->up) depth++;
    return depth;
}

static const orr_jframe *above(const orr_jframe *at, size_t levels) {
    while (levels-- > 0) at = at->up;
    return at;
}

static void push_path(lua_State *L, const orr_jframe *at, const char *root) {
    size_t depth = depth_of(at);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, root);
    for (size_t i = 0; i < depth; i++) {
        if (i == PATH_HEAD && depth > PATH_HEAD + PATH_TAIL) {
            luaL_addstring(&b, "...");
            i = depth - PATH_TAIL;
        }
        add_segment(&b, L, above(at, depth - 1 - i));
    }
    luaL_pushresult(&b);
}

bool orr_jfail(lua_State *L, const orr_jframe *at, const char *root, const char *rest, ...) {
    va_list args;
    va_start(args, rest);
    const char *text = lua_pushvfstring(L, rest, args);
    va_end(args);
    push_path(L, at, root);
    lua_pushfstring(L, "%s %s", lua_tostring(L, -1), text);
    return false;
}

bool orr_jfail_deep(lua_State *L, const orr_jframe *at, const char *root, int depth) {
    /* Every table of the chain is looked for among its ancestors; this is slow, and done once,
     * before an error. */
    const orr_jframe *closing = NULL, *first = NULL;
    for (const orr_jframe *f = at; f; f = f->up) {
        for (const orr_jframe *g = f->up; f->table && g; g = g->up) {
            if (g->table == f->table) {
                closing = f;
                first = g;
            }
        }
    }
    if (!closing) return orr_jfail(L, at, root, "is nested deeper than %d levels", depth);
    push_path(L, first, root);
    return orr_jfail(L, closing, root, "is a cyclic table: it is %s again", lua_tostring(L, -1));
}

/* ---- shapes ---------------------------------------------------------------------------------- */

bool orr_jshape_key(lua_State *L, orr_jshape *shape, int key, const orr_jframe *at, const char *root) {
    if (lua_type(L, key) == LUA_TSTRING) {
        shape->names++;
        return true;
    }
    if (lua_isinteger(L, key)) {
        lua_Integer k = lua_tointeger(L, key);
        if (k >= 1) {
            shape->items++;
            if (k > shape->highest) shape->highest = k;
            return true;
        }
        return orr_jfail(L, at, root, "has the key %I; the items of an array have the keys 1 to n",
                         (LUAI_UACINT)k);
    }
    if (lua_type(L, key) == LUA_TNUMBER)
        return orr_jfail(L, at, root, "has the key %f; keys are strings, or 1 to n in an array",
                         (LUAI_UACNUMBER)lua_tonumber(L, key));
    return orr_jfail(L, at, root, "has a %s as a key; keys are strings, or 1 to n in an array",
                     luaL_typename(L, key));
}

/* Where an array has its first hole. The count of its keys is less than the highest, so there is
 * one. */
static lua_Integer first_hole(lua_State *L, int t) {
    lua_Integer i = 0;
    int type;
    do {
        type = lua_rawgeti(L, t, ++i);
        lua_pop(L, 1);
    } while (type != LUA_TNIL);
    return i;
}

bool orr_jshape_end(lua_State *L, orr_jshape *shape, int t, const orr_jmarks *marks, const orr_jframe *at,
                    const char *root) {
    const void *mark = NULL;
    if (lua_getmetatable(L, t)) {
        mark = lua_topointer(L, -1);
        lua_pop(L, 1);
    }
    shape->is_array = shape->items > 0 || (shape->names == 0 && mark && mark == marks->array);
    if (shape->items > 0 && shape->names > 0)
        return orr_jfail(L, at, root,
                         "mixes array items with named fields; use either the keys 1 to n or names");
    if ((size_t)shape->highest != shape->items)
        return orr_jfail(L, at, root, "is an array with a hole at item %I; put null where there is no value",
                         (LUAI_UACINT)first_hole(L, t));
    if (mark && mark == marks->array && shape->names > 0)
        return orr_jfail(L, at, root,
                         "is marked as an array and has named fields; make a new table for an object");
    if (mark && mark == marks->object && shape->items > 0)
        return orr_jfail(L, at, root, "is marked as an object and has array items; use strings as keys");
    return true;
}

/* ---- the check ------------------------------------------------------------------------------- */

typedef struct walk {
    lua_State *L;
    const char *root, *rule;
    orr_jmarks marks;
    int seen; /* stack slot: the set of tables found good, once there are many */
    size_t tables, bytes;
} walk;

static bool check_value(walk *w, orr_jframe *at, int depth);

static bool not_plain(walk *w, const orr_jframe *at, const char *what) {
    return orr_jfail(w->L, at, w->root, "is a %s; %s: nil, boolean, number, string, array or table of those",
                     what, w->rule);
}

/* Few outputs hold many tables. In those, one table may be reached by exponentially many paths,
 * so from then on each is walked once. */
static bool seen_before(walk *w, int t) {
    lua_State *L = w->L;
    if (++w->tables < SEEN_AFTER) return false;
    if (w->tables == SEEN_AFTER) {
        lua_newtable(L);
        lua_replace(L, w->seen);
    }
    lua_pushvalue(L, t);
    bool seen = lua_rawget(L, w->seen) != LUA_TNIL;
    lua_pop(L, 1);
    return seen;
}

static void remember(walk *w, int t) {
    if (w->tables >= SEEN_AFTER) {
        lua_pushvalue(w->L, t);
        lua_pushboolean(w->L, 1);
        lua_rawset(w->L, w->seen);
    }
}

static bool check_table(walk *w, orr_jframe *at, int depth) {
    lua_State *L = w->L;
    int t = lua_gettop(L);
    if (!lua_checkstack(L, SLOTS))
        return orr_jfail(L, at, w->root, "is nested too deep for the memory there is");
    at->table = lua_topointer(L, t);
    if (depth > ORR_JSON_DEPTH) return orr_jfail_deep(L, at, w->root, ORR_JSON_DEPTH);
    if (orr_jmarks_lazy(L, &w->marks, t)) { /* what it reads is plain already */
        w->bytes += ORR_BYTES_LAZY;
        return true;
    }
    if (seen_before(w, t)) return true;
    orr_jshape shape = {0, 0, 0, false};
    lua_pushnil(L);
    while (lua_next(L, t)) {
        orr_jframe inner = {.up = at, .key = t + 1};
        if (!orr_jshape_key(L, &shape, t + 1, at, w->root) || !check_value(w, &inner, depth + 1))
            return false;
        lua_settop(L, t + 1);
    }
    if (!orr_jshape_end(L, &shape, t, &w->marks, at, w->root)) return false;
    w->bytes += ORR_BYTES_TABLE + shape.items * ORR_BYTES_ITEM + shape.names * ORR_BYTES_FIELD;
    remember(w, t);
    return true;
}

/* Checks the value on top of the stack. Whatever it leaves above is a message, or for its caller
 * to drop. */
static bool check_value(walk *w, orr_jframe *at, int depth) {
    lua_State *L = w->L;
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN: return true;
    case LUA_TSTRING: w->bytes += ORR_BYTES_TEXT + lua_rawlen(L, -1); return true;
    case LUA_TNUMBER:
        if (!lua_isinteger(L, -1) && !isfinite(lua_tonumber(L, -1)))
            return orr_jfail(L, at, w->root, "is %s; %s, and its numbers are finite",
                             isnan(lua_tonumber(L, -1)) ? "NaN" : "an infinite number", w->rule);
        return true;
    case LUA_TTABLE: return check_table(w, at, depth);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == NULL) return true;
        /* fall through */
    default: return not_plain(w, at, luaL_typename(L, -1));
    }
}

bool orr_value_check(lua_State *L, int idx, const char *root, const char *rule) {
    size_t bytes = 0;
    return orr_value_measure(L, idx, root, rule, &bytes);
}

bool orr_value_measure(lua_State *L, int idx, const char *root, const char *rule, size_t *bytes) {
    int type = lua_type(L, idx);
    if (type == LUA_TSTRING) *bytes += ORR_BYTES_TEXT + lua_rawlen(L, idx);
    if (type == LUA_TSTRING || type == LUA_TNIL || type == LUA_TBOOLEAN || lua_isinteger(L, idx))
        return true; /* what most nodes return costs nothing */
    int top = lua_gettop(L);
    luaL_checkstack(L, SLOTS, NULL);
    walk w = {.L = L,
              .root = root,
              .rule = rule ? rule : "a handler returns plain data",
              .marks = orr_jmarks_of(L)};
    idx = lua_absindex(L, idx);
    lua_pushnil(L);
    w.seen = top + 1;
    lua_pushvalue(L, idx);
    orr_jframe at = {.up = NULL};
    bool good = check_value(&w, &at, 1);
    if (!good) lua_replace(L, w.seen);
    lua_settop(L, good ? top : top + 1);
    *bytes += w.bytes;
    return good;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Adds the value at the top to the set at `seen`; whether it was there. */
static bool counted(lua_State *L, int seen) {
    const void *address = lua_topointer(L, -1);
    bool again = lua_rawgetp(L, seen, address) != LUA_TNIL;
    lua_pop(L, 1);
    if (again) return true;
    lua_pushboolean(L, 1);
    lua_rawsetp(L, seen, address);
    return false;
}

/* The bytes of the value at the top; metamethods are not called. */
static size_t bytes_of(lua_State *L, int seen) {
    int type = lua_type(L, -1);
    if ((type != LUA_TSTRING && type != LUA_TTABLE) || counted(L, seen)) return 0;
    if (type == LUA_TSTRING) return ORR_BYTES_TEXT + lua_rawlen(L, -1);
    if (orr_lazy_at(L, -1)) return ORR_BYTES_LAZY;
    size_t bytes = ORR_BYTES_TABLE;
    int t = lua_gettop(L);
    if (!lua_checkstack(L, SLOTS)) return bytes;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        bytes += lua_type(L, -2) == LUA_TSTRING ? ORR_BYTES_FIELD : ORR_BYTES_ITEM;
        bytes += bytes_of(L, seen);
        lua_settop(L, t + 1);
    }
    return bytes;
}

size_t orr_value_bytes(lua_State *L, int idx) {
    int top = lua_gettop(L);
    luaL_checkstack(L, SLOTS, NULL);
    idx = lua_absindex(L, idx);
    lua_newtable(L);
    lua_pushvalue(L, idx);
    size_t bytes = bytes_of(L, top + 1);
    lua_settop(L, top);
    return bytes;
}
