/* test_process.c - children are started, read, bounded and ended; nothing of them is left. Real
 * processes: the waits are short. */
#include "loop/process.h"
#include "loop/kin.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Every block counted, so that a leak shows without a tool; and any allocation can be made to
 * fail. */
static size_t live_bytes;
static long fail_in = -1;

static void *counting(void *ud, void *ptr, size_t osize, size_t nsize) {
    (void)ud;
    if (nsize && fail_in >= 0 && fail_in-- == 0) return NULL;
    void *block = orr_alloc_libc(NULL, ptr, osize, nsize);
    if (block || !nsize) live_bytes = live_bytes - (ptr ? osize : 0) + nsize;
    return block;
}

static const orr_alloc alloc = {counting, NULL};

typedef struct seen {
    uv_loop_t *loop;
    orr_process *process;
    int ends, chunks;
    orr_process_result result;
    char out[2][256], first[64];
    size_t streamed;
    uint64_t took;
} seen;

static void on_end(void *ud, const orr_process_result *result) {
    seen *s = ud;
    s->ends++;
    s->result = *result;
    for (int i = 0; i < 2; i++) {
        size_t n = result->output[i].size < 255 ? result->output[i].size : 255;
        if (n) memcpy(s->out[i], result->output[i].data, n);
        s->out[i][n] = '\0';
    }
}

static void on_chunk(void *ud, int descriptor, const char *data, size_t size) {
    seen *s = ud;
    assert_true(descriptor == 1 || descriptor == 2);
    assert_non_null(data);
    s->chunks++;
    s->streamed += size;
}

static int open_loop(void **state) {
    static seen s;
    memset(&s, 0, sizeof s);
    s.loop = malloc(sizeof *s.loop);
    live_bytes = 0;
    fail_in = -1;
    *state = &s;
    return s.loop ? uv_loop_init(s.loop) : -1;
}

/* No handle, no byte and no zombie may be left. */
static int close_loop(void **state) {
    seen *s = *state;
    int busy = uv_loop_close(s->loop);
    free(s->loop);
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
        print_error("a child was left\n");
        return -1;
    }
    if (busy || live_bytes) print_error("left: %s, %zu bytes\n", uv_strerror(busy), live_bytes);
    return busy || live_bytes ? -1 : 0;
}

static orr_process_options shell(seen *s, const char *const argv[4]) {
    return (orr_process_options){.argv = argv,
                                 .output = {ORR_OUTPUT_CAPTURE, ORR_OUTPUT_CAPTURE},
                                 .limit = 1 << 20,
                                 .ud = s,
                                 .on_end = on_end,
                                 .on_chunk = on_chunk};
}

#define SHELL(command) ((const char *const[4]){"/bin/sh", "-c", (command), NULL})

static void spawn(seen *s, const orr_process_options *o) {
    s->process = orr_process_spawn(s->loop, &alloc, o);
    assert_non_null(s->process);
    assert_int_equal(s->ends, 0);
}

/* ms within which what is not waited for has ended, on a busy machine too. */
#define SOON 40000

static void finish(seen *s) {
    uint64_t start = uv_hrtime();
    uv_run(s->loop, UV_RUN_DEFAULT);
    s->took = (uv_hrtime() - start) / 1000000;
    assert_int_equal(s->ends, 1);
}

static void output_and_code(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("echo out; echo err >&2; exit 3"));
    spawn(s, &o);
    assert_true(orr_process_id(s->process) > 0);
    finish(s);
    assert_int_equal(s->result.failed, ORR_SPAWN_OK);
    assert_int_equal(s->result.code, 3);
    assert_int_equal(s->result.signal, 0);
    assert_string_equal(s->out[0], "out\n");
    assert_string_equal(s->out[1], "err\n");
    assert_false(s->result.held);
}

static void argv_is_not_a_shell(void **state) {
    seen *s = *state;
    const char *const argv[] = {"printf", "%s|", "$HOME; a  b", "", "*", NULL};
    orr_process_options o = shell(s, argv);
    spawn(s, &o);
    finish(s);
    assert_string_equal(s->out[0], "$HOME; a  b||*|");
}

static void input_is_read_from_its_start(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("cat"));
    o.input = "line\n\0end";
    o.input_size = 9;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.output[0].size, 9);
    assert_memory_equal(s->out[0], "line\n\0end", 9);
}

static void large_input_that_nobody_reads(void **state) {
    seen *s = *state;
    size_t size = 8 << 20;
    char *text = calloc(1, size);
    assert_non_null(text);
    orr_process_options o = shell(s, SHELL("exit 0"));
    o.input = text;
    o.input_size = size;
    spawn(s, &o);
    free(text);
    finish(s);
    assert_int_equal(s->result.code, 0);
}

static void without_input_it_is_at_its_end(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("cat; readlink /proc/self/fd/0"));
    spawn(s, &o);
    finish(s);
    assert_string_equal(s->out[0], "/dev/null\n");
}

static void outputs_are_pipes_that_can_be_reopened(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("echo a > /dev/stdout; echo b > /dev/stderr"));
    spawn(s, &o);
    finish(s);
    assert_string_equal(s->out[0], "a\n");
    assert_string_equal(s->out[1], "b\n");
}

static void cwd_and_env(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("pwd; echo \"$ONE-$HOME\""));
    o.cwd = "/usr";
    o.env = (const char *const[]){"ONE=1", "PATH=/usr/bin:/bin", NULL};
    spawn(s, &o);
    finish(s);
    assert_string_equal(s->out[0], "/usr\n1-\n");
}

static void only_the_limit_is_kept(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("head -c 300000 /dev/zero; head -c 50 /dev/zero >&2"));
    o.limit = 100000;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.code, 0);
    assert_int_equal(s->result.output[0].size, 100000);
    assert_int_equal(s->result.output[0].dropped, 200000);
    assert_int_equal(s->result.output[1].size, 50);
    assert_int_equal(s->result.output[1].dropped, 0);
}

static void a_limit_of_nothing(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("echo 123"));
    o.limit = 0;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.output[0].size, 0);
    assert_int_equal(s->result.output[0].dropped, 4);
}

static void chunks_are_streamed(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("head -c 200000 /dev/zero; echo x >&2"));
    o.output[0] = o.output[1] = ORR_OUTPUT_STREAM;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->streamed, 200002);
    assert_true(s->chunks >= 4);
    assert_int_equal(s->result.output[0].size, 0);
}

static void discarded_output_goes_nowhere(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("readlink /proc/self/fd/2; echo lost >&2"));
    o.output[1] = ORR_OUTPUT_DISCARD;
    spawn(s, &o);
    finish(s);
    assert_string_equal(s->out[0], "/dev/null\n");
    assert_int_equal(s->result.output[1].size, 0);
}

static void a_missing_program(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, (const char *const[4]){"orrery-no-such-program", NULL});
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.failed, ORR_SPAWN_PROGRAM);
    assert_int_equal(s->result.error, UV_ENOENT);
    assert_int_equal(s->result.code, 0);
    s->ends = 0;
    spawn(s, &o); /* whether it is gone by then or not */
    orr_process_kill(s->process, SIGUSR1);
    orr_process_terminate(s->process);
    finish(s);
    assert_true(s->result.failed == ORR_SPAWN_PROGRAM || s->result.signal);
}

static void a_missing_directory(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("true"));
    o.cwd = "/no/such/directory";
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.failed, ORR_SPAWN_CWD);
    assert_int_equal(s->result.error, UV_ENOENT);
}

static void a_file_that_is_no_program(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, (const char *const[4]){"/etc/passwd", NULL});
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.failed, ORR_SPAWN_PROGRAM);
    assert_int_equal(s->result.error, UV_EACCES);
}

static void no_descriptors_left(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("true"));
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 0; /* what is open stays open, nothing can be opened */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    spawn(s, &o);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    finish(s);
    assert_int_equal(s->result.failed, ORR_SPAWN_SYSTEM);
    assert_int_equal(s->result.error, UV_EMFILE);
}

static void a_signal_ends_it(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("kill -SEGV $$"));
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.signal, SIGSEGV);
    assert_string_equal(orr_signal_name(s->result.signal), "SIGSEGV");
}

static void terminate_later(uv_timer_t *timer) {
    seen *s = timer->data;
    orr_process_terminate(s->process);
    orr_process_terminate(s->process);
    uv_close((uv_handle_t *)timer, NULL);
}

static uv_timer_t later;
static void after(seen *s, uint64_t ms, uv_timer_cb cb) {
    uv_timer_init(s->loop, &later);
    later.data = s;
    uv_timer_start(&later, cb, ms, 0);
}

/* Gone, or a zombie that process 1 has not reaped: only these have no command line. */
static bool dead(int pid) {
    assert_true(pid > 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    for (int i = 0; i < SOON / 10; i++) { /* a killed process takes a moment */
        FILE *f = fopen(path, "r");
        if (!f) return true;
        int c = fgetc(f);
        fclose(f);
        if (c == EOF) return true;
        usleep(10000);
    }
    return false;
}

/* Keeps the first output; whether this was it: the child has said that it is ready. */
static bool is_ready(seen *s, int descriptor, const char *data, size_t size) {
    on_chunk(s, descriptor, data, size);
    if (s->chunks != 1) return false;
    size_t n = size < sizeof s->first - 1 ? size : sizeof s->first - 1;
    memcpy(s->first, data, n);
    s->first[n] = '\0';
    return true;
}

static void terminate_when_ready(void *ud, int descriptor, const char *data, size_t size) {
    if (is_ready(ud, descriptor, data, size)) after(ud, 1, terminate_later);
}

static void term_reaches_the_whole_group(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("sleep 60 & echo $!; sleep 60"));
    o.output[0] = ORR_OUTPUT_STREAM;
    o.on_chunk = terminate_when_ready;
    spawn(s, &o);
    int pid = orr_process_id(s->process);
    finish(s);
    assert_int_equal(s->result.signal, SIGTERM);
    assert_true(s->took < SOON);
    assert_true(dead(pid) && dead(atoi(s->first)));
}

static void kill_follows_where_term_is_ignored(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
    o.output[0] = ORR_OUTPUT_STREAM;
    o.on_chunk = terminate_when_ready;
    o.grace = 200;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.signal, SIGKILL);
    assert_true(s->took >= 200 && s->took < SOON);
}

static void grandchildren_that_ignore_term_are_killed_too(void **state) {
    seen *s = *state;
    orr_process_options o = shell(
        s,
        SHELL("sh -c 'trap \"\" TERM; echo $$; exec >/dev/null 2>&1; while :; do sleep 0.01; done' & wait"));
    o.output[0] = ORR_OUTPUT_STREAM;
    o.on_chunk = terminate_when_ready;
    o.grace = 200;
    spawn(s, &o);
    int pid = orr_process_id(s->process);
    finish(s);
    assert_true(s->took >= 200 && s->took < SOON);
    assert_true(dead(pid) && dead(atoi(s->first)));
}

static void a_stopped_child_is_ended(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("kill -STOP $$; sleep 60"));
    spawn(s, &o);
    after(s, 100, terminate_later);
    finish(s);
    assert_int_equal(s->result.signal, SIGTERM);
    assert_true(s->took < SOON);
}

/* Whether a pipe that an orphan holds is given up after about that time (ms), and no other: where
 * the machine was too slow to tell, a longer one may. Never earlier. */
static bool lingers_for(seen *s, unsigned linger) {
    orr_process_options o = shell(s, SHELL("echo before; sleep 300 & echo $!"));
    o.linger = linger;
    s->ends = 0;
    spawn(s, &o);
    finish(s);
    assert_true(s->result.held);
    assert_int_equal(s->result.code, 0);
    assert_memory_equal(s->out[0], "before\n", 7);
    assert_true(s->took >= linger - linger / 15);
    kill(atoi(s->out[0] + 7), SIGKILL); /* what a command leaves in the background is its own affair */
    return s->took < 2 * linger;
}

static void an_orphan_that_holds_the_pipe_does_not_hold_the_end(void **state) {
    const unsigned lingers[] = {150, 480, 4000};
    bool in_time = false;
    for (int i = 0; i < 3 && !in_time; i++) in_time = lingers_for(*state, lingers[i]);
    assert_true(in_time);
}

/* Waits until a process is neither there nor more than a zombie. */
static void assert_gone(int pid) {
    for (int i = 0; i < SOON / 10; i++) {
        if (!orr_kin_birth(pid)) return;
        usleep(10000);
    }
    fail_msg("process %d lives", pid);
}

/* Runs the shell's line, which writes the id of a process that has left the group, and terminates
 * it then. */
static int escaped(seen *s, const char *line, bool unmarked) {
    orr_process_options o = shell(s, SHELL(line));
    o.watcher = orr_watcher_open(&alloc, NULL);
    assert_non_null(o.watcher);
    o.unmarked = unmarked;
    o.output[0] = ORR_OUTPUT_STREAM;
    o.on_chunk = terminate_when_ready;
    s->chunks = 0;
    spawn(s, &o);
    finish(s);
    orr_watcher_close(o.watcher);
    assert_int_equal(s->result.signal, SIGTERM);
    return atoi(s->first);
}

static void what_has_left_the_group_is_ended_too(void **state) {
    seen *s = *state;
    assert_gone(escaped(s, "setsid sh -c 'echo $$; exec sleep 60' & wait", false));
    s->ends = 0;
    assert_gone(escaped(s, "setsid sh -c 'echo $$; exec sleep 60' & wait", true)); /* by its parent */
    s->ends = 0;
    /* its parent has gone, and it ignores TERM */
    assert_gone(escaped(
        s, "(setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' &); sleep 60", false));
}

static void what_is_left_behind_is_ended_and_counted(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s,
                                  SHELL("setsid sh -c 'exec sleep 60' >/dev/null 2>&1 & echo $!; sleep 0.1"));
    orr_watcher *w = o.watcher = orr_watcher_open(&alloc, NULL);
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.code, 0);
    assert_int_equal(s->result.left, 1);
    assert_gone(atoi(s->out[0]));
    o = shell(s, SHELL("sleep 0.03 >/dev/null 2>&1 & exit 0")); /* not what soon ends by itself */
    o.watcher = w;
    for (int i = 0; i < 30 && s->result.left > 0; i++) { /* it may not get to it on a busy machine */
        s->ends = 0;
        spawn(s, &o);
        finish(s);
    }
    assert_int_equal(s->result.left, 0);
    s->ends = 0;
    o.argv = SHELL("setsid sleep 60 >/dev/null 2>&1 & echo $!");
    o.detach = true;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.left, 0);
    int pid = atoi(s->out[0]);
    assert_int_equal(kill(pid, 0), 0);
    kill(pid, SIGKILL);
    orr_watcher_close(w);
}

/* As escaped, in a program that is a subreaper: what writes its id has no mark and no parent. */
#define ORPHAN "env -i setsid sh -c 'exec sleep 60' >/dev/null 2>&1 & echo $!; sleep 0.2"
#define UNMARKED_ORPHAN "(env -i setsid sh -c 'echo $$; exec sleep 60' &) 2>/dev/null; "

static void orphans_without_a_mark_are_ended_by_a_subreaper(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL(UNMARKED_ORPHAN "sleep 60"));
    o.watcher = orr_watcher_open(&alloc, NULL);
    o.reaper = orr_reaper_open(&alloc, s->loop);
    assert_non_null(o.reaper);
    o.output[0] = ORR_OUTPUT_STREAM;
    o.on_chunk = terminate_when_ready;
    spawn(s, &o);
    finish(s);
    int pid = atoi(s->first);
    assert_int_equal(s->result.signal, SIGTERM);
    assert_gone(pid);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* it had become ours */

    o.argv = SHELL(ORPHAN);
    o.output[0] = ORR_OUTPUT_CAPTURE;
    s->ends = 0;
    spawn(s, &o);
    finish(s);
    pid = atoi(s->out[0]);
    assert_int_equal(s->result.left, 1);
    assert_gone(pid);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    orr_reaper_close(o.reaper);
    orr_watcher_close(o.watcher);
    uv_run(s->loop, UV_RUN_DEFAULT);
    int is_subreaper = 1;
    prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper, 0, 0, 0);
    assert_false(is_subreaper);
}

static void kill_child(void *ud, const orr_kin_child *c) {
    (void)ud;
    kill(c->pid, SIGKILL);
}

/* What others may have started is nobody's to end: that of a command beside it, what was to stay,
 * and what has the environment of this program. */
static void orphans_of_others_are_left_alone(void **state) {
    seen *s = *state;
    int pids[3];
    orr_process_options beside = shell(s, SHELL("sleep 60"));
    beside.reaper = orr_reaper_open(&alloc, s->loop);
    orr_process *other = orr_process_spawn(s->loop, &alloc, &beside);
    orr_process_options o = shell(s, SHELL(ORPHAN));
    o.reaper = beside.reaper;
    spawn(s, &o);
    while (!s->ends) uv_run(s->loop, UV_RUN_ONCE);
    assert_int_equal(s->result.left, 0);
    pids[0] = atoi(s->out[0]);
    assert_int_equal(kill(pids[0], 0), 0);
    kill(pids[0], SIGKILL);
    orr_process_abandon(other);

    pid_t daemon = fork();
    if (!daemon) { /* of this program's own */
        setsid();
        if (!fork()) execlp("sleep", "sleep", "60", (char *)NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(daemon, NULL, 0), daemon);
    o.argv = SHELL("sleep 0.1");
    s->ends = 0;
    spawn(s, &o);
    while (!s->ends) uv_run(s->loop, UV_RUN_ONCE);
    assert_int_equal(s->result.left, 0);

    o.argv = SHELL(ORPHAN);
    o.detach = true;
    for (int i = 1; i < 3; i++) { /* and after it one that is not detached */
        s->ends = 0;
        spawn(s, &o);
        while (!s->ends) uv_run(s->loop, UV_RUN_ONCE);
        o.detach = false;
        assert_int_equal(s->result.left, 0);
        pids[i] = atoi(s->out[0]);
        assert_int_equal(kill(pids[i], 0), 0);
        kill(pids[i], SIGKILL);
    }
    orr_reaper_close(o.reaper);
    uv_run(s->loop, UV_RUN_DEFAULT);
    for (int i = 0; i < 3; i++) assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    orr_kin_each_child(kill_child, NULL);
    assert_true(wait(NULL) > 0);
}

static void keep_loop(uv_timer_t *timer) {
    uv_close((uv_handle_t *)timer, NULL);
}

/* Orphans that have ended are waited for, and no child that somebody else waits for. */
static void orphans_are_waited_for(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("(setsid sleep 0.01 &); (setsid sleep 0.02 &); sleep 0.3"));
    o.reaper = orr_reaper_open(&alloc, s->loop);
    int own = fork();
    if (!own) _exit(7);
    uv_timer_t timer;
    uv_timer_init(s->loop, &timer);
    uv_timer_start(&timer, keep_loop, 9000, 0);
    spawn(s, &o);
    finish(s);
    int status = 0;
    assert_int_equal(waitpid(-1, &status, WNOHANG), own);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
    orr_reaper_close(o.reaper);
    uv_run(s->loop, UV_RUN_DEFAULT);
}

/* Another process starts two commands and is killed. */
static void commands_end_with_the_program(void **state) {
    seen *s = *state;
    int fds[2];
    char text[64] = "";
    assert_int_equal(pipe(fds), 0);
    pid_t program = fork();
    if (program == 0) {
        orr_process_options o = shell(s,
                                      SHELL("setsid sh -c 'echo $$ >&2; exec sleep 60' & echo $$ >&2; wait"));
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        o.output[1] = ORR_OUTPUT_INHERIT;
        o.watcher = orr_watcher_open(&alloc, NULL);
        orr_process_spawn(s->loop, &alloc, &o);
        pause();
    }
    close(fds[1]);
    size_t n = 0;
    for (int lines = 0; lines < 2;) {
        assert_int_equal(read(fds[0], text + n, 1), 1);
        if (text[n++] == '\n') lines++;
    }
    kill(program, SIGKILL);
    assert_int_equal(waitpid(program, NULL, 0), program);
    assert_gone(atoi(text));
    assert_gone(atoi(strchr(text, '\n')));
    close(fds[0]);
}

static void no_descriptor_reaches_it(void **state) {
    seen *s = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0); /* without O_CLOEXEC */
    orr_process_options o = shell(s, SHELL("ls /proc/$$/fd; true"));
    o.watcher = orr_watcher_open(&alloc, NULL);
    spawn(s, &o);
    finish(s);
    assert_string_equal(s->out[0], "0\n1\n2\n");
    assert_int_equal(fcntl(fds[0], F_GETFD), 0); /* and here nothing has changed */
    orr_watcher_close(o.watcher);
    close(fds[0]);
    close(fds[1]);
}

static void a_child_that_somebody_has_reaped(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("exit 3"));
    spawn(s, &o);
    assert_int_equal(waitpid(orr_process_id(s->process), NULL, 0), orr_process_id(s->process));
    finish(s);
    assert_true(s->result.unknown);
}

static void marks_name_the_command_and_those_around_it(void **state) {
    (void)state;
    char variable[ORR_MARK_MOST], own[ORR_MARK_OWN], last[ORR_MARK_OWN];
    orr_watcher *w = orr_watcher_open(&alloc, NULL);
    assert_non_null(w);
    orr_watcher_mark(w, variable, last);
    setenv("ORRERY_MARK", "/1-2.3;", 1);
    orr_watcher_mark(w, variable, own);
    assert_string_not_equal(own, last);
    assert_memory_equal(variable, "ORRERY_MARK=/1-2.3;", 19);
    assert_string_equal(variable + 19, own);
    unsetenv("ORRERY_MARK");
    orr_watcher_close(w);
}

static void signal_when_ready(void *ud, int descriptor, const char *data, size_t size) {
    seen *s = ud;
    if (is_ready(s, descriptor, data, size))
        assert_int_equal(orr_process_kill(s->process, orr_signal_number("USR1")), 0);
}

static void one_signal(void **state) {
    seen *s = *state;
    orr_process_options o = shell(
        s, SHELL("trap 'echo got; exit 7' USR1; echo up; while :; do sleep 0.01; done"));
    o.output[0] = ORR_OUTPUT_STREAM;
    o.on_chunk = signal_when_ready;
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.code, 7);
    assert_string_equal(s->first, "up\n");
    assert_int_equal(s->streamed, strlen("up\ngot\n"));
}

static void abandoned_children_are_gone(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("sleep 60 & sleep 60"));
    spawn(s, &o);
    int pid = orr_process_id(s->process);
    orr_process_abandon(s->process);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
    uv_run(s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->ends, 0);
}

static void no_memory(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("yes | head -c 100000"));
    fail_in = 0;
    assert_null(orr_process_spawn(s->loop, &alloc, &o));
    bool ran = false;
    for (int n = 1; s->ends == 0 || s->result.error; n++) { /* what its start needs, then its output */
        fail_in = n;
        s->ends = 0;
        spawn(s, &o);
        finish(s);
        if (fail_in >= 0) break; /* it needs no more */
        assert_int_equal(s->result.error, UV_ENOMEM);
        ran |= s->result.failed == ORR_SPAWN_OK;
    }
    fail_in = -1;
    assert_true(ran);
    assert_int_equal(s->result.error, 0);
}

static void signal_names(void **state) {
    (void)state;
    assert_int_equal(orr_signal_number("SIGKILL"), SIGKILL);
    assert_int_equal(orr_signal_number("INT"), SIGINT);
    assert_int_equal(orr_signal_number("NOPE"), 0);
    assert_int_equal(orr_signal_number(""), 0);
    assert_null(orr_signal_name(0));
}

#define LOOPED(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOPED(output_and_code),
        LOOPED(argv_is_not_a_shell),
        LOOPED(input_is_read_from_its_start),
        LOOPED(large_input_that_nobody_reads),
        LOOPED(without_input_it_is_at_its_end),
        LOOPED(outputs_are_pipes_that_can_be_reopened),
        LOOPED(cwd_and_env),
        LOOPED(only_the_limit_is_kept),
        LOOPED(a_limit_of_nothing),
        LOOPED(chunks_are_streamed),
        LOOPED(discarded_output_goes_nowhere),
        LOOPED(a_missing_program),
        LOOPED(a_missing_directory),
        LOOPED(a_file_that_is_no_program),
        LOOPED(no_descriptors_left),
        LOOPED(a_signal_ends_it),
        LOOPED(term_reaches_the_whole_group),
        LOOPED(kill_follows_where_term_is_ignored),
        LOOPED(grandchildren_that_ignore_term_are_killed_too),
        LOOPED(a_stopped_child_is_ended),
        LOOPED(an_orphan_that_holds_the_pipe_does_not_hold_the_end),
        LOOPED(one_signal),
        LOOPED(abandoned_children_are_gone),
        LOOPED(no_memory),
        LOOPED(what_has_left_the_group_is_ended_too),
        LOOPED(what_is_left_behind_is_ended_and_counted),
        LOOPED(orphans_without_a_mark_are_ended_by_a_subreaper),
        LOOPED(orphans_of_others_are_left_alone),
        LOOPED(orphans_are_waited_for),
        LOOPED(commands_end_with_the_program),
        LOOPED(no_descriptor_reaches_it),
        LOOPED(a_child_that_somebody_has_reaped),
        cmocka_unit_test(marks_name_the_command_and_those_around_it),
        cmocka_unit_test(signal_names),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
