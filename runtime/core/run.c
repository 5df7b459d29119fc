/* run.c - making, freeing and asking a run. */
#include "core/inner.h"

#include <stdio.h>
#include <string.h>

/* ---- where a task stands --------------------------------------------------------------------- */

void orr_locate(const orr_run *run, uint32_t t, uint32_t *node, uint32_t *item) {
    *node = t;
    *item = ORR_NONE;
    if (t < run->plan->n_nodes) return;
    uint32_t low = 0, high = run->n_expansions;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (run->expansions[middle].first <= t) low = middle;
        else high = middle;
    }
    *node = run->expansions[low].node;
    *item = t - run->expansions[low].first;
}

uint32_t orr_index(const orr_run *run, uint32_t node, uint32_t item) {
    if (node >= run->plan->n_nodes) return ORR_NONE;
    if (item == ORR_NONE) return node;
    const orr_more *more = orr_more_of(run, node);
    if (more == NULL || !more->expanded || item >= more->n_items) return ORR_NONE;
    return more->first_item + item;
}

orr_task orr_item_task(const orr_run *run, uint32_t t) {
    orr_task task = {ORR_NONE, ORR_NONE, 0, 0};
    if (t == ORR_NONE) return task;
    orr_locate(run, t, &task.node, &task.item);
    task.attempt = run->cells[t].attempt;
    const orr_more *more = orr_more_of(run, t);
    task.iteration = more != NULL ? more->iteration : 0;
    return task;
}

/* ---- what only some tasks need --------------------------------------------------------------- */

_Static_assert(sizeof(orr_more) <= 184 || sizeof(void *) != 8, "each node that sleeps has one");

static bool more_chunk(orr_run *run) {
    const orr_alloc *a = &run->core->alloc;
    uint32_t chunk = run->n_mores >> run->more_shift;
    if (chunk == run->cap_chunks) {
        uint32_t cap = run->cap_chunks > 0 ? run->cap_chunks * 2 : 4;
        orr_more **chunks = orr_mem_resize(a, run->mores, run->cap_chunks, cap, sizeof *chunks);
        if (chunks == NULL) return false;
        memset(chunks + run->cap_chunks, 0, (cap - run->cap_chunks) * sizeof *chunks);
        run->mores = chunks;
        run->cap_chunks = cap;
    }
    if (run->mores[chunk] == NULL) run->mores[chunk] = orr_mem_new(a, orr_more_chunk(run), sizeof(orr_more));
    return run->mores[chunk] != NULL;
}

void orr_init_more(orr_more *more) {
    memset(more, 0, sizeof *more);
    more->attempt_timer = more->beat_timer = more->deadline_timer = more->wake_timer = more->grace_timer =
        ORR_NONE;
    more->act_task = more->by = ORR_NONE;
    more->due = -1;
}

orr_more *orr_need_more(orr_run *run, uint32_t t) {
    orr_more *more = orr_more_of(run, t);
    if (more != NULL) return more;
    uint32_t m = run->free_more;
    if (m != ORR_NONE) {
        run->free_more = orr_more_at(run, m)->act_task;
    } else {
        if (!more_chunk(run)) return NULL;
        m = run->n_mores++;
    }
    run->cells[t].more = m;
    more = orr_more_of(run, t);
    orr_init_more(more);
    return more;
}

void orr_drop_more(orr_run *run, uint32_t t) {
    uint32_t m = run->cells[t].more;
    orr_more *more = orr_more_of(run, t);
    /* a cancel that was not handed out yet is linked through it; undoing may need it */
    if (more == NULL || more->act_cancel || more->act_abandon ||
        (run->undo != NULL && orr_policy_of(run, orr_node_of(run, t))->has_compensate))
        return;
    orr_clear_timers(run, t);
    orr_failure_free(run->core, more->failure);
    more->act_task = run->free_more;
    run->free_more = m;
    run->cells[t].more = ORR_NONE;
}

/* ---- events ---------------------------------------------------------------------------------- */

void orr_emit(orr_run *run, orr_event_kind kind, uint32_t t, const orr_event *fields) {
    orr_core *core = run->core;
    if (core->hooks.event == NULL || !orr_listens(core, kind) || run->rebuilding) return;
    orr_event e = fields != NULL ? *fields : (orr_event){.due = -1};
    e.kind = kind;
    e.run = run;
    e.time = orr_run_time(run, core->now);
    e.seq = run->seq;
    e.task = orr_task_of(run, t);
    core->hooks.event(core->hooks.ud, &e);
}

/* ---- making and freeing ---------------------------------------------------------------------- */

uint8_t orr_first_flags(const orr_run *run, uint32_t node) {
    uint8_t join = orr_policy_of(run, node)->join;
    return join == ORR_JOIN_ANY || join == ORR_JOIN_NEED ? CELL_EARLY : 0;
}

static void fill_cells(orr_run *run) {
    const orr_plan *plan = run->plan;
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        orr_cell *cell = &run->cells[i];
        cell->pending = plan->in_first[i + 1] - plan->in_first[i];
        cell->next = cell->more = ORR_NONE;
        cell->state = ORR_NODE_PENDING;
        cell->flags = plan->n_policies > 1 ? orr_first_flags(run, i) : 0;
    }
}

/* Looks up the pools and breakers that policies name, once a run. A pool that is not defined is
 * left NULL: the node that needs it fails with an error that says so. */
static bool bind_policies(orr_run *run) {
    orr_core *core = run->core;
    orr_plan *plan = run->plan;
    bool pools = false, breakers = false;
    for (uint32_t i = 0; i < plan->n_policies; i++) {
        pools |= plan->policies[i].pool != NULL;
        breakers |= plan->policies[i].breaker != NULL;
        run->has_cleanup |= orr_cleans_up(&plan->policies[i]);
    }
    if (pools && (run->policy_pool = orr_mem_new(&core->alloc, plan->n_policies, sizeof(orr_pool *))) == NULL)
        return false;
    if (breakers &&
        (run->policy_breaker = orr_mem_new(&core->alloc, plan->n_policies, sizeof(orr_breaker *))) == NULL)
        return false;
    for (uint32_t i = 0; i < plan->n_policies; i++) {
        const orr_policy *policy = &plan->policies[i];
        bool nomem = false;
        if (policy->pool != NULL) run->policy_pool[i] = orr_pool_get(core, policy->pool, &nomem);
        if (policy->breaker != NULL) {
            if (orr_breaker_get(core, policy->breaker) == NULL &&
                orr_core_breaker(core, policy->breaker, NULL) != ORR_OK)
                return false;
            run->policy_breaker[i] = orr_breaker_get(core, policy->breaker);
        }
        if (nomem) return false;
        /* what a run points to must not go while it lives */
        if (policy->pool != NULL && run->policy_pool[i] != NULL) run->policy_pool[i]->keyed = false;
    }
    return true;
}

static bool make_arrays(orr_run *run) {
    const orr_alloc *a = &run->core->alloc;
    const orr_plan *plan = run->plan;
    run->cells = orr_mem_new(a, plan->n_nodes, sizeof(orr_cell));
    run->cap_cells = run->n_cells = plan->n_nodes;
    if (run->cells == NULL) return false;
    fill_cells(run);
    if (plan->rank != NULL) {
        run->links = orr_mem_resize(a, NULL, 0, plan->n_nodes, sizeof *run->links);
        if (run->links == NULL) return false;
        run->cap_links = plan->n_nodes;
    }
    if (orr_listens(run->core, ORR_EV_LAYER_COMPLETED)) {
        run->layer_open = orr_mem_new(a, plan->n_layers, sizeof *run->layer_open);
        if (run->layer_open == NULL) return false;
        memcpy(run->layer_open, plan->layer_size, plan->n_layers * sizeof *run->layer_open);
    }
    if (plan->edge_when != NULL) {
        run->edge_done = orr_mem_new(a, plan->n_edges, 1);
        if (run->edge_done == NULL) return false;
    }
    return bind_policies(run) && orr_undo_make(run);
}

static orr_run *make(orr_core *core, orr_plan *plan, const orr_run_options *options) {
    orr_run *run = orr_mem_new(&core->alloc, 1, sizeof *run);
    if (run == NULL) return NULL;
    run->core = core;
    run->plan = plan;
    orr_plan_ref(plan);
    run->more_shift = 1;
    while (run->more_shift < 6 && orr_more_chunk(run) < plan->n_nodes) run->more_shift++;
    run->free_more = run->touched_head = run->touched_tail = ORR_NONE;
    run->failure_node = run->timeout_timer = run->cleanup_timer = ORR_NONE;
    run->open = plan->n_nodes;
    memcpy(run->id, options->id, sizeof run->id);
    run->seed = options->seed;
    run->ud = options->ud;
    run->waits = options->waits;
    run->concurrency = options->concurrency > 0 ? options->concurrency : plan->concurrency;
    run->state = ORR_RUN_PENDING;
    run->stats.created = core->now;
    run->stats.by_state[ORR_NODE_PENDING] = plan->n_nodes;
    orr_line_init(&run->line, run, NULL);
    run->next = core->runs;
    if (core->runs != NULL) core->runs->prev = run;
    core->runs = run;
    if (!make_arrays(run)) {
        orr_run_free(run);
        return NULL;
    }
    return run;
}

orr_run *orr_run_new(orr_core *core, orr_plan *plan, const orr_run_options *options) {
    orr_run *run = make(core, plan, options);
    if (run == NULL) return NULL;
    if (core->hooks.record != NULL) {
        orr_record rec = {.kind = ORR_REC_RUN_CREATED,
                          .seq = ++run->seq,
                          .time = core->now,
                          .value = options->value,
                          .reason = options->waits,
                          .task = {ORR_NONE, ORR_NONE, 0, 0},
                          .due = -1,
                          .port = ORR_PORT_ANY};
        core->hooks.record(core->hooks.ud, run, &rec);
    } else {
        run->seq++;
    }
    ORR_CHECKED(core);
    return run;
}

orr_run *orr_run_rebuild(orr_core *core, orr_plan *plan, const orr_run_options *options) {
    orr_run *run = make(core, plan, options);
    if (run != NULL) run->rebuilding = run->rebuilt = true;
    return run;
}

static void unlink_actions(orr_run *run) {
    orr_core *core = run->core;
    /* actions of other runs may stand between; rebuild the list without this run's */
    orr_run *r = core->act_run;
    uint32_t t = core->act_task;
    core->act_run = core->act_last_run = NULL;
    while (r != NULL) {
        orr_more *more = orr_more_of(r, t), *last;
        orr_run *next_run = more->act_run;
        uint32_t next_task = more->act_task;
        if (r != run) {
            more->act_run = NULL;
            if (core->act_run == NULL) {
                core->act_run = r;
                core->act_task = t;
            } else {
                last = orr_more_of(core->act_last_run, core->act_last_task);
                last->act_run = r;
                last->act_task = t;
            }
            core->act_last_run = r;
            core->act_last_task = t;
        }
        r = next_run;
        t = next_task;
    }
    orr_run **at = &core->end_head;
    core->end_tail = NULL;
    while (*at != NULL) {
        if (*at == run) *at = run->end_next;
        else {
            core->end_tail = *at;
            at = &(*at)->end_next;
        }
    }
}

/* Gives back what tasks of the run hold in common things, and all of its own memory. */
static void free_tasks(orr_run *run) {
    const orr_alloc *a = &run->core->alloc;
    for (uint32_t t = 0; run->cells != NULL && t < run->n_cells; t++) {
        orr_more *more = orr_more_of(run, t);
        if (more == NULL) continue;
        orr_dequeue(run, t);
        orr_release(run, t);
        orr_breaker_report(run, t, ORR_END_CANCELLED, NULL);
        orr_clear_timers(run, t);
        orr_failure_free(run->core, more->failure);
        orr_failure_free(run->core, more->undo_failure);
    }
    for (uint32_t i = 0; i < run->cap_chunks; i++)
        orr_mem_free(a, run->mores[i], orr_more_chunk(run), sizeof(orr_more));
    orr_mem_free(a, run->mores, run->cap_chunks, sizeof *run->mores);
}

void orr_run_free(orr_run *run) {
    orr_core *core = run->core;
    const orr_alloc *a = &core->alloc;
    orr_plan *plan = run->plan;
    run->ended = true; /* what is woken by giving back belongs to other runs */
    unlink_actions(run);
    orr_unawait(run);
    while (run->awaits != NULL) orr_unawait(run->awaits);
    for (orr_breaker *b = core->breakers; b != NULL; b = b->next) orr_breaker_unhold(b, run);
    free_tasks(run);
    orr_timer_off(core, &run->timeout_timer);
    orr_timer_off(core, &run->cleanup_timer);
    orr_line_leave(&core->ready, &run->line);
    while (run->lines != NULL) {
        orr_line *line = run->lines;
        run->lines = line->of_run;
        orr_line_leave(orr_ring_of(line), line);
        orr_mem_free(a, line, 1, sizeof *line);
    }
    if (run->prev != NULL) run->prev->next = run->next;
    else core->runs = run->next;
    if (run->next != NULL) run->next->prev = run->prev;
    orr_failure_free(core, run->failure);
    orr_undo_free(run);
    orr_mem_free(a, run->cells, run->cap_cells, sizeof *run->cells);
    orr_mem_free(a, run->links, run->cap_links, sizeof *run->links);
    orr_mem_free(a, run->expansions, run->cap_expansions, sizeof *run->expansions);
    orr_mem_free(a, run->layer_open, plan->n_layers, sizeof *run->layer_open);
    orr_mem_free(a, run->edge_done, plan->n_edges, 1);
    orr_mem_free(a, run->policy_pool, plan->n_policies, sizeof *run->policy_pool);
    orr_mem_free(a, run->policy_breaker, plan->n_policies, sizeof *run->policy_breaker);
    orr_mem_free(a, run, 1, sizeof *run);
    orr_plan_unref(plan);
    ORR_CHECKED(core);
}

/* ---- asking ---------------------------------------------------------------------------------- */

orr_core *orr_run_core(const orr_run *run) {
    return run->core;
}

orr_plan *orr_run_plan(const orr_run *run) {
    return run->plan;
}

void *orr_run_ud(const orr_run *run) {
    return run->ud;
}

/* Waiting is not recorded: it is what a running run looks like while all that is under way
 * waits. */
orr_run_state orr_run_get_state(const orr_run *run) {
    if (run->state != ORR_RUN_RUNNING) return (orr_run_state)run->state;
    if (run->waits) return run->paused ? ORR_RUN_PAUSED : ORR_RUN_PENDING;
    if (orr_compensating(run)) return ORR_RUN_COMPENSATING;
    if (run->paused) return ORR_RUN_PAUSED;
    return run->running == 0 && run->queued == 0 && run->timed > 0 ? ORR_RUN_WAITING : ORR_RUN_RUNNING;
}

const uint8_t *orr_run_id_of(const orr_run *run) {
    return run->id;
}

uint64_t orr_run_seq(const orr_run *run) {
    return run->seq;
}

uint64_t orr_run_seed(const orr_run *run) {
    return run->seed;
}

orr_stop_cause orr_run_cause(const orr_run *run) {
    return (orr_stop_cause)run->cause;
}

orr_run_state orr_run_outlook(const orr_run *run) {
    const orr_undo *undo = run->undo;
    if (run->ended || run->state != ORR_RUN_RUNNING) return (orr_run_state)run->state;
    if (undo != NULL && undo->on && undo->left > 0) return ORR_RUN_COMPENSATING;
    if (undo != NULL && undo->on) return undo->failed ? ORR_RUN_COMPENSATION_FAILED : ORR_RUN_COMPENSATED;
    orr_run_state state = orr_end_state(run);
    return state == ORR_RUN_COMPLETED ? ORR_RUN_RUNNING : state;
}

uint32_t orr_run_failure(const orr_run *run, orr_error *error) {
    if (run->failure != NULL) {
        if (error != NULL) *error = run->failure->error;
        return ORR_NONE;
    }
    if (run->failure_node != ORR_NONE && error != NULL)
        orr_run_error(run, run->failure_node, ORR_NONE, error);
    return run->failure_node;
}

orr_node_state orr_run_node_state(const orr_run *run, uint32_t node, uint32_t item) {
    uint32_t t = orr_index(run, node, item);
    return t == ORR_NONE ? ORR_NODE_PENDING : (orr_node_state)run->cells[t].state;
}

char orr_run_outcome(const orr_run *run, uint32_t node) {
    return node < run->plan->n_nodes ? orr_outcome_at(run, node) : 0;
}

static bool upstream_error(const orr_run *run, uint32_t node, orr_error *error) {
    static const char *const hows[] = {"failed", "was skipped because of a failure before it"};
    orr_core *core = run->core;
    const orr_more *more = orr_more_of(run, node);
    uint32_t by = more != NULL ? more->by : ORR_NONE;
    if (orr_outcome_at(run, node) != 'U') return false;
    const char *name = by != ORR_NONE ? orr_plan_name(run->plan, by) : NULL;
    const char *how = hows[by != ORR_NONE && orr_outcome_at(run, by) == 'U'];
    snprintf(core->text, sizeof core->text, "it was skipped: %.160s %s",
             name != NULL ? name : "a node before it", how);
    *error = (orr_error){"upstream_failed", core->text, true, -1, 0};
    return true;
}

bool orr_run_error(const orr_run *run, uint32_t node, uint32_t item, orr_error *error) {
    uint32_t t = orr_index(run, node, item);
    if (t == ORR_NONE || orr_settled_as(run, t) == ORR_NODE_COMPLETED)
        return false; /* what an attempt before the last one died of is no error of the node */
    const orr_more *more = orr_more_of(run, t);
    if (orr_settled_as(run, t) == ORR_NODE_SKIPPED) return upstream_error(run, t, error);
    if (more != NULL && more->failure != NULL) *error = more->failure->error;
    else if (orr_settled_as(run, t) == ORR_NODE_FAILED)
        *error = orr_no_memory; /* there was none to keep the error in */
    else return false;
    return true;
}

uint32_t orr_run_items(const orr_run *run, uint32_t node) {
    const orr_more *more = node < run->plan->n_nodes ? orr_more_of(run, node) : NULL;
    return more != NULL && more->expanded ? more->n_items : ORR_NONE;
}

uint32_t orr_run_items_failed(const orr_run *run, uint32_t node) {
    const orr_more *more = node < run->plan->n_nodes ? orr_more_of(run, node) : NULL;
    return more != NULL && more->expanded ? more->items_failed : 0;
}

int64_t orr_run_backoff(const orr_run *run) {
    int64_t first = INT64_MAX;
    for (uint32_t t = 0; t < run->n_cells; t++) {
        if (run->cells[t].state != ORR_NODE_RETRYING) continue;
        const orr_more *more = orr_more_of(run, t);
        if (more != NULL && more->due >= 0 && more->due < first) first = more->due;
    }
    return first;
}

void orr_run_get_stats(const orr_run *run, orr_run_stats *stats) {
    *stats = run->stats;
    stats->running = run->running;
}

size_t orr_run_bytes(const orr_run *run) {
    size_t chunks = 0;
    for (uint32_t i = 0; i < run->cap_chunks; i++) chunks += run->mores[i] != NULL;
    return sizeof *run + run->cap_cells * sizeof *run->cells + run->cap_links * sizeof *run->links +
           chunks * orr_more_chunk(run) * sizeof(orr_more) + run->cap_chunks * sizeof *run->mores +
           run->cap_expansions * sizeof *run->expansions +
           (run->layer_open != NULL ? run->plan->n_layers * sizeof *run->layer_open : 0) +
           (run->edge_done != NULL ? run->plan->n_edges : 0) +
           (run->undo != NULL ? sizeof *run->undo + run->undo->cap * sizeof *run->undo->tasks : 0);
}
