// chart.js: <orr-chart>, a bar for each node on one axis of time: queued, running, waiting, to be tried again; and the
// measured critical path.
import { el, fill, growing, line } from "./dom.js";
import { sign_of, tone_of, word_of } from "./states.js";
import { duration } from "./words.js";

const BARS_SHOWN = 60; // at first, and with each further step

const KINDS = { queue: "queued", run: "ran", wait: "waited", retry: "until tried again", off: "cut off", undo: "undone" };

// Steps of an axis: 1, 2, 5 times a power of ten, or parts of minutes and hours.
function step_of(seconds) {
  for (const step of [60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400]) {
    if (seconds > 60 && seconds / step <= 8) return step;
  }
  if (seconds > 60) return 86400 * Math.ceil(seconds / 86400 / 6);
  const power = 10 ** Math.floor(Math.log10(seconds / 4));
  return power * [1, 2, 5, 10].find((factor) => seconds / (power * factor) <= 6);
}

// A node's spans from when it could have started.
function spans_of(entry, now) {
  const first = entry.spans[0]?.from ?? entry.queued;
  const queue = first > entry.queued ? [{ kind: "queue", from: entry.queued, to: first }] : [];
  return [...queue, ...entry.spans].map((span) => ({ ...span, to: span.to ?? now }));
}

// "queued 2 ms, ran 1.2 s": what the bar says, in words.
function words_of(spans) {
  const sums = new Map();
  for (const span of spans) sums.set(span.kind, (sums.get(span.kind) ?? 0) + span.to - span.from);
  return [...sums].map(([kind, seconds]) => `${KINDS[kind]} ${duration(seconds)}`).join(", ");
}

class Chart extends HTMLElement {
  // The data of `orrery.history.timeline`; state: of each node; now: where bars end that go on.
  show(timeline, state, now) {
    const rows = Object.entries(timeline.nodes).map(([name, entry]) => {
      const spans = spans_of(entry, now);
      return { name, spans, by: entry.by, state: state(name), from: entry.queued, to: spans[spans.length - 1].to };
    }).sort((a, b) => a.from - b.from || a.to - b.to || (a.name < b.name ? -1 : 1));
    this.critical = new Set(timeline.critical);
    this.from = Math.min(timeline.from, ...rows.slice(0, 1).map((row) => row.from));
    this.until = rows.reduce((last, row) => Math.max(last, row.to), timeline.to ?? now);
    this.whole = Math.max(this.until - this.from, 1e-6);
    if (rows.length === 0) {
      return fill(this, el("p", { class: "quiet" }, timeline.left_out ? "This run has too many nodes for a chart." : "Nothing has started yet."));
    }
    const left = timeline.started - rows.length;
    return fill(this, this.#legend(), left > 0 && el("p", { class: "quiet" }, `The ${rows.length} longest; ${left} more have started.`), this.#axis(),
      growing(el("ol", { class: "rows" }), rows, (row) => this.#row(row), BARS_SHOWN));
  }

  #place(from, to) {
    return { left: `${(from - this.from) / this.whole * 100}%`, width: `${Math.max(to - from, 0) / this.whole * 100}%` };
  }

  #legend() {
    const entry = (kind, words) => el("span", {}, el("i", { class: `span k-${kind}` }), words);
    return el("p", { class: "legend" }, entry("queue", "queued"), entry("run ok", "running"), entry("wait", "waiting"),
      entry("retry", "until tried again"), entry("run bad", "failed attempt"),
      el("span", {}, el("i", { class: "path" }), `critical path: ${this.critical.size}`));
  }

  #axis() {
    const step = step_of(this.whole), ticks = [];
    for (let at = 0; at <= this.whole; at += step) {
      ticks.push(el("span", { style: { left: `${at / this.whole * 100}%` } }, at === 0 ? "0" : duration(at)));
    }
    return el("div", { class: "axis", "aria-hidden": "true" }, ticks);
  }

  #row({ name, spans, state }) {
    const is_critical = this.critical.has(name), words = words_of(spans);
    const bars = spans.map((span) => el("i", { style: this.#place(span.from, span.to),
      class: `span k-${span.kind} ${span.failed ? "bad" : span.kind === "run" ? run_tone(state) : ""}` }));
    return el("li", { class: is_critical ? "critical" : null },
      el("button", { type: "button", title: words,
        onclick: () => this.dispatchEvent(new CustomEvent("choose", { detail: name, bubbles: true })) },
        el("span", { class: `sign ${tone_of(state)}`, "aria-hidden": "true" }, sign_of(state)),
        el("span", { class: "name" }, line(name)),
        el("span", { class: "hidden" }, `, ${word_of(state)}, ${words}${is_critical ? ", on the critical path" : ""}`)),
      el("span", { class: "track", "aria-hidden": "true" }, bars),
      el("span", { class: "took", "aria-hidden": "true" }, duration(spans[spans.length - 1].to - spans[0].from)));
  }
}

function run_tone(state) {
  return state === "running" || state === "compensating" ? "run" : "ok";
}

customElements.define("orr-chart", Chart);
