/* durable.h - what keeps runs: the second half of state.h, which includes it. Private to runtime/script.
 *
 * storage.c     the store behind a runtime        journal.c   records and their values
 * inbox.c       messages from other processes     publish.c   logs, modules, reasons
 * restore.c     a run from its journal            outputs.c   values that leave memory and come back
 * orphans.c     children that nobody waits for    refill.c    runs that go on one by one
 * cache.c       outputs for later runs            watch.c     what is silent
 * step.c, steplog.c, signal.c  recorded steps, signals, ctx:wait
 */
#ifndef ORR_SCRIPT_DURABLE_H
#define ORR_SCRIPT_DURABLE_H

#include "state.h"

/* ---- storage.c: the store behind a runtime ---------------------------------------------------------------------- */

struct orr_store;

/* Opens the store of that URL for the runtime, or (NULL) one in memory; raises. */
void orr_storage_open(lua_State *L, orr_rtbox *rt, const char *url, int durability);
/* Makes durable what is left, and closes it. */
void orr_storage_close(orr_rtbox *rt);
struct orr_store *orr_storage_store(const orr_rtbox *rt); /* NULL: none */
/* Whether runs keep a journal there unless they ask for none. */
bool orr_storage_is_durable(const orr_rtbox *rt);
int orr_storage_durability(const orr_rtbox *rt);
const char *orr_storage_url(const orr_rtbox *rt); /* NULL: in memory */
/* The ticket up to which everything is durable, as far as the runtime has been told. */
uint64_t orr_storage_durable(const orr_rtbox *rt);
/* At the start of a turn: what became durable is let go, messages are delivered. True when anything was done. */
bool orr_storage_news(orr_rtbox *rt);
/* At the end of a turn: hands what was queued to the store. */
void orr_storage_submit(orr_rtbox *rt);
/* Whether something was queued that is not durable yet. */
bool orr_storage_busy(const orr_rtbox *rt);
/* Waits until that ticket is durable. */
void orr_storage_wait(orr_rtbox *rt, uint64_t ticket);
/* Tells listeners, or where there is none whoever hears Lua's warnings. r may be NULL. */
void orr_storage_log(lua_State *L, orr_rtbox *rt, const orr_runbox *r, const char *level, const char *message);
/* A journaled run begins or has ended: messages may come for it, so the loop stays alive. */
void orr_storage_use(orr_rtbox *rt, int by);
/* Whether its handle counts for uv_loop_alive, for a moment in which the loop is not run. */
void orr_storage_count(const orr_rtbox *rt, bool counted);
/* Room for bytes that are used up before the next call; NULL when out of memory. */
unsigned char *orr_storage_buffer(orr_rtbox *rt, size_t size);
/* Keeps the JSON text of an output until its record is made. False when out of memory. */
bool orr_storage_keep_payload(orr_rtbox *rt, const orr_runbox *r, const orr_task *task, const char *text, size_t size);
/* Takes it, where it is that task's; puts it back, to be taken once more. */
bool orr_storage_take_payload(orr_rtbox *rt, const orr_runbox *r, const orr_task *task, orr_payload *payload);
void orr_storage_put_back(orr_rtbox *rt, const orr_runbox *r);
/* The most bytes that an output may have as JSON. */
size_t orr_storage_output_limit(const orr_rtbox *rt);
int orr_rt_store(lua_State *L);
int orr_rt_sync(lua_State *L);

/* ---- inbox.c: messages that others left for runs ------------------------------------------------------------------- */

/* Does what the message asks for, once however often it is told, and takes it out of the inbox with the records that come of it.
 * Raises where there is no memory, to be called again. */
void orr_inbox_take(lua_State *L, orr_runbox *r, int64_t number, const char *name, const char *text);
/* The same with all that were left while no process had the run, which has just been read back. Never raises. */
void orr_inbox_take_left(orr_script *s, orr_runbox *r);

/* ---- journal.c ------------------------------------------------------------------------------------------------------- */

#define ORR_BLOB_SIZE ((size_t)1 << 20) /* bytes; a value that is longer as JSON stands in the table of blobs */

/* The new run at `r`, with the options at `opts`, will keep a journal from its first record on. May raise. */
void orr_journal_begin(lua_State *L, orr_rtbox *rt, orr_runbox *r, int opts, const orr_run_options *o, const uint8_t *parent);
/* Takes over the journal of a run. Its runtime is in the list (orr_rt_list), so this does not raise. */
void orr_journal_resume(orr_rtbox *rt, orr_runbox *r, struct orr_journal *journal);
/* The run is over, or this process goes on without it: it owns the run no longer. */
void orr_journal_over(orr_runbox *r);
/* The run is about to be freed. */
void orr_journal_drop(orr_runbox *r);
/* The ticket that must be durable before what depends on the run's last record may act; 0: nothing to wait for. */
static inline uint64_t orr_journal_ticket(const orr_runbox *r) {
    return r->ticket > orr_storage_durable(r->rt) ? r->ticket : 0;
}
/* Encodes the value at the top, which stays, as the output of the task, and keeps it for its record. False where it cannot
 * be written; an error value is pushed then. */
bool orr_journal_take_output(lua_State *L, orr_script *s, orr_runbox *r, const orr_task *task);
/* Whether the value at the top, which is plain data, can be written in the run's journal; what hinders it is pushed otherwise. */
bool orr_journal_takes(lua_State *L, const orr_runbox *r, const char *what);
int orr_run_journal(lua_State *L);

/* ---- cache.c ---------------------------------------------------------------------------------------------------------- */

/* Remembers that the task's output was found in the cache (reason NULL), or why not. */
void orr_cache_note(lua_State *L, const orr_runbox *r, const orr_task *task, const char *reason);
bool orr_cache_hit(lua_State *L, const orr_runbox *r, const orr_task *task);
/* Sets `cache` and `cache_reason` of the table at the top, where the node is cached. */
void orr_cache_tell(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
int orr_core_cache_get(lua_State *L);
int orr_core_cache_skip(lua_State *L);
int orr_core_cache_put(lua_State *L);

/* ---- publish.c, lstore.c --------------------------------------------------------------------------------------------- */

/* Keeps a line of a handler's log, whose parts stand at these indices, where the run is durable. */
void orr_publish_log(lua_State *L, const orr_fiber *f, int level, int message, int fields);
int orr_rt_keep_module(lua_State *L);
/* Lets the store know, in a moment, why nodes do not start. */
void orr_publish_soon(orr_rtbox *rt, uv_timer_t *timer);
/* Pushes {kind, state, by, …} of run:why. */
void orr_push_why(lua_State *L, orr_runbox *r, uint32_t node, uint32_t item);
/* Pushes a value for a store that belongs to somebody else; orr_lstore_forget makes it a closed one. */
void *orr_lstore_borrow(lua_State *L, struct orr_store *store, const char *url);
void orr_lstore_forget(void *borrowed);

/* ---- restore.c, outputs.c -------------------------------------------------------------------------------------------- */

/* rt:restore(plan, id, {force=, mode=, env=}) -> run */
int orr_rt_restore(lua_State *L);
/* Rebuilds the child run of that id in the runtime of `rt_idx` from its journal and lets it go on, or starts it where it has
 * none; as orr_run_start. */
orr_runbox *orr_run_restore_child(lua_State *L, orr_rtbox *rt, int rt_idx, int plan, int opts);
/* Pushes the value that a record's payload holds, nil where it has none; raises. `is_blob`: it stands in the table of blobs. */
void orr_push_payload(lua_State *L, orr_rtbox *rt, const void *text, size_t size, bool is_blob);

/* A journaled run begins to count who still needs which output. False when out of memory. */
bool orr_outputs_begin(lua_State *L, orr_runbox *r);
void orr_outputs_end(orr_runbox *r);
/* After the run was set back to be retried: what nodes had given that run again is forgotten, and dependents are counted anew. */
void orr_outputs_set_back(lua_State *L, orr_runbox *r);
/* A node has settled by that record, the last that was appended or read: what no dependent needs any more leaves memory, once its
 * own record is durable. */
void orr_outputs_settled(lua_State *L, orr_runbox *r, const orr_record *rec);
/* Everything up to that ticket is durable. Never raises. */
void orr_outputs_durable(orr_rtbox *rt, uint64_t durable);
/* Lua no longer needs the run, so none of its outputs has to leave. */
void orr_outputs_stay(orr_runbox *r);
/* Pushes the output of a node from the journal; nil where it has none. Raises where the store cannot be read. */
void orr_outputs_load(lua_State *L, const orr_runbox *r, uint32_t node);

/* ---- orphans.c -------------------------------------------------------------------------------------------------------- */

/* Lets the orphans of a run that has just been restored go on, by the function that core.set_compiler was given. */
void orr_orphans_take(lua_State *L, orr_runbox *r);
/* The run, a live one, is an orphan of that parent. */
void orr_orphan_join(orr_runbox *r, orr_runbox *parent);
/* Whether the run, which has ended, has orphans that have not; orr_run_over is called again when they have. */
bool orr_orphans_left(orr_runbox *r);
/* The run is not live any more: its parent may be over by that. */
void orr_orphan_over(orr_script *s, orr_runbox *r);

/* ---- refill.c -------------------------------------------------------------------------------------------------------- */

int orr_rt_refill(lua_State *L);
/* Asks for more work, where somebody has any. True when there was some. */
bool orr_refill(orr_script *s, orr_rtbox *rt);

/* ---- watch.c --------------------------------------------------------------------------------------------------------- */

/* A sign of life of the fiber's attempt. */
void orr_watch_sign(orr_fiber *f);
/* Something was recorded: it will look once the interval is over. */
void orr_watch_arm(orr_rtbox *rt);
/* Looks, where it is time for it. True when something was told. */
bool orr_watch_look(orr_rtbox *rt);

/* ---- step.c, steplog.c, signal.c ------------------------------------------------------------------------------------- */

int orr_ctx_step(lua_State *L);
int orr_ctx_sleep(lua_State *L);
/* Sleeps for ns in the running fiber, which belongs to a node: a step, where the run is recorded. As a Lua function's tail. */
int orr_step_sleep(lua_State *L, orr_script *s, orr_fiber *f, int64_t ns);
int orr_ctx_now(lua_State *L);
int orr_ctx_random(lua_State *L);
int orr_ctx_uuid(lua_State *L);
int orr_ctx_wait(lua_State *L);
/* run:signal(name[, data]) */
int orr_run_signal(lua_State *L);
/* The running fiber counts a step, or a gather, so that its strands have names of their own. */
void orr_step_count(orr_fiber *f);
/* Whether the attempt has recorded steps before it that it has not come to again: what it tells was told before. */
bool orr_step_replaying(lua_State *L, orr_script *s, const orr_fiber *f);
/* Whether the attempt, whose handler has returned, took another course than the one that is recorded; the error is pushed then. */
bool orr_step_misfits(lua_State *L, orr_script *s, const orr_fiber *f);
/* Pushes a list of the ids of child runs that were begun and are not known to have ended, and that no attempt is going to wait for. */
void orr_step_push_orphans(lua_State *L, const orr_runbox *r);
/* A task has completed: its steps are no longer needed. */
void orr_step_forget(lua_State *L, const orr_runbox *r, const orr_task *task);
/* What the record holds that orr_run_note makes at this moment; valid in the core's hook. */
static inline orr_payload orr_step_payload(const orr_runbox *r) {
    return r->script->noted;
}
/* The time for the signal that the fiber waits for is over. */
void orr_signal_timeout(orr_script *s, orr_fiber *f);
/* Pushes the name of the signal that a strand of the task waits for; false, and nothing, where none does. */
bool orr_signal_push_name(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
/* Takes over such a record of a run that is rebuilt; its decoded payload is at the top and is popped. */
void orr_step_restore(lua_State *L, orr_runbox *r, const orr_record *rec);
/* Everything up to that ticket is durable: fibers that waited for it go on. */
void orr_wait_durable(orr_script *s, orr_rtbox *rt, uint64_t durable);
/* Nothing more will be durable: those that wait go on with an error. */
void orr_wait_disk_gone(orr_script *s, orr_rtbox *rt);
/* A signal has come for the run; its data is at the top and is popped. `message`: of the inbox, 0 for none; `sent`: seconds. */
void orr_signal_deliver(lua_State *L, orr_runbox *r, const char *name, int64_t message, double sent);

#endif
