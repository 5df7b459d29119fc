/* signals.c - SIGINT, SIGTERM and SIGHUP while a command runs workflows.
 *
 * A handler of ours notes the signal and wakes the loop, which calls a function of Lua's. Lua code
 * that keeps the loop from turning is stopped for that; what cannot be stopped keeps anybody from
 * being told, so a second signal ends the process by itself.
 */
#include "host/host.h"

#include "run/run.h"
#include <lauxlib.h>
#include <signal.h>

static const struct {
    int number;
    const char *name;
} kinds[] = {{SIGINT, "sigint"}, {SIGTERM, "sigterm"}, {SIGHUP, "sighup"}};

enum { KINDS = sizeof kinds / sizeof *kinds };

static volatile sig_atomic_t came[KINDS], unseen, seen, last, waited;
static const char function_key; /* of the function in the registry */

static void end_by(int number) {
    signal(number, SIG_DFL);
    raise(number);
}

static void on_signal(int number) {
    if (++unseen > 1) {
        end_by(number);
        return;
    }
    last = number;
    waited = 0;
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].number == number) came[i] = 1;
    host_wake();
}

void host_unheard(void) {
    enum { LONG = 25 };
    if (seen && unseen && ++waited > LONG) end_by(last);
}

void host_tell_signals(orr_script *s) {
    lua_State *L = orr_script_main(s);
    for (int i = 0; i < KINDS; i++) {
        if (!came[i]) continue;
        came[i] = unseen = 0;
        seen = 1;
        if (lua_rawgetp(L, LUA_REGISTRYINDEX, &function_key) == LUA_TFUNCTION) {
            lua_pushstring(L, kinds[i].name);
            orr_script_call(s, 1);
        } else lua_pop(L, 1);
    }
}

/* (): the next signal does what it does by default, but one that was ignored. */
static int release(lua_State *L) {
    struct sigaction now;
    for (int i = 0; i < KINDS; i++)
        if (sigaction(kinds[i].number, NULL, &now) == 0 && now.sa_handler == on_signal)
            signal(kinds[i].number, SIG_DFL);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
    return 0;
}

/* Whether it is ignored since before the process was begun, which is meant, as by nohup. */
static bool is_ignored(int number) {
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int host_catch(lua_State *L) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
    sigfillset(&action.sa_mask);
    unseen = seen = 0;
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].number != SIGHUP || !is_ignored(SIGHUP)) sigaction(kinds[i].number, &action, NULL);
    lua_pushcfunction(L, release);
    return 1;
}
