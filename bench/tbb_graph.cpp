/* tbb_graph.cpp - the peer: the same graph as continue_nodes of oneTBB's flow graph.
 *
 * usage: tbb_graph SHAPE NODES THREADS. Nodes stand in one block, which is the best case for the peer. What is timed as
 * `build` makes nodes and edges, as `run` one try_put and wait_for_all on a graph that has run before.
 */
#include "graphs.h"
#include "sample.h"

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <vector>

namespace flow = oneapi::tbb::flow;
using node = flow::continue_node<flow::continue_msg>;

namespace {

/* One a thread, so that counting is as cheap as in the other contestants. */
thread_local uint64_t handled = 0;

void run_once(flow::graph &tasks, node &first)
{
    first.try_put(flow::continue_msg());
    tasks.wait_for_all();
}

void measure(const graph &g, bool alone)
{
    double rss = sample_rss();
    double start = sample_time();
    flow::graph tasks;
    std::vector<node> nodes;
    nodes.reserve(g.nodes);
    for (uint32_t i = 0; i < g.nodes; i++)
        nodes.emplace_back(tasks, [](const flow::continue_msg &) { ++handled; });
    for (uint32_t e = 0; e < g.edges; e++)
        flow::make_edge(nodes[g.from[e]], nodes[g.to[e]]);
    sample_say("build", sample_time() - start);
    sample_say("nodes", g.nodes);
    sample_say("mark", graph_mark(&g));
    sample_say("plan_rss", sample_rss() - rss);
    run_once(tasks, nodes[0]); /* warms up */
    handled = 0;
    start = sample_time();
    run_once(tasks, nodes[0]);
    sample_say("run", sample_time() - start);
    sample_say("total_rss", sample_rss() - rss);
    if (alone)
        sample_expect("nodes handled", handled, g.nodes);
}

} // namespace

int main(int argc, char **argv)
{
    graph g = graph_of_arguments(argc, argv);
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism,
                                      static_cast<size_t>(threads));
    oneapi::tbb::task_arena arena(threads);
    arena.execute([&] { measure(g, threads == 1); });
    graph_free(&g);
    return 0;
}
