/* limits.c - pools: places, and tokens where a rate is set. */
#include "core/inner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static orr_pool *find(const orr_core *core, const char *name, size_t len) {
    for (orr_pool *p = core->pools; p != NULL; p = p->next)
        if (strncmp(p->name, name, len) == 0 && p->name[len] == '\0') return p;
    return NULL;
}

static orr_pool *create(orr_core *core, const char *name) {
    size_t size = strlen(name) + 1;
    orr_pool *pool = orr_mem_new(&core->alloc, 1, sizeof *pool);
    char *copy = orr_mem_new(&core->alloc, 1, size);
    if (pool == NULL || copy == NULL) {
        orr_mem_free(&core->alloc, pool, 1, sizeof *pool);
        orr_mem_free(&core->alloc, copy, 1, size);
        return NULL;
    }
    pool->name = memcpy(copy, name, size);
    pool->core = core;
    pool->timer = ORR_NONE;
    pool->next = core->pools;
    if (core->pools != NULL) core->pools->prev = pool;
    core->pools = pool;
    return pool;
}

/* What a task that came back after a restart is owed it has before any other. Few ever are, so
 * they are looked for. */
static bool is_owed(const orr_run *run, uint32_t t, const orr_pool *pool) {
    const orr_more *more = orr_more_of(run, t);
    return more != NULL && more->pool == pool && more->owed;
}

static void have(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    bool queued = (run->cells[t].flags & CELL_QUEUED) != 0;
    if (queued) orr_unline(run, t);
    orr_pool_take(run, t, false);
    if (queued) orr_enqueue(run, t); /* its line was made when it became owed */
    more->pool->core->pools_stuck = false;
}

static void repay(orr_pool *pool) {
    for (orr_run *run = pool->core->runs; run != NULL && pool->owed > 0; run = run->next)
        for (uint32_t t = 0; t < run->n_cells && !run->ended && pool->used < pool->max; t++)
            if (is_owed(run, t, pool)) have(run, t);
}

static void define(orr_pool *pool, uint32_t max, double rate, double burst) {
    pool->max = max;
    pool->rate = rate;
    pool->burst = burst;
    pool->tokens = burst;
    pool->refilled = pool->core->now;
    orr_timer_off(pool->core, &pool->timer); /* it was for a token of the old rate */
    repay(pool);
}

void orr_pool_destroy(orr_pool *pool) {
    orr_core *core = pool->core;
    orr_timer_off(core, &pool->timer);
    if (pool->prev != NULL) pool->prev->next = pool->next;
    else core->pools = pool->next;
    if (pool->next != NULL) pool->next->prev = pool->prev;
    orr_mem_free(&core->alloc, pool->name, strlen(pool->name) + 1, 1);
    orr_mem_free(&core->alloc, pool, 1, sizeof *pool);
}

/* A definition that changed holds for the keyed pools made from it as well. */
static void redefine_keyed(orr_core *core, const orr_pool *base) {
    size_t len = strlen(base->name);
    for (orr_pool *p = core->pools; p != NULL; p = p->next)
        if (p->keyed && strncmp(p->name, base->name, len) == 0 && p->name[len] == ':')
            define(p, base->max, base->rate, base->burst);
}

static orr_status was_defined(orr_core *core, const orr_pool *pool) {
    redefine_keyed(core, pool);
    core->pools_stuck = false;
    ORR_CHECKED(core);
    return ORR_OK;
}

orr_status orr_core_pool(orr_core *core, const char *name, uint32_t max, double rate, int64_t per) {
    bool bounded = rate > 0 && per > 0;
    double second = bounded ? rate * 1e9 / (double)per : 0;
    if (name == NULL || *name == '\0' || rate < 0 || !isfinite(rate) || (rate > 0 && per <= 0) ||
        !isfinite(second))
        return ORR_EINVAL;
    orr_pool *pool = find(core, name, strlen(name));
    if (pool == NULL && (pool = create(core, name)) == NULL) return ORR_ENOMEM;
    pool->keyed = false;
    define(pool, max, second, rate > 1 ? rate : 1);
    return was_defined(core, pool);
}

orr_status orr_core_pool_burst(orr_core *core, const char *name, double burst) {
    orr_pool *pool = find(core, name, strlen(name));
    if (pool == NULL) return ORR_ENOTFOUND;
    if (!(burst >= 1) || !isfinite(burst)) return ORR_EINVAL;
    define(pool, pool->max, pool->rate, burst);
    return was_defined(core, pool);
}

static size_t prefix_of(const char *name) {
    const char *colon = strchr(name, ':');
    return colon != NULL ? (size_t)(colon - name) : 0;
}

bool orr_core_has_pool(const orr_core *core, const char *name) {
    size_t prefix = prefix_of(name);
    return find(core, name, strlen(name)) != NULL || (prefix > 0 && find(core, name, prefix) != NULL);
}

/* The pool of that name, which is made where only its prefix is defined: what is set of it is not
 * forgotten when nobody uses it. NULL, and why. */
static orr_pool *of_name(orr_core *core, const char *name, orr_status *status) {
    bool nomem = false;
    orr_pool *pool = orr_pool_get(core, name, &nomem);
    *status = nomem ? ORR_ENOMEM : pool == NULL ? ORR_ENOTFOUND : ORR_OK;
    return pool;
}

orr_status orr_core_pool_pause(orr_core *core, const char *name, bool paused) {
    orr_status status;
    orr_pool *pool = of_name(core, name, &status);
    if (pool == NULL) return status;
    pool->paused = paused;
    core->pools_stuck = false;
    ORR_CHECKED(core);
    return ORR_OK;
}

static void set_places(orr_pool *pool, uint32_t max) {
    pool->max = max;
    repay(pool);
}

orr_status orr_core_pool_limit(orr_core *core, const char *name, uint32_t max) {
    orr_status status;
    orr_pool *pool = of_name(core, name, &status);
    size_t len = strlen(name);
    if (pool == NULL) return status;
    pool->keyed = false;
    set_places(pool, max);
    for (orr_pool *p = core->pools; p != NULL; p = p->next)
        if (p->keyed && strncmp(p->name, name, len) == 0 && p->name[len] == ':') set_places(p, max);
    core->pools_stuck = false;
    ORR_CHECKED(core);
    return ORR_OK;
}

/* How many tokens there are by now, as far as time has gone on since the last was asked for. */
static double tokens_of(const orr_pool *p) {
    double tokens = p->tokens + (double)(p->core->now - p->refilled) / 1e9 * p->rate;
    return tokens < p->burst ? tokens : p->burst;
}

void orr_core_pools(const orr_core *core, void (*see)(void *ud, const orr_pool_view *pool), void *ud) {
    for (const orr_pool *p = core->pools; p != NULL; p = p->next)
        see(ud, &(orr_pool_view){.name = p->name,
                                 .max = p->max,
                                 .used = p->used,
                                 .waiting = p->waiting,
                                 .keyed = p->keyed,
                                 .paused = p->paused,
                                 .rate = p->rate,
                                 .burst = p->rate > 0 ? p->burst : 0,
                                 .tokens = p->rate > 0 ? tokens_of(p) : 0});
}

orr_pool *orr_pool_get(orr_core *core, const char *name, bool *nomem) {
    size_t prefix = prefix_of(name);
    orr_pool *pool = find(core, name, strlen(name));
    *nomem = false;
    if (pool != NULL || prefix == 0) return pool;
    const orr_pool *base = find(core, name, prefix);
    if (base == NULL) return NULL;
    pool = create(core, name);
    if (pool == NULL) {
        *nomem = true;
        return NULL;
    }
    pool->keyed = true;
    define(pool, base->max, base->rate, base->burst);
    return pool;
}

bool orr_needs_pool(const orr_run *run, uint32_t t) {
    const orr_policy *policy = orr_policy_of(run, orr_node_of(run, t));
    return policy->pool != NULL || policy->pool_is_dynamic;
}

/* Which pool a task draws from is asked once, when it first becomes ready. */
bool orr_pool_resolve(orr_run *run, uint32_t t, orr_error *error) {
    uint32_t node = orr_node_of(run, t);
    const orr_policy *policy = orr_policy_of(run, node);
    orr_more *more = orr_need_more(run, t);
    bool nomem = more == NULL;
    if (more != NULL && !more->pool_known) {
        const char *name = policy->pool;
        if (policy->pool_is_dynamic) {
            orr_ask ask = {ORR_ASK_POOL, orr_task_of(run, t), 0};
            orr_answer answer = {0};
            if (!run->core->hooks.evaluate(run->core->hooks.ud, run, &ask, &answer)) {
                *error = answer.error;
                return false;
            }
            name = answer.name;
            more->pool = name != NULL ? orr_pool_get(run->core, name, &nomem) : NULL;
        } else {
            more->pool = run->policy_pool != NULL ? run->policy_pool[run->plan->policy_of[node]] : NULL;
        }
        if (name != NULL && more->pool == NULL && !nomem) {
            snprintf(run->core->text, sizeof run->core->text,
                     "pool '%s' is not defined: define it with flow.pool "
                     "before the run starts",
                     name);
            *error = (orr_error){"config_error", run->core->text, true, -1, 0};
            return false;
        }
        more->pool_known = true;
    }
    if (nomem) *error = orr_no_memory;
    return !nomem;
}

bool orr_pool_free_place(const orr_pool *pool) {
    return !pool->paused && pool->used < pool->max;
}

/* Token bucket: tokens flow in at `rate` a second up to `burst`. */
bool orr_pool_token(orr_pool *pool, int64_t *due) {
    if (pool->rate <= 0) return true;
    int64_t now = pool->core->now;
    pool->tokens = tokens_of(pool);
    pool->refilled = now;
    /* what rounding may have eaten of a whole token is given back */
    if (pool->tokens >= 1 - 1e-9) return true;
    double wait = ceil((1 - pool->tokens) / pool->rate * 1e9);
    *due = orr_wake_after(now, wait < 4e18 ? (int64_t)wait : INT64_MAX);
    return false;
}

static bool holds(const orr_run *run, uint32_t t) {
    return orr_policy_of(run, orr_node_of(run, t))->pool_hold;
}

bool orr_pool_keeps(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    return more != NULL && (more->holds_pool || more->owed) && holds(run, t);
}

void orr_pool_take(orr_run *run, uint32_t t, bool token) {
    orr_more *more = orr_more_of(run, t);
    orr_pool *pool = more->pool;
    if (!more->holds_pool) {
        pool->used++;
        pool->held += holds(run, t);
        pool->owed -= more->owed;
    }
    more->holds_pool = true;
    more->owed = false;
    if (token && pool->rate > 0) pool->tokens = pool->tokens > 1 ? pool->tokens - 1 : 0;
}

void orr_pool_give(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    orr_pool *pool = more->pool;
    if (more->holds_pool) {
        pool->used--;
        pool->held -= holds(run, t);
    }
    pool->owed -= more->owed;
    bool freed = more->holds_pool;
    more->holds_pool = more->owed = false;
    if (!freed) return;
    pool->core->pools_stuck = false;
    if (pool->owed > 0) repay(pool);
}

bool orr_pool_take_back(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    orr_pool *pool = more->pool;
    if (orr_pool_line(pool, run, false) == NULL || orr_pool_line(pool, run, true) == NULL) return false;
    if (pool->used < pool->max) {
        orr_pool_take(run, t, false);
    } else {
        more->owed = true;
        pool->owed++;
    }
    return true;
}

/* A keyed pool without a rate remembers nothing, so it need not outlive its users. */
void orr_pool_idle(orr_pool *pool) {
    if (!pool->keyed || pool->used > 0 || pool->owed > 0 || pool->waiting > 0 || pool->rate > 0 ||
        pool->paused)
        return;
    for (orr_run *run = pool->core->runs; run != NULL; run = run->next)
        for (orr_line **at = &run->lines; *at != NULL;) {
            orr_line *line = *at;
            if (line->pool == pool) {
                *at = line->of_run;
                orr_mem_free(&pool->core->alloc, line, 1, sizeof *line);
            } else {
                at = &line->of_run;
            }
        }
    orr_pool_destroy(pool);
}

orr_line *orr_find_line(const orr_run *run, const orr_pool *pool, bool kept) {
    orr_line *line = run->lines;
    while (line != NULL && (line->pool != pool || line->kept != kept)) line = line->of_run;
    return line;
}

orr_line *orr_pool_line(orr_pool *pool, orr_run *run, bool kept) {
    orr_line *line = orr_find_line(run, pool, kept);
    if (line != NULL) return line;
    line = orr_mem_new(&run->core->alloc, 1, sizeof *line);
    if (line == NULL) return NULL;
    orr_line_init(line, run, pool);
    line->kept = kept;
    line->of_run = run->lines;
    run->lines = line;
    return line;
}

/* Sets the timer for the next token. False when out of memory. */
bool orr_pool_arm(orr_pool *pool, int64_t due) {
    return pool->timer != ORR_NONE || orr_timer_on(pool->core, &pool->timer, due, pool, 0, TIMER_POOL);
}

void orr_pool_fired(orr_pool *pool) {
    pool->timer = ORR_NONE;
    pool->core->pools_stuck = false;
}
