/* project_step.c - what handlers left in the journal: steps, signals, and values too long for it. */
#include "project_impl.h"

#include <math.h>
#include <string.h>

/* ---- long values --------------------------------------------------------------------------------------------------------- */

/* The payload itself, where it stands in the table of blobs; none where it is not there. */
orr_span orr_resolved(orr_applying *c)
{
    orr_span payload = orr_payload(c->entry), text = {NULL, 0};
    orr_span name = c->entry->is_blob ? orr_json_member(payload, "$blob") : text;
    if (!c->entry->is_blob)
        return payload;
    sqlite3_stmt *s = name.size > 2 ? orr_projector_sql(c->p, SQL_READ_BLOB, &c->status) : NULL;
    if (s == NULL)
        return text;
    orr_bind_span(s, 1, (orr_span){name.at + 1, name.size - 2});
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *data = sqlite3_column_blob(s, 0);
        text = orr_kept(c, (orr_span){data, (size_t)sqlite3_column_bytes(s, 0)});
    } else if (rc != SQLITE_DONE) {
        c->status = orr_sqlite_status(rc);
    }
    sqlite3_reset(s);
    return text;
}

/* A member of the payload as a column shows it: of a long payload the reference, which says in which member of the blob it stands. */
orr_span orr_shown(orr_applying *c, orr_span payload, const char *member)
{
    orr_span value = orr_json_member(payload, member);
    if (value.at == NULL || !c->entry->is_blob)
        return orr_kept(c, value);
    return orr_member_text(c->p, orr_payload(c->entry), member, &c->status);
}

/* ---- timers -------------------------------------------------------------------------------------------------------------- */

static const char *const timer_kinds[] = {"retry", "loop", "sleep", "wait", "call", "step", "now"};

const char *orr_timer_kind(orr_span word)
{
    for (size_t i = 0; i < sizeof timer_kinds / sizeof *timer_kinds; i++)
        if (word.size == strlen(timer_kinds[i]) && memcmp(word.at, timer_kinds[i], word.size) == 0)
            return timer_kinds[i];
    return "wait";
}

/* ---- steps and signals ------------------------------------------------------------------------------------------------------ */

/* What a JSON string says, in the arena. */
static orr_span text_of(orr_applying *c, orr_span value)
{
    char *text = value.at != NULL ? orr_arena_take(&c->p->arena, value.size) : NULL;
    if (text == NULL) {
        if (value.at != NULL)
            c->status = ORR_ENOMEM;
        return (orr_span){NULL, 0};
    }
    return (orr_span){text, orr_json_text(value, text)};
}

static void take_signal(orr_applying *c, orr_span name)
{
    sqlite3_stmt *s = orr_projector_sql(c->p, SQL_TAKE_SIGNAL, &c->status);
    if (s == NULL)
        return;
    sqlite3_bind_int64(s, 1, c->run->number);
    orr_bind_span(s, 2, text_of(c, name));
    sqlite3_bind_double(s, 3, c->time);
    if (c->status == ORR_OK)
        c->status = orr_projector_do(s);
}

void orr_apply_step(orr_applying *c)
{
    const orr_task *task = &c->record->task;
    orr_span payload = orr_resolved(c), path = orr_json_member(payload, "p"), name = orr_json_member(payload, "n");
    orr_span kind = text_of(c, orr_json_member(payload, "k"));
    orr_span value = orr_shown(c, payload, "v"), error = orr_shown(c, payload, "e"), signal = orr_json_member(payload, "s");
    char room[16];
    c->fits = c->status != ORR_OK || name.at != NULL;
    sqlite3_stmt *s = c->fits && c->status == ORR_OK ? orr_projector_sql(c->p, SQL_MAKE_STEP, &c->status) : NULL;
    if (s == NULL)
        return;
    sqlite3_bind_int64(s, 1, c->run->number);
    orr_bind_word(s, 2, orr_node_name(c->run, task->node, room));
    sqlite3_bind_int64(s, 3, task->item + 1);
    sqlite3_bind_int64(s, 4, (int64_t)task->iteration + 1);
    orr_bind_span(s, 5, path.at != NULL ? text_of(c, path) : (orr_span){"", 0}); /* the handler's own coroutine writes none */
    sqlite3_bind_int64(s, 6, (int64_t)orr_json_number(orr_json_member(payload, "o"), 0));
    orr_bind_span(s, 7, text_of(c, name));
    orr_bind_span(s, 8, kind);
    sqlite3_bind_int64(s, 9, task->attempt);
    orr_bind_span(s, 10, value);
    orr_bind_span(s, 11, error);
    sqlite3_bind_double(s, 12, c->time);
    if (c->status == ORR_OK)
        c->status = orr_projector_do(s);
    if (signal.at != NULL)
        take_signal(c, signal);
    if (value.at != NULL || error.at != NULL)
        return;
    double due = orr_json_number(orr_json_member(payload, "d"), c->record->due > 0 ? orr_seconds(c->record->due) : (double)NAN);
    if (isnan(due))
        return;
    c->node->due = due;
    c->node->timer = orr_timer_kind(kind.at != NULL ? kind : (orr_span){"", 0});
}

void orr_apply_signal(orr_applying *c)
{
    orr_span payload = orr_resolved(c), name = orr_json_member(payload, "n");
    orr_span data = orr_shown(c, payload, "v");
    c->fits = c->status != ORR_OK || name.at != NULL;
    sqlite3_stmt *s = c->fits && c->status == ORR_OK ? orr_projector_sql(c->p, SQL_MAKE_SIGNAL, &c->status) : NULL;
    if (s == NULL)
        return;
    sqlite3_bind_int64(s, 1, c->run->number);
    sqlite3_bind_int64(s, 2, (int64_t)c->record->seq);
    orr_bind_span(s, 3, text_of(c, name));
    orr_bind_span(s, 4, data);
    sqlite3_bind_double(s, 5, orr_json_number(orr_json_member(payload, "t"), c->time));
    sqlite3_bind_double(s, 6, c->time);
    if (c->status == ORR_OK)
        c->status = orr_projector_do(s);
}

