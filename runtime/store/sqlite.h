/* sqlite.h - the parts of the store in SQLite; private to it.
 *
 * Two threads: the caller's, which fills batches (sqlite_queue.c), reads and does small changes of its own, and the writer's, which
 * commits batches, looks into the inbox and keeps the projections. Each has a connection; what they share is behind `mutex` or
 * atomic. Whoever writes to the file, of whatever process, holds the commit lock (sqlite_lock.c) while he does.
 */
#ifndef ORR_STORE_SQLITE_H
#define ORR_STORE_SQLITE_H

#include "impl.h"
#include "project.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { ORR_SQLITE_APPLICATION = 0x4f525259 }; /* "ORRY", in the header of the file */

enum {
    ORR_SQLITE_MESSAGE = 512,            /* bytes for a sentence */
    ORR_SQLITE_PATIENCE = 5000,          /* ms that SQLite waits for its own locks */
    ORR_SQLITE_WAL_PAGES = 1024,         /* beyond it (4 MiB) the log is written back and begun anew */
    ORR_SQLITE_WAL_LIMIT = 16 << 20,     /* bytes of a log that grew because of a reader, beyond which it is cut when there is time */
    ORR_SQLITE_QUEUE_LIMIT = 64 << 20,   /* bytes that may wait for the disk before a submit does */
    ORR_SQLITE_ROW_LIMIT = 16 << 20,     /* bytes of records in one row of the journal */
    ORR_SQLITE_COMMIT_LIMIT = 256 << 10, /* bytes of records in one commit from which they go into the journal at once */
    ORR_SQLITE_SLICE = 500,              /* cost (project.h) of what is worked into the tables in one go */
    ORR_SQLITE_RECORD_LIMIT = 512 << 20, /* bytes of one record */
    ORR_SQLITE_OWNER_BYTE = 1000         /* of the lock file: owner n locks byte 1000 + n */
};

/* ---- statements, prepared at first use and kept ------------------------------------------------------------------------ */

#define ORR_SQLS(X) \
    X(BEGIN, "BEGIN IMMEDIATE") \
    X(SNAPSHOT, "BEGIN") \
    X(COMMIT, "COMMIT") \
    X(ROLLBACK, "ROLLBACK") \
    X(OWNER_NEW, "INSERT INTO owners (pid, host, command, started) VALUES (?1, ?2, ?3, ?4)") \
    X(OWNER_FIT, "SELECT 1 FROM owners WHERE id = ?1 AND lost = 0 AND ended IS NULL") \
    X(OWNER_END, "UPDATE owners SET ended = ?2 WHERE id = ?1 AND ended IS NULL") \
    X(OWNER_LOSE, "UPDATE owners SET lost = 1 WHERE id = ?1") \
    X(OWNER_GET, "SELECT pid, host, started, lost, ended FROM owners WHERE id = ?1") \
    X(OWNERS_OPEN, "SELECT id FROM owners WHERE ended IS NULL AND lost = 0") \
    X(OWNER_NEXT, "SELECT o.pid, o.host FROM owners o WHERE o.id > ?1 AND o.lost = 0 AND o.ended IS NULL ORDER BY o.id LIMIT 1") \
    X(RUN_NEW, "INSERT INTO runs (id, workflow, bundle, key, parent, labels, context, durability, created, owner) " \
               "VALUES (?1, ?2, ?3, ?4, (SELECT number FROM runs WHERE id = ?5), ?6, ?7, ?8, ?9, ?10)") \
    X(RUN_GET, "SELECT number, owner FROM runs WHERE id = ?1") \
    X(RUN_KEYED, "SELECT id FROM runs WHERE workflow = ?1 AND key = ?2") \
    X(RUN_OWNER, "UPDATE runs SET owner = ?2 WHERE number = ?1") \
    X(RUN_FREE, "UPDATE runs SET owner = NULL WHERE number = ?1 AND owner = ?2") \
    X(WORKFLOW, "INSERT INTO workflows (name, first, last) VALUES (?1, ?2, ?2) " \
                "ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)") \
    X(JOURNAL_NEXT, "SELECT max(coalesce((SELECT max(id) FROM journal), 0), " \
                    "coalesce((SELECT value FROM meta WHERE name = 'projected'), 0)) + 1") \
    X(JOURNAL_ADD, "INSERT INTO journal (id, run, first, fence, records) VALUES (?1, ?2, ?3, ?4, ?5)") \
    X(JOURNAL_SETTLE, "INSERT OR IGNORE INTO journal (id, run, first, fence, records) SELECT ?1, ?2, ?3, ?4, ?5 " \
                      "WHERE ?2 = 0 OR EXISTS (SELECT 1 FROM runs WHERE number = ?2)") \
    X(COMMIT_ADD, "INSERT INTO commits (fence, records) VALUES (?1, ?2)") \
    X(COMMITS, "SELECT id, fence, records FROM commits WHERE id <= ?1 ORDER BY id") \
    X(COMMITS_LAST, "SELECT max(id) FROM commits") \
    X(COMMITS_GONE, "DELETE FROM commits WHERE id <= ?1") \
    X(BEHIND, "SELECT EXISTS (SELECT 1 FROM commits) OR " \
              "EXISTS (SELECT 1 FROM journal WHERE id > (SELECT value FROM meta WHERE name = 'projected'))") \
    X(JOURNAL_READ, "SELECT first, records FROM journal WHERE run = ?1 AND first >= coalesce((SELECT max(first) FROM journal " \
                    "WHERE run = ?1 AND first <= ?2), 0) ORDER BY first") \
    X(BUNDLE, "INSERT OR IGNORE INTO bundles (hash, workflow, definition, sources, arguments, engine, created) " \
              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)") \
    X(MODULE, "INSERT OR IGNORE INTO modules (bundle, name, path, source) VALUES (?1, ?2, ?3, ?4)") \
    X(BLOB, "INSERT OR IGNORE INTO blobs (hash, size, data) VALUES (?1, length(CAST(?2 AS BLOB)), ?2)") \
    X(CACHE, "INSERT OR REPLACE INTO cache (key, workflow, node, type, run, output, created, expires) " \
             "VALUES (?1, ?2, ?3, ?4, (SELECT number FROM runs WHERE id = ?5), ?6, ?7, ?8)") \
    X(LOG, "INSERT INTO logs (run, node, item, iteration, attempt, time, level, message, fields) " \
           "SELECT number, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM runs WHERE id = ?1") \
    X(WHY, "UPDATE nodes SET why = ?4 WHERE run = (SELECT number FROM runs WHERE id = ?1) AND node = ?2 AND item = coalesce(?3, 0) " \
           "AND (ended IS NULL OR json_extract(?4, '$.cache') IS NOT NULL)") /* what is said of a cache stays true */ \
    X(TAKEN, "UPDATE inbox SET taken = (julianday('now') - 2440587.5) * 86400.0 WHERE id = ?1") \
    X(TAKEN_GONE, "DELETE FROM inbox WHERE id = ?1 AND dedup IS NULL") \
    X(BUNDLE_GET, "SELECT hash, workflow, definition, sources, arguments, engine, created FROM bundles WHERE hash = ?1") \
    X(MODULE_GET, "SELECT bundle, name, path, source FROM modules WHERE bundle = ?1 ORDER BY name") \
    X(BLOB_GET, "SELECT hash, data FROM blobs WHERE hash = ?1") \
    X(CACHE_GET, "SELECT key, workflow, node, type, (SELECT id FROM runs WHERE number = run), output, created, expires FROM cache " \
                 "WHERE key = ?1") \
    X(INBOX_ADD, "INSERT OR IGNORE INTO inbox (run, name, text, dedup, time) VALUES (?1, ?2, ?3, ?4, ?5)") \
    X(INBOX_SENT, "SELECT 1 FROM inbox WHERE run = ?1 AND dedup = ?2") \
    X(INBOX_MINE, "SELECT i.id, r.number, r.id, i.name, i.text FROM inbox i JOIN runs r ON r.number = i.run " \
                  "WHERE i.taken IS NULL AND r.owner = ?1 ORDER BY i.id") \
    X(DATA_VERSION, "PRAGMA data_version")

#define ORR_ENUM_SQL(id, text) ORR_SQL_##id,
typedef enum { ORR_SQLS(ORR_ENUM_SQL) ORR_SQL_COUNT } orr_sql;
#undef ORR_ENUM_SQL

/* A connection with its prepared statements and its own door to the commit lock. Used by one thread. */
typedef struct orr_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[ORR_SQL_COUNT];
    orr_projector *projector;
    int lock;         /* descriptor of the lock file, -1: not open yet */
    int64_t patience; /* how long it waits for the commit lock (ns), 0: 10 s */
} orr_connection;

/* Runs a statement that gives no rows with values for ?1, ?2, ... SQLite's result code, SQLITE_OK when done. */
int orr_sql_run(orr_connection *c, orr_sql sql, const orr_value *values, size_t n);
/* The statement with values bound, or NULL (sqlite3_errcode says why). Step it, then sqlite3_reset. */
sqlite3_stmt *orr_sql_start(orr_connection *c, orr_sql sql, const orr_value *values, size_t n);
/* The first column of the only row in *number; SQLITE_DONE when there is no row, SQLITE_OK. */
int orr_sql_number(orr_connection *c, orr_sql sql, const orr_value *values, size_t n, int64_t *number);
int orr_sql_bind(sqlite3_stmt *s, const orr_value *values, size_t n);
orr_value orr_sql_column(sqlite3_stmt *s, int column);
/* The text of a value that is a text and followed by a NUL; "" for others. */
const char *orr_sql_text(sqlite3_stmt *s, int column);

static inline orr_value orr_value_integer(int64_t n)
{
    return (orr_value){.type = ORR_VALUE_INTEGER, .integer = n};
}

static inline orr_value orr_value_real(double n)
{
    return (orr_value){.type = ORR_VALUE_REAL, .real = n};
}

orr_value orr_value_text(const char *text); /* NULL gives NULL */

/* ---- the store ---------------------------------------------------------------------------------------------------------- */

/* What has been queued is bytes in a batch: an op, then the bytes of the record or the values of the row. */
typedef enum { ORR_OP_RECORD, ORR_OP_CREATE, ORR_OP_RELEASE, ORR_OP_ROW } orr_op_kind;

typedef struct orr_sqlite_journal orr_sqlite_journal;

typedef struct orr_op {
    orr_op_kind kind;
    uint32_t detail; /* ROW: its kind. RELEASE: done */
    size_t size;     /* of what follows */
    orr_sqlite_journal *journal;
    struct orr_op *next; /* RECORD: the next one of its journal in this commit */
    uint64_t seq;
} orr_op;

typedef struct orr_batch {
    struct orr_batch *next;
    unsigned char *bytes; /* from the caller's allocator, grown and freed on his thread only */
    size_t used, capacity;
    uint64_t ticket; /* durable with it */
} orr_batch;

struct orr_sqlite_journal {
    orr_journal base;
    bool kept;     /* the run has a row in the file; false: durability none */
    bool released; /* the handle is gone; what remains goes when it is durable */
    uint64_t ticket; /* of the release */
    orr_sqlite_journal *leaving; /* released before it */
    /* the writer's */
    int64_t number;  /* runs.number */
    bool refused;    /* its key was taken */
    orr_op *first, **end;           /* its records in this commit */
    orr_sqlite_journal *next_group; /* the next journal with records in this commit */
    uint64_t commit;                /* the commit that first and end belong to */
};

/* What only the writer's thread uses. */
typedef struct orr_sqlite_writer {
    orr_connection connection;
    orr_batch *taken, **taken_end; /* what is being committed, again and again until it works */
    uint64_t commits;              /* tried so far */
    orr_sqlite_journal *groups, **groups_end; /* journals with records in this commit */
    unsigned char *scratch;        /* records of one journal, one after another */
    size_t scratch_used, scratch_capacity;
    unsigned char *whys;           /* ops of rows that wait for the projection, as in a batch */
    size_t whys_used, whys_capacity;
    orr_notes pending;             /* notices that hold once the commit does */
    const char *workflow;          /* the last one that this commit has brought up to date */
    int64_t data_version;
    struct orr_seen *seen; /* messages that were told of and not taken, by id */
    size_t n_seen;
    bool failing;
    int64_t retry;       /* when to try again, while failing */
    int64_t last_commit; /* when the last commit ended */
    uint64_t recorded;   /* commits that had records */
    int frames, checkpoint_at; /* pages in the log after the last commit, and how many call for a checkpoint */
    int64_t log_size;    /* of the file of the log at least, as far as it is known; INT64_MAX: it is to stay as it is */
    uint64_t crash_at;   /* for tests: the commit at which the process kills itself, 0: none */
    bool crash_after;    /* right after it, not right before */
    char message[ORR_SQLITE_MESSAGE];
} orr_sqlite_writer;

typedef struct orr_sqlite {
    orr_store base;
    char *path, *lock_path, *wal_path; /* from libc's heap, absolute */
    struct stat file, log, sidecar; /* what they were when the store was opened; the last two only for an owner */
    orr_store_mode mode;
    orr_connection mine;        /* the caller's thread's */

    /* the caller's thread */
    orr_journals journals;      /* with a handle */
    orr_sqlite_journal *leaving;
    orr_batch *filling, *spare;
    uint64_t submitted;         /* last ticket handed over */

    /* the owner: its row, and the lock that tells that we live. Set under the commit lock and the mutex, once */
    _Atomic int64_t owner;
    int owner_lock;

    _Atomic uint64_t durable;
    _Atomic bool lost, failing;
    _Atomic uint64_t live;       /* journals with a handle: while there is one, the inbox is looked into */
    _Atomic int64_t claimed;     /* when a run was taken over last (ns) */
    _Atomic int64_t unprojected; /* when the oldest journal row that no table shows yet was committed (ns), 0: none */

    pthread_mutex_t mutex;
    pthread_cond_t work, done;  /* the writer waits for work, the caller for done */
    bool started, stopping;
    orr_batch *queue, **queue_end, *back; /* to commit; committed, for the caller to fill again */
    size_t queued;              /* bytes in the queue and under way */
    int64_t due;                /* when the queue is to be committed, INT64_MAX: it is empty */
    bool look;                  /* the inbox is to be read now */
    bool project;               /* the caller wants the tables up to date */
    int64_t *forget;            /* numbers of runs whose messages are to come again; room for one more is kept */
    size_t n_forget, forget_capacity;
    orr_notes notes;

    /* the writer's thread */
    pthread_t thread;
    orr_sqlite_writer writer;
} orr_sqlite;

int64_t orr_sqlite_now(void);      /* monotonic, ns */
double orr_sqlite_wall(void);      /* seconds since the epoch */
extern const orr_alloc orr_sqlite_heap; /* for blocks that change threads */

/* ---- connections (sqlite_open.c, sqlite_sql.c) --------------------------------------------------------------------------- */

/* Opens the file with our settings. ORR_EIO with a message. */
orr_status orr_sqlite_connect(const orr_sqlite *s, orr_connection *c, int flags, int cache_kib, char *message, size_t size);
void orr_sqlite_disconnect(orr_connection *c);

/* "the store 'PATH' cannot <do what>: <reason>: <remedy>", and the status that says the same. */
orr_status orr_sqlite_explain(sqlite3 *db, int code, const char *what, char *message, size_t size);

/* Why a store on such a file system (statfs f_type) is refused: its name, or NULL for one that keeps locks and maps. */
const char *orr_sqlite_network(uint64_t type);

/* ---- the schema (sqlite_schema.c) ------------------------------------------------------------------------------------------ */

/* Whether the tables are there and those of this version; ORR_EINVAL with a message for a newer version, or another program's file. */
orr_status orr_sqlite_version(sqlite3 *db, bool *current, char *message, size_t size);
/* Brings the tables to this version, in one transaction. The caller holds the commit lock. */
orr_status orr_sqlite_migrate(sqlite3 *db, char *message, size_t size);

/* ---- locks and owners (sqlite_lock.c, sqlite_owner.c) ------------------------------------------------------------------------ */

/* Takes the commit lock, waiting as long as the connection has patience. ORR_EIO with a message that says who holds it. */
orr_status orr_sqlite_lock(const orr_sqlite *s, orr_connection *c, char *message, size_t size);
void orr_sqlite_unlock(orr_connection *c);

/* Whether the files are still those that were opened; ORR_EIO with a message. */
orr_status orr_sqlite_present(const orr_sqlite *s, char *message, size_t size);

/* Lock, BEGIN, and the other way round. Where `status` is not ORR_OK, or the commit fails, everything is rolled back. */
orr_status orr_sqlite_begin(const orr_sqlite *s, orr_connection *c, char *message, size_t size);
orr_status orr_sqlite_end(orr_connection *c, orr_status status, char *message, size_t size);

/* Within a transaction: this process's row in owners, made where there is none yet, and that it has not been taken over.
 * ORR_ESTATE where it was. orr_sqlite_disown gives a row that was not committed up again. */
orr_status orr_sqlite_own(orr_sqlite *s, orr_connection *c, bool *made, char *message, size_t size);
void orr_sqlite_disown(orr_sqlite *s);
/* Whether the process of that row is alive, by its lock. */
bool orr_sqlite_alive(orr_connection *c, int64_t owner);
/* At opening: owners that died. Where there are any, the file is checked, they are marked, and the tables brought up to date. */
orr_status orr_sqlite_bury(orr_sqlite *s, char *message, size_t size);
orr_journal *orr_sqlite_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status, char *message, size_t size);

/* ---- the queue (sqlite_queue.c) ------------------------------------------------------------------------------------------- */

orr_journal *orr_sqlite_create(orr_store *store, const orr_new_run *run);
orr_status orr_sqlite_append(orr_journal *journal, const void *bytes, size_t size);
void orr_sqlite_release(orr_journal *journal, bool done);
orr_status orr_sqlite_put(orr_store *store, orr_row_kind kind, const orr_value *values, size_t n);
uint64_t orr_sqlite_durable(const orr_store *store);
void orr_sqlite_submit(orr_store *store, bool soon);
orr_status orr_sqlite_sync(orr_store *store);
bool orr_sqlite_notice(orr_store *store, orr_notice *notice);
/* A handle, in the table of handles; NULL when out of memory. orr_sqlite_unhandle frees one that nothing was queued for. */
orr_sqlite_journal *orr_sqlite_handle(orr_sqlite *s, const uint8_t run[16]);
void orr_sqlite_unhandle(orr_sqlite *s, orr_sqlite_journal *journal);
/* A run was claimed: what is in its inbox is to be told of, even where it was told before. */
void orr_sqlite_expect(orr_sqlite *s, int64_t number, const uint8_t run[16]);
void orr_sqlite_free_queue(orr_sqlite *s);

/* ---- the writer (sqlite_writer.c, sqlite_commit.c, sqlite_inbox.c) ------------------------------------------------------------ */

/* Starts the writer where it does not run; called with the mutex held. False when there is no thread to be had. */
bool orr_sqlite_start(orr_sqlite *s);
/* Lets it finish and waits for it. */
void orr_sqlite_stop(orr_sqlite *s);

/* Whether commits of the connection are flushed by the next one that is, and not by themselves. */
void orr_sqlite_relax(sqlite3 *db, bool relaxed);

/* Commits the batches that were taken as one transaction. */
orr_status orr_sqlite_commit(orr_sqlite *s, char *message, size_t size);
/* orr_sqlite_bring in a transaction of the writer's. */
orr_status orr_sqlite_follow(orr_sqlite *s, uint64_t cost, int64_t *until, bool *more, char *message, size_t size);
/* Reads the inbox where somebody else has written, and adds notices. True when there is any. */
bool orr_sqlite_look(orr_sqlite *s, bool anyway);
/* ---- the log (sqlite_log.c) ---------------------------------------------------------------------------------------------------- */

/* Makes room in the log for the commits to come. The caller holds the commit lock. */
void orr_sqlite_lengthen(orr_sqlite *s);
/* Writes the log back into the file as far as no reader is in the way; `all`: leaves it empty, where there is none. */
void orr_sqlite_checkpoint(const orr_sqlite *s, orr_connection *c, bool all);
/* Cuts a log that grew because somebody read for long, or changed much without an owner being there. */
void orr_sqlite_tidy(const orr_sqlite *s, orr_connection *c);

/* ---- commits and journals (sqlite_settle.c) ---------------------------------------------------------------------------------------- */

/* What a commit has of one run. */
typedef struct orr_group {
    int64_t run;    /* runs.number */
    uint64_t first; /* sequence number of its first record */
    const unsigned char *bytes; /* its records, each as its size (LEB128) and its bytes */
    size_t size;
} orr_group;

/* The next group of a commit; false where the bytes are none. */
bool orr_sqlite_group(const unsigned char **at, const unsigned char *end, orr_group *group);
/* Within a transaction: moves what costs so much of the commits up to number `until`, or all of them, from `commits` to `journal`. *more:
 * there may be others. SQLite's result code. */
int orr_sqlite_settle(orr_connection *c, uint64_t cost, int64_t until, bool *more);
int orr_sqlite_settle_all(orr_connection *c);
/* Within a transaction: brings the tables on by what costs so much, towards what had been committed when *until was -1. *more: it is not
 * there yet, and *until says how far to go; else *until is -1 again. */
orr_status orr_sqlite_bring(orr_connection *c, uint64_t cost, int64_t *until, bool *more, char *message, size_t size);

/* ---- reading and changing (sqlite_read.c, sqlite_change.c) ---------------------------------------------------------------------- */

orr_status orr_sqlite_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud);
orr_status orr_sqlite_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud);
orr_status orr_sqlite_query(orr_store *store, const char *sql, const orr_value *parameters, size_t n,
                            void (*names)(void *ud, const char *const *columns, size_t n), orr_store_row visit, void *ud,
                            char *message, size_t size);
/* The sequence number of the last record of a run's journal, 0: it has none; and whether that ends the run. ORR_EIO for bytes that are none. */
orr_status orr_sqlite_last(orr_connection *c, int64_t number, uint64_t *seq, bool *ended);
orr_status orr_sqlite_drop(orr_store *store, const uint8_t run[16]);
orr_status orr_sqlite_send(orr_store *store, const uint8_t run[16], const char *name, const char *text, const char *dedup,
                           char *message, size_t size);
orr_status orr_sqlite_project_now(orr_store *store, char *message, size_t size);
orr_status orr_sqlite_change(orr_store *store, const orr_change *changes, size_t n, int64_t *changed, char *message, size_t size);
orr_status orr_sqlite_backup(orr_store *store, const char *path, char *message, size_t size);

#endif
