/* memory.c - the store that keeps journals in memory: one growing block of bytes a run. What is
 * appended is durable at once. */
#include "store/backend.h"

#include "store/memory_state.h"
#include "store/record/record.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A run's records one after another, each behind its size. */
typedef struct memory_journal {
    orr_journal base;
    bool live;    /* somebody holds its handle */
    bool ended;   /* its last record ended the run */
    bool keyed;   /* by_key is in the table of keys */
    bool refused; /* its key was taken: it is in no table, and what is appended goes nowhere */
    char *workflow, *key;
    orr_journal by_key; /* its place in the table of keys, where `run` is a hash of workflow and key */
    unsigned char *bytes;
    size_t used, capacity;
} memory_journal;

/* A row of a kind that can be read again. */
typedef struct row {
    struct row *next;
    orr_row_kind kind;
    size_t size; /* of the block */
    orr_field values[];
} row;

/* A message that nobody has taken, or whose dedup must be remembered. */
typedef struct message {
    struct message *next;
    uint8_t run[16];
    int64_t id;
    bool taken;
    orr_note *note; /* what it says */
    size_t size;    /* of the block */
    char dedup[];
} message;

typedef struct memory_store {
    orr_store base;
    orr_journals journals, keys;
    row *rows;
    orr_memory_state state;
    message *messages;
    int64_t last_message;
    orr_notes notes;
} memory_store;

/* ---- journals -------------------------------------------------------------------------------- */

static void free_text(memory_store *s, char *text) {
    if (text != NULL) orr_mem_free(&s->base.alloc, text, strlen(text) + 1, 1);
}

static bool keep_text(memory_store *s, char **to, const char *text) {
    if (text == NULL) return true;
    size_t size = strlen(text) + 1;
    *to = orr_mem_new(&s->base.alloc, size, 1);
    if (*to == NULL) return false;
    memcpy(*to, text, size);
    return true;
}

static void free_journal(memory_store *s, memory_journal *j) {
    if (j->keyed) orr_journals_remove(&s->keys, &j->by_key);
    free_text(s, j->workflow);
    free_text(s, j->key);
    orr_mem_free(&s->base.alloc, j->bytes, j->capacity, 1);
    orr_mem_free(&s->base.alloc, j, 1, sizeof *j);
}

/* FNV-1a (Fowler, Noll, Vo) from two starts. Should two keys ever have one hash, their texts
 * differ. */
static void hash_key(const char *workflow, const char *key, uint8_t hash[16]) {
    uint64_t h[2] = {UINT64_C(0xcbf29ce484222325), UINT64_C(0x9e3779b97f4a7c15)};
    const char *const texts[] = {workflow, key};
    for (int t = 0; t < 2; t++) /* with the NUL between them */
        for (const char *c = texts[t]; c == texts[t] || c[-1] != '\0'; c++)
            for (int i = 0; i < 2; i++) h[i] = (h[i] ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    memcpy(hash, h, sizeof h);
}

static const memory_journal *with_key(const memory_store *s, const char *workflow, const char *key) {
    uint8_t hash[16];
    hash_key(workflow, key, hash);
    const orr_journal *found = orr_journals_find(&s->keys, hash);
    for (; found != NULL; found = found->next) {
        const memory_journal *j = (const memory_journal *)(const void *)((const char *)found -
                                                                         offsetof(memory_journal, by_key));
        if (strcmp(j->key, key) == 0 && strcmp(j->workflow, workflow) == 0) return j;
    }
    return NULL;
}

/* False when out of memory. A key that is taken gives a notice, a key that is free is kept. */
static bool take_key(memory_store *s, memory_journal *j, const orr_new_run *run) {
    const memory_journal *other = with_key(s, run->workflow, run->key);
    if (other == NULL) {
        hash_key(run->workflow, run->key, j->by_key.run);
        if (!keep_text(s, &j->workflow, run->workflow) || !keep_text(s, &j->key, run->key)) return false;
        j->keyed = orr_journals_add(&s->keys, &s->base.alloc, &j->by_key);
        return j->keyed;
    }
    char id[37];
    orr_run_text(other->base.run, id);
    orr_note *note = orr_note_new(&s->base.alloc, ORR_NOTICE_REFUSED, run->id, 0, NULL, id);
    if (note == NULL) return false;
    j->refused = true;
    orr_notes_add(&s->notes, note);
    if (s->base.wake != NULL) s->base.wake(s->base.ud);
    return true;
}

static orr_journal *create(orr_store *store, const orr_new_run *run) {
    memory_store *s = (memory_store *)store;
    memory_journal *j = orr_mem_new(&store->alloc, 1, sizeof *j);
    if (j == NULL) return NULL;
    j->base.store = store;
    j->live = true;
    memcpy(j->base.run, run->id, sizeof run->id);
    if ((run->key != NULL && !take_key(s, j, run)) ||
        (!j->refused && !orr_journals_add(&s->journals, &store->alloc, &j->base))) {
        free_journal(s, j);
        return NULL;
    }
    store->ticket++;
    return &j->base;
}

/* The messages of a run that was let go come again to who takes it over. */
static void repeat_messages(memory_store *s, const uint8_t run[16]) {
    orr_notes_forget(&s->notes, &s->base.alloc, run);
    for (message *l = s->messages; l != NULL; l = l->next)
        if (!l->taken && memcmp(l->run, run, sizeof l->run) == 0) {
            orr_note *note = orr_note_new(&s->base.alloc, ORR_NOTICE_MESSAGE, run, l->id,
                                          l->note->notice.name, l->note->notice.text);
            if (note != NULL) orr_notes_add(&s->notes, note);
        }
}

static orr_journal *claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                          orr_reason *reason) {
    memory_store *s = (memory_store *)store;
    memory_journal *j = (memory_journal *)orr_journals_find(&s->journals, run);
    char id[37];
    (void)force; /* takes a run from another process, and there is none */
    orr_run_text(run, id);
    *status = j == NULL ? ORR_ENOTFOUND : j->live ? ORR_ESTATE : ORR_OK;
    if (j == NULL) orr_reason_set(reason, "there is no run %s in this store", id);
    else if (j->live) orr_reason_set(reason, "this process runs %s already", id);
    if (*status != ORR_OK) return NULL;
    j->live = true;
    repeat_messages(s, run);
    return &j->base;
}

static bool reserve(memory_store *s, memory_journal *j, size_t more) {
    if (more <= j->capacity - j->used) return true;
    if (more > SIZE_MAX / 2 - j->capacity) return false;
    size_t capacity = j->capacity * 2 > j->used + more ? j->capacity * 2 : j->used + more;
    unsigned char *bytes = orr_mem_resize(&s->base.alloc, j->bytes, j->capacity, capacity, 1);
    if (bytes == NULL) return false;
    j->bytes = bytes;
    j->capacity = capacity;
    return true;
}

static orr_status append(orr_journal *journal, const void *bytes, size_t size) {
    memory_journal *j = (memory_journal *)journal;
    memory_store *s = (memory_store *)journal->store;
    if (!j->refused) {
        if (size > SIZE_MAX - sizeof size || !reserve(s, j, sizeof size + size)) return ORR_ENOMEM;
        memcpy(j->bytes + j->used, &size, sizeof size);
        if (size > 0) memcpy(j->bytes + j->used + sizeof size, bytes, size);
        j->used += sizeof size + size;
        j->ended = orr_record_ends(bytes, size);
    }
    s->base.ticket++;
    return ORR_OK;
}

static void release(orr_journal *journal, bool done) {
    memory_journal *j = (memory_journal *)journal;
    (void)done; /* there is no other process that could want to know */
    j->live = false;
    journal->store->ticket++;
    if (j->refused) free_journal((memory_store *)journal->store, j);
}

static orr_status read_journal(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                               void *ud, orr_reason *reason) {
    (void)reason;
    const memory_journal *j = (memory_journal *)orr_journals_find(&((memory_store *)store)->journals, run);
    if (j == NULL) return ORR_ENOTFOUND;
    uint64_t seq = 0;
    for (size_t at = 0; at < j->used;) {
        size_t size;
        memcpy(&size, j->bytes + at, sizeof size);
        at += sizeof size;
        if (++seq > after && !visit(ud, seq, j->bytes + at, size)) break;
        at += size;
    }
    return ORR_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void free_message(memory_store *s, message *l) {
    orr_notes one = {.shown = l->note};
    orr_notes_free(&one, &s->base.alloc);
    orr_mem_free(&s->base.alloc, l, l->size, 1);
}

static message *new_message(memory_store *s, const uint8_t run[16], const char *name, const char *text,
                            const char *dedup) {
    size_t size = sizeof(message) + (dedup != NULL ? strlen(dedup) : 0) + 1;
    message *l = orr_mem_new(&s->base.alloc, size, 1);
    if (l == NULL) return NULL;
    l->size = size;
    l->id = s->last_message + 1;
    memcpy(l->run, run, sizeof l->run);
    if (dedup != NULL) memcpy(l->dedup, dedup, strlen(dedup));
    l->note = orr_note_new(&s->base.alloc, ORR_NOTICE_MESSAGE, run, l->id, name, text);
    if (l->note == NULL) {
        orr_mem_free(&s->base.alloc, l, size, 1);
        return NULL;
    }
    return l;
}

static bool was_sent(const memory_store *s, const uint8_t run[16], const char *dedup) {
    for (const message *l = s->messages; l != NULL; l = l->next)
        if (memcmp(l->run, run, sizeof l->run) == 0 && l->dedup[0] != '\0' && strcmp(l->dedup, dedup) == 0)
            return true;
    return false;
}

static orr_status send_message(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                               const char *dedup, orr_reason *reason) {
    memory_store *s = (memory_store *)store;
    const memory_journal *j = (memory_journal *)orr_journals_find(&s->journals, run);
    char id[37];
    orr_run_text(run, id);
    if (dedup != NULL && was_sent(s, run, dedup)) return ORR_OK;
    if (j == NULL || j->ended) {
        orr_reason_set(reason,
                       j == NULL ? "there is no run %s in this store"
                                 : "the run %s has ended: nothing can be sent to it",
                       id);
        return j == NULL ? ORR_ENOTFOUND : ORR_ESTATE;
    }
    message *l = new_message(s, run, name, text, dedup);
    orr_notice_kind kind = !j->live && store->wants_work ? ORR_NOTICE_WORK : ORR_NOTICE_MESSAGE;
    orr_note *note = l != NULL ? orr_note_new(&store->alloc, kind, run, l->id, name, text) : NULL;
    if (note == NULL) {
        if (l != NULL) free_message(s, l);
        orr_reason_set(reason, "there is no memory left for a message");
        return ORR_ENOMEM;
    }
    s->last_message = l->id;
    message **link = &s->messages;
    while (*link != NULL) link = &(*link)->next;
    *link = l;
    orr_notes_add(&s->notes, note);
    if (store->wake != NULL) store->wake(store->ud);
    return ORR_OK;
}

static void take_message(memory_store *s, int64_t id) {
    message **link = &s->messages;
    while (*link != NULL && (*link)->id != id) link = &(*link)->next;
    message *l = *link;
    if (l == NULL) return;
    l->taken = true;
    if (l->dedup[0] == '\0') {
        *link = l->next;
        free_message(s, l);
    }
}

static bool next_notice(orr_store *store, orr_notice *notice) {
    memory_store *s = (memory_store *)store;
    orr_note *note;
    while ((note = orr_notes_take(&s->notes)) != NULL) {
        const memory_journal *j = (memory_journal *)orr_journals_find(&s->journals, note->notice.run);
        orr_notes_show(&s->notes, &store->alloc, note, notice);
        if (note->notice.kind != ORR_NOTICE_MESSAGE || (j != NULL && j->live))
            return true; /* one for a run that was let go waits for who takes it over */
    }
    orr_notes_show(&s->notes, &store->alloc, NULL, notice);
    return false;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool same_text(const orr_field *v, const orr_field *w) {
    return v->size == w->size && memcmp(v->bytes, w->bytes, v->size) == 0;
}

static row *new_row(memory_store *s, orr_row_kind kind, const orr_field *values, size_t n) {
    size_t size = sizeof(row) + n * sizeof(orr_field);
    for (size_t i = 0; i < n; i++)
        if (values[i].type >= ORR_FIELD_TEXT) size += values[i].size;
    row *r = orr_mem_new(&s->base.alloc, size, 1);
    if (r == NULL) return NULL;
    r->kind = kind;
    r->size = size;
    char *at = (char *)&r->values[n];
    for (size_t i = 0; i < n; i++) {
        r->values[i] = values[i];
        if (values[i].type < ORR_FIELD_TEXT) continue;
        r->values[i].bytes = at;
        if (values[i].size > 0) memcpy(at, values[i].bytes, values[i].size);
        at += values[i].size;
    }
    return r;
}

/* The link to the row with the same key, or to where one would stand. */
static row **find_row(memory_store *s, orr_row_kind kind, const orr_field *values) {
    row **link = &s->rows;
    for (; *link != NULL; link = &(*link)->next)
        if ((*link)->kind == kind && same_text(&(*link)->values[0], &values[0]) &&
            (kind != ORR_ROW_MODULE || same_text(&(*link)->values[1], &values[1])))
            break;
    return link;
}

/* With its notice. */
static bool write_state(memory_store *s, const orr_field *write, bool *made) {
    const orr_alloc *alloc = &s->base.alloc;
    orr_note *note = orr_note_new(alloc, ORR_NOTICE_STATE, NULL, write[ORR_STATE_TOKEN].integer, "made",
                                  NULL);
    if (note == NULL) return false;
    if (!orr_memory_state_write(&s->state, alloc, write, made)) {
        orr_notes one = {.shown = note};
        orr_notes_free(&one, alloc);
        return false;
    }
    if (!*made) note->notice.name = NULL;
    orr_notes_add(&s->notes, note);
    return true;
}

/* Room for the record is made first: then what was written has one. */
static orr_status append_state(orr_journal *journal, const orr_field *write, orr_bytes made,
                               orr_bytes refused) {
    memory_journal *j = (memory_journal *)journal;
    memory_store *s = (memory_store *)journal->store;
    bool was_made;
    size_t room = made.size > refused.size ? made.size : refused.size;
    if (!reserve(s, j, sizeof room + room) || !write_state(s, write, &was_made)) return ORR_ENOMEM;
    return append(journal, was_made ? made.bytes : refused.bytes, was_made ? made.size : refused.size);
}

static orr_status get_state(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                            void *ud, orr_reason *reason) {
    (void)reason; /* memory is not damaged */
    const orr_field place[] = {orr_field_text(workflow), orr_field_text(key)};
    const orr_field *kept = orr_memory_state_find(&((memory_store *)store)->state, &place[0], &place[1]);
    if (kept == NULL) return ORR_ENOTFOUND;
    visit(ud, kept, ORR_STATE_KEPT);
    return ORR_OK;
}

static orr_status put(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n) {
    memory_store *s = (memory_store *)store;
    bool made;
    if (kind == ORR_ROW_STATE && !write_state(s, values, &made)) return ORR_ENOMEM;
    if (kind == ORR_ROW_TAKEN) take_message(s, values[0].integer);
    /* these are for tables, of which there are none */
    bool for_tables = kind == ORR_ROW_LOG || kind == ORR_ROW_PUBLISHED || kind == ORR_ROW_WHY ||
                      kind == ORR_ROW_WORKERS;
    if (kind != ORR_ROW_TAKEN && kind != ORR_ROW_STATE && !for_tables) {
        row **link = find_row(s, kind, values), *old = *link;
        if (old == NULL || kind == ORR_ROW_CACHE) {
            row *r = new_row(s, kind, values, n);
            if (r == NULL) return ORR_ENOMEM;
            r->next = old != NULL ? old->next : NULL;
            *link = r;
            if (old != NULL) orr_mem_free(&store->alloc, old, old->size, 1);
        }
    }
    store->ticket++;
    return ORR_OK;
}

static orr_status get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                      orr_reason *reason) {
    (void)reason; /* memory is not damaged */
    const memory_store *s = (memory_store *)store;
    orr_field wanted = {.type = ORR_FIELD_TEXT, .bytes = key, .size = strlen(key)};
    orr_status status = ORR_ENOTFOUND;
    for (const row *r = s->rows; r != NULL; r = r->next)
        if (r->kind == kind && same_text(&r->values[0], &wanted)) {
            status = ORR_OK;
            if (!visit(ud, r->values, orr_row_columns(kind))) break;
        }
    return status;
}

/* ---- the store ------------------------------------------------------------------------------- */

static orr_status drop(orr_store *store, const uint8_t run[16]) {
    memory_store *s = (memory_store *)store;
    memory_journal *j = (memory_journal *)orr_journals_find(&s->journals, run);
    if (j == NULL || j->live) return j == NULL ? ORR_ENOTFOUND : ORR_ESTATE;
    orr_notes_forget(&s->notes, &store->alloc, run);
    for (message **link = &s->messages, *l; (l = *link) != NULL;) {
        if (memcmp(l->run, run, sizeof l->run) != 0) {
            link = &l->next;
            continue;
        }
        *link = l->next;
        free_message(s, l);
    }
    orr_journals_remove(&s->journals, &j->base);
    free_journal(s, j);
    return ORR_OK;
}

static uint64_t durable(const orr_store *store) {
    return store->ticket;
}

static void submit(orr_store *store, bool urgent) {
    (void)store;
    (void)urgent;
}

static orr_status nothing_to_do(orr_store *store) {
    (void)store;
    return ORR_OK;
}

static orr_status nothing_to_project(orr_store *store, orr_reason *reason) {
    (void)store;
    (void)reason;
    return ORR_OK;
}

static orr_status no_tables(orr_reason *reason) {
    orr_reason_set(reason, "a store in memory has no tables: use --store sqlite:PATH for one that has");
    return ORR_ESTATE;
}

static orr_status query(orr_store *store, orr_query query, const orr_field *values,
                        const orr_store_reader *reader, orr_reason *reason) {
    (void)store, (void)query, (void)values, (void)reader;
    return no_tables(reason);
}

static orr_status change(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                         orr_reason *reason) {
    (void)store, (void)change, (void)values;
    *changed = 0;
    return no_tables(reason);
}

static orr_status select_rows(orr_store *store, const orr_statement *statement,
                              const orr_store_reader *reader, orr_reason *reason) {
    (void)store, (void)statement, (void)reader;
    return no_tables(reason);
}

static orr_status execute(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                          orr_reason *reason) {
    (void)store, (void)statements, (void)n;
    *changed = 0;
    return no_tables(reason);
}

static orr_status owner_of(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason) {
    (void)store;
    *state = ORR_OWNER_GONE;
    orr_reason_set(reason, "there is no owner %lld: a store in memory has none", (long long)owner);
    return ORR_ENOTFOUND;
}

static orr_status backup(orr_store *store, const char *path, orr_reason *reason) {
    (void)store, (void)path;
    return no_tables(reason);
}

static void close_store(orr_store *store) {
    memory_store *s = (memory_store *)store;
    orr_alloc alloc = store->alloc;
    for (orr_journal *j; (j = orr_journals_any(&s->journals)) != NULL;) {
        orr_journals_remove(&s->journals, j);
        free_journal(s, (memory_journal *)j);
    }
    orr_journals_free(&s->journals, &alloc);
    orr_journals_free(&s->keys, &alloc);
    orr_notes_free(&s->notes, &alloc);
    orr_memory_state_free(&s->state, &alloc);
    for (message *l; (l = s->messages) != NULL;) {
        s->messages = l->next;
        free_message(s, l);
    }
    for (row *r; (r = s->rows) != NULL;) {
        s->rows = r->next;
        orr_mem_free(&alloc, r, r->size, 1);
    }
    orr_mem_free(&alloc, s, 1, sizeof *s);
}

orr_store *orr_store_memory(const orr_store_options *options) {
    static const orr_store_class class = {.kind = "memory",
                                          .close = close_store,
                                          .create = create,
                                          .claim = claim,
                                          .append = append,
                                          .release = release,
                                          .read = read_journal,
                                          .drop = drop,
                                          .put = put,
                                          .get = get,
                                          .append_state = append_state,
                                          .state = get_state,
                                          .durable = durable,
                                          .submit = submit,
                                          .sync = nothing_to_do,
                                          .notice = next_notice,
                                          .send = send_message,
                                          .project = nothing_to_project,
                                          .query = query,
                                          .change = change,
                                          .select = select_rows,
                                          .execute = execute,
                                          .backup = backup,
                                          .owner = owner_of};
    memory_store *s = orr_mem_new(&options->alloc, 1, sizeof *s);
    if (s == NULL) return NULL;
    s->base = orr_store_base(&class, options);
    return &s->base;
}
