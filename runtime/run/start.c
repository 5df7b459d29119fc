/* start.c - starting a run, and freeing it when nobody needs it any more. */
#include "run/inner.h"
#include <stdio.h>
#include <string.h>

/* Two words of chance: the system's, or in time that jumps the same for the same run of the same
 * runtime, unless a store keeps it: there may be such a run in it already. */
static void draw(lua_State *L, orr_rtbox *rt, uint64_t seed, uint64_t words[2]) {
    if (!rt->base.jumps || rt->durable) {
        int status = uv_random(NULL, NULL, words, 2 * sizeof *words, 0, NULL);
        if (status != 0) luaL_error(L, "the system gives no random numbers: %s", uv_strerror(status));
        return;
    }
    orr_task task = {(uint32_t)rt->n_started, 0, 0, 0};
    words[0] = orr_chance(seed, &task, 1);
    words[1] = orr_chance(seed, &task, 2);
}

static void read_run_options(lua_State *L, orr_rtbox *rt, int opts, orr_run_options *o) {
    uint64_t words[2];
    lua_getfield(L, opts, "seed");
    if (lua_isnil(L, -1) && rt->base.jumps) o->seed = rt->n_started;
    else if (!lua_isnil(L, -1)) o->seed = (uint64_t)luaL_checkinteger(L, -1);
    draw(L, rt, o->seed, words);
    if (lua_isnil(L, -1) && !rt->base.jumps) o->seed = words[0] ^ words[1] << 1;
    lua_getfield(L, opts, "concurrency");
    lua_Integer concurrency = luaL_optinteger(L, -1, 0);
    if (concurrency < 0 || concurrency > UINT32_MAX)
        luaL_error(L, "concurrency is out of range: expected 1 to 4294967295");
    o->concurrency = (uint32_t)concurrency;
    lua_getfield(L, opts, "id");
    if (lua_isnil(L, -1)) orr_uuid_v7(o->id, orr_engine_now(rt->base.engine), words);
    else if (!orr_uuid_parse(luaL_checkstring(L, -1), o->id))
        luaL_error(L, "id: expected a UUID such as 018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f, got %s",
                   lua_tostring(L, -1));
    lua_pop(L, 3);
}

/* The store of a runtime that has one was asked before. */
static void check_id(lua_State *L, orr_rtbox *rt, int opts, const uint8_t id[16]) {
    bool given = lua_getfield(L, opts, "id") != LUA_TNIL;
    lua_pop(L, 1);
    const orr_runbox *other = given ? orr_run_by_id(rt, id) : NULL;
    if (!other) return;
    lua_pushfstring(L, "id: there is a run %s already, which is %s; an id is given once", other->id,
                    orr_run_state_text(other));
    orr_push_final_error(L, rt->base.script, "duplicate_id");
    lua_error(L);
}

static void define_breakers(lua_State *L, orr_rtbox *rt, int plan) {
    if (lua_getiuservalue(L, plan, PLAN_BREAKERS) == LUA_TTABLE) {
        int list = lua_gettop(L);
        lua_pushnil(L);
        while (lua_next(L, list)) {
            int at = lua_gettop(L);
            orr_breaker_options o = {.window = orr_read_seconds(L, at, "window"),
                                     .cooldown = orr_read_seconds(L, at, "cooldown")};
            lua_getfield(L, at, "threshold");
            o.threshold = (uint32_t)lua_tointeger(L, -1);
            lua_getfield(L, at, "probes");
            o.probes = (uint32_t)lua_tointeger(L, -1);
            lua_getfield(L, at, "name");
            if (orr_core_breaker(orr_engine_core(rt->base.engine), lua_tostring(L, -1), &o) == ORR_ENOMEM)
                luaL_error(L, "not enough memory for a breaker");
            lua_settop(L, at - 1);
        }
    }
    lua_pop(L, 1);
}

static void copy_option(lua_State *L, int opts, const char *key, int value) {
    lua_getfield(L, opts, key);
    lua_setiuservalue(L, -2, value);
}

/* The same with what is kept, and so may hold no secrets. */
static void copy_kept(lua_State *L, const orr_script *s, int opts, const char *key, int value) {
    lua_getfield(L, opts, key);
    orr_mask(L, s, -1);
    lua_setiuservalue(L, -2, value);
}

/* The userdata at the top becomes a live one: anchored, its handlers at hand. What may fail for
 * lack of memory comes first, and does no harm where the rest is not reached. */
static void anchor(lua_State *L, orr_rtbox *rt, orr_runbox *r, int plan) {
    if (!orr_run_table_reserve(rt)) luaL_error(L, "not enough memory");
    orr_rt_list(L, &rt->base);
    lua_getiuservalue(L, plan, PLAN_HANDLERS);
    r->handlers = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    r->self = luaL_ref(L, LUA_REGISTRYINDEX);
    orr_rt_use(L, &rt->base, 1);
    r->live = true;
    rt->base.n_live++;
    rt->n_started++;
}

static void free_run(orr_script *s, orr_owned *owned) {
    orr_runbox *r = (orr_runbox *)owned;
    if (r->has_kept) r->rt->keeper->drop(r);
    orr_run_lock_free(r);
    orr_large_free(r);
    orr_free_box(s, owned, sizeof(orr_runbox));
}

void orr_run_unlink(orr_runbox *r) {
    orr_run_table_remove(r->rt, r);
    if (r->prev) r->prev->next = r->next;
    else if (r->rt->runs == r) r->rt->runs = r->next;
    if (r->next) r->next->prev = r->prev;
    r->next = r->prev = NULL;
}

/* Freed later: the collector may be at work inside a hook of the core. */
static void collect_run(orr_script *s, orr_owned *owned) {
    orr_runbox *r = (orr_runbox *)owned;
    if (!r->run) {
        free_run(s, owned);
        return;
    }
    orr_run_unlink(r);
    if (r->has_kept) r->rt->keeper->unwatched(r);
    if (r->live) r->rt->base.n_live--;
    r->live = false;
    if (r->handlers != LUA_NOREF && lua_checkstack(s->main, LUA_MINSTACK))
        luaL_unref(s->main, LUA_REGISTRYINDEX, r->handlers);
    r->handlers = LUA_NOREF;
    r->next = r->rt->unneeded;
    r->rt->unneeded = r;
}

void orr_runs_drop_kept(orr_script *s, orr_rtbox *rt) {
    for (orr_owned *owned = s->owned; owned; owned = owned->next) {
        orr_runbox *r = (orr_runbox *)owned;
        if (owned->collect == collect_run && r->rt == rt && r->has_kept) rt->keeper->drop(r);
    }
}

void orr_runs_free_unneeded(orr_rtbox *rt) {
    while (rt->unneeded) {
        orr_runbox *r = rt->unneeded;
        rt->unneeded = r->next;
        if (r->lock) orr_run_lock_over(r);
        if (r->has_kept) r->rt->keeper->drop(r);
        orr_engine_forget(rt->base.engine, r->run);
        orr_run_free(r->run);
        free_run(rt->base.script, &r->owned);
    }
}

static void link_run(orr_rtbox *rt, orr_runbox *r) {
    orr_runbox **link = &rt->runs;
    r->next = *link;
    if (*link) (*link)->prev = r;
    *link = r;
    orr_run_table_add(rt, r);
}

orr_runbox *orr_run_box(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts) {
    orr_script *s = rt->base.script;
    orr_planbox *box = orr_check_plan(L, plan);
    const orr_fiber *starter = orr_fiber_current(s);
    uint32_t depth = starter && starter->run ? starter->run->depth + 1 : 0;
    if (depth > ORR_DEEPEST_RUN)
        luaL_error(L, "runs are nested %d deep: does a workflow call itself without end?", ORR_DEEPEST_RUN);
    define_breakers(L, rt, plan);
    orr_runbox *r = orr_new_box(L, s,
                                &(orr_box_kind){.size = sizeof *r,
                                                .values = RUN_VALUES,
                                                .metatable = orr_runs_of(s)->run_mt,
                                                .collect = collect_run,
                                                .close = free_run});
    r->script = s;
    r->rt = rt;
    r->plan = box;
    r->depth = depth;
    r->self = r->handlers = LUA_NOREF;
    r->waiters = ORR_NONE;
    lua_pushvalue(L, plan);
    lua_setiuservalue(L, -2, RUN_PLAN);
    lua_pushvalue(L, rt_idx);
    lua_setiuservalue(L, -2, RUN_RT);
    copy_kept(L, s, opts, "input", RUN_INPUT);
    copy_kept(L, s, opts, "context", RUN_CONTEXT);
    copy_kept(L, s, opts, "labels", RUN_LABELS);
    copy_option(L, opts, "env", RUN_ENV);
    copy_option(L, opts, "trigger", RUN_TRIGGER);
    lua_getfield(L, opts, "child");
    r->child = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return r;
}

void orr_run_live(lua_State *L, orr_runbox *r, int plan, const uint8_t id[16]) {
    orr_rtbox *rt = r->rt;
    orr_uuid_format(r->id, id);
    anchor(L, rt, r, plan);
    link_run(rt, r);
}

static const char *const durabilities[] = {"strict", "relaxed", "none", NULL};

/* A key, a lock, or an id that a user gave: there is one run with it, and others find it. */
static bool has_name(lua_State *L, const orr_runbox *r, int opts, bool child) {
    bool keyed = lua_getfield(L, opts, "key") != LUA_TNIL, named = lua_getfield(L, opts, "id") != LUA_TNIL;
    lua_pop(L, 2);
    return keyed || r->lock || (named && !child);
}

/* Whether the new run keeps a journal: in a durable store unless it wants none, in memory where
 * it asks for one or all do. */
static bool wants_journal(lua_State *L, orr_rtbox *rt, orr_runbox *r, int opts, bool child) {
    lua_getfield(L, opts, "durability");
    r->durability = (uint8_t)(lua_isnil(L, -1) ? rt->durability
                                               : luaL_checkoption(L, -1, NULL, durabilities));
    lua_getfield(L, opts, "journal");
    bool asked = lua_toboolean(L, -1);
    lua_pop(L, 2);
    /* what has a name in the store has to be there */
    if (rt->durable && r->durability == ORR_DURABLE_NONE && has_name(L, r, opts, child))
        r->durability = ORR_DURABLE_RELAXED;
    if (rt->durable) return r->durability != ORR_DURABLE_NONE;
    return asked || (rt->saveable && !r->plan->natives);
}

/* Nodes whose outputs come from another run: adopt = {{node = index, output = value, outcome =
 * name}, …}, dependencies first. */
static void adopt(lua_State *L, orr_runbox *r, int opts) {
    if (lua_getfield(L, opts, "adopt") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    int list = lua_gettop(L);
    for (lua_Integer i = 1; lua_rawgeti(L, list, i) == LUA_TTABLE; i++, lua_settop(L, list)) {
        orr_result result = {.port = ORR_PORT_ANY};
        orr_task task = {0, ORR_NONE, 0, 0};
        lua_getfield(L, -1, "node");
        task.node = orr_node_by_name(L, r, lua_gettop(L));
        if (task.node == ORR_NONE) luaL_error(L, "adopt: no node is called %s", luaL_tolstring(L, -1, NULL));
        lua_getfield(L, -2, "outcome");
        size_t len;
        const char *outcome = lua_tolstring(L, -1, &len);
        if (outcome) result.port = orr_plan_find_port(r->plan->plan, outcome, len);
        lua_getfield(L, -3, "output");
        if (!lua_isnil(L, -1)) result.value = orr_task_handle(task.node, ORR_NONE);
        orr_run_keep_output(L, r, &task);
        if (orr_run_adopt(r->run, task.node, result.port, result.value) != ORR_OK)
            luaL_error(L, "adopt: the output of %s cannot be taken over",
                       orr_plan_name(r->plan->plan, task.node));
    }
    lua_settop(L, list - 1);
}

typedef struct making {
    orr_runbox *r;
    orr_run_options *options;
} making;

/* (making, run, plan, options) */
static int make_run(lua_State *L) {
    const making *m = lua_touserdata(L, 1);
    orr_runbox *r = m->r;
    m->options->ud = r;
    r->run = orr_run_new(orr_engine_core(r->rt->base.engine), r->plan->plan, m->options);
    if (!r->run) return luaL_error(L, "not enough memory for the run");
    if (r->incomplete) {
        r->rt->n_incomplete--;
        return luaL_error(L, "not enough memory for the first record of the run's journal");
    }
    lua_pushvalue(L, 2);
    orr_run_live(L, r, 3, m->options->id);
    lua_pop(L, 1);
    adopt(L, r, 4);
    lua_getfield(L, 4, "paused");
    if (lua_toboolean(L, -1)) orr_run_pause(r->run);
    return 0;
}

/* Frees a run that was not begun, so nobody knows of it. */
static void unmake_run(orr_script *s, orr_runbox *r) {
    if (r->live) {
        r->dropped = r->incomplete = true;
        orr_run_let_go(s, r);
    } else if (r->run) {
        orr_run_free(r->run);
        r->run = NULL;
    }
    if (r->has_kept) r->rt->keeper->drop(r);
}

orr_runbox *orr_run_start(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts) {
    if (rt->closed) luaL_error(L, "this runtime is closed; open another to start runs in");
    orr_run_options o = {.value = 1};
    orr_engine_tick(rt->base.engine); /* the last step may be long ago, and the run's timeout begins now */
    read_run_options(L, rt, opts, &o);
    check_id(L, rt, opts, o.id);
    orr_runbox *r = orr_run_box(L, rt, rt_idx, plan, opts);
    const orr_fiber *starter = orr_fiber_current(rt->base.script);
    lua_getfield(L, opts, "child");
    const orr_runbox *parent = lua_toboolean(L, -1) && starter ? starter->run : NULL;
    lua_pop(L, 1);
    orr_run_lock_read(L, r, opts);
    orr_run_lock_enter(L, r, &o);
    if (wants_journal(L, rt, r, opts, parent != NULL)) {
        const uint8_t *parent_id = parent ? orr_run_id_of(parent->run) : NULL;
        rt->keeper->begin(L, &(orr_beginning){rt, r, opts, &o, parent_id});
    }
    lua_pushcfunction(L, make_run);
    lua_pushlightuserdata(L, &(making){r, &o});
    lua_pushvalue(L, -3);
    lua_pushvalue(L, plan);
    lua_pushvalue(L, opts);
    if (lua_pcall(L, 4, 0, 0) != LUA_OK) {
        unmake_run(rt->base.script, r);
        lua_error(L);
    }
    orr_run_begin(r->run);
    orr_run_lock_wait(r);
    return r;
}
