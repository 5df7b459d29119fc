/* process.c - see process.h. The handle lives until libuv has closed all of its parts. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "loop/process.h"
#include "loop/kin.h"
#include "loop/launch.h"
#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_CHUNK = 4096, STREAM_CHUNK = 65536, MOST_AT_ONCE = 1 << 20 };

/* While a terminated child is gone and others of its group are not, the group is looked at after
 * so many ms, then after twice as many, up to the second number. */
enum { FIRST_CHECK = 10, LAST_CHECK = 160 };

/* What a command leaves behind has so many ms to end by itself: the last of a pipeline often
 * does. */
enum { SETTLE = 100, EXIT_CHECK = 10 };

/* Processes that have left the group and carry no mark, remembered by id and birth. */
enum { STRAYS = 32 };

typedef struct sink {
    uv_pipe_t pipe;
    orr_process *owner;
    orr_output_kind kind;
    bool open;
    char *data; /* captured bytes, or the scratch block of what is streamed or dropped */
    size_t size, room;
    char *scratch;
    uint64_t dropped;
} sink;

typedef struct stray {
    int pid;
    unsigned long long birth;
} stray;

struct orr_process {
    uv_poll_t exit; /* of pidfd; where the kernel has none, exit_timer looks again and again */
    uv_timer_t exit_timer, timer;
    sink sinks[2];
    orr_alloc alloc;
    uv_loop_t *loop;
    /* only limit, grace, linger, ud and the callbacks are used after the start */
    orr_process_options options;
    orr_process_result result;
    unsigned handles; /* that libuv has not closed yet */
    int pid;
    uint64_t kill_at;   /* loop time (ms) of KILL while the group is being ended, else 0 */
    unsigned check;     /* ms until the group is looked at again */
    uint64_t settle_by; /* loop time (ms) at which what it has left is ended */
    int pidfd;
    orr_launch *launch; /* NULL: its exec was waited for */
    unsigned n_strays;
    stray strays[STRAYS];
    char mark[ORR_MARK_OWN];
    orr_reaper_member member;
    int cgroup; /* descriptor of its control group; 0: none */
    unsigned cgroup_number;
    bool has_exit, has_exit_timer, has_timer, exited, terminating, orphans_ended, ended;
};

/* ---- the end --------------------------------------------------------------------------------- */

static void release(orr_process *p) {
    for (int i = 0; i < 2; i++) {
        orr_mem_free(&p->alloc, p->sinks[i].data, p->sinks[i].room, 1);
        orr_mem_free(&p->alloc, p->sinks[i].scratch, STREAM_CHUNK, 1);
    }
    orr_alloc alloc = p->alloc;
    orr_launch_free(&alloc, p->launch);
    orr_mem_free(&alloc, p, 1, sizeof *p);
}

static void leave_cgroup(orr_process *p) {
    if (p->cgroup) orr_cgroup_remove(p->options.cgroup, p->cgroup, p->cgroup_number);
    p->cgroup = 0;
}

static void report(orr_process *p) {
    p->ended = true;
    leave_cgroup(p);
    if (p->pid && p->options.watcher) orr_watcher_remove(p->options.watcher, p->pid);
    orr_reaper_leave(&p->member);
    for (int i = 0; i < 2; i++) {
        p->result.output[i].data = p->sinks[i].data;
        p->result.output[i].size = p->sinks[i].size;
        p->result.output[i].dropped = p->sinks[i].dropped;
    }
    if (p->options.on_end) p->options.on_end(p->options.ud, &p->result);
}

static void close_pidfd(const orr_process *p) {
    close(p->pidfd);
}

static void on_closed(uv_handle_t *handle) {
    orr_process *p = handle->data;
    if (handle == (uv_handle_t *)&p->exit) close_pidfd(p);
    if (--p->handles) return;
    /* it could not be started: that is reported here, when the caller has returned */
    if (!p->ended) report(p);
    release(p);
}

static void close_handle(void *handle) {
    if (!uv_is_closing(handle)) uv_close(handle, on_closed);
}

static void close_sink(sink *s) {
    if (!s->open) return;
    s->open = false;
    close_handle(&s->pipe);
}

static void close_all(orr_process *p) {
    close_sink(&p->sinks[0]);
    close_sink(&p->sinks[1]);
    if (p->has_timer) close_handle(&p->timer);
    if (p->has_exit) close_handle(&p->exit);
    if (p->has_exit_timer) close_handle(&p->exit_timer);
}

static const char *mark_of(const orr_process *p) {
    return p->mark[0] ? p->mark : NULL;
}

/* All that lives of it. A zombie keeps its group alive, and where process 1 does not reap (in many
 * containers) it stays a zombie for good: so processes are looked at one by one. */
static void find_kin(orr_process *p, orr_kin *k) {
    k->n = k->in_group = 0;
    if (p->options.detach) {
        if (!kill(-p->pid, 0) || errno != ESRCH) orr_kin_find_group(k, p->pid);
        return;
    }
    if (!p->exited) orr_kin_add(k, p->pid);
    if (p->cgroup) orr_cgroup_find(p->cgroup, k);
    orr_kin_find(k, p->pid, mark_of(p));
    for (unsigned i = 0; i < p->n_strays; i++)
        if (orr_kin_birth(p->strays[i].pid) == p->strays[i].birth) orr_kin_add(k, p->strays[i].pid);
    orr_reaper_add_orphans(&p->member, k);
}

/* Once their parents are gone, nothing tells whose they were. */
static void remember(orr_process *p, const orr_kin *k) {
    p->n_strays = 0;
    for (size_t i = 0; i < k->n && p->n_strays < STRAYS; i++) {
        unsigned long long birth = orr_kin_birth(k->pids[i]);
        if (birth) p->strays[p->n_strays++] = (stray){k->pids[i], birth};
    }
}

/* A child that has just been made leads no group yet. */
static int signal_group(const orr_process *p, int signal) {
    if (!kill(-p->pid, signal)) return 0;
    return errno == ESRCH && !p->exited ? kill(p->pid, signal) : -1;
}

static void signal_all(orr_process *p, int signal) {
    orr_kin k;
    find_kin(p, &k);
    remember(p, &k);
    /* the group at one blow, so that none of it can start another meanwhile */
    if (!p->exited || k.in_group) signal_group(p, signal);
    orr_kin_signal(&k, signal);
    if (signal == SIGKILL && p->cgroup) orr_cgroup_kill(p->cgroup);
}

/* Whether something lives. Only asked while it is being ended. */
static bool lives(orr_process *p) {
    orr_kin k;
    find_kin(p, &k);
    if (k.n) remember(p, &k);
    return k.n > 0 || (p->cgroup && orr_cgroup_lives(p->cgroup));
}

static void on_timer(uv_timer_t *timer);

static void need_timer(orr_process *p) {
    if (p->has_timer) return;
    p->has_timer = true;
    p->handles++;
    uv_timer_init(p->loop, &p->timer);
    p->timer.data = p;
}

static void signal_terminate(orr_process *p) {
    signal_all(p, SIGTERM);
    signal_all(p, SIGCONT);
    need_timer(p);
    uv_update_time(p->loop);
    p->kill_at = uv_now(p->loop) + p->options.grace;
}

/* Those that nobody could claim before: others that have ended since might have started them. */
static bool ends_orphans(orr_process *p) {
    orr_kin k = {0};
    if (!p->orphans_ended) orr_reaper_add_orphans(&p->member, &k);
    if (!k.n) return false;
    p->orphans_ended = true;
    signal_terminate(p);
    p->check = FIRST_CHECK;
    uv_timer_start(&p->timer, on_timer, p->check, 0);
    return true;
}

/* Whether it has ended by itself and left nothing behind; otherwise that is ended in a moment. */
static bool settled(orr_process *p) {
    if (p->options.detach || p->result.failed != ORR_SPAWN_OK) return true;
    if (p->terminating) return !ends_orphans(p);
    orr_kin k = {0};
    orr_kin_left(&k, p->pid, mark_of(p));
    orr_reaper_add_orphans(&p->member, &k);
    bool more = p->cgroup && orr_cgroup_lives(p->cgroup); /* maybe in a group below it */
    if (more) orr_cgroup_find(p->cgroup, &k);
    if (!k.n && !more) return true;
    need_timer(p);
    if (!p->settle_by) p->settle_by = uv_now(p->loop) + (p->result.held ? 0 : SETTLE);
    if (uv_now(p->loop) < p->settle_by) {
        uv_timer_start(&p->timer, on_timer, p->check, 0);
        p->check *= 2;
        return false;
    }
    p->result.left = k.n ? (unsigned)k.n : 1;
    p->check = FIRST_CHECK;
    orr_process_terminate(p);
    return false;
}

/* Ends if nothing is left to wait for, otherwise sets the timer to what comes next. */
static void proceed(orr_process *p) {
    if (p->ended || !p->exited) return;
    bool piped = p->sinks[0].open || p->sinks[1].open;
    bool killing = p->kill_at && lives(p);
    if (p->kill_at && !killing) { /* nobody left to kill; the id may soon be another's */
        p->kill_at = 0;
        uv_timer_stop(&p->timer);
    }
    if (!piped && !killing) {
        if (!settled(p)) return;
        report(p);
        close_all(p);
        return;
    }
    if (killing) {
        uv_timer_start(&p->timer, on_timer, p->check, 0);
        if (p->check < LAST_CHECK) p->check *= 2;
    } else if (!uv_is_active((uv_handle_t *)&p->timer)) {
        uv_timer_start(&p->timer, on_timer, p->options.linger, 0);
    }
}

static void on_timer(uv_timer_t *timer) {
    orr_process *p = timer->data;
    if (p->kill_at) {
        if (uv_now(p->loop) >= p->kill_at) {
            signal_all(p, SIGKILL);
            p->kill_at = 0;
        }
    } else if (p->exited) {
        p->result.held = p->result.held || p->sinks[0].open || p->sinks[1].open;
        close_sink(&p->sinks[0]);
        close_sink(&p->sinks[1]);
    }
    proceed(p);
}

/* The system reports a missing directory and a missing program alike. */
static orr_spawn_failure blame(const char *cwd, int error) {
    struct stat st;
    if (cwd && (stat(cwd, &st) || !S_ISDIR(st.st_mode) || access(cwd, X_OK))) return ORR_SPAWN_CWD;
    switch (error) {
    case UV_ENOENT:
    case UV_EACCES:
    case UV_ENOTDIR:
    case UV_ELOOP:
    case UV_ENAMETOOLONG:
    case UV_EPERM:
    case UV_EISDIR:
    case UV_E2BIG: return ORR_SPAWN_PROGRAM;
    default: return ORR_SPAWN_SYSTEM;
    }
}

/* By its descriptor where there is one: the id may be another's where somebody else has waited. */
static int wait_for_child(const orr_process *p, siginfo_t *info) {
    int r;
    do r = p->has_exit ? waitid(P_PIDFD, (id_t)p->pidfd, info, WEXITED | WNOHANG) : -1;
    while (r < 0 && p->has_exit && errno == EINTR);
    if (r == 0 || (p->has_exit && errno != EINVAL)) return r; /* EINVAL: a kernel before 5.4 */
    do r = waitid(P_PID, (id_t)p->pid, info, WEXITED | WNOHANG);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Whether it has ended; then how is noted. */
static bool reap_child(orr_process *p) {
    siginfo_t info = {0};
    int r = wait_for_child(p, &info);
    if (r == 0 && info.si_pid == 0) return false;
    p->exited = true;
    orr_reaper_waited(&p->member);
    p->result.unknown = r < 0;
    if (r == 0 && info.si_code == CLD_EXITED) p->result.code = info.si_status;
    else if (r == 0) p->result.signal = info.si_status;
    return true;
}

/* It never was the program. */
static void fail_late(orr_process *p, int error) {
    if (p->options.watcher) orr_watcher_remove(p->options.watcher, p->pid);
    p->pid = 0;
    p->result.code = p->result.signal = 0;
    p->result.error = uv_translate_sys_error(error);
    p->result.failed = blame(orr_launch_cwd(p->launch), p->result.error);
    report(p);
    close_all(p);
}

static void look_for_exit(orr_process *p) {
    if (p->exited || !reap_child(p)) return;
    if (p->has_exit) uv_poll_stop(&p->exit);
    if (p->has_exit_timer) uv_timer_stop(&p->exit_timer);
    int error = p->launch ? orr_launch_error(p->launch) : 0;
    if (error) {
        fail_late(p, error);
        return;
    }
    if (p->sinks[0].open || p->sinks[1].open || p->kill_at) need_timer(p);
    proceed(p);
}

static void on_exit_poll(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    look_for_exit(poll->data);
}

static void on_exit_timer(uv_timer_t *timer) {
    look_for_exit(timer->data);
}

/* Lets the loop tell of its end, by `pidfd`, or none. */
static void await_exit(orr_process *p, int pidfd) {
    p->pidfd = pidfd;
    if (p->pidfd >= 0 && !uv_poll_init(p->loop, &p->exit, p->pidfd)) {
        p->exit.data = p;
        p->has_exit = true;
        p->handles++;
        if (!uv_poll_start(&p->exit, UV_READABLE, on_exit_poll)) return;
    } else if (p->pidfd >= 0) {
        close(p->pidfd);
    }
    uv_timer_init(p->loop, &p->exit_timer);
    p->exit_timer.data = p;
    p->has_exit_timer = true;
    p->handles++;
    uv_timer_start(&p->exit_timer, on_exit_timer, EXIT_CHECK, EXIT_CHECK);
}

/* ---- output ---------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    (void)hint;
    sink *s = (sink *)handle;
    orr_process *p = s->owner;
    *buf = uv_buf_init(NULL, 0);
    if (s->kind == ORR_OUTPUT_CAPTURE && s->size < p->options.limit) {
        if (s->size == s->room) {
            size_t room = s->room ? s->room * 2 : FIRST_CHUNK;
            if (room > p->options.limit) room = p->options.limit;
            char *data = orr_mem_resize(&p->alloc, s->data, s->room, room, 1);
            if (!data) return;
            s->data = data;
            s->room = room;
        }
        size_t free = s->room - s->size;
        *buf = uv_buf_init(s->data + s->size, (unsigned)(free < MOST_AT_ONCE ? free : MOST_AT_ONCE));
        return;
    }
    if (!s->scratch) s->scratch = orr_mem_new(&p->alloc, STREAM_CHUNK, 1);
    if (s->scratch) *buf = uv_buf_init(s->scratch, STREAM_CHUNK);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    sink *s = (sink *)stream;
    orr_process *p = s->owner;
    if (n > 0) {
        if (s->kind == ORR_OUTPUT_STREAM) {
            if (p->options.on_chunk)
                p->options.on_chunk(p->options.ud, 1 + (int)(s - p->sinks), buf->base, (size_t)n);
        } else if (buf->base == s->scratch) {
            s->dropped += (uint64_t)n;
        } else {
            s->size += (size_t)n;
        }
    } else if (n == UV_ENOBUFS) { /* no memory: what it writes can only be lost, so it had better not go on */
        p->result.error = UV_ENOMEM;
        close_sink(s);
        orr_process_terminate(p);
    } else if (n < 0) {
        close_sink(s);
        proceed(p);
    }
}

/* A real pipe and not the socket pair that libuv would make: a child may open /dev/stdout, which
 * a socket forbids. */
static int open_sink(orr_process *p, int i, int *stdio, int *child_end) {
    sink *s = &p->sinks[i];
    s->owner = p;
    s->kind = p->options.output[i];
    if (s->kind == ORR_OUTPUT_DISCARD) return 0;
    if (s->kind == ORR_OUTPUT_INHERIT) {
        *stdio = i + 1;
        return 0;
    }
    int fds[2];
    int r = uv_pipe(fds, UV_NONBLOCK_PIPE, 0);
    if (r) return r;
    uv_pipe_init(p->loop, &s->pipe, 0);
    s->pipe.data = p;
    s->open = true;
    p->handles++;
    *child_end = *stdio = fds[1];
    r = uv_pipe_open(&s->pipe, fds[0]);
    if (r) {
        close(fds[0]);
        return r;
    }
    return uv_read_start((uv_stream_t *)&s->pipe, on_alloc, on_read);
}

/* The text as an unlinked file in memory: the child reads at its own pace, nothing is written
 * while it runs, and one that does not read costs neither a handle nor a SIGPIPE. */
static int open_input(const orr_process_options *o, int *stdio, int *child_end) {
    if (!o->input) return 0;
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0) return uv_translate_sys_error(errno);
    *child_end = *stdio = fd;
    for (size_t done = 0; done < o->input_size;) {
        ssize_t n = write(fd, o->input + done, o->input_size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return uv_translate_sys_error(errno);
        done += (size_t)n;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? uv_translate_sys_error(errno) : 0;
}

/* ---- the start ------------------------------------------------------------------------------- */

/* The environment with the mark before it, and without that of the command that we are in. */
static const char **mark_env(orr_process *p, const char *variable, size_t *n) {
    const char *const *env = p->options.env ? p->options.env : (const char *const *)(uintptr_t)environ;
    size_t name = strcspn(variable, "=") + 1, at = 0;
    for (*n = 2; env && env[*n - 2]; ++*n) {
    }
    const char **marked = orr_mem_new(&p->alloc, *n, sizeof *marked);
    if (!marked) return NULL;
    marked[at++] = variable;
    for (; env && *env; env++)
        if (strncmp(*env, variable, name)) marked[at++] = *env;
    return marked;
}

/* By a launch where one can be had, else by waiting for its exec. */
static int spawn_program(orr_process *p, const orr_spawn *s) {
    int pidfd = -1;
    int r = orr_launch_program(&p->alloc, s, &p->pid, &pidfd, &p->launch);
    if (r == -ENOSYS) {
        r = orr_spawn_program(s, &p->pid);
        if (!r) pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0U);
    }
    if (r) return uv_translate_sys_error(-r);
    if (p->options.watcher) orr_watcher_add(p->options.watcher, p->pid);
    if (p->options.reaper) orr_reaper_join(p->options.reaper, &p->member, p->pid, p->options.detach);
    await_exit(p, pidfd);
    return 0;
}

static int start_program(orr_process *p, const int stdio[3]) {
    const orr_process_options *o = &p->options;
    orr_spawn s = {.argv = o->argv, .env = o->env, .cwd = o->cwd, .stdio = {stdio[0], stdio[1], stdio[2]}};
    char variable[ORR_MARK_MOST];
    const char **marked = NULL;
    size_t n = 0;
    if (o->watcher && !o->unmarked && !o->detach) {
        orr_watcher_mark(o->watcher, variable, p->mark);
        s.env = marked = mark_env(p, variable, &n);
        if (!marked) return UV_ENOMEM;
    }
    if (o->cgroup && !o->detach) s.cgroup = p->cgroup = orr_cgroup_add(o->cgroup, &p->cgroup_number);
    int r = spawn_program(p, &s);
    if (r) leave_cgroup(p);
    orr_mem_free(&p->alloc, marked, n, sizeof *marked);
    return r;
}

static int start(orr_process *p) {
    const orr_process_options *o = &p->options;
    int stdio[3] = {-1, -1, -1}, child_end[3] = {-1, -1, -1};
    int r = open_input(o, &stdio[0], &child_end[0]);
    for (int i = 0; i < 2 && !r; i++) r = open_sink(p, i, &stdio[i + 1], &child_end[i + 1]);
    bool tried = !r;
    if (!r) r = start_program(p, stdio);
    for (int i = 0; i < 3; i++)
        if (child_end[i] >= 0) close(child_end[i]);
    if (r) p->result.failed = tried ? blame(o->cwd, r) : ORR_SPAWN_SYSTEM;
    return r;
}

orr_process *orr_process_spawn(uv_loop_t *loop, const orr_alloc *alloc, const orr_process_options *options) {
    orr_process *p = orr_mem_new(alloc, 1, sizeof *p);
    if (!p) return NULL;
    p->alloc = *alloc;
    p->loop = loop;
    p->options = *options;
    if (!p->options.grace) p->options.grace = 2000;
    if (!p->options.linger) p->options.linger = 1000;
    p->check = FIRST_CHECK;
    p->result.error = start(p);
    if (p->result.error) {
        need_timer(p); /* its close callback reports the failure, whatever else was opened */
        close_all(p);
    }
    return p;
}

int orr_process_id(const orr_process *p) {
    return p->pid;
}

int orr_process_kill(orr_process *p, int signal) {
    if (!p->pid || p->exited) return UV_ESRCH;
    return signal_group(p, signal) ? uv_translate_sys_error(errno) : 0;
}

void orr_process_terminate(orr_process *p) {
    if (!p->pid || p->ended || p->terminating) return;
    p->terminating = true;
    signal_terminate(p);
    uv_timer_start(&p->timer, on_timer, p->options.grace, 0);
    proceed(p);
}

void orr_process_kill_all(orr_process *p) {
    for (int i = 0; i < 3 && p->pid && !p->ended; i++) signal_all(p, SIGKILL); /* also what was starting */
}

/* Nobody waits for a child whose handles are closed. A killed one takes microseconds to
 * go; one that hangs in the kernel is left to init, which inherits it. */
static void reap(int pid) {
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 200; i++) {
        pid_t r = waitpid(pid, NULL, WNOHANG);
        if (r == pid || (r < 0 && errno != EINTR)) return;
        nanosleep(&pause, NULL);
    }
}

void orr_process_abandon(orr_process *p) {
    if (p->ended) return;
    orr_process_kill_all(p);
    p->ended = true;
    if (p->pid && p->options.watcher) orr_watcher_remove(p->options.watcher, p->pid);
    orr_reaper_leave(&p->member);
    if (p->pid && !p->exited) reap(p->pid);
    leave_cgroup(p);
    close_all(p);
}

/* ---- signals by name ------------------------------------------------------------------------- */

#define NAMED(name)                                                                                          \
    { SIG##name, "SIG" #name }
static const struct {
    int number;
    const char *name;
} names[] = {NAMED(HUP),  NAMED(INT),  NAMED(QUIT), NAMED(ILL),  NAMED(TRAP),   NAMED(ABRT),
             NAMED(BUS),  NAMED(FPE),  NAMED(KILL), NAMED(USR1), NAMED(SEGV),   NAMED(USR2),
             NAMED(PIPE), NAMED(ALRM), NAMED(TERM), NAMED(CHLD), NAMED(CONT),   NAMED(STOP),
             NAMED(TSTP), NAMED(TTIN), NAMED(TTOU), NAMED(URG),  NAMED(XCPU),   NAMED(XFSZ),
             NAMED(PROF), NAMED(SYS),  NAMED(IO),   NAMED(PWR),  NAMED(VTALRM), NAMED(WINCH)};

int orr_signal_number(const char *name) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i].name) || !strcmp(name, names[i].name + 3)) return names[i].number;
    return 0;
}

const char *orr_signal_name(int number) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number) return names[i].name;
    return NULL;
}
