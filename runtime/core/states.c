/* states.c - the names of states, records and events, and the two transition tables. */
#include "core/inner.h"

#define NAME(id, name) name,
static const char *const node_names[] = {ORR_NODE_STATES(NAME)};
static const char *const run_names[] = {ORR_RUN_STATES(NAME)};
static const char *const record_names[] = {ORR_RECORDS(NAME)};
static const char *const event_names[] = {ORR_EVENTS(NAME)};
static const char *const skip_names[] = {NULL, ORR_SKIPS(NAME)};
static const char *const stop_names[] = {NULL, ORR_STOPS(NAME)};
static const char *const why_names[] = {ORR_WHYS(NAME)};
#undef NAME

/* Masks of states, records and events have a bit for each kind. ORR_EVENTS is full: one kind more
 * and `listen`, ORR_EV_BIT and the mask of orr_core_listen need 64 bits. */
_Static_assert(ORR_EVENT_COUNT <= 32, "a mask of events is a uint32_t (orr_core_listen)");
_Static_assert(ORR_RECORD_COUNT <= 32, "a mask of records is an unsigned (1u << ORR_REC_...)");
_Static_assert(ORR_NODE_STATE_COUNT <= 16, "a row of orr_node_next is a uint16_t");
_Static_assert(ORR_RUN_STATE_COUNT <= 16, "a row of run_next is a uint16_t");
_Static_assert(CELL_LIVE == 1 << 7, "the flags of a cell are full: a ninth needs a wider field");
_Static_assert(ORR_NODE_COMPENSATING > ORR_NODE_CANCELLED && ORR_NODE_COMPLETED > ORR_NODE_RETRYING,
               "orr_is_over and orr_settled_as compare states by their order");

#define N(id) (1u << ORR_NODE_##id)
#define R(id) (1u << ORR_RUN_##id)

/* By state: the states that may follow. */
const uint16_t orr_node_next[ORR_NODE_STATE_COUNT] = {
    [ORR_NODE_PENDING] = N(READY) | N(SKIPPED) | N(CANCELLED) | N(FAILED),
    /* ready -> waiting: an open breaker holds it back; -> retrying: it refuses it, the fallback is
     * next; -> completed: `each` over an empty list */
    [ORR_NODE_READY] = N(RUNNING) | N(WAITING) | N(RETRYING) | N(CANCELLED) | N(FAILED) | N(COMPLETED),
    /* running -> ready: the next iteration of a loop */
    [ORR_NODE_RUNNING] = N(READY) | N(WAITING) | N(RETRYING) | N(COMPLETED) | N(FAILED) | N(CANCELLED),
    [ORR_NODE_WAITING] = N(READY) | N(RUNNING) | N(RETRYING) | N(COMPLETED) | N(FAILED) | N(CANCELLED),
    /* retrying -> retrying: its deadline came, and its fallback is next */
    [ORR_NODE_RETRYING] = N(READY) | N(RETRYING) | N(FAILED) | N(CANCELLED),
    /* only what began may have to be undone: a completed node, or one whose last attempt ended
     * uncertain */
    [ORR_NODE_COMPLETED] = N(COMPENSATING),
    [ORR_NODE_FAILED] = N(COMPENSATING),
    [ORR_NODE_CANCELLED] = N(COMPENSATING),
    [ORR_NODE_COMPENSATING] = N(COMPENSATED) | N(COMPENSATION_FAILED),
};

static const uint16_t run_next[ORR_RUN_STATE_COUNT] = {
    [ORR_RUN_PENDING] = R(RUNNING) | R(CANCELLED),
    [ORR_RUN_RUNNING] = R(WAITING) | R(PAUSED) | R(COMPLETED) | R(FAILED) | R(CANCELLED) | R(COMPENSATING),
    [ORR_RUN_WAITING] = R(RUNNING) | R(PAUSED) | R(COMPLETED) | R(FAILED) | R(CANCELLED) | R(COMPENSATING),
    [ORR_RUN_PAUSED] = R(RUNNING) | R(WAITING) | R(COMPLETED) | R(FAILED) | R(CANCELLED) | R(COMPENSATING),
    [ORR_RUN_COMPENSATING] = R(COMPENSATED) | R(COMPENSATION_FAILED),
};

const char *orr_node_state_name(orr_node_state s) {
    return (unsigned)s < ORR_NODE_STATE_COUNT ? node_names[s] : "?";
}

const char *orr_run_state_name(orr_run_state s) {
    return (unsigned)s < ORR_RUN_STATE_COUNT ? run_names[s] : "?";
}

const char *orr_why_kind_name(orr_why_kind kind) {
    return (unsigned)kind < ORR_WHY_COUNT ? why_names[kind] : "?";
}

const char *orr_record_name(orr_record_kind kind) {
    return (unsigned)kind < ORR_RECORD_COUNT ? record_names[kind] : "?";
}

const char *orr_event_name(orr_event_kind kind) {
    return (unsigned)kind < ORR_EVENT_COUNT ? event_names[kind] : "?";
}

const char *orr_stop_name(unsigned cause) {
    return cause < ORR_STOP_COUNT ? stop_names[cause] : NULL;
}

const char *orr_skip_name(unsigned reason) {
    return reason < ORR_SKIP_COUNT ? skip_names[reason] : NULL;
}

bool orr_node_may_go(orr_node_state from, orr_node_state to) {
    return (unsigned)from < ORR_NODE_STATE_COUNT && (orr_node_next[from] >> to & 1) != 0;
}

bool orr_run_may_go(orr_run_state from, orr_run_state to) {
    return (unsigned)from < ORR_RUN_STATE_COUNT && (run_next[from] >> to & 1) != 0;
}

bool orr_node_settled(orr_node_state s) {
    return s >= ORR_NODE_COMPLETED && s != ORR_NODE_COMPENSATING;
}

bool orr_run_ended(orr_run_state s) {
    return s >= ORR_RUN_COMPLETED && s < ORR_RUN_STATE_COUNT && s != ORR_RUN_COMPENSATING;
}
