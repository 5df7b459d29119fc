/* watchdog.h - stops Lua code that does not yield by the time it was given.
 *
 * A slice is one stretch of Lua on the loop's thread: from the moment a coroutine is resumed until
 * it comes back. One that has no time limit of its own may have a limit in processor time, so that
 * what blocks in the system is waited for. The loop's thread publishes when the slice is due (one
 * relaxed store); a thread of ours sleeps until then, and where the slice still runs it sends
 * ORR_WATCHDOG_SIGNAL to the loop's thread. Only there, in the signal's handler, is lua_sethook
 * called, for it may be called between any two instructions of its own thread but never from
 * another one. The hook goes on the running coroutine and on all its resumers and stays until the
 * slice ends, so no pcall outlives it.
 *
 * What the hook does, at every VM instruction of the stretch that is overdue:
 *   - where the coroutine may yield, it yields no values. No pcall, no message handler of xpcall
 *     and no __close sees that; lua_resume returns LUA_YIELD with 0 results;
 *   - elsewhere (the main thread, a table.sort comparator, a gsub callback, a coroutine that is
 *     closed) it raises ORR_WATCHDOG_ERROR, a light userdata; what catches it runs into the hook
 *     again one instruction later. Where an error would call a message handler, in which Lua
 *     allows no hook, it fails as for lack of memory instead (LUA_ERRMEM): that calls none.
 *
 * So the caller of lua_resume asks orr_watchdog_fired before it leaves the slice. Where it is true
 * and the coroutine came back with 0 results or with that error or LUA_ERRMEM, the handler was
 * stopped. Then it must not be resumed again, only closed (lua_resetthread), in a slice of its own,
 * so that its __close handlers have a time limit as well; `where` says at which line
 * it was stopped, until another slice is overdue. Where it is true and the coroutine yielded a wait
 * of ours, that wait goes on as any other. A wrapped coroutine.resume only has to push and pop:
 * what it returns does not matter, for the next instruction of its caller runs into the hook.
 *
 * The hook is set again every REPEAT while the slice lasts, so that a debug.sethook that came in
 * between takes it away for a moment only.
 *
 * What cannot be stopped: a C function that does not return (string.rep of gigabytes, a pattern
 * that backtracks without end, a blocking read), the hook takes effect when it does; a __gc or a
 * hook of the user's, for Lua allows no hook inside them; a coroutine whose resumer did not push
 * it, for Lua does not say which coroutine runs. When such code has used ORR_WATCHDOG_LAST of the
 * processor since its time was over, `stuck` is called.
 *
 * A program that is asked to stop, by a signal, hears of it when its loop turns. Where a slice
 * keeps it from turning for ORR_WATCHDOG_PATIENCE, the slice is stopped as one whose time is over,
 * and so is each that follows, until orr_watchdog_heard.
 *
 * The cost: enter and leave are a handful of plain stores and one compare, no fence and no system
 * call. No thread exists before the first slice with a due time, and it sleeps while no slice has
 * one.
 */
#ifndef ORR_FIBER_WATCHDOG_H
#define ORR_FIBER_WATCHDOG_H

#include "core/core.h"
#include <lua.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* SIGURG: ignored by default, so that a stray one does no harm; debuggers pass it on; hardly any
 * program uses it (it announces out-of-band data on a socket). A handler that was there before
 * is still called. */
#define ORR_WATCHDOG_SIGNAL SIGURG

/* How late it may be, in ns; also the shortest time for which its thread sleeps. */
#define ORR_WATCHDOG_GRANULE INT64_C(5000000)

#define ORR_WATCHDOG_NEVER INT64_MAX

/* Processor time in ns, beyond its due time, after which a slice is taken for stuck: one in a C
 * function, which may return yet, and one in Lua, which the hook would have stopped at once. */
#define ORR_WATCHDOG_LAST INT64_C(2000000000)
#define ORR_WATCHDOG_LAST_LUA INT64_C(500000000)

/* ns from orr_watchdog_ask on, after which a slice is stopped. */
#define ORR_WATCHDOG_PATIENCE INT64_C(500000000)

/* One coroutine of the chain from the slice's first to the running one. Lives on the C stack of
 * whoever resumes it; its fields are the watchdog's own. */
typedef struct orr_watchdog_frame {
    struct orr_watchdog_frame *below;
    lua_State *L;
    int64_t outer_due; /* of the slice in which this slice was entered */
    int64_t outer_most;
    bool slice;  /* a slice begins here */
    bool closes; /* L does not run, its to-be-closed variables do; set after push or enter */
} orr_watchdog_frame;

typedef struct orr_watchdog {
    /* CLOCK_MONOTONIC ns of the present slice, or ORR_WATCHDOG_NEVER */
    _Atomic int64_t due;
    /* processor time of the owner's thread (ns) before which the slice is not overdue; 0: none */
    _Atomic int64_t most;
    /* an earlier due time has to wake the thread; INT64_MIN while off */
    _Atomic int64_t kick_below;
    _Atomic(orr_watchdog_frame *) top; /* the running coroutine */
    /* the present slice is overdue and its coroutines carry the hook */
    _Atomic bool fired;
    /* whose slice the present one is, as far as the owner says, and whose another thread has cut */
    _Atomic(const void *) slice, cut;
    char where[160]; /* "file:line" at which the last one was stopped; "" in C */
    bool on, threaded, stopping;
    int thread_error; /* errno value of a thread that could not be made, else 0 */
    pthread_t owner, thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct orr_watchdog *next; /* of the same owner thread */
    /* Called in the signal's handler, on the owner's thread, where the code at `where` (file:line,
     * or "") cannot be stopped; NULL: it is left alone. */
    void (*stuck)(const char *where);
    int64_t used; /* processor time of the owner when the slice was found overdue */
    int64_t late; /* and what it has used since then */
    int in_lua;   /* how often on end the signal came in Lua code without the hook in between */
    /* xpcall of the state: where it is known, only what runs in it fails as for lack of memory */
    lua_CFunction xpcall;
    /* When its slices are stopped because nobody has heard that the program is to stop, or
     * ORR_WATCHDOG_NEVER; and what wakes the owner's thread then. */
    _Atomic int64_t asked;
    timer_t timer;
    bool listens;
    /* Called in the signal's handler, again and again as long as nobody has heard; whether a slice
     * runs, which is stopped. */
    void (*deaf)(bool slice);
    lua_Alloc alloc; /* the state's own, while ours stands in for it */
    void *alloc_ud;
} orr_watchdog;

/* The error raised where the hook cannot yield: compare with lua_touserdata. */
extern const char orr_watchdog_key;
#define ORR_WATCHDOG_ERROR ((void *)(uintptr_t)&orr_watchdog_key)

/* Makes a watchdog that is off; enter, leave, push and pop may be called and do nothing but keep
 * the chain. */
void orr_watchdog_init(orr_watchdog *w);

/* Turns it on for slices of the calling thread, which has to be the one that runs the Lua code.
 * Installs the signal's handler for the process; the thread is made at the first slice that has
 * a due time. No effect when on. ORR_EINVAL where the system refuses the handler, the lock or
 * the condition. */
orr_status orr_watchdog_start(orr_watchdog *w);

/* Turns it off: ends and joins the thread; the last one in the process puts the former handler
 * back. To be called on the thread that started it, outside a slice. No effect when off. */
void orr_watchdog_stop(orr_watchdog *w);

/* Whose the slice is that begins next, for orr_watchdog_cut; NULL: nobody's. */
static inline void orr_watchdog_mark(orr_watchdog *w, const void *whose) {
    atomic_store_explicit(&w->slice, whose, memory_order_relaxed);
}

/* From any thread, while the owner's runs: the time of the present slice is over, if it is
 * theirs. To be called again while they go on. */
void orr_watchdog_cut(orr_watchdog *w, const void *whose);

/* From now on it may be asked to stop. To be called on the owner's thread while it is on. False
 * where the system has no timer for that. `deaf` may be NULL. */
bool orr_watchdog_listen(orr_watchdog *w, void (*deaf)(bool slice));

/* In a signal's handler of any thread: the program is to stop. */
void orr_watchdog_ask(orr_watchdog *w);

/* On the owner's thread: it is known. */
void orr_watchdog_heard(orr_watchdog *w);

/* Now, on the clock of the due times. Equal to uv_hrtime. */
int64_t orr_watchdog_now(void);

/* Begins a slice in which L may use `limit` ns of processor time, for orr_watchdog_leave. Within
 * another slice it has that one's limit only. */
void orr_watchdog_enter_limited(orr_watchdog *w, orr_watchdog_frame *frame, lua_State *L, int64_t limit);

/* The slow paths of the inline functions below. */
void orr_watchdog_kick(orr_watchdog *w, int64_t due);
void orr_watchdog_arm(orr_watchdog *w, lua_State *L);
void orr_watchdog_end_overdue(orr_watchdog *w, orr_watchdog_frame *frame);

/* Whether the present slice was found overdue. */
static inline bool orr_watchdog_fired(orr_watchdog *w) {
    return atomic_load_explicit(&w->fired, memory_order_relaxed);
}

/* Whether slices are stopped because nobody has heard that the program is to stop. */
static inline bool orr_watchdog_unheard(orr_watchdog *w) {
    int64_t asked = atomic_load_explicit(&w->asked, memory_order_relaxed);
    return asked != ORR_WATCHDOG_NEVER && asked <= orr_watchdog_now();
}

/* Puts L on top of the chain, to be called just before lua_resume of a coroutine inside a slice. */
static inline void orr_watchdog_push(orr_watchdog *w, orr_watchdog_frame *frame, lua_State *L) {
    frame->L = L;
    frame->slice = frame->closes = false;
    frame->below = atomic_load_explicit(&w->top, memory_order_relaxed);
    /* The signal's handler runs on this thread: it is the compiler alone that must not reorder. */
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&w->top, frame, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (orr_watchdog_fired(w)) orr_watchdog_arm(w, L);
}

/* Takes it off again, just after lua_resume returned. */
static inline void orr_watchdog_pop(orr_watchdog *w, orr_watchdog_frame *frame) {
    atomic_store_explicit(&w->top, frame->below, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (orr_watchdog_fired(w)) lua_sethook(frame->L, NULL, 0, 0);
}

/* Begins a slice in which L runs, due at `due` (CLOCK_MONOTONIC ns, ORR_WATCHDOG_NEVER for no
 * limit). A slice inside a slice is due no later than the outer one. */
static inline void orr_watchdog_enter(orr_watchdog *w, orr_watchdog_frame *frame, lua_State *L, int64_t due) {
    int64_t outer = atomic_load_explicit(&w->due, memory_order_relaxed);
    frame->outer_due = outer;
    frame->outer_most = atomic_load_explicit(&w->most, memory_order_relaxed);
    if (outer < due) due = outer;
    orr_watchdog_push(w, frame, L);
    atomic_store_explicit(&w->due, due, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* `due` of the outer one may have passed */
    if (due < outer) atomic_store_explicit(&w->most, 0, memory_order_relaxed);
    frame->slice = true;
    /* Mostly false: the thread already wakes early enough because of an earlier slice. */
    if (due < atomic_load_explicit(&w->kick_below, memory_order_relaxed)) orr_watchdog_kick(w, due);
}

/* Ends the slice that `frame` began; its hooks are gone afterwards and `fired` is false, unless
 * an outer slice is overdue as well. */
static inline void orr_watchdog_leave(orr_watchdog *w, orr_watchdog_frame *frame) {
    atomic_store_explicit(&w->most, frame->outer_most, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&w->due, frame->outer_due, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&w->top, frame->below, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (orr_watchdog_fired(w)) orr_watchdog_end_overdue(w, frame);
}

#endif
