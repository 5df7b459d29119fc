/* thread.c - a worker: a thread with a Lua state, whose turns resume the fibers of its jobs. */
#include "worker/inner.h"

#include <lauxlib.h>
#include <stdio.h>

/* ---- the fiber of a job ---------------------------------------------------------------------- */

static void forget_receiver(lua_State *L, job *j) {
    luaL_unref(L, LUA_REGISTRYINDEX, j->receiver);
    j->receiver = LUA_NOREF;
}

static void enter_own(worker *w, job *j) {
    j->prev_own = NULL;
    j->next_own = w->jobs;
    if (w->jobs) w->jobs->prev_own = j;
    w->jobs = j;
}

static void leave_own(worker *w, job *j) {
    if (j->prev_own) j->prev_own->next_own = j->next_own;
    else w->jobs = j->next_own;
    if (j->next_own) j->next_own->prev_own = j->prev_own;
}

/* The job is over; its last word goes to the loop. Without memory for one it has that in common
 * with all others. */
static void finish(worker *w, job *j, message *last) {
    static const char unsaid[] = "out_of_memory\0not enough memory";
    if (!last) last = orr_message_last(j, unsaid, sizeof unsaid - 1);
    leave_own(w, j);
    forget_receiver(w->script->main, j);
    orr_watchdog_mark(&orr_fibers_of(w->script)->watchdog, NULL);
    orr_workers_done(w, j, j->fails || last->kind == MESSAGE_FAILED);
    orr_workers_post(w->all, last);
    orr_job_release(j);
}

static int job_done(lua_State *L, int status, lua_KContext k) {
    orr_script *s = (orr_script *)k;
    orr_fiber_done(L, s, orr_fiber_current(s), status);
    return 1; /* the text that the function returned, or the error */
}

/* (script, function, job, text) */
static int job_base(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, 2);
    int status = lua_pcallk(L, 2, 1, 2, (lua_KContext)s, job_done);
    return job_done(L, status, (lua_KContext)s);
}

typedef struct describing {
    orr_script *s;
    orr_fiber *f; /* its value is the error; NULL: it is at the top of `from` */
    lua_State *from;
    job *j;
    message *made;
} describing;

/* The error as code and message. */
static int describe(lua_State *L) {
    describing *d = lua_touserdata(L, 1);
    orr_error error;
    if (d->from) {
        lua_settop(d->from, 1);
        lua_xmove(d->from, L, 1);
    } else {
        orr_fiber_push_value(L, d->s, d->f);
    }
    orr_error_table(L, d->s, -1, "handler_error", &error);
    d->made = orr_message_failed(d->j, error.code, error.message);
    return 0;
}

static void ended(orr_script *s, orr_fiber *f, int nres) {
    job *j = orr_job_of(f);
    worker *w = j->worker;
    bool failed = orr_fibers_of(s)->failed;
    describing d = {.s = s, .from = f->co, .j = j};
    size_t size;
    const char *text = nres == 1 && !failed && lua_type(f->co, -1) == LUA_TSTRING
                           ? lua_tolstring(f->co, -1, &size)
                           : NULL;
    if (text) d.made = orr_message_new(j, MESSAGE_ENDED, text, size);
    else orr_protect(s, describe, &d);
    orr_fiber_release(s, f, !failed);
    finish(w, j, d.made);
}

static void broken(orr_script *s, orr_fiber *f, const char *code, const char *said) {
    job *j = orr_job_of(f);
    worker *w = j->worker;
    describing d = {.s = s, .f = f, .j = j};
    if (code) d.made = orr_message_failed(j, code, said);
    else orr_protect(s, describe, &d);
    orr_fiber_release(s, f, false);
    finish(w, j, d.made);
}

/* A stretch of its code begins. Of a job that was to stop and did not: it ends at once. */
static int64_t slice_due(const orr_script *s, const orr_fiber *f) {
    job *j = orr_job_of(orr_fiber_root(s, f));
    j->worker->paused = false;
    orr_workers_goes_on(j->worker);
    orr_watchdog_mark(&orr_fibers_of(s)->watchdog, j);
    return atomic_load(&j->cut) ? orr_watchdog_now() : ORR_WATCHDOG_NEVER;
}

static const orr_client jobs = {.ended = ended, .broken = broken, .slice_due = slice_due};

/* ms for which the jobs of a worker have all waited before it takes another. */
enum { PAUSE = 2 };

/* ---- taking jobs ----------------------------------------------------------------------------- */

typedef struct starting {
    worker *w;
    job *j;
    bool begun;
} starting;

static int begin(lua_State *L) {
    starting *b = lua_touserdata(L, 1);
    orr_script *s = b->w->script;
    orr_push_anchor(L, b->w->main);
    orr_push_own_job(L, b->w, b->j);
    lua_pushlstring(L, b->j->start->text, b->j->start->size);
    orr_rt_default(L, s);
    orr_fiber *f = orr_fiber_spawn(s, L, job_base, 2);
    if (!f) return luaL_error(L, "not enough memory for a coroutine");
    f->client = &jobs;
    f->kind = FIBER_FREE;
    f->alive = (intptr_t)b->j;
    b->j->fiber = orr_fiber_id_of(f);
    b->begun = true;
    return 0;
}

static void start(worker *w, job *j) {
    starting b = {w, j, false};
    enter_own(w, j);
    orr_protect(w->script, begin, &b);
    if (!b.begun) finish(w, j, NULL);
    orr_stay_awake(w->script);
}

/* Those that were to stop, did not, and wait again, perhaps for what never comes: they are dropped,
 * as the loop abandons an attempt. */
static void drop_cut(worker *w) {
    static const char late[] = "cancelled\0it was asked to stop, and went on to wait";
    for (job *j = w->jobs, *next; j; j = next) {
        next = j->next_own;
        orr_fiber *f = atomic_load(&j->cut) ? orr_fiber_get(w->script, j->fiber) : NULL;
        if (!f) continue;
        orr_fiber_abandon(w->script, f);
        finish(w, j, orr_message_last(j, late, sizeof late - 1));
    }
}

static void stop(worker *w) {
    uv_unref((uv_handle_t *)&w->wake.poll);
    uv_stop(w->wake.poll.loop);
}

static void on_patience(uv_timer_t *timer) {
    worker *w = timer->data;
    if (orr_workers_spare(w)) stop(w);
}

static void on_pause(uv_timer_t *timer) {
    ((worker *)timer->data)->paused = true;
}

/* Such a job is about to compute, however long the loop takes to answer: it is no reason to take
 * another, which would have to wait for it. */
static bool any_loads(const worker *w) {
    for (const job *j = w->jobs; j; j = j->next_own)
        if (j->loads) return true;
    return false;
}

/* The loop is about to look for what has happened, and may block then. Most of what jobs ask of the
 * loop is answered within a moment: only a worker whose jobs wait for longer takes another,
 * for it may be that one with nothing to do is on its way. */
static void on_before_sleep(uv_prepare_t *prepare) {
    worker *w = prepare->data;
    bool closing = false;
    if (orr_fibers_of(w->script)->ready_head != ORR_NONE) return;
    drop_cut(w);
    if (any_loads(w)) return;
    if (w->jobs && !w->paused) {
        if (!uv_is_active((uv_handle_t *)&w->pause)) uv_timer_start(&w->pause, on_pause, PAUSE, 0);
        return;
    }
    job *j = orr_workers_take(w, &closing);
    if (j) {
        uv_timer_stop(&w->patience);
        w->waiting = false;
        start(w, j);
    } else if (closing) {
        stop(w);
    } else if (!w->jobs && !w->waiting) {
        w->waiting = true; /* once: it stays where it is not spared */
        uv_timer_start(&w->patience, on_patience, (uint64_t)(w->all->options.patience / 1000000), 0);
    }
}

/* ---- what comes from the loop ---------------------------------------------------------------- */

typedef struct handing {
    job *j;
    message *l;
} handing;

static int hand_over(lua_State *L) {
    handing *h = lua_touserdata(L, 1);
    orr_push_anchor(L, h->j->receiver);
    forget_receiver(L, h->j);
    lua_pushlstring(L, h->l->text, h->l->size);
    lua_call(L, 1, 0);
    return 0;
}

/* Gives a text to the function that waits for it; else it is kept. True where it was given. A job
 * that cannot be told what it waits for, because its state has no memory for that, cannot go on. */
static bool receive(worker *w, job *j, message *l) {
    if (j->receiver == LUA_NOREF) {
        orr_messages_add(&j->inbox, l);
        return false;
    }
    handing h = {j, l};
    if (orr_protect(w->script, hand_over, &h) == LUA_OK) return true;
    orr_fiber *f = orr_fiber_get(w->script, j->fiber);
    if (f) orr_fiber_cancel(w->script, f, REASON_MEMORY);
    return true;
}

static void obey(worker *w, message *l) {
    job *j = l->job;
    bool kept = false;
    if (j->worker != w) { /* it is over */
    } else if (l->kind == MESSAGE_CANCEL) {
        orr_fiber *f = orr_fiber_get(w->script, j->fiber);
        if (f) orr_fiber_cancel(w->script, f, ORR_CANCEL_RUN);
    } else {
        kept = !receive(w, j, l);
    }
    if (!kept) orr_message_free(l);
    orr_job_release(j);
}

static message *next_message(worker *w) {
    orr_mutex_lock(&w->all->lock);
    message *l = orr_messages_take(&w->inbox);
    orr_mutex_unlock(&w->all->lock);
    return l;
}

static void on_wake(void *ud) {
    worker *w = ud;
    for (message *l; (l = next_message(w));) obey(w, l);
    orr_stay_awake(w->script);
}

/* ---- its life -------------------------------------------------------------------------------- */

/* (worker): opens the modules and the handles. */
static int prepare(lua_State *L) {
    worker *w = lua_touserdata(L, 1);
    const orr_worker_setup *setup = &w->all->options.setup;
    orr_luv_set_loop(L, &w->loop);
    orr_modules_open(L, &w->all->options.modules);
    if (setup->configure) setup->configure(L, setup->ud);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "orrery.worker.main");
    lua_call(L, 1, 1);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    w->main = luaL_ref(L, LUA_REGISTRYINDEX);
    orr_script *s = orr_script_of(L);
    uv_loop_t *loop = orr_script_loop(s);
    if (!orr_wake_listen(&w->wake, loop, on_wake, w)) return luaL_error(L, "no handle for its messages");
    uv_prepare_init(loop, &w->before_sleep);
    uv_timer_init(loop, &w->patience);
    uv_timer_init(loop, &w->pause);
    w->before_sleep.data = w->patience.data = w->pause.data = w;
    w->handles = 4;
    uv_prepare_start(&w->before_sleep, on_before_sleep);
    uv_unref((uv_handle_t *)&w->before_sleep);
    uv_unref((uv_handle_t *)&w->patience);
    w->script = s;
    return 0;
}

static bool is_over(void *ud) {
    worker *w = ud;
    orr_mutex_lock(&w->all->lock);
    bool over = w->closing && w->live == 0;
    orr_mutex_unlock(&w->all->lock);
    return over;
}

static void on_closed(uv_handle_t *handle) {
    worker *w = handle->data;
    w->handles--;
}

static void close_handles(worker *w) {
    uv_loop_t *loop = w->wake.poll.loop;
    uv_close((uv_handle_t *)&w->wake.poll, on_closed);
    uv_close((uv_handle_t *)&w->before_sleep, on_closed);
    uv_close((uv_handle_t *)&w->patience, on_closed);
    uv_close((uv_handle_t *)&w->pause, on_closed);
    while (w->handles) uv_run(loop, UV_RUN_NOWAIT);
}

static void set_watchdog(worker *w, orr_watchdog *watchdog) {
    orr_mutex_lock(&w->all->lock);
    w->watchdog = watchdog;
    orr_mutex_unlock(&w->all->lock);
}

/* What came when it was no longer looked at. */
static void drop_inbox(worker *w) {
    for (message *l; (l = next_message(w));) {
        job *j = l->job;
        orr_message_free(l);
        orr_job_release(j);
    }
}

/* NULL, or why it could not begin: text of the state's. */
static const char *serve(worker *w, lua_State *L) {
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, w);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        const char *why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        return why ? why : "its Lua state could not be opened";
    }
    orr_fibers *fibers = orr_fibers_of(w->script);
    set_watchdog(w, fibers->watching ? &fibers->watchdog : NULL);
    orr_pump(w->script, L, is_over, w);
    set_watchdog(w, NULL);
    drop_inbox(w);
    close_handles(w);
    return NULL;
}

static void close_handle(uv_handle_t *handle, void *ud) {
    (void)ud;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

/* Its state is closed, which began to close luv's handles. */
static void close_loop(uv_loop_t *loop) {
    while (uv_loop_close(loop) == UV_EBUSY) {
        uv_walk(loop, close_handle, NULL);
        uv_run(loop, UV_RUN_DEFAULT);
    }
}

/* The loop is not luv's own: luv closes that also where it could not be made. */
void *orr_worker_run(void *ud) {
    worker *w = ud;
    const orr_workers_options *o = &w->all->options;
    sigset_t watchdogs;
    sigemptyset(&watchdogs);
    sigaddset(&watchdogs, ORR_WATCHDOG_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &watchdogs, NULL); /* the one signal that threads of ours take */
    int no_loop = uv_loop_init(&w->loop);
    memory *m = NULL;
    lua_State *L = no_loop ? NULL : orr_worker_state_new(&o->alloc, o->budget, &m);
    if (L) orr_worker_warns(L, w);
    const char *why = no_loop ? uv_strerror(no_loop)
                      : L     ? serve(w, L)
                              : "not enough memory for its Lua state";
    char said[256];
    if (why) snprintf(said, sizeof said, "%s%s", no_loop ? "no event loop can be made for it: " : "", why);
    if (L) orr_worker_state_close(L, m);
    if (!no_loop) close_loop(&w->loop);
    orr_workers_gone(w, why ? said : NULL);
    return NULL;
}
