/* inner.h - what the files of the room `durable` share among themselves. */
#ifndef ORR_DURABLE_INNER_H
#define ORR_DURABLE_INNER_H

#include "durable/durable.h"
#include "store/record/record.h"

typedef struct orr_payload {
    const char *text; /* JSON; NULL: none */
    size_t size;
} orr_payload;

/* What orr_run_note makes a record of. A step that writes state has two, of which the store keeps
 * the one that says what was decided about the write (orr_store_append_state). */
typedef struct orr_noted {
    orr_payload payload; /* where the write is made */
    orr_payload refused; /* where it is not */
    const orr_field *write;
} orr_noted;

/* ---- state.c --------------------------------------------------------------------------------- */

/* Writes of state that were queued, by their tokens, and what was decided about them. */
typedef struct orr_decisions {
    struct orr_decision *first;
    int64_t last;  /* the last token */
    uint32_t open; /* how many are not decided yet */
} orr_decisions;

void orr_decided(orr_decisions *d, int64_t token, bool made);
void orr_decisions_free(orr_decisions *d, const orr_alloc *alloc);

/* ---- storage.c: the store behind a runtime --------------------------------------------------- */

/* The methods of the keeper that are about a runtime; url NULL: a store in memory. */
void orr_storage_open(lua_State *L, orr_rtbox *rt, const char *url, int durability);
void orr_storage_close(orr_rtbox *rt);
bool orr_storage_news(orr_rtbox *rt);
bool orr_storage_submit(orr_rtbox *rt);
bool orr_storage_busy(const orr_rtbox *rt);
void orr_storage_count(const orr_rtbox *rt, bool counted);
void orr_storage_wait(orr_rtbox *rt, uint64_t ticket);
/* The store, in memory or not; NULL: there is none. */
orr_store *orr_storage_any(const orr_rtbox *rt);
/* So many bytes were queued. */
void orr_storage_queued(orr_rtbox *rt, size_t bytes);
/* The path of the folder beside the store with lists that are kept in files; NULL: there is none.
 * */
const char *orr_storage_rows(const orr_rtbox *rt);
/* A journaled run begins or has ended: messages may come for it, so the loop stays alive. */
void orr_storage_use(orr_rtbox *rt, int by);
/* Room for bytes that are used up before the next call; NULL when out of memory. */
unsigned char *orr_storage_buffer(orr_rtbox *rt, size_t size);
/* Keeps the JSON text of an output until its record is made. False when out of memory. */
bool orr_storage_keep_payload(const orr_runbox *r, const orr_task *task, const char *text, size_t size);
/* Takes it, where it is that task's. orr_storage_put_back lets it be taken once more. */
bool orr_storage_take_payload(const orr_runbox *r, const orr_task *task, orr_payload *payload);
void orr_storage_put_back(orr_rtbox *rt, const orr_runbox *r);
/* What the record holds that orr_run_note makes at this moment; valid in the core's hook. */
orr_noted *orr_storage_noted(const orr_rtbox *rt);
orr_decisions *orr_storage_decisions(const orr_rtbox *rt);
int orr_rt_sync(lua_State *L);
int orr_rt_flushed(lua_State *L);

/* Whether commits work, and the runs are this process's at this moment. */
bool orr_storage_works(const orr_rtbox *rt);
/* Whether another process has taken over the runs of this one. */
bool orr_storage_displaced(orr_rtbox *rt);
/* What the run's record of so many bytes, which was queued last, means for who waits. */
void orr_storage_appended(orr_runbox *r, const orr_record *record, size_t bytes);

/* ---- lag.c ----------------------------------------------------------------------------------- */

#define ORR_LAG_SLICES 32

/* Records that came shortly after one another and are not durable yet. */
typedef struct orr_lag_slice {
    uint64_t ticket; /* of the last */
    int64_t since;   /* when the first came (ns, monotonic) */
    size_t bytes;
} orr_lag_slice;

typedef struct orr_lag {
    orr_lag_slice slices[ORR_LAG_SLICES]; /* a ring */
    uint32_t first, n;
    size_t bytes;
} orr_lag;

/* A record was queued; what has that ticket is durable; nothing happened, but time passed. Each
 * tells whether more is not durable than may be. */
bool orr_lag_note(orr_lag *lag, size_t bytes, uint64_t ticket);
bool orr_lag_durable(orr_lag *lag, uint64_t durable);
bool orr_lag_look(orr_lag *lag);

/* ---- hold.c ---------------------------------------------------------------------------------- */

/* Whether what depends on the run's last record has to wait: the ticket, or 0. */
static inline uint64_t orr_journal_ticket(const orr_runbox *r) {
    uint64_t ticket = orr_run_ticket(r);
    return ticket > r->rt->durable_to ? ticket : 0;
}
int orr_hold(lua_State *L, orr_script *s, const orr_runbox *r, bool raise);
/* As a Lua function's tail: returns nothing, once all that was queued until now is durable,
 * whatever the durability of the run. */
int orr_hold_all(lua_State *L, orr_script *s, orr_rtbox *rt);
void orr_hold_parked(lua_State *L, orr_script *s, orr_fiber *f, bool raise);
/* Everything up to that ticket is durable: fibers that waited for it go on. */
void orr_hold_durable(orr_script *s, orr_rtbox *rt, uint64_t durable);
/* Nothing more will be durable: those that wait go on with an error. */
void orr_hold_gone(orr_script *s, orr_rtbox *rt);

/* ---- early.c --------------------------------------------------------------------------------- */

/* A record was queued, the last of its run. */
void orr_early_note(orr_runbox *r, uint64_t seq);
/* The method `early` of the keeper. */
bool orr_early_may(orr_runbox *r, uint64_t seq);

/* ---- inbox.c --------------------------------------------------------------------------------- */

/* Does what the message asks for, once however often it is reported, and removes it from the inbox
 * with the records of that. Raises where there is no memory, to be called again. */
void orr_inbox_take(lua_State *L, orr_runbox *r, int64_t number, const char *name, const char *text);
/* The same with all messages that came while no process had the run, which has just been read back.
 * Never raises. */
void orr_inbox_take_left(orr_script *s, orr_runbox *r);

/* ---- journal.c ------------------------------------------------------------------------------- */

#define ORR_BLOB_SIZE ((size_t)1 << 20) /* bytes; a longer value as JSON stands in the table of blobs */

void orr_journal_begin(lua_State *L, const orr_beginning *b);
void orr_journal_over(orr_runbox *r);
void orr_journal_drop(orr_runbox *r);
bool orr_journal_takes(lua_State *L, const orr_runbox *r, const char *what);
bool orr_journal_take_output(lua_State *L, orr_script *s, orr_runbox *r, const orr_task *task);
/* Takes over the journal of a run. Its runtime is in the list (orr_rt_list), so this does not
 * raise. */
void orr_journal_resume(orr_rtbox *rt, orr_runbox *r, struct orr_journal *journal);
int orr_run_journal(lua_State *L);

/* ---- publish.c ------------------------------------------------------------------------------- */

void orr_costs_load(lua_State *L, const orr_runbox *r);     /* earlier.c */
void orr_published_load(lua_State *L, const orr_runbox *r); /* earlier.c */
void orr_publish_value(lua_State *L, const orr_fiber *f, int name, int value);
void orr_publish_log(lua_State *L, const orr_fiber *f, int level, int message, int fields);
int orr_rt_keep_module(lua_State *L);
int orr_rt_keep_workers(lua_State *L);
int orr_rt_notice_later(lua_State *L);
/* Has whoever knows the workers of the runtime say what they have done, by rt:keep_workers; `over`:
 * a run of it is over. Whether they do something. */
bool orr_publish_workers(orr_rtbox *rt, bool over);
/* Writes to the store, after a short while, why nodes do not start. */
void orr_publish_later(orr_rtbox *rt, uv_timer_t *timer);
/* The same; nothing where its store is not a durable one. */
void orr_storage_publish(orr_rtbox *rt);

/* ---- save.c ---------------------------------------------------------------------------------- */

/* Forgets which children of saves wait. */
void orr_saved_forget(orr_rtbox *rt);

/* ---- restore.c, outputs.c -------------------------------------------------------------------- */

/* rt:restore(plan, id, {force=, mode=, env=}) -> run */
int orr_rt_restore(lua_State *L);
int orr_rt_created(lua_State *L);
/* Where a run whose journal was taken is rebuilt: stack indices of the runtime, the plan, the
 * options. */
typedef struct orr_restored {
    orr_rtbox *rt;
    int rt_idx, plan, opts;
    struct orr_journal *journal;
} orr_restored;
/* Pushes the run, which goes on. Raises; then the journal is released. */
orr_runbox *orr_restore_journal(lua_State *L, const orr_restored *how, const uint8_t id[16]);
orr_runbox *orr_run_restore_child(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);
/* Pushes the value that a record's payload holds, nil where it has none; raises. `is_blob`: it
 * stands in the table of blobs. */
void orr_push_payload(lua_State *L, orr_rtbox *rt, const void *text, size_t size, bool is_blob);

/* A journaled run begins to count who still needs which output. False when out of memory. */
bool orr_outputs_begin(lua_State *L, orr_runbox *r);
void orr_outputs_end(orr_runbox *r);
/* After the run was set back to be retried: forgets the outputs of nodes that will run again, and
 * counts dependents anew. */
void orr_outputs_set_back(lua_State *L, orr_runbox *r);
/* The run that was read back goes on: what was kept only because its items might run again leaves
 * memory. */
void orr_outputs_read_back(lua_State *L, orr_runbox *r);
/* A node has settled by that record, the last that was appended or read: what no dependent needs
 * any more leaves memory, once its own record is durable. */
void orr_outputs_settled(lua_State *L, orr_runbox *r, const orr_record *rec);
/* Everything up to that ticket is durable. Never raises. */
void orr_outputs_durable(orr_rtbox *rt, uint64_t durable);
/* Lua no longer needs the run: its outputs need not be released one by one. */
void orr_outputs_stay(orr_runbox *r);
void orr_outputs_leave(lua_State *L, orr_runbox *r, uint32_t node);
void orr_outputs_load(lua_State *L, const orr_runbox *r, uint32_t node);
/* Pushes the large value with that hash; raises. */
void orr_outputs_load_kept(lua_State *L, orr_rtbox *rt, const char *hash);
/* The item's output, which is a large value of the store, may leave memory. */
void orr_outputs_item_recorded(lua_State *L, orr_runbox *r, const orr_task *task);

/* ---- locks.c --------------------------------------------------------------------------------- */

void orr_locks_await(orr_rtbox *rt, uint32_t n);
orr_lock_outcome orr_locks_ask(orr_runbox *r, orr_lock_found *found);
/* A run with a lock is to be tried again. Raises `conflict` where another has the lock and the run
 * does not wait for it. */
void orr_locks_check(lua_State *L, const orr_runbox *r);
/* The run was set back in its journal: it comes into line with that. */
void orr_locks_enter(orr_runbox *r);
/* It has ended, with the record that was queued last. */
void orr_locks_leave(const orr_runbox *r);

/* ---- orphans.c, silence.c -------------------------------------------------------------------- */

/* Resumes the orphans of a run that has just been restored, by the function that core.set_compiler
 * was given. */
void orr_orphans_take(lua_State *L, orr_runbox *r);
void orr_silence_sign(orr_fiber *f);
/* Something was recorded: looks when the interval is over. */
void orr_silence_arm(orr_rtbox *rt);
bool orr_silence_look(orr_rtbox *rt);

/* ---- steps.c --------------------------------------------------------------------------------- */

orr_step_state orr_steps_find(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);
orr_step_state orr_steps_find_call(lua_State *L, orr_script *s, const orr_fiber *f);
void orr_steps_record(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);
/* Records a step that writes state: with the text at the top, which stays, or `false`, as the store
 * decides. Until orr_steps_settle says which, it is found as STEP_BEGUN, with the text, and the
 * token in the place of `due`. Raises as orr_steps_record does. */
void orr_steps_write(lua_State *L, orr_script *s, orr_fiber *f, const orr_step_ref *step,
                     const orr_field *write);
/* The step that was found as STEP_BEGUN, or was just written, has the value at the top. */
void orr_steps_settle(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);
bool orr_steps_signal(lua_State *L, orr_runbox *r);
bool orr_steps_replaying(lua_State *L, orr_script *s, const orr_fiber *f);
bool orr_steps_diverged(lua_State *L, orr_script *s, const orr_fiber *f);
void orr_steps_forget(lua_State *L, const orr_runbox *r, const orr_task *task);
void orr_steps_restart(lua_State *L, orr_script *s, const orr_fiber *f);
uint32_t orr_steps_first(lua_State *L, const orr_fiber *f);
void orr_steps_restarted(lua_State *L, const orr_fiber *f);
/* Pushes a list of the ids of child runs that were begun and are not known to have ended, and that
 * no attempt is going to wait for. */
void orr_steps_push_orphans(lua_State *L, const orr_runbox *r);
/* Takes over a record of a step or a signal while a run is rebuilt; its decoded payload is at the
 * top and is popped. */
void orr_steps_restore(lua_State *L, orr_runbox *r, const orr_record *rec);
/* The same from the text of the payload, of a step; false, and nothing has changed, where that has
 * to be decoded. */
bool orr_steps_restore_text(lua_State *L, orr_runbox *r, const orr_record *rec, const char *text,
                            size_t size);

/* ---- step_text.c ----------------------------------------------------------------------------- */

/* Parts of the payload, which belong to it. */
typedef struct orr_step_text {
    orr_payload kind, path, name, held; /* held: JSON, or empty for nil */
    lua_Integer ordinal;
    orr_step_state state; /* STEP_VALUE or STEP_ERROR, as its payload says */
} orr_step_text;

/* False: it has to be decoded. */
bool orr_step_text_read(const char *text, size_t size, orr_step_text *step);

#endif
