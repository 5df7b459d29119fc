/* actions.c - what the core of a runtime wants done: attempts started, resumed, cancelled; runs
 * ended. */
#include "run/inner.h"
#include <stdio.h>

static orr_fiber *fiber_of_action(orr_script *s, const orr_runbox *r, const orr_action *a) {
    return orr_fiber_of(s, r, &a->task);
}

/* A node that is a C function: no fiber, no Lua. */
static void run_native(const orr_runbox *r, const orr_action *a) {
    static const orr_result completed = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    const orr_native *native = &r->plan->natives[a->task.node];
    int status = native->fn(native->ud, a->task.node);
    if (status == ORR_OK) {
        orr_task_end(a->run, &a->task, &completed);
        return;
    }
    orr_error error = {.code = "handler_error", .message = orr_strerror(status), .retry_after = -1};
    orr_result failed = {.end = ORR_END_FAILED, .port = ORR_PORT_ANY, .error = error};
    orr_task_end(a->run, &a->task, &failed);
}

/* A task without a fiber is one whose handler has ended and said `later`: its time has come, or
 * it is no longer wanted. */
static void end_sleeper(const orr_script *s, const orr_action *a, orr_end end) {
    orr_result result = {.end = end, .port = ORR_PORT_ANY};
    orr_task_end(a->run, &a->task, &result);
    orr_attempt_ended(s, orr_run_ud(a->run), &a->task);
}

/* Having the slot again is a sign of life. */
static void go_on(orr_script *s, orr_fiber *f) {
    orr_attempt_sign(f);
    orr_wait_slot(s, f);
}

static const char *const kinds[] = {
    [ORR_ACT_NONE] = "nothing",  [ORR_ACT_START] = "start",     [ORR_ACT_RESUME] = "resume",
    [ORR_ACT_CANCEL] = "cancel", [ORR_ACT_ABANDON] = "abandon", [ORR_ACT_RUN_END] = "end",
};
static const char *const phases[] = {
    [ORR_PHASE_RUN] = "",
    [ORR_PHASE_FALLBACK] = ", its fallback",
    [ORR_PHASE_COMPENSATE] = ", undone",
};

/* "run 018f…: start node fetch, attempt 2" */
static void trace(const orr_trace *to, const orr_runbox *r, const orr_action *a) {
    const char *name = a->task.node == ORR_NONE ? NULL : orr_plan_name(r->plan->plan, a->task.node);
    char task[160] = "", item[32] = "";
    if (a->task.item != ORR_NONE) snprintf(item, sizeof item, "[%u]", a->task.item + 1);
    if (a->kind != ORR_ACT_RUN_END)
        snprintf(task, sizeof task, " node %s%s, attempt %u%s", name ? name : "?", item, a->task.attempt,
                 phases[a->phase]);
    orr_trace_line(to, ORR_TRACE_CORE, "run %s: %s%s", r->id, kinds[a->kind], task);
}

/* A start that waited for its record: the core has given the attempt up meanwhile, because the
 * clock went past its deadline and the grace at once, as that of a suspended machine does. */
static bool is_given_up(const orr_runbox *r, const orr_action *a) {
    return r->journal && !orr_task_is_open(a->run, &a->task);
}

/* Any action, of any run. Not inlined: a C function in memory is then started without saving
 * registers. */
__attribute__((noinline)) static void act_on(orr_script *s, orr_runbox *r, const orr_action *a) {
    orr_fiber *f;
    bool begins = a->kind == ORR_ACT_START || a->kind == ORR_ACT_RESUME;
    if (begins && r->rt->durable && r->journal && r->rt->keeper->displaced(r->rt)) return;
    switch (a->kind) {
    case ORR_ACT_START:
        if (is_given_up(r, a)) break;
        if (r->plan->natives) run_native(r, a);
        else orr_attempt_start(s, r, a);
        break;
    case ORR_ACT_RESUME:
        if ((f = fiber_of_action(s, r, a))) go_on(s, f);
        else end_sleeper(s, a, ORR_END_COMPLETED);
        break;
    case ORR_ACT_CANCEL:
        if ((f = fiber_of_action(s, r, a))) orr_fiber_cancel(s, f, a->reason);
        else end_sleeper(s, a, ORR_END_CANCELLED);
        break;
    case ORR_ACT_ABANDON:
        if ((f = fiber_of_action(s, r, a))) orr_fiber_abandon(s, f);
        break;
    case ORR_ACT_RUN_END: orr_run_over(s, r); break;
    case ORR_ACT_NONE: break;
    }
}

static void act(void *ud, const orr_action *a) {
    const orr_rtbox *rt = ud;
    orr_runbox *r = orr_run_ud(a->run);
    const orr_trace *to = &orr_fibers_of(rt->base.script)->trace;
    if (orr_traces(to, ORR_TRACE_CORE)) trace(to, r, a);
    if (a->kind == ORR_ACT_START && r->plan->natives && !r->journal) run_native(r, a);
    else act_on(rt->base.script, r, a);
}

/* ORR_NEVER for a run that has lost a record: it is about to be dropped. No action of a run
 * overtakes one that waits. */
static uint64_t ticket_of(void *ud, const orr_action *a) {
    const orr_rtbox *rt = ud;
    if (!rt->storage) return 0;
    orr_runbox *r = orr_run_ud(a->run);
    uint64_t ticket = orr_run_ticket(r);
    bool waits = ticket > rt->durable_to && ticket != ORR_NEVER && r->acted <= rt->durable_to;
    if (waits && a->kind == ORR_ACT_START && rt->keeper->early(r, a->seq)) return r->acted;
    if (ticket > r->acted) r->acted = ticket;
    return r->acted;
}

static void wait_ticket(void *ud, uint64_t ticket) {
    orr_rtbox *rt = ud;
    if (rt->storage) rt->keeper->wait(rt, ticket);
}

static void timer_due(void *ud, const orr_timer *timer) {
    orr_rtbox *rt = ud;
    if (timer->owner == rt->base.script) orr_wait_timer(rt->base.script, timer);
    else orr_uvtimer_due(timer->owner);
}

orr_driver orr_actions_driver(orr_rtbox *rt) {
    return (orr_driver){.ud = rt, .act = act, .timer = timer_due, .ticket = ticket_of, .wait = wait_ticket};
}
