/* store.c - the interface's side of every store. */
#include "store/backend.h"

#include "port/port.h"

#include <string.h>

/* ---- reporting ------------------------------------------------------------------------------- */

/* When something began that is reported; 0 where there is no trace. */
static int64_t begun(const orr_store *store) {
    return store->trace != NULL ? orr_port_now() : 0;
}

static void send_report(const orr_store *store, orr_report report) {
    if (report.reason == NULL) report.reason = "";
    store->trace(store->trace_ud, &report);
}

static void report_outcome(const orr_store *store, orr_report report, int64_t since, orr_status status,
                           const orr_reason *reason) {
    if (store->trace == NULL) return;
    report.took = orr_port_now() - since;
    report.status = status;
    report.reason = reason->text;
    send_report(store, report);
}

static orr_journal *claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                          orr_reason *reason) {
    int64_t since = begun(store);
    orr_journal *journal = store->class->claim(store, run, force, status, reason);
    orr_report report = {.kind = ORR_REPORT_CLAIM, .run = run, .force = force};
    report_outcome(store, report, since, *status, reason);
    return journal;
}

static orr_status send(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                       const char *dedup, orr_reason *reason) {
    int64_t since = begun(store);
    orr_status status = store->class->send(store, run, name, text, dedup, reason);
    report_outcome(store, (orr_report){.kind = ORR_REPORT_SENT, .run = run, .name = name}, since, status,
                   reason);
    return status;
}

/* ---- the store ------------------------------------------------------------------------------- */

void orr_store_close(orr_store *store) {
    if (store != NULL) store->class->close(store);
}

orr_store orr_store_base(const orr_store_class *class, const orr_store_options *options) {
    return (orr_store){.class = class,
                       .alloc = options->alloc,
                       .wake = options->wake,
                       .ud = options->ud,
                       .wants_work = options->wants_work,
                       .trace = options->trace,
                       .trace_ud = options->trace_ud};
}

const char *orr_store_kind(const orr_store *store) {
    return store->class->kind;
}

/* ---- journals -------------------------------------------------------------------------------- */

orr_journal *orr_store_create(orr_store *store, const orr_new_run *run) {
    return store->class->create(store, run);
}

orr_journal *orr_store_claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                             orr_reason *reason) {
    *reason = (orr_reason){""};
    return claim(store, run, force, status, reason);
}

orr_status orr_store_append(orr_journal *journal, uint64_t seq, const void *bytes, size_t size) {
    if (seq != journal->last + 1) return ORR_EINVAL;
    orr_status status = journal->store->class->append(journal, bytes, size);
    if (status == ORR_OK) journal->last = seq;
    return status;
}

void orr_store_release(orr_journal *journal, bool done) {
    journal->store->class->release(journal, done);
}

orr_status orr_store_read(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                          void *ud, orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->read(store, run, after, visit, ud, reason);
}

orr_status orr_store_drop(orr_store *store, const uint8_t run[16]) {
    return store->class->drop(store, run);
}

/* ---- locks of runs --------------------------------------------------------------------------- */

orr_status orr_store_lock(orr_journal *journal, const char *workflow, const char *value,
                          orr_lock_answer *answer, orr_reason *reason) {
    const orr_store_class *class = journal->store->class;
    *reason = (orr_reason){""};
    if (class->lock != NULL) return class->lock(journal, workflow, value, answer, reason);
    orr_reason_set(reason, "a store of the kind %s keeps no locks", class->kind);
    return ORR_ESTATE;
}

void orr_store_await(orr_store *store, uint32_t n) {
    if (store->class->await != NULL) store->class->await(store, n);
}

/* ---- what is kept beside them ---------------------------------------------------------------- */

/* What the values of a kind have to be: t text, i integer, v text or blob, 1 a run's id. Or
 * NULL: T, I, R (a number), and ! (a run's id). */
static const char *const shapes[ORR_ROW_COUNT] = {
    [ORR_ROW_BUNDLE] = "tTTTTTR",   [ORR_ROW_MODULE] = "ttTT",   [ORR_ROW_BLOB] = "tv",
    [ORR_ROW_CACHE] = "tTTT!TRR",   [ORR_ROW_LOG] = "1TIIIRTTT", [ORR_ROW_WHY] = "1tIT",
    [ORR_ROW_TAKEN] = "i",          [ORR_ROW_LOCK] = "1tt",      [ORR_ROW_UNLOCK] = "1",
    [ORR_ROW_STATE] = "ttTt!TRRTi", [ORR_ROW_WORKERS] = "it",    [ORR_ROW_PUBLISHED] = "1ttTIIR",
};

static bool fits(const orr_field *v, char shape) {
    if (v->type == ORR_FIELD_NULL) return strchr("TIR!", shape) != NULL;
    switch (shape) {
    case 't':
    case 'T': return v->type == ORR_FIELD_TEXT;
    case 'i':
    case 'I': return v->type == ORR_FIELD_INTEGER;
    case 'R': return v->type == ORR_FIELD_REAL || v->type == ORR_FIELD_INTEGER;
    case 'v': return v->type == ORR_FIELD_TEXT || v->type == ORR_FIELD_BLOB;
    default: return v->type == ORR_FIELD_BLOB && v->size == 16;
    }
}

static bool all_fit(orr_row_kind kind, const orr_field *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!fits(&values[i], shapes[kind][i])) return false;
    return true;
}

orr_status orr_store_put(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n) {
    if ((unsigned)kind >= ORR_ROW_COUNT || n != orr_row_columns(kind)) return ORR_EINVAL;
    if (!all_fit(kind, values, n)) return ORR_EINVAL;
    if (kind == ORR_ROW_STATE && store->class->state == NULL) return ORR_ESTATE;
    orr_status status = store->class->put(store, kind, values, n);
    if (store->trace != NULL && kind == ORR_ROW_TAKEN)
        send_report(store,
                    (orr_report){.kind = ORR_REPORT_TAKEN, .status = status, .message = values[0].integer});
    return status;
}

orr_status orr_store_get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                         orr_reason *reason) {
    *reason = (orr_reason){""};
    if (kind != ORR_ROW_BUNDLE && kind != ORR_ROW_MODULE && kind != ORR_ROW_BLOB && kind != ORR_ROW_CACHE)
        return ORR_EINVAL;
    return store->class->get(store, kind, key, visit, ud, reason);
}

/* ---- state between runs ---------------------------------------------------------------------- */

orr_status orr_store_append_state(orr_journal *journal, uint64_t seq, const orr_field *write, orr_bytes made,
                                  orr_bytes refused) {
    const orr_store_class *class = journal->store->class;
    if (class->append_state == NULL) return ORR_ESTATE;
    if (seq != journal->last + 1 || !all_fit(ORR_ROW_STATE, write, ORR_STATE_COLUMNS)) return ORR_EINVAL;
    orr_status status = class->append_state(journal, write, made, refused);
    if (status == ORR_OK) journal->last = seq;
    return status;
}

orr_status orr_store_state(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                           void *ud, orr_reason *reason) {
    *reason = (orr_reason){""};
    if (store->class->state != NULL) return store->class->state(store, workflow, key, visit, ud, reason);
    orr_reason_set(reason, "a store of the kind %s keeps no state between runs", store->class->kind);
    return ORR_ESTATE;
}

/* ---- commits --------------------------------------------------------------------------------- */

uint64_t orr_store_ticket(const orr_store *store) {
    return store->ticket;
}

uint64_t orr_store_durable(const orr_store *store) {
    return store->class->durable(store);
}

void orr_store_submit(orr_store *store, bool urgent) {
    store->class->submit(store, urgent);
}

orr_status orr_store_sync(orr_store *store) {
    return store->class->sync(store);
}

bool orr_store_notice(orr_store *store, orr_notice *notice) {
    bool any = store->class->notice(store, notice);
    if (store->trace != NULL && any && notice->kind == ORR_NOTICE_MESSAGE)
        send_report(store, (orr_report){.kind = ORR_REPORT_COME,
                                        .run = notice->run,
                                        .name = notice->name,
                                        .message = notice->message});
    return any;
}

orr_status orr_store_send(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                          const char *dedup, orr_reason *reason) {
    *reason = (orr_reason){""};
    return send(store, run, name, text, dedup, reason);
}

/* ---- without waiting ------------------------------------------------------------------------- */

static orr_store_answer answer_now(orr_store *store, const orr_store_request *r, orr_reason *reason) {
    orr_store_answer answer = {.reason = reason};
    switch (r->kind) {
    case ORR_REQUEST_CLAIM: answer.journal = claim(store, r->run, r->force, &answer.status, reason); break;
    case ORR_REQUEST_READ:
        answer.status = store->class->read(store, r->run, r->after, r->visit, r->ud, reason);
        break;
    case ORR_REQUEST_SEND: answer.status = send(store, r->run, r->name, r->text, r->dedup, reason); break;
    }
    return answer;
}

orr_status orr_store_ask(orr_store *store, const orr_store_request *request) {
    orr_reason reason = {""};
    if (store->class->ask != NULL) return store->class->ask(store, request);
    orr_store_answer answer = answer_now(store, request, &reason);
    request->done(request->ud, &answer);
    return ORR_OK;
}

bool orr_store_answers(orr_store *store) {
    return store->class->answers != NULL && store->class->answers(store);
}

orr_status orr_store_owner(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->owner(store, owner, state, reason);
}

bool orr_store_displaced(const orr_store *store, orr_notice_kind *why) {
    return store->class->displaced != NULL && store->class->displaced(store, why);
}

bool orr_store_read_figures(const orr_store *store, orr_store_figures *figures) {
    if (store->class->figures == NULL) return false;
    store->class->figures(store, figures);
    return true;
}

bool orr_store_owns(const orr_store *store) {
    return store->class->owns != NULL && store->class->owns(store);
}

orr_status orr_store_unblock(orr_store *store, const uint8_t run[16], orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->unblock != NULL ? store->class->unblock(store, run, reason) : ORR_OK;
}

/* ---- history --------------------------------------------------------------------------------- */

orr_status orr_store_project(orr_store *store, orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->project(store, reason);
}

static bool is_of(const orr_field *v, const orr_parameter *p) {
    if (v->type == ORR_FIELD_NULL) return p->may_be_null;
    bool is_number = v->type == ORR_FIELD_INTEGER || v->type == ORR_FIELD_REAL;
    bool wants_text = p->type == ORR_PARAMETER_TEXT || p->type == ORR_PARAMETER_LIST;
    return wants_text ? v->type == ORR_FIELD_TEXT : is_number;
}

static orr_status check_values(const orr_operation *operation, const orr_field *values, orr_reason *reason) {
    orr_parameter p;
    for (const char *at = operation->parameters; orr_parameter_next(&at, &p); values++)
        if (!is_of(values, &p)) {
            orr_reason_set(reason, "%s: the value of %.*s is of another type: expected %s", operation->name,
                           (int)p.size, p.name, operation->parameters);
            return ORR_EINVAL;
        }
    return ORR_OK;
}

orr_status orr_store_snapshot(orr_store *store, bool begins, orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->snapshot != NULL ? store->class->snapshot(store, begins, reason) : ORR_OK;
}

orr_status orr_store_query(orr_store *store, orr_query query, const orr_field *values,
                           const orr_store_reader *reader, orr_reason *reason) {
    *reason = (orr_reason){""};
    orr_status status = check_values(&orr_queries[query], values, reason);
    return status == ORR_OK ? store->class->query(store, query, values, reader, reason) : status;
}

orr_status orr_store_change(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                            orr_reason *reason) {
    *changed = 0;
    *reason = (orr_reason){""};
    orr_status status = check_values(&orr_changes[change], values, reason);
    return status == ORR_OK ? store->class->change(store, change, values, changed, reason) : status;
}

orr_status orr_store_select(orr_store *store, const orr_statement *statement, const orr_store_reader *reader,
                            orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->select(store, statement, reader, reason);
}

orr_status orr_store_execute(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                             orr_reason *reason) {
    *changed = 0;
    *reason = (orr_reason){""};
    return store->class->execute(store, statements, n, changed, reason);
}

const char *orr_store_path(const orr_store *store) {
    return store->class->path ? store->class->path(store) : NULL;
}

orr_status orr_store_backup(orr_store *store, const char *path, orr_reason *reason) {
    *reason = (orr_reason){""};
    return store->class->backup(store, path, reason);
}
