/* test_frame.c - what a game asks of the C API: the budget of a step, the host's clock, when Lua's
 * collector works, the pool, limits of memory, and runs by their ids. Nothing here waits for time
 * to pass. */
#include "core/mix.h"
#include <lauxlib.h>
#include <lua.h>
#include <orrery.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)

static orr_runtime *open_with(void (*set)(orr_config *config)) {
    orr_config config;
    orr_config_init(&config);
    config.clock = ORR_CLOCK_HOST;
    if (set != NULL) set(&config);
    orr_runtime *rt = orr_open(&config);
    assert_non_null(rt);
    return rt;
}

static orr_workflow *load(orr_runtime *rt, const char *nodes) {
    char text[2048];
    snprintf(text, sizeof text,
             "local flow = require 'orrery'\nlocal w = flow.workflow { name = 'w' }\n%s\nreturn w\n", nodes);
    orr_workflow *w = orr_load_string(rt, text, "w.lua");
    if (w == NULL) fail_msg("%s", orr_last_error(rt));
    return w;
}

static orr_run_id start(orr_runtime *rt, orr_workflow *w) {
    orr_run_id id = orr_start(rt, w, NULL, NULL);
    if (orr_run_id_is_none(id)) fail_msg("%s", orr_last_error(rt));
    return id;
}

static void settle(orr_runtime *rt) {
    int more = 1;
    while (more == 1) more = orr_step(rt, MINUTE);
    assert_int_equal(more, 0);
}

/* ---- the budget ------------------------------------------------------------------------------ */

static int slices;

static int slice(lua_State *L) {
    (void)L;
    slices++;
    return 0;
}

/* A budget that is gone at once lets one slice through, whether runs start, sleepers are due or
 * handlers go on one after the other in one coroutine. */
static void a_step_exceeds_its_budget_by_one_slice(void **state) {
    enum { RUNS = 200, ROUNDS = 3 };
    (void)state;
    orr_runtime *rt = open_with(NULL);
    lua_register(orr_lua(rt), "slice", slice);
    orr_workflow *w = load(rt, "w.a = { run = function(ctx)\n"
                               "  for i = 1, 2 do slice() ctx:sleep('1m') end slice()\n"
                               "end }\n"
                               "w.b = { run = function() slice() end }\n"
                               "w.c = { after = 'b', run = function() slice() end }\n");
    for (int i = 0; i < RUNS; i++) start(rt, w);
    int all = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int more = 1, steps = 0;
        while (more == 1) {
            slices = 0;
            more = orr_step(rt, 1);
            assert_true(slices <= 1);
            all += slices;
            assert_true(++steps < RUNS * 100); /* each of them did something */
        }
        assert_int_equal(more, 0);
        assert_int_equal(orr_advance(rt, MINUTE), ORR_OK);
    }
    assert_int_equal(all, RUNS * 5);
    orr_close(rt);
}

/* Handlers that all can go on at once. */
static void a_step_resumes_one_handler_beyond_its_budget(void **state) {
    enum { RUNS = 50 };
    (void)state;
    orr_runtime *rt = open_with(NULL);
    lua_register(orr_lua(rt), "slice", slice);
    assert_int_equal(luaL_dostring(orr_lua(rt), "resumers = {}"), LUA_OK);
    orr_workflow *w = load(rt, "w.a = { run = function()\n"
                               "  flow.await(function(resume) table.insert(resumers, resume) end)\n"
                               "  slice()\n"
                               "end }\n");
    for (int i = 0; i < RUNS; i++) start(rt, w);
    settle(rt);
    assert_int_equal(luaL_dostring(orr_lua(rt), "for _, go_on in ipairs(resumers) do go_on(true) end"),
                     LUA_OK);
    int all = 0;
    for (int more = 1; more == 1; all += slices) {
        slices = 0;
        more = orr_step(rt, 1);
        assert_true(slices <= 1);
    }
    assert_int_equal(all, RUNS);
    orr_close(rt);
}

/* ---- the host's clock ------------------------------------------------------------------------ */

static void time_is_what_the_host_makes_of_it(void **state) {
    (void)state;
    orr_runtime *rt = open_with(NULL);
    orr_run_id id = start(rt, load(rt, "w.a = { run = function(ctx) ctx:sleep('10s') end }"));
    settle(rt);
    assert_int_equal(orr_next_deadline(rt), 10 * SECOND);
    for (int frame = 0; frame < 100; frame++) assert_int_equal(orr_step(rt, SECOND), 0); /* a pause */
    assert_int_equal(orr_wait(rt, id), ORR_ESTUCK);
    assert_int_equal(orr_advance(rt, 10 * SECOND - 1), ORR_OK);
    settle(rt);
    assert_int_equal(orr_next_deadline(rt), 1);
    assert_int_equal(orr_node(rt, id, "a"), ORR_NODE_WAITING);
    assert_int_equal(orr_advance(rt, 1), ORR_OK);
    assert_int_equal(orr_next_deadline(rt), 0);
    settle(rt);
    assert_int_equal(orr_state(rt, id), ORR_RUN_COMPLETED);
    assert_int_equal(orr_advance(rt, -1), ORR_EINVAL);
    assert_int_equal(orr_advance(rt, INT64_MAX), ORR_OK);
    assert_int_equal(orr_step(rt, SECOND), 0);
    orr_close(rt);
}

static char store_url[64];

static void in_a_store(orr_config *config) {
    config->store = store_url;
}

/* A store listens for messages of other processes: that is no reason to wait for a clock that only
 * the host moves. */
static void a_wait_with_a_store_ends_where_only_the_host_could_go_on(void **state) {
    char folder[] = "/tmp/orrery-frame-XXXXXX", line[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(store_url, sizeof store_url, "sqlite:%s/runs.db", folder);
    orr_runtime *rt = open_with(in_a_store);
    orr_run_id id = start(rt, load(rt, "w.a = { run = function(ctx)\n"
                                       "  ctx:step('b', function() return 1 end) ctx:sleep('10s')\n"
                                       "end }\n"
                                       "w.c = { after = 'a', run = function() return 2 end }\n"));
    assert_int_equal(orr_wait(rt, id), ORR_ESTUCK);
    assert_int_equal(orr_advance(rt, 5 * SECOND), ORR_OK);
    assert_int_equal(orr_wait(rt, id), ORR_ESTUCK);
    assert_int_equal(orr_advance(rt, 5 * SECOND), ORR_OK);
    assert_int_equal(orr_wait(rt, id), ORR_OK); /* the rest needs the disk, and no time */
    assert_int_equal(orr_state(rt, id), ORR_RUN_COMPLETED);
    orr_close(rt);
    snprintf(line, sizeof line, "rm -rf %s", folder);
    assert_int_equal(system(line), 0);
}

static orr_token token;

static void keep_token(void *ud, orr_runtime *rt, const orr_call *call) {
    (void)ud;
    (void)rt;
    token = call->token;
}

/* Timeouts, backoffs, rates and timers of luv follow it, also while a native node is under way. */
static void all_that_waits_follows_it(void **state) {
    (void)state;
    orr_runtime *rt = open_with(NULL);
    orr_type type = {.size = sizeof type, .name = "game.walk", .start = keep_token};
    assert_int_equal(orr_register(rt, &type), ORR_OK);
    orr_workflow *w = load(rt,
                           "w.walk = flow.game.walk {}\n"
                           "w.late = { timeout = '10s', run = function() flow.await(function() end) end }\n"
                           "w.again = { retry = { max = 1, delay = '20s', jitter = 'none' },\n"
                           "  run = function(ctx) assert(ctx.attempt > 1) end }\n"
                           "w.timer = { run = function() flow.await(function(resume)\n"
                           "  local timer = require('luv').new_timer()\n"
                           "  timer:start(30000, 0, function() timer:close() resume(true) end)\n"
                           "end) end }\n"
                           "for _, node in ipairs { 'late', 'again' } do w[node].on_error = 'ignore' end\n");
    (void)w;
    orr_run_id id = start(rt, w);
    settle(rt);
    static const struct {
        int64_t dt;
        orr_node_state late, again, timer;
    } times[] = {
        {9 * SECOND, ORR_NODE_RUNNING, ORR_NODE_RETRYING, ORR_NODE_RUNNING},
        {2 * SECOND, ORR_NODE_FAILED, ORR_NODE_RETRYING, ORR_NODE_RUNNING},
        {10 * SECOND, ORR_NODE_FAILED, ORR_NODE_COMPLETED, ORR_NODE_RUNNING},
        {10 * SECOND, ORR_NODE_FAILED, ORR_NODE_COMPLETED, ORR_NODE_COMPLETED},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_int_equal(orr_advance(rt, times[i].dt), ORR_OK);
        settle(rt);
        assert_int_equal(orr_node(rt, id, "late"), times[i].late);
        assert_int_equal(orr_node(rt, id, "again"), times[i].again);
        assert_int_equal(orr_node(rt, id, "timer"), times[i].timer);
        assert_int_equal(orr_node(rt, id, "walk"), ORR_NODE_RUNNING);
    }
    assert_int_equal(orr_complete(rt, token, NULL), ORR_OK);
    settle(rt);
    assert_int_equal(orr_state(rt, id), ORR_RUN_COMPLETED);
    orr_close(rt);
}

static void virtual_clock(orr_config *config) {
    config->clock = ORR_CLOCK_VIRTUAL;
}

static void no_such_clock(orr_config *config) {
    config->clock = 17;
}

static void only_a_clock_of_the_hosts_is_moved(void **state) {
    orr_config config;
    (void)state;
    orr_runtime *rt = open_with(virtual_clock);
    assert_int_equal(orr_advance(rt, 1), ORR_ESTATE);
    orr_close(rt);
    orr_config_init(&config);
    no_such_clock(&config);
    assert_null(orr_open(&config));
}

/* ---- the collector --------------------------------------------------------------------------- */

static bool may_collect;
static int collected, collected_wrongly;

static int note_collected(lua_State *L) {
    (void)L;
    collected++;
    collected_wrongly += !may_collect;
    return 0;
}

static void collects_leftover(orr_config *config) {
    config->gc = ORR_GC_LEFTOVER;
}

static void host_collects(orr_config *config) {
    config->gc = ORR_GC_HOST;
}

/* A workflow whose handlers leave things behind that tell when they are collected. */
static orr_run_id start_littering(orr_runtime *rt) {
    collected = collected_wrongly = 0;
    lua_register(orr_lua(rt), "collected", note_collected);
    return start(rt, load(rt, "local mt = { __gc = function() collected() end }\n"
                              "w.a = { run = function(ctx)\n"
                              "  while ctx:wait('go') do\n"
                              "    for i = 1, 20 do setmetatable({ ('x'):rep(100 + i) }, mt) end\n"
                              "  end\n"
                              "end }\n"));
}

/* In each way of collecting it is done in steps or in orr_gc, never in a signal. */
static void no_signal_pays_for_a_collection(void **state) {
    static void (*const ways[])(orr_config *) = {NULL, collects_leftover, host_collects};
    (void)state;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        orr_runtime *rt = open_with(ways[way]);
        orr_run_id id = start_littering(rt);
        bool by_host = ways[way] == host_collects;
        for (int i = 0; i < 3000; i++) {
            may_collect = false;
            assert_int_equal(orr_signal(rt, id, "go", "{\"some\":[\"data\",1,2,3]}"), ORR_OK);
            may_collect = !by_host;
            assert_true(orr_step(rt, SECOND) >= 0);
            may_collect = true;
            if (by_host) assert_true(orr_gc(rt, SECOND) >= 0);
        }
        assert_int_equal(collected_wrongly, 0);
        assert_true(collected > 1000);
        orr_close(rt);
    }
}

static void the_host_collects_in_pieces(void **state) {
    (void)state;
    orr_runtime *rt = open_with(host_collects);
    orr_run_id id = start_littering(rt);
    may_collect = false;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(orr_signal(rt, id, "go", "1"), ORR_OK);
        settle(rt);
    }
    assert_int_equal(collected, 0);
    may_collect = true;
    int pieces = 0;
    while (orr_gc(rt, 0) == 1) pieces++;
    assert_true(pieces > 10);
    assert_true(collected > 0);
    assert_int_equal(collected_wrongly, 0);
    assert_int_equal(orr_gc(rt, SECOND), 0); /* nothing is worth it */
    orr_close(rt);
}

/* A host that forgets to collect does not run out of memory. */
static orr_runtime *finalised;
static int closed_with;

static int close_it(lua_State *L) {
    (void)L;
    closed_with = orr_close(finalised);
    return 0;
}

/* A finaliser of a script's runs where Lua collects: it may not close what calls it, be that
 * orr_gc, a step, or orr_close itself. */
static void a_finaliser_cannot_close_the_runtime(void **state) {
    static const char garbage[] = "setmetatable({}, { __gc = close_it })\n"
                                  "for i = 1, 100000 do local t = { i } end";
    (void)state;
    for (int how = 0; how < 3; how++) {
        orr_runtime *rt = finalised = open_with(how == 1 ? NULL : host_collects);
        lua_State *L = orr_lua(rt);
        lua_register(L, "close_it", close_it);
        closed_with = 1;
        lua_gc(L, LUA_GCSTOP); /* nothing is collected in this call, which is none of the runtime's */
        assert_int_equal(luaL_dostring(L, garbage), LUA_OK);
        lua_gc(L, LUA_GCRESTART);
        for (int i = 0; how == 0 && closed_with == 1 && i < 100000; i++) orr_gc(rt, 0);
        for (int i = 0; how == 1 && closed_with == 1 && i < 100; i++) {
            start(rt, load(rt, "w.a = { run = function() for i = 1, 10000 do local t = { i } end end }"));
            settle(rt);
        }
        if (how < 2) assert_int_equal(closed_with, ORR_ESTATE);
        assert_int_equal(orr_close(rt), ORR_OK);
        assert_int_equal(closed_with, ORR_ESTATE);
    }
}

static void what_nobody_collects_is_collected_in_steps(void **state) {
    (void)state;
    orr_runtime *rt = open_with(host_collects);
    orr_run_id id = start(rt, load(rt, "w.a = { run = function(ctx)\n"
                                       "  while ctx:wait('go') do local t = ('x'):rep(1000000) .. 'y' end\n"
                                       "end }\n"));
    for (int i = 0; i < 500; i++) { /* 1 GB */
        assert_int_equal(orr_signal(rt, id, "go", "1"), ORR_OK);
        settle(rt);
        assert_true(lua_gc(orr_lua(rt), LUA_GCCOUNT) < 300 << 10);
    }
    orr_close(rt);
}

/* ---- the pool -------------------------------------------------------------------------------- */

static uint64_t chance_state;

static uint64_t chance(uint64_t below) {
    return orr_mix(chance_state += UINT64_C(0x9e3779b97f4a7c15)) % below;
}

typedef struct held {
    unsigned char *at;
    size_t size;
    unsigned char mark;
} held;

static size_t some_size(void) {
    static const size_t up_to[] = {64, 1024, 8300, 100000};
    return 1 + (size_t)chance(up_to[chance(4)]);
}

static void check_block(const held *h) {
    for (size_t i = 0; h->at != NULL && i < h->size; i++)
        if (h->at[i] != h->mark) fail_msg("a block of %zu bytes was overwritten", h->size);
}

/* Each block keeps what was written into it, and at the end the memory goes back. */
static void a_pool_keeps_blocks_apart(void **state) {
    enum { BLOCKS = 3000, ROUNDS = 60000 };
    static held blocks[BLOCKS];
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        orr_pool *pool = orr_pool_open();
        assert_non_null(pool);
        chance_state = seed;
        memset(blocks, 0, sizeof blocks);
        for (int round = 0; round < ROUNDS; round++) {
            held *h = &blocks[chance(BLOCKS)];
            size_t size = chance(3) == 0 ? 0 : some_size(), kept = size < h->size ? size : h->size;
            check_block(h);
            unsigned char *at = orr_pool_alloc(pool, h->at, h->at != NULL ? h->size : 5, size);
            assert_true((at != NULL) == (size > 0));
            assert_int_equal((uintptr_t)at % 16, 0);
            check_block(&(held){at, kept, h->mark});
            *h = (held){at, size, (unsigned char)round};
            if (at != NULL) memset(at, h->mark, size);
        }
        size_t most = orr_pool_bytes(pool);
        for (int i = 0; i < BLOCKS; i++) {
            check_block(&blocks[i]);
            orr_pool_alloc(pool, blocks[i].at, blocks[i].size, 0);
        }
        if (orr_pool_bytes(pool) * 2 > most)
            fail_msg("seed %d: of %zu bytes %zu are kept", (int)seed, most, orr_pool_bytes(pool));
        orr_pool_close(pool);
    }
}

static void a_runtime_lives_in_a_pool(void **state) {
    orr_config config;
    (void)state;
    orr_pool *pool = orr_pool_open();
    orr_config_init(&config);
    config.clock = ORR_CLOCK_VIRTUAL;
    config.alloc = orr_pool_alloc;
    config.alloc_ud = pool;
    for (int i = 0; i < 3; i++) {
        orr_runtime *rt = orr_open(&config);
        assert_non_null(rt);
        orr_workflow *w = load(rt, "w.a = { each = { 1, 2, 3 }, run = function(ctx) ctx:sleep('1d') end }");
        for (int n = 0; n < 100; n++) assert_int_equal(orr_wait(rt, start(rt, w)), ORR_OK);
        assert_true(orr_pool_bytes(pool) > 0);
        orr_close(rt);
    }
    orr_pool_close(pool);
    orr_pool_close(NULL);
}

/* ---- limits of memory ------------------------------------------------------------------------ */

#define HOG                                                                                                  \
    "w.a = { run = function()\n"                                                                             \
    "  local all = {}\n"                                                                                     \
    "  for i = 1, 1e7 do all[i] = { i } end\n"                                                               \
    "end }\n"

static void eight_megabytes(orr_config *config) {
    config->memory_limit = (size_t)8 << 20;
}

static void a_megabyte_a_run(orr_config *config) {
    config->run_memory_limit = (size_t)1 << 20;
}

/* Whoever takes too much fails, and the others go on. */
static void what_takes_too_much_memory_fails(void **state) {
    static void (*const limits[])(orr_config *) = {eight_megabytes, a_megabyte_a_run};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        orr_runtime *rt = open_with(limits[i]);
        orr_workflow *hog = load(rt, HOG);
        orr_run_id sleeper = start(rt, load(rt, "w.a = { run = function(ctx) ctx:sleep('1h') end }"));
        for (int n = 0; n < 3; n++) {
            orr_run_id id = start(rt, hog);
            assert_int_equal(orr_wait(rt, id), ORR_OK);
            assert_int_equal(orr_state(rt, id), ORR_RUN_FAILED);
            assert_non_null(strstr(orr_run_error_json(rt, id), "memory"));
        }
        assert_true(lua_gc(orr_lua(rt), LUA_GCCOUNT) < 9 << 10);
        assert_int_equal(orr_advance(rt, 60 * MINUTE), ORR_OK);
        settle(rt);
        assert_int_equal(orr_state(rt, sleeper), ORR_RUN_COMPLETED);
        orr_close(rt);
    }
}

/* Who lets nothing through for long does not collect for each block: a handler that allocates a
 * hundred times its limit, and keeps little, does not fail. */
static void garbage_is_no_reason_to_fail(void **state) {
    static void (*const limits[])(orr_config *) = {eight_megabytes, a_megabyte_a_run};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        orr_runtime *rt = open_with(limits[i]);
        orr_run_id id = start(rt, load(rt, "w.a = { run = function()\n"
                                           "  for i = 1, 200000 do local t = { i, ('x'):rep(500) .. i } end\n"
                                           "end }\n"));
        assert_int_equal(orr_wait(rt, id), ORR_OK);
        assert_int_equal(orr_state(rt, id), ORR_RUN_COMPLETED);
        orr_close(rt);
    }
}

/* ---- runs by their ids ----------------------------------------------------------------------- */

static orr_run_id numbered(uint32_t i) {
    orr_run_id id = {{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80}};
    for (int at = 15; at > 11; at--, i >>= 8) id.bytes[at] = (uint8_t)i;
    return id;
}

static void ids_in_sequence_spread(void **state) {
    enum { IDS = 1 << 14 };
    static uint16_t full[IDS];
    uint16_t most = 0;
    (void)state;
    memset(full, 0, sizeof full);
    for (uint32_t i = 0; i < IDS; i++) {
        uint16_t *bucket = &full[orr_id_hash(numbered(i).bytes) & (IDS - 1)];
        if (++*bucket > most) most = *bucket;
    }
    assert_true(most <= 10); /* of a hash that is as good as chance, in one case of 10^6 more */
}

static void runs_are_found_by_their_ids(void **state) {
    enum { RUNS = 500 };
    (void)state;
    orr_runtime *rt = open_with(NULL);
    orr_workflow *w = load(rt, "w.a = { run = function(ctx) ctx:wait('go') end }");
    for (uint32_t i = 0; i < RUNS; i++) {
        orr_start_options options;
        orr_start_options_init(&options);
        options.id = numbered(i);
        assert_false(orr_run_id_is_none(orr_start(rt, w, NULL, &options)));
    }
    settle(rt);
    for (uint32_t i = 0; i < RUNS; i += 2) assert_int_equal(orr_signal(rt, numbered(i), "go", NULL), ORR_OK);
    settle(rt);
    for (uint32_t i = 0; i < RUNS; i += 4) assert_int_equal(orr_forget(rt, numbered(i)), ORR_OK);
    lua_gc(orr_lua(rt), LUA_GCCOLLECT);
    settle(rt);
    for (uint32_t i = 0; i < RUNS * 2; i++) {
        orr_run_state expected = i >= RUNS || i % 4 == 0 ? ORR_RUN_STATE_COUNT
                                 : i % 2 == 0            ? ORR_RUN_COMPLETED
                                                         : ORR_RUN_WAITING;
        assert_int_equal(orr_state(rt, numbered(i)), expected);
    }
    orr_close(rt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_exceeds_its_budget_by_one_slice),
        cmocka_unit_test(a_step_resumes_one_handler_beyond_its_budget),
        cmocka_unit_test(time_is_what_the_host_makes_of_it),
        cmocka_unit_test(a_wait_with_a_store_ends_where_only_the_host_could_go_on),
        cmocka_unit_test(all_that_waits_follows_it),
        cmocka_unit_test(only_a_clock_of_the_hosts_is_moved),
        cmocka_unit_test(no_signal_pays_for_a_collection),
        cmocka_unit_test(the_host_collects_in_pieces),
        cmocka_unit_test(a_finaliser_cannot_close_the_runtime),
        cmocka_unit_test(what_nobody_collects_is_collected_in_steps),
        cmocka_unit_test(a_pool_keeps_blocks_apart),
        cmocka_unit_test(a_runtime_lives_in_a_pool),
        cmocka_unit_test(what_takes_too_much_memory_fails),
        cmocka_unit_test(garbage_is_no_reason_to_fail),
        cmocka_unit_test(ids_in_sequence_spread),
        cmocka_unit_test(runs_are_found_by_their_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
