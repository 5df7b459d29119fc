/* impl.h - what the stores share among themselves; nobody else includes it. */
#ifndef ORR_STORE_IMPL_H
#define ORR_STORE_IMPL_H

#include "store.h"

/* One implementation. `claim` gets a message that is never NULL; a change is checked for nothing but its store. */
typedef struct orr_store_class {
    const char *kind;
    void (*close)(orr_store *store);
    orr_journal *(*create)(orr_store *store, const orr_new_run *run);
    orr_journal *(*claim)(orr_store *store, const uint8_t run[16], bool force, orr_status *status, char *message, size_t size);
    orr_status (*append)(orr_journal *journal, const void *bytes, size_t size); /* the record after journal->last */
    void (*release)(orr_journal *journal, bool done);
    orr_status (*read)(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit, void *ud);
    orr_status (*drop)(orr_store *store, const uint8_t run[16]);
    orr_status (*put)(orr_store *store, orr_row_kind kind, const orr_value *values, size_t n);
    orr_status (*get)(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud);
    uint64_t (*durable)(const orr_store *store);
    void (*submit)(orr_store *store, bool soon);
    orr_status (*sync)(orr_store *store);
    bool (*notice)(orr_store *store, orr_notice *notice);
    orr_status (*send)(orr_store *store, const uint8_t run[16], const char *name, const char *text, const char *dedup,
                       char *message, size_t size);
    orr_status (*project)(orr_store *store, char *message, size_t size);
    orr_status (*query)(orr_store *store, const char *sql, const orr_value *parameters, size_t n,
                        void (*names)(void *ud, const char *const *columns, size_t n), orr_store_row visit, void *ud,
                        char *message, size_t size);
    orr_status (*change)(orr_store *store, const orr_change *changes, size_t n, int64_t *changed, char *message, size_t size);
    orr_status (*backup)(orr_store *store, const char *path, char *message, size_t size);
} orr_store_class;

struct orr_store {
    const orr_store_class *class;
    orr_alloc alloc;   /* on the caller's thread */
    uint64_t ticket;   /* the last one given out */
    void (*wake)(void *ud);
    void *ud;
};

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

orr_journal *orr_journals_find(const orr_journals *t, const uint8_t run[16]);
/* False when out of memory. */
bool orr_journals_add(orr_journals *t, const orr_alloc *alloc, orr_journal *journal);
void orr_journals_remove(orr_journals *t, orr_journal *journal);
/* Any of them, or NULL when there is none. */
orr_journal *orr_journals_any(const orr_journals *t);
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
orr_note *orr_note_new(const orr_alloc *alloc, orr_notice_kind kind, const uint8_t *run, int64_t message, const char *name,
                       const char *text);
void orr_notes_add(orr_notes *notes, orr_note *note);
orr_note *orr_notes_take(orr_notes *notes);
/* Makes `note` the one that is shown, and frees the one before. */
void orr_notes_show(orr_notes *notes, const orr_alloc *alloc, orr_note *note, orr_notice *notice);
/* Frees the messages for a run that are still in the list. */
void orr_notes_forget(orr_notes *notes, const orr_alloc *alloc, const uint8_t run[16]);
void orr_notes_free(orr_notes *notes, const orr_alloc *alloc);

/* How many values a row of that kind has, and which of them is a run (-1: none). */
size_t orr_row_columns(orr_row_kind kind);
int orr_row_run(orr_row_kind kind);

/* Writes an id as the 36 characters of a UUID and a NUL; reads one, false where it is none. */
void orr_run_text(const uint8_t run[16], char text[37]);
bool orr_run_parse(const char *text, uint8_t run[16]);

/* True for the record that ends a run. */
bool orr_record_ends(const void *bytes, size_t size);

orr_store *orr_sqlite_open(const char *path, const orr_store_options *options, char *message, size_t size);

#endif
