/* postgres_values.c - see postgres_values.h. */
#include "bind/postgres_values.h"
#include "lua/json.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types ----------------------------------------------------------------------------------- */

/* What every server has (pg_type.dat of its sources): a type, and the array of it. */
static const struct known {
    Oid type, list;
    orr_pq_kind kind;
} known[] = {
    {16, 1000, ORR_PQ_BOOLEAN}, {17, 1001, ORR_PQ_BYTES},                               /* bytea */
    {20, 1016, ORR_PQ_INTEGER}, {21, 1005, ORR_PQ_INTEGER}, {23, 1007, ORR_PQ_INTEGER}, /* int8 … */
    {26, 1028, ORR_PQ_INTEGER},                                                         /* oid */
    {700, 1021, ORR_PQ_FLOAT},  {701, 1022, ORR_PQ_FLOAT},  {1700, 1231, ORR_PQ_NUMERIC},
    {114, 199, ORR_PQ_JSON},    {3802, 3807, ORR_PQ_JSON},                             /* jsonb */
    {18, 1002, ORR_PQ_TEXT},    {19, 1003, ORR_PQ_TEXT},    {25, 1009, ORR_PQ_TEXT},   /* text */
    {1042, 1014, ORR_PQ_TEXT},  {1043, 1015, ORR_PQ_TEXT},  {142, 143, ORR_PQ_TEXT},   /* xml */
    {650, 651, ORR_PQ_TEXT},    {869, 1041, ORR_PQ_TEXT},   {829, 1040, ORR_PQ_TEXT},  /* macaddr */
    {790, 791, ORR_PQ_TEXT},    {2950, 2951, ORR_PQ_TEXT},                             /* uuid */
    {1082, 1182, ORR_PQ_TEXT},  {1083, 1183, ORR_PQ_TEXT},  {1266, 1270, ORR_PQ_TEXT}, /* time */
    {1114, 1115, ORR_PQ_TEXT},  {1184, 1185, ORR_PQ_TEXT},  {1186, 1187, ORR_PQ_TEXT}, /* interval */
    {1560, 1561, ORR_PQ_TEXT},  {1562, 1563, ORR_PQ_TEXT},                             /* varbit */
};

orr_pq_type orr_pq_type_of(Oid oid) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].type == oid) return (orr_pq_type){known[i].kind, true, false};
        if (known[i].list == oid) return (orr_pq_type){known[i].kind, true, true};
    }
    return (orr_pq_type){ORR_PQ_TEXT, false, false};
}

/* ---- reading --------------------------------------------------------------------------------- */

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char octal(const char *digits) {
    return (char)((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0');
}

/* Both formats of bytea_output: \x and digits in pairs; bytes, of which some are \ooo and \\. */
static void push_bytes(lua_State *L, const char *text, size_t size) {
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, size + 1);
    size_t n = 0;
    if (size >= 2 && text[0] == '\\' && text[1] == 'x') {
        for (size_t i = 2; i + 1 < size; i += 2) to[n++] = (char)(hex(text[i]) * 16 + hex(text[i + 1]));
    } else {
        for (size_t i = 0; i < size; i++) {
            bool escaped = text[i] == '\\';
            if (escaped && size - i >= 4 && text[i + 1] != '\\') {
                to[n++] = octal(text + i + 1);
                i += 3;
            } else {
                i += escaped && i + 1 < size;
                to[n++] = text[i];
            }
        }
    }
    luaL_pushresultsize(&b, n);
}

/* Lua reads no NaN and no infinity, and these are no plain data either. */
static void push_float(lua_State *L, const char *text, size_t size) {
    if (lua_stringtonumber(L, text) == 0) {
        lua_pushlstring(L, text, size);
        return;
    }
    lua_pushnumber(L, lua_tonumber(L, -1));
    lua_remove(L, -2);
}

static void push_json(lua_State *L, const char *text, size_t size) {
    static const orr_json_reading how = {.duplicates = true};
    if (orr_json_decode(L, text, size, &how)) return;
    lua_pop(L, 1);
    lua_pushlstring(L, text, size);
}

static void push_scalar(lua_State *L, orr_pq_kind kind, const char *text, size_t size, bool floats) {
    switch (kind) {
    case ORR_PQ_BOOLEAN: lua_pushboolean(L, text[0] == 't'); break;
    case ORR_PQ_INTEGER: lua_pushinteger(L, strtoll(text, NULL, 10)); break;
    case ORR_PQ_FLOAT: push_float(L, text, size); break;
    case ORR_PQ_JSON: push_json(L, text, size); break;
    case ORR_PQ_BYTES: push_bytes(L, text, size); break;
    case ORR_PQ_NUMERIC:
        if (floats) {
            push_float(L, text, size);
            break;
        }
        /* fall through */
    default: lua_pushlstring(L, text, size);
    }
}

/* An array as a text (PostgreSQL's manual, "Array Input and Output Syntax"). */
typedef struct list_reading {
    const char *at, *end;
    orr_pq_kind kind;
    bool floats;
} list_reading;

enum { DEEPEST = 16 }; /* the server allows 6 */

/* Where the item in quotes that begins at `from` has its last one; NULL where there is none. */
static const char *find_quote(const char *from, const char *end) {
    for (; from < end && *from != '"'; from++)
        if (*from == '\\') from++;
    return from < end ? from : NULL;
}

/* The item in quotes whose first one was read. */
static bool push_quoted(lua_State *L, list_reading *r) {
    const char *last = find_quote(r->at, r->end);
    if (!last) return false;
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, (size_t)(last - r->at) + 1);
    size_t n = 0;
    for (; r->at < last; r->at++) {
        if (*r->at == '\\') r->at++;
        to[n++] = *r->at;
    }
    r->at++;
    luaL_pushresultsize(&b, n);
    return true;
}

/* Pushes an item without quotes; whether it is NULL. */
static bool push_bare(lua_State *L, list_reading *r) {
    const char *from = r->at;
    while (r->at < r->end && *r->at != ',' && *r->at != '}') r->at++;
    size_t size = (size_t)(r->at - from);
    bool is_null = size == 4 && memcmp(from, "NULL", 4) == 0;
    if (is_null) orr_json_push_null(L);
    else lua_pushlstring(L, from, size);
    return is_null;
}

/* The text at the top as a value of that kind in its place. */
static void convert(lua_State *L, const list_reading *r) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    push_scalar(L, r->kind, text, size, r->floats);
    lua_remove(L, -2);
}

/* The list at r->at, after its "{". False with something pushed where it is none. */
static bool push_list(lua_State *L, list_reading *r, int depth) {
    if (depth == DEEPEST || !lua_checkstack(L, LUA_MINSTACK)) return lua_pushnil(L), false;
    lua_newtable(L);
    orr_json_mark_array(L, -1);
    if (r->at < r->end && *r->at == '}') return r->at++, true;
    for (lua_Integer i = 1; r->at < r->end; i++) {
        if (*r->at == '{') {
            r->at++;
            if (!push_list(L, r, depth + 1)) return false;
        } else if (*r->at == '"') {
            r->at++;
            if (!push_quoted(L, r)) return false;
            convert(L, r);
        } else if (!push_bare(L, r)) convert(L, r);
        lua_rawseti(L, -2, i);
        if (r->at == r->end) return false;
        char next = *r->at++;
        if (next == '}') return true;
        if (next != ',') return false;
    }
    return false;
}

void orr_pq_push(lua_State *L, orr_pq_type type, const char *text, size_t size, bool floats) {
    if (!type.list) {
        push_scalar(L, type.kind, text, size, floats);
        return;
    }
    const char *open = memchr(text, '{', size); /* after [2:3]= where it does not count from 1 */
    list_reading r = {open ? open + 1 : NULL, text + size, type.kind, floats};
    int top = lua_gettop(L);
    if (open && push_list(L, &r, 0)) return;
    lua_settop(L, top);
    lua_pushlstring(L, text, size);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void add_text(orr_packed *out, const char *text) {
    orr_pack_bytes(out, text, strlen(text));
}

static bool write_number(lua_State *L, int idx, orr_packed *out) {
    char text[32];
    if (lua_isinteger(L, idx)) {
        snprintf(text, sizeof text, LUA_INTEGER_FMT, lua_tointeger(L, idx));
        return add_text(out, text), true;
    }
    double number = lua_tonumber(L, idx);
    if (!isfinite(number))
        return add_text(out, isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity"), true;
    if (!orr_json_encode(L, idx, NULL)) return false;
    size_t size; /* the shortest that reads back as the same; without .0 it may be an integer, too */
    const char *shortest = lua_tolstring(L, -1, &size);
    if (size > 2 && memcmp(shortest + size - 2, ".0", 2) == 0) size -= 2;
    orr_pack_bytes(out, shortest, size);
    return lua_pop(L, 1), true;
}

static void write_hex(const char *bytes, size_t size, orr_packed *out) {
    static const char digits[] = "0123456789abcdef";
    add_text(out, "\\x");
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        orr_pack_bytes(out, &digits[byte >> 4], 1);
        orr_pack_bytes(out, &digits[byte & 15], 1);
    }
}

static bool write_string(lua_State *L, int idx, orr_pq_kind kind, bool raw, orr_packed *out) {
    size_t size;
    const char *text = lua_tolstring(L, idx, &size);
    if (kind == ORR_PQ_BYTES && !raw) return write_hex(text, size, out), true;
    if (kind != ORR_PQ_BYTES && memchr(text, 0, size))
        return lua_pushliteral(L, "text with a NUL byte, which only bytea holds"), false;
    orr_pack_bytes(out, text, size);
    return true;
}

static bool write_json(lua_State *L, int idx, orr_packed *out) {
    if (!orr_json_encode(L, idx, NULL)) return false;
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    orr_pack_bytes(out, text, size);
    return lua_pop(L, 1), true;
}

static bool write_scalar(lua_State *L, int idx, orr_pq_kind kind, bool raw, orr_packed *out) {
    if (kind == ORR_PQ_JSON) return write_json(L, idx, out);
    switch (lua_type(L, idx)) {
    case LUA_TBOOLEAN: return add_text(out, lua_toboolean(L, idx) ? "true" : "false"), true;
    case LUA_TNUMBER: return write_number(L, idx, out);
    case LUA_TSTRING: return write_string(L, idx, kind, raw, out);
    case LUA_TTABLE: return lua_pushliteral(L, "an object, which only json and jsonb hold"), false;
    default: return lua_pushfstring(L, "a %s, which is no value of a database", luaL_typename(L, idx)), false;
    }
}

/* Puts what is in `out` from `from` on into quotes. It grows, so it is moved from its end on. */
static void quote(orr_packed *out, size_t from) {
    size_t size = out->size - from, more = 2;
    for (size_t i = 0; i < size; i++) more += out->data[from + i] == '"' || out->data[from + i] == '\\';
    for (size_t i = 0; i < more; i++) orr_pack_bytes(out, "\"", 1);
    if (out->failed) return;
    char *to = out->data + out->size - 1;
    for (size_t i = size; i > 0; i--) {
        char c = out->data[from + i - 1];
        *--to = c;
        if (c == '"' || c == '\\') *--to = '\\';
    }
    *--to = '"';
}

static bool is_null(lua_State *L, int idx) {
    return lua_isnil(L, idx) || orr_json_is_null(L, idx);
}

static bool write_list(lua_State *L, int idx, orr_pq_kind kind, int depth, orr_packed *out);

/* The item at the top. */
static bool write_item(lua_State *L, orr_pq_kind kind, int depth, orr_packed *out) {
    int idx = lua_gettop(L);
    if (is_null(L, idx)) return add_text(out, "NULL"), true;
    if (lua_istable(L, idx) && kind != ORR_PQ_JSON) return write_list(L, idx, kind, depth + 1, out);
    size_t from = out->size;
    if (!write_scalar(L, idx, kind, false, out)) return false;
    quote(out, from);
    return true;
}

static bool write_list(lua_State *L, int idx, orr_pq_kind kind, int depth, orr_packed *out) {
    lua_Integer items = (lua_Integer)lua_rawlen(L, idx);
    if (depth == DEEPEST) return lua_pushliteral(L, "a list that is too deep for an array"), false;
    lua_pushnil(L);
    if (items == 0 && lua_next(L, idx))
        return lua_pushliteral(L, "an object, which only json and jsonb hold"), false;
    luaL_checkstack(L, LUA_MINSTACK, "a list in too many lists");
    add_text(out, "{");
    for (lua_Integer i = 1; i <= items; i++) {
        if (i > 1) add_text(out, ",");
        lua_rawgeti(L, idx, i);
        if (!write_item(L, kind, depth, out)) return false;
        lua_pop(L, 1);
    }
    return add_text(out, "}"), true;
}

bool orr_pq_write(lua_State *L, int idx, orr_pq_type type, bool raw, orr_packed *out) {
    idx = lua_absindex(L, idx);
    bool list = lua_istable(L, idx) && (type.list || (!type.known && type.kind != ORR_PQ_JSON));
    return list ? write_list(L, idx, type.kind, 0, out) : write_scalar(L, idx, type.kind, raw, out);
}

/* The letters that stand for what separates fields and rows. */
static char letter_of(char c) {
    return c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c;
}

bool orr_pq_write_field(lua_State *L, int idx, orr_pq_type type, orr_packed *scratch, orr_packed *out) {
    if (is_null(L, idx)) return add_text(out, "\\N"), true;
    scratch->size = 0;
    if (!orr_pq_write(L, idx, type, false, scratch)) return false;
    out->failed |= scratch->failed;
    const char *at = scratch->data, *end = at + scratch->size;
    while (at < end) {
        const char *plain = at;
        while (at < end && *at != '\\' && *at != '\n' && *at != '\r' && *at != '\t') at++;
        orr_pack_bytes(out, plain, (size_t)(at - plain));
        if (at == end) break;
        char two[2] = {'\\', letter_of(*at++)};
        orr_pack_bytes(out, two, sizeof two);
    }
    return true;
}
