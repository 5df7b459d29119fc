/* events.c - events of the core as Lua tables, for those who listen.
 *
 * The core's hook only builds and queues: listeners are called between two turns, when they may
 * start and cancel runs. Nothing is built while nobody listens.
 */
#include "run/inner.h"
#include <string.h>

static bool is_loop(const orr_runbox *r, uint32_t node) {
    const orr_plan *plan = r->plan->plan;
    return plan->policies[plan->policy_of[node]].has_loop;
}

/* Events that are not the core's: those of handlers and of the watch here, and those of the
 * command beside them. */
static const char *const other_events[] = {
    "log", "cost", "progress", "run_blocked", "run_suspended", "run_refused", "run_waiting",
};

bool orr_event_is_ours(const char *name) {
    for (orr_event_kind kind = 0; kind < ORR_EVENT_COUNT; kind++)
        if (strcmp(name, orr_event_name(kind)) == 0) return true;
    for (size_t i = 0; i < sizeof other_events / sizeof *other_events; i++)
        if (strcmp(name, other_events[i]) == 0) return true;
    return false;
}

/* Events have seconds in whole microseconds: that many digits a double holds, and as text they are
 * short and quickly made. */
static void set_time(lua_State *L, const char *key, int64_t ns) {
    int64_t microseconds = ns / 1000;
    lua_pushnumber(L, (lua_Number)microseconds / 1e6);
    lua_setfield(L, -2, key);
}

void orr_event_push(lua_State *L, const orr_runbox *r, const char *name, const orr_task *task, int64_t time) {
    lua_createtable(L, 0, 8); /* what most have; a table of nine has room for sixteen */
    orr_set_text(L, "event", name);
    set_time(L, "time", time);
    if (!r) return;
    orr_set_text(L, "run", r->id);
    orr_set_text(L, "workflow", r->plan->plan->name);
    if (!task || task->node == ORR_NONE) return;
    orr_push_node_name(L, r, task->node);
    lua_setfield(L, -2, "node");
    if (task->item != ORR_NONE) orr_set_integer(L, "item", (lua_Integer)task->item + 1);
    if (orr_item_name_push(L, r, task)) lua_setfield(L, -2, "item_name");
    if (is_loop(r, task->node)) orr_set_integer(L, "iteration", (lua_Integer)task->iteration + 1);
    if (task->attempt) orr_set_integer(L, "attempt", task->attempt);
}

/* Room for the ticket of one more event in the queue. */
static bool reserve_ticket(orr_rtbox *rt) {
    if (rt->queue_first + rt->n_queued < rt->cap_tickets) return true;
    uint32_t cap = rt->cap_tickets ? rt->cap_tickets * 2 : 64;
    uint64_t *tickets = orr_mem_resize(&rt->base.script->alloc, rt->tickets, rt->cap_tickets, cap,
                                       sizeof *tickets);
    if (!tickets) return false;
    rt->tickets = tickets;
    rt->cap_tickets = cap;
    return true;
}

/* An event may be shown when the last record before it is durable; that of its run, where it is
 * one's. */
static void queue(lua_State *L, orr_rtbox *rt, uint64_t ticket) {
    if (!reserve_ticket(rt)) luaL_error(L, "not enough memory for an event");
    orr_push_box(L, rt->base.script, rt);
    lua_getiuservalue(L, -1, RT_QUEUE);
    lua_pushvalue(L, -3);
    uint32_t place = rt->queue_first + rt->n_queued;
    lua_rawseti(L, -2, (lua_Integer)place + 1);
    rt->tickets[place] = ticket;
    rt->n_queued++;
    lua_pop(L, 3);
}

void orr_event_queue(lua_State *L, orr_rtbox *rt) {
    queue(L, rt, 0);
}

/* ---- what each kind adds --------------------------------------------------------------------- */

typedef struct event_call {
    orr_rtbox *rt;
    orr_runbox *r;
    const orr_event *e;
} event_call;

static void set_error(lua_State *L, const event_call *c) {
    if (!c->e->error) return;
    orr_push_core_error(L, c->r, c->e->error, c->e->task.node);
    lua_setfield(L, -2, "error");
}

/* Marks what a fallback or a compensation does, to distinguish it from attempts. */
static void set_phase(lua_State *L, const event_call *c) {
    if (c->e->phase == ORR_PHASE_FALLBACK) orr_set_flag(L, "fallback", true);
    if (c->e->phase == ORR_PHASE_COMPENSATE) orr_set_flag(L, "compensation", true);
}

/* When an attempt began is remembered while somebody listens, for `seconds` at its end. */
static void add_started(lua_State *L, const event_call *c) {
    orr_run_push_table(L, c->r, RUN_STARTS, 0);
    lua_pushinteger(L, c->e->time);
    lua_rawseti(L, -2, (lua_Integer)orr_task_handle(c->e->task.node, c->e->task.item));
    lua_pop(L, 1);
    set_phase(L, c);
}

static void add_seconds(lua_State *L, const event_call *c) {
    orr_run_push_table(L, c->r, RUN_STARTS, 0);
    if (lua_rawgeti(L, -1, (lua_Integer)orr_task_handle(c->e->task.node, c->e->task.item)) == LUA_TNUMBER) {
        int64_t since = lua_tointeger(L, -1);
        lua_pop(L, 2);
        set_time(L, "seconds", c->e->time - since);
    } else {
        lua_pop(L, 2);
    }
}

static void add_completed(lua_State *L, const event_call *c) {
    add_seconds(L, c);
    if (orr_cache_hit(L, c->r, &c->e->task)) orr_set_flag(L, "cached", true);
    orr_set_text(L, "outcome", c->e->name);
}

static void add_failed(lua_State *L, const event_call *c) {
    add_seconds(L, c);
    set_error(L, c);
}

static void add_due(lua_State *L, const event_call *c) {
    if (c->e->due >= 0) set_time(L, "due", c->e->due);
}

static void add_retrying(lua_State *L, const event_call *c) {
    if (c->e->count > 0) orr_set_integer(L, "policy", c->e->count);
    add_due(L, c);
    if (c->e->due >= 0) set_time(L, "delay", c->e->due - c->e->time);
    set_phase(L, c);
    set_error(L, c);
}

static void add_items(lua_State *L, const event_call *c) {
    orr_set_integer(L, "items", c->e->count);
}

static void add_layer(lua_State *L, const event_call *c) {
    orr_set_integer(L, "layer", (lua_Integer)c->e->count + 1);
}

static void add_skipped(lua_State *L, const event_call *c) {
    orr_set_text(L, "reason", orr_skip_name(c->e->reason));
    orr_why why = {.by = ORR_NONE};
    orr_run_why(c->e->run, c->e->task.node, c->e->task.item, &why);
    if (why.by == ORR_NONE) return;
    orr_push_node_name(L, c->r, why.by);
    lua_setfield(L, -2, "by");
}

static void add_cause(lua_State *L, const event_call *c) {
    orr_set_text(L, "cause", orr_stop_name(c->e->reason));
}

static void add_plan(lua_State *L, const event_call *c) {
    orr_set_integer(L, "nodes", c->r->plan->plan->n_nodes);
    orr_set_integer(L, "layers", c->r->plan->plan->n_layers);
}

static void add_end(lua_State *L, const event_call *c) {
    orr_run_compute_output(L, c->r, orr_run_get_state(c->r->run));
    if (c->r->output_failed) orr_set_text(L, "event", orr_event_name(ORR_EV_RUN_FAILED));
    orr_set_text(L, "state", orr_run_state_text(c->r));
    orr_run_push_error(L, c->r);
    lua_setfield(L, -2, "error");
    orr_run_push(L, c->r, RUN_OUTPUT);
    lua_setfield(L, -2, "output");
    orr_run_push_stats(L, c->r);
    orr_run_set_costs(L, c->r);
    lua_setfield(L, -2, "stats");
}

/* How many of its nodes have settled already. */
static void add_recovered(lua_State *L, const event_call *c) {
    add_plan(L, c);
    orr_run_push_stats(L, c->r);
    lua_setfield(L, -2, "stats");
}

static void add_compensating(lua_State *L, const event_call *c) {
    add_cause(L, c);
    orr_set_integer(L, "nodes", c->e->count);
    orr_run_push_failure(L, c->r);
    lua_setfield(L, -2, "error");
}

static void add_undone_end(lua_State *L, const event_call *c) {
    add_end(L, c);
    orr_run_push_compensations(L, c->r);
    lua_setfield(L, -2, "compensations");
}

static void add_breaker(lua_State *L, const event_call *c) {
    orr_set_text(L, "breaker", c->e->name);
}

static void (*const adders[ORR_EVENT_COUNT])(lua_State *L, const event_call *c) = {
    [ORR_EV_RUN_STARTED] = add_plan,
    [ORR_EV_RUN_RECOVERED] = add_recovered,
    [ORR_EV_NODE_STARTED] = add_started,
    [ORR_EV_NODE_WAITING] = add_due,
    [ORR_EV_NODE_RETRYING] = add_retrying,
    [ORR_EV_NODE_EXPANDED] = add_items,
    [ORR_EV_NODE_COMPLETED] = add_completed,
    [ORR_EV_NODE_FAILED] = add_failed,
    [ORR_EV_NODE_SKIPPED] = add_skipped,
    [ORR_EV_NODE_CANCELLED] = add_failed,
    [ORR_EV_LAYER_COMPLETED] = add_layer,
    [ORR_EV_RUN_STOPPING] = add_cause,
    [ORR_EV_RUN_STALLED] = set_error,
    [ORR_EV_RUN_COMPLETED] = add_end,
    [ORR_EV_RUN_FAILED] = add_end,
    [ORR_EV_RUN_CANCELLED] = add_end,
    [ORR_EV_RUN_COMPENSATING] = add_compensating,
    [ORR_EV_NODE_COMPENSATING] = add_started,
    [ORR_EV_NODE_COMPENSATED] = add_seconds,
    [ORR_EV_NODE_COMPENSATION_FAILED] = add_failed,
    [ORR_EV_RUN_COMPENSATED] = add_undone_end,
    [ORR_EV_RUN_COMPENSATION_FAILED] = add_undone_end,
    [ORR_EV_BREAKER_OPENED] = add_breaker,
    [ORR_EV_BREAKER_HALF_OPEN] = add_breaker,
    [ORR_EV_BREAKER_CLOSED] = add_breaker,
};

static int build(lua_State *L) {
    const event_call *c = lua_touserdata(L, 1);
    orr_task task = c->e->task;
    if (c->e->phase == ORR_PHASE_COMPENSATE && task.attempt)
        task.attempt = orr_task_undo_try(c->e->run, &task);
    orr_event_push(L, c->r, orr_event_name(c->e->kind), &task, c->e->time);
    if (adders[c->e->kind]) adders[c->e->kind](L, c);
    queue(L, c->rt, c->r ? orr_run_ticket(c->r) : 0);
    return 0;
}

void orr_on_event(void *rtbox, const orr_event *event) {
    orr_rtbox *rt = rtbox;
    if (rt->base.script->closed) return;
    event_call c = {rt, event->run ? orr_run_ud(event->run) : NULL, event};
    if (c.r && c.r->incomplete) return; /* what its journal does not hold has not happened */
    if (rt->tally) orr_tally_event(rt, c.r, event);
    if (!rt->n_listeners) return;
    rt->base.script->guarded++;
    if (orr_protect(rt->base.script, build, &c) != LUA_OK) rt->n_lost++;
    rt->base.script->guarded--;
}

/* ---- listeners ------------------------------------------------------------------------------- */

/* Calls every listener with the event at the top, which is popped. The list is at `listeners`. */
static void notify(lua_State *L, orr_script *s, int listeners, int event) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, listeners);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_pushcfunction(L, orr_error_trace);
        if (lua_rawgeti(L, listeners, i) == LUA_TFUNCTION) {
            lua_pushvalue(L, event);
            if (orr_call_limited(L, s, 1, 0, lua_gettop(L) - 2) != LUA_OK) {
                const char *text = luaL_tolstring(L, -1, NULL);
                lua_warning(s->main, "orrery: a listener failed: ", 1);
                lua_warning(s->main, text, 0);
            }
        }
        lua_settop(L, event);
    }
}

void orr_event_notify(lua_State *L, orr_rtbox *rt) {
    int event = lua_gettop(L);
    orr_push_box(L, rt->base.script, rt);
    lua_getiuservalue(L, -1, RT_LISTENERS);
    lua_pushvalue(L, event);
    notify(L, rt->base.script, event + 2, event + 3);
    lua_settop(L, event - 1);
}

/* Notifies the listeners that events were lost. */
static void report_lost(lua_State *L, orr_rtbox *rt, int box) {
    orr_event_push(L, NULL, "log", NULL, orr_engine_now(rt->base.engine));
    orr_set_text(L, "level", "error");
    lua_pushfstring(L, "%d events were lost for want of memory", (int)rt->n_lost);
    lua_setfield(L, -2, "message");
    rt->n_lost = 0;
    notify(L, rt->base.script, box + 1, box + 3);
    lua_settop(L, box + 2);
}

/* Events in the queue that may be shown now. */
static uint32_t shown(const orr_rtbox *rt) {
    uint64_t durable = rt->durable_to;
    uint32_t n = 0;
    while (n < rt->n_queued && rt->tickets[rt->queue_first + n] <= durable) n++;
    return n;
}

void orr_events_forget(lua_State *L, orr_rtbox *rt, const orr_runbox *r) {
    orr_push_box(L, rt->base.script, rt);
    lua_getiuservalue(L, -1, RT_QUEUE);
    int queue = lua_gettop(L);
    for (uint32_t i = 0; i < rt->n_queued; i++) {
        lua_Integer place = (lua_Integer)(rt->queue_first + i) + 1;
        if (lua_rawgeti(L, queue, place) == LUA_TTABLE) {
            lua_getfield(L, -1, "run");
            const char *id = lua_tostring(L, -1);
            if (id && strcmp(id, r->id) == 0) {
                lua_pushboolean(L, false);
                lua_rawseti(L, queue, place);
            }
        }
        lua_settop(L, queue);
    }
    lua_settop(L, queue - 2);
}

/* The queue begins at its first place again: always when it is empty, and when most of it is. */
static void close_up(lua_State *L, orr_rtbox *rt, int queue) {
    if (rt->n_queued > 0 && (rt->queue_first < 1024 || rt->queue_first < rt->n_queued)) return;
    for (uint32_t i = 0; i < rt->n_queued; i++) {
        lua_rawgeti(L, queue, (lua_Integer)(rt->queue_first + i) + 1);
        lua_rawseti(L, queue, (lua_Integer)i + 1);
        lua_pushnil(L);
        lua_rawseti(L, queue, (lua_Integer)(rt->queue_first + i) + 1);
        rt->tickets[i] = rt->tickets[rt->queue_first + i];
    }
    rt->queue_first = 0;
}

/* Events that the listeners cause are queued behind those that are there. */
static int flush(lua_State *L) {
    orr_rtbox *rt = lua_touserdata(L, 1);
    orr_push_box(L, rt->base.script, rt);
    int box = lua_gettop(L);
    lua_getiuservalue(L, box, RT_LISTENERS);
    lua_getiuservalue(L, box, RT_QUEUE);
    if (rt->n_lost) report_lost(L, rt, box);
    for (uint32_t n = shown(rt); n > 0; n--) {
        lua_Integer place = (lua_Integer)++rt->queue_first;
        rt->n_queued--;
        lua_rawgeti(L, box + 2, place);
        lua_pushnil(L);
        lua_rawseti(L, box + 2, place);
        if (lua_istable(L, box + 3)) notify(L, rt->base.script, box + 1, box + 3);
        lua_settop(L, box + 2);
    }
    close_up(L, rt, box + 2);
    return 0;
}

bool orr_events_flush(orr_rtbox *rt) {
    if (rt->flushing || (shown(rt) == 0 && !rt->n_lost)) return false;
    rt->flushing = true;
    if (orr_protect(rt->base.script, flush, rt) !=
        LUA_OK) { /* tried once: trying again would only hold up the rest */
        rt->n_lost += rt->n_queued ? rt->n_queued : 1;
        rt->n_queued = rt->queue_first = 0;
    }
    rt->flushing = false;
    return true;
}

/* off(): (upvalues) runtime, place in the list. The place stays empty while others stand behind
 * it. */
static int off(lua_State *L) {
    orr_rtbox *rt = orr_unbox(L, lua_upvalueindex(1));
    if (!rt) return 0;
    lua_getiuservalue(L, lua_upvalueindex(1), RT_LISTENERS);
    lua_Integer place = lua_tointeger(L, lua_upvalueindex(2));
    if (!place) return 0;
    lua_pushboolean(L, false);
    lua_rawseti(L, -2, place);
    lua_pushinteger(L, 0);
    lua_replace(L, lua_upvalueindex(2));
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i > 0; i--) {
        if (lua_rawgeti(L, -1, i) == LUA_TFUNCTION) break;
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_rawseti(L, -2, i);
    }
    if (--rt->n_listeners == 0 && rt->base.engine) {
        rt->listened = 0;
        orr_core_listen(orr_engine_core(rt->base.engine), orr_tally_kinds(rt));
        orr_engine_precise(rt->base.engine, false);
    }
    return 0;
}

void orr_events_listen(lua_State *L, orr_rtbox *rt, uint32_t kinds) {
    int fn = lua_gettop(L);
    orr_push_box(L, rt->base.script, rt);
    lua_getiuservalue(L, -1, RT_LISTENERS);
    lua_Integer place = (lua_Integer)lua_rawlen(L, -1) + 1;
    lua_pushvalue(L, fn);
    lua_rawseti(L, -2, place);
    lua_pop(L, 1);
    lua_pushinteger(L, place);
    lua_pushcclosure(L, off, 2);
    lua_replace(L, fn);
    rt->n_listeners++;
    rt->listened |= kinds;
    orr_core_listen(orr_engine_core(rt->base.engine), rt->listened | orr_tally_kinds(rt));
    orr_engine_precise(rt->base.engine, true);
}

int orr_rt_on(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    orr_events_listen(L, rt, UINT32_MAX);
    return 1;
}

void orr_log(lua_State *L, orr_rtbox *rt, const orr_runbox *r, const char *level, const char *message) {
    if (!rt->n_listeners) {
        if (rt->simulated) return;
        lua_warning(L, "orrery: ", 1);
        lua_warning(L, message, 0);
        return;
    }
    orr_event_push(L, r, "log", NULL, r ? orr_run_time_now(r) : orr_engine_now(rt->base.engine));
    orr_set_text(L, "level", level);
    orr_set_text(L, "message", message);
    if (r) orr_event_queue(L, rt);
    else orr_event_notify(L, rt);
}
