/* timer.h - the timers of the core: a heap ordered by (time, creation), addressed by stable ids.
 *
 * A timer knows nothing but its time and whom it concerns. Equal times come out in the order in
 * which the timers were added, so that an equal sequence of calls gives an equal sequence of
 * wake-ups. Adding and removing take O(log n), looking at the first O(1). The heap has four
 * children a node (Johnson, 1975): it is half as deep as a binary one and the children of a node
 * lie side by side.
 */
#ifndef ORR_CORE_TIMER_H
#define ORR_CORE_TIMER_H

#include "core/plan/plan.h"

typedef struct orr_timer {
    int64_t time;  /* ns since the Unix epoch */
    uint64_t seq;  /* order of creation, from 1; never reused */
    void *owner;   /* the caller's */
    uint32_t task; /* the caller's */
    uint8_t kind;  /* the caller's */
} orr_timer;

/* Embedded by value; its fields are private. A timer takes 40 bytes. */
typedef struct orr_timers {
    orr_alloc alloc;
    orr_timer *heap;   /* [0..count) by heap position */
    uint32_t *id_at;   /* the id of the timer at a heap position */
    uint32_t *where;   /* by id: its heap position, or a link of the list of free ids */
    uint32_t count;    /* timers that are set */
    uint32_t used;     /* ids handed out so far, free ones included */
    uint32_t capacity; /* of the three arrays, which share one block */
    uint32_t free_id;  /* head of the list of free ids or ORR_NONE */
    uint64_t seq;
} orr_timers;

/* Makes an empty heap, which holds no memory. `alloc` is copied. */
void orr_timers_init(orr_timers *timers, orr_alloc alloc);

/* Frees the memory; the heap is empty then and may be used again. */
void orr_timers_free(orr_timers *timers);

/* Makes room for `n` more timers: as many calls of orr_timers_add cannot fail then. ORR_ENOMEM:
 * nothing changed. */
orr_status orr_timers_reserve(orr_timers *timers, uint32_t n);

/* Sets a timer and returns its id, which stays valid until it is removed and may then be given
 * to another; ORR_NONE when out of memory. */
uint32_t orr_timers_add(orr_timers *timers, int64_t time, void *owner, uint32_t task, uint8_t kind);

/* Gives a timer another time; it keeps its id and its order among those of equal time. An id that
 * is not set (ORR_NONE too) is ignored. */
void orr_timers_move(orr_timers *timers, uint32_t id, int64_t time);

/* Removes a timer, the first one as well as any other. An id that is not set (ORR_NONE too) is
 * ignored. */
void orr_timers_remove(orr_timers *timers, uint32_t id);

/* The timer of that id, or NULL when it is not set. Valid until the next call that adds or
 * removes. */
const orr_timer *orr_timers_get(const orr_timers *timers, uint32_t id);

/* The timer that is due first, copied to *out, and its id to *id; either pointer may be NULL.
 * False when there is none. The timer stays set. */
bool orr_timers_first(const orr_timers *timers, orr_timer *out, uint32_t *id);

/* The time of the first timer, INT64_MAX when there is none. */
static inline int64_t orr_timers_deadline(const orr_timers *timers) {
    return timers->count ? timers->heap[0].time : INT64_MAX;
}

/* Proves that the heap is in order and that ids and positions agree: NULL, or a sentence that
 * says what is wrong. Linear, changes nothing. */
const char *orr_timers_check(const orr_timers *timers);

#endif
