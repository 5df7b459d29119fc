/* project_impl.h - what the parts of the projector share.
 *
 * Within one call the projector keeps one entry for each run, node (or item) and attempt that a record touched, changes those, and
 * writes each of them once at the end: of the many records of a run that is under way most concern rows that the next record
 * changes again. Texts that entries keep are copied to an arena, which is emptied after each writing.
 */
#ifndef ORR_STORE_PROJECT_IMPL_H
#define ORR_STORE_PROJECT_IMPL_H

#include "journal.h"
#include "project.h"
#include "project_json.h"

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

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

/* (run, idx, item, iteration, attempt) to the index of an entry. Open addressing with linear probing; nothing is ever taken out. */
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

/* ---- bundles ----------------------------------------------------------------------------------------------------------- */

/* Names of nodes and outcomes of a definition. A bundle is named by its content, so what was read once stays right. */
typedef struct orr_names {
    char *hash; /* this and the texts are of one block */
    const char **nodes, **ports;
    uint32_t n_nodes, n_ports;
    struct orr_names *next;
} orr_names;

/* ---- entries ------------------------------------------------------------------------------------------------------------- */

/* The counts of runs: nodes by how they ended. */
enum { COUNT_COMPLETED, COUNT_FAILED, COUNT_SKIPPED, COUNT_CANCELLED, COUNTS };

/* NAN is the NULL of a time. */
typedef struct orr_run_entry {
    int64_t number;
    const orr_names *names; /* NULL without a bundle */
    bool known;   /* it has a row */
    bool damaged; /* nothing more of it is projected */
    bool fresh;   /* no row of its nodes is in the database yet */
    bool touched;
    orr_run_state state;
    bool paused, compensating;
    uint64_t seq;
    uint32_t nodes, counts[COUNTS], running, waiting; /* tasks */
    double started, ended;
    bool set_input, set_end;
    orr_span input, context, forked_from, output, error;
} orr_run_entry;

enum { SET_END = 1, SET_ERROR = 2, SET_WHY = 4 };

typedef struct orr_node_entry {
    uint32_t run, idx, item; /* the run's entry; item from 1, 0 for the whole node */
    uint32_t attempts, iteration;
    orr_node_state state;
    double started, ended, due;
    const char *timer; /* kind of what it waits for; NULL: none, or not looked up yet */
    bool in_db, had_timer;
    uint8_t set;     /* which of these are new */
    orr_span output, error, why;
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

/* ---- statements ------------------------------------------------------------------------------------------------------------ */

#define ORR_PROJECT_SQL(X) \
    X(READ_META, "SELECT value FROM meta WHERE name = 'projected'") \
    X(WRITE_META, "INSERT OR REPLACE INTO meta(name, value) VALUES('projected', ?1)") \
    X(READ_JOURNAL, "SELECT id, run, records FROM journal WHERE id > ?1 ORDER BY id") \
    X(MORE_JOURNAL, "SELECT 1 FROM journal WHERE id > ?1 LIMIT 1") \
    X(READ_RUN, "SELECT state, bundle, seq, nodes, completed, failed, skipped, cancelled, running, waiting, started, ended, " \
                "error LIKE '{\"code\":\"damaged_journal\",%' FROM runs WHERE number = ?1") \
    X(WRITE_RUN, "UPDATE runs SET state = ?2, seq = ?3, nodes = ?4, completed = ?5, failed = ?6, skipped = ?7, " \
                 "cancelled = ?8, running = ?9, waiting = ?10, started = ?11, ended = ?12, " \
                 "input = iif(?13, ?14, input), context = iif(?13, coalesce(?15, context), context), " \
                 "forked_from = iif(?13, json_extract(?19, '$'), forked_from), " \
                 "output = iif(?16, ?17, output), error = iif(?16, ?18, error) WHERE number = ?1") \
    X(READ_NODE, "SELECT state, attempts, iteration, started, ended, due FROM nodes " \
                 "WHERE run = ?1 AND idx = ?2 AND item = ?3") \
    X(MAKE_NODE, "INSERT OR REPLACE INTO nodes(run, idx, item, node, state, attempts, iteration, started, ended, due, output, " \
                 "error, source, outcome, why) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)") \
    /* of a run that has no rows yet: nothing needs to be looked for */ \
    X(NEW_NODE, "INSERT INTO nodes(run, idx, item, node, state, attempts, iteration, started, ended, due, output, " \
                "error, source, outcome, why) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)") \
    X(NEW_ATTEMPT, "INSERT INTO attempts(run, node, item, iteration, attempt, phase, state, started, ended, error, interrupted, output) " \
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)") \
    X(MAKE_PENDING, "INSERT INTO nodes(run, idx, item, node, state, attempts, iteration) " \
                    "VALUES(?1, ?2, 0, ?3, 'pending', 0, 1)") \
    X(WRITE_NODE, "UPDATE nodes SET state = ?5, attempts = ?6, iteration = ?7, started = ?8, ended = ?9, due = ?10, " \
                  "output = iif(?16 & 1, ?11, output), error = iif(?16 & 2, ?12, error), " \
                  "source = iif(?16 & 1, ?13, source), outcome = iif(?16 & 1, ?14, outcome), " \
                  "why = iif(?16 & 4, coalesce(?15, iif(json_extract(why, '$.cache') IS NULL, NULL, why)), why) " \
                  "WHERE run = ?1 AND idx = ?2 AND item = ?3") \
    X(BEGIN_ATTEMPT, "INSERT INTO attempts(run, node, item, iteration, attempt, phase, state, started, ended, error, interrupted, " \
                     "output) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO UPDATE SET " \
                     "state = excluded.state, ended = excluded.ended, error = excluded.error, " \
                     "interrupted = interrupted + excluded.interrupted, output = excluded.output") \
    X(END_ATTEMPT, "UPDATE attempts SET state = ?7, ended = ?9, error = ?10, interrupted = interrupted + ?11, output = ?12 " \
                   "WHERE run = ?1 AND node = ?2 AND item = ?3 AND iteration = ?4 AND attempt = ?5 AND state = 'running'") \
    X(READ_ATTEMPT, "SELECT 1 FROM attempts WHERE run = ?1 AND node = ?2 AND item = ?3 AND iteration = ?4 AND attempt = ?5 " \
                    "AND state = 'running'") \
    X(READ_TIMER, "SELECT kind FROM timers WHERE run = ?1 AND node = ?2 AND item = ?3") \
    X(CLEAR_TIMER, "DELETE FROM timers WHERE run = ?1 AND node = ?2 AND item = ?3") \
    X(MAKE_TIMER, "INSERT INTO timers(run, node, item, kind, due) VALUES(?1, ?2, ?3, ?4, ?5)") \
    X(MAKE_STEP, "INSERT OR REPLACE INTO steps(run, node, item, iteration, path, ordinal, name, kind, attempt, value, error, time) " \
                 "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)") \
    X(MAKE_SIGNAL, "INSERT OR REPLACE INTO signals(run, seq, name, data, sent, received, taken) " \
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6, NULL)") \
    X(TAKE_SIGNAL, "UPDATE signals SET taken = ?3 WHERE run = ?1 AND seq = " \
                   "(SELECT min(seq) FROM signals WHERE run = ?1 AND name = ?2 AND taken IS NULL)") \
    X(READ_BUNDLE, "SELECT definition FROM bundles WHERE hash = ?1") \
    X(READ_BLOB, "SELECT data FROM blobs WHERE hash = ?1") \
    X(READ_STATES, "SELECT idx, state FROM nodes WHERE run = ?1 AND item = 0") \
    X(RESET_NODE, "UPDATE nodes SET state = ?3, started = ?4, ended = NULL, due = NULL, output = NULL, error = NULL, source = NULL, " \
                  "outcome = NULL, why = NULL WHERE run = ?1 AND idx = ?2 AND item = 0") \
    X(RESET_ITEMS, "UPDATE nodes SET state = 'ready', started = NULL, ended = NULL, due = NULL, output = NULL, error = NULL, " \
                   "source = NULL, outcome = NULL, why = NULL WHERE run = ?1 AND idx = ?2 AND item > 0 AND state <> 'completed'") \
    X(FORGET_ITEMS, "DELETE FROM nodes WHERE run = ?1 AND idx = ?2 AND item > 0")

#define ORR_SQL_ENUM(id, text) SQL_##id,
typedef enum { ORR_PROJECT_SQL(ORR_SQL_ENUM) SQL_COUNT } orr_project_sql;
#undef ORR_SQL_ENUM

/* ---- the projector -------------------------------------------------------------------------------------------------------- */

struct orr_projector {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    orr_arena arena;
    orr_names *names;
    uint32_t n_names; /* bundles */
    uint64_t n_named; /* nodes in them */
    orr_map run_map, node_map, attempt_map;
    orr_run_entry *runs;
    orr_node_entry *nodes;
    orr_attempt_entry *attempts;
    uint32_t n_runs, cap_runs, n_nodes, cap_nodes, n_attempts, cap_attempts;
};

/* project.c */

/* The statement, made at its first use; NULL with *status set where that fails. */
sqlite3_stmt *orr_projector_sql(orr_projector *p, orr_project_sql which, orr_status *status);
/* The status for what SQLite answered. */
orr_status orr_sqlite_status(int rc);
/* Steps a statement that gives no row, and resets it. */
orr_status orr_projector_do(sqlite3_stmt *s);

void orr_bind_span(sqlite3_stmt *s, int at, orr_span text);
void orr_bind_word(sqlite3_stmt *s, int at, const char *word);

/* A copy in the arena; out of memory it is none and *status says so. */
orr_span orr_keep(orr_projector *p, orr_span text, orr_status *status);

/* project_names.c */

/* The names for a bundle: *names NULL where the bundle, or its definition, cannot be read. */
orr_status orr_names_of(orr_projector *p, const char *hash, const orr_names **names);
void orr_names_free(orr_projector *p);
/* The definition of a bundle, none where there is none; it is valid until the statement in *s is reset. */
orr_status orr_read_definition(orr_projector *p, const char *hash, sqlite3_stmt **s, orr_span *definition);
/* Between two calls: forgets names when they have become many. */
void orr_names_trim(orr_projector *p);
/* "#1" for the first node of a run without names; `room` is used for it. */
const char *orr_node_name(const orr_run_entry *run, uint32_t idx, char room[16]);

/* project_retry.c */

/* Puts a run that was retried back: failed and cancelled nodes and all that follows from them. Entries must have been written. */
orr_status orr_project_retried(orr_projector *p, orr_run_entry *run, double time);

/* project_rows.c */

/* Entries stay where they are until another of their kind is asked for. NULL with *status set. */
orr_run_entry *orr_run_at(orr_projector *p, int64_t number, orr_status *status);
orr_node_entry *orr_node_at(orr_projector *p, orr_run_entry *run, uint32_t idx, uint32_t item, orr_status *status);
orr_attempt_entry *orr_attempt_at(orr_projector *p, const orr_run_entry *run, const orr_task *task, orr_status *status);

/* Reads the run's row again. */
orr_status orr_run_load(orr_projector *p, orr_run_entry *run);
/* Writes all entries and forgets them. */
orr_status orr_rows_write(orr_projector *p);
/* Writes all entries of nodes and attempts and forgets those; runs stay. */
orr_status orr_rows_write_nodes(orr_projector *p);
void orr_rows_forget(orr_projector *p);

/* Leaves the counts of its run before a change of a node's state or attempts, and enters them after it. */
void orr_node_leave(orr_run_entry *run, const orr_node_entry *node);
void orr_node_enter(orr_run_entry *run, const orr_node_entry *node);

/* project_apply.c */

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
} orr_applying;

static inline double orr_seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static inline orr_span orr_payload(const orr_entry *e)
{
    return (orr_span){e->payload, e->payload_size};
}

static inline orr_span orr_kept(orr_applying *c, orr_span text)
{
    return orr_keep(c->p, text, &c->status);
}

/* project_step.c */

void orr_apply_step(orr_applying *c);
void orr_apply_signal(orr_applying *c);
/* The payload itself, where it stands in the table of blobs; none where it is not there. */
orr_span orr_resolved(orr_applying *c);
/* A member of the payload as a column shows it: of a long payload the reference, which says in which member of the blob it stands. */
orr_span orr_shown(orr_applying *c, orr_span payload, const char *member);
/* The kind of a timer as a constant. */
const char *orr_timer_kind(orr_span word);

/* project_text.c: JSON in the arena; none with *status set when out of memory */

/* {"code": …, "message": …, …} with the members of `more`, an object or none, after them. */
orr_span orr_error_text(orr_projector *p, const char *code, const char *message, orr_span more, orr_status *status);
/* Why a node was skipped, in the words of `orrery why`; `by` is a node or NULL. */
orr_span orr_skip_text(orr_projector *p, const char *reason, const char *by, orr_status *status);
/* A reference to a blob, with the member of the blob's object that is meant. */
orr_span orr_member_text(orr_projector *p, orr_span reference, const char *member, orr_status *status);

#endif
