/* open.c - opening and closing what the room keeps of a state. */
#include "fiber/inner.h"
#include <lauxlib.h>
#include <string.h>

const char orr_wait_key;

/* __gc of the state. Boxes go while there still are fibers: closing one may end waits. */
static int close_fibers(lua_State *L) {
    orr_script *s = lua_touserdata(L, 1);
    orr_fibers *all = orr_fibers_of(s);
    if (s->closed) return 0;
    s->closed = true;
    orr_watchdog_stop(&all->watchdog);
    all->runtimes = all->default_rt = NULL;
    orr_script_close(s);
    bool there = all->keeps_loop;
    orr_fibers_let_loop_go(s);
    if (there) uv_run(all->loop, UV_RUN_NOWAIT); /* calls close callbacks, which free handles */
    for (uint32_t i = 0; i < all->n_chunks; i++)
        orr_mem_free(&s->alloc, all->chunks[i], ORR_FIBER_CHUNK, sizeof(orr_fiber));
    orr_mem_free(&s->alloc, all->chunks, all->n_chunks, sizeof *all->chunks);
    orr_mem_free(&s->alloc, all->map, all->map_size, sizeof *all->map);
    return 0;
}

orr_script *orr_fibers_new(lua_State *L, size_t size, const orr_alloc *alloc, const orr_fibers_options *o) {
    orr_script *s = orr_script_new(L, size, alloc, close_fibers);
    orr_fibers *all = orr_fibers_of(s);
    s->describe = orr_describe_stopped;
    all->from = s->main;
    all->loop = o->loop;
    all->trace = o->trace;
    all->phases = o->phases;
    all->make_default = o->make_default;
    all->contain = o->contain;
    all->callback_limit = ORR_CALLBACK_LIMIT;
    all->warm = all->cold = all->ready_head = all->ready_tail = all->current = ORR_NONE;
    orr_watchdog_init(&all->watchdog);
    all->watchdog.stuck = o->stuck;
    lua_getglobal(L, "xpcall");
    all->watchdog.xpcall = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    if (!all->loop) luaL_error(L, "orrery.core needs a loop: give one, or let luv make it");
    all->map = orr_mem_new(&s->alloc, 64, sizeof *all->map);
    if (all->map) all->map_size = 64;
    if (!all->map) {
        luaL_error(L, "not enough memory to open orrery.core");
        return NULL;
    }
    memset(all->map, 0xff, all->map_size * sizeof *all->map);
    all->threads = orr_anchor_table(L, NULL);
    all->values = orr_anchor_table(L, NULL);
    all->active = orr_anchor_table(L, NULL);
    all->left = orr_anchor_table(L, NULL);
    all->inner = orr_anchor_table(L, "k");
    all->timers = all->timer_mt = LUA_NOREF;
    all->keeps_loop = true;
    if (o->watchdog) orr_fibers_watch(s);
    return s;
}

void orr_fibers_on_slice(const orr_script *s, void (*fn)(void *ud, bool begins), void *ud) {
    orr_fibers *all = orr_fibers_of(s);
    all->slice = fn;
    all->slice_ud = ud;
}

void orr_fibers_watch(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    if (!all->watching) all->watching = orr_watchdog_start(&all->watchdog) == ORR_OK;
}

void orr_fibers_listen(orr_script *s, void (*hear)(orr_script *s), void (*deaf)(bool slice)) {
    orr_fibers *all = orr_fibers_of(s);
    if (orr_watchdog_listen(&all->watchdog, deaf)) all->hear = hear;
}

void orr_fibers_let_loop_go(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    if (all->wakeup) orr_wakeup_free(all->wakeup);
    all->wakeup = NULL;
    all->keeps_loop = false;
}
