/* cancel.c - asking a fiber to stop, and dropping it when it does not. */
#include "state.h"
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
} other_errors[] = { /* by what is above REASON_SIBLING */
    [0] = {"cancelled", "another function of the same flow.gather has failed"},
    [REASON_STUCK - REASON_SIBLING] = {"stall", "waits for what can no longer come: nothing on the loop is left that "
                                                "could end the wait"},
    [REASON_MEMORY - REASON_SIBLING] = {"out_of_memory", "not enough memory"},
    [REASON_OWNER - REASON_SIBLING] = {"cancelled", "what it belongs to has ended"},
    [REASON_NO_SIGNAL - REASON_SIBLING] = {"stall", "waits for a signal that can no longer come: nothing is left that could send "
                                                    "it; give ctx:wait a timeout, or keep the run in a store"},
};

void orr_push_reason(lua_State *L, const orr_script *s, uint8_t reason) {
    if (reason >= REASON_SIBLING) {
        orr_push_error(L, s, other_errors[reason - REASON_SIBLING].code, other_errors[reason - REASON_SIBLING].message);
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

/* ---- the cleanup slot -------------------------------------------------------------------------------------------- */

typedef struct cleaning {
    orr_script *s;
    orr_fiber *f;
    bool stays;
} cleaning;

static int call_cleanup(lua_State *L) {
    cleaning *c = lua_touserdata(L, 1);
    orr_fiber_push_value(L, c->s, c->f);
    if (!lua_isfunction(L, -1)) return 0;
    orr_fiber_clear_value(c->s, c->f);
    lua_pushcfunction(L, orr_error_trace);
    lua_insert(L, -2);
    if (lua_pcall(L, 0, 1, -2) == LUA_OK) {
        c->stays = lua_toboolean(L, -1);
        return 0;
    }
    const char *text = luaL_tolstring(L, -1, NULL);
    orr_script_stray(c->s, "the cleanup function of a wait failed", text);
    return 0;
}

/* Calls the cleanup function of an await, once. True where the wait is to go on until `resume` is called. The
 * function may itself call `resume`: then the fiber does not wait any more. */
static bool clean_up(orr_script *s, orr_fiber *f) {
    cleaning c = {s, f, false};
    orr_protect(s, call_cleanup, &c);
    return c.stays;
}

/* ---- cancelling ---------------------------------------------------------------------------------------------------- */

static void cancel_parked(orr_script *s, orr_fiber *f, uint8_t reason) {
    switch (f->wait) {
    case WAIT_GATHER:
        f->flags |= FIBER_TELL_AT_WAKE;
        for (uint32_t at = f->strands, next; at != ORR_NONE; at = next) {
            next = orr_fiber_at(s, at)->sibling;
            orr_fiber_cancel(s, orr_fiber_at(s, at), reason);
        }
        return;
    case WAIT_CHILD:
        f->flags |= FIBER_TELL_AT_WAKE;
        if (f->other->run) orr_run_cancel_once(f->other->run);
        return;
    case WAIT_AWAIT:
        f->flags |= FIBER_TELL_AT_WAKE;
        if (clean_up(s, f) || f->state != FIBER_PARKED) return;
        f->flags &= (uint16_t)~FIBER_TELL_AT_WAKE;
        break;
    default:
        break;
    }
    orr_wake_with_reason(s, f, reason);
}

void orr_fiber_cancel(orr_script *s, orr_fiber *f, uint8_t reason) {
    if (f->flags & FIBER_CANCELLED) return;
    f->flags |= FIBER_CANCELLED;
    f->reason = reason;
    if (f->kind == FIBER_NODE) orr_wait_keep_slot(s, f);
    if (f->state == FIBER_READY && !(f->flags & FIBER_STARTED)) { /* a strand that has not begun */
        orr_ready_remove(s, f);
        s->outcome.failed = false;
        orr_gather_ended(s, f);
        lua_settop(f->co, 0);
        orr_fiber_release(s, f, true);
    } else if (f->state == FIBER_PARKED) {
        cancel_parked(s, f, reason);
    } else {
        f->flags |= FIBER_TELL;
    }
}

static void leave_held(orr_script *s, orr_fiber *f) {
    uint32_t *link = &orr_fiber_at(s, f->root)->held;
    while (*link != ORR_NONE && *link != f->index) link = &orr_fiber_at(s, *link)->next;
    if (*link != ORR_NONE) *link = f->next;
}

void orr_fiber_abandon(orr_script *s, orr_fiber *f) {
    if (f->state == FIBER_PARKED && f->wait == WAIT_AWAIT) {
        clean_up(s, f);
    } else if (f->state == FIBER_PARKED && f->wait == WAIT_CHILD && f->other && f->other->run && !f->run->dropped) {
        orr_run_cancel(f->other->run);
    }
    if (f->state == FIBER_HELD) leave_held(s, f);
    if (f->wait != WAIT_NONE) orr_wait_forget(s, f);
    if (f->state == FIBER_READY) orr_ready_remove(s, f);
    if (f->kind == FIBER_STRAND) orr_gather_drop(s, f);
    orr_fiber_discard(s, f);
}

/* ---- waits that cannot end ------------------------------------------------------------------------------------- */

static uint32_t fail_waits(orr_script *s, uint8_t wait, uint8_t reason) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_slots; i++) {
        orr_fiber *f = orr_fiber_at(s, i);
        if (f->state != FIBER_PARKED || f->wait != wait) continue;
        if (wait == WAIT_SIGNAL && orr_storage_is_durable(f->run->rt)) continue; /* others can send it */
        orr_wake_with_reason(s, f, reason);
        n++;
    }
    return n;
}

uint32_t orr_fail_stuck(orr_script *s) {
    uint32_t n = fail_waits(s, WAIT_AWAIT, REASON_STUCK);
    if (!n && s->signal_waits) n = fail_waits(s, WAIT_SIGNAL, REASON_NO_SIGNAL);
    return n ? n : fail_waits(s, WAIT_RUN, REASON_STUCK);
}
