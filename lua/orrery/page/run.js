// run.js: <orr-run>, one run: what it is, its graph, its time, its nodes, what was logged, what went in and came out.
//
// What it shows is data in the shape that `orrery show --html` writes; a run that goes on is given anew, and only the
// parts that differ are made anew.
import "./graph.js";
import "./chart.js";
import "./logs.js";
import { el, fact_list, fill, line } from "./dom.js";
import { error_view, node_table, node_view, state_of, step_table, table_of } from "./nodes.js";
import { published_table } from "./published.js";
import { badge } from "./states.js";
import { brief, value_view } from "./value.js";
import { clock, duration, plural, time } from "./words.js";

const SHOWN_FAILURES = 10;

function labels_of(labels) {
  return Object.entries(labels ?? {}).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ");
}

function facts(run, now) {
  const begun = run.started ?? run.created, owner = run.owner;
  const list = [["Id", run.id], ["Created", time(run.created)],
    ["Took", run.ended ? duration(run.ended - begun) : `${duration(now - begun)} so far`], ["Labels", labels_of(run.labels)],
    ["Key", run.key], ["Parent", run.parent], ["Forked from", run.forked_from], ["Lock", run.lock?.value],
    ["Owner", !run.ended && (owner ? `process ${owner.pid}${owner.alive ? "" : ", which is gone"}` : "nobody")]];
  return fact_list(list);
}

// Each node and item that failed.
function failures_of(run) {
  const found = [];
  for (const node of run.nodes) {
    if (node.state === "failed" && node.error) found.push([node.name, node, node.name]);
    for (const item of node.items ?? []) {
      if (item.state === "failed" && item.error) found.push([`${node.name}[${item.item_name ?? item.item}]`, item, node.name]);
    }
  }
  return found;
}

function signal_table(signals) {
  return table_of("Signals", ["Received", "Name", "Taken", "Data"], signals.map((signal) => [
    clock(signal.received ?? signal.sent), line(signal.name), signal.taken ? clock(signal.taken) : "kept", brief(signal.data)]));
}

class Run extends HTMLElement {
  #data = null; #chosen = null; #parts = new Map(); #known = new Map();

  // actions: (data) -> elements for the run; node_actions: (data, node) -> elements; link: (id) -> URL of a run, or null;
  // load: (node) -> a promise of the parts of a node that are not in the data, or null
  options = { actions: () => null, node_actions: () => null, link: () => null, load: () => null };

  set data(data) {
    this.#data = data;
    if (!this.#parts.size) this.#build();
    this.#update();
  }

  #section(id, title, ...children) {
    const body = el("div", { class: "body" }, children);
    const section = el("details", { class: "part", id, open: true }, el("summary", {}, el("h3", {}, title)), body);
    this.#parts.set(id, { section, body });
    return section;
  }

  #build() {
    this.head = el("div", {}), this.actions = el("div", {}), this.failed = el("div", {});
    this.graph = el("orr-graph", {}), this.chart = el("orr-chart", {}), this.logs = el("orr-logs", {});
    this.panel = el("aside", { class: "panel", "aria-label": "Chosen node", hidden: true, tabindex: "-1",
      onkeydown: (event) => event.key === "Escape" && this.#close() });
    this.main = el("div", { class: "main" }, this.failed,
      this.#section("graph", "Graph", this.graph), this.#section("time", "Time", this.chart),
      this.#section("nodes", "Nodes"), this.#section("logs", "Logs", this.logs), this.#section("values", "Input and output"),
      this.#section("published", "Published"), this.#section("steps", "Steps"), this.#section("signals", "Signals"), this.#section("children", "Child runs"));
    this.addEventListener("choose", (event) => this.choose(event.detail));
    fill(this, el("header", {}, this.head, this.actions), el("div", { class: "columns" }, this.main, this.panel));
  }

  // Calls `make` where what it is made of has changed; whoever is in it keeps the focus otherwise.
  #renew(name, material, make) {
    const key = JSON.stringify(material);
    if (this.#known.get(name) === key) return;
    this.#known.set(name, key);
    make();
  }

  #part(id, material, is_there, make) {
    const { section, body } = this.#parts.get(id);
    section.hidden = !is_there;
    if (is_there) this.#renew(id, material, () => fill(body, make()));
  }

  #update() {
    const { run, graph, timeline, logs, why } = this.#data, now = run.ended ?? this.#data.made;
    this.states = new Map(run.nodes.map((node) => [node.name, state_of(node)]));
    this.nodes = new Map(run.nodes.map((node) => [node.name, node]));
    const state = run.shown_state ?? run.state;
    this.#renew("head", [run.id, state, run.ended ?? now, run.owner, run.labels], () => fill(this.head,
      el("h2", {}, el("span", { class: "name" }, line(run.workflow)), " ", badge(state)),
      facts(run, now)));
    this.#renew("actions", [run.id, state, run.awaits], () => fill(this.actions, this.options.actions(this.#data)));
    this.#renew("failed", [run.error, run.help, failures_of(run).map(([name, part]) => [name, part.attempts, part.help])], () => fill(this.failed, this.#failures(run)));
    this.#parts.get("graph").section.hidden = !graph;
    if (graph && !graph.nodes) {
      this.#renew("graph", graph.total, () => fill(this.#parts.get("graph").body,
        el("p", { class: "quiet" }, `A graph of ${plural(graph.total, "node")} is too large to be drawn; they are listed below.`)));
    } else if (graph) {
      this.#renew("graph", [graph.nodes.length, graph.width, graph.height], () => this.graph.graph = graph);
      this.graph.mark(this.states, new Set(timeline.critical));
    }
    this.#renew("time", [timeline, [...this.states], run.ended ? 0 : now],
      () => this.chart.show(timeline, (name) => this.states.get(name), now));
    this.#part("nodes", [run.nodes, why], true, () => node_table(run, why, now, (name) => this.choose(name)));
    this.#parts.get("logs").section.hidden = logs.lines.length === 0;
    this.#renew("logs", [logs.before, logs.lines.length], () => this.logs.lines = logs);
    this.#part("values", [run.input, run.output, run.context], true, () => this.#values(run));
    this.#part("published", run.published ?? [], run.published?.length > 0, () => published_table(run.published));
    this.#part("steps", run.steps, run.steps.length > 0, () => step_table(run.steps));
    this.#part("signals", run.signals, run.signals.length > 0, () => signal_table(run.signals));
    this.#part("children", run.children, run.children.length > 0, () => this.#children(run.children));
    if (this.#chosen) this.#fill_panel();
  }

  #failures(run) {
    const found = failures_of(run), shown = found.slice(0, SHOWN_FAILURES);
    const list = shown.map(([name, part, node]) => el("div", { class: "failure" },
      el("button", { type: "button", class: "link name", onclick: () => this.choose(node) }, line(name)),
      error_view(part.error, part.help, part.attempts)));
    if (run.error && found.length === 0) list.push(error_view(run.error, run.help));
    if (list.length === 0) return null;
    return el("section", { class: "failures", "aria-label": "What failed" }, list,
      found.length > shown.length && el("p", { class: "quiet" }, `and ${found.length - shown.length} more, see the nodes`));
  }

  #values(run) {
    const entry = (title, value) => value !== undefined && value !== null
      && el("div", {}, el("h4", {}, title), value_view(value));
    const list = [entry("Input", run.input), entry("Context", run.context), entry("Output", run.output)].filter(Boolean);
    return list.length > 0 ? list : el("p", { class: "quiet" }, "It was given nothing and has given nothing.");
  }

  #children(children) {
    return table_of("Child runs", ["Run", "Workflow", "State", "Took"], children.map((child) => {
      const link = this.options.link(child.id);
      return [link ? el("a", { href: link }, child.id) : line(child.id), line(child.workflow), badge(child.state),
        child.ended ? duration(child.ended - child.created) : ""];
    }));
  }

  // Shows one node beside the others.
  choose(name) {
    if (!this.nodes.has(name)) return;
    this.#chosen = name, this.shown_node = null, this.came_from = document.activeElement;
    this.#known.delete("panel");
    this.#fill_panel();
    this.panel.hidden = false;
    this.panel.focus();
    this.panel.scrollIntoView({ block: "nearest" });
  }

  #close() {
    this.#chosen = this.shown_node = null;
    this.panel.hidden = true;
    this.came_from?.focus?.();
  }

  // What is known at once is shown at once, and again with what was asked for; of a node that is shown already only that.
  async #fill_panel() {
    const node = this.nodes.get(this.#chosen);
    if (!node) return this.#close();
    const asked = this.options.load(node);
    if (!asked || this.shown_node !== node.name) this.#draw_panel(node);
    this.shown_node = node.name;
    if (!asked) return;
    await asked.catch((problem) => node.error ??= { code: problem.code, message: problem.message });
    if (this.#chosen === node.name) this.#draw_panel(node);
  }

  #draw_panel(node) {
    const now = this.#data.run.ended ?? this.#data.made;
    const has_lines = this.#data.logs.lines.some((row) => row.node === node.name);
    this.#renew("panel", [node, this.#data.why[node.name], has_lines], () => fill(this.panel,
      el("h3", {}, el("span", { class: "name" }, line(node.name)),
        el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.#close() }, "×")),
      has_lines && el("p", {}, el("button", { type: "button", onclick: () => this.#show_logs(node.name) }, "Its log lines")),
      node_view(node, this.#data, now, this.options.node_actions(this.#data, node))));
  }

  #show_logs(name) {
    this.logs.choose(name);
    this.#parts.get("logs").section.open = true;
    this.#parts.get("logs").section.scrollIntoView();
  }
}

customElements.define("orr-run", Run);
