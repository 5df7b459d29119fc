/* backend.h - what a store is made of, for who implements one. Who only uses stores needs store.h
 * alone.
 *
 * An implementation puts an orr_store first in its own struct, gives it its class, and registers
 * its scheme (orr_store_register). A durable one builds on store/queue.
 */
#ifndef ORR_STORE_BACKEND_H
#define ORR_STORE_BACKEND_H

#include "store/store.h"

/* One implementation: the functions of store.h. Arguments were checked where store.h says what they
 * must be, and every reason was emptied; a user's statements are checked for nothing. */
typedef struct orr_store_class {
    const char *kind;
    void (*close)(orr_store *store);
    orr_journal *(*create)(orr_store *store, const orr_new_run *run);
    orr_journal *(*claim)(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                          orr_reason *reason);
    /* the record after journal->last */
    orr_status (*append)(orr_journal *journal, const void *bytes, size_t size);
    void (*release)(orr_journal *journal, bool done);
    orr_status (*read)(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                       void *ud, orr_reason *reason);
    orr_status (*drop)(orr_store *store, const uint8_t run[16]);
    orr_status (*put)(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n);
    orr_status (*get)(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                      orr_reason *reason);
    /* Both NULL: it keeps no state between runs. The record after journal->last, as in append */
    orr_status (*append_state)(orr_journal *journal, const orr_field *write, orr_bytes made,
                               orr_bytes refused);
    orr_status (*state)(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                        void *ud, orr_reason *reason);
    uint64_t (*durable)(const orr_store *store);
    void (*submit)(orr_store *store, bool urgent);
    orr_status (*sync)(orr_store *store);
    bool (*notice)(orr_store *store, orr_notice *notice);
    orr_status (*send)(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                       const char *dedup, orr_reason *reason);
    orr_status (*project)(orr_store *store, orr_reason *reason);
    orr_status (*query)(orr_store *store, orr_query query, const orr_field *values,
                        const orr_store_reader *reader, orr_reason *reason);
    orr_status (*change)(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                         orr_reason *reason);
    orr_status (*select)(orr_store *store, const orr_statement *statement, const orr_store_reader *reader,
                         orr_reason *reason);
    orr_status (*execute)(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                          orr_reason *reason);
    /* NULL: each reading is of a moment of its own */
    orr_status (*snapshot)(orr_store *store, bool begins, orr_reason *reason);
    const char *(*path)(const orr_store *store); /* NULL: it is no file */
    orr_status (*backup)(orr_store *store, const char *path, orr_reason *reason);
    orr_status (*owner)(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason);
    bool (*displaced)(const orr_store *store, orr_notice_kind *why);     /* NULL: nobody can be */
    void (*figures)(const orr_store *store, orr_store_figures *figures); /* NULL: it has none */
    bool (*owns)(const orr_store *store);                                /* NULL: it cannot tell */
    /* NULL: nobody blocks it */
    orr_status (*unblock)(orr_store *store, const uint8_t run[16], orr_reason *reason);
    /* Both NULL: it keeps no locks, since nobody else uses it */
    orr_status (*lock)(orr_journal *journal, const char *workflow, const char *value, orr_lock_answer *answer,
                       orr_reason *reason);
    void (*await)(orr_store *store, uint32_t n);
    /* Both NULL: requests are answered at once by claim, read and send, which do not wait long.
     * A store that gives them calls `wake` when there is an answer, and reports to its `trace` what
     * it answers; for the others the interface does that. */
    orr_status (*ask)(orr_store *store, const orr_store_request *request);
    bool (*answers)(orr_store *store);
} orr_store_class;

struct orr_store {
    const orr_store_class *class;
    orr_alloc alloc; /* on the caller's thread */
    uint64_t ticket; /* the last one given out */
    void (*wake)(void *ud);
    void *ud;
    bool wants_work;
    orr_store_trace *trace; /* NULL: nobody looks */
    void *trace_ud;
};

/* What every store takes over from its options. */
orr_store orr_store_base(const orr_store_class *class, const orr_store_options *options);

/* A journal begins with what every store knows of it. */
struct orr_journal {
    orr_store *store;
    struct orr_journal *next; /* in its bucket of an orr_journals */
    uint64_t last;            /* sequence number of the last record appended */
    uint8_t run[16];
};

/* Journals by the id of their run: a hash table with chains through the journals themselves. */
typedef struct orr_journals {
    orr_journal **buckets;
    uint32_t n_buckets, n;
} orr_journals;

/* The journal of the run, or NULL. */
orr_journal *orr_journals_find(const orr_journals *t, const uint8_t run[16]);
/* Puts in a journal that is not there. False when out of memory. */
bool orr_journals_add(orr_journals *t, const orr_alloc *alloc, orr_journal *journal);
/* Takes out a journal that is there. */
void orr_journals_remove(orr_journals *t, orr_journal *journal);
/* Any of them, or NULL when there is none. */
orr_journal *orr_journals_any(const orr_journals *t);
/* Frees the table; the journals stay what they are. */
void orr_journals_free(orr_journals *t, const orr_alloc *alloc);

/* Notices in the order in which they came, each a block of its own with its texts. */
typedef struct orr_note {
    struct orr_note *next;
    size_t size; /* of the block */
    orr_notice notice;
    char texts[];
} orr_note;

typedef struct orr_notes {
    orr_note *first, **end, *shown; /* shown: the one whose texts the caller may still read */
} orr_notes;

/* A note that is in no list; NULL when out of memory. `run`, name and text may be NULL. */
orr_note *orr_note_new(const orr_alloc *alloc, orr_notice_kind kind, const uint8_t *run, int64_t message,
                       const char *name, const char *text);
/* Puts a note at the end, which the list then owns. */
void orr_notes_add(orr_notes *notes, orr_note *note);
/* Takes the first note out, NULL: there is none. */
orr_note *orr_notes_take(orr_notes *notes);
/* Makes `note` (or NULL) the one that is shown, copies it to *notice, and frees the one before. */
void orr_notes_show(orr_notes *notes, const orr_alloc *alloc, orr_note *note, orr_notice *notice);
/* Frees the messages for a run that are still in the list. */
void orr_notes_forget(orr_notes *notes, const orr_alloc *alloc, const uint8_t run[16]);
/* Frees all of them, the one that is shown too. */
void orr_notes_free(orr_notes *notes, const orr_alloc *alloc);

/* How many values a row of that kind has, and which of them is a run (-1: none). */
size_t orr_row_columns(orr_row_kind kind);
int orr_row_run(orr_row_kind kind);

/* Writes an id as the 36 characters of a UUID and a NUL; reads one, false where it is none. */
void orr_run_text(const uint8_t run[16], char text[37]);
bool orr_run_parse(const char *text, uint8_t run[16]);

/* The checksum of a row of the truth: the version of how it is made, times 2^32, and the CRC-32C of
 * its values, each with its type and size. The same on all machines of one byte order. */
enum { ORR_CHECKSUM_VERSION = 1 };
int64_t orr_row_checksum(const orr_field *values, size_t n);

/* Whether the last of n values is the checksum of those before it. A row from before there were
 * any has NULL, and is taken as it is. */
bool orr_row_intact(const orr_field *values, size_t n);

#endif
