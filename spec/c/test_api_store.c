/* test_api_store.c - runs that outlive their runtime, through the public C API alone. */
#include <orrery.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct host {
    char folder[64], url[128];
    orr_runtime *rt;
    int errors, recovered, status;
    /* an event, and when the first of it said that it happened: ns since the epoch */
    const char *watched;
    int64_t happened;
    char message[1024];
    orr_token tokens[64]; /* of native attempts that are under way */
    int attempts;
} host;

static void on_error(void *ud, const orr_error_info *error) {
    host *h = ud;
    h->errors++;
    h->status = error->status;
    snprintf(h->message, sizeof h->message, "%s: %s", error->code, error->message);
}

static void on_event(void *ud, const char *json) {
    host *h = ud;
    h->recovered += strstr(json, "\"run_recovered\"") != NULL;
    const char *time = strstr(json, "\"time\":");
    if (h->watched != NULL && h->happened == 0 && strstr(json, h->watched) != NULL && time != NULL)
        h->happened = (int64_t)(strtod(time + strlen("\"time\":"), NULL) * 1e9);
}

static void work(void *ud, orr_runtime *rt, const orr_call *call) {
    host *h = ud;
    (void)rt;
    if (h->attempts < 64) h->tokens[h->attempts++] = call->token;
}

static orr_config config_of(host *h) {
    orr_config config;
    orr_config_init(&config);
    config.ud = h;
    config.on_error = on_error;
    config.on_event = on_event;
    config.store = h->url;
    return config;
}

static void open_host(host *h, const orr_config *config) {
    h->rt = orr_open(config);
    if (h->rt == NULL) fail_msg("orr_open: %s", h->message);
}

static void reopen(host *h) {
    orr_config config = config_of(h);
    orr_close(h->rt);
    open_host(h, &config);
}

static void register_work(host *h) {
    orr_type type = {.size = sizeof type, .name = "test.work", .ud = h, .start = work};
    h->attempts = 0;
    assert_int_equal(orr_register(h->rt, &type), ORR_OK);
}

static int set_up(void **state) {
    host *h = calloc(1, sizeof *h);
    if (h == NULL) return -1;
    snprintf(h->folder, sizeof h->folder, "/tmp/orrery-api-XXXXXX");
    if (mkdtemp(h->folder) == NULL) return -1;
    snprintf(h->url, sizeof h->url, "sqlite:%s/runs.db", h->folder);
    orr_config config = config_of(h);
    open_host(h, &config);
    *state = h;
    return 0;
}

static int tear_down(void **state) {
    host *h = *state;
    char line[128];
    orr_close(h->rt);
    snprintf(line, sizeof line, "rm -rf %s", h->folder);
    int status = system(line);
    free(h);
    return status;
}

static orr_workflow *load(const host *h, const char *source) {
    orr_workflow *w = orr_load_string(h->rt, source, "test.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(h->rt));
    return w;
}

static orr_run_id start(const host *h, const char *source, const orr_start_options *options) {
    orr_run_id run = orr_start(h->rt, load(h, source), NULL, options);
    if (orr_run_id_is_none(run)) fail_msg("%s", orr_last_error(h->rt));
    return run;
}

static bool same(orr_run_id a, orr_run_id b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

/* Steps until the run is in that state, for a minute at most. */
static void until(const host *h, orr_run_id run, orr_run_state state) {
    for (int i = 0; i < 60000 && orr_state(h->rt, run) != state; i++)
        if (orr_step(h->rt, 1000000) == 0) usleep(1000);
    assert_string_equal(orr_run_state_name(orr_state(h->rt, run)), orr_run_state_name(state));
}

static const char order[] = "local flow = require 'orrery'\n"
                            "local w = flow.workflow { name = 'order', output = '${nodes.ship}' }\n"
                            "w.price = { run = function() return 42 end }\n"
                            "w.ship = { after = 'price', run = function(ctx, inputs)\n"
                            "  return { price = inputs.price, by = ctx:wait('shipped').by } end }\n"
                            "return w\n";

static void outlives_its_runtime(void **state) {
    host *h = *state;
    orr_run_id run = start(h, order, NULL);
    until(h, run, ORR_RUN_WAITING);
    reopen(h);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_WAITING);
    assert_string_equal(orr_node_output(h->rt, run, "price"), "42");
    assert_int_equal(orr_node(h->rt, run, "price"), ORR_NODE_COMPLETED);
    assert_int_equal(orr_node(h->rt, run, "nobody"), ORR_NODE_STATE_COUNT);
    assert_int_equal(orr_wait(h->rt, run), ORR_ESTATE);
    assert_int_equal(orr_signal(h->rt, run, "shipped", "{\"by\":"), ORR_EINVAL);
    /* waits in the inbox */
    assert_int_equal(orr_signal(h->rt, run, "shipped", "{\"by\":\"sea\"}"), ORR_OK);
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_non_null(strstr(orr_output(h->rt, run), "\"sea\""));
    assert_int_equal(orr_signal(h->rt, run, "shipped", NULL), ORR_ESTATE);
    reopen(h);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_COMPLETED);
    assert_non_null(strstr(orr_output(h->rt, run), "\"sea\""));
    assert_null(orr_run_error_json(h->rt, run));
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_resume(h->rt, run), ORR_ESTATE);
    assert_int_equal(orr_retry_run(h->rt, run), ORR_ESTATE);
    assert_int_equal(orr_cancel(h->rt, run), ORR_ESTATE);
    const char *json = orr_run_json(h->rt, run);
    assert_non_null(strstr(json, "\"workflow\":\"order\""));
    assert_non_null(strstr(json, "\"state\":\"completed\""));
    assert_non_null(strstr(json, "\"shipped\""));
}

static void is_suspended(void **state) {
    host *h = *state;
    orr_run_id run = start(h, order, NULL);
    until(h, run, ORR_RUN_WAITING);
    assert_int_equal(orr_suspend(h->rt, run), ORR_OK);
    assert_int_equal(orr_suspend(h->rt, run), ORR_ENOTFOUND);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_WAITING);
    assert_int_equal(orr_cancel(h->rt, run), ORR_OK); /* whoever resumes it will cancel it */
    assert_int_equal(orr_sync(h->rt), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_WAITING);
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_CANCELLED);
    assert_int_equal(orr_suspend(h->rt, run), ORR_ESTATE);
}

static void has_a_key(void **state) {
    host *h = *state;
    orr_start_options options;
    orr_start_options_init(&options);
    options.key = "2026-11-21";
    options.labels_json = "{\"team\":\"blue\"}";
    options.id = orr_run_id_from_text("0193af00-0000-7000-8000-00000000000f");
    orr_run_id run = start(h, order, &options);
    assert_true(same(run, options.id));
    options.id = (orr_run_id){{0}};
    assert_true(same(start(h, order, &options), run));
    until(h, run, ORR_RUN_WAITING);
    reopen(h);
    assert_true(same(start(h, order, &options), run)); /* it goes on */
    assert_int_equal(orr_signal(h->rt, run, "shipped", "{\"by\":\"air\"}"), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    reopen(h);
    assert_true(same(start(h, order, &options), run)); /* it is over */
    assert_non_null(strstr(orr_output(h->rt, run), "\"air\""));
    assert_non_null(strstr(orr_run_json(h->rt, run), "\"team\":\"blue\""));
    options.key = NULL;
    options.id = run;
    assert_true(orr_run_id_is_none(orr_start(h->rt, load(h, order), NULL, &options)));
    assert_int_equal(h->status, ORR_ESTATE);
    options.durability = 7;
    assert_true(orr_run_id_is_none(orr_start(h->rt, load(h, order), NULL, &options)));
    assert_non_null(strstr(h->message, "durability"));
}

static void with_a_bus(void **state) {
    host *h = *state;
    orr_config config = config_of(h);
    orr_close(h->rt);
    config.bus = "rediss://user:hidden@127.0.0.1";
    assert_null(orr_open(&config));
    assert_non_null(strstr(h->message, "rediss:// is not spoken"));
    assert_null(strstr(h->message, "hidden"));
    config.bus = "memory:";
    open_host(h, &config);
}

static const char native[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'native', output = '${nodes.b}' }\n"
                             "w.a = flow.test.work { n = 1 }\n"
                             "w.b = { after = 'a', run = function(_, inputs) return inputs.a end }\n"
                             "return w\n";

#define RUNS 12

/* Steps until nothing is left to be done at once, also once the disk has been waited for. */
static void settle(const host *h) {
    for (int quiet = 0; quiet < 30;) {
        if (orr_step(h->rt, 1000000) > 0) {
            quiet = 0;
            continue;
        }
        assert_int_equal(orr_sync(h->rt), ORR_OK);
        quiet++;
        usleep(1000);
    }
}

static void resumes_a_few_at_a_time(void **state) {
    host *h = *state;
    orr_run_id runs[RUNS], waiting = start(h, order, NULL);
    register_work(h);
    for (int i = 0; i < RUNS; i++) runs[i] = start(h, native, NULL);
    settle(h);
    assert_int_equal(h->attempts, RUNS);
    reopen(h);
    register_work(h);
    assert_int_equal(orr_resume_all(h->rt, 2), ORR_OK);
    assert_true(orr_resuming(h->rt));
    for (int done = 0; done < RUNS; done++) {
        settle(h);
        assert_int_equal(h->attempts, done + 2 < RUNS ? done + 2 : RUNS);
        assert_int_equal(orr_complete(h->rt, h->tokens[done], "7"), ORR_OK);
    }
    settle(h);
    assert_false(orr_resuming(h->rt));
    assert_int_equal(h->recovered, RUNS + 1);
    assert_int_equal(h->errors, 0);
    for (int i = 0; i < RUNS; i++) assert_string_equal(orr_output(h->rt, runs[i]), "7");
    assert_int_equal(orr_state(h->rt, waiting), ORR_RUN_WAITING);
    assert_int_equal(orr_signal(h->rt, waiting, "shipped", "{\"by\":\"land\"}"), ORR_OK);
    until(h, waiting, ORR_RUN_COMPLETED);
}

static void says_what_cannot_go_on(void **state) {
    host *h = *state;
    register_work(h);
    orr_run_id run = start(h, native, NULL);
    settle(h);
    orr_close(h->rt);
    orr_config config = config_of(h);
    config.resume = true;
    open_host(h, &config);
    settle(h);
    assert_false(orr_resuming(h->rt));
    assert_int_equal(h->errors, 1); /* nobody has registered the type */
    assert_non_null(strstr(h->message, "test"));
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_RUNNING);
    register_work(h);
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    settle(h);
    assert_int_equal(orr_fail(h->rt, h->tokens[0], "no", "no use", false), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_FAILED);
    assert_int_equal(orr_forget(h->rt, run), ORR_OK);
    assert_non_null(strstr(orr_run_error_json(h->rt, run), "no use"));
    assert_int_equal(orr_retry_run(h->rt, run), ORR_OK);
    settle(h);
    assert_int_equal(orr_complete(h->rt, h->tokens[1], "8"), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_string_equal(orr_output(h->rt, run), "8");
}

static void resuming_host(host *h, uint32_t limit) {
    orr_config config = config_of(h);
    orr_close(h->rt);
    config.resume = limit == 0;
    open_host(h, &config);
    if (limit > 0) assert_int_equal(orr_resume_all(h->rt, limit), ORR_OK);
    assert_true(orr_resuming(h->rt));
}

static void waits_for_what_is_taken_up_later(void **state) {
    host *h = *state;
    orr_run_id runs[RUNS];
    for (int i = 0; i < RUNS; i++) runs[i] = start(h, order, NULL);
    settle(h);
    for (uint32_t limit = 0; limit < 2; limit++) {
        orr_run_id last = runs[RUNS - 1 - limit];
        resuming_host(h, limit);
        assert_int_equal(orr_signal(h->rt, last, "shipped", "{\"by\":\"sea\"}"), ORR_OK);
        assert_int_equal(orr_wait(h->rt, last), ORR_OK);
        assert_non_null(strstr(orr_output(h->rt, last), "\"sea\""));
        assert_int_equal(h->errors, 0);
    }
    assert_int_equal(orr_wait(h->rt, runs[RUNS - 1]), ORR_OK); /* it is over, in the store */
}

static const char hasty[] = "local flow = require 'orrery'\n"
                            "local w = flow.workflow { name = 'hasty', timeout = %u }\n"
                            "w.a = { run = function(ctx) ctx:wait('never') end }\n"
                            "return w\n";

/* A run that was suspended before its time was over, which it is now. */
static orr_run_id overdue(const host *h) {
    for (unsigned seconds = 1; seconds < 100; seconds *= 5) { /* more on a slow machine */
        char source[256];
        snprintf(source, sizeof source, hasty, seconds);
        orr_run_id run = start(h, source, NULL);
        assert_true(orr_step(h->rt, 0) >= 0);
        if (orr_suspend(h->rt, run) != ORR_OK) continue;
        usleep(seconds * 1000000 + 100000);
        return run;
    }
    fail_msg("the run could not be suspended in time");
    return (orr_run_id){0};
}

/* It ends as it is taken up. */
static void waits_for_what_is_over_at_once(void **state) {
    host *h = *state;
    orr_run_id run = overdue(h);
    start(h, order, NULL);
    resuming_host(h, 0);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(h->rt, run), "timeout"));
}

/* Those behind it need not be taken up first for the answer. */
static void waits_no_longer_for_what_cannot_go_on(void **state) {
    host *h = *state, other = {0};
    register_work(h);
    orr_run_id run = start(h, native, NULL);
    for (int i = 0; i < RUNS; i++) start(h, order, NULL);
    settle(h);
    resuming_host(h, 0); /* nobody has registered the type */
    assert_int_equal(orr_wait(h->rt, run), ORR_ESTATE);
    assert_int_equal(h->errors, 2);
    assert_true(orr_resuming(h->rt));
    settle(h);
    assert_false(orr_resuming(h->rt));
    register_work(h);
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    settle(h);

    orr_config config = config_of(h);
    config.ud = &other;
    open_host(&other, &config); /* as another process would */
    register_work(&other);
    assert_int_equal(orr_resume_all(other.rt, 0), ORR_OK);
    assert_int_equal(orr_wait(other.rt, run), ORR_ESTATE);
    assert_int_equal(other.errors, 1); /* it is not refused, only run elsewhere */
    assert_true(orr_resuming(other.rt));
    orr_close(other.rt);
}

/* ---- times of a host that seldom steps ------------------------------------------------------- */

static int64_t wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nobody steps for 0.3 s; the time after that. */
static int64_t idle(host *h, const char *event) {
    h->watched = event;
    h->happened = 0;
    usleep(300000);
    return wall() - 1000000;
}

static void assert_notified_after(const host *h, int64_t time) {
    settle(h);
    if (h->happened < time)
        fail_msg("%s: told as of %.3f s too early", h->watched, (double)(time - h->happened) / 1e9);
}

static const char two[] = "local flow = require 'orrery'\n"
                          "local w = flow.workflow { name = 'two' }\n"
                          "w.a = { run = function(ctx) ctx:wait('never') end }\n"
                          "w.b = { after = 'a', run = function() end }\n"
                          "return w\n";

static void what_a_host_does_happens_now(void **state) {
    host *h = *state, other = {0};
    orr_run_id run = start(h, two, NULL);
    until(h, run, ORR_RUN_WAITING);
    int64_t now = idle(h, "\"run_paused\"");
    assert_int_equal(orr_pause(h->rt, run), ORR_OK);
    assert_notified_after(h, now);
    now = idle(h, "\"run_resumed\"");
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    assert_notified_after(h, now);

    orr_config config = config_of(h);
    config.ud = &other;
    open_host(&other, &config);
    assert_int_equal(orr_pause(other.rt, run), ORR_OK); /* by the inbox */
    assert_int_equal(orr_sync(other.rt), ORR_OK);
    orr_close(other.rt);
    now = idle(h, "\"run_paused\"");
    assert_notified_after(h, now);

    assert_int_equal(orr_suspend(h->rt, run), ORR_OK);
    settle(h);
    now = idle(h, "\"run_recovered\"");
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    assert_notified_after(h, now);
    now = idle(h, "\"node_cancelled\"");
    assert_int_equal(orr_cancel(h->rt, run), ORR_OK);
    assert_notified_after(h, now);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_CANCELLED);
    now = idle(h, "\"run_recovered\"");
    assert_int_equal(orr_retry_run(h->rt, run), ORR_OK);
    assert_notified_after(h, now);
}

static void a_native_answer_counts_when_it_is_taken(void **state) {
    host *h = *state;
    register_work(h);
    orr_run_id run = start(h, native, NULL);
    settle(h);
    int64_t now = idle(h, "\"node_completed\"");
    assert_int_equal(orr_complete(h->rt, h->tokens[0], "7"), ORR_OK);
    assert_notified_after(h, now);
    assert_string_equal(orr_output(h->rt, run), "7");
}

static int nothing(void *ud, uint32_t node) {
    (void)ud;
    (void)node;
    return ORR_OK;
}

static void a_graph_of_functions_is_not_kept(void **state) {
    host *h = *state;
    orr_builder *b = orr_build(h->rt, "frame", 2, 1);
    orr_build_node(b, "a", nothing, NULL);
    orr_build_node(b, "b", nothing, NULL);
    orr_build_edge(b, 0, 1);
    orr_run_id run = orr_start(h->rt, orr_build_end(b), NULL, NULL);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_COMPLETED);
    assert_int_equal(orr_suspend(h->rt, run), ORR_ESTATE);
    assert_null(orr_run_json(h->rt, run));
}

static const char large[] = "local flow = require 'orrery'\n"
                            "local w = flow.workflow { name = 'large', output = '${nodes.a}' }\n"
                            "w.a = { run = function() return ('x'):rep(2000000) end }\n"
                            "return w\n";

static void large_outputs(void **state) {
    host *h = *state;
    orr_run_id run = start(h, large, NULL);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    reopen(h);
    assert_int_equal(strlen(orr_output(h->rt, run)), 2000002);
    assert_int_equal(strlen(orr_node_output(h->rt, run, "a")), 2000002);
    orr_close(h->rt);
    orr_config config = config_of(h);
    config.output_limit = 1000;
    config.durability = ORR_DURABLE_RELAXED;
    open_host(h, &config);
    run = start(h, large, NULL);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(h->rt, run), "output_too_large"));
    assert_non_null(strstr(orr_run_json(h->rt, run), "\"relaxed\""));
}

static const char rows[] = "local flow = require 'orrery'\n"
                           "local w = flow.workflow { name = 'rows', output = '${nodes.a}' }\n"
                           "w.a = flow.data.map { rows = { { n = 1 }, { n = 2 } } }\n"
                           "return w\n";

/* What is kept in a file is the same value for the program, in this life and the next. */
static void rows_in_a_file(void **state) {
    host *h = *state;
    char line[128];
    orr_config config = config_of(h);
    config.large_output = 1;
    orr_close(h->rt);
    open_host(h, &config);
    orr_run_id run = start(h, rows, NULL);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    snprintf(line, sizeof line, "ls %s/runs.db-rows/*.jsonl > /dev/null", h->folder);
    assert_int_equal(system(line), 0);
    assert_string_equal(orr_output(h->rt, run), "[{\"n\":1},{\"n\":2}]");
    reopen(h);
    assert_string_equal(orr_output(h->rt, run), "[{\"n\":1},{\"n\":2}]");
    assert_string_equal(orr_node_output(h->rt, run, "a"), "[{\"n\":1},{\"n\":2}]");
}

static void without_a_store(void **state) {
    host *h = *state;
    orr_config config = config_of(h);
    orr_close(h->rt);
    config.store = NULL;
    open_host(h, &config);
    orr_run_id run = start(h, order, NULL);
    until(h, run, ORR_RUN_WAITING);
    assert_int_equal(orr_suspend(h->rt, run), ORR_ESTATE);
    assert_int_equal(orr_resume_all(h->rt, 0), ORR_ESTATE);
    assert_int_equal(orr_sync(h->rt), ORR_OK);
    assert_null(orr_run_json(h->rt, run));
    assert_int_equal(orr_signal(h->rt, run, NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_signal(h->rt, run, "shipped", "{\"by\":\"foot\"}"), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_signal(h->rt, run, "shipped", NULL), ORR_ESTATE);
    reopen(h); /* with the store, which does not know it */
    assert_int_equal(orr_resume(h->rt, run), ORR_ENOTFOUND);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_STATE_COUNT);
    config.store = "sqlite:/nowhere/at/all/runs.db";
    assert_null(orr_open(&config));
    assert_non_null(strstr(h->message, "/nowhere/at/all"));
    assert_int_equal(strncmp(h->message, "store_error: ", strlen("store_error: ")), 0);
    assert_int_equal(h->status, ORR_EIO);
    config.store = "postgres:runs";
    assert_null(orr_open(&config));
    assert_int_equal(h->status, ORR_EIO);
    config.store = h->url;
    config.durability = 3;
    assert_null(orr_open(&config));
    assert_non_null(strstr(h->message, "durability"));
}

/* A program that was compiled before there were stores. */
static void an_older_program(void **state) {
    host *h = *state;
    orr_config config = config_of(h);
    orr_start_options options;
    config.size = offsetof(orr_config, store);
    orr_close(h->rt);
    open_host(h, &config);
    orr_start_options_init(&options);
    options.size = offsetof(orr_start_options, key);
    options.key = (const char *)1;
    orr_run_id run = start(h, order, &options);
    until(h, run, ORR_RUN_WAITING);
    assert_null(orr_run_json(h->rt, run));
}

/* ---- orr_backup ------------------------------------------------------------------------------ */

/* An allocator whose `left`-th call from now fails, and all later ones where `lasting` says so;
 * 0: none. */
typedef struct scarce {
    uint64_t left;
    bool lasting, failed;
} scarce;

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    scarce *s = ud;
    if (nsize == 0) {
        free(ptr);
        return NULL;
    }
    bool grows = ptr == NULL || nsize > osize;
    if (grows && s->failed && s->lasting) return NULL;
    if (grows && s->left > 0 && --s->left == 0) {
        s->failed = true;
        return NULL;
    }
    return realloc(ptr, nsize);
}

static void name_copy(const host *h, char *path, size_t size) {
    snprintf(path, size, "%s/copy.db", h->folder);
}

static void a_copy_goes_on(void **state) {
    host *h = *state;
    char path[96], url[128];
    name_copy(h, path, sizeof path);
    orr_run_id run = start(h, order, NULL);
    until(h, run, ORR_RUN_WAITING);
    assert_int_equal(orr_backup(h->rt, path), ORR_OK); /* the run is live */
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_WAITING);
    assert_int_equal(orr_signal(h->rt, run, "shipped", "{\"by\":\"sea\"}"), ORR_OK);
    until(h, run, ORR_RUN_COMPLETED);
    orr_close(h->rt);
    /* the copy is of before the signal */
    snprintf(url, sizeof url, "sqlite:%s", path);
    orr_config config = config_of(h);
    config.store = url;
    open_host(h, &config);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_WAITING);
    assert_int_equal(orr_resume(h->rt, run), ORR_OK);
    assert_int_equal(orr_signal(h->rt, run, "shipped", "{\"by\":\"air\"}"), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_non_null(strstr(orr_output(h->rt, run), "air"));
}

static void a_copy_that_cannot_be(void **state) {
    host *h = *state;
    char path[96];
    name_copy(h, path, sizeof path);
    assert_int_equal(orr_backup(h->rt, NULL), ORR_EINVAL);
    assert_int_equal(orr_backup(h->rt, ""), ORR_EINVAL);
    assert_int_equal(orr_backup(h->rt, "/nowhere/at/all.db"), ORR_EINVAL);
    assert_non_null(strstr(h->message, "the folder /nowhere/at does not exist"));
    assert_int_equal(orr_backup(h->rt, "/proc/copy.db"), ORR_EIO);
    assert_int_equal(orr_backup(h->rt, path), ORR_OK);
    assert_int_equal(orr_backup(h->rt, path), ORR_EINVAL);
    assert_non_null(strstr(h->message, "copy.db exists"));
    orr_config config = config_of(h);
    orr_close(h->rt);
    config.store = NULL;
    open_host(h, &config);
    assert_int_equal(orr_backup(h->rt, "/tmp"), ORR_ESTATE);
    assert_non_null(strstr(h->message, "no_store"));
}

/* Each allocation of a copy fails, once and for good: it says so, and the next one succeeds. */
static void a_copy_without_memory(void **state) {
    host *h = *state;
    char path[96];
    scarce s = {0};
    orr_config config = config_of(h);
    name_copy(h, path, sizeof path);
    orr_close(h->rt);
    config.alloc = allocate;
    config.alloc_ud = &s;
    open_host(h, &config);
    uint64_t failures = 0;
    for (int lasting = 0; lasting < 2; lasting++) {
        for (uint64_t n = 1;; n++) {
            s = (scarce){.left = n, .lasting = lasting != 0};
            int status = orr_backup(h->rt, path);
            bool failed = s.failed;
            s = (scarce){0};
            if (status != ORR_OK) assert_int_equal(status, ORR_ENOMEM);
            unlink(path);
            if (!failed) break;
            failures += status != ORR_OK;
        }
    }
    assert_true(failures > 0);
    assert_int_equal(orr_backup(h->rt, path), ORR_OK);
    /* the allocator ends with this function */
    orr_close(h->rt);
    config = config_of(h);
    open_host(h, &config);
}

static void texts(void **state) {
    char text[37];
    (void)state;
    orr_run_id_text(orr_run_id_from_text("0193AF00-0000-7000-8000-00000000000f"), text);
    assert_string_equal(text, "0193af00-0000-7000-8000-00000000000f");
    assert_true(orr_run_id_is_none(orr_run_id_from_text("0193af00")));
    assert_true(orr_run_id_is_none(orr_run_id_from_text(NULL)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(outlives_its_runtime),
        TEST(is_suspended),
        TEST(has_a_key),
        TEST(resumes_a_few_at_a_time),
        TEST(says_what_cannot_go_on),
        TEST(a_graph_of_functions_is_not_kept),
        TEST(large_outputs),
        TEST(rows_in_a_file),
        TEST(without_a_store),
        TEST(with_a_bus),
        TEST(an_older_program),
        TEST(waits_for_what_is_taken_up_later),
        TEST(waits_for_what_is_over_at_once),
        TEST(waits_no_longer_for_what_cannot_go_on),
        TEST(what_a_host_does_happens_now),
        TEST(a_native_answer_counts_when_it_is_taken),
        TEST(a_copy_goes_on),
        TEST(a_copy_that_cannot_be),
        TEST(a_copy_without_memory),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
