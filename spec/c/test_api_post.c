/* test_api_post.c - answers and signals from other threads, while the runtime's waits, steps,
 * sleeps on the loop's descriptor, or is closed. */
#include <orrery.h>

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum { ATTEMPTS = 200, THREADS = 4 };

/* Attempts that a thread is to answer. */
typedef struct jobs {
    orr_runtime *rt;
    pthread_mutex_t lock;
    pthread_cond_t more;
    orr_token tokens[ATTEMPTS * 2];
    int first, n;
    bool ended;
    atomic_int answered;
    int errors;
    char message[256];
} jobs;

static void on_error(void *ud, const orr_error_info *error) {
    jobs *j = ud;
    j->errors++;
    snprintf(j->message, sizeof j->message, "%s: %s", error->code, error->message);
}

static void start_work(void *ud, orr_runtime *rt, const orr_call *call) {
    jobs *j = ud;
    (void)rt;
    pthread_mutex_lock(&j->lock);
    j->tokens[j->n++] = call->token;
    pthread_cond_signal(&j->more);
    pthread_mutex_unlock(&j->lock);
}

static bool take(jobs *j, orr_token *token) {
    pthread_mutex_lock(&j->lock);
    while (j->first == j->n && !j->ended) pthread_cond_wait(&j->more, &j->lock);
    bool any = j->first < j->n;
    if (any) *token = j->tokens[j->first++];
    pthread_mutex_unlock(&j->lock);
    return any;
}

/* Every third answer is a failure that is tried again. */
static void *answer(void *arg) {
    jobs *j = arg;
    orr_token token;
    char text[32];
    while (take(j, &token)) {
        int n = atomic_fetch_add(&j->answered, 1);
        snprintf(text, sizeof text, "{\"n\":%d}", n);
        int status = n % 3 == 2 ? orr_post_fail(j->rt, token, "busy", "later", true)
                                : orr_post_complete(j->rt, token, text);
        if (status != ORR_OK) abort();
    }
    return NULL;
}

static const char source[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'w', output = '${nodes.all}' }\n"
                             "w.a = flow.my.work { each = flow.json.decode('[' .. ('1,'):rep(199) .. '1]'),\n"
                             "  retry = { max = 30, delay = 0, strategy = 'fixed', on = { 'busy' } } }\n"
                             "w.all = { after = 'a', run = function(_, inputs) return #inputs.a end }\n"
                             "return w\n";

static void open_jobs(jobs *j, bool posts, int clock) {
    orr_config config;
    orr_config_init(&config);
    config.ud = j;
    config.on_error = on_error;
    config.posts = posts;
    config.clock = clock;
    j->rt = orr_open(&config);
    assert_non_null(j->rt);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->more, NULL);
    orr_type type = {.size = sizeof type, .name = "my.work", .ud = j, .start = start_work};
    assert_int_equal(orr_register(j->rt, &type), ORR_OK);
}

static orr_run_id start(const jobs *j, const char *text) {
    orr_workflow *w = orr_load_string(j->rt, text, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(j->rt));
    return orr_start(j->rt, w, NULL, NULL);
}

static void end_jobs(jobs *j, pthread_t *threads, int n) {
    pthread_mutex_lock(&j->lock);
    j->ended = true;
    pthread_cond_broadcast(&j->more);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    assert_int_equal(orr_close(j->rt), ORR_OK);
    pthread_cond_destroy(&j->more);
    pthread_mutex_destroy(&j->lock);
}

/* The one that waits has nothing else to wait for. */
static void while_it_waits(void **state) {
    (void)state;
    for (int clock = 0; clock < 2; clock++) {
        jobs j = {0};
        pthread_t threads[THREADS];
        open_jobs(&j, true, clock);
        for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, answer, &j);
        orr_run_id run = start(&j, source);
        assert_int_equal(orr_wait(j.rt, run), ORR_OK);
        if (orr_state(j.rt, run) != ORR_RUN_COMPLETED) fail_msg("%s", orr_run_error_json(j.rt, run));
        assert_string_equal(orr_output(j.rt, run), "200");
        assert_int_equal(j.errors, 0);
        end_jobs(&j, threads, THREADS);
    }
}

/* A host that sleeps on the descriptor as long as orr_next_deadline says: for ever, unless it is
 * woken. */
static void while_it_sleeps(void **state) {
    jobs j = {0};
    pthread_t threads[THREADS];
    (void)state;
    open_jobs(&j, true, ORR_CLOCK_REAL);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, answer, &j);
    orr_run_id run = start(&j, source);
    struct pollfd fd = {.fd = uv_backend_fd(orr_loop(j.rt)), .events = POLLIN};
    while (!orr_run_ended(orr_state(j.rt, run))) {
        assert_true(orr_step(j.rt, 1000000) >= 0);
        int64_t left = orr_next_deadline(j.rt);
        if (left == 0 || orr_run_ended(orr_state(j.rt, run))) continue;
        int events = poll(&fd, 1, left < INT64_MAX ? (int)(left / 1000000) + 1 : 60000);
        if (left == INT64_MAX) assert_int_equal(events, 1); /* after a minute: it was not woken */
    }
    if (orr_state(j.rt, run) != ORR_RUN_COMPLETED) fail_msg("%s", orr_run_error_json(j.rt, run));
    assert_string_equal(orr_output(j.rt, run), "200");
    end_jobs(&j, threads, THREADS);
}

static const char waits[] = "local flow = require 'orrery'\n"
                            "local w = flow.workflow { name = 'w', output = '${nodes.a}' }\n"
                            "w.a = { run = function(ctx) local all = ''\n"
                            "  for i = 1, 50 do all = all .. ctx:wait('go') .. ' ' end return all end }\n"
                            "return w\n";

typedef struct signalling {
    orr_runtime *rt;
    orr_run_id run;
} signalling;

static void *signal_often(void *arg) {
    const signalling *s = arg;
    char text[16];
    for (int i = 1; i <= 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        if (orr_post_signal(s->rt, s->run, "go", text) != ORR_OK) abort();
    }
    return NULL;
}

/* In the order in which they were posted, and none is lost. */
static void signals(void **state) {
    jobs j = {0};
    pthread_t thread;
    (void)state;
    open_jobs(&j, true, ORR_CLOCK_REAL);
    signalling s = {j.rt, start(&j, waits)};
    pthread_create(&thread, NULL, signal_often, &s);
    assert_int_equal(orr_wait(j.rt, s.run), ORR_OK);
    char expected[256] = "\"";
    for (int i = 1; i <= 50; i++) snprintf(expected + strlen(expected), 8, "%d ", i);
    snprintf(expected + strlen(expected), 2, "\"");
    assert_string_equal(orr_output(j.rt, s.run), expected);
    end_jobs(&j, &thread, 1);
}

/* What is wrong with it is told when it is taken; what was not taken is dropped. */
static void what_comes_of_it(void **state) {
    jobs j = {0};
    (void)state;
    open_jobs(&j, false, ORR_CLOCK_REAL);
    assert_int_equal(orr_post_complete(j.rt, (orr_token){7, 7}, "1"), ORR_OK);
    assert_true(orr_next_deadline(j.rt) == 0);
    assert_int_equal(orr_post_signal(j.rt, (orr_run_id){{1}}, "go", "{"), ORR_OK);
    assert_int_equal(j.errors, 0);
    assert_true(orr_step(j.rt, 0) >= 0);
    assert_int_equal(j.errors, 2);
    assert_int_equal(strncmp(j.message, "invalid_argument", strlen("invalid_argument")), 0);
    assert_int_equal(orr_post_wake(j.rt), ORR_OK);
    assert_int_equal(orr_post_signal(j.rt, (orr_run_id){{1}}, NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_post_complete(NULL, (orr_token){0, 1}, NULL), ORR_EINVAL);
    assert_int_equal(orr_post_fail(NULL, (orr_token){0, 1}, NULL, NULL, true), ORR_EINVAL);
    assert_int_equal(orr_post_wake(NULL), ORR_EINVAL);
    /* nobody posts, as far as the runtime knows, so nothing can end this */
    orr_run_id run = start(&j, waits);
    assert_int_equal(orr_wait(j.rt, run), ORR_OK);
    assert_int_equal(orr_state(j.rt, run), ORR_RUN_FAILED);
    assert_int_equal(orr_post_fail(j.rt, (orr_token){7, 7}, "a", "b", true), ORR_OK);
    end_jobs(&j, NULL, 0);
}

static const char timers[] =
    "local flow = require 'orrery'\n"
    "local w = flow.workflow { name = 'w', output = '${nodes.a}' }\n"
    "w.a = { run = function(ctx) local uv = require 'luv' flow.await(function(resume)\n"
    "  local t = uv.new_timer() t:start(3600000, 0, function() t:close() resume() end) end) return 1 end }\n"
    "return w\n";

/* That others may post is nothing that virtual time would wait for. */
static void in_virtual_time(void **state) {
    jobs j = {0};
    (void)state;
    open_jobs(&j, true, ORR_CLOCK_VIRTUAL);
    orr_run_id run = start(&j, timers);
    assert_int_equal(orr_wait(j.rt, run), ORR_OK);
    assert_string_equal(orr_output(j.rt, run), "1");
    end_jobs(&j, NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_it_waits),  cmocka_unit_test(while_it_sleeps),  cmocka_unit_test(signals),
        cmocka_unit_test(in_virtual_time), cmocka_unit_test(what_comes_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
