/* step.c - what handlers left in the journal: steps, signals, and values too long for
 * it. */
#include "store/tables/inner.h"

#include <math.h>
#include <string.h>

/* ---- long values ----------------------------------------------------------------------------- */

typedef struct resolving {
    orr_applying *c;
    orr_span text;
    bool damaged;
} resolving;

static bool keep_blob(void *ud, const orr_field *values, size_t n) {
    enum { DATA, INTACT };
    resolving *r = ud;
    (void)n;
    if (orr_field_number(&values[INTACT]) != 0) r->text = orr_kept_text(r->c, orr_field_words(&values[DATA]));
    else r->damaged = true;
    return false;
}

orr_span orr_resolved(orr_applying *c) {
    orr_span payload = orr_payload_text(c->entry);
    if (!c->entry->is_blob) return payload;
    orr_span name = orr_json_member(payload, "$blob");
    resolving r = {.c = c};
    if (name.size <= 2) return r.text;
    orr_field key[] = {orr_field_span((orr_span){name.at + 1, name.size - 2})};
    orr_status status = ORR_GET(c->p, ORR_READ_BLOB, key, keep_blob, &r);
    if (status != ORR_OK) c->status = status;
    if (r.damaged) c->damaged = true;
    return r.text;
}

orr_span orr_shown(orr_applying *c, orr_span payload, const char *member) {
    orr_span value = orr_json_member(payload, member);
    if (value.at == NULL || !c->entry->is_blob) return orr_kept_text(c, value);
    return orr_member_text(c->p, orr_payload_text(c->entry), member, &c->status);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static const char *const timer_kinds[] = {"retry", "loop", "sleep", "wait", "call", "step", "now"};

const char *orr_timer_kind(orr_span word) {
    for (size_t i = 0; i < sizeof timer_kinds / sizeof *timer_kinds; i++)
        if (word.size == strlen(timer_kinds[i]) && memcmp(word.at, timer_kinds[i], word.size) == 0)
            return timer_kinds[i];
    return "wait";
}

/* ---- steps and signals ----------------------------------------------------------------------- */

/* What a JSON string says, in the arena. */
static orr_span text_of(orr_applying *c, orr_span value) {
    char *text = value.at != NULL ? orr_arena_take(&c->p->arena, value.size) : NULL;
    if (text == NULL) {
        if (value.at != NULL) c->status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    return (orr_span){text, orr_json_text(value, text)};
}

static void take_signal(orr_applying *c, orr_span name) {
    orr_field row[] = {orr_field_integer(c->run->number), orr_field_span(text_of(c, name)),
                       orr_field_real(c->time)};
    if (c->status == ORR_OK) c->status = ORR_PUT(c->p, ORR_WRITE_SIGNAL_TAKEN, row);
}

void orr_apply_step(orr_applying *c) {
    static const char restart[] = "restart";
    enum { STEP_KEY = 4 }; /* the columns that name the task */
    const orr_task *task = &c->record->task;
    orr_span payload = orr_resolved(c), path = orr_json_member(payload, "p"),
             name = orr_json_member(payload, "n");
    orr_span kind = text_of(c, orr_json_member(payload, "k"));
    orr_span value = orr_shown(c, payload, "v"), error = orr_shown(c, payload, "e"),
             signal = orr_json_member(payload, "s");
    char room[16];
    c->fits = c->status != ORR_OK || name.at != NULL;
    if (!c->fits || c->status != ORR_OK) return;
    orr_field row[] = {
        orr_field_integer(c->run->number), orr_field_text(orr_node_name(c->run, task->node, room)),
        orr_field_integer(task->item + 1), orr_field_integer((int64_t)task->iteration + 1),
        /* the handler's own coroutine writes none */
        orr_field_span(path.at != NULL ? text_of(c, path) : (orr_span){"", 0}),
        orr_field_integer((int64_t)orr_json_number(orr_json_member(payload, "o"), 0)),
        orr_field_span(text_of(c, name)), orr_field_span(kind), orr_field_integer(task->attempt),
        orr_field_span(value), orr_field_span(error), orr_field_real(c->time)};
    /* a handler that begins anew has no steps but that */
    if (c->status == ORR_OK && kind.size == sizeof restart - 1 && memcmp(kind.at, restart, kind.size) == 0)
        c->status = orr_sink_put(c->p, ORR_WRITE_STEPS_GONE, row, STEP_KEY);
    if (c->status == ORR_OK) c->status = ORR_PUT(c->p, ORR_WRITE_STEP, row);
    if (signal.at != NULL) take_signal(c, signal);
    if (value.at != NULL || error.at != NULL) return;
    double due = orr_json_number(orr_json_member(payload, "d"),
                                 c->record->due > 0 ? orr_seconds(c->record->due) : (double)NAN);
    if (isnan(due)) return;
    c->node->due = due;
    c->node->timer = orr_timer_kind(kind.at != NULL ? kind : (orr_span){"", 0});
}

void orr_apply_signal(orr_applying *c) {
    orr_span payload = orr_resolved(c), name = orr_json_member(payload, "n");
    orr_span data = orr_shown(c, payload, "v");
    c->fits = c->status != ORR_OK || name.at != NULL;
    if (!c->fits || c->status != ORR_OK) return;
    orr_field row[] = {orr_field_integer(c->run->number),
                       orr_field_integer((int64_t)c->record->seq),
                       orr_field_span(text_of(c, name)),
                       orr_field_span(data),
                       orr_field_real(orr_json_number(orr_json_member(payload, "t"), c->time)),
                       orr_field_real(c->time)};
    if (c->status == ORR_OK) c->status = ORR_PUT(c->p, ORR_WRITE_SIGNAL, row);
}
