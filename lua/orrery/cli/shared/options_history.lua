--- The options of the commands that look at what runs have left, as data;
--- `orrery.cli.shared.options` loads them when one is asked for.
local STORE = { "--store",
  "The store: sqlite:PATH or a path; ORRERY_STORE without it, else ./.orrery/runs.db.", argname = "URL" }
local JSON = { "--json", "Print the result as JSON.", flag = true }
local LINES = { "--json", "Print one JSON object a line.", flag = true }
local RUN = { "run", "A run: its id, or a beginning of it that no other has." }
local NEWEST = { "run",
  "A run: its id, or a beginning of it that no other has; the newest without it, or with @last.", each = "?" }
local RUNS = { "run", "Runs: their ids, or beginnings of them; or choose runs with the options.", each = "*" }

return {
  order = { "runs", "show", "logs", "why", "stats", "advise", "signal", "cancel", "pause", "prune", "backup",
    "restore", "cache", "state", "schedule", "serve", "token", "audit" },
  commands = {
    runs = {
      summary = "Lists runs, the newest first.",
      LINES, STORE, filtered = true,
      examples = {
        "orrery runs",
        "orrery runs --workflow etl --state failed,cancelled --since 1d",
        "orrery runs --label suite=nightly --json",
      },
    },
    show = {
      summary = "Shows one run: states, attempts, times, outputs, errors, a time chart.",
      NEWEST, { "--outputs", "Show the output of every node, too.", flag = true },
      { "--html", "Write the run to this file as one page for a browser, with its graph, times, logs and "
        .. "values; - is the standard output.", argname = "FILE" }, JSON, STORE,
      examples = { "orrery show", "orrery show 0193f0e2", "orrery show 0193f0e2 --outputs",
        "orrery show 0193f0e2 --json", "orrery show 0193f0e2 --html run.html" },
    },
    logs = {
      summary = "Prints what the nodes of a run have logged.",
      NEWEST,
      { "--node", "Only of this node, or of one item: fetch, fetch[3].", argname = "NODE" },
      { "--level", "Only of this level and above: debug, info, warn, error.", argname = "LEVEL" },
      { "-f --follow", "Go on until the run has ended.", flag = true },
      LINES, STORE,
      examples = { "orrery logs", "orrery logs 0193f0e2", "orrery logs 0193f0e2 --level warn",
        "orrery logs 0193f0e2 --node fetch --follow" },
    },
    why = {
      summary = "Says what a node waits for, or how it ended, and what helps.",
      NEWEST, { "node", "A node, or one item of it: fetch, fetch[3]. Without it all that did not simply "
        .. "complete.", each = "?" },
      { "--json", "Print one JSON object for each node.", flag = true }, STORE,
      examples = { "orrery why", "orrery why approve", "orrery why 0193f0e2 approve" },
    },
    stats = {
      summary = "Figures over all runs: counts, success rate, durations at the median, 95 and 99 %.",
      { "--workflow", "The nodes of this workflow.", argname = "NAME" }, JSON, STORE,
      examples = { "orrery stats", "orrery stats --workflow etl" },
    },
    advise = {
      summary = "Proposes timeouts, retries, pools and more by what the runs of a store have shown.",
      { "workflow", "Only for this workflow.", each = "?" },
      JSON, STORE,
      examples = { "orrery advise", "orrery advise etl", "orrery advise etl --json" },
    },
    signal = {
      summary = "Sends a signal to a run, such as an approval.",
      RUN, { "name", "Name of the signal." }, { "data", "What it carries, as JSON.", each = "?" },
      { "--approve", "Send an approval: {\"approved\": true, \"by\": …, \"why\": …}.", flag = true },
      { "--reject", "Send a refusal: {\"approved\": false, …}.", flag = true },
      { "--by", "Who approves or refuses; you, unless it is said.", argname = "WHO" },
      { "--why", "Why.", argname = "TEXT" },
      { "--id", "Of several signals with the same id only the first counts.", argname = "ID" },
      JSON, STORE,
      examples = {
        "orrery signal 0193f0e2 payment '{\"amount\": 12}'",
        "orrery signal 0193f0e2 release --approve --why 'tests are green'",
      },
    },
    cancel = {
      summary = "Cancels runs.",
      RUNS, { "--why", "Why: the run keeps it as its error.", argname = "TEXT" }, JSON, STORE,
      filtered = true,
      examples = {
        "orrery cancel 0193f0e2 --why 'the wrong file'",
        "orrery cancel --workflow etl --state running --since 1d",
      },
    },
    pause = {
      summary = "Pauses runs, a whole workflow or a pool: what runs goes on, nothing more starts.",
      RUNS, { "--pool", "The pool of this name: nothing that draws from it starts.", argname = "NAME" }, JSON,
      STORE, filtered = true,
      examples = {
        "orrery pause 0193f0e2", "orrery pause --workflow etl", "orrery pause --pool db",
        "orrery pause --workflow etl --label suite=nightly",
      },
    },
    prune = {
      summary = "Removes old runs that have ended, and what only they used.",
      { "--older", "Runs that ended longer ago than this, such as 30d.", argname = "AGE" },
      { "--state", "Only runs that ended so; may be repeated, or several with commas.", many = true,
        argname = "STATE" },
      { "--workflow", "Only runs of this workflow.", argname = "NAME" },
      { "--dry", "Remove nothing: say what would be.", flag = true },
      { "--keep", "From now on keep runs so long: long-lived hosts prune by it when they start. `forever` "
        .. "ends that.", argname = "AGE" },
      JSON, STORE,
      examples = {
        "orrery prune --older 30d --dry", "orrery prune --older 7d --state completed --workflow etl",
        "orrery prune --keep 90d",
      },
    },
    backup = {
      summary = "Copies the store to a file, while runs go on.",
      { "file", "The copy. It must not exist." }, JSON, STORE,
      examples = { "orrery backup runs-backup.db" },
    },
    restore = {
      summary = "Puts a backup in the place of the store, once all of it was read.",
      { "file", "The backup." },
      { "--overwrite", "Replace the store that is there.", flag = true }, JSON, STORE,
      examples = { "orrery restore runs-backup.db --store new.db",
        "orrery restore runs-backup.db --overwrite" },
    },
    cache = {
      summary = "Lists or clears stored outputs of nodes with `cache` or `inputs`.",
      { "action", "list (default) or clear.", each = "?", choices = { "list", "clear" } },
      { "--workflow", "Only of this workflow.", argname = "NAME" },
      { "--node", "Only of this node.", argname = "NODE" },
      LINES, STORE,
      examples = { "orrery cache", "orrery cache clear --workflow etl --node fetch" },
    },
    state = {
      summary = "Lists or removes the values that workflows keep between runs.",
      { "action", "list (default) or remove.", each = "?", choices = { "list", "remove" } },
      { "key", "Only the value of this key.", each = "?" },
      { "--workflow", "Only of this workflow.", argname = "NAME" },
      { "--shared", "Only what is shared by all workflows.", flag = true },
      LINES, STORE,
      examples = { "orrery state", "orrery state list watermark --json",
        "orrery state remove watermark --workflow etl" },
    },
    schedule = {
      summary = "Schedules: what starts runs by itself, when it comes, and what would be.",
      { "action",
        "list (default), show, add, remove, pause, resume, trigger (a run now), backfill (runs of times "
        .. "that have passed), next, simulate.", each = "?", choices = { "list", "show", "add", "remove",
          "pause",
        "resume", "trigger", "backfill", "next", "simulate" } },
      { "what",
        "A schedule (WORKFLOW:NAME, or WORKFLOW where it has one); add: a workflow's file; next and simulate "
        .. "also a file, or a cron line.", each = "*" },
      { "--cron", "Its times: five fields, or six with seconds first.", argname = "LINE" },
      { "--every", "Its interval, such as 15m.", argname = "DURATION" },
      { "--anchor", "From when an interval counts; 1970 otherwise.", argname = "TIME" },
      { "--zone", "Its time zone; UTC otherwise.", argname = "ZONE" },
      { "--except",
        "A day (2026-12-24), days (2026-12-24/2027-01-02), a day of each year (--12-25) or a cron line "
        .. "at which it does not come.", many = true, argname = "WHAT" },
      { "--start", "It does not come before.", argname = "TIME" },
      { "--end", "It does not come after.", argname = "TIME" },
      { "--missed", "Times that passed while nothing ran; none otherwise.", choices = { "none", "last",
        "all" } },
      { "--overlap", "While a run of it goes on; skip otherwise.",
        choices = { "skip", "queue_one", "queue_all", "cancel", "terminate", "allow" } },
      { "--jitter", "Spread its times over so long.", argname = "DURATION" },
      { "--pause-on-failure", "Pause it after so many failures in a row.", number = true, least = 1,
        argname = "N" },
      { "--name", "Its name; schedule otherwise.", argname = "NAME" },
      { "--input", "The input of its runs, as JSON; ${schedule.time} in it is the time.", argname = "JSON" },
      { "--reason", "Why it is paused.", argname = "TEXT" },
      { "--from", "backfill, next, simulate: from that time on.", argname = "TIME" },
      { "--to", "backfill: up to that time.", argname = "TIME" },
      { "--dry", "backfill: ask for nothing: say how many there are.", flag = true },
      { "--count", "next: how many; 10 otherwise.", number = true, least = 1, argname = "N" },
      { "--days", "simulate: how many; 365 otherwise.", number = true, least = 1, argname = "N" },
      { "--duration", "simulate: how long each run takes, in place of the history.", argname = "DURATION" },
      { "--json", "Print JSON: one object, of list and next one a line.", flag = true }, STORE,
      examples = {
        "orrery schedule", "orrery schedule next '30 2 * * mon-fri' --zone Europe/Berlin",
        "orrery schedule add etl.lua --cron '30 2 * * *' --zone Europe/Berlin --overlap queue_one",
        "orrery schedule simulate etl.lua", "orrery schedule pause etl --reason 'the source moves'",
        "orrery schedule backfill etl --from 2026-01-01 --to 2026-01-31",
      },
    },
    serve = {
      summary = "Serves workflows: an API over HTTP, runs that go on, one store.",
      { "path", "Folders and files with workflows; this folder without one.", each = "*" },
      { "--listen", "HOST:PORT, [ADDRESS]:PORT or unix:PATH; may be repeated. 127.0.0.1:7750 otherwise.",
        many = true, argname = "ADDRESS" },
      { "--tls", "Speak TLS: the file of the certificate with its chain, then that of the key.", values = 2,
        argname = "PEM" },
      { "--read-only", "Change nothing: the API only shows.", flag = true },
      { "--host", "A name by which the server may be called, beside addresses and localhost.", many = true,
        argname = "NAME" },
      { "--user-header", "The header in which a proxy on this machine says who asks.", argname = "HEADER" },
      { "--user-scope", "What they may; operate otherwise.", choices = { "read", "run", "operate",
        "admin" } },
      { "--grace", "How long runs may go on when the server is stopped; 30s otherwise.",
        argname = "DURATION" },
      { "--store", "Where runs are kept: sqlite:PATH. Otherwise ORRERY_STORE, or sqlite:./.orrery/runs.db.",
        argname = "URL" },
      { "--durability", "strict, or relaxed: results are on disk within 50 ms.",
        choices = { "strict", "relaxed" } },
      { "--trust", "Also from a store of another user, whose code then runs as you.", flag = true },
      examples = { "orrery serve flows", "orrery serve flows --listen unix:/run/orrery/http.sock",
        "orrery serve flows --listen 0.0.0.0:443 --tls cert.pem key.pem --host flows.example.org" },
      epilog = [[
Signals:
   HUP   looks at the files of workflows again
   TERM  begins no more runs, lets them go on for --grace, then suspends them

Exit codes:
   0  it was stopped   1  it could not listen   2  bad usage, or an address that strangers reach]],
    },
    token = {
      summary = "Makes, lists or revokes tokens, by which programs and people may ask a server.",
      { "action", "list (default), create or revoke.", each = "?", choices = { "list", "create", "revoke" } },
      { "id", "The id or name of the token that is revoked.", each = "?" },
      { "--scope", "read, run, operate or admin; each may do what those before it may.",
        choices = { "read", "run", "operate", "admin" } },
      { "--name", "What to call it.", argname = "NAME" },
      { "--expires", "How long it is good, such as 90d; for ever otherwise.", argname = "DURATION" },
      { "--workflow", "Only for this workflow; may be repeated.", many = true, argname = "NAME" },
      LINES, STORE,
      examples = { "orrery token create --scope run --name ci --expires 90d", "orrery token",
        "orrery token revoke ci" },
    },
    audit = {
      summary = "Lists what was changed by a server, or verifies that nobody has changed the list.",
      { "action", "list (default) or verify.", each = "?", choices = { "list", "verify" } },
      { "-n --limit", "At most so many lines, the newest; 0 is all, 50 otherwise.", number = true, least = 0,
        argname = "N" },
      LINES, STORE,
      examples = { "orrery audit", "orrery audit --limit 0 --json", "orrery audit verify" },
    },
  },
}
