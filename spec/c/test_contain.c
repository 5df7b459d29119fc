/* test_contain.c - what running commands does to the program that embeds the engine: nothing that
 * it has not asked for; and what that program may do to the commands. */
#include <orrery.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NODE(shell)                                                                                          \
    "local flow = require 'orrery'\n"                                                                        \
    "local w = flow.workflow { name = 'w' }\n"                                                               \
    "w.a = flow.exec { shell = [[" shell "]] }\n"                                                            \
    "return w\n"

static bool is_subreaper(void) {
    int is = 0;
    assert_int_equal(prctl(PR_GET_CHILD_SUBREAPER, &is, 0, 0, 0), 0);
    return is;
}

static orr_runtime *open_it(bool contain) {
    orr_config config;
    orr_config_init(&config);
    config.contain = contain;
    orr_runtime *rt = orr_open(&config);
    assert_non_null(rt);
    return rt;
}

static orr_run_id start(orr_runtime *rt, const char *source) {
    orr_workflow *w = orr_load_string(rt, source, "w.lua");
    assert_non_null(w);
    orr_run_id run = orr_start(rt, w, NULL, NULL);
    assert_false(orr_run_id_is_none(run));
    return run;
}

static int state_of(orr_runtime *rt, const char *source) {
    orr_run_id run = start(rt, source);
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    return (int)orr_state(rt, run);
}

static void the_host_keeps_its_attributes(void **state) {
    (void)state;
    struct sigaction before, now;
    sigaction(SIGCHLD, NULL, &before);
    orr_runtime *rt = open_it(false);
    assert_int_equal(state_of(rt, NODE("true")), ORR_RUN_COMPLETED);
    assert_false(is_subreaper());
    orr_close(rt);
    rt = open_it(true);
    assert_false(is_subreaper()); /* before the first command */
    assert_int_equal(state_of(rt, NODE("true")), ORR_RUN_COMPLETED);
    assert_true(is_subreaper());
    sigaction(SIGCHLD, NULL, &now);
    assert_ptr_equal(before.sa_handler, now.sa_handler);
    orr_close(rt);
    assert_false(is_subreaper());
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* A program compiled before the field was there has not asked for it. */
static void a_smaller_config_asks_for_nothing(void **state) {
    (void)state;
    orr_config config;
    orr_config_init(&config);
    config.contain = true;
    config.size = offsetof(orr_config, contain);
    orr_runtime *rt = orr_open(&config);
    assert_non_null(rt);
    assert_int_equal(state_of(rt, NODE("true")), ORR_RUN_COMPLETED);
    assert_false(is_subreaper());
    orr_close(rt);
}

static void orphans_end_with_the_last_command(void **state) {
    (void)state;
    orr_runtime *rt = open_it(true);
    orr_run_id run = start(rt, NODE("env -i setsid sleep 60 >/dev/null 2>&1 & echo $!; sleep 0.2"));
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_int_equal(orr_state(rt, run), ORR_RUN_COMPLETED);
    int pid = 0;
    const char *out = orr_node_output(rt, run, "a");
    assert_non_null(out);
    out = strstr(out, "\"stdout\":\"");
    assert_non_null(out);
    assert_int_equal(sscanf(out, "\"stdout\":\"%d", &pid), 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    orr_close(rt);
}

/* The host waits for whatever child has ended: how a command ended is not known then, and nothing
 * hangs. */
static void a_host_that_waits_for_all_children(void **state) {
    (void)state;
    orr_runtime *rt = open_it(false);
    orr_run_id run = start(rt, NODE("sleep 0.3"));
    bool reaped = false;
    while (orr_state(rt, run) < ORR_RUN_COMPLETED) {
        siginfo_t info = {0};
        if (!reaped && !waitid(P_ALL, 0, &info, WEXITED)) reaped = true; /* before the loop has seen it */
        orr_step(rt, 1000000);
        if (!reaped) continue;
        assert_int_equal(orr_wait(rt, run), ORR_OK);
    }
    assert_true(reaped);
    assert_int_equal(orr_state(rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(rt, run), "exec_unknown"));
    orr_close(rt);
}

static void a_host_that_ignores_its_children(void **state) {
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    orr_runtime *rt = open_it(false);
    orr_run_id run = start(rt, NODE("exit 0"));
    assert_int_equal(orr_wait(rt, run), ORR_OK);
    assert_int_equal(orr_state(rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(rt, run), "exec_unknown"));
    orr_close(rt);
    signal(SIGCHLD, SIG_DFL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_keeps_its_attributes),
        cmocka_unit_test(a_smaller_config_asks_for_nothing),
        cmocka_unit_test(orphans_end_with_the_last_command),
        cmocka_unit_test(a_host_that_waits_for_all_children),
        cmocka_unit_test(a_host_that_ignores_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
