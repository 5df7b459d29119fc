/* inner.h - what the files of the room `run` share. No file of another room includes it. */
#ifndef ORR_RUN_INNER_H
#define ORR_RUN_INNER_H

#include "run/run.h"
#include <lauxlib.h>

/* ---- attempt.c, actions.c -------------------------------------------------------------------- */

/* A sign of life of the fiber's attempt, for a keeper that watches. */
static inline void orr_attempt_sign(orr_fiber *f) {
    if (f->run->journal) f->run->rt->keeper->sign(f);
}
/* Starts an attempt: at once, not through the queue. */
void orr_attempt_start(orr_script *s, orr_runbox *run, const orr_action *action);
/* After orr_task_end: where the task has completed, its steps are not wanted any more. */
void orr_attempt_ended(const orr_script *s, orr_runbox *r, const orr_task *task);
/* The driver and the hooks of an engine whose runtime is rt. */
orr_driver orr_actions_driver(orr_rtbox *rt);

/* ---- output.c, error.c ----------------------------------------------------------------------- */

/* Keeps the value at the top of L as the output of the fiber's task and fills in the result. False
 * where it is not plain data; an error value is at the top then. */
bool orr_run_take_output(lua_State *L, orr_script *s, orr_fiber *f, orr_result *result);
/* The same for what a compensation returned, which is kept apart from the output. */
bool orr_run_take_compensation(lua_State *L, orr_script *s, orr_fiber *f, orr_result *result);
/* Pushes the compensation of the fiber's node. */
void orr_push_compensate(lua_State *L, const orr_fiber *f);
/* Pushes the fallback function of the fiber's node, its ctx and the error; or (false) the fallback
 * value. */
bool orr_push_fallback(lua_State *L, orr_script *s, const orr_fiber *f);
/* Keeps the value at the top (popped) as the output of the task. */
void orr_run_keep_output(lua_State *L, const orr_runbox *r, const orr_task *task);
/* ---- item_outputs.c: outputs of items, of which large ones have left memory ---- */
/* A run in memory: the item's output goes to a file. What cannot be written stays. */
void orr_item_output_write(lua_State *L, const orr_runbox *r, const orr_task *task);

/* ---- large.c: outputs that leave memory while others may still need them ---- */
typedef struct orr_large orr_large;
/* The node has completed, or an iteration of it has, with a large output, which is kept. */
void orr_large_took(lua_State *L, orr_runbox *r, uint32_t node);
/* The output of the node, which is in memory, is used. */
void orr_large_used(orr_large *l, uint32_t node);
/* Whether the output of the node has been made a handle. */
bool orr_large_is_handle(const orr_runbox *r, uint32_t node);
/* Pushes the output of a node that is not in memory; nil where it has none. Raises where it cannot
 * be read. */
void orr_large_load(lua_State *L, const orr_runbox *r, uint32_t node);
void orr_large_free(orr_runbox *r);
/* A file that nobody else sees, in the folder for those; -1 with errno. */
int orr_unseen_open(void);
/* Writes all of it there; false with errno. */
bool orr_unseen_write(int fd, const char *text, size_t size, off_t at);

/* Whether the value at the top is what core.later made, and how many ns it stands for. */
bool orr_is_later(lua_State *L, const orr_script *s, int64_t *delay);
/* Keeps the error value at the top of L as that of the fiber's task and fills *out, whose strings
 * live as long. */
void orr_keep_error(lua_State *L, orr_script *s, const orr_fiber *f, orr_error *out);

/* ---- end.c, drop.c, orphans.c, refill.c ------------------------------------------------------ */

/* Pushes the output of the iteration before that of the fiber's task, nil in the first; `replaced`:
 * the iteration has completed, and its own output stands in its place. */
void orr_push_previous(lua_State *L, const orr_fiber *f, bool replaced);
/* Forgets the one that was replaced. */
void orr_drop_previous(lua_State *L);
/* Pushes the run. */
void orr_run_push_self(lua_State *L, const orr_runbox *r);
/* Takes a run out of its runtime's list. */
void orr_run_unlink(orr_runbox *r);
/* Room for one more run in the table of those by id (by_id.c); false without memory. A run in the
 * table has its orr_run. */
bool orr_run_table_reserve(orr_rtbox *rt);
void orr_run_table_add(orr_rtbox *rt, orr_runbox *r);
void orr_run_table_remove(orr_rtbox *rt, orr_runbox *r);
void orr_run_table_free(orr_rtbox *rt);
/* The runtime is about to be freed: drops what is kept of all its runs, also of those that it has
 * let go or never had, which may be collected later. */
void orr_runs_drop_kept(orr_script *s, orr_rtbox *rt);
/* Frees the runs that Lua no longer needs. Outside of the core only. */
void orr_runs_free_unneeded(orr_rtbox *rt);
/* The fiber goes on when the run has ended; child: the run belongs to it. A Lua function's tail. */
int orr_run_await(lua_State *L, orr_runbox *r, bool child);
/* Whether it waits for the end of a child run. */
bool orr_fiber_awaits_child(const orr_fiber *f);
/* Pushes what a run that is over gives to the handler that called it: its output, or (false) the
 * error `child_failed`. */
bool orr_run_push_result(lua_State *L, orr_runbox *r);
/* Pushes a table of the run's statistics. */
void orr_run_push_stats(lua_State *L, const orr_runbox *r);

/* cost.c */
enum { ORR_COST_NAME = 128 }; /* bytes of a name at most */
#define ORR_COST_MAX 1e15
/* Adds an amount, under a name, to what the run has counted. */
void orr_run_add_cost(lua_State *L, orr_runbox *r, int name, int amount);
/* Sets the field `costs` of the table at the top, where the run has counted something. */
void orr_run_set_costs(lua_State *L, orr_runbox *r);
/* published.c: ctx:publish keeps JSON under a name, at these indices; run:published([name]). */
enum { ORR_PUBLISHED_NAME = 128, ORR_PUBLISHED_VALUE = 64 << 10 }; /* bytes at most */
void orr_run_publish(lua_State *L, orr_runbox *r, int name, int value);
int orr_run_published_method(lua_State *L);
/* Pushes run:compensations(). */
void orr_run_push_compensations(lua_State *L, orr_runbox *r);
/* Drops the runs of which a record could not be kept. True when there was any. */
bool orr_runs_drop_incomplete(orr_rtbox *rt);
/* Whether the run, which has ended, has orphans that have not; orr_run_over is called again when
 * they have. */
bool orr_orphans_left(orr_runbox *r);
/* The run is not live any more. Its parent, where that has ended and waited for this one only, is
 * over too. */
void orr_orphan_over(orr_script *s, orr_runbox *r);
/* Asks for more work, where somebody has any. True when there was some. */
bool orr_refill(orr_rtbox *rt);
int orr_rt_refill(lua_State *L);
/* Methods of a runtime by which tests have it: trial.c. */
int orr_rt_hold(lua_State *L);
int orr_rt_advance(lua_State *L);
int orr_rt_due(lua_State *L);
int orr_rt_cut(lua_State *L);
int orr_rt_abandon(lua_State *L);
/* A handler of the run does something that cannot be recorded any more, by rt:cut: it goes no
 * further. A Lua function's tail. */
int orr_run_die(lua_State *L, orr_runbox *r);
/* As if its process had been killed: gives all its live runs up. */
void orr_runs_kill(orr_rtbox *rt);

/* ---- lock.c ---------------------------------------------------------------------------------- */

/* The run is about to be made: it is to wait (o->waits), or it raises `conflict`. */
void orr_run_lock_enter(lua_State *L, const orr_runbox *r, orr_run_options *o);
/* Whether a run with these options would not be made, which is well. Of a runtime in memory. */
bool orr_run_lock_skips(lua_State *L, orr_rtbox *rt, int plan, int opts);
/* The run is not live any more. */
void orr_run_lock_over(orr_runbox *r);
/* Those that wait ask, where something may have changed. True when one was let begin. */
bool orr_locks_look(orr_rtbox *rt);
/* Sets what is known of the lock that the run waits for in the table at the top. */
void orr_run_lock_explain(lua_State *L, const orr_runbox *r);

/* ---- events.c, evaluate.c -------------------------------------------------------------------- */

void orr_on_event(void *rtbox, const orr_event *event);
/* clock.c */
void orr_on_clock(void *rtbox, orr_run *run);
int64_t orr_attempt_clock(const orr_fiber *f);
int64_t orr_attempt_comes(const orr_fiber *f, int64_t due);

bool orr_on_evaluate(void *rtbox, orr_run *run, const orr_ask *ask, orr_answer *answer);
/* Whether the engine itself sends events of that name, so that no handler may emit one. */
bool orr_event_is_ours(const char *name);
/* Calls the listeners for the events in the queue that may be shown now. True when there was
 * any. */
bool orr_events_flush(orr_rtbox *rt);
/* rt:on(fn) -> off() */
int orr_rt_on(lua_State *L);

/* ---- tally.c --------------------------------------------------------------------------------- */

typedef struct orr_tally orr_tally;
/* Which events the core is to be asked for because they are counted. */
uint32_t orr_tally_kinds(const orr_rtbox *rt);
/* Counts one; where rt->tally is there. `r` may be NULL. Raises nothing. */
void orr_tally_event(const orr_rtbox *rt, orr_runbox *r, const orr_event *e);
void orr_tally_free(orr_rtbox *rt);
/* rt:tally() -> what was counted since it was asked first, and what there is now */
int orr_rt_tally(lua_State *L);

/* Adds what pools.c has to the methods of runtimes, the table at the top. */
void orr_open_pools(lua_State *L);
/* A field of the table at idx that counts, 0 where it is missing. Raises where it is out of
 * range. */
uint32_t orr_count_field(lua_State *L, int idx, const char *key);

/* ---- ctx.c, view.c, step.c, ... -------------------------------------------------------------- */

void orr_push_inputs(lua_State *L, orr_script *s, orr_runbox *r, uint32_t node);
/* Pushes RUN_NODES_VIEW, RUN_STATES_VIEW, RUN_ERRORS_VIEW, RUN_ENV or RUN_INFO. */
void orr_push_view(lua_State *L, orr_runbox *r, int view);
int orr_ctx_call(lua_State *L);
int orr_ctx_step(lua_State *L);
int orr_ctx_sleep(lua_State *L);
int orr_ctx_now(lua_State *L);
int orr_ctx_restart(lua_State *L);
int orr_ctx_random(lua_State *L);
int orr_ctx_uuid(lua_State *L);
int orr_ctx_wait(lua_State *L);
int orr_core_sleep(lua_State *L);
int orr_ctx_items(lua_State *L);
int orr_core_spools(lua_State *L);
int orr_run_items_method(lua_State *L);
/* As orr_push_error_of, with the errors of items that failed; also of a node that completed without
 * them. */
bool orr_items_push_error(lua_State *L, orr_runbox *r, uint32_t node);
/* Sets `cache` and `cache_reason` of the table at the top, where the node is cached. */
void orr_cache_explain(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
/* Pushes what was noted of it: true, it came from the cache; a string, why not; else nil. */
void orr_cache_push_noted(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);
/* Pushes the name of the signal that the task waits for; false: it waits for none. */
bool orr_signal_push_name(lua_State *L, const orr_runbox *r, uint32_t node, uint32_t item);

/* Whether the error at the top ends the step or only this attempt's way through it: a
 * cancellation, lack of memory and overdue code are not recorded. */
bool orr_step_failed(lua_State *L, const orr_fiber *f, int status);
/* As a Lua function's tail: the step has ended with the value or the error at the top; that is
 * recorded, and returned or raised once it is durable. */
int orr_step_end(lua_State *L, orr_script *s, orr_fiber *f, orr_step_ref *step);
/* A sleep of so many ns, recorded where the run has a journal: after a restart only the rest is
 * slept. Yields. */
int orr_step_sleep(lua_State *L, orr_script *s, orr_fiber *f, int64_t ns);
/* The same without waiting, in a run with a journal: the ns that are left of it. Raises. */
int64_t orr_step_rest(lua_State *L, orr_script *s, orr_fiber *f, int64_t ns);
/* As a Lua function's tail: returns the value at the top, or raises it, once the last record of
 * the run is durable. */
int orr_run_hold(lua_State *L, orr_script *s, const orr_runbox *r, bool raise);
/* Chance for the step that the fiber has just counted: the same whenever it comes there. */
uint64_t orr_step_chance(const orr_script *s, const orr_fiber *f, uint64_t salt);

/* ---- methods of runs and runtimes ------------------------------------------------------------ */

int orr_run_cancel_method(lua_State *L);
int orr_run_pause_method(lua_State *L);
int orr_run_resume_method(lua_State *L);
int orr_run_suspend_method(lua_State *L);
int orr_run_signal(lua_State *L);
int orr_run_why_method(lua_State *L);
int orr_core_runtime(lua_State *L);
/* core.host_runtime() -> that of orr_host_runtime, or nil */
int orr_core_host_runtime(lua_State *L);
/* Makes the default runtime. */
void orr_runtime_make_default(lua_State *L, orr_script *s);
/* The run at idx of a runtime that is open; raises. */
orr_runbox *orr_check_open_run(lua_State *L, int idx);

/* ---- policy.c -------------------------------------------------------------------------------- */

/* Fills a policy from the node table at idx. */
void orr_read_policy(lua_State *L, int idx, orr_policy *policy);

/* ---- setter.c -------------------------------------------------------------------------------- */

/* Nodes by their tables (node_names.c). `specs` is the list of the tables; found is a number from
 * 1, or 0; added is the next one, whose table is in the list already. */
typedef struct orr_node_names orr_node_names;
orr_node_names *orr_check_node_names(lua_State *L, int idx);
uint32_t orr_node_names_find(lua_State *L, const orr_node_names *s, int specs, const void *table);
void orr_node_names_add(lua_State *L, orr_node_names *s, int specs, const void *table);
int orr_core_here(lua_State *L);
int orr_core_copy(lua_State *L);
int orr_core_node_names(lua_State *L);
int orr_core_node_setter(lua_State *L);

/* ---- opening --------------------------------------------------------------------------------- */

void orr_open_ctx(lua_State *L, orr_script *s);
void orr_open_view(lua_State *L, orr_script *s);
void orr_open_run(lua_State *L, orr_script *s);
void orr_open_rt(lua_State *L, orr_script *s);
void orr_open_plan(lua_State *L, orr_script *s);

#endif
