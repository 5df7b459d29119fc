/* cancel.c - asking a fiber to stop, and dropping it when it does not. */
#include "fiber/inner.h"
#include <lauxlib.h>

static const struct {
    const char *code, *message;
} cancel_errors[] = {
    [ORR_CANCEL_NONE] = {"cancelled", "cancelled"},
    [ORR_CANCEL_RUN] = {"cancelled", "the run is being cancelled"},
    [ORR_CANCEL_TIMEOUT] = {"timeout", "the attempt took longer than its timeout"},
    [ORR_CANCEL_DEADLINE] = {"deadline", "the node's deadline has passed"},
    [ORR_CANCEL_HEARTBEAT] = {"heartbeat", "no sign of life within the heartbeat"},
    [ORR_CANCEL_REST] = {"cancelled", "no longer needed: enough of its siblings have completed"},
    [ORR_CANCEL_CLEANUP_TIMEOUT] = {"cancelled", "the time for cleaning up is over"},
};

static const struct {
    const char *code, *message;
} other_errors[] = {
    /* by what is above REASON_SIBLING */
    [0] = {"cancelled", "another function of the same flow.gather has failed"},
    [REASON_STUCK - REASON_SIBLING] = {"stall",
                                       "waits for what can no longer come: nothing on the loop is left that "
                                       "could end the wait"},
    [REASON_MEMORY - REASON_SIBLING] = {"out_of_memory", "not enough memory"},
    [REASON_OWNER - REASON_SIBLING] = {"cancelled", "what it belongs to has ended"},
    [REASON_NO_SIGNAL -
        REASON_SIBLING] = {"stall",
                           "waits for a signal that can no longer come: nothing is left that could send "
                           "it; give ctx:wait a timeout, or keep the run in a store"},
    [REASON_INTERRUPTED - REASON_SIBLING] = {"cancelled", "interrupted!"},
};

void orr_push_reason(lua_State *L, const orr_script *s, uint8_t reason) {
    if (reason >= REASON_SIBLING) {
        orr_push_error(L, s, other_errors[reason - REASON_SIBLING].code,
                       other_errors[reason - REASON_SIBLING].message);
        return;
    }
    if (reason >= sizeof cancel_errors / sizeof *cancel_errors) reason = ORR_CANCEL_NONE;
    orr_push_error(L, s, cancel_errors[reason].code, cancel_errors[reason].message);
}

void orr_wake_with_reason(orr_script *s, orr_fiber *f, uint8_t reason) {
    f->reason = reason;
    f->flags |= FIBER_RAISE;
    orr_wait_done(s, f, 0);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

void orr_fiber_cancel(orr_script *s, orr_fiber *f, uint8_t reason) {
    if (f->flags & FIBER_CANCELLED) return;
    f->flags |= FIBER_CANCELLED;
    f->reason = reason;
    if (f->kind == FIBER_NODE) orr_wait_keep_slot(s, f);
    bool unborn = f->state == FIBER_READY && !(f->flags & FIBER_STARTED);
    if (unborn && f->kind == FIBER_STRAND) {
        orr_ready_remove(s, f);
        orr_fibers_of(s)->failed = false;
        orr_gather_ended(s, f);
        lua_settop(f->co, 0);
        orr_fiber_release(s, f, true);
    } else if (f->state == FIBER_PARKED) {
        if (f->wait->cancel) f->wait->cancel(s, f, reason);
        else orr_wake_with_reason(s, f, reason);
    } else {
        f->flags |= FIBER_RAISE_AT_WAIT;
    }
}

void orr_fibers_hook(orr_script *s, lua_Hook hook) {
    orr_watchdog_frame *f = atomic_load_explicit(&orr_fibers_of(s)->watchdog.top, memory_order_relaxed);
    for (; f; f = f->below) lua_sethook(f->L, hook, LUA_MASKCOUNT, 1);
}

uint32_t orr_fibers_interrupt(orr_script *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < orr_fiber_slots(s); i++) {
        orr_fiber *f = orr_fiber_at(s, i);
        if (f->state != FIBER_PARKED || f->kind != FIBER_FREE || f->flags & FIBER_ENDED) continue;
        orr_fiber_cancel(s, f, REASON_INTERRUPTED);
        n++;
    }
    return n;
}

static void leave_held(orr_script *s, orr_fiber *f) {
    uint32_t *link = &orr_fiber_at(s, f->root)->held;
    while (*link != ORR_NONE && *link != f->index) link = &orr_fiber_at(s, *link)->next;
    if (*link != ORR_NONE) *link = f->next;
}

void orr_fiber_abandon(orr_script *s, orr_fiber *f) {
    if (f->state == FIBER_PARKED && f->wait->abandon) f->wait->abandon(s, f);
    if (f->state == FIBER_HELD) leave_held(s, f);
    if (f->wait) orr_wait_forget(s, f);
    if (f->state == FIBER_READY) orr_ready_remove(s, f);
    if (f->kind == FIBER_STRAND) orr_gather_drop(s, f);
    orr_fiber_discard(s, f);
}

/* ---- waits that cannot end ------------------------------------------------------------------- */

enum { LAST_ORDER = 3 };

static bool is_stuck(const orr_script *s, const orr_fiber *f, unsigned order) {
    if (f->state != FIBER_PARKED || !f->wait || f->wait->stuck_order != order) return false;
    return !f->wait->can_end || !f->wait->can_end(s, f);
}

/* Kind by kind: what an await gives up may be what another fiber waits for. */
uint32_t orr_fail_stuck(orr_script *s) {
    uint32_t n = 0;
    for (unsigned order = 1; order <= LAST_ORDER && n == 0; order++) {
        for (uint32_t i = 0; i < orr_fiber_slots(s); i++) {
            orr_fiber *f = orr_fiber_at(s, i);
            if (!is_stuck(s, f, order)) continue;
            orr_wake_with_reason(s, f, f->wait->stuck_reason);
            n++;
        }
    }
    return n;
}
