/* trace.c - what a store does, as lines of the topic `store`. */
#include "durable/durable.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* A line that is put together part by part; what does not fit is cut off. */
typedef struct line {
    char text[480];
    size_t used;
} line;

static void add(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(line *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->used, sizeof l->text - l->used, format, args);
    va_end(args);
    if (n > 0) l->used += (size_t)n;
    if (l->used > sizeof l->text - 1) l->used = sizeof l->text - 1;
}

/* ", 3 rows", or nothing where there are none. */
static void add_count(line *l, uint32_t n, const char *one, const char *many) {
    if (n > 0) add(l, ", %" PRIu32 " %s", n, n == 1 ? one : many);
}

static void add_run(line *l, const char *before, const uint8_t *run) {
    char id[37];
    if (run == NULL) return;
    orr_uuid_format(id, run);
    add(l, "%s%s", before, id);
}

/* How long it took, and why it did not succeed. */
static void add_end(line *l, const orr_report *r) {
    add(l, ", %.3f ms", (double)r->took / 1e6);
    if (r->status == ORR_OK) return;
    add(l, "; refused: %s", *r->reason != '\0' ? r->reason : "there is no memory left");
}

static void say_commit(line *l, const orr_report *r) {
    add(l, "commit to ticket %" PRIu64 ": %zu bytes", r->ticket, r->bytes);
    add_count(l, r->records, "record", "records");
    add_count(l, r->rows, "row", "rows");
    add_count(l, r->created, "new run", "new runs");
    add_count(l, r->released, "run let go", "runs let go");
    if (r->submits > 1) add(l, ", %" PRIu32 " submits as one", r->submits);
    add_run(l, ", of run ", r->run);
    add_end(l, r);
}

static void say_claim(line *l, const orr_report *r) {
    add_run(l, r->force ? "claim by force of run " : "claim of run ", r->run);
    add_end(l, r);
}

static void say_sent(line *l, const orr_report *r) {
    add(l, "message '%s' sent", r->name);
    add_run(l, " to run ", r->run);
    add_end(l, r);
}

static void say_come(line *l, const orr_report *r) {
    add(l, "message %" PRId64 " '%s' has come", r->message, r->name);
    add_run(l, " for run ", r->run);
}

static void say_taken(line *l, const orr_report *r) {
    add(l, "message %" PRId64 " is taken with the next commit", r->message);
}

static void on_report(void *ud, const orr_report *report) {
    static void (*const say[])(line * l, const orr_report *r) = {
        [ORR_REPORT_COMMIT] = say_commit, [ORR_REPORT_CLAIM] = say_claim, [ORR_REPORT_SENT] = say_sent,
        [ORR_REPORT_COME] = say_come,     [ORR_REPORT_TAKEN] = say_taken,
    };
    line l = {.used = 0};
    say[report->kind](&l, report);
    orr_trace_line(ud, ORR_TRACE_STORE, "%s", l.text);
}

void orr_trace_store(orr_store_options *options, orr_trace *trace) {
    if (!orr_traces(trace, ORR_TRACE_STORE)) return;
    options->trace = on_report;
    options->trace_ud = trace;
}
