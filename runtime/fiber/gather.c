/* gather.c - flow.gather, which waits for several functions: each is a strand, a coroutine of
 * its own. */
#include "fiber/inner.h"
#include <lauxlib.h>

/* Makes all strands or none: no other code can see them before the last one exists. */
static bool spawn_strands(lua_State *L, orr_script *s, orr_fiber *f, lua_Integer n) {
    uint32_t *link = &f->strands;
    orr_fiber *root = orr_fiber_at(s, f->root);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        orr_fiber *strand = orr_strand_spawn(s, L, f);
        if (!strand) return false;
        strand->place = (uint32_t)i;
        *link = strand->index;
        link = &strand->sibling;
        f->left++;
        root->busy++;
    }
    return true;
}

int orr_core_gather(lua_State *L) {
    orr_script *s = orr_script_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (orr_wait_outside(L, s)) return orr_wait_in_fiber(L, s, orr_core_gather);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, n < INT32_MAX, 1, "too many functions");
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_rawgeti(L, 1, i) != LUA_TFUNCTION)
            return luaL_error(L, "flow.gather: entry %d is a %s; expected a list of functions", (int)i,
                              luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    orr_fiber *f = orr_wait_begin(L, s, "flow.gather");
    lua_createtable(L, (int)n, 0);
    const orr_client *client = orr_fiber_root(s, f)->client;
    if (client->gathers) client->gathers(f);
    if (n == 0) return 1;
    orr_fiber_set_value(L, s, f);
    f->wait = &orr_wait_gather;
    f->left = 0;
    if (!spawn_strands(L, s, f, n)) {
        orr_wait_forget(s, f);
        return luaL_error(L, "flow.gather: not enough memory for %d coroutines", (int)n);
    }
    return orr_wait_yield(L, s, f);
}

void orr_gather_keep(lua_State *L, orr_script *s, orr_fiber *strand, bool failed) {
    orr_fiber *parent = orr_fiber_at(s, strand->parent);
    if (parent->wait != &orr_wait_gather || (failed && parent->flags & FIBER_FAILED)) return;
    orr_fiber_push_value(L, s, parent);
    lua_pushvalue(L, -2);
    if (!failed) lua_rawseti(L, -2, (lua_Integer)strand->place);
    else lua_rawsetp(L, -2, ORR_WAIT_SENTINEL);
    lua_pop(L, 1);
    if (failed) parent->flags |= FIBER_FAILED;
}

static void unlink_strand(orr_script *s, orr_fiber *parent, const orr_fiber *strand) {
    uint32_t *link = &parent->strands;
    while (*link != strand->index) link = &orr_fiber_at(s, *link)->sibling;
    *link = strand->sibling;
    parent->left--;
}

/* All strands are over: the one that gathers goes on with the list, or with the first error. */
static void gathered(orr_script *s, orr_fiber *parent) {
    bool failed = parent->flags & FIBER_FAILED;
    parent->flags &= (uint16_t)~FIBER_FAILED;
    if (!lua_checkstack(parent->co, LUA_MINSTACK)) {
        orr_wake_with_reason(s, parent, REASON_MEMORY);
        return;
    }
    orr_fiber_push_value(parent->co, s, parent);
    if (failed) {
        lua_rawgetp(parent->co, -1, ORR_WAIT_SENTINEL);
        lua_remove(parent->co, -2);
        parent->flags |= FIBER_RAISE;
    }
    orr_wait_done(s, parent, 1);
}

void orr_gather_ended(orr_script *s, orr_fiber *strand) {
    orr_fiber *parent = orr_fiber_at(s, strand->parent), *root = orr_fiber_at(s, strand->root);
    bool failed = orr_fibers_of(s)->failed;
    unlink_strand(s, parent, strand);
    if (failed) {
        for (uint32_t at = parent->strands, next; at != ORR_NONE; at = next) {
            next = orr_fiber_at(s, at)->sibling;
            orr_fiber_cancel(s, orr_fiber_at(s, at), REASON_SIBLING);
        }
    }
    if (parent->left == 0 && parent->state == FIBER_PARKED && parent->wait == &orr_wait_gather)
        gathered(s, parent);
    root->busy--;
    orr_wait_rest(s, root);
}

void orr_gather_drop(orr_script *s, orr_fiber *strand) {
    orr_fiber *parent = orr_fiber_at(s, strand->parent);
    orr_fiber_at(s, strand->root)->busy--;
    unlink_strand(s, parent, strand);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void forget(orr_script *s, orr_fiber *f) {
    while (f->strands != ORR_NONE) orr_fiber_abandon(s, orr_fiber_at(s, f->strands));
    f->flags &= (uint16_t)~FIBER_FAILED;
}

static void cancel(orr_script *s, orr_fiber *f, uint8_t reason) {
    f->flags |= FIBER_RAISE_AT_WAKE;
    for (uint32_t at = f->strands, next; at != ORR_NONE; at = next) {
        next = orr_fiber_at(s, at)->sibling;
        orr_fiber_cancel(s, orr_fiber_at(s, at), reason);
    }
}

const orr_wait_kind orr_wait_gather = {.begins = "waits for its strands", .forget = forget, .cancel = cancel};
