/* blocking.c - see blocking.h. */
#include "loop/blocking.h"
#include "port/port.h"

#include <stdlib.h>

/* Threads for what comes back; all threads; ns after which a call counts as one that may not; how
 * long (ns) a thread waits for work. */
enum { THREADS = 4, MOST_THREADS = 512 };
#define SLOW INT64_C(50000000)
#define SPARE INT64_C(5000000000)

struct orr_blocking {
    uv_async_t finished_one;
    uv_timer_t timer; /* to look for calls that are slow, while others wait */
    orr_mutex lock;
    orr_condition more;
    orr_job *first, *last; /* in the order in which they came */
    orr_job *running;
    orr_job *finished;
    unsigned idle, threads, handles;
    unsigned waited; /* jobs that keep the loop alive; the loop's thread's own */
    bool closed;
};

/* ---- lists, all under the lock --------------------------------------------------------------- */

static orr_job *take_first(orr_blocking *b) {
    orr_job *job = b->first;
    if (!job) return NULL;
    b->first = job->next;
    if (!b->first) b->last = NULL;
    return job;
}

static void append(orr_blocking *b, orr_job *job) {
    job->next = NULL;
    if (b->last) b->last->next = job;
    else b->first = job;
    b->last = job;
}

static void set_running(orr_blocking *b, orr_job *job) {
    job->since = orr_port_now();
    job->prev = NULL;
    job->next = b->running;
    if (job->next) job->next->prev = job;
    b->running = job;
}

static void unset_running(orr_blocking *b, orr_job *job) {
    if (job->prev) job->prev->next = job->next;
    else b->running = job->next;
    if (job->next) job->next->prev = job->prev;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Whoever is last frees it: the loop, with its handles, or a thread. Lets go of the lock. */
static void unlock_last(orr_blocking *b) {
    bool last = b->closed && !b->threads && !b->handles;
    orr_mutex_unlock(&b->lock);
    if (!last) return;
    orr_condition_destroy(&b->more);
    orr_mutex_destroy(&b->lock);
    free(b);
}

static orr_job *next_job(orr_blocking *b) {
    int64_t until = orr_port_now() + SPARE;
    while (!b->first && !b->closed && b->threads <= THREADS && orr_port_now() < until) {
        b->idle++;
        orr_condition_wait(&b->more, &b->lock, until);
        b->idle--;
    }
    return b->closed ? NULL : take_first(b);
}

static void *work(void *ud) {
    orr_blocking *b = ud;
    orr_mutex_lock(&b->lock);
    for (orr_job *job; (job = next_job(b));) {
        set_running(b, job);
        orr_mutex_unlock(&b->lock);
        job->work(job);
        orr_mutex_lock(&b->lock);
        unset_running(b, job);
        if (b->closed) {
            orr_mutex_unlock(&b->lock);
            job->drop(job);
            orr_mutex_lock(&b->lock);
        } else {
            job->next = b->finished;
            b->finished = job;
            uv_async_send(&b->finished_one);
        }
    }
    b->threads--;
    unlock_last(b);
    return NULL;
}

static bool add_thread(orr_blocking *b) {
    orr_thread thread;
    if (b->threads == MOST_THREADS || !orr_thread_start(&thread, work, b)) return false;
    orr_thread_detach(thread);
    b->threads++;
    return true;
}

/* Threads that are in a call for longer than most calls take. */
static unsigned count_slow(const orr_blocking *b) {
    unsigned n = 0;
    int64_t before = orr_port_now() - SLOW;
    for (const orr_job *job = b->running; job; job = job->next) n += job->since < before;
    return n;
}

static void on_timer(uv_timer_t *timer);

static void look_later(orr_blocking *b) {
    if (!uv_is_active((uv_handle_t *)&b->timer)) uv_timer_start(&b->timer, on_timer, SLOW / 1000000, 0);
}

static void add_threads(orr_blocking *b) {
    unsigned most = THREADS + (b->threads < THREADS ? 0 : count_slow(b));
    unsigned waiting = 0;
    for (const orr_job *job = b->first; job; job = job->next) waiting++;
    for (; waiting > b->idle && b->threads < most; waiting--)
        if (!add_thread(b)) break;
    if (waiting > b->idle) look_later(b);
}

static void on_timer(uv_timer_t *timer) {
    orr_blocking *b = timer->data;
    orr_mutex_lock(&b->lock);
    if (b->first) add_threads(b);
    orr_mutex_unlock(&b->lock);
}

/* ---- the loop's thread ----------------------------------------------------------------------- */

void orr_blocking_unref(orr_blocking *b, orr_job *job) {
    if (!job->awaited) return;
    job->awaited = false;
    if (--b->waited == 0) uv_unref((uv_handle_t *)&b->finished_one);
}

static void on_finished(uv_async_t *async) {
    orr_blocking *b = async->data;
    orr_mutex_lock(&b->lock);
    orr_job *finished = b->finished;
    b->finished = NULL;
    orr_mutex_unlock(&b->lock);
    for (orr_job *job = finished, *next; job; job = next) {
        next = job->next;
        orr_blocking_unref(b, job);
        job->done(job);
    }
}

orr_blocking *orr_blocking_open(uv_loop_t *loop) {
    orr_blocking *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    if (uv_async_init(loop, &b->finished_one, on_finished)) {
        free(b);
        return NULL;
    }
    uv_timer_init(loop, &b->timer);
    orr_mutex_init(&b->lock);
    orr_condition_init(&b->more);
    b->handles = 2;
    b->finished_one.data = b->timer.data = b;
    uv_unref((uv_handle_t *)&b->finished_one);
    uv_unref((uv_handle_t *)&b->timer);
    return b;
}

static void on_closed(uv_handle_t *handle) {
    orr_blocking *b = handle->data;
    orr_mutex_lock(&b->lock);
    b->handles--;
    unlock_last(b);
}

static void drop_all(orr_job *job) {
    for (orr_job *next; job; job = next) {
        next = job->next;
        job->drop(job);
    }
}

void orr_blocking_close(orr_blocking *b) {
    orr_mutex_lock(&b->lock);
    b->closed = true;
    orr_job *waiting = b->first, *finished = b->finished;
    b->first = b->last = b->finished = NULL;
    orr_condition_wake_all(&b->more);
    orr_mutex_unlock(&b->lock);
    drop_all(waiting);
    drop_all(finished);
    uv_close((uv_handle_t *)&b->finished_one, on_closed);
    uv_close((uv_handle_t *)&b->timer, on_closed);
}

bool orr_blocking_submit(orr_blocking *b, orr_job *job, bool awaited) {
    orr_mutex_lock(&b->lock);
    append(b, job);
    if (b->idle) orr_condition_wake(&b->more);
    add_threads(b);
    bool taken = b->threads > 0;
    if (!taken) b->first = b->last = NULL; /* there was none before it either */
    orr_mutex_unlock(&b->lock);
    if (!taken) return false;
    job->awaited = awaited;
    if (awaited && b->waited++ == 0) uv_ref((uv_handle_t *)&b->finished_one);
    return true;
}
