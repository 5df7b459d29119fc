// runs.js: the list of runs, with what narrows it in the address, as it changes; and what is done with several at once.
import { compare_url, run_url } from "./actions.js";
import { ask, query_of, run_path } from "./api.js";
import { act_on_all } from "./bulk.js";
import { ask_for, problem_view } from "./dialogs.js";
import { el, fill, line } from "./dom.js";
import { badge, word_of } from "./states.js";
import { brief } from "./value.js";
import { later, on_event } from "./stream.js";
import { duration, plural, time } from "./words.js";

const PAGE = 100, SETTLES_LIST = 500;

const RUN_STATES = ["pending", "running", "waiting", "paused", "compensating", "completed", "failed", "cancelled",
  "compensated", "compensation_failed", "interrupted"];

const BULK = [["cancel", "Cancel", true], ["pause", "Pause"], ["resume", "Resume"], ["retry", "Retry"], ["signal", "Signal"]];
const LISTS = ["state", "label"];

function labels_text(labels) {
  return Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`).join(" ");
}

// What narrows the list, as fields; `change` gets the new query.
function filter_form(query, workflows, change) {
  const field = (name, label, hint) => el("label", {}, label, " ", el("input", { type: "text", name, value: query.get(name) ?? "",
    placeholder: hint, list: name === "workflow" ? "workflow-names" : null }));
  const states = el("details", { class: "states", open: query.getAll("state").length > 0 }, el("summary", {}, "States"),
    el("div", { class: "tools" }, RUN_STATES.map((state) => el("label", {},
      el("input", { type: "checkbox", name: "state", value: state, checked: query.getAll("state").includes(state) }), " ", word_of(state)))));
  return el("form", { class: "filter", role: "search", "aria-label": "Choose runs", onsubmit: (event) => {
    event.preventDefault();
    const chosen = {};
    for (const [name, value] of new FormData(event.target)) {
      if (value !== "") (chosen[name] ??= []).push(...(name === "label" ? value.split(/\s+/) : [value]));
    }
    change(chosen);
  } }, el("div", { class: "tools" }, field("workflow", "Workflow", "any"), field("label", "Labels", "name=value"), field("since", "Since", "1d"),
    field("until", "Until", "2026-03-01"), el("button", { type: "submit", class: "primary" }, "Show")), states,
    el("datalist", { id: "workflow-names" }, workflows.map((name) => el("option", { value: name }))));
}

// What narrows the list, as the body of a request has it.
function filter_of(query) {
  return Object.fromEntries([...new Set(query.keys())].map((name) => [name, LISTS.includes(name) ? query.getAll(name) : query.get(name)]));
}

// Does one thing to several runs, and says of each what came of it.
async function act_on(name, word, danger, ids) {
  await ask_for(`${word} ${plural(ids.length, "run")}?`, el("ul", {}, ids.slice(0, 20).map((id) => el("li", {}, el("code", {}, id))),
    ids.length > 20 && el("li", {}, `and ${ids.length - 20} more`)), word, async () => {
    const failed = [];
    for (const id of ids) await ask(run_path(id, `/${name}`), { method: "POST" }).catch((problem) => failed.push(`${id}: ${problem.message}`));
    if (failed.length > 0) throw new Error(`${ids.length - failed.length} of ${ids.length} done\n${failed.join("\n")}`);
  }, danger);
}

export function runs_view(query, may) {
  const place = el("tbody", {}), said = el("span", { class: "said", role: "status" }), trouble = el("div", {});
  const filters = el("div", {}), chosen = new Set();
  let rows = new Map(), next = null;

  const more = el("button", { type: "button", class: "more", onclick: () => read(next) }, "Show older runs");
  const results = el("div", {});
  const all = el("input", { type: "checkbox", onchange: () => count_chosen() });
  const bulk = BULK.map(([name, word, danger]) => el("button", { type: "button", class: danger ? "danger" : null, disabled: true,
    onclick: async () => {
      if (all.checked) {
        await act_on_all(results, filter_of(query), [name, word, danger]);
      } else {
        await act_on(name, word, danger, [...chosen]);
        chosen.clear();
        count_chosen();
      }
      read();
    } }, `${word} the chosen`));
  const compare = el("button", { type: "button", disabled: true, onclick: () => {
    const [one, other] = [...chosen].sort((a, b) => (rows.get(a)?.created ?? 0) - (rows.get(b)?.created ?? 0));
    location.hash = compare_url(one, other);
  } }, "Compare two");

  // A signal has a name, which is asked for where all are chosen.
  const count_chosen = () => {
    bulk.forEach((button, i) => button.disabled = !all.checked && (chosen.size === 0 || BULK[i][0] === "signal"));
    compare.disabled = chosen.size !== 2;
  };
  const box = (run) => el("input", { type: "checkbox", "aria-label": `Choose run ${run.short ?? run.id}`, checked: chosen.has(run.id),
    onchange: (event) => {
      if (event.target.checked) chosen.add(run.id);
      else chosen.delete(run.id);
      count_chosen();
    } });

  const row = (run) => {
    const state = run.shown_state ?? run.state, begun = run.started ?? run.created;
    const cells = [box(run), el("a", { href: run_url(run.id), class: "name" }, run.short ?? run.id.slice(0, 13)),
      el("span", { class: "name" }, line(run.workflow)), badge(state), time(run.created),
      duration((run.ended ?? Date.now() / 1000) - begun), `${run.completed} of ${run.nodes}`,
      [labels_text(run.labels) && el("span", { class: "quiet" }, line(labels_text(run.labels))), run.error && el("span", { class: "bad" }, " ", brief(run.error.message ?? run.error.code ?? run.error, 120))]];
    const titles = ["", "Run", "Workflow", "State", "Created", "Took", "Completed", "Labels, error"];
    return el("tr", {}, cells.map((cell, i) => el("td", { "data-title": titles[i] || null }, cell)));
  };

  const draw = () => {
    const at = document.activeElement?.closest?.("tr")?.querySelector("a")?.getAttribute("href");
    fill(place, [...rows.values()].map(row));
    if (at) place.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus();
    said.textContent = rows.size === 0 ? "No run is like that." : `${plural(rows.size, "run")}${next ? ", and older ones" : ""}`;
    more.hidden = !next;
  };

  // The first page anew, in the place of the runs that were on it; or the page behind a cursor.
  const read = async (cursor) => {
    try {
      const page = await ask("/runs", { query: { ...Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name)])), limit: PAGE, cursor } });
      const first = new Map(page.runs.map((run) => [run.id, run]));
      if (cursor) first.forEach((run, id) => rows.set(id, run));
      else if (rows.size <= PAGE) rows = first;
      else rows = new Map([...first, ...[...rows].filter(([id]) => !first.has(id))]);
      if (cursor || rows.size <= PAGE) next = page.next ?? null;
      fill(trouble);
      draw();
    } catch (problem) {
      fill(trouble, problem_view(problem));
    }
  };

  ask("/workflows").catch(() => ({ workflows: [] })).then(({ workflows }) => fill(filters, filter_form(query, workflows.map((one) => one.name),
    (wanted) => location.hash = `#/runs${query_of(wanted)}`)));
  read();
  const element = el("div", {}, el("h2", {}, "Runs"), filters, el("div", { class: "tools" }, may("operate") && [el("label", {}, all, " Choose all that are like this"), bulk], compare, said), results, trouble,
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" }, el("table", {}, el("caption", { class: "hidden" }, "Runs, the newest first"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "hidden" }, "Chosen")), ["Run", "Workflow", "State", "Created", "Took", "Completed", "Labels, error"]
        .map((title) => el("th", { scope: "col" }, title)))), place)), more);
  return { element, stop: on_event(later(() => read(), () => SETTLES_LIST)) };
}
