/* diary.h - the records of a run, kept as a journal would keep them, and what a run looks like
 * to those that compare two. */
#ifndef SPEC_DIARY_H
#define SPEC_DIARY_H

#include "core/core.h"

/* All that records say of a run. */
typedef struct look {
    uint32_t n_cells;
    uint64_t *cells; /* some words each */
    uint64_t run[15];
} look;

look look_at(const orr_run *run);
void look_free(look *l);
/* Fails the test where they differ; `when` says where that is. */
void assert_same_look(const look *a, const look *b, const char *when);

typedef struct diary_entry {
    orr_record rec;
    orr_error error;
    look before; /* of the live run, where looks are kept */
} diary_entry;

/* Zeroed, it is empty. `looks` keeps what the run looked like before each record. */
typedef struct diary {
    diary_entry *entries;
    uint32_t n, cap;
    bool looks;
} diary;

void diary_add(diary *d, const orr_run *run, const orr_record *rec);
/* A copy of the first n records, without looks. */
void diary_copy(diary *d, const diary *from, uint32_t n);
/* Loses all after the first n. */
void diary_cut(diary *d, uint32_t n);
void diary_free(diary *d);
orr_record diary_record(const diary *d, uint32_t at);

/* Folds the first n into a run; fails the test where one is refused or, where looks are kept,
 * another state is found. */
void diary_fold(const diary *d, uint32_t n, orr_run *run, const char *what);
/* Fails the test unless the run looks like one that is rebuilt from the whole diary in a core of
 * its own. */
void diary_assert_same(const diary *d, const orr_run *run, const char *what);

#endif
