/* keeper.c - the methods by which the room `run` calls this one, and what this room adds to Lua. */
#include "durable/inner.h"

const orr_keeper orr_durable_keeper = {
    .open = orr_storage_open,
    .close = orr_storage_close,
    .news = orr_storage_news,
    .submit = orr_storage_submit,
    .look = orr_silence_look,
    .busy = orr_storage_busy,
    .count = orr_storage_count,
    .wait = orr_storage_wait,
    .rows = orr_storage_rows,
    .load_kept = orr_outputs_load_kept,
    .await = orr_locks_await,

    .begin = orr_journal_begin,
    .lock = orr_locks_ask,
    .over = orr_journal_over,
    .given_up = orr_outputs_end,
    .unwatched = orr_outputs_stay,
    .drop = orr_journal_drop,
    .takes = orr_journal_takes,
    .take_output = orr_journal_take_output,
    .leave_output = orr_outputs_leave,
    .load_output = orr_outputs_load,
    .sign = orr_silence_sign,
    .log = orr_publish_log,
    .publish = orr_publish_value,
    .published = orr_published_load,
    .costs = orr_costs_load,
    .displaced = orr_storage_displaced,
    .early = orr_early_may,
    .restore_child = orr_run_restore_child,

    .find = orr_steps_find,
    .find_call = orr_steps_find_call,
    .record = orr_steps_record,
    .signal = orr_steps_signal,
    .hold = orr_hold,
    .hold_parked = orr_hold_parked,
    .replaying = orr_steps_replaying,
    .diverged = orr_steps_diverged,
    .forget = orr_steps_forget,
    .restart = orr_steps_restart,
    .first = orr_steps_first,
    .restarted = orr_steps_restarted,
};

void orr_durable_open(lua_State *L, const orr_script *s) {
    static const luaL_Reg of_runtimes[] = {
        {"restore", orr_rt_restore},
        {"created", orr_rt_created},
        {"sync", orr_rt_sync},
        {"flushed", orr_rt_flushed},
        {"keep_module", orr_rt_keep_module},
        {"keep_workers", orr_rt_keep_workers},
        {"notice_later", orr_rt_notice_later},
        {NULL, NULL},
    };
    static const luaL_Reg of_runs[] = {
        {"journal", orr_run_journal},
        {NULL, NULL},
    };
    orr_runs_add_methods(L, s, of_runtimes, of_runs);
}
