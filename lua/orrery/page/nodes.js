// nodes.js: the nodes of a run as a table, and one node with all that is known of it.
import { ansi } from "./ansi.js";
import { el, fill, growing, line, lines } from "./dom.js";
import { badge, word_of } from "./states.js";
import { brief, value_view } from "./value.js";
import { clock, duration, plural, task, time } from "./words.js";

const ROWS_SHOWN = 200; // at first, and with each further step

export function state_of(node) {
  return node.interrupted ? "interrupted" : node.state;
}

export function took_of(node, now) {
  return node.started && !node.interrupted ? duration((node.ended ?? now) - node.started) : "";
}

// A table with a heading for who cannot see it. `rows` are lists of cells.
export function table_of(name, titles, rows, step = ROWS_SHOWN) {
  const make = (cells) => el("tr", {}, cells.map((cell, i) => el("td", { "data-title": titles[i] || null }, cell)));
  const [body, more] = growing(el("tbody", {}), rows, make, step);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
    el("table", {}, el("caption", { class: "hidden" }, name),
      el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col" }, title)))), body), more);
}

// An error: what, where, and what helps.
export function error_view(error, help, attempts) {
  if (error === null || typeof error !== "object") return el("p", { class: "error" }, lines(String(error)));
  const [first, ...rest] = String(error.message ?? error.code ?? "").split("\n");
  return el("div", { class: "error" },
    el("p", {}, el("strong", {}, ansi(first)), error.code && [" ", el("code", {}, line(error.code))],
      attempts > 1 && ` after ${attempts} attempts`),
    rest.length > 0 && el("pre", {}, ansi(rest.join("\n"))),
    help?.lines?.length > 0 && el("pre", { class: "place" }, lines(help.lines.join("\n"))),
    help?.try && el("p", { class: "remedy" }, el("strong", {}, "Try: "), lines(help.try)),
    error.traceback && el("details", {}, el("summary", {}, "Traceback"), el("pre", {}, lines(error.traceback))),
    error.details !== undefined && error.details !== null
      && el("details", {}, el("summary", {}, "Details"), value_view(error.details)));
}

function note_of(node, why) {
  const parts = [];
  if (node.outcome) parts.push(`as ${node.outcome}`);
  if (node.source === "cache") parts.push("from the cache");
  if (node.source === "fork") parts.push("from the run it was forked of");
  if (node.item_count && !node.items) parts.push(plural(node.item_count, "item"));
  if (node.items) {
    const counts = new Map();
    for (const item of node.items) counts.set(state_of(item), (counts.get(state_of(item)) ?? 0) + 1);
    parts.push(`${plural(node.items.length, "item")}: ${[...counts].map(([state, n]) => `${n} ${word_of(state)}`).join(", ")}`);
  }
  if (why) parts.push(why.sentence);
  return parts.join("; ");
}

function quiet(text) {
  return text === "" ? null : el("span", { class: "quiet" }, line(text));
}

// The table, with what narrows it. `choose` is called with a node's name.
export function node_table(run, why, now, choose) {
  const states = [...new Set(run.nodes.map(state_of))].sort();
  const words = el("input", { type: "search", "aria-label": "Search nodes by name", placeholder: "Search", oninput: () => draw() });
  const state = el("select", { "aria-label": "State", onchange: () => draw() }, el("option", { value: "" }, "all states"),
    states.map((name) => el("option", { value: name }, word_of(name))));
  const said = el("span", { class: "said", role: "status" }), place = el("div", {});
  const draw = () => {
    const part = words.value.toLowerCase();
    const found = run.nodes.filter((node) => (state.value === "" || state_of(node) === state.value)
      && node.name.toLowerCase().includes(part));
    said.textContent = plural(found.length, "node")
      + (run.total > run.nodes.length ? `, of ${plural(run.nodes.length, "node")} that are here; the run has ${run.total}` : "");
    fill(place, table_of("Nodes", ["Node", "State", "Attempts", "Took", "Remarks"], found.map((node) => [
      el("button", { type: "button", class: "link name", onclick: () => choose(node.name) }, line(node.name)),
      badge(state_of(node)), node.attempts > 1 ? String(node.attempts) : "", took_of(node, now),
      quiet(note_of(node, why[node.name])),
    ])));
  };
  draw();
  return [el("div", { class: "tools" }, words, state, said), place];
}

// ---- one node ------------------------------------------------------------------------------------

function attempts_of(node) {
  if (!node.tries?.length) return null;
  const rows = node.tries.map((tried) => [
    line(task(String(tried.attempt), tried.item, tried.item_name)), tried.phase === "run" ? "" : tried.phase, badge(tried.state),
    clock(tried.started), tried.ended && tried.started ? duration(tried.ended - tried.started) : "",
    [tried.interrupted && `interrupted ${plural(tried.interrupted, "time")} `, tried.error && brief(tried.error.message ?? tried.error)],
  ]);
  return [el("h4", {}, "Attempts"), table_of("Attempts", ["Attempt", "Phase", "State", "Began", "Took", "Error"], rows, 50)];
}

function items_of(node) {
  if (!node.items?.length) return null;
  const rows = node.items.map((item) => [line(item.item_name ?? String(item.item)), badge(state_of(item)),
    item.attempts > 1 ? String(item.attempts) : "", took_of(item, Date.now() / 1000),
    item.error ? brief(item.error.message ?? item.error) : brief(item.output)]);
  return [el("h4", {}, "Items"), table_of("Items", ["Item", "State", "Attempts", "Took", "Output or error"], rows, 50)];
}

export function step_table(steps) {
  return table_of("Steps", ["Time", "Node", "Kind", "Name", "Result"], steps.map((step) => [
    clock(step.time), line(task(step.node, step.item, step.item_name)), step.kind ?? "step", line(step.name),
    step.error ? el("span", { class: "bad" }, "failed: ", brief(step.error.message ?? step.error)) : brief(step.value),
  ]));
}

function facts_of(node, entry, now) {
  const facts = [["Began", time(node.started)], ["Took", took_of(node, now)],
    ["Attempts", node.attempts > 1 && String(node.attempts)], ["Iteration", node.iteration && String(node.iteration)],
    ["Due", node.due && !node.ended && time(node.due)], ["Outcome", node.outcome],
    ["Let go by", entry?.by]];
  return el("dl", { class: "facts" }, facts.filter(([, text]) => text).map(([name, text]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, line(text)))));
}

// All that is known of a node. `more`: further elements, such as buttons.
export function node_view(node, data, now, more) {
  const why = data.why[node.name], steps = data.run.steps.filter((step) => step.node === node.name);
  const type = data.graph?.nodes?.find((other) => other.name === node.name)?.type;
  return [
    el("p", {}, badge(state_of(node)), type && [" ", el("code", {}, line(type))],
      data.timeline.critical.includes(node.name) && el("span", { class: "quiet" }, " on the critical path")),
    facts_of(node, data.timeline.nodes[node.name], now),
    why && el("p", { class: "why" }, lines(`${node.name} ${why.sentence}`),
      why.remedy && el("span", { class: "remedy" }, lines(why.remedy))),
    more,
    node.error && error_view(node.error, node.help, node.attempts),
    node.output !== undefined && node.output !== null && [el("h4", {}, "Output"), value_view(node.output)],
    items_of(node), attempts_of(node),
    steps.length > 0 && [el("h4", {}, "Steps"), step_table(steps)],
  ];
}
