/* kin.h - which processes a command has started: those of its group, those that carry its mark in
 * their environment, and what any of them has started, by /proc.
 *
 * Nothing here allocates or locks, so that it may run in a child after fork.
 */
#ifndef ORR_LOOP_KIN_H
#define ORR_LOOP_KIN_H

#include <stdbool.h>
#include <stddef.h>

enum { ORR_KIN_MOST = 512 };

typedef struct orr_kin {
    size_t n, in_group;     /* in_group: of those, members of the group that was looked for */
    int pids[ORR_KIN_MOST]; /* living ones; what is beyond the room is found once these are gone */
} orr_kin;

/* The time at which a process was started, in the kernel's ticks; 0 where it is not there or is a
 * zombie. With the id it names a process for good. */
unsigned long long orr_kin_birth(int pid);

/* Whether the process of that birth is a zombie. */
bool orr_kin_is_zombie(int pid, unsigned long long birth);

/* Whether the text, of 128 bytes at most and not empty, stands in its environment. */
bool orr_kin_has_text(int pid, const char *text);

typedef struct orr_kin_child {
    int pid, session;
    unsigned long long birth;
    bool is_zombie;
} orr_kin_child;

/* Calls for each child of this program. */
void orr_kin_each_child(void (*act)(void *ud, const orr_kin_child *child), void *ud);

/* Adds all of the kin of a group. `mark` is a text that stands in the environment of each of them,
 * or NULL. */
void orr_kin_find(orr_kin *k, int group, const char *mark);

/* Adds the living members of the group and nothing else. */
void orr_kin_find_group(orr_kin *k, int group);

/* Adds a process that lives, and what it has started. */
void orr_kin_add(orr_kin *k, int pid);

/* As orr_kin_find, when the leader of the group has just ended: looks only at processes that were
 * started after it where there are few. */
void orr_kin_left(orr_kin *k, int group, const char *mark);

/* Sends a signal to all of them. */
void orr_kin_signal(const orr_kin *k, int signal);

#endif
