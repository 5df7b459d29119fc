/* launch.h - starts a program without waiting for it: the child shares our memory until its exec.
 *
 * A fork copies the tables of our memory and, as posix_spawn does, keeps this thread waiting until
 * the exec, a millisecond or more. Here it waits for neither. The child therefore makes nothing but
 * system calls, on a stack of its own, and what it needs is copied for it. Whether it could exec is
 * known when it has ended.
 */
#ifndef ORR_LOOP_LAUNCH_H
#define ORR_LOOP_LAUNCH_H

#include "core/plan/plan.h"
#include "loop/spawn.h"

typedef struct orr_launch orr_launch;

/* Starts a program as orr_spawn_program does. 0 with its id, a descriptor of the process (close it)
 * and what the child uses; -ENOSYS where that cannot be done here (an old kernel, valgrind, a
 * sanitizer, another processor), or another negative errno. */
int orr_launch_program(const orr_alloc *alloc, const orr_spawn *s, int *pid, int *pidfd, orr_launch **launch);

/* Once the child has ended: the errno of what failed in it before it was the program, or 0. */
int orr_launch_error(const orr_launch *l);

/* The folder that it was to be started in, or NULL. */
const char *orr_launch_cwd(const orr_launch *l);

/* Frees it, unless the child still uses it. NULL does nothing. */
void orr_launch_free(const orr_alloc *alloc, orr_launch *l);

#endif
