/* takeover.c - taking over a run whose owner is gone, or by force from one that lives. */
#include "store/sqlite/inner.h"

#include <time.h>

enum { LOST, ENDED, PID, HOST, COMMAND, STARTED, CHECKSUM };

static void say_owner(sqlite3_stmt *q, const char *id, orr_reason *reason) {
    time_t since = (time_t)sqlite3_column_double(q, STARTED);
    struct tm tm;
    char when[32] = "";
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&since, &tm));
    orr_reason_set(reason,
                   "process %lld on %s runs %s since %s: wait for it or end it, or take the run with force",
                   (long long)sqlite3_column_int64(q, PID), orr_sql_text(q, HOST), id, when);
}

/* Whether the owner is gone, or is made to be. ORR_ESTATE for one that lives. */
static orr_status displace(orr_sqlite *s, int64_t owner, bool force, const char *id, orr_reason *reason) {
    orr_connection *c = &s->mine;
    orr_field key = orr_field_integer(owner);
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_OWNER_GET, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    bool known = rc == SQLITE_ROW, intact = !known || orr_sql_intact(q, PID, CHECKSUM - PID + 1);
    bool gone = !known || sqlite3_column_int(q, LOST) != 0 || sqlite3_column_type(q, ENDED) != SQLITE_NULL;
    bool lives = !gone && orr_sqlite_alive(c, owner);
    if (lives && !force) say_owner(q, id, reason);
    sqlite3_reset(q);
    if (!known && rc != SQLITE_DONE) return orr_sqlite_explain(c->db, rc, "be read", reason);
    if (!intact) return orr_sqlite_damaged(c->db, "owners", owner, false, NULL, reason);
    if (lives && !force) return ORR_ESTATE;
    if (lives) orr_sqlite_displace(c, s->displacing = owner, true);
    rc = gone ? SQLITE_OK : orr_sql_run(c, ORR_SQL_OWNER_LOSE, &key, 1);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(c->db, rc, "be written", reason);
}

/* Within the transaction. */
static orr_status take(orr_sqlite *s, orr_queue_journal *j, const char *id, bool force, bool *made,
                       orr_reason *reason) {
    int64_t owner = 0;
    bool ended;
    orr_status status = orr_sqlite_find_run(&s->mine, id, &j->number, &owner, reason);
    if (status == ORR_OK) status = orr_sqlite_own(s, &s->mine, made, reason);
    if (status == ORR_OK && owner != 0 && owner != atomic_load(&s->owner))
        status = displace(s, owner, force, id, reason);
    if (status == ORR_OK) status = orr_sqlite_last(&s->mine, j->number, id, &j->base.last, &ended, reason);
    if (status != ORR_OK || owner == atomic_load(&s->owner)) return status;
    orr_field row[] = {orr_field_integer(j->number), orr_field_integer(atomic_load(&s->owner))};
    int rc = orr_sql_run(&s->mine, ORR_SQL_RUN_OWNER, row, 2);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(s->mine.db, rc, "be written", reason);
}

/* Who owns a run matters only to processes that run now, so nobody waits for the disk: the next
 * commit takes this one along, and a power cut ends all owners. */
static orr_status claim(orr_sqlite *s, orr_queue_journal *j, const char *id, bool force, orr_reason *reason) {
    bool made = false;
    if (orr_sqlite_mine(s, reason) == NULL) return ORR_EIO;
    s->displacing = 0;
    orr_sqlite_relax(s->mine.db, true);
    orr_status status = orr_sqlite_begin(s, &s->mine, reason);
    if (status == ORR_OK) {
        status = orr_sqlite_finish(&s->mine, take(s, j, id, force, &made, reason), reason);
        if (status != ORR_OK && made) orr_sqlite_disown(s);
        if (status != ORR_OK && s->displacing != 0) orr_sqlite_displace(&s->mine, s->displacing, false);
        if (status == ORR_OK && s->displacing != 0) orr_sqlite_ring(&s->mine);
        orr_sqlite_unlock(&s->mine);
    }
    orr_sqlite_relax(s->mine.db, false);
    return status;
}

orr_status orr_sqlite_flush(orr_sqlite *s, orr_reason *reason) {
    orr_status status = orr_queue_flush(&s->queue);
    if (status != ORR_OK)
        orr_reason_set(reason, "the store '%s' cannot be written now: see the reason it gave", s->path);
    return status;
}

orr_journal *orr_sqlite_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                              orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)store;
    char id[37];
    orr_run_text(run, id);
    *status = ORR_ESTATE;
    if (s->mode != ORR_STORE_OWN)
        orr_reason_set(reason, "the store '%s' was opened to look at only: open it to keep runs", s->path);
    else if (orr_queue_has(&s->queue, run)) orr_reason_set(reason, "this process runs %s already", id);
    else if (orr_queue_is_leaving(&s->queue, run) && (*status = orr_queue_sync(store)) != ORR_OK)
        orr_reason_set(reason, "the store '%s' cannot be written now: see the reason it gave", s->path);
    else {
        orr_queue_journal *j = orr_queue_handle(&s->queue, run);
        *status = j != NULL ? claim(s, j, id, force, reason) : ORR_ENOMEM;
        if (*status == ORR_OK) {
            orr_queue_claimed(&s->queue, j);
            return &j->base;
        }
        if (j != NULL) orr_queue_unhandle(&s->queue, j);
    }
    return NULL;
}
