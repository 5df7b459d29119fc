/* kin.c - see kin.h. The kernel's texts: proc(5). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "loop/kin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FEW = 64, MARK_MOST = 128, BLOCK = 4096 };

/* ---- one process ----------------------------------------------------------------------------- */

typedef struct about {
    char state;
    int group, session;
    unsigned long long birth;
} about;

static ssize_t read_start(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n >= 0) text[n] = '\0';
    return n;
}

/* Reads "pid (name) state parent group session ... birth ..."; the birth is the 20th field after
 * the name. False where it is gone. */
static bool look_at_any(int pid, about *a) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_start(path, text, sizeof text) <= 0) return false;
    const char *after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name + 1,
               " %c %*d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &a->state,
               &a->group, &a->session, &a->birth) != 4)
        return false;
    return true;
}

static bool is_dead(const about *a) {
    return a->state == 'Z' || a->state == 'X';
}

/* False where it is gone or only a zombie. */
static bool look(int pid, about *a) {
    return look_at_any(pid, a) && !is_dead(a);
}

bool orr_kin_is_zombie(int pid, unsigned long long birth) {
    about a;
    return look_at_any(pid, &a) && is_dead(&a) && a.birth == birth;
}

unsigned long long orr_kin_birth(int pid) {
    about a;
    return look(pid, &a) ? a.birth : 0;
}

/* Another user's cannot be read. */
bool orr_kin_has_text(int pid, const char *mark) {
    char path[64], text[MARK_MOST + BLOCK];
    size_t length = strlen(mark), kept = 0;
    if (!length || length > MARK_MOST) return false;
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool found = false;
    for (ssize_t n; !found && (n = read(fd, text + kept, BLOCK)) > 0;) {
        size_t size = kept + (size_t)n;
        found = memmem(text, size, mark, length) != NULL;
        kept = size < length - 1 ? size : length - 1; /* it may stand across two blocks */
        memmove(text, text + size - kept, kept);
    }
    close(fd);
    return found;
}

/* ---- the set --------------------------------------------------------------------------------- */

static bool add(orr_kin *k, int pid) {
    if (pid <= 1 || pid == getpid() || k->n == ORR_KIN_MOST) return false;
    for (size_t i = 0; i < k->n; i++)
        if (k->pids[i] == pid) return false;
    k->pids[k->n++] = pid;
    return true;
}

static void consider(orr_kin *k, int pid, int group, const char *mark) {
    about a;
    if (!look(pid, &a)) return;
    if (a.group == group) k->in_group++;
    if (a.group == group || (mark && orr_kin_has_text(pid, mark))) add(k, pid);
}

typedef struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short length;
    unsigned char type;
    char name[];
} entry;

/* The number that a name is, or 0. */
static int number(const char *name) {
    int n = 0;
    for (; *name >= '0' && *name <= '9' && n < 100000000; name++) n = 10 * n + (*name - '0');
    return *name ? 0 : n;
}

/* Calls for each entry of a folder that is a number. */
static void each_number(const char *folder, void (*act)(void *ud, int number), void *ud) {
    _Alignas(entry) char block[BLOCK];
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    for (long n; (n = syscall(SYS_getdents64, fd, block, sizeof block)) > 0;)
        for (long at = 0; at < n;) {
            const entry *e = (const entry *)(const void *)(block + at);
            int found = number(e->name);
            if (found) act(ud, found);
            at += e->length;
        }
    close(fd);
}

typedef struct search {
    orr_kin *kin;
    int group, parent;
    const char *mark;
} search;

static void on_process(void *ud, int pid) {
    search *s = ud;
    consider(s->kin, pid, s->group, s->mark);
}

/* Calls for each child of a thread; an old kernel has no such file. */
static void each_of_thread(int parent, int thread, void (*act)(void *ud, int pid), void *ud) {
    char path[64], text[BLOCK];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, thread);
    if (read_start(path, text, sizeof text) <= 0) return;
    for (char *at = text, *end; (end = strchr(at, ' ')); at = end + 1) {
        *end = '\0';
        int pid = number(at);
        if (pid) act(ud, pid);
    }
}

static void add_child(void *ud, int pid) {
    const search *s = ud;
    if (orr_kin_birth(pid)) add(s->kin, pid);
}

static void on_thread(void *ud, int thread) {
    const search *s = ud;
    each_of_thread(s->parent, thread, add_child, ud);
}

/* The kin grows while it is walked, up to its room. */
static void add_descendants(orr_kin *k, size_t from) {
    for (size_t i = from; i < k->n; i++) {
        char path[64];
        search s = {.kin = k, .parent = k->pids[i]};
        snprintf(path, sizeof path, "/proc/%d/task", k->pids[i]);
        each_number(path, on_thread, &s);
    }
}

void orr_kin_find(orr_kin *k, int group, const char *mark) {
    search s = {.kin = k, .group = group, .mark = mark};
    size_t from = k->n;
    each_number("/proc", on_process, &s);
    add_descendants(k, from);
}

void orr_kin_find_group(orr_kin *k, int group) {
    search s = {.kin = k, .group = group};
    each_number("/proc", on_process, &s);
}

void orr_kin_add(orr_kin *k, int pid) {
    size_t from = k->n;
    if (orr_kin_birth(pid) && add(k, pid)) add_descendants(k, from);
}

/* The id that was given last: the last field of /proc/loadavg. */
static int last_id(void) {
    char text[128];
    if (read_start("/proc/loadavg", text, sizeof text) <= 0) return 0;
    const char *space = strrchr(text, ' ');
    int id = 0;
    return space && sscanf(space + 1, "%d", &id) == 1 ? id : 0;
}

void orr_kin_left(orr_kin *k, int group, const char *mark) {
    bool has_group = !kill(-group, 0) || errno != ESRCH;
    if (!has_group && !mark) return;
    int last = last_id();
    if (last < group || last - group > FEW) {
        orr_kin_find(k, group, mark);
        return;
    }
    size_t from = k->n;
    for (int pid = group + 1; pid <= last; pid++) consider(k, pid, group, mark);
    add_descendants(k, from);
}

typedef struct children {
    void (*act)(void *ud, const orr_kin_child *child);
    void *ud;
} children;

static void on_child(void *ud, int pid) {
    const children *c = ud;
    about a;
    if (!look_at_any(pid, &a)) return;
    orr_kin_child child = {.pid = pid, .session = a.session, .birth = a.birth, .is_zombie = is_dead(&a)};
    c->act(c->ud, &child);
}

static void on_own_thread(void *ud, int thread) {
    each_of_thread(getpid(), thread, on_child, ud);
}

void orr_kin_each_child(void (*act)(void *ud, const orr_kin_child *child), void *ud) {
    children c = {act, ud};
    each_number("/proc/self/task", on_own_thread, &c);
}

void orr_kin_signal(const orr_kin *k, int signal) {
    for (size_t i = 0; i < k->n; i++) kill(k->pids[i], signal);
}
