/* engine.c - steps a core by a clock, holds actions until their records are durable, and wakes the
 * loop; see engine.h */
#include "loop/engine.h"

#include <stdlib.h>

/* Actions that wait for their records, in a ring. They are done in their order. One whose ticket is
 * earlier than that of one before it (the last record of another run) waits a little longer than it
 * must. */
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
    orr_budget *budget;
    bool precise;
    uint32_t left;   /* actions of the present batch */
    bool decided;    /* the core decided something in it, if only what is held */
    orr_action back; /* one that was taken and not done */
    bool has_back;
    held_action *held;
    uint32_t held_first, n_held, cap_held; /* the capacity is a power of two */
    uint64_t durable;
    uint64_t full_to; /* nothing is done before that ticket is durable; 0: nothing waits for it */
};

orr_engine *orr_engine_new(const orr_engine_options *options) {
    orr_engine *e = orr_mem_new(&options->alloc, 1, sizeof *e);
    if (!e) return NULL;
    e->alloc = options->alloc;
    e->driver = options->driver;
    e->budget = options->budget;
    if (options->virtual_clock)
        orr_clock_virtual(&e->clock, options->now ? options->now : ORR_CLOCK_VIRTUAL_START);
    else orr_clock_real(&e->clock);
    orr_timers_init(&e->timers, e->alloc);
    e->core = orr_core_new(&(orr_core_options){.alloc = e->alloc,
                                               .hooks = options->hooks,
                                               .now = orr_clock_now(&e->clock),
                                               .grace = options->grace,
                                               .crash_limit = options->crash_limit});
    if (!e->core) {
        orr_mem_free(&options->alloc, e, 1, sizeof *e);
        return NULL;
    }
    return e;
}

void orr_engine_free(orr_engine *e) {
    if (!e) return;
    orr_alloc alloc = e->alloc;
    orr_core_free(e->core);
    orr_timers_free(&e->timers);
    orr_mem_free(&alloc, e->held, e->cap_held, sizeof *e->held);
    orr_mem_free(&alloc, e, 1, sizeof *e);
}

orr_core *orr_engine_core(orr_engine *e) {
    return e->core;
}

const orr_clock *orr_engine_clock(const orr_engine *e) {
    return &e->clock;
}

int64_t orr_engine_now(const orr_engine *e) {
    return orr_clock_now(&e->clock);
}

uint32_t orr_engine_timer(orr_engine *e, int64_t due, void *owner, uint32_t task) {
    return orr_timers_add(&e->timers, due, owner, task, 0);
}

void orr_engine_untimer(orr_engine *e, uint32_t id) {
    orr_timers_remove(&e->timers, id);
}

void orr_engine_move_timer(orr_engine *e, uint32_t id, int64_t due) {
    orr_timers_move(&e->timers, id, due);
}

/* Timers that are fired between two looks at the budget: each costs little. */
enum { TIMERS_AT_ONCE = 16 };

static bool spent(const orr_engine *e) {
    return e->budget && orr_budget_spent(e->budget);
}

static void begin_work(orr_engine *e) {
    if (e->budget) orr_budget_use(e->budget);
}

/* The driver's timers first: one that wakes a task cancels the core's timer for the same moment. */
static bool fire_timers(orr_engine *e, int64_t now) {
    orr_timer timer;
    uint32_t id, n = 0;
    while (orr_timers_deadline(&e->timers) <= now && orr_timers_first(&e->timers, &timer, &id)) {
        if (n % TIMERS_AT_ONCE == 0 && n && spent(e)) break;
        begin_work(e);
        orr_timers_remove(&e->timers, id);
        e->driver.timer(e->driver.ud, &timer);
        n++;
    }
    return n > 0;
}

/* True when all that is due has been fired. */
static bool advance(orr_engine *e, int64_t now) {
    if (orr_core_deadline(e->core) <= now) begin_work(e);
    while (!orr_core_advance_some(e->core, now, TIMERS_AT_ONCE))
        if (spent(e)) return false;
    return true;
}

/* ---- holding back ---------------------------------------------------------------------------- */

static held_action *held_at(const orr_engine *e, uint32_t i) {
    return &e->held[(e->held_first + i) & (e->cap_held - 1)];
}

static bool widen(orr_engine *e) {
    uint32_t cap = e->cap_held ? e->cap_held * 2 : 64;
    held_action *wider = cap > e->cap_held ? orr_mem_new(&e->alloc, cap, sizeof *wider) : NULL;
    if (!wider) return false;
    for (uint32_t i = 0; i < e->n_held; i++) wider[i] = *held_at(e, i);
    orr_mem_free(&e->alloc, e->held, e->cap_held, sizeof *e->held);
    e->held = wider;
    e->cap_held = cap;
    e->held_first = 0;
    return true;
}

static bool released(orr_engine *e, orr_action *action) {
    if (e->n_held == 0 || held_at(e, 0)->ticket > e->durable) return false;
    *action = held_at(e, 0)->action;
    e->held_first++;
    e->n_held--;
    return true;
}

static uint64_t ticket_of(const orr_engine *e, const orr_action *action) {
    return e->driver.ticket ? e->driver.ticket(e->driver.ud, action) : 0;
}

/* Holds or drops an action whose record is not durable; false where another stands in its place, to
 * be done now. Without memory to hold it the whole engine waits until its ticket is durable: then
 * the first action that was held is durable too, and is done in place of this one. */
static bool put_off(orr_engine *e, orr_action *action, uint64_t ticket) {
    orr_action latest = *action;
    bool room = true;
    if (ticket == UINT64_MAX) return true;
    if (e->n_held == e->cap_held && !widen(e)) {
        e->driver.wait(e->driver.ud, ticket);
        orr_engine_durable(e, ticket);
        if (!released(e, action)) return false;
        room = false;
    }
    *held_at(e, e->n_held) = (held_action){latest, ticket};
    e->n_held++;
    return room;
}

/* False where the action may be done now. */
static inline bool hold(orr_engine *e, orr_action *action, uint64_t ticket) {
    return ticket > e->durable && put_off(e, action, ticket);
}

/* What may be done goes behind what was held before it, which may be of the same run: not so where
 * the run has never waited, which then does not begin to wait for others. False where it is to be
 * given back. */
static bool hold_behind(orr_engine *e, const orr_action *action, uint64_t ticket) {
    if (ticket == 0 || e->n_held == 0 || (e->n_held == e->cap_held && !widen(e))) return false;
    *held_at(e, e->n_held) = (held_action){*action, 0};
    e->n_held++;
    return true;
}

void orr_engine_full(orr_engine *e, uint64_t ticket) {
    e->full_to = ticket;
}

void orr_engine_durable(orr_engine *e, uint64_t ticket) {
    if (ticket > e->durable) e->durable = ticket;
}

uint32_t orr_engine_held(const orr_engine *e) {
    return e->n_held;
}

void orr_engine_forget(orr_engine *e, const orr_run *run) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->n_held; i++)
        if (held_at(e, i)->action.run != run) *held_at(e, kept++) = *held_at(e, i);
    e->n_held = kept;
    if (e->has_back && e->back.run == run) e->has_back = false;
}

/* ---- stepping -------------------------------------------------------------------------------- */

static bool take_back(orr_engine *e, orr_action *action) {
    if (!e->has_back) return false;
    *action = e->back;
    e->has_back = false;
    return true;
}

static bool take_next(orr_engine *e, orr_action *action) {
    while (e->left > 0) {
        e->left--;
        if (released(e, action)) return true;
        if (!orr_core_next(e->core, action)) return false;
        e->decided = true;
        if (!hold(e, action, ticket_of(e, action))) return true;
    }
    return false;
}

bool orr_engine_next(orr_engine *e, orr_action *action) {
    if (e->full_to > e->durable || spent(e)) return false;
    bool any = take_back(e, action) || take_next(e, action);
    if (any) begin_work(e);
    return any;
}

void orr_engine_give_back(orr_engine *e, const orr_action *action) {
#ifdef ORR_CHECK
    if (e->has_back) abort(); /* only what orr_engine_next has just given comes back */
#endif
    e->back = *action;
    e->has_back = true;
}

bool orr_engine_step(orr_engine *e, uint32_t limit) {
    int64_t now = orr_clock_now(&e->clock);
    bool any = fire_timers(e, now) || orr_core_deadline(e->core) <= now;
    if (orr_timers_deadline(&e->timers) <= now) return true; /* the core's come after them */
    if (!advance(e, now)) return true;
    orr_action action;
    e->left = limit;
    e->decided = false;
    while (orr_engine_next(e, &action)) {
        e->driver.act(e->driver.ud, &action);
        any = true;
        if (e->precise) orr_engine_tick(e);
    }
    return any || e->decided;
}

bool orr_engine_decide(orr_engine *e, uint32_t limit) {
    orr_action action;
    bool any = false;
    for (; limit > 0 && !e->has_back && orr_core_next(e->core, &action); limit--) {
        uint64_t ticket = ticket_of(e, &action);
        any = true;
        if (!hold(e, &action, ticket) && !hold_behind(e, &action, ticket)) orr_engine_give_back(e, &action);
    }
    return any;
}

void orr_engine_tick(orr_engine *e) {
    orr_core_advance(e->core, orr_clock_now(&e->clock));
}

void orr_engine_precise(orr_engine *e, bool precise) {
    e->precise = precise;
}

int64_t orr_engine_deadline(const orr_engine *e) {
    int64_t a = orr_core_deadline(e->core), b = orr_timers_deadline(&e->timers);
    return a < b ? a : b;
}

uint32_t orr_engine_n_timers(const orr_engine *e) {
    return e->timers.count;
}

bool orr_engine_jump(orr_engine *e, int64_t stop) {
    int64_t due = orr_engine_deadline(e);
    if (!e->clock.is_virtual || due == INT64_MAX) return false;
    orr_clock_jump(&e->clock, stop < due ? stop : due);
    return true;
}

void orr_engine_pass(orr_engine *e, int64_t time) {
    orr_clock_jump(&e->clock, time);
}

void orr_engine_advance(orr_engine *e, int64_t ns) {
    int64_t now = orr_clock_now(&e->clock);
    orr_clock_jump(&e->clock, ns < INT64_MAX - 1 - now ? now + ns : INT64_MAX - 1);
}

/* ---- waking up the loop ---------------------------------------------------------------------- */

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

/* That the loop comes back is all that is wanted. libuv looks at its timers before it blocks, and
 * then knows no time at which to wake up: a loop that is stopped does not block. */
static void woken(uv_timer_t *timer) {
    uv_stop(timer->loop);
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

void orr_loop_finish_closing(uv_loop_t *loop) {
    for (int turns = 0; turns < 16; turns++) { /* a close callback may close another handle */
        int closing = 0;
        uv_walk(loop, count_closing, &closing);
        if (!closing) break;
        uv_run(loop, UV_RUN_NOWAIT);
    }
}
