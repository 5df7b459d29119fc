/* sqlite_writer.c - the thread that writes.
 *
 * It sleeps until the first of these is due: what was submitted, a look into the inbox (every 40 ms while this process has journals
 * open), the projection, another try after a failure. Commits and taking over runs go first: the projection waits for a pause of
 * 5 ms, or until it is 80 ms behind; then it goes on in slices, with as much time between them as they take. A commit that waits
 * goes before a slice until it is 100 ms behind. From 1 s on a slice follows each commit.
 */
#include "sqlite.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t MS = 1000000;

enum { LOOK_EVERY = 40, PAUSE = 5, BEHIND = 80, LATE = 100, OVERDUE = 1000, SHORTEST_RETRY = 250, LONGEST_RETRY = 1000 }; /* ms */

/* What the thread knows between two turns. */
typedef struct turn {
    orr_sqlite *s;
    int64_t look;       /* when to look into the inbox next */
    int64_t retry_delay;
    int64_t slice, rest; /* how long the last slice of the projection took, and when it ended (ns) */
    int64_t not_before;  /* the projection failed: when to try again */
    int64_t until;       /* up to which commit it goes now, -1: it has not begun */
    int64_t begun;       /* when it began (ns), and how many commits there had been */
    uint64_t recorded;
} turn;

/* ---- commits ------------------------------------------------------------------------------------------------------------------ */

static void wake(const orr_sqlite *s)
{
    if (s->base.wake != NULL)
        s->base.wake(s->base.ud);
}

/* Called with the mutex held. */
static void take_queue(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    if (s->queue != NULL) {
        *w->taken_end = s->queue;
        w->taken_end = s->queue_end;
    }
    s->queue = NULL;
    s->queue_end = &s->queue;
    s->due = INT64_MAX;
}

static void tell(orr_sqlite *s, orr_notice_kind kind, const char *text)
{
    orr_note *note = orr_note_new(&orr_sqlite_heap, kind, NULL, 0, NULL, text);
    if (note == NULL)
        return; /* the next failure tells it */
    pthread_mutex_lock(&s->mutex);
    orr_notes_add(&s->notes, note);
    pthread_mutex_unlock(&s->mutex);
}

static void give_back(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    size_t used = 0;
    uint64_t ticket = 0;
    for (const orr_batch *b = w->taken; b != NULL; b = b->next) {
        used += b->used;
        ticket = b->ticket;
    }
    pthread_mutex_lock(&s->mutex);
    for (orr_note *note; (note = orr_notes_take(&w->pending)) != NULL;)
        orr_notes_add(&s->notes, note);
    *w->taken_end = s->back;
    s->back = w->taken;
    s->queued -= used;
    atomic_store_explicit(&s->durable, ticket, memory_order_release);
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->mutex);
    w->taken = NULL;
    w->taken_end = &w->taken;
}

static void wake_waiting(orr_sqlite *s)
{
    pthread_mutex_lock(&s->mutex);
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->mutex);
}

/* The batches stay taken. A fence that was raised is final, anything else is tried again, later and later. */
static void failed(turn *t, orr_status status)
{
    orr_sqlite *s = t->s;
    orr_sqlite_writer *w = &s->writer;
    bool first = !w->failing;
    w->failing = true;
    if (status == ORR_ESTATE) {
        atomic_store(&s->lost, true);
        tell(s, ORR_NOTICE_LOST, w->message);
    } else {
        t->retry_delay = first ? SHORTEST_RETRY * MS : t->retry_delay * 2 < LONGEST_RETRY * MS ? t->retry_delay * 2 : LONGEST_RETRY * MS;
        w->retry = orr_sqlite_now() + t->retry_delay;
        atomic_store(&s->failing, true);
        if (first)
            tell(s, ORR_NOTICE_FAILED, w->message);
    }
    wake_waiting(s);
    if (first || status == ORR_ESTATE)
        wake(s);
}

static void commit(turn *t)
{
    orr_sqlite *s = t->s;
    orr_sqlite_writer *w = &s->writer;
    orr_status status = orr_sqlite_commit(s, w->message, sizeof w->message);
    if (status != ORR_OK) {
        failed(t, status);
        return;
    }
    if (w->failing) {
        w->failing = false;
        atomic_store(&s->failing, false);
        tell(s, ORR_NOTICE_WORKS, NULL);
    }
    give_back(s);
    wake(s);
}

/* How long the log is after a commit; called by SQLite within it. */
static int count_frames(void *ud, sqlite3 *db, const char *name, int frames)
{
    orr_sqlite_writer *w = ud;
    (void)db, (void)name;
    if (frames < w->frames) { /* it was begun anew */
        w->checkpoint_at = ORR_SQLITE_WAL_PAGES;
        w->log_size = w->log_size < INT64_MAX ? 0 : INT64_MAX; /* and perhaps cut */
    }
    w->frames = frames;
    return SQLITE_OK;
}

/* While a reader is in the way, each try is made a little later: one that cannot finish costs time as well. */
static void bound_log(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    if (w->frames < w->checkpoint_at)
        return;
    orr_sqlite_checkpoint(s, &w->connection, false);
    w->checkpoint_at = w->frames + ORR_SQLITE_WAL_PAGES / 4;
}

/* ---- the projection ------------------------------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When to project next; INT64_MAX: there is nothing to do. While commits keep coming they have half of the time, until that is not enough
 * for the tables to keep up. */
static int64_t projection_due(const turn *t, int64_t now)
{
    const orr_sqlite *s = t->s;
    int64_t since = atomic_load(&s->unprojected), pause = later(s->writer.last_commit, atomic_load(&s->claimed)) + PAUSE * MS;
    if (since == 0 && s->writer.whys_used == 0)
        return INT64_MAX;
    int64_t due = pause;
    if (since != 0 && now >= since + OVERDUE * MS)
        due = 0;
    else if (since != 0)
        due = earlier(pause, later(since + BEHIND * MS, t->rest + t->slice));
    return later(due, t->not_before);
}

/* Brings the tables on by a slice, towards what had been committed at the first one. What comes later waits for its own time: most of the
 * rows that it changes will be changed again by then. False when nothing more is to be done now. */
static bool project(turn *t)
{
    orr_sqlite *s = t->s;
    const orr_sqlite_writer *w = &s->writer;
    char message[ORR_SQLITE_MESSAGE];
    bool more = false;
    int64_t now = orr_sqlite_now();
    if (t->until < 0) {
        t->begun = now;
        t->recorded = w->recorded;
    }
    orr_status status = orr_sqlite_follow(s, ORR_SQLITE_SLICE, &t->until, &more, message, sizeof message);
    t->rest = orr_sqlite_now();
    t->slice = t->rest - now;
    if (status != ORR_OK) /* commits tell what is wrong with the store */
        t->not_before = t->rest + LONGEST_RETRY * MS;
    else if (!more)
        atomic_store(&s->unprojected, w->recorded != t->recorded ? t->begun : 0);
    return status == ORR_OK && more;
}

/* ---- the thread ------------------------------------------------------------------------------------------------------------------ */

/* Called with the mutex held. */
static int64_t commit_due(const orr_sqlite *s)
{
    const orr_sqlite_writer *w = &s->writer;
    if (atomic_load(&s->lost))
        return INT64_MAX;
    if (w->failing)
        return s->stopping ? INT64_MAX : w->retry;
    return s->stopping && s->queue != NULL ? 0 : s->due;
}

static int64_t look_due(const turn *t)
{
    const orr_sqlite *s = t->s;
    if (atomic_load(&s->lost))
        return INT64_MAX;
    return s->look ? 0 : atomic_load(&s->live) > 0 ? t->look : INT64_MAX;
}

static void sleep_until(orr_sqlite *s, int64_t when)
{
    if (when == INT64_MAX) {
        pthread_cond_wait(&s->work, &s->mutex);
        return;
    }
    struct timespec ts = {when / (1000 * MS), when % (1000 * MS)};
    pthread_cond_timedwait(&s->work, &s->mutex, &ts);
}

static void look(turn *t, bool anyway)
{
    if (orr_sqlite_look(t->s, anyway))
        wake(t->s);
    t->look = orr_sqlite_now() + LOOK_EVERY * MS;
}

/* Does what is due, without the mutex. */
static void act(turn *t, bool commits, bool looks, bool anyway, bool projects)
{
    orr_sqlite *s = t->s;
    if (commits) {
        commit(t);
        bound_log(s);
    }
    if (looks)
        look(t, anyway);
    if (projects && !project(t))
        orr_sqlite_tidy(s, &s->writer.connection);
}

/* From when on the tables go on although commits wait. */
static bool late(const orr_sqlite *s, int64_t now)
{
    int64_t since = atomic_load(&s->unprojected);
    return since != 0 && now - since > LATE * MS;
}

/* Waits for the next thing and does it. False when the store is closed and nothing is left. Called with the mutex held. */
static bool step(turn *t)
{
    orr_sqlite *s = t->s;
    int64_t now = orr_sqlite_now(), due = commit_due(s), look_at = look_due(t), project_at = projection_due(t, now);
    bool commits = due <= now, looks = look_at <= now, anyway = s->look;
    bool projects = project_at <= now && !s->stopping && (!commits || late(s, now));
    if (!commits && !looks && !projects) {
        if (s->stopping)
            return false;
        sleep_until(s, earlier(due, earlier(look_at, project_at)));
        return true;
    }
    if (commits)
        take_queue(s);
    if (looks)
        s->look = false;
    pthread_mutex_unlock(&s->mutex);
    act(t, commits, looks, anyway, projects);
    pthread_mutex_lock(&s->mutex);
    return true;
}

/* In good order: the tables say all that the journal does, the row of this process says that it has ended, the log is empty. */
static void leave(orr_sqlite *s)
{
    orr_sqlite_writer *w = &s->writer;
    orr_connection *c = &w->connection;
    char message[ORR_SQLITE_MESSAGE];
    int64_t until = -1;
    bool more = !w->failing && !atomic_load(&s->lost);
    while (more && orr_sqlite_follow(s, ORR_SQLITE_SLICE * 8, &until, &more, message, sizeof message) == ORR_OK)
        continue;
    orr_sqlite_relax(c->db, true); /* the checkpoint flushes it */
    if (atomic_load(&s->owner) != 0 && !atomic_load(&s->lost) && orr_sqlite_begin(s, c, message, sizeof message) == ORR_OK) {
        orr_value row[] = {orr_value_integer(atomic_load(&s->owner)), orr_value_real(orr_sqlite_wall())};
        int rc = orr_sql_run(c, ORR_SQL_OWNER_END, row, 2);
        orr_sqlite_end(c, rc == SQLITE_OK ? ORR_OK : ORR_EIO, message, sizeof message);
    }
    orr_sqlite_checkpoint(s, c, true);
}

static void *run(void *ud)
{
    orr_sqlite *s = ud;
    orr_sqlite_writer *w = &s->writer;
    turn t = {.s = s, .until = -1};
    w->taken_end = &w->taken;
    w->checkpoint_at = ORR_SQLITE_WAL_PAGES;
    sqlite3_wal_hook(w->connection.db, count_frames, w);
    pthread_mutex_lock(&s->mutex);
    while (step(&t))
        continue;
    pthread_mutex_unlock(&s->mutex);
    leave(s);
    return NULL;
}

/* The signals of the process are for its other threads. */
bool orr_sqlite_start(orr_sqlite *s)
{
    sigset_t all, before;
    if (s->started)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->started = pthread_create(&s->thread, NULL, run, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->started;
}

void orr_sqlite_stop(orr_sqlite *s)
{
    pthread_mutex_lock(&s->mutex);
    bool started = s->started;
    s->stopping = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    if (started)
        pthread_join(s->thread, NULL);
    free(s->writer.scratch);
    free(s->writer.whys);
    free(s->writer.seen);
    orr_notes_free(&s->writer.pending, &orr_sqlite_heap);
}
