/* watcher.h - a process that ends all commands of this program when this program has gone, however
 * that came about: a kill, a crash, an exit in the middle.
 *
 * It reads a pipe whose other end this program alone holds. Commands and what they start carry a
 * mark in their environment, ORRERY_MARK, by which it finds those that have left their group.
 * It is not a child of this program: nothing has to wait for it.
 */
#ifndef ORR_LOOP_WATCHER_H
#define ORR_LOOP_WATCHER_H

#include "core/plan/plan.h"

typedef struct orr_watcher orr_watcher;

/* The longest text of orr_watcher_mark with its end, and of the part that names one command. */
enum { ORR_MARK_MOST = 512, ORR_MARK_OWN = 64 };

/* Starts it. `cgroup` is the path of this program's control group (orr_cgroup_path), which it ends
 * as well; NULL: none. NULL where there is no memory, process or descriptor for it. */
orr_watcher *orr_watcher_open(const orr_alloc *alloc, const char *cgroup);

/* Lets it end what is left of the commands, and then itself. */
void orr_watcher_close(orr_watcher *w);

/* Gives the next command its mark: `variable` gets "ORRERY_MARK=...", `own` the part of the value
 * that no other command has. Within the command of another Orrery the value names that one too. */
void orr_watcher_mark(orr_watcher *w, char variable[ORR_MARK_MOST], char own[ORR_MARK_OWN]);

/* Tells it of a group that is to be ended with this program, and of one that has gone. */
void orr_watcher_add(orr_watcher *w, int group);
void orr_watcher_remove(orr_watcher *w, int group);

#endif
