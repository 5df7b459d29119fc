/* store.c - the store on a simulated disk: what it is given waits in one queue, and goes to the
 * disk in transactions. */
#include "store/sim/inner.h"

#include <stdlib.h>

enum { RELAXED_TURNS = 3 }; /* for which a commit nobody waits for is put off */

typedef struct sim_store {
    orr_store base;
    orr_disk *disk;
    orr_sim_op *first, **end;
    orr_sim_journal *journals;
    uint64_t submitted, durable; /* tickets */
    bool committing;             /* a commit has been begun: its fault is known */
    bool lazy;                   /* it takes turns only because nobody waits for it */
    bool written;                /* it is on the disk, but that was not said */
    bool failing;                /* FAILED was said, and not WORKS */
    bool told;                   /* that the process has died */
    uint32_t turns;              /* until it ends */
    uint64_t to;                 /* the last ticket of it */
    orr_notes notes;
} sim_store;

static sim_store *of(const orr_store *store) {
    return (sim_store *)(uintptr_t)store;
}

static void wake(const sim_store *s) {
    if (s->base.wake != NULL) s->base.wake(s->base.ud);
}

/* ---- to the disk ----------------------------------------------------------------------------- */

static void drop_journal(sim_store *s, orr_sim_journal *j) {
    if (j->next != NULL) j->next->prev = j->prev;
    *(j->prev != NULL ? &j->prev->next : &s->journals) = j->next;
    orr_sim_op_free(&s->base.alloc, j->release);
    orr_mem_free(&s->base.alloc, j, 1, sizeof *j);
}

static orr_status apply_release(sim_store *s, const orr_sim_op *op) {
    if (op->journal->kept != NULL) orr_store_release(op->journal->kept, op->done);
    drop_journal(s, op->journal);
    return ORR_OK;
}

static orr_status apply_record(sim_store *s, const orr_sim_op *op) {
    orr_journal *kept = op->journal->kept;
    uint64_t seq = kept->last + 1;
    orr_status status = op->kind == ORR_SIM_STATE
                            ? orr_store_append_state(kept, seq, op->values, op->made, op->refused)
                            : orr_store_append(kept, seq, op->made.bytes, op->made.size);
    if (status == ORR_OK) s->disk->records++;
    return status;
}

static orr_status apply(sim_store *s, const orr_sim_op *op) {
    switch (op->kind) {
    case ORR_SIM_CREATE:
        op->journal->kept = orr_store_create(s->disk->kept, &op->run);
        return op->journal->kept != NULL ? ORR_OK : ORR_ENOMEM;
    case ORR_SIM_PUT: return orr_store_put(s->disk->kept, op->row, op->values, op->n);
    case ORR_SIM_RELEASE: return apply_release(s, op);
    case ORR_SIM_APPEND:
    case ORR_SIM_STATE:
    default: return apply_record(s, op);
    }
}

static void drop_ops(sim_store *s) {
    for (orr_sim_op *op; (op = s->first) != NULL;) {
        s->first = op->next;
        if (op->kind == ORR_SIM_RELEASE) apply_release(s, op);
        orr_sim_op_free(&s->base.alloc, op);
    }
    s->end = &s->first;
}

/* A transaction may be split between two records, but not beside a row: what came with a record is
 * there with it or not at all. */
static bool may_split(const orr_sim_op *op) {
    return op->kind == ORR_SIM_APPEND &&
           (op->next == NULL || op->next->kind == ORR_SIM_APPEND || op->next->kind == ORR_SIM_CREATE);
}

static bool dies_with(const sim_store *s, const orr_sim_op *op, uint64_t to) {
    const orr_disk *disk = s->disk;
    return disk->crash_at != 0 && disk->records >= disk->crash_at && (may_split(op) || op->ticket == to);
}

/* Writes what was queued up to that ticket. False where memory is short: the rest comes later. */
static bool write_ops(sim_store *s, uint64_t to) {
    while (s->first != NULL && s->first->ticket <= to && !s->disk->crashed) {
        orr_sim_op *op = s->first;
        if (apply(s, op) != ORR_OK) return false;
        bool dies = dies_with(s, op, to);
        s->first = op->next;
        if (s->first == NULL) s->end = &s->first;
        orr_sim_op_free(&s->base.alloc, op);
        if (dies) orr_disk_crash(s->disk);
    }
    return true;
}

/* ---- commits --------------------------------------------------------------------------------- */

static void say(sim_store *s, orr_notice_kind kind, const char *text) {
    orr_note *note = orr_note_new(&s->base.alloc, kind, NULL, 0, NULL, text);
    if (note != NULL) orr_notes_add(&s->notes, note);
}

static void begin_commit(sim_store *s, bool urgent) {
    orr_disk_planned fault;
    s->committing = true;
    s->to = s->submitted;
    s->turns = urgent ? 0 : RELAXED_TURNS;
    s->written = false;
    s->lazy = !orr_disk_take_fault(s->disk, ++s->disk->commits, &fault);
    if (s->lazy) return;
    s->turns = fault.turns;
    if (fault.fault == ORR_DISK_SLOW) return;
    s->failing = true;
    say(s, ORR_NOTICE_FAILED, "the simulated disk gives an I/O error");
    if (fault.fault == ORR_DISK_UNSURE) s->written = write_ops(s, s->to);
}

static void end_commit(sim_store *s) {
    if (!s->written && !write_ops(s, s->to)) {
        s->turns = 1;
        return;
    }
    if (s->disk->crashed) return;
    s->committing = false;
    s->durable = s->to;
    if (s->failing) say(s, ORR_NOTICE_WORKS, NULL);
    s->failing = false;
}

/* Goes on with the commit as far as it comes in this turn, and with the next. */
static void go_on(sim_store *s, bool urgent) {
    while (!s->disk->crashed && (s->committing || s->durable < s->submitted)) {
        if (!s->committing) begin_commit(s, urgent);
        if (s->turns == 0) end_commit(s);
        if (s->turns > 0) break;
    }
    if (s->committing || s->disk->crashed) wake(s);
}

static void submit(orr_store *store, bool urgent) {
    sim_store *s = of(store);
    s->submitted = store->ticket;
    if (urgent && s->lazy) s->turns = 0;
    go_on(s, urgent);
}

static void tick(sim_store *s) {
    if (!s->committing || s->disk->crashed) return;
    if (s->turns > 0) s->turns--;
    go_on(s, true);
    wake(s); /* what is durable now is looked at in the next turn */
}

static uint64_t durable(const orr_store *store) {
    return of(store)->durable;
}

static orr_status sync(orr_store *store) {
    sim_store *s = of(store);
    s->submitted = store->ticket;
    while (!s->disk->crashed && (s->committing || s->durable < s->submitted)) {
        s->turns = 0;
        uint64_t before = s->durable;
        bool was = s->committing;
        go_on(s, true);
        if (was && s->committing && s->durable == before) return ORR_EIO;
    }
    return s->disk->crashed ? ORR_EIO : ORR_OK;
}

/* ---- what is queued -------------------------------------------------------------------------- */

/* Of a process that has died nothing is queued. */
static orr_status queue(sim_store *s, orr_sim_op *op, orr_sim_journal *journal) {
    if (op == NULL) return ORR_ENOMEM;
    op->journal = journal;
    op->ticket = ++s->base.ticket;
    *s->end = op;
    s->end = &op->next;
    if (s->disk->crashed) drop_ops(s);
    return ORR_OK;
}

static orr_sim_journal *new_journal(sim_store *s, const uint8_t run[16], orr_journal *kept) {
    orr_sim_journal *j = orr_mem_new(&s->base.alloc, 1, sizeof *j);
    orr_sim_op *at_last = orr_sim_op_release(&s->base.alloc);
    if (j == NULL || at_last == NULL) {
        orr_sim_op_free(&s->base.alloc, at_last);
        orr_mem_free(&s->base.alloc, j, 1, sizeof *j);
        return NULL;
    }
    j->base.store = &s->base;
    j->release = at_last;
    for (int i = 0; i < 16; i++) j->base.run[i] = run[i];
    j->kept = kept;
    j->base.last = kept != NULL ? kept->last : 0;
    j->next = s->journals;
    if (j->next != NULL) j->next->prev = j;
    s->journals = j;
    return j;
}

static orr_journal *create(orr_store *store, const orr_new_run *run) {
    sim_store *s = of(store);
    orr_sim_journal *j = new_journal(s, run->id, NULL);
    if (j == NULL) return NULL;
    if (queue(s, orr_sim_op_create(&store->alloc, run), j) == ORR_OK) return &j->base;
    drop_journal(s, j);
    return NULL;
}

static orr_status append(orr_journal *journal, const void *bytes, size_t size) {
    sim_store *s = of(journal->store);
    return queue(s, orr_sim_op_append(&s->base.alloc, bytes, size), (orr_sim_journal *)journal);
}

static orr_status append_state(orr_journal *journal, const orr_field *write, orr_bytes made,
                               orr_bytes refused) {
    sim_store *s = of(journal->store);
    return queue(s, orr_sim_op_state(&s->base.alloc, write, made, refused), (orr_sim_journal *)journal);
}

static orr_status put(orr_store *store, orr_row_kind kind, const orr_field *values, size_t n) {
    return queue(of(store), orr_sim_op_put(&store->alloc, kind, values, n), NULL);
}

static void release(orr_journal *journal, bool done) {
    orr_sim_journal *j = (orr_sim_journal *)journal;
    orr_sim_op *op = j->release;
    j->release = NULL;
    op->done = done;
    queue(of(journal->store), op, j);
}

/* ---- what is read ---------------------------------------------------------------------------- */

static orr_journal *claim(orr_store *store, const uint8_t run[16], bool force, orr_status *status,
                          orr_reason *reason) {
    sim_store *s = of(store);
    sync(store); /* as one that waits for the disk */
    orr_journal *kept = orr_store_claim(s->disk->kept, run, force, status, reason);
    if (kept == NULL) return NULL;
    orr_sim_journal *j = new_journal(s, run, kept);
    if (j != NULL) return &j->base;
    orr_store_release(kept, false);
    *status = ORR_ENOMEM;
    return NULL;
}

static orr_status read_journal(orr_store *store, const uint8_t run[16], uint64_t after, orr_store_visit visit,
                               void *ud, orr_reason *reason) {
    return orr_store_read(of(store)->disk->kept, run, after, visit, ud, reason);
}

static orr_status drop(orr_store *store, const uint8_t run[16]) {
    return orr_store_drop(of(store)->disk->kept, run);
}

static orr_status get(orr_store *store, orr_row_kind kind, const char *key, orr_store_row visit, void *ud,
                      orr_reason *reason) {
    return orr_store_get(of(store)->disk->kept, kind, key, visit, ud, reason);
}

static orr_status get_state(orr_store *store, const char *workflow, const char *key, orr_store_row visit,
                            void *ud, orr_reason *reason) {
    return orr_store_state(of(store)->disk->kept, workflow, key, visit, ud, reason);
}

static orr_status send(orr_store *store, const uint8_t run[16], const char *name, const char *text,
                       const char *dedup, orr_reason *reason) {
    return orr_store_send(of(store)->disk->kept, run, name, text, dedup, reason);
}

/* Every turn asks: so the commit gets on. What is on the disk is not told to who has died. */
static bool notice(orr_store *store, orr_notice *notice) {
    sim_store *s = of(store);
    tick(s);
    if (s->disk->crashed && !s->told) say(s, ORR_NOTICE_LOST, "the simulated process has died");
    s->told = s->disk->crashed;
    orr_note *note = orr_notes_take(&s->notes);
    orr_notes_show(&s->notes, &store->alloc, note, notice);
    return note != NULL || (!s->disk->crashed && orr_store_notice(s->disk->kept, notice));
}

static orr_status project(orr_store *store, orr_reason *reason) {
    return orr_store_project(of(store)->disk->kept, reason);
}

/* Nobody has paused or kept anything that is asked for: what has no tables has no rows. */
static orr_status query(orr_store *store, orr_query query, const orr_field *values,
                        const orr_store_reader *reader, orr_reason *reason) {
    (void)store, (void)query, (void)values, (void)reader, (void)reason;
    return ORR_OK;
}

static orr_status change(orr_store *store, orr_change change, const orr_field *values, int64_t *changed,
                         orr_reason *reason) {
    return orr_store_change(of(store)->disk->kept, change, values, changed, reason);
}

static orr_status select_rows(orr_store *store, const orr_statement *statement,
                              const orr_store_reader *reader, orr_reason *reason) {
    return orr_store_select(of(store)->disk->kept, statement, reader, reason);
}

static orr_status execute(orr_store *store, const orr_statement *statements, size_t n, int64_t *changed,
                          orr_reason *reason) {
    return orr_store_execute(of(store)->disk->kept, statements, n, changed, reason);
}

static orr_status backup(orr_store *store, const char *path, orr_reason *reason) {
    return orr_store_backup(of(store)->disk->kept, path, reason);
}

static orr_status owner_of(orr_store *store, int64_t owner, orr_owner_state *state, orr_reason *reason) {
    return orr_store_owner(of(store)->disk->kept, owner, state, reason);
}

static bool displaced(const orr_store *store, orr_notice_kind *why) {
    *why = ORR_NOTICE_LOST;
    return of(store)->disk->crashed;
}

static bool owns(const orr_store *store) {
    return !of(store)->disk->crashed;
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* What the process held is free again, as a kernel does it. */
static void close_store(orr_store *store) {
    sim_store *s = of(store);
    orr_alloc alloc = store->alloc;
    drop_ops(s);
    for (orr_sim_journal *j; (j = s->journals) != NULL;) {
        if (j->kept != NULL) orr_store_release(j->kept, false);
        drop_journal(s, j);
    }
    orr_notes_free(&s->notes, &alloc);
    s->disk->open = NULL;
    if (s->disk->forgotten) orr_disk_free(s->disk);
    orr_mem_free(&alloc, s, 1, sizeof *s);
}

static orr_store *open_sim(const char *url, const char *rest, const orr_store_options *options,
                           orr_reason *reason) {
    static const orr_store_class class = {.kind = "sim",
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
                                          .sync = sync,
                                          .notice = notice,
                                          .send = send,
                                          .project = project,
                                          .query = query,
                                          .change = change,
                                          .select = select_rows,
                                          .execute = execute,
                                          .backup = backup,
                                          .owner = owner_of,
                                          .displaced = displaced,
                                          .owns = owns};
    char *end;
    orr_disk *disk = orr_disk_find(strtoull(rest, &end, 10));
    if (disk == NULL || *rest == '\0' || *end != '\0' || disk->open != NULL) {
        orr_reason_set(reason, "the store '%s' is that of a simulation, and there is none now: name a file",
                       url);
        return NULL;
    }
    sim_store *s = orr_mem_new(&options->alloc, 1, sizeof *s);
    if (s == NULL) {
        orr_reason_set(reason, "there is no memory left for a store");
        return NULL;
    }
    s->base = orr_store_base(&class, options);
    s->disk = disk;
    s->end = &s->first;
    disk->open = &s->base;
    disk->crashed = false;
    return &s->base;
}

void orr_sim_register(void) {
    orr_store_register("sim", open_sim);
}
