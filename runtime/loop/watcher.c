/* watcher.c - see watcher.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, close_range */
#endif
#include "loop/watcher.h"
#include "loop/cgroup.h"
#include "loop/kin.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VARIABLE "ORRERY_MARK"

enum { MOST_GROUPS = 4096, ROUNDS = 200, PAUSE = 5000000 };

struct orr_watcher {
    orr_alloc alloc;
    int fd;
    unsigned long long n; /* commands marked */
    char token[ORR_MARK_OWN - 24];
};

/* ---- the process: after fork, so without memory of its own and locks ------------------------- */

typedef struct groups {
    size_t n;
    int ids[MOST_GROUPS]; /* those beyond are found by their marks */
} groups;

/* A positive number is a group to remember, a negative one to forget. */
static void note(groups *g, int id) {
    if (id > 0 && g->n < MOST_GROUPS) g->ids[g->n++] = id;
    for (size_t i = 0; id < 0 && i < g->n; i++)
        if (g->ids[i] == -id) g->ids[i--] = g->ids[--g->n];
}

static void read_until_end(int fd, groups *g) {
    int ids[256];
    for (ssize_t n;;) {
        n = read(fd, ids, sizeof ids); /* written whole, so read in whole numbers */
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        for (size_t i = 0; i < (size_t)n / sizeof *ids; i++) note(g, ids[i]);
    }
}

/* What is killed may have started something in the meantime, so until nothing is found. */
static void end_all(const groups *g, const char *mark) {
    const struct timespec pause = {.tv_nsec = PAUSE};
    for (int round = 0; round < ROUNDS; round++) {
        orr_kin k = {0};
        for (size_t i = 0; i < g->n; i++) {
            orr_kin_add(&k, g->ids[i]);
            kill(-g->ids[i], SIGKILL);
        }
        orr_kin_find(&k, -1, mark);
        if (!k.n) return;
        orr_kin_signal(&k, SIGKILL);
        nanosleep(&pause, NULL);
    }
}

static void close_from(unsigned first) {
    if (!syscall(SYS_close_range, first, ~0U, 0U)) return;
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = (int)first; fd < (most > 0 && most < 65536 ? most : 65536); fd++) close(fd);
}

/* It holds no descriptor and no folder that somebody may wait for. */
static void watch(int fd, const char *mark, const char *cgroup) {
    static groups g;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (int i = 1; i < NSIG; i++) sigaction(i, &ignore, NULL);
    if (dup2(fd, 0) < 0) _exit(1);
    close_from(1);
    if (chdir("/")) _exit(1);
    prctl(PR_SET_NAME, "orrery-watcher");
    read_until_end(0, &g);
    if (cgroup) orr_cgroup_end(cgroup);
    end_all(&g, mark);
    _exit(0);
}

/* ---- here ------------------------------------------------------------------------------------ */

/* A child whose child is the watcher, and which is waited for at once. */
static bool start(const orr_watcher *w, int fds[2], const char *cgroup) {
    sigset_t all, before;
    int status = 1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        pid_t watcher = fork();
        if (watcher == 0) watch(fds[0], w->token, cgroup);
        _exit(watcher < 0);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) return false;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return true; /* reaped by somebody else */
    return status == 0;
}

orr_watcher *orr_watcher_open(const orr_alloc *alloc, const char *cgroup) {
    int fds[2];
    struct timespec now;
    orr_watcher *w = orr_mem_new(alloc, 1, sizeof *w);
    if (!w) return NULL;
    w->alloc = *alloc;
    clock_gettime(CLOCK_BOOTTIME, &now);
    snprintf(w->token, sizeof w->token, "/%d-%llx.", (int)getpid(),
             (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec);
    if (!pipe2(fds, O_CLOEXEC)) {
        bool started = start(w, fds, cgroup);
        close(fds[0]);
        /* it never holds up this program, even where somebody has stopped it */
        if (started && !fcntl(fds[1], F_SETFL, O_NONBLOCK)) {
            w->fd = fds[1];
            return w;
        }
        close(fds[1]);
    }
    orr_mem_free(alloc, w, 1, sizeof *w);
    return NULL;
}

void orr_watcher_close(orr_watcher *w) {
    orr_alloc alloc = w->alloc;
    close(w->fd);
    orr_mem_free(&alloc, w, 1, sizeof *w);
}

void orr_watcher_mark(orr_watcher *w, char variable[ORR_MARK_MOST], char own[ORR_MARK_OWN]) {
    const char *outer = getenv(VARIABLE);
    snprintf(own, ORR_MARK_OWN, "%s%llu;", w->token, ++w->n);
    if (!outer || strlen(outer) > ORR_MARK_MOST - ORR_MARK_OWN - sizeof VARIABLE) outer = "";
    snprintf(variable, ORR_MARK_MOST, VARIABLE "=%s%s", outer, own);
}

static void tell(orr_watcher *w, int id) {
    while (write(w->fd, &id, sizeof id) < 0 && errno == EINTR) {
    } /* full: the marks are left to it */
}

void orr_watcher_add(orr_watcher *w, int group) {
    tell(w, group);
}

void orr_watcher_remove(orr_watcher *w, int group) {
    tell(w, -group);
}
