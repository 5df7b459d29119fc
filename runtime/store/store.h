/* store.h - where journals live: one interface, several implementations.
 *
 * A journal is an append-only list of records (record/record.h), one list a run. The core makes the
 * records; whoever drives it appends them here and holds back what depends on a record until the
 * store says that it is durable.
 *
 * Appending and putting only queue. orr_store_submit hands over what was queued since the last one
 * as a whole: it is committed in one transaction, together with what other submits left meanwhile,
 * and in order. Each thing that is queued has a ticket, a number that only grows; orr_store_durable
 * is the ticket up to which everything will survive what the store is to survive. So whoever must
 * wait for a record keeps the ticket that was the last when the record had been queued.
 *
 * A store is used from one thread. A durable store has a thread of its own, which says by `wake`
 * that there is news. The memory store is durable at once and as long as the process.
 *
 * Used by whoever keeps or reads runs. backend.h is for who implements a store. Uses port, core,
 * record.
 */
#ifndef ORR_STORE_H
#define ORR_STORE_H

#include "core/core.h"
#include "orrery.h"
#include "store/catalogue.h"

typedef struct orr_store orr_store;
typedef struct orr_journal orr_journal; /* the journal of one run that this process owns */

/* ---- values ---------------------------------------------------------------------------------- */

typedef enum {
    ORR_FIELD_NULL,
    ORR_FIELD_INTEGER,
    ORR_FIELD_REAL,
    ORR_FIELD_TEXT,
    ORR_FIELD_BLOB
} orr_field_type;

typedef struct orr_field {
    orr_field_type type;
    int64_t integer;
    double real;
    const void *bytes; /* text or blob; a text may hold any byte */
    size_t size;
} orr_field;

static inline orr_field orr_field_integer(int64_t n) {
    return (orr_field){.type = ORR_FIELD_INTEGER, .integer = n};
}

static inline orr_field orr_field_real(double n) {
    return (orr_field){.type = ORR_FIELD_REAL, .real = n};
}

/* NULL gives NULL. The text is not copied. */
orr_field orr_field_text(const char *text);

/* ---- opening --------------------------------------------------------------------------------- */

typedef enum {
    /* to read, send and maintain; owns no run and starts no thread. The store must exist */
    ORR_STORE_LOOK,
    ORR_STORE_OWN /* to keep runs; made where it is missing */
} orr_store_mode;

/* What a store does, for who looks at it. */
typedef enum {
    ORR_REPORT_COMMIT, /* a transaction was written, or was not */
    ORR_REPORT_CLAIM,  /* a run was taken over, or was not */
    ORR_REPORT_SENT,   /* a message was left for a run, or was not */
    ORR_REPORT_COME,   /* a message has come for a run of this process */
    ORR_REPORT_TAKEN   /* a message is taken out with the next commit */
} orr_report_kind;

typedef struct orr_report {
    orr_report_kind kind;
    orr_status status;
    const char *reason; /* why it did not succeed; else "" */
    const uint8_t *run; /* its 16 bytes. COMMIT: the one run that it is of, NULL for none or several */
    int64_t took;       /* COMMIT, CLAIM and SENT: how long it lasted (ns) */
    const char *name;   /* SENT and COME: what the message is called */
    int64_t message;    /* COME and TAKEN: its number */
    bool force;         /* CLAIM: also from a process that lives */
    uint64_t ticket;    /* COMMIT: durable up to here with it */
    size_t bytes;       /* COMMIT: of the records and rows */
    uint32_t submits;   /* COMMIT: how many are written as one */
    uint32_t records, created, released, rows; /* COMMIT */
} orr_report;

/* `report` and what it points to are valid during the call. On any thread, two at a time; must not
 * use the store. */
typedef void orr_store_trace(void *ud, const orr_report *report);

typedef struct orr_store_options {
    orr_alloc alloc; /* used on the caller's thread only */
    orr_store_mode mode;
    bool wants_work; /* ORR_NOTICE_WORK is given to who takes over runs that others left */
    /* durable went up, an answer is there, or there is a notice. Called on any thread; NULL:
     * nobody wants to know */
    void (*wake)(void *ud);
    void *ud;
    orr_store_trace *trace; /* what it does is reported to it; NULL: to nobody, and nothing is counted */
    void *trace_ud;
} orr_store_options;

/* A store that keeps journals in memory. NULL when out of memory. */
orr_store *orr_store_memory(const orr_store_options *options);

/* Opens a store of a scheme: `rest` is what stands behind the scheme in `url`, or all of it. NULL
 * with the reason. */
typedef orr_store *orr_store_opener(const char *url, const char *rest, const orr_store_options *options,
                                    orr_reason *reason);

/* Has orr_store_open know a scheme: lower case letters and +, two at least, without the colon. The
 * text is not copied. A path alone is of the scheme that was registered first. On any thread; a
 * scheme that is registered again is opened by the newer opener. False where there is no room for
 * one more. */
bool orr_store_register(const char *scheme, orr_store_opener *open);

/* Opens the store of a URL: "memory:", a scheme that was registered ("sqlite:PATH"), or a path.
 * NULL, with the reason as one sentence with its remedy in `reason`, where that is not possible. */
orr_store *orr_store_open(const char *url, const orr_store_options *options, orr_reason *reason);

/* Closes the store; NULL is allowed. What was submitted is made durable first, unless the store
 * has failed. Its journals must have been released. */
void orr_store_close(orr_store *store);

/* "memory", or the scheme of what keeps it. */
const char *orr_store_kind(const orr_store *store);

/* ---- journals -------------------------------------------------------------------------------- */

/* What is known of a run before its first record. Texts are copied; NULL where there is none. */
typedef struct orr_new_run {
    uint8_t id[16];
    const char *workflow;
    const char *bundle;    /* hash of its bundle, put before or with it; NULL: it cannot be resumed */
    const char *key;       /* idempotency key, unique within the workflow */
    const uint8_t *parent; /* id of the run that called it */
    const char *labels;    /* JSON object */
    const char *context;   /* JSON */
    /* value of its lock: of the runs of its workflow with the same value one goes on at a time.
     * NULL: it has none. It is in line from its creation on; see orr_store_lock */
    const char *lock;
    bool lock_refuses; /* it is not created where another run has its lock */
    orr_durability durability;
    int64_t created; /* ns */
} orr_new_run;

/* Begins the journal of a new run. Where its key is taken by another run, or its lock and it does
 * not wait for it, it is refused when it is committed: nothing of it is kept, and a notice says so.
 * NULL when out of memory. */
orr_journal *orr_store_create(orr_store *store, const orr_new_run *run);

/* Takes over the journal of a run whose owner is gone, or which has none because it ended: waits
 * for the disk. `force` takes it from a process that lives, which then can write nothing to this
 * store any more. NULL with *status ORR_ENOTFOUND, ORR_ESTATE (a live process owns it, `reason`
 * says which), ORR_ENOMEM or ORR_EIO. */
orr_journal *orr_store_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                             orr_reason *reason);

/* Appends a record; `seq` is one more than that of the record before, from 1. The bytes are
 * copied. ORR_EINVAL when the sequence has a gap or goes back; ORR_ENOMEM: nothing was appended,
 * and the same call may be repeated. */
orr_status orr_store_append(orr_journal *journal, uint64_t seq, const void *bytes, size_t size);

/* Lets go of the handle; what was appended stays. `done`: nothing will follow, so this process
 * owns the run no longer. */
void orr_store_release(orr_journal *journal, bool done);

/* One record as it is read: `bytes` are those that were appended, valid during the call. False
 * ends the reading. */
typedef bool (*orr_store_visit)(void *ud, uint64_t seq, const void *bytes, size_t size);

/* Visits the durable records after sequence number `after`, in order. ORR_ENOTFOUND when there
 * is no such run; ORR_EIO when it cannot be read, or is damaged: then the reason says where, and
 * what was visited before was whole. The visitor must not use the store. */
orr_status orr_store_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                          void *ud, orr_reason *reason);

/* Forgets a run and all that belongs to it. ORR_ENOTFOUND; ORR_ESTATE while a process owns it. */
orr_status orr_store_drop(orr_store *store, const uint8_t run[16]);

/* ---- what is kept beside them ---------------------------------------------------------------- */

/* kind, the values it takes in their order. A row of a kind with a key replaces one that is
 * there, but for bundles, modules and blobs, which are named by their content. Times are seconds
 * since the epoch. */
#define ORR_ROWS(X)                                                                                          \
    X(BUNDLE, "hash, workflow, definition, sources, arguments, engine, created")                             \
    X(MODULE, "bundle, name, path, source")                                                                  \
    X(BLOB, "hash, data")                                                                                    \
    X(CACHE, "key, workflow, node, type, run, output, created, expires")                                     \
    X(LOG, "run, node, item, iteration, attempt, time, level, message, fields")                              \
    X(PUBLISHED, "run, name, value, node, item, attempt, time")                                              \
    X(WHY, "run, node, item, why")                                                                           \
    X(WORKERS, "pool, figures")                                                                              \
    X(TAKEN, "message")                                                                                      \
    X(LOCK, "run, workflow, value")                                                                          \
    X(UNLOCK, "run")                                                                                         \
    X(STATE, "workflow, key, value, version, run, node, written, expires, expected, token")

#define ORR_ENUM_ROW(id, columns) ORR_ROW_##id,
typedef enum { ORR_ROWS(ORR_ENUM_ROW) ORR_ROW_COUNT } orr_row_kind;
#undef ORR_ENUM_ROW

/* Queues a row; the values are copied. `run` is a run's 16 bytes as a blob. TAKEN takes a
 * message out of the inbox in the same transaction as the records that were queued with it; LOCK
 * puts a run that has no lock in line for one, as its creation does, and UNLOCK takes it away.
 * WORKERS says what the workers of this process have done: `pool` tells its pools of workers apart,
 * `figures` is JSON. ORR_ENOMEM. */
orr_status orr_store_put(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n);

typedef bool (*orr_store_row)(void *ud, const orr_field *values, size_t n);

/* Visits the row of that key: BUNDLE and BLOB by hash, CACHE by key; and all MODULEs of a
 * bundle. The values are those of ORR_ROWS. ORR_ENOTFOUND; ORR_EIO, also for a row that is damaged,
 * which is not visited. What was put but is not durable yet may be missing. */
orr_status orr_store_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                         orr_reason *reason);

/* ---- state between runs ---------------------------------------------------------------------- */

/* Values that outlive runs, by workflow ("": shared by all) and key. What is kept of one, and then
 * what a write says beside it. */
typedef enum {
    ORR_STATE_WORKFLOW,
    ORR_STATE_KEY,
    ORR_STATE_VALUE,   /* JSON; NULL in a write removes it */
    ORR_STATE_VERSION, /* a text that no other write has */
    ORR_STATE_RUN,     /* the run and the node that wrote it; of what is read, the id as text */
    ORR_STATE_NODE,
    ORR_STATE_WRITTEN, /* seconds since the epoch */
    ORR_STATE_EXPIRES, /* from then on there is none, which who reads looks after; NULL: never */
    ORR_STATE_KEPT,
    /* the version that must be there when it is committed; "": there must be none; NULL: any */
    ORR_STATE_EXPECTED = ORR_STATE_KEPT,
    ORR_STATE_TOKEN, /* the `message` of the notice that says how it ended */
    ORR_STATE_COLUMNS
} orr_state_column;

typedef struct orr_bytes {
    const void *bytes;
    size_t size;
} orr_bytes;

/* Queues a write, a row STATE, together with the record that says how it ends. Whether the expected
 * version is there is decided when they are committed, in that transaction: the record is `made`
 * where the write is, and `refused` where it is not. So whoever reads the journal learns of the
 * write what became of it, whenever a process dies. Else as orr_store_append; a STATE that is put
 * by itself has no record. In both cases a notice says what was decided. ORR_ESTATE: the store
 * keeps no state. */
orr_status orr_store_append_state(orr_journal *journal, uint64_t seq, const orr_field *write, orr_bytes made,
                                  orr_bytes refused);

/* Visits the value of that key, the first ORR_STATE_KEPT columns of it. What was put but is not
 * durable yet may be missing. ORR_ENOTFOUND; ORR_EIO, also for a row that is damaged; ORR_ESTATE:
 * the store keeps no state. */
orr_status orr_store_state(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                           void *ud, orr_reason *reason);

/* ---- commits --------------------------------------------------------------------------------- */

/* The ticket of what was queued last. */
uint64_t orr_store_ticket(const orr_store *store);
/* The ticket up to which all is durable. */
uint64_t orr_store_durable(const orr_store *store);
/* Hands over what was queued. `urgent`: somebody waits for it; otherwise it is committed within 50
 * ms. */
void orr_store_submit(orr_store *store, bool urgent);
/* Waits until everything that was submitted is durable. ORR_EIO when the store has failed. */
orr_status orr_store_sync(orr_store *store);

/* ---- news ------------------------------------------------------------------------------------ */

typedef enum {
    /* something for a run that this process owns: `run`, `message` (for TAKEN), `name` (signal,
     * cancel, pause, resume, ...), `text` (JSON). It comes again after a restart until it is
     * taken */
    ORR_NOTICE_MESSAGE,
    ORR_NOTICE_REFUSED, /* `run` was not created: its key belongs to the run whose id is `text` */
    ORR_NOTICE_FAILED,  /* commits fail for the reason in `text`; they are tried again */
    ORR_NOTICE_WORKS,   /* they work again */
    /* another process took this one's runs: it can write nothing any more; `text` says who */
    ORR_NOTICE_LOST,
    ORR_NOTICE_BROKEN,  /* the store is damaged or gone, as `text` says: nothing more is written to it */
    ORR_NOTICE_DAMAGED, /* a message for `run` is damaged, as `text` says: it is not given */
    /* work has come: a message for `run`, which nobody owns. Who claims the run is given the
     * message. Only where the options of the store want it */
    ORR_NOTICE_WORK,
    /* `run` was not created: the run whose id is `text` has its lock, or is before it in line */
    ORR_NOTICE_CONFLICT,
    /* a lock may be free, or who had one may be gone: those that wait ask (orr_store_lock). Comes
     * also once a second, while orr_store_await says that somebody waits */
    ORR_NOTICE_LOCKS,
    /* the write of state whose token is `message` is committed: it was made where there is a
     * `name`; where there is none, another version was there than it expected */
    ORR_NOTICE_STATE
} orr_notice_kind;

typedef struct orr_notice {
    orr_notice_kind kind;
    uint8_t run[16];
    int64_t message;
    const char *name, *text; /* valid until the next call */
} orr_notice;

/* The next notice; false when there is none. */
bool orr_store_notice(orr_store *store, orr_notice *notice);

/* Leaves a message for a run in its inbox and waits until that is durable. `dedup` (or NULL)
 * makes a second one with the same text a success without effect. ORR_ENOTFOUND; ORR_ESTATE for
 * a run that has ended; ORR_EIO. */
orr_status orr_store_send(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                          const char *dedup, orr_reason *reason);

/* ---- without waiting ------------------------------------------------------------------------- */

/* Claiming, reading and sending may take a way over a network, for which no loop is to stand
 * still. So each may be asked for, too, and answered later: when `wake` says that there is news,
 * orr_store_answers calls back. A store that need not wait, as that in memory and that in
 * SQLite, answers at once. */
typedef enum { ORR_REQUEST_CLAIM, ORR_REQUEST_READ, ORR_REQUEST_SEND } orr_store_request_kind;

/* What the function of that name would return. `journal`: of a claim, NULL where it was refused.
 * Valid during the call. */
typedef struct orr_store_answer {
    orr_status status;
    orr_journal *journal;
    const orr_reason *reason;
} orr_store_answer;

/* What is asked for, with the arguments of orr_store_claim, orr_store_read or orr_store_send;
 * those of the other kinds are left out. `done` is called once, on the thread of the store, and
 * may use it; `visit` is called before it. */
typedef struct orr_store_request {
    orr_store_request_kind kind;
    uint8_t run[16];
    bool force;                      /* CLAIM */
    uint64_t after;                  /* READ */
    orr_store_visit visit;           /* READ; must not use the store */
    const char *name, *text, *dedup; /* SEND; copied */
    void (*done)(void *ud, const orr_store_answer *answer);
    void *ud; /* of `done` and `visit` */
} orr_store_request;

/* Asks; `done` may be called before this returns. ORR_ENOMEM: nothing was asked, and `done` is not
 * called. */
orr_status orr_store_ask(orr_store *store, const orr_store_request *request);

/* Calls back for what has been answered. True when there was anything. A store that is closed
 * answers what is still open with ORR_EIO. */
bool orr_store_answers(orr_store *store);

/* ---- owners ---------------------------------------------------------------------------------- */

typedef enum {
    ORR_OWNER_GONE,
    ORR_OWNER_LIVES,
    ORR_OWNER_SELF /* it lives, and is this store's own */
} orr_owner_state;

/* Whether an owner of runs lives, by its number in the store. ORR_ENOTFOUND where there is no such
 * owner, ORR_EIO. */
orr_status orr_store_owner(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason);

/* Whether this store's owner may not go on with its runs, as far as can be seen without waiting:
 * *why is what a notice says later, ORR_NOTICE_LOST or ORR_NOTICE_BROKEN. */
bool orr_store_displaced(const orr_store *store, orr_notice_kind *why);
/* What a store that commits by itself has done, as its writer says now. */
typedef struct orr_store_figures {
    uint64_t commits;   /* those that had records */
    int64_t late_since; /* orr_port_now when the oldest record came that no table shows yet; 0: none */
    bool failing;       /* commits do not work at the moment, and are tried again */
} orr_store_figures;
/* False where the store does not commit by itself. */
bool orr_store_read_figures(const orr_store *store, orr_store_figures *figures);
/* Whether it certainly has its runs at this moment: nobody has displaced its owner, whose lock is
 * where others look for it. For what acts before its record is durable: a commit would find out
 * later. False where the store cannot tell. */
bool orr_store_owns(const orr_store *store);

/* For who takes the run by force: where its process was stopped while it had the store locked, that
 * process is displaced, and woken so that it lets go. Waits up to five seconds. ORR_OK also where
 * nothing of the kind is in the way; ORR_ENOTFOUND, ORR_EIO. */
orr_status orr_store_unblock(orr_store *store, const uint8_t run[16], orr_reason *reason);

/* ---- locks of runs --------------------------------------------------------------------------- */

/* A lock is (workflow, value). The oldest run that has taken it and not ended has it, whether a
 * process runs it or not; then those wait in the order in which they came into line. One that no
 * living process runs, and that has not had its turn, keeps nobody waiting. */

typedef struct orr_lock_answer {
    bool held; /* the run that asked has its lock, from now on or from before */
    /* otherwise who is in its way: has the lock, or is only before it in line */
    bool has_it;
    uint8_t run[16];
    orr_owner_state owner; /* of that run */
} orr_lock_answer;

/* Asks for the lock that the run of the journal is in line for, `value` of its workflow; takes it
 * where it is its turn. What put it in line must be durable. ORR_ESTATE: the store has no locks;
 * ORR_EIO. */
orr_status orr_store_lock(orr_journal *journal, const char *workflow, const char *value,
                          orr_lock_answer *answer, orr_reason *reason);

/* How many runs of this process wait for a lock now. */
void orr_store_await(orr_store *store, uint32_t n);

/* ---- history --------------------------------------------------------------------------------- */

/* Brings the tables that people query up to date with the journal, now. Waits, but for others
 * that write not longer than half a second: then ORR_EIO, and the tables are what they are. */
orr_status orr_store_project(orr_store *store, orr_reason *reason);

/* Who is given rows. Neither function may use the store. */
typedef struct orr_store_reader {
    /* called once before the first row, with the names of the columns; NULL: they are known */
    void (*names)(void *ud, const char *const *columns, size_t n);
    orr_store_row row;
    void *ud;
} orr_store_reader;

/* From now on until the call with `begins` false all that is read is of one moment. Meanwhile
 * nothing may be changed, and it is not begun a second time. ORR_OK also where the store cannot;
 * ORR_EIO. */
orr_status orr_store_snapshot(orr_store *store, bool begins, orr_reason *reason);

/* Gives the rows of a query of the catalogue. `values` has one for each of its parameters, in their
 * order. ORR_EINVAL, with a reason, for a value that is none of its parameter; ORR_ESTATE for a
 * store without tables (memory); ORR_EIO. */
orr_status orr_store_query(orr_store *store, orr_query query, const orr_field *values,
                           const orr_store_reader *reader, orr_reason *reason);

/* Makes a change of the catalogue in one transaction, for maintenance: prune, pauses, clearing the
 * cache. The number of rows that changed in *changed. Statuses as of a query. */
orr_status orr_store_change(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                            orr_reason *reason);

/* ---- in the user's own words ----------------------------------------------------------------- */

/* What a user asks for in the language of the store, which is SQL over the tables of docs/store.md;
 * nothing of ours does. The parameters are bound by their places. */
typedef struct orr_statement {
    const char *text;
    const orr_field *parameters;
    size_t n;
} orr_statement;

/* Gives the rows of a SELECT; ORR_EINVAL with a reason for what is none. ORR_ESTATE for a store
 * without tables. */
orr_status orr_store_select(orr_store *store, const orr_statement *statement, const orr_store_reader *reader,
                            orr_reason *reason);

/* Runs several statements in one transaction. The number of rows that changed in *changed. */
orr_status orr_store_execute(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                             orr_reason *reason);

/* The absolute path of the file that the store is in; NULL where it is in none. The store owns
 * it. */
const char *orr_store_path(const orr_store *store);

/* What follows the path of a store in that of the folder beside it, in which lists are kept that
 * are too large for it. */
#define ORR_ROWS_FOLDER "-rows"

/* Copies the store to a new file at `path` while runs go on; the name appears when the copy is
 * whole and durable. ORR_ESTATE where the file is there already, or for a store in memory;
 * ORR_EIO. */
orr_status orr_store_backup(orr_store *store, const char *path, orr_reason *reason);

#endif
