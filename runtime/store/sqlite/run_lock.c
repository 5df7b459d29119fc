/* run_lock.c - locks of runs: who is in line for one, and whose turn it is.
 *
 * A lock is (workflow, value). A run comes into line in the transaction that makes it, or that sets
 * it back, and leaves with the record of its end. Who has taken the lock has it until then, be its
 * process alive or not. Otherwise it is the turn of the first in line whose process lives: what a
 * dead one left there waits until somebody resumes it.
 */
#include "store/sqlite/inner.h"

#include <string.h>

enum { PLACE, RUN, WORKFLOW, VALUE, BEGUN, CHECKSUM, ID, OWNER, OVER };

/* A run of the same lock that is in the way of another. */
typedef struct other {
    bool there, has_it;
    bool over;     /* it has ended, or no record of it was ever written, as the tables have it */
    int64_t owner; /* 0: none */
    char id[37];
} other;

/* ---- rows ------------------------------------------------------------------------------------ */

static int64_t checksum_of(const orr_lock_wish *wish, bool begun) {
    const orr_field row[] = {orr_field_integer(wish->run), wish->workflow, wish->value,
                             orr_field_integer(begun)};
    return orr_row_checksum(row, sizeof row / sizeof *row);
}

static int add(orr_connection *c, const orr_lock_wish *wish, bool begun) {
    orr_field row[] = {orr_field_integer(wish->run), wish->workflow, wish->value, orr_field_integer(begun),
                       orr_field_integer(checksum_of(wish, begun))};
    return orr_sql_run(c, ORR_SQL_LOCK_ADD, row, sizeof row / sizeof *row);
}

static int run_number(orr_connection *c, const orr_field *id, int64_t *number) {
    return orr_sql_number(c, ORR_SQL_RUN_NUMBER, id, 1, number);
}

/* A run that is not there any more needs no lock. */
int orr_sqlite_put_lock(orr_connection *c, const orr_field *values) {
    int64_t number = 0;
    int rc = run_number(c, &values[0], &number);
    if (rc == SQLITE_OK) rc = add(c, &(orr_lock_wish){number, values[1], values[2]}, false);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int orr_sqlite_put_unlock(orr_connection *c, const orr_field *values) {
    int64_t number = 0;
    int rc = run_number(c, &values[0], &number);
    orr_field key = orr_field_integer(number);
    if (rc == SQLITE_OK) rc = orr_sql_run(c, ORR_SQL_LOCK_GONE, &key, 1);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- who is in the way ----------------------------------------------------------------------- */

/* Asked of its lock, never of a process number. */
static orr_owner_state state_of(orr_sqlite *s, orr_connection *c, int64_t owner) {
    orr_field key = orr_field_integer(owner);
    int64_t open = 0;
    if (owner != 0 && owner == atomic_load(&s->owner)) return ORR_OWNER_SELF;
    if (owner == 0 || orr_sql_number(c, ORR_SQL_OWNER_OPEN, &key, 1, &open) != SQLITE_OK)
        return ORR_OWNER_GONE;
    return orr_sqlite_alive(c, owner) ? ORR_OWNER_LIVES : ORR_OWNER_GONE;
}

/* The first that is in the way at `place`. SQLite's result code; SQLITE_CORRUPT for a row
 * that is damaged, with the number of that in *damaged. */
static int find_other(orr_sqlite *s, orr_connection *c, const orr_lock_wish *wish, int64_t place,
                      other *found, int64_t *damaged) {
    orr_field key[] = {wish->workflow, wish->value, orr_field_integer(wish->run), orr_field_integer(place)};
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_LOCK_LINE, key, sizeof key / sizeof *key);
    int rc = q != NULL ? SQLITE_OK : sqlite3_extended_errcode(c->db);
    *found = (other){0};
    while (rc == SQLITE_OK && !found->there && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        *damaged = sqlite3_column_int64(q, PLACE);
        rc = orr_sql_intact(q, RUN, CHECKSUM - RUN + 1) ? SQLITE_OK : SQLITE_CORRUPT;
        found->has_it = sqlite3_column_int(q, BEGUN) != 0;
        found->over = sqlite3_column_int(q, OVER) != 0;
        found->owner = sqlite3_column_int64(q, OWNER);
        found->there = found->has_it || state_of(s, c, found->owner) != ORR_OWNER_GONE;
        strncpy(found->id, orr_sql_text(q, ID), sizeof found->id - 1);
    }
    sqlite3_reset(q);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- a new run ------------------------------------------------------------------------------- */

int orr_sqlite_line_up(orr_sqlite *s, orr_connection *c, const orr_lock_wish *wish, bool refuses,
                       char id[37]) {
    other found;
    int64_t damaged;
    *id = '\0';
    int rc = find_other(s, c, wish, INT64_MAX, &found, &damaged);
    if (rc == SQLITE_CORRUPT) { /* whoever it is has the lock as far as anybody can tell */
        found.there = true;
        rc = SQLITE_OK;
    }
    if (rc == SQLITE_OK && refuses && found.there) memcpy(id, found.id, sizeof found.id);
    return rc != SQLITE_OK || *id != '\0' ? rc : add(c, wish, !found.there);
}

/* ---- one that asks --------------------------------------------------------------------------- */

typedef struct asking {
    orr_lock_wish wish;
    bool in_line; /* its row is there */
    other found;
} asking;

/* Whether it has its lock, or who is in its way. */
static orr_status look(orr_sqlite *s, asking *a, orr_lock_answer *answer, orr_reason *reason) {
    orr_connection *c = &s->mine;
    orr_field key = orr_field_integer(a->wish.run);
    int64_t place = INT64_MAX, damaged = 0;
    sqlite3_stmt *q = orr_sql_start(c, ORR_SQL_LOCK_OWN, &key, 1);
    int rc = q != NULL ? sqlite3_step(q) : sqlite3_extended_errcode(c->db);
    bool intact = true;
    a->in_line = rc == SQLITE_ROW;
    answer->held = false;
    if (a->in_line) {
        damaged = place = sqlite3_column_int64(q, PLACE);
        intact = orr_sql_intact(q, RUN, CHECKSUM - RUN + 1);
        answer->held = intact && sqlite3_column_int(q, BEGUN) != 0;
    }
    sqlite3_reset(q);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) rc = intact ? SQLITE_OK : SQLITE_CORRUPT;
    if (rc == SQLITE_OK && !answer->held) rc = find_other(s, c, &a->wish, place, &a->found, &damaged);
    if (rc == SQLITE_CORRUPT) return orr_sqlite_damaged(c->db, "run_locks", damaged, false, NULL, reason);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(c->db, rc, "be read", reason);
}

/* A row whose run is over was left by a process that had no memory to take it away, or to write the
 * run's first record, unless the tables do not show yet what was written since. */
static orr_status drop_over(orr_sqlite *s, const asking *a, orr_reason *reason) {
    orr_field id = orr_field_text(a->found.id);
    int64_t number = 0, owner = 0;
    uint64_t seq = 0;
    bool ended = false;
    orr_status status = orr_sqlite_find_run(&s->mine, a->found.id, &number, &owner, reason);
    if (status == ORR_OK) status = orr_sqlite_last(&s->mine, number, a->found.id, &seq, &ended, reason);
    if (status != ORR_OK || !(ended || seq == 0)) return status;
    int rc = orr_sqlite_put_unlock(&s->mine, &id);
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(s->mine.db, rc, "be written", reason);
}

static bool is_left(orr_sqlite *s, const other *found) {
    return found->there && found->over && state_of(s, &s->mine, found->owner) == ORR_OWNER_GONE;
}

/* Within a transaction. */
static orr_status take(orr_sqlite *s, asking *a, orr_lock_answer *answer, bool *made, orr_reason *reason) {
    orr_status status = orr_sqlite_own(s, &s->mine, made, reason);
    if (status == ORR_OK) status = look(s, a, answer, reason);
    if (status == ORR_OK && is_left(s, &a->found) && (status = drop_over(s, a, reason)) == ORR_OK)
        status = look(s, a, answer, reason);
    if (status != ORR_OK || answer->held || a->found.there) return status;
    orr_field row[] = {orr_field_integer(a->wish.run), orr_field_integer(checksum_of(&a->wish, true))};
    int rc = a->in_line ? orr_sql_run(&s->mine, ORR_SQL_LOCK_TAKE, row, 2) : add(&s->mine, &a->wish, true);
    answer->held = rc == SQLITE_OK;
    return rc == SQLITE_OK ? ORR_OK : orr_sqlite_explain(s->mine.db, rc, "be written", reason);
}

/* As with owners nobody waits for the disk: what the run writes next takes it along. */
static orr_status try_to_take(orr_sqlite *s, asking *a, orr_lock_answer *answer, orr_reason *reason) {
    bool made = false;
    orr_sqlite_relax(s->mine.db, true);
    orr_status status = orr_sqlite_begin(s, &s->mine, reason);
    if (status == ORR_OK) {
        status = orr_sqlite_finish(&s->mine, take(s, a, answer, &made, reason), reason);
        if (status != ORR_OK && made) orr_sqlite_disown(s);
        orr_sqlite_unlock(&s->mine);
    }
    orr_sqlite_relax(s->mine.db, false);
    if (status != ORR_OK) answer->held = false;
    return status;
}

orr_status orr_sqlite_run_lock(orr_journal *journal, const char *workflow, const char *value,
                               orr_lock_answer *answer, orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)journal->store;
    asking a = {
        .wish = {((orr_queue_journal *)journal)->number, orr_field_text(workflow), orr_field_text(value)}};
    *answer = (orr_lock_answer){0};
    if (orr_sqlite_mine(s, reason) == NULL) return ORR_EIO;
    orr_status status = look(s, &a, answer, reason);
    if (status == ORR_OK && !answer->held && (!a.found.there || is_left(s, &a.found)))
        status = try_to_take(s, &a, answer, reason);
    if (status != ORR_OK || answer->held) return status;
    answer->has_it = a.found.has_it;
    answer->owner = state_of(s, &s->mine, a.found.owner);
    orr_run_parse(a.found.id, answer->run);
    return ORR_OK;
}
