/* engine.h - what the files of the engine share; private to runtime/core.
 *
 * core.c     the core itself: time, actions, what starts next
 * run.c      making, freeing and asking a run
 * fold.c     state as a fold over records: the only file that changes a node's state
 * dependents.c  what the end of a node means to those that depend on it
 * fits.c     which records such a fold refuses
 * join.c     the join table, outcome gates, handled failures
 * decide.c   what follows from a change: ready, skipped, the end
 * settle.c   how attempts and tasks end: retried, mended by a fallback, failed, completed
 * stop.c     cancelling, stopping, cleaning up, stalling
 * recover.c  a run that is rebuilt from its journal goes on; suspending, adopting, notes
 * setback.c  a run that failed is set back, to be tried again
 * compensate.c  undoing what a run did, before it ends as failed or cancelled
 * bare.c     the short way for nodes that have nothing but dependencies
 * timers.c   what each timer does when it is due
 * ready.c    lines of ready tasks
 * limits.c   pools and rates        breaker.c  circuit breakers
 * why.c      explanations           retry.c    backoff and chance
 * failure.c  errors that were kept  states.c   names and transition tables
 */
#ifndef ORR_CORE_ENGINE_H
#define ORR_CORE_ENGINE_H

#include "core.h"
#include "timer.h"

/* ---- tasks ------------------------------------------------------------------------------------------------ */

/* What every task costs. Tasks 0..n_nodes-1 are the nodes; items of expanded nodes follow. */
typedef struct orr_cell {
    uint32_t pending;   /* edges whose source has not settled (nodes only) */
    uint32_t completed; /* dependencies that count as C (nodes only) */
    uint32_t next;      /* link in the one list the task stands in: touched, or a line of ready tasks */
    uint32_t more;      /* index of its orr_more, or ORR_NONE */
    uint16_t attempt;
    uint8_t state; /* orr_node_state */
    uint8_t flags;
} orr_cell;

enum {
    CELL_FAILED_DEP = 1,    /* a dependency counts as F */
    CELL_CANCELLED_DEP = 2, /* a dependency was cancelled */
    CELL_GATE_SHUT = 4,     /* of one switch no outcome it depends on was taken */
    CELL_EARLY = 8,         /* its join may be decided before all dependencies settled */
    CELL_TOUCHED = 16,      /* stands in the touched list */
    CELL_QUEUED = 32,       /* stands in a line */
    CELL_HANDLED = 64,      /* failed, and some dependent takes care of it */
    CELL_LIVE = 128         /* an attempt is under way: the caller owes an orr_task_end */
};

struct orr_pool;
struct orr_breaker;

/* An error kept by the engine; strings follow the struct in the same block. */
typedef struct orr_failure {
    orr_error error;
    size_t bytes; /* 0: static, not to be freed */
} orr_failure;

/* What only some tasks need: made when the first of these is. */
typedef struct orr_more {
    uint32_t iteration;
    uint32_t first_item, n_items, items_open, items_failed, items_cancelled; /* of an expanded node */
    uint32_t attempt_timer, beat_timer, deadline_timer, wake_timer, grace_timer; /* ORR_NONE or a timer */
    uint32_t act_task;  /* link in the list of actions (also of the free list of mores) */
    orr_run *act_run;
    int64_t due;        /* when a wait, a backoff or a delay ends; -1 = not by time */
    int64_t deadline;   /* absolute; 0 = none */
    int64_t since;      /* start of the attempt; of an expanded node, when its items became ready */
    uint64_t failed_seq; /* number of the record by which it failed; 0 = it has not */
    int64_t beat;       /* last sign of life */
    int64_t left;       /* of the attempt's timeout, while it waits; 0 = none was set */
    struct orr_pool *pool;
    struct orr_breaker *breaker; /* while a probe or an attempt is counted by it */
    uint32_t period;        /* of the breaker when the attempt began */
    orr_failure *failure;
    orr_failure *undo_failure; /* of the last attempt of its compensation */
    uint32_t undo_open;     /* of an expanded node: items that are to be undone and have not been */
    uint16_t undo_base;     /* the last attempt before those of the compensation, which count on from it */
    uint8_t was;            /* orr_node_state in which it settled, once it is compensated */
    bool uncertain;         /* its last attempt ended without telling what it did */
    uint32_t by;            /* the node because of which it was skipped or cancelled */
    uint8_t phase;          /* orr_phase of the current or next attempt */
    uint8_t cancel;         /* orr_cancel_reason */
    uint8_t skip;           /* orr_skip_reason */
    uint8_t crashes;        /* how often the process ended while the current attempt ran */
    uint16_t base;          /* attempts before the run was set back, which its retries do not count; of an expanded node,
                             * those of its items */
    uint16_t most;          /* the highest number that an attempt of an earlier iteration had */
    bool holds_pool;        /* has a place in `pool` */
    bool pool_known;        /* `pool` has been resolved */
    bool resuming;          /* ready again after a wait: goes on, does not start */
    bool probe;             /* its attempt is a probe of `breaker` */
    bool act_cancel, act_abandon;
    bool expanded;
    bool interrupted;           /* its attempt was cut off: the next start is that attempt again */
} orr_more;

/* ---- lines: FIFOs of ready tasks of one run, in five priorities -------------------------------------------- */

/* A run has one line for tasks without a pool, and one in each pool where it has tasks. Lines that are
 * not empty stand in the ring of their owner, which is read round-robin. */
typedef struct orr_line {
    orr_run *run;
    struct orr_pool *pool; /* NULL: the run's own line */
    struct orr_line *of_run; /* next line of the same run */
    uint32_t count;
    uint32_t head[ORR_PRIO_COUNT], tail[ORR_PRIO_COUNT];
    struct orr_line *next[ORR_PRIO_COUNT], *prev[ORR_PRIO_COUNT]; /* NULL: not in the ring */
} orr_line;

typedef struct orr_ring {
    orr_line *at[ORR_PRIO_COUNT]; /* whose turn it is */
} orr_ring;

/* ---- pools and breakers ---------------------------------------------------------------------------------- */

typedef struct orr_pool {
    char *name;
    uint32_t max, used, waiting;
    double rate, burst, tokens; /* tokens per second; 0 = no rate */
    int64_t refilled;
    uint32_t timer;   /* wakes it when a token is due */
    bool keyed;       /* made from the definition of its prefix; goes when idle */
    bool paused;
    orr_ring ring;
    orr_core *core;
    struct orr_pool *next, *prev; /* all pools */
} orr_pool;

typedef enum { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN } orr_breaker_state;

typedef struct orr_held {
    orr_run *run;
    uint32_t task;
} orr_held;

typedef struct orr_breaker {
    char *name;
    orr_breaker_options options;
    orr_breaker_state state;
    int64_t *failures; /* ring of `threshold` times */
    uint32_t n_failures, at_failure;
    uint32_t probing, passed;
    uint32_t period; /* how often it was half open */
    int64_t until;
    uint32_t timer;
    orr_held *held;
    uint32_t n_held, cap_held;
    orr_core *core;
    struct orr_breaker *next;
} orr_breaker;

/* ---- runs ---------------------------------------------------------------------------------------------------- */

typedef enum {
    MODE_OPEN,    /* business as usual */
    MODE_DRAIN,   /* what runs may finish; cleanup nodes run */
    MODE_STOP,    /* what runs is being cancelled; nothing starts */
    MODE_CLEANUP, /* cleanup nodes run */
    MODE_SKIP     /* nothing starts any more */
} orr_mode;

/* What the compensation whose turn it is does. */
typedef enum { UNDO_IDLE, UNDO_LIVE, UNDO_WAITS, UNDO_BACKOFF } orr_undo_step;

/* What would have to be undone, and how far that is (compensate.c). Only runs of plans with compensations have one. A fold
 * like all else, but for the last three fields. */
typedef struct orr_undo {
    uint32_t *tasks;  /* in the order of their ends */
    uint32_t n, cap;
    uint32_t left;    /* tasks[left - 1] is under way or next; it goes down to 0 */
    uint8_t step;     /* orr_undo_step of that task */
    bool on;          /* the run is compensating, or has been */
    bool closed;      /* there was nothing to undo and cleanup began: what ends from now on is cleanup */
    bool failed;      /* one could not be undone */
    bool due;         /* the task's turn has come: it is to start or to go on */
    bool queued;      /* the run stands in the core's list */
    orr_run *next;
} orr_undo;

/* What is known of an edge with a port or a `when`. */
typedef enum {
    EDGE_OPEN,     /* nothing yet */
    EDGE_FALSE,
    EDGE_TRUE,
    EDGE_BROKEN,   /* its `when` could not be evaluated */
    EDGE_PASSED_BY /* its outcome was not taken, so its `when` need not be asked; not yet recorded */
} orr_edge_state;

typedef struct orr_expansion {
    uint32_t first, count, node;
} orr_expansion;

struct orr_run {
    orr_core *core;
    orr_plan *plan;
    orr_cell *cells;
    uint32_t n_cells, cap_cells;
    orr_more **mores;      /* chunks, so that a pointer to one stays valid */
    uint32_t n_mores, cap_chunks, free_more;
    orr_expansion *expansions;
    uint32_t n_expansions, cap_expansions;
    uint32_t *layer_open;  /* nodes left in each layer; NULL where nobody listens */
    uint8_t *edge_done;    /* by edge: an orr_edge_state; NULL where no edge has a port or a `when` */
    orr_pool **policy_pool;       /* by policy; NULL where no policy has one */
    orr_breaker **policy_breaker;
    orr_undo *undo;        /* NULL where no policy has a compensation */
    uint32_t touched_head, touched_tail;
    uint32_t open;         /* nodes that have not settled */
    uint32_t live, live_cleanup; /* tasks whose end the caller owes */
    uint32_t queued, timed; /* tasks in lines; tasks that go on at a time or when woken */
    uint32_t running;      /* tasks that hold a slot */
    uint32_t concurrency;  /* 0 = no bound */
    orr_line line;
    orr_line *lines;       /* its lines in pools */
    uint64_t seq;
    uint8_t id[16];
    uint64_t seed;
    void *ud;
    uint8_t state;         /* orr_run_state as recorded: PENDING, RUNNING, or how it ended */
    uint8_t mode;          /* orr_mode */
    uint8_t cause;         /* orr_stop_cause */
    bool paused, failed, ended, deciding;
    bool has_cleanup;      /* some node has join `done` */
    bool illegal;          /* a transition was asked for that the table does not have */
    bool rebuilding;       /* it is what its journal says: nothing follows from that, and nobody is told */
    bool suspended;        /* the process left it in good order */
    bool adopted;          /* some of its nodes are another run's */
    uint8_t cancels;       /* how often somebody asked */
    uint32_t failure_node;
    orr_failure *failure;  /* of the run; NULL: that of failure_node */
    uint32_t timeout_timer, cleanup_timer;
    int64_t since, cleanup_since; /* from when its timeout counts, and that of its cleanup nodes */
    int64_t last_read;     /* time of the last record that was read back: none that is written is earlier */
    orr_run_stats stats;
    orr_run *next, *prev;  /* all runs */
    orr_run *end_next;     /* runs whose end has not been told */
};

struct orr_core {
    orr_alloc alloc;
    orr_hooks hooks;
    uint32_t listen;
    int64_t now, grace;
    uint32_t crash_limit;
    orr_timers timers;
    orr_ring ready;
    orr_run *runs;
    orr_run *end_head, *end_tail;
    orr_run *act_run;      /* first and last task with a cancel or abandon to tell */
    uint32_t act_task;
    orr_run *act_last_run;
    uint32_t act_last_task;
    orr_run *undo_head, *undo_tail; /* runs in which a compensation is to start or to go on */
    orr_pool *pools;
    uint32_t pools_waiting; /* pools with tasks in line */
    bool pools_stuck;       /* nothing in them could start, and nothing has changed since */
    orr_breaker *breakers;
    char text[256];         /* of the error that is being made */
};

enum { MORE_CHUNK = 64 };

enum { TIMER_ATTEMPT, TIMER_BEAT, TIMER_DEADLINE, TIMER_WAKE, TIMER_GRACE, TIMER_RUN, TIMER_CLEANUP, TIMER_POOL,
       TIMER_BREAKER };

/* The transition table of nodes (states.c): by state, the states that may follow as bits. */
extern const uint16_t orr_node_next[ORR_NODE_STATE_COUNT];

/* ---- small helpers ------------------------------------------------------------------------------------------- */

/* Most plans have one policy, and then which node has which is not read: that array would cost a cache miss a node. */
static inline const orr_policy *orr_policy_of(const orr_run *run, uint32_t node)
{
    const orr_plan *plan = run->plan;
    return plan->n_policies == 1 ? plan->policies : &plan->policies[plan->policy_of[node]];
}
static inline orr_more *orr_more_of(const orr_run *run, uint32_t t)
{
    uint32_t m = run->cells[t].more;
    return m == ORR_NONE ? NULL : &run->mores[m / MORE_CHUNK][m % MORE_CHUNK];
}
/* Whether it has ended as far as others are concerned: settled, or settled and being undone. */
/* Puts a node that is not there at the end of the list of touched nodes. */
static inline void orr_list_touched(orr_run *run, uint32_t node)
{
    run->cells[node].next = ORR_NONE;
    if (run->touched_head == ORR_NONE)
        run->touched_head = node;
    else
        run->cells[run->touched_tail].next = node;
    run->touched_tail = node;
}

static inline bool orr_is_over(const orr_run *run, uint32_t t)
{
    return run->cells[t].state >= ORR_NODE_COMPLETED;
}
/* Its state, or the one in which it settled before it was undone. */
static inline orr_node_state orr_settled_as(const orr_run *run, uint32_t t)
{
    uint8_t state = run->cells[t].state;
    return (orr_node_state)(state < ORR_NODE_COMPENSATING ? state : orr_more_of(run, t)->was);
}
/* So long after a time; a bound of centuries is none. */
static inline int64_t orr_after(int64_t time, int64_t ns)
{
    return time > 0 && ns > INT64_MAX - time ? INT64_MAX : time + ns;
}
static inline int64_t orr_from_now(const orr_core *core, int64_t ns)
{
    return orr_after(core->now, ns);
}
static inline bool orr_listens(const orr_core *core, orr_event_kind kind)
{
    return (core->listen & ORR_EV_BIT(kind)) != 0;
}

/* run.c */
void orr_locate(const orr_run *run, uint32_t t, uint32_t *node, uint32_t *item);
uint32_t orr_index(const orr_run *run, uint32_t node, uint32_t item); /* ORR_NONE when there is no such task */
orr_task orr_item_task(const orr_run *run, uint32_t t);
static inline orr_task orr_task_of(const orr_run *run, uint32_t t)
{
    if (t < run->plan->n_nodes && run->cells[t].more == ORR_NONE)
        return (orr_task){t, ORR_NONE, 0, run->cells[t].attempt};
    return orr_item_task(run, t);
}
static inline uint32_t orr_node_of(const orr_run *run, uint32_t t)
{
    uint32_t node, item;
    if (t < run->plan->n_nodes)
        return t;
    orr_locate(run, t, &node, &item);
    return node;
}
/* The attempts that do not count any more, since the run was set back. Items of a node that was expanded anew count on from
 * those it had before, so that no number comes twice. */
static inline uint32_t orr_base_of(const orr_run *run, uint32_t t)
{
    const orr_more *own = orr_more_of(run, t);
    const orr_more *of = t < run->plan->n_nodes ? NULL : orr_more_of(run, orr_node_of(run, t));
    uint32_t base = own != NULL ? own->base : 0;
    return of != NULL && of->base > base ? of->base : base;
}
orr_more *orr_need_more(orr_run *run, uint32_t t); /* NULL when out of memory */
void orr_init_more(orr_more *more);
uint8_t orr_first_flags(const orr_run *run, uint32_t node); /* of a cell of which nothing is known */
void orr_drop_more(orr_run *run, uint32_t t);
void orr_emit(orr_run *run, orr_event_kind kind, uint32_t t, const orr_event *fields); /* fields may be NULL */

/* fold.c: each writes one record and applies it */
void orr_put_ready(orr_run *run, uint32_t t);
void orr_put_started(orr_run *run, uint32_t t, orr_phase phase);
void orr_put_attempt_failed(orr_run *run, uint32_t t, orr_phase next, int64_t due, const orr_error *error);
void orr_put_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value, orr_source source);
void orr_put_failed(orr_run *run, uint32_t t, const orr_error *error);
void orr_put_skipped(orr_run *run, uint32_t t, orr_skip_reason reason, uint32_t by);
void orr_put_cancelled(orr_run *run, uint32_t t);
orr_status orr_put_expanded(orr_run *run, uint32_t t, uint32_t items, uint64_t value);
void orr_put_iterated(orr_run *run, uint32_t t, int64_t due, uint64_t value);
void orr_put_waiting(orr_run *run, uint32_t t, int64_t due);
void orr_put_held(orr_run *run, uint32_t t);
void orr_put_woken(orr_run *run, uint32_t t, orr_node_state to); /* ready, or running: it goes on */
void orr_put_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth);
void orr_put_run(orr_run *run, orr_record_kind kind, uint8_t reason, const orr_error *error);
void orr_put_interrupted(orr_run *run, uint32_t t, bool counts); /* its orr_more must be there */
void orr_put_note(orr_run *run, orr_record_kind kind, uint32_t t, int64_t due, uint64_t value);
void orr_put_compensated(orr_run *run, uint32_t t, uint64_t value);
void orr_put_compensation_failed(orr_run *run, uint32_t t, const orr_error *error);
/* fits.c: whether a record can follow, about a task or about the run */
bool orr_record_fits(const orr_run *run, uint32_t t, const orr_record *r);
bool orr_run_record_fits(const orr_run *run, const orr_record *r);
bool orr_room(orr_run *run, uint32_t items); /* room for so many more cells */

/* dependents.c */
void orr_touch(orr_run *run, uint32_t node); /* its dependencies changed: orr_decide looks at it */
/* A pending node is to fail whatever comes: keeps the error until orr_consider sees it. False when out of memory. */
bool orr_doom(orr_run *run, uint32_t node, const orr_error *error);
void orr_tell_settled(orr_run *run, uint32_t node, uint16_t port); /* it has just settled, with that outcome */
void orr_apply_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth); /* it was asked */
void orr_recount(orr_run *run, uint32_t node); /* its dependencies that have settled, of a cell that was set back */

/* bare.c: the short way */
bool orr_bare(const orr_run *run); /* whether it may be gone, by nodes without an orr_more */
void orr_bare_start(orr_run *run, uint32_t t, orr_action *action);
void orr_bare_end(orr_run *run, uint32_t t);

/* join.c */
typedef enum { VERDICT_WAIT, VERDICT_RUN, VERDICT_SKIP, VERDICT_GATE } orr_verdict;
orr_verdict orr_join_verdict(const orr_run *run, uint32_t node, uint32_t *by);
char orr_outcome_at(const orr_run *run, uint32_t node);
bool orr_is_handled(const orr_run *run, uint32_t node);
bool orr_join_reachable(const orr_run *run, uint32_t node); /* of `any` and `need`: has it, or can it still have, enough */
bool orr_gate_shut(const orr_run *run, uint32_t from, uint32_t to, uint16_t port); /* none taken, none to be asked */
bool orr_first_of_source(const orr_plan *plan, uint32_t node, uint32_t k);
uint32_t orr_dependencies(const orr_run *run, uint32_t node); /* distinct ones */

/* core.c */
uint32_t orr_current(const orr_run *run, const orr_task *task); /* the task whose live attempt this is, or ORR_NONE */

/* recover.c */
void orr_first_failure(orr_run *run); /* finds which failures are taken care of, and the first that is not */

/* setback.c */
orr_status orr_prepare_retry(orr_run *run); /* marks what is set back, and takes the memory. ORR_ENOMEM, ORR_ESTATE */
void orr_apply_retried(orr_run *run, int64_t now); /* after it was prepared */

/* timers.c */
void orr_timer_off(orr_core *core, uint32_t *timer);
bool orr_timer_on(orr_core *core, uint32_t *timer, int64_t time, void *owner, uint32_t task, uint8_t kind);
void orr_clear_timers(orr_run *run, uint32_t t);
void orr_fire(orr_core *core, const orr_timer *timer);
bool orr_wind_timers(orr_run *run, uint32_t t, int64_t timeout, int64_t heartbeat);
/* Attempt timeout and heartbeat; a node without them owns no timer. False when out of memory. */
static inline bool orr_wind_attempt(orr_run *run, uint32_t t, const orr_policy *policy, int64_t timeout)
{
    return (timeout | policy->heartbeat) == 0 || orr_wind_timers(run, t, timeout, policy->heartbeat);
}

/* decide.c: what follows */
void orr_decide(orr_run *run);
void orr_consider(orr_run *run, uint32_t node);
void orr_make_ready(orr_run *run, uint32_t t);
void orr_line_up(orr_run *run, uint32_t t); /* a ready task goes into its line */
void orr_wake(orr_run *run, uint32_t t);
void orr_cancel_rest(orr_run *run, uint32_t node); /* dependencies of a node that could do without them */
void orr_run_check_end(orr_run *run);
orr_run_state orr_end_state(const orr_run *run); /* how it would end now, but for compensation */

/* settle.c: how tasks end */
void orr_retry_or_fail(orr_run *run, uint32_t t, const orr_error *error);     /* another attempt, the fallback, or the end */
void orr_give_up(orr_run *run, uint32_t t, const orr_error *error);  /* the fallback, or the end */
void orr_end_failed(orr_run *run, uint32_t t, const orr_error *error);
void orr_end_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value, orr_source source);
void orr_end_skipped(orr_run *run, uint32_t t, orr_skip_reason reason, uint32_t by);
void orr_end_cancelled(orr_run *run, uint32_t t);
void orr_recheck_failures(orr_run *run, uint32_t node);
void orr_ask_edges(orr_run *run, uint32_t node); /* those with a `when`, once it has settled */
void orr_check_items(orr_run *run, uint32_t node); /* what follows where an item has ended */
void orr_end_attempt(orr_run *run, uint32_t t, const orr_result *result);
void orr_release(orr_run *run, uint32_t t); /* its place in a pool */

/* stop.c */
void orr_stop(orr_run *run, orr_stop_cause cause, const orr_error *error);
void orr_unhandled(orr_run *run, uint32_t node);
void orr_cancel_task(orr_run *run, uint32_t t, orr_cancel_reason reason);
void orr_cancel_live(orr_run *run, uint32_t t, orr_cancel_reason reason);
void orr_skip_cleanup(orr_run *run, orr_cancel_reason reason);
void orr_stop_progress(orr_run *run);
void orr_stop_again(orr_run *run); /* goes on with a stop that a recovered run was in */
void orr_stalled(orr_run *run);
void orr_abandon(orr_run *run, uint32_t t);
bool orr_is_cleanup(const orr_run *run, uint32_t t);

/* compensate.c: undoing */
bool orr_undo_make(orr_run *run); /* where the plan has compensations; false when out of memory */
void orr_undo_free(orr_run *run);
bool orr_undo_room(orr_run *run, uint32_t tasks);   /* room for so many in all */
void orr_undo_note(orr_run *run, uint32_t t);       /* it ended and may have to be undone */
void orr_undo_begin(orr_run *run);                  /* of what was noted only what is to be undone is kept */
void orr_undo_retried(orr_run *run);                /* forgets what is no longer settled and takes notes again */
bool orr_undo_any(const orr_run *run);              /* whether anything is to be undone */
uint32_t orr_undo_task(const orr_run *run);         /* whose turn it is, or ORR_NONE */
bool orr_compensate_progress(orr_run *run, bool may_begin); /* the next one, if any; false when nothing is to be undone */
void orr_compensate_call(orr_run *run);             /* what it waited for has come */
void orr_compensate_turn(orr_core *core, orr_action *action);
void orr_compensate_end(orr_run *run, uint32_t t, const orr_result *result);
void orr_compensate_lost(orr_run *run, uint32_t t, const orr_error *error); /* fails, whatever retries are left */
bool orr_compensate_rearm(orr_run *run); /* of a run that goes on after a restart; false when out of memory */
static inline bool orr_compensating(const orr_run *run)
{
    return run->undo != NULL && run->undo->on && !run->ended;
}

/* ready.c */
void orr_line_init(orr_line *line, orr_run *run, orr_pool *pool);
void orr_line_push(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t);
uint32_t orr_line_pop(orr_ring *ring, orr_line *line, orr_priority p);
void orr_line_remove(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t);
void orr_line_leave(orr_ring *ring, orr_line *line); /* out of the ring at every priority */
void orr_line_join(orr_ring *ring, orr_line *line);  /* back into it where it has tasks */
orr_line *orr_ring_pick(orr_ring *ring, orr_priority p);
void orr_ring_turn(orr_ring *ring, orr_line *line, orr_priority p);
bool orr_enqueue(orr_run *run, uint32_t t);
void orr_dequeue(orr_run *run, uint32_t t);
bool orr_run_may_start(const orr_run *run);
void orr_run_gate(orr_run *run); /* puts its own line into the ring or takes it out, as it may start */

/* limits.c */
orr_pool *orr_pool_get(orr_core *core, const char *name, bool *nomem); /* makes a keyed one; NULL = unknown */
bool orr_pool_resolve(orr_run *run, uint32_t t, orr_error *error); /* sets more->pool where there is one */
bool orr_pool_free_place(const orr_pool *pool);
bool orr_pool_token(orr_pool *pool, int64_t *due); /* whether a token is there; otherwise when */
void orr_pool_take(orr_pool *pool, bool token);
void orr_pool_give(orr_pool *pool);
void orr_pool_idle(orr_pool *pool); /* frees a keyed pool that nobody uses */
orr_line *orr_pool_line(orr_pool *pool, orr_run *run); /* NULL when out of memory */
void orr_pool_fired(orr_pool *pool);
bool orr_pool_arm(orr_pool *pool, int64_t due);
void orr_pool_destroy(orr_pool *pool);
bool orr_needs_pool(const orr_run *run, uint32_t t);

/* breaker.c */
typedef enum { PASS_YES, PASS_PROBE, PASS_NO } orr_pass;
orr_pass orr_breaker_ask(const orr_breaker *b);
bool orr_breaker_hold(orr_breaker *b, orr_run *run, uint32_t t);
void orr_breaker_unhold(orr_breaker *b, const orr_run *run); /* its tasks, when it goes */
void orr_breaker_enter(orr_run *run, uint32_t t, orr_breaker *b, bool probe);
void orr_breaker_report(orr_run *run, uint32_t t, orr_end end, const orr_error *error);
void orr_breaker_fired(orr_breaker *b);
void orr_breaker_destroy(orr_breaker *b);
orr_breaker *orr_breaker_get(orr_core *core, const char *name);
static inline orr_breaker *orr_breaker_of(const orr_run *run, uint32_t node)
{
    return run->policy_breaker ? run->policy_breaker[run->plan->policy_of[node]] : NULL;
}

/* failure.c */
extern const orr_error orr_no_memory;
orr_failure *orr_failure_new(orr_core *core, const orr_error *error); /* never NULL: a static one when out of memory */
void orr_failure_free(orr_core *core, orr_failure *failure);
orr_failure *orr_failure_join(orr_core *core, const orr_error *first, const orr_error *second);

/* retry.c */
uint32_t orr_tries(const orr_run *run, uint32_t t); /* attempts that count against its retries */
int64_t orr_retry_wait(const orr_retry *retry, uint64_t seed, const orr_task *task, uint32_t tries);
bool orr_retry_wants(const orr_retry *retry, uint32_t attempt, const orr_error *error);

/* why.c */
bool orr_start_gate(const orr_run *run, uint32_t t, orr_why *why); /* whether a ready task may start now, and why not */
void orr_why_text(const orr_run *run, uint32_t node, char *buffer, size_t size);

#endif
