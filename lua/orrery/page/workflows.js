// workflows.js: the workflows that are served, one of them with its graph, source and mistakes, and the form that starts
// a run.
import "./graph.js";
import { run_url } from "./actions.js";
import { ask } from "./api.js";
import { ask_for, problem_view } from "./dialogs.js";
import { el, fill, line, lines, part } from "./dom.js";
import { form_of } from "./form.js";
import { table_of } from "./nodes.js";
import { time } from "./words.js";

function workflow_url(name) {
  return `#/workflows/${encodeURIComponent(name)}`;
}

function workflow_path(name, rest = "") {
  return `/workflows/${encodeURIComponent(name)}${rest}`;
}

async function start(name) {
  const schema = await ask(workflow_path(name, "/form"));
  const [field, read] = form_of(schema);
  const entry = (id, label) => {
    const input = el("input", { type: "text", id });
    return [el("div", { class: "field" }, el("label", { for: id }, label), input), () => input.value];
  };
  const [key_field, key] = entry("start-key", "Key (optional): the same key never starts two runs");
  const [label_field, labels] = entry("start-labels", "Labels (optional): name=value, with spaces between them");
  const made = await ask_for(`Start ${name}`, [field, el("details", {}, el("summary", {}, "More"), key_field, label_field)], "Start",
    () => ask("/runs", { method: "POST", body: { workflow: name, input: read(), key: key() || undefined,
      labels: labels().trim() ? Object.fromEntries(labels().trim().split(/\s+/).map((word) => {
        const at = word.indexOf("=");
        return at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
      })) : undefined } }));
  if (made?.id) location.hash = run_url(made.id);
}

function start_button(workflow, trouble) {
  return el("button", { type: "button", class: "primary", onclick: async () => {
    try {
      await start(workflow.name);
    } catch (problem) {
      fill(trouble, problem_view(problem));
    }
  } }, "Start a run");
}

function mistakes(list, title) {
  if (!list?.length) return null;
  return el("div", { class: "failures" }, el("h3", {}, title), list.map((one) => el("div", { class: "error" },
    el("p", {}, el("strong", {}, lines(one.message))),
    el("p", { class: "quiet" }, line([one.where, one.node && `node ${one.node}`, one.field].filter(Boolean).join(", "))))));
}

function state_of_workflow(one) {
  if (one.state === "broken") return el("span", { class: "badge bad" }, "✗ does not load");
  return one.paused ? el("span", { class: "badge hold" }, "‖ paused") : el("span", { class: "badge ok" }, "✓ ready");
}

export function workflows_view() {
  const place = el("div", {});
  ask("/workflows").then(({ workflows }) => fill(place, workflows.length === 0 ? el("p", {}, "No workflow is served.")
    : table_of("Workflows", ["Workflow", "State", "Nodes", "File", "Loaded"], workflows.map((one) => [
      el("a", { href: workflow_url(one.name), class: "name" }, line(one.name)), state_of_workflow(one),
      one.nodes === undefined ? "" : String(one.nodes), line(one.file), time(one.loaded)]))),
  (problem) => fill(place, problem_view(problem)));
  return { element: el("div", {}, el("h2", {}, "Workflows"), place) };
}

export function workflow_view(name, may) {
  const place = el("div", {}), trouble = el("div", {});
  const show = async () => {
    const one = await ask(workflow_path(name));
    const [graph, source] = await Promise.all([one.state === "ready" ? ask(workflow_path(name, "/graph")) : null, ask(workflow_path(name, "/source"))]);
    const drawing = el("orr-graph", {});
    fill(place, el("h2", {}, el("span", { class: "name" }, line(one.name)), " ", state_of_workflow(one)), one.doc && el("p", {}, lines(one.doc)),
      el("div", { class: "actions" }, may("run") && one.state === "ready" && start_button(one, trouble),
        el("a", { href: `#/runs?workflow=${encodeURIComponent(one.name)}` }, "Its runs")), trouble,
      mistakes(one.problems, "Mistakes"), mistakes(one.warnings, "Warnings"), graph?.nodes && part("Graph", drawing),
      part("Source", el("pre", {}, lines(source.text))));
    if (graph?.nodes) drawing.graph = graph;
  };
  show().catch((problem) => fill(place, problem_view(problem)));
  return { element: place };
}
