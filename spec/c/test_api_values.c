/* test_api_values.c - values without text: reading what a native node is given and what runs have
 * given, making results; what an attempt is told of itself; the host's pointer of a run. */
#include <orrery.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chance.h"

#define SECOND INT64_C(1000000000)

typedef struct host {
    orr_runtime *rt;
    int status; /* of the last call that failed */
    char message[256];
    void (*work)(struct host *h, const orr_call *call);
    int calls;
    orr_token token;
    orr_value kept, kept_input;
    char key[64], other_key[64];
    int64_t deadline;
    void *data;
} host;

static void on_error(void *ud, const orr_error_info *error) {
    host *h = ud;
    h->status = error->status;
    snprintf(h->message, sizeof h->message, "%s", error->message);
}

static void start_work(void *ud, orr_runtime *rt, const orr_call *call) {
    host *h = ud;
    (void)rt;
    h->calls++;
    h->token = call->token;
    h->work(h, call);
}

static void set_up_types(host *h) {
    orr_type type = {.size = sizeof type, .name = "my.work", .ud = h, .start = start_work, .values = true};
    assert_int_equal(orr_register(h->rt, &type), ORR_OK);
    type.name = "my.text";
    type.values = false;
    assert_int_equal(orr_register(h->rt, &type), ORR_OK);
}

static int set_up(void **state) {
    host *h = calloc(1, sizeof *h);
    orr_config config;
    orr_config_init(&config);
    config.clock = ORR_CLOCK_VIRTUAL;
    config.ud = h;
    config.on_error = on_error;
    if (h == NULL || (h->rt = orr_open(&config)) == NULL) return -1;
    set_up_types(h);
    *state = h;
    return 0;
}

static int tear_down(void **state) {
    host *h = *state;
    int status = orr_close(h->rt);
    free(h);
    return status;
}

static orr_workflow *load(const host *h, const char *nodes) {
    char text[2048];
    snprintf(text, sizeof text,
             "local flow = require 'orrery'\n"
             "local w = flow.workflow { name = 'w', output = '${nodes.last}' }\n%s\nreturn w\n",
             nodes);
    orr_workflow *w = orr_load_string(h->rt, text, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(h->rt));
    return w;
}

static orr_run_id run_to_end(const host *h, orr_workflow *w, const orr_start_options *options) {
    orr_run_id run = orr_start(h->rt, w, NULL, options);
    if (orr_run_id_is_none(run) || orr_wait(h->rt, run) != ORR_OK) fail_msg("%s", orr_last_error(h->rt));
    if (orr_state(h->rt, run) != ORR_RUN_COMPLETED) fail_msg("%s", orr_run_error_json(h->rt, run));
    return run;
}

static orr_value at(const host *h, orr_value v, const char *name) {
    return orr_value_field(h->rt, v, name);
}

static void assert_text(const host *h, orr_value v, const char *expected) {
    size_t len = 99;
    const char *text = orr_value_text(h->rt, v, &len);
    assert_non_null(text);
    assert_string_equal(text, expected);
    assert_int_equal(len, strlen(expected));
}

/* ---- reading --------------------------------------------------------------------------------- */

static void reads_everything(host *h, const orr_call *call) {
    orr_runtime *rt = h->rt;
    orr_value c = call->config_value;
    assert_null(call->config);
    assert_null(call->inputs);
    assert_int_equal(orr_value_is(rt, c), ORR_VALUE_OBJECT);
    assert_int_equal(orr_value_is(rt, at(h, c, "truth")), ORR_VALUE_BOOLEAN);
    assert_int_equal(orr_value_is(rt, at(h, c, "count")), ORR_VALUE_INTEGER);
    assert_int_equal(orr_value_is(rt, at(h, c, "whole")), ORR_VALUE_FLOAT);
    assert_int_equal(orr_value_is(rt, at(h, c, "name")), ORR_VALUE_TEXT);
    assert_int_equal(orr_value_is(rt, at(h, c, "list")), ORR_VALUE_ARRAY);
    assert_int_equal(orr_value_is(rt, at(h, c, "nothing")), ORR_VALUE_NONE);
    assert_true(orr_value_boolean(rt, at(h, c, "truth"), false));
    assert_true(orr_value_integer(rt, at(h, c, "count"), 0) == INT64_C(9007199254740993));
    assert_true(orr_value_integer(rt, at(h, c, "whole"), 0) == 2);
    assert_true(orr_value_integer(rt, at(h, c, "half"), 7) == 7); /* it has a fraction */
    assert_true(orr_value_number(rt, at(h, c, "half"), 0) == 0.5);
    assert_true(orr_value_number(rt, at(h, c, "count"), 0) > 9e15);
    assert_true(orr_value_integer(rt, at(h, c, "digits"), 7) == 7); /* a text is no number */
    assert_true(orr_value_number(rt, at(h, c, "digits"), 7) == 7);
    assert_true(orr_value_boolean(rt, at(h, c, "count"), true));
    assert_text(h, at(h, c, "name"), "Ada");
    assert_null(orr_value_text(rt, at(h, c, "count"), NULL));
    orr_value list = at(h, c, "list"), input = at(h, call->inputs_value, "first");
    assert_int_equal(orr_value_count(rt, list), 3);
    assert_true(orr_value_integer(rt, orr_value_item(rt, list, 2), 0) == 30);
    assert_int_equal(orr_value_is(rt, orr_value_item(rt, list, 3)), ORR_VALUE_NONE);
    assert_int_equal(orr_value_is(rt, orr_value_item(rt, list, SIZE_MAX)), ORR_VALUE_NONE);
    assert_int_equal(orr_value_is(rt, at(h, list, "x")), ORR_VALUE_NONE);
    assert_int_equal(orr_value_count(rt, input), 2);
    assert_text(h, at(h, at(h, input, "deep"), "er"), "than that");
    assert_int_equal(orr_value_is(rt, at(h, at(h, at(h, input, "no"), "such"), "path")), ORR_VALUE_NONE);
    assert_int_equal(orr_value_is(rt, at(h, input, "empty")), ORR_VALUE_ARRAY);
    assert_int_equal(h->status, ORR_OK); /* what is not there is no error */
    h->kept = c;
    h->kept_input = input;
    orr_complete(rt, call->token, "true");
    assert_int_equal(orr_value_is(rt, c), ORR_VALUE_OBJECT);
}

static void a_native_node_reads_what_it_is_given(void **state) {
    host *h = *state;
    h->work = reads_everything;
    run_to_end(
        h,
        load(h, "w.first = { run = function()\n"
                "  return { deep = { er = 'than that' }, empty = flow.json.array {} }\n"
                "end }\n"
                "w.last = flow.my.work { truth = true, count = 9007199254740993, whole = 2.0, half = 0.5,\n"
                "  digits = '12', name = 'Ada', list = { 10, 20, 30 }, after = 'first' }"),
        NULL);
    assert_int_equal(h->calls, 1);
    /* beyond the callback there is nothing */
    assert_int_equal(orr_value_is(h->rt, h->kept), ORR_VALUE_NONE);
    assert_int_equal(orr_value_is(h->rt, h->kept_input), ORR_VALUE_NONE);
    assert_int_equal(orr_value_is(h->rt, at(h, h->kept, "name")), ORR_VALUE_NONE);
    assert_null(orr_value_text(h->rt, h->kept, NULL));
}

static void reads_both(host *h, const orr_call *call) {
    assert_non_null(strstr(call->config, "\"to\""));
    assert_non_null(strstr(call->inputs, "{}"));
    assert_text(h, at(h, call->config_value, "to"), "there");
    orr_complete_value(h->rt, call->token, call->config_value);
}

static void beside_json(void **state) {
    host *h = *state;
    h->work = reads_both;
    orr_run_id run = run_to_end(h, load(h, "w.last = flow.my.text { to = 'there' }"), NULL);
    assert_string_equal(orr_output(h->rt, run), "{\"to\":\"there\"}");
}

/* ---- making ---------------------------------------------------------------------------------- */

static void makes_a_result(host *h, const orr_call *call) {
    orr_runtime *rt = h->rt;
    orr_value o = orr_value_object(rt), list = orr_value_array(rt);
    assert_int_equal(orr_value_set_integer(rt, list, NULL, INT64_MIN), ORR_OK);
    assert_int_equal(orr_value_set_number(rt, list, NULL, 0.25), ORR_OK);
    assert_int_equal(orr_value_set_null(rt, list, NULL), ORR_OK);
    assert_int_equal(orr_value_set_boolean(rt, list, NULL, true), ORR_OK);
    assert_int_equal(orr_value_set_text(rt, o, "text", "a\0b", 3), ORR_OK);
    assert_int_equal(orr_value_set(rt, o, "list", list), ORR_OK);
    assert_int_equal(orr_value_set(rt, o, "config", call->config_value), ORR_OK);
    assert_int_equal(orr_value_set(rt, o, "empty", orr_value_array(rt)), ORR_OK);
    assert_int_equal(orr_value_set(rt, o, "object", orr_value_object(rt)), ORR_OK);
    assert_int_equal(orr_value_set_integer(rt, list, NULL, 5), ORR_OK); /* it stands in `o`, still ours */
    assert_int_equal(orr_value_count(rt, o), 5);
    assert_int_equal(orr_complete_value(rt, call->token, o), ORR_OK);
    assert_int_equal(orr_value_set_integer(rt, o, "late", 1), ORR_ESTATE);
    assert_int_equal(orr_value_set_integer(rt, list, NULL, 1), ORR_ESTATE);
    assert_int_equal(orr_complete_value(rt, call->token, o), ORR_ESTATE);
}

static void a_result_is_made_without_text(void **state) {
    host *h = *state;
    h->work = makes_a_result;
    orr_run_id run = run_to_end(h, load(h, "w.last = flow.my.work { x = 1 }"), NULL);
    assert_string_equal(orr_output(h->rt, run),
                        "{\"config\":{\"x\":1},\"empty\":[],\"list\":[-9223372036854775808,0.25,null,true,5],"
                        "\"object\":{},\"text\":\"a\\u0000b\"}");
    orr_value v = orr_output_value(h->rt, run);
    assert_int_equal(orr_value_count(h->rt, at(h, v, "list")), 5);
    size_t len;
    assert_memory_equal(orr_value_text(h->rt, at(h, v, "text"), &len), "a\0b", 4);
    assert_int_equal(len, 3);
}

static void what_is_refused(void **state) {
    host *h = *state;
    orr_runtime *rt = h->rt;
    const orr_value none = {0};
    orr_value o = orr_value_object(rt), list = orr_value_array(rt);
    assert_int_equal(orr_value_set_integer(rt, o, NULL, 1), ORR_EINVAL);
    assert_int_equal(orr_value_set_integer(rt, list, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_value_set(rt, o, "x", none), ORR_EINVAL);
    assert_int_equal(orr_value_set(rt, none, "x", o), ORR_EINVAL);
    assert_int_equal(orr_value_set_text(rt, o, "x", NULL, 0), ORR_EINVAL);
    double zero = 0;
    assert_int_equal(orr_value_set_number(rt, o, "x", 1 / zero), ORR_EINVAL);
    assert_int_equal(orr_value_count(rt, o), 0);
    orr_value read = orr_value_from_json(rt, "{\"a\": [1]}");
    assert_int_equal(orr_value_set_integer(rt, read, "b", 1), ORR_ESTATE);
    assert_int_equal(orr_value_is(rt, orr_value_from_json(rt, "{")), ORR_VALUE_NONE);
    assert_int_equal(h->status, ORR_EINVAL);
    assert_int_equal(orr_value_is(rt, orr_value_from_json(rt, NULL)), ORR_VALUE_NONE);
    assert_null(orr_value_json(rt, none));
    assert_int_equal(orr_value_is(rt, orr_value_field(rt, read, NULL)), ORR_VALUE_NONE);
    assert_false(orr_value_next(rt, read, NULL, NULL));
    assert_int_equal(orr_value_set_text(rt, o, "bytes", "\xff", 1), ORR_OK);
    assert_null(orr_value_json(rt, o)); /* a value may hold them, JSON may not */
    assert_int_equal(orr_complete_value(rt, (orr_token){0, 1}, none), ORR_EINVAL);
    orr_run_id run = orr_start(rt, load(h, "w.last = { run = function(ctx) return ctx:wait 'x' end }"), NULL,
                               NULL);
    assert_int_equal(orr_signal_value(rt, run, "x", none), ORR_EINVAL);
    assert_int_equal(orr_signal_value(rt, run, NULL, o), ORR_EINVAL);
}

static void holds_itself(host *h, const orr_call *call) {
    orr_value o = orr_value_object(h->rt);
    assert_int_equal(orr_value_set(h->rt, o, "self", o), ORR_OK);
    assert_int_equal(orr_complete_value(h->rt, call->token, o), ORR_OK);
}

static void a_value_that_holds_itself_fails_its_node(void **state) {
    host *h = *state;
    h->work = holds_itself;
    orr_run_id run = orr_start(h->rt, load(h, "w.last = flow.my.work {}"), NULL, NULL);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_int_equal(orr_state(h->rt, run), ORR_RUN_FAILED);
    assert_non_null(strstr(orr_run_error_json(h->rt, run), "cyclic"));
}

/* ---- going through --------------------------------------------------------------------------- */

static void goes_through_objects_and_arrays(void **state) {
    enum { MANY = 3000 };
    host *h = *state;
    orr_runtime *rt = h->rt;
    orr_value o = orr_value_object(rt), list = orr_value_array(rt);
    char text[32];
    int64_t sum = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "field %d", i);
        assert_int_equal(orr_value_set_integer(rt, o, text, i), ORR_OK);
        assert_int_equal(orr_value_set_integer(rt, list, NULL, i), ORR_OK);
    }
    orr_value name = {0}, value = {0};
    while (orr_value_next(rt, o, &name, &value)) {
        snprintf(text, sizeof text, "field %d", (int)orr_value_integer(rt, value, -1));
        assert_text(h, name, text);
        sum += orr_value_integer(rt, value, 0);
    }
    assert_true(sum == (int64_t)MANY * (MANY - 1) / 2);
    assert_true(name.slot < 8 && value.slot < 8); /* the same two all the time */
    for (size_t i = 0; i < orr_value_count(rt, list); i++) {
        orr_value item = orr_value_item(rt, list, i);
        assert_true(item.slot < 8);
        sum -= orr_value_integer(rt, item, 0);
        orr_value_drop(rt, item);
        assert_int_equal(orr_value_is(rt, item), ORR_VALUE_NONE);
    }
    assert_true(sum == 0);
    orr_value_drop(rt, o); /* and all after it */
    assert_int_equal(orr_value_is(rt, list), ORR_VALUE_NONE);
    orr_value later = orr_value_from_json(rt, "1"); /* in the slot of `o` */
    assert_int_equal(orr_value_is(rt, o), ORR_VALUE_NONE);
    orr_value_drop(rt, o);
    assert_int_equal(orr_value_is(rt, later), ORR_VALUE_INTEGER);
    orr_step(rt, 0);
    assert_int_equal(orr_value_is(rt, later), ORR_VALUE_NONE);
}

/* Any JSON comes back as it was, copied part by part. */
static orr_value copy_of(const host *h, orr_value v);

static void copy_fields(const host *h, orr_value to, orr_value from) {
    orr_value name = {0}, value = {0};
    while (orr_value_next(h->rt, from, &name, &value))
        assert_int_equal(orr_value_set(h->rt, to, orr_value_text(h->rt, name, NULL), copy_of(h, value)),
                         ORR_OK);
}

static orr_value copy_of(const host *h, orr_value v) {
    orr_value to = v;
    if (orr_value_is(h->rt, v) == ORR_VALUE_ARRAY) {
        to = orr_value_array(h->rt);
        for (size_t i = 0; i < orr_value_count(h->rt, v); i++)
            assert_int_equal(orr_value_set(h->rt, to, NULL, copy_of(h, orr_value_item(h->rt, v, i))), ORR_OK);
    } else if (orr_value_is(h->rt, v) == ORR_VALUE_OBJECT) {
        to = orr_value_object(h->rt);
        copy_fields(h, to, v);
    }
    return to;
}

static size_t write_any(chance *c, char *to, size_t size, int depth) {
    static const char *const scalars[] = {"null", "true", "false", "0",  "-7",
                                          "1.5",  "\"\"", "\"x\"", "[]", "{}"};
    uint32_t kind = chance_below(c, depth > 3 ? 1 : 3), n = chance_below(c, 5);
    if (kind == 0 || n == 0 || size < 256)
        return (size_t)snprintf(to, size, "%s", scalars[chance_below(c, sizeof scalars / sizeof *scalars)]);
    size_t len = (size_t)snprintf(to, size, "%c", kind == 1 ? '[' : '{');
    for (uint32_t i = 0; i < n && size - len > 200; i++) {
        if (i > 0) to[len++] = ',';
        if (kind == 2) len += (size_t)snprintf(to + len, size - len, "\"k%u\":", i);
        len += write_any(c, to + len, size - len - 100, depth + 1);
    }
    len += (size_t)snprintf(to + len, size - len, "%c", kind == 1 ? ']' : '}');
    return len;
}

static void any_json_survives(void **state) {
    host *h = *state;
    char text[4096];
    chance c = chance_begin("values");
    for (int i = 0; i < 500; i++) {
        write_any(&c, text, sizeof text, 0);
        orr_value v = orr_value_from_json(h->rt, text), same = copy_of(h, v);
        assert_string_equal(orr_value_json(h->rt, v), text);
        assert_string_equal(orr_value_json(h->rt, same), text);
        orr_value_drop(h->rt, v);
    }
}

/* ---- inputs, signals, outputs ---------------------------------------------------------------- */

static void starts_and_signals_with_values(void **state) {
    host *h = *state;
    orr_workflow *w = load(h, "w.last = { run = function(ctx)\n"
                              "  return { ctx.input.n, ctx:wait 'go' }\n"
                              "end }");
    orr_start_options options;
    orr_start_options_init(&options);
    options.input = orr_value_object(h->rt);
    assert_int_equal(orr_value_set_integer(h->rt, options.input, "n", 41), ORR_OK);
    orr_run_id run = orr_start(h->rt, w, "{\"n\": 1}", &options);
    assert_false(orr_run_id_is_none(run));
    assert_int_equal(orr_value_set_integer(h->rt, options.input, "n", 1), ORR_ESTATE);
    orr_value data = orr_value_from_json(h->rt, "{\"from\": [1, 2]}");
    assert_int_equal(orr_signal_value(h->rt, run, "go", at(h, data, "from")), ORR_OK);
    assert_int_equal(orr_wait(h->rt, run), ORR_OK);
    assert_string_equal(orr_output(h->rt, run), "[41,[1,2]]");
    orr_value node = orr_node_output_value(h->rt, run, "last");
    assert_true(orr_value_integer(h->rt, orr_value_item(h->rt, node, 0), 0) == 41);
    assert_int_equal(orr_value_is(h->rt, orr_node_output_value(h->rt, run, "nobody")), ORR_VALUE_NONE);
    assert_int_equal(orr_value_is(h->rt, orr_output_value(h->rt, (orr_run_id){{1}})), ORR_VALUE_NONE);
    assert_int_equal(h->status, ORR_ENOTFOUND);
    assert_true(orr_run_id_is_none(orr_start(h->rt, w, NULL, &options))); /* its input is gone */
    assert_int_equal(h->status, ORR_EINVAL);
}

/* ---- what an attempt is told ----------------------------------------------------------------- */

static void is_told(host *h, const orr_call *call) {
    assert_string_equal(call->node, "last");
    assert_true(call->item >= 1 && call->item <= 2);
    assert_int_equal(call->iteration, 1);
    assert_ptr_equal(call->run_data, h);
    assert_true(call->deadline == orr_time(h->rt) + 5 * SECOND);
    assert_int_equal(strlen(call->idempotency_key), 36);
    if (call->item == 1 && call->attempt == 1) snprintf(h->key, sizeof h->key, "%s", call->idempotency_key);
    if (call->item == 1) assert_string_equal(call->idempotency_key, h->key);
    else assert_string_not_equal(call->idempotency_key, h->key);
    assert_ptr_equal(orr_run_data(h->rt, call->run), h);
    if (call->attempt == 1) orr_fail(h->rt, call->token, "again", "once more", true);
    else orr_complete(h->rt, call->token, NULL);
}

static void an_attempt_knows_what_it_is(void **state) {
    host *h = *state;
    h->work = is_told;
    orr_start_options options;
    orr_start_options_init(&options);
    options.data = h;
    orr_run_id run = run_to_end(h,
                                load(h, "w.last = flow.my.work { each = { 'a', 'b' }, timeout = '5s',\n"
                                        "  each_parallel = 1, retry = 1 }"),
                                &options);
    assert_int_equal(h->calls, 4);
    assert_ptr_equal(orr_run_data(h->rt, run), h);
    assert_int_equal(orr_set_run_data(h->rt, run, NULL), ORR_OK);
    assert_null(orr_run_data(h->rt, run));
    assert_int_equal(orr_set_run_data(h->rt, (orr_run_id){{1}}, h), ORR_ENOTFOUND);
}

static void is_told_of_none(host *h, const orr_call *call) {
    h->deadline = call->deadline;
    h->data = call->run_data;
    assert_int_equal(call->item, 0);
    orr_complete(h->rt, call->token, NULL);
}

static void without_a_timeout_there_is_no_deadline(void **state) {
    host *h = *state;
    h->work = is_told_of_none;
    h->data = h;
    run_to_end(h, load(h, "w.last = flow.my.work {}"), NULL);
    assert_true(h->deadline == INT64_MAX);
    assert_null(h->data);
}

/* ---- a runtime that is none ------------------------------------------------------------------ */

static void no_runtime(void **state) {
    const orr_value v = {0, 1};
    const orr_token token = {0, 1};
    const orr_run_id run = {{1}};
    orr_value name = {0}, value = {0};
    (void)state;
    assert_int_equal(orr_value_is(NULL, v), ORR_VALUE_NONE);
    assert_true(orr_value_boolean(NULL, v, true));
    assert_true(orr_value_integer(NULL, v, 3) == 3);
    assert_true(orr_value_number(NULL, v, 3) == 3);
    assert_null(orr_value_text(NULL, v, NULL));
    assert_int_equal(orr_value_count(NULL, v), 0);
    assert_int_equal(orr_value_field(NULL, v, "x").number, 0);
    assert_int_equal(orr_value_item(NULL, v, 0).number, 0);
    assert_false(orr_value_next(NULL, v, &name, &value));
    orr_value_drop(NULL, v);
    assert_int_equal(orr_value_array(NULL).number, 0);
    assert_int_equal(orr_value_object(NULL).number, 0);
    assert_int_equal(orr_value_set(NULL, v, "x", v), ORR_EINVAL);
    assert_int_equal(orr_value_set_null(NULL, v, "x"), ORR_EINVAL);
    assert_int_equal(orr_value_set_boolean(NULL, v, "x", true), ORR_EINVAL);
    assert_int_equal(orr_value_set_integer(NULL, v, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_value_set_number(NULL, v, "x", 1), ORR_EINVAL);
    assert_int_equal(orr_value_set_text(NULL, v, "x", "x", 1), ORR_EINVAL);
    assert_int_equal(orr_value_from_json(NULL, "1").number, 0);
    assert_null(orr_value_json(NULL, v));
    assert_int_equal(orr_complete_value(NULL, token, v), ORR_EINVAL);
    assert_int_equal(orr_signal_value(NULL, run, "x", v), ORR_EINVAL);
    assert_int_equal(orr_output_value(NULL, run).number, 0);
    assert_int_equal(orr_node_output_value(NULL, run, "a").number, 0);
    assert_null(orr_run_data(NULL, run));
    assert_int_equal(orr_set_run_data(NULL, run, NULL), ORR_EINVAL);
    assert_true(orr_time(NULL) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_native_node_reads_what_it_is_given),
        TEST(beside_json),
        TEST(a_result_is_made_without_text),
        TEST(what_is_refused),
        TEST(a_value_that_holds_itself_fails_its_node),
        TEST(goes_through_objects_and_arrays),
        TEST(any_json_survives),
        TEST(starts_and_signals_with_values),
        TEST(an_attempt_knows_what_it_is),
        TEST(without_a_timeout_there_is_no_deadline),
        cmocka_unit_test(no_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
