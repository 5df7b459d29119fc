// bulk.js: one action on all runs that a filter finds: how many these are, whether it is to be done, and what came of it.
import { run_url } from "./actions.js";
import { ask, ask_lines } from "./api.js";
import { ask_for, problem_view } from "./dialogs.js";
import { el, fill, line } from "./dom.js";
import { form_of } from "./form.js";
import { badge } from "./states.js";
import { plural } from "./words.js";

const MOST_SHOWN = 200;

function example(run) {
  return el("li", {}, el("code", {}, run.short ?? run.id), " ", line(run.workflow), " ", badge(run.shown_state ?? run.state));
}

function signal_fields() {
  const [field, read] = form_of({}, undefined, "Data");
  const name = el("input", { type: "text", id: "bulk-signal", required: true });
  return [[el("div", { class: "field" }, el("label", { for: "bulk-signal" }, "Name"), name), field], () => ({ name: name.value, data: read() })];
}

// Shows the previewed runs and asks; what is to be sent, or nothing where it was left.
async function confirmed(preview, word, danger) {
  const [fields, read] = preview.action === "signal" ? signal_fields() : [[], () => undefined];
  const words = `${word} ${plural(preview.count, "run")}`;
  return ask_for(`${words}?`, [
    el("p", {}, preview.more ? "These are the newest; the filter finds more, for which it can be done again. " : "",
      "Runs that come to be like this from now on are left alone."),
    el("ul", {}, preview.examples.map(example), preview.count > preview.examples.length && el("li", {}, `and ${plural(preview.count - preview.examples.length, "other")}`)),
    fields,
  ], words, () => ({ token: preview.token, signal: read() }), danger);
}

// Does it, with what comes of it in an element; leaving stops it.
async function carry_out(place, body, word, count) {
  const stopper = new AbortController(), failures = el("ul", {});
  const said = el("p", { role: "status" }), stop = el("button", { type: "button", onclick: () => stopper.abort() }, "Stop");
  let done = 0, failed = 0, ended = false;
  const tell = (rest) => said.textContent = `${word}: ${done} of ${plural(count, "run")} done${failed > 0 ? `, ${failed} not` : ""}${rest}`;
  fill(place, el("section", { class: "bulk", "aria-label": "What came of it" }, said, stop, failures));
  tell("…");
  try {
    for await (const result of ask_lines("/bulk", { method: "POST", body, signal: stopper.signal })) {
      if (result.end) ended = true;
      else if (result.done) done++;
      else if (++failed <= MOST_SHOWN) failures.append(el("li", {}, el("a", { href: run_url(result.id) }, result.id.slice(0, 13)), ": ", line(result.detail)));
      tell("…");
    }
  } catch (problem) {
    if (!stopper.signal.aborted) place.append(problem_view(problem));
  }
  stop.remove();
  tell(ended ? "." : "; the others were left alone.");
}

// Previews an action on what a query finds, asks, and does it. Results stand in `place`.
export async function act_on_all(place, filter, [action, word, danger]) {
  try {
    const preview = await ask("/bulk/preview", { method: "POST", body: { ...filter, action } });
    if (preview.count === 0) {
      fill(place, el("p", { role: "status" }, `${word}: no run that the filter finds is in a state for this.`));
      return;
    }
    const body = await confirmed(preview, word, danger);
    if (body) await carry_out(place, body, word, preview.count);
  } catch (problem) {
    fill(place, problem_view(problem));
  }
}
