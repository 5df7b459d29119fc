/* catalogue.h - all that is asked of a store's tables, and all that is changed there beside
 * journals, by name.
 *
 * A query or a change has parameters with names, and a query gives rows with the columns that stand
 * here. How a back end gets them is its own business: nobody outside of one knows a table. The
 * columns are those of docs/store.md, and the lists there are made from this file.
 */
#ifndef ORR_STORE_CATALOGUE_H
#define ORR_STORE_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>

/* What many queries give. */
#define ORR_RUN_COLUMNS "id, number, workflow, bundle, state, owner, parent, output, error, key, seq"
#define ORR_SHOWN_COLUMNS                                                                                    \
    "number, id, workflow, bundle, key, parent, state, owner, durability, context, labels, error, created, " \
    "started, ended, seq, nodes, completed, failed, skipped, cancelled, running, waiting"
#define ORR_NODE_COLUMNS                                                                                     \
    "run, node, item, idx, state, attempts, iteration, started, ended, due, output, error, source, "         \
    "outcome, why, items, item_names"
/* Of a page; an output that is large is left out. */
#define ORR_PAGED_COLUMNS                                                                                    \
    "run, node, item, idx, state, attempts, iteration, started, ended, due, output, output_bytes, error, "   \
    "source, outcome, why, items"
#define ORR_TOKEN_COLUMNS "id, kind, name, scope, workflows, created, expires, revoked, parent"
#define ORR_COUNTS "completed, failed, cancelled, compensated, compensation_failed"

/* The parameters by which runs are chosen. */
#define ORR_CHOOSING                                                                                         \
    "workflow text?, unfinished flag?, retryable flag?, lacking flag?, states list?, living list?, "         \
    "since number?, until number?, labels list?"

/* The same for a list, and where in it they begin. */
#define ORR_LISTING ORR_CHOOSING ", tops flag?, at number?, before integer?, limit integer"

/* ---- queries --------------------------------------------------------------------------------- */

/* X(id, name, parameters, columns, what the rows are). Parameters are "name type, …": `integer`,
 * `number`, `text`, `list` (a JSON array) or `flag` (1, or NULL for no). One with a ? may be NULL,
 * which leaves out what it asks for. `run` is a run's number, `id` its UUID; times are seconds
 * since the epoch. */
#define ORR_RUN_QUERIES(X)                                                                                   \
    X(RUN, "run", "id text", ORR_RUN_COLUMNS, "the run with that id")                                        \
    X(RUN_BY_KEY, "run_by_key", "workflow text, key text", ORR_RUN_COLUMNS,                                  \
      "the run of the workflow with that idempotency key")                                                   \
    X(RUN_NUMBER, "run_number", "id text", "number", "the number of a run")                                  \
    X(RUN_STATE, "run_state", "run integer", "state", "the state of a run")                                  \
    X(RUN_IS_LIVE, "run_is_live", "run integer", "number", "the run, where it has not ended")                \
    X(RUN_UNBEGUN, "run_unbegun", "id text", "number", "the run, where no table shows a record of it")       \
    X(RUN_VALUES, "run_values", "run integer", "input, output, bundle, forked_from",                         \
      "what a run was given and has given")                                                                  \
    X(RUN_START, "run_start", "run integer", "input, context, labels", "what a run was begun with")          \
    X(RUN_SHOWN, "run_shown", "run integer", ORR_SHOWN_COLUMNS ", parent_id, id_before, id_after",           \
      "what a list shows of one run, with the id of its parent and the ids beside its own")                  \
    X(RUNS_SHOWN, "runs_shown", "runs list", ORR_SHOWN_COLUMNS ", parent_id, id_before, id_after",           \
      "the same of several runs, newest first")                                                              \
    X(RUNS_IN_STATE, "runs_in_state", "state text, " ORR_LISTING, "number, created",                         \
      "runs in a state that are chosen, newest first: those in one of the states, or left behind by an "     \
      "owner that is none of the living, created from `since` to before `until`, with all the labels "       \
      "`{name, value?}`; tops: none whose parent is chosen as well; `at`, `before`: the time and the "       \
      "number "                                                                                              \
      "of the one before them in the list")                                                                  \
    X(RUNS_NEW, "runs_new", ORR_LISTING, "number, created",                                                  \
      "the same of runs of which no table shows a record; they are pending")                                 \
    X(RUNS_LABELLED, "runs_labelled", "label text, also text?, state text, " ORR_LISTING, "number, created", \
      "the same of runs in a state with a label, or two: `name` or `name=value`")                            \
    X(LABEL_RUNS, "label_runs", "label text, limit integer", "n", "how many runs have a label")              \
    X(WORKFLOW_RUNS, "workflow_runs", "workflow text, limit integer", "n", "how many runs a workflow has")   \
    X(RUNS_UNDER, "runs_under", "parents list, " ORR_CHOOSING ", limit integer?",                            \
      ORR_SHOWN_COLUMNS ", parent_id, id_before, id_after",                                                  \
      "the same of the children of these runs, oldest first, of each parent the first ones")                 \
    X(RUNS_BY_PREFIX, "runs_by_prefix", "from text, to text, limit integer", "number, id, workflow, state",  \
      "runs whose ids are from one text to below another, in their order")                                   \
    X(RUNS_BY_PREFIX_COUNT, "runs_by_prefix_count", "from text, to text", "n", "how many those are")         \
    X(RUN_BEFORE, "run_before", "id text", "id, workflow, state", "the run with the next lower id")          \
    X(RUN_AFTER, "run_after", "id text", "id, workflow, state", "the run with the next higher id")           \
    X(RUN_NEWEST, "run_newest", "", "id, workflow, state, number", "the run that was made last")             \
    X(RUN_NEWEST_TOP, "run_newest_top", "", "number", "the run that was made last and that no other called") \
    X(RUNS_UNFINISHED, "runs_unfinished", "after integer, limit integer", ORR_RUN_COLUMNS,                   \
      "runs above a number that are not over and have code, oldest first, but no children of such runs")     \
    X(RUNS_OWNED, "runs_owned", "workflow text?", "id", "runs that are not over and that a process runs")    \
    X(RUNS_BY_OWNER, "runs_by_owner", "", "owner, n", "how many runs that are not over each owner has")      \
    X(RUNS_OF_PARENT, "runs_of_parent", "run integer", "id, workflow, state, created, ended",                \
      "the child runs of a run, oldest first")

#define ORR_NODE_QUERIES(X)                                                                                  \
    X(NODE, "node", "run integer, node text, item integer", ORR_NODE_COLUMNS,                                \
      "a node of a run, or an item of it; item 0 is the node as a whole")                                    \
    X(NODES_OF_RUN, "nodes_of_run", "run integer", ORR_NODE_COLUMNS,                                         \
      "all nodes and items, in the order of the definition")                                                 \
    X(NODES_PAGE, "nodes_page", "run integer, after integer, state text?, limit integer", ORR_PAGED_COLUMNS, \
      "nodes as a whole, those behind a place in the definition, in its order")                              \
    X(ITEMS_PAGE, "items_page", "run integer, idx integer, after integer, state text?, limit integer",       \
      ORR_PAGED_COLUMNS, "the items of the node at a place that have rows, those behind one")                \
    X(NODES_NOTABLE, "nodes_notable", "run integer, limit integer?", ORR_NODE_COLUMNS,                       \
      "the nodes that did not simply complete, or not with all of their items, and the items that "          \
      "failed, in the order of the definition")                                                              \
    X(NODE_STATES, "node_states", "run integer", "node, state", "the states of all nodes")                   \
    X(NODE_STATE, "node_state", "run integer, node text", "state", "the state of one")                       \
    X(NODE_OUTPUTS, "node_outputs", "run integer", "node, state, output, outcome",                           \
      "what all nodes have given")                                                                           \
    X(NODE_NAMES, "node_names", "run integer, limit integer", "node", "names of nodes")                      \
    X(NODE_KNOWN, "node_known", "run integer, node text", "found", "a row where there is that node")         \
    X(NODE_ITEMS, "node_items", "run integer, node text", "begun, live, ended, failed",                      \
      "how many items of a node were begun, how many of them do something or wait, have ended, have failed") \
    X(ITEMS_FAILED, "items_failed", "run integer, node text, limit integer", "item, error, attempts",        \
      "the first items of a node that failed")                                                               \
    X(NODE_ITEMS_RUNNING, "node_items_running", "run integer, node text", "found",                           \
      "a row where an item of a node runs")                                                                  \
    X(ITEMS_NAMED, "items_named", "run integer", "node, item_names",                                         \
      "the nodes whose items have names, with those")                                                        \
    X(NODES_BOUNDED, "nodes_bounded", "bundle text?", "idx, places",                                         \
      "the nodes of a definition with `each_parallel`, and what it is")                                      \
    X(NODE_RETRY, "node_retry", "bundle text?, node text", "retry, learned",                                 \
      "JSON: how a node of a definition is tried again; `learned`: by what runs before have shown")          \
    X(NODE_AFTER, "node_after", "bundle text?, idx integer", "after",                                        \
      "JSON: what a node of a definition is after")                                                          \
    X(ATTEMPTS_OF_RUN, "attempts_of_run", "run integer",                                                     \
      "run, node, item, iteration, attempt, phase, state, started, ended, error, interrupted, output",       \
      "all attempts, by when they started")                                                                  \
    X(ATTEMPTS_PAGE, "attempts_page", "run integer, node text?, item integer?, after list, limit integer",   \
      "node, item, iteration, attempt, phase, state, started, ended, error, interrupted",                    \
      "attempts by node, item, iteration, number and phase, those behind such a list")                       \
    X(STEPS_PAGE, "steps_page", "run integer, node text?, item integer?, after list, limit integer",         \
      "node, item, iteration, path, ordinal, name, kind, attempt, value, value_bytes, error, time",          \
      "steps by node, item, iteration, path, place and name, those behind such a list; a value that is "     \
      "large is left out")                                                                                   \
    X(STEPS_OF_RUN, "steps_of_run", "run integer",                                                           \
      "run, node, item, iteration, path, ordinal, name, kind, attempt, value, error, time",                  \
      "all steps, by when they were recorded")                                                               \
    X(STEP_OPEN, "step_open", "run integer, node text, item integer", "kind, name",                          \
      "the last step in which a node waits, sleeps or calls")                                                \
    X(STEP_VALUE, "step_value", "run integer, node text, item integer, name text", "value",                  \
      "the last value of a node's step of that name")                                                        \
    X(SIGNALS_AWAITED, "signals_awaited", "run integer", "name",                                             \
      "names of the signals that nodes of a run wait for, in their order")                                   \
    X(SIGNAL_PASSED, "signal_passed", "run integer, name text", "node, item, state, ended, code",            \
      "the last wait for a signal, where all nodes that have waited for it have settled: its node, and the " \
      "code of the error that ended it")                                                                     \
    X(SIGNAL_STEP_VALUE, "signal_step_value", "run integer, signal text, name text", "value",                \
      "the last value of the step of that name in a node that waits for the signal")                         \
    X(SIGNALS_OF_RUN, "signals_of_run", "run integer", "run, seq, name, data, sent, received, taken",        \
      "the signals that a run has received, in that order")                                                  \
    X(SIGNALS_PAGE, "signals_page", "run integer, after integer, limit integer",                             \
      "seq, name, data, sent, received, taken", "the same, those after a record")                            \
    X(LOG_SCANNED, "log_scanned", "run integer, after integer, scan integer", "id, n",                       \
      "the last of so many lines after the one with that id, and how many they are")                         \
    X(LOG_PAGE, "log_page",                                                                                  \
      "run integer, after integer, last integer, node text?, item integer?, rank integer?, search text?, "   \
      "bytes integer, limit integer",                                                                        \
      "id, node, item, iteration, attempt, time, level, message, bytes, fields",                             \
      "lines after one up to another that have a text in them, 64 KiB of each at most; they end behind the " \
      "one with which they have more than so many bytes")                                                    \
    X(LOG_TAIL, "log_tail",                                                                                  \
      "run integer, before integer, node text?, item integer?, rank integer?, scan integer, limit integer",  \
      "id", "the last lines before the one with that id, the newest first, of so many that are looked at")   \
    X(LOGS_OF_RUN, "logs_of_run",                                                                            \
      "run integer, after integer, node text?, item integer?, rank integer?, limit integer",                 \
      "id, run, node, item, iteration, attempt, time, level, message, fields",                               \
      "what was logged after the line with that id; rank: 1 debug, 2 info, 3 warn, 4 error, and above")

#define ORR_JOURNAL_QUERIES(X)                                                                               \
    X(JOURNAL_AFTER, "journal_after", "from integer, bytes integer, limit integer",                          \
      "id, run, workflow, bundle, first, records",                                                           \
      "rows of the journal from that one on, with the id of their run, NULL where it is gone; they end "     \
      "behind the one with which they have so many bytes")                                                   \
    X(JOURNAL_LAST, "journal_last", "", "id", "the newest row of the journal, 0: there is none")             \
    X(STORE_CHANGE, "store_change", "", "n", "another number than before where others have changed the store")

#define ORR_INBOX_QUERIES(X)                                                                                 \
    X(INBOX_OF_RUN, "inbox_of_run", "run integer", "name, text, time",                                       \
      "the messages for a run that were not taken, oldest first")                                            \
    X(INBOX_LEFT, "inbox_left", "id text", "id, name, text", "the same, by the id of the run")               \
    X(INBOX_ANY, "inbox_any", "id text", "found", "a row where there is such a message")                     \
    X(INBOX_SIGNAL, "inbox_signal", "run integer, name text", "found",                                       \
      "a row where a signal of that name was left and not taken")                                            \
    X(INBOX_SENT, "inbox_sent", "run integer, dedup text", "found",                                          \
      "a row where a message with that dedup was ever sent")                                                 \
    X(INBOX_PAUSE, "inbox_pause", "run integer", "found", "a row where a pause is asked for")                \
    X(INBOX_CONTROL, "inbox_control", "run integer", "name",                                                 \
      "of the messages cancel, pause and resume the one that counts")

#define ORR_LOCK_QUERIES(X)                                                                                  \
    X(LOCK_HOLDER, "lock_holder", "workflow text, value text", "id, begun, owner, state, place",             \
      "the run that has the lock of that value of a workflow; begun 0: nobody has it, and this one is the "  \
      "first in line")                                                                                       \
    X(LOCK_OF_RUN, "lock_of_run", "run integer", "workflow, value, begun, place",                            \
      "the lock that a run has (begun 1) or is in line for")                                                 \
    X(LOCK_BEFORE, "lock_before", "run integer", "id, begun, owner, state, place",                           \
      "the runs before one in line for its lock: who has it, then those that wait")

#define ORR_BARRIER_QUERIES(X)                                                                               \
    X(ARRIVAL, "arrival", "barrier text, participant text", "opened, needed, waiting",                       \
      "one that has arrived at a barrier: the participant with whom all were there, NULL while it waits; "   \
      "how many are needed, and how many wait there now")                                                    \
    X(ARRIVALS, "arrivals", "barrier text", "run, node, item, needed, time",                                 \
      "those that wait at a barrier, in the order in which they came; `run` is an id")

#define ORR_SCHEDULE_QUERIES(X)                                                                              \
    X(SCHEDULES, "schedules", "id text?",                                                                    \
      "id, workflow, kind, definition, file, declared, watermark, queued, paused, reason, resumed, seen, "   \
      "changed",                                                                                             \
      "what starts runs: schedules and other triggers, by id; `definition` and `seen` are JSON")             \
    X(SCHEDULE_SKIPS, "schedule_skips", "before integer, schedule text?, since number?, limit integer",      \
      "at, schedule, time, last, n, reason, noted",                                                          \
      "times that were skipped, those before the place `at`, noted last first: `n` of them from `time` to "  \
      "`last`")                                                                                              \
    X(SCHEDULE_SKIPPED, "schedule_skipped", "schedule text?, since number?", "schedule, cause, n",           \
      "how many times were skipped, by the word with which the reason begins")                               \
    X(SCHEDULE_ASKED, "schedule_asked", "schedule text?", "schedule, time, kind",                            \
      "times that somebody asked for and that have not begun, by schedule and time")                         \
    X(RUNS_KEYED, "runs_keyed", "workflow text, from text, to text, unfinished flag?, limit integer",        \
      "number, id, key, state, created, started, ended, error",                                              \
      "runs of a workflow whose keys are from one text to below another, the highest key first")             \
    X(RUNS_ENDED, "runs_ended", "workflow text, since number, states list, limit integer",                   \
      "number, id, state, ended",                                                                            \
      "runs of a workflow that have ended in one of the states since then, and that no other called, in "    \
      "the order of their ends")                                                                             \
    X(RUNS_ENDED_LAST, "runs_ended_last", "workflow text, since number, before number, limit integer",       \
      "number, id, state, created, ended",                                                                   \
      "runs of a workflow that have ended from one time to before another, and that no other called, the "   \
      "last to end first")                                                                                   \
    X(RUNS_OPEN, "runs_open", "workflow text, limit integer", "number, id, seq, created",                    \
      "runs of a workflow that have not ended, and that no other called, oldest first")                      \
    X(RUN_SECONDS, "run_seconds", "workflow text, limit integer", "seconds",                                 \
      "how long the last runs of a workflow took that completed or failed")

#define ORR_OTHER_QUERIES(X)                                                                                 \
    X(OWNER, "owner", "owner integer", "pid, host, command, started, lost, ended",                           \
      "a process that runs, or ran, something")                                                              \
    X(OWNERS, "owners", "", "id", "all of them")                                                             \
    X(WORKERS, "workers", "", "owner, pool, figures",                                                        \
      "what the workers of processes have done, as they last said: JSON")                                    \
    X(OWNERS_OPEN, "owners_open", "", "id", "those that have not left in good order")                        \
    X(WORKFLOW_KNOWN, "workflow_known", "name text", "found", "a row where that workflow has runs")          \
    X(WORKFLOWS_RECENT, "workflows_recent", "limit integer", "name", "workflows, the last to run first")     \
    X(WORKFLOW_STATS, "workflow_stats", "workflow text?",                                                    \
      "workflow, runs, unfinished, " ORR_COUNTS ", success, p50, p95, p99",                                  \
      "figures over the runs of each workflow, by name")                                                     \
    X(NODE_STATS, "node_stats", "workflow text",                                                             \
      "workflow, node, runs, completed, failed, retries, p50, p95, p99",                                     \
      "figures over the nodes of a workflow, by name")                                                       \
    X(NODE_DURATIONS, "node_durations", "workflow text, limit integer", "run, node, seconds",                \
      "how long nodes took in the newest runs of a workflow, those that completed and did not come from "    \
      "the cache or another run")                                                                            \
    X(ATTEMPTS_OF_WORKFLOW, "attempts_of_workflow", "workflow text, limit integer",                          \
      "run, node, item, iteration, attempt, state, started, ended, code, message",                           \
      "attempts in the newest runs of a workflow, those of each task in their order")                        \
    X(NODES_OF_WORKFLOW, "nodes_of_workflow", "workflow text, limit integer",                                \
      "run, bundle, node, state, started, ended, source, created",                                           \
      "nodes in the newest runs of a workflow that are over, run by run in the order of the definition; "    \
      "`created` is of the run")                                                                             \
    X(OUTPUTS_REPEATED, "outputs_repeated", "workflow text, limit integer", "node, runs, outputs",           \
      "of nodes that gave something in the newest runs of a workflow: in how many, with how many "           \
      "different outputs")                                                                                   \
    X(COSTS_OF_RUN, "costs_of_run", "id text", "node, item, iteration, attempt, name, amount",               \
      "what the attempts of a run have counted, by name")                                                    \
    X(PUBLISHED_OF_RUN, "published_of_run", "id text", "name, value, node, item, attempt, time",             \
      "what handlers have published of a run, by name; `value` is JSON")                                     \
    X(COSTS_OF_WORKFLOW, "costs_of_workflow", "workflow text, limit integer", "run, node, name, amount",     \
      "what nodes have counted in the newest runs of a workflow that are over")                              \
    X(COST_STATS, "cost_stats", "workflow text?", "workflow, node, name, runs, amount",                      \
      "what nodes have counted in all runs, and in how many")                                                \
    X(AGENT_STATS, "agent_stats", "workflow text?",                                                          \
      "workflow, node, agent, model, questions, input, output, cost",                                        \
      "what the agents that nodes asked have used: tokens, and the cost where it is known")                  \
    X(WORKFLOW_PAUSED, "workflow_paused", "name text", "found", "a row where the workflow is paused")        \
    X(WORKFLOWS_PAUSED, "workflows_paused", "", "name", "the workflows that are paused")                     \
    X(POOL_PAUSED, "pool_paused", "name text", "found", "a row where the pool is paused")                    \
    X(POOLS_PAUSED, "pools_paused", "", "name", "the pools that are paused")                                 \
    X(CACHE_ENTRIES, "cache_entries", "before integer, workflow text?, node text?, limit integer",           \
      "at, key, workflow, node, type, run, created, expires, size",                                          \
      "entries of the cache below the place `at`, newest first; `run` is an id, `size` in bytes")            \
    X(STATE_ENTRIES, "state_entries", "before integer, workflow text?, key text?, limit integer",            \
      "at, workflow, key, value, version, run_id, node, written, expires, size",                             \
      "values that outlive runs, those before the place `at`, last written first; `workflow` \"\": shared")  \
    X(SETTING, "setting", "name text", "value", "JSON: a setting of the store")                              \
    X(STORE_SCHEMA, "store_schema", "", "n", "the version of the tables")                                    \
    X(STORE_ENGINE, "store_engine", "", "version", "the version of what keeps the tables")                   \
    X(STORE_CHECK, "store_check", "", "text", "`ok`, or what is wrong with the tables; reads them whole")    \
    X(STORE_RUNS, "store_runs", "", "runs, unfinished", "how many runs there are, and are not over")

#define ORR_ACCESS_QUERIES(X)                                                                                \
    X(HOOK_DELIVERIES, "hook_deliveries", "before integer, hook text, limit integer",                        \
      "id, hook, delivery, received, outcome, status, run, message, bytes, again",                           \
      "what came to a hook, those before one, newest first")                                                 \
    X(HOOK_DELIVERY, "hook_delivery", "hook text, id integer",                                               \
      "id, hook, delivery, received, outcome, status, run, message, headers, query, body, bytes, again",     \
      "one delivery; `headers` is JSON, `body` the JSON of a text, NULL where it was too large to be kept")  \
    X(HOOKS_SEEN, "hooks_seen", "", "hook, n, last",                                                         \
      "hooks, how many deliveries are kept and when the last came")                                          \
    X(TOKEN_BY_HASH, "token_by_hash", "hash text", ORR_TOKEN_COLUMNS, "the token or session with that hash") \
    X(TOKENS, "tokens", "", ORR_TOKEN_COLUMNS, "all tokens and sessions, oldest first")                      \
    X(AUDIT_LAST, "audit_last", "", "id, hash", "the last line of the audit")                                \
    X(AUDIT_BEFORE, "audit_before", "before integer, limit integer", "id, entry, hash",                      \
      "lines of the audit below one, newest first")                                                          \
    X(AUDIT_AFTER, "audit_after", "after integer, limit integer", "id, entry, hash",                         \
      "lines of the audit above one, oldest first")

#define ORR_RETENTION_QUERIES(X)                                                                             \
    X(RUNS_TO_PRUNE, "runs_to_prune",                                                                        \
      "ended_before number, states list, workflow text?, gone list, after integer, limit integer",           \
      "number, id",                                                                                          \
      "runs above a number that ended before then in one of the states and are no living owner's, but "      \
      "no children of runs that go on; oldest first")                                                        \
    X(RUNS_LEFT, "runs_left", "runs list", "n", "how many of these runs there are")                          \
    X(JOURNAL_WITH, "journal_with", "text text, after integer, limit integer", "id, records",                \
      "rows of the journal after one, in order, their records where they have the text in them")             \
    X(CACHE_WITH, "cache_with", "text text", "output", "outputs in the cache that have the text in them")    \
    X(REFERRING, "referring", "text text, after integer", "n",                                               \
      "how many rows of the journal after that one, and of the cache, have the text in them")                \
    X(BLOBS_WITH, "blobs_with", "text text", "hash, data", "large values that have the text in them")        \
    X(BLOBS, "blobs", "", "hash, size", "the large values")                                                  \
    X(CACHE_EXPIRED, "cache_expired", "now number", "n", "how many entries of the cache have expired")       \
    X(STATE_EXPIRED, "state_expired", "now number", "n", "how many values of state have expired")            \
    X(BUNDLES_UNUSED, "bundles_unused", "gone list", "n",                                                    \
      "how many bundles no run has, where all owners but these have left")                                   \
    X(MODULES_UNUSED, "modules_unused", "", "n", "how many modules no bundle has")                           \
    X(OWNERS_UNUSED, "owners_unused", "gone list, before number", "n",                                       \
      "how many of these owners started before then and have no run")

#define ORR_QUERIES(X)                                                                                       \
    ORR_RUN_QUERIES(X)                                                                                       \
    ORR_NODE_QUERIES(X)                                                                                      \
    ORR_JOURNAL_QUERIES(X)                                                                                   \
    ORR_INBOX_QUERIES(X)                                                                                     \
    ORR_LOCK_QUERIES(X)                                                                                      \
    ORR_BARRIER_QUERIES(X)                                                                                   \
    ORR_SCHEDULE_QUERIES(X) ORR_OTHER_QUERIES(X) ORR_ACCESS_QUERIES(X) ORR_RETENTION_QUERIES(X)

/* ---- changes --------------------------------------------------------------------------------- */

/* X(id, name, parameters, what it does). */
#define ORR_CHANGES(X)                                                                                       \
    X(RUN_MOVE, "run_move",                                                                                  \
      "run integer, hash text, workflow text?, definition text?, sources text?, arguments text?, engine "    \
      "text?, created number",                                                                               \
      "keeps a bundle, where it is not there, and has the run go on with it")                                \
    X(WORKFLOW_PAUSE, "workflow_pause", "name text", "pauses a workflow that is not")                        \
    X(WORKFLOW_RESUME, "workflow_resume", "name text", "lets a workflow go on that is paused")               \
    X(POOL_PAUSE, "pool_pause", "name text", "pauses a pool that is not, be it known or not")                \
    X(POOL_RESUME, "pool_resume", "name text", "lets a pool go on that is paused")                           \
    X(CACHE_CLEAR, "cache_clear", "workflow text?, node text?", "removes entries of the cache")              \
    X(BARRIER_ARRIVE, "barrier_arrive",                                                                      \
      "barrier text, participant text, run text, node text, item integer, attempt integer, needed integer, " \
      "signal text, time number",                                                                            \
      "arrives at a barrier, once for each participant; with the last that is needed all that wait there "   \
      "are sent their signals. Not where others wait there for another number")                              \
    X(BARRIER_LEAVE, "barrier_leave", "barrier text, participant text",                                      \
      "leaves a barrier at which not all have arrived yet")                                                  \
    X(SCHEDULES_KEEP, "schedules_keep", "schedules list, now number",                                        \
      "keeps schedules and other triggers, `{id, workflow, kind, definition, file, declared}`; a new one "   \
      "begins now, one that is there goes on")                                                               \
    X(SCHEDULE_REMOVE, "schedule_remove", "id text",                                                         \
      "removes a schedule, with what was asked of it and what it skipped")                                   \
    X(SCHEDULES_NOTE, "schedules_note", "marks list, skips list, answers list, now number",                  \
      "what a look at schedules has decided: up to which `watermark` each `id` is done with, up to which "   \
      "time (`queued`) it waits, what a watch has `seen`; that `n` times from `time` to `last` were "        \
      "skipped, and the reason; which times that were asked for have begun. Skips of a year ago go")         \
    X(SCHEDULE_PAUSE, "schedule_pause", "id text, reason text?, now number",                                 \
      "pauses a schedule that is not")                                                                       \
    X(SCHEDULE_RESUME, "schedule_resume", "id text, now number", "lets a schedule go on that is paused")     \
    X(SCHEDULE_ASK, "schedule_ask", "id text, times list, kind text, now number",                            \
      "asks a schedule for runs of these times, beside its own")                                             \
    X(STATE_REMOVE, "state_remove", "workflow text?, key text?", "removes values that outlive runs")         \
    X(SETTING_KEEP, "setting_keep", "name text, value text", "keeps a setting of the store, as JSON")        \
    X(SETTING_REMOVE, "setting_remove", "name text", "removes a setting")                                    \
    X(TOKEN_CREATE, "token_create",                                                                          \
      "id text, kind text, hash text, name text, scope text, workflows text?, created number, expires "      \
      "number?, parent text?",                                                                               \
      "keeps a token or session")                                                                            \
    X(TOKEN_REVOKE, "token_revoke", "id text, time number",                                                  \
      "revokes a token that is not yet, and the sessions that were begun with it")                           \
    X(SESSIONS_PRUNE, "sessions_prune", "now number", "removes sessions that have expired or were revoked")  \
    X(AUDIT_ADD, "audit_add", "after integer, lines list",                                                   \
      "adds the lines `{entry, hash}` to the audit, where the last one there is `after` (0: there is none)") \
    X(HOOK_NOTE, "hook_note", "deliveries list, keep integer",                                               \
      "keeps deliveries to hooks, `{hook, delivery, received, outcome, status, run, message, headers, "      \
      "body, "                                                                                               \
      "query, body, bytes, again}`, and of each of these hooks only the last `keep`")                        \
    X(RUNS_PRUNE, "runs_prune", "ended_before number, states list, workflow text?, gone list, runs list",    \
      "removes those of the runs that `runs_to_prune` still gives, with all that is theirs")                 \
    X(CACHE_PRUNE, "cache_prune", "now number", "removes what `cache_expired` counts")                       \
    X(STATE_PRUNE, "state_prune", "now number", "removes what `state_expired` counts")                       \
    X(BLOBS_PRUNE, "blobs_prune", "blobs list, journal integer",                                             \
      "removes these large values where the cache, and the journal after that row, have none of them")       \
    X(BUNDLES_PRUNE, "bundles_prune", "gone list", "removes what `bundles_unused` counts")                   \
    X(MODULES_PRUNE, "modules_prune", "", "removes what `modules_unused` counts")                            \
    X(OWNERS_PRUNE, "owners_prune", "gone list, before number",                                              \
      "removes what `owners_unused` counts, but never the newest owner")

/* ---- looking in it --------------------------------------------------------------------------- */

#define ORR_ENUM_QUERY(id, name, parameters, columns, what) ORR_QUERY_##id,
typedef enum { ORR_QUERIES(ORR_ENUM_QUERY) ORR_QUERY_COUNT } orr_query;
#undef ORR_ENUM_QUERY

#define ORR_ENUM_CHANGE(id, name, parameters, what) ORR_CHANGE_##id,
typedef enum { ORR_CHANGES(ORR_ENUM_CHANGE) ORR_CHANGE_COUNT } orr_change;
#undef ORR_ENUM_CHANGE

/* What stands in the catalogue of a query or a change; a change has no columns. */
typedef struct orr_operation {
    const char *name, *parameters, *columns;
} orr_operation;

extern const orr_operation orr_queries[ORR_QUERY_COUNT], orr_changes[ORR_CHANGE_COUNT];

/* The one of that name; false where there is none. */
bool orr_query_find(const char *name, orr_query *query);
bool orr_change_find(const char *name, orr_change *change);

typedef enum {
    ORR_PARAMETER_INTEGER,
    ORR_PARAMETER_NUMBER,
    ORR_PARAMETER_TEXT,
    ORR_PARAMETER_LIST,
    ORR_PARAMETER_FLAG
} orr_parameter_type;

typedef struct orr_parameter {
    const char *name; /* in the catalogue, without a NUL */
    size_t size;      /* of the name */
    orr_parameter_type type;
    bool may_be_null;
} orr_parameter;

/* The parameter that stands at *at, which then stands after it; begin with
 * orr_operation.parameters. False: there are no more. */
bool orr_parameter_next(const char **at, orr_parameter *parameter);

/* How many parameters it has, and the place of one among them from 0, -1: it has none of that
 * name. */
size_t orr_parameter_count(const orr_operation *operation);
int orr_parameter_find(const orr_operation *operation, const char *name, size_t size);

#endif
