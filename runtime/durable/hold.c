/* hold.c - fibers that wait until a record is on disk. Such a wait is short, so it keeps its
 * slot. */
#include "durable/inner.h"

static const orr_wait_kind wait_disk;

/* Inserts by ticket. Tickets grow with time, but a run's last record may be older than that of the
 * fiber before it in the list. An incomplete journal has a ticket that never becomes durable. */
static void join_disk(orr_script *s, orr_fiber *f, orr_rtbox *rt, uint64_t ticket) {
    uint32_t before = rt->disk_last, after = 0;
    f->wait = &wait_disk;
    f->ticket = ticket;
    f->disk = &rt->base;
    while (before && orr_fiber_at(s, before - 1)->ticket > ticket) {
        after = before;
        before = orr_fiber_at(s, before - 1)->prev + 1; /* ORR_NONE + 1 is 0 */
    }
    f->prev = before - 1;
    f->next = after - 1;
    if (before) orr_fiber_at(s, before - 1)->next = f->index;
    else rt->disk_first = f->index + 1;
    if (after) orr_fiber_at(s, after - 1)->prev = f->index;
    else rt->disk_last = f->index + 1;
}

static void leave_disk(orr_script *s, orr_fiber *f) {
    if (f->prev != ORR_NONE) orr_fiber_at(s, f->prev)->next = f->next;
    else orr_rtbox_of(f->disk)->disk_first = f->next + 1;
    if (f->next != ORR_NONE) orr_fiber_at(s, f->next)->prev = f->prev;
    else orr_rtbox_of(f->disk)->disk_last = f->prev + 1;
    f->next = f->prev = ORR_NONE;
    f->flags &= (uint16_t)~FIBER_FAILED;
}

static const orr_wait_kind wait_disk = {.begins = "waits for the disk",
                                        .keeps_slot = true,
                                        .forget = leave_disk};

/* The value that it goes on with is at the top; popped. */
static void begin(lua_State *L, orr_script *s, orr_fiber *f, orr_rtbox *rt, uint64_t ticket, bool raise) {
    orr_fiber_set_value(L, s, f);
    join_disk(s, f, rt, ticket);
    if (raise) f->flags |= FIBER_FAILED;
    rt->flush_urgent = true;
}

int orr_hold(lua_State *L, orr_script *s, const orr_runbox *r, bool raise) {
    uint64_t ticket = orr_journal_ticket(r);
    if (ticket == 0) return raise ? lua_error(L) : 1;
    orr_fiber *f = orr_wait_begin(L, s, "a step");
    begin(L, s, f, r->rt, ticket, raise);
    return orr_wait_yield(L, s, f);
}

int orr_hold_all(lua_State *L, orr_script *s, orr_rtbox *rt) {
    uint64_t ticket = orr_store_ticket(orr_storage_any(rt));
    if (ticket <= rt->durable_to) return 0;
    orr_fiber *f = orr_wait_begin(L, s, "a write of state");
    lua_pushnil(L);
    begin(L, s, f, rt, ticket, false);
    return orr_wait_yield(L, s, f);
}

/* An attempt that waits without a slot needs no hold: the core lets it go on when the record of its
 * waking is durable, and that record comes after the one that matters here. */
void orr_hold_parked(lua_State *L, orr_script *s, orr_fiber *f, bool raise) {
    uint64_t ticket = orr_journal_ticket(f->run);
    if (!lua_checkstack(f->co, LUA_MINSTACK)) luaL_error(L, "not enough memory");
    if (ticket && !(orr_fiber_root(s, f)->flags & FIBER_SLOTLESS)) {
        orr_wait_forget(s, f);
        begin(L, s, f, f->run->rt, ticket, raise);
        return;
    }
    lua_xmove(L, f->co, 1);
    if (raise) f->flags |= FIBER_RAISE;
    orr_wait_done(s, f, 1);
}

void orr_hold_durable(orr_script *s, orr_rtbox *rt, uint64_t durable) {
    while (rt->disk_first) {
        orr_fiber *f = orr_fiber_at(s, rt->disk_first - 1);
        if (f->ticket > durable) return;
        if (!lua_checkstack(f->co, LUA_MINSTACK)) {
            orr_wake_with_reason(s, f, REASON_MEMORY);
            continue;
        }
        if (f->flags & FIBER_FAILED) f->flags |= FIBER_RAISE;
        orr_fiber_push_value(f->co, s, f);
        orr_wait_done(s, f, 1);
    }
}

void orr_hold_gone(orr_script *s, orr_rtbox *rt) {
    while (rt->disk_first) orr_wake_with_reason(s, orr_fiber_at(s, rt->disk_first - 1), REASON_OWNER);
}
