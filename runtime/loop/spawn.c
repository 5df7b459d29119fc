/* spawn.c - see spawn.h. Not libuv's: that lets every descriptor through that somebody opened
 * without O_CLOEXEC, libcurl's among them, and reaps by a handler of SIGCHLD. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* close_range, pipe2 */
#endif
#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* ---- in the child ---------------------------------------------------------------------------- */

static void reset_signals(void) {
    const uint64_t standard[4] = {0}; /* the kernel's structure: libc's function refuses signals of its own */
    sigset_t none;
    for (int i = 1; i < NSIG; i++) syscall(SYS_rt_sigaction, i, standard, NULL, sizeof(uint64_t));
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* A descriptor below 3 may be overwritten before its turn comes. */
static int lift(int fd) {
    return fd >= 0 && fd < 3 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;
}

static int set_stdio(const int stdio[3]) {
    int from[3];
    for (int i = 0; i < 3; i++) {
        from[i] = stdio[i] < 0 ? lift(open("/dev/null", (i ? O_WRONLY : O_RDONLY) | O_CLOEXEC))
                               : lift(stdio[i]);
        if (from[i] < 0) return -1;
    }
    for (int i = 0; i < 3; i++) {
        int flags;
        if (dup2(from[i], i) < 0) return -1;
        /* a terminal or pipe that this program reads without blocking */
        if ((flags = fcntl(i, F_GETFL)) >= 0 && flags & O_NONBLOCK) fcntl(i, F_SETFL, flags & ~O_NONBLOCK);
    }
    return 0;
}

/* Marked and not closed: the pipe that tells of a failure is among them. */
static void close_others(void) {
    if (!syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC)) return;
    long most = sysconf(_SC_OPEN_MAX); /* a kernel before 5.11 */
    for (int fd = 3; fd < (most > 0 && most < 65536 ? most : 65536); fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void join_group(int cgroup) {
    int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, "0", 1) < 0) errno = 0; /* then it is found by other means */
    close(fd);
}

static void run_program(const orr_spawn *s, int failed) {
    setsid();
    if (s->cgroup) join_group(s->cgroup);
    /* libc's argument is not const although it only reads */
    if (!set_stdio(s->stdio) && (!s->cwd || !chdir(s->cwd))) {
        close_others();
        if (s->env) environ = (char **)(uintptr_t)s->env; /* whose PATH is searched */
        reset_signals();
        execvp(s->argv[0], (char **)(uintptr_t)s->argv);
    }
    int error = errno;
    while (write(failed, &error, sizeof error) < 0 && errno == EINTR) {
    }
    _exit(127);
}

/* ---- here ------------------------------------------------------------------------------------ */

/* The errno of the child, or 0 where the pipe was closed by its exec. */
static int read_failure(int fd) {
    int error = 0;
    ssize_t n;
    do n = read(fd, &error, sizeof error);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof error ? error : 0;
}

int orr_spawn_program(const orr_spawn *s, int *pid) {
    int fds[2];
    sigset_t all, before;
    if (pipe2(fds, O_CLOEXEC)) return -errno;
    if (fds[1] < 3) { /* where this program has closed its own: the child's would be put there */
        int moved = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
        close(fds[1]);
        fds[1] = moved;
    }
    /* no handler of this program may run in the child */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    int error = child < 0 ? errno : 0;
    if (child == 0) run_program(s, fds[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(fds[1]);
    if (child > 0) error = read_failure(fds[0]);
    close(fds[0]);
    if (child > 0 && error)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
    if (!error) *pid = child;
    return -error;
}
