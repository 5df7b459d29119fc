/* queries.c - the SQL of the catalogue; see queries.h */
#include "store/sqlite/inner.h"
#include "store/sqlite/queries.h"

/* ---- what several texts have in them --------------------------------------------------------- */

#define OVER "('completed', 'failed', 'cancelled', 'compensated', 'compensation_failed')"

/* Parameters that are lists, as JSON. */
#define IN_BLOBS "IN (SELECT value FROM json_each(:blobs))"
#define IN_GONE "IN (SELECT value FROM json_each(:gone))"
#define IN_LIVING "IN (SELECT value FROM json_each(:living))"
#define IN_RUNS "IN (SELECT value FROM json_each(:runs))"
#define IN_STATES "IN (SELECT value FROM json_each(:states))"

/* What a list shows of a run. The ids beside its own say how short it may be written. */
#define SHOWN                                                                                                \
    "SELECT " ORR_SHOWN_COLUMNS ", "                                                                         \
    "(SELECT p.id FROM runs AS p WHERE p.number = runs.parent) AS parent_id, "                               \
    "(SELECT max(b.id) FROM runs AS b WHERE b.id < runs.id) AS id_before, "                                  \
    "(SELECT min(a.id) FROM runs AS a WHERE a.id > runs.id) AS id_after FROM runs "

/* The labels that are wanted, taken apart once; and a run of which none of them is missing. */
#define WANTED_LABELS                                                                                        \
    "WITH wanted AS MATERIALIZED (SELECT json_extract(value, '$.name') AS name, "                            \
    "json_extract(value, '$.value') AS value FROM json_each(:labels)) "
#define LABELLED(run)                                                                                        \
    "NOT EXISTS (SELECT 1 FROM wanted AS w WHERE NOT EXISTS (SELECT 1 FROM json_each(" run                   \
    ".labels) AS l WHERE l.key = w.name AND (w.value IS NULL OR CAST(l.value AS TEXT) = w.value "            \
    "OR (l.type IN ('true', 'false') AND l.type = w.value))))"

/* What a dead process left: under way, or waiting and not let go. */
#define LEFT_BEHIND(run)                                                                                     \
    "(" run ".state IN ('running', 'compensating') AND (" run ".owner IS NULL OR " run                       \
    ".owner NOT " IN_LIVING ") OR " run ".state IN ('pending', 'waiting') AND " run                          \
    ".owner IS NOT NULL AND " run ".owner NOT " IN_LIVING ")"

#define IN_A_STATE(run) "[:states AND (" run ".state " IN_STATES "[:living OR " LEFT_BEHIND(run) "])]"

/* The runs that options choose, as one that is listed and as the parent of one. */
#define CHOSEN(run)                                                                                          \
    "[:unfinished AND +" run ".ended IS NULL]"                                                               \
    "[:retryable AND " run ".state IN ('failed', 'cancelled')]"                                              \
    "[:lacking AND (" run ".state IN ('failed', 'cancelled') OR (" run ".state = 'completed' AND EXISTS "    \
    "(SELECT 1 FROM nodes AS n WHERE n.run = " run ".number AND n.item > 0 AND n.state = 'failed')))]"       \
    "[:workflow AND " run ".workflow = :workflow]"                                                           \
    "[:since AND " run ".created >= :since]"                                                                 \
    "[:until AND " run ".created < :until]"                                                                  \
    "[:labels AND " LABELLED(run) "]" IN_A_STATE(run)
#define PARENT CHOSEN("p")
#define CHOSEN_RUN CHOSEN("r")
#define LISTED                                                                                               \
    CHOSEN("r")                                                                                              \
    "[:tops AND NOT EXISTS (SELECT 1 FROM runs AS p WHERE p.number = r.parent" PARENT ")]"

/* Of durations in order the one at the place of a percentile, as in views.c. */
#define PLACE(p) "min(seconds) FILTER (WHERE upto >= (" #p " * timed + 99) / 100) AS p" #p
#define PLACES PLACE(50) ", " PLACE(95) ", " PLACE(99)

/* A page has values up to 16 KiB in it. */
#define UNLESS_LARGE(column) "iif(length(CAST(" column " AS BLOB)) <= 16384, " column ", NULL)"
#define SHORT_VALUE UNLESS_LARGE("value")
#define SHORT_DATA UNLESS_LARGE("data")
#define PAGED                                                                                                \
    "SELECT run, node, item, idx, state, attempts, iteration, started, ended, due, " UNLESS_LARGE(           \
        "output") " AS output, length(CAST(output AS BLOB)) AS output_bytes, error, source, outcome, why, "  \
                  "items FROM "                                                                              \
                  "nodes WHERE run = :run "
#define KEY(i) "json_extract(:after, '$[" i "]')"
#define ATTEMPT_KEY "(" KEY("0") ", " KEY("1") ", " KEY("2") ", " KEY("3") ", " KEY("4") ")"
#define STEP_KEY "(" KEY("0") ", " KEY("1") ", " KEY("2") ", " KEY("3") ", " KEY("4") ", " KEY("5") ")"

#define OF_LINES                                                                                             \
    "[:node AND node = :node][:item AND item = :item]"                                                       \
    "[:rank AND CASE level WHEN 'debug' THEN 1 WHEN 'warn' THEN 3 WHEN 'warning' THEN 3 WHEN 'error' "       \
    "THEN 4 ELSE 2 END >= :rank]"

/* Those that come behind one in a list. */
#define BEFORE "[:at AND (r.created, r.number) < (:at, :before)]"

/* The newest runs of a workflow, and those of them that are over. */
#define NEWEST                                                                                               \
    "IN (SELECT number FROM runs WHERE workflow = :workflow ORDER BY created DESC, number DESC LIMIT "       \
    ":limit)"
#define NEWEST_OVER                                                                                          \
    "IN (SELECT number FROM runs WHERE workflow = :workflow AND ended IS NOT NULL "                          \
    "ORDER BY created DESC, number DESC LIMIT :limit)"

/* A run that ended is owned no longer, unless its process died right then or somebody has just
 * taken it to retry it. A caller that still runs may ask for its children again. */
#define TO_PRUNE                                                                                             \
    "FROM runs WHERE ended IS NOT NULL AND ended < :ended_before AND state " IN_STATES " "                   \
    "[:workflow AND workflow = :workflow] AND (owner IS NULL OR owner " IN_GONE ") "                         \
    "AND NOT EXISTS (SELECT 1 FROM runs AS p WHERE p.number = runs.parent AND p.ended IS NULL)"

/* What was of runs that have gone. Which those are is asked again: meanwhile one may have been
 * taken to be retried. */
#define PRUNE_FROM(name)                                                                                     \
    "DELETE FROM " name " WHERE run " IN_RUNS " AND run NOT IN (SELECT number FROM runs);"

#define EXPIRED "FROM cache WHERE expires IS NOT NULL AND expires <= :now"
#define EXPIRED_STATE "FROM state WHERE expires IS NOT NULL AND expires <= :now"

/* A process keeps in mind which code it has put here, so none that lives may have the store open:
 * it would not put it here a second time. */
#define UNUSED_BUNDLES                                                                                       \
    "FROM bundles WHERE hash NOT IN (SELECT bundle FROM runs WHERE bundle IS NOT NULL) "                     \
    "AND NOT EXISTS (SELECT 1 FROM owners WHERE ended IS NULL AND lost = 0 AND id NOT " IN_GONE ")"
#define UNUSED_MODULES "FROM modules WHERE bundle NOT IN (SELECT hash FROM bundles)"

/* The newest stays, so that numbers go on from it. */
#define UNUSED_OWNERS                                                                                        \
    "FROM owners WHERE id " IN_GONE " AND started < :before AND id < (SELECT max(id) FROM owners) "          \
    "AND id NOT IN (SELECT owner FROM runs WHERE owner IS NOT NULL)"

/* ---- queries --------------------------------------------------------------------------------- */

const char *const orr_sqlite_queries[ORR_QUERY_COUNT] = {
    [ORR_QUERY_RUN] = "SELECT @ FROM runs WHERE id = :id",
    [ORR_QUERY_RUN_BY_KEY] = "SELECT @ FROM runs WHERE workflow = :workflow AND key = :key",
    [ORR_QUERY_RUN_NUMBER] = "SELECT @ FROM runs WHERE id = :id",
    [ORR_QUERY_RUN_STATE] = "SELECT @ FROM runs WHERE number = :run",
    [ORR_QUERY_RUN_IS_LIVE] = "SELECT @ FROM runs WHERE number = :run AND ended IS NULL",
    [ORR_QUERY_RUN_UNBEGUN] = "SELECT @ FROM runs WHERE id = :id AND seq = 0",
    [ORR_QUERY_RUN_VALUES] = "SELECT @ FROM runs WHERE number = :run",
    [ORR_QUERY_RUN_START] = "SELECT @ FROM runs WHERE number = :run",
    [ORR_QUERY_RUN_SHOWN] = SHOWN "WHERE number = :run",
    [ORR_QUERY_RUNS_SHOWN] = SHOWN
    "WHERE number IN (SELECT value FROM json_each(:runs)) ORDER BY created DESC, number DESC",
    /* One state at a time: so the index has them in order. */

    [ORR_QUERY_RUNS_IN_STATE] =
        "[:labels " WANTED_LABELS "]"
        "SELECT r.number, r.created FROM runs AS r WHERE r.seq > 0 AND r.state = :state" LISTED BEFORE
        " ORDER BY r.created DESC, r.number DESC LIMIT :limit",
    [ORR_QUERY_RUNS_NEW] =
        "[:labels " WANTED_LABELS "]"
        "SELECT r.number, r.created FROM runs AS r WHERE r.seq = 0 AND r.ended IS NULL AND "
        "r.state = 'pending'" LISTED BEFORE " ORDER BY r.created DESC, r.number DESC LIMIT :limit",
    [ORR_QUERY_RUNS_LABELLED] =
        "[:labels " WANTED_LABELS "]"
        "SELECT l.run AS number, l.created FROM run_labels AS l CROSS JOIN runs AS r WHERE l.label = :label "
        "AND l.state = :state[:workflow AND l.workflow = :workflow][:since AND l.created >= :since]"
        "[:until AND l.created < :until][:at AND (l.created, l.run) < (:at, :before)] "
        "[:also AND EXISTS (SELECT 1 FROM run_labels AS x WHERE x.label = :also AND x.state = l.state AND "
        "x.created = l.created AND x.run = l.run)] AND r.number = l.run" LISTED
        " ORDER BY l.created DESC, l.run DESC LIMIT :limit",
    [ORR_QUERY_LABEL_RUNS] =
        "SELECT count(*) AS n FROM (SELECT 1 FROM run_labels WHERE label = :label LIMIT :limit)",
    [ORR_QUERY_WORKFLOW_RUNS] = "SELECT count(*) AS n FROM (SELECT 1 FROM runs WHERE seq > 0 AND "
                                "workflow = :workflow LIMIT :limit)",
    [ORR_QUERY_RUNS_UNDER] = SHOWN
    "WHERE number IN ([:labels " WANTED_LABELS "]"
    "SELECT number FROM (SELECT r.number, row_number() OVER (PARTITION BY r.parent ORDER BY r.number) "
    "AS place FROM runs AS r WHERE r.parent IN (SELECT value FROM json_each(:parents))" CHOSEN_RUN
    ") WHERE 1[:limit AND place <= :limit]) ORDER BY number",
    [ORR_QUERY_RUNS_BY_PREFIX] = "SELECT @ FROM runs WHERE id >= :from AND id < :to ORDER BY id LIMIT :limit",
    [ORR_QUERY_RUNS_BY_PREFIX_COUNT] = "SELECT count(*) AS n FROM runs WHERE id >= :from AND id < :to",
    [ORR_QUERY_RUN_BEFORE] = "SELECT @ FROM runs WHERE id < :id ORDER BY id DESC LIMIT 1",
    [ORR_QUERY_RUN_AFTER] = "SELECT @ FROM runs WHERE id > :id ORDER BY id LIMIT 1",
    [ORR_QUERY_RUN_NEWEST] = "SELECT @ FROM runs ORDER BY number DESC LIMIT 1",
    [ORR_QUERY_RUN_NEWEST_TOP] = "SELECT @ FROM runs WHERE parent IS NULL ORDER BY number DESC LIMIT 1",
    [ORR_QUERY_RUNS_UNFINISHED] =
        /* the numbers first, from the index of the unfinished alone */
    "SELECT @ FROM runs WHERE number IN (SELECT number FROM runs WHERE ended IS NULL AND "
    "+number > :after) AND bundle IS NOT NULL AND (parent IS NULL OR EXISTS "
    "(SELECT 1 FROM runs AS p WHERE p.number = runs.parent AND p.state IN " OVER ")) "
    "AND state NOT IN " OVER " ORDER BY number LIMIT :limit",
    [ORR_QUERY_RUNS_OWNED] =
        "SELECT @ FROM runs WHERE ended IS NULL AND owner IS NOT NULL AND state NOT IN " OVER
        "[:workflow AND workflow = :workflow]",
    [ORR_QUERY_RUNS_BY_OWNER] =
        "SELECT owner, count(*) AS n FROM runs WHERE ended IS NULL AND state NOT IN " OVER " GROUP BY owner",
    [ORR_QUERY_RUNS_OF_PARENT] = "SELECT @ FROM runs WHERE parent = :run ORDER BY number",
    [ORR_QUERY_NODE] = "SELECT @ FROM nodes WHERE run = :run AND node = :node AND item = :item",
    [ORR_QUERY_NODES_OF_RUN] = "SELECT @ FROM nodes WHERE run = :run ORDER BY idx, item",
    [ORR_QUERY_NODES_PAGE] = PAGED "AND item = 0 AND idx > :after[:state AND state = :state] "
                                   "ORDER BY idx LIMIT :limit",
    [ORR_QUERY_ITEMS_PAGE] = PAGED "AND idx = :idx AND item > max(:after, 0)[:state AND state = :state] "
                                   "ORDER BY item LIMIT :limit",
    [ORR_QUERY_NODES_NOTABLE] =
        "SELECT @ FROM nodes WHERE run = :run AND CASE item WHEN 0 THEN state NOT IN "
        "('completed', "
        "'compensated') OR (items > 0 AND EXISTS (SELECT 1 FROM nodes AS i WHERE i.run = "
        ":run AND "
        "i.idx = "
        "nodes.idx AND i.item > 0 AND i.state = 'failed')) ELSE state IN ('failed', "
        "'compensation_failed') "
        "END ORDER BY idx, item[:limit LIMIT :limit]",
    [ORR_QUERY_NODE_STATES] = "SELECT @ FROM nodes WHERE run = :run AND item = 0",
    [ORR_QUERY_NODE_STATE] = "SELECT @ FROM nodes WHERE run = :run AND node = :node AND item = 0",
    [ORR_QUERY_NODE_OUTPUTS] = "SELECT @ FROM nodes WHERE run = :run AND item = 0",
    [ORR_QUERY_NODE_NAMES] = "SELECT DISTINCT @ FROM nodes WHERE run = :run LIMIT :limit",
    [ORR_QUERY_NODE_KNOWN] = "SELECT 1 AS found FROM nodes WHERE run = :run AND node = :node LIMIT 1",
    [ORR_QUERY_NODE_ITEMS] =
        "SELECT count(*) AS begun, count(*) FILTER (WHERE state IN ('running', 'waiting', 'retrying')) "
        "AS live, count(ended) AS ended, count(*) FILTER (WHERE state = 'failed') AS failed FROM nodes WHERE "
        "run = :run AND node = :node AND item > 0",
    [ORR_QUERY_ITEMS_FAILED] = "SELECT @ FROM nodes WHERE run = :run AND node = :node AND item > 0 "
                               "AND state = 'failed' ORDER BY item LIMIT :limit",
    [ORR_QUERY_NODE_ITEMS_RUNNING] = "SELECT 1 AS found FROM nodes WHERE run = :run AND node = :node "
                                     "AND item > 0 AND state = 'running' LIMIT 1",
    [ORR_QUERY_ITEMS_NAMED] = "SELECT @ FROM nodes WHERE run = :run AND item = 0 AND item_names IS NOT NULL",
    [ORR_QUERY_NODES_BOUNDED] = "SELECT n.key AS idx, json_extract(n.value, '$.each_parallel') AS places "
                                "FROM bundles, json_each(definition, '$.nodes') AS n WHERE hash = :bundle "
                                "AND json_extract(n.value, '$.each_parallel') IS NOT NULL",
    [ORR_QUERY_NODE_RETRY] =
        "SELECT json_extract(n.value, '$.retry') AS retry, json_extract(n.value, '$.learned') AS learned "
        "FROM bundles, json_each(definition, '$.nodes') AS n WHERE hash = :bundle "
        "AND json_extract(n.value, '$.name') = :node",
    [ORR_QUERY_NODE_AFTER] = "SELECT json_extract(definition, '$.nodes[' || :idx || '].after') AS after "
                             "FROM bundles WHERE hash = :bundle",
    [ORR_QUERY_ATTEMPTS_OF_RUN] = "SELECT @ FROM attempts WHERE run = :run ORDER BY started, attempt",
    [ORR_QUERY_ATTEMPTS_PAGE] =
        "SELECT @ FROM attempts WHERE run = :run[:node AND node = :node][:item AND item = :item] AND "
        "(node, item, iteration, attempt, phase) > " ATTEMPT_KEY
        " ORDER BY node, item, iteration, attempt, phase LIMIT :limit",
    [ORR_QUERY_STEPS_PAGE] =
        "SELECT node, item, iteration, path, ordinal, name, kind, attempt, " SHORT_VALUE " AS value, "
        "length(CAST(value AS BLOB)) AS value_bytes, error, time FROM steps WHERE run = :run"
        "[:node AND node = :node][:item AND item = :item] AND "
        "(node, item, iteration, path, ordinal, name) > " STEP_KEY
        " ORDER BY node, item, iteration, path, ordinal, name LIMIT :limit",
    [ORR_QUERY_STEPS_OF_RUN] = "SELECT @ FROM steps WHERE run = :run ORDER BY time, node, item, ordinal",
    [ORR_QUERY_STEP_OPEN] =
        "SELECT @ FROM steps WHERE run = :run AND node = :node AND item = :item AND value IS NULL "
        "AND error IS NULL AND kind IN ('wait', 'sleep', 'call') ORDER BY time DESC, ordinal DESC LIMIT 1",
    [ORR_QUERY_STEP_VALUE] =
        "SELECT @ FROM steps WHERE run = :run AND node = :node AND item = :item AND name = :name "
        "AND value IS NOT NULL ORDER BY iteration DESC, time DESC LIMIT 1",
    /* As their owner last said, or in a step that is open. */

    [ORR_QUERY_SIGNALS_AWAITED] =
        "SELECT json_extract(why, '$.name') AS name FROM nodes WHERE run = :run AND state = 'waiting' "
        "AND json_extract(why, '$.kind') = 'signal' AND json_extract(why, '$.name') IS NOT NULL "
        "UNION SELECT s.name FROM steps AS s "
        "JOIN nodes AS n ON n.run = s.run AND n.node = s.node AND n.item = s.item "
        "WHERE s.run = :run AND s.kind = 'wait' AND s.value IS NULL AND s.error IS NULL "
        "AND n.state = 'waiting' ORDER BY 1",
    /* A wait that timed out has an error, or was cut short with its node. */

    [ORR_QUERY_SIGNAL_PASSED] =
        "SELECT s.node, s.item, n.state, n.ended, "
        "CASE WHEN s.error IS NOT NULL THEN json_extract(s.error, '$.code') END AS code "
        "FROM steps AS s JOIN nodes AS n ON n.run = s.run AND n.node = s.node AND n.item = s.item "
        "WHERE s.run = :run AND s.kind = 'wait' AND s.name = :name AND NOT EXISTS "
        "(SELECT 1 FROM steps AS o JOIN nodes AS m ON m.run = o.run AND m.node = o.node AND m.item = o.item "
        "WHERE o.run = :run AND o.kind = 'wait' AND o.name = :name AND m.state NOT IN ('completed', "
        "'failed', 'skipped', 'cancelled', 'compensated', 'compensation_failed')) "
        "ORDER BY n.ended DESC, s.time DESC, s.ordinal DESC LIMIT 1",
    [ORR_QUERY_SIGNAL_STEP_VALUE] =
        "SELECT a.value AS value FROM steps AS w "
        "JOIN steps AS a ON a.run = w.run AND a.node = w.node AND a.item = w.item "
        "WHERE w.run = :run AND w.kind = 'wait' AND w.name = :signal AND w.value IS NULL "
        "AND a.name = :name AND a.value IS NOT NULL ORDER BY a.time DESC LIMIT 1",
    [ORR_QUERY_SIGNALS_OF_RUN] = "SELECT @ FROM signals WHERE run = :run ORDER BY seq",
    [ORR_QUERY_SIGNALS_PAGE] = "SELECT seq, name, " UNLESS_LARGE(
        "data") " AS data, sent, received, taken FROM "
                "signals WHERE run = :run AND seq > :after ORDER BY seq LIMIT :limit",
    [ORR_QUERY_LOGS_OF_RUN] = "SELECT @ FROM logs WHERE run = :run AND id > :after" OF_LINES
                              " ORDER BY id LIMIT :limit",
    [ORR_QUERY_LOG_SCANNED] = "SELECT max(id) AS id, count(*) AS n FROM (SELECT id FROM logs WHERE "
                              "run = :run AND id > :after ORDER BY id LIMIT :scan)",
    /* Their sizes first: the texts are read of those alone that are given. */

    [ORR_QUERY_LOG_PAGE] =
        "SELECT id, node, item, iteration, attempt, time, level, coalesce(substr(message, 1, 65536), '') AS "
        "message, coalesce(length(CAST(message AS BLOB)), 0) AS bytes, iif(length(fields) <= 65536, fields, "
        "NULL) AS fields FROM logs WHERE id IN (SELECT id FROM (SELECT id, size, sum(size) OVER (ORDER BY "
        "id) "
        "AS total FROM (SELECT id, min(coalesce(length(message), 0), 65536) + "
        "min(coalesce(length(fields), 0), 65536) AS size FROM logs WHERE run = :run AND id > :after AND "
        "id <= :last" OF_LINES "[:search AND (instr(lower(message), lower(:search)) > 0 OR "
        "instr(lower(fields), lower(:search)) > 0)] ORDER BY id LIMIT :limit)) WHERE total - size <= :bytes) "
        "ORDER BY id",
    [ORR_QUERY_LOG_TAIL] = "SELECT id FROM logs WHERE id IN (SELECT id FROM logs WHERE run = :run AND "
                           "id < :before ORDER BY id DESC LIMIT :scan)" OF_LINES
                           " ORDER BY id DESC LIMIT :limit",
    /* Their sizes alone first. */

    [ORR_QUERY_JOURNAL_AFTER] =
        "SELECT j.id, r.id AS run, r.workflow, r.bundle, j.first, j.records FROM (SELECT id, "
        "sum(length(records)) OVER (ORDER BY id) - length(records) AS before FROM (SELECT id, records FROM "
        "journal WHERE id >= :from ORDER BY id LIMIT :limit)) AS k JOIN journal AS j ON j.id = k.id "
        "LEFT JOIN runs AS r ON r.number = j.run WHERE k.before < :bytes ORDER BY j.id",
    [ORR_QUERY_JOURNAL_LAST] = "SELECT coalesce(max(id), 0) AS id FROM journal",
    [ORR_QUERY_STORE_CHANGE] = "SELECT data_version AS n FROM pragma_data_version",
    [ORR_QUERY_INBOX_OF_RUN] = "SELECT @ FROM inbox WHERE run = :run AND taken IS NULL ORDER BY id",
    [ORR_QUERY_INBOX_LEFT] = "SELECT i.id, i.name, i.text FROM inbox AS i JOIN runs ON runs.number = i.run "
                             "WHERE runs.id = :id AND i.taken IS NULL ORDER BY i.id",
    [ORR_QUERY_INBOX_ANY] = "SELECT 1 AS found FROM inbox WHERE run = (SELECT number FROM runs WHERE id = "
                            ":id) AND taken IS NULL LIMIT 1",
    [ORR_QUERY_INBOX_SIGNAL] = "SELECT 1 AS found FROM inbox WHERE run = :run AND taken IS NULL "
                               "AND name = 'signal' AND json_extract(text, '$.name') = :name LIMIT 1",
    [ORR_QUERY_INBOX_SENT] = "SELECT 1 AS found FROM inbox WHERE run = :run AND dedup = :dedup LIMIT 1",
    [ORR_QUERY_INBOX_PAUSE] =
        "SELECT 1 AS found FROM inbox WHERE run = :run AND name = 'pause' AND taken IS NULL LIMIT 1",
    [ORR_QUERY_INBOX_CONTROL] =
        "SELECT @ FROM inbox WHERE run = :run AND name IN ('pause', 'resume', 'cancel') "
        "AND taken IS NULL ORDER BY name = 'cancel' DESC, id DESC LIMIT 1",
    [ORR_QUERY_LOCK_HOLDER] =
        "SELECT runs.id, l.begun, runs.owner, runs.state, l.place FROM run_locks AS l JOIN runs ON "
        "runs.number "
        "= l.run WHERE l.workflow = :workflow AND l.value = :value ORDER BY l.begun DESC, l.place LIMIT 1",
    [ORR_QUERY_LOCK_OF_RUN] = "SELECT @ FROM run_locks WHERE run = :run",
    [ORR_QUERY_LOCK_BEFORE] =
        "SELECT runs.id, l.begun, runs.owner, runs.state, l.place FROM run_locks AS own JOIN run_locks AS l "
        "ON "
        "l.workflow = own.workflow AND l.value = own.value AND l.run <> own.run AND (l.begun = 1 OR l.place "
        "< "
        "own.place) JOIN runs ON runs.number = l.run WHERE own.run = :run ORDER BY l.begun DESC, l.place",
    [ORR_QUERY_ARRIVAL] =
        "SELECT opened, needed, (SELECT count(*) FROM arrivals AS w WHERE w.barrier = :barrier AND w.opened "
        "IS "
        "NULL) AS waiting FROM arrivals WHERE barrier = :barrier AND participant = :participant",
    [ORR_QUERY_ARRIVALS] = "SELECT runs.id AS run, a.node, a.item, a.needed, a.time FROM arrivals AS a JOIN "
                           "runs ON runs.number = a.run WHERE a.barrier = :barrier AND a.opened IS NULL "
                           "ORDER BY a.id",
    [ORR_QUERY_SCHEDULES] = "SELECT @ FROM schedules WHERE 1[:id AND id = :id] ORDER BY id",
    [ORR_QUERY_SCHEDULE_SKIPS] =
        "SELECT id AS at, schedule, time, last, n, reason, noted FROM schedule_skips WHERE id < :before"
        "[:schedule AND schedule = :schedule][:since AND last >= :since] ORDER BY id DESC LIMIT :limit",
    [ORR_QUERY_SCHEDULE_SKIPPED] =
        "SELECT schedule, substr(reason, 1, instr(reason || ':', ':') - 1) AS cause, sum(n) AS n FROM "
        "schedule_skips WHERE 1[:schedule AND schedule = :schedule][:since AND last >= :since] GROUP BY 1, 2 "
        "ORDER BY 1, 2",
    [ORR_QUERY_SCHEDULE_ASKED] = "SELECT @ FROM schedule_asked WHERE 1[:schedule AND schedule = :schedule] "
                                 "ORDER BY schedule, time",
    [ORR_QUERY_RUNS_KEYED] =
        "SELECT @ FROM runs WHERE workflow = :workflow AND key IS NOT NULL AND key >= :from AND "
        "key < :to[:unfinished AND ended IS NULL] ORDER BY key DESC LIMIT :limit",
    [ORR_QUERY_RUNS_ENDED] = "SELECT @ FROM runs WHERE workflow = :workflow AND ended >= :since AND parent "
                             "IS NULL AND state " IN_STATES " ORDER BY ended, number LIMIT :limit",
    [ORR_QUERY_RUNS_ENDED_LAST] =
        "SELECT @ FROM runs WHERE workflow = :workflow AND ended >= :since AND ended < :before AND parent "
        "IS NULL ORDER BY ended DESC, number DESC LIMIT :limit",
    [ORR_QUERY_RUNS_OPEN] = "SELECT @ FROM runs WHERE +workflow = :workflow AND ended IS NULL AND parent IS "
                            "NULL ORDER BY created, number LIMIT :limit",
    [ORR_QUERY_RUN_SECONDS] =
        "SELECT ended - created AS seconds FROM runs WHERE workflow = :workflow AND state IN ('completed', "
        "'failed') ORDER BY created DESC LIMIT :limit",
    [ORR_QUERY_OWNER] = "SELECT @ FROM owners WHERE id = :owner",
    [ORR_QUERY_WORKERS] = "SELECT CAST(substr(name, 9) AS INTEGER) AS owner, CAST(substr(name, 9 + "
                          "instr(substr(name, 9), '.')) AS INTEGER) AS pool, value AS figures FROM meta "
                          "WHERE name GLOB 'workers.*' ORDER BY 1, 2",
    [ORR_QUERY_OWNERS] = "SELECT @ FROM owners",
    [ORR_QUERY_OWNERS_OPEN] = "SELECT @ FROM owners WHERE ended IS NULL AND lost = 0",
    [ORR_QUERY_WORKFLOW_KNOWN] = "SELECT 1 AS found FROM workflows WHERE name = :name",
    [ORR_QUERY_WORKFLOWS_RECENT] = "SELECT @ FROM workflows ORDER BY last DESC LIMIT :limit",
    /* As the view workflow_stats, which goes through all runs. */

    [ORR_QUERY_WORKFLOW_STATS] =
        "WITH f AS MATERIALIZED (SELECT workflow, state, CAST(took AS REAL) AS seconds, n FROM run_figures "
        "WHERE n > 0[:workflow AND workflow = :workflow]), "
        "r AS MATERIALIZED (SELECT workflow, seconds, sum(n) OVER (PARTITION BY workflow ORDER BY seconds) "
        "AS upto, sum(n) OVER (PARTITION BY workflow) AS timed FROM f WHERE state = 'completed'), "
        "p AS (SELECT workflow, " PLACES " FROM r GROUP BY workflow) "
        "SELECT f.workflow AS workflow, sum(n) AS runs, "
        "coalesce(sum(n) FILTER (WHERE state NOT IN " OVER "), 0) AS unfinished, "
        "coalesce(sum(n) FILTER (WHERE state = 'completed'), 0) AS completed, "
        "coalesce(sum(n) FILTER (WHERE state = 'failed'), 0) AS failed, "
        "coalesce(sum(n) FILTER (WHERE state = 'cancelled'), 0) AS cancelled, "
        "coalesce(sum(n) FILTER (WHERE state = 'compensated'), 0) AS compensated, "
        "coalesce(sum(n) FILTER (WHERE state = 'compensation_failed'), 0) AS compensation_failed, "
        "round(1.0 * coalesce(sum(n) FILTER (WHERE state = 'completed'), 0) / "
        "sum(n) FILTER (WHERE state IN " OVER "), 4) AS success, p50, p95, p99 "
        "FROM f LEFT JOIN p ON p.workflow = f.workflow GROUP BY f.workflow ORDER BY f.workflow",
    [ORR_QUERY_NODE_STATS] = "SELECT @ FROM node_stats WHERE workflow = :workflow ORDER BY node",
    [ORR_QUERY_NODE_DURATIONS] =
        "SELECT run, node, ended - started AS seconds FROM nodes WHERE run " NEWEST
        " AND item = 0 AND state = 'completed' AND source = 'run' AND started IS NOT NULL ORDER BY run, idx",
    [ORR_QUERY_ATTEMPTS_OF_WORKFLOW] =
        "SELECT run, node, item, iteration, attempt, state, started, ended, "
        "CASE WHEN error IS NOT NULL THEN json_extract(error, '$.code') END AS code, "
        "CASE WHEN error IS NOT NULL THEN json_extract(error, '$.message') END AS message FROM attempts "
        "WHERE run " NEWEST " AND phase = 'run' ORDER BY run, node, item, iteration, attempt",
    [ORR_QUERY_NODES_OF_WORKFLOW] =
        "SELECT n.run, r.bundle, n.node, n.state, n.started, n.ended, n.source, r.created FROM nodes AS n "
        "JOIN runs AS r ON r.number = n.run WHERE n.run " NEWEST_OVER " AND n.item = 0 ORDER BY n.run, n.idx",
    [ORR_QUERY_OUTPUTS_REPEATED] =
        "SELECT node, count(*) AS runs, count(DISTINCT output) AS outputs FROM nodes "
        "WHERE run " NEWEST " AND item = 0 AND state = 'completed' AND source = 'run' AND output <> 'null' "
        "GROUP BY node ORDER BY node",
    /* Costs are lines of the log of a level of their own. */
    [ORR_QUERY_COSTS_OF_RUN] =
        "SELECT node, item, iteration, attempt, message AS name, sum(json_extract(fields, '$')) AS amount "
        "FROM logs WHERE run = (SELECT number FROM runs WHERE id = :id) AND level = 'cost' "
        "GROUP BY node, item, iteration, attempt, message ORDER BY min(id)",
    [ORR_QUERY_PUBLISHED_OF_RUN] =
        "SELECT @ FROM published WHERE run = (SELECT number FROM runs WHERE id = :id) ORDER BY name",
    [ORR_QUERY_COSTS_OF_WORKFLOW] =
        "SELECT run, node, message AS name, sum(json_extract(fields, '$')) AS amount FROM logs "
        "WHERE run " NEWEST_OVER " AND level = 'cost' GROUP BY run, node, message ORDER BY run, min(id)",
    [ORR_QUERY_COST_STATS] =
        "SELECT r.workflow, l.node, l.message AS name, count(DISTINCT l.run) AS runs, "
        "sum(json_extract(l.fields, '$')) AS amount FROM logs AS l JOIN runs AS r ON r.number = l.run "
        "WHERE l.level = 'cost'[:workflow AND r.workflow = :workflow] GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    /* The node type `agent` keeps the use of each question with its step. */

    [ORR_QUERY_AGENT_STATS] =
        "SELECT runs.workflow AS workflow, s.node AS node, json_extract(s.value, '$.usage.agent') AS agent, "
        "json_extract(s.value, '$.usage.model') AS model, count(*) AS questions, "
        "sum(json_extract(s.value, '$.usage.input')) AS input, "
        "sum(json_extract(s.value, '$.usage.output')) AS output, "
        "sum(json_extract(s.value, '$.usage.cost')) AS cost "
        "FROM steps s JOIN runs ON runs.number = s.run WHERE s.kind = 'step' AND s.name GLOB 'agent *' "
        "AND json_extract(s.value, '$.usage.agent') IS NOT NULL[:workflow AND runs.workflow = :workflow] "
        "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    [ORR_QUERY_WORKFLOW_PAUSED] = "SELECT 1 AS found FROM workflows WHERE name = :name AND paused = 1",
    [ORR_QUERY_WORKFLOWS_PAUSED] = "SELECT @ FROM workflows WHERE paused = 1",
    [ORR_QUERY_POOL_PAUSED] = "SELECT 1 AS found FROM pools WHERE name = :name AND paused = 1",
    [ORR_QUERY_POOLS_PAUSED] = "SELECT @ FROM pools WHERE paused = 1",
    [ORR_QUERY_CACHE_ENTRIES] =
        "SELECT c.rowid AS at, c.key, c.workflow, c.node, c.type, runs.id AS run, c.created, c.expires, "
        "CASE WHEN instr(c.output, '{\"$blob\":\"') = 1 THEN json_extract(c.output, '$.size') "
        "ELSE length(CAST(c.output AS BLOB)) END AS size "
        "FROM cache AS c LEFT JOIN runs ON runs.number = c.run WHERE c.rowid < :before"
        "[:workflow AND c.workflow = :workflow][:node AND c.node = :node] "
        "ORDER BY c.rowid DESC LIMIT :limit",
    [ORR_QUERY_STATE_ENTRIES] =
        "SELECT rowid AS at, workflow, key, value, version, run_id, node, written, expires, "
        "length(CAST(value AS BLOB)) AS size FROM state WHERE rowid < :before"
        "[:workflow AND workflow = :workflow][:key AND key = :key] ORDER BY rowid DESC LIMIT :limit",
    [ORR_QUERY_SETTING] = "SELECT @ FROM meta WHERE name = :name",
    [ORR_QUERY_STORE_SCHEMA] = "SELECT user_version AS n FROM pragma_user_version",
    [ORR_QUERY_STORE_ENGINE] = "SELECT sqlite_version() AS version",
    [ORR_QUERY_STORE_RUNS] =
        "SELECT count(*) AS runs, count(*) FILTER (WHERE ended IS NULL) AS unfinished FROM "
        "runs",
    [ORR_QUERY_STORE_CHECK] = "SELECT quick_check AS text FROM pragma_quick_check(1)",
    [ORR_QUERY_TOKEN_BY_HASH] = "SELECT @ FROM tokens WHERE hash = :hash",
    [ORR_QUERY_TOKENS] = "SELECT @ FROM tokens ORDER BY created, id",
    [ORR_QUERY_HOOK_DELIVERIES] = "SELECT @ FROM hook_deliveries WHERE hook = :hook AND id < :before "
                                  "ORDER BY id DESC LIMIT :limit",
    [ORR_QUERY_HOOK_DELIVERY] = "SELECT @ FROM hook_deliveries WHERE id = :id AND hook = :hook",
    [ORR_QUERY_HOOKS_SEEN] = "SELECT hook, count(*) AS n, max(received) AS last FROM hook_deliveries GROUP "
                             "BY hook",
    [ORR_QUERY_AUDIT_LAST] = "SELECT @ FROM audit ORDER BY id DESC LIMIT 1",
    [ORR_QUERY_AUDIT_BEFORE] = "SELECT @ FROM audit WHERE id < :before ORDER BY id DESC LIMIT :limit",
    [ORR_QUERY_AUDIT_AFTER] = "SELECT @ FROM audit WHERE id > :after ORDER BY id LIMIT :limit",
    [ORR_QUERY_RUNS_TO_PRUNE] = "SELECT number, id " TO_PRUNE
                                " AND number > :after ORDER BY number LIMIT :limit",
    [ORR_QUERY_RUNS_LEFT] = "SELECT count(*) AS n FROM runs WHERE number " IN_RUNS,
    [ORR_QUERY_JOURNAL_WITH] =
        "SELECT id, CASE WHEN instr(records, CAST(:text AS BLOB)) > 0 THEN records END AS records "
        "FROM journal WHERE id > :after ORDER BY id LIMIT :limit",
    [ORR_QUERY_CACHE_WITH] = "SELECT @ FROM cache WHERE instr(output, :text) > 0",
    [ORR_QUERY_REFERRING] =
        "SELECT (SELECT count(*) FROM journal WHERE id > :after AND instr(records, CAST(:text AS BLOB)) > 0) "
        "+ (SELECT count(*) FROM commits WHERE instr(records, CAST(:text AS BLOB)) > 0) "
        "+ (SELECT count(*) FROM cache WHERE instr(output, :text) > 0) AS n",
    [ORR_QUERY_BLOBS_WITH] = "SELECT @ FROM blobs WHERE instr(data, CAST(:text AS BLOB)) > 0",
    [ORR_QUERY_BLOBS] = "SELECT @ FROM blobs",
    [ORR_QUERY_CACHE_EXPIRED] = "SELECT count(*) AS n " EXPIRED,
    [ORR_QUERY_STATE_EXPIRED] = "SELECT count(*) AS n " EXPIRED_STATE,
    [ORR_QUERY_BUNDLES_UNUSED] = "SELECT count(*) AS n " UNUSED_BUNDLES,
    [ORR_QUERY_MODULES_UNUSED] = "SELECT count(*) AS n " UNUSED_MODULES,
    [ORR_QUERY_OWNERS_UNUSED] = "SELECT count(*) AS n " UNUSED_OWNERS,
};

/* ---- changes --------------------------------------------------------------------------------- */

const char *const orr_sqlite_changes[ORR_CHANGE_COUNT] = {
    [ORR_CHANGE_RUN_MOVE] =
        "INSERT OR IGNORE INTO bundles (hash, workflow, definition, sources, arguments, engine, created) "
        "VALUES (:hash, :workflow, :definition, :sources, :arguments, :engine, :created);"
        "UPDATE runs SET bundle = :hash WHERE number = :run",
    [ORR_CHANGE_WORKFLOW_PAUSE] = "UPDATE workflows SET paused = 1 WHERE name = :name AND paused <> 1",
    [ORR_CHANGE_WORKFLOW_RESUME] = "UPDATE workflows SET paused = 0 WHERE name = :name AND paused <> 0",
    [ORR_CHANGE_POOL_PAUSE] = "INSERT INTO pools (name, paused) VALUES (:name, 1) "
                              "ON CONFLICT (name) DO UPDATE SET paused = 1 WHERE paused = 0",
    [ORR_CHANGE_POOL_RESUME] = "UPDATE pools SET paused = 0 WHERE name = :name AND paused = 1",
    [ORR_CHANGE_CACHE_CLEAR] =
        "DELETE FROM cache WHERE 1[:workflow AND workflow = :workflow][:node AND node = :node]",
    /* Nodes that have ended without leaving are taken away first: those of a run that was cancelled
     * while no process ran it. One who comes again after a restart finds its row, and is sent its
     * signal once for each attempt. */

    [ORR_CHANGE_BARRIER_ARRIVE] =
        "DELETE FROM arrivals WHERE barrier = :barrier AND opened IS NULL AND EXISTS (SELECT 1 FROM nodes AS "
        "n "
        "WHERE n.run = arrivals.run AND n.node = arrivals.node AND n.item = arrivals.item AND n.state IN "
        "('completed', 'failed', 'skipped', 'cancelled', 'compensated', 'compensation_failed'));"
        "INSERT INTO arrivals (barrier, participant, run, node, item, attempt, needed, signal, time) "
        "SELECT :barrier, :participant, number, :node, :item, :attempt, :needed, :signal, :time FROM runs "
        "WHERE id = :run AND NOT EXISTS (SELECT 1 FROM arrivals WHERE barrier = :barrier AND opened IS NULL "
        "AND needed <> :needed) "
        "ON CONFLICT (barrier, participant) DO UPDATE SET attempt = excluded.attempt;"
        "UPDATE arrivals SET opened = :participant WHERE barrier = :barrier AND opened IS NULL "
        "AND (SELECT count(*) FROM arrivals WHERE barrier = :barrier AND opened IS NULL) >= :needed;"
        "INSERT OR IGNORE INTO inbox (run, name, text, dedup, time) SELECT a.run, 'signal', "
        "json_object('name', a.signal, 'data', json_object('place', (SELECT count(*) FROM arrivals AS b "
        "WHERE "
        "b.barrier = a.barrier AND b.opened = a.opened AND b.id <= a.id), 'count', a.needed), 'sent', "
        ":time), "
        "'barrier ' || a.barrier || ' ' || a.participant || ' ' || a.attempt, :time FROM arrivals AS a "
        "WHERE a.barrier = :barrier AND (a.opened = :participant OR a.participant = :participant AND "
        "a.opened "
        "IS NOT NULL)",
    [ORR_CHANGE_BARRIER_LEAVE] =
        "DELETE FROM arrivals WHERE barrier = :barrier AND participant = :participant AND opened IS NULL",
    [ORR_CHANGE_SCHEDULES_KEEP] =
        "INSERT INTO schedules (id, workflow, kind, definition, file, declared, watermark, changed) SELECT "
        "json_extract(value, '$.id'), json_extract(value, '$.workflow'), json_extract(value, '$.kind'), "
        "json_extract(value, '$.definition'), json_extract(value, '$.file'), json_extract(value, "
        "'$.declared'), :now, :now FROM json_each(:schedules) WHERE true ON CONFLICT (id) DO UPDATE SET "
        "workflow = excluded.workflow, kind = excluded.kind, definition = excluded.definition, file = "
        "excluded.file, declared = excluded.declared, changed = :now WHERE definition <> excluded.definition "
        "OR workflow <> excluded.workflow OR file IS NOT excluded.file OR declared <> excluded.declared",
    [ORR_CHANGE_SCHEDULE_REMOVE] =
        "DELETE FROM schedule_asked WHERE schedule = :id;DELETE FROM schedule_skips WHERE schedule = :id;"
        "DELETE FROM schedules WHERE id = :id",
    [ORR_CHANGE_SCHEDULES_NOTE] =
        "UPDATE schedules SET watermark = coalesce(json_extract(m.value, '$.watermark'), watermark), "
        "queued = coalesce(json_extract(m.value, '$.queued'), queued), seen = coalesce(json_extract(m.value, "
        "'$.seen'), seen) FROM json_each(:marks) AS m WHERE schedules.id = json_extract(m.value, '$.id');"
        "INSERT OR IGNORE INTO schedule_skips (schedule, time, last, n, reason, noted) SELECT "
        "json_extract(value, '$.id'), json_extract(value, '$.time'), json_extract(value, '$.last'), "
        "json_extract(value, '$.n'), json_extract(value, '$.reason'), :now FROM json_each(:skips);"
        "DELETE FROM schedule_asked WHERE EXISTS (SELECT 1 FROM json_each(:answers) AS a WHERE "
        "json_extract(a.value, '$.id') = schedule AND json_extract(a.value, '$.time') = time);"
        "DELETE FROM schedule_skips WHERE noted < :now - 366 * 86400",
    [ORR_CHANGE_SCHEDULE_PAUSE] = "UPDATE schedules SET paused = :now, reason = :reason, changed = :now "
                                  "WHERE id = :id AND paused IS NULL",
    [ORR_CHANGE_SCHEDULE_RESUME] = "UPDATE schedules SET paused = NULL, reason = NULL, resumed = :now, "
                                   "changed = :now WHERE id = :id AND paused IS NOT NULL",
    [ORR_CHANGE_SCHEDULE_ASK] =
        "INSERT OR IGNORE INTO schedule_asked (schedule, time, kind, asked) SELECT :id, value, :kind, :now "
        "FROM json_each(:times)",
    [ORR_CHANGE_STATE_REMOVE] =
        "DELETE FROM state WHERE 1[:workflow AND workflow = :workflow][:key AND key = :key]",
    [ORR_CHANGE_SETTING_KEEP] = "INSERT OR REPLACE INTO meta (name, value) VALUES (:name, :value)",
    [ORR_CHANGE_SETTING_REMOVE] = "DELETE FROM meta WHERE name = :name",
    [ORR_CHANGE_TOKEN_CREATE] =
        "INSERT INTO tokens (id, kind, hash, name, scope, workflows, created, expires, parent) "
        "VALUES (:id, :kind, :hash, :name, :scope, :workflows, :created, :expires, :parent)",
    [ORR_CHANGE_TOKEN_REVOKE] =
        "UPDATE tokens SET revoked = :time WHERE (id = :id OR parent = :id) AND revoked IS NULL",
    [ORR_CHANGE_SESSIONS_PRUNE] =
        "DELETE FROM tokens WHERE kind = 'session' AND (expires <= :now OR revoked IS NOT NULL)",
    [ORR_CHANGE_AUDIT_ADD] =
        "INSERT INTO audit (id, entry, hash) SELECT :after + 1 + l.key, json_extract(l.value, '$.entry'), "
        "json_extract(l.value, '$.hash') FROM json_each(:lines) AS l "
        "WHERE (SELECT coalesce(max(id), 0) FROM audit) = :after",
    [ORR_CHANGE_HOOK_NOTE] =
        "INSERT INTO hook_deliveries (hook, delivery, received, outcome, status, run, message, headers, "
        "query, "
        "body, bytes, again) SELECT json_extract(value, '$.hook'), json_extract(value, '$.delivery'), "
        "json_extract(value, '$.received'), json_extract(value, '$.outcome'), json_extract(value, "
        "'$.status'), "
        "json_extract(value, '$.run'), json_extract(value, '$.message'), json_extract(value, '$.headers'), "
        "json_extract(value, '$.query'), json_extract(value, '$.body'), json_extract(value, '$.bytes'), "
        "json_extract(value, '$.again') FROM json_each(:deliveries) ORDER BY key;"
        "DELETE FROM hook_deliveries WHERE id IN (SELECT d.id FROM (SELECT DISTINCT json_extract(value, "
        "'$.hook') AS hook FROM json_each(:deliveries)) AS h JOIN hook_deliveries AS d ON d.hook = h.hook "
        "AND "
        "d.id <= (SELECT n.id FROM hook_deliveries AS n WHERE n.hook = h.hook ORDER BY n.id DESC LIMIT 1 "
        "OFFSET :keep))",
    /* A row of the cache outlives the run that made it. */

    [ORR_CHANGE_RUNS_PRUNE] = "DELETE FROM runs WHERE number IN (SELECT number " TO_PRUNE
                              " AND number " IN_RUNS ");" ORR_TABLES_OF_RUNS(PRUNE_FROM),
    [ORR_CHANGE_CACHE_PRUNE] = "DELETE " EXPIRED,
    [ORR_CHANGE_STATE_PRUNE] = "DELETE " EXPIRED_STATE,
    /* What came into the journal or the cache since they were read, and what is on its way there,
     * is looked at in the same transaction. */

    [ORR_CHANGE_BLOBS_PRUNE] =
        "DELETE FROM blobs WHERE hash " IN_BLOBS " AND NOT EXISTS (SELECT 1 FROM journal WHERE id > :journal "
        "AND instr(records, CAST(blobs.hash AS BLOB)) > 0) "
        "AND NOT EXISTS (SELECT 1 FROM commits WHERE instr(records, CAST(blobs.hash AS BLOB)) > 0) "
        "AND NOT EXISTS (SELECT 1 FROM cache WHERE instr(output, blobs.hash) > 0)",
    [ORR_CHANGE_BUNDLES_PRUNE] = "DELETE " UNUSED_BUNDLES,
    [ORR_CHANGE_MODULES_PRUNE] = "DELETE " UNUSED_MODULES,
    [ORR_CHANGE_OWNERS_PRUNE] = "DELETE FROM meta WHERE name GLOB 'workers.*' AND CAST(substr(name, 9) AS "
                                "INTEGER) IN (SELECT id " UNUSED_OWNERS ");DELETE " UNUSED_OWNERS,
};
