/* check.c - orr_core_check: proves that a core and its runs agree with themselves. The order of the
 * proof is one in which each part reads only what was proven before. */
#include "core/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the report ------------------------------------------------------------------------------ */

/* Adds to the sentence; what there is no room for is left out. */
__attribute__((format(printf, 3, 4))) static void say(orr_check *c, size_t *len, const char *format, ...) {
    va_list args;
    if (*len >= c->size) return;
    va_start(args, format);
    int n = vsnprintf(c->text + *len, c->size - *len, format, args);
    va_end(args);
    *len += n > 0 ? (size_t)n : 0;
}

static void say_task(orr_check *c, size_t *len, const orr_run *run, uint32_t t) {
    uint32_t node = t, item = ORR_NONE;
    if (t >= run->plan->n_nodes && run->n_expansions > 0) orr_locate(run, t, &node, &item);
    const char *name = node < run->plan->n_nodes ? orr_plan_name(run->plan, node) : NULL;
    say(c, len, ", node %u", node);
    if (name != NULL) say(c, len, " '%s'", name);
    if (item != ORR_NONE) say(c, len, ", item %u", item);
}

bool orr_check_broken(orr_check *c, const orr_run *run, uint32_t t, const char *what) {
    size_t len = 0;
    say(c, &len, "run ");
    for (size_t i = 0; i < sizeof run->id; i++)
        say(c, &len, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", run->id[i]);
    if (t != ORR_NONE) say_task(c, &len, run, t);
    say(c, &len, ": %s", what);
    return false;
}

bool orr_check_broken_at(orr_check *c, const char *kind, const char *name, const char *what) {
    size_t len = 0;
    if (kind != NULL) say(c, &len, "%s '%s': %s", kind, name, what);
    else say(c, &len, "core: %s", what);
    return false;
}

/* ---- lists of the core ----------------------------------------------------------------------- */

/* Tasks with a cancel or abandon to hand out, which may be of several runs. */
static bool check_actions(orr_check *c) {
    const orr_core *core = c->core;
    const orr_run *run = core->act_run, *last = NULL;
    uint32_t t = core->act_task, last_task = ORR_NONE, n = 0;
    while (run != NULL) {
        PROVE_AT(c, NULL, NULL, run->core == core && t < run->n_cells,
                 "the list of actions leads to no task");
        const orr_more *more = orr_more_of(run, t);
        PROVE(c, run, t, more != NULL && (more->act_cancel || more->act_abandon),
              "it stands in the list of actions, but has no action");
        PROVE(c, run, t, n++ < c->acts, "the list of actions comes back to it");
        last = run;
        last_task = t;
        run = more->act_run;
        t = more->act_task;
    }
    PROVE_AT(c, NULL, NULL, n == c->acts, "a task with an action stands outside the list of actions");
    PROVE_AT(c, NULL, NULL, last == NULL || (core->act_last_run == last && core->act_last_task == last_task),
             "the list of actions has another last task");
    return true;
}

static bool check_ends(orr_check *c) {
    const orr_run *last = NULL;
    uint32_t n = 0;
    for (const orr_run *run = c->core->end_head; run != NULL; run = run->end_next) {
        PROVE_AT(c, NULL, NULL, run->core == c->core, "the list of runs that ended leads to none");
        PROVE(c, run, ORR_NONE, run->ended, "it stands in the list of runs that ended, but has not");
        PROVE(c, run, ORR_NONE, n++ < c->ends, "the list of runs that ended comes back to it");
        last = run;
    }
    PROVE_AT(c, NULL, NULL, c->core->end_tail == last, "the list of runs that ended has another last run");
    return true;
}

static bool check_undos(orr_check *c) {
    const orr_run *last = NULL;
    uint32_t n = 0;
    for (const orr_run *run = c->core->undo_head; run != NULL; run = run->undo->next) {
        PROVE_AT(c, NULL, NULL, run->core == c->core && run->undo != NULL,
                 "the list of compensations leads to no run that has any");
        PROVE(c, run, ORR_NONE, run->undo->queued,
              "it stands in the list of compensations, but does not say so");
        PROVE(c, run, ORR_NONE, n++ < c->undos, "the list of compensations comes back to it");
        last = run;
    }
    PROVE_AT(c, NULL, NULL, n == c->undos, "a run whose compensation is to start stands outside the list");
    PROVE_AT(c, NULL, NULL, c->core->undo_tail == last, "the list of compensations has another last run");
    return true;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool check_run(orr_check *c, const orr_run *run) {
    orr_check_tally n = {0};
    return orr_check_cells(c, run, &n) && orr_check_counts(c, run, &n) && orr_check_undo(c, run, &n) &&
           orr_check_run_lines(c, run) && orr_check_run_timers(c, run);
}

static bool check_runs(orr_check *c) {
    const orr_run *before = NULL;
    for (const orr_run *run = c->core->runs; run != NULL; before = run, run = run->next) {
        PROVE(c, run, ORR_NONE, run->core == c->core, "it is of another core");
        PROVE(c, run, ORR_NONE, run->prev == before, "the list of runs does not lead back from it");
        if (!check_run(c, run)) return false;
        c->ends += run->ended;
    }
    return true;
}

bool orr_core_check(const orr_core *core, char *text, size_t size) {
    orr_check c = {.core = core, .text = text, .size = size};
    const char *timers = orr_timers_check(&core->timers);
    if (size > 0) *text = '\0';
    PROVE_AT(&c, NULL, NULL, timers == NULL, timers);
    return orr_check_pools(&c) && check_runs(&c) && orr_check_rings(&c) && orr_check_breakers(&c) &&
           orr_check_timers_left(&c) && check_actions(&c) && check_ends(&c) && check_undos(&c);
}

#ifdef ORR_CHECK
enum { SMALL = 256, TASKS_A_CALL = 4 };

void orr_check_call(orr_core *core) {
    char text[512];
    uint64_t tasks = 0;
    for (const orr_run *run = core->runs; run != NULL; run = run->next) {
        if (run->deciding) return; /* a call within a call: the outer one is proven */
        tasks += run->n_cells;
    }
    if (tasks > SMALL && ++core->unchecked * TASKS_A_CALL < tasks) return;
    core->unchecked = 0;
    if (orr_core_check(core, text, sizeof text)) return;
    fprintf(stderr, "orr_core_check: %s\n", text);
    abort();
}
#endif
