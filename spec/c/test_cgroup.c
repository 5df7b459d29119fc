/* test_cgroup.c - each command in a control group of its own, where one is delegated. The tests run
 * in a group that is made for them and delegated as systemd does it. */
#include "loop/cgroup.h"
#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

static const orr_alloc alloc = {orr_alloc_libc, NULL};

/* ---- a place to be --------------------------------------------------------------------------- */

static char here[PATH_MAX];    /* the group that is made for the tests; "" where none can be */
static char outside[PATH_MAX]; /* the one that they came from */

static bool move_to(const char *group) {
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool moved = fd >= 0 && write(fd, "0", 1) == 1;
    if (fd >= 0) close(fd);
    return moved;
}

static bool find_outside(void) {
    char own[PATH_MAX] = "", line[PATH_MAX], point[PATH_MAX], root[PATH_MAX];
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "0::%4095s", own);
    if (file) fclose(file);
    file = fopen("/proc/self/mountinfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, " - cgroup2 ") && sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) == 2)
            snprintf(outside, sizeof outside, "%.2000s%.2000s", point, strcmp(own, "/") ? own : "");
    if (file) fclose(file);
    return outside[0] && own[0];
}

static int enter(void **state) {
    (void)state;
    if (!find_outside()) return 0;
    snprintf(here, sizeof here, "%.4000s/orrery-test-%d", outside, (int)getpid());
    if (mkdir(here, 0755)) {
        here[0] = '\0';
        return 0;
    }
    if (!move_to(here)) {
        rmdir(here);
        here[0] = '\0';
    }
    return 0;
}

static int leave(void **state) {
    (void)state;
    if (!here[0]) return 0;
    if (!move_to(outside)) return -1;
    for (int i = 0; i < 1000; i++) { /* a watcher is on its way out */
        if (!rmdir(here)) return 0;
        usleep(10000);
    }
    print_error("%s cannot be removed: %s\n", here, strerror(errno));
    return -1;
}

static bool delegate(bool on) {
    if (!here[0]) return false;
    if (on) return !setxattr(here, "user.delegate", "1", 1, 0);
    removexattr(here, "user.delegate");
    return true;
}

#define NEEDS_A_GROUP()                                                                                      \
    if (!delegate(true)) skip_for("no control group can be made here")

/* ---- commands -------------------------------------------------------------------------------- */

typedef struct seen {
    uv_loop_t loop;
    orr_process *process;
    int ends;
    orr_process_result result;
    char out[256];
} seen;

static void on_end(void *ud, const orr_process_result *result) {
    seen *s = ud;
    s->ends++;
    s->result = *result;
    size_t n = result->output[0].size < 255 ? result->output[0].size : 255;
    if (n) memcpy(s->out, result->output[0].data, n); /* else it was streamed */
    if (n) s->out[n] = '\0';
}

static void on_chunk(void *ud, int descriptor, const char *data, size_t size) {
    seen *s = ud;
    (void)descriptor;
    size_t n = strlen(s->out);
    snprintf(s->out + n, sizeof s->out - n, "%.*s", (int)size, data);
    if (strchr(s->out, '\n')) orr_process_terminate(s->process);
}

static seen run(orr_cgroup *g, const char *shell, bool terminate) {
    seen s = {.ends = 0};
    orr_process_options o = {.argv = (const char *const[4]){"/bin/sh", "-c", shell, NULL},
                             .output = {terminate ? ORR_OUTPUT_STREAM : ORR_OUTPUT_CAPTURE},
                             .limit = 1 << 16,
                             .grace = 200,
                             .cgroup = g,
                             .ud = &s,
                             .on_chunk = on_chunk,
                             .on_end = on_end};
    assert_int_equal(uv_loop_init(&s.loop), 0);
    s.process = orr_process_spawn(&s.loop, &alloc, &o);
    assert_non_null(s.process);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    assert_int_equal(s.ends, 1);
    assert_int_equal(uv_loop_close(&s.loop), 0);
    return s;
}

static void assert_gone(int pid) {
    assert_true(pid > 1);
    for (int i = 0; i < 4000 && orr_kin_birth(pid); i++) usleep(10000);
    assert_int_equal(orr_kin_birth(pid), 0);
}

static int groups_in(const char *path) {
    struct stat st;
    return stat(path, &st) ? -1 : (int)st.st_nlink - 2;
}

static void nothing_is_made_where_none_is_delegated(void **state) {
    (void)state;
    NEEDS_A_GROUP();
    delegate(false);
    assert_null(orr_cgroup_open(&alloc));
    assert_int_equal(groups_in(here), 0);
}

static void a_command_has_a_group_of_its_own(void **state) {
    (void)state;
    NEEDS_A_GROUP();
    orr_cgroup *g = orr_cgroup_open(&alloc);
    assert_non_null(g);
    seen s = run(g, "grep ^0 /proc/self/cgroup", false);
    assert_int_equal(s.result.code, 0);
    assert_non_null(strstr(s.out, strrchr(orr_cgroup_path(g), '/')));
    assert_non_null(strstr(s.out, "/1\n"));
    assert_int_equal(groups_in(orr_cgroup_path(g)), 0);
    s = run(g, "exit 3", false);
    assert_int_equal(s.result.code, 3);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", orr_cgroup_path(g));
    orr_cgroup_close(g);
    assert_int_equal(groups_in(path), -1);
}

/* It has no mark, no parent and a session of its own, and it ignores TERM. */
#define ESCAPED "(env -i setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' &); sleep 60"

static void what_escapes_all_else_is_ended(void **state) {
    (void)state;
    NEEDS_A_GROUP();
    orr_cgroup *g = orr_cgroup_open(&alloc);
    assert_non_null(g);
    seen s = run(g, ESCAPED, true);
    assert_int_equal(s.result.signal, SIGTERM);
    assert_gone(atoi(s.out));
    s = run(g, "(env -i setsid sh -c 'exec sleep 60' >/dev/null 2>&1 & echo $!); sleep 0.2", false);
    assert_int_equal(s.result.left, 1);
    assert_gone(atoi(s.out));
    orr_cgroup_close(g);
    assert_int_equal(groups_in(here), 0);
}

/* Where a command has divided its group, as an Orrery in it does. */
static void groups_below_end_with_it(void **state) {
    (void)state;
    NEEDS_A_GROUP();
    orr_cgroup *g = orr_cgroup_open(&alloc);
    assert_non_null(g);
    char line[PATH_MAX * 2];
    snprintf(line, sizeof line,
             "d=%s/1/deep; mkdir -p $d/er; (env -i setsid sh -c 'echo 0 >'$d'/er/cgroup.procs; echo $$; exec "
             "sleep 60' &); sleep 60",
             orr_cgroup_path(g));
    seen s = run(g, line, true);
    assert_gone(atoi(s.out));
    orr_cgroup_close(g);
    assert_int_equal(groups_in(here), 0);
}

/* Another program starts a command and is killed; its watcher ends what the kernel knows. */
static void all_of_it_ends_with_the_program(void **state) {
    (void)state;
    NEEDS_A_GROUP();
    int fds[2];
    char text[32] = "";
    assert_int_equal(pipe(fds), 0);
    pid_t program = fork();
    if (program == 0) {
        uv_loop_t loop;
        orr_process_options o = {.argv = (const char *const[4]){"/bin/sh", "-c",
                                                                "(env -i setsid sh -c 'echo $$ >&2; exec "
                                                                "sleep 60' &); sleep 60",
                                                                NULL},
                                 .output = {ORR_OUTPUT_DISCARD, ORR_OUTPUT_INHERIT}};
        dup2(fds[1], 2);
        o.cgroup = orr_cgroup_open(&alloc);
        if (!o.cgroup || uv_loop_init(&loop)) _exit(1);
        o.watcher = orr_watcher_open(&alloc, orr_cgroup_path(o.cgroup));
        orr_process_spawn(&loop, &alloc, &o);
        pause();
    }
    close(fds[1]);
    for (size_t n = 0; !strchr(text, '\n'); n++) assert_int_equal(read(fds[0], text + n, 1), 1);
    kill(program, SIGKILL);
    assert_int_equal(waitpid(program, NULL, 0), program);
    assert_gone(atoi(text));
    close(fds[0]);
    for (int i = 0; i < 1000 && groups_in(here); i++) usleep(10000);
    assert_int_equal(groups_in(here), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_made_where_none_is_delegated),
        cmocka_unit_test(a_command_has_a_group_of_its_own),
        cmocka_unit_test(what_escapes_all_else_is_ended),
        cmocka_unit_test(groups_below_end_with_it),
        cmocka_unit_test(all_of_it_ends_with_the_program),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
