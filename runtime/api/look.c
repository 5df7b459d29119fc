/* look.c - what there is: runs, nodes and items with their states, figures, and why a node has not
 * started, as structs. */
#include "api/api.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

/* The host's struct may be that of another version of the header: its size says how much of ours
 * it has. */
static void hand_out(void *to, const void *from, size_t theirs, size_t ours) {
    memcpy(to, from, theirs < ours ? theirs : ours);
    memcpy(to, &theirs, sizeof theirs); /* `size` comes first */
}

#define HAS_SIZE(info, last) ((info) != NULL && (info)->size >= offsetof(__typeof__(*(info)), last))

/* ---- a run ----------------------------------------------------------------------------------- */

typedef struct looking {
    orr_request a;
    uint32_t node, item;
    union {
        orr_run_info run;
        orr_node_info node_info;
        orr_explanation why;
    };
} looking;

static int look_at_run(lua_State *L) {
    looking *l = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, &l->a)) return 0;
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    orr_run_stats stats;
    orr_run_get_stats(r->run, &stats);
    l->a.number = ORR_OK;
    l->run = (orr_run_info){.workflow = r->plan->plan->name,
                            .state = orr_api_state_of(r),
                            .data = r->data,
                            .nodes = r->plan->plan->n_nodes,
                            .running = stats.running,
                            .peak_running = stats.peak_running,
                            .attempts = stats.attempts,
                            .retries = stats.retries,
                            .items = stats.items,
                            .created = stats.created,
                            .started = stats.started,
                            .ended = stats.ended,
                            .bytes = orr_run_bytes(r->run)};
    for (size_t i = 0; i < ORR_NODE_STATE_COUNT; i++) l->run.by_state[i] = stats.by_state[i];
    return 0;
}

_Static_assert(sizeof((orr_run_info *)NULL)->by_state / sizeof(uint32_t) >= ORR_NODE_STATE_COUNT,
               "there is a figure for each state");

int orr_get_run(orr_runtime *rt, orr_run_id run, orr_run_info *info) {
    looking l = {.a = {.id = run}};
    if (!HAS_SIZE(info, running))
        return orr_api_refuse(rt, "orr_get_run: the struct is NULL, or its size is not set");
    int status = orr_api_ask(rt, look_at_run, &l.a);
    if (status == ORR_OK) hand_out(info, &l.run, info->size, sizeof *info);
    return status;
}

/* ---- a node, an item ------------------------------------------------------------------------- */

static int look_at_node(lua_State *L) {
    looking *l = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, &l->a)) return 0;
    const orr_runbox *r = orr_check_run(L, lua_gettop(L));
    const orr_plan *plan = r->plan->plan;
    uint32_t items = l->node < plan->n_nodes ? orr_run_items(r->run, l->node) : 0;
    if (items == ORR_NONE) items = 0;
    l->a.number = ORR_OK;
    if (l->node >= plan->n_nodes || l->item > items) {
        l->a.number = ORR_EINVAL;
        return 0;
    }
    orr_task task = {.node = l->node, .item = l->item > 0 ? l->item - 1 : ORR_NONE};
    l->node_info = (orr_node_info){.name = orr_plan_name(plan, l->node),
                                   .state = orr_run_node_state(r->run, task.node, task.item),
                                   .items = items,
                                   .items_failed = orr_run_items_failed(r->run, l->node)};
    if (task.item != ORR_NONE && orr_item_name_push(L, r, &task))
        l->node_info.item_name = orr_api_answer(L, l->a.rt);
    return 0;
}

int orr_get_node(orr_runtime *rt, orr_run_id run, uint32_t node, uint32_t item, orr_node_info *info) {
    looking l = {.a = {.id = run}, .node = node, .item = item};
    if (!HAS_SIZE(info, items))
        return orr_api_refuse(rt, "orr_get_node: the struct is NULL, or its size is not set");
    int status = orr_api_ask(rt, look_at_node, &l.a);
    if (status == ORR_OK && l.a.number == ORR_EINVAL)
        return orr_api_fail(rt, ORR_ENOTFOUND, "not_found",
                            "orr_get_node: the run has no such node, or the node no such item yet");
    if (status == ORR_OK) hand_out(info, &l.node_info, info->size, sizeof *info);
    return status;
}

/* ---- why ------------------------------------------------------------------------------------- */

static const char *text_of(lua_State *L, int at, const char *key) {
    lua_getfield(L, at, key);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1); /* the table holds it */
    return text;
}

static lua_Number number_of(lua_State *L, int at, const char *key, lua_Number otherwise) {
    lua_getfield(L, at, key);
    lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return n;
}

/* Seconds of Lua's, in whole microseconds. */
static int64_t time_of(lua_State *L, int at, const char *key, int64_t otherwise) {
    lua_Number seconds = number_of(L, at, key, -1);
    return seconds < 0 || seconds > 9e9 ? otherwise : llround(seconds * 1e6) * 1000;
}

static orr_why_kind why_kind(const char *word) {
    int kind = 0;
    while (kind < ORR_WHY_COUNT && (word == NULL || strcmp(orr_why_kind_name((orr_why_kind)kind), word) != 0))
        kind++;
    return (orr_why_kind)kind;
}

/* The state in the table is a word. */
static orr_node_state node_state(const char *word) {
    int state = 0;
    while (state < ORR_NODE_STATE_COUNT &&
           (word == NULL || strcmp(orr_node_state_name((orr_node_state)state), word) != 0))
        state++;
    return (orr_node_state)state;
}

/* The table at `at` holds the texts: it is the answer, until the next. */
static void read_why(lua_State *L, int at, orr_explanation *why) {
    const char *by_run = text_of(L, at, "by_run");
    *why = (orr_explanation){.word = text_of(L, at, "kind"),
                             .state = node_state(text_of(L, at, "state")),
                             .by = text_of(L, at, "by"),
                             .name = text_of(L, at, "name"),
                             .skip = text_of(L, at, "skip"),
                             .cause = text_of(L, at, "cause"),
                             .count = (uint32_t)number_of(L, at, "count", 0),
                             .limit = (uint32_t)number_of(L, at, "limit", 0),
                             .due = time_of(L, at, "due", 0),
                             .left = time_of(L, at, "left", -1),
                             .since = time_of(L, at, "since", 0)};
    why->kind = why_kind(why->word);
    if (by_run != NULL) why->by_run = orr_run_id_from_text(by_run);
}

static int explain(lua_State *L) {
    looking *l = lua_touserdata(L, 1);
    if (!orr_api_push_run(L, &l->a)) return 0;
    orr_runbox *r = orr_check_run(L, lua_gettop(L));
    l->a.number = ORR_OK;
    lua_pushstring(L, l->a.name);
    uint32_t node = orr_node_by_name(L, r, lua_gettop(L));
    l->a.no_node = node == ORR_NONE;
    if (l->a.no_node) return 0;
    orr_push_why(L, r, node, l->item > 0 ? l->item - 1 : ORR_NONE);
    read_why(L, lua_gettop(L), &l->why);
    orr_api_answer(L, l->a.rt);
    return 0;
}

int orr_explain(orr_runtime *rt, orr_run_id run, const char *node, uint32_t item, orr_explanation *why) {
    looking l = {.a = {.id = run, .name = node}, .item = item};
    if (node == NULL) return orr_api_refuse(rt, "orr_explain: the name of the node is NULL");
    if (!HAS_SIZE(why, by_run))
        return orr_api_refuse(rt, "orr_explain: the struct is NULL, or its size is not set");
    int status = orr_api_ask(rt, explain, &l.a);
    if (status == ORR_OK) hand_out(why, &l.why, why->size, sizeof *why);
    return status;
}

/* ---- the runtime ----------------------------------------------------------------------------- */

int orr_get_runtime(orr_runtime *rt, orr_runtime_info *info) {
    if (!HAS_SIZE(info, native_attempts))
        return orr_api_refuse(rt, "orr_get_runtime: the struct is NULL, or its size is not set");
    if (rt == NULL) return ORR_EINVAL;
    orr_runtime_info found = {.runs = (uint32_t)orr_list_runs(rt, NULL, 0),
                              .live_runs = rt->box->base.n_live,
                              .started = rt->box->n_started,
                              .bytes = rt->memory.used,
                              .events_lost = rt->events.lost};
    for (uint32_t slot = 0; slot < rt->n_slots; slot++) found.native_attempts += rt->generations[slot] & 1;
    hand_out(info, &found, info->size, sizeof *info);
    return ORR_OK;
}
