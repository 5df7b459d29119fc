/* run.h - the room `run`: plans, attempts, outputs, ctx, runs and runtimes as Lua values, events.
 * The rooms above may use it; what keeps runs it knows as a keeper only (keeper.h).
 *
 * plan.c       a definition -> a plan            policy.c    a node's policies
 * runtime.c    a runtime as a Lua value          actions.c   what its core wants done
 * start.c      starting a run                    end.c       its end, and who waits for it
 * attempt.c    what runs in a fiber of a node    output.c    what handlers return
 * ctx.c        what a handler is given           view.c      what it sees of its run
 * step.c       ctx:step, sleep, now              call.c      ctx:call
 * signal.c     signals and ctx:wait              chance.c    random, uuid
 * idempotency.c  idempotency keys                evaluate.c  conditions, lists, `until`, pools
 * clock.c      the time of a run
 * inspect.c    what can be asked of a run        control.c   cancelling, pausing, suspending
 * tally.c      what those events add up to
 * events.c     events of the core for listeners  error.c     errors kept with a node
 * drop.c       giving a run up                   refill.c    runs that go on one by one
 * orphans.c    children that nobody waits for    cached.c    what was found in the cache
 * payload.c    values as text                    keeper.h    what keeps runs
 * item_names.c what items are called             items.c     their states and errors
 * why.c        why a node has not started        values.c    user values of runs and plans
 * alike.c      nodes of one kind, in few bytes   setter.c    assigning a node to a workflow
 * item_outputs.c  outputs of items, of which large ones have left memory
 * lock.c       locks of runs                   host.c      runtimes of an embedding program
 * open.c       the phases of a turn              module.c    what orrery.core offers of it
 * by_id.c      runs by their ids
 *
 * Functions that take a lua_State may raise; those that take an orr_script first do not.
 */
#ifndef ORR_RUN_H
#define ORR_RUN_H

#include "fiber/fiber.h"
#include "run/keeper.h"
#include <lauxlib.h>

typedef struct orr_planbox orr_planbox;

/* The client's flags of a fiber. */
enum {
    ATTEMPT_IN_STEP = FIBER_INHERITED, /* runs the function of a ctx:step: nothing is recorded by itself */
    ATTEMPT_CACHED = FIBER_CLIENTS,    /* what its handler returns was found in the cache */
    ATTEMPT_SILENT = 8192,             /* root: the keeper has reported its silence */
    ATTEMPT_DIVERGED = 16384,          /* root: it has left the course that is recorded */
    ATTEMPT_RESTARTS = 32768           /* root: its handler is to begin anew where it ends */
};
_Static_assert(ATTEMPT_RESTARTS <= UINT16_MAX, "orr_fiber.flags is a uint16_t; no bit is left");

/* ---- plans ----------------------------------------------------------------------------------- */

/* User values of a plan. */
enum {
    PLAN_HANDLERS = 1,
    PLAN_NAMES,
    PLAN_INDEX,
    PLAN_WHENS,
    PLAN_EACHS,
    PLAN_UNTILS,
    PLAN_POOLS,
    PLAN_FALLBACKS,
    PLAN_EDGES,
    PLAN_BREAKERS,
    PLAN_OUTPUT,
    PLAN_COMPENSATES,
    PLAN_OUTPUT_NODES,
    PLAN_ITEM_NAMES,
    PLAN_BEYOND,
    PLAN_VALUES = PLAN_BEYOND - 1
};

/* How a node is begun: these bits, and above them the place of its handler among the plan's. One
 * word by node: on a wide graph every node costs a cache miss for each array that is looked at. */
enum { TAKES_CTX = 1, TAKES_INPUTS = 2, NODE_TIMED = 4, NODE_HANDLER_SHIFT = 4 };
_Static_assert(NODE_TIMED < 1 << NODE_HANDLER_SHIFT, "the bits stand below the place of the handler");

/* A node of a graph that was built in C. */
typedef struct orr_native {
    int (*fn)(void *ud, uint32_t node);
    void *ud;
} orr_native;

struct orr_planbox {
    orr_owned owned;
    orr_plan *plan;
    orr_native *natives; /* by node; NULL for a plan made from a definition */
    uint32_t n_natives;
    orr_plan_builder *builder; /* while it is being built */
    orr_alloc alloc;
    uint32_t *how; /* by node */
    uint32_t n_how, n_handlers;
    /* by handler: its address, to be fetched before its turn; NULL where there are few */
    const void **fetch;
};

orr_planbox *orr_check_plan(lua_State *L, int idx);
/* Pushes a plan that was not made from a definition; takes over the reference once it returns. */
orr_planbox *orr_plan_push(lua_State *L, orr_script *s, orr_plan *plan);

/* ---- runs ------------------------------------------------------------------------------------ */

/* User values of a run. */
enum {
    RUN_PLAN = 1,
    RUN_RT,
    RUN_INPUT,
    RUN_CONTEXT,
    RUN_OUTPUTS,
    RUN_ERRORS,
    RUN_LISTS,
    RUN_NODES_VIEW,
    RUN_STATES_VIEW,
    RUN_ERRORS_VIEW,
    RUN_INFO,
    RUN_OUTPUT,
    RUN_ENV,
    RUN_STARTS,
    RUN_ERROR,
    RUN_LABELS,
    RUN_SIGNALS,
    RUN_COMPENSATIONS,
    RUN_CACHED,
    RUN_ITEM_NAMES,
    RUN_OPTIONS,   /* the keeper's: the first record's text, until it is made */
    RUN_STEPS,     /* the keeper's */
    RUN_WHYS,      /* the keeper's */
    RUN_COSTS,     /* what its attempts have counted, by name; nil: nothing, or nothing yet */
    RUN_PUBLISHED, /* JSON of what its attempts have published, by name; nil: nothing, or nothing yet */
    RUN_TALLY,     /* since when its tasks do what they do, for rt:tally; nil: nobody counts */
    RUN_TRIGGER,   /* what started it, as the options say; nil where they do not */
    RUN_BEYOND,
    RUN_VALUES = RUN_BEYOND - 1
};

/* What becomes of a run whose lock another has. */
typedef enum {
    ORR_CONFLICT_QUEUE,          /* it waits for its turn */
    ORR_CONFLICT_CANCEL_RUNNING, /* the others are cancelled, and it waits for their end */
    ORR_CONFLICT_SKIP,           /* there is no run, and that is well */
    ORR_CONFLICT_FAIL            /* there is no run */
} orr_conflict;

/* The lock of a run. */
typedef struct orr_run_lock {
    size_t size; /* of the value */
    uint8_t on_conflict;
    bool waits;    /* the run stands in the list of those that wait */
    bool refused;  /* it was not created, because another has its lock */
    bool deadlock; /* it was cancelled, because who has its lock waits for it */
    /* it was told who is in its way: who has the lock, or is only before it in line; whether a
     * process runs that */
    bool behind, has_it, alive;
    uint8_t other[16];
    uint32_t pass; /* in which it asked last */
    orr_runbox *next, *prev;
    char value[];
} orr_run_lock;

struct orr_runbox {
    orr_owned owned;
    orr_script *script;
    orr_rtbox *rt;
    orr_planbox *plan;
    orr_run *run;
    orr_runbox *next, *prev; /* of its runtime's */
    orr_runbox *same_bucket; /* of the table of those by id */
    uint32_t waiters;        /* head of the fibers that wait for its end */
    int self, handlers;      /* registry references while it is live, LUA_NOREF otherwise */
    bool live, has_outputs;
    uint32_t depth;              /* runs around it: it was started by a handler of one */
    int64_t retried;             /* when it was set back, to be tried again; 0: never */
    orr_run_lock *lock;          /* NULL: it has none */
    struct orr_journal *journal; /* NULL: it keeps none */
    uint64_t ticket;             /* of its last record; 0 where nothing waits for the disk */
    uint64_t held_to;            /* relaxed: of the record that all of it waits for all the same */
    uint64_t acted;              /* the highest that an action of it has waited for */
    bool claims;             /* its creation may be refused: it has a key, a lock, or an id of the user's */
    uint8_t durability;      /* orr_durability of the store */
    bool journaled;          /* there is or was one */
    bool stepped;            /* steps of it are recorded */
    bool has_kept;           /* the keeper holds something of it, and is notified when it goes */
    bool unloads;            /* outputs of it may have left memory */
    struct orr_large *large; /* its large outputs; NULL: there was none */
    bool incomplete;         /* a record could not be kept: the journal ends before it */
    bool dropped;            /* given up before its end: RUN_ERROR says why */
    bool read_back;          /* it goes on from the journal of another life */
    bool costs_read;         /* what those counted is in RUN_COSTS */
    bool published_read;     /* and what they published in RUN_PUBLISHED */
    bool forced;             /* it was resumed with force, and so are its children */
    uint16_t tallied;        /* its row of the runtime's tally + 1; 0: not looked for yet */
    bool child;              /* a run that waits for it has called it */
    bool ends_later;         /* it has ended, and its orphans have not */
    uint32_t n_orphans;      /* live runs whose `parent` it is */
    orr_runbox *parent;      /* whose orphan it is; see orphans.c */
    bool output_known, output_failed; /* the run's own output has been computed, and failed */
    bool broken;                      /* something could not be kept for lack of memory */
    size_t bytes;                     /* of its outputs, about; never less than they take */
    void *data;                       /* the embedding program's; NULL */
    orr_kept kept;
    char id[40];
};

/* What time it is for the run, as its records say it; what its clock shows, which stands still in
 * pauses; and when that will have gone on for `ns`, in the year 2262 at the latest. The clock is
 * read. Of a run whose core is gone: its runtime's time. */
int64_t orr_run_time_now(const orr_runbox *r);
int64_t orr_run_clock_now(const orr_runbox *r);
int64_t orr_run_due_in(const orr_runbox *r, int64_t ns);

#define ORR_DEEPEST_RUN 100    /* runs within runs; one that calls itself would go on until memory is gone */
#define ORR_MANY_HANDLERS 4096 /* of so many, most are not in the cache when their turn comes */

/* The handle to a task's error; that of its compensation stands apart. */
static inline uint64_t orr_error_handle(const orr_task *task, bool compensating) {
    return orr_task_handle(task->node, task->item) | (uint64_t)compensating << 63;
}
/* Pushes a user value of the run; sets one (pops it). */
void orr_run_push(lua_State *L, const orr_runbox *r, int value);
void orr_run_set(lua_State *L, const orr_runbox *r, int value);
/* Pushes the table in that user value, making it where it is missing. */
void orr_run_push_table(lua_State *L, const orr_runbox *r, int value, int narr);
/* Pushes a user value of the run's plan. */
void orr_run_push_plan(lua_State *L, const orr_runbox *r, int value);
/* The run at idx; raises. */
orr_runbox *orr_check_run(lua_State *L, int idx);

/* Makes and starts a run of the plan at `plan` with the table of options at `opts` on rt, whose
 * userdata is at `rt_idx`; pushes it. */
orr_runbox *orr_run_start(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);
/* Makes the box of a run that has no orr_run yet, with what `opts` says of it, and pushes its
 * userdata. */
orr_runbox *orr_run_box(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);
/* The box's run has been made under that id: from now on it is live. The userdata is at the top. */
void orr_run_live(lua_State *L, orr_runbox *r, int plan, const uint8_t id[16]);
/* The core said that it is over. */
void orr_run_over(orr_script *s, orr_runbox *r);
/* A live run is no longer this process's: whoever waits for it is notified, and its orr_run is
 * freed. Outside of the core only. */
void orr_run_let_go(orr_script *s, orr_runbox *r);
/* Computes the run's own output, once. May be called inside a hook of the core. */
void orr_run_compute_output(lua_State *L, orr_runbox *r, orr_run_state state);
const char *orr_run_state_text(const orr_runbox *r);
/* Pushes what a run that failed, was cancelled or is being undone failed with. */
void orr_run_push_failure(lua_State *L, orr_runbox *r);
/* Pushes run.error: nil or a table. */
void orr_run_push_error(lua_State *L, orr_runbox *r);
/* Pushes {kind, state, by, ...} of run:why. */
void orr_push_why(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item);
/* Whether a node that runs waits for what only the room above knows: a worker. */
bool orr_why_runs_not(lua_State *L, const orr_runbox *r, uint32_t node);
/* A number for all that orr_push_why says of the whole node but `since`: another one where that is
 * another, but for one case in 2^64. Makes nothing. */
uint64_t orr_why_mark(lua_State *L, const orr_runbox *r, uint32_t node);
/* Pushes the name of a node; nil for ORR_NONE. */
void orr_push_node_name(lua_State *L, const orr_runbox *r, uint32_t node);
/* The node of that name or ORR_NONE. */
uint32_t orr_node_by_name(lua_State *L, const orr_runbox *r, int name_idx);

/* Pushes the output of a node or of one of its items; nil where it has none. */
void orr_run_push_output(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
/* item_outputs.c: the value at the top becomes the output of item i, from 0, in the list below
 * it, and is popped. */
void orr_item_output_set(lua_State *L, uint32_t i);
/* The item's output is, or will be, the large value with that hash in the store. */
void orr_item_output_kept(lua_State *L, const orr_runbox *r, const orr_task *task, const char *hash);
/* It is there, and leaves memory. */
void orr_item_output_leave(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
/* The table {items=, kept=} at the top, which a journal has of a list, becomes the list; true.
 * False, and it stays, where it is no such table. */
bool orr_item_outputs_find(lua_State *L, orr_script *s, orr_rtbox *rt);
/* What the compensation of a task returned: pushes it (nil where there is none), and keeps the
 * value at the top, popped. */
void orr_push_compensation(lua_State *L, const orr_runbox *r, const orr_task *task);
void orr_keep_compensation(lua_State *L, const orr_runbox *r, const orr_task *task);
/* Pushes the error table for an orr_error of the core: the one kept under its handle, or one made
 * from it. */
void orr_push_core_error(lua_State *L, orr_runbox *r, const orr_error *error, uint32_t node);
/* The error of a node, where it has one: true. Its field `node` is the node itself, or, of one that
 * was skipped because of a failure before it, the node because of which. */
bool orr_push_error_of(lua_State *L, orr_runbox *r, uint32_t node);
/* Pushes what ctx:restart raises. */
void orr_push_restarting(lua_State *L, const orr_script *s);

/* Gives up a run before its end, for the error at the top of L (popped): its attempts are dropped,
 * whoever waits is notified. No effect on one that is not live. Outside of the core only. */
void orr_run_drop(lua_State *L, orr_runbox *r);
/* The same with such an error, without one where there is no memory for it. False where even that
 * was not possible. */
bool orr_run_give_up(orr_script *s, orr_runbox *r, const char *code, const char *message);
/* Raises where a run (NULL: one of the runtime's) may not be dropped: inside the engine, and in a
 * handler of its own. */
void orr_check_may_drop(lua_State *L, const orr_rtbox *rt, const orr_runbox *r, const char *what);
/* The run, a live one, is an orphan of that parent. */
void orr_orphan_join(orr_runbox *r, orr_runbox *parent);
/* Writes the value at idx as JSON for a journal and pushes the text, "" for nil; or pushes an
 * error value and gives false. */
bool orr_payload_encode(lua_State *L, const orr_runbox *r, int idx, const char *what);
/* Pushes the value of such a text of the run at idx. */
void orr_payload_decode(lua_State *L, const orr_runbox *r, int idx);

/* ---- runtimes -------------------------------------------------------------------------------- */

/* User values of a runtime. */
enum { RT_LISTENERS = 1, RT_QUEUE, RT_VALUES = RT_QUEUE };

/* Runs by their ids. */
typedef struct orr_run_table {
    orr_runbox **buckets;
    uint32_t n_buckets, n;
} orr_run_table;
/* ns of real time: the clock of a simulation may be past what was due when a handler goes on, so
 * that only what computes without end is stopped there. */
#define ORR_SIMULATED_SLICE INT64_C(10000000000)

struct orr_rtbox {
    orr_rt base;
    const orr_keeper *keeper;
    struct orr_put_child *put;   /* the keeper's: children of a save that nobody has called yet */
    struct orr_storage *storage; /* the keeper's; NULL until a run keeps a journal */
    const char *url;             /* of its store; NULL: in memory */
    bool durable;                /* runs keep a journal in a store unless they ask for none */
    uint8_t durability;          /* of runs that do not say: orr_durability of the store */
    bool saveable;               /* runs keep a journal in memory, where there is no store */
    bool simulated;              /* nothing of it goes by real time, and its log is for listeners only */
    bool lags;                   /* the keeper's: more is not durable than relaxed runs may lose */
    uint64_t durable_to;         /* ticket up to which everything is durable, as far as it is known here */
    orr_runbox *runs;            /* those that are not freed, live or not */
    orr_run_table by_id;         /* the same */
    /* those that wait for their lock, in the order in which they came */
    orr_runbox *waiting, *last_waiting;
    uint32_t n_waiting, lock_pass;
    bool ask_locks;      /* those are to ask again */
    orr_runbox *leaving; /* the keeper's: those with outputs that leave memory */
    /* those that Lua no longer needs: freed between two turns, never inside a hook of the core */
    orr_runbox *unneeded;
    uint32_t n_listeners, n_lost;
    struct orr_tally *tally;        /* what events have added up to; NULL: nobody has asked */
    uint32_t listened;              /* kinds of the core's events that a listener wants */
    uint32_t queue_first, n_queued; /* events in RT_QUEUE, from index queue_first + 1 on */
    uint64_t *tickets;              /* of the events in the queue, from place 0 on */
    uint32_t cap_tickets;
    uint64_t n_started; /* runs, for the ids of virtual time */
    bool flushing, closed;
    /* a run has ended for whoever asks about it: its output is known; or (not `ended`) this process
     * goes on without it. Outside of the core. NULL */
    void (*over)(void *ud, const orr_runbox *r, bool ended);
    void *over_ud;
    bool hosted; /* by the embedding program, which has opened this one before: */
    orr_rtbox *opened_before;
    uint32_t n_incomplete; /* live runs of which a record could not be kept */
    bool flush_urgent;     /* somebody waits for what was queued */
    /* the keeper's: fibers that wait for its store, by ticket: slot + 1, 0 for none */
    uint32_t disk_first, disk_last;
    size_t output_limit; /* bytes of JSON */
    size_t memory_limit; /* bytes that the outputs of a run may take in memory, about */
    size_t large_output; /* bytes in memory; an output of more is a handle, see large.c */
    int64_t watch;       /* ns of silence that are reported; 0: none is */
    int64_t look_at;     /* when the keeper looks next; INT64_MAX: when something has happened */
    int refill;          /* registry: function() that may start more; LUA_NOREF */
    /* records that may still be kept: with the one after them its process is as if it had been
     * killed; UINT64_MAX: any number */
    uint64_t records_left;
};

static inline orr_rtbox *orr_rtbox_of(const orr_rt *rt) {
    return (orr_rtbox *)(uintptr_t)rt;
}
/* The ticket that what the run does now has to wait for; 0: none. UINT64_MAX for a run that has
 * lost a record. */
static inline uint64_t orr_run_ticket(const orr_runbox *r) {
    bool strict = r->durability == ORR_DURABLE_STRICT || r->rt->lags || r->ticket == UINT64_MAX;
    return strict ? r->ticket : r->held_to;
}
orr_rtbox *orr_check_rt(lua_State *L, int idx);
/* Makes a runtime from the table of options at `opts` (0: defaults) and pushes it. */
orr_rtbox *orr_runtime_new(lua_State *L, orr_script *s, int opts);
/* The embedding program has opened it, or closes it: its scripts use the one that was opened last
 * where they name none. host.c */
void orr_host_opened(orr_rtbox *rt);
void orr_host_closed(orr_rtbox *rt);
/* The runtime of the embedding program that a script uses here: that of the handler that runs,
 * where it is one, or the one that was opened last; NULL where there is none. */
orr_rtbox *orr_host_runtime(const orr_script *s);
/* Gives up what is under way in a runtime whose state goes on, and all that it keeps on the loop.
 * Neither listeners nor timers of scripts are called any more. Never raises. Outside of the core
 * and of handlers only. */
void orr_runtime_shut(orr_rtbox *rt);
/* The runtime's live run of that id, or NULL. */
orr_runbox *orr_run_by_id(const orr_rtbox *rt, const uint8_t id[16]);
/* Cancels every live run, as Ctrl-C does; a second time skips the cleanup nodes too. Returns how
 * many there were. Not async-signal-safe: call it from a uv_signal_t's callback. */
uint32_t orr_script_cancel_all(orr_script *s);

/* ---- ctx ------------------------------------------------------------------------------------- */

typedef struct orr_ctx {
    orr_script *script;
    orr_fiber_id fiber;
} orr_ctx;

void orr_push_ctx(lua_State *L, orr_script *s, const orr_fiber *f);
/* The live fiber behind the ctx at idx; raises where its attempt has ended. */
orr_fiber *orr_check_ctx(lua_State *L, int idx);
/* The same, for an operation that only the attempt itself may do. */
orr_fiber *orr_check_own_ctx(lua_State *L, int idx, const char *what);
/* A sign of life of the fiber's attempt, shown with what is known of it: a fraction below 0 and a
 * message of NULL are not. */
/* Adds an amount to the table of sums at that index. */
void orr_cost_add(lua_State *L, int sums, int name, int amount);
void orr_progress_report(lua_State *L, orr_fiber *f, lua_Number fraction, const char *message);

/* ---- events ---------------------------------------------------------------------------------- */

/* Pushes a new event table {event=, time=, run=, workflow=, node=, item=, iteration=, attempt=};
 * r and task may be NULL. */
void orr_event_push(lua_State *L, const orr_runbox *r, const char *name, const orr_task *task, int64_t time);
/* The function at the top becomes a listener: of the core's events of these kinds (ORR_EV_BIT), of
 * which it may get more, and of all that are not the core's. What ends that takes its place. */
void orr_events_listen(lua_State *L, orr_rtbox *rt, uint32_t kinds);
/* Puts the event table at the top (popped) into the queue of rt, where somebody listens. */
void orr_event_queue(lua_State *L, orr_rtbox *rt);
/* Passes the event at the top, popped, to the listeners at once, though others wait for the disk:
 * it says why they do. */
void orr_event_notify(lua_State *L, orr_rtbox *rt);
/* Drops the events of the run that no listener has got yet. */
void orr_events_forget(lua_State *L, orr_rtbox *rt, const orr_runbox *r);
/* Passes a log line to the listeners, or where there are none to Lua's warnings. r may be NULL. */
void orr_log(lua_State *L, orr_rtbox *rt, const orr_runbox *r, const char *level, const char *message);

/* ---- names of items -------------------------------------------------------------------------- */

/* Makes the names of the items of the view's node, whose list is kept; false where it gives them
 * none. Leaves values on the stack. Raises `config_error` for one that is no name or is taken. */
bool orr_item_names_make(lua_State *L, orr_runbox *r, orr_fiber *view, uint32_t n);
/* Keeps the list of names at the top, popped. */
void orr_item_names_keep(lua_State *L, const orr_runbox *r, uint32_t node);
/* Pushes the list of names; false, and pushes nothing, where the items have none. */
bool orr_item_names_push(lua_State *L, const orr_runbox *r, uint32_t node);
/* Pushes the name of the task's item; false, and pushes nothing, where it has none. */
bool orr_item_name_push(lua_State *L, const orr_runbox *r, const orr_task *task);
/* The item that is called as the text at that index says, or ORR_NONE. */
uint32_t orr_item_by_name(lua_State *L, const orr_runbox *r, uint32_t node, int name_idx);

/* ---- locks ----------------------------------------------------------------------------------- */

/* Takes the lock from the fields `lock` and `on_conflict` of the table at that index. */
void orr_run_lock_read(lua_State *L, orr_runbox *r, int at);
void orr_run_lock_free(orr_runbox *r);
/* The word for what its `on_conflict` is; whether it does not wait. */
const char *orr_run_lock_mode(const orr_runbox *r);
bool orr_run_lock_refuses(const orr_runbox *r);
/* Pushes the error `conflict` of a run that is not made because `holder` has its lock. */
void orr_run_lock_push_conflict(lua_State *L, const orr_runbox *r, const char *holder);
/* The run, a live one, waits for its lock, if it does: it asks in the turn to come. */
void orr_run_lock_wait(orr_runbox *r);

/* ---- signals, steps -------------------------------------------------------------------------- */

/* The running fiber, for a step of its own; argument 1 is the ctx. Raises, naming `what`. */
orr_fiber *orr_step_fiber(lua_State *L, const char *what);
/* The same for what no step may contain. */
orr_fiber *orr_step_outer_fiber(lua_State *L, const char *what);
/* It counts a step, or a gather, so that its strands have names of their own. */
void orr_step_count(orr_fiber *f);
/* Replaces the value at idx by what may be kept and shown of it; see core.set_mask. */
void orr_mask(lua_State *L, const orr_script *s, int idx);

/* Puts a signal of that name, the number of its message (0: it has none) and time into its queue;
 * its data is at the top, popped. */
void orr_signal_deliver(lua_State *L, orr_runbox *r, const char *name, int64_t message, double sent);
/* Takes the first buffered message of that name from a run that is rebuilt. */
void orr_signal_take(lua_State *L, const orr_runbox *r, const char *name);
/* A signal's record of a run that is rebuilt; its decoded payload is at idx. */
void orr_signal_restore(lua_State *L, const orr_runbox *r, int idx);
/* Pushes a UUIDv8 (RFC 9562, 5.8) that only this (run, node, item, iteration) has, and `salt`; its
 * compensation has another. */
void orr_push_derived_id(lua_State *L, const orr_fiber *f, uint64_t salt);
/* Remembers that the task's output was found in the cache (reason NULL), or why not. */
void orr_cache_note(lua_State *L, const orr_runbox *r, const orr_task *task, const char *reason);
/* Whether it was found. */
bool orr_cache_hit(lua_State *L, const orr_runbox *r, const orr_task *task);

/* ---- opening --------------------------------------------------------------------------------- */

/* What is known of runs and runtimes of a state. */
typedef struct orr_runs {
    orr_fibers fibers;
    const orr_keeper *keeper; /* of runtimes that are made from now on */
    /* registry references of metatables */
    int ctx_mt, inputs_mt, outcome_mt, later_mt, run_mt, rt_mt, plan_mt, alike_mt;
    int rt_methods, run_methods; /* their tables of methods */
    int compiler;                /* function(workflow) -> plan, opts; or LUA_NOREF */
    int orphans;                 /* function(runtime, run, ids, force); or LUA_NOREF */
    int supersede;               /* function(runtime, run, lock); or LUA_NOREF */
    int mask;                    /* function(value) -> value; or LUA_NOREF */
    int64_t most_nodes;          /* of the workflow that has the most, by the thousand: see setter.c */
    int explain;                 /* function(run id, node, item) -> table or nil; or LUA_NOREF */
    int notice;                  /* function(runtime, over); or LUA_NOREF */
    orr_rtbox *host;             /* what the embedding program opened last, of those that are open; NULL */
    /* of the attempt whose base function came to its end last */
    orr_result result;
    bool reported; /* the core knows it already */
    bool later;    /* the handler has ended, its node does so in `delay` ns */
    bool until;    /* the `until` of a loop is being asked */
    int64_t delay;
} orr_runs;

static inline orr_runs *orr_runs_of(const orr_script *s) {
    return (orr_runs *)(uintptr_t)s;
}

typedef struct orr_runs_options {
    orr_alloc alloc;
    uv_loop_t *loop;
    bool watchdog;                    /* stop handlers that run past their timeout without a wait */
    bool contain;                     /* see orr_fibers */
    void (*stuck)(const char *where); /* of one that cannot be stopped; NULL: it is left alone */
    orr_trace trace;
    const orr_keeper *keeper;
} orr_runs_options;

/* Pushes a new state, with what the rooms from here down keep of it. */
orr_script *orr_runs_new(lua_State *L, const orr_runs_options *o);
/* Pushes the module table with the functions of this room and those below it. */
void orr_runs_open_module(lua_State *L, orr_script *s);
/* Adds methods of the room above to runtimes and runs. */
void orr_runs_add_methods(lua_State *L, const orr_script *s, const luaL_Reg *rt, const luaL_Reg *run);

#endif
