/* virtual_timer.h - luv's timers on virtual clocks. Part of fiber.h. */
#ifndef ORR_FIBER_VIRTUAL_TIMER_H
#define ORR_FIBER_VIRTUAL_TIMER_H

#include "lua/lua.h"

typedef struct orr_rt orr_rt;
typedef struct orr_uvtimer orr_uvtimer;

/* Timers of luv's, in order. */
typedef struct orr_uvtimer_list {
    orr_uvtimer *first, *last;
} orr_uvtimer_list;

/* From now on timers that handlers start through luv follow virtual clocks. May raise a memory
 * error. */
void orr_uvtimers_install(lua_State *L, orr_script *s);
/* A timer of the engine's that belongs to one of luv's has come. */
void orr_uvtimer_due(orr_uvtimer *t);
/* The runtime is about to be freed. */
void orr_uvtimers_forget(orr_script *s, orr_rt *rt);

#endif
