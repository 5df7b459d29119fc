/* test_project.c - the tables that people query say what the journal says: record by record, in
 * slices of any size, and rebuilt; the views over them, and what the projector knows of JSON.
 */
#include "tables.h"

#include "chance.h"
#include "wild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the table ------------------------------------------------------------------------------- */

#define NODE(n, tries) .task = {n, ORR_NONE, 0, tries}
#define ITEM(n, i, tries) .task = {n, i, 0, tries}
#define RUN .task = {ORR_NONE, ORR_NONE, 0, 0}
#define SEC(n) ((int64_t)(n)*SECOND)

static const orr_error broken = {"broken", "it \"broke\"\n", false, -1, 0};

typedef struct line {
    /* seq and time are filled in: record n is at n s; `port` counts from 1 here, 0 is none */
    orr_record record;
    const char *payload;
    bool is_blob;
} line;

enum { LINES = 16, CHECKS = 6 };

typedef struct row {
    const char *name;
    line lines[LINES];
    struct {
        const char *sql, *wanted;
    } checks[CHECKS];
} row;

#define CREATED                                                                                              \
    { .record = {.kind = ORR_REC_RUN_CREATED, RUN}, .payload = "{\"input\":{\"n\":1},\"context\":null}" }
#define STARTED(n, tries)                                                                                    \
    {                                                                                                        \
        .record = {.kind = ORR_REC_ATTEMPT_STARTED, NODE(n, tries) }                                         \
    }
#define COMPLETED(n, tries, output)                                                                          \
    { .record = {.kind = ORR_REC_COMPLETED, NODE(n, tries)}, .payload = output }
#define FAILED(n, tries)                                                                                     \
    {                                                                                                        \
        .record = {.kind = ORR_REC_FAILED, NODE(n, tries), .error = &broken }                                \
    }
#define ENDED(how)                                                                                           \
    {                                                                                                        \
        .record = {.kind = ORR_REC_RUN_ENDED, RUN, .reason = ORR_RUN_##how }                                 \
    }
#define RECORD(what, ...)                                                                                    \
    {                                                                                                        \
        .record = {.kind = ORR_REC_##what, __VA_ARGS__ }                                                     \
    }
#define STATES                                                                                               \
    "SELECT group_concat(node || item || ' ' || state, ', ') FROM (SELECT * FROM nodes ORDER BY idx, item)"
#define ATTEMPTS                                                                                             \
    "SELECT node, item, iteration, attempt, phase, state, started, ended, interrupted FROM attempts"
#define BROKEN "{\"code\":\"broken\",\"message\":\"it \\\"broke\\\"\\u000a\"}"

/* a <- b <- c; d stands alone and its failure is ignored. */
static const char definition[] =
    "{\"name\":\"w\", \"ports\":[\"left\",\"right\"], \"nodes\":[{\"name\":\"a\",\"type\":\"lua\"},\n"
    "{\"after\":[\"a\"],\"name\":\"b\"},{\"after\":[{\"node\":\"b\",\"port\":\"left\"}],\"name\":\"c\"},"
    "{\"name\":\"d\",\"on_error\":\"ignore\"}]}";

static const row rows[] = {
    {"a run that has only been created",
     {CREATED},
     {{"SELECT state, input, context, started, seq, nodes, ended FROM runs",
       "running|{\"n\":1}|null|1.0|1|4|-"},
      {STATES, "a0 pending, b0 pending, c0 pending, d0 pending"}}},
    {"an attempt that runs",
     {CREATED, STARTED(0, 1)},
     {{"SELECT node, idx, state, attempts, iteration, started, ended FROM nodes WHERE idx = 0",
       "a|0|running|1|1|2.0|-"},
      {ATTEMPTS, "a|0|1|1|run|running|2.0|-|0"},
      {"SELECT state, running, waiting FROM runs", "running|1|0"}}},
    {"an output and an outcome",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_COMPLETED, NODE(0, 1), .port = 2}, .payload = "[1.0,\"x\"]"}},
     {{"SELECT state, output, outcome, source, error, ended FROM nodes WHERE idx = 0",
       "completed|[1.0,\"x\"]|right|run|-|3.0"},
      {ATTEMPTS, "a|0|1|1|run|completed|2.0|3.0|0"},
      {"SELECT completed, failed, skipped, cancelled, running FROM runs", "1|0|0|0|0"}}},
    {"from a cache, and a blob as it stands",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_COMPLETED, NODE(0, 1), .reason = ORR_SOURCE_CACHE},
       .payload = "{\"$blob\":\"beef\",\"size\":9}",
       .is_blob = true}},
     {{"SELECT source, output FROM nodes WHERE idx = 0", "cache|{\"$blob\":\"beef\",\"size\":9}"}}},
    {"a backoff",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_ATTEMPT_FAILED, NODE(0, 1), .due = SEC(9), .error = &broken},
       .payload = "{\"details\":{\"a\":[1]}}"}},
     {{"SELECT state, due, error FROM nodes WHERE idx = 0",
       "retrying|9.0|{\"code\":\"broken\",\"message\":\"it \\\"broke\\\"\\u000a\",\"details\":{\"a\":[1]}}"},
      {"SELECT node, item, kind, due FROM timers", "a|0|retry|9.0"},
      {"SELECT state, running, waiting FROM runs", "waiting|0|1"},
      {ATTEMPTS, "a|0|1|1|run|failed|2.0|3.0|0"}}},
    {"a second attempt, and a third that a breaker refused",
     {CREATED, STARTED(0, 1), RECORD(ATTEMPT_FAILED, NODE(0, 1), .due = SEC(9), .error = &broken),
      RECORD(WOKEN, NODE(0, 1), .reason = ORR_NODE_READY), STARTED(0, 2),
      RECORD(ATTEMPT_FAILED, NODE(0, 2), .due = SEC(12), .error = &broken),
      RECORD(WOKEN, NODE(0, 2), .reason = ORR_NODE_READY),
      RECORD(ATTEMPT_FAILED, NODE(0, 2), .due = SEC(15), .error = &broken)},
     {{ATTEMPTS, "a|0|1|1|run|failed|2.0|3.0|0; a|0|1|2|run|failed|5.0|6.0|0"},
      {"SELECT attempts, due, started FROM nodes WHERE idx = 0", "2|15.0|2.0"}}},
    {"a fallback",
     {CREATED, STARTED(0, 1),
      RECORD(ATTEMPT_FAILED, NODE(0, 1), .due = SEC(3), .phase = ORR_PHASE_FALLBACK, .error = &broken),
      RECORD(WOKEN, NODE(0, 1), .reason = ORR_NODE_READY),
      RECORD(ATTEMPT_STARTED, NODE(0, 2), .phase = ORR_PHASE_FALLBACK), COMPLETED(0, 2, "7")},
     {{"SELECT attempt, phase, state, error IS NULL FROM attempts", "1|run|failed|0; 2|fallback|completed|1"},
      {"SELECT output, error FROM nodes WHERE idx = 0", "7|-"}}},
    {"a failure stops the rest",
     {CREATED,
      STARTED(0, 1),
      STARTED(3, 1),
      FAILED(0, 1),
      RECORD(STOPPING, RUN, .reason = ORR_STOP_FAILURE, .error = &broken),
      RECORD(CANCELLED, NODE(1, 0), .reason = ORR_STOP_FAILURE),
      RECORD(SKIPPED, NODE(2, 0), .reason = ORR_SKIP_UPSTREAM, .count = 1),
      RECORD(CANCELLED, NODE(3, 1), .reason = ORR_STOP_FAILURE),
      {.record = {.kind = ORR_REC_RUN_ENDED, RUN, .reason = ORR_RUN_FAILED, .error = &broken},
       .payload = "{}"}},
     {{STATES, "a0 failed, b0 cancelled, c0 skipped, d0 cancelled"},
      {"SELECT error FROM nodes WHERE idx = 0", BROKEN},
      {"SELECT why FROM nodes WHERE idx = 2", "{\"kind\":\"settled\",\"skip\":\"upstream\",\"by\":\"b\"}"},
      {"SELECT state, error, output, ended, completed, failed, skipped, cancelled FROM runs",
       "failed|" BROKEN "|-|9.0|0|1|1|2"},
      {"SELECT node, state, ended FROM attempts ORDER BY node", "a|failed|4.0; d|cancelled|8.0"}}},
    {"skipped by `when`",
     {CREATED, RECORD(SKIPPED, NODE(0, 0), .reason = ORR_SKIP_WHEN, .count = ORR_NONE)},
     {{"SELECT state, why, started, ended FROM nodes WHERE idx = 0",
       "skipped|{\"kind\":\"settled\",\"skip\":\"when\"}|-|2.0"}}},
    {"an interrupted attempt is the same attempt",
     {CREATED, STARTED(0, 1), RECORD(INTERRUPTED, NODE(0, 1), .due = -1, .reason = 1)},
     {{ATTEMPTS, "a|0|1|1|run|interrupted|2.0|3.0|1"},
      {"SELECT state, attempts FROM nodes WHERE idx = 0", "ready|1"},
      {"SELECT state, running FROM runs", "running|0"}}},
    {"and goes on",
     {CREATED, STARTED(0, 1), RECORD(INTERRUPTED, NODE(0, 1), .reason = 1), STARTED(0, 1),
      RECORD(SUSPENDED, RUN), RECORD(INTERRUPTED, NODE(0, 1)), STARTED(0, 1), COMPLETED(0, 1, "1")},
     {{ATTEMPTS, "a|0|1|1|run|completed|2.0|8.0|1"},
      {"SELECT state, started FROM nodes WHERE idx = 0", "completed|2.0"}}},
    {"a crash loop keeps the attempt as it was",
     {CREATED, STARTED(0, 1), RECORD(INTERRUPTED, NODE(0, 1), .reason = 1), FAILED(0, 1)},
     {{ATTEMPTS, "a|0|1|1|run|interrupted|2.0|3.0|1"}, {"SELECT state FROM nodes WHERE idx = 0", "failed"}}},
    {"items",
     {CREATED,
      {.record = {.kind = ORR_REC_EXPANDED, NODE(0, 0), .count = 2}, .payload = "[5,6]"},
      RECORD(ATTEMPT_STARTED, ITEM(0, 0, 1)),
      RECORD(ATTEMPT_STARTED, ITEM(0, 1, 1)),
      RECORD(WAITING, ITEM(0, 1, 1), .due = -1),
      {.record = {.kind = ORR_REC_COMPLETED, ITEM(0, 0, 1)}, .payload = "55"}},
     {{STATES, "a0 running, a1 completed, a2 waiting, b0 pending, c0 pending, d0 pending"},
      {"SELECT output FROM nodes WHERE item = 1", "55"},
      /* the node as a whole is no task */
      {"SELECT state, running, waiting, completed FROM runs", "waiting|0|1|0"},
      {"SELECT count(*) FROM timers", "0"}}},
    {"a loop",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_ITERATED, NODE(0, 1), .due = SEC(8)}, .payload = "1"},
      RECORD(WOKEN, .task = {0, ORR_NONE, 1, 0}, .reason = ORR_NODE_READY),
      RECORD(ATTEMPT_STARTED, .task = {0, ORR_NONE, 1, 1}),
      {.record = {.kind = ORR_REC_COMPLETED, .task = {0, ORR_NONE, 1, 1}}, .payload = "2"}},
     {{ATTEMPTS, "a|0|1|1|run|completed|2.0|3.0|0; a|0|2|1|run|completed|5.0|6.0|0"},
      {"SELECT state, iteration, attempts, output, started FROM nodes WHERE idx = 0",
       "completed|2|1|2|2.0"}}},
    {"a loop that pauses",
     {CREATED, STARTED(0, 1), RECORD(ITERATED, NODE(0, 1), .due = SEC(8))},
     {{"SELECT node, kind, due FROM timers", "a|loop|8.0"},
      {"SELECT state, iteration FROM nodes WHERE idx = 0", "waiting|2"}}},
    {"a sleep",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_STEP, NODE(0, 1), .due = SEC(50)},
       .payload = "{\"p\":\"\",\"o\":1,\"n\":\"nap\",\"k\":\"sleep\",\"d\":50}"},
      RECORD(WAITING, NODE(0, 1), .due = SEC(50))},
     {{"SELECT node, item, kind, due FROM timers", "a|0|sleep|50.0"},
      {"SELECT path, ordinal, name, kind, attempt, value, error, time FROM steps", "|1|nap|sleep|1|-|-|3.0"},
      {"SELECT state FROM runs", "waiting"}}},
    {"a sleep that is over",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_STEP, NODE(0, 1), .due = SEC(5)},
       .payload = "{\"p\":\"\",\"o\":1,\"n\":\"nap\",\"k\":\"sleep\",\"d\":5}"},
      RECORD(WAITING, NODE(0, 1), .due = SEC(5)),
      RECORD(WOKEN, NODE(0, 1), .reason = ORR_NODE_READY),
      RECORD(WOKEN, NODE(0, 1), .reason = ORR_NODE_RUNNING),
      COMPLETED(0, 1, "0")},
     {{"SELECT count(*) FROM timers", "0"}, {"SELECT state, due FROM nodes WHERE idx = 0", "completed|-"}}},
    {"steps, and one that is tried again",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_STEP, NODE(0, 1)},
       .payload =
           "{\"p\":\"1.2\",\"o\":1,\"n\":\"\\u00e9\\n\\ud83d\\ude00\",\"k\":\"step\",\"v\":{\"x\": [1.0]}}"},
      {.record = {.kind = ORR_REC_STEP, NODE(0, 1)},
       .payload = "{\"p\":\"\",\"o\":2,\"n\":\"s\",\"k\":\"step\",\"e\":{\"code\":\"c\"}}"},
      {.record = {.kind = ORR_REC_STEP, NODE(0, 2)},
       .payload = "{\"p\":\"\",\"o\":2,\"n\":\"s\",\"k\":\"step\",\"v\":null}"}},
     {{"SELECT path, ordinal, name, attempt, value, error, time FROM steps ORDER BY ordinal",
       "1.2|1|é\n😀|1|{\"x\": [1.0]}|-|3.0; |2|s|2|null|-|5.0"}}},
    {"signals are taken first in, first out",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_SIGNAL, RUN}, .payload = "{\"n\":\"go\",\"v\":1,\"m\":4,\"t\":2.5}"},
      {.record = {.kind = ORR_REC_SIGNAL, RUN}, .payload = "{\"n\":\"go\",\"v\":2,\"m\":5,\"t\":2.75}"},
      {.record = {.kind = ORR_REC_SIGNAL, RUN}, .payload = "{\"n\":\"no\",\"v\":3}"},
      {.record = {.kind = ORR_REC_STEP, NODE(0, 1)},
       .payload = "{\"p\":\"\",\"o\":1,\"n\":\"go\",\"k\":\"wait\",\"v\":1,\"s\":\"go\"}"}},
     {{"SELECT seq, name, data, sent, received, taken FROM signals ORDER BY seq",
       "3|go|1|2.5|3.0|6.0; 4|go|2|2.75|4.0|-; 5|no|3|5.0|5.0|-"}}},
    {"a long step",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_STEP, NODE(0, 1)},
       .payload = "{\"$blob\":\"cafe\",\"size\":60}",
       .is_blob = true}},
     {{"SELECT name, kind, value FROM steps", "big|step|{\"$blob\":\"cafe\",\"size\":60,\"member\":\"v\"}"}}},
    {"paused",
     {CREATED, STARTED(0, 1), RECORD(PAUSED, RUN), COMPLETED(0, 1, "1")},
     {{"SELECT state FROM runs", "paused"}}},
    {"resumed",
     {CREATED, STARTED(0, 1), RECORD(PAUSED, RUN), RECORD(RESUMED, RUN)},
     {{"SELECT state FROM runs", "running"}}},
    {"an output",
     {CREATED,
      {.record = {.kind = ORR_REC_RUN_ENDED, RUN, .reason = ORR_RUN_COMPLETED},
       .payload = "{\"output\":{\"a\":1.0}}"}},
     {{"SELECT state, output, error, ended FROM runs", "completed|{\"a\":1.0}|-|2.0"}}},
    {"an output that could not be computed",
     {CREATED,
      {.record = {.kind = ORR_REC_RUN_ENDED, RUN, .reason = ORR_RUN_COMPLETED},
       .payload = "{\"error\":{\"code\":\"config_error\"}}"}},
     {{"SELECT state, output, error FROM runs", "failed|-|{\"code\":\"config_error\"}"}}},
    {"compensated",
     {CREATED, STARTED(0, 1), COMPLETED(0, 1, "1"), STARTED(1, 1), COMPLETED(1, 1, "2"),
      RECORD(COMPENSATING, RUN), RECORD(ATTEMPT_STARTED, NODE(1, 2), .phase = ORR_PHASE_COMPENSATE),
      RECORD(ATTEMPT_FAILED, NODE(1, 2), .phase = ORR_PHASE_COMPENSATE, .due = SEC(20), .error = &broken)},
     {{STATES, "a0 completed, b0 compensating, c0 pending, d0 pending"},
      {"SELECT state, completed FROM runs", "compensating|1"},
      {"SELECT node, kind, due FROM timers", "b|retry|20.0"},
      {"SELECT output, attempts FROM nodes WHERE idx = 1", "2|1"},
      {"SELECT attempt, phase, state FROM attempts WHERE node = 'b'",
       "1|run|completed; 2|compensate|failed"}}},
    {"what could not be undone",
     {CREATED,
      STARTED(0, 1),
      COMPLETED(0, 1, "1"),
      STARTED(1, 1),
      COMPLETED(1, 1, "2"),
      RECORD(COMPENSATING, RUN),
      RECORD(ATTEMPT_STARTED, NODE(1, 2), .phase = ORR_PHASE_COMPENSATE),
      {.record = {.kind = ORR_REC_COMPENSATED, NODE(1, 2)}, .payload = "3"},
      RECORD(ATTEMPT_STARTED, NODE(0, 2), .phase = ORR_PHASE_COMPENSATE),
      RECORD(COMPENSATION_FAILED, NODE(0, 2), .error = &broken),
      ENDED(COMPENSATION_FAILED)},
     {{STATES, "a0 compensation_failed, b0 compensated, c0 pending, d0 pending"},
      {"SELECT output, error, ended FROM nodes WHERE idx < 2", "1|" BROKEN "|3.0; 2|-|5.0"},
      {"SELECT node, phase, state, output FROM attempts WHERE output IS NOT NULL",
       "b|compensate|completed|3"},
      {"SELECT state, completed FROM runs", "compensation_failed|0"},
      {"SELECT count(*) FROM timers", "0"}}},
    {"a compensation that is tried again says nothing of its node",
     {CREATED, STARTED(0, 1), COMPLETED(0, 1, "1"), STARTED(1, 1), FAILED(1, 1), RECORD(COMPENSATING, RUN),
      RECORD(ATTEMPT_STARTED, NODE(0, 2), .phase = ORR_PHASE_COMPENSATE),
      RECORD(ATTEMPT_FAILED, NODE(0, 2), .error = &broken, .due = SEC(9)),
      RECORD(ATTEMPT_STARTED, NODE(0, 3), .phase = ORR_PHASE_COMPENSATE), RECORD(COMPENSATED, NODE(0, 3))},
     {{STATES, "a0 compensated, b0 failed, c0 pending, d0 pending"},
      {"SELECT error FROM nodes WHERE idx = 0", "-"},
      {"SELECT attempt, state, error FROM attempts WHERE node = 'a' AND phase = 'compensate'",
       "2|failed|" BROKEN "; 3|completed|-"}}},
    {"items that are undone",
     {CREATED, RECORD(EXPANDED, NODE(0, 0), .count = 2), RECORD(ATTEMPT_STARTED, ITEM(0, 0, 1)),
      RECORD(COMPLETED, ITEM(0, 0, 1)), RECORD(COMPLETED, NODE(0, 0)), RECORD(COMPENSATING, RUN),
      RECORD(ATTEMPT_STARTED, ITEM(0, 0, 2), .phase = ORR_PHASE_COMPENSATE)},
     {{STATES, "a0 compensating, a1 compensating, b0 pending, c0 pending, d0 pending"}}},
    {"a retry sets back what failed and what followed",
     {CREATED, STARTED(3, 1), FAILED(3, 1), STARTED(0, 1), COMPLETED(0, 1, "1"), STARTED(1, 1), FAILED(1, 1),
      RECORD(SKIPPED, NODE(2, 0), .reason = ORR_SKIP_UPSTREAM, .count = 1), ENDED(FAILED),
      RECORD(RETRIED, RUN), STARTED(1, 2)},
     {{STATES, "a0 completed, b0 running, c0 pending, d0 failed"},
      {"SELECT state, ended, error, completed, failed, skipped, running FROM runs", "running|-|-|1|1|0|1"},
      {"SELECT node, attempt, state FROM attempts ORDER BY 1, 2",
       "a|1|completed; b|1|failed; b|2|running; d|1|failed"},
      {"SELECT error, why, ended, started FROM nodes WHERE idx IN (1, 2)", "-|-|-|11.0; -|-|-|-"}}},
    {"a retry keeps items that completed",
     {CREATED, RECORD(EXPANDED, NODE(0, 0), .count = 3), RECORD(ATTEMPT_STARTED, ITEM(0, 0, 1)),
      RECORD(COMPLETED, ITEM(0, 0, 1)), RECORD(ATTEMPT_STARTED, ITEM(0, 1, 1)),
      RECORD(FAILED, ITEM(0, 1, 1), .error = &broken), RECORD(CANCELLED, ITEM(0, 2, 0)), FAILED(0, 0),
      RECORD(CANCELLED, NODE(1, 0)), ENDED(FAILED), RECORD(RETRIED, RUN)},
     {{STATES, "a0 running, a1 completed, a2 ready, a3 ready, b0 pending, c0 pending, d0 pending"},
      {"SELECT state, failed, cancelled, running FROM runs", "running|0|0|0"}}},
    {"a record that is missing ends the projection of its run",
     {CREATED,
      STARTED(0, 1),
      {.record = {.kind = ORR_REC_SIGNAL, RUN, .seq = 9}, .payload = "{\"n\":\"x\"}"},
      COMPLETED(0, 1, "1")},
     {{STATES, "a0 running, b0 pending, c0 pending, d0 pending"},
      {"SELECT state, seq, json_extract(error, '$.code'), json_extract(error, '$.message') FROM runs",
       "running|2|damaged_journal|record 3 of the journal is missing: what these tables say of the run ends "
       "before it"}}},
    {"one that does not fit",
     {CREATED, STARTED(0, 1), RECORD(COMPLETED, NODE(4, 1))},
     {{"SELECT seq, error LIKE '%record 3 of the journal does not fit%' FROM runs", "2|1"}}},
    {"a step without a name",
     {CREATED, STARTED(0, 1), {.record = {.kind = ORR_REC_STEP, NODE(0, 1)}, .payload = "{\"p\":"}},
     {{"SELECT seq, json_extract(error, '$.code') FROM runs", "2|damaged_journal"},
      {"SELECT count(*) FROM steps", "0"}}},
    {"damage after the end",
     {CREATED, ENDED(COMPLETED), RECORD(WOKEN, NODE(0, 0))},
     {{"SELECT state, seq, error FROM runs", "completed|2|-"}}},
};

/* Writes the lines as a journal of rows of `per` records each. */
static void write_lines(tables *f, const row *r, uint32_t per) {
    tables_new_bundle(f->db, "h", definition);
    tables_run(f->db, "INSERT INTO blobs(hash, size, data) VALUES('cafe', 60, "
                      "CAST('{\"p\":\"\",\"o\":1,\"n\":\"big\",\"k\":\"step\",\"v\":[1,2,3]}' AS BLOB))");
    int64_t run = tables_new_run(f->db, "h");
    rows_text bytes = {0};
    uint64_t first = 1;
    for (uint32_t i = 0; i < LINES && (i == 0 || r->lines[i].record.kind != ORR_REC_RUN_CREATED); i++) {
        const line *l = &r->lines[i];
        orr_entry e = {l->record, l->payload, l->payload != NULL ? strlen(l->payload) : 0, l->is_blob};
        e.record.seq = l->record.seq > 0 ? l->record.seq : i + 1;
        e.record.time = SEC(i + 1);
        e.record.port = l->record.port == 0 ? ORR_PORT_ANY : (uint16_t)(l->record.port - 1);
        tables_put_record(&bytes, &e);
        if ((i + 1) % per == 0) {
            tables_put_row(f->db, run, first, bytes.at, bytes.size);
            bytes.size = 0;
            first = i + 2;
        }
    }
    if (bytes.size > 0) tables_put_row(f->db, run, first, bytes.at, bytes.size);
    free(bytes.at);
}

static void each_kind(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (uint32_t per = 1; per <= LINES; per += 3) {
            tables f = tables_open();
            write_lines(&f, &rows[i], per);
            tables_project(&f, per == 1 ? 1000 : 2);
            for (int k = 0; k < CHECKS && rows[i].checks[k].sql != NULL; k++)
                tables_expect(&f, rows[i].name, rows[i].checks[k].sql, rows[i].checks[k].wanted);
            tables_same_in_slices(&f, rows[i].name);
            tables_close(&f);
        }
}

/* ---- around them ----------------------------------------------------------------------------- */

static void without_a_bundle(void **state) {
    tables f = tables_open();
    int64_t run = tables_new_run(f.db, NULL);
    rows_text bytes = {0};
    (void)state;
    tables_put_record(&bytes,
                      &(orr_entry){.record = {.kind = ORR_REC_RUN_CREATED, .seq = 1, .time = SEC(1), RUN}});
    tables_put_record(
        &bytes,
        &(orr_entry){.record = {.kind = ORR_REC_ATTEMPT_STARTED, .seq = 2, .time = SEC(2), NODE(2, 1)}});
    tables_put_row(f.db, run, 1, bytes.at, bytes.size);
    tables_put_row(f.db, 99, 1, bytes.at, bytes.size); /* a run that was dropped */
    tables_project(&f, 10);
    tables_expect(&f, "without a bundle", "SELECT run, node, idx, state FROM nodes", "1|#3|2|running");
    tables_expect(&f, "without a bundle", "SELECT nodes FROM runs", "3");
    tables_expect(&f, "without a bundle", "SELECT value FROM meta WHERE name = 'projected'", "2");
    free(bytes.at);
    tables_close(&f);
}

/* What SQLite refuses is said, and after a rollback the same call does it. */
static void refused(void **state) {
    static const char *const broken_by[] = {"DROP TABLE nodes", "DROP TABLE attempts", "DROP TABLE timers",
                                            "DROP TABLE meta",
                                            "ALTER TABLE runs RENAME COLUMN running TO ran"};
    (void)state;
    for (size_t i = 0; i < sizeof broken_by / sizeof *broken_by; i++)
        for (int warm = 0; warm < 2; warm++) {
            tables f = tables_open();
            bool more;
            write_lines(&f, &rows[4], 2); /* has a timer */
            if (warm == 1) {
                tables_run(f.db, "BEGIN");
                assert_int_equal(orr_project(f.p, 100, &more), ORR_OK);
                tables_run(f.db, "ROLLBACK");
            }
            tables_run(f.db, "BEGIN");
            tables_run(f.db, broken_by[i]);
            assert_int_equal(orr_project(f.p, 100, &more), ORR_EIO);
            tables_run(f.db, "ROLLBACK");
            tables_project(&f, 100);
            for (int k = 0; k < CHECKS && rows[4].checks[k].sql != NULL; k++)
                tables_expect(&f, broken_by[i], rows[4].checks[k].sql, rows[4].checks[k].wanted);
            tables_close(&f);
        }
}

/* Random bytes, cut rows and changed bytes: the run stops, the others go on, and nothing
 * crashes. */
static void damaged(void **state) {
    chance c = chance_begin("damaged journals");
    uint32_t stopped = 0;
    (void)state;
    for (uint32_t i = 0; i < wild_hunt(300); i++) {
        const row *r = &rows[chance_below(&c, sizeof rows / sizeof *rows)];
        tables f = tables_open();
        write_lines(&f, r, 3);
        sqlite3_stmt *s = tables_prepare(f.db, "SELECT records FROM journal WHERE id = 1");
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        uint32_t size = (uint32_t)sqlite3_column_bytes(s, 0), cut = chance_below(&c, size + 1);
        unsigned char *bytes = malloc(size);
        memcpy(bytes, sqlite3_column_blob(s, 0), size);
        sqlite3_finalize(s);
        for (uint32_t k = chance_below(&c, 4); k > 0; k--)
            bytes[chance_below(&c, size)] = (unsigned char)chance_next(&c);
        s = tables_prepare(f.db, "UPDATE journal SET records = ?1 WHERE id = 1");
        sqlite3_bind_blob(s, 1, bytes, (int)(chance_of(&c, 50) ? cut : size), SQLITE_STATIC);
        assert_int_equal(sqlite3_step(s), SQLITE_DONE);
        sqlite3_finalize(s);
        int64_t well = tables_new_run(f.db, "h");
        rows_text record = {0};
        tables_put_record(
            &record, &(orr_entry){.record = {.kind = ORR_REC_RUN_CREATED, .seq = 1, .time = SEC(1), RUN}});
        tables_put_row(f.db, well, 1, record.at, record.size);
        tables_project(&f, 1 + chance_below(&c, 4));
        tables_expect(&f, "the other run",
                      "SELECT state, seq, nodes, error FROM runs ORDER BY number DESC LIMIT 1",
                      "running|1|4|-");
        stopped += (uint32_t)tables_number(f.db,
                                           "SELECT count(*) FROM runs WHERE error LIKE '%damaged_journal%'");
        tables_same_in_slices(&f, "a damaged journal");
        free(record.at);
        free(bytes);
        tables_close(&f);
    }
    printf("%u runs stopped\n", stopped);
    assert_true(stopped > 50);
}

/* ---- views ----------------------------------------------------------------------------------- */

static void views(void **state) {
    tables f = tables_open();
    (void)state;
    /* 20 durations of 1 to 20 s, one run that failed, one that goes on */
    tables_run(f.db,
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)"
               "INSERT INTO runs(id, workflow, durability, state, created, started, ended) SELECT 'r' || "
               "i, 'w', 'strict', 'completed',"
               "  100, 100, 100 + i FROM n;"
               "INSERT INTO runs(id, workflow, durability, state, created, ended) VALUES('f', 'w', "
               "'strict', 'failed', 100, 105);"
               "INSERT INTO runs(id, workflow, durability, state, created) VALUES('g', 'w', 'strict', "
               "'running', 100);"
               "INSERT INTO nodes(run, node, item, idx, state, started, ended, source) SELECT number, "
               "'a', 0, 0, state, created, ended, 'run'"
               "  FROM runs;"
               "INSERT INTO nodes(run, node, item, idx, state, started, ended, source) VALUES(1, 'a', 1, "
               "0, 'completed', 0, 1000, 'run'),"
               "  (1, 'b', 0, 1, 'completed', 5, 6, 'cache');"
               "INSERT INTO attempts(run, node, item, iteration, attempt, phase, state) VALUES(1, 'a', 0, "
               "1, 1, 'run', 'failed'),"
               "  (1, 'a', 0, 1, 2, 'run', 'completed'), (1, 'a', 0, 1, 3, 'compensate', 'completed'),"
               "  (2, 'a', 0, 1, 2, 'run', 'completed');");
    tables_expect(&f, "node_stats", "SELECT * FROM node_stats",
                  "w|a|22|20|1|2|10.0|19.0|20.0; w|b|1|1|0|0|-|-|-");
    tables_expect(&f, "workflow_stats", "SELECT * FROM workflow_stats",
                  "w|22|1|20|1|0|0|0|0.9524|10.0|19.0|20.0");
    tables_expect(&f, "run_list",
                  "SELECT id, workflow, state, created, ended, seconds FROM run_list WHERE number = 3",
                  "r3|w|completed|1970-01-01 00:01:40|1970-01-01 00:01:43|3.0");
    tables_expect(&f, "node_list", "SELECT run_id, node, item, state, seconds FROM node_list WHERE run = 2",
                  "r2|a|0|completed|2.0");
    assert_int_equal(orr_sqlite_views(f.db), ORR_OK); /* once more */
    tables_close(&f);
}

/* The queries that the manual shows. */
static void manual(void **state) {
    static const char open_fence[] = "```sql\n", close_fence[] = "```";
    tables f = tables_open();
    FILE *file = fopen("docs/store.md", "rb");
    rows_text page = {0};
    char piece[4096];
    uint32_t n = 0;
    (void)state;
    assert_non_null(file);
    for (size_t size; (size = fread(piece, 1, sizeof piece, file)) > 0;) rows_add(&page, piece, size);
    fclose(file);
    if (page.at == NULL) abort(); /* the file is empty */
    for (char *at = page.at; (at = strstr(at, open_fence)) != NULL; n++) {
        char *end = strstr(at += sizeof open_fence - 1, close_fence);
        assert_non_null(end);
        *end = 0;
        tables_run(f.db, at);
        at = end + 1;
    }
    assert_true(n >= 5);
    free(page.at);
    tables_close(&f);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static orr_span span_of(const char *word) {
    return (orr_span){word, strlen(word)};
}

static void json(void **state) {
    static const struct {
        const char *text, *member, *wanted;
    } cases[] = {
        {"{\"a\":1}", "a", "1"},   {" { \"a\" : [1, \"}\"] , \"b\":{\"a\":2}}", "b", "{\"a\":2}"},
        {"{\"a\":1}", "b", NULL},  {"{\"x\":\"\\\"\",\"a\":\"\\\\\"}", "a", "\"\\\\\""},
        {"[1]", "a", NULL},        {"{\"a\":", "a", NULL},
        {"{\"a\":\"x", "a", NULL}, {"{\"a\":{\"b\":1}", "a", NULL},
        {"{\"a\" 1}", "a", NULL},  {"{a:1}", "a", NULL},
        {"", "a", NULL},           {"{", "a", NULL},
        {"7", "a", NULL},
    };
    static const struct {
        const char *text, *wanted;
    } strings[] = {
        {"\"\"", ""},
        {"\"a\\/\\b\\f\\n\\r\\t\\\\\\\"\"", "a/\b\f\n\r\t\\\""},
        {"\"\\u0041\\u00e9\\u20ac\"", "Aé€"},
        {"\"\\ud83d\\ude00\"", "😀"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\u0000\"", "\xef\xbf\xbd"},
        {"\"\\uZ\"", "uZ"},
        {"12", "12"},
    };
    char room[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        orr_span got = orr_json_member(span_of(cases[i].text), cases[i].member);
        if (cases[i].wanted == NULL) assert_null(got.at);
        else if (got.size != strlen(cases[i].wanted) || memcmp(got.at, cases[i].wanted, got.size) != 0)
            fail_msg("%s gives %.*s", cases[i].text, (int)got.size, got.at);
    }
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        size_t size = orr_json_text(span_of(strings[i].text), room);
        room[size] = 0;
        assert_string_equal(room, strings[i].wanted);
    }
    assert_true(orr_json_number(span_of("1.5e1"), 0) == 15 && orr_json_number(span_of("x"), 7) == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_kind), cmocka_unit_test(without_a_bundle),
                                       cmocka_unit_test(refused),   cmocka_unit_test(damaged),
                                       cmocka_unit_test(views),     cmocka_unit_test(manual),
                                       cmocka_unit_test(json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
