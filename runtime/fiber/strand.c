/* strand.c - fibers that are no attempt: strands of a gather, and those without a node, in which
 * the command runs a script. Both call one function with its arguments.
 */
#include "fiber/inner.h"
#include <lauxlib.h>

/* (script, function, arguments) */
static int call_base(lua_State *L, int nresults, lua_KFunction done) {
    orr_script *s = lua_touserdata(L, 1);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, 2);
    int status = lua_pcallk(L, lua_gettop(L) - 3, nresults, 2, (lua_KContext)s, done);
    return done(L, status, (lua_KContext)s);
}

orr_fiber *orr_fiber_spawn(orr_script *s, lua_State *L, lua_CFunction base, int nargs) {
    orr_fiber *f = orr_fiber_new(s, true);
    if (!f || !lua_checkstack(f->co, nargs + LUA_MINSTACK)) {
        if (f) orr_fiber_release(s, f, true);
        lua_pop(L, nargs + 1);
        return NULL;
    }
    lua_pushcfunction(f->co, base);
    lua_pushlightuserdata(f->co, s);
    lua_xmove(L, f->co, nargs + 1);
    f->nargs = nargs + 2;
    orr_ready_push(s, f);
    return f;
}

/* ---- strands --------------------------------------------------------------------------------- */

static int strand_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber *f = orr_fiber_current(s);
    orr_fiber_done(L, s, f, status);
    orr_gather_keep(L, s, f, orr_fibers_of(s)->failed);
    return 0;
}

static int strand_base(lua_State *L) {
    return call_base(L, 1, strand_done);
}

static void strand_ended(orr_script *s, orr_fiber *f, int nres) {
    (void)nres;
    bool failed = orr_fibers_of(s)->failed;
    orr_gather_ended(s, f);
    orr_fiber_release(s, f, !failed);
}

typedef struct keeping {
    orr_script *s;
    orr_fiber *f;
} keeping;

static int keep_value(lua_State *L) {
    const keeping *k = lua_touserdata(L, 1);
    orr_fiber_push_value(L, k->s, k->f);
    orr_gather_keep(L, k->s, k->f, true);
    return 0;
}

static void strand_broken(orr_script *s, orr_fiber *f, const char *code, const char *message) {
    (void)code;
    (void)message;
    keeping k = {s, f};
    if (orr_protect(s, keep_value, &k) != LUA_OK) orr_fiber_at(s, f->parent)->flags |= FIBER_FAILED;
    orr_gather_ended(s, f);
    orr_fiber_release(s, f, false);
}

static const orr_client strands = {.ended = strand_ended, .broken = strand_broken};

orr_fiber *orr_strand_spawn(orr_script *s, lua_State *L, orr_fiber *parent) {
    orr_fiber *f = orr_fiber_spawn(s, L, strand_base, 0);
    if (!f) return NULL;
    f->client = &strands;
    f->kind = FIBER_STRAND;
    f->rt = parent->rt;
    f->run = parent->run;
    f->task = parent->task;
    f->phase = parent->phase;
    f->root = parent->root;
    f->parent = parent->index;
    f->newest = parent->newest;
    f->flags |= parent->flags & FIBER_INHERITED;
    return f;
}

/* ---- without a node -------------------------------------------------------------------------- */

static int free_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber_done(L, s, orr_fiber_current(s), status);
    if (!orr_fibers_of(s)->failed) return lua_gettop(L) - 2;
    orr_push_trace(L);
    return 2;
}

static int free_base(lua_State *L) {
    return call_base(L, LUA_MULTRET, free_done);
}

/* Whoever started it takes the results. */
static void free_ended(orr_script *s, orr_fiber *f, int nres) {
    f->flags |= FIBER_ENDED;
    if (orr_fibers_of(s)->failed) f->flags |= FIBER_FAILED;
    f->state = FIBER_PARKED;
    f->nargs = nres;
}

static void free_broken(orr_script *s, orr_fiber *f, const char *code, const char *message) {
    (void)code;
    (void)message;
    orr_fiber_push_value(f->co, s, f);
    lua_pushnil(f->co);
    free_ended(s, f, 2);
}

static const orr_client frees = {.ended = free_ended, .broken = free_broken};

static bool has_ended(void *ud) {
    return ((orr_fiber *)ud)->flags & FIBER_ENDED;
}

static int push_text(lua_State *L) {
    lua_pushstring(L, lua_touserdata(L, 1));
    return 1;
}

/* Pops the function and its arguments; pushes a message, or Lua's own that memory is out: that one
 * exists from the start. */
static int cannot_run(lua_State *L, int nargs, const char *why) {
    lua_pop(L, nargs + 1);
    lua_pushcfunction(L, push_text);
    lua_pushlightuserdata(L, (void *)(uintptr_t)why);
    lua_pcall(L, 1, 1, 0);
    lua_pushnil(L);
    return LUA_ERRERR;
}

static int make_default(lua_State *L) {
    orr_rt_default(L, lua_touserdata(L, 1));
    return 0;
}

int orr_script_run(orr_script *s, lua_State *L, int nargs, int *nresults) {
    *nresults = 2;
    /* not even room for an error: the function itself stays as one */
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        lua_settop(L, lua_gettop(L) - nargs + 1);
        return LUA_ERRMEM;
    }
    if (orr_fibers_of(s)->pumping || orr_fiber_current(s))
        return cannot_run(L, nargs,
                          "the loop is already running; a callback or a handler cannot run it again");
    if (orr_protect(s, make_default, s) != LUA_OK) return cannot_run(L, nargs, "not enough memory");
    orr_fiber *f = orr_fiber_spawn(s, L, free_base, nargs);
    if (!f) return cannot_run(L, -1, "not enough memory for a coroutine");
    f->client = &frees;
    f->kind = FIBER_FREE;
    if (!orr_pump(s, L, has_ended, f)) {
        orr_fiber_abandon(s, f);
        return cannot_run(L, -1, "it waits for what can no longer come");
    }
    bool failed = f->flags & FIBER_FAILED;
    int n = f->nargs;
    if (!lua_checkstack(L, n + LUA_MINSTACK)) {
        orr_fiber_release(s, f, false);
        return cannot_run(L, -1, "too many results");
    }
    lua_xmove(f->co, L, n);
    orr_fiber_release(s, f, !failed);
    *nresults = n;
    return failed ? LUA_ERRRUN : LUA_OK;
}
