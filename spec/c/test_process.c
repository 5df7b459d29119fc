/* Children are started, read, bounded and ended; nothing of them is left. Real processes: the waits are short. */
#include "../../runtime/loop/process.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Every block counted, so that a leak shows without a tool; and any allocation can be made to fail. */
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
    char out[2][256];
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
    return (orr_process_options){.argv = argv, .output = {ORR_OUTPUT_CAPTURE, ORR_OUTPUT_CAPTURE}, .limit = 1 << 20,
                                 .ud = s, .on_end = on_end, .on_chunk = on_chunk};
}

#define SHELL(command) ((const char *const[4]){"/bin/sh", "-c", (command), NULL})

static void spawn(seen *s, const orr_process_options *o) {
    s->process = orr_process_spawn(s->loop, &alloc, o);
    assert_non_null(s->process);
    assert_int_equal(s->ends, 0);
}

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
    assert_int_equal(orr_process_id(s->process), 0);
    assert_int_equal(orr_process_kill(s->process, SIGTERM), UV_ESRCH);
    orr_process_terminate(s->process);
    finish(s);
    assert_int_equal(s->result.failed, ORR_SPAWN_PROGRAM);
    assert_int_equal(s->result.error, UV_ENOENT);
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

static void terminate_soon(uv_timer_t *timer) {
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
    for (int i = 0; i < 100; i++) { /* a killed process takes a moment */
        FILE *f = fopen(path, "r");
        if (!f) return true;
        int c = fgetc(f);
        fclose(f);
        if (c == EOF) return true;
        usleep(10000);
    }
    return false;
}

static void term_reaches_the_whole_group(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("sleep 60 & echo $!; sleep 60"));
    spawn(s, &o);
    int pid = orr_process_id(s->process);
    after(s, 50, terminate_soon);
    finish(s);
    assert_int_equal(s->result.signal, SIGTERM);
    assert_true(s->took < 1500);
    assert_true(dead(pid) && dead(atoi(s->out[0])));
}

static void kill_follows_where_term_is_ignored(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("trap '' TERM; while :; do sleep 0.01; done"));
    o.grace = 200;
    spawn(s, &o);
    after(s, 100, terminate_soon);
    finish(s);
    assert_int_equal(s->result.signal, SIGKILL);
    assert_true(s->took >= 290 && s->took < 2000);
}

static void grandchildren_that_ignore_term_are_killed_too(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("sh -c 'trap \"\" TERM; while :; do sleep 0.01; done' >/dev/null 2>&1 & "
                                           "echo $!; wait"));
    o.grace = 200;
    spawn(s, &o);
    int pid = orr_process_id(s->process);
    after(s, 100, terminate_soon);
    finish(s);
    assert_true(s->took >= 290 && s->took < 2000);
    assert_true(dead(pid) && dead(atoi(s->out[0])));
}

static void a_stopped_child_is_ended(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("kill -STOP $$; sleep 60"));
    spawn(s, &o);
    after(s, 100, terminate_soon);
    finish(s);
    assert_int_equal(s->result.signal, SIGTERM);
    assert_true(s->took < 1500);
}

static void an_orphan_that_holds_the_pipe_does_not_hold_the_end(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("echo before; sleep 5 & echo $!"));
    o.linger = 150;
    spawn(s, &o);
    finish(s);
    assert_true(s->result.held);
    assert_int_equal(s->result.code, 0);
    assert_memory_equal(s->out[0], "before\n", 7);
    assert_true(s->took >= 140 && s->took < 2000);
    kill(atoi(s->out[0] + 7), SIGKILL); /* what a command leaves in the background is its own affair */
}

static void one_signal(void **state) {
    seen *s = *state;
    orr_process_options o = shell(s, SHELL("trap 'echo got; exit 7' USR1; echo up; while :; do sleep 0.01; done"));
    spawn(s, &o);
    usleep(100000);
    assert_int_equal(orr_process_kill(s->process, orr_signal_number("USR1")), 0);
    finish(s);
    assert_int_equal(s->result.code, 7);
    assert_string_equal(s->out[0], "up\ngot\n");
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
    fail_in = 1; /* the first block of its output */
    spawn(s, &o);
    finish(s);
    assert_int_equal(s->result.error, UV_ENOMEM);
    assert_int_equal(s->result.failed, ORR_SPAWN_OK);
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
        LOOPED(output_and_code), LOOPED(argv_is_not_a_shell), LOOPED(input_is_read_from_its_start),
        LOOPED(large_input_that_nobody_reads), LOOPED(without_input_it_is_at_its_end),
        LOOPED(outputs_are_pipes_that_can_be_reopened), LOOPED(cwd_and_env), LOOPED(only_the_limit_is_kept),
        LOOPED(a_limit_of_nothing), LOOPED(chunks_are_streamed), LOOPED(discarded_output_goes_nowhere),
        LOOPED(a_missing_program), LOOPED(a_missing_directory), LOOPED(a_file_that_is_no_program),
        LOOPED(no_descriptors_left), LOOPED(a_signal_ends_it), LOOPED(term_reaches_the_whole_group),
        LOOPED(kill_follows_where_term_is_ignored), LOOPED(grandchildren_that_ignore_term_are_killed_too),
        LOOPED(a_stopped_child_is_ended), LOOPED(an_orphan_that_holds_the_pipe_does_not_hold_the_end),
        LOOPED(one_signal), LOOPED(abandoned_children_are_gone), LOOPED(no_memory),
        cmocka_unit_test(signal_names),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
