/* process.c - see process.h. The handle lives until libuv has closed all of its parts. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_CHUNK = 4096, STREAM_CHUNK = 65536, MOST_AT_ONCE = 1 << 20 };

/* While a terminated child is gone and others of its group are not, the group is looked at after so many ms, then
 * after twice as many, up to the second number. */
enum { FIRST_CHECK = 10, LAST_CHECK = 160 };

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

struct orr_process {
    uv_process_t process;
    uv_timer_t timer;
    sink sinks[2];
    orr_alloc alloc;
    uv_loop_t *loop;
    orr_process_options options; /* only limit, grace, linger, ud and the callbacks are used after the start */
    orr_process_result result;
    unsigned handles; /* that libuv has not closed yet */
    int pid;
    uint64_t kill_at; /* loop time (ms) of KILL while the group is being ended, else 0 */
    unsigned check;   /* ms until the group is looked at again */
    bool has_process, has_timer, exited, terminating, ended;
};

/* ---- the end --------------------------------------------------------------------------------------------- */

static void release(orr_process *p) {
    for (int i = 0; i < 2; i++) {
        orr_mem_free(&p->alloc, p->sinks[i].data, p->sinks[i].room, 1);
        orr_mem_free(&p->alloc, p->sinks[i].scratch, STREAM_CHUNK, 1);
    }
    orr_alloc alloc = p->alloc;
    orr_mem_free(&alloc, p, 1, sizeof *p);
}

static void report(orr_process *p) {
    p->ended = true;
    for (int i = 0; i < 2; i++) {
        p->result.output[i].data = p->sinks[i].data;
        p->result.output[i].size = p->sinks[i].size;
        p->result.output[i].dropped = p->sinks[i].dropped;
    }
    if (p->options.on_end) p->options.on_end(p->options.ud, &p->result);
}

static void on_closed(uv_handle_t *handle) {
    orr_process *p = handle->data;
    if (--p->handles) return;
    if (!p->ended) report(p); /* it could not be started: that is told from here, when the caller has returned */
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
    if (p->has_process) close_handle(&p->process);
}

/* Whether /proc/ENTRY/stat, "pid (name) state parent group ...", is of a member of the group that is not dead yet. */
static bool lives_in_group(const char *entry, int group) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", entry);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    const char *after_name = strrchr(text, ')');
    char state;
    int parent, its_group;
    return after_name && sscanf(after_name + 1, " %c %d %d", &state, &parent, &its_group) == 3 &&
           its_group == group && state != 'Z' && state != 'X';
}

/* A zombie keeps its group in being, and where process 1 does not reap (in many containers) it stays one for good. So
 * a group that exists is looked through before it is waited for. Only asked while a group is being ended. */
static bool group_lives(const orr_process *p) {
    if (kill(-p->pid, 0) && errno == ESRCH) return false;
    DIR *proc = opendir("/proc");
    if (!proc) return true;
    bool lives = false;
    for (struct dirent *e; !lives && (e = readdir(proc));)
        lives = e->d_name[0] >= '1' && e->d_name[0] <= '9' && lives_in_group(e->d_name, p->pid);
    closedir(proc);
    return lives;
}

static void on_timer(uv_timer_t *timer);

/* Ends if nothing is left to wait for, otherwise sets the timer to what comes next. */
static void proceed(orr_process *p) {
    if (p->ended || !p->exited) return;
    bool piped = p->sinks[0].open || p->sinks[1].open;
    bool killing = p->kill_at && group_lives(p);
    if (p->kill_at && !killing) { /* nobody left to kill; the id may soon be another's */
        p->kill_at = 0;
        uv_timer_stop(&p->timer);
    }
    if (!piped && !killing) {
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

static void need_timer(orr_process *p) {
    if (p->has_timer) return;
    p->has_timer = true;
    p->handles++;
    uv_timer_init(p->loop, &p->timer);
    p->timer.data = p;
}

static void on_timer(uv_timer_t *timer) {
    orr_process *p = timer->data;
    if (p->kill_at) {
        if (uv_now(p->loop) >= p->kill_at) {
            kill(-p->pid, SIGKILL);
            p->kill_at = 0;
        }
    } else if (p->exited) {
        p->result.held = p->sinks[0].open || p->sinks[1].open;
        close_sink(&p->sinks[0]);
        close_sink(&p->sinks[1]);
    }
    proceed(p);
}

static void on_exit(uv_process_t *process, int64_t code, int signal) {
    orr_process *p = process->data;
    p->exited = true;
    p->result.code = code;
    p->result.signal = signal;
    if (p->sinks[0].open || p->sinks[1].open || p->kill_at) need_timer(p);
    proceed(p);
}

/* ---- output ---------------------------------------------------------------------------------------------- */

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

/* A real pipe and not the socket pair that libuv would make: a child may open /dev/stdout, which a socket forbids. */
static int open_sink(orr_process *p, int i, uv_stdio_container_t *stdio, int *child_end) {
    sink *s = &p->sinks[i];
    s->owner = p;
    s->kind = p->options.output[i];
    if (s->kind == ORR_OUTPUT_DISCARD) return 0;
    stdio->flags = UV_INHERIT_FD;
    if (s->kind == ORR_OUTPUT_INHERIT) {
        stdio->data.fd = i + 1;
        return 0;
    }
    int fds[2];
    int r = uv_pipe(fds, UV_NONBLOCK_PIPE, 0);
    if (r) return r;
    uv_pipe_init(p->loop, &s->pipe, 0);
    s->pipe.data = p;
    s->open = true;
    p->handles++;
    *child_end = stdio->data.fd = fds[1];
    r = uv_pipe_open(&s->pipe, fds[0]);
    if (r) {
        close(fds[0]);
        return r;
    }
    return uv_read_start((uv_stream_t *)&s->pipe, on_alloc, on_read);
}

/* The text as an unlinked file in memory: the child reads at its own pace, nothing is written while it runs, and one
 * that does not read costs neither a handle nor a SIGPIPE. */
static int open_input(const orr_process_options *o, uv_stdio_container_t *stdio, int *child_end) {
    if (!o->input) return 0;
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0) return uv_translate_sys_error(errno);
    *child_end = stdio->data.fd = fd;
    stdio->flags = UV_INHERIT_FD;
    for (size_t done = 0; done < o->input_size;) {
        ssize_t n = write(fd, o->input + done, o->input_size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return uv_translate_sys_error(errno);
        done += (size_t)n;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? uv_translate_sys_error(errno) : 0;
}

/* ---- the start ------------------------------------------------------------------------------------------- */

/* The system reports a missing directory and a missing program alike. */
static orr_spawn_failure blame(const char *cwd, int error) {
    struct stat st;
    if (cwd && (stat(cwd, &st) || !S_ISDIR(st.st_mode) || access(cwd, X_OK))) return ORR_SPAWN_CWD;
    switch (error) {
    case UV_ENOENT: case UV_EACCES: case UV_ENOTDIR: case UV_ELOOP: case UV_ENAMETOOLONG:
    case UV_EPERM: case UV_EISDIR: case UV_E2BIG:
        return ORR_SPAWN_PROGRAM;
    default:
        return ORR_SPAWN_SYSTEM;
    }
}

static int start(orr_process *p) {
    const orr_process_options *o = &p->options;
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    int child_end[3] = {-1, -1, -1};
    /* libuv's structure takes pointers to char although it only reads. */
    uv_process_options_t spawn = {.exit_cb = on_exit, .file = o->argv[0], .args = (char **)(uintptr_t)o->argv,
                                  .env = (char **)(uintptr_t)o->env, .cwd = o->cwd, .flags = UV_PROCESS_DETACHED,
                                  .stdio_count = 3, .stdio = stdio};
    bool tried = false;
    int r = open_input(o, &stdio[0], &child_end[0]);
    for (int i = 0; i < 2 && !r; i++) r = open_sink(p, i, &stdio[i + 1], &child_end[i + 1]);
    if (!r) {
        tried = p->has_process = true;
        p->handles++;
        r = uv_spawn(p->loop, &p->process, &spawn);
    }
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
    p->process.data = p;
    p->result.error = start(p);
    if (p->result.error) {
        need_timer(p); /* closing it is what brings us back to report, whatever else was opened */
        close_all(p);
    } else {
        p->pid = uv_process_get_pid(&p->process);
    }
    return p;
}

int orr_process_id(const orr_process *p) {
    return p->pid;
}

int orr_process_kill(orr_process *p, int signal) {
    if (!p->pid || p->exited) return UV_ESRCH;
    return kill(-p->pid, signal) ? uv_translate_sys_error(errno) : 0;
}

void orr_process_terminate(orr_process *p) {
    if (!p->pid || p->ended || p->terminating) return;
    p->terminating = true;
    kill(-p->pid, SIGTERM);
    kill(-p->pid, SIGCONT);
    need_timer(p);
    uv_update_time(p->loop);
    p->kill_at = uv_now(p->loop) + p->options.grace;
    uv_timer_start(&p->timer, on_timer, p->options.grace, 0);
    proceed(p);
}

/* libuv no longer waits for a child whose handle is closed. A killed one takes microseconds to go; one that hangs in
 * the kernel is left to init, which inherits it. */
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
    p->ended = true;
    if (p->pid && (!p->exited || p->kill_at)) kill(-p->pid, SIGKILL);
    if (p->pid && !p->exited) reap(p->pid);
    close_all(p);
}

/* ---- signals by name ------------------------------------------------------------------------------------- */

#define NAMED(name) {SIG##name, "SIG" #name}
static const struct {
    int number;
    const char *name;
} names[] = {NAMED(HUP),  NAMED(INT),  NAMED(QUIT), NAMED(ILL),  NAMED(TRAP),   NAMED(ABRT), NAMED(BUS),   NAMED(FPE),
             NAMED(KILL), NAMED(USR1), NAMED(SEGV), NAMED(USR2), NAMED(PIPE),   NAMED(ALRM), NAMED(TERM),  NAMED(CHLD),
             NAMED(CONT), NAMED(STOP), NAMED(TSTP), NAMED(TTIN), NAMED(TTOU),   NAMED(URG),  NAMED(XCPU),  NAMED(XFSZ),
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
