/* core.h - the room `core`, which decides: a deterministic state machine, sans I/O. Every room
 * above may use it; it uses none of them.
 *
 * Events and a time go in (orr_run_begin, orr_task_end, orr_core_advance ...); actions come out
 * (orr_core_next), records and events leave through hooks in the order they happen. The core never
 * reads a clock, never calls the system, Lua or libuv, and has no globals. An equal sequence of
 * calls gives an equal sequence of actions. It is not re-entrant: no hook may call back into the
 * core.
 *
 * Times are nanoseconds since the Unix epoch on a clock that never goes back, supplied by the
 * caller. A run has a time of its own, which is never before its last record, and a clock, which
 * stands still while the run is paused: see orr_run_time.
 */
#ifndef ORR_CORE_H
#define ORR_CORE_H

#include "core/alloc.h"
#include "core/mix.h"
#include "core/plan/plan.h"
#include "core/reason.h"
#include "core/timer.h"
#include "core/trace.h"

typedef struct orr_core orr_core;
typedef struct orr_run orr_run;

/* ---- states ---------------------------------------------------------------------------------- */

/* Whether the transition tables allow the step. */
bool orr_node_may_go(orr_node_state from, orr_node_state to);
bool orr_run_may_go(orr_run_state from, orr_run_state to);
/* completed, failed, skipped, cancelled and the three ends of a compensation */
bool orr_node_settled(orr_node_state s);

/* ---- identity -------------------------------------------------------------------------------- */

/* A task is what can be attempted: a node, or one item of a node with `each`. `item` is ORR_NONE
 * for a node without items and for the node as a whole. `attempt` counts from 1 and never repeats
 * within (run, node, item, iteration), so it distinguishes a late completion from a current one. */
typedef struct orr_task {
    uint32_t node, item, iteration, attempt;
} orr_task;

/* ---- errors of a node ------------------------------------------------------------------------ */

typedef struct orr_error {
    const char *code;    /* "timeout", "handler_error", ...; never NULL */
    const char *message; /* one sentence; never NULL */
    bool not_retryable;  /* the error itself says that another try is of no use */
    /* ns from now, or -1: wait this long before the next attempt instead of the backoff */
    int64_t retry_after;
    uint64_t value; /* the caller's handle to the whole error, passed through to records */
} orr_error;

/* ---- asking the caller to evaluate (pure, synchronous) --------------------------------------- */

typedef enum {
    ORR_ASK_WHEN,      /* a node's `when`             -> truth */
    ORR_ASK_EDGE_WHEN, /* an edge's `when`            -> truth; `edge` says which */
    ORR_ASK_EACH,      /* a node's list               -> count; the caller keeps the list */
    ORR_ASK_UNTIL,     /* a loop's `until` after an iteration completed -> truth */
    ORR_ASK_POOL       /* a keyed pool's name         -> name (valid until the hook is called again) */
} orr_ask_kind;

typedef struct orr_ask {
    orr_ask_kind kind;
    orr_task task;
    uint32_t edge;
} orr_ask;

typedef struct orr_answer {
    bool truth;
    uint32_t count;
    const char *name;
    uint64_t value;  /* ORR_ASK_EACH: handle to the list, passed on to the record */
    orr_error error; /* filled where the hook returns false; strings valid until it is called again */
} orr_answer;

/* ---- journal records ------------------------------------------------------------------------- */

#define ORR_RECORDS(X)                                                                                       \
    X(RUN_CREATED, "run_created")                                                                            \
    X(ATTEMPT_STARTED, "attempt_started")                                                                    \
    X(ATTEMPT_FAILED, "attempt_failed")                                                                      \
    X(COMPLETED, "completed")                                                                                \
    X(FAILED, "failed")                                                                                      \
    X(SKIPPED, "skipped")                                                                                    \
    X(CANCELLED, "cancelled")                                                                                \
    X(EXPANDED, "expanded")                                                                                  \
    X(ITERATED, "iterated")                                                                                  \
    X(WAITING, "waiting")                                                                                    \
    X(WOKEN, "woken")                                                                                        \
    X(READY, "ready")                                                                                        \
    X(EDGE, "edge")                                                                                          \
    X(STOPPING, "stopping")                                                                                  \
    X(CLEANUP, "cleanup")                                                                                    \
    X(PAUSED, "paused")                                                                                      \
    X(RESUMED, "resumed")                                                                                    \
    X(HELD, "held")                                                                                          \
    X(RUN_ENDED, "run_ended")                                                                                \
    X(INTERRUPTED, "interrupted")                                                                            \
    X(SUSPENDED, "suspended")                                                                                \
    X(STEP, "step")                                                                                          \
    X(SIGNAL, "signal")                                                                                      \
    X(RETRIED, "retried")                                                                                    \
    X(COMPENSATING, "compensating")                                                                          \
    X(COMPENSATED, "compensated")                                                                            \
    X(COMPENSATION_FAILED, "compensation_failed")                                                            \
    X(BEGUN, "begun")

#define ORR_ENUM_RECORD(id, name) ORR_REC_##id,
typedef enum { ORR_RECORDS(ORR_ENUM_RECORD) ORR_RECORD_COUNT } orr_record_kind;
#undef ORR_ENUM_RECORD
const char *orr_record_name(orr_record_kind kind);

/* One fact about a run. State is a fold over records: live state and recovered state come from
 * the same orr_run_fold. Pointers are valid during the hook only. */
typedef struct orr_record {
    orr_record_kind kind;
    uint64_t seq; /* within the run, from 1 */
    /* not before that of the record before it, even where the clock was set back between two
     * processes */
    int64_t time;
    orr_task task; /* node ORR_NONE where the record concerns the whole run */
    uint8_t phase; /* orr_phase of an attempt */
    /* by kind: orr_skip_reason, orr_stop_cause, orr_run_state, orr_source of COMPLETED, whether
     * FAILED and ATTEMPT_FAILED end an attempt of which nobody knows what it did
     * (orr_run_uncertain), truth of an edge, whether an INTERRUPTED attempt counts towards
     * crash_loop, orr_retried of RETRIED, whether RUN_CREATED waits to be let begin */
    uint8_t reason;
    uint16_t port; /* COMPLETED: the outcome taken, ORR_PORT_ANY for none */
    /* EXPANDED: items. EDGE: the edge's number. ATTEMPT_FAILED: which of several retry policies
     * decided, from 1 on; 0 where there is one */
    uint32_t count;
    /* ATTEMPT_FAILED, WAITING, ITERATED, HELD, STEP: when it goes on, unless a pause comes
     * between; -1 = not by time. RESUMED: how long the run's clock stood still. EXPANDED, CLEANUP,
     * RETRIED of old journals: from when bounds that begin with it count, where that is not `time`
     * (0) */
    int64_t due;
    uint64_t value;         /* the caller's handle: output, list or error */
    const orr_error *error; /* FAILED, ATTEMPT_FAILED, CANCELLED, RUN_ENDED; else NULL */
} orr_record;

/* Where the output of a completed node comes from. A run undoes only what it executed itself. */
typedef enum { ORR_SOURCE_RUN, ORR_SOURCE_CACHE, ORR_SOURCE_FORK } orr_source;

/* What RETRIED says, or-ed: it sets back completed nodes of which items failed; the run waits until
 * it is let begin. */
enum { ORR_RETRIED_ITEMS = 1, ORR_RETRIED_WAITS = 2 };

/* ---- events ---------------------------------------------------------------------------------- */

#define ORR_EVENTS(X)                                                                                        \
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
    X(RUN_COMPENSATION_FAILED, "run_compensation_failed")

#define ORR_ENUM_EVENT(id, name) ORR_EV_##id,
typedef enum { ORR_EVENTS(ORR_ENUM_EVENT) ORR_EVENT_COUNT } orr_event_kind;
#undef ORR_ENUM_EVENT
const char *orr_event_name(orr_event_kind kind);
#define ORR_EV_BIT(kind) (1u << (kind))

typedef struct orr_event {
    orr_event_kind kind;
    orr_run *run; /* NULL for a breaker's event */
    int64_t time;
    orr_task task;
    uint8_t phase;  /* orr_phase */
    uint8_t reason; /* orr_skip_reason or orr_stop_cause */
    uint32_t count; /* NODE_EXPANDED: items. LAYER_COMPLETED: the layer. NODE_RETRYING: as in its record */
    int64_t due;    /* NODE_RETRYING, NODE_WAITING: when it goes on; -1 = not by time */
    uint64_t seq;   /* the record after which this may be shown */
    const orr_error *error; /* or NULL */
    const char *name;       /* a breaker's name, the outcome of a node_completed; or NULL */
} orr_event;

/* ---- why ------------------------------------------------------------------------------------- */

/* upstream         the join could not be satisfied, though nothing failed; `by` is a dependency
 *                  that did not complete
 * when             `when` was false
 * outcome          no outcome it depends on was taken; `by` is the switch
 * upstream_failed  the join or a gate did not let it run, and a dependency failed, or was skipped
 *                  for this reason itself; `by` is that one. It counts as U, all others as S.
 * Journals hold the numbers. Before there was upstream_failed they had `upstream` in its place:
 * what is read as such counts as U where `by` failed or counts as U. */
#define ORR_SKIPS(X)                                                                                         \
    X(UPSTREAM, "upstream")                                                                                  \
    X(WHEN, "when")                                                                                          \
    X(OUTCOME, "outcome")                                                                                    \
    X(UPSTREAM_FAILED, "upstream_failed")

#define ORR_ENUM_SKIP(id, name) ORR_SKIP_##id,
typedef enum { ORR_SKIP_NONE, ORR_SKIPS(ORR_ENUM_SKIP) ORR_SKIP_COUNT } orr_skip_reason;
#undef ORR_ENUM_SKIP
/* NULL for ORR_SKIP_NONE and what is no reason. */
const char *orr_skip_name(unsigned reason);

/* failure: on_error after an unhandled failure; cancel: somebody asked; timeout: the run's own */
#define ORR_STOPS(X)                                                                                         \
    X(FAILURE, "failure")                                                                                    \
    X(CANCEL, "cancel")                                                                                      \
    X(TIMEOUT, "timeout")                                                                                    \
    X(STALL, "stall")

#define ORR_ENUM_STOP(id, name) ORR_STOP_##id,
typedef enum { ORR_STOP_NONE, ORR_STOPS(ORR_ENUM_STOP) ORR_STOP_COUNT } orr_stop_cause;
#undef ORR_ENUM_STOP
/* NULL for ORR_STOP_NONE and what is no cause. */
const char *orr_stop_name(unsigned cause);

typedef struct orr_why {
    orr_why_kind kind;
    orr_node_state state;
    uint32_t by; /* a node, or ORR_NONE */
    const orr_run *by_run;
    const char *name;
    uint32_t count, limit;
    int64_t due, since; /* in the run's time; `due`: if the run went on now */
    int64_t left;       /* until `due`, while the run's clock stands still; else -1 */
    orr_skip_reason skip;
    orr_stop_cause cause;
} orr_why;

/* ---- actions --------------------------------------------------------------------------------- */

typedef enum { ORR_PHASE_RUN, ORR_PHASE_FALLBACK, ORR_PHASE_COMPENSATE } orr_phase;

typedef enum {
    ORR_CANCEL_NONE,
    ORR_CANCEL_RUN,
    ORR_CANCEL_TIMEOUT,
    ORR_CANCEL_DEADLINE,
    ORR_CANCEL_HEARTBEAT,
    ORR_CANCEL_REST,
    ORR_CANCEL_CLEANUP_TIMEOUT
} orr_cancel_reason;

typedef enum {
    ORR_ACT_NONE,
    /* begin attempt `task` (phase `phase`); answer with orr_task_end. With phase COMPENSATE undo
     * what the task did; its attempts count on from those of the task */
    ORR_ACT_START,
    ORR_ACT_RESUME, /* `task`, suspended by orr_task_wait, has a slot again: let it go on */
    ORR_ACT_CANCEL, /* ask `task` to stop (`reason`); it still answers with orr_task_end */
    /* the grace is over: the core has settled `task`; drop it, its answer is no longer wanted */
    ORR_ACT_ABANDON,
    ORR_ACT_RUN_END /* the run is over; free it with orr_run_free when its state has been read */
} orr_action_kind;

typedef struct orr_action {
    orr_action_kind kind;
    orr_run *run;
    orr_task task;
    uint8_t phase;
    uint8_t reason; /* orr_cancel_reason */
    /* ORR_ACT_START: the two nodes of this run that stand in line behind it, or ORR_NONE; a hint
     * for whoever wants to fetch ahead, not a promise */
    uint32_t next, later;
    /* the record that must be durable before this may be done: the last one, but of a START that
     * may come before its own record an earlier one (early.c) */
    uint64_t seq;
} orr_action;

/* ---- the core -------------------------------------------------------------------------------- */

typedef struct orr_hooks {
    void *ud;
    /* True and the answer, or false and answer->error. Required where a plan's policies or edges
     * ask. */
    bool (*evaluate)(void *ud, orr_run *run, const orr_ask *ask, orr_answer *answer);
    void (*record)(void *ud, orr_run *run, const orr_record *record); /* NULL: nobody keeps a journal */
    void (*event)(void *ud, const orr_event *event);                  /* NULL: nobody listens */
    /* The run's clock stands still from now on, or goes on: what the caller set for a time of it
     * comes when orr_run_comes says, which may be called here. NULL: there is none. */
    void (*clock)(void *ud, orr_run *run);
} orr_hooks;

typedef struct orr_core_options {
    orr_alloc alloc;
    orr_hooks hooks;
    int64_t now;
    int64_t grace;        /* ns between asking a task to stop and abandoning it; 0 = 5 s */
    uint32_t crash_limit; /* an attempt interrupted so often fails with crash_loop; 0 = 3 */
} orr_core_options;

/* NULL when out of memory. */
orr_core *orr_core_new(const orr_core_options *options);
/* Frees the core and every run in it. No action is emitted. */
void orr_core_free(orr_core *core);

/* Which events the hook is called for: ORR_EV_BIT of kinds, or-ed. None at first: an event
 * nobody asked for costs nothing. */
void orr_core_listen(orr_core *core, uint32_t mask);

/* Sets the hook for records, or takes it away (NULL): without it a record costs no more than its
 * number. */
void orr_core_record(orr_core *core, void (*record)(void *ud, orr_run *run, const orr_record *record));

/* Sets the time and fires what is due. An earlier time than before is taken as the present one. */
void orr_core_advance(orr_core *core, int64_t now);
/* The same with at most `limit` timers. True when no more of them are due: only then it is `now`.
 * */
bool orr_core_advance_some(orr_core *core, int64_t now, uint32_t limit);
int64_t orr_core_now(const orr_core *core);

/* The time of the earliest timer, or INT64_MAX. */
int64_t orr_core_deadline(const orr_core *core);

/* The next thing to do, or false when there is none at this time. A start is decided here and
 * not earlier, so that what became ready meanwhile is seen in its place. */
bool orr_core_next(orr_core *core, orr_action *action);

/* Proves that the core and its runs agree with themselves: counts, lists, lines, timers, states,
 * and what tasks know of their dependencies. For tests and for whoever looks for a fault; call it
 * between calls of the core, not in a hook. True, or false and one sentence in `text` (of `size`
 * bytes) that names the run and the node and says which invariant is broken, the first that was
 * found. Changes and allocates nothing; takes time linear in the core's runs and their graphs (an
 * item in line costs the logarithm of the number of lists besides). */
bool orr_core_check(const orr_core *core, char *text, size_t size);

/* Defines or redefines a pool. `max` is the number of places; 0 closes it. `rate` tokens per
 * `per` ns, burst of `rate` (at least 1) until orr_core_pool_burst; 0 = no rate. It begins full. A
 * name "a:..." that has no definition takes that of "a", with places of its own. ORR_ENOMEM,
 * ORR_EINVAL. */
orr_status orr_core_pool(orr_core *core, const char *name, uint32_t max, double rate, int64_t per);
/* How many tokens of a pool with a rate are saved up while nobody takes them, 1 or more; it has so
 * many now. ORR_ENOTFOUND, ORR_EINVAL. */
orr_status orr_core_pool_burst(orr_core *core, const char *name, double burst);
/* Whether the name, or its part before the first ':', is defined. */
bool orr_core_has_pool(const orr_core *core, const char *name);
/* Nothing starts in it until it is let go on. A name "a:..." of which only "a" is defined is paused
 * by itself. ORR_ENOTFOUND, ORR_ENOMEM. */
orr_status orr_core_pool_pause(orr_core *core, const char *name, bool paused);
/* Sets the places of a pool and of the keyed ones made from it, until it is defined anew; its
 * tokens stay. What has a place keeps it. Of a name "a:..." of which only "a" is defined it sets
 * those of that one, which then stays. ORR_ENOTFOUND, ORR_ENOMEM. */
orr_status orr_core_pool_limit(orr_core *core, const char *name, uint32_t max);

/* What a pool is at now. */
typedef struct orr_pool_view {
    const char *name;
    uint32_t max, used, waiting; /* places, those that are taken, tasks in its lines */
    bool keyed;                  /* made from the definition of its prefix */
    bool paused;
    double rate, burst, tokens; /* tokens a second, how many are saved up at most and now; 0: no rate */
} orr_pool_view;
/* Shows every pool. What is called must not change the core. */
void orr_core_pools(const orr_core *core, void (*see)(void *ud, const orr_pool_view *pool), void *ud);

typedef struct orr_breaker_options {
    uint32_t threshold; /* failures within `window` that open it; 0 = 5 */
    int64_t window;     /* ns; 0 = 60 s */
    int64_t cooldown;   /* ns; 0 = 30 s */
    uint32_t probes;    /* attempts let through while half open; 0 = 1 */
} orr_breaker_options;
orr_status orr_core_breaker(orr_core *core, const char *name, const orr_breaker_options *options);
/* What a breaker is at now. */
typedef struct orr_breaker_view {
    const char *name;
    const char *state;           /* "closed", "open" or "half_open" */
    int64_t until;               /* when it is open: until then */
    orr_breaker_options options; /* none of them 0 */
    uint32_t failures;           /* that count now, within its window */
    uint32_t probing, waiting;   /* probes under way; tasks that it holds back */
} orr_breaker_view;
/* Shows every breaker. What is called must not change the core. */
void orr_core_breakers(const orr_core *core, void (*see)(void *ud, const orr_breaker_view *breaker),
                       void *ud);
/* "closed", "open" or "half_open", and until when it stays open; NULL: there is none of that
 * name. */
const char *orr_core_breaker_state(const orr_core *core, const char *name, int64_t *until);
/* Closes a breaker and forgets what it counted; what it held back tries again. ORR_ENOTFOUND. */
orr_status orr_core_breaker_reset(orr_core *core, const char *name);

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct orr_run_options {
    uint8_t id[16];       /* UUIDv7 */
    uint64_t seed;        /* of every chance in the run */
    uint32_t concurrency; /* overrides the plan's where not 0 */
    void *ud;             /* the caller's, see orr_run_ud */
    uint64_t value;       /* handle to the input, for the record */
    bool waits;           /* it begins when orr_run_admit lets it */
} orr_run_options;

/* Makes a run in state pending; holds the plan. NULL when out of memory. */
orr_run *orr_run_new(orr_core *core, orr_plan *plan, const orr_run_options *options);
/* Lets it start: its nodes without dependencies become ready, unless it waits to be let begin. */
void orr_run_begin(orr_run *run);
/* An attempt of the run `by` waits for the end of this one; NULL: nobody does any more. By that a
 * task is found that waits for a place in a pool which its own run keeps from coming free: it fails
 * with `deadlock`. It holds until the attempt or one of the runs has ended. */
void orr_run_awaited(orr_run *run, orr_run *by, const orr_task *task);

/* A run that waits has been begun, or rebuilt, and does nothing: its state is pending, and its
 * timeout does not count. It may be cancelled, and then ends at once without having done anything,
 * not even cleaned up; a pause keeps its nodes from starting once it is let begin. */
bool orr_run_waits(const orr_run *run);
/* Lets it begin. ORR_ESTATE for one that does not wait, or is not live; ORR_ENOMEM: nothing has
 * changed. */
orr_status orr_run_admit(orr_run *run);
/* Frees an ended run, or one that is dropped: its pool places and breaker probes are given back. */
void orr_run_free(orr_run *run);

/* Asks the run to end: what runs is cancelled, what was done is compensated, then cleanup nodes
 * run, bounded by the cleanup timeout. A second call cancels those too, but no compensation: a
 * run is undone whole. No effect on an ended run. */
void orr_run_cancel(orr_run *run);
/* The same with a reason, one sentence; NULL: none. It is kept as the error of the run, with the
 * code `cancelled`, where this is what stops it. */
void orr_run_cancel_because(orr_run *run, const char *reason);
/* The same on behalf of a caller that is cancelled. No effect where the run was already asked to
 * end, be it by another process. */
void orr_run_cancel_once(orr_run *run);
/* Starts nothing more until resumed, compensations included; what runs goes on. The run's clock
 * stands still meanwhile: timeouts, deadlines, backoffs and waits keep what is left of them, but
 * what was asked to stop has its grace. A run that is stopped cleans up all the same, and while it
 * does its clock goes on. No effect on a run that has ended. */
void orr_run_pause(orr_run *run);
void orr_run_resume(orr_run *run);

/* ---- the time of a run ----------------------------------------------------------------------- */

/* `now` is the core's time, or a later one that was just read. */

/* What time it is for the run: what its records say, never before the last of them. It is ahead of
 * `now` where that was written under a clock that was ahead. */
int64_t orr_run_time(const orr_run *run, int64_t now);

/* What its clock shows, which stands still in pauses; due times are by it. */
int64_t orr_run_clock(const orr_run *run, int64_t now);

/* The core's time at which its clock shows `due`; INT64_MAX where it stands still before that, and
 * for INT64_MAX. */
int64_t orr_run_comes(const orr_run *run, int64_t due);

/* A due time by its clock as a record says it, and back, as of the record that is read next. What
 * is no time (0, -1) stays. */
int64_t orr_run_recorded(const orr_run *run, int64_t due);
int64_t orr_run_read(const orr_run *run, int64_t due);

/* ---- durable runs ---------------------------------------------------------------------------- */

/* Makes a run that is to be rebuilt: like orr_run_new, but nothing is recorded and it must not
 * be begun. Next come orr_run_fold for each record of its journal, then orr_run_recover,
 * orr_run_retry, or orr_run_free. */
orr_run *orr_run_rebuild(orr_core *core, orr_plan *plan, const orr_run_options *options);

/* Lets a rebuilt run that has not ended go on: interrupted attempts are recorded as such and
 * queue again under their number, or fail with `crash_loop`; timers keep their due time; what
 * was decided but not done is done. `force` lets an attempt that was interrupted too often try
 * again. ORR_ESTATE for a run that has ended or is live, ORR_ENOMEM (the run can then only be
 * freed). */
orr_status orr_run_recover(orr_run *run, bool force);

/* Sets a rebuilt run that has failed, or was cancelled, back and lets it go on: nodes that
 * failed or were cancelled and all that follows from them run again; of a node with `each` only
 * the items that did not complete. `items`: also nodes that completed though items of them failed,
 * and then the run may have completed, too. `waits`: it goes on when orr_run_admit lets it.
 * ORR_ESTATE for a run that completed and has no such node, was compensated or has not ended. */
orr_status orr_run_retry(orr_run *run, bool items, bool waits);

/* Before orr_run_begin: the node counts as completed, with an output taken from another run (a
 * fork). Dependencies first. ORR_EINVAL, ORR_ESTATE, ORR_ENOMEM. */
orr_status orr_run_adopt(orr_run *run, uint32_t node, uint16_t port, uint64_t value);

/* Whether the core waits for the end of that attempt: it was begun, and has not been given up. */
bool orr_task_is_open(const orr_run *run, const orr_task *task);

/* Whether that attempt was cut off and is to be made again under its number. */
bool orr_run_again(const orr_run *run, const orr_task *task);

/* Records that the process leaves the run in good order: attempts that are under way do not count
 * as crashed. Nothing starts any more; free the run next. */
void orr_run_suspend(orr_run *run);

/* Records a fact of the caller's own about a run: ORR_REC_STEP (of a live task) or
 * ORR_REC_SIGNAL (task NULL). The core makes nothing of it. `due`: -1, or when it goes on, by the
 * run's clock. *seq
 * (NULL allowed) is the record's number. ORR_ESTATE when the task is not live or the run has
 * ended. */
orr_status orr_run_note(orr_run *run, orr_record_kind kind, const orr_task *task, int64_t due, uint64_t value,
                        uint64_t *seq);

/* Whether the last attempt of a node or item may have done its work without saying so: timeout,
 * cancel, crash. */
bool orr_run_uncertain(const orr_run *run, uint32_t node, uint32_t item);

/* The number of the last record. */
uint64_t orr_run_seq(const orr_run *run);

orr_core *orr_run_core(const orr_run *run);
orr_plan *orr_run_plan(const orr_run *run);
void *orr_run_ud(const orr_run *run);
orr_run_state orr_run_get_state(const orr_run *run);
const uint8_t *orr_run_id_of(const orr_run *run);
uint64_t orr_run_seed(const orr_run *run);
/* The cause that stopped it, or ORR_STOP_NONE. */
orr_stop_cause orr_run_cause(const orr_run *run);
/* How the run would end if nothing more happened to it: FAILED once it has an unhandled failure or
 * was stopped, CANCELLED, COMPENSATED ...; RUNNING while it goes on as it should, COMPENSATING
 * while it is undone. For what runs last in it. */
orr_run_state orr_run_outlook(const orr_run *run);
/* The first unhandled failure: its node, or ORR_NONE; the error in *error (NULL allowed), valid
 * as long as the run. */
uint32_t orr_run_failure(const orr_run *run, orr_error *error);

/* State of a node (item ORR_NONE) or of one of its items. */
orr_node_state orr_run_node_state(const orr_run *run, uint32_t node, uint32_t item);
/* How a node ended for those that depend on it: 'C' completed, 'F' failed, 'U' skipped because of
 * a failure before it, 'S' skipped otherwise, 'X' cancelled; 0 while it has not. */
char orr_run_outcome(const orr_run *run, uint32_t node);
/* The error of a failed or cancelled node or item; false if there is none. Of a node that was
 * skipped because of a failure before it, it has code `upstream_failed`, its text is valid until
 * the next call, and orr_run_why says which node that was. */
bool orr_run_error(const orr_run *run, uint32_t node, uint32_t item, orr_error *error);
/* Why a node or item could not be undone, or the last attempt to do so failed; false if there is
 * nothing of the kind. */
bool orr_run_compensation_error(const orr_run *run, uint32_t node, uint32_t item, orr_error *error);
/* The i-th task, from 0 on, that is undone or will be, in the order of the compensation; false
 * where there are no more. */
bool orr_run_undo(const orr_run *run, uint32_t i, orr_task *task);
/* Which try an attempt of a compensation is, from 1 on: its attempts count on from those of the
 * task. */
uint32_t orr_task_undo_try(const orr_run *run, const orr_task *task);
uint32_t orr_run_items(const orr_run *run, uint32_t node); /* ORR_NONE before it was expanded */
/* How many items of the node have failed; 0 for a node without items. */
uint32_t orr_run_items_failed(const orr_run *run, uint32_t node);

typedef struct orr_run_stats {
    uint32_t by_state[ORR_NODE_STATE_COUNT]; /* nodes */
    uint64_t attempts, retries, items;
    uint32_t running, peak_running;  /* tasks that hold a slot */
    int64_t created, started, ended; /* ns; 0 where it has not happened */
} orr_run_stats;
void orr_run_get_stats(const orr_run *run, orr_run_stats *stats);

/* When the first of its attempts that wait out a backoff begins; INT64_MAX where none does. Costs a
 * look at every task. */
int64_t orr_run_backoff(const orr_run *run);

/* Explains why a node has not started, or how it ended. The function that decides whether a node
 * may start is the one that explains it. */
void orr_run_why(const orr_run *run, uint32_t node, uint32_t item, orr_why *why);

/* Bytes that the run holds, for `bench`. */
size_t orr_run_bytes(const orr_run *run);

/* Applies a record to a run that is being rebuilt; records come in the order of their seq, from 1
 * (RUN_CREATED) and without a gap. ORR_EINVAL for one that does not fit (the journal is another
 * plan's, or corrupt), ORR_ENOMEM; either way nothing has changed. */
orr_status orr_run_fold(orr_run *run, const orr_record *record);

/* ---- tasks ----------------------------------------------------------------------------------- */

typedef enum { ORR_END_COMPLETED, ORR_END_FAILED, ORR_END_CANCELLED } orr_end;

typedef struct orr_result {
    orr_end end;
    uint64_t value;  /* handle to the output, for the record */
    uint16_t port;   /* outcome taken (orr_plan_find_port); ORR_PORT_ANY for none */
    uint8_t source;  /* orr_source: the output was not computed but taken from a cache */
    orr_error error; /* where end is ORR_END_FAILED; copied */
} orr_result;

/* The attempt ended. ORR_ESTATE when the attempt is not current (it came late): nothing changes.
 * A task that was asked to stop ends as the asking says, whatever it answers. */
orr_status orr_task_end(orr_run *run, const orr_task *task, const orr_result *result);

/* The running task waits without a slot until `due` (by the run's clock; -1: until orr_task_wake).
 * Its attempt timeout and heartbeat stand still. It goes on with ORR_ACT_RESUME. ORR_ESTATE when it
 * is not running. */
orr_status orr_task_wait(orr_run *run, const orr_task *task, int64_t due);
/* The same, for the ends of runs and nothing else: those of which orr_run_awaited has said so. */
orr_status orr_task_await(orr_run *run, const orr_task *task);
/* Ends such a wait early. ORR_ESTATE when the task is not waiting. */
orr_status orr_task_wake(orr_run *run, const orr_task *task);

/* A sign of life: the time of the heartbeat begins anew. */
orr_status orr_task_heartbeat(orr_run *run, const orr_task *task);

/* The reason for which the task was asked to stop, or ORR_CANCEL_NONE. */
orr_cancel_reason orr_task_cancelled(const orr_run *run, const orr_task *task);

/* When the current attempt times out (attempt timeout, deadline or heartbeat, whichever is
 * first) by the core's time, or INT64_MAX. While the run's clock stands still it is what is left,
 * from now. */
int64_t orr_task_due(const orr_run *run, const orr_task *task);

/* When the run has its current attempt end: at the run's timeout while that still counts; a cleanup
 * node, which goes on then, at the end of the time for cleaning up; a compensation never.
 * INT64_MAX for no time. */
int64_t orr_task_run_due(const orr_run *run, const orr_task *task);

/* When the run's timeout, or the time of its cleanup nodes, is over; INT64_MAX for no time. */
int64_t orr_run_due(const orr_run *run);

/* Chance for the run: a hash of (seed, node, item, iteration, attempt, salt). splitmix64's
 * finaliser over the mixed words (Steele, Lea, Flood 2014). */
uint64_t orr_chance(uint64_t seed, const orr_task *task, uint64_t salt);

/* The backoff before the attempt after `task` (its attempt number is the failed one), in ns. */
int64_t orr_retry_delay(const orr_retry *retry, uint64_t seed, const orr_task *task);

#endif
