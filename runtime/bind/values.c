/* values.c - see values.h. */
#include "bind/values.h"
#include "lua/json.h"

#include <stdlib.h>
#include <string.h>

void orr_packed_free(orr_packed *p) {
    free(p->data);
    *p = (orr_packed){.data = NULL};
}

void orr_pack_bytes(orr_packed *p, const void *data, size_t size) {
    if (p->failed) return;
    if (p->room - p->size < size) {
        size_t room = p->room < 1024 ? 1024 : p->room * 2;
        while (room - p->size < size) room *= 2;
        char *grown = realloc(p->data, room);
        if (!grown) {
            p->failed = true;
            return;
        }
        p->data = grown;
        p->room = room;
    }
    if (size > 0) memcpy(p->data + p->size, data, size);
    p->size += size;
}

void orr_pack_null(orr_packed *p) {
    orr_pack_bytes(p, "n", 1);
}

void orr_pack_integer(orr_packed *p, int64_t value) {
    orr_pack_bytes(p, "i", 1);
    orr_pack_bytes(p, &value, sizeof value);
}

void orr_pack_number(orr_packed *p, double value) {
    orr_pack_bytes(p, "d", 1);
    orr_pack_bytes(p, &value, sizeof value);
}

void orr_pack_text(orr_packed *p, const char *text, size_t size) {
    uint32_t length = (uint32_t)size;
    orr_pack_bytes(p, "s", 1);
    orr_pack_bytes(p, &length, sizeof length);
    orr_pack_bytes(p, text, length);
}

bool orr_pack_lua(orr_packed *p, lua_State *L, int idx) {
    size_t size;
    switch (lua_type(L, idx)) {
    case LUA_TNIL: orr_pack_null(p); return true;
    case LUA_TBOOLEAN: orr_pack_integer(p, lua_toboolean(L, idx)); return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx)) orr_pack_integer(p, lua_tointeger(L, idx));
        else orr_pack_number(p, lua_tonumber(L, idx));
        return true;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, idx, &size);
        if (size > INT32_MAX) return false;
        orr_pack_text(p, text, size);
        return true;
    }
    default:
        if (!orr_json_is_null(L, idx)) return false;
        orr_pack_null(p);
        return true;
    }
}

static const char *take(const char **at, void *into, size_t size) {
    const char *from = *at;
    if (into) memcpy(into, from, size);
    *at = from + size;
    return from;
}

orr_value_read orr_unpack(const char **at) {
    orr_value_read v = {.kind = *(*at)++};
    if (v.kind == 'i') take(at, &v.integer, sizeof v.integer);
    else if (v.kind == 'd') take(at, &v.number, sizeof v.number);
    else if (v.kind == 's') {
        take(at, &v.size, sizeof v.size);
        v.text = take(at, NULL, v.size);
    }
    return v;
}

void orr_unpack_lua(lua_State *L, const char **at) {
    orr_value_read v = orr_unpack(at);
    if (v.kind == 'i') lua_pushinteger(L, v.integer);
    else if (v.kind == 'd') lua_pushnumber(L, v.number);
    else if (v.kind == 's') lua_pushlstring(L, v.text, v.size);
    else lua_pushnil(L);
}
