/* watchdog.c - the thread, the signal's handler and the hook behind watchdog.h. */
#include "fiber/watchdog.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

const char orr_watchdog_key = 0;

/* While a slice is overdue and its hooks are not set, the signal is sent again after this long:
 * it may have been blocked. */
#define REPEAT (ORR_WATCHDOG_GRANULE * 4)

/* The watchdogs that are on in this thread: all that a signal's handler or a hook can reach, for an
 * argument given to either might not be valid any more when it runs. The first access is in
 * orr_watchdog_start, so that the handler never makes the thread's storage. */
static _Thread_local orr_watchdog *mine;

/* The handler belongs to the process: the first watchdog installs it, the last one removes it. */
static struct {
    pthread_mutex_t lock;
    unsigned users;
    struct sigaction former;
} installed = {.lock = PTHREAD_MUTEX_INITIALIZER};

int64_t orr_watchdog_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- on the loop's thread: hooks ------------------------------------------------------------- */

static void note_where(orr_watchdog *w, lua_State *L) {
    lua_Debug ar;
    if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "Sl", &ar) || ar.currentline < 0) return;
    snprintf(w->where, sizeof w->where, "%s:%d", ar.short_src, ar.currentline);
}

/* The line of Lua that called what does not come back. */
static void note_caller(orr_watchdog *w, lua_State *L) {
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sl", &ar) || ar.currentline < 0) continue;
        snprintf(w->where, sizeof w->where, "%s:%d", ar.short_src, ar.currentline);
        return;
    }
}

/* The overdue watchdog of the Lua state that L belongs to; every coroutine of a state has the
 * same registry. */
static orr_watchdog *overdue(lua_State *L) {
    for (orr_watchdog *w = mine; w; w = w->next) {
        orr_watchdog_frame *top = atomic_load_explicit(&w->top, memory_order_relaxed);
        if (top && orr_watchdog_fired(w) &&
            lua_topointer(top->L, LUA_REGISTRYINDEX) == lua_topointer(L, LUA_REGISTRYINDEX))
            return w;
    }
    return NULL;
}

/* ---- on the loop's thread: errors that nothing sees ------------------------------------------ */

#define NO_BLOCK ((size_t)1 << 46) /* the size of a block that nobody else asks for */

static void *refuse(void *ud, void *ptr, size_t osize, size_t nsize) {
    const orr_watchdog *w = ud;
    return nsize >= NO_BLOCK && !ptr ? NULL : w->alloc(w->alloc_ud, ptr, osize, nsize);
}

/* Lack of memory is the one error that Lua raises without calling a message handler. */
static void fail_unseen(orr_watchdog *w, lua_State *L) {
    if (!w->alloc) {
        w->alloc = lua_getallocf(L, &w->alloc_ud);
        lua_setallocf(L, refuse, w);
    }
    lua_newuserdatauv(L, NO_BLOCK, 0);
}

/* Whether an error here may call a message handler of the user's. A coroutine that is closed may
 * have one left from where it was suspended. */
static bool may_be_handled(const orr_watchdog *w, lua_State *L, bool closing) {
    lua_Debug ar;
    bool found = closing || !w->xpcall;
    for (int level = 0; !found && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "f", &ar);
        found = lua_tocfunction(L, -1) == w->xpcall;
        lua_pop(L, 1);
    }
    return found;
}

static bool is_closing(const orr_watchdog *w, const lua_State *L) {
    const orr_watchdog_frame *f = atomic_load_explicit(&w->top, memory_order_relaxed);
    while (f && f->L != L) f = f->below;
    return f && f->closes;
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
    (void)ar;
    orr_watchdog *w = overdue(L);
    if (!w) { /* a coroutine that was made, or left suspended, while a former slice was overdue */
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    w->in_lua = 0;
    if (!w->where[0]) note_where(w, L);
    bool closing = is_closing(w, L);
    if (lua_isyieldable(L) && !closing) {
        lua_yield(L, 0);
        return;
    }
    if (may_be_handled(w, L, closing)) fail_unseen(w, L);
    lua_pushlightuserdata(L, ORR_WATCHDOG_ERROR);
    lua_error(L);
}

void orr_watchdog_arm(orr_watchdog *w, lua_State *L) {
    (void)w;
    lua_sethook(L, on_instruction, LUA_MASKCOUNT, 1);
}

enum { OFTEN = 10 };

/* Lua code that runs on though the hook is set is where Lua allows none. */
static bool is_stuck(orr_watchdog *w, lua_State *L) {
    lua_Debug ar;
    bool lua = lua_getstack(L, 0, &ar) && lua_getinfo(L, "l", &ar) && ar.currentline >= 0;
    w->in_lua = lua ? w->in_lua + 1 : 0;
    return w->late > ORR_WATCHDOG_LAST || (w->late > ORR_WATCHDOG_LAST_LUA && w->in_lua > OFTEN);
}

static void end_stuck(orr_watchdog *w) {
    const orr_watchdog_frame *top = atomic_load_explicit(&w->top, memory_order_relaxed);
    if (!w->stuck || !top || !is_stuck(w, top->L)) return;
    w->where[0] = '\0';
    note_caller(w, top->L);
    w->stuck(w->where);
}

/* Processor time of the calling thread. */
static int64_t used_here(void) {
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)) return 0;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* On the owner's thread. */
static bool is_over(int64_t due, int64_t most, int64_t now) {
    return due <= now && (!most || most <= used_here());
}

/* What another thread wishes is decided here, where no slice begins or ends. */
static void obey_cut(orr_watchdog *w, int64_t now) {
    const void *cut = atomic_load_explicit(&w->cut, memory_order_relaxed);
    if (!cut) return;
    atomic_store_explicit(&w->cut, NULL, memory_order_relaxed);
    if (cut != atomic_load_explicit(&w->slice, memory_order_relaxed)) return;
    if (!atomic_load_explicit(&w->top, memory_order_relaxed)) return;
    atomic_store_explicit(&w->most, 0, memory_order_relaxed);
    atomic_store_explicit(&w->due, now, memory_order_relaxed);
}

static bool in_slice(orr_watchdog *w) {
    const orr_watchdog_frame *f = atomic_load_explicit(&w->top, memory_order_relaxed);
    while (f && !f->slice) f = f->below;
    return f;
}

static void obey_ask(orr_watchdog *w, int64_t now) {
    if (atomic_load_explicit(&w->asked, memory_order_relaxed) > now) return;
    bool slice = in_slice(w);
    if (slice) atomic_store_explicit(&w->most, 0, memory_order_relaxed);
    if (slice && atomic_load_explicit(&w->due, memory_order_relaxed) > now)
        atomic_store_explicit(&w->due, now, memory_order_relaxed);
    if (w->deaf) w->deaf(slice);
}

/* The slice is found overdue, for the first time or again. */
static void note_overdue(orr_watchdog *w) {
    if (orr_watchdog_fired(w)) {
        w->late = used_here() - w->used;
        return;
    }
    w->where[0] = '\0';
    w->in_lua = 0;
    w->used = used_here();
    w->late = 0;
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int64_t now = orr_watchdog_now();
    for (orr_watchdog *w = mine; w; w = w->next) {
        obey_cut(w, now);
        obey_ask(w, now);
        if (!is_over(atomic_load_explicit(&w->due, memory_order_relaxed),
                     atomic_load_explicit(&w->most, memory_order_relaxed), now))
            continue;
        note_overdue(w);
        /* `fired` first: a frame that is pushed or popped from here on looks after its own hook. */
        atomic_store_explicit(&w->fired, true, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        for (orr_watchdog_frame *f = atomic_load_explicit(&w->top, memory_order_relaxed); f; f = f->below)
            orr_watchdog_arm(w, f->L);
        end_stuck(w);
    }
    const struct sigaction *former = &installed.former;
    if (former->sa_flags & SA_SIGINFO) former->sa_sigaction(number, info, context);
    else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN) former->sa_handler(number);
}

void orr_watchdog_enter_limited(orr_watchdog *w, orr_watchdog_frame *frame, lua_State *L, int64_t limit) {
    bool outermost = atomic_load_explicit(&w->due, memory_order_relaxed) == ORR_WATCHDOG_NEVER;
    orr_watchdog_enter(w, frame, L, outermost ? orr_watchdog_now() + limit : ORR_WATCHDOG_NEVER);
    if (outermost) atomic_store_explicit(&w->most, used_here() + limit, memory_order_relaxed);
}

/* Ends the overdue slice of `frame`, which is off the chain already. */
void orr_watchdog_end_overdue(orr_watchdog *w, orr_watchdog_frame *frame) {
    /* again: the signal may have come when they were back and the frame was still there */
    atomic_store_explicit(&w->most, frame->outer_most, memory_order_relaxed);
    atomic_store_explicit(&w->due, frame->outer_due, memory_order_relaxed);
    lua_sethook(frame->L, NULL, 0, 0);
    if (w->alloc) {
        lua_setallocf(frame->L, w->alloc, w->alloc_ud);
        w->alloc = NULL;
    }
    /* the outer slice is overdue too and stays hooked */
    if (is_over(frame->outer_due, frame->outer_most, orr_watchdog_now())) return;
    atomic_store_explicit(&w->fired, false, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    for (orr_watchdog_frame *f = frame->below; f; f = f->below) lua_sethook(f->L, NULL, 0, 0);
    if (frame->outer_due < atomic_load_explicit(&w->kick_below, memory_order_relaxed))
        orr_watchdog_kick(w, frame->outer_due);
}

/* ---- the watchdog's thread ------------------------------------------------------------------- */

static void sleep_until(orr_watchdog *w, int64_t when) {
    if (when == ORR_WATCHDOG_NEVER) {
        pthread_cond_wait(&w->wake, &w->lock);
        return;
    }
    struct timespec t = {.tv_sec = (time_t)(when / 1000000000), .tv_nsec = (long)(when % 1000000000)};
    pthread_cond_timedwait(&w->wake, &w->lock, &t);
}

/* Processor time of the loop's thread: what blocks in a system call uses none and is waited for. */
static int64_t used(const orr_watchdog *w) {
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(w->owner, &clock) || clock_gettime(clock, &t)) return 0;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Looks at the slice and returns the time of the next look. */
static int64_t look(orr_watchdog *w, int64_t now) {
    int64_t due = atomic_load_explicit(&w->due, memory_order_relaxed);
    if (due == ORR_WATCHDOG_NEVER) return ORR_WATCHDOG_NEVER;
    if (due <= now) {
        int64_t left = atomic_load_explicit(&w->most, memory_order_relaxed) - used(w);
        if (left > 0) return now + (left < ORR_WATCHDOG_GRANULE ? ORR_WATCHDOG_GRANULE : left);
        pthread_kill(w->owner, ORR_WATCHDOG_SIGNAL);
        return now + REPEAT;
    }
    return due < now + ORR_WATCHDOG_GRANULE ? now + ORR_WATCHDOG_GRANULE : due;
}

static void announce(orr_watchdog *w, int64_t when) {
    atomic_store_explicit(&w->kick_below, when - ORR_WATCHDOG_GRANULE, memory_order_relaxed);
}

/* Slices come and go while this sleeps; it wakes at the due time of the one it saw, not once a
 * slice. A slice that starts later but is due before that calls orr_watchdog_kick. The loop's
 * thread stores its due time and then reads kick_below without a fence, so it may miss an
 * announcement made in the same instant; therefore each announcement is followed by a second
 * look one granule later, by when the store has become visible. */
static void *watch(void *arg) {
    orr_watchdog *w = arg;
    pthread_mutex_lock(&w->lock);
    int64_t next = 0;
    while (!w->stopping) {
        int64_t now = orr_watchdog_now();
        int64_t wish = look(w, now);
        if (next <= now || wish < next) {
            next = wish;
            announce(w, next);
            sleep_until(w, next - now > ORR_WATCHDOG_GRANULE ? now + ORR_WATCHDOG_GRANULE : next);
        } else {
            sleep_until(w, next);
        }
        int64_t kicked = atomic_load_explicit(&w->kick_below, memory_order_relaxed) + ORR_WATCHDOG_GRANULE;
        if (kicked < next) next = kicked;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static bool make_thread(orr_watchdog *w) {
    /* It must not take the signals that others expect in their own threads. */
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    w->thread_error = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return w->thread_error == 0;
}

void orr_watchdog_kick(orr_watchdog *w, int64_t due) {
    pthread_mutex_lock(&w->lock);
    announce(w, due);
    if (w->threaded) pthread_cond_signal(&w->wake);
    else if (!(w->threaded = make_thread(w)))
        atomic_store_explicit(&w->kick_below, INT64_MIN, memory_order_relaxed);
    pthread_mutex_unlock(&w->lock);
}

void orr_watchdog_cut(orr_watchdog *w, const void *whose) {
    if (!w->on) return;
    atomic_store_explicit(&w->cut, whose, memory_order_relaxed);
    pthread_kill(w->owner, ORR_WATCHDOG_SIGNAL);
    orr_watchdog_kick(w, orr_watchdog_now());
}

/* ---- asked to stop --------------------------------------------------------------------------- */

static struct timespec span(int64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

bool orr_watchdog_listen(orr_watchdog *w, void (*deaf)(bool slice)) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = ORR_WATCHDOG_SIGNAL};
    event.sigev_notify_thread_id = gettid();
    w->deaf = deaf;
    if (w->on && !w->listens) w->listens = timer_create(CLOCK_MONOTONIC, &event, &w->timer) == 0;
    return w->listens;
}

void orr_watchdog_ask(orr_watchdog *w) {
    if (!w->listens || atomic_load_explicit(&w->asked, memory_order_relaxed) != ORR_WATCHDOG_NEVER) return;
    struct itimerspec ticks = {.it_value = span(ORR_WATCHDOG_PATIENCE), .it_interval = span(REPEAT)};
    atomic_store_explicit(&w->asked, orr_watchdog_now() + ORR_WATCHDOG_PATIENCE, memory_order_relaxed);
    timer_settime(w->timer, 0, &ticks, NULL);
}

void orr_watchdog_heard(orr_watchdog *w) {
    if (atomic_load_explicit(&w->asked, memory_order_relaxed) == ORR_WATCHDOG_NEVER) return;
    timer_settime(w->timer, 0, &(struct itimerspec){0}, NULL);
    atomic_store_explicit(&w->asked, ORR_WATCHDOG_NEVER, memory_order_relaxed);
}

/* ---- on and off ------------------------------------------------------------------------------ */

void orr_watchdog_init(orr_watchdog *w) {
    memset(w, 0, sizeof *w);
    atomic_init(&w->due, ORR_WATCHDOG_NEVER);
    atomic_init(&w->most, 0);
    atomic_init(&w->kick_below, INT64_MIN);
    atomic_init(&w->top, NULL);
    atomic_init(&w->fired, false);
    atomic_init(&w->asked, ORR_WATCHDOG_NEVER);
    atomic_init(&w->slice, NULL);
    atomic_init(&w->cut, NULL);
}

static bool install(void) {
    bool ok = true;
    pthread_mutex_lock(&installed.lock);
    if (installed.users == 0) {
        /* Restarted system calls, so that a handler's io.read is not cut short; the alternate
         * stack where the host has one, as some runtimes demand of every handler. */
        struct sigaction action = {.sa_sigaction = on_signal,
                                   .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
        sigemptyset(&action.sa_mask);
        ok = sigaction(ORR_WATCHDOG_SIGNAL, NULL, &installed.former) == 0 &&
             sigaction(ORR_WATCHDOG_SIGNAL, &action, NULL) == 0;
    }
    if (ok) installed.users++;
    pthread_mutex_unlock(&installed.lock);
    return ok;
}

static void uninstall(void) {
    pthread_mutex_lock(&installed.lock);
    if (--installed.users == 0) {
        struct sigaction now;
        bool ours = sigaction(ORR_WATCHDOG_SIGNAL, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO &&
                    now.sa_sigaction == on_signal;
        if (ours) sigaction(ORR_WATCHDOG_SIGNAL, &installed.former, NULL);
    }
    pthread_mutex_unlock(&installed.lock);
}

static bool make_wake(orr_watchdog *w) {
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr)) return false;
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&w->wake, &attr) == 0;
    pthread_condattr_destroy(&attr);
    return ok;
}

orr_status orr_watchdog_start(orr_watchdog *w) {
    if (w->on) return ORR_OK;
    if (pthread_mutex_init(&w->lock, NULL)) return ORR_EINVAL;
    if (!make_wake(w)) {
        pthread_mutex_destroy(&w->lock);
        return ORR_EINVAL;
    }
    if (!install()) {
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        return ORR_EINVAL;
    }
    w->on = true;
    w->threaded = w->stopping = false;
    w->thread_error = 0;
    w->owner = pthread_self();
    w->next = mine;
    atomic_signal_fence(memory_order_seq_cst);
    mine = w;
    announce(w, ORR_WATCHDOG_NEVER);
    return ORR_OK;
}

void orr_watchdog_stop(orr_watchdog *w) {
    if (!w->on) return;
    if (w->listens) timer_delete(w->timer);
    w->listens = false;
    atomic_store_explicit(&w->asked, ORR_WATCHDOG_NEVER, memory_order_relaxed);
    atomic_store_explicit(&w->kick_below, INT64_MIN, memory_order_relaxed);
    if (w->threaded) {
        pthread_mutex_lock(&w->lock);
        w->stopping = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
    }
    for (orr_watchdog **at = &mine; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    uninstall();
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    w->on = w->threaded = false;
}
