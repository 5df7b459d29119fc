/* test_api_arguments.c - what a program must not pass: NULL, structs whose size was not set, texts
 * that are no JSON, things of another runtime. Each is refused with a status and a sentence. */
#include <orrery.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

typedef struct seen {
    int errors, status;
    char code[64], message[512];
} seen;

static void on_error(void *ud, const orr_error_info *error) {
    seen *s = ud;
    s->errors++;
    s->status = error->status;
    snprintf(s->code, sizeof s->code, "%s", error->code);
    snprintf(s->message, sizeof s->message, "%s", error->message);
}

static orr_config config_of(seen *s) {
    orr_config config;
    orr_config_init(&config);
    config.ud = s;
    config.on_error = on_error;
    return config;
}

static const char source[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'w', output = '${nodes.a}' }\n"
                             "w.a = { run = function(ctx) return ctx:wait 'go' end }\n"
                             "return w\n";

typedef struct host {
    seen s;
    orr_runtime *rt;
    orr_workflow *w;
    orr_run_id run;
} host;

static int set_up(void **state) {
    host *h = calloc(1, sizeof *h);
    if (h == NULL) return -1;
    orr_config config = config_of(&h->s);
    h->rt = orr_open(&config);
    h->w = orr_load_string(h->rt, source, "w.lua");
    h->run = orr_start(h->rt, h->w, NULL, NULL);
    *state = h;
    return h->rt != NULL && h->w != NULL && !orr_run_id_is_none(h->run) ? 0 : -1;
}

static int tear_down(void **state) {
    host *h = *state;
    int status = orr_close(h->rt);
    free(h);
    return status;
}

static int nothing(void *ud, uint32_t node) {
    (void)ud;
    (void)node;
    return ORR_OK;
}

static void start_nothing(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    (void)rt;
    (void)call;
}

/* Every function without its runtime. */
static void no_runtime(void **state) {
    static const orr_run_id none;
    const orr_token token = {0, 1};
    orr_type type = {.size = sizeof type, .name = "a.b", .start = start_nothing};
    host *h = *state;
    assert_true(strlen(orr_last_error(NULL)) > 0);
    assert_null(orr_lua(NULL));
    assert_null(orr_loop(NULL));
    assert_int_equal(orr_register(NULL, &type), ORR_EINVAL);
    assert_int_equal(orr_complete(NULL, token, "1"), ORR_EINVAL);
    assert_int_equal(orr_fail(NULL, token, "c", "m", false), ORR_EINVAL);
    assert_int_equal(orr_progress(NULL, token, 0.5, NULL), ORR_EINVAL);
    assert_null(orr_load_file(NULL, "w.lua"));
    assert_null(orr_load_string(NULL, source, "w.lua"));
    assert_null(orr_load_json(NULL, "{}", NULL, NULL));
    assert_null(orr_build(NULL, "g", 1, 1));
    assert_true(orr_run_id_is_none(orr_start(NULL, h->w, NULL, NULL)));
    assert_true(orr_run_id_is_none(orr_start(NULL, NULL, NULL, NULL)));
    assert_int_equal(orr_step(NULL, 0), ORR_EINVAL);
    assert_true(orr_next_deadline(NULL) == INT64_MAX);
    assert_int_equal(orr_wait(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_state(NULL, none), ORR_RUN_STATE_COUNT);
    assert_null(orr_output(NULL, none));
    assert_null(orr_node_output(NULL, none, "a"));
    assert_int_equal(orr_node(NULL, none, "a"), ORR_NODE_STATE_COUNT);
    assert_null(orr_run_error_json(NULL, none));
    assert_null(orr_why_json(NULL, none, "a"));
    assert_null(orr_run_json(NULL, none));
    assert_int_equal(orr_cancel(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_pause(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_resume(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_signal(NULL, none, "go", NULL), ORR_EINVAL);
    assert_int_equal(orr_signal(NULL, none, NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_forget(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_resume_all(NULL, 0), ORR_EINVAL);
    assert_false(orr_resuming(NULL));
    assert_int_equal(orr_retry_run(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_retry_items(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_suspend(NULL, none), ORR_EINVAL);
    assert_int_equal(orr_sync(NULL), ORR_EINVAL);
    assert_int_equal(orr_backup(NULL, "b.db"), ORR_EINVAL);
    assert_int_equal(orr_backup(NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_list_runs(NULL, NULL, 0), 0);
    assert_int_equal(orr_unregister(NULL, "a.b"), ORR_EINVAL);
    assert_int_equal(orr_close(NULL), ORR_OK);
}

static void assert_refused(host *h, const char *words) {
    assert_int_equal(h->s.status, ORR_EINVAL);
    assert_string_equal(h->s.code, "invalid_argument");
    if (strstr(orr_last_error(h->rt), words) == NULL)
        fail_msg("expected \"%s\" in: %s", words, orr_last_error(h->rt));
    h->s.status = 0;
}

static void no_argument(void **state) {
    host *h = *state;
    orr_config_init(NULL);
    orr_start_options_init(NULL);
    orr_run_id_text(h->run, NULL);
    orr_workflow_free(NULL);
    orr_build_free(NULL);
    assert_int_equal(orr_workflow_size(NULL), 0);
    assert_null(orr_workflow_node(NULL, 0));
    assert_int_equal(orr_unregister(h->rt, NULL), ORR_EINVAL);
    assert_refused(h, "orr_unregister");
    assert_null(orr_build_end(NULL));
    assert_int_equal(orr_build_node(NULL, "a", nothing, NULL), ORR_EINVAL);
    assert_int_equal(orr_build_edge(NULL, 0, 1), ORR_EINVAL);
    assert_int_equal(orr_register(h->rt, NULL), ORR_EINVAL);
    assert_refused(h, "orr_register");
    assert_null(orr_load_file(h->rt, NULL));
    assert_refused(h, "orr_load_file");
    assert_null(orr_load_string(h->rt, NULL, NULL));
    assert_refused(h, "orr_load_string");
    assert_null(orr_load_json(h->rt, NULL, NULL, NULL));
    assert_refused(h, "orr_load_json");
    assert_true(orr_run_id_is_none(orr_start(h->rt, NULL, NULL, NULL)));
    assert_refused(h, "orr_start");
    assert_int_equal(orr_node(h->rt, h->run, NULL), ORR_NODE_STATE_COUNT);
    assert_refused(h, "orr_node");
    assert_null(orr_node_output(h->rt, h->run, NULL));
    assert_refused(h, "orr_node_output");
    assert_null(orr_why_json(h->rt, h->run, NULL));
    assert_refused(h, "orr_why_json");
    assert_int_equal(orr_signal(h->rt, h->run, NULL, NULL), ORR_EINVAL);
    assert_refused(h, "orr_signal");
    orr_builder *b = orr_build(h->rt, NULL, 0, 0);
    assert_int_equal(orr_build_node(b, NULL, NULL, NULL), ORR_EINVAL);
    assert_refused(h, "orr_build_node");
    orr_build_free(b);
    orr_close(orr_open(NULL)); /* the defaults */
}

/* A builder that nobody ends is freed on its own, or with the runtime. */
static void builders_are_given_up(void **state) {
    host *h = *state;
    orr_builder *first = orr_build(h->rt, "first", 0, 0), *second = orr_build(h->rt, "second", 0, 0);
    orr_builder *third = orr_build(h->rt, "third", 100, 100);
    for (int i = 0; i < 40; i++) assert_int_equal(orr_build_node(second, NULL, nothing, NULL), i);
    orr_build_node(first, "a", nothing, NULL);
    orr_build_node(third, "a", nothing, NULL);
    orr_build_free(second);
    assert_non_null(orr_build_end(first));
}

static const char *const broken[] = {"",        "{",   "[1,",  "{\"a\":}",  "nul",
                                     "\"\\x\"", "1 2", "\xff", "{\"a\":1,}"};

/* Text that is no JSON, in each place that takes some. */
static void no_json(void **state) {
    host *h = *state;
    orr_start_options options;
    orr_start_options_init(&options);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(orr_signal(h->rt, h->run, "go", broken[i]), ORR_EINVAL);
        assert_refused(h, "data:");
        assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, broken[i], NULL)));
        assert_refused(h, "input:");
        options.context_json = broken[i];
        assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, NULL, &options)));
        assert_refused(h, "context:");
        options.context_json = NULL;
        options.labels_json = broken[i];
        assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, NULL, &options)));
        assert_refused(h, "labels:");
        options.labels_json = NULL;
        assert_null(orr_load_json(h->rt, "{}", NULL, broken[i]));
        assert_refused(h, "allow:");
    }
    assert_int_equal(orr_state(h->rt, h->run), ORR_RUN_RUNNING); /* no signal has come through */
}

static void no_such_thing(void **state) {
    host *h = *state;
    orr_start_options options;
    assert_null(orr_why_json(h->rt, h->run, "nobody"));
    assert_int_equal(h->s.status, ORR_ENOTFOUND);
    assert_non_null(strstr(h->s.message, "nobody"));
    orr_start_options_init(&options);
    options.key = "k";
    assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, NULL, &options)));
    assert_refused(h, "store");
    options.key = NULL;
    options.durability = 9;
    assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, NULL, &options)));
    assert_refused(h, "durability");
    orr_type type = {.size = sizeof type, .name = "not a name", .start = start_nothing};
    assert_int_equal(orr_register(h->rt, &type), ORR_EINVAL);
}

/* Structs whose size was not set, and what they ask for. */
static void no_size(void **state) {
    host *h = *state;
    orr_config config;
    memset(&config, 0xaa, sizeof config); /* what is not covered by the size is not looked at */
    for (size_t size = 0; size < 8; size++) {
        config.size = size;
        assert_null(orr_open(&config));
    }
    memset(&config, 0, sizeof config);
    assert_null(orr_open(&config));
    orr_start_options options = {0};
    assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, NULL, &options)));
    assert_refused(h, "orr_start_options_init");
    orr_type type = {.size = 0, .name = "a.b", .start = start_nothing};
    assert_int_equal(orr_register(h->rt, &type), ORR_EINVAL);
    assert_refused(h, "size");
    struct {
        orr_config config;
        char more[64];
    } newer;
    memset(&newer, 0x55, sizeof newer);
    orr_config_init(&newer.config);
    newer.config.size = sizeof newer;
    orr_runtime *rt = orr_open(&newer.config);
    assert_non_null(rt);
    orr_close(rt);
}

static void no_such_setting(void **state) {
    seen s = {0};
    (void)state;
    static const struct {
        int clock, durability;
        int64_t now, grace;
        const char *word;
    } wrong[] = {{77, 0, 0, 0, "clock"},      {-1, 0, 0, 0, "clock"}, {0, 3, 0, 0, "durability"},
                 {0, -1, 0, 0, "durability"}, {0, 0, -1, 0, "now"},   {0, 0, 0, -1, "grace"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        orr_config config = config_of(&s);
        config.clock = wrong[i].clock;
        config.durability = wrong[i].durability;
        config.now = wrong[i].now;
        config.grace = wrong[i].grace;
        s = (seen){0};
        assert_null(orr_open(&config));
        assert_int_equal(s.status, ORR_EINVAL);
        assert_non_null(strstr(s.message, wrong[i].word));
    }
}

static void of_another_runtime(void **state) {
    host *h = *state;
    seen s = {0};
    orr_config config = config_of(&s);
    orr_runtime *other = orr_open(&config);
    assert_non_null(other);
    assert_true(orr_run_id_is_none(orr_start(other, h->w, NULL, NULL)));
    assert_int_equal(s.status, ORR_EINVAL);
    assert_non_null(strstr(s.message, "another runtime"));
    orr_close(other);
}

/* The states in which a run has ended are in no order. */
static void says_which_states_are_ends(void **state) {
    static const char *const ends[] = {"completed", "failed", "cancelled", "compensated",
                                       "compensation_failed"};
    (void)state;
    for (int i = -1; i <= ORR_RUN_STATE_COUNT + 1; i++) {
        bool is_end = false;
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++)
            is_end = is_end || strcmp(orr_run_state_name((orr_run_state)i), ends[k]) == 0;
        assert_int_equal(orr_run_ended((orr_run_state)i), is_end);
    }
}

/* An id is given once, whether its run is under way, has ended, or was begun by a script. */
static void an_id_is_given_once(void **state) {
    host *h = *state;
    orr_start_options options;
    orr_start_options_init(&options);
    options.id = h->run;
    for (int i = 0; i < 2; i++) {
        h->s = (seen){0};
        assert_true(orr_run_id_is_none(orr_start(h->rt, h->w, NULL, &options)));
        assert_int_equal(h->s.status, ORR_ESTATE);
        assert_string_equal(h->s.code, "duplicate_id");
        assert_int_equal(orr_signal(h->rt, h->run, "go", "1"), i == 0 ? ORR_OK : ORR_ESTATE);
        assert_int_equal(orr_wait(h->rt, h->run), ORR_OK);
    }
    assert_string_equal(orr_output(h->rt, h->run), "1");
    assert_int_equal(orr_forget(h->rt, h->run), ORR_OK);
    orr_run_id again = orr_start(h->rt, h->w, NULL, &options);
    assert_memory_equal(&again, &options.id, sizeof again);
}

static bool is_listed(orr_run_id id, const orr_run_id *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&id, &ids[i], sizeof id) == 0) return true;
    return false;
}

/* What there is: runs, also those of scripts, and the names of nodes. */
static void lists_what_there_is(void **state) {
    host *h = *state;
    orr_run_id ids[4], other = orr_start(h->rt, h->w, NULL, NULL);
    assert_int_equal(orr_list_runs(h->rt, NULL, 0), 2);
    assert_int_equal(orr_list_runs(h->rt, ids, 1), 2);
    assert_int_equal(orr_list_runs(h->rt, ids, 4), 2);
    assert_true(is_listed(h->run, ids, 2) && is_listed(other, ids, 2));
    orr_workflow *starter = orr_load_string(h->rt,
                                            "local flow = require 'orrery'\n"
                                            "local c = flow.workflow { name = 'c' }\n"
                                            "c.x = { run = function(ctx) ctx:wait 'never' end }\n"
                                            "local w = flow.workflow { name = 'w' }\n"
                                            "w.first = { run = function() flow.start(c) end }\n"
                                            "w['second-one'] = { after = 'first', run = function() end }\n"
                                            "return w\n",
                                            "w.lua");
    assert_non_null(starter);
    assert_string_equal(orr_workflow_node(starter, 0), "first");
    assert_string_equal(orr_workflow_node(starter, 1), "second-one");
    assert_null(orr_workflow_node(starter, 2));
    orr_run_id third = orr_start(h->rt, starter, NULL, NULL);
    assert_int_equal(orr_wait(h->rt, third), ORR_OK);
    assert_int_equal(orr_list_runs(h->rt, ids, 4), 4); /* with that of the script */
    assert_int_equal(orr_forget(h->rt, third), ORR_OK);
    assert_int_equal(orr_list_runs(h->rt, ids, 4), 3);
    assert_false(is_listed(third, ids, 3));
}

static const char native[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'n' }\n"
                             "w.a = flow.my.work {}\n"
                             "return w\n";

static void answer_once(void *ud, orr_runtime *rt, const orr_call *call) {
    ++*(int *)ud;
    orr_complete(rt, call->token, NULL);
}

/* A type that was taken back: what has it keeps it, its name is free. */
static void takes_a_type_back(void **state) {
    host *h = *state;
    int first = 0, second = 0;
    orr_type type = {.size = sizeof type, .name = "my.work", .ud = &first, .start = answer_once};
    assert_int_equal(orr_unregister(h->rt, "my.work"), ORR_ENOTFOUND);
    assert_int_equal(orr_unregister(h->rt, "exec"), ORR_ENOTFOUND); /* not this runtime's */
    assert_int_equal(orr_register(h->rt, &type), ORR_OK);
    orr_workflow *w = orr_load_string(h->rt, native, "n.lua");
    assert_int_equal(orr_unregister(h->rt, "my.work"), ORR_OK);
    assert_int_equal(orr_unregister(h->rt, "my.work"), ORR_ENOTFOUND);
    assert_null(orr_load_string(h->rt, native, "n.lua"));
    type.ud = &second;
    assert_int_equal(orr_register(h->rt, &type), ORR_OK);
    orr_workflow *other = orr_load_string(h->rt, native, "n.lua");
    assert_int_equal(orr_wait(h->rt, orr_start(h->rt, w, NULL, NULL)), ORR_OK);
    assert_int_equal(orr_wait(h->rt, orr_start(h->rt, other, NULL, NULL)), ORR_OK);
    assert_int_equal(first, 1);
    assert_int_equal(second, 1);
}

/* The system refuses a file descriptor: at each of the first ones, then anywhere. */
static void no_descriptors(void **state) {
    struct rlimit before, less;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int refused = 0;
    for (rlim_t n = 0; n < 40; n++) {
        seen s = {0};
        orr_config config = config_of(&s);
        less = (struct rlimit){n, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &less);
        orr_runtime *rt = orr_open(&config);
        setrlimit(RLIMIT_NOFILE, &before);
        if (rt == NULL) {
            refused++;
            assert_int_equal(s.status, ORR_ESYSTEM);
            assert_non_null(strstr(s.message, "too many open files"));
        }
        orr_close(rt);
    }
    assert_true(refused > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(no_runtime),
        TEST(no_argument),
        TEST(builders_are_given_up),
        TEST(no_json),
        TEST(no_such_thing),
        TEST(no_size),
        TEST(no_such_setting),
        TEST(of_another_runtime),
        TEST(an_id_is_given_once),
        TEST(lists_what_there_is),
        TEST(takes_a_type_back),
        cmocka_unit_test(says_which_states_are_ends),
        cmocka_unit_test(no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
