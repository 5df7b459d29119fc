/* inner.h - what the files that make a plan share. No other file includes it. build.c: the builder;
 * policy.c: policies and outcome names; check.c: mistakes; layers.c, cycle.c: layers, cycles;
 * path.c: paths by estimates; tools.c: arrays, tables and strings; plan.c: the compiled plan. */
#ifndef ORR_CORE_PLAN_INNER_H
#define ORR_CORE_PLAN_INNER_H

#include "core/plan/plan.h"

/* ---- tools.c: arrays that grow, a table of hashes, a place for strings ----------------------- */

/* An array whose room may exceed its count. */
typedef struct orr_vec {
    void *data;
    size_t count, room, size; /* size of one element */
} orr_vec;

/* Makes room for `more` elements beyond `count`, at least doubling. */
orr_status orr_vec_reserve(const orr_alloc *alloc, orr_vec *vec, size_t more);
/* Gives back the spare room, so that the array can later be freed by its count alone. */
orr_status orr_vec_trim(const orr_alloc *alloc, orr_vec *vec);
void orr_vec_free(const orr_alloc *alloc, orr_vec *vec);

/* Open addressing with linear probing from hashes to indices; the caller compares what the
 * indices stand for. */
typedef struct orr_table {
    struct orr_slot {
        uint32_t hash, index;
    } * slots;
    size_t room, count; /* room: a power of two, or 0 */
} orr_table;

/* Makes room for `n` entries in total. */
orr_status orr_table_reserve(const orr_alloc *alloc, orr_table *table, size_t n);
/* Starts a walk over the entries of a hash; gives its next index. ORR_NONE ends it, *at is then
 * where a new entry goes. */
size_t orr_table_start(const orr_table *table, uint32_t hash);
uint32_t orr_table_next(const orr_table *table, uint32_t hash, size_t *at);
void orr_table_put(orr_table *table, size_t at, uint32_t hash, uint32_t index);
void orr_table_free(const orr_alloc *alloc, orr_table *table);

uint64_t orr_hash_bytes(uint64_t seed, const void *bytes, size_t n);
static inline uint32_t orr_hash_fold(uint64_t h) {
    return (uint32_t)(h ^ (h >> 32));
}

/* Blocks of bytes that stay where they are and are freed together. */
typedef struct orr_chunk {
    struct orr_chunk *next;
    size_t room, used; /* of the bytes that follow */
} orr_chunk;

/* `bytes` uncleared bytes aligned for pointers, or NULL. */
void *orr_chunk_take(const orr_alloc *alloc, orr_chunk **chunks, size_t bytes);
void orr_chunk_free(const orr_alloc *alloc, orr_chunk *chunks);
size_t orr_chunk_bytes(const orr_chunk *chunks);

/* ---- the builder ----------------------------------------------------------------------------- */

typedef struct orr_edge {
    uint32_t from, to;
} orr_edge;
typedef struct orr_edge_kind {
    uint16_t port;
    uint8_t when;
} orr_edge_kind;

struct orr_plan_builder {
    orr_alloc alloc;
    orr_plan *plan;    /* filled by orr_plan_end, but for the options, which it has from the start */
    orr_vec policy_of; /* uint16_t by node */
    orr_vec name_at;   /* uint32_t by node; empty until a node has a name */
    orr_vec names;     /* char */
    orr_vec policies;  /* orr_policy */
    orr_vec ports;     /* char * */
    orr_vec edges;     /* orr_edge */
    orr_vec kinds;     /* orr_edge_kind by edge; empty until an edge has a port or a `when` */
    orr_table policy_index, port_index;
    orr_chunk *strings;
    uint64_t hash_seed;
    uint32_t highest; /* of the indices that edges name */
    bool has_self;    /* some edge goes from a node to itself */
    bool forward;     /* no edge goes to a lower or the same index */
    bool counts_need; /* some policy has join `need` */
};

/* Interns an equal policy or adds a copy (policy.c); the default one comes first. */
orr_status orr_policies_begin(orr_plan_builder *b);

/* ---- compiling ------------------------------------------------------------------------------- */

/* Where mistakes go, and how many there were. */
typedef struct orr_problems {
    orr_problem_fn report;
    void *ud;
    uint64_t count;
} orr_problems;

static inline void orr_complain(orr_problems *problems, orr_problem problem) {
    problems->count++;
    if (problems->report) problems->report(problems->ud, &problem);
}

/* check.c. Each reports what it is named for and fails only for lack of memory. */
void orr_check_ends(orr_plan_builder *b, orr_problems *problems); /* drops the edges it reports */
orr_status orr_check_names(const orr_plan *plan, uint64_t hash_seed, orr_problems *problems);
orr_status orr_check_edges(const orr_plan *plan, bool counts_need, orr_problems *problems);

/* layers.c: fills layer_of, layer_size and n_layers; reports cycles, in which case it
 * leaves them unfilled. */
orr_status orr_plan_layers(orr_plan *plan, orr_problems *problems);

/* path.c: fills `rank` where a node has an estimate; of a plan that has layers. */
orr_status orr_plan_rank(orr_plan *plan);

/* cycle.c: reports the cycles among the nodes with left[i] != 0, which must be all that lie
 * on cycles and may be some that depend on them. */
orr_status orr_report_cycles(const orr_plan *plan, const uint32_t *left, orr_problems *problems);

#endif
