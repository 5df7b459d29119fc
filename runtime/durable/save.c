/* save.c - the live runs of a runtime as bytes, and back: what a saved game is made of.
 *
 * A save is the journals of its runs, and nothing else of them: what goes on from it is a fold over
 * the same records, as after a restart. Numbers are 8 bytes, the lowest first; texts and journals
 * are such a size and their bytes.
 *
 *   "ORRSAVE" 1           the format, and its version
 *   time                  of the runtime, ns
 *   n                     runs, and of each
 *     id                  16 bytes
 *     flags               1: another run called it
 *     workflow, hash      its name; of its definition, "" where that is not known
 *     journal             a list of records (record.h); the last one of a run that goes on says
 *                         that it was let go in good order
 *   size, CRC-32C         of all before them; the second in 4 bytes
 */
#include "durable/inner.h"
#include "store/record/record.h"
#include <string.h>

static const unsigned char magic[8] = {'O', 'R', 'R', 'S', 'A', 'V', 'E', 1};
enum { NUMBER = 8, END = NUMBER + 4, CHILD = 1, LEAST = sizeof magic + 2 * NUMBER + END };

/* A child of a save that its parent has not come to yet: it is in the store, and no run. */
struct orr_put_child {
    struct orr_put_child *next;
    uint8_t id[16];
    char workflow[256];
};

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct buffer {
    orr_alloc alloc;
    unsigned char *bytes;
    size_t used, room;
    uint64_t seq;  /* of the last record that was put */
    bool ended;    /* it ends the run */
    bool in_store; /* values may stand somewhere else */
    bool apart;    /* one of them does */
    bool no_memory;
} buffer;

static bool reserve(buffer *b, size_t more) {
    if (more <= b->room - b->used) return true;
    size_t room = b->room * 2 > b->used + more ? b->room * 2 : b->used + more + 256;
    unsigned char *bytes = orr_mem_resize(&b->alloc, b->bytes, b->room, room, 1);
    if (!bytes) {
        b->no_memory = true;
        return false;
    }
    b->bytes = bytes;
    b->room = room;
    return true;
}

static bool put(buffer *b, const void *bytes, size_t size) {
    if (!reserve(b, orr_records_size(size))) return false;
    b->used = (size_t)(orr_records_put(b->bytes + b->used, bytes, size) - b->bytes);
    return true;
}

/* A value in the table of blobs, or rows in a file, are no part of the journal. */
static bool stands_apart(const orr_entry *e) {
    static const char rows[] = "{\"$rows\":", list[] = "{\"$list\":";
    if (e->is_blob) return true;
    const char *at = e->payload;
    for (size_t left = e->payload_size; left >= sizeof rows;) {
        const char *next = memchr(at, '{', left);
        if (!next) return false;
        left -= (size_t)(next - at);
        if (left >= sizeof rows &&
            (memcmp(next, rows, sizeof rows - 1) == 0 || memcmp(next, list, sizeof list - 1) == 0))
            return true;
        at = next + 1;
        left--;
    }
    return false;
}

static bool take(void *ud, uint64_t seq, const void *bytes, size_t size) {
    buffer *b = ud;
    orr_entry e;
    orr_error error;
    if (b->in_store && orr_entry_decode(bytes, size, &e, &error) == ORR_OK && stands_apart(&e))
        b->apart = true;
    b->seq = seq;
    b->ended = orr_record_ends(bytes, size);
    return !b->apart && put(b, bytes, size);
}

/* Attempts that are under way do not count as crashed. */
static bool put_suspended(buffer *b, const orr_runbox *r) {
    unsigned char bytes[256]; /* its bound is 163 */
    orr_entry e = {.record = {.kind = ORR_REC_SUSPENDED,
                              .seq = b->seq + 1,
                              .time = orr_run_time_now(r),
                              .task = {ORR_NONE, ORR_NONE, 0, 0},
                              .port = ORR_PORT_ANY}};
    return orr_entry_bound(&e) <= sizeof bytes && put(b, bytes, orr_entry_encode(&e, bytes));
}

typedef struct saving {
    orr_rtbox *rt;
    const orr_save_io *io;
    buffer records;
    uint64_t size;
    uint32_t crc;
    orr_reason *reason;
} saving;

static orr_status write_bytes(saving *s, const void *bytes, size_t size) {
    s->crc = orr_crc32c(s->crc, bytes, size);
    s->size += size;
    if (s->io->write(s->io->ud, bytes, size) == 0) return ORR_OK;
    orr_reason_set(s->reason, "the program's function has not written the save");
    return ORR_EIO;
}

static void put_little(unsigned char *to, uint64_t n, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(n >> (8 * i));
}

static orr_status write_number(saving *s, uint64_t n) {
    unsigned char bytes[NUMBER];
    put_little(bytes, n, NUMBER);
    return write_bytes(s, bytes, sizeof bytes);
}

static orr_status write_block(saving *s, const void *bytes, size_t size) {
    orr_status status = write_number(s, size);
    return status == ORR_OK ? write_bytes(s, bytes, size) : status;
}

static orr_status no_memory(orr_reason *reason) {
    orr_reason_set(reason, "not enough memory for the save");
    return ORR_ENOMEM;
}

/* r NULL: of a run that waits in the store as it was put there. */
static orr_status gather_records(saving *s, const uint8_t id[16], const orr_runbox *r) {
    buffer *b = &s->records;
    b->used = 0;
    b->ended = b->apart = b->no_memory = false;
    orr_status status = orr_store_read(orr_storage_any(s->rt), id, 0, take, b, s->reason);
    if (b->apart) {
        orr_reason_set(
            s->reason,
            "run %s has values that stand beside its journal, in its store; what is saved so keeps "
            "its outputs below the size of large ones",
            r->id);
        return ORR_ESTATE;
    }
    bool whole = !b->no_memory && (status != ORR_OK || b->ended || !r || put_suspended(b, r));
    return !whole ? no_memory(s->reason) : status;
}

static orr_status write_run(saving *s, const uint8_t id[16], const char *name, const orr_runbox *r) {
    const char *hash = r ? s->io->hash(s->io->ud, r->plan->plan) : NULL;
    orr_status status = gather_records(s, id, r);
    if (!hash) hash = "";
    if (status == ORR_OK) status = write_bytes(s, id, 16);
    if (status == ORR_OK) status = write_number(s, !r || r->child ? CHILD : 0);
    if (status == ORR_OK) status = write_block(s, name, strlen(name));
    if (status == ORR_OK) status = write_block(s, hash, strlen(hash));
    return status == ORR_OK ? write_block(s, s->records.bytes, s->records.used) : status;
}

/* A child that has ended is saved with its parent, which may not have its result yet. */
static bool is_saved(const orr_runbox *r) {
    return r->run && !r->incomplete && (r->live || (r->child && r->journal));
}

static bool stop(void *ud, uint64_t seq, const void *bytes, size_t size) {
    (void)ud, (void)seq, (void)bytes, (void)size;
    return false;
}

static bool is_waiting(const orr_rtbox *rt, const uint8_t id[16]) {
    orr_reason reason;
    return !orr_run_by_id(rt, id) &&
           orr_store_read(orr_storage_any(rt), id, 0, stop, NULL, &reason) == ORR_OK;
}

/* All of them keep a journal. */
static orr_status count_runs(const orr_rtbox *rt, uint64_t *n, orr_reason *reason) {
    for (const orr_runbox *r = rt->runs; r; r = r->next) {
        if (!is_saved(r)) continue;
        if (!r->journal) {
            orr_reason_set(reason, "run %s of workflow %s keeps no journal, so it cannot be saved", r->id,
                           r->plan->plan->name);
            return ORR_ESTATE;
        }
        ++*n;
    }
    for (const struct orr_put_child *c = rt->put; c; c = c->next) *n += is_waiting(rt, c->id);
    return ORR_OK;
}

static orr_status write_end(saving *s) {
    unsigned char end[END];
    put_little(end, s->size, NUMBER);
    put_little(end + NUMBER, s->crc, END - NUMBER);
    return write_bytes(s, end, sizeof end);
}

/* The list of runs has the latest first. */
static orr_status write_runs(saving *s) {
    const orr_runbox *r = s->rt->runs;
    orr_status status = ORR_OK;
    while (r && r->next) r = r->next;
    for (; r && status == ORR_OK; r = r->prev)
        if (is_saved(r)) status = write_run(s, orr_run_id_of(r->run), r->plan->plan->name, r);
    for (const struct orr_put_child *c = s->rt->put; c && status == ORR_OK; c = c->next)
        if (is_waiting(s->rt, c->id)) status = write_run(s, c->id, c->workflow, NULL);
    return status;
}

orr_status orr_runs_save(orr_rtbox *rt, const orr_save_io *io, orr_reason *reason) {
    saving s = {.rt = rt,
                .io = io,
                .records = {.alloc = rt->base.script->alloc, .in_store = rt->durable},
                .reason = reason};
    uint64_t n = 0;
    orr_status status = count_runs(rt, &n, reason);
    if (status != ORR_OK) return status;
    if (rt->durable) orr_storage_wait(rt, orr_store_ticket(orr_storage_any(rt)));
    status = write_bytes(&s, magic, sizeof magic);
    if (status == ORR_OK) status = write_number(&s, (uint64_t)orr_engine_now(rt->base.engine));
    if (status == ORR_OK) status = write_number(&s, n);
    if (status == ORR_OK) status = write_runs(&s);
    orr_mem_free(&s.records.alloc, s.records.bytes, s.records.room, 1);
    return status == ORR_OK ? write_end(&s) : status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t little(const unsigned char *at, int n) {
    uint64_t value = 0;
    while (n > 0) value = value << 8 | at[--n];
    return value;
}

/* Whether bytes are a save, whole and as it was written. */
static bool is_whole(const unsigned char *bytes, size_t size, orr_reason *reason) {
    const char *problem = NULL;
    const unsigned char *end = bytes + size - END;
    if (size < sizeof magic || memcmp(bytes, magic, sizeof magic - 1) != 0)
        problem = "these bytes are no save";
    else if (bytes[sizeof magic - 1] != magic[sizeof magic - 1])
        problem = "the save was written by another version, which this one cannot read";
    else if (size < LEAST || little(end, NUMBER) != size - END)
        problem = "the save is cut off, or something was added to it";
    else if (little(end + NUMBER, END - NUMBER) != orr_crc32c(0, bytes, size - END))
        problem = "the save is damaged: its bytes are not those that were written";
    if (problem) orr_reason_set(reason, "%s", problem);
    return problem == NULL;
}

static bool get_number(const unsigned char **at, const unsigned char *end, uint64_t *n) {
    if (end - *at < NUMBER) return false;
    *n = little(*at, NUMBER);
    *at += NUMBER;
    return true;
}

static bool get_block(const unsigned char **at, const unsigned char *end, const unsigned char **bytes,
                      size_t *size) {
    uint64_t n;
    if (!get_number(at, end, &n) || n > (uint64_t)(end - *at)) return false;
    *bytes = *at;
    *size = (size_t)n;
    *at += n;
    return true;
}

/* Texts are copied, so that they end with a NUL. */
static bool read_text(const unsigned char **at, const unsigned char *end, char *to, size_t room) {
    const unsigned char *bytes;
    size_t size;
    if (!get_block(at, end, &bytes, &size) || size >= room || memchr(bytes, 0, size)) return false;
    if (size > 0) memcpy(to, bytes, size);
    to[size] = '\0';
    return true;
}

static bool read_run(const unsigned char **at, const unsigned char *end, orr_saved_run *run) {
    uint64_t flags;
    if ((size_t)(end - *at) < sizeof run->id) return false;
    memcpy(run->id, *at, sizeof run->id);
    *at += sizeof run->id;
    if (!get_number(at, end, &flags) || flags > CHILD ||
        !read_text(at, end, run->workflow, sizeof run->workflow) ||
        !read_text(at, end, run->hash, sizeof run->hash) || !get_block(at, end, &run->journal, &run->size))
        return false;
    run->child = flags == CHILD;
    return orr_records_count(run->journal, run->size) > 0;
}

orr_status orr_saved_read(const unsigned char *bytes, size_t size, orr_saved *saved, orr_reason *reason) {
    if (!is_whole(bytes, size, reason)) return ORR_EINVAL;
    const unsigned char *at = bytes + sizeof magic, *end = bytes + size - END;
    orr_saved_run run;
    uint64_t time = 0;
    bool fits = get_number(&at, end, &time) && get_number(&at, end, &saved->left);
    saved->time = (int64_t)time;
    saved->at = at;
    saved->end = end;
    for (uint64_t i = 0; fits && i < saved->left; i++) fits = read_run(&at, end, &run);
    if (fits && at == end) return ORR_OK;
    orr_reason_set(reason, "the save is damaged: it does not say what a save says");
    return ORR_EINVAL;
}

bool orr_saved_next(orr_saved *saved, orr_saved_run *run) {
    if (saved->left == 0) return false;
    saved->left--;
    return read_run(&saved->at, saved->end, run);
}

static orr_status append_all(orr_journal *journal, const orr_saved_run *run) {
    const unsigned char *at = run->journal, *end = at + run->size, *record;
    orr_status status = ORR_OK;
    size_t size;
    for (uint64_t seq = 1; status == ORR_OK && at < end && orr_records_next(&at, end, &record, &size); seq++)
        status = orr_store_append(journal, seq, record, size);
    return status;
}

static orr_journal *put_journal(lua_State *L, orr_rtbox *rt, const orr_saved_run *run) {
    orr_new_run row = {.workflow = run->workflow, .created = orr_engine_now(rt->base.engine)};
    orr_reason reason;
    char id[40];
    memcpy(row.id, run->id, sizeof row.id);
    orr_uuid_format(id, run->id);
    if (!rt->storage) orr_storage_open(L, rt, NULL, ORR_DURABLE_STRICT);
    orr_store *store = orr_storage_any(rt);
    if (orr_run_by_id(rt, run->id) ||
        orr_store_read(store, run->id, 0, stop, NULL, &reason) != ORR_ENOTFOUND) {
        lua_pushfstring(L, "there is a run %s already: a save is loaded where its runs are not", id);
        orr_push_final_error(L, rt->base.script, "duplicate_id");
        lua_error(L);
    }
    orr_journal *journal = orr_store_create(store, &row);
    if (!journal) luaL_error(L, "not enough memory for a journal");
    if (append_all(journal, run) == ORR_OK) return journal;
    orr_store_release(journal, true);
    orr_store_drop(store, run->id);
    luaL_error(L, "not enough memory for a journal");
    return NULL;
}

void orr_saved_put(lua_State *L, orr_rtbox *rt, const orr_saved_run *run) {
    orr_store_release(put_journal(L, rt, run), true);
    struct orr_put_child *c = orr_mem_new(&rt->base.script->alloc, 1, sizeof *c);
    if (!c) {
        luaL_error(L, "not enough memory for a run");
        return;
    }
    memcpy(c->id, run->id, sizeof c->id);
    memcpy(c->workflow, run->workflow, sizeof c->workflow);
    c->next = rt->put;
    rt->put = c;
}

void orr_saved_forget(orr_rtbox *rt) {
    for (struct orr_put_child *c = rt->put, *next; c; c = next) {
        next = c->next;
        orr_mem_free(&rt->base.script->alloc, c, 1, sizeof *c);
    }
    rt->put = NULL;
}

orr_runbox *orr_saved_go_on(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts,
                            const orr_saved_run *run) {
    return orr_restore_journal(L, &(orr_restored){rt, rt_idx, plan, opts, put_journal(L, rt, run)}, run->id);
}

void orr_saved_drop(orr_rtbox *rt, const orr_saved_run *run) {
    if (rt->storage && !orr_run_by_id(rt, run->id)) orr_store_drop(orr_storage_any(rt), run->id);
}
