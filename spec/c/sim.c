/* sim.c - see sim.h */
#include "sim.h"

#include "checked_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sim_work {
    int64_t at;
    uint64_t seq;
    orr_run *run;
    orr_task task;
    sim_deed deed;
    bool asleep, cancelled, gone;
} sim_work;

struct sim {
    orr_core *core;
    sim_script script;
    int64_t now;
    uint64_t seq;
    sim_work *work;
    uint32_t n_work, cap_work, busy;
    sim_line *lines;
    uint32_t n_lines, cap_lines;
    void (*watch)(void *ud, const sim_line *line);
    void *watch_ud;
};

/* The harness itself may use the heap: only the core's memory is made to fail. */
static void *grow(void *p, uint32_t n, uint32_t *cap, size_t size) {
    if (n < *cap) return p;
    *cap = *cap > 0 ? *cap * 2 : 64;
    p = realloc(p, *cap * size);
    if (p == NULL) abort();
    return p;
}

static bool evaluate(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer) {
    sim *s = ud;
    if (s->script.evaluate != NULL) return s->script.evaluate(s->script.ud, run, ask, answer);
    answer->truth = true;
    return true;
}

static void on_event(void *ud, const orr_event *event) {
    sim *s = ud;
    if (s->script.event != NULL) s->script.event(s->script.ud, event);
}

static void on_record(void *ud, orr_run *run, const orr_record *record) {
    sim *s = ud;
    if (s->script.record != NULL) s->script.record(s->script.ud, run, record);
}

sim *sim_new(const orr_alloc *alloc, const sim_script *script) {
    return sim_new_at(alloc, script, 1, 0);
}

sim *sim_new_at(const orr_alloc *alloc, const sim_script *script, int64_t now, uint32_t crash_limit) {
    sim *s = calloc(1, sizeof *s);
    orr_core_options options = {.alloc = *alloc, .now = now, .crash_limit = crash_limit};
    if (s == NULL) abort();
    s->script = *script;
    s->now = now;
    options.hooks = (orr_hooks){.ud = s,
                                .evaluate = evaluate,
                                .record = script->record != NULL ? on_record : NULL,
                                .event = script->event != NULL ? on_event : NULL};
    s->core = orr_core_new(&options);
    if (s->core == NULL) {
        free(s);
        return NULL;
    }
    if (script->event != NULL) orr_core_listen(s->core, UINT32_MAX);
    return s;
}

void sim_free(sim *s) {
    if (s == NULL) return;
    orr_core_free(s->core);
    free(s->work);
    free(s->lines);
    free(s);
}

orr_core *sim_core(sim *s) {
    return s->core;
}

static void write_line(sim *s, const sim_line *line) {
    s->lines = grow(s->lines, s->n_lines, &s->cap_lines, sizeof *s->lines);
    s->lines[s->n_lines++] = *line;
    if (s->watch != NULL) s->watch(s->watch_ud, &s->lines[s->n_lines - 1]);
}

static void note(sim *s, char what, orr_run *run, const orr_task *task, uint8_t phase) {
    write_line(s, &(sim_line){s->now, what, run, *task, phase, 0});
}

void sim_watch(sim *s, void (*watch)(void *ud, const sim_line *line), void *ud) {
    s->watch = watch;
    s->watch_ud = ud;
}

orr_run *sim_start(sim *s, orr_plan *plan, uint64_t seed) {
    orr_run_options options = {.seed = seed};
    orr_run *run = orr_run_new(s->core, plan, &options);
    checked_core(s->core);
    if (run != NULL) orr_run_begin(run);
    checked_core(s->core);
    return run;
}

static bool same(const orr_task *a, const orr_task *b) {
    return a->node == b->node && a->item == b->item && a->iteration == b->iteration &&
           a->attempt == b->attempt;
}

static sim_work *find(sim *s, const orr_run *run, const orr_task *task) {
    for (uint32_t i = 0; i < s->n_work; i++)
        if (!s->work[i].gone && s->work[i].run == run && same(&s->work[i].task, task)) return &s->work[i];
    return NULL;
}

static void start(sim *s, const orr_action *a) {
    sim_work w = {.seq = ++s->seq, .run = a->run, .task = a->task};
    w.deed = s->script.deed(s->script.ud, a->run, &a->task, a->phase);
    w.at = s->now + (w.deed.sleeps > 0 ? w.deed.takes / 2 : w.deed.takes);
    s->work = grow(s->work, s->n_work, &s->cap_work, sizeof *s->work);
    s->work[s->n_work++] = w;
    s->busy++;
    write_line(s, &(sim_line){s->now, 'S', a->run, a->task, a->phase, a->seq});
}

static void forget_run(sim *s, const orr_run *run) {
    for (uint32_t i = 0; i < s->n_work; i++)
        if (s->work[i].run == run) s->work[i].gone = true;
}

void sim_delay(sim *s, const orr_run *run, int64_t by) {
    for (uint32_t i = 0; i < s->n_work; i++)
        if (s->work[i].run == run) s->work[i].at += by;
}

void sim_drop(sim *s, orr_run *run) {
    for (uint32_t i = 0; i < s->n_work; i++)
        s->busy -= s->work[i].run == run && !s->work[i].gone && !s->work[i].asleep;
    forget_run(s, run);
    orr_run_free(run);
    checked_core(s->core);
}

static void act(sim *s, const orr_action *a) {
    sim_work *w = find(s, a->run, &a->task);
    switch (a->kind) {
    case ORR_ACT_START: start(s, a); break;
    case ORR_ACT_RESUME:
        note(s, 'R', a->run, &a->task, 0);
        s->busy++;
        w->asleep = false;
        w->at = s->now + (w->deed.takes - w->deed.takes / 2);
        w->deed.sleeps = 0;
        break;
    case ORR_ACT_CANCEL:
        note(s, 'C', a->run, &a->task, a->reason);
        if (w != NULL && !w->deed.deaf) {
            w->cancelled = true;
            w->at = s->now;
            s->busy += w->asleep;
            w->asleep = false;
        }
        break;
    case ORR_ACT_ABANDON:
        note(s, 'A', a->run, &a->task, 0);
        if (w != NULL) {
            s->busy -= !w->asleep;
            w->gone = true;
        }
        break;
    default:
        note(s, '!', a->run, &a->task, 0);
        forget_run(s, a->run);
        break;
    }
}

static void drain(sim *s) {
    orr_action a;
    while (orr_core_next(s->core, &a)) {
        checked_core(s->core);
        act(s, &a);
    }
    checked_core(s->core);
}

/* The work that is due first; in the order in which it was started where that is the same. */
static sim_work *due_first(sim *s) {
    sim_work *best = NULL;
    for (uint32_t i = 0; i < s->n_work; i++) {
        sim_work *w = &s->work[i];
        if (!w->gone && !w->asleep &&
            (best == NULL || w->at < best->at || (w->at == best->at && w->seq < best->seq)))
            best = w;
    }
    return best;
}

static void compact(sim *s) {
    uint32_t to = 0;
    for (uint32_t i = 0; i < s->n_work; i++)
        if (!s->work[i].gone) s->work[to++] = s->work[i];
    s->n_work = to;
}

static void finish(sim *s, sim_work *w) {
    orr_run *run = w->run;
    orr_task task = w->task;
    if (w->deed.sleeps > 0 && !w->cancelled) {
        int64_t due = orr_run_clock(run, s->now) + w->deed.sleeps;
        w->deed.sleeps = 0;
        orr_status status = orr_task_wait(run, &task, due);
        checked_core(s->core);
        if (status == ORR_OK) {
            w->asleep = true;
            s->busy--;
            if (s->watch != NULL) s->watch(s->watch_ud, &(sim_line){s->now, 'W', run, task, 0, 0});
            return;
        }
    }
    orr_result r = {.end = w->deed.end, .port = ORR_PORT_ANY, .source = w->deed.source};
    if (w->cancelled) r.end = ORR_END_CANCELLED;
    if (r.end == ORR_END_FAILED)
        r.error = (orr_error){w->deed.code != NULL ? w->deed.code : "handler_error", "it failed",
                              w->deed.not_retryable, w->deed.retry_after > 0 ? w->deed.retry_after : -1, 0};
    if (w->deed.port != NULL)
        r.port = orr_plan_find_port(orr_run_plan(run), w->deed.port, strlen(w->deed.port));
    w->gone = true;
    s->busy--;
    note(s, 'E', run, &task, (uint8_t)r.end);
    orr_task_end(run, &task, &r);
    checked_core(s->core);
}

void sim_run(sim *s, int64_t until) {
    for (;;) {
        drain(s);
        compact(s);
        if (s->script.tick != NULL) {
            s->script.tick(s->script.ud, s);
            checked_core(s->core);
            drain(s);
        }
        sim_work *w = due_first(s);
        int64_t timer = orr_core_deadline(s->core), at = w != NULL && w->at < timer ? w->at : timer;
        if (at == INT64_MAX || at > until) return;
        if (at > s->now) s->now = at;
        orr_core_advance(s->core, s->now);
        checked_core(s->core);
        /* at an equal time what times out comes before what ends */
        if (timer > at) finish(s, w);
    }
}

void sim_pass(sim *s, int64_t at) {
    sim_run(s, at);
    if (at > s->now) s->now = at;
    orr_core_advance(s->core, s->now);
    checked_core(s->core);
}

int64_t sim_now(const sim *s) {
    return s->now;
}

const sim_line *sim_history(const sim *s, uint32_t *n) {
    *n = s->n_lines;
    return s->lines;
}

const sim_line *sim_find(const sim *s, char what, uint32_t node, uint32_t item, uint32_t nth) {
    for (uint32_t i = 0; i < s->n_lines; i++) {
        const sim_line *l = &s->lines[i];
        if (l->what == what && l->task.node == node && l->task.item == item && nth-- == 0) return l;
    }
    return NULL;
}

uint32_t sim_busy(const sim *s) {
    return s->busy;
}

static bool due(int64_t *at, int64_t now) {
    if (*at == 0 || now < *at) return false;
    *at = 0;
    return true;
}

void sim_meddle(sim_meddling *m, orr_run *run, const sim *s) {
    if (due(&m->cancel_at, s->now)) orr_run_cancel(run);
    checked_core(s->core);
    if (due(&m->pause_at, s->now)) orr_run_pause(run);
    checked_core(s->core);
    if (due(&m->resume_at, s->now)) orr_run_resume(run);
    checked_core(s->core);
}
