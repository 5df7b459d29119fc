// tend.js: pools and breakers, and the audit.
import { ask } from "./api.js";
import { act_button, problem_view } from "./dialogs.js";
import { el, fill, line } from "./dom.js";
import { table_of } from "./nodes.js";
import { value_view } from "./value.js";
import { count, duration, plural, time } from "./words.js";

const AUDIT_PAGE = 100;

function change(path, changed) {
  return () => ask(path, { method: "POST" }).then(changed);
}

function pool_row(pool, may, changed) {
  const path = `/pools/${encodeURIComponent(pool.name)}`, word = pool.paused ? "Resume" : "Pause";
  const rate = pool.rate && `${count(pool.rate)} in ${duration(pool.per ?? 1)}`;
  return [el("span", { class: "name" }, line(pool.name)), [pool.max && `${count(pool.max)} at once`, rate].filter(Boolean).join(", "),
    pool.paused ? el("span", { class: "badge hold" }, "‖ paused") : el("span", { class: "badge ok" }, "✓ open"),
    may("operate") && el("span", {}, act_button(`${word} ${pool.name}`, change(`${path}/${word.toLowerCase()}`, changed)))];
}

const BREAKER = { closed: ["ok", "✓ closed"], open: ["bad", "✗ open"], half_open: ["hold", "◐ half open"] };

function breaker_row(breaker, may, changed) {
  const [kind, word] = BREAKER[breaker.state];
  return [el("span", { class: "name" }, line(breaker.name)), breaker.threshold && `opens after ${plural(breaker.threshold, "failure")}`,
    [el("span", { class: `badge ${kind}` }, word), breaker.until && ` until ${time(breaker.until)}`],
    may("operate") && breaker.state !== "closed"
      && el("span", {}, act_button(`Reset ${breaker.name}`, change(`/breakers/${encodeURIComponent(breaker.name)}/reset`, changed)))];
}

export function tend_view(may) {
  const place = el("div", {});
  const show = async () => {
    const [{ pools }, { breakers }] = await Promise.all([ask("/pools"), ask("/breakers")]);
    const list = (title, none, limits, rows) => [el("h2", {}, title), rows.length === 0 ? el("p", {}, none)
      : table_of(title, ["Name", limits, "State", "Action"], rows)];
    fill(place, list("Pools", "The served workflows have no pools.", "Limits", pools.map((pool) => pool_row(pool, may, show))),
      list("Breakers", "The served workflows have no breakers.", "Limit", breakers.map((breaker) => breaker_row(breaker, may, show))));
  };
  show().catch((problem) => fill(place, problem_view(problem)));
  return { element: place };
}

// ---- the audit -----------------------------------------------------------------------------------

function entry_row(entry) {
  const values = [["before", entry.before], ["after", entry.after]].filter(([, value]) => value !== undefined);
  return [String(entry.id), time(entry.time), line(entry.who), line(entry.origin), line(entry.action), el("span", { class: "name" }, line(entry.target)),
    entry.status === undefined ? "" : String(entry.status),
    values.length > 0 && el("details", {}, el("summary", {}, "Values"), values.map(([word, value]) => [el("p", { class: "quiet" }, word), value_view(value)]))];
}

const FIELDS = [["who", "Who"], ["action", "Action"], ["target", "Target"]];

// What fits all fields that are not empty, among the lines that were read.
function fits(entry, fields) {
  return FIELDS.every(([name], i) => String(entry[name] ?? "").includes(fields[i].value.trim()));
}

export function audit_view() {
  const place = el("div", {}), said = el("span", { class: "said", role: "status" }), trouble = el("div", {});
  let entries = [], next;
  const fields = FIELDS.map(([name]) => el("input", { type: "text", name, oninput: () => draw() }));
  const more = el("button", { type: "button", class: "more", onclick: () => read() }, "Read older lines");
  const draw = () => {
    const found = entries.filter((entry) => fits(entry, fields));
    said.textContent = `${count(found.length)} of ${plural(entries.length, "line")} that ${entries.length === 1 ? "was" : "were"} read`;
    more.hidden = next === undefined;
    fill(place, table_of("Audit", ["No.", "Time", "Who", "From", "Action", "Target", "Status", "Values"], found.map(entry_row)));
  };
  const read = async () => {
    try {
      const page = await ask("/audit", { query: { limit: AUDIT_PAGE, before: next } });
      entries = [...entries, ...page.entries];
      next = page.next;
      draw();
    } catch (problem) {
      fill(trouble, problem_view(problem));
    }
  };
  const verify = async () => {
    const report = await ask("/audit/verify");
    fill(trouble, report.wrong === undefined ? el("p", { role: "status" }, `All ${plural(report.lines, "line")} are as they were written. The last hash: `, el("span", { class: "name" }, report.last ?? "none"))
      : problem_view({ message: `Line ${report.wrong} was changed, or lines before it are missing; ${plural(report.lines, "line")} before it are as they were written.` }));
  };
  read();
  return { element: el("div", {}, el("h2", {}, "Audit"), el("div", { class: "tools" }, FIELDS.map(([, word], i) => el("label", {}, word, " ", fields[i])),
    el("span", {}, act_button("Verify", verify)), said), trouble, place, more) };
}
