/* why.c - one function decides whether a ready task may start, and the same function explains
 * it. */
#include "core/inner.h"

#include <stdio.h>

/* A task of another node that has a place in the pool. */
static void holder(const orr_core *core, const orr_pool *pool, orr_why *why) {
    for (const orr_run *run = core->runs; run != NULL; run = run->next)
        for (uint32_t t = 0; t < run->n_cells; t++) {
            const orr_more *more = orr_more_of(run, t);
            if (more == NULL || more->pool != pool || !more->holds_pool) continue;
            why->by = orr_node_of(run, t);
            why->by_run = run;
            return;
        }
}

/* With `why` NULL it only decides. Tokens are only looked at, not taken. */
bool orr_start_gate(const orr_run *run, uint32_t t, orr_why *why) {
    const orr_more *more = orr_more_of(run, t);
    orr_pool *pool = more != NULL ? more->pool : NULL;
    const orr_breaker *b = orr_breaker_of(run, orr_node_of(run, t));
    bool resuming = more != NULL && more->resuming;
    orr_why none, *w = why != NULL ? why : &none;
    int64_t due = -1;
    if (run->paused && run->mode < MODE_STOP) {
        w->kind = ORR_WHY_PAUSED;
    } else if (orr_undo_task(run) != ORR_NONE) {
        w->kind = ORR_WHY_COMPENSATION;
        w->by = orr_node_of(run, orr_undo_task(run));
    } else if (run->mode == MODE_STOP || run->ended) {
        w->kind = ORR_WHY_STOPPED;
    } else if (run->concurrency > 0 && run->running >= run->concurrency) {
        w->kind = ORR_WHY_RUN_LIMIT;
        w->count = run->running;
        w->limit = run->concurrency;
    } else if (pool != NULL && !more->holds_pool && !orr_pool_free_place(pool)) {
        w->kind = ORR_WHY_POOL;
        w->name = pool->name;
        w->count = pool->used;
        w->limit = pool->max;
        if (why != NULL) holder(run->core, pool, why);
    } else if (pool != NULL && !resuming && !orr_pool_token(pool, &due)) {
        w->kind = ORR_WHY_RATE;
        w->name = pool->name;
        w->due = orr_run_time(run, due);
    } else if (b != NULL && !resuming && orr_breaker_ask(b) == PASS_NO) {
        w->kind = ORR_WHY_BREAKER;
        w->name = b->name;
        w->due = orr_run_time(run, b->until);
    } else {
        return true;
    }
    return false;
}

/* Tasks of its run that stand before it in its line. A list ends with the task itself. */
static uint32_t before(const orr_run *run, uint32_t t) {
    const orr_more *more = orr_more_of(run, t);
    const orr_line *line = &run->line;
    uint8_t own = orr_policy_of(run, orr_node_of(run, t))->priority;
    uint32_t n = 0;
    if (more != NULL && more->pool != NULL) line = orr_find_line(run, more->pool, more->holds_pool);
    for (int p = 0; p <= own && line != NULL; p++)
        for (uint32_t u = line->head[p]; u != ORR_NONE && (run->links != NULL || u != t);
             u = orr_line_after(run, u))
            n += run->links == NULL || p < own || orr_rank_before(run, u, t);
    return n;
}

/* A time of the run's clock. */
static void set_due(const orr_run *run, int64_t due, orr_why *why) {
    int64_t left = due - orr_run_now(run);
    why->due = orr_shown_due(run, due);
    if (run->still && due >= 0) why->left = left > 0 ? left : 0;
}

static void why_waiting(const orr_run *run, uint32_t t, orr_why *why) {
    const orr_more *more = orr_more_of(run, t);
    const orr_breaker *b = orr_breaker_of(run, orr_node_of(run, t));
    if (more != NULL) set_due(run, more->due, why);
    if (b != NULL && (run->cells[t].flags & CELL_LIVE) == 0 && why->due < 0) {
        why->kind = ORR_WHY_BREAKER;
        why->name = b->name;
        why->due = orr_run_time(run, b->until);
    } else {
        why->kind = why->due >= 0 ? ORR_WHY_TIMER : ORR_WHY_SIGNAL;
    }
}

/* An item that has no place yet. */
static void why_idle(const orr_run *run, uint32_t t, orr_why *why) {
    uint32_t node = orr_node_of(run, t);
    const orr_more *of = orr_more_of(run, node);
    why->kind = run->ended ? ORR_WHY_STOPPED : ORR_WHY_PARALLEL;
    why->count = of->items_open - of->items_idle;
    why->limit = orr_policy_of(run, node)->each_parallel;
}

static void why_pending(const orr_run *run, uint32_t node, orr_why *why) {
    const orr_plan *plan = run->plan;
    if (node >= plan->n_nodes) {
        why_idle(run, node, why);
        return;
    }
    why->kind = run->ended ? ORR_WHY_STOPPED : ORR_WHY_DEPENDENCY;
    why->count = 0;
    for (uint32_t k = plan->in_first[node]; k < plan->in_first[node + 1]; k++) {
        if (orr_outcome_at(run, plan->in_from[k]) != 0 || !orr_first_of_source(plan, node, k)) continue;
        if (why->count++ == 0) why->by = plan->in_from[k];
    }
}

static void why_active(const orr_run *run, uint32_t t, orr_why *why) {
    const orr_more *more = orr_more_of(run, t);
    if (more != NULL && more->expanded) {
        why->kind = ORR_WHY_ITEMS;
        why->limit = more->n_items;
        why->count = more->n_items - more->items_open;
        return;
    }
    why->kind = ORR_WHY_RUNNING;
    why->count = run->cells[t].attempt;
    why->since = more != NULL ? more->since : 0;
}

/* A node whose items are undone. */
static void why_undoing_items(const orr_run *run, const orr_more *more, orr_why *why) {
    why->kind = ORR_WHY_ITEMS;
    for (uint32_t i = 0; i < more->n_items; i++)
        why->count += run->cells[more->first_item + i].state > ORR_NODE_COMPENSATING;
    why->limit = why->count + more->undo_open;
}

static void why_undoing(const orr_run *run, uint32_t t, orr_why *why) {
    static const orr_why_kind kinds[] = {
        [UNDO_IDLE] = ORR_WHY_PRIORITY,
        [UNDO_LIVE] = ORR_WHY_RUNNING,
        [UNDO_WAITS] = ORR_WHY_TIMER,
        [UNDO_BACKOFF] = ORR_WHY_BACKOFF,
    };
    const orr_more *more = orr_more_of(run, t);
    uint8_t step = run->undo->step;
    if (more->expanded) {
        why_undoing_items(run, more, why);
        return;
    }
    why->kind = run->paused && run->undo->due ? ORR_WHY_PAUSED : kinds[step];
    if (step == UNDO_LIVE) {
        why->count = run->cells[t].attempt - (uint32_t)more->undo_base;
        why->since = more->since;
    } else if (step != UNDO_IDLE) {
        set_due(run, more->due, why);
    }
    if (why->kind == ORR_WHY_TIMER && more->due < 0) why->kind = ORR_WHY_SIGNAL;
}

/* Whether a task that has settled, or an item of such a node, is still to be undone; and after
 * how many others. */
static bool why_to_be_undone(const orr_run *run, uint32_t t, orr_why *why) {
    uint32_t now = orr_undo_task(run);
    if (now == ORR_NONE) return false;
    for (uint32_t i = run->undo->left; i-- > 0;) {
        uint32_t task = run->undo->tasks[i];
        if (task != t && (t >= run->plan->n_nodes || orr_node_of(run, task) != t)) continue;
        why->kind = ORR_WHY_COMPENSATION;
        why->by = orr_node_of(run, now);
        why->count = run->undo->left - 1 - i;
        return true;
    }
    return false;
}

void orr_run_why(const orr_run *run, uint32_t node, uint32_t item, orr_why *why) {
    uint32_t t = orr_index(run, node, item);
    *why = (orr_why){.kind = ORR_WHY_SETTLED,
                     .by = ORR_NONE,
                     .due = -1,
                     .left = -1,
                     .cause = (orr_stop_cause)run->cause};
    if (t == ORR_NONE) return;
    const orr_more *more = orr_more_of(run, t);
    why->state = (orr_node_state)run->cells[t].state;
    if (run->waits && !orr_is_over(run, t)) {
        why->kind = ORR_WHY_LOCK;
        return;
    }
    switch (why->state) {
    case ORR_NODE_PENDING: why_pending(run, t, why); break;
    case ORR_NODE_READY:
        if (orr_start_gate(run, t, why)) {
            why->kind = ORR_WHY_PRIORITY;
            why->count = before(run, t);
        }
        break;
    case ORR_NODE_RUNNING: why_active(run, t, why); break;
    case ORR_NODE_WAITING: why_waiting(run, t, why); break;
    case ORR_NODE_RETRYING:
        why->kind = ORR_WHY_BACKOFF;
        if (more != NULL) set_due(run, more->due, why);
        break;
    case ORR_NODE_COMPENSATING: why_undoing(run, t, why); break;
    default:
        if (why_to_be_undone(run, t, why)) break;
        why->skip = more != NULL ? (orr_skip_reason)more->skip : ORR_SKIP_NONE;
        why->by = more != NULL ? more->by : ORR_NONE;
        break;
    }
}

void orr_why_text(const orr_run *run, uint32_t node, char *buffer, size_t size) {
    orr_why why;
    char number[16];
    const char *name = orr_plan_name(run->plan, node);
    orr_run_why(run, node, ORR_NONE, &why);
    snprintf(number, sizeof number, "%u", node + 1);
    if (name == NULL) name = number;
    if (why.kind == ORR_WHY_POOL && why.limit == 0)
        snprintf(buffer, size, "%s waits for pool '%s', which has no places", name, why.name);
    else if (why.kind == ORR_WHY_POOL)
        snprintf(buffer, size, "%s waits for pool '%s', of which %u of %u places are taken", name, why.name,
                 why.count, why.limit);
    else if (why.kind == ORR_WHY_DEPENDENCY && why.by != ORR_NONE && orr_plan_name(run->plan, why.by) != NULL)
        snprintf(buffer, size, "%s waits for %s", name, orr_plan_name(run->plan, why.by));
    else snprintf(buffer, size, "%s is %s", name, orr_node_state_name(why.state));
}
