/* writer.c - the thread that writes, and whose turn it is.
 *
 * It sleeps until the first of these is due: what was submitted, a look into the inbox, the
 * projection, another try after a failure. While this process has journals open it looks every 40
 * ms; where it has done nothing else for a while, it listens for a bell that senders ring, and
 * looks every 2 s in case one could not. Commits and
 * taking over runs go first: the projection waits for a pause of 5 ms, or until it is 40 ms behind;
 * then it goes on in slices after each commit, while those that waited for that do what follows. So
 * it takes as long as the commit did, and longer the further it is behind.
 */
#include "store/queue/inner.h"

static const int64_t MS = 1000000;

/* ms */
enum {
    LOOK_EVERY = 40,
    LISTEN_FOR = 2000,
    ASK_EVERY = 1000,
    PAUSE = 5,
    BEHIND = 40,
    BETWEEN = 20,
    LATE = 60,
    LATER = 10,
    SHORTEST_RETRY = 250,
    LONGEST_RETRY = 1000
};

/* Looks for nothing, one after another, from which on it listens: opening and closing a bell costs
 * more than a short run should pay. */
enum { QUIET = 10 };

/* What the thread knows between two turns. */
typedef struct turn {
    orr_queue *q;
    int64_t look;   /* when to look into the inbox next */
    int64_t ask;    /* when those that wait for a lock are to ask again, whatever happened */
    uint32_t quiet; /* looks since something was last done */
    int64_t retry_delay;
    int64_t took;       /* by the commit after which the projection goes on (ns), 0: by none */
    int64_t not_before; /* the projection failed: when to try again */
    orr_projecting projecting;
    int64_t begun; /* when it began (ns), and how many commits there had been */
    uint64_t recorded;
} turn;

/* ---- commits --------------------------------------------------------------------------------- */

static void wake(const orr_queue *q) {
    if (q->base.wake != NULL) q->base.wake(q->base.ud);
}

/* Called with the mutex held. */
static void take_queue(orr_queue *q) {
    orr_queue_writer *w = &q->writer;
    if (q->queue != NULL) {
        *w->taken_end = q->queue;
        w->taken_end = q->queue_end;
    }
    q->queue = NULL;
    q->queue_end = &q->queue;
    q->due = INT64_MAX;
}

static void notify(orr_queue *q, orr_notice_kind kind, const char *text) {
    orr_note *note = orr_note_new(&orr_queue_heap, kind, NULL, 0, NULL, text);
    if (note == NULL) return; /* the next failure is notified again */
    orr_mutex_lock(&q->mutex);
    orr_notes_add(&q->notes, note);
    orr_mutex_unlock(&q->mutex);
}

static void give_back(orr_queue *q) {
    orr_queue_writer *w = &q->writer;
    size_t used = 0;
    uint64_t ticket = atomic_load(&q->durable);
    for (const orr_batch *b = w->taken; b != NULL; b = b->next) {
        used += b->used;
        ticket = b->ticket;
    }
    orr_mutex_lock(&q->mutex);
    for (orr_note *note; (note = orr_notes_take(&w->pending)) != NULL;) orr_notes_add(&q->notes, note);
    *w->taken_end = q->back;
    q->back = w->taken;
    q->queued -= used;
    atomic_store_explicit(&q->durable, ticket, memory_order_release);
    orr_condition_wake_all(&q->done);
    orr_mutex_unlock(&q->mutex);
    w->taken = NULL;
    w->taken_end = &w->taken;
}

static void wake_waiting(orr_queue *q) {
    orr_mutex_lock(&q->mutex);
    orr_condition_wake_all(&q->done);
    orr_mutex_unlock(&q->mutex);
}

/* The batches stay taken. A fence that was raised is final, anything else is tried again, later
 * and later. */
static void failed(turn *t, orr_status status) {
    orr_queue *q = t->q;
    orr_queue_writer *w = &q->writer;
    bool first = !w->failing, final = status == ORR_ESTATE || status == ORR_EINVAL;
    w->failing = true;
    if (final) {
        atomic_store(&q->lost, true);
        notify(q, status == ORR_ESTATE ? ORR_NOTICE_LOST : ORR_NOTICE_BROKEN, w->reason.text);
    } else {
        t->retry_delay = first                                     ? SHORTEST_RETRY * MS
                         : t->retry_delay * 2 < LONGEST_RETRY * MS ? t->retry_delay * 2
                                                                   : LONGEST_RETRY * MS;
        w->retry = orr_port_now() + t->retry_delay;
        atomic_store(&q->failing, true);
        if (first) notify(q, ORR_NOTICE_FAILED, w->reason.text);
    }
    wake_waiting(q);
    if (first || final) wake(q);
}

/* Why a node waits is noted in a row that the projection makes, so it is kept until that has
 * been. */
static int keep_late(void *ud, orr_op *op) {
    orr_queue_writer *w = ud;
    if (op->kind == ORR_OP_ROW && op->detail == ORR_ROW_WHY) orr_batch_copy(&w->late, op);
    return 0;
}

/* What a commit has, while it is counted; the handle of the first run that it is of. */
typedef struct counting {
    orr_report report;
    const orr_queue_journal *journal;
} counting;

static int count(void *ud, orr_op *op) {
    counting *c = ud;
    orr_report *r = &c->report;
    uint32_t *of_kind[] = {[ORR_OP_RECORD] = &r->records,
                           [ORR_OP_CREATE] = &r->created,
                           [ORR_OP_RELEASE] = &r->released,
                           [ORR_OP_ROW] = &r->rows};
    if (op->kind == ORR_OP_RECORD && op->detail == ORR_WHEN_REFUSED) return 0; /* one of the two */
    ++*of_kind[op->kind];
    r->bytes += op->size;
    const orr_queue_journal *j = op->journal;
    if (j == NULL || j == c->journal) return 0;
    r->run = c->journal == NULL ? j->base.run : NULL;
    if (c->journal == NULL) c->journal = j;
    return 0;
}

static void tell_commit(const orr_queue *q, orr_status status, int64_t since) {
    const orr_queue_writer *w = &q->writer;
    counting c = {.report = {.kind = ORR_REPORT_COMMIT,
                             .status = status,
                             .reason = status != ORR_OK ? w->reason.text : "",
                             .took = orr_port_now() - since}};
    orr_queue_each(w->taken, count, &c);
    for (const orr_batch *b = w->taken; b != NULL; b = b->next) {
        c.report.submits++;
        c.report.ticket = b->ticket;
    }
    q->base.trace(q->base.trace_ud, &c.report);
}

static orr_status write_taken(orr_queue *q, bool *recorded) {
    orr_queue_writer *w = &q->writer;
    if (q->base.trace == NULL) return q->backend->write(q, w->taken, recorded, &w->reason);
    int64_t since = orr_port_now();
    orr_status status = q->backend->write(q, w->taken, recorded, &w->reason);
    tell_commit(q, status, since);
    return status;
}

static void commit(turn *t) {
    orr_queue *q = t->q;
    orr_queue_writer *w = &q->writer;
    bool recorded = false;
    orr_status status = write_taken(q, &recorded);
    if (status != ORR_OK) {
        orr_notes_free(&w->pending, &orr_queue_heap);
        failed(t, status);
        return;
    }
    orr_queue_each(w->taken, keep_late, w);
    w->last_commit = orr_port_now();
    w->recorded += recorded;
    if (recorded && atomic_load(&q->unprojected) == 0) atomic_store(&q->unprojected, w->last_commit);
    if (w->failing) {
        w->failing = false;
        atomic_store(&q->failing, false);
        notify(q, ORR_NOTICE_WORKS, NULL);
    }
    give_back(q);
    wake(q);
}

bool orr_queue_refuse(orr_queue *q, orr_queue_journal *journal, orr_notice_kind kind, const char *id) {
    orr_note *note = orr_note_new(&orr_queue_heap, kind, journal->base.run, 0, NULL, id);
    if (note == NULL) return false;
    orr_notes_add(&q->writer.pending, note);
    journal->refused = true;
    return true;
}

bool orr_queue_decided(orr_queue *q, int64_t token, bool made) {
    const char *name = made ? "made" : NULL;
    orr_note *note = orr_note_new(&orr_queue_heap, ORR_NOTICE_STATE, NULL, token, name, NULL);
    if (note != NULL) orr_notes_add(&q->writer.pending, note);
    return note != NULL;
}

/* Without memory they ask a second later. */
void orr_queue_unlocked(orr_queue *q) {
    if (atomic_load(&q->waiting) == 0) return;
    orr_note *note = orr_note_new(&orr_queue_heap, ORR_NOTICE_LOCKS, NULL, 0, NULL, NULL);
    if (note != NULL) orr_notes_add(&q->writer.pending, note);
}

void orr_queue_await(orr_store *store, uint32_t n) {
    atomic_store(&((orr_queue *)store)->waiting, n);
}

/* ---- the projection -------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* When to project next; INT64_MAX: there is nothing to do. */
static int64_t projection_due(const turn *t) {
    const orr_queue *q = t->q;
    int64_t since = atomic_load(&q->unprojected),
            due = later(q->writer.last_commit, atomic_load(&q->claimed)) + PAUSE * MS;
    if (since == 0 && q->writer.late.used == 0) return INT64_MAX;
    int64_t next = t->projecting.more ? 0 : t->begun + BETWEEN * MS; /* what was left may be old by then */
    if (since != 0) due = earlier(due, later(since + BEHIND * MS, next));
    return later(due, t->not_before);
}

/* Brings the tables on by a slice, towards what had been committed at the first one. What comes
 * later waits for its own time: most of the rows that it changes will be changed again by then. So
 * will those of runs that began a moment ago and go on, while commits keep coming. False when
 * nothing more is to be done now. */
static bool project(turn *t) {
    orr_queue *q = t->q;
    orr_queue_writer *w = &q->writer;
    orr_projecting *p = &t->projecting;
    orr_reason reason;
    int64_t now = orr_port_now();
    if (!p->more) {
        t->begun = now;
        t->recorded = w->recorded;
        p->left = 0;
    }
    p->all = now >= w->last_commit + PAUSE * MS;
    if (q->backend->project(q, p, &reason) != ORR_OK) { /* commits report what is wrong with the store */
        t->not_before = orr_port_now() + LONGEST_RETRY * MS;
        return false;
    }
    if (p->more) return true;
    w->late.used = 0;
    atomic_store(&q->unprojected, w->recorded != t->recorded || p->left > 0 ? t->begun - p->left : 0);
    return false;
}

/* A slice. Where the tables are late more of them follow, for as long as the commit took and so
 * many times as long as they are late: however much a commit holds, they keep up. */
static void project_on(turn *t) {
    orr_queue *q = t->q;
    int64_t now = orr_port_now(), since = atomic_load(&q->unprojected);
    int64_t late = since != 0 ? later(0, now - since - LATE * MS) : 0;
    int64_t until = now + t->took * (late / (LATER * MS));
    bool more = project(t);
    while (more && orr_port_now() < until) more = project(t);
    t->took = 0;
    if (!more) q->backend->rest(q, ORR_REST_PROJECTED);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Called with the mutex held. */
static int64_t commit_due(const orr_queue *q) {
    const orr_queue_writer *w = &q->writer;
    if (atomic_load(&q->lost)) return INT64_MAX;
    if (w->failing) return q->stopping ? INT64_MAX : w->retry;
    return q->stopping && q->queue != NULL ? 0 : q->due;
}

static int64_t look_due(const turn *t) {
    const orr_queue *q = t->q;
    if (atomic_load(&q->lost)) return INT64_MAX;
    return q->look ? 0 : atomic_load(&q->live) > 0 || q->base.wants_work ? t->look : INT64_MAX;
}

/* When to look again. Where looks have found nothing for a while, it listens from then on. */
static int64_t next_look(turn *t) {
    orr_queue *q = t->q;
    int64_t listen_for = atomic_load(&q->waiting) > 0 ? ASK_EVERY : LISTEN_FOR;
    if (++t->quiet < QUIET) return orr_port_now() + LOOK_EVERY * MS;
    if (atomic_load(&q->listens)) return orr_port_now() + listen_for * MS;
    t->quiet = 0; /* where there is no bell, it is tried again some time */
    if (!q->backend->listen(q, &q->writer.bell)) return orr_port_now() + LOOK_EVERY * MS;
    t->quiet = QUIET;
    atomic_store(&q->listens, true);
    return 0; /* what was sent before it listened rang nothing */
}

/* Who has a lock may have ended in another process, or have died, which changes nothing. */
static bool have_locks_asked(turn *t, bool rung) {
    orr_queue *q = t->q;
    int64_t now = orr_port_now();
    if (atomic_load(&q->waiting) == 0 || (!rung && !q->writer.saw_change && now < t->ask)) return false;
    t->ask = now + ASK_EVERY * MS;
    notify(q, ORR_NOTICE_LOCKS, NULL);
    return true;
}

/* A process that can write no more is told why by a commit, be it one of nothing. */
static void look(turn *t, bool anyway) {
    orr_notice_kind why;
    bool recorded;
    orr_status status = orr_store_displaced(&t->q->base, &why) ? write_taken(t->q, &recorded) : ORR_OK;
    if (status != ORR_OK) failed(t, status);
    else {
        bool any = orr_queue_look(t->q, anyway);
        if (have_locks_asked(t, anyway) || any) wake(t->q);
    }
    t->look = next_look(t);
}

/* Does what is due, without the mutex. */
static void act(turn *t, bool commits, bool looks, bool anyway, bool projects) {
    orr_queue *q = t->q;
    if (commits) {
        t->quiet = 0;
        t->look = earlier(t->look, orr_port_now() + LOOK_EVERY * MS);
        int64_t began = orr_port_now();
        commit(t);
        t->took = orr_port_now() - began;
        q->backend->rest(q, ORR_REST_WRITTEN);
    }
    if (looks) look(t, anyway);
    if (projects) project_on(t);
}

/* Called with the mutex held. */
static void sleep_until(orr_queue *q, int64_t until) {
    if (!atomic_load(&q->listens)) {
        orr_condition_wait(&q->work, &q->mutex, until);
        return;
    }
    orr_mutex_unlock(&q->mutex);
    bool rung = orr_bell_wait(&q->writer.bell, until);
    orr_mutex_lock(&q->mutex);
    if (rung) q->look = true;
}

void orr_writer_wake(orr_queue *q) {
    if (atomic_load(&q->listens)) orr_bell_wake(&q->writer.bell);
    else orr_condition_wake(&q->work);
}

/* Waits for the next thing and does it. False when the store is closed and nothing is left.
 * Called with the mutex held. */
static bool step(turn *t) {
    orr_queue *q = t->q;
    int64_t now = orr_port_now(), due = commit_due(q), look_at = look_due(t), project_at = projection_due(t);
    bool commits = due <= now, looks = look_at <= now, anyway = q->look;
    bool projects = project_at <= now && !q->stopping;
    if (!commits && !looks && !projects) {
        if (q->stopping) return false;
        sleep_until(q, earlier(due, earlier(look_at, project_at)));
        return true;
    }
    if (commits) take_queue(q);
    if (looks) q->look = false;
    orr_mutex_unlock(&q->mutex);
    act(t, commits, looks, anyway, projects);
    orr_mutex_lock(&q->mutex);
    return true;
}

/* In good order: the tables say all that the journals do. */
static void leave(orr_queue *q) {
    orr_queue_writer *w = &q->writer;
    orr_reason reason;
    orr_projecting p = {.cost = ORR_QUEUE_SLICE * 8, .late = &w->late, .all = true, .leaves = true};
    bool goes = !w->failing && !atomic_load(&q->lost);
    while (goes && q->backend->project(q, &p, &reason) == ORR_OK) goes = p.more;
    q->backend->rest(q, ORR_REST_LEAVING);
}

static void *run(void *ud) {
    orr_queue *q = ud;
    turn t = {.q = q, .projecting = {.cost = ORR_QUEUE_SLICE, .late = &q->writer.late}};
    orr_mutex_lock(&q->mutex);
    while (step(&t)) continue;
    orr_mutex_unlock(&q->mutex);
    leave(q);
    return NULL;
}

bool orr_writer_start(orr_queue *q) {
    if (!q->started) q->started = q->backend->start(q) && orr_thread_start(&q->thread, run, q);
    return q->started;
}

bool orr_queue_start(orr_queue *q) {
    orr_mutex_lock(&q->mutex);
    bool started = !q->base.wants_work || orr_writer_start(q);
    orr_mutex_unlock(&q->mutex);
    return started;
}

void orr_queue_behind(orr_queue *q) {
    atomic_store(&q->unprojected, orr_port_now());
}

void orr_queue_stop(orr_queue *q) {
    orr_mutex_lock(&q->mutex);
    bool started = q->started;
    q->stopping = true;
    orr_writer_wake(q);
    orr_mutex_unlock(&q->mutex);
    if (started) orr_thread_join(q->thread);
    orr_notes_free(&q->writer.pending, &orr_queue_heap);
}
