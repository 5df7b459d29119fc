/* wild.c - see wild.h */
#include "wild.h"

#include "chance.h"

#include <stdlib.h>
#include <string.h>

uint64_t wild_hash(uint64_t seed, uint64_t a, uint64_t b, uint64_t c) {
    chance h = {seed};
    h.state = chance_next(&h) ^ a * 0x9fb21c651e98df25u;
    h.state = chance_next(&h) ^ b * 0xd6e8feb86659fd93u;
    h.state = chance_next(&h) ^ c;
    return chance_next(&h);
}

uint32_t wild_hunt(uint32_t times) {
    const char *hunt = getenv("ORR_HUNT");
    unsigned long factor = hunt != NULL ? strtoul(hunt, NULL, 10) : 1;
    return factor > 0 ? times * (uint32_t)factor : times;
}

/* ---- limits ---------------------------------------------------------------------------------- */

const wild_pool_kind wild_pools[] = {
    {"narrow", 1, 0, 0},        {"wide", 3, 0, 0},   {"rated", 4, 5, SECOND},
    {"slow", 2, 1, 3 * SECOND}, {"tenant", 2, 0, 0},
};
const uint32_t wild_n_pools = sizeof wild_pools / sizeof wild_pools[0];

orr_status wild_limits(orr_core *core) {
    static const orr_breaker_options options[] = {
        {2, 20 * SECOND, 3 * SECOND, 1},
        {1, 60 * SECOND, 2 * SECOND, 2},
    };
    orr_status status = ORR_OK;
    for (uint32_t i = 0; i < wild_n_pools && status == ORR_OK; i++) {
        const wild_pool_kind *p = &wild_pools[i];
        status = orr_core_pool(core, p->name, p->max, p->rate, p->per);
    }
    if (status == ORR_OK) status = orr_core_breaker(core, "quick", &options[0]);
    return status == ORR_OK ? orr_core_breaker(core, "touchy", &options[1]) : status;
}

static const char *const tenants[] = {"tenant:a", "tenant:b", "tenant:c"};

const char *wild_pool(const wild *w, uint32_t node, uint32_t item) {
    const orr_policy *p = &w->plan->policies[w->plan->policy_of[node]];
    if (!p->pool_is_dynamic) return p->pool;
    uint64_t h = wild_hash(w->seed, 11, node, item);
    if ((w->flags & WILD_BAD) != 0 && h % 23 == 0) return "nowhere";
    return h % 11 == 0 ? NULL : tenants[h / 32 % 3];
}

/* ---- policies -------------------------------------------------------------------------------- */

static int64_t span(chance *c, int64_t most) {
    return 1 + (int64_t)(chance_next(c) % (uint64_t)most);
}

static void give_retry(orr_retry *r, chance *c) {
    static const char *const on[] = {"handler_error", "timeout"}, *const unless[] = {"hopeless"};
    r->max = chance_below(c, 4);
    r->strategy = (uint8_t)chance_below(c, 4);
    r->jitter = (uint8_t)chance_below(c, 3);
    r->delay = chance_of(c, 20) ? 0 : span(c, 2 * SECOND);
    r->max_delay = chance_of(c, 50) ? span(c, 5 * SECOND) : 0;
    r->factor = chance_of(c, 50) ? 1.5 : 0;
    if (chance_of(c, 20)) {
        r->on = on;
        r->n_on = 2;
    }
    if (chance_of(c, 20)) {
        r->unless = unless;
        r->n_unless = 1;
    }
}

/* A list of policies: `retries` has room for two beside the first, and then for one of the
 * compensation. */
static void give_retries(orr_policy *p, chance *c, orr_retry *retries) {
    if (!chance_of(c, 20)) return;
    p->n_retries = 1 + chance_below(c, 2);
    p->retries = retries;
    for (uint32_t i = 0; i < p->n_retries; i++) give_retry(&retries[i], c);
}

static void give_times(orr_policy *p, chance *c) {
    if (chance_of(c, 15)) p->timeout = span(c, 3 * SECOND);
    if (chance_of(c, 10)) p->deadline = span(c, 6 * SECOND);
    if (chance_of(c, 8)) p->heartbeat = span(c, 2 * SECOND);
}

static void give_limits(orr_policy *p, chance *c) {
    static const char *const breakers[] = {"quick", "touchy"};
    uint32_t kind = chance_below(c, 10);
    if (kind < 4) p->pool = wild_pools[kind].name;
    else if (kind == 4) p->pool_is_dynamic = true;
    p->pool_hold = kind <= 4 && p->priority % 2 == 1; /* takes no chance from what follows */
    if (chance_of(c, 15)) p->breaker = breakers[chance_below(c, 2)];
}

static void give_compensation(orr_policy *p, chance *c, orr_retry *retries) {
    p->has_compensate = chance_of(c, 60);
    if (chance_of(c, 50)) give_retry(&p->compensate_retry, c);
    if (chance_of(c, 30)) {
        p->compensate_retries = retries;
        p->n_compensate_retries = 1;
        give_retry(retries, c);
    }
    if (chance_of(c, 20)) p->compensate_timeout = span(c, 3 * SECOND);
}

static orr_policy policy_for(chance *c, uint32_t flags, orr_retry *retries) {
    orr_policy p;
    orr_policy_init(&p);
    p.join = chance_of(c, 50) ? ORR_JOIN_ALL : (uint8_t)chance_below(c, 6);
    p.need = 1;
    p.cancel_rest = (p.join == ORR_JOIN_NEED || p.join == ORR_JOIN_ANY) && chance_of(c, 40);
    p.priority = (uint8_t)chance_below(c, ORR_PRIO_COUNT);
    p.ignore_errors = chance_of(c, 8);
    p.watches = chance_of(c, 8);
    p.has_when = chance_of(c, 12);
    p.has_each = chance_of(c, 12);
    p.each_failures = chance_of(c, 50) ? 0 : chance_below(c, 3);
    p.failures_percent = p.has_each && chance_of(c, 30);
    if (p.failures_percent) p.each_failures *= 25;
    p.each_parallel = chance_of(c, 50) ? chance_below(c, 4) : 0;
    p.each_on_failure = (uint8_t)chance_below(c, 3);
    p.has_loop = chance_of(c, 10);
    p.loop_max = chance_of(c, 80) ? 1 + chance_below(c, 4) : 0;
    p.loop_times = chance_of(c, 30) ? 1 + chance_below(c, 3) : 0;
    p.loop_delay = chance_of(c, 50) ? span(c, SECOND) : 0;
    p.has_fallback = chance_of(c, 12);
    if (chance_of(c, 40)) give_retry(&p.retry, c);
    give_retries(&p, c, retries);
    p.stops = !p.ignore_errors && chance_of(c, 8) && (flags & WILD_STEADY) == 0;
    p.cancel_rest &= (flags & WILD_STEADY) == 0;
    if ((flags & WILD_TIMES) != 0) give_times(&p, c);
    if ((flags & WILD_LIMITS) != 0) give_limits(&p, c);
    if ((flags & WILD_UNDO) != 0) give_compensation(&p, c, &retries[2]);
    return p;
}

/* ---- plans ----------------------------------------------------------------------------------- */

typedef struct making {
    orr_plan_builder *b;
    chance c;
    uint32_t n, flags;
    uint64_t estimates; /* a seed, or 0: no node has one */
    uint16_t ports[3];
} making;

/* Between two nodes there is a plain edge or one to three outcome edges. */
static orr_status connect(making *m, uint32_t from, uint32_t to) {
    if (!chance_of(&m->c, 15)) return orr_plan_edge(m->b, from, to, ORR_PORT_ANY, chance_of(&m->c, 12));
    uint32_t which = 1 + chance_below(&m->c, 7);
    orr_status status = ORR_OK;
    for (uint32_t i = 0; i < 3 && status == ORR_OK; i++)
        if ((which >> i & 1) != 0) status = orr_plan_edge(m->b, from, to, m->ports[i], chance_of(&m->c, 12));
    return status;
}

static orr_status fill(making *m) {
    static const char *const names[] = {"gold", "silver", "bronze"};
    orr_status status = ORR_OK;
    for (uint32_t i = 0; i < 3 && status == ORR_OK; i++)
        status = orr_plan_port(m->b, names[i], strlen(names[i]), &m->ports[i]);
    for (uint32_t i = 0; i < m->n && status == ORR_OK; i++) {
        orr_retry retries[3] = {{0}, {0}, {0}};
        orr_policy p = policy_for(&m->c, m->flags, retries);
        uint32_t deps[6], n_deps = i > 0 ? chance_below(&m->c, 5) : 0, reach = 1 + chance_below(&m->c, 12),
                          kept = 0;
        for (uint32_t k = 0; k < n_deps; k++) {
            uint32_t from = i - 1 - chance_below(&m->c, i < reach ? i : reach);
            bool twice = false;
            for (uint32_t j = 0; j < kept; j++) twice |= deps[j] == from;
            if (!twice) deps[kept++] = from;
        }
        /* takes no chance from what follows; 0 is none */
        if (m->estimates != 0) p.estimate = (int64_t)(wild_hash(m->estimates, 2, i, 0) % 5) * SECOND;
        p.need = kept > 0 ? 1 + chance_below(&m->c, kept) : 1;
        if (kept == 0 && p.join == ORR_JOIN_NEED) p.join = ORR_JOIN_ALL;
        uint16_t policy = 0;
        status = orr_plan_policy(m->b, &p, &policy);
        if (status == ORR_OK) status = orr_plan_node(m->b, NULL, 0, policy, NULL);
        for (uint32_t k = 0; k < kept && status == ORR_OK; k++) status = connect(m, deps[k], i);
    }
    return status;
}

wild wild_make(const orr_alloc *alloc, uint64_t seed, uint32_t n, uint32_t flags) {
    wild w = {seed, n, flags, NULL};
    making m = {.c = {wild_hash(seed, 1, n, flags)}, .n = n, .flags = flags};
    if (wild_hash(seed, 3, n, flags) % 2 == 0) m.estimates = wild_hash(seed, 4, n, flags);
    orr_plan_options o = {.name = "wild", .on_error = (uint8_t)chance_below(&m.c, 3)};
    if ((flags & WILD_STEADY) != 0) o.on_error = ORR_ON_ERROR_CONTINUE;
    if ((flags & WILD_LIMITS) != 0 && chance_of(&m.c, 50)) o.concurrency = 1 + chance_below(&m.c, 5);
    if ((flags & WILD_TIMES) != 0 && chance_of(&m.c, 15)) o.timeout = span(&m.c, 30 * SECOND);
    if ((flags & WILD_TIMES) != 0 && chance_of(&m.c, 40)) o.cleanup_timeout = span(&m.c, 3 * SECOND);
    m.b = orr_plan_begin(alloc, &o);
    if (m.b == NULL) return w;
    if (fill(&m) != ORR_OK) {
        orr_plan_abandon(m.b);
        return w;
    }
    if (orr_plan_end(m.b, NULL, NULL, &w.plan) == ORR_EINVAL) abort();
    return w;
}

void wild_free(wild *w) {
    orr_plan_unref(w->plan);
    w->plan = NULL;
}

/* ---- behaviour ------------------------------------------------------------------------------- */

sim_deed wild_deed(const wild *w, const orr_task *task, uint8_t phase) {
    static const char *const codes[] = {NULL, "handler_error", "hopeless", "config_error", "http_timeout"};
    static const char *const ports[] = {NULL, "gold", "silver", "bronze"};
    uint64_t at = (uint64_t)task->iteration << 32 | (uint64_t)task->attempt << 8 | phase;
    chance c = {wild_hash(w->seed, 2 + (uint64_t)task->item * 31, task->node, at)};
    sim_deed d = {.takes = chance_of(&c, 10) ? 0 : span(&c, 2 * SECOND), .end = ORR_END_COMPLETED};
    uint32_t kind = chance_below(&c, 100);
    if (kind < 25) d.end = ORR_END_FAILED;
    else if (kind < 28) d.end = ORR_END_CANCELLED;
    d.code = codes[chance_below(&c, 5)];
    d.port = ports[chance_below(&c, 4)];
    d.not_retryable = chance_of(&c, 10);
    d.retry_after = chance_of(&c, 10) ? span(&c, SECOND) : 0;
    if ((w->flags & WILD_TIMES) != 0) {
        d.deaf = chance_of(&c, 6);
        d.sleeps = chance_of(&c, 15) ? span(&c, 2 * SECOND) : 0;
        if (chance_of(&c, 3)) d.takes *= 20;
    }
    return d;
}

bool wild_evaluate(const wild *w, const orr_ask *ask, orr_answer *answer) {
    uint64_t what = (uint64_t)ask->kind << 40 | (uint64_t)ask->edge << 8 | ask->task.iteration;
    chance c = {wild_hash(w->seed, 7 + (uint64_t)ask->task.item * 17, ask->task.node, what)};
    if ((w->flags & WILD_BAD) != 0 && ask->kind != ORR_ASK_POOL && chance_of(&c, 6)) {
        answer->error = (orr_error){"config_error", "it cannot be evaluated", true, -1, 0};
        return false;
    }
    answer->truth = chance_of(&c, ask->kind == ORR_ASK_UNTIL ? 50 : 65);
    answer->count = chance_below(&c, 5);
    answer->value = 77;
    if (ask->kind == ORR_ASK_POOL) answer->name = wild_pool(w, ask->task.node, ask->task.item);
    return true;
}
