/* api_graph.c - C handlers through the public header: a workflow of C functions, started and waited
 * for.
 *
 * `run` goes from orr_start to the end of orr_wait; nobody listens to events.
 */
#include "graphs.h"
#include "sample.h"

#include <orrery.h>

static int handle(void *ud, uint32_t node) {
    (void)node;
    ++*(uint64_t *)ud;
    return ORR_OK;
}

/* Ends the program with the runtime's own sentence. */
static void need(const orr_runtime *rt, bool good) {
    if (good) return;
    fprintf(stderr, "bench: %s\n", rt != NULL ? orr_last_error(rt) : "the runtime cannot be opened");
    exit(1);
}

static orr_workflow *build(orr_runtime *rt, const graph *g, uint64_t *handled) {
    orr_builder *b = orr_build(rt, g->shape, g->nodes, g->edges);
    need(rt, b != NULL);
    for (uint32_t i = 0; i < g->nodes; i++) need(rt, orr_build_node(b, NULL, handle, handled) >= 0);
    for (uint32_t e = 0; e < g->edges; e++) need(rt, orr_build_edge(b, g->from[e], g->to[e]) == ORR_OK);
    orr_workflow *workflow = orr_build_end(b);
    need(rt, workflow != NULL);
    return workflow;
}

static orr_run_id run_once(orr_runtime *rt, orr_workflow *workflow) {
    orr_run_id run = orr_start(rt, workflow, NULL, NULL);
    need(rt, !orr_run_id_is_none(run));
    need(rt, orr_wait(rt, run) == ORR_OK);
    return run;
}

int main(int argc, char **argv) {
    graph g = graph_of_arguments(argc, argv);
    uint64_t handled = 0;
    orr_config config;
    orr_config_init(&config);
    orr_runtime *rt = orr_open(&config);
    need(rt, rt != NULL);

    double start = sample_time();
    orr_workflow *workflow = build(rt, &g, &handled);
    sample_say("build", sample_time() - start);
    sample_say("nodes", g.nodes);
    sample_say("mark", graph_mark(&g));

    orr_run_id run = run_once(rt, workflow); /* warms up */
    orr_forget(rt, run);
    sample_expect("nodes handled", handled, g.nodes);
    handled = 0;
    start = sample_time();
    run = run_once(rt, workflow);
    sample_say("run", sample_time() - start);
    sample_expect("nodes handled", handled, g.nodes);
    sample_expect("state of the run", orr_state(rt, run), ORR_RUN_COMPLETED);
    orr_forget(rt, run);
    orr_workflow_free(workflow);
    orr_close(rt);
    graph_free(&g);
    return 0;
}
