/* slots.c - where fibers live: slots with their coroutines, the values they wait with, the queue of
 * those that can go on, and the map that finds the fiber of a task.
 *
 * A slot that is given back after a clean finish keeps its coroutine and is the next to be taken,
 * so that a run whose handlers do not wait goes through one warm coroutine.
 */
#include "fiber/inner.h"
#include <string.h>

/* ---- slots ----------------------------------------------------------------------------------- */

orr_fiber *orr_fiber_get(const orr_script *s, orr_fiber_id id) {
    orr_fibers *all = orr_fibers_of(s);
    uint32_t index = (uint32_t)id, gen = (uint32_t)(id >> 32);
    if (index >= all->n_slots) return NULL;
    orr_fiber *f = orr_fiber_at(s, index);
    return f->gen == gen && f->state != FIBER_UNUSED ? f : NULL;
}

static bool grow(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    orr_fiber **chunks = orr_mem_resize(&s->alloc, all->chunks, all->n_chunks, all->n_chunks + 1,
                                        sizeof *chunks);
    if (!chunks) return false;
    all->chunks = chunks;
    orr_fiber *chunk = orr_mem_new(&s->alloc, ORR_FIBER_CHUNK, sizeof *chunk);
    if (!chunk) {
        orr_fiber **less = orr_mem_resize(&s->alloc, chunks, all->n_chunks + 1, all->n_chunks,
                                          sizeof *chunks);
        if (less || !all->n_chunks) all->chunks = less;
        return false;
    }
    all->chunks[all->n_chunks++] = chunk;
    for (uint32_t i = ORR_FIBER_CHUNK; i-- > 0;) {
        chunk[i].index = all->n_slots + i;
        chunk[i].gen = 1;
        chunk[i].next = all->cold;
        all->cold = all->n_slots + i;
    }
    all->n_slots += ORR_FIBER_CHUNK;
    return true;
}

typedef struct making {
    orr_script *s;
    orr_fiber *f;
} making;

static int make_coroutine(lua_State *L) {
    making *m = lua_touserdata(L, 1);
    orr_push_anchor(L, orr_fibers_of(m->s)->threads);
    lua_State *co = lua_newthread(L);
    lua_rawseti(L, -2, (lua_Integer)m->f->index + 1);
    m->f->co = co;
    return 0;
}

orr_fiber *orr_fiber_new(orr_script *s, bool with_coroutine) {
    orr_fibers *all = orr_fibers_of(s);
    orr_fiber *f;
    if (with_coroutine && all->warm != ORR_NONE) {
        f = orr_fiber_at(s, all->warm);
        all->warm = f->next;
        all->n_warm--;
    } else {
        if (all->cold == ORR_NONE && !grow(s)) return NULL;
        f = orr_fiber_at(s, all->cold);
        making m = {s, f};
        if (with_coroutine && orr_protect(s, make_coroutine, &m) != LUA_OK) return NULL;
        all->cold = f->next;
    }
    f->run = NULL;
    f->task = (orr_task){ORR_NONE, ORR_NONE, 0, 0};
    f->root = f->index;
    f->parent = f->strands = f->sibling = f->next = f->prev = f->chain = f->timer = f->held = ORR_NONE;
    f->left = 0;
    f->busy = 1;
    f->ordinal = f->inner = f->newest = 0;
    f->alive = 0;
    f->nargs = 0;
    f->flags = 0;
    f->state = FIBER_VIEW;
    f->kind = FIBER_FREE;
    f->wait = NULL;
    f->client = NULL;
    f->rt = NULL;
    f->phase = f->reason = 0;
    return f;
}

/* A table place that holds a value is emptied without allocating. */
static void clear_place(orr_script *s, int anchor, uint32_t index) {
    lua_State *L = s->main;
    if (!lua_checkstack(L, 4)) return;
    orr_push_anchor(L, anchor);
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)index + 1);
    lua_pop(L, 1);
}

static void drop_coroutine(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    clear_place(s, all->threads, f->index);
    f->co = NULL;
}

/* ---- the map from tasks to fibers that have waited ------------------------------------------- */

static uint32_t bucket_of(const orr_script *s, const orr_runbox *run, const orr_task *task) {
    orr_fibers *all = orr_fibers_of(s);
    uint64_t h = (uint64_t)(uintptr_t)run >> 4;
    h = (h ^ orr_task_handle(task->node, task->item)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32) & (all->map_size - 1);
}

/* Where memory for a wider map is missing, the chains get longer: slower, never wrong. */
static void widen_map(orr_script *s) {
    orr_fibers *all = orr_fibers_of(s);
    uint32_t size = all->map_size * 2;
    uint32_t *map = size ? orr_mem_new(&s->alloc, size, sizeof *map) : NULL;
    if (!map) return;
    uint32_t *old = all->map, old_size = all->map_size;
    memset(map, 0xff, size * sizeof *map);
    all->map = map;
    all->map_size = size;
    for (uint32_t i = 0; i < old_size; i++) {
        for (uint32_t at = old[i], next; at != ORR_NONE; at = next) {
            orr_fiber *f = orr_fiber_at(s, at);
            next = f->chain;
            uint32_t *bucket = &map[bucket_of(s, f->run, &f->task)];
            f->chain = *bucket;
            *bucket = at;
        }
    }
    orr_mem_free(&s->alloc, old, old_size, sizeof *old);
}

void orr_fiber_map(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    if (all->map_count >= all->map_size) widen_map(s);
    uint32_t *bucket = &all->map[bucket_of(s, f->run, &f->task)];
    f->chain = *bucket;
    *bucket = f->index;
    f->flags |= FIBER_MAPPED;
    all->map_count++;
}

static void map_remove(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    uint32_t *link = &all->map[bucket_of(s, f->run, &f->task)];
    while (*link != f->index) link = &orr_fiber_at(s, *link)->chain;
    *link = f->chain;
    all->map_count--;
}

orr_fiber *orr_fiber_of(const orr_script *s, const orr_runbox *run, const orr_task *task) {
    orr_fibers *all = orr_fibers_of(s);
    for (uint32_t at = all->map[bucket_of(s, run, task)]; at != ORR_NONE;) {
        orr_fiber *f = orr_fiber_at(s, at);
        if (f->run == run && f->task.node == task->node && f->task.item == task->item)
            return f->task.attempt == task->attempt && f->task.iteration == task->iteration ? f : NULL;
        at = f->chain;
    }
    return NULL;
}

orr_fiber *orr_fiber_find(const orr_script *s, const orr_runbox *run, uint32_t node, uint32_t item) {
    orr_fibers *all = orr_fibers_of(s);
    const orr_task task = {.node = node, .item = item};
    for (uint32_t at = all->map[bucket_of(s, run, &task)]; at != ORR_NONE; at = orr_fiber_at(s, at)->chain) {
        orr_fiber *f = orr_fiber_at(s, at);
        if (f->run == run && f->task.node == node && f->task.item == item) return f;
    }
    return NULL;
}

void orr_fiber_release(orr_script *s, orr_fiber *f, bool clean) {
    orr_fibers *all = orr_fibers_of(s);
    if (f->flags & FIBER_HAS_VALUE) orr_fiber_clear_value(s, f);
    if (f->flags & FIBER_MAPPED) map_remove(s, f);
    f->gen++;
    f->state = FIBER_UNUSED;
    f->flags = 0;
    if (f->co && clean && all->n_warm < ORR_WARM_FIBERS) {
        lua_settop(f->co, 0);
        f->next = all->warm;
        all->warm = f->index;
        all->n_warm++;
        return;
    }
    if (f->co) drop_coroutine(s, f);
    f->next = all->cold;
    all->cold = f->index;
}

/* ---- the value of a wait --------------------------------------------------------------------- */

void orr_fiber_set_value(lua_State *L, orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    orr_push_anchor(L, all->values);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)f->index + 1);
    lua_pop(L, 1);
    f->flags |= FIBER_HAS_VALUE;
}

void orr_fiber_push_value(lua_State *L, const orr_script *s, const orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    if (!(f->flags & FIBER_HAS_VALUE)) {
        lua_pushnil(L);
        return;
    }
    orr_push_anchor(L, all->values);
    lua_rawgeti(L, -1, (lua_Integer)f->index + 1);
    lua_remove(L, -2);
}

void orr_fiber_clear_value(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    if (!(f->flags & FIBER_HAS_VALUE)) return;
    f->flags &= (uint16_t)~FIBER_HAS_VALUE;
    clear_place(s, all->values, f->index);
}

/* ---- the queue ------------------------------------------------------------------------------- */

void orr_ready_push(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    orr_stay_awake(s);
    f->state = FIBER_READY;
    f->next = ORR_NONE;
    f->prev = all->ready_tail;
    if (all->ready_tail == ORR_NONE) all->ready_head = f->index;
    else orr_fiber_at(s, all->ready_tail)->next = f->index;
    all->ready_tail = f->index;
}

void orr_ready_remove(orr_script *s, orr_fiber *f) {
    orr_fibers *all = orr_fibers_of(s);
    if (f->prev == ORR_NONE) all->ready_head = f->next;
    else orr_fiber_at(s, f->prev)->next = f->next;
    if (f->next == ORR_NONE) all->ready_tail = f->prev;
    else orr_fiber_at(s, f->next)->prev = f->prev;
    f->next = f->prev = ORR_NONE;
}
