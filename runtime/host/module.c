/* module.c - the module `orrery.host`: what Lua can ask the command about itself and its
 * terminal. */
#include "host/host.h"

#include "lua/embedded.h"
#include <fcntl.h>
#include <lauxlib.h>
#include <orrery.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uv.h>

const char *host_version(void) {
    return "Orrery " ORR_VERSION " (" LUA_RELEASE ")";
}

/* (fd = 1) -> boolean */
static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, STDOUT_FILENO)));
    return 1;
}

/* (fd = 1) -> columns, rows | nothing where it is no terminal or does not know its size */
static int terminal_size(lua_State *L) {
    struct winsize size;
    int fd = (int)luaL_optinteger(L, 1, STDOUT_FILENO);
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
    lua_pushinteger(L, size.ws_col);
    lua_pushinteger(L, size.ws_row);
    return 2;
}

static int close_file(lua_State *L) {
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* () -> file, descriptor | nothing where one of the outputs is closed. The file is the standard
 * output as it was; what anybody else writes there goes to the standard error from now on. */
static int claim(lua_State *L) {
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    *stream = (luaL_Stream){0};
    luaL_setmetatable(L, LUA_FILEHANDLE);
    fflush(stdout);
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        if (file) fclose(file);
        else if (fd >= 0) close(fd);
        return 0;
    }
    stream->f = file;
    stream->closef = close_file;
    lua_pushinteger(L, fd);
    return 2;
}

/* () -> array of the names of the modules that are compiled in, sorted */
static int embedded(lua_State *L) {
    lua_createtable(L, (int)orr_embedded_count, 0);
    for (size_t i = 0; i < orr_embedded_count; i++) {
        lua_pushstring(L, orr_embedded_modules[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* (text) -> whether each byte of it is a character of ASCII but DEL; eight bytes at a time, because
 * all that the command prints is asked */
static int is_ascii(lua_State *L) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n), *end = s + n;
    uint64_t found = 0;
    for (uint64_t word; end - s >= 8; s += 8) {
        memcpy(&word, s, 8);
        found |= word | (word + ones); /* DEL and 1 are 128; a carry comes from 255, which is found */
    }
    for (; s < end; s++) found |= (unsigned char)*s >= 127 ? tops : 0;
    lua_pushboolean(L, (found & tops) == 0);
    return 1;
}

int luaopen_orrery_host(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"isatty", is_terminal}, {"size", terminal_size}, {"embedded", embedded}, {"catch", host_catch},
        {"claim", claim},        {"is_ascii", is_ascii},  {"later", host_later},  {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_pushliteral(L, ORR_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushliteral(L, LUA_RELEASE);
    lua_setfield(L, -2, "lua");
    lua_pushstring(L, uv_version_string());
    lua_setfield(L, -2, "libuv");
    return 1;
}
