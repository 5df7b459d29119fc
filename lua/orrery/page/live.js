// live.js: one run as the server has it, in the shape that <orr-run> shows, and again whenever something happens to it.
import "./run.js";
import { help_button, run_actions, run_url } from "./actions.js";
import { ask, pages, run_path } from "./api.js";
import { problem_view } from "./dialogs.js";
import { el, fill } from "./dom.js";
import { later, on_event } from "./stream.js";
import { why_words } from "./why.js";

const NODES = 20000, FIRST = 200, STEPS = 1000; // as many are asked for; of a larger run the first and those that matter
const MATTER = ["failed", "running", "waiting", "retrying", "compensation_failed"];
const TICK = 1000;
const SETTLES = 250; // ms: several events are one look; more where a look takes long

const NOTHING_YET = { graph: null, timeline: { from: 0, started: 0, nodes: {}, critical: [] }, why: {}, logs: { lines: [], before: 0 } };

// The nodes of a run in their order; of a large one the first, and some of each state that matters.
async function read_nodes(id, total) {
  const path = run_path(id, "/nodes"), some = (state, most) => pages(path, "nodes", { limit: 1000, state }, most);
  if (total <= NODES) return some(undefined, NODES);
  const lists = [await some(undefined, 1000)];
  for (const state of MATTER) lists.push(await some(state, 1000));
  const by_index = new Map(lists.flat().map((node) => [node.index, node]));
  return [...by_index.values()].sort((one, other) => one.index - other.index);
}

// Of an `each` node the number of its items is known; they are asked for when somebody looks.
function as_shown(run, nodes, steps, signals, published) {
  for (const node of nodes) node.item_count = node.items, delete node.items;
  return { ...run, total: run.total ?? run.nodes, nodes, steps, signals, published };
}

// Reads a run and shows it as it comes: what it is, then its parts, then what takes the server longest. Where it was shown
// before, only the whole is shown.
async function read_run(id, before, show) {
  const made = () => Date.now() / 1000, part = (name, query) => ask(run_path(id, `/${name}`), { query });
  const known = before ?? { ...NOTHING_YET, run: null };
  const [run, first] = await Promise.all([ask(run_path(id)), before ? null : part("nodes", { limit: FIRST })]);
  const total = run.total ?? run.nodes;
  if (first) show({ ...known, made: made(), run: as_shown(run, first.nodes, [], [], []) });
  const list = (name) => pages(run_path(id, `/${name}`), name, { limit: 1000 }, STEPS);
  const [nodes, steps, signals, why, logs, { published }] = await Promise.all([first && !first.next ? first.nodes : read_nodes(id, total),
    list("steps"), list("signals"), part("why"), part("logs", { tail: 1000 }), part("published")]);
  const words = {}, by_name = new Map(nodes.map((node) => [node.name, node]));
  for (const said of why.nodes.filter((one) => !one.item)) {
    words[said.node] = { sentence: why_words(said, made()), help: said.help };
    if (said.error && by_name.has(said.node)) by_name.get(said.node).help = { try: said.try, lines: said.place };
  }
  const data = { ...known, made: made(), run: as_shown(run, nodes, steps, signals, published), why: words,
    logs: { lines: logs.lines, before: 0 } };
  if (!before) show(data);
  data.graph = known.graph ?? await part("graph").catch(() => null);
  data.timeline = await part("timeline");
  show(data);
}

// What is asked for only of the node that one looks at.
async function read_node(id, node) {
  const query = { node: node.name, limit: 200 };
  const [whole, attempts] = await Promise.all([ask(run_path(id, `/nodes/${encodeURIComponent(node.name)}`)),
    ask(run_path(id, "/attempts"), { query })]);
  node.output = whole.output, node.tries = attempts.attempts;
  if (node.item_count) node.items = (await ask(run_path(id, "/items"), { query })).items;
}

export function run_view(id, may) {
  const view = el("orr-run", {}), said = el("div", {});
  let shown = null, whole = null, reading = false, missed = false, wait = SETTLES;
  const read = async () => {
    if (reading) return missed = true;
    reading = true;
    const begun = performance.now();
    try {
      await read_run(id, whole, (data) => view.data = shown = data);
      whole = shown;
      fill(said);
    } catch (problem) {
      fill(said, problem_view(problem));
    }
    wait = Math.max(SETTLES, 2 * (performance.now() - begun));
    reading = false;
    if (missed) missed = false, again();
  };
  const again = later(read, () => wait);
  // The time of a run that goes on is that of the clock.
  const clock = setInterval(() => {
    if (shown && !shown.run.ended && !document.hidden) view.data = { ...shown, made: Date.now() / 1000 };
  }, TICK);
  view.options = {
    actions: ({ run }) => run_actions(run, may, again), link: run_url, load: (node) => read_node(id, node),
    node_actions: ({ run, why }, node) => help_button(run, why[node.name]?.help, may, again),
  };
  const end = on_event((event) => (event === null || event.run === id) && again());
  read();
  return { element: el("div", {}, said, view), stop() {
    end();
    clearInterval(clock);
  } };
}
