/* plan.h - the compiled workflow: an immutable graph in CSR form, its layers and its policies.
 *
 * A plan is made once by a builder and then shared by all its runs. Node 0..n-1 stand in the order
 * in which they were added, which is the order that breaks every tie. Nothing here is allocated per
 * run.
 */
#ifndef ORR_CORE_PLAN_H
#define ORR_CORE_PLAN_H

#include "orrery.h" /* the words shared with the public API: status, states */
#include "core/alloc.h"
#include <stdbool.h>

#define ORR_NONE UINT32_MAX

typedef enum {
    ORR_JOIN_ALL,
    ORR_JOIN_ALL_COMPLETED,
    ORR_JOIN_ANY,
    ORR_JOIN_DONE,
    ORR_JOIN_FAILED,
    ORR_JOIN_NEED
} orr_join;
typedef enum {
    ORR_PRIO_CRITICAL,
    ORR_PRIO_HIGH,
    ORR_PRIO_NORMAL,
    ORR_PRIO_LOW,
    ORR_PRIO_BACKGROUND,
    ORR_PRIO_COUNT
} orr_priority;
/* of a workflow */
typedef enum { ORR_ON_ERROR_STOP, ORR_ON_ERROR_DRAIN, ORR_ON_ERROR_CONTINUE } orr_on_error;
/* of a node with `each`, once more items have failed than may */
typedef enum {
    ORR_EACH_STOP,    /* the others are cancelled */
    ORR_EACH_DRAIN,   /* those that have begun go on, the others are cancelled */
    ORR_EACH_CONTINUE /* all of them run; then the node fails */
} orr_each_on_failure;
typedef enum {
    ORR_BACKOFF_FIXED,
    ORR_BACKOFF_LINEAR,
    ORR_BACKOFF_EXPONENTIAL,
    ORR_BACKOFF_RANDOM
} orr_backoff;
typedef enum { ORR_JITTER_NONE, ORR_JITTER_FULL, ORR_JITTER_EQUAL } orr_jitter;

/* Retries after a failed attempt. Durations in nanoseconds. `on` and `unless` are arrays of
 * error codes, owned by the plan once the policy is added (the builder copies them). */
typedef struct orr_retry {
    uint32_t max;     /* retries after the first attempt; 0 = none */
    uint8_t strategy; /* orr_backoff */
    uint8_t jitter;   /* orr_jitter */
    int64_t delay;
    int64_t max_delay; /* 0 = no cap */
    int64_t after_max; /* of the wait that an error asks for; 0 = an hour */
    double factor;     /* exponential growth; 0 = 2 */
    const char *const *on;
    uint32_t n_on;
    const char *const *unless;
    uint32_t n_unless;
} orr_retry;

enum { ORR_RETRY_POLICIES = 8 };

/* What nodes may share. A workflow has few distinct policies, so a node carries only an index. */
typedef struct orr_policy {
    uint8_t join;     /* orr_join */
    uint8_t priority; /* orr_priority */
    /* with ORR_JOIN_NEED or ORR_JOIN_ANY: cancel dependencies that have not settled */
    bool cancel_rest;
    bool ignore_errors; /* on_error = "ignore" */
    bool stops;         /* on_error = "stop": also a run that continues after failures */
    /* handles = false: it handles no failure, and is a cleanup node whatever its join */
    bool watches;
    bool has_when; /* the flags say what the evaluate hook can be asked for this node */
    bool has_each;
    bool has_loop;
    bool has_fallback;
    bool has_compensate;
    bool pool_is_dynamic;    /* pool name comes from the evaluate hook */
    bool pool_hold;          /* a task keeps its place from its first start until it has settled */
    bool failures_percent;   /* each_failures is a percentage */
    uint32_t need;           /* with ORR_JOIN_NEED */
    double each_failures;    /* items that may fail */
    uint8_t each_on_failure; /* orr_each_on_failure */
    uint32_t each_parallel;  /* items that may have begun and not settled; 0 = no bound */
    uint32_t loop_max;       /* iterations, of which the last must be done; 0 = no bound */
    uint32_t loop_times;     /* iterations of a loop that only counts; 0 = `until` is asked */
    int64_t loop_delay;      /* ns between iterations */
    int64_t timeout;         /* ns an attempt; 0 = none */
    int64_t deadline;        /* ns all attempts, from ready; 0 = none */
    int64_t heartbeat;       /* ns between signs of life; 0 = none */
    /* ns, for the critical path and the order of ready nodes; 0 = unknown, unless it is instant */
    int64_t estimate;
    bool instant;        /* an estimate of 0 */
    const char *pool;    /* static pool name or NULL; copied */
    const char *breaker; /* breaker name or NULL; copied */
    orr_retry retry;
    /* of a list of retry policies those after `retry`: the first that fits an error decides */
    const orr_retry *retries;
    uint32_t n_retries; /* at most ORR_RETRY_POLICIES - 1 */
    /* ns an attempt of the compensation; 0 = none. `heartbeat` bounds it as well */
    int64_t compensate_timeout;
    orr_retry compensate_retry;          /* counted from the first attempt of the compensation */
    const orr_retry *compensate_retries; /* those after it, as of `retries` */
    uint32_t n_compensate_retries;
} orr_policy;

/* What holds for the whole workflow. */
typedef struct orr_plan_options {
    const char *name;        /* copied; NULL is "workflow" */
    uint8_t on_error;        /* orr_on_error */
    uint32_t concurrency;    /* 0 = no bound */
    int64_t timeout;         /* ns a run; 0 = none */
    int64_t cleanup_timeout; /* ns; 0 = 30 s */
} orr_plan_options;

/* An edge's port: ORR_PORT_ANY for a plain dependency, otherwise the index of a named outcome. */
#define ORR_PORT_ANY UINT16_MAX

/* Arrays of which nothing is needed are NULL (out_to and in_from of a plan without edges, ports
 * without ports). */
typedef struct orr_plan {
    orr_alloc alloc;
    uint32_t refs; /* runs and owners that hold it; orr_plan_unref frees at zero */
    uint32_t n_nodes, n_edges, n_layers, n_policies, n_ports;
    orr_on_error on_error;
    uint32_t concurrency;
    int64_t timeout, cleanup_timeout;
    char *name;
    /* CSR both ways. out_to[out_first[i] .. out_first[i+1]) are i's dependents in order of the
     * edges' creation; in_from likewise its dependencies. out_edge / in_edge give the edge's
     * number (NULL when no edge has a port or a `when`, which is the common case and saves the
     * memory). */
    uint32_t *out_first, *out_to, *in_first, *in_from;
    uint32_t *out_edge, *in_edge;
    uint16_t *edge_port;  /* by edge number; NULL as above */
    uint8_t *edge_when;   /* 1 = ask the evaluate hook; by edge number; NULL as above */
    uint16_t *policy_of;  /* by node */
    orr_policy *policies; /* 0 is the default policy */
    uint32_t *layer_of;   /* by node, from 0 */
    uint32_t *layer_size; /* by layer */
    /* by node: ns of the longest path from its start to the end, by estimates; a node without one
     * counts as the mean of the others. NULL where no node has one */
    int64_t *rank;
    char **ports;      /* interned outcome names */
    char *names;       /* node names, NUL-terminated, one after another; NULL when no node has one */
    uint32_t *name_at; /* by node: offset into names, ORR_NONE for a nameless node */
    size_t names_size;
    bool plain; /* no edge has a port or a `when` */
    /* plain, not ranked, and no policy of it asks for more than dependencies, retries and
     * priorities: its runs may take the fast path (fast_path.c) */
    bool fast_path;
    bool forward; /* every edge goes from a lower to a higher index: 0..n-1 is a topological order */
    struct orr_chunk *strings; /* the bytes behind policies and ports */
} orr_plan;

typedef struct orr_plan_builder orr_plan_builder;

/* What the builder found wrong. One call may find many; each is reported on its own. */
typedef enum {
    ORR_BAD_DUPLICATE_NAME, /* a = the later node, b = the first one of that name */
    /* a = from, b = to: for each edge beyond the first of the same from, to and port */
    ORR_BAD_DUPLICATE_EDGE,
    ORR_BAD_SELF_EDGE,    /* a = b = the node */
    ORR_BAD_UNKNOWN_NODE, /* a = from, b = to: an index out of range */
    /* path[0..n_path): each depends on the one before, the first on the last. Once for each
     * strongly connected component, its shortest cycle, from the lowest index on; where a
     * component is too large to search whole, the shortest one found with bounded work */
    ORR_BAD_CYCLE,
    ORR_BAD_NEED,      /* a = node: `need` is 0 or more than the nodes it depends on */
    ORR_BAD_EMPTY,     /* no node at all */
    ORR_BAD_MIXED_EDGE /* a = from, b = to: both a plain and an outcome edge between two nodes */
} orr_bad;

typedef struct orr_problem {
    orr_bad kind;
    uint32_t a, b;
    const uint32_t *path; /* valid during the call */
    uint32_t n_path;
} orr_problem;

typedef void (*orr_problem_fn)(void *ud, const orr_problem *problem);

/* Fills in the default policy: join `all`, priority `normal`, nothing else set. */
void orr_policy_init(orr_policy *policy);

/* Starts a plan. NULL when out of memory. `alloc` is copied (NULL: the C library's heap),
 * `options` too (NULL: the defaults). A call that fails below changes nothing; the builder stays
 * usable. */
orr_plan_builder *orr_plan_begin(const orr_alloc *alloc, const orr_plan_options *options);

/* Makes room at once for a graph whose size (in total) is known; only an optimisation. */
orr_status orr_plan_reserve(orr_plan_builder *b, uint32_t nodes, uint32_t edges);

/* Adds a policy and stores its index; one that is equal by value, its strings included, is
 * shared. Policy 0 is that of orr_policy_init. ORR_ENOMEM; ORR_EINVAL for a field out of range
 * (an enum, a negative duration, a factor or failure limit that is negative or not a number, a
 * code that is NULL) or beyond 65,535 different ones. */
orr_status orr_plan_policy(orr_plan_builder *b, const orr_policy *policy, uint16_t *index);

/* Adds a node and stores its index (`index` may be NULL). `name` may be NULL (`len` 0) and is
 * copied. ORR_ENOMEM; ORR_EINVAL for a name with a NUL byte in it or a policy that was not
 * added. */
orr_status orr_plan_node(orr_plan_builder *b, const char *name, size_t len, uint16_t policy, uint32_t *index);

/* Interns the name of an outcome. ORR_ENOMEM; ORR_EINVAL for an empty name, one with a NUL byte
 * in it, or beyond 65,535 different ones. */
orr_status orr_plan_port(orr_plan_builder *b, const char *name, size_t len, uint16_t *port);

/* Adds the dependency of `to` on `from`; nodes may be added after edges that name them.
 * ORR_ENOMEM; ORR_EINVAL for a port that was not interned. */
orr_status orr_plan_edge(orr_plan_builder *b, uint32_t from, uint32_t to, uint16_t port, bool when);

/* Compiles and frees the builder whatever comes of it. ORR_OK and *plan with one reference;
 * ORR_EINVAL after every mistake was reported (all of them, not the first); ORR_ENOMEM, perhaps
 * after some were. Takes time linear in nodes and edges. `report` may be NULL. */
orr_status orr_plan_end(orr_plan_builder *b, orr_problem_fn report, void *ud, orr_plan **plan);

/* Frees a builder that is given up; NULL is allowed. */
void orr_plan_abandon(orr_plan_builder *b);

/* One more holder, one less; the last one frees the plan. NULL is allowed. Not for several
 * threads at once. */
void orr_plan_ref(orr_plan *plan);
void orr_plan_unref(orr_plan *plan);

/* The node's name or NULL. */
const char *orr_plan_name(const orr_plan *plan, uint32_t node);
/* The node of that name or ORR_NONE; linear, for tools and tests, not for hot paths. */
uint32_t orr_plan_find(const orr_plan *plan, const char *name);
/* The outcome of that name or ORR_PORT_ANY when no edge asks for it. */
uint16_t orr_plan_find_port(const orr_plan *plan, const char *name, size_t len);

/* The longest path by `estimate` (nodes without one count as `unknown` ns, not negative). Fills
 * path (room for n_layers) from a node without dependencies on, stores its duration in *total
 * and returns its length in nodes; 0 when out of memory. Of equal paths it is the one whose
 * nodes, from the last on, have the lowest index and the earliest edges. */
uint32_t orr_plan_critical_path(const orr_plan *plan, int64_t unknown, uint32_t *path, int64_t *total);

/* Bytes the plan holds, for `bench` and `plan`. */
size_t orr_plan_bytes(const orr_plan *plan);

#endif
