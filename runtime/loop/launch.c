/* launch.c - see launch.h. The order of what the child does is that of spawn.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* clone, environ */
#endif
#include "loop/launch.h"

#include <errno.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WATCHED 1
#endif
#endif

#if !defined(WATCHED) && (defined(__x86_64__) || defined(__aarch64__))

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#if defined(__has_attribute)
#if __has_attribute(no_stack_protector)
#define BARE __attribute__((no_stack_protector, noinline))
#endif
#endif
#ifndef BARE
#define BARE __attribute__((noinline))
#endif

enum { STACK = 8192, SIGNALS = 64, SET_BYTES = SIGNALS / 8 };

/* The kernel's struct sigaction, all 0 for the standard action. */
typedef struct kernel_action {
    uint64_t words[4];
} kernel_action;

struct orr_launch {
    /* not 0 until the child has exec'ed or ended: the kernel clears it (CLONE_CHILD_CLEARTID) */
    _Atomic int busy;
    int error;
    int cgroup;  /* to be joined by the child; 0: none */
    size_t size; /* bytes of all of it */
    int stdio[3];
    const char *cwd;
    const char **argv, **env;
    const char **shell_argv; /* "/bin/sh", a file, the arguments: for a script without a first line */
    const char **files;      /* to be tried in turn, up to NULL */
    uint64_t no_signals;
    kernel_action standard;
};

/* ---- in the child: no function of libc, which would write to our thread's errno --------------*/

#if defined(__x86_64__)
static inline long call(long n, long a, long b, long c, long d) {
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}
#else
static inline long call(long n, long a, long b, long c, long d) {
    register long number __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(number), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
    return x0;
}
#endif

static inline long at(const void *pointer) {
    return (long)(intptr_t)pointer;
}

/* As set_stdio in spawn.c: lifted first, because one below 3 may be overwritten before its turn. */
static inline long set_stdio(orr_launch *l) {
    for (int i = 0; i < 3; i++) {
        long fd = l->stdio[i];
        if (fd < 0)
            fd = call(SYS_openat, AT_FDCWD, at("/dev/null"), (i ? O_WRONLY : O_RDONLY) | O_CLOEXEC, 0);
        if (fd >= 0 && fd < 3) fd = call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3, 0);
        if (fd < 0) return fd;
        l->stdio[i] = (int)fd;
    }
    for (int i = 0; i < 3; i++) {
        long r = call(SYS_dup3, l->stdio[i], i, 0, 0);
        if (r < 0) return r;
        long flags = call(SYS_fcntl, i, F_GETFL, 0, 0);
        if (flags >= 0 && flags & O_NONBLOCK) call(SYS_fcntl, i, F_SETFL, flags & ~O_NONBLOCK, 0);
    }
    return 0;
}

static inline void reset_signals(const orr_launch *l) {
    for (int i = 1; i <= SIGNALS; i++) call(SYS_rt_sigaction, i, at(&l->standard), 0, SET_BYTES);
    call(SYS_rt_sigprocmask, SIG_SETMASK, at(&l->no_signals), 0, SET_BYTES);
}

/* As execvp: what is not there or may not be run is passed over, and a file that is no program is a
 * script for the shell. The error. */
static inline long run_first(orr_launch *l) {
    long error = -ENOENT;
    for (const char **file = l->files; *file; file++) {
        long r = call(SYS_execve, at(*file), at(l->argv), at(l->env), 0);
        if (r == -ENOEXEC) {
            l->shell_argv[1] = *file;
            r = call(SYS_execve, at(l->shell_argv[0]), at(l->shell_argv), at(l->env), 0);
            return r;
        }
        if (r == -EACCES) error = r;
        else if (r != -ENOENT && r != -ENOTDIR && r != -ESTALE && r != -ENODEV && r != -ETIMEDOUT) return r;
    }
    return error;
}

/* Where that fails, it is found by other means. */
static inline void join_group(int cgroup) {
    long fd = call(SYS_openat, cgroup, at("cgroup.procs"), O_WRONLY | O_CLOEXEC, 0);
    if (fd >= 0) call(SYS_write, fd, at("0"), 1, 0);
}

BARE static int child(void *ud) {
    orr_launch *l = ud;
    call(SYS_setsid, 0, 0, 0, 0);
    if (l->cgroup) join_group(l->cgroup);
    long r = set_stdio(l);
    if (r >= 0 && l->cwd) r = call(SYS_chdir, at(l->cwd), 0, 0, 0);
    if (r >= 0) {
        call(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC, 0);
        reset_signals(l);
        r = run_first(l);
    }
    l->error = (int)-r;
    return (int)call(SYS_exit_group, 127, 0, 0, 0);
}

#define FLAGS (CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID)

#if defined(__x86_64__) && defined(SYS_clone3)

typedef struct clone_args3 { /* the kernel's struct clone_args */
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
        cgroup;
} clone_args3;

#define INTO_CGROUP 0x200000000ULL

/* A child that is in the control group from its first moment: to join it later makes every thread
 * of the system wait (cgroup_threadgroup_rwsem). Its id, or a negative errno. */
static long clone_into(orr_launch *l, uintptr_t top, void *pidfd) {
    clone_args3 args = {.flags = FLAGS | INTO_CGROUP,
                        .pidfd = (uint64_t)(uintptr_t)pidfd,
                        .child_tid = (uint64_t)(uintptr_t)&l->busy,
                        .exit_signal = SIGCHLD,
                        .stack = top - STACK,
                        .stack_size = STACK,
                        .cgroup = (uint64_t)l->cgroup};
    long result;
    int cgroup = l->cgroup;
    l->cgroup = 0;
    register int (*run)(void *) __asm__("r12") = child;
    register void *ud __asm__("r13") = l;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(&args), "S"(sizeof args), "r"(run), "r"(ud)
                     : "rcx", "r11", "memory");
    if (result < 0) l->cgroup = cgroup;
    return result;
}

#else

static long clone_into(orr_launch *l, uintptr_t top, void *pidfd) {
    (void)l, (void)top, (void)pidfd;
    return -ENOSYS;
}

#endif

/* ---- here: what it needs --------------------------------------------------------------------- */

static const char *variable(const char *const *env, const char *name) {
    size_t n = strlen(name);
    for (; *env; env++)
        if (!strncmp(*env, name, n) && (*env)[n] == '=') return *env + n + 1;
    return NULL;
}

/* Where a program is looked for, of `name` without a '/'. */
static const char *path_of(const orr_spawn *s) {
    const char *path = variable(s->env, "PATH");
    return path ? path : "/bin:/usr/bin"; /* as libc has it */
}

typedef struct sizes {
    size_t args, env, folders, text;
} sizes;

static size_t count(const char *const *list, size_t *text) {
    size_t n = 0;
    for (; list[n]; n++) *text += strlen(list[n]) + 1;
    return n;
}

static bool is_searched(const orr_spawn *s) {
    return !strchr(s->argv[0], '/');
}

static sizes measure(const orr_spawn *s) {
    sizes m = {.folders = 1};
    m.args = count(s->argv, &m.text);
    m.env = count(s->env, &m.text);
    if (s->cwd) m.text += strlen(s->cwd) + 1;
    if (!is_searched(s)) return m;
    const char *path = path_of(s);
    for (const char *p = path; (p = strchr(p, ':')); p++) m.folders++;
    m.text += strlen(path) + m.folders * (strlen(s->argv[0]) + 3);
    return m;
}

typedef struct writing {
    const char **slot;
    char *text;
} writing;

static const char *copy(writing *w, const char *text) {
    char *start = w->text;
    w->text = stpcpy(start, text) + 1;
    return start;
}

static const char **copy_list(writing *w, const char *const *list) {
    const char **start = w->slot;
    for (; *list; list++) *w->slot++ = copy(w, *list);
    *w->slot++ = NULL;
    return start;
}

/* The files that the program may be, in the order of PATH; an empty folder is its own. */
static const char **copy_files(writing *w, const orr_spawn *s, const char *program) {
    const char **start = w->slot;
    if (!is_searched(s)) {
        *w->slot++ = program;
    } else {
        for (const char *p = path_of(s);; p++) {
            size_t n = strcspn(p, ":");
            *w->slot++ = w->text;
            memcpy(w->text, p, n);
            w->text += n;
            if (n) *w->text++ = '/';
            copy(w, program);
            if (!*(p += n)) break;
        }
    }
    *w->slot++ = NULL;
    return start;
}

static orr_launch *prepare(const orr_alloc *alloc, const orr_spawn *s) {
    sizes m = measure(s);
    size_t slots = m.args + 1 + m.env + 1 + m.args + 2 + m.folders + 1;
    size_t size = sizeof(orr_launch) + slots * sizeof(char *) + m.text + 16 + STACK;
    orr_launch *l = orr_mem_new(alloc, size, 1);
    if (!l) return NULL;
    memset(l, 0, sizeof *l);
    l->size = size;
    l->cgroup = s->cgroup;
    for (int i = 0; i < 3; i++) l->stdio[i] = s->stdio[i];
    writing w = {.slot = (const char **)(void *)(l + 1)};
    w.text = (char *)(w.slot + slots);
    l->argv = copy_list(&w, s->argv);
    l->env = copy_list(&w, s->env);
    l->shell_argv = w.slot;
    w.slot += 2;
    l->shell_argv[0] = "/bin/sh";
    for (size_t i = 1; i <= m.args; i++) *w.slot++ = l->argv[i]; /* with the NULL */
    l->files = copy_files(&w, s, l->argv[0]);
    if (s->cwd) l->cwd = copy(&w, s->cwd);
    return l;
}

/* ---- here: the start ------------------------------------------------------------------------- */

/* close_range with that flag is younger than all else that is needed. Valgrind knows no such
 * child, and its own library stands in LD_PRELOAD. */
static bool is_possible(void) {
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload")) return false;
    return syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

int orr_launch_program(const orr_alloc *alloc, const orr_spawn *s, int *pid, int *pidfd,
                       orr_launch **launch) {
    if (!is_possible()) return -ENOSYS;
    orr_spawn whole = *s;
    static const char *const empty[] = {NULL};
    if (!whole.env) whole.env = environ ? (const char *const *)(uintptr_t)environ : empty;
    orr_launch *l = prepare(alloc, &whole);
    if (!l) return -ENOMEM;
    uintptr_t top = ((uintptr_t)l + l->size) & ~(uintptr_t)15;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours may run in the child */
    atomic_store(&l->busy, 1);
    int made = l->cgroup ? (int)clone_into(l, top, pidfd) : -1;
    if (made < 0) made = clone(child, (void *)top, FLAGS | SIGCHLD, l, pidfd, NULL, &l->busy);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (made < 0) {
        orr_mem_free(alloc, l, l->size, 1);
        return error == EAGAIN || error == ENOMEM ? -error : -ENOSYS; /* a sandbox may refuse it */
    }
    *pid = made;
    *launch = l;
    return 0;
}

int orr_launch_error(const orr_launch *l) {
    return l->error;
}

const char *orr_launch_cwd(const orr_launch *l) {
    return l->cwd;
}

void orr_launch_free(const orr_alloc *alloc, orr_launch *l) {
    if (l && !atomic_load(&l->busy)) orr_mem_free(alloc, l, l->size, 1);
}

#else

int orr_launch_program(const orr_alloc *alloc, const orr_spawn *s, int *pid, int *pidfd,
                       orr_launch **launch) {
    (void)alloc, (void)s, (void)pid, (void)pidfd, (void)launch;
    return -ENOSYS;
}

int orr_launch_error(const orr_launch *l) {
    (void)l;
    return 0;
}

const char *orr_launch_cwd(const orr_launch *l) {
    (void)l;
    return NULL;
}

void orr_launch_free(const orr_alloc *alloc, orr_launch *l) {
    (void)alloc, (void)l;
}

#endif
