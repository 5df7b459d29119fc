/* projection.c - the tables brought up to date: when, how far, and in whose transaction. What is
 * written is in store/tables and sink.c. */
#include "store/sqlite/inner.h"

/* ---- by a step ------------------------------------------------------------------------------- */

static bool has_projector(orr_connection *c) {
    if (c->sink == NULL) c->sink = orr_sqlite_sink_new(c->db);
    if (c->sink != NULL && c->projector == NULL) c->projector = orr_projector_new(c->sink);
    return c->projector != NULL;
}

static int take_commits(orr_connection *c, orr_projecting *how) {
    int rc = how->more ? SQLITE_OK : orr_sql_number(c, ORR_SQL_COMMITS_LAST, NULL, 0, &how->until);
    orr_merging merging = {.cost = how->cost * ORR_SQLITE_MERGED,
                           .until = how->until,
                           .now = how->all ? 0 : (int64_t)(orr_port_wall() * 1e9)};
    if (how->more && how->taken) return SQLITE_OK; /* what was left would come again */
    if (rc == SQLITE_OK) rc = orr_sqlite_merge(c, &merging);
    how->taken = !merging.more;
    how->left = merging.left;
    return rc;
}

orr_status orr_sqlite_update_tables(orr_connection *c, orr_projecting *how, orr_reason *reason) {
    orr_projecting now = *how;
    bool unprojected = false;
    if (!has_projector(c)) {
        orr_reason_set(reason, "there is no memory left for the tables of the store");
        return ORR_ENOMEM;
    }
    int rc = take_commits(c, &now);
    orr_status status = rc == SQLITE_OK ? orr_project(c->projector, now.cost, &unprojected) : ORR_EIO;
    if (status != ORR_OK)
        return orr_sqlite_explain(c->db, rc != SQLITE_OK ? rc : sqlite3_extended_errcode(c->db),
                                  "bring its tables up to date", reason);
    now.more = !now.taken || unprojected;
    *how = now;
    return ORR_OK;
}

/* ---- by the writer --------------------------------------------------------------------------- */

void orr_sqlite_relax(sqlite3 *db, bool relaxed) {
    sqlite3_exec(db, relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL", NULL, NULL, NULL);
}

static int put_late(void *ud, orr_op *op) {
    return orr_sqlite_put_row(ud, op);
}

/* What was committed is on disk, and the tables can be made again from it: nobody waits for the
 * disk here. */
orr_status orr_sqlite_project(orr_queue *q, orr_projecting *how, orr_reason *reason) {
    orr_sqlite *s = (orr_sqlite *)q;
    orr_connection *c = &s->writer.connection;
    orr_projecting before = *how;
    orr_sqlite_relax(c->db, true);
    orr_status status = orr_sqlite_begin(s, c, reason);
    if (status == ORR_OK) {
        status = orr_sqlite_update_tables(c, how, reason);
        bool last = status == ORR_OK && !how->more;
        int rc = last ? orr_queue_each(how->late, put_late, c) : SQLITE_OK;
        if (rc == SQLITE_OK && last && how->leaves) rc = orr_sqlite_put_end(s, c);
        if (rc != SQLITE_OK) status = orr_sqlite_explain(c->db, rc, "bring its tables up to date", reason);
        status = orr_sqlite_end(c, status, reason);
        s->writer.has_left = status == ORR_OK && last && how->leaves;
    }
    if (status != ORR_OK) *how = before;
    orr_sqlite_relax(c->db, false);
    return status;
}

/* ---- now ------------------------------------------------------------------------------------- */

/* In slices, so that commits of others need not wait for long, and none of them flushed: it can
 * be done again. */
static orr_status update_all(orr_sqlite *s, orr_connection *c, orr_reason *reason) {
    orr_projecting how = {.cost = ORR_QUEUE_SLICE, .all = true};
    orr_status status;
    do {
        status = orr_sqlite_begin(s, c, reason);
        if (status == ORR_OK) status = orr_sqlite_end(c, orr_sqlite_update_tables(c, &how, reason), reason);
    } while (how.more && status == ORR_OK);
    return status;
}

orr_status orr_sqlite_project_now(orr_store *store, orr_reason *reason) {
    /* ns: who only wants to look is not held up by one that does not go on */
    static const int64_t PATIENCE = 500000000;
    orr_sqlite *s = (orr_sqlite *)store;
    int64_t behind = 0;
    orr_status status = orr_sqlite_flush(s, reason);
    if (status != ORR_OK) return status;
    orr_connection *c = orr_sqlite_mine(s, reason);
    if (c == NULL) return ORR_EIO;
    int rc = orr_sql_number(c, ORR_SQL_BEHIND, NULL, 0, &behind);
    if (rc != SQLITE_OK) return orr_sqlite_explain(c->db, rc, "be read", reason);
    if (behind == 0) return ORR_OK;
    c->patience = PATIENCE;
    orr_sqlite_relax(c->db, true);
    status = update_all(s, c, reason);
    orr_sqlite_relax(c->db, false);
    c->patience = 0;
    return status;
}
