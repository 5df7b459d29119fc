/* core_graph.c - C handlers on Orrery's core: the plan through the builder, the run as a loop of
 * orr_core_next, the handler and orr_task_end.
 *
 * `run` is the whole life of a run, from orr_run_new to the action that ends it; the peer's graph,
 * which keeps its state between runs, has no such set-up.
 */
#include "core/core.h"
#include "graphs.h"
#include "sample.h"

typedef void (*handler)(uint64_t *handled);

static void handle(uint64_t *handled) {
    ++*handled;
}

static void *need(void *p) {
    if (p == NULL) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return p;
}

static orr_plan *build(const graph *g, const orr_alloc *alloc) {
    orr_plan_options options = {.name = g->shape};
    orr_plan_builder *b = need(orr_plan_begin(alloc, &options));
    int64_t wrong = orr_plan_reserve(b, g->nodes, g->edges);
    for (uint32_t i = 0, index; i < g->nodes; i++) wrong |= orr_plan_node(b, NULL, 0, 0, &index);
    for (uint32_t e = 0; e < g->edges; e++)
        wrong |= orr_plan_edge(b, g->from[e], g->to[e], ORR_PORT_ANY, false);
    orr_plan *plan = NULL;
    wrong |= orr_plan_end(b, NULL, NULL, &plan);
    sample_expect("status of the plan", (uint64_t)-wrong, ORR_OK);
    return plan;
}

static orr_run *run_once(orr_core *core, orr_plan *plan, const handler *handlers, uint64_t *handled) {
    static const orr_result done = {.end = ORR_END_COMPLETED, .port = ORR_PORT_ANY};
    orr_run_options options = {.seed = 1};
    orr_run *run = need(orr_run_new(core, plan, &options));
    orr_action action;
    orr_run_begin(run);
    while (orr_core_next(core, &action) && action.kind == ORR_ACT_START) {
        handlers[action.task.node](handled);
        orr_task_end(run, &action.task, &done);
    }
    return run;
}

int main(int argc, char **argv) {
    graph g = graph_of_arguments(argc, argv);
    orr_core_options options = {.alloc = {orr_alloc_libc, NULL}, .now = 1};
    orr_core *core = need(orr_core_new(&options));
    double rss = sample_rss();

    double start = sample_time();
    orr_plan *plan = build(&g, &options.alloc);
    sample_say("build", sample_time() - start);
    sample_say("nodes", g.nodes);
    sample_say("mark", graph_mark(&g));
    sample_say("plan_rss", sample_rss() - rss);
    sample_say("plan_bytes", (double)orr_plan_bytes(plan));
    handler *handlers = need(malloc(g.nodes * sizeof *handlers));
    for (uint32_t i = 0; i < g.nodes; i++) handlers[i] = handle;

    double before = sample_rss();
    uint64_t handled = 0;
    orr_run *run = run_once(core, plan, handlers, &handled); /* warms up */
    sample_expect("nodes handled", handled, g.nodes);
    orr_run_free(run);

    handled = 0;
    start = sample_time();
    run = run_once(core, plan, handlers, &handled);
    sample_say("run", sample_time() - start);
    sample_expect("nodes handled", handled, g.nodes);
    sample_expect("state of the run", orr_run_get_state(run), ORR_RUN_COMPLETED);
    sample_say("run_bytes", (double)orr_run_bytes(run));
    sample_say("run_rss", sample_rss() - before);
    start = sample_time();
    orr_run_free(run);
    sample_say("free", sample_time() - start);

    orr_plan_unref(plan);
    orr_core_free(core);
    free(handlers);
    graph_free(&g);
    return 0;
}
