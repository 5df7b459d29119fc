/* queue.h - the half of a durable store that is the same whatever keeps it: what is queued becomes
 * bytes in batches, each thing has a ticket, and a thread writes the batches in groups.
 *
 * Two threads: the caller's, which fills a batch that is his alone (so queueing takes no lock) and
 * hands it over with a submit, and the writer's, which sleeps until something is due and then asks
 * the back end for one of its operations (orr_queue_backend). What both use is behind a mutex or
 * atomic. A batch comes back to the caller when it is durable, for its memory to be used again; a
 * journal's handle lives until its release is durable, because the writer reads it.
 *
 * A store puts an orr_queue first in its own struct, names the orr_queue_ functions of this header
 * in its orr_store_class, and gives the six operations. Used by back ends. Uses port, store,
 * record.
 */
#ifndef ORR_STORE_QUEUE_H
#define ORR_STORE_QUEUE_H

#include "port/port.h"
#include "store/backend.h"

#include <stdatomic.h>

enum {
    ORR_QUEUE_LIMIT = 64 << 20,         /* bytes that may wait to be written before a submit waits */
    ORR_QUEUE_RECORD_LIMIT = 512 << 20, /* bytes of one record */
    ORR_QUEUE_SLICE = 250               /* cost of what is worked into the tables in one go */
};

/* ---- what a batch holds ---------------------------------------------------------------------- */

/* An op, then the bytes of the record or the values of the row. */
typedef enum { ORR_OP_RECORD, ORR_OP_CREATE, ORR_OP_RELEASE, ORR_OP_ROW } orr_op_kind;

/* A record may be one of two behind a row STATE: which of them is written follows from what the
 * back end decides about that row. */
typedef enum { ORR_WHEN_ANY, ORR_WHEN_MADE, ORR_WHEN_REFUSED } orr_record_when;

typedef struct orr_queue_journal orr_queue_journal;

typedef struct orr_op {
    orr_op_kind kind;
    uint32_t detail; /* ROW: its kind. RELEASE: done. RECORD: an orr_record_when */
    size_t size;     /* of what follows */
    orr_queue_journal *journal;
    struct orr_op *next; /* RECORD: the next one of its journal in this commit */
    uint64_t seq;        /* RECORD */
} orr_op;

typedef struct orr_batch {
    struct orr_batch *next;
    unsigned char *bytes; /* from the caller's allocator, grown and freed on his thread only */
    size_t used, capacity;
    uint64_t ticket; /* durable with it */
} orr_batch;

/* The values of a CREATE, of orr_new_run: ids are texts, `created` is in seconds. OWNER is
 * for the back end to fill in. */
typedef enum {
    ORR_NEW_ID,
    ORR_NEW_WORKFLOW,
    ORR_NEW_BUNDLE,
    ORR_NEW_KEY,
    ORR_NEW_PARENT,
    ORR_NEW_LABELS,
    ORR_NEW_CONTEXT,
    ORR_NEW_DURABILITY,
    ORR_NEW_CREATED,
    ORR_NEW_OWNER,
    ORR_NEW_COLUMNS,
    /* what stands in no column of the run */
    ORR_NEW_LOCK = ORR_NEW_COLUMNS,
    ORR_NEW_LOCK_REFUSES,
    ORR_NEW_VALUES
} orr_new_column;

/* Visits the ops of the batches in order, until one gives another number than 0; that number. */
int orr_queue_each(const orr_batch *first, int (*visit)(void *ud, orr_op *op), void *ud);

/* The values of a row or a CREATE, which has n of them. They point into the op. */
void orr_op_values(const orr_op *op, orr_field *values, size_t n);

/* ---- journals -------------------------------------------------------------------------------- */

/* A journal of which there is a handle, or whose release is not durable yet. */
struct orr_queue_journal {
    orr_journal base;
    /* the queue's */
    bool kept;                  /* the run has a row in the store; false: durability none */
    uint64_t ticket;            /* of the release */
    orr_queue_journal *leaving; /* released before it */
    /* the back end's: set while it creates or claims the run, read on the writer's thread */
    int64_t number; /* of the run in the store */
    bool refused;   /* its key was taken: nothing of it is written */
    /* of orr_chains */
    orr_op *first, **end; /* its records in this commit */
    orr_queue_journal *next_chain;
    uint64_t commit; /* the commit that first and end belong to */
};

/* The records of one commit by journal, in the order in which the journals come up in it. */
typedef struct orr_chains {
    orr_queue_journal *first, *end;
    uint64_t commit; /* how often it was begun */
} orr_chains;

/* Begins a commit, or one that failed once more. */
void orr_chains_begin(orr_chains *chains);

/* Adds a RECORD to the chain of its journal. */
void orr_chains_add(orr_chains *chains, orr_op *op);

/* ---- the back end ---------------------------------------------------------------------------- */

typedef struct orr_queue orr_queue;

/* A message of the inbox. */
typedef struct orr_message {
    orr_notice_kind kind; /* MESSAGE; DAMAGED, then `text` says so; WORK: for a run that nobody owns */
    int64_t id, number;   /* of the message, and of the run */
    const uint8_t *run;   /* 16 bytes */
    const char *name, *text;
} orr_message;

/* False where no more of them are wanted. */
typedef bool (*orr_queue_message)(void *ud, const orr_message *message);

/* When the writer has time for what is nobody's business but the store's. */
typedef enum {
    ORR_REST_WRITTEN,   /* after a commit, and after those who waited for it were notified */
    ORR_REST_PROJECTED, /* nothing more is to be worked into the tables now */
    ORR_REST_LEAVING    /* the store is closed: let go of what this process has there */
} orr_queue_rest;

/* How the tables are brought on, slice by slice. */
typedef struct orr_projecting {
    uint64_t cost;         /* of what is worked in by one slice */
    const orr_batch *late; /* rows that are put at the end */
    bool all;              /* false: what is young and goes on may be left for the next time */
    bool leaves;           /* the store is closed after it: as ORR_REST_LEAVING, where it all works */
    /* what a slice says: there is more to do; how long ago the oldest record of what was left was
     * written (ns), 0: nothing was */
    bool more;
    int64_t left;
    /* the back end's, from slice to slice, while there is more: up to which commit it goes, and
     * whether all up to there was taken */
    int64_t until;
    bool taken;
} orr_projecting;

/* The six operations. All but the first are called on the writer's thread and without the mutex. */
typedef struct orr_queue_backend {
    /* On the caller's thread, with the mutex, before the writer's is started: has ready what the
     * other operations work with. False where that cannot be had; then it is asked again. */
    bool (*start)(orr_queue *q);

    /* Takes the lock of the one who writes and writes all that the batches hold, in order, as one
     * transaction: all or nothing, and durable when it returns. *recorded: there were records. Two
     * statuses are final: ORR_ESTATE, another process has taken this one's runs, and ORR_EINVAL,
     * the store is damaged. After any other the same batches come again, with others behind
     * them. */
    orr_status (*write)(orr_queue *q, orr_batch *first, bool *recorded, orr_reason *reason);

    /* Works a slice into the tables, in a transaction that need not be durable: towards what had
     * been written at the first slice. At the end the rows of `late` are put with it. Where it
     * fails, *how is as it was. */
    orr_status (*project)(orr_queue *q, orr_projecting *how, orr_reason *reason);

    /* Visits the messages for runs of this process that were not taken, by their numbers; among
     * them, where the store wants work, those for runs that nobody owns. ORR_ESTATE where
     * nothing can have changed since the last look and it is not asked for `anyway`; any other
     * status makes the next look one that is. */
    orr_status (*look)(orr_queue *q, bool anyway, orr_queue_message visit, void *ud);

    /* Housekeeping; nobody waits for it. */
    void (*rest)(orr_queue *q, orr_queue_rest when);

    /* Opens a bell that rings when there may be something for `look`. False where there is none:
     * then it looks often. */
    bool (*listen)(orr_queue *q, orr_bell *bell);
} orr_queue_backend;

/* ---- the queue ------------------------------------------------------------------------------- */

/* What only the writer's thread uses. */
typedef struct orr_queue_writer {
    orr_batch *taken, **taken_end; /* what is being written, again and again until it works */
    orr_batch late;                /* rows that wait for the projection, from libc's heap */
    orr_notes pending;             /* notices that hold once the commit does */
    struct orr_seen *seen;         /* messages that were notified and not taken, by id */
    size_t n_seen;
    bool look_anyway; /* the last look failed */
    bool saw_change;  /* something may have changed since the look before the last */
    bool failing;
    int64_t retry;             /* when to try again, while failing */
    int64_t last_commit;       /* when the last commit ended */
    _Atomic uint64_t recorded; /* commits that had records; any thread reads it */
    orr_bell bell;             /* it waits by it, once it has been idle for a while */
    orr_reason reason;
} orr_queue_writer;

struct orr_queue {
    orr_store base;
    const orr_queue_backend *backend;
    bool owns; /* it may keep runs */

    /* the caller's thread */
    orr_journals journals; /* with a handle */
    orr_queue_journal *leaving;
    orr_batch *filling, *spare;
    uint64_t submitted; /* last ticket handed over */

    /* both threads */
    _Atomic uint64_t durable;
    _Atomic bool lost, failing;
    /* journals with a handle: while there is one, the inbox is looked into */
    _Atomic uint64_t live;
    _Atomic int64_t claimed; /* when a run was taken over last (ns) */
    /* when the oldest record that no table shows yet was written (ns), 0: none */
    _Atomic int64_t unprojected;
    _Atomic uint32_t waiting; /* runs that wait for a lock */

    orr_mutex mutex;
    orr_condition work, done; /* the writer waits for work, the caller for done */
    bool started, stopping;
    orr_batch *queue, **queue_end, *back; /* to write; written, for the caller to fill again */
    size_t queued;                        /* bytes in the queue and under way */
    int64_t due;                          /* when the queue is to be written, INT64_MAX: it is empty */
    bool look;                            /* the inbox is to be read now */
    _Atomic bool listens;                 /* the writer waits by its bell */
    /* numbers of runs whose messages are to come again; room for one more is kept */
    int64_t *forget;
    size_t n_forget, forget_capacity;
    orr_notes notes;

    /* the writer's thread */
    orr_thread thread;
    orr_queue_writer writer;
};

extern const orr_alloc orr_queue_heap; /* libc's, for blocks that change threads */

/* Makes the queue of a store, which is zeroed and whose `base` is set. No thread starts before
 * there is something to do. */
void orr_queue_init(orr_queue *q, const orr_queue_backend *backend, bool owns);

/* Has the inbox looked into from now on, where the store wants work. False when there is no
 * thread to be had. */
bool orr_queue_start(orr_queue *q);

/* Writes what was submitted, unless that fails, rests as one that leaves, and ends the thread. */
void orr_queue_stop(orr_queue *q);

/* Frees all it has, handles among it; after orr_queue_stop. */
void orr_queue_free(orr_queue *q);

/* For an orr_store_class: each does what the function of store.h with that name says. */
orr_journal *orr_queue_create(orr_store *store, const orr_new_run *run);
orr_status orr_queue_append(orr_journal *journal, const void *bytes, size_t size);
orr_status orr_queue_append_state(orr_journal *journal, const orr_field *write, orr_bytes made,
                                  orr_bytes refused);
void orr_queue_release(orr_journal *journal, bool done);
orr_status orr_queue_put(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n);
uint64_t orr_queue_durable(const orr_store *store);
void orr_queue_submit(orr_store *store, bool urgent);
orr_status orr_queue_sync(orr_store *store);
void orr_queue_await(orr_store *store, uint32_t n);
bool orr_queue_notice(orr_store *store, orr_notice *notice);
void orr_queue_figures(const orr_store *store, orr_store_figures *figures);

/* ---- for what a back end does on the caller's thread ----------------------------------------- */

/* A handle for a run that is to be claimed; NULL when out of memory. It is given up with
 * orr_queue_unhandle, or kept with orr_queue_claimed once its `number` and base.last are set: then
 * what is in the run's inbox is notified, even where it was before. */
orr_queue_journal *orr_queue_handle(orr_queue *q, const uint8_t run[16]);
void orr_queue_unhandle(orr_queue *q, orr_queue_journal *journal);
void orr_queue_claimed(orr_queue *q, orr_queue_journal *journal);

/* Whether there is a handle for the run; whether it was let go and the store does not say so
 * yet. */
bool orr_queue_has(const orr_queue *q, const uint8_t run[16]);
bool orr_queue_is_leaving(const orr_queue *q, const uint8_t run[16]);

/* Waits until everything that was queued is durable, where it is not. ORR_EIO. */
orr_status orr_queue_flush(orr_queue *q);

/* Has the inbox looked into now, where somebody may have left a message for this process. */
void orr_queue_look_now(orr_queue *q);

/* The tables are behind what other processes wrote: the writer brings them on when it has time. */
void orr_queue_behind(orr_queue *q);

/* ---- for the operations ---------------------------------------------------------------------- */

/* Within `write`: the run is not created, because the run with that id has its key ("" where none
 * has it; REFUSED), or its lock (CONFLICT). A notice says so once the commit holds. False when out
 * of memory. */
bool orr_queue_refuse(orr_queue *q, orr_queue_journal *journal, orr_notice_kind kind, const char *id);

/* Within `write`: the row STATE with that token was made or refused; a notice says so once the
 * commit holds. False when out of memory. */
bool orr_queue_decided(orr_queue *q, int64_t token, bool made);

/* Within `write`: a lock is free once the commit holds; who waits in this process is notified. */
void orr_queue_unlocked(orr_queue *q);

#endif
