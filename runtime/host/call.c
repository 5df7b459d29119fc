/* call.c - calls into Lua from the command: with a traceback, stopped by Ctrl-C, and until the loop has nothing left.
 *
 * A wait outside of a handler runs the loop until it is over, so that scripts and the prompt may wait anywhere.
 */
#include "host.h"

#include "../script/script.h"
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>

/* ---- Ctrl-C ----------------------------------------------------------------------------------------------- */

/* A signal's handler has nothing else to reach. One Lua state at a time is interruptible: the command has one. */
static lua_State *interruptible;
static uv_async_t *wakeup; /* NULL until orrery.core is open */
static volatile sig_atomic_t interrupted;

/* Where Lua code runs: the next instruction of the main coroutine raises. */
static void raise_interrupted(lua_State *L, lua_Debug *ar) {
    (void)ar;
    interrupted = 0;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

/* Where the loop runs: what it runs for is cancelled, and says so to the code that waits for it. Where nothing can be
 * cancelled, the process ends as it would have without us. */
static int cancel_all(lua_State *L) {
    if (!interrupted) return 0;
    interrupted = 0;
    lua_sethook(interruptible, NULL, 0, 0);
    if (orr_script_cancel_all(orr_script_of(L)) == 0) raise(SIGINT);
    return 0;
}

static void on_sigint(int number) {
    (void)number;
    interrupted = 1;
    /* The one function of Lua, and the one of libuv, that a signal's handler may call. */
    lua_sethook(interruptible, raise_interrupted, LUA_MASKCOUNT, 1);
    if (wakeup) uv_async_send(wakeup);
}

int host_open_core(lua_State *L) {
    luaopen_orrery_core(L);
    if (wakeup) return 1;
    /* A handle of luv's own, because luv takes every handle of its loop for one. */
    lua_getglobal(L, "require");
    lua_pushliteral(L, "luv");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new_async");
    lua_pushcfunction(L, cancel_all);
    lua_call(L, 1, 1);
    uv_async_t *handle = *(uv_async_t **)luaL_checkudata(L, -1, "uv_async");
    uv_unref((uv_handle_t *)handle);
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    wakeup = handle;
    return 1;
}

void host_interrupt_begin(lua_State *L) {
    struct sigaction former;
    interrupted = 0; /* a Ctrl-C that came when nothing ran */
    lua_sethook(L, NULL, 0, 0);
    sigaction(SIGINT, NULL, &former);
    if (former.sa_handler != SIG_DFL) return; /* a shell's background job, or a handler that a script has set */
    interruptible = L;
    /* SA_RESTART is left out, so that the reading of a line ends; SA_RESETHAND lets a second Ctrl-C kill. */
    struct sigaction action = {.sa_handler = on_sigint, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void host_interrupt_end(void) {
    struct sigaction present;
    sigaction(SIGINT, NULL, &present);
    if (present.sa_handler != on_sigint) return;
    present.sa_handler = SIG_DFL;
    sigaction(SIGINT, &present, NULL);
    lua_sethook(interruptible, NULL, 0, 0);
    interruptible = NULL;
}

bool host_interrupt_pending(void) {
    return interrupted;
}

bool host_interrupted(void) {
    bool was = interrupted;
    interrupted = 0;
    return was;
}

/* ---- calling ------------------------------------------------------------------------------------------------ */

/* (error) -> what to show for it */
static int explain(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (!message) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
        message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, message, 1);
    return 1;
}

int host_call(lua_State *L, int nargs, int nresults) {
    int function = lua_gettop(L) - nargs;
    lua_pushcfunction(L, explain);
    lua_insert(L, function);
    host_interrupt_begin(L);
    int status = lua_pcall(L, nargs, nresults, function);
    host_interrupt_end();
    lua_remove(L, function);
    return status;
}

int host_drain(lua_State *L) {
    if (!wakeup) return LUA_OK;
    host_interrupt_begin(L);
    int status = orr_script_drain(orr_script_of(L), L);
    host_interrupt_end();
    return status;
}

void host_report(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, HOST_NAME ": %s\n", message ? message : "(error without a message)");
    fflush(stderr);
    lua_pop(L, 1);
}
