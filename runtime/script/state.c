/* state.c - making and closing what hangs on a lua_State, and calling Lua from where nothing may raise. */
#include "state.h"
#include "json.h"
#include <lauxlib.h>
#include <luv/luv.h>
#include <string.h>

static const char script_key, options_key;
const char orr_wait_key;

static orr_script *find_script(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &script_key);
    orr_script *s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

orr_script *orr_script_of(lua_State *L) {
    orr_script *s = find_script(L);
    if (!s || s->closed) luaL_error(L, "orrery.core is not open in this Lua state; require it first");
    return s;
}

uv_loop_t *orr_script_loop(orr_script *s) {
    return s->loop;
}

const orr_alloc *orr_script_alloc(orr_script *s) {
    return &s->alloc;
}

lua_State *orr_script_main(orr_script *s) {
    lua_checkstack(s->main, LUA_MINSTACK);
    return s->main;
}

void orr_script_pending(orr_script *s, int by) {
    s->pending += by;
    assert(s->pending >= 0);
}

void orr_script_configure(lua_State *L, const orr_script_options *options) {
    orr_script_options *copy = lua_newuserdatauv(L, sizeof *copy, 0);
    *copy = *options;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &options_key);
}

/* ---- calling Lua --------------------------------------------------------------------------------------------- */

int orr_protect(orr_script *s, lua_CFunction fn, void *ud) {
    lua_State *L = s->main;
    if (!lua_checkstack(L, LUA_MINSTACK)) return LUA_ERRMEM;
    int top = lua_gettop(L);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, ud);
    int status = lua_pcall(L, 1, 0, 0);
    lua_settop(L, top);
    return status;
}

void orr_push_box(lua_State *L, const orr_script *s, const void *box) {
    orr_push_anchor(L, s->at.boxes);
    lua_rawgetp(L, -1, box);
    lua_remove(L, -2);
}

void *orr_new_box(lua_State *L, orr_script *s, size_t size, int values, int metatable, const orr_owned *owned) {
    orr_owned **ud = lua_newuserdatauv(L, sizeof *ud, values), *box;
    *ud = NULL;
    orr_push_anchor(L, metatable);
    lua_setmetatable(L, -2);
    orr_push_anchor(L, s->at.boxes);
    lua_pushvalue(L, -2);
    box = orr_mem_new(&s->alloc, 1, size);
    if (!box) {
        luaL_error(L, "not enough memory");
        return NULL;
    }
    *box = *owned;
    box->prev = NULL;
    box->next = s->owned;
    if (s->owned) s->owned->prev = box;
    s->owned = box;
    *ud = box;
    lua_rawsetp(L, -2, box);
    lua_pop(L, 1);
    return box;
}

static int box_gc(lua_State *L) {
    orr_owned **ud = lua_touserdata(L, 1), *box = *ud;
    *ud = NULL;
    orr_script *s = find_script(L);
    if (box && s && !s->closed) box->collect(s, box);
    return 0;
}

void orr_box_metatable(lua_State *L) {
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
}

void *orr_check_box(lua_State *L, int idx, int metatable, const char *what) {
    bool ok = lua_type(L, idx) == LUA_TUSERDATA && lua_getmetatable(L, idx);
    if (ok) {
        orr_push_anchor(L, metatable);
        ok = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    luaL_argexpected(L, ok, idx, what);
    void *box = orr_unbox(L, idx);
    if (!box) luaL_error(L, "this %s is closed", what);
    return box;
}

void orr_free_box(orr_script *s, orr_owned *owned, size_t size) {
    if (owned->prev) owned->prev->next = owned->next;
    else s->owned = owned->next;
    if (owned->next) owned->next->prev = owned->prev;
    orr_mem_free(&s->alloc, owned, 1, size);
}

orr_fiber *orr_fiber_behind(lua_State *L, orr_script *s, int fn, int depth) {
    orr_fiber *f = orr_await_target(L, s, fn);
    fn = lua_absindex(L, fn);
    for (int i = 1; !f && depth > 0 && i <= 60 && lua_getupvalue(L, fn, i); i++) {
        if (lua_isfunction(L, -1)) f = orr_fiber_behind(L, s, -1, depth - 1);
        lua_pop(L, 1);
    }
    return f;
}

typedef struct callback_error {
    orr_script *script;
    int fn, error;
} callback_error;

/* Fails the wait of the function at index 2 with the error at index 3. */
static int report_callback(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_fiber *f = orr_fiber_behind(L, s, 2, 3);
    if (f && lua_checkstack(f->co, 4)) {
        lua_settop(L, 3);
        lua_xmove(L, f->co, 1);
        f->flags |= FIBER_RAISE;
        orr_wait_done(s, f, 1);
        return 0;
    }
    const char *text = luaL_tolstring(L, 3, NULL);
    orr_push_trace(L);
    if (lua_isstring(L, -1)) text = lua_pushfstring(L, "%s\n%s", text, lua_tostring(L, -1));
    orr_script_stray(s, "a callback failed", text);
    return 0;
}

/* Calls the function below `nargs` arguments; leaves its results, or nothing where it failed. */
static int call_safely(orr_script *s, lua_State *L, int nargs, int nresults) {
    int fn = lua_gettop(L) - nargs;
    if (s->closed || !lua_checkstack(L, LUA_MINSTACK)) {
        lua_settop(L, fn - 1);
        return LUA_ERRMEM;
    }
    lua_pushvalue(L, fn);
    lua_insert(L, fn);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, fn);
    /* now: handler, copy of the function, function, arguments */
    orr_rtbox *clock = s->timer_rt;
    int status = lua_pcall(L, nargs, nresults, fn);
    s->timer_rt = clock;
    if (status == LUA_OK) {
        lua_remove(L, fn);
        lua_remove(L, fn);
        return LUA_OK;
    }
    lua_pushcfunction(L, report_callback);
    lua_replace(L, fn);
    lua_pushlightuserdata(L, s);
    lua_insert(L, fn + 1);
    lua_pcall(L, 3, 0, 0); /* out of memory while reporting: nothing more can be said */
    lua_settop(L, fn - 1);
    return status;
}

void orr_script_call(orr_script *s, int nargs) {
    call_safely(s, s->main, nargs, 0);
}

/* How luv calls the functions given to it: never ends the process, unlike its own way. Returns the number of results
 * left on the stack, or a negative status. */
static int call_for_luv(lua_State *L, int nargs, int nresults, int flags) {
    (void)flags;
    orr_script *s = lua_checkstack(L, 2) ? find_script(L) : NULL;
    int below = lua_gettop(L) - nargs - 1;
    if (!s) {
        lua_settop(L, below);
        return -LUA_ERRMEM;
    }
    int status = call_safely(s, L, nargs, nresults);
    return status == LUA_OK ? lua_gettop(L) - below : -status;
}

typedef struct stray {
    orr_script *s;
    const char *what, *message;
    bool told;
} stray;

static int log_stray(lua_State *L) {
    stray *t = lua_touserdata(L, 1);
    for (orr_rtbox *rt = t->s->runtimes; rt; rt = rt->next) {
        if (!rt->n_listeners) continue;
        orr_event_push(L, rt, NULL, "log", NULL, orr_engine_now(rt->runtime));
        lua_pushliteral(L, "error");
        lua_setfield(L, -2, "level");
        lua_pushfstring(L, "%s: %s", t->what, t->message);
        lua_setfield(L, -2, "message");
        orr_event_queue(L, rt);
        t->told = true;
    }
    return 0;
}

void orr_script_stray(orr_script *s, const char *what, const char *message) {
    stray t = {s, what, message, false};
    if (orr_protect(s, log_stray, &t) == LUA_OK && t.told) return;
    lua_warning(s->main, "orrery: ", 1);
    lua_warning(s->main, what, 1);
    lua_warning(s->main, ": ", 1);
    lua_warning(s->main, message, 0);
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

static int close_script(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    if (s->closed) return 0;
    s->closed = true;
    orr_watchdog_stop(&s->watchdog);
    s->runtimes = s->default_rt = NULL;
    while (s->owned) s->owned->close(s, s->owned); /* mostly those for which Lua had no memory to call __gc */
    if (s->wakeup) {
        orr_wakeup_free(s->wakeup);
        uv_run(s->loop, UV_RUN_NOWAIT); /* calls the close callback, which frees the timer */
    }
    for (uint32_t i = 0; i < s->n_chunks; i++) orr_mem_free(&s->alloc, s->chunks[i], ORR_FIBER_CHUNK, sizeof(orr_fiber));
    orr_mem_free(&s->alloc, s->chunks, s->n_chunks, sizeof *s->chunks);
    orr_mem_free(&s->alloc, s->map, s->map_size, sizeof *s->map);
    return 0;
}

static int anchor_table(lua_State *L, const char *mode) {
    lua_newtable(L);
    if (mode) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static const char luv_key;

static uv_loop_t *open_luv(lua_State *L, const orr_script_options *options) {
    if (options->loop) luv_set_loop(L, options->loop);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "luv");
    lua_call(L, 1, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &luv_key); /* a module table that is collected takes its loop along */
    luv_set_callback(L, call_for_luv);
    if (options->loop && luv_loop(L) != options->loop)
        luaL_error(L, "luv is already loaded on another loop; open orrery.core before luv is required");
    return luv_loop(L);
}

void orr_push_luv(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &luv_key);
}

/* luv comes first: finalisers run in the reverse order, and luv's closes the loop that holds our timer. The
 * struct is filled in before its own finaliser is set, which frees whatever there is by then. */
orr_script *orr_script_open(lua_State *L) {
    orr_script *s = find_script(L);
    if (s) return s;
    orr_script_options options = {.alloc = {orr_alloc_libc, NULL}};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &options_key);
    if (lua_isuserdata(L, -1)) options = *(orr_script_options *)lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!options.alloc.fn) options.alloc.fn = orr_alloc_libc;

    uv_loop_t *loop = options.no_luv ? options.loop : open_luv(L, &options);
    s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->alloc = options.alloc;
    s->warm = s->cold = s->ready_head = s->ready_tail = s->current = ORR_NONE;
    orr_watchdog_init(&s->watchdog);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_script);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);

    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    s->main = s->from = lua_tothread(L, -1);
    lua_pop(L, 1);
    s->loop = loop;
    if (!s->loop) luaL_error(L, "orrery.core needs a loop: give one, or let luv make it");
    s->wakeup = orr_wakeup_new(&s->alloc, s->loop);
    s->map = orr_mem_new(&s->alloc, 64, sizeof *s->map);
    if (s->map) s->map_size = 64;
    if (!s->wakeup || !s->map) {
        luaL_error(L, "not enough memory to open orrery.core");
        return NULL;
    }
    memset(s->map, 0xff, s->map_size * sizeof *s->map);
    s->at.threads = anchor_table(L, NULL);
    s->at.values = anchor_table(L, NULL);
    s->at.active = anchor_table(L, NULL);
    s->at.boxes = anchor_table(L, "v");
    s->at.inner = anchor_table(L, "k");
    s->at.compiler = s->at.orphans = s->at.timers = s->at.timer_mt = LUA_NOREF;
    if (options.watchdog && orr_watchdog_start(&s->watchdog) == ORR_OK) s->watching = true;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &script_key);
    return s;
}
