/* publish.c - what a store holds of runs beside their journals: lines of their logs, modules that
 * were added to a bundle, and why nodes do not start, so that `why` works from another process.
 */
#include "durable/inner.h"
#include <string.h>

#define EVERY 100     /* ms between two looks at what is blocked */
#define MOST_WHYS 256 /* nodes of a run that are explained at a time: all others wait for the same things */

static orr_field text_value(const char *text) {
    return (orr_field){.type = text ? ORR_FIELD_TEXT : ORR_FIELD_NULL,
                       .bytes = text,
                       .size = text ? strlen(text) : 0};
}

static orr_field integer_value(int64_t n) {
    return (orr_field){.type = ORR_FIELD_INTEGER, .integer = n};
}

static orr_field run_value(const orr_runbox *r) {
    return (orr_field){.type = ORR_FIELD_BLOB, .bytes = orr_run_id_of(r->run), .size = 16};
}

/* Items count from 1, 0 is the whole node. */
static orr_field item_value(const orr_task *task) {
    return integer_value(task->item == ORR_NONE ? 0 : (int64_t)task->item + 1);
}

/* ---- logs ------------------------------------------------------------------------------------ */

void orr_publish_log(lua_State *L, const orr_fiber *f, int level, int message, int fields) {
    const orr_runbox *r = f->run;
    if (!r->journal || !r->rt->durable) return;
    int top = lua_gettop(L);
    if (lua_isnoneornil(L, fields)) lua_pushnil(L);
    else if (!orr_json_encode(L, fields, &(orr_json_writing){.root = "fields", .binary = true})) {
        lua_error(L);
        return;
    }
    const char *json = lua_tostring(L, -1);
    size_t size;
    const char *text = lua_tolstring(L, message, &size);
    orr_push_node_name(L, r, f->task.node);
    orr_field row[] = {run_value(r),
                       text_value(lua_tostring(L, -1)),
                       item_value(&f->task),
                       integer_value((int64_t)f->task.iteration + 1),
                       integer_value(f->task.attempt),
                       {.type = ORR_FIELD_REAL, .real = (double)orr_run_time_now(r) / 1e9},
                       text_value(lua_tostring(L, level)),
                       {.type = ORR_FIELD_TEXT, .bytes = text, .size = size},
                       text_value(json)};
    if (orr_store_put(orr_storage_any(r->rt), ORR_ROW_LOG, row, sizeof row / sizeof *row) != ORR_OK)
        luaL_error(L, "not enough memory for a line of the log");
    lua_settop(L, top);
}

/* ---- values ---------------------------------------------------------------------------------- */

void orr_publish_value(lua_State *L, const orr_fiber *f, int name, int value) {
    const orr_runbox *r = f->run;
    orr_field row[7] = {run_value(r), {.type = ORR_FIELD_TEXT}, {.type = ORR_FIELD_TEXT}};
    if (!r->journal || !r->rt->durable) return;
    row[1].bytes = lua_tolstring(L, name, &row[1].size);
    row[2].bytes = lua_tolstring(L, value, &row[2].size);
    orr_push_node_name(L, r, f->task.node);
    row[3] = text_value(lua_tostring(L, -1));
    row[4] = item_value(&f->task);
    row[5] = integer_value(f->task.attempt);
    row[6] = (orr_field){.type = ORR_FIELD_REAL, .real = (double)orr_run_time_now(r) / 1e9};
    if (orr_store_put(orr_storage_any(r->rt), ORR_ROW_PUBLISHED, row, sizeof row / sizeof *row) != ORR_OK)
        luaL_error(L, "not enough memory for a value that is published");
    lua_pop(L, 1);
}

/* rt:keep_module(bundle, name, path, source): adds a module that a handler has just required to the
 * bundle. */
int orr_rt_keep_module(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    orr_field row[4];
    if (!rt->durable) return 0;
    for (int i = 0; i < 4; i++) {
        row[i] = (orr_field){.type = lua_isnoneornil(L, i + 2) ? ORR_FIELD_NULL : ORR_FIELD_TEXT};
        if (row[i].type == ORR_FIELD_TEXT) row[i].bytes = luaL_checklstring(L, i + 2, &row[i].size);
    }
    if (orr_store_put(orr_storage_any(rt), ORR_ROW_MODULE, row, 4) != ORR_OK)
        return luaL_error(L, "not enough memory for a module");
    return 0;
}

/* rt:keep_workers(pool, figures): says what the workers of the runtime have done; `figures` is
 * JSON. */
int orr_rt_keep_workers(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    orr_field row[] = {integer_value(luaL_checkinteger(L, 2)), {.type = ORR_FIELD_TEXT}};
    row[1].bytes = luaL_checklstring(L, 3, &row[1].size);
    if (rt->durable && orr_store_put(orr_storage_any(rt), ORR_ROW_WORKERS, row, 2) != ORR_OK)
        return luaL_error(L, "not enough memory");
    return 0;
}

/* rt:notice_later(): something begins that no record tells of. */
int orr_rt_notice_later(lua_State *L) {
    orr_storage_publish(orr_check_rt(L, 1));
    return 0;
}

typedef struct noticing {
    orr_rtbox *rt;
    bool over, busy;
} noticing;

static int notice_workers(lua_State *L) {
    noticing *n = lua_touserdata(L, 1);
    orr_push_anchor(L, orr_runs_of(n->rt->base.script)->notice);
    orr_push_box(L, n->rt->base.script, n->rt);
    lua_pushboolean(L, n->over);
    lua_call(L, 2, 1);
    n->busy = lua_toboolean(L, -1);
    return 0;
}

bool orr_publish_workers(orr_rtbox *rt, bool over) {
    noticing n = {rt, over, false};
    if (orr_runs_of(rt->base.script)->notice == LUA_NOREF || !rt->durable) return false;
    orr_protect(rt->base.script, notice_workers, &n); /* without memory there are no new figures */
    return n.busy;
}

/* ---- why ------------------------------------------------------------------------------------- */

static bool is_blocked(orr_node_state state) {
    return state == ORR_NODE_READY || state == ORR_NODE_WAITING || state == ORR_NODE_RETRYING;
}

typedef struct look {
    orr_runbox *r;
    bool again; /* something new was seen: the next look shows whether it lasts; or may end unseen */
} look;

static void put_why(lua_State *L, orr_runbox *r, uint32_t node) {
    orr_push_why(L, r, node, ORR_NONE);
    lua_pushnil(L);
    lua_setfield(L, -2, "since");
    if (!orr_json_encode(L, -1, &(orr_json_writing){.root = "why", .binary = true})) lua_error(L);
    orr_push_node_name(L, r, node);
    orr_field row[] = {run_value(r), text_value(lua_tostring(L, -1)), integer_value(0),
                       text_value(lua_tostring(L, -2))};
    if (orr_store_put(orr_storage_any(r->rt), ORR_ROW_WHY, row, 4) != ORR_OK)
        luaL_error(L, "not enough memory");
}

/* Most nodes are ready for a moment only, and nobody asks why. So a reason is written when two
 * looks have found the same. RUN_WHYS keeps, by node, the mark of what was seen; its last bit says
 * that it was written. A look that finds nothing new makes nothing: thousands of runs may wait. */
static void publish_node(lua_State *L, look *at, uint32_t node, int known) {
    enum { WRITTEN = 1 };
    int top = lua_gettop(L);
    lua_Integer mark = (lua_Integer)(orr_why_mark(L, at->r, node) & ~(uint64_t)WRITTEN);
    lua_rawgeti(L, known, (lua_Integer)node + 1);
    bool seen = lua_isinteger(L, -1) != 0;
    lua_Integer before = seen ? lua_tointeger(L, -1) : 0;
    if (seen && before == (mark | WRITTEN)) {
        lua_settop(L, top);
        return;
    }
    bool lasts = seen && before == mark;
    at->again |= !lasts;
    if (lasts) put_why(L, at->r, node);
    lua_pushinteger(L, lasts ? mark | WRITTEN : mark);
    lua_rawseti(L, known, (lua_Integer)node + 1);
    lua_settop(L, top);
}

/* A node that runs is explained only while it waits for a worker. No record says when it has one,
 * so it is looked at until then, and once more. */
static bool waits_unseen(lua_State *L, look *at, uint32_t node, int known) {
    bool waits = orr_why_runs_not(L, at->r, node);
    at->again |= waits;
    if (waits) return true;
    if (lua_rawgeti(L, known, (lua_Integer)node + 1) != LUA_TNIL) {
        put_why(L, at->r, node);
        lua_pushnil(L);
        lua_rawseti(L, known, (lua_Integer)node + 1);
    }
    lua_settop(L, known);
    return false;
}

static int publish_run(lua_State *L) {
    look *at = lua_touserdata(L, 1);
    orr_run_push_table(L, at->r, RUN_WHYS, 0);
    int known = lua_gettop(L);
    bool explained = orr_runs_of(at->r->script)->explain != LUA_NOREF;
    uint32_t n = 0;
    for (uint32_t node = 0; node < at->r->plan->plan->n_nodes && n < MOST_WHYS; node++) {
        orr_node_state state = orr_run_node_state(at->r->run, node, ORR_NONE);
        bool runs_not = explained && state == ORR_NODE_RUNNING && waits_unseen(L, at, node, known);
        if (!runs_not && !is_blocked(state)) continue;
        publish_node(L, at, node, known);
        n++;
    }
    return 0;
}

typedef struct blocked {
    uint32_t nodes;
    bool by_others; /* some of them go on by what is no record of their run: pools, breakers, workers */
} blocked;

static blocked count_blocked(const orr_runbox *r) {
    orr_run_stats stats;
    orr_run_get_stats(r->run, &stats);
    uint32_t ready = stats.by_state[ORR_NODE_READY], waiting = stats.by_state[ORR_NODE_WAITING],
             retrying = stats.by_state[ORR_NODE_RETRYING], running = stats.by_state[ORR_NODE_RUNNING];
    bool explained = orr_runs_of(r->script)->explain != LUA_NOREF;
    return (blocked){ready + waiting + retrying + (explained ? running : 0),
                     ready > 0 || retrying > 0 || (explained && (running > 0 || stats.items > 0))};
}

/* True when another look is needed. Thousands of runs may wait, of which nothing changes without a
 * record: they are not looked at again before there is one. */
static bool publish_whys_of(orr_runbox *r) {
    look at = {r, false};
    blocked b = count_blocked(r);
    uint64_t seq = orr_run_seq(r->run);
    if (b.nodes == 0 || (!b.by_others && r->kept.explained == seq)) return false;
    /* without memory it is tried again the next time */
    bool looked = orr_protect(r->script, publish_run, &at) == LUA_OK;
    if (looked && !at.again) r->kept.explained = seq;
    return at.again;
}

/* Whether to look again. */
static bool publish_whys(orr_rtbox *rt) {
    bool again = false;
    for (orr_runbox *r = rt->runs; r; r = r->next)
        if (r->live && r->run && r->journal) again |= publish_whys_of(r);
    again |= orr_publish_workers(rt, false);
    orr_storage_submit(rt);
    return again;
}

/* ---- when ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer) {
    orr_rtbox *rt = timer->data;
    if (rt && publish_whys(rt)) orr_publish_later(rt, timer);
}

/* A new record starts the timer, and it looks once: what does not change need not be written
 * again. */
void orr_publish_later(orr_rtbox *rt, uv_timer_t *timer) {
    if (uv_is_active((uv_handle_t *)timer)) return;
    timer->data = rt;
    uv_timer_start(timer, on_timer, EVERY, 0);
    uv_unref((uv_handle_t *)timer);
}
