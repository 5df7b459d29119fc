/* json_encode.c - a Lua value as JSON text (RFC 8259). */
#include "json_internal.h"

#include <lauxlib.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 16        /* stack slots that every level of the walk wants free */
#define KEYS_ON_STACK 64 /* an object of more keys collects them in a table */

typedef struct writer {
    lua_State *L;
    orr_jbuf out;
    orr_json_writing how; /* with the defaults filled in */
    orr_jmarks marks;
} writer;

typedef struct sort_key {
    const char *s;
    size_t n;
    int at; /* which of the collected keys it is */
} sort_key;

static bool put_value(writer *w, orr_jframe *at, int depth);

/* ---- scalars ------------------------------------------------------------------------------------------------ */

static bool put(writer *w, const orr_jframe *at, const char *s, size_t n) {
    if (n > w->how.limit || w->out.n > w->how.limit - n) {
        if (w->how.too_large)
            *w->how.too_large = true;
        return orr_jfail(w->L, at, w->how.root, "does not fit: the JSON text would be longer than the limit of %I bytes",
                         (LUAI_UACINT)w->how.limit);
    }
    orr_jbuf_add(&w->out, s, n);
    return true;
}

static bool put_literal(writer *w, const orr_jframe *at, const char *s) {
    return put(w, at, s, strlen(s));
}

/* The shortest of 15, 16 or 17 digits that reads back as the same number. C writes the point of the process's locale
 * (taken to be one byte); a fraction is marked even where it is zero, so that a float stays one. */
static size_t float_text(double d, char *text, size_t size) {
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, size, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    char point = localeconv()->decimal_point[0];
    for (int i = 0; i < n; i++) {
        if (text[i] == point)
            text[i] = '.';
    }
    if (!strpbrk(text, ".e")) {
        memcpy(text + n, ".0", 3);
        n += 2;
    }
    return (size_t)n;
}

/* Writes the digits to the left of `end`; where they begin. Journals are full of integers, and printf takes ten times as long. */
static char *integer_text(lua_Integer i, char *end) {
    lua_Unsigned n = i < 0 ? 0 - (lua_Unsigned)i : (lua_Unsigned)i;
    do {
        *--end = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    if (i < 0)
        *--end = '-';
    return end;
}

static bool put_number(writer *w, const orr_jframe *at) {
    char text[48];
    if (lua_isinteger(w->L, -1)) {
        char *end = text + sizeof text, *first = integer_text(lua_tointeger(w->L, -1), end);
        return put(w, at, first, (size_t)(end - first));
    }
    double d = lua_tonumber(w->L, -1);
    if (!isfinite(d))
        return orr_jfail(w->L, at, w->how.root, "is %s; JSON has finite numbers only",
                         isnan(d) ? "NaN" : "an infinite number");
    return put(w, at, text, float_text(d, text, sizeof text));
}

static size_t escape(unsigned char c, char *text) {
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    text[0] = '\\';
    for (const char *l = letters; *l; l += 2) {
        if ((unsigned char)l[0] == c) {
            text[1] = l[1];
            return 2;
        }
    }
    return (size_t)snprintf(text, 8, "\\u%04x", c);
}

static bool put_string(writer *w, const orr_jframe *at, const char *s, size_t n) {
    const char *end = s + n, *from = s, *p = s;
    char text[8];
    if (!put(w, at, "\"", 1))
        return false;
    while ((p = orr_json_plain(p, end)) < end) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x80) {
            int length = orr_utf8_sequence(p, end);
            if (length == 0)
                return orr_jfail(w->L, at, w->how.root, "is not UTF-8 text (byte %d at position %I); JSON holds "
                                 "only text, so encode binary data first, for instance as base64 or hex",
                                 (int)c, (LUAI_UACINT)(p - s) + 1);
            p += length;
        } else {
            if (!put(w, at, from, (size_t)(p - from)) || !put(w, at, text, escape(c, text)))
                return false;
            from = ++p;
        }
    }
    return put(w, at, from, (size_t)(p - from)) && put(w, at, "\"", 1);
}

static bool put_bytes(writer *w, const orr_jframe *at, const char *s, size_t n) {
    if (n > w->how.limit)
        return put(w, at, s, n); /* which says so */
    if (!put_literal(w, at, "{\"$bytes\":\""))
        return false;
    orr_json_base64(&w->out, s, n);
    return put_literal(w, at, "\"}");
}

/* ---- tables ------------------------------------------------------------------------------------------------- */

/* A new line, indented for what stands `depth` tables deep. */
static bool put_line(writer *w, const orr_jframe *at, int depth) {
    static const char spaces[] = "                                ";
    if (w->how.indent == 0)
        return true;
    if (!put(w, at, "\n", 1))
        return false;
    for (size_t left = (size_t)w->how.indent * (size_t)depth; left > 0;) {
        size_t n = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        if (!put(w, at, spaces, n))
            return false;
        left -= n;
    }
    return true;
}

static bool put_array(writer *w, const orr_jframe *at, int t, size_t items, int depth) {
    orr_jframe inner = {.up = at};
    if (!put(w, at, "[", 1))
        return false;
    for (size_t i = 1; i <= items; i++) {
        inner.item = (lua_Integer)i;
        if ((i > 1 && !put(w, at, ",", 1)) || !put_line(w, at, depth))
            return false;
        lua_rawgeti(w->L, t, inner.item);
        if (!put_value(w, &inner, depth + 1))
            return false;
        lua_settop(w->L, t);
    }
    return (items == 0 || put_line(w, at, depth - 1)) && put(w, at, "]", 1);
}

/* Writes one field; its key and its value are on top of the stack. */
static bool put_field(writer *w, const orr_jframe *at, bool first, int depth) {
    lua_State *L = w->L;
    int key = lua_gettop(L) - 1;
    orr_jframe inner = {.up = at, .key = key};
    size_t n;
    const char *s = lua_tolstring(L, key, &n);
    if (!first && !put(w, at, ",", 1))
        return false;
    if (!put_line(w, at, depth) || !put_string(w, &inner, s, n))
        return false;
    if (!put_literal(w, at, w->how.indent > 0 ? ": " : ":"))
        return false;
    return put_value(w, &inner, depth + 1);
}

static bool put_fields_unsorted(writer *w, const orr_jframe *at, int t, int depth) {
    bool first = true;
    lua_pushnil(w->L);
    while (lua_next(w->L, t)) {
        if (!put_field(w, at, first, depth))
            return false;
        first = false;
        lua_settop(w->L, t + 1);
    }
    return true;
}

static int compare_keys(const void *a, const void *b) {
    const sort_key *x = a, *y = b;
    int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

/* Sorts the keys of the table at `t`. They are held on the stack or in a table, so that none is collected while
 * its bytes are used: a finaliser may run at any allocation and may change `t`. */
static bool put_fields_sorted(writer *w, const orr_jframe *at, int t, size_t names, int depth) {
    lua_State *L = w->L;
    if (names > INT32_MAX / 2)
        return orr_jfail(L, at, w->how.root, "has too many fields");
    int count = (int)names, n = 0;
    sort_key *keys = lua_newuserdatauv(L, names * sizeof *keys, 0);
    bool on_stack = count <= KEYS_ON_STACK;
    if (!on_stack)
        lua_createtable(L, count, 0);
    int held = lua_gettop(L); /* the table, or the slot below the first key */
    if (!lua_checkstack(L, SLOTS + (on_stack ? count : 0)))
        return orr_jfail(L, at, w->how.root, "is nested too deep for the memory there is");
    lua_pushnil(L);
    while (n < count && lua_next(L, t)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        keys[n].s = lua_tolstring(L, -1, &keys[n].n);
        keys[n].at = n + 1;
        n++;
        if (!on_stack)
            lua_rawseti(L, held, n);
    }
    lua_settop(L, held + (on_stack ? n : 0));
    qsort(keys, (size_t)n, sizeof *keys, compare_keys);
    int top = lua_gettop(L);
    for (int i = 0; i < n; i++) {
        if (on_stack)
            lua_pushvalue(L, held + keys[i].at);
        else
            lua_rawgeti(L, held, keys[i].at);
        lua_pushvalue(L, -1);
        lua_rawget(L, t);
        if (!put_field(w, at, i == 0, depth))
            return false;
        lua_settop(L, top);
    }
    return true;
}

static bool put_table(writer *w, orr_jframe *at, int depth) {
    lua_State *L = w->L;
    int t = lua_gettop(L);
    if (!lua_checkstack(L, SLOTS))
        return orr_jfail(L, at, w->how.root, "is nested too deep for the memory there is");
    at->table = lua_topointer(L, t);
    if (depth > w->how.depth)
        return orr_jfail_deep(L, at, w->how.root, w->how.depth);
    orr_jshape shape = {0, 0, 0};
    bool is_array, dollar = false;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        if (!orr_jshape_key(L, &shape, t + 1, at, w->how.root))
            return false;
        lua_pop(L, 1);
        dollar |= w->how.binary && lua_type(L, -1) == LUA_TSTRING && *lua_tostring(L, -1) == '$';
    }
    if (!orr_jshape_end(L, &shape, t, &w->marks, &is_array, at, w->how.root))
        return false;
    if (is_array)
        return put_array(w, at, t, shape.items, depth);
    if (shape.names == 0)
        return put(w, at, "{}", 2);
    if (!put_literal(w, at, dollar ? "{\"$object\":{" : "{"))
        return false;
    bool good = w->how.unsorted ? put_fields_unsorted(w, at, t, depth)
                                : put_fields_sorted(w, at, t, shape.names, depth);
    return good && put_line(w, at, depth - 1) && put_literal(w, at, dollar ? "}}" : "}");
}

/* Writes the value on top of the stack, and may leave more above it. */
static bool put_value(writer *w, orr_jframe *at, int depth) {
    lua_State *L = w->L;
    size_t n;
    const char *s;
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        return put_literal(w, at, "null");
    case LUA_TBOOLEAN:
        return put_literal(w, at, lua_toboolean(L, -1) ? "true" : "false");
    case LUA_TNUMBER:
        return put_number(w, at);
    case LUA_TSTRING:
        s = lua_tolstring(L, -1, &n);
        return w->how.binary && !orr_json_is_text(s, n) ? put_bytes(w, at, s, n) : put_string(w, at, s, n);
    case LUA_TTABLE:
        return put_table(w, at, depth);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == NULL)
            return put_literal(w, at, "null");
        /* fall through */
    default:
        return orr_jfail(L, at, w->how.root, "is a %s; JSON holds nil, boolean, number, string, array or table of those",
                         luaL_typename(L, -1));
    }
}

bool orr_json_encode(lua_State *L, int idx, const orr_json_writing *how) {
    static const orr_json_writing defaults = {.indent = 0};
    writer w;
    int top = lua_gettop(L);
    luaL_checkstack(L, SLOTS, NULL);
    idx = lua_absindex(L, idx);
    w.L = L;
    w.how = how ? *how : defaults;
    if (w.how.depth == 0)
        w.how.depth = ORR_JSON_DEPTH;
    if (w.how.limit == 0)
        w.how.limit = ORR_JSON_LIMIT;
    if (!w.how.root)
        w.how.root = "value";
    w.marks = orr_jmarks_of(L);
    orr_jbuf_init(&w.out, L);
    lua_pushvalue(L, idx);
    orr_jframe at = {.up = NULL};
    bool good = put_value(&w, &at, 1);
    if (good)
        lua_pushlstring(L, w.out.p, w.out.n);
    orr_jbuf_drop(&w.out);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return good;
}
