/* deadlock.c - tasks that wait for a place which never comes free, because it is held by tasks that
 * wait for what comes after them.
 *
 * Only a task with `hold` has a place while it waits, and the only thing it can wait for that needs
 * a place itself is the end of a run. Two things are looked for, when nothing else can start:
 *   - all places of a pool are held by tasks that wait for the run of a task in its line, directly
 *     or through other runs: then that task never starts, whatever else its run does;
 *   - a knot: pools that keep each other from coming free. At first each pool is a suspect whose
 *     places are all held. As if none of these came free, the search follows what cannot go on
 *     because of that: the tasks in their lines, runs in which nothing else is under way, the task
 *     that waits for such a run, the place it holds. A pool of which a place is not held so is a
 *     suspect no more, and the search begins anew, until all that are left are. What runs, waits
 *     for a time or a signal, or is being stopped, might go on.
 */
#include "core/inner.h"

#include <stdio.h>

/* ---- who waits for whom ---------------------------------------------------------------------- */

void orr_unawait(orr_run *run) {
    orr_run *by = run->awaited_by;
    if (by == NULL) return;
    if (run->awaited_prev != NULL) run->awaited_prev->awaited_next = run->awaited_next;
    else by->awaits = run->awaited_next;
    if (run->awaited_next != NULL) run->awaited_next->awaited_prev = run->awaited_prev;
    run->awaited_by = run->awaited_next = run->awaited_prev = NULL;
    run->core->pools_stuck = false; /* of what it was awaited with it may have been the last that went on */
}

void orr_run_awaited(orr_run *run, orr_run *by, const orr_task *task) {
    orr_unawait(run);
    if (by == NULL || by->core != run->core) return;
    for (const orr_run *above = by; above != NULL; above = above->awaited_by)
        if (above == run) return; /* a run is no part of itself */
    run->awaited_by = by;
    run->awaited_task = *task;
    run->awaited_next = by->awaits;
    if (by->awaits != NULL) by->awaits->awaited_prev = run;
    by->awaits = run;
    run->core->pools_stuck = false;
}

/* ---- what the task fails with ---------------------------------------------------------------- */

enum { CHAIN_TEXT = 1024 };

/* A chain of holders and waiters, as it is being written. */
typedef struct chain {
    char text[CHAIN_TEXT];
    size_t len;
} chain;

static void say(chain *c, const char *before, const char *name, const char *after) {
    if (c->len >= sizeof c->text) return;
    int n = snprintf(c->text + c->len, sizeof c->text - c->len, "%s%.60s%s", before, name, after);
    c->len += n > 0 ? (size_t)n : 0;
}

static void say_node(chain *c, const orr_run *run, uint32_t node) {
    char number[24];
    const char *name = orr_plan_name(run->plan, node);
    snprintf(number, sizeof number, "%u", node + 1);
    say(c, "node '", name != NULL ? name : number, "' of ");
    say(c, "workflow '", run->plan->name, "'");
}

static void say_holder(chain *c, const orr_run *waits_for) {
    say_node(c, waits_for->awaited_by, waits_for->awaited_task.node);
    say(c, " holds", "", " it and waits for ");
}

static void fail(orr_run *run, orr_pool *pool, orr_priority p, chain *c) {
    const orr_line *line = orr_find_line(run, pool, false);
    uint32_t t = line->head[p];
    say(c, "this run", "", "; give one of them another pool, raise the pool's max, or leave out hold");
    orr_error error = {"deadlock", c->text, true, -1, 0};
    orr_dequeue(run, t);
    orr_no_place(run, t, &error);
    run->core->pools_stuck = false; /* there may be more of them */
    if (run->concurrency > 0) orr_run_gate(run);
    orr_decide(run);
}

static void begin(chain *c, const orr_pool *pool) {
    c->len = 0;
    say(c, "no place in pool '", pool->name, "' ever comes free for it: ");
}

/* ---- held for its own run -------------------------------------------------------------------- */

/* How many places of the pool are held by what waits for the run; *nearest is the run that the
 * nearest of these waits for. */
static uint32_t held_above(const orr_run *run, const orr_pool *pool, const orr_run **nearest) {
    uint32_t n = 0;
    for (; run->awaited_by != NULL; run = run->awaited_by) {
        uint32_t t = orr_current(run->awaited_by, &run->awaited_task);
        const orr_more *more = t != ORR_NONE ? orr_more_of(run->awaited_by, t) : NULL;
        if (more == NULL || more->pool != pool || !more->holds_pool) continue;
        if (n++ == 0) *nearest = run;
    }
    return n;
}

static bool break_own(orr_pool *pool, orr_priority p) {
    orr_line *first = pool->ring.at[p], *line = first;
    const orr_run *nearest = NULL;
    while (line != NULL) {
        if (orr_run_may_start(line->run) && held_above(line->run, pool, &nearest) == pool->used) {
            chain c;
            begin(&c, pool);
            say_holder(&c, nearest);
            fail(line->run, pool, p, &c);
            return true;
        }
        line = line->next[p] != first ? line->next[p] : NULL;
    }
    return false;
}

/* ---- knots ----------------------------------------------------------------------------------- */

typedef struct search {
    uint64_t id;
    orr_run *first, **last; /* runs that never end */
} search;

/* Whether all runs that the task waits for have been followed, and none of them ends. */
static bool waits_in_vain(const search *s, const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    if (run->cells[t].state != ORR_NODE_WAITING || more == NULL || !more->rests ||
        more->cancel != ORR_CANCEL_NONE)
        return false;
    for (const orr_run *other = run->awaits; other != NULL; other = other->awaited_next)
        if (orr_current(run, &other->awaited_task) == t &&
            (other->stuck.search != s->id || !other->stuck.followed))
            return false;
    return true;
}

/* A task that is ready stands in line, or is being stopped. */
static bool any_is_stopped(const orr_run *run) {
    for (uint32_t t = 0; t < run->n_cells; t++) {
        const orr_more *more = orr_more_of(run, t);
        bool expanded = more != NULL && more->expanded;
        if (run->cells[t].state == ORR_NODE_READY && !expanded && (run->cells[t].flags & CELL_QUEUED) == 0)
            return true;
    }
    return false;
}

/* `n` more tasks of the run never go on: they want a place of the pool, or wait for the child. It
 * never ends where nothing else of it is under way; that matters where somebody waits for it. */
static void stick(search *s, orr_run *run, uint32_t n, orr_pool *pool, orr_run *child) {
    orr_stuck *stuck = &run->stuck;
    if (stuck->search != s->id) *stuck = (orr_stuck){.search = s->id};
    stuck->tasks += n;
    stuck->pool = pool;
    stuck->child = child;
    bool all = stuck->tasks == run->queued + run->timed && run->running == 0;
    if (!all || run->awaited_by == NULL || run->mode >= MODE_STOP) return;
    if (orr_undo_task(run) != ORR_NONE || any_is_stopped(run)) return;
    *s->last = run;
    s->last = &stuck->next;
}

/* A line is counted where it stands first. */
static void stick_lines(search *s, orr_pool *pool) {
    for (int p = 0; p < ORR_PRIO_COUNT; p++) {
        orr_line *first = pool->ring.at[p], *line = first;
        while (line != NULL) {
            bool seen = false;
            for (int q = 0; q < p; q++) seen |= line->head[q] != ORR_NONE;
            if (!seen) stick(s, line->run, line->count, pool, NULL);
            line = line->next[p] != first ? line->next[p] : NULL;
        }
    }
}

/* The run never ends: nor does what waits for it go on, and a place that holds is held in vain. */
static void follow(search *s, orr_run *run) {
    orr_run *by = run->awaited_by;
    run->stuck.followed = true;
    uint32_t t = orr_current(by, &run->awaited_task);
    if (t == ORR_NONE || !waits_in_vain(s, by, t)) return;
    const orr_more *more = orr_more_of(by, t);
    stick(s, by, 1, NULL, run);
    if (!more->holds_pool) return;
    more->pool->stuck++;
    more->pool->stuck_for = run;
}

/* Follows what comes of it that no place of a suspect comes free. */
static void follow_all(orr_core *core, search *s) {
    *s = (search){.id = ++core->searches};
    s->last = &s->first;
    for (orr_pool *pool = core->pools; pool != NULL; pool = pool->next) pool->stuck = 0;
    for (orr_pool *pool = core->pools; pool != NULL; pool = pool->next)
        if (pool->suspect) stick_lines(s, pool);
    for (orr_run *run = s->first; run != NULL; run = run->stuck.next) follow(s, run);
}

/* Pools of which a place may come free are suspects no more. Gives how many there were. */
static uint32_t clear_suspects(orr_core *core) {
    uint32_t cleared = 0;
    for (orr_pool *pool = core->pools; pool != NULL; pool = pool->next) {
        if (!pool->suspect || pool->stuck == pool->used) continue;
        pool->suspect = false;
        cleared++;
    }
    return cleared;
}

static bool is_full_of_holders(const orr_pool *pool) {
    return pool->held > 0 && pool->held == pool->used && pool->used >= pool->max;
}

/* A pool that is part of a knot, or NULL. The suspects that are left keep each other from coming
 * free. */
static orr_pool *find_knot(orr_core *core) {
    search s;
    for (orr_pool *pool = core->pools; pool != NULL; pool = pool->next)
        pool->suspect = is_full_of_holders(pool);
    do follow_all(core, &s);
    while (clear_suspects(core) > 0);
    orr_pool *pool = core->pools;
    while (pool != NULL && !pool->suspect) pool = pool->next;
    return pool;
}

static orr_priority first_of(const orr_line *line) {
    int p = 0;
    while (line->head[p] == ORR_NONE) p++;
    return (orr_priority)p;
}

/* The run that wants a place of another pool, or of the same one, and for whose end a place of this
 * one is held. */
static orr_run *held_for(const orr_pool *pool) {
    orr_run *run = pool->stuck_for;
    while (run->stuck.child != NULL) run = run->stuck.child;
    return run;
}

/* Each suspect leads to another one, so after as many steps as there are pools one stands where it
 * comes back to. */
static orr_pool *on_the_circle(orr_pool *pool) {
    for (const orr_pool *p = pool->core->pools; p != NULL; p = p->next) pool = held_for(pool)->stuck.pool;
    return pool;
}

/* Fails the task that closes the circle. False where its run is paused, and has time until it goes
 * on. */
static bool untie(orr_pool *pool) {
    chain c;
    begin(&c, pool);
    for (const orr_pool *at = pool;;) {
        orr_run *run = held_for(at);
        const orr_line *line = orr_find_line(run, run->stuck.pool, false);
        say_holder(&c, at->stuck_for);
        at = run->stuck.pool;
        if (at == pool && !orr_run_may_start(run)) return false;
        if (at == pool) {
            fail(run, pool, first_of(line), &c);
            return true;
        }
        say_node(&c, run, orr_node_of(run, line->head[first_of(line)]));
        say(&c, ", which waits for pool '", at->name, "'; ");
    }
}

static bool untie_any(orr_pool *first) {
    orr_pool *pool = first;
    do {
        if (untie(pool)) return true;
        pool = held_for(pool)->stuck.pool;
    } while (pool != first);
    return false;
}

bool orr_break_deadlock(orr_core *core) {
    bool any = false;
    for (orr_pool *pool = core->pools; pool != NULL; pool = pool->next) {
        if (pool->waiting == 0 || !is_full_of_holders(pool)) continue;
        any = true;
        for (int p = 0; p < ORR_PRIO_COUNT; p++)
            if (break_own(pool, (orr_priority)p)) return true;
    }
    orr_pool *knot = any ? find_knot(core) : NULL;
    return knot != NULL && untie_any(on_the_circle(knot));
}
