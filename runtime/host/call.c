/* call.c - calls into Lua from the command: with a traceback, stopped by Ctrl-C, and until the loop
 * has nothing left.
 *
 * A wait outside of a handler runs the loop until it is over, so that scripts and the prompt may
 * wait anywhere.
 */
#include "host/host.h"

#include "bind/bind.h"
#include "run/run.h"
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

/* A signal's handler has nothing else to reach. One Lua state at a time is interruptible: the
 * command has one. */
static lua_State *interruptible;
static uv_async_t bell, *wakeup; /* the second is NULL until orrery.core is open */
static volatile sig_atomic_t interrupted;
static orr_script *script; /* NULL until then */
static bool prompting;     /* a Ctrl-C ends what runs, never the process */
static const char INTERRUPTED[] = "interrupted!";

/* Where Lua code runs: the next instruction of the main coroutine raises. */
static void raise_interrupted(lua_State *L, lua_Debug *ar) {
    (void)ar;
    interrupted = 0;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "%s", INTERRUPTED);
}

/* Where the loop runs: what it runs for is cancelled, and says so to the code that waits for it.
 * Where nothing can be cancelled, the process ends as it would have without us. */
static int cancel_all(lua_State *L) {
    if (!interrupted) return 0;
    interrupted = 0;
    /* at the prompt it stays: what catches the end of its wait does not wait again */
    if (!prompting) lua_sethook(interruptible, NULL, 0, 0);
    orr_script *s = orr_script_of(L);
    uint32_t n = orr_script_cancel_all(s);
    if (prompting && n + orr_fibers_interrupt(s) == 0) uv_stop(orr_script_loop(s)); /* uv.run */
    else if (!prompting && n == 0) raise(SIGINT);
    return 0;
}

static void on_sigint(int number) {
    (void)number;
    interrupted = 1;
    /* The one function of Lua, and the one of libuv, that a signal's handler may call. */
    lua_sethook(interruptible, raise_interrupted, LUA_MASKCOUNT, 1);
    if (prompting && script) orr_fibers_hook(script, raise_interrupted);
    host_wake();
}

void host_wake(void) {
    if (wakeup) uv_async_send(wakeup);
    if (script) orr_watchdog_ask(&orr_fibers_of(script)->watchdog);
}

/* Obeys the signals that came. */
static void hear(orr_script *s) {
    lua_State *L = orr_script_main(s);
    orr_watchdog_heard(&orr_fibers_of(s)->watchdog);
    if (lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, cancel_all);
        orr_script_call(s, 0);
    }
    host_tell_signals(s);
}

static void on_wakeup(uv_async_t *handle) {
    (void)handle;
    if (script) hear(script);
}

static void hear_now(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    if (script) hear(script);
}

/* The loop does not turn. Where no handler of a node runs, which would be stopped, it is Lua code
 * of a script, a test or ours that does, or a function in C. */
static void on_deaf(bool slice) {
    lua_Hook hook = interrupted ? raise_interrupted : hear_now;
    host_unheard();
    if (slice) return;
    if (interruptible) lua_sethook(interruptible, hook, LUA_MASKCOUNT, 1);
    if (script) orr_fibers_hook(script, hook);
}

int host_open_core(lua_State *L) {
    host_make_loop(L);
    luaopen_orrery_core(L);
    if (wakeup) return 1;
    script = orr_script_of(L);
    int error = uv_async_init(orr_script_loop(script), &bell, on_wakeup);
    if (error) luaL_error(L, "the event loop cannot be woken: %s", uv_strerror(error));
    uv_unref((uv_handle_t *)&bell);
    wakeup = &bell;
    orr_fibers_listen(script, hear, on_deaf);
    return 1;
}

/* ---- before the loop waits ------------------------------------------------------------------- */

typedef struct wanted {
    uv_idle_t idle; /* a check handle would be called after the wait */
    int function;   /* in the registry */
} wanted;

static void free_wanted(uv_handle_t *handle) {
    free(handle->data);
}

static void call_wanted(uv_idle_t *idle) {
    const wanted *w = idle->data;
    lua_State *L = script ? orr_script_main(script) : NULL;
    uv_idle_stop(idle);
    uv_close((uv_handle_t *)idle, free_wanted);
    if (!L) return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->function);
    luaL_unref(L, LUA_REGISTRYINDEX, w->function);
    orr_script_call(script, 0);
}

int host_later(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    wanted *w = malloc(sizeof *w);
    if (!w) {
        luaL_unref(L, LUA_REGISTRYINDEX, function);
        return luaL_error(L, "not enough memory");
    }
    w->function = function;
    uv_idle_init(orr_script_loop(s), &w->idle);
    w->idle.data = w;
    uv_unref((uv_handle_t *)&w->idle);
    uv_idle_start(&w->idle, call_wanted);
    return 0;
}

/* At exit, before libuv joins its threads. */
static void leave(int status, void *unused) {
    (void)unused;
    if (!host_is_left()) return;
    fflush(NULL);
    _exit(status);
}

bool host_is_left(void) {
    return wakeup && wakeup->loop->active_reqs.count > 0;
}

void host_leave_at_exit(void) {
    on_exit(leave, NULL);
}

void host_forget_loop(void) {
    if (wakeup) uv_close((uv_handle_t *)wakeup, NULL);
    wakeup = NULL;
    script = NULL;
}

void host_prompting(bool on) {
    prompting = on;
}

void host_interrupt_begin(lua_State *L) {
    struct sigaction former;
    interrupted = 0; /* a Ctrl-C that came when nothing ran */
    lua_sethook(L, NULL, 0, 0);
    sigaction(SIGINT, NULL, &former);
    /* a shell's background job, or a handler that a script has set */
    if (former.sa_handler != SIG_DFL) return;
    interruptible = L;
    /* SA_RESTART is left out, so that the reading of a line ends; SA_RESETHAND lets a second
     * Ctrl-C kill. */
    struct sigaction action = {.sa_handler = on_sigint, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void host_interrupt_end(void) {
    struct sigaction present;
    if (script) orr_watchdog_heard(&orr_fibers_of(script)->watchdog);
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

bool host_is_interruption(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    const char *at = message ? strstr(message, INTERRUPTED) : NULL;
    return at && !memchr(message, '\n', (size_t)(at - message)); /* what follows is a traceback */
}

bool host_interrupted(void) {
    bool was = interrupted;
    interrupted = 0;
    return was;
}

/* ---- what cannot be stopped ------------------------------------------------------------------ */

/* What was printed is written, where nobody is in the middle of printing. */
void host_stuck(const char *where) {
    char text[512];
    int n = snprintf(text, sizeof text,
                     HOST_NAME
                     ": code at %s did not come back after its time was over and cannot be stopped: a C "
                     "function (a pattern that matches without end?), a __gc or a hook that never returns; "
                     "the process ends here, and runs in a store can be resumed\n",
                     where[0] ? where : "no line of Lua");
    if (ftrylockfile(stdout) == 0) fflush_unlocked(stdout);
    if (n > 0 && write(STDERR_FILENO, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) < 0)
        _exit(2);
    _exit(EXIT_FAILURE);
}

/* ---- calling --------------------------------------------------------------------------------- */

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

/* What a terminal obeys, or does not show, as first bytes and what follows them; the same as in
 * orrery.cli.display.printable. */
static const struct {
    const char *lead;
    size_t n;
    unsigned char from, to;
} unseen[] = {
    {"\xC2", 1, 0x80, 0x9F},         /* C1 */
    {"\xD8", 1, 0x9C, 0x9C},         /* Arabic letter mark */
    {"\xE2\x80", 2, 0x8B, 0x8B},     /* no width */
    {"\xE2\x80", 2, 0x8E, 0x8F},     /* marks of direction */
    {"\xE2\x80", 2, 0xA8, 0xAE},     /* separators, embeddings, overrides */
    {"\xE2\x81", 2, 0xA0, 0xAF},     /* isolates */
    {"\xEF\xBB", 2, 0xBF, 0xBF},     /* a byte order mark */
    {"\xEF\xBF", 2, 0xB9, 0xBB},     /* annotations */
    {"\xF3\xA0\x80", 3, 0x80, 0xBF}, /* tags */
    {"\xF3\xA0\x81", 3, 0x80, 0xBF},
};

/* The bytes of what is not to be shown at `s`, or 0. */
static size_t unseen_at(const unsigned char *s) {
    if ((*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7F) return 1;
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++) {
        size_t n = unseen[i].n;
        if (strncmp((const char *)s, unseen[i].lead, n) == 0 && s[n] >= unseen[i].from &&
            s[n] <= unseen[i].to)
            return n + 1;
    }
    return 0;
}

void host_say(const char *text) {
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = unseen_at(s);
        fputc(n ? '?' : *s, stderr);
        s += n ? n : 1;
    }
}

void host_report(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fputs(HOST_NAME ": ", stderr);
    host_say(message ? message : "(error without a message)");
    fputc('\n', stderr);
    fflush(stderr);
    lua_pop(L, 1);
}
