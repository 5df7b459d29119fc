/* virtual_timer.c - luv's timers on a virtual clock.
 *
 * A timer that a handler starts through luv follows the clock of its runtime. Where that is
 * virtual, luv's own function starts the handle, so that it checks the arguments and keeps the
 * repeat, and the handle is stopped at once: the time that it had left becomes a timer of the
 * engine. That comes in the engine's step, and the callback is called between the step and the
 * fibers, as libuv would call it: outside all fibers. The functions of luv that would show the
 * difference are replaced when the first virtual runtime is made, and only then.
 */
#include "fiber/inner.h"
#include <lauxlib.h>

#define NS_PER_MS INT64_C(1000000)
#define BEHIND 3 /* functions within functions that are searched for the wait which a callback would end */

/* User values of a timer. */
enum { TIMER_CALLBACK = 1, TIMER_HANDLE, TIMER_VALUES = TIMER_HANDLE };

struct orr_uvtimer {
    orr_owned owned;
    orr_script *script;
    uv_timer_t *handle;     /* luv's; it lives as long as its userdata, which is our user value */
    orr_rt *rt;             /* whose clock it was last started on; NULL: the loop's */
    orr_uvtimer_list *list; /* where it stands: the runtime's, or the script's of those that are due */
    orr_uvtimer *next, *prev;
    int64_t due;
    uint32_t id; /* of the engine's timer; ORR_NONE where it is not set */
    bool loose;  /* its handle was unreferenced: it keeps nothing going */
};

/* ---- lists and the engine's timer ------------------------------------------------------------ */

/* Moves it to the end of a list, or (NULL) out of all. */
static void move_to(orr_uvtimer *t, orr_uvtimer_list *list) {
    if (t->list) {
        *(t->prev ? &t->prev->next : &t->list->first) = t->next;
        *(t->next ? &t->next->prev : &t->list->last) = t->prev;
    }
    t->list = list;
    t->next = t->prev = NULL;
    if (!list) return;
    t->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = t;
    list->last = t;
}

static bool is_due(const orr_uvtimer *t) {
    return t->list == &orr_fibers_of(t->script)->timers_due;
}

static bool is_set(const orr_uvtimer *t) {
    return t->id != ORR_NONE || is_due(t);
}

/* Its timer of the engine has ended: takes it out of the runtime's counts. No effect where none was
 * set. */
static void uncount(orr_uvtimer *t) {
    if (t->id == ORR_NONE) return;
    t->id = ORR_NONE;
    t->rt->n_timers--;
    if (t->loose) t->rt->n_loose--;
}

/* Sets it for `ms` from now; false when out of memory. */
static bool set(orr_uvtimer *t, uint64_t ms) {
    int64_t now = orr_engine_now(t->rt->engine);
    bool far = ms > (uint64_t)((INT64_MAX - 1 - now) / NS_PER_MS);
    t->due = far ? INT64_MAX - 1 : now + (int64_t)ms * NS_PER_MS;
    t->id = orr_engine_timer(t->rt->engine, t->due, t, 0);
    if (t->id == ORR_NONE) return false;
    t->loose = !uv_has_ref((uv_handle_t *)t->handle);
    t->rt->n_timers++;
    if (t->loose) t->rt->n_loose++;
    return true;
}

static void unset(orr_uvtimer *t) {
    if (!t->rt) return;
    if (t->id != ORR_NONE) orr_engine_untimer(t->rt->engine, t->id);
    uncount(t);
    if (is_due(t)) move_to(t, &t->rt->timers);
}

/* From now on it is luv's alone. */
static void let_go(orr_uvtimer *t) {
    unset(t);
    move_to(t, NULL);
    t->rt = NULL;
}

/* Takes over the handle, which luv has started just now. False when out of memory: then it is
 * not set. */
static bool take_over(orr_uvtimer *t, orr_rt *rt) {
    uint64_t ms = uv_timer_get_due_in(t->handle);
    uv_timer_stop(t->handle);
    let_go(t);
    t->rt = rt;
    move_to(t, &rt->timers);
    return set(t, ms);
}

void orr_uvtimers_forget(orr_script *s, orr_rt *rt) {
    while (rt->timers.first) let_go(rt->timers.first);
    for (orr_uvtimer *t = orr_fibers_of(s)->timers_due.first, *next; t; t = next) {
        next = t->next;
        if (t->rt == rt) let_go(t);
    }
}

/* ---- a timer's box --------------------------------------------------------------------------- */

static void free_timer(orr_script *s, orr_owned *owned) {
    let_go((orr_uvtimer *)owned);
    orr_free_box(s, owned, sizeof(orr_uvtimer));
}

/* The handle that is argument 1; NULL where that is no timer of luv's, which its own function
 * will say. */
static uv_timer_t *timer_handle(lua_State *L) {
    uv_timer_t **ud = luaL_testudata(L, 1, "uv_timer");
    return ud ? *ud : NULL;
}

/* What is kept of the timer that is argument 1; NULL where it was never started on a virtual
 * clock. */
static orr_uvtimer *find(lua_State *L, const orr_script *s) {
    if (s->closed || !timer_handle(L)) return NULL;
    luaL_checkstack(L, 2, NULL);
    orr_push_anchor(L, orr_fibers_of(s)->timers);
    lua_pushvalue(L, 1);
    lua_rawget(L, -2);
    orr_uvtimer *t = lua_isnil(L, -1) ? NULL : orr_unbox(L, -1);
    lua_pop(L, 2);
    return t;
}

static orr_uvtimer *find_or_make(lua_State *L, orr_script *s) {
    orr_uvtimer *t = find(L, s);
    if (t) return t;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    orr_push_anchor(L, orr_fibers_of(s)->timers);
    lua_pushvalue(L, 1);
    t = orr_new_box(L, s,
                    &(orr_box_kind){.size = sizeof *t,
                                    .values = TIMER_VALUES,
                                    .metatable = orr_fibers_of(s)->timer_mt,
                                    .collect = free_timer,
                                    .close = free_timer});
    t->script = s;
    t->handle = timer_handle(L);
    t->id = ORR_NONE;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, TIMER_HANDLE);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return t;
}

/* ---- whose clock ----------------------------------------------------------------------------- */

/* The runtime whose virtual clock what is done here follows: of the handler we are inside, or of
 * the timer whose callback we are in. NULL for the real clock. */
static orr_rt *clock_here(const orr_script *s) {
    const orr_fiber *f = orr_fiber_current(s);
    if (s->closed) return NULL;
    if (!f) return orr_fibers_of(s)->timer_rt;
    return f->rt && f->rt->is_virtual ? f->rt : NULL;
}

/* The same for a timer that a callback of anything else starts, to end a wait of a handler's:
 * that of the handler. */
static orr_rt *clock_of_callback(lua_State *L, orr_script *s, int fn) {
    orr_rt *rt = clock_here(s);
    if (rt || s->closed || orr_fiber_current(s) || !lua_isfunction(L, fn)) return rt;
    const orr_fiber *f = orr_fiber_behind(L, s, fn, BEHIND);
    return f && f->rt && f->rt->is_virtual ? f->rt : NULL;
}

/* ---- in place of luv's functions ------------------------------------------------------------- */

/* Upvalues: luv's function, the script. */
static orr_script *script_here(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(2));
}

/* Luv's own function in our frame, so that its errors name what was called. */
static int luvs_own(lua_State *L) {
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* As luv reports a failure of libuv's. */
static int no_memory(lua_State *L) {
    luaL_checkstack(L, 3, NULL);
    lua_pushnil(L);
    lua_pushliteral(L, "ENOMEM: not enough memory");
    lua_pushliteral(L, "ENOMEM");
    return 3;
}

/* timer:start(timeout, repeat, callback) */
static int timer_start(lua_State *L) {
    orr_script *s = script_here(L);
    const uv_timer_t *handle = timer_handle(L);
    orr_rt *rt = handle ? clock_of_callback(L, s, 4) : NULL;
    orr_uvtimer *t = rt ? find_or_make(L, s) : find(L, s);
    int n = luvs_own(L);
    if (!t || !uv_is_active((const uv_handle_t *)handle)) return n;
    if (!rt) {
        let_go(t);
        return n;
    }
    luaL_checkstack(L, 3, NULL);
    orr_push_box(L, s, t);
    lua_pushvalue(L, 4);
    lua_setiuservalue(L, -2, TIMER_CALLBACK);
    lua_pop(L, 1);
    return take_over(t, rt) ? n : no_memory(L);
}

static int timer_again(lua_State *L) {
    orr_uvtimer *t = find(L, script_here(L));
    int n = luvs_own(L);
    if (!t || !t->rt || !uv_is_active((uv_handle_t *)t->handle)) return n;
    return take_over(t, t->rt) ? n : no_memory(L);
}

static int timer_stop(lua_State *L) {
    orr_uvtimer *t = find(L, script_here(L));
    if (t) unset(t);
    return luvs_own(L);
}

static int timer_get_due_in(lua_State *L) {
    const orr_uvtimer *t = find(L, script_here(L));
    if (!t || !t->rt) return luvs_own(L);
    int64_t left = t->due - orr_engine_now(t->rt->engine);
    lua_pushinteger(L, left <= 0 ? 0 : left / NS_PER_MS + (left % NS_PER_MS != 0));
    return 1;
}

static int handle_is_active(lua_State *L) {
    const orr_uvtimer *t = find(L, script_here(L));
    if (!t || !is_set(t)) return luvs_own(L);
    lua_pushboolean(L, true);
    return 1;
}

/* handle:ref() and handle:unref() */
static int handle_ref(lua_State *L) {
    orr_uvtimer *t = find(L, script_here(L));
    int n = luvs_own(L);
    if (!t || t->id == ORR_NONE) return n;
    if (t->loose) t->rt->n_loose--;
    t->loose = !uv_has_ref((uv_handle_t *)t->handle);
    if (t->loose) t->rt->n_loose++;
    return n;
}

/* A callback that follows a virtual clock. Upvalues: the callback, the script, the runtime. Who
 * calls it resets the clock (orr_call_safely). */
static int on_clock(lua_State *L) {
    orr_script *s = script_here(L);
    orr_fibers_of(s)->timer_rt = orr_unbox(L, lua_upvalueindex(3));
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 0);
    return 0;
}

/* handle:close([callback]) */
static int handle_close(lua_State *L) {
    orr_script *s = script_here(L);
    orr_uvtimer *t = find(L, s);
    if (t && t->rt && lua_isfunction(L, 2)) {
        luaL_checkstack(L, 3, NULL);
        lua_pushvalue(L, 2);
        lua_pushlightuserdata(L, s);
        orr_push_box(L, s, t->rt);
        lua_pushcclosure(L, on_clock, 3);
        lua_replace(L, 2);
    }
    int n = luvs_own(L);
    if (t) let_go(t);
    return n;
}

/* uv.now() -> ms */
static int now(lua_State *L) {
    const orr_rt *rt = clock_here(script_here(L));
    if (!rt) return luvs_own(L);
    lua_pushinteger(L, orr_engine_now(rt->engine) / NS_PER_MS);
    return 1;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

void orr_uvtimer_due(orr_uvtimer *t) {
    uncount(t);
    move_to(t, &orr_fibers_of(t->script)->timers_due);
}

/* Like libuv, it is set again before its callback is called. */
static void fire(orr_script *s, orr_uvtimer *t) {
    lua_State *L = s->main;
    move_to(t, &t->rt->timers);
    orr_push_box(L, s, t);
    /* closed by a luv.close from before ours was there */
    if (lua_isnil(L, -1) || uv_is_closing((uv_handle_t *)t->handle)) {
        lua_pop(L, 1);
        return;
    }
    uint64_t repeat = uv_timer_get_repeat(t->handle);
    if (repeat && !set(t, repeat)) orr_script_stray(s, "a timer stops", "not enough memory to set it again");
    lua_getiuservalue(L, -1, TIMER_CALLBACK);
    orr_fibers_of(s)->timer_rt = t->rt;
    orr_script_call(s, 0);
    orr_fibers_of(s)->timer_rt = NULL;
    lua_pop(L, 1);
}

bool orr_phase_timers(orr_script *s) {
    orr_budget *budget = &orr_fibers_of(s)->budget;
    bool any = false;
    while (orr_fibers_of(s)->timers_due.first && !orr_budget_spent(budget) &&
           lua_checkstack(s->main, LUA_MINSTACK)) {
        orr_budget_use(budget);
        fire(s, orr_fibers_of(s)->timers_due.first);
        any = true;
    }
    return any;
}

/* ---- installing ------------------------------------------------------------------------------ */

static const struct {
    const char *name, *method; /* in the module, and of a timer; NULL: it is none */
    lua_CFunction fn;
} replaced[] = {
    {"timer_start", "start", timer_start},
    {"timer_stop", "stop", timer_stop},
    {"timer_again", "again", timer_again},
    {"timer_get_due_in", "get_due_in", timer_get_due_in},
    {"is_active", "is_active", handle_is_active},
    {"ref", "ref", handle_ref},
    {"unref", "unref", handle_ref},
    {"close", "close", handle_close},
    {"now", NULL, now},
};

/* A function that is not luv's own (a script's in its place, or ours) is left alone. */
static bool is_luvs(lua_State *L, int idx) {
    if (!lua_iscfunction(L, idx)) return false;
    if (!lua_getupvalue(L, idx, 1)) return true;
    lua_pop(L, 1);
    return false;
}

/* Replaces the function that the fields stand for in the tables at `module` and `methods`. */
static void replace(lua_State *L, orr_script *s, int module, int methods, size_t i) {
    int top = lua_gettop(L);
    if (lua_getfield(L, module, replaced[i].name), is_luvs(L, -1)) {
        lua_pushvalue(L, -1);
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, replaced[i].fn, 2);
        lua_pushvalue(L, -1);
        lua_setfield(L, module, replaced[i].name);
        if (replaced[i].method) {
            lua_getfield(L, methods, replaced[i].method);
            if (lua_rawequal(L, -1, top + 1)) {
                lua_pushvalue(L, top + 2);
                lua_setfield(L, methods, replaced[i].method);
            }
        }
    }
    lua_settop(L, top);
}

static void make_anchors(lua_State *L, orr_script *s) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    orr_fibers_of(s)->timers = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 1);
    orr_box_metatable(L);
    orr_fibers_of(s)->timer_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}

void orr_uvtimers_install(lua_State *L, orr_script *s) {
    int top = lua_gettop(L);
    if (orr_fibers_of(s)->timers_follow) return;
    orr_push_luv(L);
    if (lua_istable(L, -1) && luaL_getmetatable(L, "uv_timer") == LUA_TTABLE &&
        lua_getfield(L, -1, "__index") == LUA_TTABLE) {
        if (orr_fibers_of(s)->timer_mt == LUA_NOREF) make_anchors(L, s);
        for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) replace(L, s, top + 1, top + 3, i);
    }
    lua_settop(L, top);
    orr_fibers_of(s)->timers_follow = true;
}
