/* inner.h - what the parts of the projector share.
 *
 * Within one call the projector keeps one entry for each run, node (or item) and attempt that a
 * record touched, changes those, and writes each of them once at the end: of the many records of a
 * run that is under way most concern rows that the next record changes again. Texts that entries
 * keep are copied to an arena, which is emptied after each writing.
 */
#ifndef ORR_STORE_TABLES_INNER_H
#define ORR_STORE_TABLES_INNER_H

#include "store/record/record.h"
#include "store/tables/json.h"
#include "store/tables/tables.h"

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct orr_block {
    struct orr_block *next;
    size_t used, size;
} orr_block;

typedef struct orr_arena {
    orr_block *blocks;
    size_t bytes;
} orr_arena;

/* NULL when out of memory. Aligned for any type. */
void *orr_arena_take(orr_arena *a, size_t size);
/* Leaves one small block, so that the next call need not ask for it again. */
void orr_arena_clear(orr_arena *a);
void orr_arena_free(orr_arena *a);

/* (run, idx, item, iteration, attempt) to the index of an entry. Open addressing with linear
 * probing; nothing is ever taken out. */
typedef struct orr_key {
    uint32_t part[5];
} orr_key;

typedef struct orr_map {
    orr_key *keys;
    uint32_t *slots; /* index + 1; 0: free */
    uint32_t n, cap;
} orr_map;

/* The index for the key, or ORR_NONE. */
uint32_t orr_map_find(const orr_map *m, const orr_key *key);
/* Puts one in that is not there. False when out of memory. */
bool orr_map_put(orr_map *m, const orr_key *key, uint32_t index);
void orr_map_clear(orr_map *m);
void orr_map_free(orr_map *m);

/* ---- bundles --------------------------------------------------------------------------------- */

/* Names of nodes and outcomes of a definition. A bundle is named by its content, so what was
 * read once stays right. */
typedef struct orr_names {
    char *hash; /* this, the texts and the numbers are of one block */
    const char **nodes, **ports;
    uint32_t *ranks; /* by node: its place among them when they are sorted by their names */
    uint32_t n_nodes, n_ports;
    struct orr_names *next;
} orr_names;

/* ---- entries --------------------------------------------------------------------------------- */

/* The counts of runs: nodes by how they ended. */
enum { COUNT_COMPLETED, COUNT_FAILED, COUNT_SKIPPED, COUNT_CANCELLED, COUNTS };

/* NAN is the NULL of a time. */
typedef struct orr_run_entry {
    int64_t number;
    const orr_names *names; /* NULL without a bundle */
    bool known;             /* it has a row */
    bool damaged;           /* nothing more of it is projected */
    bool fresh;             /* none of its nodes has a row yet */
    bool touched;
    orr_run_state state;
    bool paused, compensating;
    bool waits; /* it has not been let begin: it has no time at which it started */
    uint64_t seq;
    uint32_t nodes, counts[COUNTS], running, waiting; /* tasks */
    double started, ended;
    bool set_input, set_end;
    orr_span input, context, forked_from, output, error;
} orr_run_entry;

enum { SET_END = 1, SET_ERROR = 2, SET_WHY = 4, SET_ITEMS = 8 };

typedef struct orr_node_entry {
    uint32_t run, idx, item; /* the run's entry; item from 1, 0 for the whole node */
    uint32_t attempts, iteration;
    orr_node_state state;
    double started, ended, due;
    const char *timer;      /* kind of what it waits for; NULL: none, or not looked up yet */
    bool stands, had_timer; /* stands: it has a row */
    uint8_t set;            /* which of these are new */
    orr_span output, error, why;
    uint32_t items; /* of an expanded node */
    orr_span item_names;
    const char *source, *outcome;
} orr_node_entry;

typedef struct orr_attempt_entry {
    uint32_t run, idx, item, iteration, attempt;
    uint8_t phase;
    bool begun; /* in this call: else it has a row already */
    const char *state;
    double started, ended;
    orr_span error, output; /* output: what a compensation returned */
    uint32_t interrupted;   /* times in this call */
} orr_attempt_entry;

/* An entry, and where its row stands among those of its table. */
typedef struct orr_place {
    orr_key key;
    uint32_t index;
} orr_place;

/* ---- the projector --------------------------------------------------------------------------- */

struct orr_projector {
    orr_sink *sink;
    orr_arena arena;
    orr_names *names;
    uint32_t n_names; /* bundles */
    uint64_t n_named; /* nodes in them */
    orr_map run_map, node_map, attempt_map;
    orr_run_entry *runs;
    orr_node_entry *nodes;
    orr_attempt_entry *attempts;
    uint32_t n_runs, cap_runs, n_nodes, cap_nodes, n_attempts, cap_attempts;
    orr_place *places; /* while rows are inserted */
    uint32_t cap_places;
};

/* projection.c */

/* Values of a row. A time is NAN where there is none. */
orr_field orr_field_span(orr_span text); /* without a text it is none */
double orr_field_time(const orr_field *v);
int64_t orr_field_number(const orr_field *v); /* 0 for what is none */
orr_span orr_field_words(const orr_field *v);

/* Writes one row, or reads rows; see orr_sink. */
orr_status orr_sink_put(orr_projector *p, orr_table_write what, const orr_field *values, size_t n);
orr_status orr_sink_get(orr_projector *p, orr_table_read what, const orr_field *keys, size_t n,
                        orr_store_row visit, void *ud);
/* A visitor that only notes, in a bool, that there is a row. */
bool orr_note_any(void *ud, const orr_field *values, size_t n);

#define ORR_PUT(p, what, values) orr_sink_put(p, what, values, sizeof(values) / sizeof *(values))
#define ORR_GET(p, what, keys, visit, ud)                                                                    \
    orr_sink_get(p, what, keys, sizeof(keys) / sizeof *(keys), visit, ud)

/* A copy in the arena; out of memory it is none and *status says so. */
orr_span orr_keep(orr_projector *p, orr_span text, orr_status *status);

/* names.c */

/* The names for a bundle: *names NULL where the bundle, or its definition, cannot be read. */
orr_status orr_names_of(orr_projector *p, const char *hash, const orr_names **names);
void orr_names_free(orr_projector *p);
/* Visits the definition of a bundle, where there is one. */
orr_status orr_read_definition(orr_projector *p, const char *hash, orr_store_row visit, void *ud);
/* Between two calls: forgets names when they have become many. */
void orr_names_trim(orr_projector *p);
/* "#1" for the first node of a run without names; `room` is used for it. */
const char *orr_node_name(const orr_run_entry *run, uint32_t idx, char room[16]);

/* retry.c */

/* Puts a run that was retried back: failed and cancelled nodes and all that follows from them;
 * `items`: also nodes that completed though items of them failed. Entries must have been
 * written. */
orr_status orr_project_retried(orr_projector *p, orr_run_entry *run, bool items, double time);

/* rows.c */

/* Entries stay where they are until another of their kind is asked for. NULL with *status set. */
orr_run_entry *orr_run_at(orr_projector *p, int64_t number, orr_status *status);
orr_node_entry *orr_node_at(orr_projector *p, orr_run_entry *run, uint32_t idx, uint32_t item,
                            orr_status *status);
orr_attempt_entry *orr_attempt_at(orr_projector *p, const orr_run_entry *run, const orr_task *task,
                                  orr_status *status);

/* Reads the run's row again. */
orr_status orr_run_load(orr_projector *p, orr_run_entry *run);
/* Writes all entries and forgets them. */
orr_status orr_rows_write(orr_projector *p);
/* Writes all entries of nodes and attempts and forgets those; runs stay. */
orr_status orr_rows_write_nodes(orr_projector *p);
void orr_rows_forget(orr_projector *p);

/* The values of ORR_WRITE_NODE, and of its attempts. */
void orr_node_row(const orr_node_entry *node, const orr_run_entry *run, const char *name, orr_field *row);
void orr_attempt_row(const orr_attempt_entry *a, const orr_run_entry *run, const char *name, orr_field *row);

/* Leaves the counts of its run before a change of a node's state or attempts, and enters them
 * after it. */
void orr_node_leave(orr_run_entry *run, const orr_node_entry *node);
void orr_node_enter(orr_run_entry *run, const orr_node_entry *node);

/* fresh.c */

/* Writes the nodes, also those that nothing has happened to, and attempts of runs that are new. */
orr_status orr_rows_insert_fresh(orr_projector *p);

/* apply.c */

/* Works one record in. *fits is false for one that cannot be right; nothing has changed then. */
orr_status orr_project_record(orr_projector *p, orr_run_entry *run, const orr_entry *entry, bool *fits);
/* A record that is being applied. */
typedef struct orr_applying {
    orr_projector *p;
    orr_run_entry *run;
    orr_node_entry *node; /* of records about a node */
    const orr_entry *entry;
    const orr_record *record;
    double time;
    orr_status status;
    bool fits;
    bool damaged; /* a value that it needs is not what was written */
} orr_applying;

static inline double orr_seconds(int64_t ns) {
    return (double)ns / 1e9;
}

static inline orr_span orr_payload_text(const orr_entry *e) {
    return (orr_span){e->payload, e->payload_size};
}

static inline orr_span orr_kept_text(orr_applying *c, orr_span text) {
    return orr_keep(c->p, text, &c->status);
}

/* step.c */

void orr_apply_step(orr_applying *c);
void orr_apply_signal(orr_applying *c);
/* The payload itself, where it stands in the table of blobs; none where it is not there. */
orr_span orr_resolved(orr_applying *c);
/* A member of the payload as a column shows it: of a long payload the reference, which says in
 * which member of the blob it stands. */
orr_span orr_shown(orr_applying *c, orr_span payload, const char *member);
/* The kind of a timer as a constant. */
const char *orr_timer_kind(orr_span word);

/* text.c: JSON in the arena; none with *status set when out of memory */

/* {"code": …, "message": …, …} with the members of `more`, an object or none, after them. */
orr_span orr_error_text(orr_projector *p, const char *code, const char *message, orr_span more,
                        orr_status *status);
/* Why a node was skipped, in the words of `orrery why`; `by` is a node or NULL. */
orr_span orr_skip_text(orr_projector *p, const char *reason, const char *by, orr_status *status);
/* A reference to a blob, with the member of the blob's object that is meant. */
orr_span orr_member_text(orr_projector *p, orr_span reference, const char *member, orr_status *status);

#endif
