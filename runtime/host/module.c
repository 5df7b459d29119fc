/* module.c - the module `orrery.host`: what the command can tell Lua about itself and its terminal. */
#include "host.h"

#include "../script/embedded.h"
#include <lauxlib.h>
#include <orrery.h>
#include <signal.h>
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

/* () -> array of the names of the modules that are compiled in, sorted */
static int embedded(lua_State *L) {
    lua_createtable(L, (int)orr_embedded_count, 0);
    for (size_t i = 0; i < orr_embedded_count; i++) {
        lua_pushstring(L, orr_embedded_modules[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* ---- signals that the loop does not get to see ------------------------------------------------------------------- */

/* libuv's handlers only tell its loop. While a handler of the user's keeps the loop from turning nobody is told, so that a
 * second signal must end the process by itself. */
static struct sigaction loops[NSIG];
static volatile sig_atomic_t unseen;

static void on_signal(int number) {
    if (++unseen > 1) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    loops[number].sa_handler(number);
}

/* (number): to be called when libuv's handler for that signal has been installed */
static int guard(lua_State *L) {
    int number = (int)luaL_checkinteger(L, 1);
    struct sigaction action;
    luaL_argcheck(L, number > 0 && number < NSIG, 1, "no signal");
    if (sigaction(number, NULL, &action) != 0 || action.sa_handler == on_signal || action.sa_handler == SIG_DFL ||
        action.sa_handler == SIG_IGN)
        return 0;
    loops[number] = action;
    action.sa_handler = on_signal;
    sigaction(number, &action, NULL);
    return 0;
}

/* (): the loop has seen the signal */
static int seen(lua_State *L) {
    (void)L;
    unseen = 0;
    return 0;
}

int luaopen_orrery_host(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"isatty", is_terminal}, {"size", terminal_size}, {"embedded", embedded}, {"guard", guard},
        {"seen", seen}, {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_pushliteral(L, ORR_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushliteral(L, LUA_RELEASE);
    lua_setfield(L, -2, "lua");
    lua_pushstring(L, uv_version_string());
    lua_setfield(L, -2, "libuv");
    return 1;
}
