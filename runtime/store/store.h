/* store.h - where journals live: one interface, several implementations.
 *
 * A journal is an append-only list of records (journal.h), one list a run. The core makes the records; whoever drives it
 * appends them here and holds back what depends on a record until the store says that it is durable.
 *
 * Appending and putting only queue. orr_store_submit hands over what was queued since the last one as a whole: it is
 * committed in one transaction, together with what other submits left meanwhile, and in order. Each thing that is queued has
 * a ticket, a number that only grows; orr_store_durable is the ticket up to which everything will survive what the store is
 * to survive. So whoever must wait for a record keeps the ticket that was the last when the record had been queued.
 *
 * A store is used from one thread. A durable store has a thread of its own, which tells by `wake` that there is news.
 * The memory store is durable at once and as long as the process.
 */
#ifndef ORR_STORE_H
#define ORR_STORE_H

#include "../core/alloc.h"
#include "../include/orrery.h"

typedef struct orr_store orr_store;
typedef struct orr_journal orr_journal; /* the journal of one run that this process owns */

/* ---- values ---------------------------------------------------------------------------------------------------------- */

typedef enum { ORR_VALUE_NULL, ORR_VALUE_INTEGER, ORR_VALUE_REAL, ORR_VALUE_TEXT, ORR_VALUE_BLOB } orr_value_type;

typedef struct orr_value {
    orr_value_type type;
    int64_t integer;
    double real;
    const void *bytes; /* text or blob; a text may hold any byte */
    size_t size;
} orr_value;

/* ---- opening --------------------------------------------------------------------------------------------------------- */

typedef enum {
    ORR_STORE_LOOK, /* to read, send and maintain; owns no run and starts no thread. The store must exist */
    ORR_STORE_OWN   /* to keep runs; made where it is missing */
} orr_store_mode;

typedef struct orr_store_options {
    orr_alloc alloc; /* used on the caller's thread only */
    orr_store_mode mode;
    void (*wake)(void *ud); /* durable went up, or there is a notice. Called on any thread; NULL: nobody wants to know */
    void *ud;
} orr_store_options;

/* A store that keeps journals in memory. NULL when out of memory. */
orr_store *orr_store_memory(const orr_store_options *options);

/* Opens the store of a URL: "memory:", "sqlite:PATH", or a path. NULL, with the reason as one sentence with its remedy in
 * `message`, where that is not possible. */
orr_store *orr_store_open(const char *url, const orr_store_options *options, char *message, size_t size);

/* Closes the store; NULL is allowed. What was submitted is made durable first, unless the store has failed. Its journals
 * must have been released. */
void orr_store_close(orr_store *store);

/* "memory" or "sqlite". */
const char *orr_store_kind(const orr_store *store);

/* ---- journals ---------------------------------------------------------------------------------------------------------- */

/* What is known of a run before its first record. Texts are copied; NULL where there is none. */
typedef struct orr_new_run {
    uint8_t id[16];
    const char *workflow;
    const char *bundle;  /* hash of its bundle, put before or with it; NULL: it cannot be resumed */
    const char *key;     /* idempotency key, unique within the workflow */
    const uint8_t *parent; /* id of the run that called it */
    const char *labels;  /* JSON object */
    const char *context; /* JSON */
    orr_durability durability;
    int64_t created;     /* ns */
} orr_new_run;

/* Begins the journal of a new run. Where its key is taken by another run, it is refused when it is committed: nothing of it
 * is kept, and a notice says so. NULL when out of memory. */
orr_journal *orr_store_create(orr_store *store, const orr_new_run *run);

/* Takes over the journal of a run whose owner is gone, or which has none because it ended: waits for the disk. `force` takes it
 * from a process that lives, which then can write nothing to this store any more. NULL with *status ORR_ENOTFOUND, ORR_ESTATE (a live
 * process owns it, `message` says which), ORR_ENOMEM or ORR_EIO. */
orr_journal *orr_store_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status, char *message,
                             size_t size);

/* Appends a record; `seq` is one more than that of the record before, from 1. The bytes are copied. ORR_EINVAL when the
 * sequence has a gap or goes back; ORR_ENOMEM: nothing was appended, and the same call may be repeated. */
orr_status orr_store_append(orr_journal *journal, uint64_t seq, const void *bytes, size_t size);

/* Lets go of the handle; what was appended stays. `done`: nothing will follow, so this process owns the run no longer. */
void orr_store_release(orr_journal *journal, bool done);

/* One record as it is read: `bytes` are those that were appended, valid during the call. False ends the reading. */
typedef bool (*orr_store_visit)(void *ud, uint64_t seq, const void *bytes, size_t size);

/* Visits the durable records after sequence number `after`, in order. ORR_ENOTFOUND when there is no such run, ORR_EIO when it
 * cannot be read. The visitor must not use the store. */
orr_status orr_store_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud);

/* Forgets a run and all that belongs to it. ORR_ENOTFOUND; ORR_ESTATE while a process owns it. */
orr_status orr_store_drop(orr_store *store, const uint8_t run[16]);

/* ---- what is kept beside them ---------------------------------------------------------------------------------------- */

/* kind, the values it takes in their order. A row of a kind with a key replaces one that is there, but for bundles, modules and
 * blobs, which are named by their content. Times are seconds since the epoch. */
#define ORR_ROWS(X) \
    X(BUNDLE, "hash, workflow, definition, sources, arguments, engine, created") \
    X(MODULE, "bundle, name, path, source") \
    X(BLOB, "hash, data") \
    X(CACHE, "key, workflow, node, type, run, output, created, expires") \
    X(LOG, "run, node, item, iteration, attempt, time, level, message, fields") \
    X(WHY, "run, node, item, why") \
    X(TAKEN, "message")

#define ORR_ENUM_ROW(id, columns) ORR_ROW_##id,
typedef enum { ORR_ROWS(ORR_ENUM_ROW) ORR_ROW_COUNT } orr_row_kind;
#undef ORR_ENUM_ROW

/* Queues a row; the values are copied. `run` is a run's 16 bytes as a blob. TAKEN takes a message out of the inbox in the
 * same transaction as the records that were queued with it. ORR_ENOMEM. */
orr_status orr_store_put(orr_store *store, orr_row_kind kind, const orr_value *values, size_t n);

typedef bool (*orr_store_row)(void *ud, const orr_value *values, size_t n);

/* Visits the row of that key: BUNDLE and BLOB by hash, CACHE by key; and all MODULEs of a bundle. The values are those of
 * ORR_ROWS. ORR_ENOTFOUND, ORR_EIO. What was put but is not durable yet may be missing. */
orr_status orr_store_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud);

/* ---- commits --------------------------------------------------------------------------------------------------------- */

uint64_t orr_store_ticket(const orr_store *store);
uint64_t orr_store_durable(const orr_store *store);
/* Hands over what was queued. `soon`: somebody waits for it; otherwise it is committed within 50 ms. */
void orr_store_submit(orr_store *store, bool soon);
/* Waits until everything that was submitted is durable. ORR_EIO when the store has failed. */
orr_status orr_store_sync(orr_store *store);

/* ---- news ------------------------------------------------------------------------------------------------------------ */

typedef enum {
    ORR_NOTICE_MESSAGE, /* something for a run that this process owns: `run`, `message` (for TAKEN), `name` (signal, cancel,
                         * pause, resume, ...), `text` (JSON). It comes again after a restart until it is taken */
    ORR_NOTICE_REFUSED, /* `run` was not created: its key belongs to the run whose id is `text` */
    ORR_NOTICE_FAILED,  /* commits fail for the reason in `text`; they are tried again */
    ORR_NOTICE_WORKS,   /* they work again */
    ORR_NOTICE_LOST     /* another process took this one's runs: it can write nothing any more; `text` says who */
} orr_notice_kind;

typedef struct orr_notice {
    orr_notice_kind kind;
    uint8_t run[16];
    int64_t message;
    const char *name, *text; /* valid until the next call */
} orr_notice;

/* The next notice; false when there is none. */
bool orr_store_notice(orr_store *store, orr_notice *notice);

/* Leaves a message for a run in its inbox and waits until that is durable. `dedup` (or NULL) makes a second one with the same
 * text a success without effect. ORR_ENOTFOUND; ORR_ESTATE for a run that has ended; ORR_EIO. */
orr_status orr_store_send(orr_store *store, const uint8_t run[16], const char *name, const char *text, const char *dedup,
                          char *message, size_t size);

/* ---- history ----------------------------------------------------------------------------------------------------------- */

/* Brings the tables that people query up to date with the journal, now. Waits, but for others that write not longer than half a second:
 * then ORR_EIO, and the tables are what they are. */
orr_status orr_store_project(orr_store *store, char *message, size_t size);

/* Runs a SELECT over the tables of docs/store.md; ORR_EINVAL with a message for what is none. ORR_ESTATE for a store without
 * tables (memory). `names` (or NULL) is called once before the first row, with the names of the columns. */
orr_status orr_store_query(orr_store *store, const char *sql, const orr_value *parameters, size_t n,
                           void (*names)(void *ud, const char *const *columns, size_t n), orr_store_row visit, void *ud,
                           char *message, size_t size);

typedef struct orr_change {
    const char *sql;
    const orr_value *parameters;
    size_t n;
} orr_change;

/* Does several changes in one transaction under the commit lock, for maintenance: prune, pauses, clearing the cache. The number of
 * rows that changed in *changed. */
orr_status orr_store_change(orr_store *store, const orr_change *changes, size_t n, int64_t *changed, char *message,
                            size_t size);

/* Copies the store to a file while runs go on. */
orr_status orr_store_backup(orr_store *store, const char *path, char *message, size_t size);

#endif
