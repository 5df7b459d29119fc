/* publish.c - what a store shows of runs beside their journals: lines of their logs, modules that joined a bundle, and why nodes
 * that could start do not, so that `why` works from outside.
 */
#include "../store/store.h"
#include "json.h"
#include "state.h"
#include <lauxlib.h>
#include <string.h>

#define EVERY 100        /* ms between two looks at what is blocked */
#define MOST_WHYS 256    /* nodes of a run that are explained at a time: the first ones tell what all wait for */

static orr_value text_value(const char *text) {
    return (orr_value){.type = text ? ORR_VALUE_TEXT : ORR_VALUE_NULL, .bytes = text, .size = text ? strlen(text) : 0};
}

static orr_value integer_value(int64_t n) {
    return (orr_value){.type = ORR_VALUE_INTEGER, .integer = n};
}

static orr_value run_value(const orr_runbox *r) {
    return (orr_value){.type = ORR_VALUE_BLOB, .bytes = orr_run_id_of(r->run), .size = 16};
}

/* Items count from 1, 0 is the whole node. */
static orr_value item_value(const orr_task *task) {
    return integer_value(task->item == ORR_NONE ? 0 : (int64_t)task->item + 1);
}

/* ---- logs -------------------------------------------------------------------------------------------------------------- */

void orr_publish_log(lua_State *L, const orr_fiber *f, int level, int message, int fields) {
    const orr_runbox *r = f->run;
    if (!r->journal || !orr_storage_is_durable(r->rt)) return;
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
    orr_value row[] = {run_value(r), text_value(lua_tostring(L, -1)), item_value(&f->task), integer_value((int64_t)f->task.iteration + 1),
                       integer_value(f->task.attempt),
                       {.type = ORR_VALUE_REAL, .real = (double)orr_engine_now(r->rt->runtime) / 1e9},
                       text_value(lua_tostring(L, level)), {.type = ORR_VALUE_TEXT, .bytes = text, .size = size},
                       text_value(json)};
    if (orr_store_put(orr_storage_store(r->rt), ORR_ROW_LOG, row, sizeof row / sizeof *row) != ORR_OK)
        luaL_error(L, "not enough memory for a line of the log");
    lua_settop(L, top);
}

/* rt:keep_module(bundle, name, path, source): a module that a handler required first now joins the bundle. */
int orr_rt_keep_module(lua_State *L) {
    const orr_rtbox *rt = orr_check_rt(L, 1);
    orr_value row[4];
    if (!orr_storage_is_durable(rt)) return 0;
    for (int i = 0; i < 4; i++) {
        row[i] = (orr_value){.type = lua_isnoneornil(L, i + 2) ? ORR_VALUE_NULL : ORR_VALUE_TEXT};
        if (row[i].type == ORR_VALUE_TEXT) row[i].bytes = luaL_checklstring(L, i + 2, &row[i].size);
    }
    if (orr_store_put(orr_storage_store(rt), ORR_ROW_MODULE, row, 4) != ORR_OK) return luaL_error(L, "not enough memory for a module");
    return 0;
}

/* ---- why --------------------------------------------------------------------------------------------------------------- */

static bool is_blocked(orr_node_state state) {
    return state == ORR_NODE_READY || state == ORR_NODE_WAITING || state == ORR_NODE_RETRYING;
}

typedef struct look {
    orr_runbox *r;
    bool again; /* something new was seen: whether it lasts is seen at the next look */
} look;

/* Most nodes are ready for a moment only, and nobody asks why: what is the same at two looks is written. RUN_WHYS keeps, by node,
 * what was written, and under the negative number what was seen. */
static void publish_node(lua_State *L, look *at, uint32_t node, int known) {
    orr_runbox *r = at->r;
    int top = lua_gettop(L);
    lua_Integer place = (lua_Integer)node + 1;
    orr_push_why(L, r, node, ORR_NONE);
    lua_pushnil(L);
    lua_setfield(L, -2, "since");
    if (!orr_json_encode(L, -1, &(orr_json_writing){.root = "why", .binary = true})) lua_error(L);
    int text = lua_gettop(L);
    lua_rawgeti(L, known, place);
    lua_rawgeti(L, known, -place);
    if (lua_rawequal(L, text, text + 1)) {
        lua_settop(L, top);
        return;
    }
    bool lasts = lua_rawequal(L, text, text + 2);
    at->again |= !lasts;
    if (lasts) {
        orr_push_node_name(L, r, node);
        orr_value row[] = {run_value(r), text_value(lua_tostring(L, -1)), integer_value(0), text_value(lua_tostring(L, text))};
        if (orr_store_put(orr_storage_store(r->rt), ORR_ROW_WHY, row, 4) != ORR_OK) luaL_error(L, "not enough memory");
    }
    lua_pushvalue(L, text);
    lua_rawseti(L, known, lasts ? place : -place);
    lua_settop(L, top);
}

static int publish_run(lua_State *L) {
    look *at = lua_touserdata(L, 1);
    orr_run_push_table(L, at->r, RUN_WHYS, 0);
    int known = lua_gettop(L);
    uint32_t n = 0;
    for (uint32_t node = 0; node < at->r->plan->plan->n_nodes && n < MOST_WHYS; node++) {
        if (!is_blocked(orr_run_node_state(at->r->run, node, ORR_NONE))) continue;
        publish_node(L, at, node, known);
        n++;
    }
    return 0;
}

/* Whether to look again. */
static bool publish_whys(orr_rtbox *rt) {
    look at = {NULL, false};
    for (orr_runbox *r = rt->runs; r; r = r->next) {
        orr_run_stats stats;
        if (!r->live || !r->run || !r->journal) continue;
        orr_run_get_stats(r->run, &stats);
        uint32_t blocked = 0;
        for (int state = 0; state < ORR_NODE_STATE_COUNT; state++)
            if (is_blocked((orr_node_state)state)) blocked += stats.by_state[state];
        at.r = r;
        if (blocked > 0) orr_protect(rt->script, publish_run, &at); /* without memory it is tried again the next time */
    }
    orr_storage_submit(rt);
    return at.again;
}

/* ---- when -------------------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer) {
    orr_rtbox *rt = timer->data;
    if (rt && publish_whys(rt)) orr_publish_soon(rt, timer);
}

/* Started by what is recorded, it looks once: what does not change need not be told again. */
void orr_publish_soon(orr_rtbox *rt, uv_timer_t *timer) {
    if (uv_is_active((uv_handle_t *)timer)) return;
    timer->data = rt;
    uv_timer_start(timer, on_timer, EVERY, 0);
    uv_unref((uv_handle_t *)timer);
}
