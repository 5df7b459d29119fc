/* views.c - the tables once more, for people: with names instead of numbers, text instead
 * of seconds, and figures over many runs.
 */
#include "store/sqlite/inner.h"

/* A percentile is that of the nearest rank: of n values in order the p-th is the one at place
 * ceil(p * n / 100), which in whole numbers is (p * n + 99) / 100. So it is always a value that
 * was measured. */
#define PERCENTILE(p) "max(CASE WHEN place = (" #p " * timed + 99) / 100 THEN seconds END) AS p" #p

static const char views[] =
    "DROP VIEW IF EXISTS run_list;\n"
    "DROP VIEW IF EXISTS node_list;\n"
    "DROP VIEW IF EXISTS node_stats;\n"
    "DROP VIEW IF EXISTS workflow_stats;\n"

    "CREATE VIEW run_list AS -- runs, times as text in UTC\n"
    "SELECT number, id, workflow, state, datetime(created, 'unixepoch') AS created,\n"
    "  datetime(started, 'unixepoch') AS started, datetime(ended, 'unixepoch') AS ended,\n"
    "  round(ended - created, 3) AS seconds, nodes, completed, failed, skipped, cancelled, running, "
    "waiting,\n"
    "  json_extract(error, '$.code') AS error, key, labels\n"
    "FROM runs;\n"

    "CREATE VIEW node_list AS -- nodes and their items in the order of the definition, with the id of their "
    "run\n"
    "SELECT runs.id AS run_id, runs.workflow, nodes.run, nodes.node, nodes.item, nodes.state, "
    "nodes.attempts, nodes.iteration,\n"
    "  datetime(nodes.started, 'unixepoch') AS started, datetime(nodes.ended, 'unixepoch') AS ended,\n"
    "  round(nodes.ended - nodes.started, 3) AS seconds, datetime(nodes.due, 'unixepoch') AS due, "
    "nodes.outcome,\n"
    "  json_extract(nodes.error, '$.code') AS error, json_extract(nodes.error, '$.message') AS message\n"
    "FROM nodes JOIN runs ON runs.number = nodes.run;\n"

    "CREATE VIEW node_stats AS -- nodes as a whole over all runs of a workflow\n"
    "WITH durations AS ( -- from the first attempt to the end, of what this run computed itself and "
    "completed\n"
    "  SELECT runs.workflow, nodes.run, nodes.node, nodes.state,\n"
    "    CASE WHEN nodes.state = 'completed' AND nodes.source = 'run' THEN nodes.ended - nodes.started END "
    "AS seconds\n"
    "  FROM nodes JOIN runs ON runs.number = nodes.run WHERE nodes.item = 0\n"
    "), ranked AS ( -- place: 1 is the shortest; those without a duration come last and are not counted\n"
    "  SELECT *, count(seconds) OVER (PARTITION BY workflow, node) AS timed,\n"
    "    row_number() OVER (PARTITION BY workflow, node ORDER BY seconds NULLS LAST) AS place FROM "
    "durations\n"
    "), again AS ( -- attempts after the first of the node, or of an item, in an iteration\n"
    "  SELECT runs.workflow, attempts.node, count(*) AS retries FROM attempts JOIN runs ON runs.number = "
    "attempts.run\n"
    "  WHERE attempts.attempt > 1 AND attempts.phase = 'run' GROUP BY runs.workflow, attempts.node\n"
    ")\n"
    "SELECT ranked.workflow, ranked.node, count(*) AS runs, sum(state = 'completed') AS completed,\n"
    "  sum(state = 'failed') AS failed, coalesce(max(again.retries), 0) AS retries,\n"
    "  " PERCENTILE(50) ", " PERCENTILE(95) ", " PERCENTILE(
        99) "\n"
            "FROM ranked LEFT JOIN again ON again.workflow = ranked.workflow AND again.node = ranked.node\n"
            "GROUP BY ranked.workflow, ranked.node;\n"

            "CREATE VIEW workflow_stats AS -- runs of a workflow by how they ended\n"
            "WITH durations AS ( -- from creation to the end, of runs that completed\n"
            "  SELECT workflow, state, ended IS NOT NULL AS over, CASE WHEN state = 'completed' THEN ended - "
            "created END AS seconds\n"
            "  FROM runs\n"
            "), ranked AS (\n"
            "  SELECT *, count(seconds) OVER (PARTITION BY workflow) AS timed,\n"
            "    row_number() OVER (PARTITION BY workflow ORDER BY seconds NULLS LAST) AS place FROM "
            "durations\n"
            ")\n"
            "SELECT workflow, count(*) AS runs, sum(NOT over) AS unfinished, sum(state = 'completed') AS "
            "completed,\n"
            "  sum(state = 'failed') AS failed, sum(state = 'cancelled') AS cancelled, sum(state = "
            "'compensated') AS compensated,\n"
            "  sum(state = 'compensation_failed') AS compensation_failed,\n"
            "  round(1.0 * sum(state = 'completed') / nullif(sum(over), 0), 4) AS success, -- completed of "
            "those that have ended\n"
            "  " PERCENTILE(50) ", " PERCENTILE(95) ", " PERCENTILE(99) "\n"
                                                                        "FROM ranked GROUP BY workflow;\n";

orr_status orr_sqlite_views(sqlite3 *db) {
    return orr_sqlite_status(sqlite3_exec(db, views, NULL, NULL, NULL));
}
