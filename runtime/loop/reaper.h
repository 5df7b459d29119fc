/* reaper.h - this program in the place of process 1 for what its commands start (a subreaper): what
 * loses its parent becomes a child of this program.
 *
 * So what has left its group, its session and its environment behind can still be found, and ends
 * with the last command that ran beside it. And somebody has to wait for it: children that nobody
 * else waits for are waited for here, those of a command's by a session of their own, which no
 * child has that a program starts in the usual way. No signal's handler is needed for that.
 */
#ifndef ORR_LOOP_REAPER_H
#define ORR_LOOP_REAPER_H

#include "core/plan/plan.h"
#include "loop/kin.h"
#include <uv.h>

typedef struct orr_reaper orr_reaper;

/* A command in the reaper's list; the fields are the reaper's own. */
typedef struct orr_reaper_member {
    struct orr_reaper_member *next, *prev;
    orr_reaper *in; /* NULL: in none */
    int pid;        /* 0 once it was waited for */
} orr_reaper_member;

/* Makes this program a subreaper, whatever its thread. NULL where there is no memory, or the system
 * refuses. */
orr_reaper *orr_reaper_open(const orr_alloc *alloc, uv_loop_t *loop);

/* Gives back what was changed. No member may be left. The loop frees it in its next iteration. */
void orr_reaper_close(orr_reaper *r);

/* A command has been started, with `detach` as in orr_process_options. */
void orr_reaper_join(orr_reaper *r, orr_reaper_member *m, int pid, bool detach);

/* It was waited for: its id may be another's from now on. */
void orr_reaper_waited(orr_reaper_member *m);

/* It is over; nothing where it has left already. */
void orr_reaper_leave(orr_reaper_member *m);

/* Adds orphans that no mark names. They belong to the last command that is left of those that may
 * have started them: for another one this adds nothing. */
void orr_reaper_add_orphans(const orr_reaper_member *m, orr_kin *k);

#endif
