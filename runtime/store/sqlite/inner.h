/* inner.h - the parts of the store in SQLite; private to it.
 *
 * Of the two threads of a queue (store/queue/queue.h) each has a connection. Whoever writes to the
 * file, of whatever process, holds the commit lock (lock.c) while he does.
 */
#ifndef ORR_STORE_SQLITE_INNER_H
#define ORR_STORE_SQLITE_INNER_H

#include "store/queue/queue.h"
#include "store/sqlite/sqlite.h"
#include "store/tables/tables.h"

#include <sqlite3.h>
#include <sys/stat.h>

enum {
    ORR_SQLITE_PATIENCE = 5000,  /* ms that SQLite waits for its own locks */
    ORR_SQLITE_WAL_PAGES = 1024, /* beyond it (4 MiB) the log is written back and begun anew */
    /* bytes of a log that grew because of a reader, beyond which it is cut when there is time */
    ORR_SQLITE_WAL_LIMIT = 16 << 20,
    ORR_SQLITE_ROW_LIMIT = 16 << 20, /* bytes of records in one row of the journal */
    /* bytes of records in one commit from which they go into the journal at once */
    ORR_SQLITE_COMMIT_LIMIT = 256 << 10
};

/* The bytes of the lock file that are locked. Who has the store open to keep runs shares USERS, who
 * only looks LOOKERS; owner n locks byte OWNER + n. */
enum {
    ORR_SQLITE_COMMIT_BYTE = 0,
    ORR_SQLITE_TURN_BYTE = 1,
    ORR_SQLITE_USERS_BYTE = 2,
    ORR_SQLITE_LOOKERS_BYTE = 3,
    ORR_SQLITE_CHECKING_BYTE = 4,
    ORR_SQLITE_OWNER_BYTE = 1000
};

/* What is written in it, and from where on; each has the room up to the next. */
enum {
    ORR_SQLITE_HOLDER_AT = 0,  /* the number of the process that has the commit lock, as text */
    ORR_SQLITE_MARK_AT = 64,   /* mark.c */
    ORR_SQLITE_STAMP_AT = 256, /* pair.c, as are the tags */
    ORR_SQLITE_TAGS_AT = 384,
    ORR_SQLITE_CHECK_AT = 512 /* check.c */
};

/* ---- statements, prepared at first use and kept ---------------------------------------------- */

#define ORR_SQLS(X)                                                                                          \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                              \
    X(SNAPSHOT, "BEGIN")                                                                                     \
    X(COMMIT, "COMMIT")                                                                                      \
    X(ROLLBACK, "ROLLBACK")                                                                                  \
    X(OWNER_NEW, "INSERT INTO owners (pid, host, command, started, checksum) VALUES (?1, ?2, ?3, ?4, "       \
                 "?5)")                                                                                      \
    X(OWNER_OPEN, "SELECT 1 FROM owners WHERE id = ?1 AND lost = 0 AND ended IS NULL")                       \
    X(OWNER_END, "UPDATE owners SET ended = ?2 WHERE id = ?1 AND ended IS NULL")                             \
    X(OWNER_LOSE, "UPDATE owners SET lost = 1 WHERE id = ?1")                                                \
    X(OWNER_GET, "SELECT lost, ended, pid, host, command, started, checksum FROM owners WHERE id = ?1")      \
    X(OWNERS_OPEN, "SELECT id FROM owners WHERE id >= ?1 AND ended IS NULL AND lost = 0 ORDER BY "           \
                   "id")                                                                                     \
    X(OWNERS_LAST, "SELECT max(id) FROM owners")                                                             \
    X(OWNER_NEXT, "SELECT o.pid, o.host FROM owners o WHERE o.id > ?1 AND o.lost = 0 AND o.ended IS NULL "   \
                  "ORDER BY o.id LIMIT 1")                                                                   \
    X(RUN_NEW, "INSERT INTO runs (id, workflow, bundle, key, parent, labels, context, durability, "          \
               "created, owner, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")            \
    X(RUN_GET, "SELECT number, owner, id, workflow, bundle, key, parent, labels, durability, "               \
               "created, checksum FROM runs WHERE id = ?1")                                                  \
    X(RUN_NUMBER, "SELECT number FROM runs WHERE id = ?1")                                                   \
    /* what nobody knows whose it is, since it was damaged before it was sorted by run */                    \
    X(JOURNAL_LOST, "SELECT id FROM journal WHERE run = 0 AND checksum = 0 LIMIT 1")                         \
    X(RUN_ROW,                                                                                               \
      "SELECT id, workflow, bundle, key, parent, labels, durability, created FROM runs WHERE number = ?1")   \
    X(RUN_CHECKSUM, "UPDATE runs SET checksum = ?2 WHERE number = ?1")                                       \
    X(RUN_KEYED, "SELECT id FROM runs WHERE workflow = ?1 AND key = ?2")                                     \
    X(RUN_OWNER, "UPDATE runs SET owner = ?2 WHERE number = ?1")                                             \
    X(RUN_FREE, "UPDATE runs SET owner = NULL WHERE number = ?1 AND owner = ?2")                             \
    X(WORKFLOW, "INSERT INTO workflows (name, first, last) VALUES (?1, ?2, ?2) "                             \
                "ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)")                          \
    X(JOURNAL_NEXT, "SELECT max(coalesce((SELECT max(id) FROM journal), 0), "                                \
                    "coalesce((SELECT value FROM meta WHERE name = 'projected'), 0)) + 1")                   \
    X(JOURNAL_ADD, "INSERT INTO journal (id, run, first, fence, records, checksum) VALUES (?1, ?2, ?3, "     \
                   "?4, ?5, ?6)")                                                                            \
    X(JOURNAL_MERGE, "INSERT OR IGNORE INTO journal (id, run, first, fence, records, checksum) SELECT ?1, "  \
                     "?2, ?3, ?4, ?5, ?6 WHERE ?2 = 0 OR EXISTS (SELECT 1 FROM runs WHERE number = ?2)")     \
    X(COMMIT_ADD, "INSERT INTO commits (fence, records, checksum) VALUES (?1, ?2, ?3)")                      \
    X(COMMIT_LEFT, "INSERT INTO commits (id, fence, records, checksum) VALUES (?1, ?2, ?3, ?4)")             \
    X(COMMITS, "SELECT id, fence, records, checksum FROM commits WHERE id <= ?1 ORDER BY id")                \
    X(COMMITS_LAST, "SELECT max(id) FROM commits")                                                           \
    X(COMMITS_GONE, "DELETE FROM commits WHERE id <= ?1")                                                    \
    X(BEHIND, "SELECT EXISTS (SELECT 1 FROM commits) OR "                                                    \
              "EXISTS (SELECT 1 FROM journal WHERE id > (SELECT value FROM meta WHERE name = 'projected'))") \
    X(JOURNAL_READ, "SELECT id, run, first, fence, records, checksum FROM journal WHERE run = ?1 AND "       \
                    "first >= coalesce((SELECT max(first) FROM journal WHERE run = ?1 AND first <= ?2), "    \
                    "0) ORDER BY first")                                                                     \
    X(BUNDLE,                                                                                                \
      "INSERT OR IGNORE INTO bundles (hash, workflow, definition, sources, arguments, engine, created) "     \
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                                                 \
    X(MODULE, "INSERT OR IGNORE INTO modules (bundle, name, path, source, checksum) VALUES (?1, ?2, "        \
              "?3, ?4, ?5)")                                                                                 \
    X(BLOB, "INSERT OR IGNORE INTO blobs (hash, size, data) VALUES (?1, length(CAST(?2 AS BLOB)), ?2)")      \
    X(CACHE, "INSERT OR REPLACE INTO cache (key, workflow, node, type, run, output, created, expires) "      \
             "VALUES (?1, ?2, ?3, ?4, (SELECT number FROM runs WHERE id = ?5), ?6, ?7, ?8)")                 \
    X(WORKERS, "INSERT OR REPLACE INTO meta (name, value) VALUES ('workers.' || ?1 || '.' || ?2, ?3)")       \
    X(LOG, "INSERT INTO logs (run, node, item, iteration, attempt, time, level, message, fields) "           \
           "SELECT number, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM runs WHERE id = ?1")                          \
    X(PUBLISHED, "INSERT OR REPLACE INTO published (run, name, value, node, item, attempt, time) "           \
                 "SELECT number, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE id = ?1")                            \
    X(WHY,                                                                                                   \
      "UPDATE nodes SET why = ?4 WHERE run = (SELECT number FROM runs WHERE id = ?1) AND node = ?2 AND "     \
      "item = coalesce(?3, 0) " /* what is said of a cache stays true */                                     \
      "AND (ended IS NULL OR json_extract(?4, '$.cache') IS NOT NULL)")                                      \
    X(TAKEN, "UPDATE inbox SET taken = (julianday('now') - 2440587.5) * 86400.0 WHERE id = ?1")              \
    X(TAKEN_GONE, "DELETE FROM inbox WHERE id = ?1 AND dedup IS NULL")                                       \
    X(BUNDLE_GET,                                                                                            \
      "SELECT hash, workflow, definition, sources, arguments, engine, created FROM bundles WHERE hash = ?1") \
    X(MODULE_GET, "SELECT bundle, name, path, source, checksum FROM modules WHERE bundle = ?1 ORDER BY "     \
                  "name")                                                                                    \
    X(BLOB_GET, "SELECT hash, data FROM blobs WHERE hash = ?1")                                              \
    X(CACHE_GET, "SELECT key, workflow, node, type, (SELECT id FROM runs WHERE number = run), output, "      \
                 "created, expires FROM cache "                                                              \
                 "WHERE key = ?1")                                                                           \
    X(STATE_NOW, "SELECT version, expires FROM state WHERE workflow = ?1 AND key = ?2")                      \
    X(STATE_PUT, "INSERT OR REPLACE INTO state (workflow, key, value, version, run_id, node, written, "      \
                 "expires, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                           \
    X(STATE_GONE, "DELETE FROM state WHERE workflow = ?1 AND key = ?2")                                      \
    X(STATE_GET, "SELECT workflow, key, value, version, run_id, node, written, expires, checksum, rowid "    \
                 "FROM state WHERE workflow = ?1 AND key = ?2")                                              \
    X(INBOX_ADD, "INSERT OR IGNORE INTO inbox (run, name, text, dedup, time, checksum) VALUES (?1, ?2, "     \
                 "?3, ?4, ?5, ?6)")                                                                          \
    X(INBOX_SENT, "SELECT 1 FROM inbox WHERE run = ?1 AND dedup = ?2")                                       \
    X(INBOX_ROW, "SELECT run, name, text, dedup, time FROM inbox WHERE id = ?1")                             \
    X(INBOX_CHECKSUM, "UPDATE inbox SET checksum = ?2 WHERE id = ?1")                                        \
    /* a run whose owner has gone, or was displaced, is nobody's */                                          \
    X(INBOX_MINE,                                                                                            \
      "SELECT i.id, r.id, i.run, i.name, i.text, i.dedup, i.time, i.checksum, r.owner IS ?1 FROM inbox i "   \
      "JOIN runs r ON r.number = i.run WHERE i.taken IS NULL AND (r.owner = ?1 OR ?2 AND (r.owner IS NULL "  \
      "OR "                                                                                                  \
      "EXISTS (SELECT 1 FROM owners WHERE id = r.owner AND (lost = 1 OR ended IS NOT NULL)))) ORDER BY "     \
      "i.id")                                                                                                \
    X(LOCK_ADD, "INSERT OR IGNORE INTO run_locks (run, workflow, value, begun, checksum) VALUES (?1, ?2, "   \
                "?3, ?4, ?5)")                                                                               \
    X(LOCK_OWN, "SELECT place, run, workflow, value, begun, checksum FROM run_locks WHERE run = ?1")         \
    X(LOCK_LINE, "SELECT l.place, l.run, l.workflow, l.value, l.begun, l.checksum, r.id, r.owner, "          \
                 "r.ended IS NOT NULL OR r.seq = 0 FROM run_locks l JOIN runs r ON r.number = l.run "        \
                 "WHERE l.workflow = ?1 AND l.value = ?2 AND l.run <> ?3 AND (l.begun = 1 OR l.place < ?4) " \
                 "ORDER BY l.begun DESC, l.place")                                                           \
    X(LOCK_TAKE, "UPDATE run_locks SET begun = 1, checksum = ?2 WHERE run = ?1")                             \
    X(LOCK_GONE, "DELETE FROM run_locks WHERE run = ?1")                                                     \
    X(RUN_GONE, "DELETE FROM runs WHERE number = ?1")                                                        \
    X(TAG, "SELECT value FROM meta WHERE name = 'log'")                                                      \
    X(TAG_PUT, "INSERT OR REPLACE INTO meta (name, value) VALUES ('log', ?1)")                               \
    X(IN_USE, "SELECT EXISTS (SELECT 1 FROM owners WHERE ended IS NULL AND lost = 0)")                       \
    X(DATA_VERSION, "PRAGMA data_version")

#define ORR_ENUM_SQL(id, text) ORR_SQL_##id,
typedef enum { ORR_SQLS(ORR_ENUM_SQL) ORR_SQL_COUNT } orr_sql;
#undef ORR_ENUM_SQL

/* Every table with a column `run` that says whose its rows are and goes with the run. */
#define ORR_TABLES_OF_RUNS(X)                                                                                \
    X("journal")                                                                                             \
    X("nodes")                                                                                               \
    X("attempts")                                                                                            \
    X("steps")                                                                                               \
    X("signals")                                                                                             \
    X("timers")                                                                                              \
    X("published")                                                                                           \
    X("logs")                                                                                                \
    X("inbox")                                                                                               \
    X("run_locks")                                                                                           \
    X("arrivals")

/* A connection with its prepared statements and its own descriptor of the lock file. Used by one
 * thread. */
typedef struct orr_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[ORR_SQL_COUNT];
    sqlite3_stmt *queries[ORR_QUERY_COUNT]; /* of the catalogue, as each was last asked; NULL: in use */
    orr_sink *sink;                         /* both made at first use */
    orr_projector *projector;
    int lock;         /* descriptor of the lock file, -1: not open yet */
    int64_t patience; /* how long it waits for the commit lock (ns), 0: 10 s */
    /* of mark.c: which log it writes to, in which boot; a flush has failed; what it left is bad */
    uint64_t log_device, log_inode;
    uint8_t boot[16];
    bool booted, suspect, broken;
    bool stamps;  /* its commits may go into the file itself: there need not be a log */
    bool met;     /* the file was looked at: from now on it is to stay as it is */
    bool missing; /* a file of the store was not what it had been when the last commit was tried */
    bool logged;  /* there was a log when it was opened, be it an empty one */
} orr_connection;

/* Runs a statement that gives no rows with values for ?1, ?2, ... SQLite's result code,
 * SQLITE_OK when done. */
int orr_sql_run(orr_connection *c, orr_sql sql, const orr_field *values, size_t n);
/* The statement with values bound, or NULL (sqlite3_errcode says why). Step it, then
 * sqlite3_reset. */
sqlite3_stmt *orr_sql_start(orr_connection *c, orr_sql sql, const orr_field *values, size_t n);
/* The first column of the only row in *number; SQLITE_DONE when there is no row, SQLITE_OK. */
int orr_sql_number(orr_connection *c, orr_sql sql, const orr_field *values, size_t n, int64_t *number);
int orr_sql_bind(sqlite3_stmt *s, const orr_field *values, size_t n);
/* Binds one value, at a place from 1. */
int orr_sql_bind_one(sqlite3_stmt *s, int at, const orr_field *v);
orr_field orr_sql_column(sqlite3_stmt *s, int column);
/* Whether n columns from `first` on are whole: the last of them is the checksum of the others. */
bool orr_sql_intact(sqlite3_stmt *s, int first, size_t n);
/* The text of a value that is a text and followed by a NUL; "" for others. */
const char *orr_sql_text(sqlite3_stmt *s, int column);

/* ---- the store ------------------------------------------------------------------------------- */

/* What only the writer's thread uses. */
typedef struct orr_sqlite_writer {
    orr_connection connection;
    orr_chains chains;
    unsigned char *scratch; /* records of one journal, one after another */
    size_t scratch_used, scratch_capacity;
    const char *workflow; /* the last one that this commit has brought up to date */
    int64_t data_version;
    /* pages in the log after the last commit, and how many call for a checkpoint */
    int frames, checkpoint_at;
    /* of the file of the log at least, as far as it is known; INT64_MAX: it is to stay as it is */
    int64_t log_size;
    uint64_t crash_at;   /* for tests: the commit at which the process kills itself, 0: none */
    bool crash_after;    /* right after it, not right before */
    bool crash_stops;    /* it stops in place of killing itself */
    int64_t missing;     /* since when a file of the store is not what it was (ns), 0: it is */
    bool unlocks;        /* this commit takes a lock away */
    bool made;           /* the last write of state was, in this commit */
    bool is_shown;       /* the file itself says that this process uses it */
    bool has_left;       /* its row says that it has ended */
    int64_t looks_since; /* when it looked into the inbox first (ns), 0: it has not */
    bool made_spare;     /* or tried to */
} orr_sqlite_writer;

typedef struct orr_checker orr_checker;

typedef struct orr_sqlite {
    orr_queue queue;
    char *path, *lock_path, *wal_path; /* from libc's heap, absolute */
    /* what they were when the store was opened; the last two only for an owner */
    struct stat file, log, sidecar;
    orr_store_mode mode;
    orr_connection mine;  /* the caller's thread's; not open: the writer has it (handover.c) */
    orr_connection spare; /* one for it, made by the writer; its own once it is ready */
    atomic_bool lacks_mine, spare_is_ready;
    int user_lock; /* shows that this process has the store open, -1: there is no lock file */
    bool tagged;   /* the store says that it is of this file */
    bool lone;     /* it is a copy without its log, and refused */

    /* the owner: its row, and the lock that shows that we live. Set under the commit lock, once */
    _Atomic int64_t owner;
    _Atomic int owner_lock; /* asked on both threads */
    int64_t displacing;     /* the owner whose runs this claim takes by force, 0: none */
    orr_checker *checker;   /* NULL: there was nothing to check */

    orr_sqlite_writer writer;
} orr_sqlite;

/* ---- connections (sql.c, open.c, handover.c) -------------------------------------------------*/

/* Opens the file with our settings. ORR_EIO with a reason. */
orr_status orr_sqlite_connect(const orr_sqlite *s, orr_connection *c, int flags, int cache_kib,
                              orr_reason *reason);
void orr_sqlite_disconnect(orr_connection *c);
/* Has the connection keep so many KiB of pages. */
void orr_sqlite_keep(sqlite3 *db, int cache_kib);

/* On the caller's thread: opens its connection, which is not open. ORR_EIO with a reason. */
orr_status orr_sqlite_connect_mine(orr_sqlite *s, orr_reason *reason);
/* The same: its connection, good until something is submitted; opened where it was handed over.
 * NULL with a reason where that fails. */
orr_connection *orr_sqlite_mine(orr_sqlite *s, orr_reason *reason);
/* On the writer's thread, at each look into the inbox: makes that other one when it has time. */
void orr_sqlite_make_spare(orr_sqlite *s);

/* "the store 'PATH' cannot <do what>: <reason>: <remedy>", and the status that says the same. */
orr_status orr_sqlite_explain(sqlite3 *db, int code, const char *what, orr_reason *reason);

/* What helps against an error of the system. */
const char *orr_sqlite_remedy(int error, const char *otherwise);

/* "the store 'PATH' is damaged: row N of TABLE, of run RUN, is not what was written: …";
 * ORR_EIO. `run` may be NULL; `perhaps`: nobody can tell that it is of this one. */
orr_status orr_sqlite_damaged(sqlite3 *db, const char *table, int64_t row, bool perhaps, const char *run,
                              orr_reason *reason);

/* Why a store on such a file system (statfs f_type) is refused: its name, or NULL for one that
 * keeps locks and maps. */
const char *orr_sqlite_network(uint64_t type);

/* The names of a store's files, which need not be there; not on a network. `own`: makes the folder.
 * Then what the file is. ORR_EIO, ORR_EINVAL with a reason. */
orr_status orr_sqlite_find(orr_sqlite *s, const char *path, bool own, orr_reason *reason);
orr_status orr_sqlite_check_file(orr_sqlite *s, orr_reason *reason);

/* ---- the schema (schema.c, views.c) ---------------------------------------------------------- */

/* Whether the tables are there and those of this version; ORR_EINVAL with a reason for a newer
 * version, or another program's file. */
orr_status orr_sqlite_version(sqlite3 *db, bool *current, orr_reason *reason);
/* Brings the tables to this version, in one transaction. The caller holds the commit lock. */
orr_status orr_sqlite_migrate(sqlite3 *db, orr_reason *reason);
/* Makes the views run_list, node_list, node_stats and workflow_stats; those that are there are
 * made anew. ORR_EIO, ORR_ENOMEM. */
orr_status orr_sqlite_views(sqlite3 *db);

/* ---- locks and owners (lock.c, owner.c, takeover.c, unblock.c) ------------------------------- */

/* Takes the commit lock, waiting as long as the connection has patience. ORR_EIO with a reason
 * that says who holds it. */
orr_status orr_sqlite_lock(const orr_sqlite *s, orr_connection *c, orr_reason *reason);
void orr_sqlite_unlock(orr_connection *c);

/* The process that took the lock last. The connection has tried to take it. */
long orr_sqlite_holder(const orr_connection *c);

/* Whether the files are still those that were opened; ORR_EIO with a reason. */
orr_status orr_sqlite_present(const orr_sqlite *s, orr_reason *reason);

/* Lock, BEGIN, and the other way round. Where `status` is not ORR_OK, or the commit fails,
 * everything is rolled back. */
orr_status orr_sqlite_begin(const orr_sqlite *s, orr_connection *c, orr_reason *reason);
orr_status orr_sqlite_end(orr_connection *c, orr_status status, orr_reason *reason);
/* The same, with the lock still held: what was made for the transaction can be given up. */
orr_status orr_sqlite_finish(orr_connection *c, orr_status status, orr_reason *reason);

/* Within a transaction: this process's row in owners, made where there is none yet, and that it
 * has not been taken over. ORR_ESTATE where it was. orr_sqlite_disown gives a row that was not
 * committed up again, before the commit lock is let go of: the next owner gets the same number. */
orr_status orr_sqlite_own(orr_sqlite *s, orr_connection *c, bool *made, orr_reason *reason);
void orr_sqlite_disown(orr_sqlite *s);
/* The descriptor of the lock that a living owner holds. Opened with the store, so that what has too
 * many files open fails there, and not in a run that would wait for them to become fewer. */
orr_status orr_sqlite_open_owner(orr_sqlite *s, orr_reason *reason);
/* Says in the lock file that the owner is displaced, or not after all. The connection has had the
 * commit lock. It is set before the runs are taken, so that the owner finds out before its next
 * effect, and not by its next commit. */
void orr_sqlite_displace(const orr_connection *c, int64_t owner, bool displaced);
bool orr_sqlite_displaced(const orr_store *store, orr_notice_kind *why);
bool orr_sqlite_owns(const orr_store *store);
/* Rings for all processes that have runs in the store: there may be something for them. The
 * connection has had the commit lock. */
void orr_sqlite_ring(const orr_connection *c);
/* Says to all owners that live, this process among them, that the store is damaged. */
void orr_sqlite_displace_all(const orr_connection *c);
/* Whether the process of that row is alive, by its lock. The connection has had the commit lock. */
bool orr_sqlite_alive(orr_connection *c, int64_t owner);
/* In a transaction, or in one of its own: this process's row says that it has ended in good order.
 * SQLite's result code. */
int orr_sqlite_put_end(orr_sqlite *s, orr_connection *c);
void orr_sqlite_end_owner(orr_sqlite *s, orr_connection *c);
orr_status orr_sqlite_owner(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason);
/* At opening: owners that died. Where there are any, they are marked, which of their commits are
 * whose is sorted out, and the file is to be checked. */
orr_status orr_sqlite_mark_dead(orr_sqlite *s, orr_reason *reason);
/* The number of a run and its owner, 0: none. ORR_ENOTFOUND, ORR_EIO (also for a row that is
 * damaged) with a reason. */
orr_status orr_sqlite_find_run(orr_connection *c, const char *id, int64_t *number, int64_t *owner,
                               orr_reason *reason);
/* Waits until all that was queued is durable. ORR_EIO with a reason. */
orr_status orr_sqlite_flush(orr_sqlite *s, orr_reason *reason);
orr_status orr_sqlite_unblock(orr_store *store, const uint8_t run[16], orr_reason *reason);
orr_journal *orr_sqlite_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                              orr_reason *reason);

/* ---- locks of runs (run_lock.c) -------------------------------------------------------------- */

/* Which run wants which lock. */
typedef struct orr_lock_wish {
    int64_t run; /* its number */
    orr_field workflow, value;
} orr_lock_wish;

/* Within a transaction. A run that was just made comes into line, and has its lock at once where
 * nobody is in its way. `refuses`: it does not where somebody is; *id is that run's then, "" where
 * nobody is. SQLite's result code. */
int orr_sqlite_line_up(orr_sqlite *s, orr_connection *c, const orr_lock_wish *wish, bool refuses,
                       char id[37]);
/* The rows LOCK and UNLOCK that were queued. */
int orr_sqlite_put_lock(orr_connection *c, const orr_field *values);
int orr_sqlite_put_unlock(orr_connection *c, const orr_field *values);
orr_status orr_sqlite_run_lock(orr_journal *journal, const char *workflow, const char *value,
                               orr_lock_answer *answer, orr_reason *reason);

/* ---- state between runs (state.c) ------------------------------------------------------------ */

/* Within a transaction: decides about a write, makes it where it holds, and says so. SQLite's
 * result code. */
int orr_sqlite_put_state(orr_sqlite *s, const orr_op *op);
orr_status orr_sqlite_state(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                            void *ud, orr_reason *reason);

/* ---- whether the file is whole (check.c) ----------------------------------------------------- */

/* The caller holds the commit lock. Notes that the file is to be checked where something crashed,
 * or it is not known of this file, in this boot of the machine, that it need not be. */
void orr_sqlite_note_crash(const orr_sqlite *s, const orr_connection *c, bool crashed);
/* The same: all owners with lower numbers have left, or were marked. 0: it is not known; the next
 * one is noted. So that opening does not look through all processes that ever were there. */
int64_t orr_sqlite_first_owner(const orr_sqlite *s, const orr_connection *c);
void orr_sqlite_note_owner(const orr_connection *c, int64_t first);
/* What is known of the file. The connection has had the commit lock. */
typedef enum { ORR_CHECK_WHOLE, ORR_CHECK_DUE, ORR_CHECK_DAMAGED } orr_check_kind;
orr_check_kind orr_sqlite_checked(const orr_sqlite *s, const orr_connection *c);
/* Checks in the background what is to be checked. Stopping waits for no more than one page. */
void orr_sqlite_check(orr_sqlite *s);
void orr_sqlite_stop_check(orr_sqlite *s);
/* The caller holds the commit lock. ORR_EIO with a reason where a check has found damage. */
orr_status orr_sqlite_sound(const orr_sqlite *s, orr_connection *c, orr_reason *reason);
/* At opening: what a check has found may have been mended since. ORR_EIO with a reason. */
orr_status orr_sqlite_recheck(orr_sqlite *s, orr_reason *reason);

/* ---- flushes that fail (mark.c) -------------------------------------------------------------- */

/* The caller holds the commit lock. Where a flush has failed, or a process died in one, mends the
 * log; what is committed next is flushed then. ORR_EIO with a reason where it cannot be mended now,
 * or at all. */
orr_status orr_sqlite_heed(const orr_sqlite *s, orr_connection *c, orr_reason *reason);
/* Says in the lock file that something is about to be flushed. */
void orr_sqlite_mark(const orr_connection *c);
/* Whether that is said now. */
bool orr_sqlite_is_marked(const orr_connection *c);
/* Takes that back, unless SQLite's result code says that it failed. */
void orr_sqlite_unmark(orr_connection *c, int rc);

/* Whether the next commit is the first of a new log. The caller holds the commit lock. */
bool orr_sqlite_begins_log(const orr_connection *c);

/* ---- reading a log (frames.c) ---------------------------------------------------------------- */

enum { ORR_LOG_HEADER = 32, ORR_FRAME_HEADER = 24 };

typedef struct orr_frames {
    /* given: SQLITE_IOERR_SHORT_READ past the end */
    int (*read)(void *ud, void *to, size_t n, int64_t at);
    void *ud;
    unsigned char *frame; /* the header and the page of the last one that was read; from libc's heap */
    size_t page;          /* bytes of a page */
    uint32_t n;           /* how many were read */
    uint32_t sum[2];
    uint8_t salt[8];
    bool big;
} orr_frames;

/* Reads the header; the next frame; frees what was taken. SQLite's result code, SQLITE_CORRUPT
 * where there is no log, or no frame of it any more. */
int orr_frames_begin(orr_frames *f);
int orr_frames_next(orr_frames *f);
void orr_frames_end(orr_frames *f);

uint32_t orr_big_endian(const unsigned char *p);

/* ---- the file and its log (pair.c) ----------------------------------------------------------- */

/* Says that this process has the store open, for as long as the descriptor is. ORR_EIO with a
 * reason while it is restored. */
orr_status orr_sqlite_use(orr_sqlite *s, orr_reason *reason);
/* Whether the log is of this file; before anything is read through it. ORR_EIO with a reason. */
orr_status orr_sqlite_check_pair(const orr_sqlite *s, orr_connection *c, orr_reason *reason);
/* Whether the file says that it has a log. */
bool orr_sqlite_has_log(const orr_connection *c);
/* Whether SQLite finds the file whole; reads all of it. */
bool orr_sqlite_is_whole(orr_connection *c);
/* Whether a file that was copied from that of a store can be used. ORR_EIO with a reason. */
orr_status orr_sqlite_check_copy(orr_sqlite *s, orr_connection *c, orr_reason *reason);
/* Has the store say that it is of this file, where it does not. ORR_EIO with a reason. */
orr_status orr_sqlite_tag(orr_sqlite *s, orr_reason *reason);
/* Within a transaction: gives a log that is begun its tag; has the store be of no file yet, as that
 * of a backup. SQLite's result code. */
int orr_sqlite_begin_log(const orr_sqlite *s, orr_connection *c);
int orr_sqlite_untag(orr_connection *c);
/* The caller holds the commit lock: notes how the file was left; whether it is as it was. ORR_EIO
 * with a reason. */
void orr_sqlite_stamp(const orr_connection *c);
orr_status orr_sqlite_unchanged(const orr_sqlite *s, orr_connection *c, orr_reason *reason);

/* ---- operations of the queue (handover.c, commit.c, projection.c, inbox.c, log.c); see queue.h */

bool orr_sqlite_start(orr_queue *q);
orr_status orr_sqlite_write(orr_queue *q, orr_batch *first, bool *recorded, orr_reason *reason);
orr_status orr_sqlite_project(orr_queue *q, orr_projecting *how, orr_reason *reason);
orr_status orr_sqlite_look(orr_queue *q, bool anyway, orr_queue_message visit, void *ud);
void orr_sqlite_rest(orr_queue *q, orr_queue_rest when);
bool orr_sqlite_listen(orr_queue *q, orr_bell *bell);

/* Puts a row that was queued. SQLite's result code. */
int orr_sqlite_put_row(orr_connection *c, const orr_op *op);
/* Whether commits of the connection are flushed by the next one that is, and not by themselves. */
void orr_sqlite_relax(sqlite3 *db, bool relaxed);

/* ---- the log (log.c) ------------------------------------------------------------------------- */

/* Has the writer's connection note how long the log is. */
void orr_sqlite_watch_log(orr_sqlite *s);
/* Makes room in the log for the commits to come. The caller holds the commit lock. */
void orr_sqlite_lengthen(orr_sqlite *s);
/* Writes the log back into the file as far as no reader is in the way; `all`: leaves it empty,
 * where there is none. */
void orr_sqlite_checkpoint(const orr_sqlite *s, orr_connection *c, bool all);
/* Cuts a log that grew because somebody read for long, or changed much without an owner being
 * there. */
void orr_sqlite_tidy(const orr_sqlite *s, orr_connection *c);

/* ---- many rows at once (rows.c) -------------------------------------------------------------- */

enum { ORR_SQLITE_ROW_COLUMNS = 17 };

typedef struct orr_sqlite_rows {
    orr_next_row next;
    void *ud;
    orr_field values[ORR_SQLITE_ROW_COLUMNS]; /* of the row at hand */
} orr_sqlite_rows;

/* Makes the table `orr_rows` known, with columns c1, c2, ... SQLite's result code. */
int orr_sqlite_rows_open(sqlite3 *db);
/* Runs a statement that inserts what it reads from orr_rows(?1). SQLite's result code, SQLITE_DONE
 * when done. */
int orr_sqlite_rows_insert(sqlite3_stmt *s, orr_sqlite_rows *rows);

/* ---- commits, journals and tables (merge.c, sink.c, projection.c) --------------------------- */

/* A sink that writes to the tables of a connection; from libc's heap, NULL when out of memory. */
orr_sink *orr_sqlite_sink_new(sqlite3 *db);
void orr_sqlite_sink_free(orr_sink *sink);
/* The status for what SQLite answered. */
orr_status orr_sqlite_status(int rc);

/* Moving is cheap beside projecting, and puts together what belongs to a run: the more at once, the
 * fewer rows are written twice. So much of it for each of what is projected. */
enum { ORR_SQLITE_MERGED = 64 };

/* ns: a run whose first record that is not in the journal is older than this is no longer left. */
enum { ORR_SQLITE_YOUNG = 60 * 1000 * 1000 };

typedef struct orr_merging {
    uint64_t cost; /* of what is moved at once */
    int64_t until; /* commits.id of the last one */
    int64_t now;   /* ns since the epoch: what is young is left where it is. 0: nothing is */
    bool more;     /* said: there may be others */
    int64_t left;  /* said: how old the oldest record of what was left is (ns), 0: nothing was */
} orr_merging;

/* Within a transaction: moves what was committed, or all of it, from `commits` to `journal`.
 * SQLite's result code. */
int orr_sqlite_merge(orr_connection *c, orr_merging *how);
int orr_sqlite_merge_all(orr_connection *c);
/* Within a transaction: brings the tables on by a slice. What fails must be rolled back, and *how
 * is as it was. */
orr_status orr_sqlite_update_tables(orr_connection *c, orr_projecting *how, orr_reason *reason);

/* ---- reading and changing (read.c, query.c, inbox.c, change.c, backup.c) --------------------- */

orr_status orr_sqlite_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                           void *ud, orr_reason *reason);
orr_status orr_sqlite_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                          orr_reason *reason);
orr_status orr_sqlite_query(orr_store *store, orr_query query, const orr_field *values,
                            const orr_store_reader *reader, orr_reason *reason);
orr_status orr_sqlite_snapshot(orr_store *store, bool begins, orr_reason *reason);
orr_status orr_sqlite_select(orr_store *store, const orr_statement *statement, const orr_store_reader *reader,
                             orr_reason *reason);
/* `id`: of the run, for the reason. The sequence number of the last record of a run's journal,
 * 0: it has none; and whether that ends the run. ORR_EIO for bytes that are none. */
orr_status orr_sqlite_last(orr_connection *c, int64_t number, const char *id, uint64_t *seq, bool *ended,
                           orr_reason *reason);
orr_status orr_sqlite_drop(orr_store *store, const uint8_t run[16]);
orr_status orr_sqlite_send(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                           const char *dedup, orr_reason *reason);
orr_status orr_sqlite_project_now(orr_store *store, orr_reason *reason);
/* Runs one statement once. SQLite's result code, SQLITE_OK when done. */
int orr_sqlite_run_once(orr_connection *c, const orr_statement *statement);
orr_status orr_sqlite_change(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                             orr_reason *reason);
orr_status orr_sqlite_execute(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                              orr_reason *reason);
/* Copies what the store is at one moment to the new file `part`, for its user alone, flushed. */
orr_status orr_sqlite_copy(const orr_sqlite *s, const char *part, orr_reason *reason);
/* Flushes the names in the folder of a file. */
void orr_sqlite_flush_names(const char *path);
orr_status orr_sqlite_backup(orr_store *store, const char *path, orr_reason *reason);

#endif
