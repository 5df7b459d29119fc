#include "engine.h"

#include <assert.h>

/* Actions that wait for their records, in a ring. They are let go in their order; one whose ticket is earlier than that of one before it
 * (the last record of another run) waits a little longer than it must. */
typedef struct held_action {
    orr_action action;
    uint64_t ticket;
} held_action;

struct orr_engine {
    orr_alloc alloc;
    orr_core *core;
    orr_clock clock;
    orr_timers timers;
    orr_driver driver;
    bool precise;
    uint32_t left;   /* actions of the present batch */
    bool decided;    /* the core decided something in it, if only what is held */
    orr_action back; /* one that was taken and not done */
    bool has_back;
    held_action *held;
    uint32_t held_first, n_held, cap_held; /* the capacity is a power of two */
    uint64_t durable;
};

orr_engine *orr_engine_new(const orr_engine_options *options) {
    orr_engine *rt = orr_mem_new(&options->alloc, 1, sizeof *rt);
    if (!rt) return NULL;
    rt->alloc = options->alloc;
    rt->driver = options->driver;
    if (options->virtual_clock) orr_clock_virtual(&rt->clock, options->now ? options->now : ORR_CLOCK_VIRTUAL_START);
    else orr_clock_real(&rt->clock);
    orr_timers_init(&rt->timers, rt->alloc);
    rt->core = orr_core_new(&(orr_core_options){.alloc = rt->alloc,
                                                .hooks = options->hooks,
                                                .now = orr_clock_now(&rt->clock),
                                                .grace = options->grace,
                                                .crash_limit = options->crash_limit});
    if (!rt->core) {
        orr_mem_free(&options->alloc, rt, 1, sizeof *rt);
        return NULL;
    }
    return rt;
}

void orr_engine_free(orr_engine *rt) {
    if (!rt) return;
    orr_alloc alloc = rt->alloc;
    orr_core_free(rt->core);
    orr_timers_free(&rt->timers);
    orr_mem_free(&alloc, rt->held, rt->cap_held, sizeof *rt->held);
    orr_mem_free(&alloc, rt, 1, sizeof *rt);
}

orr_core *orr_engine_core(orr_engine *rt) {
    return rt->core;
}

const orr_clock *orr_engine_clock(const orr_engine *rt) {
    return &rt->clock;
}

int64_t orr_engine_now(const orr_engine *rt) {
    return orr_clock_now(&rt->clock);
}

uint32_t orr_engine_timer(orr_engine *rt, int64_t due, void *owner, uint32_t task) {
    return orr_timers_add(&rt->timers, due, owner, task, 0);
}

void orr_engine_untimer(orr_engine *rt, uint32_t id) {
    orr_timers_remove(&rt->timers, id);
}

/* The driver's timers first: one that wakes a task cancels the core's timer for the same moment. */
static bool fire_timers(orr_engine *rt, int64_t now) {
    bool any = false;
    orr_timer timer;
    uint32_t id;
    while (orr_timers_first(&rt->timers, &timer, &id) && timer.time <= now) {
        orr_timers_remove(&rt->timers, id);
        rt->driver.timer(rt->driver.ud, &timer);
        any = true;
    }
    return any;
}

/* ---- holding back ---------------------------------------------------------------------------------------------- */

static held_action *held_at(const orr_engine *rt, uint32_t i) {
    return &rt->held[(rt->held_first + i) & (rt->cap_held - 1)];
}

static bool widen(orr_engine *rt) {
    uint32_t cap = rt->cap_held ? rt->cap_held * 2 : 64;
    held_action *wider = cap > rt->cap_held ? orr_mem_new(&rt->alloc, cap, sizeof *wider) : NULL;
    if (!wider) return false;
    for (uint32_t i = 0; i < rt->n_held; i++) wider[i] = *held_at(rt, i);
    orr_mem_free(&rt->alloc, rt->held, rt->cap_held, sizeof *rt->held);
    rt->held = wider;
    rt->cap_held = cap;
    rt->held_first = 0;
    return true;
}

static bool released(orr_engine *rt, orr_action *action) {
    if (rt->n_held == 0 || held_at(rt, 0)->ticket > rt->durable) return false;
    *action = held_at(rt, 0)->action;
    rt->held_first++;
    rt->n_held--;
    return true;
}

/* Whether the action must wait, and then it does, or is dropped. Without memory for that the whole engine waits: then the first that was
 * held is durable as well, and is done in its stead. */
static bool hold(orr_engine *rt, orr_action *action) {
    uint64_t ticket = rt->driver.ticket ? rt->driver.ticket(rt->driver.ud, action) : 0;
    orr_action latest = *action;
    bool room = true;
    if (ticket <= rt->durable) return false;
    if (ticket == UINT64_MAX) return true;
    if (rt->n_held == rt->cap_held && !widen(rt)) {
        rt->driver.wait(rt->driver.ud, ticket);
        orr_engine_durable(rt, ticket);
        if (!released(rt, action)) return false;
        room = false;
    }
    *held_at(rt, rt->n_held) = (held_action){latest, ticket};
    rt->n_held++;
    return room;
}

void orr_engine_durable(orr_engine *rt, uint64_t ticket) {
    if (ticket > rt->durable) rt->durable = ticket;
}

uint32_t orr_engine_held(const orr_engine *rt) {
    return rt->n_held;
}

void orr_engine_forget(orr_engine *rt, const orr_run *run) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < rt->n_held; i++)
        if (held_at(rt, i)->action.run != run) *held_at(rt, kept++) = *held_at(rt, i);
    rt->n_held = kept;
    if (rt->has_back && rt->back.run == run) rt->has_back = false;
}

/* ---- stepping -------------------------------------------------------------------------------------------------- */

bool orr_engine_next(orr_engine *rt, orr_action *action) {
    if (rt->has_back) {
        *action = rt->back;
        rt->has_back = false;
        return true;
    }
    while (rt->left > 0) {
        rt->left--;
        if (released(rt, action)) return true;
        if (!orr_core_next(rt->core, action)) return false;
        rt->decided = true;
        if (!hold(rt, action)) return true;
    }
    return false;
}

void orr_engine_give_back(orr_engine *rt, const orr_action *action) {
    assert(!rt->has_back);
    rt->back = *action;
    rt->has_back = true;
}

bool orr_engine_step(orr_engine *rt, uint32_t limit) {
    int64_t now = orr_clock_now(&rt->clock);
    bool any = fire_timers(rt, now);
    orr_core_advance(rt->core, now);
    orr_action action;
    rt->left = limit;
    rt->decided = false;
    while (orr_engine_next(rt, &action)) {
        rt->driver.act(rt->driver.ud, &action);
        any = true;
        if (rt->precise) orr_engine_tick(rt);
    }
    return any || rt->decided;
}

bool orr_engine_decide(orr_engine *rt, uint32_t limit) {
    orr_action action;
    bool any = false;
    for (; limit > 0 && !rt->has_back && orr_core_next(rt->core, &action); limit--) {
        any = true;
        if (!hold(rt, &action)) orr_engine_give_back(rt, &action);
    }
    return any;
}

void orr_engine_tick(orr_engine *rt) {
    orr_core_advance(rt->core, orr_clock_now(&rt->clock));
}

void orr_engine_precise(orr_engine *rt, bool precise) {
    rt->precise = precise;
}

int64_t orr_engine_deadline(const orr_engine *rt) {
    int64_t a = orr_core_deadline(rt->core), b = orr_timers_deadline(&rt->timers);
    return a < b ? a : b;
}

uint32_t orr_engine_n_timers(const orr_engine *rt) {
    return rt->timers.count;
}

bool orr_engine_jump(orr_engine *rt, int64_t stop) {
    int64_t due = orr_engine_deadline(rt);
    if (!rt->clock.is_virtual || due == INT64_MAX) return false;
    orr_clock_jump(&rt->clock, stop < due ? stop : due);
    return true;
}

/* ---- waking up the loop -------------------------------------------------------------------------------------- */

struct orr_wakeup {
    orr_alloc alloc;
    uv_timer_t timer;
};

orr_wakeup *orr_wakeup_new(const orr_alloc *alloc, uv_loop_t *loop) {
    orr_wakeup *w = orr_mem_new(alloc, 1, sizeof *w);
    if (!w) return NULL;
    w->alloc = *alloc;
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    return w;
}

static void closed(uv_handle_t *handle) {
    orr_wakeup *w = handle->data;
    orr_alloc alloc = w->alloc;
    orr_mem_free(&alloc, w, 1, sizeof *w);
}

void orr_wakeup_free(orr_wakeup *wakeup) {
    if (wakeup) uv_close((uv_handle_t *)&wakeup->timer, closed);
}

static void woken(uv_timer_t *timer) {
    (void)timer; /* that the loop came back is all that is wanted */
}

void orr_wakeup_arm(orr_wakeup *wakeup, int64_t ns) {
    uint64_t ms = ns <= 0 ? 0 : (uint64_t)(ns / 1000000 + (ns % 1000000 != 0));
    uv_update_time(wakeup->timer.loop);
    uv_timer_start(&wakeup->timer, woken, ms, 0);
}

void orr_wakeup_disarm(orr_wakeup *wakeup) {
    uv_timer_stop(&wakeup->timer);
}

static void count_closing(uv_handle_t *handle, void *n) {
    if (uv_is_closing(handle)) ++*(int *)n;
}

void orr_loop_settle(uv_loop_t *loop) {
    for (int turns = 0; turns < 16; turns++) { /* a close callback may close another handle */
        int closing = 0;
        uv_walk(loop, count_closing, &closing);
        if (!closing) break;
        uv_run(loop, UV_RUN_NOWAIT);
    }
}
