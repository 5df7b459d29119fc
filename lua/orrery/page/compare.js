// compare.js: two runs beside each other: what went in and came out, their code, and their nodes with states and times.
import { compare_url, run_url } from "./actions.js";
import { ask, run_path } from "./api.js";
import { problem_view } from "./dialogs.js";
import { el, fill, line, lines, part, plain } from "./dom.js";
import { table_of, took_of } from "./nodes.js";
import { badge } from "./states.js";
import { brief, value_view } from "./value.js";
import { duration, plural, size, time } from "./words.js";

const NODES = 500; // of a page

function verdict(same) {
  return same ? el("span", { class: "badge ok" }, "= the same") : el("span", { class: "badge hold" }, "≠ not the same");
}

function seconds_of(one) {
  return one?.started && one.ended ? one.ended - one.started : undefined;
}

// How much longer the second took.
function longer(one, other) {
  const [a, b] = [seconds_of(one), seconds_of(other)];
  if (a === undefined || b === undefined) return "";
  return b === a ? "0" : `${b > a ? "+" : "−"}${duration(Math.abs(b - a))}`;
}

function labels_of_run(run) {
  return Object.entries(run.labels ?? {}).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ");
}

function heads(one, other) {
  const row = (name, of) => {
    const cells = [of(one), of(other)];
    return cells.some(Boolean) && [name, ...cells];
  };
  const now = Date.now() / 1000;
  return table_of("The two runs", ["What", "First", "Second"], [
    row("Run", (run) => el("a", { href: run_url(run.id), class: "name" }, run.short)),
    row("Workflow", (run) => el("span", { class: "name" }, line(run.workflow))), row("State", (run) => badge(run.state)),
    row("Created", (run) => time(run.created)), row("Took", (run) => duration((run.ended ?? now) - (run.started ?? run.created))),
    row("Nodes", (run) => `${run.completed} of ${run.nodes} completed`), row("Labels", (run) => plain(labels_of_run(run))),
    row("Error", (run) => run.error && el("span", { class: "bad" }, brief(run.error.message ?? run.error.code ?? run.error)))].filter(Boolean));
}

function side_of(title, value, bytes) {
  const shown = bytes !== undefined ? el("p", {}, `A value of ${size(bytes)}, which its run shows.`)
    : value === undefined || value === null ? el("p", { class: "quiet" }, "Nothing.") : value_view(value);
  return el("div", {}, el("h4", {}, title), shown);
}

function sides(pair) {
  return el("div", { class: "beside" }, side_of("First", pair.one, pair.one_bytes), side_of("Second", pair.other, pair.other_bytes));
}

function values(title, pair) {
  return part(title, verdict(pair.same), pair.same ? side_of("Both", pair.one, pair.one_bytes) : sides(pair));
}

// ---- code ----------------------------------------------------------------------------------------

const TAGS = { "-": "del", "+": "ins" };

// Lines with their signs; what is told by colour is told by the sign as well.
function diff_view(name, text) {
  return el("pre", { class: "diff", tabindex: "0", role: "region", "aria-label": `Differences of ${plain(name)}` },
    text.map((row) => el(TAGS[row[0]] ?? "span", {}, lines(row), "\n")));
}

const CHANGES = { changed: "differs", gone: "only the first has it", new: "only the second has it" };

function code_view(code) {
  if (code.same) return [verdict(true), el("p", { class: "quiet" }, "Bundle ", el("span", { class: "name" }, code.one))];
  if (!code.known) return el("p", {}, "The store does not have the code of both.");
  return [verdict(false), code.more && el("p", { class: "quiet" }, "There is more than is shown here."),
    code.arguments?.same === false && el("details", {}, el("summary", {}, "What it was built with differs: arguments, or files that were read"), sides(code.arguments)),
    code.definition.length > 0 && el("ul", {}, code.definition.map((sentence) => el("li", {}, lines(sentence)))),
    code.sources.map((file) => el("div", {}, el("h4", {}, el("span", { class: "name" }, line(file.name)), ` ${CHANGES[file.change]}`),
      file.binary ? el("p", {}, "It is no text.") : diff_view(file.name, file.lines)))];
}

// ---- nodes ---------------------------------------------------------------------------------------

function output_of(node) {
  if (!node) return "";
  return node.output_bytes !== undefined ? size(node.output_bytes) : brief(node.output, 60);
}

// What both put out where it is the same, or one below the other.
function outputs(node) {
  if (!node.differs.includes("output")) return output_of(node.one ?? node.other);
  return [el("div", {}, "1: ", output_of(node.one)), el("div", {}, "2: ", output_of(node.other))];
}

function states(node) {
  const tries = (one) => one?.attempts > 1 ? el("span", { class: "quiet" }, ` ${plural(one.attempts, "attempt")}`) : null;
  const one_state = (one) => one ? [badge(one.state), tries(one)] : el("span", { class: "quiet" }, "not there");
  return [one_state(node.one), one_state(node.other)];
}

function node_row(node) {
  const now = Date.now() / 1000, took = (one) => one ? took_of(one, now) : "";
  return [el("span", { class: "name" }, line(node.name)), ...states(node), took(node.one), took(node.other), longer(node.one, node.other),
    node.differs.length > 0 ? node.differs.join(", ") : el("span", { class: "quiet" }, "the same"), outputs(node)];
}

function nodes_view(id, other) {
  const place = el("div", {}), trouble = el("div", {}), said = el("span", { class: "said", role: "status" });
  const only = el("input", { type: "checkbox", onchange: () => draw() });
  const more = el("button", { type: "button", class: "more", hidden: true, onclick: () => read() }, "Compare more nodes");
  let rows = [], next;
  const draw = () => {
    const differ = rows.filter((node) => node.differs.length > 0), shown = only.checked ? differ : rows;
    said.textContent = `${differ.length} of ${plural(rows.length, "node")}${next ? " so far" : ""} not the same`;
    more.hidden = !next;
    fill(place, shown.length > 0 && table_of("Nodes of both", ["Node", "First", "Second", "First took", "Second took", "Longer", "Differs in", "Output"], shown.map(node_row)));
  };
  const read = async () => {
    try {
      const page = await ask(run_path(id, `/compare/${encodeURIComponent(other)}/nodes`), { query: { limit: NODES, cursor: next } });
      rows = [...rows, ...page.nodes];
      next = page.next;
      fill(trouble);
      draw();
    } catch (problem) {
      fill(trouble, problem_view(problem));
    }
  };
  read();
  return part("Nodes", el("div", { class: "tools" }, el("label", {}, only, " Only what differs"), said), trouble, place, more);
}

export function compare_view(id, other) {
  const place = el("div", {}, el("p", { class: "quiet", role: "status" }, "Comparing…"));
  ask(run_path(id, `/compare/${encodeURIComponent(other)}`)).then((made) => fill(place, el("h2", {}, "Two runs beside each other"),
    el("div", { class: "actions" }, el("a", { href: compare_url(other, id) }, "The other way round")), heads(made.one, made.other),
    values("Input", made.input), (made.context.one !== undefined || made.context.other !== undefined) && values("Context", made.context), values("Output", made.output),
    part("Code", code_view(made.code)), nodes_view(made.one.id, made.other.id)),
  (problem) => fill(place, problem_view(problem)));
  return { element: place };
}
