// states.js: what the states of runs and nodes look like: a sign, a word and a tone, so that none is told by colour
// alone.
import { el } from "./dom.js";

export const STATES = {
  completed: ["✓", "ok"], failed: ["✗", "bad"], running: ["▶", "run"], waiting: ["◷", "wait"],
  retrying: ["↻", "hold"], pending: ["○", "off"], ready: ["●", "off"], skipped: ["–", "off"],
  cancelled: ["⊘", "hold"], paused: ["‖", "hold"], interrupted: ["!", "hold"], compensating: ["↶", "run"],
  compensated: ["↶", "hold"], compensation_failed: ["✗", "bad"],
};

export function sign_of(state) {
  return (STATES[state] ?? ["?", "off"])[0];
}

export function tone_of(state) {
  return (STATES[state] ?? ["?", "off"])[1];
}

// The word of a state: "compensation failed".
export function word_of(state) {
  return String(state).replaceAll("_", " ");
}

export function badge(state) {
  return el("span", { class: `badge ${tone_of(state)}` }, el("span", { "aria-hidden": "true" }, sign_of(state)), " ",
    word_of(state));
}
