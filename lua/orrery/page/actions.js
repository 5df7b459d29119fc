// actions.js: what a person does with a run, each asked for before it is done where it cannot be taken back.
import { ask, run_path } from "./api.js";
import { act_button, ask_for } from "./dialogs.js";
import { el, line } from "./dom.js";
import { form_of } from "./form.js";
import { value_view } from "./value.js";
import { time } from "./words.js";

export function run_url(id) {
  return `#/runs/${encodeURIComponent(id)}`;
}

export function compare_url(id, other) {
  return `#/compare/${encodeURIComponent(id)}/${encodeURIComponent(other)}`;
}

const command = (id, name, body) => ask(run_path(id, `/${name}`), { method: "POST", body });

async function cancel(run) {
  await ask_for(`Cancel run ${run.id} of ${run.workflow}?`, el("p", {}, "What runs is stopped, nothing more starts but cleanup."),
    "Cancel the run", () => command(run.id, "cancel"), true);
}

async function fork(run) {
  const [field, read] = form_of({}, run.input);
  const from = el("input", { type: "text", id: "fork-from" });
  const made = await ask_for(`Fork run ${run.id}`, [
    el("p", {}, "A new run takes over what this one has completed. With another input all nodes run again."),
    el("div", { class: "field" }, el("label", { for: "fork-from" }, "Run again from these nodes (optional; with commas)"), from), field,
  ], "Start the fork", () => {
    const input = read(), names = from.value.split(",").map((name) => name.trim()).filter(Boolean);
    const changed = JSON.stringify(input) !== JSON.stringify(run.input ?? undefined);
    return command(run.id, "fork", { from: names.length > 0 ? names : undefined, input: changed ? input : undefined });
  });
  if (made?.id) location.hash = run_url(made.id);
}

// Sends a signal by a name that is given, or asked for.
export async function send_signal(run, name) {
  const [field, read] = form_of({}, undefined, "Data");
  const own = el("input", { type: "text", id: "signal-name", required: true, value: name ?? "" });
  await ask_for(name ? `Send signal ${name}` : "Send a signal", [
    !name && el("div", { class: "field" }, el("label", { for: "signal-name" }, "Name"), own), field,
  ], "Send", () => command(run.id, "signal", { name: own.value, data: read() }));
}

// Approves or rejects what a run waits for.
export async function decide(run, wait, approved) {
  const why = el("textarea", { id: "decide-why" });
  await ask_for(`${approved ? "Approve" : "Reject"} ${wait.name}`, [
    wait.approval?.message && el("p", {}, line(wait.approval.message)),
    wait.approval?.data !== undefined && value_view(wait.approval.data),
    el("div", { class: "field" }, el("label", { for: "decide-why" }, "Why (optional)"), why),
  ], approved ? "Approve" : "Reject",
  () => command(run.id, "approve", { name: wait.name, approved, why: why.value || undefined }), !approved);
}

const RECENT = 20;

// Asks for another run, of which the last ones of the workflow are offered, and leads to both beside each other.
async function compare_with(run) {
  const { runs } = await ask("/runs", { query: { workflow: run.workflow, limit: RECENT } });
  const others = runs.filter((one) => one.id !== run.id);
  const other = el("input", { type: "text", id: "compare-with", required: true, list: "compare-runs", spellcheck: "false", autocomplete: "off",
    value: (others.find((one) => one.created <= run.created) ?? others[0])?.id ?? "" });
  const found = await ask_for(`Compare run ${run.id}`, [
    el("div", { class: "field" }, el("label", { for: "compare-with" }, "With run (its id, or the beginning of it)"), other),
    el("datalist", { id: "compare-runs" }, others.map((one) => el("option", { value: one.id }, `${time(one.created)}, ${one.state}`))),
  ], "Compare", () => ask(run_path(other.value.trim())));
  if (found?.id) location.hash = compare_url(found.id, run.id);
}

const ENDED = new Set(["completed", "failed", "cancelled", "compensated", "compensation_failed"]);

// What can be done with a run in its state; `changed` is called when something was.
export function run_actions(run, may, changed) {
  const button = (word, act, kind) => act_button(word, async () => {
    await act();
    changed();
  }, kind);
  const at_once = (name, body) => () => command(run.id, name, body);
  const list = [], state = run.shown_state ?? run.state, ended = ENDED.has(run.state);
  if (may("run") && !ended) {
    for (const wait of run.awaits ?? []) {
      if (wait.approval) {
        list.push(button(`Approve ${wait.name}`, () => decide(run, wait, true), "primary"),
          button(`Reject ${wait.name}`, () => decide(run, wait, false), "danger"));
      } else {
        list.push(button(`Send ${wait.name}`, () => send_signal(run, wait.name), "primary"));
      }
    }
    list.push(button("Send a signal", () => send_signal(run)));
  }
  if (may("operate")) {
    if (state === "paused" || state === "interrupted") list.push(button("Resume", at_once("resume"), "primary"));
    else if (!ended) list.push(button("Pause", at_once("pause")));
    if (!ended) list.push(button("Cancel", () => cancel(run), "danger"));
    if (run.state === "failed" || run.state === "cancelled") list.push(button("Retry", at_once("retry"), "primary"));
    if (run.bundle) list.push(button("Fork", () => fork(run)));
  }
  return el("div", { class: "actions" }, list, act_button("Compare with…", () => compare_with(run)));
}

// A button for what helps a node that waits, as `/runs/{id}/why` names it; nothing where nobody can help, or may.
export function help_button(run, help, may, changed) {
  const wait = (run.awaits ?? []).find((one) => one.name === help?.signal);
  const acts = {
    approve: ["run", `Approve ${help?.signal}`, () => decide(run, wait ?? { name: help.signal }, true)],
    signal: ["run", `Send ${help?.signal}`, () => send_signal(run, help.signal)],
    resume: ["operate", "Resume", () => command(help.run, "resume")],
    retry: ["operate", "Retry", () => command(help.run, "retry")],
    resume_pool: ["operate", `Let pool ${help?.pool} go on`, () => ask(`/pools/${encodeURIComponent(help.pool)}/resume`, { method: "POST" })],
    resume_workflow: ["operate", `Let workflow ${help?.workflow} go on`, () => ask(`/workflows/${encodeURIComponent(help.workflow)}/resume`, { method: "POST" })],
  };
  const [scope, word, act] = acts[help?.act] ?? [];
  if (!scope || !may(scope)) return null;
  return el("div", { class: "actions" }, act_button(word, async () => {
    await act();
    changed();
  }, "primary"));
}
