/* test_api_threads.c - runtimes side by side: each on a thread of its own, with a store each, one
 * store for both, commands, files, threads of their own and a watchdog. Under the thread sanitizer
 * (`make sanitize-thread`) nothing of one may touch what is the other's. And one after the other: a
 * hundred openings leave nothing behind. */
#include <orrery.h>

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 3, RUNS = 20 };

typedef struct side {
    const char *url; /* NULL: in memory */
    const char *work;
    bool watchdog, is_virtual;
    char problem[512];
} side;

static void start_work(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    orr_complete(rt, call->token, "7");
}

static const char source[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'w', output = '${nodes.b}' }\n"
                             "w.a = flow.my.work { x = '${input.n}' }\n"
                             "w.b = { after = 'a', run = function(ctx, inputs)\n"
                             "  ctx:sleep(0.001) %s return inputs.a\n"
                             "end }\n"
                             "return w\n";

static bool note(side *s, const char *what, const char *why) {
    if (s->problem[0] == '\0')
        snprintf(s->problem, sizeof s->problem, "%s: %s", what, why != NULL ? why : "?");
    return false;
}

static bool go_through(side *s, orr_runtime *rt, int n) {
    char text[1024];
    orr_run_id runs[RUNS];
    snprintf(text, sizeof text, source, s->work);
    orr_type type = {.size = sizeof type, .name = "my.work", .start = start_work};
    if (orr_register(rt, &type) != ORR_OK) return note(s, "orr_register", orr_last_error(rt));
    orr_workflow *w = orr_load_string(rt, text, "w.lua");
    if (w == NULL) return note(s, "orr_load_string", orr_last_error(rt));
    for (int i = 0; i < n; i++) runs[i] = orr_start(rt, w, "{\"n\":1}", NULL);
    for (int i = 0; i < n; i++) {
        if (orr_wait(rt, runs[i]) != ORR_OK) return note(s, "orr_wait", orr_last_error(rt));
        if (orr_state(rt, runs[i]) != ORR_RUN_COMPLETED)
            return note(s, "run", orr_run_error_json(rt, runs[i]));
        const char *output = orr_output(rt, runs[i]);
        if (output == NULL || strcmp(output, "7") != 0) return note(s, "output", output);
    }
    return true;
}

static bool live_once(side *s, int n) {
    orr_config config;
    orr_config_init(&config);
    config.store = s->url;
    config.watchdog = s->watchdog;
    config.clock = s->is_virtual ? ORR_CLOCK_VIRTUAL : ORR_CLOCK_REAL;
    orr_runtime *rt = orr_open(&config);
    if (rt == NULL) return note(s, "orr_open", "failed");
    bool good = go_through(s, rt, n);
    orr_close(rt);
    return good;
}

static void *live(void *arg) {
    side *s = arg;
    for (int round = 0; round < ROUNDS; round++)
        if (!live_once(s, RUNS)) break;
    return NULL;
}

static void both(const side *a, const side *b) {
    side sides[2] = {*a, *b};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, live, &sides[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        if (sides[i].problem[0] != '\0') fail_msg("thread %d: %s", i, sides[i].problem);
}

typedef struct place {
    char folder[64], first[128], second[128];
} place;

static int set_up(void **state) {
    place *p = calloc(1, sizeof *p);
    if (p == NULL) return -1;
    snprintf(p->folder, sizeof p->folder, "/tmp/orrery-threads-XXXXXX");
    if (mkdtemp(p->folder) == NULL) return -1;
    snprintf(p->first, sizeof p->first, "sqlite:%s/first.db", p->folder);
    snprintf(p->second, sizeof p->second, "sqlite:%s/second.db", p->folder);
    *state = p;
    return 0;
}

static int tear_down(void **state) {
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", ((place *)*state)->folder);
    free(*state);
    return system(line);
}

static void in_memory(void **state) {
    (void)state;
    both(&(side){.work = ""}, &(side){.work = "", .is_virtual = true});
    both(&(side){.work = "", .watchdog = true}, &(side){.work = "", .watchdog = true});
}

static void with_stores(void **state) {
    const place *p = *state;
    both(&(side){.work = "", .url = p->first}, &(side){.work = "", .url = p->second});
    both(&(side){.work = "", .url = p->first}, &(side){.work = "", .url = p->first});
    both(&(side){.work = "", .url = p->first}, &(side){.work = ""});
}

static void with_the_outside(void **state) {
    (void)state;
    both(&(side){.work = "flow.exec { 'true' }"}, &(side){.work = "flow.exec { 'true' }"});
    both(&(side){.work = "flow.file.stat { path = '/' }"}, &(side){.work = "flow.exec { 'true' }"});
}

/* ---- one after the other --------------------------------------------------------------------- */

static int descriptors(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) n++;
    if (dir != NULL) closedir(dir);
    return n;
}

static int threads(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    while (dir != NULL && readdir(dir) != NULL) n++;
    if (dir != NULL) closedir(dir);
    return n;
}

/* What threads keep for themselves counts as used. */
static size_t heap_bytes(void) {
    return mallinfo2().uordblks;
}

/* Once the system has taken back threads that have ended. */
static int threads_at_most(int n) {
    int now = threads();
    for (int i = 0; i < 30000 && now > n; i++, now = threads()) usleep(1000);
    return now;
}

static void a_hundred_openings(void **state) {
    const place *p = *state;
    side kinds[] = {{.work = ""},
                    {.work = "", .is_virtual = true},
                    {.work = "", .url = p->first},
                    {.work = "", .watchdog = true},
                    {.work = "flow.exec { 'true' }"}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    size_t before = 0;
    int open_before = 0, threads_before = 0;
    for (int i = 0; i < 100; i++) {
        side *s = &kinds[i % KINDS];
        if (!live_once(s, 2)) fail_msg("opening %d: %s", i, s->problem);
        if (i != 2 * KINDS - 1) continue; /* what is made once a process has been made */
        before = heap_bytes();
        open_before = descriptors();
        threads_before = threads();
    }
    assert_int_equal(descriptors(), open_before);
    assert_true(threads_at_most(threads_before) <= threads_before);
    size_t now = heap_bytes();
    if (now > before + 256 * 1024) fail_msg("90 openings have left %zu bytes", now - before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(in_memory),
        TEST(with_stores),
        TEST(with_the_outside),
        TEST(a_hundred_openings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
