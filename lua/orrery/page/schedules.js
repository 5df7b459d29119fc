// schedules.js: what starts runs by itself: a list, and one with the calendar of its next weeks, its runs and what was skipped.
import { run_url } from "./actions.js";
import { ask } from "./api.js";
import { act_button, ask_for, problem_view } from "./dialogs.js";
import { el, fill, line, part } from "./dom.js";
import { table_of } from "./nodes.js";
import { badge } from "./states.js";
import { value_view } from "./value.js";
import { plural, time } from "./words.js";

const WEEKS = 4, DAY = 86400_000, MOST_TIMES = 1000, SHOWN_OF_DAY = 3;
const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

function schedule_url(id) {
  return `#/schedules/${encodeURIComponent(id)}`;
}

function schedule_path(id, rest = "") {
  return `/schedules/${encodeURIComponent(id)}${rest}`;
}

function state_of(one) {
  return one.paused ? el("span", { class: "badge hold" }, "‖ paused") : el("span", { class: "badge ok" }, "✓ active");
}

const TELLING = ["cron", "every", "calendar", "path", "workflow", "state", "zone"];

// When it starts a run, by the fields of its definition.
function when(one) {
  return TELLING.filter((name) => one.definition[name] !== undefined)
    .map((name) => typeof one.definition[name] === "object" ? JSON.stringify(one.definition[name]) : `${name === "cron" ? "" : name + " "}${one.definition[name]}`).join(", ");
}

export function schedules_view() {
  const place = el("div", {});
  ask("/schedules").then(({ schedules }) => fill(place, schedules.length === 0 ? el("p", {}, "Nothing starts runs by itself.")
    : table_of("Schedules", ["Schedule", "Kind", "When", "State", "Next"], schedules.map((one) => [
      el("a", { href: schedule_url(one.id), class: "name" }, line(one.id)), line(one.kind), line(when(one)), state_of(one), time(one.next)]))),
  (problem) => fill(place, problem_view(problem)));
  return { element: el("div", {}, el("h2", {}, "Schedules"), place) };
}

// ---- the calendar --------------------------------------------------------------------------------

// The times of each day, by the date in the zone of the schedule, which its texts begin with.
function by_day(times) {
  const days = new Map();
  for (const { text } of times) {
    const day = text.slice(0, 10);
    days.set(day, [...days.get(day) ?? [], text.slice(11, text.slice(17, 19) === "00" ? 16 : 19)]);
  }
  return days;
}

function date_of(at) {
  return new Date(at).toISOString().slice(0, 10);
}

// One line for each week, from the Monday before the first time on. Where more times come than were asked for, the days from
// the last on are not known.
function calendar(times) {
  const days = by_day(times), first = Date.parse(times[0].text.slice(0, 10));
  const known_to = times.length < MOST_TIMES ? "9999" : times.at(-1).text.slice(0, 10);
  const monday = first - (new Date(first).getUTCDay() + 6) % 7 * DAY;
  const cell = (at) => {
    const date = date_of(at), list = days.get(date) ?? [];
    const words = date >= known_to ? "…" : list.slice(0, SHOWN_OF_DAY).join(" ") + (list.length > SHOWN_OF_DAY ? ` and ${list.length - SHOWN_OF_DAY} more` : "");
    return el("span", { class: list.length > 0 ? null : "quiet" }, el("span", { class: "quiet" }, date.slice(5)), " ", words || "–");
  };
  return table_of("The next weeks", DAYS, Array.from({ length: WEEKS }, (_, week) => DAYS.map((_, day) => cell(monday + (week * 7 + day) * DAY))));
}

// ---- one -----------------------------------------------------------------------------------------

function actions(one, may, changed) {
  const post = (name, body) => ask(schedule_path(one.id, `/${name}`), { method: "POST", body }).then(changed);
  const pause = async () => {
    const why = el("input", { type: "text", id: "pause-why" });
    await ask_for(`Pause ${one.id}?`, el("div", { class: "field" }, el("label", { for: "pause-why" }, "Why (optional)"), why), "Pause",
      () => ask(schedule_path(one.id, "/pause"), { method: "POST", body: { reason: why.value || undefined } }));
    await changed();
  };
  return el("div", { class: "actions" },
    may("run") && one.kind === "schedule" && act_button("Start a run now", () => post("trigger"), "primary"),
    may("operate") && (one.paused ? act_button("Resume", () => post("resume")) : act_button("Pause", pause)),
    el("a", { href: `#/workflows/${encodeURIComponent(one.workflow)}` }, "Its workflow"));
}

function skips_of(one) {
  if (one.skips.length === 0) return el("p", {}, "None.");
  const causes = Object.entries(one.skipped).map(([cause, n]) => `${cause} ${n}`).join(", ");
  return [el("p", {}, line(causes)), table_of("Skipped", ["Time", "Times", "Why"], one.skips.map((skip) =>
    [time(skip.time), skip.n > 1 ? `${skip.n}, to ${time(skip.last)}` : "1", line(skip.reason)]))];
}

export function schedule_view(id, may) {
  const place = el("div", {});
  const show = async () => {
    const one = await ask(schedule_path(id));
    const { times } = one.kind === "schedule" ? await ask(schedule_path(id, "/next"), { query: { count: MOST_TIMES } }) : { times: [] };
    fill(place, el("h2", {}, el("span", { class: "name" }, line(one.id)), " ", state_of(one)), one.reason && el("p", {}, line(one.reason)),
      actions(one, may, show),
      one.asked.length > 0 && el("p", { role: "status" }, `${plural(one.asked.length, "run")} asked for that ${one.asked.length === 1 ? "has" : "have"} not begun.`),
      times.length > 0 && part("The next weeks", el("p", { class: "quiet" }, "In the zone of the schedule", one.definition.zone && `, ${one.definition.zone}`, "."), calendar(times)),
      part("Its last runs", one.runs.length === 0 ? el("p", {}, "None.") : table_of("Its last runs", ["Run", "For", "State", "Created"], one.runs.map((run) =>
        [el("a", { href: run_url(run.id), class: "name" }, run.id.slice(0, 13)), line(run.time), badge(run.state), time(run.created)]))),
      part("Skipped", skips_of(one)), part("Definition", value_view(one.definition)));
  };
  const safely = () => show().catch((problem) => fill(place, problem_view(problem)));
  safely();
  return { element: place };
}
