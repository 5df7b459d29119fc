/* check_lines.c - lines of ready tasks and the rings they stand in, and what pools and breakers
 * count. */
#include "core/check.h"

/* ---- the lines of a run ---------------------------------------------------------------------- */

static bool check_queue(orr_check *c, const orr_line *line, orr_priority p, uint32_t *n) {
    const orr_run *run = line->run;
    uint32_t last = ORR_NONE;
    for (uint32_t t = line->head[p]; t != ORR_NONE; t = orr_line_after(run, t)) {
        PROVE(c, run, ORR_NONE, t < run->n_cells, "one of its lines leads out of its tasks");
        PROVE(c, run, t, (*n)++ < line->count, "it stands in a line that is longer than it says");
        const orr_more *more = orr_more_of(run, t);
        PROVE(c, run, t, (run->cells[t].flags & CELL_QUEUED) != 0, "it stands in a line, but is not queued");
        PROVE(c, run, t, orr_policy_of(run, orr_node_of(run, t))->priority == p,
              "it stands in a line of another priority");
        PROVE(c, run, t, (more != NULL ? more->pool : NULL) == line->pool,
              "it stands in a line of another pool");
        PROVE(c, run, t, line->pool == NULL || more->holds_pool == line->kept,
              "it has a place and stands in line for one, or the other way round");
        PROVE(c, run, t, run->links == NULL || !orr_rank_before(run, t, line->head[p]),
              "it has a longer path before it than the first of its line");
        last = t;
    }
    PROVE(c, run, ORR_NONE, run->links != NULL || line->tail[p] == last,
          "one of its lines has another last task");
    return true;
}

/* A line with tasks stands in the ring: that of its pool always, that of the core while its run
 * may start something. */
static bool check_place(orr_check *c, const orr_line *line, orr_priority p) {
    const orr_run *run = line->run;
    bool stands = line->next[p] != NULL, filled = line->head[p] != ORR_NONE;
    bool wanted = filled && (line->pool != NULL || orr_run_may_start(run));
    PROVE(c, run, ORR_NONE, stands || !wanted, "one of its lines has tasks, but does not stand in the ring");
    PROVE(c, run, ORR_NONE, wanted || !stands,
          "one of its lines stands in the ring without a task that may start");
    PROVE(c, run, ORR_NONE, stands == (line->prev[p] != NULL),
          "one of its lines stands in the ring one way only");
    PROVE(c, run, ORR_NONE, !stands || (line->next[p]->prev[p] == line && line->prev[p]->next[p] == line),
          "the ring of one of its lines does not lead back");
    if (line->pool != NULL) c->pooled += stands;
    else c->ready += stands;
    return true;
}

static bool check_line(orr_check *c, const orr_line *line, uint32_t *queued) {
    uint32_t n = 0;
    for (int p = 0; p < ORR_PRIO_COUNT; p++)
        if (!check_queue(c, line, (orr_priority)p, &n) || !check_place(c, line, (orr_priority)p))
            return false;
    PROVE(c, line->run, ORR_NONE, n == line->count, "the number of tasks in one of its lines is wrong");
    *queued += n;
    return true;
}

bool orr_check_run_lines(orr_check *c, const orr_run *run) {
    uint32_t queued = 0, n = 0;
    PROVE(c, run, ORR_NONE, run->line.run == run && run->line.pool == NULL, "its own line is another's");
    if (!check_line(c, &run->line, &queued)) return false;
    for (const orr_line *line = run->lines; line != NULL; line = line->of_run) {
        PROVE(c, run, ORR_NONE, n++ < 2 * c->pools, "it has more lines than there are pools");
        PROVE(c, run, ORR_NONE, line->run == run, "one of its lines is of another run");
        PROVE(c, run, ORR_NONE, line->pool != NULL && line->pool->core == c->core,
              "one of its lines is of no pool");
        if (!check_line(c, line, &queued)) return false;
    }
    PROVE(c, run, ORR_NONE, queued == run->queued, "a task is queued, but stands in none of its lines");
    return true;
}

/* ---- rings and pools ------------------------------------------------------------------------- */

/* Goes round once, at most `most` lines, and counts them and their tasks. */
static bool check_ring(orr_check *c, const orr_ring *ring, const orr_pool *pool, uint32_t most,
                       uint32_t *tasks) {
    const char *kind = pool != NULL ? "pool" : NULL, *name = pool != NULL ? pool->name : NULL;
    uint32_t n = 0;
    for (int p = 0; p < ORR_PRIO_COUNT; p++) {
        const orr_line *first = ring->at[p], *line = first;
        while (line != NULL) {
            PROVE_AT(c, kind, name, n++ < most, "its ring has more lines than runs have tasks for it");
            PROVE_AT(c, kind, name,
                     line->pool == pool && line->next[p] != NULL &&
                         (pool == NULL || orr_ring_of(line) == ring),
                     "a line stands in its ring that is not of it");
            for (uint32_t t = line->head[p]; t != ORR_NONE; t = orr_line_after(line->run, t)) ++*tasks;
            line = line->next[p] != first ? line->next[p] : NULL;
        }
    }
    if (pool != NULL) c->pooled -= n;
    else c->ready -= n;
    return true;
}

static bool check_pool(orr_check *c, const orr_pool *pool) {
    uint32_t tasks = 0;
    if (!check_ring(c, &pool->ring, pool, c->pooled, &tasks) ||
        !check_ring(c, &pool->kept, pool, c->pooled, &tasks))
        return false;
    PROVE_AT(c, "pool", pool->name, pool->waiting == tasks, "the number of tasks that wait for it is wrong");
    PROVE_AT(c, "pool", pool->name, pool->owed == 0 || pool->used >= pool->max,
             "it owes a place and has one");
    c->places -= pool->used * orr_check_mark_of(pool);
    c->held -= pool->held * orr_check_mark_of(pool);
    c->owed -= pool->owed * orr_check_mark_of(pool);
    return true;
}

bool orr_check_pools(orr_check *c) {
    const orr_pool *before = NULL;
    for (const orr_pool *pool = c->core->pools; pool != NULL; before = pool, pool = pool->next, c->pools++) {
        PROVE_AT(c, "pool", pool->name, pool->core == c->core, "it is of another core");
        PROVE_AT(c, "pool", pool->name, pool->prev == before, "the list of pools does not lead back from it");
    }
    return true;
}

bool orr_check_rings(orr_check *c) {
    const orr_core *core = c->core;
    uint32_t waiting = 0, tasks = 0;
    for (const orr_pool *pool = core->pools; pool != NULL; pool = pool->next) {
        if (!check_pool(c, pool)) return false;
        waiting += pool->waiting > 0;
    }
    PROVE_AT(c, NULL, NULL, core->pools_waiting == waiting,
             "the number of pools with tasks in line is wrong");
    PROVE_AT(c, NULL, NULL, c->pooled == 0, "a line with tasks for a pool does not stand in its ring");
    PROVE_AT(c, NULL, NULL, c->places == 0, "a pool has lent another number of places than tasks hold");
    PROVE_AT(c, NULL, NULL, c->held == 0 && c->owed == 0,
             "a pool counts another number of places that tasks keep or are owed than there are");
    if (!check_ring(c, &core->ready, NULL, c->ready, &tasks)) return false;
    PROVE_AT(c, NULL, NULL, c->ready == 0, "a line of ready tasks does not stand in the ring");
    return true;
}

/* ---- breakers -------------------------------------------------------------------------------- */

/* Whoever waits without an attempt, and not for a time, waits for its breaker. Tasks that ended
 * meanwhile are left in the list. */
static bool check_held(orr_check *c, const orr_breaker *b, uint32_t *held) {
    for (uint32_t i = 0; i < b->n_held; i++) {
        const orr_run *run = b->held[i].run;
        uint32_t t = b->held[i].task;
        PROVE_AT(c, "breaker", b->name, run->core == c->core && t < run->n_cells,
                 "it holds back what is no task");
        const orr_more *more = orr_more_of(run, t);
        if (run->cells[t].state != ORR_NODE_WAITING || orr_check_live(run, t) || more == NULL ||
            more->due >= 0 || !orr_check_goes(run))
            continue;
        PROVE(c, run, t, orr_breaker_of(run, orr_node_of(run, t)) == b,
              "another breaker than its own holds it back");
        c->waiters -= orr_check_mark(orr_check_mark_of(run) + t);
        ++*held;
    }
    return true;
}

static bool check_breaker(orr_check *c, const orr_breaker *b) {
    uint32_t held = 0;
    bool shut = b->state == BREAKER_OPEN || (b->state == BREAKER_HALF_OPEN && b->probing > 0);
    PROVE_AT(c, "breaker", b->name, b->core == c->core, "it is of another core");
    PROVE_AT(c, "breaker", b->name, b->state <= BREAKER_HALF_OPEN, "its state is none");
    PROVE_AT(c, "breaker", b->name,
             b->n_failures <= b->options.threshold && b->at_failure < b->options.threshold,
             "it counts more failures than it has room for");
    PROVE_AT(c, "breaker", b->name, b->n_held <= b->cap_held,
             "it holds back more tasks than it has room for");
    if (!check_held(c, b, &held)) return false;
    PROVE_AT(c, "breaker", b->name, held == 0 || shut, "it lets attempts through, but holds tasks back");
    if (b->state == BREAKER_HALF_OPEN) c->probes -= b->probing * orr_check_mark_of(b);
    return true;
}

bool orr_check_breakers(orr_check *c) {
    for (const orr_breaker *b = c->core->breakers; b != NULL; b = b->next)
        if (!check_breaker(c, b)) return false;
    PROVE_AT(c, NULL, NULL, c->probes == 0,
             "a half open breaker counts another number of probes than there are");
    PROVE_AT(c, NULL, NULL, c->waiters == 0, "a task waits for a breaker that does not hold it back");
    return true;
}
