/* schema.c - the tables of a store in SQLite, and the way from an older version of them to
 * this one.
 *
 * commits, journal and owners are the truth, with what stands beside them: bundles, modules, blobs,
 * cache, logs, inbox, run_locks, arrivals, state, tokens, audit. A row of runs is made with the
 * run; its other columns, and the tables nodes, attempts, steps, signals and timers, are
 * projections of the journal (store/tables).
 * SQLite keeps the text of CREATE statements, so the comments in them are what `.schema` shows.
 *
 * A column that holds JSON is declared TEXT: any other type name would turn the text 1.0 into the
 * number 1.
 */
#include "store/sqlite/inner.h"

#include <stdio.h>
#include <string.h>

#define WORKFLOW_TABLES                                                                                      \
    "CREATE TABLE workflows (\n"                                                                             \
    "  name   TEXT PRIMARY KEY,\n"                                                                           \
    "  paused INTEGER NOT NULL DEFAULT 0, -- 1: its runs start nothing more\n"                               \
    "  first  REAL NOT NULL,              -- when its first run was created. Every time here is in seconds " \
    "since the epoch\n"                                                                                      \
    "  last   REAL NOT NULL               -- when its last run was created\n"                                \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE pools (\n"                                                                                 \
    "  name   TEXT PRIMARY KEY,\n"                                                                           \
    "  paused INTEGER NOT NULL DEFAULT 0  -- 1: nothing that draws from it starts\n"                         \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE bundles (               -- the code that runs were started with\n"                         \
    "  hash       TEXT PRIMARY KEY,\n"                                                                       \
    "  workflow   TEXT,\n"                                                                                   \
    "  definition TEXT,                   -- JSON {name, nodes: [{name, type, after, ...}, ...]}, nodes by " \
    "their index\n"                                                                                          \
    "  sources    TEXT,                   -- JSON\n"                                                         \
    "  arguments  TEXT,                   -- JSON: what the file was loaded with\n"                          \
    "  engine     TEXT,                   -- the version that made it\n"                                     \
    "  created    REAL\n"                                                                                    \
    ");\n"                                                                                                   \
    "CREATE TABLE modules (               -- the modules a bundle loaded\n"                                  \
    "  bundle TEXT NOT NULL,\n"                                                                              \
    "  name   TEXT NOT NULL,\n"                                                                              \
    "  path   TEXT,\n"                                                                                       \
    "  source TEXT,\n"                                                                                       \
    "  PRIMARY KEY (bundle, name)\n"                                                                         \
    ");\n"

#define RUN_TABLES                                                                                           \
    "CREATE TABLE runs (\n"                                                                                  \
    "  number     INTEGER PRIMARY KEY AUTOINCREMENT, -- what other tables call `run`\n"                      \
    "  id         TEXT NOT NULL UNIQUE,   -- UUIDv7\n"                                                       \
    "  workflow   TEXT NOT NULL,\n"                                                                          \
    "  bundle     TEXT,                   -- bundles.hash, NULL: made without source, cannot be resumed\n"   \
    "  key        TEXT,                   -- idempotency key\n"                                              \
    "  parent     INTEGER,                -- runs.number of the run that called it\n"                        \
    "  forked_from TEXT,                  -- id of the run whose completed part it took over\n"              \
    "  state      TEXT NOT NULL DEFAULT 'pending',\n"                                                        \
    "  owner      INTEGER,                -- owners.id of the process that runs it, NULL: none\n"            \
    "  durability TEXT NOT NULL,          -- strict or relaxed\n"                                            \
    "  input      TEXT,                   -- JSON\n"                                                         \
    "  context    TEXT,                   -- JSON\n"                                                         \
    "  labels     TEXT,                   -- JSON object\n"                                                  \
    "  output     TEXT,                   -- JSON\n"                                                         \
    "  error      TEXT,                   -- JSON {code, message, ...}\n"                                    \
    "  created    REAL NOT NULL,\n"                                                                          \
    "  started    REAL,\n"                                                                                   \
    "  ended      REAL,\n"                                                                                   \
    "  seq        INTEGER NOT NULL DEFAULT 0, -- the last record of its journal that these tables show\n"    \
    "  nodes      INTEGER NOT NULL DEFAULT 0, -- how many it has, then how many of them are ...\n"           \
    "  completed  INTEGER NOT NULL DEFAULT 0,\n"                                                             \
    "  failed     INTEGER NOT NULL DEFAULT 0,\n"                                                             \
    "  skipped    INTEGER NOT NULL DEFAULT 0,\n"                                                             \
    "  cancelled  INTEGER NOT NULL DEFAULT 0,\n"                                                             \
    "  running    INTEGER NOT NULL DEFAULT 0,\n"                                                             \
    "  waiting    INTEGER NOT NULL DEFAULT 0\n"                                                              \
    ");\n"                                                                                                   \
    "CREATE UNIQUE INDEX runs_key ON runs (workflow, key) WHERE key IS NOT NULL;\n"                          \
    "CREATE INDEX runs_unfinished ON runs (state) WHERE ended IS NULL;\n"                                    \
    "CREATE INDEX runs_created ON runs (workflow, created);\n"                                               \
    "CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;\n"                                  \
    "CREATE INDEX runs_owner ON runs (owner) WHERE owner IS NOT NULL;\n"

#define HISTORY_TABLES                                                                                       \
    "CREATE TABLE nodes (\n"                                                                                 \
    "  run       INTEGER NOT NULL,\n"                                                                        \
    "  node      TEXT NOT NULL,\n"                                                                           \
    "  item      INTEGER NOT NULL,        -- 0: the node as a whole, else the item of `each`, from 1\n"      \
    "  idx       INTEGER NOT NULL,        -- its place in the definition, from 0\n"                          \
    "  state     TEXT NOT NULL,\n"                                                                           \
    "  attempts  INTEGER NOT NULL DEFAULT 0,\n"                                                              \
    "  iteration INTEGER NOT NULL DEFAULT 0, -- of `loop`\n"                                                 \
    "  started   REAL,\n"                                                                                    \
    "  ended     REAL,\n"                                                                                    \
    "  due       REAL,                    -- when it goes on, where it waits for a time\n"                   \
    "  output    TEXT,                    -- JSON; {\"$blob\": hash, \"size\": n} stands for a row of "      \
    "blobs\n"                                                                                                \
    "  error     TEXT,                    -- JSON {code, message, ...}\n"                                    \
    "  source    TEXT,                    -- run, cache or fork: where its output comes from\n"              \
    "  outcome   TEXT,                    -- the named outcome it took\n"                                    \
    "  why       TEXT,                    -- JSON: what it waits for, as its owner last said\n"              \
    "  PRIMARY KEY (run, idx, item)\n"                                                                       \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE attempts (\n"                                                                              \
    "  run         INTEGER NOT NULL,\n"                                                                      \
    "  node        TEXT NOT NULL,\n"                                                                         \
    "  item        INTEGER NOT NULL,\n"                                                                      \
    "  iteration   INTEGER NOT NULL,\n"                                                                      \
    "  attempt     INTEGER NOT NULL,\n"                                                                      \
    "  phase       TEXT NOT NULL,         -- run, fallback or compensate\n"                                  \
    "  state       TEXT NOT NULL,\n"                                                                         \
    "  started     REAL,\n"                                                                                  \
    "  ended       REAL,\n"                                                                                  \
    "  error       TEXT,                  -- JSON\n"                                                         \
    "  interrupted INTEGER NOT NULL DEFAULT 0, -- how often its process died\n"                              \
    "  PRIMARY KEY (run, node, item, iteration, attempt, phase)\n"                                           \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE journal (               -- the truth: one row per run and commit\n"                        \
    "  id      INTEGER PRIMARY KEY,       -- in the order of commits\n"                                      \
    "  run     INTEGER NOT NULL,\n"                                                                          \
    "  first   INTEGER NOT NULL,          -- sequence number of its first record\n"                          \
    "  fence   INTEGER NOT NULL,          -- owners.id of the process that wrote it\n"                       \
    "  records BLOB NOT NULL,             -- each as its size (LEB128) and its bytes\n"                      \
    "  UNIQUE (run, first)\n"                                                                                \
    ");\n"                                                                                                   \
    "CREATE TABLE steps (\n"                                                                                 \
    "  run       INTEGER NOT NULL,\n"                                                                        \
    "  node      TEXT NOT NULL,\n"                                                                           \
    "  item      INTEGER NOT NULL,\n"                                                                        \
    "  iteration INTEGER NOT NULL,\n"                                                                        \
    "  path      TEXT NOT NULL,           -- of the coroutine\n"                                             \
    "  ordinal   INTEGER NOT NULL,        -- its place among the steps of that coroutine\n"                  \
    "  name      TEXT NOT NULL,\n"                                                                           \
    "  kind      TEXT,                    -- step, sleep, wait, call or now\n"                               \
    "  attempt   INTEGER,                 -- the one that recorded it last\n"                                \
    "  value     TEXT,                    -- JSON\n"                                                         \
    "  error     TEXT,                    -- JSON\n"                                                         \
    "  time      REAL,\n"                                                                                    \
    "  PRIMARY KEY (run, node, item, iteration, path, ordinal, name)\n"                                      \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE signals (\n"                                                                               \
    "  run      INTEGER NOT NULL,\n"                                                                         \
    "  seq      INTEGER NOT NULL,         -- of its record\n"                                                \
    "  name     TEXT NOT NULL,\n"                                                                            \
    "  data     TEXT,                     -- JSON\n"                                                         \
    "  sent     REAL,\n"                                                                                     \
    "  received REAL,\n"                                                                                     \
    "  taken    REAL,                     -- when a wait consumed it, NULL: not yet\n"                       \
    "  PRIMARY KEY (run, seq)\n"                                                                             \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE timers (                -- what waits for a time now\n"                                    \
    "  run  INTEGER NOT NULL,\n"                                                                             \
    "  node TEXT NOT NULL,\n"                                                                                \
    "  item INTEGER NOT NULL,\n"                                                                             \
    "  kind TEXT NOT NULL,\n"                                                                                \
    "  due  REAL NOT NULL,\n"                                                                                \
    "  PRIMARY KEY (run, node, item, kind)\n"                                                                \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE TABLE logs (\n"                                                                                  \
    "  id        INTEGER PRIMARY KEY,\n"                                                                     \
    "  run       INTEGER NOT NULL,\n"                                                                        \
    "  node      TEXT,\n"                                                                                    \
    "  item      INTEGER,\n"                                                                                 \
    "  iteration INTEGER,\n"                                                                                 \
    "  attempt   INTEGER,\n"                                                                                 \
    "  time      REAL,\n"                                                                                    \
    "  level     TEXT,\n"                                                                                    \
    "  message   TEXT,\n"                                                                                    \
    "  fields    TEXT                     -- JSON\n"                                                         \
    ");\n"                                                                                                   \
    "CREATE INDEX logs_run ON logs (run);\n"

#define KEPT_TABLES                                                                                          \
    "CREATE TABLE blobs (                 -- values of more than 1 MiB, by their content\n"                  \
    "  hash TEXT PRIMARY KEY,             -- SHA-256, hexadecimal\n"                                         \
    "  size INTEGER NOT NULL,\n"                                                                             \
    "  data BLOB NOT NULL                 -- JSON\n"                                                         \
    ");\n"                                                                                                   \
    "CREATE TABLE cache (\n"                                                                                 \
    "  key      TEXT PRIMARY KEY,\n"                                                                         \
    "  workflow TEXT,\n"                                                                                     \
    "  node     TEXT,\n"                                                                                     \
    "  type     TEXT,\n"                                                                                     \
    "  run      INTEGER,                  -- the run that computed it\n"                                     \
    "  output   TEXT,                     -- JSON\n"                                                         \
    "  created  REAL,\n"                                                                                     \
    "  expires  REAL                      -- NULL: never\n"                                                  \
    ");\n"                                                                                                   \
    "CREATE TABLE inbox (                 -- what others want of a run: signal, cancel, pause, ...\n"        \
    "  id    INTEGER PRIMARY KEY AUTOINCREMENT,\n"                                                           \
    "  run   INTEGER NOT NULL,\n"                                                                            \
    "  name  TEXT NOT NULL,\n"                                                                               \
    "  text  TEXT,                        -- JSON\n"                                                         \
    "  dedup TEXT,                        -- a second message of the same is none\n"                         \
    "  time  REAL NOT NULL,\n"                                                                               \
    "  taken REAL,                        -- when its owner journaled it; kept where it has a dedup, "       \
    "deleted where not\n"                                                                                    \
    "  UNIQUE (run, dedup)\n"                                                                                \
    ");\n"                                                                                                   \
    "CREATE INDEX inbox_waiting ON inbox (run) WHERE taken IS NULL;\n"                                       \
    "CREATE TABLE owners (                -- processes that run, or ran, something\n"                        \
    "  id      INTEGER PRIMARY KEY AUTOINCREMENT, -- also the fence: it only grows\n"                        \
    "  pid     INTEGER NOT NULL,\n"                                                                          \
    "  host    TEXT,\n"                                                                                      \
    "  command TEXT,\n"                                                                                      \
    "  started REAL NOT NULL,\n"                                                                             \
    "  lost    INTEGER NOT NULL DEFAULT 0, -- 1: taken over, it can write nothing any more\n"                \
    "  ended   REAL                       -- when it left in good order\n"                                   \
    ");\n"                                                                                                   \
    "CREATE TABLE meta (                  -- 'projected': the journal.id up to which the other tables show " \
    "it\n"                                                                                                   \
    "  name  TEXT PRIMARY KEY,\n"                                                                            \
    "  value\n"                                                                                              \
    ") WITHOUT ROWID;\n"                                                                                     \
    "INSERT INTO meta VALUES ('projected', 0);\n"

/* A commit is one row, whatever it touches; the journal is filled from it later
 * (merge.c). */
#define COMMIT_TABLES                                                                                        \
    "CREATE TABLE commits (               -- what was committed and is not in the journal yet\n"             \
    "  id      INTEGER PRIMARY KEY,       -- in the order of commits\n"                                      \
    "  fence   INTEGER NOT NULL,          -- owners.id of the process that wrote it\n"                       \
    "  records BLOB NOT NULL              -- for each run: its number, its first record's, the size of its " \
    "records (LEB128), its records\n"                                                                        \
    ");\n"

#define RETURNED_COLUMN "ALTER TABLE attempts ADD COLUMN output TEXT; -- JSON: what a compensation returned\n"

/* It was written twice for each run, in the commits that begin and end it, and asked once, when
 * old owners are removed. */
#define LESS_TO_COMMIT "DROP INDEX runs_owner;\n"

/* NULL in rows from before. How it is made is in orr_row_checksum (store/rows.c), over the
 * columns that are named here. */
#define CHECKSUMS                                                                                            \
    "ALTER TABLE commits ADD COLUMN checksum INTEGER; -- of fence and records\n"                             \
    "ALTER TABLE journal ADD COLUMN checksum INTEGER; -- of run, first, fence and records\n"                 \
    "ALTER TABLE runs ADD COLUMN checksum INTEGER; -- of id, workflow, bundle, key, parent, labels, "        \
    "durability and created\n"                                                                               \
    "ALTER TABLE inbox ADD COLUMN checksum INTEGER; -- of run, name, text, dedup and time\n"                 \
    "ALTER TABLE owners ADD COLUMN checksum INTEGER; -- of pid, host, command and started\n"                 \
    "ALTER TABLE modules ADD COLUMN checksum INTEGER; -- of bundle, name, path and source\n"

/* NULL in rows from before, and of items. */
#define ITEM_COLUMNS                                                                                         \
    "ALTER TABLE nodes ADD COLUMN items INTEGER; -- how many it has, of a node whose list is known\n"        \
    "ALTER TABLE nodes ADD COLUMN item_names TEXT; -- JSON: their names in order, where they have any\n"

/* Here alone a run may stand more than once in its life: when it is retried it comes into line
 * anew. */
#define LOCK_TABLE                                                                                           \
    "CREATE TABLE run_locks (             -- runs that have a lock, or are in line for one: of (workflow, "  \
    "value) one at a time goes on\n"                                                                         \
    "  place    INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which they came\n"                     \
    "  run      INTEGER NOT NULL UNIQUE,\n"                                                                  \
    "  workflow TEXT NOT NULL,\n"                                                                            \
    "  value    TEXT NOT NULL,\n"                                                                            \
    "  begun    INTEGER NOT NULL,         -- 1: it has the lock, until it has ended\n"                       \
    "  checksum INTEGER                   -- of run, workflow, value and begun\n"                            \
    ");\n"                                                                                                   \
    "CREATE INDEX run_locks_line ON run_locks (workflow, value);\n"

/* What is at a barrier, and has been: an attempt that goes on after a crash has arrived already. */
#define ARRIVAL_TABLE                                                                                        \
    "CREATE TABLE arrivals (              -- nodes that wait at a barrier, or have passed it\n"              \
    "  id          INTEGER PRIMARY KEY,   -- in the order in which they came\n"                              \
    "  barrier     TEXT NOT NULL,\n"                                                                         \
    "  participant TEXT NOT NULL,         -- idempotency key of a node, item and iteration of a run\n"       \
    "  run         INTEGER NOT NULL,\n"                                                                      \
    "  node        TEXT NOT NULL,\n"                                                                         \
    "  item        INTEGER NOT NULL,      -- from 1; 0: the node has none\n"                                 \
    "  attempt     INTEGER NOT NULL,\n"                                                                      \
    "  needed      INTEGER NOT NULL,      -- how many have to arrive\n"                                      \
    "  signal      TEXT NOT NULL,         -- by which it is told\n"                                          \
    "  time        REAL NOT NULL,\n"                                                                         \
    "  opened      TEXT,                  -- the participant with whom all were there; NULL: it waits\n"     \
    "  UNIQUE (barrier, participant)\n"                                                                      \
    ");\n"                                                                                                   \
    "CREATE INDEX arrivals_opened ON arrivals (barrier, opened);\n"

#define STATE_TABLE                                                                                          \
    "CREATE TABLE state (                 -- values that outlive runs\n"                                     \
    "  workflow TEXT NOT NULL,            -- '': shared by all\n"                                            \
    "  key      TEXT NOT NULL,\n"                                                                            \
    "  value    TEXT NOT NULL,            -- JSON\n"                                                         \
    "  version  TEXT NOT NULL,            -- another one after each write\n"                                 \
    "  run_id   TEXT,                     -- runs.id of the run that wrote it\n"                             \
    "  node     TEXT,\n"                                                                                     \
    "  written  REAL NOT NULL,\n"                                                                            \
    "  expires  REAL,                     -- NULL: never\n"                                                  \
    "  checksum INTEGER,                  -- of all of it\n"                                                 \
    "  PRIMARY KEY (workflow, key)\n"                                                                        \
    ");\n"

/* Lists of runs, newest first. A run comes into the indices with its first projection (seq > 0): in
 * the commit that makes it, for which somebody waits, nothing of them is written. A label stands
 * twice: as `name`, whatever its value, and as `name=value`; a boolean also by its word. Its rows
 * follow those of runs by themselves, whoever changes or removes these. */
#define LABELS_OF(row)                                                                                       \
    "SELECT key FROM json_each(" row ".labels) UNION "                                                       \
    "SELECT key || '=' || value FROM json_each(" row ".labels) UNION "                                       \
    "SELECT key || '=' || type FROM json_each(" row ".labels) WHERE type IN ('true', 'false')"
#define LABELS_LEAVE                                                                                         \
    "  DELETE FROM run_labels WHERE state = old.state AND created = old.created AND run = old.number "       \
    "AND label IN (" LABELS_OF("old") ");\n"
#define LIST_TABLES                                                                                          \
    "DROP INDEX runs_created;\n"                                                                             \
    "CREATE INDEX runs_by_state ON runs (state, created) WHERE seq > 0;\n"                                   \
    "CREATE INDEX runs_by_workflow ON runs (workflow, state, created) WHERE seq > 0;\n"                      \
    "CREATE TABLE run_labels (            -- the labels of runs, as `name` and as `name=value`\n"            \
    "  label    TEXT NOT NULL,\n"                                                                            \
    "  state    TEXT NOT NULL,            -- of the run, as are the others\n"                                \
    "  created  REAL NOT NULL,\n"                                                                            \
    "  run      INTEGER NOT NULL,\n"                                                                         \
    "  workflow TEXT NOT NULL,\n"                                                                            \
    "  PRIMARY KEY (label, state, created, run)\n"                                                           \
    ") WITHOUT ROWID;\n"                                                                                     \
    "CREATE INDEX run_labels_workflow ON run_labels (label, workflow, state, created);\n"                    \
    "INSERT OR IGNORE INTO run_labels SELECT j.key, r.state, r.created, r.number, r.workflow FROM runs AS "  \
    "r, json_each(r.labels) AS j WHERE r.seq > 0;\n"                                                         \
    "INSERT OR IGNORE INTO run_labels SELECT j.key || '=' || j.value, r.state, r.created, r.number, "        \
    "r.workflow FROM runs AS r, json_each(r.labels) AS j WHERE r.seq > 0;\n"                                 \
    "INSERT OR IGNORE INTO run_labels SELECT j.key || '=' || j.type, r.state, r.created, r.number, "         \
    "r.workflow FROM runs AS r, json_each(r.labels) AS j WHERE r.seq > 0 AND j.type IN ('true', 'false');\n" \
    "CREATE TRIGGER runs_labels_move AFTER UPDATE OF state ON runs WHEN new.labels IS NOT NULL "             \
    "AND (new.state <> old.state OR old.seq = 0) BEGIN\n" LABELS_LEAVE                                       \
    "  INSERT OR IGNORE INTO run_labels SELECT key, new.state, new.created, new.number, new.workflow "       \
    "FROM (" LABELS_OF(                                                                                      \
        "new") ");\nEND;\n"                                                                                  \
               "CREATE TRIGGER runs_labels_leave AFTER DELETE ON runs WHEN old.labels IS NOT NULL "          \
               "BEGIN\n" LABELS_LEAVE "END;\n"

/* Who may ask a server for what, and what was changed by it. */
#define ACCESS_TABLES                                                                                        \
    "CREATE TABLE tokens (\n"                                                                                \
    "  id        TEXT PRIMARY KEY,\n"                                                                        \
    "  kind      TEXT NOT NULL,           -- token, session\n"                                               \
    "  hash      TEXT NOT NULL UNIQUE,    -- SHA-256 of its text, which is kept nowhere\n"                   \
    "  name      TEXT NOT NULL,\n"                                                                           \
    "  scope     TEXT NOT NULL,           -- read, run, operate, admin\n"                                    \
    "  workflows TEXT,                    -- JSON: only these; NULL: all\n"                                  \
    "  created   REAL NOT NULL,\n"                                                                           \
    "  expires   REAL,                    -- NULL: never\n"                                                  \
    "  revoked   REAL,\n"                                                                                    \
    "  parent    TEXT                     -- of a session: the token that it was begun with\n"               \
    ");\n"                                                                                                   \
    "CREATE TABLE audit (                 -- what was changed by a server or on its tokens\n"                \
    "  id     INTEGER PRIMARY KEY,        -- from 1, without a gap\n"                                        \
    "  entry  TEXT NOT NULL,              -- JSON\n"                                                         \
    "  hash   TEXT NOT NULL               -- SHA-256 of the hash before it, a line end and entry\n"          \
    ");\n"

/* When the next time comes is computed; what is done with is kept. */
#define SCHEDULE_TABLES                                                                                      \
    "CREATE TABLE schedules (             -- what starts runs by itself\n"                                   \
    "  id         TEXT PRIMARY KEY,       -- workflow:name\n"                                                \
    "  workflow   TEXT NOT NULL,\n"                                                                          \
    "  kind       TEXT NOT NULL,          -- schedule, watch or after_run\n"                                 \
    "  definition TEXT NOT NULL,          -- JSON: as it was declared\n"                                     \
    "  file       TEXT,                   -- of the workflow, where a command made it\n"                     \
    "  declared   INTEGER NOT NULL,       -- 1: by the workflow; 0: by a command or the API\n"               \
    "  watermark  REAL NOT NULL,          -- up to this time all has begun or was skipped\n"                 \
    "  queued     REAL,                   -- up to this time what has not begun waits for a run's end\n"     \
    "  paused     REAL,                   -- since when; NULL: it is not\n"                                  \
    "  reason     TEXT,                   -- why it is paused\n"                                             \
    "  resumed    REAL,                   -- when it last went on; failures before do not count\n"           \
    "  seen       TEXT,                   -- JSON: what a watch has found last\n"                            \
    "  changed    REAL NOT NULL\n"                                                                           \
    ");\n"                                                                                                   \
    "CREATE TABLE schedule_skips (        -- times at which no run began\n"                                  \
    "  id       INTEGER PRIMARY KEY,\n"                                                                      \
    "  schedule TEXT NOT NULL,\n"                                                                            \
    "  time     REAL NOT NULL,            -- the first\n"                                                    \
    "  last     REAL NOT NULL,            -- and the last\n"                                                 \
    "  n        INTEGER NOT NULL,         -- how many\n"                                                     \
    "  reason   TEXT NOT NULL,\n"                                                                            \
    "  noted    REAL NOT NULL,\n"                                                                            \
    "  UNIQUE (schedule, time)\n"                                                                            \
    ");\n"                                                                                                   \
    "CREATE TABLE schedule_asked (        -- runs that somebody asked for beside the times of a schedule\n"  \
    "  schedule TEXT NOT NULL,\n"                                                                            \
    "  time     REAL NOT NULL,\n"                                                                            \
    "  kind     TEXT NOT NULL,            -- manual or backfill\n"                                           \
    "  asked    REAL NOT NULL,\n"                                                                            \
    "  PRIMARY KEY (schedule, time)\n"                                                                       \
    ");\n"                                                                                                   \
    "CREATE INDEX runs_ended ON runs (workflow, ended) WHERE ended IS NOT NULL;\n"

/* How many runs of a workflow are in a state, and of those that completed how long they took, in
 * three digits: what statistics are made of. It follows runs by itself, as their labels do. */
#define TOOK(row)                                                                                            \
    "iif(" row ".state = 'completed', printf('%.2e', max(" row ".ended - " row ".created, 0)), '')"
#define FIGURES_LEAVE                                                                                        \
    "  UPDATE run_figures SET n = n - 1 WHERE old.seq > 0 AND workflow = old.workflow AND state = "          \
    "old.state AND took = coalesce(" TOOK("old") ", '');\n"
#define FIGURE_TABLES                                                                                        \
    "CREATE TABLE run_figures (           -- runs by what statistics tell of them\n"                         \
    "  workflow TEXT NOT NULL,\n"                                                                            \
    "  state    TEXT NOT NULL,\n"                                                                            \
    "  took     TEXT NOT NULL,            -- seconds from creation to the end, of those that completed\n"    \
    "  n        INTEGER NOT NULL,\n"                                                                         \
    "  PRIMARY KEY (workflow, state, took)\n"                                                                \
    ") WITHOUT ROWID;\n"                                                                                     \
    "INSERT INTO run_figures SELECT workflow, state, coalesce(" TOOK(                                        \
        "runs") ", '') AS took, count(*) FROM "                                                              \
                "runs WHERE seq > 0 GROUP BY 1, 2, 3;\n"                                                     \
                "CREATE TRIGGER runs_figures_move AFTER UPDATE OF state ON runs WHEN new.state <> "          \
                "old.state "                                                                                 \
                "OR old.seq = 0 OR new.ended IS NOT old.ended BEGIN\n" FIGURES_LEAVE                         \
                "  INSERT INTO run_figures SELECT new.workflow, new.state, coalesce(" TOOK(                  \
                    "new") ", ''), 1 "                                                                       \
                           "WHERE new.seq > 0 ON CONFLICT DO UPDATE SET n = n + 1;\nEND;\n"                  \
                           "CREATE TRIGGER runs_figures_leave AFTER DELETE ON runs BEGIN\n" FIGURES_LEAVE    \
                           "END;\n"

#define HOOK_TABLES                                                                                          \
    "CREATE TABLE hook_deliveries (       -- what came to the hooks of a server; the last of each\n"         \
    "  id       INTEGER PRIMARY KEY,\n"                                                                      \
    "  hook     TEXT NOT NULL,\n"                                                                            \
    "  delivery TEXT,                     -- by which its sender tells it from others\n"                     \
    "  received REAL NOT NULL,\n"                                                                            \
    "  outcome  TEXT NOT NULL,            -- started, signalled, existing, ignored or failed\n"              \
    "  status   INTEGER NOT NULL,         -- of the answer\n"                                                \
    "  run      TEXT,                     -- the id of the run that it has started or signalled\n"           \
    "  message  TEXT,                     -- why it failed\n"                                                \
    "  headers  TEXT NOT NULL,            -- JSON; without those by which it was verified\n"                 \
    "  query    TEXT NOT NULL,            -- of the request's target, as it came\n"                          \
    "  body     TEXT,                     -- JSON: a text; NULL: it was too large to be kept\n"              \
    "  bytes    INTEGER NOT NULL,         -- of the body\n"                                                  \
    "  again    INTEGER                   -- the id of the delivery that somebody had repeated\n"            \
    ");\n"                                                                                                   \
    "CREATE INDEX hook_deliveries_by_hook ON hook_deliveries (hook, id);\n"

#define PUBLISHED_TABLE                                                                                      \
    "CREATE TABLE published (             -- what handlers let be read of a run: the last value of a name\n" \
    "  run     INTEGER NOT NULL,\n"                                                                          \
    "  name    TEXT NOT NULL,\n"                                                                             \
    "  value   TEXT NOT NULL,             -- JSON\n"                                                         \
    "  node    TEXT,                      -- who published it, and when\n"                                   \
    "  item    INTEGER,\n"                                                                                   \
    "  attempt INTEGER,\n"                                                                                   \
    "  time    REAL,\n"                                                                                      \
    "  PRIMARY KEY (run, name)\n"                                                                            \
    ") WITHOUT ROWID;\n"

static const char *const to_1[] = {WORKFLOW_TABLES, RUN_TABLES, HISTORY_TABLES, KEPT_TABLES, NULL};
static const char *const to_2[] = {COMMIT_TABLES, RETURNED_COLUMN, LESS_TO_COMMIT, NULL};
static const char *const to_3[] = {CHECKSUMS, NULL};
static const char *const to_4[] = {ITEM_COLUMNS, LOCK_TABLE, NULL};
static const char *const to_5[] = {ARRIVAL_TABLE, STATE_TABLE, NULL};
static const char *const to_6[] = {LIST_TABLES, FIGURE_TABLES, SCHEDULE_TABLES, ACCESS_TABLES, NULL};
static const char *const to_7[] = {HOOK_TABLES, PUBLISHED_TABLE, NULL};

/* What brings a store of version i to version i + 1. A released line never changes; the next
 * version is one more line. */
static const char *const *const migrations[] = {to_1, to_2, to_3, to_4, to_5, to_6, to_7};

enum { NEWEST = sizeof migrations / sizeof migrations[0] };

static orr_status fail(sqlite3 *db, orr_reason *reason) {
    orr_sqlite_explain(db, sqlite3_errcode(db), "be given its tables", reason);
    return sqlite3_errcode(db) == SQLITE_NOMEM ? ORR_ENOMEM : ORR_EIO;
}

static orr_status number_of(sqlite3 *db, const char *sql, int64_t *number) {
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *number = sqlite3_column_int64(s, 0);
        rc = SQLITE_DONE;
    }
    int end = sqlite3_finalize(s);
    return rc == SQLITE_DONE && end == SQLITE_OK ? ORR_OK : ORR_EIO;
}

/* Reads the version, and refuses what is not ours or from the future. */
static orr_status look(sqlite3 *db, int64_t *version, orr_reason *reason) {
    int64_t application = 0, tables = 0;
    if (number_of(db, "PRAGMA user_version", version) != ORR_OK ||
        number_of(db, "PRAGMA application_id", &application) != ORR_OK ||
        (application != ORR_SQLITE_APPLICATION &&
         number_of(db, "SELECT count(*) FROM sqlite_schema", &tables) != ORR_OK))
        return fail(db, reason);
    const char *path = sqlite3_db_filename(db, "main");
    if (application != ORR_SQLITE_APPLICATION && (application != 0 || *version != 0 || tables != 0)) {
        orr_reason_set(
            reason, "the file '%s' is an SQLite database of another program: name another file for the store",
            path);
        return ORR_EINVAL;
    }
    if (*version > NEWEST) {
        orr_reason_set(reason,
                       "the store '%s' has schema version %lld, made by a newer Orrery, and this one knows "
                       "versions up to %d: "
                       "use the newer Orrery, or another store",
                       path, (long long)*version, NEWEST);
        return ORR_EINVAL;
    }
    return ORR_OK;
}

static orr_status migrate_from(sqlite3 *db, int64_t version, orr_reason *reason) {
    char sql[96];
    for (int64_t v = version; v < NEWEST; v++)
        for (const char *const *part = migrations[v]; *part != NULL; part++)
            if (sqlite3_exec(db, *part, NULL, NULL, NULL) != SQLITE_OK) return fail(db, reason);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", ORR_SQLITE_APPLICATION,
             NEWEST);
    if (orr_sqlite_views(db) != ORR_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(db, reason);
    return ORR_OK;
}

orr_status orr_sqlite_version(sqlite3 *db, bool *current, orr_reason *reason) {
    int64_t version = 0;
    orr_status status = look(db, &version, reason);
    *current = version == NEWEST;
    return status;
}

orr_status orr_sqlite_migrate(sqlite3 *db, orr_reason *reason) {
    int64_t version = 0;
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) return fail(db, reason);
    orr_status status = look(db, &version, reason);
    if (status == ORR_OK && version < NEWEST) status = migrate_from(db, version, reason);
    if (status == ORR_OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = fail(db, reason);
    if (status != ORR_OK) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
