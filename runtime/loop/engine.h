/* engine.h - one core with a clock, timers of its caller, and the batches in which its actions are
 * done.
 *
 * An engine does no work itself: its driver does. It runs on one thread, the loop's.
 *
 * Nothing that depends on a record acts before the record is durable: an action whose ticket is not
 * yet is held, first in, first out, and the core goes on meanwhile.
 */
#ifndef ORR_LOOP_ENGINE_H
#define ORR_LOOP_ENGINE_H

#include "core/core.h"
#include "loop/budget.h"
#include "loop/clock.h"
#include <uv.h>

typedef struct orr_engine orr_engine;

/* Who does what the core decides. All are called from orr_engine_step, _next and _decide only;
 * `act` and `timer` may call the core. */
typedef struct orr_driver {
    void *ud;
    void (*act)(void *ud, const orr_action *action);
    /* a timer of orr_engine_timer; it is no longer set */
    void (*timer)(void *ud, const orr_timer *timer);
    /* The ticket of the store that must be durable before the action is done; 0: at once, and no
     * action of its run was ever held. UINT64_MAX: never, so that it is dropped: the run is being
     * given up. NULL: nothing is ever held. */
    uint64_t (*ticket)(void *ud, const orr_action *action);
    /* Waits until that ticket is durable: asked only where there is no memory to hold an action
     * back. */
    void (*wait)(void *ud, uint64_t ticket);
} orr_driver;

typedef struct orr_engine_options {
    orr_alloc alloc;
    orr_hooks hooks;
    orr_driver driver;
    orr_budget *budget;   /* of the steps; NULL: they have none */
    bool virtual_clock;   /* moved by orr_engine_jump, orr_engine_pass and orr_engine_advance alone */
    int64_t now;          /* where a virtual clock starts; 0 = ORR_CLOCK_VIRTUAL_START */
    int64_t grace;        /* ns, as of orr_core_options */
    uint32_t crash_limit; /* the same */
} orr_engine_options;

/* NULL when out of memory. Free it when none of its runs is needed any more; it frees them. */
orr_engine *orr_engine_new(const orr_engine_options *options);
void orr_engine_free(orr_engine *e);

orr_core *orr_engine_core(orr_engine *e);
const orr_clock *orr_engine_clock(const orr_engine *e);

/* Reads the clock; what the core takes for the present follows at the next step. */
int64_t orr_engine_now(const orr_engine *e);

/* Sets a timer of the driver's and returns its id (see timer.h), ORR_NONE when out of memory. */
uint32_t orr_engine_timer(orr_engine *e, int64_t due, void *owner, uint32_t task);
void orr_engine_untimer(orr_engine *e, uint32_t id);
/* Gives it another time; INT64_MAX: it does not come. */
void orr_engine_move_timer(orr_engine *e, uint32_t id, int64_t due);

/* Reads the clock once, fires what is due and does up to `limit` actions, while the budget is not
 * spent. True when it did anything: there may be more to do now. */
bool orr_engine_step(orr_engine *e, uint32_t limit);

/* The next action of the present batch, for a driver that has done one and can do another at once;
 * false at the end of the batch, or when there is none. A driver that takes an action and does not
 * do it gives it back, and then takes no more. */
bool orr_engine_next(orr_engine *e, orr_action *action);
void orr_engine_give_back(orr_engine *e, const orr_action *action);

/* Lets the core decide up to `limit` actions that wait for what is not durable, without doing
 * one: so what they need is in the journal before it is handed over. The first that need not
 * wait is done at the next step. True when anything was decided. */
bool orr_engine_decide(orr_engine *e, uint32_t limit);

/* No action is done before that ticket is durable, whatever it waits for itself; 0: all go on. */
void orr_engine_full(orr_engine *e, uint64_t ticket);
/* What is durable from now on: actions that were held for it are done next, in the order in
 * which they were decided. */
void orr_engine_durable(orr_engine *e, uint64_t ticket);
/* How many actions are held. */
uint32_t orr_engine_held(const orr_engine *e);
/* Drops the held actions of a run that is about to be freed. */
void orr_engine_forget(orr_engine *e, const orr_run *run);

/* Takes the present time for the core's, and fires what is due. Once a batch is enough to
 * decide; whoever shows times to people calls it more often. */
void orr_engine_tick(orr_engine *e);

/* Whether the clock is read for every action instead of once a batch: where somebody listens to
 * events. */
void orr_engine_precise(orr_engine *e, bool precise);

/* The time of the earliest timer, the core's or the driver's; INT64_MAX when there is none. */
int64_t orr_engine_deadline(const orr_engine *e);

/* How many timers of the driver's are set. */
uint32_t orr_engine_n_timers(const orr_engine *e);

/* Lets a virtual clock jump to the next deadline, or to `stop` where that comes before it. False
 * when there is no deadline or the clock is real. */
bool orr_engine_jump(orr_engine *e, int64_t stop);
/* Moves a virtual clock on by `ns`, to its last time at most. */
void orr_engine_advance(orr_engine *e, int64_t ns);

/* Moves a virtual clock on to that time. */
void orr_engine_pass(orr_engine *e, int64_t time);

/* ---- waking up the loop ---------------------------------------------------------------------- */

/* The engine's one uv_timer_t. It is active, and so keeps the loop alive, only between arm and
 * disarm. */
typedef struct orr_wakeup orr_wakeup;

/* NULL when out of memory. */
orr_wakeup *orr_wakeup_new(const orr_alloc *alloc, uv_loop_t *loop);
/* Closes the handle; it is freed by the loop's next turn, which this does not wait for. */
void orr_wakeup_free(orr_wakeup *wakeup);
/* Lets the loop wake up in `ns` (rounded up to ms) at the latest. */
void orr_wakeup_arm(orr_wakeup *wakeup, int64_t ns);
void orr_wakeup_disarm(orr_wakeup *wakeup);

/* Runs the loop until no handle is being closed, before a Lua state with luv in it is closed:
 * luv frees the memory of its handles in their finalisers, also of those that the loop has not
 * done closing yet. Close callbacks are called. */
void orr_loop_finish_closing(uv_loop_t *loop);

#endif
