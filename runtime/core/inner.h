/* inner.h - what the files of the core share. No file of another room includes it.
 *
 * core.c     the core itself: time, actions, what starts next
 * begin.c    a run begins, at once or when it is let
 * run.c      making, freeing and asking a run
 * run_clock.c  the time of a run, and its clock, which a pause stops
 * fold.c     state as a fold over records: the only file that changes a node's state
 * dependents.c  what the end of a node means to those that depend on it
 * fits.c     which records such a fold refuses
 * join.c     the join table, outcome gates, handled failures
 * decide.c   what follows from a change: ready, skipped, the end
 * settle.c   how attempts and tasks end: retried, replaced by a fallback, failed, completed
 * cancel.c   cancelling a run         pause.c    pausing it
 * stop.c     stopping, cancelling tasks, cleaning up, stalling
 * recover.c  a run that is rebuilt from its journal goes on; suspending, adopting, notes
 * setback.c  a run that failed is set back, to be tried again
 * compensate.c  undoing what a run did, before it ends as failed or cancelled
 * fast_path.c  the fast path for nodes that have nothing but dependencies
 * early.c    which record a start waits for
 * timers.c   what each timer does when it is due
 * ready.c    lines of ready tasks     rank.c  those in the order of longest remaining paths
 * limits.c   pools and rates        breaker.c  circuit breakers
 * deadlock.c  tasks that wait for a place which never comes free
 * why.c      explanations           retry_delay.c  backoff, chance
 * failure.c  errors that were kept  states.c   names and transition tables
 * timer.c    the heap of timers     alloc.c    memory
 * trace.c, reason.c, status.c  lines of a trace, reasons, a status in words
 * check.c, check_*.c  prove that all of it agrees with itself (check.h)
 */
#ifndef ORR_CORE_INNER_H
#define ORR_CORE_INNER_H

#include "core/core.h"
#include "core/timer.h"

/* ---- tasks ----------------------------------------------------------------------------------- */

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
    /* a dependency counts as F or U; of a node that was skipped: it counts as U itself */
    CELL_FAILED_DEP = 1,
    CELL_CANCELLED_DEP = 2, /* a dependency was cancelled */
    CELL_GATE_SHUT = 4,     /* of one switch no outcome it depends on was taken */
    CELL_EARLY = 8,         /* its join may be decided before all dependencies settled */
    CELL_TOUCHED = 16,      /* stands in the touched list */
    CELL_QUEUED = 32,       /* stands in a line */
    CELL_HANDLED = 64,      /* failed, and there is a candidate (orr_candidate) */
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
    union {
        struct { /* of an expanded node */
            uint32_t first_item, n_items, items_open, items_failed, items_cancelled;
            /* with `each_parallel`: items without a place, and where to look for the first */
            uint32_t items_idle, idle_at;
        };
        /* of what is attempted, with a list of retry policies: attempts of this iteration, or of
         * the compensation, that failed, by policy */
        uint16_t tries[ORR_RETRY_POLICIES];
    };
    uint32_t attempt_timer, beat_timer, deadline_timer, wake_timer, grace_timer; /* ORR_NONE or a timer */
    uint32_t act_task; /* link in the list of actions (also of the free list of mores) */
    orr_run *act_run;
    int64_t due;      /* when a wait, a backoff or a delay ends, by the run's clock; -1 = not by time */
    int64_t deadline; /* by the run's clock; 0 = none */
    /* start of the attempt, in the run's time; of an expanded node, when its items became ready, by
     * the run's clock */
    int64_t since;
    uint64_t failed_seq; /* number of the record by which it failed; 0 = it has not */
    uint64_t lined;      /* number of the last record when it went into its line; 0 = it has not */
    int64_t beat;        /* last sign of life, by the run's clock */
    /* of the attempt's timeout, while it waits or the run's clock stands still; 0 = none was set */
    int64_t left;
    struct orr_pool *pool;
    struct orr_breaker *breaker; /* while a probe or an attempt is counted by it */
    uint32_t period;             /* of the breaker when the attempt began */
    /* attempts before the run was set back, which its retries do not count; of an expanded node,
     * those of its items */
    uint16_t base;
    uint16_t most; /* the highest number that an attempt of an earlier iteration had */
    orr_failure *failure;
    orr_failure *undo_failure; /* of the last attempt of its compensation */
    uint32_t undo_open;        /* of an expanded node: items that are to be undone and have not been */
    uint32_t by;               /* the node because of which it was skipped or cancelled */
    uint32_t care; /* of a failure that is handled: the edge to its candidate, from out_first on */
    /* the last attempt before those of the compensation, which count on from it */
    uint16_t undo_base;
    uint8_t was;     /* orr_node_state in which it settled, once it is compensated */
    uint8_t phase;   /* orr_phase of the current or next attempt */
    uint8_t cancel;  /* orr_cancel_reason */
    uint8_t skip;    /* orr_skip_reason */
    uint8_t crashes; /* how often the process ended while the current attempt ran */
    /* its last attempt ended, and nobody knows what it did */
    bool uncertain : 1;
    bool holds_pool : 1; /* has a place in `pool` */
    /* held its place before a restart, and others had taken it when it came back: has the next */
    bool owed : 1;
    bool rests : 1;      /* of a wait: it is for the ends of runs, and for nothing else (orr_task_await) */
    bool pool_known : 1; /* `pool` has been resolved */
    bool resuming : 1;   /* ready again after a wait: goes on, does not start */
    bool probe : 1;      /* its attempt is a probe of `breaker` */
    bool act_cancel : 1, act_abandon : 1;
    bool expanded : 1;
    bool begun : 1;       /* of an expanded node: an attempt of an item has started */
    bool filling : 1;     /* its items are being given places */
    bool interrupted : 1; /* its attempt was cut off: the next start is that attempt again */
} orr_more;

/* ---- lines of ready tasks of one run, in five priorities ------------------------------------- */

/* The place of a task in the heap of its line, for plans with estimates; see rank.c. */
typedef struct orr_rank_link {
    uint32_t child, before;
} orr_rank_link;

/* A run has one line for tasks without a pool, and two in each pool where it has tasks: of those
 * that want a place, and of those that kept theirs. Lines that are not empty stand in a ring of
 * their owner, which is read round-robin. */
typedef struct orr_line {
    orr_run *run;
    struct orr_pool *pool;   /* NULL: the run's own line */
    bool kept;               /* of tasks that have their place in the pool */
    struct orr_line *of_run; /* next line of the same run */
    uint32_t count;
    /* the first and the last of a list; the first alone where the plan has ranks */
    uint32_t head[ORR_PRIO_COUNT], tail[ORR_PRIO_COUNT];
    struct orr_line *next[ORR_PRIO_COUNT], *prev[ORR_PRIO_COUNT]; /* NULL: not in the ring */
} orr_line;

typedef struct orr_ring {
    orr_line *at[ORR_PRIO_COUNT]; /* whose turn it is */
} orr_ring;

/* ---- pools and breakers ---------------------------------------------------------------------- */

typedef struct orr_pool {
    char *name;
    uint32_t max, used, waiting;
    uint32_t held; /* places of tasks that keep them until they have settled */
    uint32_t owed; /* tasks that are to have a place before others; where there are any none is free */
    double rate, burst, tokens; /* tokens per second; 0 = no rate */
    int64_t refilled;
    uint32_t timer; /* wakes it when a token is due */
    bool keyed;     /* made from the definition of its prefix; goes when idle */
    bool paused;
    orr_ring ring, kept;
    orr_core *core;
    struct orr_pool *next, *prev; /* all pools */
    /* of the last search for a deadlock */
    bool suspect;       /* no place of it may come free */
    uint32_t stuck;     /* places of tasks that never go on */
    orr_run *stuck_for; /* the run that the last of these waits for */
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

/* ---- runs ------------------------------------------------------------------------------------ */

typedef enum {
    MODE_OPEN,    /* business as usual */
    MODE_DRAIN,   /* what runs may finish; cleanup nodes run */
    MODE_STOP,    /* what runs is being cancelled; nothing starts */
    MODE_CLEANUP, /* cleanup nodes run */
    MODE_SKIP     /* nothing starts any more */
} orr_mode;

/* What the compensation whose turn it is does. */
typedef enum { UNDO_IDLE, UNDO_LIVE, UNDO_WAITS, UNDO_BACKOFF } orr_undo_step;

/* What would have to be undone, and how far that is (compensate.c). Only runs of plans with
 * compensations have one. A fold like all else, but for the last three fields. */
typedef struct orr_undo {
    uint32_t *tasks; /* in the order of their ends */
    uint32_t n, cap;
    uint32_t left; /* tasks[left - 1] is under way or next; it goes down to 0 */
    uint8_t step;  /* orr_undo_step of that task */
    bool on;       /* the run is compensating, or has been */
    bool closed;   /* there was nothing to undo and cleanup began: what ends from now on is cleanup */
    bool failed;   /* one could not be undone */
    bool due;      /* the task's turn has come: it is to start or to go on */
    bool queued;   /* the run stands in the core's list */
    orr_run *next;
} orr_undo;

/* What is known of an edge with a port or a `when`. */
typedef enum {
    EDGE_OPEN, /* nothing yet */
    EDGE_FALSE,
    EDGE_TRUE,
    EDGE_BROKEN,   /* its `when` could not be evaluated */
    EDGE_PASSED_BY /* its outcome was not taken, so its `when` need not be asked; not yet recorded */
} orr_edge_state;

typedef struct orr_expansion {
    uint32_t first, count, node;
} orr_expansion;

/* What the last search for a deadlock that came to a run found out. */
typedef struct orr_stuck {
    uint64_t search;
    uint32_t tasks; /* of it that never go on */
    bool followed;  /* it never ends, and what waits for it has been looked at */
    /* the pool that the last of these tasks wants a place of, or the run that it waits for */
    orr_pool *pool;
    orr_run *child;
    orr_run *next; /* in the list of runs that are to be followed */
} orr_stuck;

struct orr_run {
    orr_core *core;
    orr_plan *plan;
    orr_cell *cells;
    uint32_t n_cells, cap_cells;
    orr_rank_link *links; /* by task; NULL where the plan has no ranks */
    uint32_t cap_links;   /* at least as many as there are cells */
    orr_more **mores;     /* chunks, so that a pointer to one stays valid */
    uint32_t n_mores, cap_chunks, free_more;
    orr_expansion *expansions;
    uint32_t n_expansions, cap_expansions;
    uint32_t *layer_open;   /* nodes left in each layer; NULL where nobody listens */
    uint8_t *edge_done;     /* by edge: an orr_edge_state; NULL where no edge has a port or a `when` */
    orr_pool **policy_pool; /* by policy; NULL where no policy has one */
    orr_breaker **policy_breaker;
    orr_undo *undo; /* NULL where no policy has a compensation */
    uint32_t touched_head, touched_tail;
    uint32_t open;               /* nodes that have not settled */
    uint32_t live, live_cleanup; /* tasks whose end the caller owes */
    uint32_t queued, timed;      /* tasks in lines; tasks that go on at a time or when woken */
    uint32_t running;            /* tasks that hold a slot */
    uint32_t concurrency;        /* 0 = no bound */
    orr_line line;
    orr_line *lines; /* its lines in pools */
    uint64_t seq;
    uint64_t lined; /* number of the last record when a task last went into a line */
    /* number of the last record of what attempts did not do themselves */
    uint64_t decided;
    uint8_t id[16];
    uint64_t seed;
    void *ud;
    uint8_t state; /* orr_run_state as recorded: PENDING, RUNNING, or how it ended */
    uint8_t mode;  /* orr_mode */
    uint8_t cause; /* orr_stop_cause */
    bool paused, failed, ended, deciding;
    bool has_cleanup;   /* some node is a cleanup node */
    bool illegal;       /* an invariant was broken: it is to fail with internal_error */
    const char *broken; /* place and sentence of the first such */
    /* it is being read from its journal: nothing is decided, and nobody is notified */
    bool rebuilding;
    bool rebuilt;       /* it was read from its journal, and goes on */
    bool waits;         /* it has not been let begin */
    bool suspended;     /* the process left it in good order */
    bool adopted;       /* some of its nodes are another run's */
    uint8_t cancels;    /* how often somebody asked */
    uint8_t more_shift; /* a chunk of `mores` is 1 << more_shift of them: 2 to 64, about its nodes */
    uint32_t failure_node;
    orr_failure *failure; /* of the run; NULL: that of failure_node */
    uint32_t timeout_timer, cleanup_timer;
    /* from when its timeout counts, and that of its cleanup nodes, by its clock */
    int64_t since, cleanup_since;
    int64_t skew;        /* how far its time is ahead of the core's; never negative (run_clock.c) */
    int64_t stood;       /* how long its clock has stood still in pauses that are over */
    int64_t still_since; /* in its time; where `still` */
    bool still;          /* its clock stands still */
    orr_run_stats stats;
    orr_run *awaited_by; /* whose task waits for its end, see orr_run_awaited; or NULL */
    orr_task awaited_task;
    orr_run *awaits; /* the first run for which a task of it waits */
    orr_run *awaited_next, *awaited_prev;
    orr_stuck stuck;
    orr_run *next, *prev; /* all runs */
    orr_run *end_next;    /* runs whose end has not been reported */
};

struct orr_core {
    orr_alloc alloc;
    orr_hooks hooks;
    uint32_t listen;
    int64_t now, grace;
    uint32_t crash_limit;
    orr_timers timers;
    bool timer_lost; /* there was no memory for one: what should have it may lack it */
    orr_ring ready;
    orr_run *runs;
    orr_run *end_head, *end_tail;
    orr_run *act_run; /* first and last task with a cancel or abandon to hand out */
    uint32_t act_task;
    orr_run *act_last_run;
    uint32_t act_last_task;
    orr_run *undo_head, *undo_tail; /* runs in which a compensation is to start or to go on */
    orr_pool *pools;
    uint32_t pools_waiting; /* pools with tasks in line */
    bool pools_stuck;       /* nothing in them could start, and nothing has changed since */
    uint64_t searches;      /* for deadlocks */
    orr_breaker *breakers;
    char text[256]; /* of the error that is being made */
#ifdef ORR_CHECK
    uint64_t unchecked; /* calls since the last proof */
#endif
};

/* The last thing that each public function does which changes something. Builds with ORR_CHECK
 * (those of the sanitizers) prove the core here, and abort with the sentence. A large core is
 * proven only every so many calls, so that no call pays for the whole graph. */
#ifdef ORR_CHECK
void orr_check_call(orr_core *core);
#define ORR_CHECKED(core) orr_check_call(core)
#else
#define ORR_CHECKED(core) ((void)0)
#endif

enum {
    TIMER_ATTEMPT,
    TIMER_BEAT,
    TIMER_DEADLINE,
    TIMER_WAKE,
    TIMER_GRACE,
    TIMER_RUN,
    TIMER_CLEANUP,
    TIMER_POOL,
    TIMER_BREAKER
};

/* The transition table of nodes (states.c): by state, the states that may follow as bits. */
extern const uint16_t orr_node_next[ORR_NODE_STATE_COUNT];

/* ---- small helpers --------------------------------------------------------------------------- */

/* Most plans have one policy, and then which node has which is not read: that array would cost a
 * cache miss a node. */
static inline const orr_policy *orr_policy_of(const orr_run *run, uint32_t node) {
    const orr_plan *plan = run->plan;
    return plan->n_policies == 1 ? plan->policies : &plan->policies[plan->policy_of[node]];
}
static inline uint32_t orr_more_chunk(const orr_run *run) {
    return UINT32_C(1) << run->more_shift;
}
static inline orr_more *orr_more_at(const orr_run *run, uint32_t m) {
    return &run->mores[m >> run->more_shift][m & (orr_more_chunk(run) - 1)];
}
static inline orr_more *orr_more_of(const orr_run *run, uint32_t t) {
    uint32_t m = run->cells[t].more;
    return m == ORR_NONE ? NULL : orr_more_at(run, m);
}
/* Puts a node that is not there at the end of the list of touched nodes. */
static inline void orr_list_touched(orr_run *run, uint32_t node) {
    run->cells[node].next = ORR_NONE;
    if (run->touched_head == ORR_NONE) run->touched_head = node;
    else run->cells[run->touched_tail].next = node;
    run->touched_tail = node;
}

/* A cleanup node runs after a stop, too. */
static inline bool orr_cleans_up(const orr_policy *policy) {
    return policy->join == ORR_JOIN_DONE || policy->watches;
}

/* Whether it has ended as far as others are concerned: settled, or settled and being undone. */
static inline bool orr_is_over(const orr_run *run, uint32_t t) {
    return run->cells[t].state >= ORR_NODE_COMPLETED;
}
/* Its state, or the one in which it settled before it was undone. */
static inline orr_node_state orr_settled_as(const orr_run *run, uint32_t t) {
    uint8_t state = run->cells[t].state;
    return (orr_node_state)(state < ORR_NODE_COMPENSATING ? state : orr_more_of(run, t)->was);
}
/* The time `ns` after `time`; INT64_MAX, which never comes, where that is beyond its range. For
 * what bounds something. */
static inline int64_t orr_after(int64_t time, int64_t ns) {
    return time > 0 && ns > INT64_MAX - time ? INT64_MAX : time + ns;
}
/* The time `ns` after `time`, or the last one that comes (in the year 2262). For what goes on
 * then. */
static inline int64_t orr_wake_after(int64_t time, int64_t ns) {
    int64_t due = orr_after(time, ns);
    return due == INT64_MAX ? INT64_MAX - 1 : due;
}
static inline bool orr_listens(const orr_core *core, orr_event_kind kind) {
    return (core->listen & ORR_EV_BIT(kind)) != 0;
}

/* An invariant. Builds with ORR_CHECK abort where it is broken. All others keep the first report
 * and finish the call; then the run fails with `internal_error`, for a fault of ours must not end
 * the process that we are a guest in. `what` is a literal. */
#define ORR_TEXT_OF(x) #x
#define ORR_TEXT(x) ORR_TEXT_OF(x)
#define ORR_INVARIANT(run, fact, what)                                                                       \
    (__builtin_expect(!(fact), 0) ? orr_broken(run, what " (" __FILE__ ":" ORR_TEXT(__LINE__) ")") : (void)0)

/* failure.c */
void orr_broken(orr_run *run, const char *what);

/* run.c */
void orr_locate(const orr_run *run, uint32_t t, uint32_t *node, uint32_t *item);
/* ORR_NONE when there is no such task */
uint32_t orr_index(const orr_run *run, uint32_t node, uint32_t item);
orr_task orr_item_task(const orr_run *run, uint32_t t);
static inline orr_task orr_task_of(const orr_run *run, uint32_t t) {
    if (t < run->plan->n_nodes && run->cells[t].more == ORR_NONE)
        return (orr_task){t, ORR_NONE, 0, run->cells[t].attempt};
    return orr_item_task(run, t);
}
static inline uint32_t orr_node_of(const orr_run *run, uint32_t t) {
    uint32_t node, item;
    if (t < run->plan->n_nodes) return t;
    orr_locate(run, t, &node, &item);
    return node;
}
/* The attempts that do not count any more, since the run was set back. Items of a node that was
 * expanded anew count on from those it had before, so that no number comes twice. */
static inline uint32_t orr_base_of(const orr_run *run, uint32_t t) {
    const orr_more *own = orr_more_of(run, t);
    const orr_more *of = t < run->plan->n_nodes ? NULL : orr_more_of(run, orr_node_of(run, t));
    uint32_t base = own != NULL ? own->base : 0;
    return of != NULL && of->base > base ? of->base : base;
}
orr_more *orr_need_more(orr_run *run, uint32_t t); /* NULL when out of memory */
void orr_init_more(orr_more *more);
uint8_t orr_first_flags(const orr_run *run, uint32_t node); /* of a cell of which nothing is known */
void orr_drop_more(orr_run *run, uint32_t t);
/* fields may be NULL */
void orr_emit(orr_run *run, orr_event_kind kind, uint32_t t, const orr_event *fields);

/* run_clock.c */
/* what the run's clock shows at that time of the run */
int64_t orr_clock_at(const orr_run *run, int64_t time);
/* A due time by its clock as people see it, and by the core's time, if the run went on now. */
int64_t orr_shown_due(const orr_run *run, int64_t due);
int64_t orr_core_due(const orr_run *run, int64_t due);
/* a record of that time was applied: its clock stands still from then on, or goes on */
void orr_clock_follow(orr_run *run, int64_t time);
void orr_clock_read(orr_run *run, int64_t time); /* a record of that time was read */
void orr_clock_turned(orr_run *run);             /* it stands still, or goes on: so do its timers */
/* sets a timer for a time of its clock; false when out of memory */
bool orr_run_timer(orr_run *run, uint32_t *timer, int64_t due, uint32_t t, uint8_t kind);
static inline int64_t orr_run_now(const orr_run *run) {
    return orr_run_clock(run, run->core->now);
}

/* fold.c: each writes one record and applies it */
void orr_put_ready(orr_run *run, uint32_t t);
void orr_put_started(orr_run *run, uint32_t t, orr_phase phase);
/* `policy`: the number of the retry policy that decided, from 1 on, where there are several; else
 * 0 */
void orr_put_attempt_failed(orr_run *run, uint32_t t, orr_phase next, int64_t due, const orr_error *error,
                            uint32_t policy);
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
/* A pending node is to fail whatever comes: keeps the error until orr_consider sees it. False
 * when out of memory. */
bool orr_mark_to_fail(orr_run *run, uint32_t node, const orr_error *error);
/* it has just settled, with that outcome */
void orr_notify_dependents(orr_run *run, uint32_t node, uint16_t port);
/* its `when` has been answered */
void orr_apply_edge(orr_run *run, uint32_t from, uint32_t to, uint32_t edge, bool truth);
/* counts anew the settled dependencies of a cell that was set back */
void orr_recount(orr_run *run, uint32_t node);

/* fast_path.c */
bool orr_takes_fast_path(const orr_run *run); /* whether nodes without an orr_more may take it */
void orr_fast_path_start(orr_run *run, uint32_t t, orr_action *action);
void orr_fast_path_end(orr_run *run, uint32_t t);

/* early.c */
void orr_early_lined(orr_run *run, uint32_t t); /* it goes into a line */
/* the record that the start waits for which has just been recorded */
uint64_t orr_early_seq(const orr_run *run, uint32_t t, const orr_policy *policy);

/* join.c */
typedef enum { VERDICT_WAIT, VERDICT_RUN, VERDICT_SKIP } orr_verdict;
orr_verdict orr_join_verdict(const orr_run *run, uint32_t node);
/* why a node is skipped that its join or a gate does not let run; *by: because of whom */
orr_skip_reason orr_skip_because(const orr_run *run, uint32_t node, uint32_t *by);
/* as orr_run_outcome */
char orr_outcome_at(const orr_run *run, uint32_t node);
/* what a dependency counts as over an outcome edge, once its source has settled */
char orr_port_outcome(const orr_run *run, uint32_t from, bool taken);
/* The first of the edges out_first + k, ... of a failed node that leads to a candidate: a dependent
 * that handles its failure, or still may. UINT32_MAX where there is none. An edge that led to none
 * never does again, unless the run is set back. */
uint32_t orr_candidate(const orr_run *run, uint32_t node, uint32_t k);
/* of `any` and `need`: has it, or can it still have, enough */
bool orr_join_reachable(const orr_run *run, uint32_t node);
/* none taken, none to be asked */
bool orr_gate_shut(const orr_run *run, uint32_t from, uint32_t to);
bool orr_first_of_source(const orr_plan *plan, uint32_t node, uint32_t k);
uint32_t orr_dependencies(const orr_run *run, uint32_t node); /* distinct ones */

/* core.c */
/* the task whose live attempt this is, or ORR_NONE */
uint32_t orr_current(const orr_run *run, const orr_task *task);

/* recover.c */
/* finds which failures are handled, and the first that is not */
void orr_first_failure(orr_run *run);
/* whether the failure of a failed node has a candidate; marks it accordingly */
bool orr_find_candidate(orr_run *run, uint32_t node);
/* whether `a` failed before `b`, which may be ORR_NONE */
bool orr_failed_before(const orr_run *run, uint32_t a, uint32_t b);

/* begin.c */
/* A run that waits is to end: without having begun it cleans nothing up. */
void orr_refuse(orr_run *run, const orr_error *why);

/* recover.c */
/* memory for all that a run needs to go on; false where there is none */
bool orr_reserve(orr_run *run);
/* a live run goes on from what the fold says: see the head of recover.c */
void orr_take_up(orr_run *run, bool force);
/* whether a run that ended so can be retried, if something is to be done again */
bool orr_may_retry(const orr_run *run, bool items);

/* setback.c */
/* marks what is set back, and takes the memory; `items`: also what completed though items of it
 * failed. ORR_ENOMEM, ORR_ESTATE */
orr_status orr_prepare_retry(orr_run *run, bool items);
void orr_apply_retried(orr_run *run, int64_t now); /* after it was prepared */

/* timers.c */
void orr_timer_off(orr_core *core, uint32_t *timer);
bool orr_timer_on(orr_core *core, uint32_t *timer, int64_t time, void *owner, uint32_t task, uint8_t kind);
void orr_clear_timers(orr_run *run, uint32_t t);
void orr_fire(orr_core *core, const orr_timer *timer);
bool orr_arm_timers(orr_run *run, uint32_t t, int64_t timeout, int64_t heartbeat);
/* Attempt timeout and heartbeat; a node without them owns no timer. False when out of memory. */
static inline bool orr_arm_attempt(orr_run *run, uint32_t t, const orr_policy *policy, int64_t timeout) {
    return (timeout | policy->heartbeat) == 0 || orr_arm_timers(run, t, timeout, policy->heartbeat);
}

/* decide.c: what follows */
void orr_decide(orr_run *run);
void orr_consider(orr_run *run, uint32_t node);
void orr_make_ready(orr_run *run, uint32_t t);
/* items of a node with `each_parallel` become ready, as many as have a place */
void orr_fill_places(orr_run *run, uint32_t node);
void orr_line_up(orr_run *run, uint32_t t); /* a ready task goes into its line */
/* A task that held its place before a restart has it again. */
void orr_hold_again(orr_run *run, uint32_t t);
/* a task that was in line, and can have no place, ends */
void orr_no_place(orr_run *run, uint32_t t, const orr_error *error);
void orr_wake(orr_run *run, uint32_t t);
void orr_cancel_rest(orr_run *run, uint32_t node); /* dependencies of a node that could do without them */
void orr_run_check_end(orr_run *run);
orr_run_state orr_end_state(const orr_run *run); /* how it would end now, but for compensation */

/* settle.c: how tasks end */
/* another attempt, the fallback, or the end */
void orr_retry_or_fail(orr_run *run, uint32_t t, const orr_error *error);
void orr_give_up(orr_run *run, uint32_t t, const orr_error *error); /* the fallback, or the end */
void orr_end_failed(orr_run *run, uint32_t t, const orr_error *error);
void orr_end_completed(orr_run *run, uint32_t t, uint16_t port, uint64_t value, orr_source source);
void orr_end_skipped(orr_run *run, uint32_t t, orr_skip_reason reason, uint32_t by);
void orr_end_cancelled(orr_run *run, uint32_t t);
void orr_recheck_failures(orr_run *run, uint32_t node);
void orr_ask_edges(orr_run *run, uint32_t node);   /* those with a `when`, once it has settled */
void orr_check_items(orr_run *run, uint32_t node); /* what follows where an item has ended */
void orr_end_attempt(orr_run *run, uint32_t t, const orr_result *result);
void orr_release(orr_run *run, uint32_t t); /* its place in a pool */
/* the same, but of a task that is to go on: one with `hold` keeps it */
void orr_rest(orr_run *run, uint32_t t);

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
/* An attempt that waited cannot go on, and its task is about to end: the caller is asked to drop
 * it. Nothing where no attempt is under way. */
void orr_drop_attempt(orr_run *run, uint32_t t);
bool orr_is_cleanup(const orr_run *run, uint32_t t);
bool orr_not_begun(const orr_run *run, uint32_t t); /* of a task that is ready, or waits */
/* whether an attempt of it has started since it was made or set back */
bool orr_has_begun(const orr_run *run, uint32_t t);

/* compensate.c: undoing */
bool orr_undo_make(orr_run *run); /* where the plan has compensations; false when out of memory */
void orr_undo_free(orr_run *run);
bool orr_undo_room(orr_run *run, uint32_t tasks); /* room for so many in all */
void orr_undo_note(orr_run *run, uint32_t t);     /* it ended and may have to be undone */
/* of what was noted only what is to be undone is kept */
void orr_undo_begin(orr_run *run);
/* forgets what is no longer settled and takes notes again */
void orr_undo_retried(orr_run *run);
bool orr_undo_any(const orr_run *run);      /* whether anything is to be undone */
uint32_t orr_undo_task(const orr_run *run); /* whose turn it is, or ORR_NONE */
/* the next one, if any; false when nothing is to be undone */
bool orr_compensate_progress(orr_run *run, bool may_begin);
void orr_compensate_call(orr_run *run); /* what it waited for has come */
void orr_compensate_turn(orr_core *core, orr_action *action);
void orr_compensate_end(orr_run *run, uint32_t t, const orr_result *result);
/* fails, whatever retries are left */
void orr_compensate_lost(orr_run *run, uint32_t t, const orr_error *error);
/* of a run that goes on after a restart; false when out of memory */
bool orr_compensate_rearm(orr_run *run);
static inline bool orr_compensating(const orr_run *run) {
    return run->undo != NULL && run->undo->on && !run->ended;
}

/* ready.c */
void orr_line_init(orr_line *line, orr_run *run, orr_pool *pool);
void orr_ring_enter(orr_ring *ring, orr_line *line, orr_priority p);
void orr_ring_leave(orr_ring *ring, orr_line *line, orr_priority p);
/* Pushing and popping where the plan has no ranks. */
static inline void orr_line_append(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t) {
    orr_cell *cells = line->run->cells;
    cells[t].next = ORR_NONE;
    if (line->head[p] == ORR_NONE) {
        line->head[p] = t;
        if (ring != NULL) orr_ring_enter(ring, line, p);
    } else {
        cells[line->tail[p]].next = t;
    }
    line->tail[p] = t;
    line->count++;
}
static inline uint32_t orr_line_shift(orr_ring *ring, orr_line *line, orr_priority p) {
    uint32_t t = line->head[p];
    line->head[p] = line->run->cells[t].next;
    line->count--;
    if (line->head[p] == ORR_NONE) {
        line->tail[p] = ORR_NONE;
        orr_ring_leave(ring, line, p);
    }
    return t;
}
void orr_line_push(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t);
uint32_t orr_line_pop(orr_ring *ring, orr_line *line, orr_priority p);
void orr_line_remove(orr_ring *ring, orr_line *line, orr_priority p, uint32_t t);
/* The task after `t` in its line; in no order where the plan has ranks. */
uint32_t orr_line_after(const orr_run *run, uint32_t t);
void orr_line_leave(orr_ring *ring, orr_line *line); /* out of the ring at every priority */
void orr_line_join(orr_ring *ring, orr_line *line);  /* back into it where it has tasks */
orr_line *orr_ring_pick(orr_ring *ring, orr_priority p);
void orr_ring_turn(orr_ring *ring, orr_line *line, orr_priority p);
bool orr_enqueue(orr_run *run, uint32_t t);
void orr_dequeue(orr_run *run, uint32_t t);
void orr_unline(orr_run *run, uint32_t t); /* out of its line, and no more; of one that is queued */
bool orr_run_may_start(const orr_run *run);
void orr_run_gate(orr_run *run); /* puts its own line into the ring or takes it out, as it may start */

/* rank.c: heaps of tasks, of which `root` is the first one; ORR_NONE: there is none */
bool orr_rank_before(const orr_run *run, uint32_t a, uint32_t b);
uint32_t orr_rank_push(orr_run *run, uint32_t root, uint32_t t);   /* gives the root */
uint32_t orr_rank_remove(orr_run *run, uint32_t root, uint32_t t); /* the same */
uint32_t orr_rank_walk(const orr_run *run, uint32_t t);            /* another task, or ORR_NONE */

/* limits.c */
/* makes a keyed one; NULL = unknown */
orr_pool *orr_pool_get(orr_core *core, const char *name, bool *nomem);
/* sets more->pool where there is one */
bool orr_pool_resolve(orr_run *run, uint32_t t, orr_error *error);
bool orr_pool_free_place(const orr_pool *pool);
bool orr_pool_token(orr_pool *pool, int64_t *due); /* whether a token is there; otherwise when */
/* A task takes a place, unless it has one, and for a start a token. */
void orr_pool_take(orr_run *run, uint32_t t, bool token);
void orr_pool_give(orr_run *run, uint32_t t); /* what it has, or is owed */
/* A task has the place again that it held before a restart, or is owed it. False when out of
 * memory. */
bool orr_pool_take_back(orr_run *run, uint32_t t);
/* Whether it has a place, or is owed one, that it keeps until it has settled. */
bool orr_pool_keeps(const orr_run *run, uint32_t t);
void orr_pool_idle(orr_pool *pool); /* frees a keyed pool that nobody uses */
/* The line of a run in a pool, made where there is none: NULL when out of memory. */
orr_line *orr_pool_line(orr_pool *pool, orr_run *run, bool kept);
orr_line *orr_find_line(const orr_run *run, const orr_pool *pool, bool kept); /* or NULL */
static inline orr_ring *orr_ring_of(const orr_line *line) {
    return line->kept ? &line->pool->kept : &line->pool->ring;
}
void orr_pool_fired(orr_pool *pool);
bool orr_pool_arm(orr_pool *pool, int64_t due);
void orr_pool_destroy(orr_pool *pool);
bool orr_needs_pool(const orr_run *run, uint32_t t);

/* deadlock.c */
/* Looks whether a task waits for a place that is held by what waits for its own run, and fails the
 * first such. True where there was one. */
bool orr_break_deadlock(orr_core *core);
void orr_unawait(orr_run *run); /* nobody waits for it any more */

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
static inline orr_breaker *orr_breaker_of(const orr_run *run, uint32_t node) {
    return run->policy_breaker ? run->policy_breaker[run->plan->policy_of[node]] : NULL;
}

/* failure.c */
extern const orr_error orr_no_memory;
/* never NULL: a static one when out of memory */
orr_failure *orr_failure_new(orr_core *core, const orr_error *error);
void orr_failure_free(orr_core *core, orr_failure *failure);
orr_failure *orr_failure_join(orr_core *core, const orr_error *first, const orr_error *second);

/* retry_delay.c */
uint32_t orr_tries(const orr_run *run, uint32_t t); /* attempts that count against its retries */
int64_t orr_retry_wait(const orr_retry *retry, uint64_t seed, const orr_task *task, uint32_t tries);
/* how long an error that asks for it is waited for */
int64_t orr_retry_after(const orr_retry *retry, const orr_error *error);
/* Which policy decides about another attempt of a task. */
typedef struct orr_retry_choice {
    const orr_retry *retry; /* NULL: none, there is no other attempt */
    uint32_t tries;         /* that count against it, this one included */
    uint32_t number;        /* from 1 on, where there are several; else 0 */
} orr_retry_choice;
orr_retry_choice orr_retry_choose(const orr_run *run, uint32_t t, const orr_error *error);
/* the same of its compensation, an attempt of which has failed */
orr_retry_choice orr_retry_choose_undo(const orr_run *run, uint32_t t, const orr_error *error);

/* why.c */
/* whether a ready task may start now, and why not */
bool orr_start_gate(const orr_run *run, uint32_t t, orr_why *why);
void orr_why_text(const orr_run *run, uint32_t node, char *buffer, size_t size);

#endif
