/* ready.c - lines of ready tasks: five priorities, round-robin between runs; within a priority
 * first in, first out, or by the longest remaining path where the plan has estimates (rank.c). */
#include "core/inner.h"

#include <string.h>

void orr_line_init(orr_line *line, orr_run *run, orr_pool *pool) {
    memset(line, 0, sizeof *line);
    line->run = run;
    line->pool = pool;
    for (int p = 0; p < ORR_PRIO_COUNT; p++) line->head[p] = line->tail[p] = ORR_NONE;
}

/* A line enters the ring behind the one whose turn comes last. */
void orr_ring_enter(orr_ring *ring, orr_line *line, orr_priority p) {
    orr_line *at = ring->at[p];
    if (line->next[p] != NULL) return;
    if (at == NULL) {
        line->next[p] = line->prev[p] = line;
        ring->at[p] = line;
        return;
    }
    line->next[p] = at;
    line->prev[p] = at->prev[p];
    at->prev[p]->next[p] = line;
    at->prev[p] = line;
}

void orr_ring_leave(orr_ring *ring, orr_line *line, orr_priority p) {
    if (line->next[p] == NULL) return;
    if (line->next[p] == line) {
        ring->at[p] = NULL;
    } else {
        line->next[p]->prev[p] = line->prev[p];
        line->prev[p]->next[p] = line->next[p];
        if (ring->at[p] == line) ring->at[p] = line->next[p];
    }
    line->next[p] = line->prev[p] = NULL;
}

void orr_line_leave(orr_ring *ring, orr_line *line) {
    for (int p = 0; p < ORR_PRIO_COUNT; p++) orr_ring_leave(ring, line, (orr_priority)p);
}

void orr_line_join(orr_ring *ring, orr_line *line) {
    for (int p = 0; p < ORR_PRIO_COUNT; p++)
        if (line->head[p] != ORR_NONE) orr_ring_enter(ring, line, (orr_priority)p);
}

void orr_line_push(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t) {
    if (line->run->links == NULL) {
        orr_line_append(ring, line, p, t);
        return;
    }
    bool first = line->head[p] == ORR_NONE;
    line->head[p] = orr_rank_push(line->run, line->head[p], t);
    line->count++;
    if (first && ring != NULL) orr_ring_enter(ring, line, p);
}

uint32_t orr_line_pop(orr_ring *ring, orr_line *line, orr_priority p) {
    uint32_t t = line->head[p];
    if (line->run->links == NULL) return orr_line_shift(ring, line, p);
    line->head[p] = orr_rank_remove(line->run, t, t);
    line->count--;
    if (line->head[p] == ORR_NONE) orr_ring_leave(ring, line, p);
    return t;
}

/* Linear in what stands before `t`; whoever takes out many starts at the front. */
static bool unlist(orr_line *line, orr_priority p, uint32_t t) {
    orr_cell *cells = line->run->cells;
    uint32_t before = ORR_NONE, at = line->head[p];
    while (at != ORR_NONE && at != t) {
        before = at;
        at = cells[at].next;
    }
    if (at == ORR_NONE) return false;
    if (before == ORR_NONE) line->head[p] = cells[t].next;
    else cells[before].next = cells[t].next;
    if (line->tail[p] == t) line->tail[p] = before;
    return true;
}

void orr_line_remove(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t) {
    if (line->run->links != NULL) line->head[p] = orr_rank_remove(line->run, line->head[p], t);
    else if (!unlist(line, p, t)) return;
    line->count--;
    if (line->head[p] == ORR_NONE) orr_ring_leave(ring, line, p);
}

uint32_t orr_line_after(const orr_run *run, uint32_t t) {
    return run->links != NULL ? orr_rank_walk(run, t) : run->cells[t].next;
}

bool orr_run_may_start(const orr_run *run) {
    bool held = run->paused && run->mode < MODE_STOP; /* a run that ends cleans up, paused or not */
    return !held && run->mode != MODE_STOP && !run->ended && !run->suspended &&
           (run->concurrency == 0 || run->running < run->concurrency);
}

void orr_run_gate(orr_run *run) {
    if (!orr_run_may_start(run)) {
        orr_line_leave(&run->core->ready, &run->line);
        return;
    }
    orr_line_join(&run->core->ready, &run->line);
    run->core->pools_stuck = false;
}

/* The next line of the ring whose run may start something. */
orr_line *orr_ring_pick(orr_ring *ring, orr_priority p) {
    orr_line *first = ring->at[p], *line = first;
    if (line == NULL) return NULL;
    do {
        if (orr_run_may_start(line->run)) return line;
        line = line->next[p];
    } while (line != first);
    return NULL;
}

/* The turn goes to the line after this one. A line that has left has passed it on already. */
void orr_ring_turn(orr_ring *ring, orr_line *line, orr_priority p) {
    if (line->next[p] != NULL) ring->at[p] = line->next[p];
}

/* Puts a ready task where it waits for its turn. False when out of memory (only a pool's line
 * needs any). */
bool orr_enqueue(orr_run *run, uint32_t t) {
    orr_core *core = run->core;
    orr_priority p = (orr_priority)orr_policy_of(run, orr_node_of(run, t))->priority;
    orr_more *more = orr_more_of(run, t);
    if (more != NULL && more->pool != NULL) {
        orr_line *line = orr_pool_line(more->pool, run, more->holds_pool);
        if (line == NULL) return false;
        orr_line_push(orr_ring_of(line), line, p, t);
        if (more->pool->waiting++ == 0) core->pools_waiting++;
        core->pools_stuck = false;
    } else {
        orr_line_push(orr_run_may_start(run) ? &core->ready : NULL, &run->line, p, t);
    }
    run->cells[t].flags |= CELL_QUEUED;
    run->queued++;
    orr_early_lined(run, t);
    return true;
}

void orr_unline(orr_run *run, uint32_t t) {
    orr_priority p = (orr_priority)orr_policy_of(run, orr_node_of(run, t))->priority;
    orr_more *more = orr_more_of(run, t);
    run->cells[t].flags &= (uint8_t)~CELL_QUEUED;
    run->queued--;
    if (more == NULL || more->pool == NULL) {
        orr_line_remove(&run->core->ready, &run->line, p, t);
        return;
    }
    orr_pool *pool = more->pool;
    orr_line *line = orr_find_line(run, pool, more->holds_pool);
    orr_line_remove(orr_ring_of(line), line, p, t);
    if (--pool->waiting == 0) run->core->pools_waiting--;
}

void orr_dequeue(orr_run *run, uint32_t t) {
    if ((run->cells[t].flags & CELL_QUEUED) == 0) return;
    orr_unline(run, t);
    orr_rest(run, t); /* a keyed pool may go when nobody stands in its line */
}
