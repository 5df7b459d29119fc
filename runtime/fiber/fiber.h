/* fiber.h - the room `fiber`: coroutines on the loop. `run` and the rooms above it may use it. It
 * knows the core's tasks and the loop's engine, and nothing of runs, outputs or stores: those are
 * the business of a fiber's client.
 *
 * fiber.c       the one lua_resume                 slots.c     where fibers live, who is ready
 * strand.c      fibers without a node              gather.c    flow.gather
 * wait.c        how a fiber suspends and goes on   await.c     flow.await
 * sleep.c       sleeping                           cancel.c    asking a fiber to stop
 * coroutines.c  waits through users' coroutines    watchdog.c  code that does not wait
 * turn.c        the turn of the loop               pump.c      when the process sleeps
 * runtimes.c    which runtimes are stepped         outside.c   what virtual time stands still for
 * callback.c    calling Lua from callbacks         luv.c       luv on our loop
 * virtual_timer.c  luv's timers in virtual time    open.c      opening and closing
 *
 * All of it runs on the loop's thread. Callbacks of libuv and libcurl never resume a coroutine:
 * they queue, and the turn goes on with the fiber. Functions that take a lua_State may raise,
 * those that take an orr_script first do not (see lua.h). What yields says so.
 */
#ifndef ORR_FIBER_H
#define ORR_FIBER_H

#include "fiber/virtual_timer.h"
#include "fiber/watchdog.h"
#include "loop/loop.h"
#include "lua/lua.h"
#include <uv.h>

typedef struct orr_fiber orr_fiber;
typedef struct orr_rt orr_rt;
/* Whose attempt a fiber is. The room above knows what that is; here it is an identity. */
typedef struct orr_runbox orr_runbox;

/* A task's number in tables, and as the core's handle to its error or output. Item ORR_NONE counts
 * as 0. */
static inline uint64_t orr_task_handle(uint32_t node, uint32_t item) {
    return ((uint64_t)(uint32_t)(item + 1) << 32) | ((uint64_t)node + 1);
}

/* ---- runtimes, as the turn sees them --------------------------------------------------------- */

/* What the turn asks a runtime. None raises. */
typedef struct orr_rt_class {
    /* When it is next to be looked at, by its clock. That keeps no loop alive. INT64_MAX: never. */
    int64_t (*look_at)(const orr_rt *rt);
    /* Whether something of it may come although no run is live. */
    bool (*more_to_come)(const orr_rt *rt);
    /* Whether something is on its way to the disk: virtual time stands still. */
    bool (*busy)(const orr_rt *rt);
    /* Whether its handles count for uv_loop_alive, for a moment in which the loop is not run. */
    void (*count)(const orr_rt *rt, bool counted);
    /* The end of a turn: what nobody needs any more is freed. */
    void (*tidy)(orr_rt *rt);
    /* Of a fiber with a run: what the clock shows that its waits count on; and when that shows
     * `due`, by the runtime's own clock (INT64_MAX: not while it stands still). */
    int64_t (*clock)(const orr_fiber *f);
    int64_t (*comes)(const orr_fiber *f, int64_t due);
} orr_rt_class;

/* A runtime. The room above begins its own struct with it. */
struct orr_rt {
    orr_owned owned;
    orr_script *script;
    orr_engine *engine; /* its core, clock and timers */
    const orr_rt_class *class;
    orr_rt *next;    /* of the list of those that are stepped */
    uint32_t users;  /* live runs, set timers, ...: it must stay in that list */
    uint32_t n_live; /* live runs: while there is one, its timers are a reason to go on */
    bool listed;
    bool is_virtual;            /* its clock stands still, but for jumps and what the host makes of it */
    bool jumps;                 /* virtual time: the clock jumps when nothing can run */
    orr_uvtimer_list timers;    /* of luv's on its virtual clock, set or not */
    uint32_t n_timers, n_loose; /* those that are set, and those of them that keep nothing going */
    int64_t stop;               /* a virtual clock goes no further; INT64_MAX: it is not held */
    bool moves;                 /* it is held, and was let go on to `stop` */
    uint32_t stander;           /* the fiber that waits until it stands still; ORR_NONE */
};

/* One phase of a turn: done with each runtime of the list, or once. True when anything was done. */
typedef struct orr_turn_phase {
    bool (*each)(orr_rt *rt);
    bool (*once)(orr_script *s);
} orr_turn_phase;

/* The phases that are the same for everyone: timers of luv's that follow a virtual clock; a batch
 * of fibers that can go on. */
bool orr_phase_timers(orr_script *s);
bool orr_phase_fibers(orr_script *s);

/* Actions, and fibers, between two looks at the clock. */
enum { ORR_BATCH = 64 };

/* The runtime joins or leaves the list of those that are stepped. May raise where it joins. */
void orr_rt_use(lua_State *L, orr_rt *rt, int by);
/* It is in the list until the next turn at least: orr_rt_use does not raise before that. */
void orr_rt_list(lua_State *L, orr_rt *rt);
/* The runtime is about to be freed. */
void orr_rt_unlist(orr_script *s, orr_rt *rt);
/* The default runtime, made at first use. */
orr_rt *orr_rt_default(lua_State *L, orr_script *s);

/* ---- held clocks: held.c --------------------------------------------------------------------- */

/* A virtual clock stands where it is, or goes on by itself again. */
void orr_held_set(orr_rt *rt, bool held);
/* Holds it where it is and lets it go on for so long; what is due meanwhile happens at its time.
 * Waits until it stands still there: nothing can run before it moves again, and nothing outside
 * is under way. A Lua function's tail. */
int orr_held_advance(lua_State *L, orr_rt *rt, int64_t ns);

/* ---- fibers ---------------------------------------------------------------------------------- */

/* A fiber is one coroutine that runs code of the user for us. Fibers live in slots, which are
 * reused; an id is (generation << 32 | index), so that an id kept too long finds nothing. */
typedef uint64_t orr_fiber_id;

typedef enum {
    FIBER_UNUSED,
    FIBER_RUNNING,       /* it is the one that runs now */
    FIBER_STARTING_WAIT, /* runs, but has begun a wait whose yield has not arrived at the turn */
    FIBER_PARKED,        /* suspended; something outside makes it ready */
    FIBER_READY,         /* in the ready queue; its arguments are on its stack */
    FIBER_HELD,          /* could go on, but its attempt has no slot */
    FIBER_VIEW           /* not a coroutine: the identity behind the ctx of a condition */
} orr_fiber_state;

/* An attempt's own fiber, a strand of a gather, or one without a node. */
typedef enum { FIBER_NODE, FIBER_STRAND, FIBER_FREE } orr_fiber_kind;

enum {
    FIBER_RAISE = 1,         /* the value on its stack is an error to be raised in it */
    FIBER_CANCELLED = 2,     /* was asked to stop (it has raised the reason, or will) */
    FIBER_RAISE_AT_WAIT = 4, /* its next wait raises the reason */
    FIBER_RAISE_AT_WAKE = 8, /* waits on until its operation ends; then it raises */
    FIBER_STARTED = 16,      /* has been resumed once */
    FIBER_DURABLE = 32,      /* its wait keeps no slot */
    FIBER_MAPPED = 64,       /* is found by orr_fiber_of */
    FIBER_SLOTLESS = 128,    /* root: the core holds the task as waiting */
    FIBER_HAS_VALUE = 256,   /* its place in the table of values is in use */
    FIBER_ENDED = 512,       /* without a node: its results are on its stack */
    /* without a node: ... and are an error and its traceback; gathering: a strand has failed;
     * waiting for the disk: its value is an error */
    FIBER_FAILED = 1024,
    /* From here on the flags are the client's; strands inherit the first of them. */
    FIBER_INHERITED = 2048,
    FIBER_CLIENTS = 4096 /* up to 32768: flags are 16 bits */
};

/* What belongs to a fiber knows how to go on with it. NULL where there is nothing to be done. */
typedef struct orr_client {
    /* Its base function has come to its end, with `nres` values on its stack; `failed` says how
     * (orr_fibers_of(s)->failed). Releases the fiber. */
    void (*ended)(orr_script *s, orr_fiber *f, int nres);
    /* Its coroutine cannot go on. Its value is the error, or it has none for lack of memory; then
     * `code` and `message` say what is known. Releases the fiber. */
    void (*broken)(orr_script *s, orr_fiber *f, const char *code, const char *message);
    /* It is suspended for the first time. */
    void (*parked)(orr_script *s, orr_fiber *f);
    /* A stretch of its code begins, or has ended. */
    void (*slice)(orr_script *s, orr_fiber *f, bool begins);
    /* Until when a stretch of its code may run without a wait, on the monotonic clock. */
    int64_t (*slice_due)(const orr_script *s, const orr_fiber *f);
    /* No strand needs the attempt's slot; the earliest of them is due then (INT64_MAX: by no
     * time). Whether it was given back: a task that is being stopped keeps it to its end. */
    bool (*rest)(orr_script *s, orr_fiber *root, int64_t due);
    /* It wants the slot again; orr_wait_slot is called when it has it. */
    void (*wake)(orr_script *s, orr_fiber *root);
    /* It counts a gather, so that the strands have names of their own. */
    void (*gathers)(orr_fiber *f);
} orr_client;

/* A kind of wait. */
typedef struct orr_wait_kind {
    const char *begins; /* what its fiber does now, for a trace: "sleeps" */
    bool keeps_slot;    /* it is short, or counts as work */
    bool timed;         /* orr_fiber.due says when it ends */
    /* Where nothing is left on the loop that could end it: a reason (REASON_STUCK, ...), and in
     * which order the kinds are given up; 0 where it is never. */
    uint8_t stuck_reason, stuck_order;
    /* Somebody else can still end it. NULL: nobody. */
    bool (*can_end)(const orr_script *s, const orr_fiber *f);
    /* It is suspended: what had to wait for that. */
    void (*parked)(orr_script *s, orr_fiber *f);
    /* Ends the bookkeeping: timers, lists, counts. */
    void (*forget)(orr_script *s, orr_fiber *f);
    /* Its timer has come. */
    void (*timeout)(orr_script *s, orr_fiber *f);
    /* It is to stop. NULL: it is woken with the reason at once. */
    void (*cancel)(orr_script *s, orr_fiber *f, uint8_t reason);
    /* Its fiber is dropped. */
    void (*abandon)(orr_script *s, orr_fiber *f);
} orr_wait_kind;

struct orr_fiber {
    lua_State *co; /* NULL in a slot without one */
    const orr_client *client;
    const orr_wait_kind *wait; /* NULL: it does not wait */
    orr_rt *rt;                /* whose clock and timers it uses; NULL: the default one's */
    orr_runbox *run;           /* NULL for a fiber without a node */
    orr_task task;             /* of its attempt */
    union {                    /* by the kind of its wait */
        orr_runbox *other;
        int64_t due; /* timed, by the clock it waits by: INT64_MAX for no end */
        uint64_t ticket;
        orr_rt *standing; /* until whose clock stands still it waits */
    };
    orr_rt *disk;  /* whose store it waits for */
    int64_t alive; /* the client's: root: its last sign of life */
    uint32_t index, gen;
    uint32_t root;       /* the attempt's first fiber; itself where it is that */
    uint32_t parent;     /* of a strand: the fiber that gathers it */
    uint32_t strands;    /* head of the list of its strands */
    uint32_t sibling;    /* link in that list */
    uint32_t next, prev; /* links in the one list it stands in: ready, held, waiters, free slots */
    uint32_t chain;      /* link in the map from tasks to fibers */
    uint32_t seq;        /* number of its present wait, so that a late `resume` is known */
    uint32_t timer;      /* of a timed wait; ORR_NONE: it is not set */
    uint32_t left;       /* strands that have not ended */
    uint32_t place;      /* of a strand: its place in the list of results */
    uint32_t busy;       /* root: strands that need the slot */
    uint32_t held;       /* root: head of its held strands */
    /* the client's: steps it has begun, those inside the step that it runs, and the latest attempt
     * that a step of it belongs to */
    uint32_t ordinal, inner, newest;
    int nargs; /* values on its stack for the next resume */
    uint16_t flags;
    uint8_t state, kind, phase, reason;
};

/* What is known of all fibers of a state. The room above begins its own struct with it. */
typedef struct orr_fibers {
    orr_script script;
    lua_State *from; /* the one that runs the pump */
    uv_loop_t *loop;
    uv_async_cb posted; /* of handles by which other threads wake the loop; NULL: there are none */
    bool keeps_loop;    /* false once a host has closed its runtimes, and perhaps the loop */
    orr_wakeup *wakeup; /* NULL until the loop first sleeps, and once a host has closed its runtimes */
    orr_watchdog watchdog;
    orr_trace trace;                      /* who gets trace lines of this room and those above */
    const orr_turn_phase *phases;         /* of a turn; ends with an empty one */
    orr_budget budget;                    /* of the present step */
    void (*slice)(void *ud, bool begins); /* called before and after each slice; NULL */
    void *slice_ud;
    void (*hear)(orr_script *s);                       /* see orr_fibers_listen; NULL */
    void (*make_default)(lua_State *L, orr_script *s); /* sets default_rt; may raise */
    orr_rt *default_rt; /* of fibers without a node; NULL before its first use */
    int threads;        /* registry: [slot + 1] = coroutine */
    int values;         /* [slot + 1] = a waiting fiber's cleanup function, early results, ... */
    int active;         /* [light userdata of a runtime] = its userdata, for those in use */
    int left;           /* [id of a fiber] = number of its wait that was given up */
    int inner;          /* [coroutine of a user's] = true while a wait passes through it */
    int timers;         /* [timer of luv's] = what is kept of it, weakly; LUA_NOREF at first */
    int timer_mt;
    orr_fiber **chunks;
    uint32_t n_chunks, n_slots;
    uint32_t warm, cold, n_warm; /* free slots with and without a coroutine */
    uint32_t ready_head, ready_tail;
    uint32_t *map; /* buckets of the map from tasks to fibers */
    uint32_t map_size, map_count;
    uint32_t current; /* the running fiber or ORR_NONE */
    /* runtimes of which more is queued for a disk than may be in memory: no fiber goes on before it
     * is written */
    uint32_t full;
    uint32_t inner_waits;
    uint32_t awaits;        /* fibers in flow.await */
    uint32_t n_left;        /* awaits that were given up while a request was under way, and went unanswered */
    uint32_t n_native;      /* attempts that the embedding program will answer: virtual time stands still */
    int pending;            /* operations under way outside */
    int64_t callback_limit; /* ns of processor time; 0: none */
    bool failed;            /* how the base function that came to its end last did */
    bool raising;           /* the wait that goes on next raises the value it was given */
    bool pumping, watching;
    bool contain;       /* this program may be made the parent of what its commands leave (loop/reaper.h) */
    bool sleeping;      /* the loop may block: it has been asked to wait for what happens next */
    bool timers_follow; /* luv's timers follow virtual clocks */
    orr_uvtimer_list timers_due; /* whose callbacks are to be called */
    orr_rt *timer_rt;            /* of the timer whose callback is being called */
    orr_rt *runtimes;            /* those that are stepped */
} orr_fibers;

static inline orr_fibers *orr_fibers_of(const orr_script *s) {
    return (orr_fibers *)(uintptr_t)s;
}
/* The first runtime of those that are stepped; orr_rt.next leads on. */
static inline orr_rt *orr_rt_first(const orr_script *s) {
    return orr_fibers_of(s)->runtimes;
}

#define ORR_FIBER_CHUNK 256
#define ORR_WARM_FIBERS 1024 /* free slots that keep their coroutine */

/* ---- finding them: slots.c ------------------------------------------------------------------- */

static inline orr_fiber *orr_fiber_at(const orr_script *s, uint32_t index) {
    return &orr_fibers_of(s)->chunks[index / ORR_FIBER_CHUNK][index % ORR_FIBER_CHUNK];
}
static inline orr_fiber_id orr_fiber_id_of(const orr_fiber *f) {
    return (uint64_t)f->gen << 32 | f->index;
}
static inline uint32_t orr_fiber_slots(const orr_script *s) {
    return orr_fibers_of(s)->n_slots;
}
/* The fiber, or NULL when it has ended. */
orr_fiber *orr_fiber_get(const orr_script *s, orr_fiber_id id);
/* The running fiber, or NULL. */
static inline orr_fiber *orr_fiber_current(const orr_script *s) {
    uint32_t current = orr_fibers_of(s)->current;
    return current == ORR_NONE ? NULL : orr_fiber_at(s, current);
}
static inline orr_fiber *orr_fiber_root(const orr_script *s, const orr_fiber *f) {
    return orr_fiber_at(s, f->root);
}
/* Enters the fiber of an attempt into the map. */
void orr_fiber_map(orr_script *s, orr_fiber *f);
/* The fiber of a task that is in the map, or NULL. */
orr_fiber *orr_fiber_of(const orr_script *s, const orr_runbox *run, const orr_task *task);
/* The same, whatever its attempt and iteration. */
orr_fiber *orr_fiber_find(const orr_script *s, const orr_runbox *run, uint32_t node, uint32_t item);

/* ---- their life: slots.c, fiber.c, strand.c -------------------------------------------------- */

/* Takes a slot, with a coroutine or (view) without. NULL when out of memory. */
orr_fiber *orr_fiber_new(orr_script *s, bool with_coroutine);
/* Gives it back. A coroutine is kept where `clean`. */
void orr_fiber_release(orr_script *s, orr_fiber *f, bool clean);
/* Runs base(script) in a new fiber, at once, not through the queue. */
void orr_fiber_begin(orr_script *s, orr_fiber *f, lua_CFunction base);
/* Makes a fiber that runs base(script, function, arguments), of the function below its `nargs`
 * arguments on L (both popped), and queues it. Its client and kind are the caller's to set.
 * NULL when out of memory. */
orr_fiber *orr_fiber_spawn(orr_script *s, lua_State *L, lua_CFunction base, int nargs);
/* A base function has come to its end: `status` of its pcall, the error at the top. Where it began
 * a wait whose yield never arrived, that is its error. Sets `failed`; the status. */
int orr_fiber_done(lua_State *L, orr_script *s, orr_fiber *f, int status);
/* Its place in the table of values: pops and stores; pushes (nil when empty). */
void orr_fiber_set_value(lua_State *L, orr_script *s, orr_fiber *f);
void orr_fiber_push_value(lua_State *L, const orr_script *s, const orr_fiber *f);
void orr_fiber_clear_value(orr_script *s, orr_fiber *f);

/* Calls the function below its `nargs` arguments on L as a fiber without a node, so that waits
 * work in it, and runs the loop until it has returned. Like lua_pcall: pops both; LUA_OK and
 * pushes all results (*nresults), or a status and pushes two values: the error and its traceback
 * (a string or nil). LUA_ERRERR with a message where no fiber may be run: inside a handler or a
 * callback. Not to be called inside a fiber. */
int orr_script_run(orr_script *s, lua_State *L, int nargs, int *nresults);

/* ---- waiting: wait.c, sleep.c ---------------------------------------------------------------- */

extern const char orr_wait_key; /* its address, as a light userdata, is what a wait yields */
#define ORR_WAIT_SENTINEL ((void *)(uintptr_t)&orr_wait_key)

/* The running fiber, which may wait here; raises where there is none or where no wait is possible.
 * `what` names the operation. */
orr_fiber *orr_wait_begin(lua_State *L, orr_script *s, const char *what);
/* Whether there is no fiber but the caller may run one: then the operation is done in a fiber of
 * its own, and the loop runs meanwhile. `fn` is called again in it with the arguments on the
 * stack. Returns the number of results. */
bool orr_wait_outside(lua_State *L, orr_script *s);
int orr_wait_in_fiber(lua_State *L, orr_script *s, lua_CFunction fn);
/* Suspends the running fiber: `return orr_wait_yield(...)`. Its results are what it is woken
 * with. */
int orr_wait_yield(lua_State *L, orr_script *s, orr_fiber *f);
/* Ends a wait whose yield cannot arrive any more, and pushes the error that says so. */
void orr_wait_escaped(lua_State *L, orr_script *s, orr_fiber *f);
/* Wakes a suspended fiber with `nargs` values that were already moved to its stack. */
void orr_wait_done(orr_script *s, orr_fiber *f, int nargs);
/* The same with the error of `reason`: an orr_cancel_reason of the core or one of these. */
void orr_wake_with_reason(orr_script *s, orr_fiber *f, uint8_t reason);
enum {
    REASON_SIBLING = 250,
    REASON_STUCK,
    REASON_MEMORY,
    REASON_OWNER,
    REASON_NO_SIGNAL,
    REASON_INTERRUPTED
};
/* A fiber that has the slot goes on (ORR_ACT_RESUME). */
void orr_wait_slot(orr_script *s, orr_fiber *root);
/* Ends the bookkeeping of its wait, whatever it is. */
void orr_wait_forget(orr_script *s, orr_fiber *f);
/* The timer of a timed wait has come. */
void orr_wait_timer(orr_script *s, const orr_timer *timer);
/* Ends the timer of a wait that is not a sleep. */
void orr_wait_unset_timer(orr_script *s, orr_fiber *f);
/* Sets the timer of a suspended fiber for its due time. */
void orr_wait_set_timer(orr_script *s, orr_fiber *f);
/* The clock that a suspended fiber waits by stands still, or goes on: so does its timer, if any. */
void orr_wait_move_timer(const orr_script *s, const orr_fiber *f);
/* Sleeps until then, or for ns, in the running fiber; as a Lua function's tail. */
int orr_wait_until(lua_State *L, orr_script *s, int64_t due);
int orr_wait_sleep(lua_State *L, orr_script *s, int64_t ns);
/* The same for one that is at work meanwhile: its node does not count as waiting, and keeps its
 * place. */
int orr_wait_busy(lua_State *L, orr_script *s, int64_t ns);
/* `ns` from now on the clock of the fiber; INT64_MAX - 1 at most. May raise a memory error. */
int64_t orr_sleep_due(lua_State *L, orr_script *s, const orr_fiber *f, int64_t ns);

/* core.await(fn), core.gather(fns): see flow.await and flow.gather. */
int orr_core_await(lua_State *L);
int orr_core_gather(lua_State *L);
/* The fiber whose wait the function at index fn would end: found through `resume`, which it holds
 * as an upvalue or in a function that it holds, `depth` deep; else NULL. */
orr_fiber *orr_fiber_behind(lua_State *L, orr_script *s, int fn, int depth);

/* ---- stopping: cancel.c ---------------------------------------------------------------------- */

/* Asks the fiber (and what it gathers) to stop. */
void orr_fiber_cancel(orr_script *s, orr_fiber *f, uint8_t reason);
/* Sets the hook, called at the next instruction, on every coroutine of the chain that runs. May be
 * called in a signal's handler on the loop's thread. */
void orr_fibers_hook(orr_script *s, lua_Hook hook);
/* Ends the waits of code that belongs to no node (a script's, the prompt's) with the error
 * "interrupted!"; how many. */
uint32_t orr_fibers_interrupt(orr_script *s);
/* Drops the fiber and its strands for good; the coroutines are closed, never resumed. */
void orr_fiber_abandon(orr_script *s, orr_fiber *f);
/* Whether the value at idx is the watchdog's: the code was stopped. */
static inline bool orr_is_stopped(lua_State *L, int idx) {
    return lua_touserdata(L, idx) == ORR_WATCHDOG_ERROR;
}

/* As lua_pcall of code that belongs to no fiber. The watchdog stops it at `due`, ns of
 * CLOCK_MONOTONIC; the error is then the watchdog's. */
int orr_call_bounded(lua_State *L, orr_script *s, int nargs, int nresults, int handler, int64_t due);

/* As lua_pcall of a callback that nobody waits for. Once it has used the processor for
 * callback_limit the watchdog stops it, and the error is a text that says where. */
int orr_call_limited(lua_State *L, orr_script *s, int nargs, int nresults, int handler);
#define ORR_CALLBACK_LIMIT INT64_C(10000000000) /* ns; unless another was asked for */

/* ---- the loop: turn.c, pump.c, callback.c ---------------------------------------------------- */

/* Runs the loop until done(ud). False where nothing is left that could ever make it true. */
bool orr_pump(orr_script *s, lua_State *L, bool (*done)(void *ud), void *ud);
/* Something may have become ready: the loop does not block before it has been looked at. Whatever a
 * callback of the loop calls says so: a fiber that becomes ready, a function of Lua, the C API. */
void orr_stay_awake(const orr_script *s);
/* Runs the loop until no run is live and nothing keeps it alive. LUA_OK, or a status and pushes a
 * message. */
int orr_script_drain(orr_script *s, lua_State *L);
/* Goes on with what can run now, without blocking, for `budget` ns and one slice longer at most; 0:
 * for one turn. True while there is more to do now. What it leaves of the budget can be read off
 * orr_fibers.budget until the next call. */
bool orr_script_step(orr_script *s, lua_State *L, int64_t budget);
/* ns until the next timer of a live runtime is due, 0 where its clock jumps. A clock that is held
 * has none; INT64_MAX for none. */
int64_t orr_script_until_due(const orr_script *s);

/* The loop that callbacks run on. */
uv_loop_t *orr_script_loop(orr_script *s);
/* Counts what is under way outside (a child process, a transfer): virtual time stands still
 * meanwhile, and a run that waits for nothing else is not stalled. `by` is +1 or -1. */
void orr_script_pending(orr_script *s, int by);
/* Calls the function below its `nargs` arguments on the main thread's stack and pops both. An
 * error in it is reported as the failure of the fiber it belongs to, or logged; it never leaves
 * this call. */
void orr_script_call(orr_script *s, int nargs);

/* ---- opening: open.c, luv.c, coroutines.c ---------------------------------------------------- */

typedef struct orr_fibers_options {
    uv_loop_t *loop;
    bool watchdog;                    /* stop handlers that run past their timeout without a wait */
    bool contain;                     /* see orr_fibers */
    void (*stuck)(const char *where); /* see orr_watchdog */
    orr_trace trace;
    const orr_turn_phase *phases;
    void (*make_default)(lua_State *L, orr_script *s);
} orr_fibers_options;

/* Pushes a new state of `size` bytes, which begins with an orr_fibers. May raise. */
orr_script *orr_fibers_new(lua_State *L, size_t size, const orr_alloc *alloc, const orr_fibers_options *o);
/* fn(ud, true) is called before each slice of a handler, and fn(ud, false) after it. */
void orr_fibers_on_slice(const orr_script *s, void (*fn)(void *ud, bool begins), void *ud);
/* Tells of the next slice in the same coroutine. */
static inline void orr_fibers_next_slice(const orr_script *s) {
    const orr_fibers *all = orr_fibers_of(s);
    if (all->slice) all->slice(all->slice_ud, true);
}
/* Closes the handle that the room keeps on the loop; it is made again where it is needed. */
void orr_fibers_let_loop_go(orr_script *s);
/* Turns the watchdog on, where it is off. */
void orr_fibers_watch(orr_script *s);
/* This program may be asked to stop (orr_watchdog_ask). Where a handler keeps the loop from turning
 * meanwhile, it is stopped, and `hear`, which has to call orr_watchdog_heard, is called before
 * anybody is told of that. `deaf`: see orr_watchdog. Nothing where the watchdog is off. */
void orr_fibers_listen(orr_script *s, void (*hear)(orr_script *s), void (*deaf)(bool slice));
/* Loads luv on that loop (NULL: on one that it makes); the loop. Raises where it has another. */
uv_loop_t *orr_luv_open(lua_State *L, uv_loop_t *loop);
/* luv is to be loaded on that loop. */
void orr_luv_set_loop(lua_State *L, uv_loop_t *loop);
/* For a state whose luv_set_loop was called with that loop, on its main coroutine, where callbacks
 * are called: luv is made ours if it is loaded, and is else to be by orr_luv_adopt once it is. */
uv_loop_t *orr_luv_open_later(lua_State *L, uv_loop_t *loop);
/* Makes luv's module, at the top, one of this state: its callbacks fail as ours do. May raise. */
void orr_luv_adopt(lua_State *L);
/* Leaves the handle of luv's at idx out of uv.walk: a script that closes all it finds must not meet
 * what the command needs. May raise. */
void orr_luv_hide(lua_State *L, int idx);
/* core.hide(handle) -> handle */
int orr_core_hide(lua_State *L);
/* Pushes luv's module, which may be loaded for that, or nil where it is not to be. May raise. */
void orr_push_luv(lua_State *L);
/* Replaces coroutine.resume, wrap, close and status of the state. */
void orr_open_coroutines(lua_State *L);

#endif
