// hooks.js: what other services send: the hooks, one with what came to it, and one delivery, which can be done once more.
import { run_url } from "./actions.js";
import { ask } from "./api.js";
import { act_button, problem_view } from "./dialogs.js";
import { el, fact_list, fill, line, lines, part } from "./dom.js";
import { table_of } from "./nodes.js";
import { parse, value_view } from "./value.js";
import { count, duration, plural, size, time } from "./words.js";

const DELIVERIES = 100; // of a page

const OUTCOMES = { started: ["ok", "✓"], signalled: ["ok", "✓"], existing: ["off", "="], skipped: ["hold", "–"],
  ignored: ["off", "–"], failed: ["bad", "✗"] };

function hook_url(name, id) {
  return `#/hooks/${encodeURIComponent(name)}${id === undefined ? "" : `/${id}`}`;
}

function hook_path(name, rest = "") {
  return `/hooks/${encodeURIComponent(name)}/deliveries${rest}`;
}

function outcome_badge(outcome) {
  const [tone, sign] = OUTCOMES[outcome] ?? ["off", "?"];
  return el("span", { class: `badge ${tone}` }, el("span", { "aria-hidden": "true" }, sign), " ", outcome);
}

function run_link(id) {
  return id && el("a", { href: run_url(id), class: "name" }, id.slice(0, 13));
}

// What could not be verified is counted and not kept.
function refused_of(hook) {
  if (hook.refused === 0) return "0";
  return [el("span", { class: "bad" }, count(hook.refused)), el("span", { class: "quiet" }, ` last ${time(hook.refused_last)}: `, line(hook.refused_why))];
}

export function hooks_view() {
  const place = el("div", {});
  ask("/hooks").then(({ hooks }) => fill(place, hooks.length === 0 ? el("p", {}, "The served workflows have no hooks.")
    : table_of("Hooks", ["Hook", "Workflow", "Does", "Verified by", "Kept", "Last", "Refused", "Problem"], hooks.map((hook) => [
      hook.problem ? el("span", { class: "name" }, line(hook.name)) : el("a", { href: hook_url(hook.name), class: "name" }, line(hook.name)),
      el("span", { class: "name" }, line(hook.workflow)), line(hook.does), line(hook.verify), count(hook.kept), time(hook.last), refused_of(hook),
      hook.problem && el("span", { class: "bad" }, line(hook.problem))]))),
  (problem) => fill(place, problem_view(problem)));
  return { element: el("div", {}, el("h2", {}, "Hooks"), place) };
}

export function hook_view(name) {
  const head = el("div", {}), place = el("div", {}), trouble = el("div", {});
  const said = el("span", { class: "said", role: "status" });
  const more = el("button", { type: "button", class: "more", hidden: true, onclick: () => read() }, "Show older deliveries");
  let rows = [], next;
  const row = (one) => [el("a", { href: hook_url(name, one.id) }, String(one.id)), time(one.received), outcome_badge(one.outcome),
    String(one.status), run_link(one.run), [one.delivery && el("span", { class: "name" }, line(one.delivery)), one.again && ` once more, of ${one.again}`],
    size(one.bytes), line(one.message)];
  const draw = () => {
    said.textContent = `${plural(rows.length, "delivery", "deliveries")}${next ? ", and older ones" : ""}`;
    more.hidden = !next;
    fill(place, rows.length > 0 && table_of("Deliveries", ["No.", "Received", "Outcome", "Status", "Run", "Delivery", "Size", "Message"], rows.map(row), rows.length));
  };
  const read = async () => {
    try {
      const page = await ask(hook_path(name), { query: { limit: DELIVERIES, before: next } });
      rows = [...rows, ...page.deliveries];
      next = page.next;
      fill(trouble);
      draw();
    } catch (problem) {
      fill(trouble, problem_view(problem));
    }
  };
  const show_head = async () => {
    const hook = (await ask("/hooks")).hooks.find((one) => one.name === name && !one.problem);
    if (hook) fill(head, fact_list([["Path", el("code", {}, line(`POST ${hook.path}`))],
      ["Workflow", el("a", { href: `#/workflows/${encodeURIComponent(hook.workflow)}`, class: "name" }, line(hook.workflow))],
      ["Does", hook.does], ["Verified by", hook.verify], ["Waits", hook.wait && duration(hook.wait)], ["Refused", refused_of(hook)]]));
  };
  show_head().catch(() => {}); // the deliveries say why
  read();
  return { element: el("div", {}, el("h2", {}, "Hook ", el("span", { class: "name" }, line(name))), head, el("div", { class: "tools" }, said), trouble, place, more) };
}

// ---- one delivery --------------------------------------------------------------------------------

function is_kept(one) {
  return one.body !== undefined && one.body !== null;
}

// A body of JSON as a tree, and any other as its text, or as the value that stands for bytes that are none.
function body_view(one) {
  if (!is_kept(one)) return el("p", {}, `Its ${size(one.bytes)} are not kept.`);
  if (typeof one.body !== "string") return value_view(one.body);
  if (one.body === "") return el("p", {}, "Nothing.");
  try {
    return value_view(parse(one.body));
  } catch {
    return el("pre", {}, lines(one.body));
  }
}

export function delivery_view(name, id, may) {
  const place = el("div", {}), said = el("div", { class: "why", role: "status" });
  const redeliver = async () => {
    fill(said);
    const made = await ask(hook_path(name, `/${encodeURIComponent(id)}/redeliver`), { method: "POST" });
    fill(said, el("p", {}, "It was done once more: ", outcome_badge(made.outcome), " ", run_link(made.run)));
  };
  ask(hook_path(name, `/${encodeURIComponent(id)}`)).then((one) => fill(place,
    el("h2", {}, `Delivery ${one.id} to `, el("a", { href: hook_url(name), class: "name" }, line(name)), " ", outcome_badge(one.outcome)),
    fact_list([["Received", time(one.received)], ["Answered", String(one.status)], ["Run", run_link(one.run)], ["Delivery", one.delivery],
      ["Once more", one.again && el("a", { href: hook_url(name, one.again) }, `of ${one.again}`)], ["Query", one.query], ["Size", size(one.bytes)]]),
    one.message && el("p", { class: "error" }, lines(one.message)),
    may("operate") && is_kept(one) && el("div", { class: "actions" }, act_button("Redeliver", redeliver, "primary")), said,
    part("Body", body_view(one)),
    part("Headers", table_of("Headers", ["Name", "Value"], Object.entries(one.headers).map(([key, value]) => [el("span", { class: "name" }, line(key)), line(value)])))),
  (problem) => fill(place, problem_view(problem)));
  return { element: place };
}
