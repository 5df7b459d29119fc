/* handover.c - one connection where one will do.
 *
 * A connection reads the whole schema before its first statement, which is a tenth of a short run.
 * So a store is opened through one; the writer gets it when its thread is started, and the caller's
 * thread has another one where it asks for something after that. Where the store stays open, the
 * writer has made it by then.
 */
#include "store/sqlite/inner.h"

enum { CALLER_CACHE = 2048, WRITER_CACHE = 8192 }; /* KiB, taken as they are used */

/* ---- the caller's thread --------------------------------------------------------------------- */

orr_status orr_sqlite_connect_mine(orr_sqlite *s, orr_reason *reason) {
    return orr_sqlite_connect(s, &s->mine, SQLITE_OPEN_READWRITE, CALLER_CACHE, reason);
}

orr_connection *orr_sqlite_mine(orr_sqlite *s, orr_reason *reason) {
    if (s->mine.db != NULL) return &s->mine;
    if (atomic_load(&s->spare_is_ready)) {
        s->mine = s->spare;
        s->spare = (orr_connection){.lock = -1};
    } else if (orr_sqlite_present(s, reason) != ORR_OK || orr_sqlite_connect_mine(s, reason) != ORR_OK)
        return NULL;
    s->mine.met = true; /* the file was looked at when the store was opened */
    if (s->mine.lock < 0)
        s->mine.lock = orr_lock_open(s->lock_path, true); /* which says what is known of the file */
    atomic_store(&s->lacks_mine, false);
    return &s->mine;
}

/* Whether the caller's thread is in the middle of something that goes on after this. */
static bool is_busy(sqlite3 *db) {
    bool busy = sqlite3_get_autocommit(db) == 0;
    for (sqlite3_stmt *q = NULL; !busy && (q = sqlite3_next_stmt(db, q)) != NULL;)
        busy = sqlite3_stmt_busy(q) != 0;
    return busy;
}

bool orr_sqlite_start(orr_queue *q) {
    orr_sqlite *s = (orr_sqlite *)q;
    orr_connection *c = &s->writer.connection;
    orr_reason reason;
    if (c->db == NULL && (s->mine.db == NULL || is_busy(s->mine.db))) {
        if (orr_sqlite_connect(s, c, SQLITE_OPEN_READWRITE, WRITER_CACHE, &reason) != ORR_OK) return false;
    } else if (c->db == NULL) {
        *c = s->mine;
        s->mine = (orr_connection){.lock = -1};
        atomic_store(&s->lacks_mine, true);
        orr_sqlite_keep(c->db, WRITER_CACHE);
    }
    c->met = true; /* as with the other */
    orr_sqlite_watch_log(s);
    return true;
}

/* ---- the writer's thread --------------------------------------------------------------------- */

static const int64_t STAYS = 20000000; /* ns that the store has been open for more than a short run */

/* It is tried once: who needs it and has none says why it cannot be had. */
void orr_sqlite_make_spare(orr_sqlite *s) {
    orr_reason reason;
    int64_t now = orr_port_now();
    if (s->writer.looks_since == 0) s->writer.looks_since = now;
    if (now - s->writer.looks_since < STAYS || s->writer.made_spare || !atomic_load(&s->lacks_mine) ||
        orr_sqlite_present(s, &reason) != ORR_OK)
        return;
    s->writer.made_spare = true;
    if (orr_sqlite_connect(s, &s->spare, SQLITE_OPEN_READWRITE, CALLER_CACHE, &reason) == ORR_OK)
        atomic_store(&s->spare_is_ready, true);
}
