/* pack.c - plain values as bytes and back, for what lies in a spool; and keys that sort as bytes.
 *
 * A value is a letter and what belongs to it: n nil, z null, t, f; i and d with 8 bytes; s with its
 * length and bytes; a with a count and items; o with a count and pairs of a text and a value.
 * Numbers are as the machine has them: a spool never leaves it.
 */
#include "lua/json.h"
#include "rows/inner.h"

#include <math.h>
#include <string.h>

#define DEEPEST 100

/* ---- values ---------------------------------------------------------------------------------- */

static bool add_text(orr_byte_list *out, const char *text, size_t size) {
    uint32_t length = (uint32_t)size;
    return size <= UINT32_MAX && orr_bytes_add(out, (const char *)&length, sizeof length) &&
           orr_bytes_add(out, text, size);
}

static const char *pack(lua_State *L, orr_byte_list *out, int idx, int depth);

static bool add_count(orr_byte_list *out, char letter, size_t count) {
    uint32_t n = (uint32_t)count;
    return count <= UINT32_MAX && orr_bytes_add(out, &letter, 1) &&
           orr_bytes_add(out, (const char *)&n, sizeof n);
}

static bool is_list(lua_State *L, int idx) {
    if (lua_rawlen(L, idx) > 0) return true;
    if (!lua_getmetatable(L, idx)) return false;
    lua_newtable(L);
    orr_json_mark_array(L, -1);
    lua_getmetatable(L, -1);
    bool is = lua_rawequal(L, -1, -3);
    lua_pop(L, 3);
    return is;
}

static const char *pack_list(lua_State *L, orr_byte_list *out, int idx, int depth) {
    size_t count = lua_rawlen(L, idx), fields = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) fields++;
    if (fields != count) return "a table is a list or an object, not both";
    if (!add_count(out, 'a', count)) return "there is not enough memory";
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i);
        const char *wrong = pack(L, out, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
        if (wrong) return wrong;
    }
    return NULL;
}

static const char *pack_object(lua_State *L, orr_byte_list *out, int idx, int depth) {
    size_t at = out->size + 1, size;
    uint32_t count = 0;
    if (!add_count(out, 'o', 0)) return "there is not enough memory";
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1), count++) {
        if (lua_type(L, -2) != LUA_TSTRING) return "the keys of an object are texts";
        const char *text = lua_tolstring(L, -2, &size);
        if (!add_text(out, text, size)) return "there is not enough memory";
        const char *wrong = pack(L, out, lua_gettop(L), depth + 1);
        if (wrong) return wrong;
    }
    memcpy(out->data + at, &count, sizeof count);
    return NULL;
}

static bool add_number(lua_State *L, orr_byte_list *out, int idx) {
    if (lua_isinteger(L, idx)) {
        lua_Integer n = lua_tointeger(L, idx);
        return orr_bytes_add(out, "i", 1) && orr_bytes_add(out, (const char *)&n, sizeof n);
    }
    lua_Number n = lua_tonumber(L, idx);
    return orr_bytes_add(out, "d", 1) && orr_bytes_add(out, (const char *)&n, sizeof n);
}

/* NULL, or what is wrong; the stack is then left as it is. */
static const char *pack(lua_State *L, orr_byte_list *out, int idx, int depth) {
    size_t size;
    bool good;
    if (depth > DEEPEST || !lua_checkstack(L, LUA_MINSTACK)) return "it is nested too deeply";
    switch (lua_type(L, idx)) {
    case LUA_TNIL: good = orr_bytes_add(out, "n", 1); break;
    case LUA_TBOOLEAN: good = orr_bytes_add(out, lua_toboolean(L, idx) ? "t" : "f", 1); break;
    case LUA_TNUMBER: good = add_number(L, out, idx); break;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, idx, &size);
        good = orr_bytes_add(out, "s", 1) && add_text(out, text, size);
        break;
    }
    case LUA_TTABLE: return is_list(L, idx) ? pack_list(L, out, idx, depth) : pack_object(L, out, idx, depth);
    default:
        if (!orr_json_is_null(L, idx)) return "it is no plain data";
        good = orr_bytes_add(out, "z", 1);
    }
    return good ? NULL : "there is not enough memory";
}

void orr_rows_pack(lua_State *L, orr_byte_list *out, int idx) {
    int top = lua_gettop(L);
    const char *wrong = pack(L, out, lua_absindex(L, idx), 0);
    lua_settop(L, top);
    if (wrong) luaL_error(L, "a row cannot be kept: %s", wrong);
}

static const char *take(const char **at, void *into, size_t size) {
    const char *from = *at;
    if (into) memcpy(into, from, size);
    *at = from + size;
    return from;
}

static void unpack_text(lua_State *L, const char **at) {
    uint32_t size;
    take(at, &size, sizeof size);
    lua_pushlstring(L, take(at, NULL, size), size);
}

static void unpack_table(lua_State *L, const char **at, bool list) {
    uint32_t count;
    take(at, &count, sizeof count);
    luaL_checkstack(L, LUA_MINSTACK, "nested too deeply");
    lua_createtable(L, list ? (int)count : 0, list ? 0 : (int)count);
    if (list) orr_json_mark_array(L, -1);
    for (uint32_t i = 1; i <= count; i++) {
        if (!list) unpack_text(L, at);
        orr_rows_unpack(L, at);
        if (list) lua_rawseti(L, -2, i);
        else lua_rawset(L, -3);
    }
}

void orr_rows_unpack(lua_State *L, const char **at) {
    lua_Integer integer;
    lua_Number number;
    switch (*(*at)++) {
    case 't': lua_pushboolean(L, true); break;
    case 'f': lua_pushboolean(L, false); break;
    case 'z': orr_json_push_null(L); break;
    case 'i':
        take(at, &integer, sizeof integer);
        lua_pushinteger(L, integer);
        break;
    case 'd':
        take(at, &number, sizeof number);
        lua_pushnumber(L, number);
        break;
    case 's': unpack_text(L, at); break;
    case 'a': unpack_table(L, at, true); break;
    case 'o': unpack_table(L, at, false); break;
    default: lua_pushnil(L);
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Bytes of a key, in the struct itself as long as they fit, and then in a userdata. */
typedef struct key {
    lua_State *L;
    char *data;
    size_t size, room;
    int block; /* where the userdata stands */
    char small[512];
} key;

static void put(key *k, const void *data, size_t size) {
    if (size > k->room - k->size) {
        if (size > SIZE_MAX / 4 - k->room) luaL_error(k->L, "not enough memory");
        size_t room = 2 * k->room + size;
        char *larger = lua_newuserdatauv(k->L, room, 0);
        memcpy(larger, k->data, k->size);
        lua_replace(k->L, k->block);
        k->data = larger;
        k->room = room;
    }
    memcpy(k->data + k->size, data, size);
    k->size += size;
}

static void put_big_endian(key *k, uint64_t n) {
    char text[8];
    for (int i = 7; i >= 0; i--, n >>= 8) text[i] = (char)(n & 0xff);
    put(k, text, sizeof text);
}

/* As a float, whose bits sort like the numbers once the negative ones are turned around; then what
 * an integer is apart from it, which is 0 up to 2^53. Equal numbers have equal keys. */
static void put_number(key *k, int idx) {
    double d = lua_tonumber(k->L, idx);
    uint64_t bits, rest = 0;
    if (lua_isinteger(k->L, idx)) {
        uint64_t base = d >= 0x1p63 ? (uint64_t)1 << 63 : (uint64_t)(int64_t)d;
        rest = (uint64_t)lua_tointeger(k->L, idx) - base;
    }
    if (d == 0) d = 0; /* -0.0 */
    if (isnan(d)) d = NAN;
    memcpy(&bits, &d, sizeof bits);
    bits = bits >> 63 && !isnan(d) ? ~bits : bits | (uint64_t)1 << 63;
    put(k, "5", 1);
    put_big_endian(k, bits);
    put_big_endian(k, rest ^ (uint64_t)1 << 63);
}

/* A zero is followed by 255, the end by another zero: so "a" comes before "a\0". */
static void put_text(key *k, int idx) {
    size_t size;
    const char *text = lua_tolstring(k->L, idx, &size);
    put(k, "6", 1);
    while (size > 0) {
        const char *zero = memchr(text, 0, size);
        size_t part = zero ? (size_t)(zero + 1 - text) : size;
        put(k, text, part);
        if (zero) put(k, "\xff", 1);
        text += part;
        size -= part;
    }
    put(k, "\0\0", 2);
}

static void put_value(key *k, int idx) {
    int type = lua_type(k->L, idx);
    if (type == LUA_TNUMBER) put_number(k, idx);
    else if (type == LUA_TSTRING) put_text(k, idx);
    else if (type == LUA_TBOOLEAN) put(k, lua_toboolean(k->L, idx) ? "4" : "3", 1);
    else if (type == LUA_TNIL || orr_json_is_null(k->L, idx)) put(k, "2", 1);
    else
        luaL_error(k->L, "a %s is no key: keys are texts, numbers, true, false and null",
                   lua_typename(k->L, type));
}

/* sort_key(row, names, descending) -> a text that sorts as bytes like these fields of the row, one
 * after the other: nil and null, then false, true, numbers, texts by their bytes. Two are equal
 * where the fields are. `descending` is a list of booleans, or nil. */
static int sort_key(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer n = luaL_len(L, 2);
    lua_settop(L, 4);
    key k; /* not set to zeros: that would cost as much as a short key */
    k.L = L;
    k.data = k.small;
    k.size = 0;
    k.room = sizeof k.small;
    k.block = 4;
    for (lua_Integer i = 1; i <= n; i++) {
        size_t from = k.size;
        bool down = lua_istable(L, 3) && (lua_rawgeti(L, 3, i), lua_toboolean(L, -1));
        lua_rawgeti(L, 2, i);
        lua_rawget(L, 1);
        put_value(&k, lua_gettop(L));
        for (size_t at = from; down && at < k.size; at++) k.data[at] = (char)~k.data[at];
        lua_settop(L, 4);
    }
    lua_pushlstring(L, k.data, k.size);
    return 1;
}

void orr_open_pack(lua_State *L) {
    lua_pushcfunction(L, sort_key);
    lua_setfield(L, -2, "sort_key");
}
