/* orrery.h - the workflow engine that fits inside your program: the C API. What is not here is not
 * API.
 *
 * A runtime holds workflows and their runs. It does its work only in orr_step and orr_wait, on the
 * thread that calls them; it starts no thread that was not asked for (config.store asks for one,
 * which writes; config.watchdog for another), installs no signal handler (config.watchdog asks for
 * one, for SIGURG), writes to no stream and never exits. With the first command (`exec`) it starts
 * a process beside this program, which ends the commands when this program has ended.
 *
 * Threads. Unless said otherwise a function is called on the thread of its runtime, which is any
 * one at a time; runtimes with a lua_State of their own may be on different threads.
 *
 * Callbacks. Unless said otherwise a function may also be called from within the runtime's
 * callbacks (on_error, on_event, start and cancel of a node type, orr_node_fn), from handlers
 * through functions of the host's in Lua, and from callbacks of the loop. orr_step, orr_wait,
 * orr_close and orr_suspend are refused there with ORR_ESTATE. A call that fails inside on_error
 * is not reported to it. The allocator calls nothing of this header.
 *
 * Cost. Asking and steering take some microseconds, and what is handed out time in proportion to
 * its size; what waits for the disk, runs code of the user's or takes longer says so.
 *
 * Arguments. A pointer to a runtime, workflow, builder, struct or text that may not be NULL is
 * answered with ORR_EINVAL, NULL, 0 or an id of zeros, and so is a struct whose `size` was not
 * set.
 *
 * Strings are UTF-8 and NUL-terminated. What is passed in is copied; what is handed out belongs to
 * the runtime and is valid until the next call with the same runtime, unless said otherwise. Values
 * (inputs, configurations, outputs) cross as JSON texts (RFC 8259), or without text as an
 * orr_value. Times are nanoseconds.
 *
 * Enums only grow at their end. Structs that you fill begin with `size`, which their init function
 * sets: a program that was compiled against an older header keeps working.
 */
#ifndef ORRERY_H
#define ORRERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORR_VERSION_MAJOR 0
#define ORR_VERSION_MINOR 1
#define ORR_VERSION_PATCH 0
#define ORR_VERSION "0.1.0"

#ifndef ORR_API
#define ORR_API __attribute__((visibility("default")))
#endif

struct lua_State;
struct uv_loop_s;

typedef struct orr_runtime orr_runtime;
typedef struct orr_workflow orr_workflow;
typedef struct orr_builder orr_builder;

typedef struct orr_run_id {
    uint8_t bytes[16]; /* a UUIDv7 (RFC 9562); all zero: none */
} orr_run_id;

/* Names a value that the runtime holds: see orr_value_is. */
typedef struct orr_value {
    uint32_t slot, number; /* all zero: none */
} orr_value;

/* ---- status and errors ----------------------------------------------------------------------- */

#define ORR_STATUSES(X)                                                                                      \
    X(OK, 0, "success")                                                                                      \
    X(ENOMEM, -1, "out of memory")                                                                           \
    X(EINVAL, -2, "invalid argument")                                                                        \
    X(ESTATE, -3, "not possible in this state")                                                              \
    X(ENOTFOUND, -4, "there is no such thing")                                                               \
    X(EDEFINITION, -5, "the definition of the workflow has mistakes")                                        \
    X(ESCRIPT, -6, "a script failed")                                                                        \
    X(ESTUCK, -7, "nothing is left that could happen")                                                       \
    X(EIO, -8, "the store cannot be read or written")                                                        \
    X(ESYSTEM, -9, "the system refused it")

#define ORR_STATUS_ENUM(id, value, text) ORR_##id = value,
typedef enum orr_status { ORR_STATUSES(ORR_STATUS_ENUM) } orr_status;
#undef ORR_STATUS_ENUM

/* The text of a status, static; never NULL. May be called from any thread. */
ORR_API const char *orr_strerror(int status);
/* The version of the library; compare with ORR_VERSION. May be called from any thread. */
ORR_API const char *orr_version(void);

/* ---- states ---------------------------------------------------------------------------------- */

#define ORR_NODE_STATES(X)                                                                                   \
    X(PENDING, "pending")                                                                                    \
    X(READY, "ready")                                                                                        \
    X(RUNNING, "running")                                                                                    \
    X(WAITING, "waiting")                                                                                    \
    X(RETRYING, "retrying")                                                                                  \
    X(COMPLETED, "completed")                                                                                \
    X(FAILED, "failed")                                                                                      \
    X(SKIPPED, "skipped")                                                                                    \
    X(CANCELLED, "cancelled")                                                                                \
    X(COMPENSATING, "compensating")                                                                          \
    X(COMPENSATED, "compensated")                                                                            \
    X(COMPENSATION_FAILED, "compensation_failed")

#define ORR_RUN_STATES(X)                                                                                    \
    X(PENDING, "pending")                                                                                    \
    X(RUNNING, "running")                                                                                    \
    X(WAITING, "waiting")                                                                                    \
    X(PAUSED, "paused")                                                                                      \
    X(COMPLETED, "completed")                                                                                \
    X(FAILED, "failed")                                                                                      \
    X(CANCELLED, "cancelled")                                                                                \
    X(COMPENSATING, "compensating")                                                                          \
    X(COMPENSATED, "compensated")                                                                            \
    X(COMPENSATION_FAILED, "compensation_failed")

#define ORR_ENUM_NODE(id, name) ORR_NODE_##id,
typedef enum orr_node_state { ORR_NODE_STATES(ORR_ENUM_NODE) ORR_NODE_STATE_COUNT } orr_node_state;
#undef ORR_ENUM_NODE
#define ORR_ENUM_RUN(id, name) ORR_RUN_##id,
typedef enum orr_run_state { ORR_RUN_STATES(ORR_ENUM_RUN) ORR_RUN_STATE_COUNT } orr_run_state;
#undef ORR_ENUM_RUN

/* The word for a state, as everywhere in Orrery; "?" for a number that is none. May be called
 * from any thread. */
ORR_API const char *orr_node_state_name(orr_node_state state);
ORR_API const char *orr_run_state_name(orr_run_state state);
/* Whether a run in that state has ended. The numbers are in no such order: a run that is being
 * undone (ORR_RUN_COMPENSATING) has not. False for a number that is none: of a run that is not
 * there. May be called from any thread. */
ORR_API bool orr_run_ended(orr_run_state state);

/* What a node waits for, or how it ended: see orr_explain. */
#define ORR_WHYS(X)                                                                                          \
    X(SETTLED, "settled")           /* it has ended; `state`, `skip` and `by` say how */                     \
    X(RUNNING, "running")           /* attempt `count` since `since` */                                      \
    X(DEPENDENCY, "dependency")     /* `by` has not ended; `count` dependencies in all */                    \
    X(RUN_LIMIT, "run_limit")       /* the run's concurrency: `count` of `limit` */                          \
    X(POOL, "pool")                 /* pool `name` is full: `count` of `limit`; `by` has a place */          \
    X(RATE, "rate")                 /* pool `name` has no token before `due` */                              \
    X(BREAKER, "breaker")           /* breaker `name` is open until `due` */                                 \
    X(BACKOFF, "backoff")           /* the next attempt is due at `due` */                                   \
    X(TIMER, "timer")               /* sleeps until `due` */                                                 \
    X(SIGNAL, "signal")             /* waits for the signal `name`, until `due` where that is set */         \
    X(PRIORITY, "priority")         /* could start; `count` others are before it */                          \
    X(PAUSED, "paused")             /* the run is paused */                                                  \
    X(STOPPED, "stopped")           /* the run is ending (`cause`): it will not start */                     \
    X(ITEMS, "items")               /* `count` of `limit` items have ended */                                \
    X(COMPENSATION, "compensation") /* the run is being undone, now its node `by` */                         \
    X(PARALLEL, "parallel")         /* an item: `count` of `limit` others are under way */                   \
    X(LOCK, "lock")                 /* the run waits for its lock, which another has */

#define ORR_ENUM_WHY(id, name) ORR_WHY_##id,
typedef enum orr_why_kind { ORR_WHYS(ORR_ENUM_WHY) ORR_WHY_COUNT } orr_why_kind;
#undef ORR_ENUM_WHY
/* The word for it, as in orr_why_json; "?" for a number that is none. May be called from any
 * thread. */
ORR_API const char *orr_why_kind_name(orr_why_kind kind);

/* ---- opening --------------------------------------------------------------------------------- */

/* Like lua_Alloc: `ptr` NULL allocates, `nsize` 0 frees and returns NULL; a growth that fails
 * returns NULL and leaves the block as it was. Covers the engine's memory and, where the runtime
 * makes the lua_State, Lua's. Called on the runtime's thread only: what its threads need comes from
 * the C library. What libuv allocates for itself stays with libuv (uv_replace_allocator). */
typedef void *(*orr_alloc_fn)(void *ud, void *ptr, size_t osize, size_t nsize);

/* A heap for config.alloc, for hosts to which the time of each call matters: blocks of equal size
 * lie side by side without headers, and taking or giving one back costs a bounded number of
 * steps, however many there are. What is above 8 KB goes to the C library's heap. Memory is taken
 * in pieces of 1 MB, of which only what is used becomes resident, and goes back where nothing
 * of a piece is used any more, but for one. A runtime allocates on its own thread only; a pool is
 * for one thread at a time, so each of several threads has its own.
 *
 *     config.alloc = orr_pool_alloc;
 *     config.alloc_ud = pool; // of orr_pool_open, to be closed after the runtime
 */
typedef struct orr_pool orr_pool;
/* NULL when out of memory. May be called from any thread. */
ORR_API orr_pool *orr_pool_open(void);
/* When nothing of it is in use any more. NULL is allowed. */
ORR_API void orr_pool_close(orr_pool *pool);
/* An orr_alloc_fn; `pool` is one of orr_pool_open. */
ORR_API void *orr_pool_alloc(void *pool, void *ptr, size_t osize, size_t nsize);
/* Bytes taken from the C library. */
ORR_API size_t orr_pool_bytes(const orr_pool *pool);

typedef enum orr_clock_kind {
    ORR_CLOCK_REAL,
    /* jumps to the next deadline whenever nothing can run and nothing outside is under way */
    ORR_CLOCK_VIRTUAL,
    /* stands still until orr_advance: game time, which the host pauses and scales */
    ORR_CLOCK_HOST
} orr_clock_kind;

/* When Lua's collector works, in a lua_State that the runtime made. Never in a call that is not
 * named here, and so never in orr_complete, orr_fail, orr_signal or orr_start. */
typedef enum orr_gc_kind {
    /* in orr_step and orr_wait, at Lua's own pace: a handler pays for what it allocates */
    ORR_GC_AUTO,
    /* in what the work of an orr_step leaves of its budget, and in orr_wait. While that is too
     * little, the work leaves more of it: nothing at half as much again as the last collection has
     * left, half of the budget at three times as much */
    ORR_GC_LEFTOVER,
    /* in orr_gc, and in orr_wait */
    ORR_GC_HOST
} orr_gc_kind;

/* How much of a run in a store survives, and what waits for the disk meanwhile. */
typedef enum orr_durability {
    ORR_DURABLE_STRICT,  /* nothing that depends on a record acts before it is on disk */
    ORR_DURABLE_RELAXED, /* on disk within 50 ms; nothing waits */
    ORR_DURABLE_NONE     /* in memory only: the run has no journal in a durable store */
} orr_durability;

/* An error with its place. Strings are valid during the callback. */
typedef struct orr_error_info {
    int status;       /* an orr_status */
    const char *code; /* "definition", "handler_error", ...; never NULL */
    /* one sentence, several lines where a definition has several mistakes; never NULL */
    const char *message;
} orr_error_info;

/* What events tell of. The first are those of the engine, as the manual says; `emitted` is every
 * event of a handler's (ctx:emit), by any name. */
#define ORR_EVENT_KINDS(X)                                                                                   \
    X(RUN_STARTED, "run_started")                                                                            \
    X(NODE_READY, "node_ready")                                                                              \
    X(NODE_STARTED, "node_started")                                                                          \
    X(NODE_WAITING, "node_waiting")                                                                          \
    X(NODE_RESUMED, "node_resumed")                                                                          \
    X(NODE_RETRYING, "node_retrying")                                                                        \
    X(NODE_EXPANDED, "node_expanded")                                                                        \
    X(NODE_ITERATED, "node_iterated")                                                                        \
    X(NODE_COMPLETED, "node_completed")                                                                      \
    X(NODE_FAILED, "node_failed")                                                                            \
    X(NODE_SKIPPED, "node_skipped")                                                                          \
    X(NODE_CANCELLED, "node_cancelled")                                                                      \
    X(NODE_SILENT, "node_silent")                                                                            \
    X(LAYER_COMPLETED, "layer_completed")                                                                    \
    X(RUN_STOPPING, "run_stopping")                                                                          \
    X(RUN_PAUSED, "run_paused")                                                                              \
    X(RUN_RESUMED, "run_resumed")                                                                            \
    X(RUN_STALLED, "run_stalled")                                                                            \
    X(RUN_COMPLETED, "run_completed")                                                                        \
    X(RUN_FAILED, "run_failed")                                                                              \
    X(RUN_CANCELLED, "run_cancelled")                                                                        \
    X(BREAKER_OPENED, "breaker_opened")                                                                      \
    X(BREAKER_HALF_OPEN, "breaker_half_open")                                                                \
    X(BREAKER_CLOSED, "breaker_closed")                                                                      \
    X(RUN_RECOVERED, "run_recovered")                                                                        \
    X(NODE_INTERRUPTED, "node_interrupted")                                                                  \
    X(RUN_COMPENSATING, "run_compensating")                                                                  \
    X(NODE_COMPENSATING, "node_compensating")                                                                \
    X(NODE_COMPENSATED, "node_compensated")                                                                  \
    X(NODE_COMPENSATION_FAILED, "node_compensation_failed")                                                  \
    X(RUN_COMPENSATED, "run_compensated")                                                                    \
    X(RUN_COMPENSATION_FAILED, "run_compensation_failed")                                                    \
    X(LOG, "log")                                                                                            \
    X(PROGRESS, "progress")                                                                                  \
    X(RUN_BLOCKED, "run_blocked")                                                                            \
    X(RUN_SUSPENDED, "run_suspended")                                                                        \
    X(RUN_REFUSED, "run_refused")                                                                            \
    X(RUN_WAITING, "run_waiting")                                                                            \
    X(EMITTED, "emitted")

#define ORR_ENUM_KIND(id, name) ORR_EVENT_##id,
typedef enum orr_event_kinds { ORR_EVENT_KINDS(ORR_ENUM_KIND) ORR_EVENT_KIND_COUNT } orr_event_kinds;
#undef ORR_ENUM_KIND
/* For config.events, or-ed. */
#define ORR_EVENT_BIT(kind) (UINT64_C(1) << (kind))
/* The word for a kind; "?" for a number that is none. May be called from any thread. */
ORR_API const char *orr_event_kind_name(orr_event_kinds kind);

/* An event. What it does not have is NULL, 0, or what is said here. */
typedef struct orr_event_info {
    size_t size;
    orr_event_kinds kind;
    const char *name; /* the same as a word; of an emitted one the handler's */
    int64_t time;     /* by orr_time, in whole µs */
    orr_run_id run;
    void *data; /* the host's pointer of the run, while the runtime holds that */
    const char *workflow, *node;
    uint32_t item, iteration, attempt; /* from 1 */
    const char *code, *message;        /* of the error; a message also of a log line and of progress */
    const char *level;                 /* of a log line: "debug", "info", "warn", "error" */
    int64_t due;                       /* when the node goes on; -1: not by time */
    int64_t took;                      /* of an attempt that has ended, ns; -1: not known */
    double fraction;                   /* of progress, 0 to 1; below 0: not known */
    orr_value fields;                  /* all that orr_config.on_event has as JSON */
} orr_event_info;

/* What a script logs, or prints. All of it is valid during the call. */
typedef struct orr_log_line {
    const char *level; /* "debug", "info", "warn", "error"; "print" */
    const char *message;
    orr_value fields; /* an object; none */
    int64_t time;
    orr_run_id run; /* all zero: of none, or it was printed */
    void *data;     /* the host's pointer of that */
    const char *node;
} orr_log_line;

typedef struct orr_config {
    size_t size;
    orr_alloc_fn alloc; /* NULL: the C library's heap */
    void *alloc_ud;
    struct uv_loop_s *loop; /* borrowed; NULL: the runtime makes its own, or takes that of luv in `lua` */
    /* borrowed, Lua 5.4, with the standard libraries open; NULL: the runtime makes its own. Several
     * runtimes may have it, one after the other or at the same time, on one loop; the allocator of
     * the first is used until it is closed. Scripts that name no runtime (flow.start,
     * flow.runtime()) use the one that was opened last; handlers that of their run */
    struct lua_State *lua;
    int clock; /* orr_clock_kind */
    /* where a virtual clock or the host's starts; ns since the Unix epoch; 0: a fixed date */
    int64_t now;
    int64_t grace; /* between asking a handler to stop and giving it up; 0: 5 s */
    /* stop handlers that never yield at their timeout: one thread, and a handler for SIGURG */
    bool watchdog;
    void *ud; /* for the callbacks */
    /* why a call failed, or what was posted; NULL: only orr_last_error */
    void (*on_error)(void *ud, const orr_error_info *error);
    /* every event of every run as one JSON object */
    void (*on_event)(void *ud, const char *event_json);
    /* where runs keep their journals: "sqlite:PATH" or a path, made where it is missing. NULL:
     * in memory, and runs end with the runtime */
    const char *store;
    int durability;      /* orr_durability of runs that do not say */
    bool resume;         /* as orr_resume_all(rt, 0) at once */
    size_t output_limit; /* the most bytes an output of a run in a store may have as JSON; 0: 16 MiB */
    /* silence in runs of a store that is told by the events node_silent and run_blocked; 0: 30
     * s, below 0: none */
    int64_t watch;
    /* an attempt that the ends of processes have interrupted so often fails with crash_loop; 0:
     * 3 */
    uint32_t crash_limit;
    /* with `watchdog`: processor time after which a callback of a script (a listener of events, one
     * of luv's) that no handler waits for is stopped; 0: 10 s, below 0: never */
    int64_t callback_limit;
    /* make this program a subreaper (PR_SET_CHILD_SUBREAPER) from its first command (`exec`) until
     * orr_close: what loses its parent becomes a child of this program, so that it is found and
     * ended with its command whatever it has done. Children of this program in a session of their
     * own that have ended are then waited for by the runtime after some seconds, others after ten
     * minutes: a program that starts children itself waits for them soon, or leaves this off */
    bool contain;
    /* where the bus is by which runs give each other messages: "redis://HOST:PORT/DATABASE",
     * "unix:///PATH" of a Redis server, or "memory:", in this program. NULL: what ORRERY_BUS says,
     * else in this program */
    const char *bus;
    int gc; /* orr_gc_kind; of no effect with a borrowed lua_State, which collects as it is told */
    /* The most bytes that the runtime and its lua_State may take; 0: no limit. A handler that asks
     * for more fails with out_of_memory, after one collection and not after many: where that makes
     * less room than a sixteenth of the limit, it is as if there were none. A call of this header
     * is ORR_ENOMEM then. The engine's own records may take a sixteenth more. Of no effect
     * with a borrowed lua_State. */
    size_t memory_limit;
    /* The same for a run: the most that one of its handlers may allocate and keep from one wait to
     * the next (with a lua_State of the runtime's own), and about the most that its outputs may
     * take in memory. 0: no limit for handlers, 1 GiB for outputs */
    size_t run_memory_limit;
    /* other threads post (orr_post_complete, ...): orr_wait waits for what they may post, where
     * nothing else is left that could go on, and a host that sleeps on the backend fd of the loop
     * is woken by it. Each step looks at the loop then, which is a system call */
    bool posts;
    /* bytes of memory, about: an output that takes more is read back when it is used, from its
     * store or a file; the rows of a node of the library stand in a file beside the store. 0:
     * 1 MiB */
    size_t large_output;
    /* the events that on_typed_event and orr_next_event are given, ORR_EVENT_BIT or-ed; 0: all.
     * What nobody asks for is never made */
    uint64_t events;
    /* every event of those kinds, between two turns. What it names is valid during the call.
     * Without on_event no JSON is made */
    void (*on_typed_event)(void *ud, const orr_event_info *event);
    /* so many of them are kept for orr_next_event, the latest; 0: none is */
    uint32_t event_queue;
    /* what handlers (ctx:log) and the engine log, between two turns */
    void (*on_log)(void *ud, const orr_log_line *line);
    /* what scripts print is a log line of level "print", at once, and standard output gets nothing
     * of it. With a lua_State of the runtime's own */
    bool log_print;
    /* a run has ended: its output can be asked for. Every run, those of scripts and children too,
     * once; `data` is the host's pointer of it. ORR_RUN_STATE_COUNT: this runtime goes on without
     * it, which was suspended, could not be recorded, or has another owner now */
    void (*on_end)(void *ud, orr_run_id run, orr_run_state state, void *data);
    /* runs in memory keep a journal, so that orr_save can save them. Every attempt, step, signal
     * and output is then recorded, as in a store but in memory: the outputs and steps of a run
     * take their size as JSON once more until it is forgotten, and a step of a handler some µs */
    bool saveable;
} orr_config;

/* Fills in the defaults. Always call it first: orr_open refuses a struct without it. From any
 * thread. */
ORR_API void orr_config_init(orr_config *config);

/* Opens a runtime with that configuration, which is copied; NULL: the defaults. NULL when out of
 * memory (ORR_ENOMEM), when a setting is none (ORR_EINVAL), when the system gives no loop, for lack
 * of descriptors for example (ORR_ESYSTEM), when a borrowed lua_State is not one of Lua 5.4 or
 * already has a runtime on another loop (ORR_ESCRIPT), or when the store cannot be opened
 * (ORR_EIO); config->on_error says which. Takes some ms, and runs Lua. From any thread, which is
 * then the runtime's. */
ORR_API orr_runtime *orr_open(const orr_config *config);

/* Gives up what is under way without waiting for it, calling nothing of the host's but on_error;
 * frees every run, workflow and builder, and what the runtime made itself; its node types are
 * declared no more. Runs that are kept in the store are suspended instead, as by orr_suspend, and
 * what was recorded is on disk when it returns. What was borrowed stays open, with the runtime's
 * handles closing: let the loop turn once before you close it. NULL is allowed. ORR_ESTATE from
 * within a callback, where nothing is done: close it when the call has returned that called it. */
ORR_API int orr_close(orr_runtime *rt);

/* The message of the last call that failed, until the next one fails; "" if there was none. For
 * NULL a sentence that says so. */
ORR_API const char *orr_last_error(const orr_runtime *rt);

/* The lua_State and loop of the runtime, whoever made them. */
ORR_API struct lua_State *orr_lua(orr_runtime *rt);
ORR_API struct uv_loop_s *orr_loop(orr_runtime *rt);

/* ---- values without text --------------------------------------------------------------------- */

/* An orr_value names a value that the runtime holds: the host allocates nothing, and nothing is
 * written as text. One that was handed out in a callback is valid until that callback returns, any
 * other until the next orr_step or orr_wait begins; orr_value_drop ends it earlier. Later it is as
 * one that was never there: reading it gives ORR_VALUE_NONE and what `otherwise` says, which is no
 * error, so that a path can be read without a look at each part. Values belong to their runtime.
 *
 * Reading one costs some ten ns, a part of one about a tenth of a µs; making and setting the same.
 */

typedef enum orr_value_kind {
    ORR_VALUE_NONE, /* there is no such value */
    ORR_VALUE_NULL,
    ORR_VALUE_BOOLEAN,
    ORR_VALUE_INTEGER, /* of 64 bits */
    ORR_VALUE_FLOAT,   /* a double; 1.0 is one, 1 is an integer */
    ORR_VALUE_TEXT,    /* any bytes, UTF-8 as a rule */
    ORR_VALUE_ARRAY,
    ORR_VALUE_OBJECT
} orr_value_kind;

ORR_API orr_value_kind orr_value_is(orr_runtime *rt, orr_value v);
/* What it is; `otherwise` where it is of another kind. A float without a fraction is an integer
 * too, and an integer is a number. */
ORR_API bool orr_value_boolean(orr_runtime *rt, orr_value v, bool otherwise);
ORR_API int64_t orr_value_integer(orr_runtime *rt, orr_value v, int64_t otherwise);
ORR_API double orr_value_number(orr_runtime *rt, orr_value v, double otherwise);
/* A text as it is, with a NUL after it, valid as long as the value; NULL for any other kind. `len`
 * may be NULL. */
ORR_API const char *orr_value_text(orr_runtime *rt, orr_value v, size_t *len);
/* How many items or fields it has; 0 for any other kind. Of an object it takes time in proportion
 * to that. */
ORR_API size_t orr_value_count(orr_runtime *rt, orr_value v);
/* A field of an object, item `i` of an array, from 0. None where there is no such part. An item of
 * a large output may have to be read from the disk: ORR_EIO and ORR_ESCRIPT are then told to
 * config.on_error. */
ORR_API orr_value orr_value_field(orr_runtime *rt, orr_value v, const char *name);
ORR_API orr_value orr_value_item(orr_runtime *rt, orr_value v, size_t i);
/* Goes through the fields of an object, in no order: `name` and `value` are all zero at first, and
 * the same two values are set anew each time. False after the last.
 *
 *     orr_value name = {0}, value = {0};
 *     while (orr_value_next(rt, object, &name, &value)) ...
 */
ORR_API bool orr_value_next(orr_runtime *rt, orr_value object, orr_value *name, orr_value *value);
/* Ends the value, and all that were handed out after it: at the end of each turn of a loop over
 * many items. No effect on one that is not there. */
ORR_API void orr_value_drop(orr_runtime *rt, orr_value v);

/* An empty array, an empty object, to be filled and handed over. None when out of memory. */
ORR_API orr_value orr_value_array(orr_runtime *rt);
ORR_API orr_value orr_value_object(orr_runtime *rt);
/* Set a field of an object; with `name` NULL append to an array. Any value may stand in another,
 * and is not copied. ORR_EINVAL for a part that is none (no finite number, text NULL, a name in
 * an array) and for a value that is not there; ORR_ESTATE for one that was not made here, or that
 * was made before the last one was handed over, by whichever function: what the engine has is not
 * changed. ORR_ENOMEM. */
ORR_API int orr_value_set(orr_runtime *rt, orr_value into, const char *name, orr_value value);
ORR_API int orr_value_set_null(orr_runtime *rt, orr_value into, const char *name);
ORR_API int orr_value_set_boolean(orr_runtime *rt, orr_value into, const char *name, bool flag);
ORR_API int orr_value_set_integer(orr_runtime *rt, orr_value into, const char *name, int64_t n);
ORR_API int orr_value_set_number(orr_runtime *rt, orr_value into, const char *name, double n);
ORR_API int orr_value_set_text(orr_runtime *rt, orr_value into, const char *name, const char *text,
                               size_t len);

/* From JSON and to it. None, NULL: ORR_EINVAL for a text that is not JSON, ORR_ESCRIPT for a value
 * that JSON does not hold (text that is not UTF-8). Takes time in proportion to the size. */
ORR_API orr_value orr_value_from_json(orr_runtime *rt, const char *text);
ORR_API const char *orr_value_json(orr_runtime *rt, orr_value v);

/* ---- native node types ----------------------------------------------------------------------- */

/* Names one attempt of a node. It is safe to keep: one whose attempt has ended is answered with
 * ORR_ESTATE. */
typedef struct orr_token {
    uint64_t a, b;
} orr_token;

/* What an attempt is to do. All of it is valid during the call. */
typedef struct orr_call {
    orr_token token;
    const char *config; /* JSON of the node's configuration, templates resolved; or NULL: see orr_type */
    const char *inputs; /* JSON of its dependencies' outputs by node name; or NULL */
    uint32_t attempt;   /* from 1 */
    orr_run_id run;
    void *run_data;     /* the host's: see orr_set_run_data */
    const char *node;   /* its name */
    uint32_t item;      /* of a node with `each`, from 1; 0: none */
    uint32_t iteration; /* of a node with `loop`, from 1 */
    int64_t deadline;   /* when the attempt times out, by orr_time; INT64_MAX: never */
    /* the same for every attempt of this (run, node, item, iteration), and for nothing else: a
     * UUID, for services that take one */
    const char *idempotency_key;
    orr_value config_value, inputs_value; /* the two as values */
} orr_call;

typedef struct orr_type {
    size_t size;
    const char *name; /* "mail.send" */
    const char *doc;  /* one sentence, for `orrery types`; may be NULL */
    void *ud;
    /* Starts an attempt and returns soon. It ends with orr_complete or orr_fail, within this
     * call or at any later time. */
    void (*start)(void *ud, orr_runtime *rt, const orr_call *call);
    /* Asks an attempt to stop; it still ends with orr_complete or orr_fail, and is given up
     * after the grace. May be NULL. */
    void (*cancel)(void *ud, orr_runtime *rt, orr_token token);
    bool values; /* it reads values: no JSON is made, and config and inputs of orr_call are NULL */
} orr_type;

/* Registers a node type under which workflows loaded later may have nodes, until orr_unregister
 * or orr_close. The struct and its texts are copied. ORR_EINVAL for a name that is taken or not
 * one. */
ORR_API int orr_register(orr_runtime *rt, const orr_type *type);
/* Takes a type back that this runtime has registered: its name is free again. Nodes that were
 * loaded keep it, and what is under way goes on. ORR_ENOTFOUND. */
ORR_API int orr_unregister(orr_runtime *rt, const char *name);

/* Ends an attempt with an output (JSON text; NULL is null). ORR_ESTATE when the attempt is over,
 * ORR_EINVAL when the text is not JSON: the attempt then fails with that as its error. What follows
 * from it happens in the next step. orr_post_complete does the same from any thread. */
ORR_API int orr_complete(orr_runtime *rt, orr_token token, const char *output_json);
/* The same with a value. ORR_EINVAL for one that is not there: the attempt goes on. */
ORR_API int orr_complete_value(orr_runtime *rt, orr_token token, orr_value output);
/* Ends an attempt with an error. `code` NULL is handler_error, `message` NULL says nothing;
 * `retryable`: another try may help, where the node's policy has one. ORR_ESTATE as above. */
ORR_API int orr_fail(orr_runtime *rt, orr_token token, const char *code, const char *message, bool retryable);
/* A sign of life, and how far it is (0 to 1; below 0: unknown). `message` may be NULL. ORR_ESTATE
 * as above. */
ORR_API int orr_progress(orr_runtime *rt, orr_token token, double fraction, const char *message);

/* ---- workflows ------------------------------------------------------------------------------- */

/* Loads a workflow from a file: Lua, which is run, or JSON where its name ends in .json. NULL with
 * all its mistakes in orr_last_error. The workflow lives until orr_workflow_free or orr_close, and
 * belongs to this runtime. Takes time in proportion to its size. */
ORR_API orr_workflow *orr_load_file(orr_runtime *rt, const char *path);
/* The same from a text; `name` stands for the file in messages. It is Lua where the name ends in
 * .lua or is NULL, and JSON otherwise, which may then do no more than by orr_load_json with
 * `allow` NULL. */
ORR_API orr_workflow *orr_load_string(orr_runtime *rt, const char *source, const char *name);
/* A definition that is data, whatever its name, and may come from a stranger: it holds no Lua, and
 * does what `allow` says, a JSON object of lists of names: "types" (of nodes), "env" (variables),
 * "paths" (folders), "hosts" (of URLs), "commands" (programs), "modules" (of Lua, that it may
 * require); * in a name stands for any text.
 * NULL, or what is not named: node types that reach nothing outside of their run, and no others. */
ORR_API orr_workflow *orr_load_json(orr_runtime *rt, const char *source, const char *name, const char *allow);
/* Hot reload: gives the workflow the code of `path`, NULL for the file it was loaded from, which is
 * read again with the modules that it requires. Runs that start from now on take the new code; live
 * ones keep theirs. On an error nothing has changed; all mistakes are in orr_last_error. The code
 * has globals, modules and node types (other than those of orr_register) of its own: what it
 * assigns is not seen by other scripts. C modules, and what a searcher of the host's own finds, are
 * loaded once for the whole process and stay. Names that orr_workflow_node has returned are valid
 * no more. Costs what loading costs. ORR_EINVAL for NULL. */
ORR_API int orr_reload(orr_workflow *workflow, const char *path);
/* The same from a text, which is read as by orr_load_string. */
ORR_API int orr_reload_string(orr_workflow *workflow, const char *source, const char *name);
/* Its runs go on. NULL is allowed. */
ORR_API void orr_workflow_free(orr_workflow *workflow);
ORR_API uint32_t orr_workflow_size(const orr_workflow *workflow); /* nodes; 0 for NULL */
/* The name of a node, from 0 in the order in which they were added, as long as the workflow lives;
 * NULL for one that has none, and where there is no such node. */
ORR_API const char *orr_workflow_node(const orr_workflow *workflow, uint32_t node);

/* What a node of a graph built in C does. It runs to its end within the call: ORR_OK completes
 * the node, anything else fails it. */
typedef int (*orr_node_fn)(void *ud, uint32_t node);

/* Builds a workflow of C functions: no Lua, no values, the cheapest nodes there are. NULL when
 * out of memory. */
ORR_API orr_builder *orr_build(orr_runtime *rt, const char *name, uint32_t nodes_expected,
                               uint32_t edges_expected);
/* Adds a node and returns its number, from 0; `name` may be NULL. A negative status on failure. */
ORR_API int64_t orr_build_node(orr_builder *b, const char *name, orr_node_fn fn, void *ud);
/* Node `to` depends on node `from`; either may be added later. ORR_ENOMEM. */
ORR_API int orr_build_edge(orr_builder *b, uint32_t from, uint32_t to);
/* Compiles and frees the builder, whatever comes of it. NULL with all mistakes in
 * orr_last_error. */
ORR_API orr_workflow *orr_build_end(orr_builder *b);
/* Frees a builder that is given up, as orr_close does. NULL is allowed. */
ORR_API void orr_build_free(orr_builder *b);

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct orr_start_options {
    size_t size;
    const char *context_json; /* ctx.context: references that travel with the run; NULL: none */
    uint64_t seed;            /* of every chance in the run; 0: from the run's id */
    uint32_t concurrency;     /* overrides the workflow's where not 0 */
    /* idempotency key: the same one never starts two runs of a workflow. NULL: none. Needs a
     * store */
    const char *key;
    const char *labels_json; /* an object of texts, to find runs by; NULL: none */
    int durability;          /* an orr_durability; -1: that of the runtime */
    /* a UUIDv7 of the caller's, given once: ORR_ESTATE for that of a run that the runtime holds or
     * its store has; all zero: a new one */
    orr_run_id id;
    orr_value input; /* in place of input_json, where it is not all zero */
    void *data;      /* as orr_set_run_data, before anything of the run is done; NULL: none */
} orr_start_options;
/* Fills in the defaults. Always call it first: orr_start refuses a struct without it. */
ORR_API void orr_start_options_init(orr_start_options *options);

/* Starts a run; work happens in steps. `input_json` and `options` may be NULL. All zero with the
 * reason in orr_last_error when the input does not fit the workflow's schema or memory is out.
 * Where a run of that workflow has the key already, its id is returned and nothing is started:
 * one whose process is gone goes on here, any other can be asked; a start with a key waits for
 * the disk. A workflow of orr_build keeps no journal: its nodes are functions of this process.
 * Of a workflow with a lock (`singleton`) the run may be pending until another has ended
 * (on_conflict "queue", "cancel_running"); with "skip" the id of the run that has the lock is
 * returned, and with "fail" it is all zero: ORR_ESTATE, `conflict`. In a store another process may
 * be quicker, and the run that was returned is gone then, with that as its error. */
ORR_API orr_run_id orr_start(orr_runtime *rt, orr_workflow *workflow, const char *input_json,
                             const orr_start_options *options);
ORR_API bool orr_run_id_is_none(orr_run_id id);
/* 36 characters and a NUL, as RFC 9562 writes it. */
ORR_API void orr_run_id_text(orr_run_id id, char text[37]);
/* The id that such a text means; all zero where it means none. */
ORR_API orr_run_id orr_run_id_from_text(const char *text);

/* Works for at most `budget` ns (0: one round) and returns 1 when more could be done at once, 0
 * when everything waits, negative on failure. Never blocks. The budget is counted from the
 * beginning of the call by the monotonic clock, and looked at after each slice, which is what one
 * handler does from one wait to the next: so it is exceeded by one slice at most, which is never
 * cut short. At least one slice is done. ORR_ESTATE from within a callback. */
ORR_API int orr_step(orr_runtime *rt, int64_t budget);
/* Moves the clock of ORR_CLOCK_HOST on by `dt` ns; what has become due is done by the next
 * orr_step. Timeouts, sleeps, backoffs, breakers and rates follow it. A frame gives the time that
 * has passed in the game: nothing while it is paused, a half in slow motion. Native nodes under way
 * do not stop it, and it moves in no other way: orr_wait returns ORR_ESTUCK where nothing else
 * could go on. ORR_EINVAL for less than 0, ORR_ESTATE for any other clock. Costs a few ns; may be
 * called from within callbacks. */
ORR_API int orr_advance(orr_runtime *rt, int64_t dt);
/* Collects garbage for at most about `budget` ns, in pieces of some µs (0: one piece); one piece,
 * which looks at all waiting handlers again, takes longer where there are thousands of them.
 * Returns 1 where there is more to collect, 0 where a collection has come to its end or none is
 * worth its time yet; ORR_ESTATE with a borrowed lua_State. In a loading screen: `while (orr_gc(rt,
 * budget) == 1)`. */
ORR_API int orr_gc(orr_runtime *rt, int64_t budget);
/* What time it is for the runtime: ns since the Unix epoch by the clock it was opened with. */
ORR_API int64_t orr_time(orr_runtime *rt);
/* How long a host may sleep before the next step has something to do, in ns (by the clock of the
 * runtime where that is ORR_CLOCK_HOST): 0 = now, INT64_MAX
 * = until something outside happens. A host that sleeps itself should wait on uv_backend_fd of
 * the loop as well. */
ORR_API int64_t orr_next_deadline(orr_runtime *rt);
/* Runs the loop until the run has ended; while orr_resume_all is at work, first until it has
 * taken the run up. ORR_ENOTFOUND; ORR_ESTUCK when nothing is left that could end it; ORR_ESTATE
 * when it is not run here: another process has it, or nobody; and from within a callback. */
ORR_API int orr_wait(orr_runtime *rt, orr_run_id run);

/* These ask the runtime, and for a run that it does not hold its store. What another process has
 * recorded shows within 100 ms. */

/* ORR_RUN_STATE_COUNT for a run that is not there. */
ORR_API orr_run_state orr_state(orr_runtime *rt, orr_run_id run);
/* The run's output as JSON; NULL while it runs, and where it has none. */
ORR_API const char *orr_output(orr_runtime *rt, orr_run_id run);
/* The output of one node as JSON; NULL where there is none. */
ORR_API const char *orr_node_output(orr_runtime *rt, orr_run_id run, const char *node);
/* The two as values; none where there is none. Of a run that this runtime holds nothing is
 * copied. */
ORR_API orr_value orr_output_value(orr_runtime *rt, orr_run_id run);
ORR_API orr_value orr_node_output_value(orr_runtime *rt, orr_run_id run, const char *node);
/* ORR_NODE_STATE_COUNT for a node that is not there. */
ORR_API orr_node_state orr_node(orr_runtime *rt, orr_run_id run, const char *node);
/* The error of a failed run as JSON {"code", "message", "node"}; NULL for any other. */
ORR_API const char *orr_run_error_json(orr_runtime *rt, orr_run_id run);
/* Why a node has not started, or how it ended, as JSON; NULL with ORR_ENOTFOUND for a node or run
 * that is not there. Of runs that this runtime holds. */
ORR_API const char *orr_why_json(orr_runtime *rt, orr_run_id run, const char *node);
/* All that the store knows of a run as one JSON object: state, times, labels, input, output,
 * nodes with their attempts, steps, signals; as `orrery show --json`. NULL without a store, and
 * for a run that is not there. Waits for the disk. */
ORR_API const char *orr_run_json(orr_runtime *rt, orr_run_id run);

/* Asks a run to end: what runs is cancelled, then its cleanup nodes run; a second call skips
 * those. This one, the next two and orr_signal leave a message in the store where the runtime
 * does not hold the run: the process that has it acts on it within 50 ms, or the one that
 * resumes it. ORR_ENOTFOUND; ORR_ESTATE for a run of the store that has ended. */
ORR_API int orr_cancel(orr_runtime *rt, orr_run_id run);
/* The same with a reason, one sentence: where this is what stops the run, that keeps it as its
 * error (code `cancelled`), and orr_why_json gives it. NULL: none. */
ORR_API int orr_cancel_because(orr_runtime *rt, orr_run_id run, const char *reason);
/* Starts nothing more; what runs goes on. The run's clock stands still: its timeouts, deadlines,
 * backoffs and waits keep what is left of them, but what was asked to stop has its grace. */
ORR_API int orr_pause(orr_runtime *rt, orr_run_id run);
/* Lets a paused run go on; or a run of the store whose process is gone, which this runtime then
 * holds: what was completed keeps its outputs, what was interrupted runs again. Waits for the
 * disk. ORR_ESCRIPT when its code cannot be loaded. */
ORR_API int orr_resume(orr_runtime *rt, orr_run_id run);
/* A signal for a run, with its data (JSON; NULL is null). One that nobody waits for yet is kept.
 * ORR_EINVAL for a text that is not JSON. */
ORR_API int orr_signal(orr_runtime *rt, orr_run_id run, const char *name, const char *data_json);
/* The same with a value. ORR_EINVAL for one that is not there. */
ORR_API int orr_signal_value(orr_runtime *rt, orr_run_id run, const char *name, orr_value data);
/* Forgets an ended run and frees it; a run that is under way is forgotten when it ends. It stays
 * in the store. */
ORR_API int orr_forget(orr_runtime *rt, orr_run_id run);

/* Writes the ids of the runs that this runtime holds (those it runs, and those that have ended and
 * were not forgotten) to `ids`, which has room for so many, and returns how many there are. `ids`
 * may be NULL where there is no room. In no order. Takes time in proportion to their number. */
ORR_API size_t orr_list_runs(orr_runtime *rt, orr_run_id *ids, size_t room);

/* Structs that these fill have `size` set by the caller, `orr_run_info info = {.size = sizeof
 * info}`. They tell of runs that this runtime holds, ORR_ENOTFOUND for any other. ORR_EINVAL
 * where the size was not set. Texts are valid until the next call with the same runtime, names of
 * nodes and workflows as long as the run. */

typedef struct orr_run_info {
    size_t size;
    const char *workflow;
    orr_run_state state;
    void *data;                     /* the host's pointer */
    uint32_t nodes;                 /* for orr_get_node: from 0 */
    uint32_t by_state[16];          /* of its nodes, by orr_node_state */
    uint32_t running, peak_running; /* attempts that hold a place; the most there ever were */
    uint64_t attempts, retries, items;
    int64_t created, started, ended; /* by orr_time; 0: it has not come to that */
    size_t bytes;                    /* that the engine holds for it, without outputs */
} orr_run_info;
ORR_API int orr_get_run(orr_runtime *rt, orr_run_id run, orr_run_info *info);

typedef struct orr_node_info {
    size_t size;
    const char *name;      /* of the node; NULL: it has none */
    const char *item_name; /* of the item; NULL: it has none */
    orr_node_state state;
    uint32_t items, items_failed; /* of the node; 0 before they are known, and for one without */
} orr_node_info;
/* Node `node`, from 0 in the order of orr_workflow_node; of one with `each` item `item`, from 1. 0:
 * the whole node. ORR_ENOTFOUND also where there is none of that number. */
ORR_API int orr_get_node(orr_runtime *rt, orr_run_id run, uint32_t node, uint32_t item, orr_node_info *info);

typedef struct orr_explanation {
    size_t size;
    orr_why_kind kind;    /* ORR_WHY_COUNT: another, which `word` says */
    const char *word;     /* as in orr_why_json */
    orr_node_state state; /* of the node or item */
    const char *by;       /* a node */
    orr_run_id by_run;    /* its run, where that is another; all zero: the same */
    const char *name;     /* of a pool, a breaker, a signal; NULL */
    const char *skip;     /* why it was skipped: "when", "outcome", ...; NULL */
    const char *cause;    /* what ends the run: "failure", "cancel", "timeout", "stall"; NULL */
    uint32_t count, limit;
    int64_t due;   /* by orr_time, in whole µs; 0: by no time */
    int64_t left;  /* in place of `due` while the run's clock stands still; below 0: it does not */
    int64_t since; /* since when the attempt runs; 0 */
} orr_explanation;
/* Why a node, or one of its items, has not started, or how it ended. */
ORR_API int orr_explain(orr_runtime *rt, orr_run_id run, const char *node, uint32_t item,
                        orr_explanation *why);

typedef struct orr_runtime_info {
    size_t size;
    uint32_t runs, live_runs; /* that it holds, as orr_list_runs; of these those that have not ended */
    uint32_t native_attempts; /* that wait for orr_complete or orr_fail */
    uint64_t started;         /* runs, since it was opened */
    size_t bytes;             /* it and its lua_State have taken; of a borrowed one 0 */
    uint64_t events_lost;     /* for which config.event_queue had no room */
} orr_runtime_info;
/* Figures of the runtime. Takes time in proportion to the number of runs. */
ORR_API int orr_get_runtime(orr_runtime *rt, orr_runtime_info *info);

/* The oldest event that was kept (config.event_queue): 1, and it is taken; 0 where there is none.
 * Its texts are valid until the next call, `fields` as any value. ORR_ESTATE where none is kept,
 * ORR_EINVAL where `size` was not set. */
ORR_API int orr_next_event(orr_runtime *rt, orr_event_info *event);

/* The host's pointer of a run, such as the character that it moves: whatever is called for the run
 * (orr_call) is given it. It is kept in memory only: a run that goes on from the store has none
 * until it is set, and child runs have their own. Of runs that this runtime holds; NULL, or
 * ORR_ENOTFOUND, for any other. */
ORR_API void *orr_run_data(orr_runtime *rt, orr_run_id run);
ORR_API int orr_set_run_data(orr_runtime *rt, orr_run_id run, void *data);

/* ---- saving and loading ---------------------------------------------------------------------- */

/* Take so many bytes of a save; 0, or anything else: it could not, and the save fails. */
typedef int (*orr_write_fn)(void *ud, const void *bytes, size_t size);
/* Gives the next bytes of a save, as many as there is room for or fewer: how many. 0 at its end,
 * below 0: it could not. */
typedef int64_t (*orr_read_fn)(void *ud, void *to, size_t room);

/* Writes every live run, from a store too, as a saved game: their journals, with a version and a
 * checksum, in pieces. The runs go on. ORR_ESTATE from within a callback, and where a run keeps
 * no journal (without config.saveable; a graph of orr_build that is under way) or has large
 * outputs, which stand beside it in its store; ORR_EIO where `write` fails, ORR_ENOMEM. Takes
 * time in proportion to what the journals hold; with a store it waits for the disk. */
ORR_API int orr_save(orr_runtime *rt, orr_write_fn write, void *ud);

/* Lets the runs of a save go on in this runtime, which has config.saveable and no store
 * (ORR_ESTATE), under their ids: nodes that had completed keep their outputs, steps their
 * results, sleeps what is left of them; what was under way begins again, as in a run that is
 * resumed from a store. The workflows were loaded before, by their names: ORR_ENOTFOUND where one
 * is missing, ORR_EDEFINITION where its definition is another now; what its handlers say may be
 * new. Register node types first. A clock of the host's or a virtual one goes on from the time of
 * the save, where it is not past that. Bytes that are no save, cut off or changed, or of another
 * version, are ORR_EINVAL. A run that is there already is ORR_ESTATE (`duplicate_id`). All is
 * loaded or nothing. The host's pointers are to be set anew (orr_list_runs, orr_set_run_data). */
ORR_API int orr_load(orr_runtime *rt, orr_read_fn read, void *ud);

/* ---- from any thread ------------------------------------------------------------------------ */

/* orr_complete, orr_fail and orr_signal from any thread, while the runtime is open: orr_close is
 * called when no thread posts any more. What is posted is copied, and takes effect in the next
 * orr_step, or at once in orr_wait, in the order in which it was posted. ORR_OK: it is on its way,
 * and what comes of it only config.on_error is told (ORR_ESTATE: the attempt is over). ORR_ENOMEM;
 * ORR_EINVAL for NULL; ORR_ESYSTEM. Costs one allocation of the C library's and a write to a
 * descriptor, and takes no lock. With config.posts orr_wait waits for it, and a host that sleeps on
 * the backend fd of the loop is woken. */
ORR_API int orr_post_complete(orr_runtime *rt, orr_token token, const char *output_json);
ORR_API int orr_post_fail(orr_runtime *rt, orr_token token, const char *code, const char *message,
                          bool retryable);
ORR_API int orr_post_signal(orr_runtime *rt, orr_run_id run, const char *name, const char *data_json);
/* Wakes the loop in orr_wait, or a host that sleeps on its backend fd; nothing else. From any
 * thread, and from a signal's handler. */
ORR_API int orr_post_wake(orr_runtime *rt);

/* ---- the store ------------------------------------------------------------------------------- */

/* Lets the unfinished runs of the store whose process is gone go on, oldest first, and returns
 * at once: orr_step and orr_wait take them up one by one, each with one flush of the disk, while
 * fewer than `limit` (0: 64) of them are under way; those that wait for a time or a signal do
 * not count. An event run_recovered tells of each, config.on_error of each that cannot go on.
 * Register the node types that they need first. ORR_ESTATE without a store. */
ORR_API int orr_resume_all(orr_runtime *rt, uint32_t limit);
/* Whether it is still at that. */
ORR_API bool orr_resuming(const orr_runtime *rt);

/* Runs what failed or was cancelled in an ended run of the store, and all that follows from it,
 * again. ORR_ENOTFOUND, ORR_ESTATE for a run that has not failed, ORR_ESCRIPT when its code
 * cannot be loaded. Waits for the disk. */
ORR_API int orr_retry_run(orr_runtime *rt, orr_run_id run);
/* The same, and also the items that failed of nodes that completed, because each_failures allows
 * it, in a run that may have completed. ORR_ESCRIPT also where there is no such item. */
ORR_API int orr_retry_items(orr_runtime *rt, orr_run_id run);

/* Lets a run go in good order: this or another process can resume it, and no attempt is blamed.
 * ORR_ENOTFOUND, ORR_ESTATE for one that is kept in no store or has ended, and from within a
 * callback. */
ORR_API int orr_suspend(orr_runtime *rt, orr_run_id run);

/* Waits until everything that was recorded is on disk: for runs that are not strict. ORR_EIO. */
ORR_API int orr_sync(orr_runtime *rt);

/* Writes a copy of the store, with all that was recorded until now, to the file `path`, and the
 * rows of large outputs to the folder PATH-rows: what `orrery backup` does, and what
 * `orrery restore` takes. Runs of other processes go on meanwhile; this call waits for the disk,
 * for a time that grows with the store. `path` is only read during the call. May be called from a
 * callback. The file has its name once it is whole; after ORR_EIO or ORR_ENOMEM remove what this
 * call left. ORR_EINVAL where the file is there already, or its folder is not; ORR_ESTATE without
 * a store; ORR_EIO where it cannot be written, and for a store that is in no file. */
ORR_API int orr_backup(orr_runtime *rt, const char *path);

#ifdef __cplusplus
}
#endif
#endif
