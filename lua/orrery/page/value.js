// value.js: a value of JSON as a tree that opens as far as one looks.
import { el, fill, growing, lines } from "./dom.js";
import { plural, size } from "./words.js";

const MEMBERS_SHOWN = 100;   // members shown at once
const LONG = 2000;  // characters of a text

// An integer that a double cannot hold, by its digits.
class Exact {
  constructor(digits) {
    this.digits = digits;
  }

  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.digits) : this.digits;
  }
}

// JSON.parse, where integers beyond 2^53 keep their digits as far as the browser tells them.
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    const unsafe = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return unsafe && context && /^-?\d+$/.test(context.source) ? new Exact(context.source) : value;
  });
}

function text_view(text) {
  if (text.length <= LONG) return el("span", { class: "text" }, lines(JSON.stringify(text)));
  const span = el("span", { class: "text" }, lines(JSON.stringify(text.slice(0, LONG))));
  return [span, " ", el("button", { type: "button", class: "more",
    onclick: (event) => {
      fill(span, lines(JSON.stringify(text)));
      event.target.remove();
    } }, `Show all ${plural(text.length, "character")}`)];
}

function scalar(value) {
  if (typeof value === "string") return text_view(value);
  if (value instanceof Exact) return el("span", { class: "number" }, value.digits);
  return el("span", { class: typeof value === "number" ? "number" : "word" }, String(value));
}

function entries_of(value) {
  return Array.isArray(value) ? value.map((inner, i) => [i + 1, inner]) : Object.entries(value);
}

function heading(value, entries) {
  if (value.$blob && value.size) return `a value of ${size(value.size)}, kept apart`;
  if (Array.isArray(value)) return `[ ${plural(entries.length, "element")} ]`;
  return `{ ${plural(entries.length, "member")} }`;
}

function member([key, value], depth) {
  const name = el("span", { class: "key" }, lines(String(key)), ": ");
  if (value === null || typeof value !== "object" || value instanceof Exact) {
    return el("div", { class: "member" }, name, scalar(value));
  }
  return el("div", { class: "member" }, branch(value, depth + 1, name));
}

// Members are made when they are first seen.
function branch(value, depth, name) {
  const entries = entries_of(value);
  if (entries.length === 0) return [name, el("span", { class: "word" }, Array.isArray(value) ? "[ ]" : "{ }")];
  const open = depth < 2 && entries.length <= 20;
  const inside = el("div", { class: "members" });
  const show = () => inside.firstChild || fill(inside, growing(el("div", {}), entries, (entry) => member(entry, depth), MEMBERS_SHOWN));
  if (open) show();
  return el("details", { open, class: "value", ontoggle: show },
    el("summary", {}, name, el("span", { class: "quiet" }, heading(value, entries))), inside);
}

function copy_button(value) {
  return el("button", { type: "button", class: "copy",
    onclick: async (event) => {
      await navigator.clipboard.writeText(JSON.stringify(value, null, 2));
      event.target.textContent = "Copied";
    } }, "Copy");
}

// A value, with a button that copies it where the browser lets a page do that.
export function value_view(value) {
  const is_tree = value !== null && typeof value === "object" && !(value instanceof Exact);
  return el("div", { class: "json" }, navigator.clipboard && copy_button(value),
    is_tree ? branch(value, 0, null) : scalar(value));
}

// A value in one line, cut where it is long.
export function brief(value, most = 160) {
  if (value === undefined) return [];
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return lines(text.length > most ? `${text.slice(0, most)}…` : text);
}
