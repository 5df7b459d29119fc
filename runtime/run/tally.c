/* tally.c - what the events of the core add up to, by workflow: counters and histograms that cost a
 * few additions for each event, where a listener gets a table for each.
 *
 * Nothing here grows without a bound: so many workflows and codes of errors have a row of their
 * own, whatever comes after them shares one with the name "other". Counters begin with the first
 * rt:tally() and only grow.
 */
#include "run/inner.h"
#include <string.h>

enum { MOST_WORKFLOWS = 100, MOST_CODES = 100, CODE_BYTES = 64 };

/* Upper bounds of the buckets of histograms, in seconds; one more takes what is above the last. */
static const double bounds[] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300, 1800, 7200, 86400};
enum { N_BOUNDS = sizeof bounds / sizeof *bounds };

typedef struct histogram {
    uint64_t n[N_BOUNDS + 1];
    double sum;
} histogram;

typedef enum { WAIT_QUEUE, WAIT_BACKOFF, WAIT_OUTSIDE, WAIT_COUNT } wait_reason;
static const char *const wait_names[WAIT_COUNT] = {"queue", "backoff", "outside"};

typedef struct wait_sum {
    uint64_t n;
    double seconds;
} wait_sum;

typedef struct tally_row {
    char *workflow;
    uint64_t events[ORR_EVENT_COUNT];
    histogram runs, attempts;
    wait_sum waits[WAIT_COUNT];
} tally_row;

typedef struct tally_code {
    char code[CODE_BYTES];
    uint64_t n;
} tally_code;

struct orr_tally {
    tally_row *rows[MOST_WORKFLOWS + 1]; /* the last one is that of all others */
    tally_code codes[MOST_CODES + 1];    /* the same */
    uint32_t n_rows, n_codes;
};

/* The kinds of events that are counted. Whatever else the core does costs nothing here. */
enum { NOT_COUNTED = ORR_EV_BIT(ORR_EV_LAYER_COMPLETED) | ORR_EV_BIT(ORR_EV_NODE_SILENT) };

uint32_t orr_tally_kinds(const orr_rtbox *rt) {
    return rt->tally ? ~(uint32_t)NOT_COUNTED : 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static char *copy_text(const orr_alloc *alloc, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = orr_mem_new(alloc, size, 1);
    if (copy) memcpy(copy, text, size);
    return copy;
}

static tally_row *new_row(const orr_alloc *alloc, const char *workflow) {
    tally_row *row = orr_mem_new(alloc, 1, sizeof *row);
    if (!row) return NULL;
    row->workflow = copy_text(alloc, workflow);
    if (row->workflow) return row;
    orr_mem_free(alloc, row, 1, sizeof *row);
    return NULL;
}

/* The place of a workflow's row, which may be missing for lack of memory. */
static uint32_t place_of(const orr_rtbox *rt, const char *workflow) {
    orr_tally *t = rt->tally;
    uint32_t i = 0;
    while (i < t->n_rows && strcmp(t->rows[i]->workflow, workflow) != 0) i++;
    if (i < t->n_rows) return i;
    const orr_alloc *alloc = &rt->base.script->alloc;
    if (i == MOST_WORKFLOWS) {
        if (!t->rows[i]) t->rows[i] = new_row(alloc, "other");
        return i;
    }
    t->rows[i] = new_row(alloc, workflow);
    t->n_rows += t->rows[i] != NULL;
    return i;
}

/* The row of a run; it is looked for once. NULL: there is no memory for it. */
static tally_row *row_of(const orr_rtbox *rt, orr_runbox *r) {
    if (!r->tallied) {
        uint32_t place = place_of(rt, r->plan->plan->name);
        if (!rt->tally->rows[place]) return NULL;
        r->tallied = (uint16_t)(place + 1);
    }
    return rt->tally->rows[r->tallied - 1];
}

static void count_code(orr_tally *t, const char *code) {
    uint32_t i = 0;
    while (i < t->n_codes && strncmp(t->codes[i].code, code, CODE_BYTES - 1) != 0) i++;
    if (i == t->n_codes) {
        strncpy(t->codes[i].code, i == MOST_CODES ? "other" : code, CODE_BYTES - 1);
        t->n_codes += i < MOST_CODES;
    }
    t->codes[i].n++;
}

static void observe(histogram *h, int64_t ns) {
    double seconds = ns > 0 ? (double)ns / 1e9 : 0;
    uint32_t i = 0;
    while (i < N_BOUNDS && seconds > bounds[i]) i++;
    h->n[i]++;
    h->sum += seconds;
}

static void add_wait(tally_row *row, wait_reason reason, int64_t ns) {
    row->waits[reason].n++;
    row->waits[reason].seconds += ns > 0 ? (double)ns / 1e9 : 0;
}

/* ---- times ----------------------------------------------------------------------------------- */

/* What a task does since when stands in RUN_TALLY of its run: at its handle the time at which it
 * became ready, as a negative number, or began; at its handle with this bit when its wait began. */
#define WAITS_BIT ((lua_Integer)1 << 62)

typedef struct timed {
    orr_runbox *r;
    const orr_event *e;
    tally_row *row;
} timed;

static lua_Integer since(lua_State *L, lua_Integer key) {
    lua_Integer at = lua_rawgeti(L, -1, key) == LUA_TNUMBER ? lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    return at;
}

static void mark(lua_State *L, lua_Integer key, lua_Integer time) {
    if (time) lua_pushinteger(L, time);
    else lua_pushnil(L);
    lua_rawseti(L, -2, key);
}

static void end_wait(lua_State *L, const timed *t, lua_Integer key) {
    lua_Integer began = since(L, key | WAITS_BIT);
    if (!began) return;
    add_wait(t->row, WAIT_OUTSIDE, t->e->time - began);
    mark(L, key | WAITS_BIT, 0);
}

static void end_attempt(lua_State *L, const timed *t, lua_Integer key) {
    lua_Integer began = since(L, key);
    end_wait(L, t, key);
    if (began > 0) observe(&t->row->attempts, t->e->time - began);
    if (began) mark(L, key, 0);
}

static int keep_time(lua_State *L) {
    const timed *t = lua_touserdata(L, 1);
    const orr_task *task = &t->e->task;
    lua_Integer key = (lua_Integer)orr_task_handle(task->node, task->item);
    orr_run_push_table(L, t->r, RUN_TALLY, 0);
    switch (t->e->kind) {
    case ORR_EV_NODE_READY: mark(L, key, -t->e->time); break;
    case ORR_EV_NODE_STARTED:
    case ORR_EV_NODE_COMPENSATING:
        if (since(L, key) < 0) add_wait(t->row, WAIT_QUEUE, t->e->time + since(L, key));
        mark(L, key, t->e->time);
        break;
    case ORR_EV_NODE_WAITING: mark(L, key | WAITS_BIT, t->e->time); break;
    case ORR_EV_NODE_RESUMED: end_wait(L, t, key); break;
    default: end_attempt(L, t, key);
    }
    return 0;
}

/* Kinds at which a task begins or ends something that takes time. */
#define TIMED                                                                                                \
    (ORR_EV_BIT(ORR_EV_NODE_READY) | ORR_EV_BIT(ORR_EV_NODE_STARTED) | ORR_EV_BIT(ORR_EV_NODE_WAITING) |     \
     ORR_EV_BIT(ORR_EV_NODE_RESUMED) | ORR_EV_BIT(ORR_EV_NODE_RETRYING) |                                    \
     ORR_EV_BIT(ORR_EV_NODE_COMPLETED) | ORR_EV_BIT(ORR_EV_NODE_FAILED) | ORR_EV_BIT(ORR_EV_NODE_SKIPPED) |  \
     ORR_EV_BIT(ORR_EV_NODE_CANCELLED) | ORR_EV_BIT(ORR_EV_NODE_INTERRUPTED) |                               \
     ORR_EV_BIT(ORR_EV_NODE_COMPENSATING) | ORR_EV_BIT(ORR_EV_NODE_COMPENSATED) |                            \
     ORR_EV_BIT(ORR_EV_NODE_COMPENSATION_FAILED))

/* ---- counting -------------------------------------------------------------------------------- */

static bool ends_run(orr_event_kind kind) {
    return kind == ORR_EV_RUN_COMPLETED || kind == ORR_EV_RUN_FAILED || kind == ORR_EV_RUN_CANCELLED ||
           kind == ORR_EV_RUN_COMPENSATED || kind == ORR_EV_RUN_COMPENSATION_FAILED;
}

/* How long the run took, by its records. */
static void count_end(tally_row *row, const orr_event *e) {
    orr_run_stats stats;
    orr_run_get_stats(e->run, &stats);
    observe(&row->runs, e->time - stats.created);
}

void orr_tally_event(const orr_rtbox *rt, orr_runbox *r, const orr_event *e) {
    tally_row *row = r ? row_of(rt, r) : NULL;
    if (!row) return;
    row->events[e->kind]++;
    if (ends_run(e->kind)) count_end(row, e);
    bool failed = e->kind == ORR_EV_NODE_FAILED || e->kind == ORR_EV_NODE_RETRYING;
    if (failed && e->error) count_code(rt->tally, e->error->code);
    if (e->kind == ORR_EV_NODE_RETRYING && e->due >= 0) add_wait(row, WAIT_BACKOFF, e->due - e->time);
    if (!(ORR_EV_BIT(e->kind) & TIMED)) return;
    timed t = {r, e, row};
    rt->base.script->guarded++;
    orr_protect(rt->base.script, keep_time, &t); /* without memory one time is not known */
    rt->base.script->guarded--;
}

/* ---- for Lua --------------------------------------------------------------------------------- */

static void push_histogram(lua_State *L, const char *key, const histogram *h) {
    lua_createtable(L, N_BOUNDS + 1, 1);
    for (uint32_t i = 0; i <= N_BOUNDS; i++) {
        lua_pushinteger(L, (lua_Integer)h->n[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushnumber(L, h->sum);
    lua_setfield(L, -2, "sum");
    lua_setfield(L, -2, key);
}

static void push_waits(lua_State *L, const tally_row *row) {
    lua_createtable(L, 0, WAIT_COUNT);
    for (uint32_t i = 0; i < WAIT_COUNT; i++) {
        lua_createtable(L, 0, 2);
        orr_set_integer(L, "n", (lua_Integer)row->waits[i].n);
        lua_pushnumber(L, row->waits[i].seconds);
        lua_setfield(L, -2, "seconds");
        lua_setfield(L, -2, wait_names[i]);
    }
    lua_setfield(L, -2, "waits");
}

static void push_row(lua_State *L, const tally_row *row) {
    lua_createtable(L, 0, 5);
    orr_set_text(L, "workflow", row->workflow);
    lua_createtable(L, 0, ORR_EVENT_COUNT);
    for (orr_event_kind kind = 0; kind < ORR_EVENT_COUNT; kind++)
        orr_set_integer(L, orr_event_name(kind), (lua_Integer)row->events[kind]);
    lua_setfield(L, -2, "events");
    push_histogram(L, "runs", &row->runs);
    push_histogram(L, "attempts", &row->attempts);
    push_waits(L, row);
}

static void push_counted(lua_State *L, const orr_tally *t) {
    lua_newtable(L);
    for (uint32_t i = 0; i <= MOST_WORKFLOWS; i++) {
        if (!t->rows[i]) continue;
        push_row(L, t->rows[i]);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
    lua_setfield(L, -2, "workflows");
    lua_newtable(L);
    for (uint32_t i = 0; i <= MOST_CODES; i++)
        if (t->codes[i].n) orr_set_integer(L, t->codes[i].code, (lua_Integer)t->codes[i].n);
    lua_setfield(L, -2, "codes");
    lua_createtable(L, N_BOUNDS, 0);
    for (uint32_t i = 0; i < N_BOUNDS; i++) {
        lua_pushnumber(L, bounds[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "bounds");
}

/* Sets the live runs, and their nodes, by state. */
static void push_live(lua_State *L, const orr_rtbox *rt) {
    uint64_t runs[ORR_RUN_STATE_COUNT] = {0}, nodes[ORR_NODE_STATE_COUNT] = {0}, running = 0;
    for (const orr_runbox *r = rt->runs; r; r = r->next) {
        if (!r->live || !r->run) continue;
        orr_run_stats stats;
        orr_run_get_stats(r->run, &stats);
        runs[orr_run_get_state(r->run)]++;
        running += stats.running;
        for (uint32_t i = 0; i < ORR_NODE_STATE_COUNT; i++) nodes[i] += stats.by_state[i];
    }
    lua_newtable(L);
    for (uint32_t i = 0; i < ORR_RUN_STATE_COUNT; i++)
        orr_set_integer(L, orr_run_state_name((orr_run_state)i), (lua_Integer)runs[i]);
    lua_setfield(L, -2, "runs");
    lua_newtable(L);
    for (uint32_t i = 0; i < ORR_NODE_STATE_COUNT; i++)
        orr_set_integer(L, orr_node_state_name((orr_node_state)i), (lua_Integer)nodes[i]);
    lua_setfield(L, -2, "nodes");
    orr_set_integer(L, "running", (lua_Integer)running);
}

/* Of a pool that was made from the definition of a prefix the prefix: keys have no bound. */
static void see_pool(void *ud, const orr_pool_view *pool) {
    lua_State *L = ud;
    lua_createtable(L, 0, 5);
    lua_pushlstring(L, pool->name, pool->keyed ? strcspn(pool->name, ":") : strlen(pool->name));
    lua_setfield(L, -2, "name");
    orr_set_integer(L, "max", pool->max);
    orr_set_integer(L, "used", pool->used);
    orr_set_integer(L, "waiting", pool->waiting);
    orr_set_flag(L, "paused", pool->paused);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static void see_breaker(void *ud, const orr_breaker_view *breaker) {
    lua_State *L = ud;
    orr_set_text(L, breaker->name, breaker->state);
}

static void begin(lua_State *L, orr_rtbox *rt) {
    rt->tally = orr_mem_new(&rt->base.script->alloc, 1, sizeof *rt->tally);
    if (!rt->tally) luaL_error(L, "not enough memory for counters");
    orr_core_listen(orr_engine_core(rt->base.engine), rt->listened | orr_tally_kinds(rt));
}

int orr_rt_tally(lua_State *L) {
    orr_rtbox *rt = orr_check_rt(L, 1);
    const orr_core *core = orr_engine_core(rt->base.engine);
    if (!rt->tally) begin(L, rt);
    lua_createtable(L, 0, 8);
    push_counted(L, rt->tally);
    push_live(L, rt);
    lua_newtable(L);
    orr_core_pools(core, see_pool, L);
    lua_setfield(L, -2, "pools");
    lua_newtable(L);
    orr_core_breakers(core, see_breaker, L);
    lua_setfield(L, -2, "breakers");
    return 1;
}

void orr_tally_free(orr_rtbox *rt) {
    orr_tally *t = rt->tally;
    if (!t) return;
    const orr_alloc *alloc = &rt->base.script->alloc;
    for (uint32_t i = 0; i <= MOST_WORKFLOWS; i++) {
        if (!t->rows[i]) continue;
        orr_mem_free(alloc, t->rows[i]->workflow, strlen(t->rows[i]->workflow) + 1, 1);
        orr_mem_free(alloc, t->rows[i], 1, sizeof *t->rows[i]);
    }
    orr_mem_free(alloc, t, 1, sizeof *t);
    rt->tally = NULL;
}
