/* run.c - a run as a Lua value: starting it, its outputs, and what happens at its end. */
#include "state.h"
#include "../store/store.h"
#include "json.h"
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void push_run(lua_State *L, const orr_runbox *r) {
    if (r->self != LUA_NOREF) lua_rawgeti(L, LUA_REGISTRYINDEX, r->self);
    else orr_push_box(L, r->script, r);
}

void orr_run_push(lua_State *L, const orr_runbox *r, int value) {
    push_run(L, r);
    if (lua_isnil(L, -1)) return;
    lua_getiuservalue(L, -1, value);
    lua_remove(L, -2);
}

void orr_run_set(lua_State *L, const orr_runbox *r, int value) {
    push_run(L, r);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, value);
    lua_pop(L, 1);
}

void orr_run_push_table(lua_State *L, const orr_runbox *r, int value, int narr) {
    orr_run_push(L, r, value);
    if (lua_istable(L, -1)) return;
    lua_pop(L, 1);
    lua_createtable(L, narr, 0);
    lua_pushvalue(L, -1);
    orr_run_set(L, r, value);
}

void orr_run_push_plan(lua_State *L, const orr_runbox *r, int value) {
    orr_run_push(L, r, RUN_PLAN);
    lua_getiuservalue(L, -1, value);
    lua_remove(L, -2);
}

/* ---- outputs --------------------------------------------------------------------------------------------------------- */

/* The outcome table {name, value} at the top becomes its value; its name goes into the result. */
static void take_outcome(lua_State *L, const orr_runbox *r, orr_result *result) {
    size_t len;
    lua_rawgeti(L, -1, 1);
    const char *name = lua_tolstring(L, -1, &len);
    if (name) result->port = orr_plan_find_port(r->plan->plan, name, len);
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 2);
    lua_remove(L, -2);
}

static bool is_outcome(lua_State *L, const orr_script *s) {
    if (lua_type(L, -1) != LUA_TTABLE || !lua_getmetatable(L, -1)) return false;
    orr_push_anchor(L, s->at.outcome_mt);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static bool is_plain(lua_State *L) {
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TSTRING:
        return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1) || isfinite(lua_tonumber(L, -1))) return true;
        break;
    default:
        break;
    }
    return orr_value_check(L, -1, "output", NULL);
}

/* outputs[node + 1] = value, or outputs[node + 1][item + 1] = value, where the list was made by the expansion. */
static void keep_output(lua_State *L, const orr_runbox *r, const orr_task *task) {
    orr_run_push_table(L, r, RUN_OUTPUTS, (int)r->plan->plan->n_nodes);
    lua_Integer node = (lua_Integer)task->node + 1;
    if (task->item == ORR_NONE) {
        lua_insert(L, -2);
        lua_rawseti(L, -2, node);
        lua_pop(L, 1);
        return;
    }
    lua_rawgeti(L, -1, node);
    if (lua_isnil(L, -3)) orr_json_push_null(L);
    else lua_pushvalue(L, -3);
    lua_rawseti(L, -2, (lua_Integer)task->item + 1);
    lua_pop(L, 3);
}

bool orr_is_later(lua_State *L, const orr_script *s, int64_t *delay) {
    if (!lua_istable(L, -1) || !lua_getmetatable(L, -1)) return false;
    orr_push_anchor(L, s->at.later_mt);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!same) return false;
    lua_rawgeti(L, -1, 1);
    *delay = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return true;
}

/* What a handler returned, at the top, becomes a value that can be kept. */
static bool take_value(lua_State *L, orr_script *s, const orr_fiber *f, orr_result *result) {
    if (is_outcome(L, s)) take_outcome(L, f->run, result);
    if (!is_plain(L)) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        return false;
    }
    if (f->run->journal && !orr_journal_take_output(L, s, f->run, &f->task)) return false;
    if (!lua_isnil(L, -1)) result->value = orr_task_handle(f->task.node, f->task.item);
    return true;
}

static bool take_later(lua_State *L, orr_script *s) {
    s->outcome.later = orr_is_later(L, s, &s->outcome.delay);
    return s->outcome.later;
}

bool orr_run_take_output(lua_State *L, orr_script *s, const orr_fiber *f, orr_result *result) {
    if (take_later(L, s)) return true;
    if (f->flags & FIBER_CACHED) result->source = ORR_SOURCE_CACHE;
    if (!take_value(L, s, f, result)) return false;
    keep_output(L, f->run, &f->task);
    return true;
}

bool orr_run_take_compensation(lua_State *L, orr_script *s, const orr_fiber *f, orr_result *result) {
    if (take_later(L, s)) return true;
    if (!take_value(L, s, f, result)) return false;
    result->port = ORR_PORT_ANY;
    orr_keep_compensation(L, f->run, &f->task);
    return true;
}

void orr_run_push_output(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    orr_run_push(L, r, RUN_OUTPUTS);
    if (lua_istable(L, -1)) lua_rawgeti(L, -1, (lua_Integer)node + 1);
    else lua_pushnil(L);
    lua_remove(L, -2);
    if (lua_isnil(L, -1) && r->kept.n) { /* it has left memory */
        lua_pop(L, 1);
        orr_outputs_load(L, r, node);
    }
    if (item == ORR_NONE || !lua_istable(L, -1)) return;
    lua_rawgeti(L, -1, (lua_Integer)item + 1);
    lua_remove(L, -2);
}

void orr_push_compensation(lua_State *L, const orr_runbox *r, const orr_task *task) {
    orr_run_push(L, r, RUN_COMPENSATIONS);
    if (!lua_istable(L, -1)) return; /* nil */
    lua_rawgeti(L, -1, (lua_Integer)orr_task_handle(task->node, task->item));
    lua_remove(L, -2);
}

void orr_keep_compensation(lua_State *L, const orr_runbox *r, const orr_task *task) {
    orr_run_push_table(L, r, RUN_COMPENSATIONS, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)orr_task_handle(task->node, task->item));
    lua_pop(L, 1);
}

void orr_push_compensate(lua_State *L, const orr_fiber *f) {
    orr_run_push_plan(L, f->run, PLAN_COMPENSATES);
    lua_rawgeti(L, -1, (lua_Integer)f->task.node + 1);
    lua_remove(L, -2);
}

bool orr_push_fallback(lua_State *L, orr_script *s, const orr_fiber *f) {
    orr_runbox *r = f->run;
    orr_run_push_plan(L, r, PLAN_FALLBACKS);
    lua_rawgeti(L, -1, (lua_Integer)f->task.node + 1);
    lua_remove(L, -2);
    lua_getfield(L, -1, "fn");
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        lua_getfield(L, -1, "value");
        return false;
    }
    lua_remove(L, -2);
    orr_push_ctx(L, s, f);
    orr_run_push_table(L, r, RUN_ERRORS, 0);
    lua_rawgeti(L, -1, (lua_Integer)orr_task_handle(f->task.node, f->task.item));
    lua_remove(L, -2);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    orr_error error; /* one of the core's: a timeout, an open breaker */
    if (orr_run_error(r->run, f->task.node, f->task.item, &error)) orr_push_core_error(L, r, &error, f->task.node);
    else orr_push_error(L, s, "error", "the attempt failed");
    return true;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool orr_parse_uuid(const char *text, uint8_t id[16]) {
    int n = 0;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = hex_digit(text[i]);
        if (dash ? text[i] != '-' : digit < 0) return false;
        if (dash) continue;
        id[n / 2] = (uint8_t)(n % 2 ? id[n / 2] << 4 | digit : digit);
        n++;
    }
    return text[36] == '\0';
}

void orr_format_uuid(char *text, const uint8_t id[16]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
        *text++ = digits[id[i] >> 4];
        *text++ = digits[id[i] & 15];
    }
    *text = '\0';
}

/* UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, 74 of chance. */
static void make_uuid(uint8_t id[16], int64_t now, const uint64_t chance[2]) {
    uint64_t ms = (uint64_t)(now / 1000000);
    for (int i = 0; i < 6; i++) id[i] = (uint8_t)(ms >> (40 - 8 * i));
    for (int i = 6; i < 16; i++) id[i] = (uint8_t)(chance[i & 1] >> (i / 2 * 8 % 64));
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x70);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

/* Two words of chance: the system's, or in virtual time the same for the same run of the same runtime. */
static void draw(lua_State *L, orr_rtbox *rt, uint64_t seed, uint64_t words[2]) {
    if (!rt->is_virtual) {
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
    if (lua_isnil(L, -1) && rt->is_virtual) o->seed = rt->n_started;
    else if (!lua_isnil(L, -1)) o->seed = (uint64_t)luaL_checkinteger(L, -1);
    draw(L, rt, o->seed, words);
    if (lua_isnil(L, -1) && !rt->is_virtual) o->seed = words[0] ^ words[1] << 1;
    lua_getfield(L, opts, "concurrency");
    lua_Integer concurrency = luaL_optinteger(L, -1, 0);
    if (concurrency < 0 || concurrency > UINT32_MAX) luaL_error(L, "concurrency is out of range: expected 1 to 4294967295");
    o->concurrency = (uint32_t)concurrency;
    lua_getfield(L, opts, "id");
    if (lua_isnil(L, -1)) make_uuid(o->id, orr_engine_now(rt->runtime), words);
    else if (!orr_parse_uuid(luaL_checkstring(L, -1), o->id))
        luaL_error(L, "id: expected a UUID such as 018f3c7e-1b2a-7c3d-8e4f-5a6b7c8d9e0f, got %s", lua_tostring(L, -1));
    lua_pop(L, 3);
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
            if (orr_core_breaker(orr_engine_core(rt->runtime), lua_tostring(L, -1), &o) == ORR_ENOMEM)
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

/* The userdata at the top becomes a live one: anchored, its handlers at hand. What may fail for want of memory comes first, and can
 * stay as it is where the rest does not come about. */
static void anchor(lua_State *L, orr_rtbox *rt, orr_runbox *r, int plan) {
    orr_rt_list(L, rt);
    lua_getiuservalue(L, plan, PLAN_HANDLERS);
    r->handlers = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    r->self = luaL_ref(L, LUA_REGISTRYINDEX);
    orr_rt_use(L, rt, 1);
    r->live = true;
    rt->n_live++;
    rt->n_started++;
}

static void free_run(orr_script *s, orr_owned *owned) {
    orr_journal_drop((orr_runbox *)owned);
    orr_free_box(s, owned, sizeof(orr_runbox));
}

static void unlink_run(orr_runbox *r) {
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
    unlink_run(r);
    orr_outputs_stay(r);
    if (r->live) r->rt->n_live--;
    r->live = false;
    if (r->handlers != LUA_NOREF && lua_checkstack(s->main, LUA_MINSTACK)) luaL_unref(s->main, LUA_REGISTRYINDEX, r->handlers);
    r->handlers = LUA_NOREF;
    r->next = r->rt->graves;
    r->rt->graves = r;
}

void orr_runs_bury(orr_rtbox *rt) {
    while (rt->graves) {
        orr_runbox *r = rt->graves;
        rt->graves = r->next;
        orr_journal_drop(r);
        orr_engine_forget(rt->runtime, r->run);
        orr_run_free(r->run);
        free_run(rt->script, &r->owned);
    }
}

static void link_run(orr_rtbox *rt, orr_runbox *r) {
    orr_runbox **link = &rt->runs;
    r->next = *link;
    if (*link) (*link)->prev = r;
    *link = r;
}

orr_runbox *orr_run_box(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts) {
    orr_script *s = rt->script;
    orr_planbox *box = orr_check_plan(L, plan);
    const orr_fiber *starter = orr_fiber_current(s);
    uint32_t depth = starter && starter->run ? starter->run->depth + 1 : 0;
    if (depth > ORR_DEEPEST_RUN)
        luaL_error(L, "runs are nested %d deep: does a workflow call itself without end?", ORR_DEEPEST_RUN);
    define_breakers(L, rt, plan);
    orr_runbox *r = orr_new_box(L, s, sizeof *r, RUN_VALUES, s->at.run_mt,
                                &(orr_owned){.collect = collect_run, .close = free_run});
    r->script = s;
    r->rt = rt;
    r->plan = box;
    r->depth = depth;
    r->self = r->handlers = LUA_NOREF;
    r->waiters = ORR_NONE;
    r->due = INT64_MAX;
    lua_pushvalue(L, plan);
    lua_setiuservalue(L, -2, RUN_PLAN);
    lua_pushvalue(L, rt_idx);
    lua_setiuservalue(L, -2, RUN_RT);
    copy_option(L, opts, "input", RUN_INPUT);
    copy_option(L, opts, "context", RUN_CONTEXT);
    copy_option(L, opts, "labels", RUN_LABELS);
    copy_option(L, opts, "env", RUN_ENV);
    return r;
}

void orr_run_live(lua_State *L, orr_runbox *r, int plan, const uint8_t id[16]) {
    orr_rtbox *rt = r->rt;
    orr_run_stats stats;
    orr_format_uuid(r->id, id);
    anchor(L, rt, r, plan);
    link_run(rt, r);
    orr_run_get_stats(r->run, &stats);
    int64_t since = stats.started ? stats.started : orr_engine_now(rt->runtime);
    if (r->plan->plan->timeout) r->due = since + r->plan->plan->timeout;
}

static const char *const durabilities[] = {"strict", "relaxed", "none", NULL};

/* Whether the new run keeps a journal: in a durable store unless it wants none, in memory where it asks for one. */
static bool wants_journal(lua_State *L, orr_rtbox *rt, orr_runbox *r, int opts) {
    lua_getfield(L, opts, "durability");
    r->durability = (uint8_t)(lua_isnil(L, -1) ? orr_storage_durability(rt) : luaL_checkoption(L, -1, NULL, durabilities));
    lua_getfield(L, opts, "journal");
    bool asked = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return orr_storage_is_durable(rt) ? r->durability != ORR_DURABLE_NONE : asked;
}

/* Nodes whose outputs come from another run: adopt = {{node = index, output = value, outcome = name}, …}, dependencies first. */
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
        keep_output(L, r, &task);
        if (orr_run_adopt(r->run, task.node, result.port, result.value) != ORR_OK)
            luaL_error(L, "adopt: the output of %s cannot be taken over", orr_plan_name(r->plan->plan, task.node));
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
    r->run = orr_run_new(orr_engine_core(r->rt->runtime), r->plan->plan, m->options);
    if (!r->run) return luaL_error(L, "not enough memory for the run");
    if (r->torn) {
        r->rt->n_torn--;
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

/* It was not begun, so nobody knows of it. */
static void unmake_run(orr_script *s, orr_runbox *r) {
    if (r->live) {
        r->dropped = r->torn = true;
        orr_run_let_go(s, r);
    } else if (r->run) {
        orr_run_free(r->run);
        r->run = NULL;
    }
    orr_journal_drop(r);
}

orr_runbox *orr_run_start(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts) {
    if (rt->closed) luaL_error(L, "this runtime is closed; open another to start runs in");
    orr_run_options o = {.value = 1};
    orr_engine_tick(rt->runtime); /* nobody may have stepped for long, and its timeout begins now */
    read_run_options(L, rt, opts, &o);
    orr_runbox *r = orr_run_box(L, rt, rt_idx, plan, opts);
    const orr_fiber *starter = orr_fiber_current(rt->script);
    lua_getfield(L, opts, "child");
    const orr_runbox *parent = lua_toboolean(L, -1) && starter ? starter->run : NULL;
    lua_pop(L, 1);
    if (wants_journal(L, rt, r, opts)) orr_journal_begin(L, rt, r, opts, &o, parent ? orr_run_id_of(parent->run) : NULL);
    lua_pushcfunction(L, make_run);
    lua_pushlightuserdata(L, &(making){r, &o});
    lua_pushvalue(L, -3);
    lua_pushvalue(L, plan);
    lua_pushvalue(L, opts);
    if (lua_pcall(L, 4, 0, 0) != LUA_OK) {
        unmake_run(rt->script, r);
        lua_error(L);
    }
    orr_run_begin(r->run);
    return r;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

void orr_run_judge(lua_State *L, orr_runbox *r, orr_run_state state) {
    if (r->judged || state != ORR_RUN_COMPLETED) return;
    r->judged = true;
    orr_script *s = r->script;
    orr_run_push_plan(L, r, PLAN_OUTPUT);
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    orr_fiber *view = orr_fiber_new(s, false);
    if (!view) {
        luaL_error(L, "not enough memory");
        return;
    }
    view->run = r;
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, -2);
    orr_push_ctx(L, s, view);
    int status = lua_pcall(L, 1, 1, -3);
    orr_fiber_release(s, view, true);
    if (status == LUA_OK && !(orr_value_check(L, -1, "output", "the output of a run is plain data") && orr_journal_takes(L, r, "output"))) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        lua_replace(L, -3);
        lua_pop(L, 1);
        status = LUA_ERRRUN;
    }
    lua_remove(L, -2);
    if (status == LUA_OK) {
        orr_run_set(L, r, RUN_OUTPUT);
        return;
    }
    orr_error error;
    orr_error_table(L, s, -1, "expression_error", &error);
    orr_run_set(L, r, RUN_ERROR);
    lua_pop(L, 1);
    r->output_failed = true;
}

/* Gives each fiber that waits what it waits for: the run, or of its own child the output or an error. */
static void wake_waiter(lua_State *L, orr_runbox *r, orr_fiber *f) {
    orr_script *s = r->script;
    if (!lua_checkstack(f->co, LUA_MINSTACK)) luaL_error(L, "not enough memory");
    if (f->wait == WAIT_RUN) push_run(L, r);
    else if (!orr_run_push_result(L, r)) f->flags |= FIBER_RAISE;
    lua_xmove(L, f->co, 1);
    orr_wait_done(s, f, 1);
}

static int finish_run(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_run_judge(L, r, orr_run_get_state(r->run));
    while (r->waiters != ORR_NONE) {
        lua_settop(L, 0);
        wake_waiter(L, r, orr_fiber_at(r->script, r->waiters));
    }
    return 0;
}

static void not_live(orr_script *s, orr_runbox *r) {
    r->live = false;
    r->rt->n_live--;
    orr_journal_over(r);
    orr_rt_use(s->main, r->rt, -1);
    if (!lua_checkstack(s->main, LUA_MINSTACK)) return;
    luaL_unref(s->main, LUA_REGISTRYINDEX, r->handlers);
    luaL_unref(s->main, LUA_REGISTRYINDEX, r->self);
    r->handlers = r->self = LUA_NOREF;
}

static void tell_waiters(orr_script *s, orr_runbox *r) {
    if (orr_protect(s, finish_run, r) == LUA_OK) return;
    while (r->waiters != ORR_NONE) orr_wake_with_reason(s, orr_fiber_at(s, r->waiters), REASON_MEMORY);
}

void orr_run_over(orr_script *s, orr_runbox *r) {
    if (!r->live || orr_orphans_left(r)) return;
    tell_waiters(s, r);
    not_live(s, r);
    orr_orphan_over(s, r);
}

void orr_run_let_go(orr_script *s, orr_runbox *r) {
    tell_waiters(s, r);
    not_live(s, r);
    orr_orphan_over(s, r);
    unlink_run(r);
    orr_run_free(r->run);
    r->run = NULL;
}

int orr_run_await(lua_State *L, orr_runbox *r, bool child) {
    orr_script *s = r->script;
    orr_fiber *f = orr_wait_begin(L, s, child ? "ctx:call" : "rt:wait");
    f->wait = child ? WAIT_CHILD : WAIT_RUN;
    f->other = r;
    f->prev = f->next = ORR_NONE;
    uint32_t *link = &r->waiters;
    while (*link != ORR_NONE) {
        f->prev = *link;
        link = &orr_fiber_at(s, *link)->next;
    }
    *link = f->index;
    return orr_wait_yield(L, s, f);
}

orr_runbox *orr_check_run(lua_State *L, int idx) {
    return orr_check_box(L, idx, orr_script_of(L)->at.run_mt, "run");
}

void orr_open_run(lua_State *L, orr_script *s) {
    lua_newtable(L);
    orr_box_metatable(L);
    lua_pushliteral(L, "orrery.run");
    lua_setfield(L, -2, "__name");
    orr_run_methods(L);
    s->at.run_mt = luaL_ref(L, LUA_REGISTRYINDEX);
}
