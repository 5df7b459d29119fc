/* json_encode.c - a Lua value as JSON text (RFC 8259). */
#include "lua/json_inner.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW_KEYS 16               /* an object of more collects its keys in a table */
#define SLOTS (16 + 2 * FEW_KEYS) /* stack slots that every level of the walk wants free */

typedef struct sort_key {
    const char *s;
    size_t n;
    int at; /* which of the collected keys it is, or its slot */
} sort_key;

typedef struct writer {
    lua_State *L;
    orr_jbuf out;
    size_t fits;          /* bytes of `out` that there is room for and that the limit allows */
    orr_json_writing how; /* with the defaults filled in */
    orr_jmarks marks;
} writer;

static bool put_value(writer *w, orr_jframe *at, int depth);

/* ---- scalars --------------------------------------------------------------------------------- */

/* Makes room for `n` bytes, unless the limit is in the way. */
static bool room(writer *w, const orr_jframe *at, size_t n) {
    if (n > w->how.limit || w->out.n > w->how.limit - n) {
        if (w->how.too_large) *w->how.too_large = true;
        return orr_jfail(w->L, at, w->how.root,
                         "does not fit: the JSON text would be longer than the limit of %I bytes",
                         (LUAI_UACINT)w->how.limit);
    }
    orr_jbuf_room(&w->out, n);
    w->fits = w->out.cap < w->how.limit ? w->out.cap : w->how.limit;
    return true;
}

static inline bool put(writer *w, const orr_jframe *at, const char *s, size_t n) {
    if (n > w->fits - w->out.n && !room(w, at, n)) return false;
    memcpy(w->out.p + w->out.n, s, n);
    w->out.n += n;
    return true;
}

static inline bool put_char(writer *w, const orr_jframe *at, char c) {
    return put(w, at, &c, 1);
}

static inline bool put_literal(writer *w, const orr_jframe *at, const char *s) {
    return put(w, at, s, strlen(s));
}

static bool put_number(writer *w, const orr_jframe *at) {
    char text[ORR_JSON_NUMBER];
    if (lua_isinteger(w->L, -1)) {
        lua_Integer i = lua_tointeger(w->L, -1);
        char *end = text + sizeof text;
        char *first = orr_json_digits(i < 0 ? 0 - (lua_Unsigned)i : (lua_Unsigned)i, end);
        if (i < 0) *--first = '-';
        return put(w, at, first, (size_t)(end - first));
    }
    double d = lua_tonumber(w->L, -1);
    if (!isfinite(d))
        return orr_jfail(w->L, at, w->how.root, "is %s; JSON has finite numbers only",
                         isnan(d) ? "NaN" : "an infinite number");
    return put(w, at, text, orr_json_float(d, text));
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

/* The text from `p` on, up to which nothing needs a closer look, and the quote after it. */
static bool put_rest(writer *w, const orr_jframe *at, const char *s, const char *p, const char *end) {
    const char *from = s;
    char text[8];
    for (; (p = orr_json_plain(p, end)) < end;) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x80) {
            int length = orr_utf8_sequence(p, end);
            if (length == 0)
                return orr_jfail(w->L, at, w->how.root,
                                 "is not UTF-8 text (byte %d at position %I); JSON holds "
                                 "only text, so encode binary data first, for instance as base64 or hex",
                                 (int)c, (LUAI_UACINT)(p - s) + 1);
            p += length;
        } else {
            if (!put(w, at, from, (size_t)(p - from)) || !put(w, at, text, escape(c, text))) return false;
            from = ++p;
        }
    }
    return put(w, at, from, (size_t)(p - from)) && put_char(w, at, '"');
}

static bool put_string(writer *w, const orr_jframe *at, const char *s, size_t n) {
    const char *end = s + n, *p = orr_json_plain(s, end);
    if (!put_char(w, at, '"')) return false;
    if (p < end) return put_rest(w, at, s, p, end);
    return put(w, at, s, n) && put_char(w, at, '"');
}

static bool put_bytes(writer *w, const orr_jframe *at, const char *s, size_t n) {
    if (n > w->how.limit) return put(w, at, s, n); /* which says so */
    if (!put_literal(w, at, "{\"$bytes\":\"")) return false;
    orr_json_base64(&w->out, s, n);
    w->fits = w->out.n; /* it may be beyond the limit now */
    return put_literal(w, at, "\"}");
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool put_indented(writer *w, const orr_jframe *at, int depth) {
    static const char spaces[] = "                                ";
    if (!put_char(w, at, '\n')) return false;
    for (size_t left = (size_t)w->how.indent * (size_t)depth; left > 0;) {
        size_t n = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        if (!put(w, at, spaces, n)) return false;
        left -= n;
    }
    return true;
}

/* A new line, indented for what stands `depth` tables deep. */
static inline bool put_line(writer *w, const orr_jframe *at, int depth) {
    return w->how.indent == 0 || put_indented(w, at, depth);
}

static bool put_array(writer *w, const orr_jframe *at, int t, size_t items, int depth) {
    orr_jframe inner = {.up = at};
    if (!put_char(w, at, '[')) return false;
    for (size_t i = 1; i <= items; i++) {
        inner.item = (lua_Integer)i;
        if ((i > 1 && !put_char(w, at, ',')) || !put_line(w, at, depth)) return false;
        lua_rawgeti(w->L, t, inner.item);
        if (!put_value(w, &inner, depth + 1)) return false;
        lua_settop(w->L, t);
    }
    return (items == 0 || put_line(w, at, depth - 1)) && put_char(w, at, ']');
}

/* A list whose items are read now, one at a time. */
static bool put_items(writer *w, const orr_jframe *at, int t, lua_Integer items, int depth) {
    orr_jframe inner = {.up = at};
    if (!put_char(w, at, '[')) return false;
    for (lua_Integer i = 1; i <= items; i++) {
        inner.item = i;
        if ((i > 1 && !put_char(w, at, ',')) || !put_line(w, at, depth)) return false;
        if (!orr_lazy_item(w->L, t, i))
            return orr_jfail(w->L, at, w->how.root, "cannot be written: %s", lua_tostring(w->L, -1));
        if (!put_value(w, &inner, depth + 1)) return false;
        lua_settop(w->L, t);
    }
    return (items == 0 || put_line(w, at, depth - 1)) && put_char(w, at, ']');
}

static bool put_lazy(writer *w, const orr_jframe *at, int t, int depth) {
    lua_State *L = w->L;
    if (!lua_checkstack(L, SLOTS))
        return orr_jfail(L, at, w->how.root, "is nested too deep for the memory there is");
    const orr_lazy *list = orr_lazy_at(L, t);
    bool placed = w->how.spools && list->form && (w->how.lists || strcmp(list->form, "$list") != 0);
    if (!placed || !orr_lazy_place(L, t, w->how.spools)) return put_items(w, at, t, list->n, depth);
    orr_jframe inner = {.up = at};
    return put_char(w, at, '{') && put_string(w, at, list->form, strlen(list->form)) &&
           put_char(w, at, ':') && put_value(w, &inner, depth + 1) && put_char(w, at, '}');
}

/* Writes one field; its key is the one in slot `key`, its value on top of the stack. */
static bool put_field(writer *w, const orr_jframe *at, int key, sort_key name, bool first, int depth) {
    orr_jframe inner = {.up = at, .key = key};
    if (!first && !put_char(w, at, ',')) return false;
    if (!put_line(w, at, depth) || !put_string(w, &inner, name.s, name.n)) return false;
    if (!put_char(w, at, ':') || (w->how.indent > 0 && !put_char(w, at, ' '))) return false;
    return put_value(w, &inner, depth + 1);
}

static bool put_fields_unsorted(writer *w, const orr_jframe *at, int t, int depth) {
    bool first = true;
    lua_pushnil(w->L);
    while (lua_next(w->L, t)) {
        sort_key name;
        name.s = lua_tolstring(w->L, t + 1, &name.n);
        if (!put_field(w, at, t + 1, name, first, depth)) return false;
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

/* Sorts the keys of the table at `t`. They are held in a table, so that none is collected while its
 * bytes are used: a finaliser may run at any allocation and may change `t`. */
static bool put_fields_sorted(writer *w, const orr_jframe *at, int t, size_t names, int depth) {
    lua_State *L = w->L;
    if (names > INT32_MAX / 2) return orr_jfail(L, at, w->how.root, "has too many fields");
    int count = (int)names, n = 0;
    sort_key *keys = lua_newuserdatauv(L, names * sizeof *keys, 0);
    lua_createtable(L, count, 0);
    int held = lua_gettop(L);
    lua_pushnil(L);
    while (n < count && lua_next(L, t)) {
        lua_pop(L, 1);
        sort_key *key = &keys[n];
        key->s = lua_tolstring(L, -1, &key->n);
        key->at = ++n;
        lua_pushvalue(L, -1);
        lua_rawseti(L, held, n);
    }
    qsort(keys, (size_t)n, sizeof *keys, compare_keys);
    for (int i = 0; i < n; i++) {
        lua_settop(L, held);
        lua_rawgeti(L, held, keys[i].at);
        lua_pushvalue(L, -1);
        lua_rawget(L, t);
        if (!put_field(w, at, held + 1, keys[i], i == 0, depth)) return false;
    }
    return true;
}

/* The fields of the table at `t` where it has a few and nothing else: a key and its value are two
 * slots above it. Keys stand in the order in which they are written. */
typedef struct few_fields {
    sort_key keys[FEW_KEYS];
    int n;
    bool dollar; /* a key begins with one */
} few_fields;

/* False: it is not such a table, and the stack is as it was. */
static bool take_few(writer *w, int t, few_fields *few) {
    lua_State *L = w->L;
    few->n = 0;
    few->dollar = false;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        if (few->n == FEW_KEYS || lua_type(L, -2) != LUA_TSTRING) {
            few->n = 0;
            break;
        }
        sort_key key = {.at = t + 1 + 2 * few->n};
        key.s = lua_tolstring(L, -2, &key.n);
        few->dollar |= *key.s == '$';
        int place = few->n++;
        for (; place > 0 && !w->how.unsorted && compare_keys(&key, &few->keys[place - 1]) < 0; place--)
            few->keys[place] = few->keys[place - 1];
        few->keys[place] = key;
        lua_pushvalue(L, -2);
    }
    if (few->n == 0) lua_settop(L, t);
    return few->n > 0;
}

static bool put_few(writer *w, const orr_jframe *at, const few_fields *few, int depth) {
    lua_State *L = w->L;
    int top = lua_gettop(L);
    for (int i = 0; i < few->n; i++) {
        lua_settop(L, top);
        lua_pushvalue(L, few->keys[i].at + 1);
        if (!put_field(w, at, few->keys[i].at, few->keys[i], i == 0, depth)) return false;
    }
    return true;
}

/* True where the table at `t` was of a few fields, and `good` whether all went well. */
static bool put_small(writer *w, const orr_jframe *at, int t, int depth, bool *good) {
    few_fields few;
    if (!take_few(w, t, &few)) return false;
    orr_jshape shape = {.names = (size_t)few.n};
    bool dollar = few.dollar && w->how.binary;
    *good = orr_jshape_end(w->L, &shape, t, &w->marks, at, w->how.root) &&
            put_literal(w, at, dollar ? "{\"$object\":{" : "{") && put_few(w, at, &few, depth) &&
            put_line(w, at, depth - 1) && put_literal(w, at, dollar ? "}}" : "}");
    return true;
}

static bool put_table(writer *w, orr_jframe *at, int depth) {
    lua_State *L = w->L;
    int t = lua_gettop(L);
    if (!lua_checkstack(L, SLOTS))
        return orr_jfail(L, at, w->how.root, "is nested too deep for the memory there is");
    at->table = lua_topointer(L, t);
    if (depth > w->how.depth) return orr_jfail_deep(L, at, w->how.root, w->how.depth);
    if (orr_jmarks_lazy(L, &w->marks, t)) return put_lazy(w, at, t, depth);
    bool dollar = false, good;
    if (put_small(w, at, t, depth, &good)) return good;
    orr_jshape shape = {0, 0, 0, false};
    lua_pushnil(L);
    while (lua_next(L, t)) {
        if (!orr_jshape_key(L, &shape, t + 1, at, w->how.root)) return false;
        lua_pop(L, 1);
        dollar |= w->how.binary && lua_type(L, -1) == LUA_TSTRING && *lua_tostring(L, -1) == '$';
    }
    if (!orr_jshape_end(L, &shape, t, &w->marks, at, w->how.root)) return false;
    if (shape.is_array) return put_array(w, at, t, shape.items, depth);
    if (shape.names == 0) return put(w, at, "{}", 2);
    if (!put_literal(w, at, dollar ? "{\"$object\":{" : "{")) return false;
    good = w->how.unsorted ? put_fields_unsorted(w, at, t, depth)
                           : put_fields_sorted(w, at, t, shape.names, depth);
    return good && put_line(w, at, depth - 1) && put_literal(w, at, dollar ? "}}" : "}");
}

/* Writes the value on top of the stack, and may leave more above it. */
static bool put_value(writer *w, orr_jframe *at, int depth) {
    lua_State *L = w->L;
    size_t n;
    const char *s;
    switch (lua_type(L, -1)) {
    case LUA_TNIL: return put_literal(w, at, "null");
    case LUA_TBOOLEAN: return put_literal(w, at, lua_toboolean(L, -1) ? "true" : "false");
    case LUA_TNUMBER: return put_number(w, at);
    case LUA_TSTRING:
        s = lua_tolstring(L, -1, &n);
        return w->how.binary && !orr_json_is_text(s, n) ? put_bytes(w, at, s, n) : put_string(w, at, s, n);
    case LUA_TTABLE: return put_table(w, at, depth);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == NULL) return put_literal(w, at, "null");
        /* fall through */
    default:
        return orr_jfail(L, at, w->how.root,
                         "is a %s; JSON holds nil, boolean, number, string, array or table of those",
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
    if (w.how.depth == 0) w.how.depth = ORR_JSON_DEPTH;
    if (w.how.limit == 0) w.how.limit = ORR_JSON_LIMIT;
    if (!w.how.root) w.how.root = "value";
    w.marks = orr_jmarks_of(L);
    orr_jbuf_init(&w.out, L);
    w.fits = w.out.cap < w.how.limit ? w.out.cap : w.how.limit;
    lua_pushvalue(L, idx);
    orr_jframe at = {.up = NULL};
    bool good = put_value(&w, &at, 1);
    if (good) lua_pushlstring(L, w.out.p, w.out.n);
    orr_jbuf_drop(&w.out);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return good;
}
