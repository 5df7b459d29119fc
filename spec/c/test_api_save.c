/* test_api_save.c - saved games: the live runs of a runtime as bytes and back. They go on to the
 * same end; nothing that was done is done again; bytes that are cut off, changed or of something
 * else are refused; all is loaded or nothing. */
#include <orrery.h>

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chance.h"

#define SECOND INT64_C(1000000000)
enum { RUNS = 40 };

typedef struct host {
    orr_runtime *rt;
    int status;
    char code[64], message[512];
    int steps, starts;    /* that were done in this runtime */
    orr_token tokens[64]; /* of attempts that are under way */
    uint32_t attempts[64];
    int n_tokens;
} host;

/* ---- bytes ----------------------------------------------------------------------------------- */

typedef struct bytes {
    unsigned char *at;
    size_t size, room, read;
    size_t fails_at; /* SIZE_MAX: never */
} bytes;

static int write_bytes(void *ud, const void *from, size_t size) {
    bytes *b = ud;
    if (b->size + size > b->fails_at) return 1;
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2;
        b->at = realloc(b->at, b->room);
        assert_non_null(b->at);
    }
    memcpy(b->at + b->size, from, size);
    b->size += size;
    return 0;
}

/* In pieces of no particular size. */
static int64_t read_bytes(void *ud, void *to, size_t room) {
    bytes *b = ud;
    size_t n = b->size - b->read;
    if (b->read >= b->fails_at) return -1;
    if (n > room) n = room;
    if (n > 777) n = 777;
    memcpy(to, b->at + b->read, n);
    b->read += n;
    return (int64_t)n;
}

static int load_bytes(const host *h, const bytes *b, size_t size) {
    bytes copy = *b;
    copy.size = size;
    copy.read = 0;
    copy.fails_at = SIZE_MAX;
    return orr_load(h->rt, read_bytes, &copy);
}

static bytes save(const host *h) {
    bytes b = {.fails_at = SIZE_MAX};
    if (orr_save(h->rt, write_bytes, &b) != ORR_OK) fail_msg("%s", orr_last_error(h->rt));
    return b;
}

/* ---- a game ---------------------------------------------------------------------------------- */

static void on_error(void *ud, const orr_error_info *error) {
    host *h = ud;
    h->status = error->status;
    snprintf(h->code, sizeof h->code, "%s", error->code);
    snprintf(h->message, sizeof h->message, "%s", error->message);
}

static void start_native(void *ud, orr_runtime *rt, const orr_call *call) {
    host *h = ud;
    (void)rt;
    h->starts++;
    h->attempts[h->n_tokens % 64] = call->attempt;
    h->tokens[h->n_tokens++ % 64] = call->token;
}

static int count_step(lua_State *L) {
    ((host *)lua_touserdata(L, lua_upvalueindex(1)))->steps++;
    return 0;
}

static const char town[] =
    "local flow = require 'orrery'\n"
    "local child = flow.workflow { name = 'errand', output = '${nodes.goes}' }\n"
    "child.goes = { run = function(ctx)\n"
    "  local n = ctx:step('goes', function() counted() return 3 end) ctx:sleep(4) return n\n"
    "end }\n"
    "local w = flow.workflow { name = 'character', input = { n = 'integer' }, output = '${nodes.ends}' }\n"
    "w.patrol = { run = function(ctx)\n"
    "  local seen = {}\n"
    "  for i = 1, 12 do\n"
    "    seen[i] = ctx:step('look', function() counted() return ctx.input.n * i end) + ctx:random(100)\n"
    "    ctx:sleep(1 + (ctx.input.n + i) % 3)\n"
    "  end\n"
    "  return seen\n"
    "end }\n"
    "w.trades = { run = function(ctx) return { ctx:wait 'offer', ctx:wait('second', { timeout = 30 }) or "
    "'none' } end,\n"
    "  on_error = 'ignore' }\n"
    "w.sends = { after = 'patrol', run = function(ctx) return ctx:call(child) end }\n"
    "w.early = { run = function(ctx) return ctx:call(child) + 1 end }\n"
    "w.list = { each = { 1, 2, 3, 4 }, each_parallel = 2, run = function(ctx) ctx:sleep(3) return ctx.item * "
    "2 end }\n"
    "w.tries = { retry = { max = 3, delay = 5, jitter = 'none' }, run = function(ctx)\n"
    "  if ctx.attempt < 3 then error 'again' end return ctx.attempt\n"
    "end }\n"
    "w.ends = { after = { 'sends', 'early', 'list', 'tries', 'trades' }, join = 'done',\n"
    "  run = function(_, inputs) return { inputs.sends, inputs.early, inputs.list, inputs.tries, "
    "inputs.trades } end }\n"
    "return w\n";

static void open_with(host *h, const char *store, bool saveable) {
    orr_config config;
    memset(h, 0, sizeof *h);
    orr_config_init(&config);
    config.clock = ORR_CLOCK_HOST;
    config.ud = h;
    config.on_error = on_error;
    config.saveable = saveable;
    config.store = store;
    h->rt = orr_open(&config);
    if (h->rt == NULL) fail_msg("%s", h->message);
    lua_pushlightuserdata(orr_lua(h->rt), h);
    lua_pushcclosure(orr_lua(h->rt), count_step, 1);
    lua_setglobal(orr_lua(h->rt), "counted");
    orr_type type = {.size = sizeof type, .name = "my.work", .ud = h, .start = start_native, .values = true};
    assert_int_equal(orr_register(h->rt, &type), ORR_OK);
}

static orr_workflow *load(const host *h, const char *source) {
    orr_workflow *w = orr_load_string(h->rt, source, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(h->rt));
    return w;
}

static void settle(const host *h) {
    int more = 1;
    while (more == 1) more = orr_step(h->rt, SECOND);
    assert_int_equal(more, 0);
}

static void pass(const host *h, int64_t seconds) {
    for (int64_t i = 0; i < seconds * 4; i++) {
        assert_int_equal(orr_advance(h->rt, SECOND / 4), ORR_OK);
        settle(h);
    }
}

static void begin_town(const host *h, orr_run_id ids[RUNS]) {
    orr_workflow *w = load(h, town);
    char input[32];
    for (int i = 0; i < RUNS; i++) {
        orr_start_options o;
        orr_start_options_init(&o);
        o.seed = (uint64_t)i + 1;
        snprintf(input, sizeof input, "{\"n\":%d}", i);
        ids[i] = orr_start(h->rt, w, input, &o);
        assert_false(orr_run_id_is_none(ids[i]));
    }
}

static void offer_some(const host *h, const orr_run_id ids[RUNS], int from) {
    for (int i = from; i < RUNS; i += 2) assert_int_equal(orr_signal(h->rt, ids[i], "offer", "[1]"), ORR_OK);
}

/* What is known of all runs, as one number. */
static uint64_t hash_of(const host *h, const orr_run_id ids[RUNS]) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < RUNS; i++) {
        char text[8192];
        const char *output = orr_output(h->rt, ids[i]);
        int len = snprintf(text, sizeof text, "%d %s", (int)orr_state(h->rt, ids[i]), output ? output : "-");
        orr_node_info node = {.size = sizeof node};
        for (uint32_t n = 0; orr_get_node(h->rt, ids[i], n, 0, &node) == ORR_OK && n < 7; n++) {
            output = orr_node_output(h->rt, ids[i], node.name);
            len += snprintf(text + len, sizeof text - (size_t)len, "%d %s", (int)node.state,
                            output ? output : "-");
            if (n == 6) break;
        }
        for (int k = 0; k < len; k++) hash = (hash ^ (unsigned char)text[k]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void end_town(const host *h, const orr_run_id ids[RUNS]) {
    offer_some(h, ids, 1);
    pass(h, 120);
    for (int i = 0; i < RUNS; i++)
        if (orr_state(h->rt, ids[i]) != ORR_RUN_COMPLETED) fail_msg("%s", orr_run_error_json(h->rt, ids[i]));
}

/* Whenever it is saved, it goes on to the same end as if it had not been, and as the one that was
 * saved; each step is done once. */
static void a_saved_game_goes_on_to_the_same_end(void **state) {
    static const int64_t moments[] = {0, 1, 5, 6, 11, 14, 23, 28};
    (void)state;
    for (size_t m = 0; m < sizeof moments / sizeof *moments; m++) {
        host a, b;
        orr_run_id ids[RUNS];
        open_with(&a, NULL, true);
        begin_town(&a, ids);
        settle(&a);
        offer_some(&a, ids, 0);
        pass(&a, moments[m]);
        bytes saved = save(&a);
        int before = a.steps;
        int64_t time = orr_time(a.rt);
        settle(&a);
        uint64_t then = hash_of(&a, ids);
        open_with(&b, NULL, true);
        load(&b, town);
        assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_OK);
        assert_true(orr_time(b.rt) == time);
        settle(&b);
        if (hash_of(&b, ids) != then) {
            fail_msg("moment %zu", m);
        }
        end_town(&a, ids);
        end_town(&b, ids);
        assert_true(hash_of(&b, ids) == hash_of(&a, ids));
        assert_int_equal(before + b.steps, a.steps);
        orr_close(a.rt);
        orr_close(b.rt);
        free(saved.at);
    }
}

/* In the middle of a step whose budget is spent, again and again, each time in a new program. */
static void a_game_is_saved_between_any_two_steps(void **state) {
    host h;
    orr_run_id ids[RUNS];
    int all = 0;
    uint64_t hash;
    (void)state;
    open_with(&h, NULL, true);
    begin_town(&h, ids);
    offer_some(&h, ids, 0);
    end_town(&h, ids);
    int expected = h.steps;
    hash = hash_of(&h, ids);
    orr_close(h.rt);

    chance c = chance_begin("saving between steps");
    open_with(&h, NULL, true);
    begin_town(&h, ids);
    offer_some(&h, ids, 0);
    for (int i = 0; i < 30; i++) {
        for (uint32_t n = chance_below(&c, 200); n > 0; n--)
            if (orr_step(h.rt, 1) == 0) orr_advance(h.rt, SECOND / 4);
        bytes saved = save(&h);
        all += h.steps;
        orr_close(h.rt);
        open_with(&h, NULL, true);
        load(&h, town);
        if (load_bytes(&h, &saved, saved.size) != ORR_OK) fail_msg("%s", h.message);
        free(saved.at);
    }
    end_town(&h, ids);
    assert_int_equal(all + h.steps, expected);
    assert_true(hash_of(&h, ids) == hash);
    orr_close(h.rt);
}

static const char native[] = "local flow = require 'orrery'\n"
                             "local w = flow.workflow { name = 'walks', output = '${nodes.a}' }\n"
                             "w.a = flow.my.work {}\n"
                             "return w\n";

/* What was under way begins again under its number, however often the game is loaded. */
static void what_was_under_way_begins_again(void **state) {
    host h;
    (void)state;
    open_with(&h, NULL, true);
    orr_run_id run = orr_start(h.rt, load(&h, native), NULL, NULL);
    settle(&h);
    for (int i = 0; i < 6; i++) {
        if (h.starts != 1) fail_msg("%d: %s %s", i, orr_why_json(h.rt, run, "a"), h.message);
        assert_int_equal(h.attempts[0], 1);
        bytes saved = save(&h);
        orr_close(h.rt);
        open_with(&h, NULL, true);
        load(&h, native);
        assert_int_equal(load_bytes(&h, &saved, saved.size), ORR_OK);
        free(saved.at);
        settle(&h);
    }
    assert_int_equal(orr_complete(h.rt, h.tokens[0], "7"), ORR_OK);
    settle(&h);
    assert_string_equal(orr_output(h.rt, run), "7");
    orr_close(h.rt);
}

/* A paused run is paused, a signal that came early is kept, and the rest goes on. */
static void pauses_and_signals_are_kept(void **state) {
    host h;
    orr_run_id ids[RUNS];
    (void)state;
    open_with(&h, NULL, true);
    begin_town(&h, ids);
    settle(&h);
    assert_int_equal(orr_signal(h.rt, ids[0], "second", "\"early\""), ORR_OK);
    assert_int_equal(orr_pause(h.rt, ids[1]), ORR_OK);
    pass(&h, 2);
    bytes saved = save(&h);
    orr_close(h.rt);
    open_with(&h, NULL, true);
    load(&h, town);
    assert_int_equal(load_bytes(&h, &saved, saved.size), ORR_OK);
    free(saved.at);
    offer_some(&h, ids, 0);
    pass(&h, 120);
    assert_string_equal(orr_node_output(h.rt, ids[0], "trades"), "[[1],\"early\"]");
    assert_int_equal(orr_state(h.rt, ids[1]), ORR_RUN_PAUSED);
    assert_int_equal(orr_resume(h.rt, ids[1]), ORR_OK);
    end_town(&h, ids);
    orr_close(h.rt);
}

/* ---- bytes that are refused ------------------------------------------------------------------ */

static void assert_nothing(host *h, int status, const char *code) {
    assert_int_equal(h->status, status);
    assert_string_equal(h->code, code);
    assert_true(strlen(h->message) > 20);
    assert_int_equal(orr_list_runs(h->rt, NULL, 0), 0);
    h->status = 0;
}

static void damaged_bytes_are_refused(void **state) {
    host a, b;
    orr_run_id ids[RUNS];
    (void)state;
    open_with(&a, NULL, true);
    begin_town(&a, ids);
    pass(&a, 3);
    bytes saved = save(&a);
    open_with(&b, NULL, true);
    load(&b, town);
    chance c = chance_begin("damage to a save");
    for (int i = 0; i < 3000; i++) {
        size_t at = i < 64    ? (size_t)i
                    : i < 128 ? saved.size - 1 - (size_t)(i - 64)
                              : chance_below(&c, (uint32_t)saved.size);
        unsigned char change = (unsigned char)(1u << chance_below(&c, 8));
        saved.at[at] ^= change;
        assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_EINVAL);
        assert_nothing(&b, ORR_EINVAL, "invalid_save");
        saved.at[at] ^= change;
        size_t cut = i < 64 ? (size_t)i : chance_below(&c, (uint32_t)saved.size);
        assert_int_equal(load_bytes(&b, &saved, cut), ORR_EINVAL);
        assert_nothing(&b, ORR_EINVAL, "invalid_save");
    }
    write_bytes(&saved, "x", 1);
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_EINVAL);
    static const char foreign[] = "SQLite format 3";
    bytes other = {.at = (unsigned char *)(uintptr_t)foreign, .size = sizeof foreign};
    assert_int_equal(load_bytes(&b, &other, other.size), ORR_EINVAL);
    assert_non_null(strstr(b.message, "no save"));
    assert_int_equal(load_bytes(&b, &saved, saved.size - 1), ORR_OK); /* as it was */
    orr_close(a.rt);
    orr_close(b.rt);
    free(saved.at);
}

/* CRC-32C, bit by bit. */
static uint32_t checksum(const unsigned char *text, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= text[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static void mend(bytes *b) {
    uint32_t crc = checksum(b->at, b->size - 12);
    for (int i = 0; i < 4; i++) b->at[b->size - 4 + (size_t)i] = (unsigned char)(crc >> (8 * i));
}

static void damage(chance *c, bytes *b) {
    for (uint32_t n = 1 + chance_below(c, 4); n > 0; n--) {
        size_t at = 8 + chance_below(c, (uint32_t)(b->size - 20));
        if (chance_of(c, 50)) b->at[at] ^= (unsigned char)(1u << chance_below(c, 8));
        else b->at[at] = (unsigned char)chance_below(c, 256);
    }
    mend(b);
}

/* Bytes of somebody who knows the checksum: they are refused in a sentence, or their runs do
 * something. FUZZ_ROUNDS= tries more of them. */
static void forged_bytes_do_no_harm(void **state) {
    host a, b;
    const char *rounds = getenv("FUZZ_ROUNDS");
    int refused = 0, loaded = 0, n = rounds != NULL ? atoi(rounds) : 400;
    (void)state;
    open_with(&a, NULL, true);
    orr_workflow *w = load(&a, town);
    for (int i = 0; i < 2; i++) {
        orr_run_id id = orr_start(a.rt, w, "{\"n\":1}", NULL);
        assert_int_equal(orr_signal(a.rt, id, "offer", "[1]"), ORR_OK);
    }
    pass(&a, 5);
    bytes saved = save(&a), forged = {.at = malloc(saved.size), .size = saved.size};
    assert_non_null(forged.at);
    memcpy(forged.at, saved.at, saved.size);
    mend(&forged);
    assert_memory_equal(forged.at, saved.at, saved.size);
    chance c = chance_begin("forged saves");
    open_with(&b, NULL, true);
    load(&b, town);
    for (int i = 0; i < n; i++) {
        memcpy(forged.at, saved.at, saved.size);
        damage(&c, &forged);
        b.message[0] = '\0';
        if (load_bytes(&b, &forged, forged.size) != ORR_OK) {
            refused++;
            assert_true(strlen(b.message) > 20);
            assert_int_equal(orr_list_runs(b.rt, NULL, 0), 0);
            continue;
        }
        loaded++;
        for (int k = 0; k < 20; k++) {
            assert_true(orr_step(b.rt, SECOND / 100) >= 0);
            orr_advance(b.rt, SECOND);
        }
        bytes again = save(&b);
        free(again.at);
        orr_close(b.rt);
        open_with(&b, NULL, true);
        load(&b, town);
    }
    printf("%d were refused, %d loaded: %s\n", refused, loaded, b.message);
    assert_true(refused > 0 && loaded > 0);
    orr_close(a.rt);
    orr_close(b.rt);
    free(saved.at);
    free(forged.at);
}

static const char other_town[] = "local flow = require 'orrery'\n"
                                 "local w = flow.workflow { name = 'character' }\n"
                                 "w.patrol = { run = function(ctx) end }\n"
                                 "return w\n";

static int64_t too_many(void *ud, void *to, size_t room) {
    (void)ud;
    (void)to;
    return (int64_t)room + 1;
}

static void what_cannot_be_loaded_is_said(void **state) {
    host a, b;
    orr_run_id ids[RUNS];
    (void)state;
    open_with(&a, NULL, true);
    begin_town(&a, ids);
    pass(&a, 1);
    bytes saved = save(&a), failing = {.fails_at = 100};
    assert_int_equal(orr_save(a.rt, write_bytes, &failing), ORR_EIO);
    free(failing.at);
    assert_int_equal(orr_save(a.rt, NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_load(a.rt, NULL, NULL), ORR_EINVAL);
    assert_int_equal(orr_save(NULL, write_bytes, &saved), ORR_EINVAL);
    assert_int_equal(orr_load(NULL, read_bytes, &saved), ORR_EINVAL);
    assert_int_equal(load_bytes(&a, &saved, saved.size), ORR_ESTATE); /* they are there */
    assert_string_equal(a.code, "duplicate_id");
    assert_int_equal(orr_list_runs(a.rt, NULL, 0) >= RUNS, 1);

    open_with(&b, NULL, true);
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_ENOTFOUND);
    assert_non_null(strstr(b.message, "character"));
    assert_nothing(&b, ORR_ENOTFOUND, "not_found");
    load(&b, other_town);
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_EDEFINITION);
    assert_nothing(&b, ORR_EDEFINITION, "definition_changed");
    assert_int_equal(orr_load(b.rt, too_many, NULL), ORR_EIO);
    bytes broken = saved;
    broken.fails_at = 1000;
    assert_int_equal(orr_load(b.rt, read_bytes, &broken), ORR_EIO);
    load(&b, town); /* the one that was loaded last */
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_OK);
    orr_close(b.rt);

    open_with(&b, NULL, false);
    orr_run_id run = orr_start(b.rt, load(&b, native), NULL, NULL);
    settle(&b);
    bytes none = {.fails_at = SIZE_MAX};
    assert_int_equal(orr_save(b.rt, write_bytes, &none), ORR_ESTATE);
    assert_non_null(strstr(b.message, "keeps no journal"));
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_ESTATE);
    assert_int_equal(orr_cancel(b.rt, run), ORR_OK);
    orr_close(b.rt);
    orr_close(a.rt);
    free(none.at);
    free(saved.at);
}

/* One run of the save cannot be loaded, the last of all: none is. */
static void all_is_loaded_or_nothing(void **state) {
    host a, b;
    orr_run_id ids[RUNS];
    orr_start_options o;
    (void)state;
    open_with(&a, NULL, true);
    begin_town(&a, ids);
    pass(&a, 3);
    bytes saved = save(&a);
    open_with(&b, NULL, true);
    orr_start_options_init(&o);
    o.id = ids[RUNS - 1];
    assert_false(orr_run_id_is_none(orr_start(b.rt, load(&b, native), NULL, &o)));
    load(&b, town);
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_ESTATE);
    assert_int_equal(orr_list_runs(b.rt, NULL, 0), 1);
    settle(&b);
    assert_int_equal(b.steps, 0);
    assert_int_equal(orr_complete(b.rt, b.tokens[0], "1"), ORR_OK);
    settle(&b);
    assert_string_equal(orr_output(b.rt, ids[RUNS - 1]), "1");
    orr_close(a.rt);
    orr_close(b.rt);
    free(saved.at);
}

/* ---- from a store ---------------------------------------------------------------------------- */

static void runs_of_a_store_are_saved_too(void **state) {
    host a, b;
    char folder[] = "/tmp/orrery-save-XXXXXX", url[64], line[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/runs.db", folder);
    open_with(&a, url, false);
    orr_run_id run = orr_start(a.rt, load(&a, native), NULL, NULL);
    while (a.n_tokens == 0) assert_true(orr_step(a.rt, SECOND) >= 0);
    bytes saved = save(&a);
    assert_int_equal(load_bytes(&a, &saved, saved.size), ORR_ESTATE);
    open_with(&b, NULL, true);
    load(&b, native);
    assert_int_equal(load_bytes(&b, &saved, saved.size), ORR_OK);
    settle(&b);
    assert_int_equal(orr_complete(b.rt, b.tokens[0], "[2]"), ORR_OK);
    settle(&b);
    assert_string_equal(orr_output(b.rt, run), "[2]");
    orr_close(b.rt);
    orr_close(a.rt);
    free(saved.at);
    snprintf(line, sizeof line, "rm -rf %s", folder);
    assert_int_equal(system(line), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_game_goes_on_to_the_same_end),
        cmocka_unit_test(a_game_is_saved_between_any_two_steps),
        cmocka_unit_test(what_was_under_way_begins_again),
        cmocka_unit_test(pauses_and_signals_are_kept),
        cmocka_unit_test(damaged_bytes_are_refused),
        cmocka_unit_test(forged_bytes_do_no_harm),
        cmocka_unit_test(what_cannot_be_loaded_is_said),
        cmocka_unit_test(all_is_loaded_or_nothing),
        cmocka_unit_test(runs_of_a_store_are_saved_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
