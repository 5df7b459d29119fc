/* silence.c - reports what is silent in the durable runs of a runtime: nodes that run and give no
 * sign of life, and runs in which nothing can go on until somebody resumes a pool. Each is reported
 * once, as an event, and nothing else is done.
 *
 * There is no timer: a runtime keeps the time of its next look, and looks at the end of a turn.
 * That time does not keep a loop alive, and a virtual clock stops there only on its way to
 * something else. A look that finds nothing to watch is the last, until something is recorded or a
 * sign of life comes.
 */
#include "durable/inner.h"

#define MOST_NODES 16 /* of a blocked run that are reported; all others wait for the same */

static int64_t now_of(const orr_rtbox *rt) {
    return orr_core_now(orr_engine_core(rt->base.engine));
}

static int64_t after(int64_t time, int64_t interval) {
    return time > INT64_MAX - interval ? INT64_MAX : time + interval;
}

void orr_silence_arm(orr_rtbox *rt) {
    if (rt->look_at == INT64_MAX && rt->watch) rt->look_at = after(now_of(rt), rt->watch);
}

static bool is_watched(const orr_runbox *r) {
    return r && r->live && r->run && r->journal && r->rt->watch && r->rt->durable;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

void orr_silence_sign(orr_fiber *f) {
    if (!is_watched(f->run) || f->kind == FIBER_FREE) return;
    orr_fiber *root = orr_fiber_at(f->run->script, f->root);
    root->alive = now_of(f->run->rt);
    root->flags &= (uint16_t)~ATTEMPT_SILENT;
    orr_silence_arm(f->run->rt);
}

static bool has_heartbeat(const orr_runbox *r, uint32_t node) {
    const orr_plan *plan = r->plan->plan;
    return plan->policies[plan->policy_of[node]].heartbeat != 0;
}

/* An attempt that runs: it has its slot, and no heartbeat policy watches it. */
static bool runs(const orr_rtbox *rt, const orr_fiber *f) {
    return f->state != FIBER_UNUSED && f->state != FIBER_VIEW && f->kind == FIBER_NODE &&
           f->root == f->index && f->run && f->run->rt == rt && f->alive &&
           !(f->flags & (FIBER_SLOTLESS | ATTEMPT_SILENT)) && is_watched(f->run) &&
           !has_heartbeat(f->run, f->task.node);
}

static void set_seconds(lua_State *L, int64_t ns) {
    lua_pushnumber(L, (lua_Number)ns / 1e9);
    lua_setfield(L, -2, "seconds");
}

/* (fiber): the event, and a line in the log of the run. */
static int report_silent(lua_State *L) {
    const orr_fiber *f = lua_touserdata(L, 1);
    orr_rtbox *rt = f->run->rt;
    int64_t now = now_of(rt);
    if (rt->n_listeners > 0) {
        orr_event_push(L, f->run, orr_event_name(ORR_EV_NODE_SILENT), &f->task, now);
        set_seconds(L, now - f->alive);
        orr_event_queue(L, rt);
    }
    lua_settop(L, 0);
    lua_pushliteral(L, "warn");
    lua_pushfstring(
        L, "no sign of life for %f seconds; it goes on (ctx:progress and ctx:heartbeat are such signs)",
        (lua_Number)(now - f->alive) / 1e9);
    orr_publish_log(L, f, 1, 2, 3);
    return 0;
}

/* Reports the nodes that have been silent for too long; returns when the next one will be. */
static int64_t look_at_nodes(orr_rtbox *rt, int64_t now, bool *reported) {
    orr_script *s = rt->base.script;
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < orr_fiber_slots(s); i++) {
        orr_fiber *f = orr_fiber_at(s, i);
        if (!runs(rt, f)) continue;
        int64_t due = after(f->alive, rt->watch);
        if (due > now) {
            if (due < next) next = due;
            continue;
        }
        f->flags |= ATTEMPT_SILENT;
        *reported = true;
        if (orr_protect(s, report_silent, f) != LUA_OK) rt->n_lost++;
    }
    return next;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Ready, and its pool gives no place although none is taken: the pool is paused. */
static bool pool_gives_none(const orr_runbox *r, uint32_t node, uint32_t item) {
    orr_why why;
    orr_run_why(r->run, node, item, &why);
    return why.state == ORR_NODE_READY && why.kind == ORR_WHY_POOL && why.count == 0;
}

/* The first node or item from `node` on whose pool gives no place; ORR_NONE. */
static uint32_t next_without_place(const orr_runbox *r, uint32_t node, uint32_t *item) {
    for (; node < r->plan->plan->n_nodes; node++) {
        uint32_t n = orr_run_items(r->run, node);
        *item = ORR_NONE;
        if (pool_gives_none(r, node, ORR_NONE)) return node;
        for (uint32_t i = 0; n != ORR_NONE && i < n; i++) {
            if (!pool_gives_none(r, node, i)) continue;
            *item = i;
            return node;
        }
    }
    return ORR_NONE;
}

/* Nothing runs or is due, and what could start may not. A run that was paused, or waits for a
 * signal, shows that itself. */
static bool is_blocked(const orr_runbox *r) {
    orr_run_stats stats;
    uint32_t item;
    if (orr_run_get_state(r->run) != ORR_RUN_RUNNING) return false;
    orr_run_get_stats(r->run, &stats);
    return stats.running == 0 && next_without_place(r, 0, &item) != ORR_NONE;
}

static int report_blocked(lua_State *L) {
    orr_runbox *r = lua_touserdata(L, 1);
    orr_rtbox *rt = r->rt;
    int64_t now = now_of(rt);
    uint32_t item, n = 0;
    orr_event_push(L, r, "run_blocked", NULL, now);
    set_seconds(L, now - r->kept.last_record);
    lua_newtable(L);
    for (uint32_t node = next_without_place(r, 0, &item); node != ORR_NONE && n < MOST_NODES;
         node = next_without_place(r, node + 1, &item)) {
        lua_createtable(L, 0, 2);
        orr_push_node_name(L, r, node);
        lua_setfield(L, -2, "node");
        orr_push_why(L, r, node, item);
        lua_setfield(L, -2, "why");
        lua_rawseti(L, -2, (lua_Integer)++n);
    }
    lua_setfield(L, -2, "nodes");
    orr_event_queue(L, rt);
    return 0;
}

static int64_t look_at_runs(orr_rtbox *rt, int64_t now, bool *reported) {
    int64_t next = INT64_MAX;
    for (orr_runbox *r = rt->runs; r; r = r->next) {
        if (!is_watched(r) || r->kept.reported == r->kept.last_record || !is_blocked(r)) continue;
        int64_t due = after(r->kept.last_record, rt->watch);
        if (due > now) {
            if (due < next) next = due;
            continue;
        }
        r->kept.reported = r->kept.last_record; /* until it does something again */
        *reported = true;
        if (rt->n_listeners > 0 && orr_protect(rt->base.script, report_blocked, r) != LUA_OK) rt->n_lost++;
    }
    return next;
}

/* ---- looking --------------------------------------------------------------------------------- */

bool orr_silence_look(orr_rtbox *rt) {
    int64_t now = now_of(rt);
    bool reported = false;
    if (rt->look_at > now) return false;
    rt->look_at = INT64_MAX; /* what is reported below is no reason for another look */
    int64_t nodes = look_at_nodes(rt, now, &reported), runs_due = look_at_runs(rt, now, &reported);
    int64_t next = nodes < runs_due ? nodes : runs_due;
    /* nodes that began at different times share a look, which may be a sixteenth of the interval
     * late */
    if (next != INT64_MAX && next - now < rt->watch / 16) next = after(now, rt->watch / 16);
    rt->look_at = next;
    return reported;
}
