/* list.c - rows that are more than an output keeps in memory: as lines of a file, and as the list
 * that reads them (lua/lazy.h).
 *
 * size(rows) -> bytes            about what they take in memory; raises { code = "invalid_output" }
 * lines(rows, from, to) -> text  a line of JSON for each of them; raises the same
 * unnamed(folder) -> fd          a file that nobody else sees; raises { code = "spool_error" }
 * spooled { rows, bytes, folder, file } -> list   of the file of that name
 * spooled { rows, bytes, fd } -> list             of one without a name, which it closes
 */
#include "lua/json.h"
#include "lua/lazy.h"
#include "lua/lua.h"
#include "port/port.h"
#include "rows/inner.h"

#include <errno.h>
#include <string.h>

static int raise(lua_State *L, const char *code, const char *message) {
    orr_push_error(L, orr_script_of(L), code, message);
    lua_pushboolean(L, strcmp(code, "invalid_output") != 0);
    lua_setfield(L, -2, "retryable");
    return lua_error(L);
}

static int list_size(lua_State *L) {
    size_t bytes = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!orr_value_measure(L, 1, "rows", NULL, &bytes))
        return raise(L, "invalid_output", lua_tostring(L, -1));
    lua_pushinteger(L, (lua_Integer)bytes);
    return 1;
}

static int list_lines(lua_State *L) {
    static const orr_json_writing how = {.root = "row", .binary = true, .unsorted = true};
    luaL_Buffer b;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    luaL_buffinit(L, &b);
    for (lua_Integer i = from; i <= to; i++) {
        lua_geti(L, 1, i);
        if (!orr_json_encode(L, -1, &how)) return raise(L, "invalid_output", lua_tostring(L, -1));
        lua_remove(L, -2);
        luaL_addvalue(&b);
        luaL_addchar(&b, '\n');
    }
    luaL_pushresult(&b);
    return 1;
}

static int list_unnamed(lua_State *L) {
    const char *folder = luaL_checkstring(L, 1);
    int fd = orr_unnamed_file(folder);
    if (fd < 0)
        return raise(L, "spool_error",
                     lua_pushfstring(L, "cannot keep rows in a file in %s: %s; TMPDIR names another folder",
                                     folder, strerror(errno)));
    lua_pushinteger(L, fd);
    return 1;
}

static int list_spooled(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "folder");
    lua_getfield(L, 1, "file");
    lua_getfield(L, 1, "rows");
    lua_getfield(L, 1, "bytes");
    lua_getfield(L, 1, "fd");
    orr_spool_file file = {.folder = luaL_optstring(L, 2, NULL),
                           .name = luaL_optstring(L, 3, NULL),
                           .rows = luaL_checkinteger(L, 4),
                           .bytes = luaL_checkinteger(L, 5),
                           .fd = (int)luaL_optinteger(L, 6, -1)};
    luaL_argcheck(L, (file.folder && file.name) || file.fd >= 0, 1, "file and folder, or fd expected");
    orr_spooled_push(L, &file);
    return 1;
}

void orr_open_list(lua_State *L) {
    static const luaL_Reg functions[] = {{"size", list_size},
                                         {"lines", list_lines},
                                         {"unnamed", list_unnamed},
                                         {"spooled", list_spooled},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
