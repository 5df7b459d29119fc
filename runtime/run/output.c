/* output.c - what handlers return: outputs, named outcomes, results of compensations, fallbacks. */
#include "run/inner.h"
#include <math.h>

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
    orr_push_anchor(L, orr_runs_of(s)->outcome_mt);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* Adds to `bytes` what the value takes. */
static bool is_plain(lua_State *L, size_t *bytes) {
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN: return true;
    case LUA_TSTRING: *bytes += lua_rawlen(L, -1); return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1) || isfinite(lua_tonumber(L, -1))) return true;
        break;
    default: break;
    }
    return orr_value_measure(L, -1, "output", NULL, bytes);
}

/* Whether the run may keep so many bytes more. What it is thought to have counts shared values and
 * those that were replaced or have left memory as often as they came: before it is refused one, it
 * is measured. */
static bool fits(lua_State *L, orr_runbox *r, size_t bytes) {
    size_t limit = r->rt->memory_limit;
    r->bytes += bytes;
    if (r->bytes <= limit) return true;
    orr_run_push(L, r, RUN_OUTPUTS);
    lua_createtable(L, 3, 0); /* measured together: what both hold is there once */
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 2);
    orr_run_push(L, r, RUN_COMPENSATIONS);
    lua_rawseti(L, -2, 3);
    r->bytes = orr_value_bytes(L, -1);
    lua_pop(L, 1);
    return r->bytes <= limit;
}

static bool refuse_size(lua_State *L, orr_script *s, const orr_runbox *r) {
    lua_pushfstring(L,
                    "with this output the run's outputs would take %I bytes of memory, and %I is the most "
                    "for one run; write what is large to files, or raise memory_limit",
                    (LUAI_UACINT)r->bytes, (LUAI_UACINT)r->rt->memory_limit);
    orr_push_error(L, s, "memory_limit", lua_tostring(L, -1));
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "retryable");
    return false;
}

/* outputs[node + 1] = value, or outputs[node + 1][item + 1] = value, where the list was made by
 * the expansion. */
void orr_run_keep_output(lua_State *L, const orr_runbox *r, const orr_task *task) {
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
    orr_item_output_set(L, task->item);
    lua_pop(L, 3);
}

bool orr_is_later(lua_State *L, const orr_script *s, int64_t *delay) {
    if (!lua_istable(L, -1) || !lua_getmetatable(L, -1)) return false;
    orr_push_anchor(L, orr_runs_of(s)->later_mt);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!same) return false;
    lua_rawgeti(L, -1, 1);
    *delay = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return true;
}

/* What a handler returned, at the top, becomes a value that can be kept. *bytes: what it takes. */
static bool take_value(lua_State *L, orr_script *s, const orr_fiber *f, orr_result *result, size_t *bytes) {
    if (is_outcome(L, s)) take_outcome(L, f->run, result);
    *bytes = 0;
    orr_mask(L, s, -1);
    if (!is_plain(L, bytes)) {
        orr_push_error(L, s, "invalid_output", lua_tostring(L, -1));
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "retryable");
        return false;
    }
    if (!fits(L, f->run, *bytes)) return refuse_size(L, s, f->run);
    if (f->run->journal && !f->run->rt->keeper->take_output(L, s, f->run, &f->task)) return false;
    if (!lua_isnil(L, -1)) result->value = orr_task_handle(f->task.node, f->task.item);
    return true;
}

/* In a run with a journal it is a sleep like others: after a restart only the rest is slept. */
static bool take_later(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_runs *runs = orr_runs_of(s);
    runs->later = orr_is_later(L, s, &runs->delay);
    if (runs->later && f->run->journal) runs->delay = orr_step_rest(L, s, f, runs->delay);
    return runs->later;
}

/* The output of the iteration before, which this one's is about to replace, for who asks about
 * both: `until` is asked next. In the registry by its address. */
static const char previous;

static void keep_previous(lua_State *L, const orr_fiber *f) {
    orr_run_push_output(L, f->run, f->task.node, f->task.item);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &previous);
}

void orr_push_previous(lua_State *L, const orr_fiber *f, bool replaced) {
    if (f->task.iteration == 0) lua_pushnil(L);
    else if (replaced) lua_rawgetp(L, LUA_REGISTRYINDEX, &previous);
    else orr_run_push_output(L, f->run, f->task.node, f->task.item);
    if (!orr_json_is_null(L, -1)) return; /* an item without an output has a null in its place */
    lua_pop(L, 1);
    lua_pushnil(L);
}

void orr_drop_previous(lua_State *L) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &previous);
}

bool orr_run_take_output(lua_State *L, orr_script *s, orr_fiber *f, orr_result *result) {
    if (take_later(L, s, f)) return true;
    if (f->flags & ATTEMPT_CACHED) result->source = ORR_SOURCE_CACHE;
    size_t bytes;
    if (!take_value(L, s, f, result, &bytes)) return false;
    if (f->task.iteration > 0) keep_previous(L, f);
    orr_run_keep_output(L, f->run, &f->task);
    f->run->kept.large_item = false;
    if (bytes <= f->run->rt->large_output) return true;
    if (f->task.item == ORR_NONE) orr_large_took(L, f->run, f->task.node);
    else if (!f->run->journal) orr_item_output_write(L, f->run, &f->task);
    else f->run->kept.large_item = f->run->rt->durable;
    return true;
}

bool orr_run_take_compensation(lua_State *L, orr_script *s, orr_fiber *f, orr_result *result) {
    if (take_later(L, s, f)) return true;
    size_t bytes;
    if (!take_value(L, s, f, result, &bytes)) return false;
    result->port = ORR_PORT_ANY;
    orr_keep_compensation(L, f->run, &f->task);
    return true;
}

void orr_run_push_output(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item) {
    orr_run_push(L, r, RUN_OUTPUTS);
    if (lua_istable(L, -1)) lua_rawgeti(L, -1, (lua_Integer)node + 1);
    else lua_pushnil(L);
    lua_remove(L, -2);
    if (lua_isnil(L, -1) && r->unloads) { /* it has left memory */
        lua_pop(L, 1);
        orr_large_load(L, r, node);
    } else if (r->large) {
        orr_large_used(r->large, node);
    }
    if (item == ORR_NONE || !lua_istable(L, -1)) return;
    orr_list_get(L, -1, (lua_Integer)item + 1);
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
    if (orr_run_error(r->run, f->task.node, f->task.item, &error))
        orr_push_core_error(L, r, &error, f->task.node);
    else orr_push_error(L, s, "error", "the attempt failed");
    return true;
}
