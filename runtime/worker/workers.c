/* workers.c - the line of jobs, the threads that take them, and what they say to the loop. All that
 * several threads use is under their lock; it is held for some instructions.
 *
 * A job is put in line and a worker is called to look at it: an idle one, or a new one. Whoever was
 * called counts until it has looked, so that no two come for one job; and one that goes on with a
 * job of its own instead has the loop call another.
 */
#include "worker/inner.h"

/* How long (ns) a job that was asked to stop may go on without a wait. */
#define GRACE INT64_C(500000000)

/* ---- jobs ------------------------------------------------------------------------------------ */

static void free_job(job *j) {
    if (j->start) orr_message_free(j->start);
    for (message *l; (l = orr_messages_take(&j->inbox));) orr_message_free(l);
    orr_mem_free(&j->all->options.alloc, j, 1, sizeof *j);
}

void orr_job_release(job *j) {
    if (!j) return;
    orr_mutex_lock(&j->all->lock);
    bool last = --j->refs == 0;
    orr_mutex_unlock(&j->all->lock);
    if (last) free_job(j);
}

/* Under the lock. */
static void hold(job *j) {
    if (j) j->refs++;
}

static void enter_live(orr_workers *p, job *j) {
    j->next_live = p->live;
    j->prev_live = NULL;
    if (p->live) p->live->prev_live = j;
    p->live = j;
    if (p->n_live++ == 0) uv_ref((uv_handle_t *)&p->news.poll);
}

static void leave_live(orr_workers *p, job *j) {
    if (j->prev_live) j->prev_live->next_live = j->next_live;
    else p->live = j->next_live;
    if (j->next_live) j->next_live->prev_live = j->prev_live;
    if (--p->n_live == 0) uv_unref((uv_handle_t *)&p->news.poll);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void free_worker(worker *w) {
    orr_alloc alloc = w->all->options.alloc;
    orr_wake_drop(&w->wake);
    orr_mem_free(&alloc, w, 1, sizeof *w);
}

/* Under the lock. */
static void join_gone(orr_workers *p) {
    for (worker **at = &p->workers; *at;) {
        worker *w = *at;
        if (!w->gone) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        p->done += w->done;
        p->failed += w->failed;
        orr_thread_join(w->thread); /* it has nothing left to do */
        free_worker(w);
    }
}

/* Under the lock. */
static void set_called(worker *w, bool called) {
    if (atomic_exchange(&w->called, called) == called) return;
    if (called) w->all->n_called++;
    else w->all->n_called--;
}

/* Under the lock. */
static bool add_thread(orr_workers *p) {
    join_gone(p);
    worker *w = orr_mem_new(&p->options.alloc, 1, sizeof *w);
    if (!w) return false;
    w->all = p;
    w->number = p->n_started + 1;
    w->since = orr_port_now();
    if (!orr_wake_make(&w->wake) || !orr_thread_start(&w->thread, orr_worker_run, w)) {
        free_worker(w);
        return false;
    }
    w->has_clock = pthread_getcpuclockid(w->thread, &w->clock) == 0;
    w->next = p->workers;
    p->workers = w;
    p->n_started++;
    if (++p->n_threads > p->most_threads) p->most_threads = p->n_threads;
    set_called(w, true);
    return true;
}

/* Under the lock: one that has nothing at all to do, or one whose jobs all wait. */
static worker *find_idle(const orr_workers *p, bool with_jobs) {
    for (worker *w = p->workers; w; w = w->next)
        if (w->idle && !w->closing && !w->called && (w->live > 0) == with_jobs) return w;
    return NULL;
}

/* Under the lock: has somebody look at the line. False where there is nobody. A thread of its own
 * is better for a job than one that it has to share. */
static bool call_one(orr_workers *p) {
    worker *w = find_idle(p, false);
    if (!w && p->n_threads < p->options.max && add_thread(p)) return true;
    if (!w) w = find_idle(p, true);
    if (!w) return false;
    w->idle = false;
    set_called(w, true);
    orr_wake_send(&w->wake);
    return true;
}

/* Under the lock: there is somebody for each job in line, as far as there are workers. */
static void attend(orr_workers *p) {
    while (!p->closed && p->n_queued > p->n_called && call_one(p)) {
    }
}

/* ---- to the loop ----------------------------------------------------------------------------- */

void orr_workers_post(orr_workers *p, message *l) {
    orr_mutex_lock(&p->lock);
    bool open = !p->closed;
    hold(l->job);
    orr_messages_add(&p->outbox, l);
    orr_mutex_unlock(&p->lock);
    if (open) orr_wake_send(&p->news);
}

static message *next_message(orr_workers *p) {
    orr_mutex_lock(&p->lock);
    message *l = orr_messages_take(&p->outbox);
    orr_mutex_unlock(&p->lock);
    return l;
}

static void put_back(orr_workers *p, message *l) {
    orr_mutex_lock(&p->lock);
    l->next = p->outbox.first;
    p->outbox.first = l;
    if (!l->next) p->outbox.last = l;
    orr_mutex_unlock(&p->lock);
}

static void on_news(void *ud);

static void on_again(uv_timer_t *timer) {
    on_news(timer->data);
}

static void on_news(void *ud) {
    enum { LATER = 20 }; /* ms */
    orr_workers *p = ud;
    for (message *l; (l = next_message(p));) {
        job *j = l->job;
        bool over = l->kind == MESSAGE_ENDED || l->kind == MESSAGE_FAILED;
        if (over) leave_live(p, j);
        if (!p->options.deliver(p->options.ud, j, l->kind, l->text, l->size) && !p->closed) {
            if (over) enter_live(p, j);
            put_back(p, l);
            uv_timer_start(&p->again, on_again, LATER, 0);
            break;
        }
        orr_message_free(l);
        orr_job_release(j);
        if (over) orr_job_release(j); /* the loop's own */
    }
    orr_mutex_lock(&p->lock);
    attend(p);
    orr_mutex_unlock(&p->lock);
}

/* ---- the line -------------------------------------------------------------------------------- */

/* Under the lock. */
static void put_in(orr_workers *p, job *j) {
    if (p->last) p->last->next = j;
    else p->first = j;
    p->last = j;
    p->n_queued++;
}

/* Under the lock: of the line, wherever it stands. */
static bool take_out(orr_workers *p, job *wanted) {
    job *before = NULL;
    for (job *j = p->first; j; before = j, j = j->next) {
        if (j != wanted) continue;
        if (before) before->next = j->next;
        else p->first = j->next;
        if (p->last == j) p->last = before;
        p->n_queued--;
        return true;
    }
    return false;
}

/* ---- the loop's thread ----------------------------------------------------------------------- */

/* The end of a job that no worker has had; `text` is a constant. */
#define END(j, text) end_in_line(j, text, sizeof(text) - 1)
static void end_in_line(job *j, const char *text, size_t size) {
    orr_workers_post(j->all, orr_message_last(j, text, size));
    orr_job_release(j);
}

static job *new_job(orr_workers *p, const char *text, size_t size, void *ud) {
    job *j = orr_mem_new(&p->options.alloc, 1, sizeof *j);
    if (!j) return NULL;
    j->all = p;
    j->ud = ud;
    j->refs = 2; /* the loop's, and the line's or its worker's */
    j->receiver = LUA_NOREF;
    j->start = orr_message_new(j, MESSAGE_TEXT, text, size);
    if (j->start) return j;
    free_job(j);
    return NULL;
}

job *orr_workers_add(orr_workers *p, const char *text, size_t size, void *ud) {
    job *j = new_job(p, text, size, ud);
    if (!j) return NULL;
    enter_live(p, j);
    orr_mutex_lock(&p->lock);
    put_in(p, j);
    attend(p);
    bool nobody = p->n_threads == 0 && take_out(p, j);
    orr_mutex_unlock(&p->lock);
    if (nobody) END(j, "worker_failed\0no thread could be started for it");
    return j;
}

/* Under the lock; once it is open again the worker is woken. */
static void send_to(worker *w, message *l) {
    hold(l->job);
    orr_messages_add(&w->inbox, l);
}

bool orr_workers_send(job *j, const char *text, size_t size) {
    message *l = orr_message_new(j, MESSAGE_TEXT, text, size);
    if (!l) return false;
    orr_mutex_lock(&j->all->lock);
    worker *w = j->over ? NULL : j->worker;
    if (w) send_to(w, l);
    orr_mutex_unlock(&j->all->lock);
    if (w) orr_wake_send(&w->wake);
    else orr_message_free(l); /* nobody would read it */
    return true;
}

unsigned orr_workers_number(job *j) {
    orr_mutex_lock(&j->all->lock);
    unsigned number = j->worker ? j->worker->number : 0;
    orr_mutex_unlock(&j->all->lock);
    return number;
}

/* Under the lock. A slice is ended by the watchdog of the thread, as one whose time is over; what
 * waits is dropped by its worker. */
static void cut(job *j) {
    worker *w = j->worker;
    atomic_store(&j->cut, true);
    if (!w) return;
    if (w->watchdog) orr_watchdog_cut(w->watchdog, j);
    orr_wake_send(&w->wake);
}

static void on_cutter(uv_timer_t *timer) {
    orr_workers *p = timer->data;
    int64_t now = orr_port_now();
    bool more = false;
    orr_mutex_lock(&p->lock);
    for (job *j = p->live; j; j = j->next_live) {
        if (!j->cancelled || j->over) continue;
        more = true;
        if (now - j->cancelled_at >= GRACE) cut(j);
    }
    orr_mutex_unlock(&p->lock);
    if (more) uv_timer_start(timer, on_cutter, GRACE / 1000000 / 4, 0);
}

/* Under the lock: of one that a worker has. */
static void ask_to_stop(job *j) {
    if (j->cancelled) return;
    j->cancelled = true;
    j->cancelled_at = orr_port_now();
    send_to(j->worker, orr_message_stop(j));
    orr_wake_send(&j->worker->wake);
}

void orr_workers_cancel(job *j) {
    orr_workers *p = j->all;
    orr_mutex_lock(&p->lock);
    bool waiting = take_out(p, j);
    bool running = !waiting && j->worker && !j->over;
    if (running) ask_to_stop(j);
    orr_mutex_unlock(&p->lock);
    if (waiting) END(j, "cancelled\0it was cancelled before a worker took it");
    if (running && !uv_is_active((uv_handle_t *)&p->cutter))
        uv_timer_start(&p->cutter, on_cutter, GRACE / 1000000, 0);
}

/* ---- a worker's thread ----------------------------------------------------------------------- */

job *orr_workers_take(worker *w, bool *closing) {
    orr_workers *p = w->all;
    orr_mutex_lock(&p->lock);
    bool asked = w->called || w->live == 0;
    set_called(w, false);
    /* for what is in line others have been called, whose thread it would have for itself */
    bool left = asked || p->n_queued > p->n_called;
    job *j = left && !w->closing ? p->first : NULL;
    if (j) {
        take_out(p, j);
        j->worker = w;
        w->live++;
    }
    w->idle = !j;
    *closing = w->closing && w->live == 0;
    orr_mutex_unlock(&p->lock);
    return j;
}

void orr_workers_done(worker *w, job *j, bool failed) {
    orr_workers *p = w->all;
    orr_mutex_lock(&p->lock);
    j->over = true;
    j->worker = NULL;
    w->live--;
    if (failed) w->failed++;
    else w->done++;
    orr_mutex_unlock(&p->lock);
}

void orr_workers_goes_on(worker *w) {
    orr_workers *p = w->all;
    if (!w->idle && !w->called) return;
    orr_mutex_lock(&p->lock);
    bool called = w->called;
    set_called(w, false);
    w->idle = false;
    orr_mutex_unlock(&p->lock);
    if (called) orr_wake_send(&p->news); /* the loop calls another */
}

/* Under the lock: it takes no job any more. */
static void retire(worker *w) {
    if (w->closing) return;
    w->closing = true;
    w->all->n_threads--;
}

bool orr_workers_spare(worker *w) {
    orr_workers *p = w->all;
    orr_mutex_lock(&p->lock);
    bool spare = !w->closing && w->live == 0 && !p->first && p->n_threads > p->options.min;
    if (spare) retire(w);
    orr_mutex_unlock(&p->lock);
    return spare;
}

/* What is to be said of a job whose worker could not begin; its own words where there is memory. */
static void end_broken(job *j, const char *why) {
    static const char unsaid[] = "worker_failed\0its Lua state could not be opened";
    message *l = orr_message_failed(j, "worker_failed", why);
    orr_workers_post(j->all, l ? l : orr_message_last(j, unsaid, sizeof unsaid - 1));
    orr_job_release(j);
}

void orr_workers_gone(worker *w, const char *why) {
    orr_workers *p = w->all;
    orr_mutex_lock(&p->lock);
    retire(w);
    set_called(w, false);
    bool last = why && p->n_threads == 0;
    job *line = last ? p->first : NULL;
    if (last) {
        p->first = p->last = NULL;
        p->n_queued = 0;
    }
    orr_mutex_unlock(&p->lock);
    for (job *next; line; line = next) {
        next = line->next;
        end_broken(line, why);
    }
    orr_wake_send(&p->news); /* another may be needed */
    orr_mutex_lock(&p->lock);
    w->gone = true; /* from here on it may be freed */
    orr_mutex_unlock(&p->lock);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void free_workers(orr_workers *p) {
    orr_alloc alloc = p->options.alloc;
    orr_mutex_destroy(&p->lock);
    orr_modules_free(&alloc, &p->options.modules);
    orr_wake_drop(&p->news);
    orr_mem_free(&alloc, p, 1, sizeof *p);
}

static orr_workers *new_workers(const orr_workers_options *options) {
    orr_workers *p = orr_mem_new(&options->alloc, 1, sizeof *p);
    if (!p) {
        modules given = options->modules;
        orr_modules_free(&options->alloc, &given);
        return NULL;
    }
    p->options = *options;
    orr_mutex_init(&p->lock);
    if (orr_wake_make(&p->news) && orr_wake_listen(&p->news, options->loop, on_news, p)) return p;
    free_workers(p);
    return NULL;
}

orr_workers *orr_workers_open(const orr_workers_options *options) {
    orr_workers *p = new_workers(options);
    if (!p) return NULL;
    uv_timer_init(options->loop, &p->cutter);
    uv_timer_init(options->loop, &p->again);
    p->cutter.data = p->again.data = p;
    p->handles = 3;
    uv_unref((uv_handle_t *)&p->news.poll);
    uv_unref((uv_handle_t *)&p->cutter);
    uv_unref((uv_handle_t *)&p->again);
    orr_mutex_lock(&p->lock);
    while (p->n_threads < options->min && add_thread(p)) {
    }
    orr_mutex_unlock(&p->lock);
    return p;
}

static void on_closed(uv_handle_t *handle) {
    orr_workers *p = handle->data;
    if (--p->handles == 0) free_workers(p);
}

/* Under the lock: whatever a worker runs is stopped, and it ends. */
static void end_worker(orr_workers *p, worker *w) {
    retire(w);
    for (job *j = p->live; j; j = j->next_live) {
        if (j->worker != w || j->over) continue;
        ask_to_stop(j);
        cut(j);
    }
    orr_wake_send(&w->wake);
}

void orr_workers_close(orr_workers *p) {
    orr_mutex_lock(&p->lock);
    p->closed = true;
    job *line = p->first;
    p->first = p->last = NULL;
    for (worker *w = p->workers; w; w = w->next) end_worker(p, w);
    orr_mutex_unlock(&p->lock);
    for (job *j = line, *next; j; j = next) {
        next = j->next;
        orr_job_release(j);
    }
    for (worker *w = p->workers; w; w = w->next) orr_thread_join(w->thread);
    for (worker *w = p->workers, *next; w; w = next) { /* others look at the list until they end */
        next = w->next;
        free_worker(w);
    }
    p->workers = NULL;
    orr_messages_drop(&p->outbox);
    for (job *j = p->live, *next; j; j = next) {
        next = j->next_live;
        leave_live(p, j);
        orr_job_release(j);
    }
    uv_close((uv_handle_t *)&p->news.poll, on_closed);
    uv_close((uv_handle_t *)&p->cutter, on_closed);
    uv_close((uv_handle_t *)&p->again, on_closed);
}
