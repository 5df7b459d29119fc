/* bytes.c - bytes that grow, and what else the files of this room share. */
#include "rows/inner.h"
#include "rows/rows.h"

#include <string.h>

orr_alloc orr_rows_alloc(lua_State *L) {
    orr_alloc alloc;
    alloc.fn = lua_getallocf(L, &alloc.ud);
    return alloc;
}

bool orr_bytes_reserve(orr_byte_list *b, size_t more) {
    if (b->room - b->size >= more) return true;
    size_t room = b->room < 256 ? 256 : b->room;
    while (room - b->size < more) {
        if (room > SIZE_MAX / 4) return false;
        room += room / 2;
    }
    char *data = orr_mem_resize(&b->alloc, b->data, b->room, room, 1);
    if (!data) return false;
    b->data = data;
    b->room = room;
    return true;
}

bool orr_bytes_add(orr_byte_list *b, const char *data, size_t size) {
    if (!orr_bytes_reserve(b, size)) return false;
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
    return true;
}

void orr_bytes_free(orr_byte_list *b) {
    orr_mem_free(&b->alloc, b->data, b->room, 1);
    b->data = NULL;
    b->size = b->room = 0;
}

void orr_rows_kind(lua_State *L, const char *name, lua_CFunction gc, const luaL_Reg *methods) {
    if (!luaL_newmetatable(L, name)) return;
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
}

/* copy(row, more) -> another table with the same fields, made in its size at once, with room for
 * `more` fields. */
static int copy(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer more = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, more >= 0 && more <= 1000, 2, "is 0 to 1000");
    lua_settop(L, 1);
    int list = (int)lua_rawlen(L, 1), count = -list;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) count++;
    lua_createtable(L, list, (count < 0 ? 0 : count) + (int)more);
    for (lua_pushnil(L); lua_next(L, 1);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    return 1;
}

int orr_open_rows(lua_State *L) {
    lua_newtable(L);
    lua_pushcfunction(L, copy);
    lua_setfield(L, -2, "copy");
    orr_open_csv(L);
    orr_open_keys(L);
    orr_open_list(L);
    orr_open_pack(L);
    orr_open_sorter(L);
    orr_open_xml(L);
    orr_open_unicode(L);
    return 1;
}
