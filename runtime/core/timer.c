/* timer.c - an indexed 4-ary min-heap. The timers themselves are in the heap and not behind
 * pointers, since it is comparing that costs; `where` finds a timer by its id and doubles as the
 * list of free ids. */
#include "core/timer.h"

#include <string.h>

enum { ARITY = 4, FIRST_CAPACITY = 16 };

_Static_assert(sizeof(orr_timer) == 32 || sizeof(void *) != 8, "four timers should fill two cache lines");

/* Set in where[id] while the id is free; the other bits are the next free id, all of them set
 * for none. */
#define FREE_BIT 0x80000000u
#define NO_LINK 0x7fffffffu
#define MAX_TIMERS NO_LINK

#define BYTES_EACH (sizeof(orr_timer) + 2 * sizeof(uint32_t))

void orr_timers_init(orr_timers *timers, orr_alloc alloc) {
    *timers = (orr_timers){.alloc = alloc, .free_id = ORR_NONE};
}

void orr_timers_free(orr_timers *timers) {
    orr_mem_free(&timers->alloc, timers->heap, timers->capacity, BYTES_EACH);
    orr_timers_init(timers, timers->alloc);
}

/* Moves everything to a larger block: one allocation, so that failing leaves all three arrays as
 * they were. */
static orr_status grow(orr_timers *timers, uint32_t capacity) {
    orr_timer *heap = orr_mem_resize(&timers->alloc, NULL, 0, capacity, BYTES_EACH);
    if (!heap) return ORR_ENOMEM;
    uint32_t *id_at = (uint32_t *)(heap + capacity);
    uint32_t *where = id_at + capacity;
    if (timers->heap) {
        memcpy(heap, timers->heap, timers->count * sizeof *heap);
        memcpy(id_at, timers->id_at, timers->count * sizeof *id_at);
        memcpy(where, timers->where, timers->used * sizeof *where);
        orr_mem_free(&timers->alloc, timers->heap, timers->capacity, BYTES_EACH);
    }
    timers->heap = heap;
    timers->id_at = id_at;
    timers->where = where;
    timers->capacity = capacity;
    return ORR_OK;
}

orr_status orr_timers_reserve(orr_timers *timers, uint32_t n) {
    if (n <= timers->capacity - timers->count) return ORR_OK;
    if (n > MAX_TIMERS - timers->count) return ORR_ENOMEM;
    uint32_t need = timers->count + n;
    uint32_t twice = timers->capacity > MAX_TIMERS / 2 ? MAX_TIMERS : timers->capacity * 2;
    if (twice < FIRST_CAPACITY) twice = FIRST_CAPACITY;
    return grow(timers, need > twice ? need : twice);
}

static inline bool before(const orr_timer *a, const orr_timer *b) {
    return a->time != b->time ? a->time < b->time : a->seq < b->seq;
}

static inline void put(orr_timers *timers, uint32_t at, orr_timer timer, uint32_t id) {
    timers->heap[at] = timer;
    timers->id_at[at] = id;
    timers->where[id] = at;
}

/* Both sifts carry a timer from a hole at `at` to where it belongs and write it once, there. */
static void sift_up(orr_timers *timers, uint32_t at, orr_timer timer, uint32_t id) {
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (!before(&timer, &timers->heap[parent])) break;
        put(timers, at, timers->heap[parent], timers->id_at[parent]);
        at = parent;
    }
    put(timers, at, timer, id);
}

static uint32_t least_child(const orr_timers *timers, uint64_t first) {
    uint64_t end = first + ARITY < timers->count ? first + ARITY : timers->count;
    uint32_t least = (uint32_t)first;
    for (uint32_t c = least + 1; c < end; c++)
        if (before(&timers->heap[c], &timers->heap[least])) least = c;
    return least;
}

static void sift_down(orr_timers *timers, uint32_t at, orr_timer timer, uint32_t id) {
    for (;;) {
        uint64_t first = (uint64_t)at * ARITY + 1;
        if (first >= timers->count) break;
        uint32_t child = least_child(timers, first);
        if (!before(&timers->heap[child], &timer)) break;
        put(timers, at, timers->heap[child], timers->id_at[child]);
        at = child;
    }
    put(timers, at, timer, id);
}

/* Carries a timer from a hole to where it belongs, which may be higher or lower. */
static void sift(orr_timers *timers, uint32_t at, orr_timer timer, uint32_t id) {
    if (at > 0 && before(&timer, &timers->heap[(at - 1) / ARITY])) sift_up(timers, at, timer, id);
    else sift_down(timers, at, timer, id);
}

static uint32_t take_id(orr_timers *timers) {
    if (timers->free_id == ORR_NONE) return timers->used++;
    uint32_t id = timers->free_id;
    uint32_t link = timers->where[id] & ~FREE_BIT;
    timers->free_id = link == NO_LINK ? ORR_NONE : link;
    return id;
}

uint32_t orr_timers_add(orr_timers *timers, int64_t time, void *owner, uint32_t task, uint8_t kind) {
    if (orr_timers_reserve(timers, 1) != ORR_OK) return ORR_NONE;
    orr_timer timer = {.time = time, .seq = ++timers->seq, .owner = owner, .task = task, .kind = kind};
    uint32_t id = take_id(timers);
    sift_up(timers, timers->count++, timer, id);
    return id;
}

static bool is_set(const orr_timers *timers, uint32_t id) {
    return id < timers->used && !(timers->where[id] & FREE_BIT);
}

void orr_timers_remove(orr_timers *timers, uint32_t id) {
    if (!is_set(timers, id)) return;
    uint32_t at = timers->where[id];
    uint32_t last = --timers->count;
    timers->where[id] = FREE_BIT | (timers->free_id == ORR_NONE ? NO_LINK : timers->free_id);
    timers->free_id = id;
    if (at == last) return;
    sift(timers, at, timers->heap[last], timers->id_at[last]); /* the last timer fills the hole */
}

void orr_timers_move(orr_timers *timers, uint32_t id, int64_t time) {
    if (!is_set(timers, id)) return;
    orr_timer moved = timers->heap[timers->where[id]];
    moved.time = time;
    sift(timers, timers->where[id], moved, id);
}

const orr_timer *orr_timers_get(const orr_timers *timers, uint32_t id) {
    return is_set(timers, id) ? &timers->heap[timers->where[id]] : NULL;
}

bool orr_timers_first(const orr_timers *timers, orr_timer *out, uint32_t *id) {
    if (timers->count == 0) return false;
    if (out) *out = timers->heap[0];
    if (id) *id = timers->id_at[0];
    return true;
}

const char *orr_timers_check(const orr_timers *timers) {
    uint32_t free_ids = timers->used - timers->count, set = 0;
    if (timers->count > timers->used || timers->used > timers->capacity)
        return "the number of timers is wrong";
    for (uint32_t i = 0; i < timers->count; i++) {
        uint32_t id = timers->id_at[i];
        if (id >= timers->used || timers->where[id] != i) return "a timer's id leads to another timer";
        if (i > 0 && before(&timers->heap[i], &timers->heap[(i - 1) / ARITY]))
            return "a timer stands behind one that is due later";
    }
    for (uint32_t id = 0; id < timers->used; id++) set += is_set(timers, id);
    if (set != timers->count) return "an id leads to a timer that is not set";
    for (uint32_t id = timers->free_id; id != ORR_NONE; free_ids--) {
        if (id >= timers->used || is_set(timers, id) || free_ids == 0)
            return "the list of free ids of timers is broken";
        uint32_t link = timers->where[id] & ~FREE_BIT;
        id = link == NO_LINK ? ORR_NONE : link;
    }
    return free_ids == 0 ? NULL : "the list of free ids of timers is broken";
}
