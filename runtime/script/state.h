/* state.h - the structs behind orrery.core; private to runtime/script.
 *
 * module.c      the module table                planbind.c, policy.c  a definition -> a plan
 * state.c       the script state, its luv       evaluate.c  conditions, lists, `until`, pools
 * pump.c        the loop: who goes on when      error.c     Lua errors <-> orr_error
 * fiber.c, slots.c  the one lua_resume, the pool events.c   events for listeners
 * wait.c, await.c  await, sleep, gather           run.c, rt.c runs and runtimes as Lua values
 * cancel.c      cancelling a fiber              ctx.c, view.c  what a handler sees
 * drop.c        giving up a run                 call.c      ctx:call
 * coroutines.c  waits through users' coroutines durable.h   what keeps runs
 * uvtimer.c     luv's timers in virtual time    outside.c   what virtual time stands still for
 *
 * Who may raise: functions that take a lua_State as their first argument may raise Lua errors, and are called in
 * protected code only. Functions that take an orr_script first never raise; they protect what they call.
 */
#ifndef ORR_SCRIPT_STATE_H
#define ORR_SCRIPT_STATE_H

#include "script.h"
#include "uvtimer.h"
#include "watchdog.h"
#include <assert.h>

typedef struct orr_rtbox orr_rtbox;
typedef struct orr_runbox orr_runbox;
typedef struct orr_planbox orr_planbox;

/* ---- fibers ------------------------------------------------------------------------------------------------------- */

/* A fiber is one coroutine that runs code of the user for us. Fibers live in slots, which are reused; an id is
 * (generation << 32 | index), so that an id kept too long finds nothing. */
typedef uint64_t orr_fiber_id;

typedef enum {
    FIBER_UNUSED,
    FIBER_RUNNING, /* it is the one that runs now */
    FIBER_STARTING_WAIT, /* runs, but has begun a wait whose yield has not arrived at the scheduler */
    FIBER_PARKED,  /* suspended; something outside makes it ready */
    FIBER_READY,   /* in the ready queue; its arguments are on its stack */
    FIBER_HELD,    /* could go on, but its attempt has no slot */
    FIBER_VIEW     /* not a coroutine: the identity behind the ctx of a condition */
} orr_fiber_state;

typedef enum { FIBER_NODE, FIBER_STRAND, FIBER_FREE } orr_fiber_kind;

typedef enum {
    WAIT_NONE,
    WAIT_AWAIT,  /* flow.await: until `resume` is called */
    WAIT_SLEEP,  /* the attempt's only strand sleeps: the core keeps the time */
    WAIT_TIMER,  /* any other sleep: a timer of the runtime's */
    WAIT_GATHER, /* until its strands have ended */
    WAIT_RUN,    /* until a run has ended */
    WAIT_CHILD,  /* the same, for a run of ours: cancelled with us */
    WAIT_SIGNAL, /* until a signal has come for its run, or the time for it is over */
    WAIT_DISK    /* until a record is durable; short, so it keeps its slot */
} orr_wait_kind;

enum {
    FIBER_RAISE = 1,        /* the value on its stack is an error to be raised in it */
    FIBER_CANCELLED = 2,    /* was asked to stop (and has been told or will be) */
    FIBER_TELL = 4,         /* is to be told at its next wait */
    FIBER_TELL_AT_WAKE = 8, /* waits on until its operation ends, then is told */
    FIBER_STARTED = 16,     /* has been resumed once */
    FIBER_DURABLE = 32,     /* its wait keeps no slot */
    FIBER_MAPPED = 64,      /* stands in the map from tasks to fibers */
    FIBER_SLOTLESS = 128,   /* root: the core holds the task as waiting */
    FIBER_HAS_VALUE = 256,  /* its place in the table of values is in use */
    FIBER_ENDED = 512,      /* without a node: its results are on its stack */
    FIBER_FAILED = 1024,    /* ... and are an error and its traceback; gathering: a strand has failed; WAIT_DISK: its value
                             * is an error */
    FIBER_IN_STEP = 2048,   /* runs the function of a ctx:step: what it does is not recorded by itself */
    FIBER_CACHED = 4096,    /* what its handler returns was found in the cache */
    FIBER_SILENT = 8192,    /* root: its silence was told, see watch.c */
    FIBER_MISFITS = 16384   /* root: its attempt has left the course that is recorded, see steplog.c */
};

typedef struct orr_fiber {
    lua_State *co; /* NULL in a slot without one */
    orr_runbox *run;    /* NULL for a fiber without a node */
    orr_task task;      /* of its attempt */
    union {
        orr_runbox *other; /* WAIT_RUN, WAIT_CHILD */
        int64_t due;       /* WAIT_SLEEP, WAIT_TIMER; WAIT_SIGNAL: INT64_MAX for no end */
        uint64_t ticket;   /* WAIT_DISK */
    };
    orr_rtbox *disk;       /* WAIT_DISK: whose store it waits for */
    int64_t alive;         /* root: its last sign of life; 0 before it has waited, and where nobody watches */
    uint32_t index, gen;
    uint32_t root;       /* the attempt's first fiber; itself where it is that */
    uint32_t parent;     /* of a strand: the fiber that gathers it */
    uint32_t strands;    /* head of the list of its strands */
    uint32_t sibling;    /* link in that list */
    uint32_t next, prev; /* links in the one list it stands in: ready, held, waiters of a run, free slots */
    uint32_t chain;      /* link in the map from tasks to fibers */
    uint32_t seq;        /* number of its present wait, so that a late `resume` is known */
    uint32_t timer;      /* WAIT_TIMER, WAIT_SIGNAL */
    uint32_t left;       /* strands that have not ended */
    uint32_t place;      /* of a strand: its place in the list of results */
    uint32_t busy;       /* root: strands that need the slot */
    uint32_t held;       /* root: head of its held strands */
    uint32_t ordinal;    /* steps it has begun, and gathers */
    uint32_t inner;      /* the same inside the step it runs */
    uint32_t newest;     /* latest attempt that a step of it belongs to, see steplog.c */
    int nargs;           /* values on its stack for the next resume */
    uint16_t flags;
    uint8_t state, kind, wait, phase, reason;
} orr_fiber;

#define ORR_FIBER_CHUNK 256
#define ORR_WARM_FIBERS 1024 /* free slots that keep their coroutine */

typedef struct orr_payload {
    const char *text; /* JSON; NULL: none */
    size_t size;
} orr_payload;

/* What the base function of a fiber leaves for the scheduler. */
typedef struct orr_outcome {
    bool done;     /* the base function has come to its end */
    bool failed;
    bool told;  /* the core knows it already */
    bool later; /* the handler has ended, its node does so in `delay` ns */
    int64_t delay;
    orr_result result;
} orr_outcome;

/* Places in the registry's table of this state. */
typedef struct orr_anchors {
    int threads; /* [slot + 1] = coroutine */
    int values;  /* [slot + 1] = a waiting fiber's cleanup function, early results or list of results */
    int active;  /* [light userdata of a box] = its userdata, for runtimes in use */
    int boxes;   /* the same for every box, weakly */
    int json;    /* the module's json table */
    int ctx_mt, inputs_mt, error_mt, outcome_mt, later_mt, run_mt, rt_mt, plan_mt;
    int inner;   /* [coroutine of a user's] = true while a wait passes through it */
    int compiler; /* function(workflow) -> plan, opts; or LUA_NOREF */
    int orphans;  /* function(runtime, run, ids, force); or LUA_NOREF */
    int timers;   /* [timer of luv's] = what is kept of it, weakly; LUA_NOREF before there is a virtual clock */
    int timer_mt;
} orr_anchors;

struct orr_script {
    lua_State *main;
    lua_State *from; /* the one that runs the pump */
    orr_alloc alloc;
    uv_loop_t *loop;
    orr_wakeup *wakeup;
    orr_watchdog watchdog;
    orr_anchors at;
    orr_fiber **chunks;
    uint32_t n_chunks, n_slots;
    uint32_t warm, cold, n_warm;      /* free slots with and without a coroutine */
    uint32_t ready_head, ready_tail;
    uint32_t *map; /* buckets of the map from tasks to fibers */
    uint32_t map_size, map_count;
    uint32_t current; /* the running fiber or ORR_NONE */
    uint32_t inner_waits;
    uint32_t awaits;  /* fibers in WAIT_AWAIT */
    uint32_t signal_waits; /* fibers in WAIT_SIGNAL */
    orr_payload noted; /* of the record that orr_run_note makes at this moment */
    int pending;
    uint32_t n_native; /* attempts that the embedding program will answer */
    bool raising;  /* the wait that goes on next raises the value it was given */
    bool pumping, closed, watching;
    uint32_t guarded; /* depth of calls of Lua inside the core or the storage: no run may be dropped, no runtime closed */
    bool timers_follow; /* luv's timers follow virtual clocks */
    orr_uvtimer_list timers_due; /* whose callbacks are to be called */
    orr_rtbox *timer_rt; /* of the timer whose callback is being called */
    orr_outcome outcome;
    orr_rtbox *runtimes; /* those with live runs, and the default one */
    orr_rtbox *default_rt;
    struct orr_owned *owned; /* all boxes */
    char text[512]; /* strings of answers, errors without a home */
};

/* ---- boxes: Lua userdata -------------------------------------------------------------------------------------------- */

/* What is behind a userdata of ours lies in a block of its own, and the script keeps a list of all: Lua gives up a
 * finaliser for which it has no memory, and then nothing must point to where the userdata was. */
typedef struct orr_owned {
    struct orr_owned *next, *prev;
    void (*collect)(orr_script *s, struct orr_owned *owned); /* Lua no longer needs it */
    void (*close)(orr_script *s, struct orr_owned *owned);   /* the state is closed; frees it */
} orr_owned;

/* User values of a plan. */
enum { PLAN_HANDLERS = 1, PLAN_NAMES, PLAN_INDEX, PLAN_WHENS, PLAN_EACHS, PLAN_UNTILS, PLAN_POOLS, PLAN_FALLBACKS,
       PLAN_EDGES, PLAN_BREAKERS, PLAN_OUTPUT, PLAN_COMPENSATES, PLAN_OUTPUT_NODES, PLAN_BEYOND, PLAN_VALUES = PLAN_BEYOND - 1 };

/* How a node is begun: these bits, and above them the place of its handler among the plan's. One word by node: on a
 * wide graph every node costs a cache miss for each array that is looked at. */
enum { TAKES_CTX = 1, TAKES_INPUTS = 2, NODE_TIMED = 4, NODE_HANDLER_SHIFT = 4 };

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
    const void **fetch; /* by handler: its address, to be fetched before its turn; NULL where there are few */
};

#define ORR_DEEPEST_RUN 100 /* runs within runs; one that calls itself would go on until memory is gone */
#define ORR_MANY_HANDLERS 4096 /* of so many, most are not in the cache when their turn comes */

/* User values of a run. */
enum { RUN_PLAN = 1, RUN_RT, RUN_INPUT, RUN_CONTEXT, RUN_OUTPUTS, RUN_ERRORS, RUN_LISTS, RUN_NODES_VIEW,
       RUN_STATES_VIEW, RUN_ERRORS_VIEW, RUN_INFO, RUN_OUTPUT, RUN_ENV, RUN_STARTS, RUN_ERROR, RUN_LABELS, RUN_OPTIONS,
       RUN_STEPS, RUN_SIGNALS, RUN_COMPENSATIONS, RUN_CACHED, RUN_WHYS, RUN_BEYOND, RUN_VALUES = RUN_BEYOND - 1 };

/* A node whose output leaves memory once everything up to that ticket is durable. */
typedef struct orr_leaving {
    uint64_t ticket;
    uint32_t node;
} orr_leaving;

/* What a journaled run keeps of its outputs beside the journal: see outputs.c. */
typedef struct orr_kept {
    uint64_t *seq;  /* by node: the record that holds its output; 0 for none */
    uint32_t *left; /* by node: dependents that have not settled, and one for the run's output where that mentions it */
    uint32_t n;
    size_t size;    /* of the last value that was recorded, in bytes of JSON */
    orr_leaving *leaving; /* by ticket */
    uint32_t n_leaving, cap_leaving;
    orr_runbox *next, *prev; /* in its runtime's list of runs with outputs that leave */
} orr_kept;

struct orr_runbox {
    orr_owned owned;
    orr_script *script;
    orr_rtbox *rt;
    orr_planbox *plan;
    orr_run *run;
    orr_runbox *next, *prev; /* of its runtime's */
    uint32_t waiters;        /* head of the fibers that wait for its end */
    int self, handlers;      /* registry references while it is live, LUA_NOREF otherwise */
    int64_t due;             /* when the run times out; INT64_MAX for never */
    bool live, has_outputs;
    uint32_t depth; /* runs around it: it was started by a handler of one */
    struct orr_journal *journal; /* NULL: it keeps none */
    uint64_t ticket;      /* of its last record; 0 where nothing waits for the disk */
    int64_t acted;        /* time of its last record */
    int64_t told;         /* that time, when it was told that the run is blocked */
    int64_t heard;        /* number of the last message from its inbox that was dealt with */
    uint8_t durability;   /* orr_durability */
    bool journaled;       /* there is or was one */
    bool stepped;         /* RUN_STEPS is in use */
    bool torn;            /* a record could not be kept: the journal ends before it */
    bool dropped;         /* given up before its end: RUN_ERROR says why */
    bool read_back;       /* it goes on from the journal of another process, or of an earlier life in this one */
    bool forced;          /* it was resumed with force, and so are its children */
    bool ends_later;      /* it has ended, and its orphans have not */
    uint32_t n_orphans;   /* live runs whose `parent` it is */
    orr_runbox *parent;   /* whose orphan it is; see orphans.c */
    orr_kept kept;
    bool judged, output_failed; /* the run's own output has been computed, and failed */
    bool broken;                /* something could not be kept for want of memory */
    char id[40];
};

/* User values of a runtime. */
enum { RT_LISTENERS = 1, RT_QUEUE, RT_VALUES = RT_QUEUE };

struct orr_rtbox {
    orr_owned owned;
    orr_script *script;
    orr_engine *runtime;
    struct orr_storage *storage; /* of the runs that keep a journal (storage.c); NULL until there is one */
    orr_rtbox *next; /* of the script's list */
    orr_runbox *runs; /* those that are not freed, live or not */
    orr_runbox *leaving; /* those with outputs that leave memory when their records are durable */
    orr_runbox *graves; /* those that Lua no longer needs: freed between two turns, never inside a hook of the core */
    uint32_t n_live, n_listeners, n_lost;
    uint32_t queue_first, n_queued; /* events in RT_QUEUE, from index queue_first + 1 on */
    uint64_t *tickets; /* of the events in the queue, from place 0 on */
    uint32_t cap_tickets;
    uint64_t n_started; /* runs, for the ids of virtual time */
    uint32_t users;     /* live runs and set timers: it must stay in the list */
    bool listed, is_virtual, flushing, closed;
    uint32_t n_torn; /* live runs of which a record could not be kept */
    bool soon; /* somebody waits for what was queued */
    uint32_t disk_first, disk_last; /* fibers that wait for its store, by ticket: slot + 1, 0 for none */
    size_t output_limit;  /* bytes of JSON; 0: the default */
    int64_t watch;        /* ns of silence that are told; 0: none is */
    int64_t watch_due;    /* when it looks next; INT64_MAX: when something has happened */
    int refill;           /* registry: function() that may start more; LUA_NOREF */
    orr_uvtimer_list timers; /* of luv's on its virtual clock, set or not */
    uint32_t n_timers, n_loose; /* those that are set, and those of them that keep nothing going */
};

/* ctx */
typedef struct orr_ctx {
    orr_script *script;
    orr_fiber_id fiber;
} orr_ctx;

/* ---- state.c ------------------------------------------------------------------------------------------------------- */

extern const char orr_wait_key; /* its address, as a light userdata, is what a wait yields */
#define ORR_WAIT_SENTINEL ((void *)(uintptr_t)&orr_wait_key)

/* The script state of L, made where there is none. */
orr_script *orr_script_open(lua_State *L);
/* Calls fn(ud) on the main thread, protected, `ud` being its argument 1; the status. An error is dropped. */
int orr_protect(orr_script *s, lua_CFunction fn, void *ud);
/* Makes a zeroed box of `size` bytes, which begins with an orr_owned, and pushes its userdata. */
void *orr_new_box(lua_State *L, orr_script *s, size_t size, int values, int metatable, const orr_owned *owned);
/* Sets __gc of the metatable at the top. */
void orr_box_metatable(lua_State *L);
/* The box behind the userdata at idx, which has the metatable; raises an argument error with `what` otherwise. */
void *orr_check_box(lua_State *L, int idx, int metatable, const char *what);
/* The box behind a userdata that is known to be one; NULL after the state was closed. */
static inline void *orr_unbox(lua_State *L, int idx) {
    return *(void **)lua_touserdata(L, idx);
}
/* Takes a box out of the list and frees its block. */
void orr_free_box(orr_script *s, orr_owned *owned, size_t size);
/* Pushes the userdata of a box. */
void orr_push_box(lua_State *L, const orr_script *s, const void *box);
/* Reports an error that belongs to nobody: as a log event of level error, or as a warning of Lua's. */
void orr_script_stray(orr_script *s, const char *what, const char *message);
/* Pushes luv's module, or nil where luv was not loaded. */
void orr_push_luv(lua_State *L);
/* The fiber whose wait the function at index fn would end: found through `resume`, which it holds as an upvalue or in a function that it
 * holds, `depth` deep; else NULL. */
orr_fiber *orr_fiber_behind(lua_State *L, orr_script *s, int fn, int depth);
/* Pushes a table of the anchors. */
static inline void orr_push_anchor(lua_State *L, int ref) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}

/* ---- slots.c ------------------------------------------------------------------------------------------------------ */

static inline orr_fiber *orr_fiber_at(const orr_script *s, uint32_t index) {
    return &s->chunks[index / ORR_FIBER_CHUNK][index % ORR_FIBER_CHUNK];
}
static inline orr_fiber_id orr_fiber_id_of(const orr_fiber *f) {
    return (uint64_t)f->gen << 32 | f->index;
}
/* The fiber, or NULL when it is no more. */
orr_fiber *orr_fiber_get(const orr_script *s, orr_fiber_id id);
/* The running fiber, or NULL. */
static inline orr_fiber *orr_fiber_current(const orr_script *s) {
    return s->current == ORR_NONE ? NULL : orr_fiber_at(s, s->current);
}
/* The fiber of a task that has waited, or NULL. */
orr_fiber *orr_fiber_of(const orr_script *s, const orr_runbox *run, const orr_task *task);
/* The same, whatever its attempt and iteration. */
orr_fiber *orr_fiber_find(const orr_script *s, const orr_runbox *run, uint32_t node, uint32_t item);

/* Takes a slot, with a coroutine or (view) without. NULL when out of memory. */
orr_fiber *orr_fiber_new(orr_script *s, bool with_coroutine);
/* Gives it back. A coroutine is kept where `clean`. */
void orr_fiber_release(orr_script *s, orr_fiber *f, bool clean);
/* Closes what the coroutine left open and drops it. */
void orr_fiber_discard(orr_script *s, orr_fiber *f);

/* Enters the fiber of an attempt into the map. */
void orr_fiber_map(orr_script *s, orr_fiber *f);

/* ---- fiber.c: what runs in them --------------------------------------------------------------------------------- */

/* Starts an attempt: at once, not through the queue. */
void orr_fiber_start(orr_script *s, orr_runbox *run, const orr_action *action);
/* Makes a fiber of the function below its `nargs` arguments on L (both popped) and queues it. NULL when out of
 * memory. */
orr_fiber *orr_fiber_spawn(orr_script *s, lua_State *L, orr_fiber_kind kind, int nargs, orr_fiber *parent);
/* Goes on with one queued fiber; false when there is none. */
bool orr_fiber_next(orr_script *s);
/* Puts a fiber at the end of the queue, and takes it out. */
void orr_ready_push(orr_script *s, orr_fiber *f);
void orr_ready_remove(orr_script *s, orr_fiber *f);
/* Closes the to-be-closed variables of a coroutine that is given up. */
void orr_fiber_close(orr_script *s, orr_fiber *f);
#define ORR_CLOSE_BOUND INT64_C(1000000000) /* ns that closing them may take */

/* Its place in the table of values: pops and stores; pushes (nil when empty). */
void orr_fiber_set_value(lua_State *L, orr_script *s, orr_fiber *f);
void orr_fiber_push_value(lua_State *L, const orr_script *s, const orr_fiber *f);
void orr_fiber_clear_value(orr_script *s, orr_fiber *f);

/* ---- wait.c ---------------------------------------------------------------------------------------------------------- */

/* The running fiber, which may wait here; raises where there is none or where no wait is possible. `what` names the
 * operation. */
orr_fiber *orr_wait_begin(lua_State *L, orr_script *s, const char *what);
/* Whether there is no fiber but the caller may run one: then the operation is done in a fiber of its own, and the
 * loop runs meanwhile. `fn` is called again in it with the arguments on the stack. Returns the number of results. */
bool orr_wait_outside(lua_State *L, orr_script *s);
int orr_wait_in_fiber(lua_State *L, orr_script *s, lua_CFunction fn);
/* Suspends the running fiber: `return orr_wait_yield(...)`. Its results are what it is woken with. */
int orr_wait_yield(lua_State *L, orr_script *s, orr_fiber *f);
/* Wakes a suspended fiber with `nargs` values that were already moved to its stack. */
void orr_wait_done(orr_script *s, orr_fiber *f, int nargs);
/* A fiber that has the slot goes on (ORR_ACT_RESUME). */
void orr_wait_slot(orr_script *s, orr_fiber *root);
/* Gives the attempt's slot back where no strand of it needs it. */
void orr_wait_rest(orr_script *s, orr_fiber *root);
/* The attempt keeps its slot to its end (it is being stopped): what was held goes on. */
void orr_wait_keep_slot(orr_script *s, orr_fiber *root);
/* Takes a strand that is dropped out of the list of the one that gathers it. */
void orr_gather_drop(orr_script *s, orr_fiber *strand);
/* Sleeps until then in the running fiber; as a Lua function's tail. */
int orr_wait_until(lua_State *L, orr_script *s, int64_t due);
/* As a Lua function's tail: returns the value at the top, or raises it, once the last record of the run is durable. */
int orr_wait_disk(lua_State *L, orr_script *s, const orr_runbox *r, bool raise);
/* The same for a fiber that is suspended: it goes on with the value at the top of L, which is popped. */
void orr_wait_end_durably(lua_State *L, orr_script *s, orr_fiber *f, bool raise);
/* Sets the timer of a suspended fiber for its due time. */
void orr_wait_set_timer(orr_script *s, orr_fiber *f);
/* Ends the bookkeeping of its wait, whatever it is: timers, lists, counts. The cleanup function is not called. */
void orr_wait_forget(orr_script *s, orr_fiber *f);
/* The yield of its wait has arrived at the scheduler. */
void orr_wait_parked(orr_script *s, orr_fiber *f);
/* Keeps the value at the top of L as a strand's result, or as the error of the whole. */
void orr_gather_keep(lua_State *L, orr_script *s, orr_fiber *strand, bool failed);
/* A strand has ended; s->outcome.failed says how. */
void orr_gather_ended(orr_script *s, orr_fiber *strand);
/* Pushes the error for a wait that was begun where its yield cannot arrive. */
void orr_push_escaped(lua_State *L, const orr_script *s);
void orr_wait_timer(orr_script *s, const orr_timer *timer);
/* Sleeps for ns in the running fiber; as a Lua function's tail. */
int orr_wait_sleep(lua_State *L, orr_script *s, int64_t ns);
int orr_core_await(lua_State *L);
/* The fiber that waits for the function at idx, where that is the `resume` of an await that goes on; else NULL. */
orr_fiber *orr_await_target(lua_State *L, orr_script *s, int idx);
int orr_core_gather(lua_State *L);
int orr_core_sleep(lua_State *L);
int orr_core_sha256(lua_State *L);
/* core.store(url [, mode]) -> store (lstore.c) */
int orr_core_store(lua_State *L);
/* The runtime whose timers and clock a fiber uses; raises a memory error where the default one cannot be made. */
orr_rtbox *orr_fiber_rt(lua_State *L, orr_script *s, const orr_fiber *f);

/* ---- cancel.c -------------------------------------------------------------------------------------------------------- */

/* Asks the fiber (and what it gathers) to stop. */
void orr_fiber_cancel(orr_script *s, orr_fiber *f, uint8_t reason);
/* Drops the fiber and its strands for good; the coroutines are closed, never resumed. */
void orr_fiber_abandon(orr_script *s, orr_fiber *f);
/* Pushes the error a fiber sees whose wait was ended by `reason`: an orr_cancel_reason or one of these. */
void orr_push_reason(lua_State *L, const orr_script *s, uint8_t reason);
enum { REASON_SIBLING = 250, REASON_STUCK, REASON_MEMORY, REASON_OWNER, REASON_NO_SIGNAL };
/* Lets a parked fiber go on with the error of `reason`. */
void orr_wake_with_reason(orr_script *s, orr_fiber *f, uint8_t reason);
/* Fails every fiber of a runtime's runs, or without a node, that awaits what can no longer come. Returns how many. */
uint32_t orr_fail_stuck(orr_script *s);

/* ---- pump.c ---------------------------------------------------------------------------------------------------------- */

/* Runs the loop until done(ud). False where nothing is left that could ever make it true. */
bool orr_pump(orr_script *s, lua_State *L, bool (*done)(void *ud), void *ud);
/* The runtime joins or leaves the list of those that are stepped. May raise where it joins. */
void orr_rt_use(lua_State *L, orr_rtbox *rt, int by);
/* It is in the list until the next turn at least: orr_rt_use does not raise before that. */
void orr_rt_list(lua_State *L, orr_rtbox *rt);

/* ---- error.c --------------------------------------------------------------------------------------------------------- */

/* Makes the error table of the value at `idx` and pushes it: {code, message, retryable, retry_after, details,
 * traceback}. Fills *out; its strings live as long as the table. */
void orr_error_table(lua_State *L, orr_script *s, int idx, const char *fallback_code, orr_error *out);
/* Keeps the error value at the top of L as that of the fiber's task and fills *out, whose strings live as long. */
void orr_keep_error(lua_State *L, orr_script *s, const orr_fiber *f, orr_error *out);
/* Pushes an error value of ours: {code=, message=} with the metatable of errors. */
void orr_push_error(lua_State *L, const orr_script *s, const char *code, const char *message);
/* Pushes the error table for an orr_error of the core: the one kept under its handle, or one made from it. */
void orr_push_core_error(lua_State *L, orr_runbox *r, const orr_error *error, uint32_t node);
/* The message handler of fibers: keeps the traceback aside. */
int orr_error_trace(lua_State *L);
/* Pushes the traceback kept by the message handler and forgets it; nil where there is none. */
void orr_push_trace(lua_State *L);

/* ---- run.c, judge.c, inspect.c ---------------------------------------------------------------------------------- */

/* A task's number in tables, and as the core's handle to its error or output. */
static inline uint64_t orr_task_handle(uint32_t node, uint32_t item) {
    return ((uint64_t)(uint32_t)(item + 1) << 32) | ((uint64_t)node + 1); /* item ORR_NONE counts as 0 */
}
/* The handle to its error; that of its compensation stands apart. */
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
/* Keeps the value at the top of L as the output of the fiber's task and fills in the result. False where it is not
 * plain data; an error value is at the top then. */
/* Whether the value at the top is what core.later made, and how many ns it stands for. */
bool orr_is_later(lua_State *L, const orr_script *s, int64_t *delay);
bool orr_run_take_output(lua_State *L, orr_script *s, const orr_fiber *f, orr_result *result);
/* The same for what a compensation returned, which is kept apart from the output. */
bool orr_run_take_compensation(lua_State *L, orr_script *s, const orr_fiber *f, orr_result *result);
/* Pushes the compensation of the fiber's node. */
void orr_push_compensate(lua_State *L, const orr_fiber *f);
/* Pushes run:compensations(). */
void orr_run_push_compensations(lua_State *L, orr_runbox *r);
/* Pushes the fallback function of the fiber's node, its ctx and the error; or (false) the fallback value. */
bool orr_push_fallback(lua_State *L, orr_script *s, const orr_fiber *f);
/* What the compensation of a task returned: pushes it (nil where there is none), and keeps the value at the top, popped. */
void orr_push_compensation(lua_State *L, const orr_runbox *r, const orr_task *task);
void orr_keep_compensation(lua_State *L, const orr_runbox *r, const orr_task *task);
/* Pushes the output of a node or of one of its items; nil where it has none. */
void orr_run_push_output(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
/* Makes and starts a run of the plan at `plan` with the table of options at `opts` on rt, whose userdata is at
 * `rt_idx`; pushes it. */
orr_runbox *orr_run_start(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);
/* Makes the box of a run that has no orr_run yet, with what `opts` says of it, and pushes its userdata. */
orr_runbox *orr_run_box(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);
/* The box's run has been made under that id: from now on it is live. The userdata is at the top. */
void orr_run_live(lua_State *L, orr_runbox *r, int plan, const uint8_t id[16]);
bool orr_parse_uuid(const char *text, uint8_t id[16]);
void orr_format_uuid(char *text, const uint8_t id[16]); /* 37 bytes */
/* A live run is this process's no longer: who waits for it is told, and its orr_run is freed. Outside of the core only. */
void orr_run_let_go(orr_script *s, orr_runbox *r);
/* The core said that it is over. */
void orr_run_over(orr_script *s, orr_runbox *r);
/* Computes the run's own output, once. May be called inside a hook of the core. */
void orr_run_judge(lua_State *L, orr_runbox *r, orr_run_state state);
const char *orr_run_state_text(const orr_runbox *r);
/* Pushes what a run that failed, was cancelled or is being undone failed with. */
void orr_run_push_failure(lua_State *L, orr_runbox *r);
/* Pushes run.error: nil or a table. */
void orr_run_push_error(lua_State *L, orr_runbox *r);
/* Pushes a table of the run's statistics. */
void orr_run_push_stats(lua_State *L, const orr_runbox *r);
void orr_open_run(lua_State *L, orr_script *s);
/* Frees the runs that Lua no longer needs. Outside of the core only. */
void orr_runs_bury(orr_rtbox *rt);
void orr_run_methods(lua_State *L);
orr_runbox *orr_check_run(lua_State *L, int idx);
/* The fiber goes on when the run has ended; child: the run belongs to it. A Lua function's tail. */
int orr_run_await(lua_State *L, orr_runbox *r, bool child);

/* ---- drop.c ------------------------------------------------------------------------------------------------------- */

#define ORR_NEVER UINT64_MAX /* the ticket of what waits for a record that could not be kept: see engine.h */

/* Gives up a run before its end, for the error at the top of L (popped): its attempts are dropped, who waits is told. No effect on one
 * that is not live. Outside of the core only. */
void orr_run_drop(lua_State *L, orr_runbox *r);
/* The same with such an error, without one where there is no memory for it. False where even that was not possible. */
bool orr_run_give_up(orr_script *s, orr_runbox *r, const char *code, const char *message);
/* Drops the runs of which a record could not be kept. True when there was any. */
bool orr_runs_drop_torn(orr_script *s, orr_rtbox *rt);
/* Raises where a run (NULL: one of the runtime's) may not be dropped: inside the engine, and in a handler of its own. */
void orr_check_may_drop(lua_State *L, const orr_rtbox *rt, const orr_runbox *r, const char *what);

/* ---- rt.c --------------------------------------------------------------------------------------------------------- */

/* Makes a runtime from the table of options at `opts` (0: defaults) and pushes it. */
orr_rtbox *orr_rt_new(lua_State *L, orr_script *s, int opts);
/* The default runtime, made at first use. */
orr_rtbox *orr_rt_default(lua_State *L, orr_script *s);
int orr_core_runtime(lua_State *L);
void orr_open_rt(lua_State *L, orr_script *s);
orr_rtbox *orr_check_rt(lua_State *L, int idx);

/* ---- events.c -------------------------------------------------------------------------------------------------------- */

void orr_on_event(void *rtbox, const orr_event *event);
/* Whether events of that name are told by us, so that no handler may emit one. */
bool orr_event_is_ours(const char *name);
/* Puts the event table at the top (popped) into the queue of rt, where somebody listens. */
void orr_event_queue(lua_State *L, orr_rtbox *rt);
/* The event at the top, popped, is heard at once, though others wait for the disk: it says why they do. */
void orr_event_tell(lua_State *L, orr_rtbox *rt);
/* Pushes a new event table {event=, time=, run=, workflow=, node=, item=, iteration=, attempt=}; r and task may be
 * NULL. */
void orr_event_push(lua_State *L, const orr_rtbox *rt, const orr_runbox *r, const char *name, const orr_task *task,
                    int64_t time);
/* Calls the listeners for what is queued. True when there was any. */
bool orr_events_flush(orr_script *s, orr_rtbox *rt);

/* Events of the run that nobody has been told yet are told to nobody. */
void orr_events_forget(lua_State *L, orr_rtbox *rt, const orr_runbox *r);
/* rt:on(fn) -> off() */
int orr_rt_on(lua_State *L);

/* ---- evaluate.c ------------------------------------------------------------------------------------------------------ */

bool orr_on_evaluate(void *rtbox, orr_run *run, const orr_ask *ask, orr_answer *answer);

/* ---- ctx.c, view.c, call.c --------------------------------------------------------------------------------------- */

void orr_open_ctx(lua_State *L, orr_script *s);
void orr_push_ctx(lua_State *L, orr_script *s, const orr_fiber *f);
/* A sign of life of the fiber's attempt, shown with what is known of it: a fraction below 0 and a message of NULL are not. */
void orr_progress_tell(lua_State *L, orr_fiber *f, lua_Number fraction, const char *message);
/* The live fiber behind the ctx at idx; raises where its attempt has ended. */
orr_fiber *orr_check_ctx(lua_State *L, int idx);
/* The same, for an operation that only the attempt itself may do. */
orr_fiber *orr_check_own_ctx(lua_State *L, int idx, const char *what);
/* Seconds, as a number or a duration's text, at idx in ns; raises. */
int64_t orr_check_duration(lua_State *L, int idx, const char *what);
/* Pushes the seconds of the duration's text at idx, or nil. */
void orr_parse_duration(lua_State *L, int idx);

void orr_open_view(lua_State *L, orr_script *s);
void orr_push_inputs(lua_State *L, orr_script *s, orr_runbox *r, uint32_t node);
/* Pushes RUN_NODES_VIEW, RUN_STATES_VIEW, RUN_ERRORS_VIEW, RUN_ENV or RUN_INFO. */
void orr_push_view(lua_State *L, orr_runbox *r, int view);
void orr_push_node_name(lua_State *L, const orr_runbox *r, uint32_t node);
/* The node of that name or ORR_NONE. */
uint32_t orr_node_by_name(lua_State *L, const orr_runbox *r, int name_idx);
/* ctx:call(workflow, input, opts) */
int orr_ctx_call(lua_State *L);
/* Pushes what a run that is over gives to the handler that called it: its output, or (false) the error `child_failed`. */
bool orr_run_push_result(lua_State *L, orr_runbox *r);

/* ---- planbind.c, coroutines.c ------------------------------------------------------------------------------------ */

int orr_core_plan(lua_State *L);
void orr_open_plan(lua_State *L, orr_script *s);
orr_planbox *orr_check_plan(lua_State *L, int idx);
/* Pushes a plan that was not made from a definition; takes over the reference once it returns. */
orr_planbox *orr_plan_push(lua_State *L, orr_script *s, orr_plan *plan);
/* Fills a policy from the node table at idx. */
void orr_read_policy(lua_State *L, int idx, orr_policy *policy);
int64_t orr_read_seconds(lua_State *L, int idx, const char *key);

/* Replaces coroutine.resume, wrap, close and status of the state. */
void orr_open_coroutines(lua_State *L);

#include "durable.h"

#endif
