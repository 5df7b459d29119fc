-- Faults of workers: of the line, and of the threads.
local LINE, THREAD = "runtime/worker/workers.c", "runtime/worker/thread.c"

return {
  { name = "a worker that ends counts as one that takes jobs", file = LINE,
    from = "    w->closing = true;\n    w->all->n_threads--;", to = "    w->closing = true;",
    by = "test_worker" },
  { name = "a worker that goes on with its own job still counts as idle", file = THREAD,
    from = "    orr_workers_goes_on(j->worker);\n", to = "", by = "test_worker" },
  { name = "only the first in line is told that no worker can begin", file = LINE,
    from = "    for (job *next; line; line = next) {\n        next = line->next;",
    to = "    for (job *next; line; line = next) {\n        next = NULL;", by = "test_worker" },
  { name = "what waits again after it was cancelled keeps its worker", file = THREAD,
    from = "    drop_cut(w);\n", to = "", by = "test_worker" },
}
