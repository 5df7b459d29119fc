/* uvtimer.h - virtual time and the loop: luv's timers on virtual clocks, and what virtual time stands still for. Part of state.h. */
#ifndef ORR_SCRIPT_UVTIMER_H
#define ORR_SCRIPT_UVTIMER_H

#include "script.h"

typedef struct orr_rtbox orr_rtbox;
typedef struct orr_uvtimer orr_uvtimer;

/* Timers of luv's, in order. */
typedef struct orr_uvtimer_list {
    orr_uvtimer *first, *last;
} orr_uvtimer_list;

/* From now on timers that handlers start through luv follow virtual clocks. May raise a memory error. */
void orr_uvtimers_install(lua_State *L, orr_script *s);
/* A timer of the engine's that belongs to one of luv's has come. */
void orr_uvtimer_due(orr_uvtimer *t);
/* Calls the callbacks of those that are due. True when there were any. */
bool orr_uvtimers_fire(orr_script *s);
/* The runtime is about to be freed. */
void orr_uvtimers_forget(orr_script *s, orr_rtbox *rt);

/* Whether anything but the stores keeps the loop alive. */
bool orr_outside_alive(const orr_script *s);
/* Whether something is under way on the loop that time must not overtake. */
bool orr_outside_busy(const orr_script *s);

#endif
