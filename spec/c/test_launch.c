/* test_launch.c - what a program is started with, and what is said where there is none: once by a
 * launch, and once by a fork, as in a sandbox that refuses what a launch needs. */
#include "loop/launch.h"
#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

static char folder[64];

static void put(const char *name, mode_t mode, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static int make_files(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/orrery-launch-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder)) return -1;
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i ? "bin" : "none");
        if (mkdir(path, 0755)) return -1;
    }
    put("none/plain", 0644, "echo must not run\n");
    put("bin/plain", 0755, "echo \"plain $# $1\"; exit 4\n");
    put("bin/here", 0755, "#!/bin/sh\necho here\n");
    put("bin/lost", 0755, "#!/no/such/interpreter\n");
    put("none/only", 0644, "");
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line); /* NOLINT(cert-env33-c) */
}

/* ---- one program ----------------------------------------------------------------------------- */

typedef struct seen {
    int ends;
    orr_process_result result;
    char out[4096];
} seen;

static void on_end(void *ud, const orr_process_result *result) {
    seen *s = ud;
    s->ends++;
    s->result = *result;
    size_t n = result->output[0].size;
    assert_true(n < sizeof s->out);
    if (n) memcpy(s->out, result->output[0].data, n);
    s->out[n] = '\0';
}

static const seen *run(const char *const *argv, const char *const *env, const char *cwd) {
    static seen s;
    static const orr_alloc alloc = {orr_alloc_libc, NULL};
    uv_loop_t loop;
    memset(&s, 0, sizeof s);
    assert_int_equal(uv_loop_init(&loop), 0);
    orr_process_options o = {.argv = argv,
                             .env = env,
                             .cwd = cwd,
                             .limit = 4000,
                             .ud = &s,
                             .on_end = on_end,
                             .output = {ORR_OUTPUT_CAPTURE, ORR_OUTPUT_DISCARD}};
    assert_non_null(orr_process_spawn(&loop, &alloc, &o));
    assert_int_equal(s.ends, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(s.ends, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    return &s;
}

/* PATH=..., with %s for the folder. */
static const char *const *path(const char *form) {
    static char text[512];
    static const char *env[] = {text, "OTHER=x", NULL};
    snprintf(text, sizeof text, form, folder, folder);
    return env;
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_program_is_looked_for_in_its_path(void **state) {
    (void)state;
    const seen *s = run(ARGV("plain", "a b", "c"), path("PATH=/no/such:%s/none:%s/bin:/bin"), NULL);
    assert_int_equal(s->result.failed, ORR_SPAWN_OK);
    assert_int_equal(s->result.code, 4);
    assert_string_equal(s->out, "plain 2 a b\n"); /* no program, so a script for the shell */
    char bin[80];
    snprintf(bin, sizeof bin, "%s/bin", folder);
    /* an empty folder is its own, and so are relative ones */
    assert_string_equal(run(ARGV("here"), path("PATH=/no/such:"), bin)->out, "here\n");
    assert_string_equal(run(ARGV("here"), path("PATH=bin"), folder)->out, "here\n");
    assert_string_equal(run(ARGV("bin/here"), path("PATH="), folder)->out, "here\n");
    assert_string_equal(run(ARGV("echo", "x"), ARGV("OTHER=x"), NULL)->out, "x\n"); /* no PATH: libc's */
    assert_string_equal(run(ARGV("sh", "-c", "echo $OTHER"), path("PATH=/bin"), NULL)->out, "x\n");
    char **all = environ;
    environ = NULL;
    assert_string_equal(run(ARGV("echo", "none"), NULL, NULL)->out, "none\n");
    environ = all;
}

static void assert_failed(const seen *s, orr_spawn_failure failed, int error) {
    assert_int_equal(s->result.failed, failed);
    assert_int_equal(s->result.error, error);
    assert_int_equal(s->result.code, 0);
    assert_int_equal(s->result.signal, 0);
    assert_int_equal(s->result.left, 0);
}

static void what_is_no_program_is_told(void **state) {
    (void)state;
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload")) skip_for("valgrind has a way of its own with scripts");
    assert_failed(run(ARGV("only"), path("PATH=%s/none:%s/bin"), NULL), ORR_SPAWN_PROGRAM, UV_EACCES);
    assert_failed(run(ARGV("nowhere"), path("PATH=%s/none:%s/bin"), NULL), ORR_SPAWN_PROGRAM, UV_ENOENT);
    assert_failed(run(ARGV("lost"), path("PATH=%s/bin"), NULL), ORR_SPAWN_PROGRAM, UV_ENOENT);
    assert_failed(run(ARGV("/bin"), NULL, NULL), ORR_SPAWN_PROGRAM, UV_EACCES);
    assert_failed(run(ARGV("here/x"), NULL, folder), ORR_SPAWN_PROGRAM, UV_ENOENT);
    assert_failed(run(ARGV("true"), NULL, "/no/such/folder"), ORR_SPAWN_CWD, UV_ENOENT);
    assert_failed(run(ARGV("true"), NULL, "/etc/passwd"), ORR_SPAWN_CWD, UV_ENOTDIR);
    char *large = malloc(1 << 20); /* more than one argument may have */
    memset(large, 'x', (1 << 20) - 1);
    large[(1 << 20) - 1] = '\0';
    assert_failed(run(ARGV("true", large), NULL, NULL), ORR_SPAWN_PROGRAM, UV_E2BIG);
    free(large);
}

static void ignore(int number) {
    (void)number;
}

/* Whether the child has none of them set, whatever this program has. */
static void signals_are_as_new(void **state) {
    (void)state;
    sigset_t set, before;
    void (*usr1)(int) = signal(SIGUSR1, ignore), (*ign)(int) = signal(SIGPIPE, SIG_IGN);
    signal(SIGRTMIN + 1, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &before);
    const seen *s = run(ARGV("cat", "/proc/self/status"), NULL, NULL);
    assert_non_null(strstr(s->out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
                                   "SigCgt:\t0000000000000000\n"));
    sigset_t now;
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_true(sigismember(&now, SIGUSR2));
    assert_false(sigismember(&now, SIGTERM)); /* what was blocked for the start is not left so */
    assert_true(signal(SIGUSR1, usr1) == ignore);
    assert_true(signal(SIGPIPE, ign) == SIG_IGN);
    signal(SIGRTMIN + 1, SIG_DFL);
}

static void it_leads_a_session_and_has_three_descriptors(void **state) {
    (void)state;
    int open_one = open("/etc/hostname", O_RDONLY); /* NOLINT: inherited on purpose */
    const seen *s = run(ARGV("sh", "-c",
                             "read -r pid name state parent group session rest </proc/$$/stat;"
                             "[ $pid = $group ] && [ $pid = $session ] && ls /proc/$$/fd; true"),
                        NULL, NULL);
    close(open_one);
    assert_string_equal(s->out, "0\n1\n2\n");
}

static int start(const orr_spawn *s, orr_launch **l) {
    static const orr_alloc alloc = {orr_alloc_libc, NULL};
    int pid = 0, pidfd = -1, r = orr_launch_program(&alloc, s, &pid, &pidfd, l);
    if (r == -ENOSYS) r = orr_spawn_program(s, &pid);
    if (pidfd >= 0) close(pidfd);
    return r ? r : pid;
}

/* As in a daemon: the pipe of the child has the numbers 0 and 1 here. */
static void it_has_its_outputs_where_this_program_has_none(void **state) {
    (void)state;
    static const orr_alloc alloc = {orr_alloc_libc, NULL};
    int kept[3], ends[2], status = 0;
    char text[32] = "";
    orr_launch *l = NULL;
    for (int i = 0; i < 3; i++) kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < 3; i++) close(i);
    int piped = pipe2(ends, O_CLOEXEC);
    orr_spawn s = {.argv = ARGV("sh", "-c", "cat; echo out; sleep 0.1; echo err >&2"), .stdio = {-1, 1, 1}};
    int pid = start(&s, &l);
    close(1);
    for (ssize_t n = 1, at = 0; n > 0 && at < 31; at += n) n = read(0, text + at, (size_t)(31 - at));
    waitpid(pid, &status, 0);
    for (int i = 0; i < 3; i++) {
        dup2(kept[i], i);
        close(kept[i]);
    }
    orr_launch_free(&alloc, l);
    assert_int_equal(piped, 0);
    assert_true(pid > 0);
    assert_int_equal(status, 0);
    assert_string_equal(text, "out\nerr\n");
}

static int many_ended;
static void count_end(void *ud, const orr_process_result *result) {
    (void)ud;
    assert_int_equal(result->code, 9);
    assert_int_equal(result->output[0].size, 3);
    many_ended++;
}

static void many_at_once(void **state) {
    (void)state;
    static const orr_alloc alloc = {orr_alloc_libc, NULL};
    uv_loop_t loop;
    uv_loop_init(&loop);
    many_ended = 0;
    for (int i = 0; i < 100; i++) {
        orr_process_options o = {.argv = ARGV("sh", "-c", "echo ab; exit 9"),
                                 .limit = 10,
                                 .on_end = count_end,
                                 .output = {ORR_OUTPUT_CAPTURE, ORR_OUTPUT_CAPTURE}};
        assert_non_null(orr_process_spawn(&loop, &alloc, &o));
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(many_ended, 100);
    uv_loop_close(&loop);
}

/* ---- both ways ------------------------------------------------------------------------------- */

/* From now on there is no close_range here, nor in what is started. */
static int refuse(void) {
    struct sock_filter code[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_close_range},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void a_sandbox_is_no_hindrance(void **state) {
    (void)state;
    static const orr_alloc alloc = {orr_alloc_libc, NULL};
    int pid, pidfd;
    orr_launch *l;
    orr_spawn s = {.argv = ARGV("true"), .stdio = {-1, -1, -1}};
    assert_int_equal(orr_launch_program(&alloc, &s, &pid, &pidfd, &l), -ENOSYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_looked_for_in_its_path),
        cmocka_unit_test(what_is_no_program_is_told),
        cmocka_unit_test(signals_are_as_new),
        cmocka_unit_test(it_leads_a_session_and_has_three_descriptors),
        cmocka_unit_test(it_has_its_outputs_where_this_program_has_none),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(a_sandbox_is_no_hindrance),
    };
    enum { N = sizeof tests / sizeof *tests };
    struct CMUnitTest shared[N - 1];
    memcpy(shared, tests, sizeof shared);
    int failed = cmocka_run_group_tests_name("launch", shared, make_files, remove_files);
    if (refuse()) return failed; /* the kernel has no filters */
    return failed + cmocka_run_group_tests_name("launch in a sandbox", tests, make_files, remove_files);
}
