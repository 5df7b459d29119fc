/* spawn.h - starts a program in a session of its own. */
#ifndef ORR_LOOP_SPAWN_H
#define ORR_LOOP_SPAWN_H

typedef struct orr_spawn {
    const char *const *argv; /* as in orr_process_options */
    const char *const *env;  /* NULL: this program's */
    const char *cwd;         /* NULL: this program's */
    int cgroup;              /* descriptor of a control group to be in, where it can be had; 0: none */
    int stdio[3];            /* its descriptors 0, 1 and 2; -1: /dev/null. It gets no others */
} orr_spawn;

/* 0 with its id, or a negative errno where it could not be started or is no program. The child has
 * the standard actions of all signals, and none is blocked. It is the caller's to wait for. */
int orr_spawn_program(const orr_spawn *s, int *pid);

#endif
