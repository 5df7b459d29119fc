/* cgroup.h - a control group (cgroup v2) for each command, where this program may make some: then
 * the kernel knows what a command has started, whatever that does, and ends all of it at once.
 *
 * Groups are made below the program's own one, in a group of the program's, and only where that is
 * delegated to it: systemd's Delegate=yes, the root of a container. No controller is enabled, so
 * nothing is limited or counted otherwise than before. Elsewhere there are none, and commands are
 * found by their groups and marks alone.
 */
#ifndef ORR_LOOP_CGROUP_H
#define ORR_LOOP_CGROUP_H

#include "core/plan/plan.h"
#include "loop/kin.h"

typedef struct orr_cgroup orr_cgroup;

/* Makes the program's. NULL where none may be made, or there is no memory. */
orr_cgroup *orr_cgroup_open(const orr_alloc *alloc);

/* Removes it, with those of commands, unless something lives there. */
void orr_cgroup_close(orr_cgroup *g);

/* Its absolute path. */
const char *orr_cgroup_path(const orr_cgroup *g);

/* One for a command: a descriptor above 2, or 0 where none could be made. */
int orr_cgroup_add(orr_cgroup *g, unsigned *number);

/* Removes it, as soon as nothing lives there, and closes the descriptor. */
void orr_cgroup_remove(orr_cgroup *g, int fd, unsigned number);

/* Whether something lives in it or in a group below it. */
bool orr_cgroup_lives(int fd);

/* Adds what lives in it, but not what lives in groups below it. */
void orr_cgroup_find(int fd, orr_kin *k);

/* Kills all that lives in it and below it at once (a kernel before 5.14: nothing). */
void orr_cgroup_kill(int fd);

/* Kills all that lives in a program's, and removes it. Allocates nothing, so that it may run in a
 * child after fork. */
void orr_cgroup_end(const char *path);

#endif
