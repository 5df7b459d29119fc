// ansi.js: text with the colours of a terminal, as spans. Only colours and styles are obeyed; every other sequence is
// left out.
import { el, lines } from "./dom.js";

// CSI; OSC; other strings; other escapes. In this order, as each begins like the last.
const SEQUENCE =
  /\x1b\[([0-9;:]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[ -/]*[0-~]/g;

const STYLES = { 1: "bold", 2: "faint", 3: "italic", 4: "underlined", 7: "inverse", 9: "struck" };
const ENDS = { 22: ["bold", "faint"], 23: ["italic"], 24: ["underlined"], 27: ["inverse"], 29: ["struck"] };

// One of 256 colours beyond the 16 that have names: a cube of 6 and a ramp of greys.
function rgb_of(n) {
  if (n >= 232) return [0, 0, 0].fill((n - 232) * 10 + 8);
  const level = (i) => i === 0 ? 0 : i * 40 + 55;
  return [level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6)];
}

// 38;5;n and 38;2;r;g;b. Returns the colour and how many numbers it took.
function extended(codes, at) {
  if (codes[at + 1] === 5) return [codes[at + 2] < 16 ? codes[at + 2] : rgb_of(codes[at + 2] ?? 16), 2];
  if (codes[at + 1] === 2) return [codes.slice(at + 2, at + 5).map((n) => Math.min(n || 0, 255)), 4];
  return [null, 0];
}

function obey(pen, codes) {
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) pen.styles.clear(), pen.ink = pen.ground = null;
    else if (STYLES[code]) pen.styles.add(STYLES[code]);
    else if (ENDS[code]) ENDS[code].forEach((name) => pen.styles.delete(name));
    else if (code >= 30 && code <= 37) pen.ink = code - 30;
    else if (code >= 90 && code <= 97) pen.ink = code - 82;
    else if (code === 39) pen.ink = null;
    else if (code >= 40 && code <= 47) pen.ground = code - 40;
    else if (code >= 100 && code <= 107) pen.ground = code - 92;
    else if (code === 49) pen.ground = null;
    else if (code === 38 || code === 48) {
      const [colour, taken] = extended(codes, i);
      pen[code === 38 ? "ink" : "ground"] = colour;
      i += taken;
    }
  }
}

// Colours are mixed with those of the page, so that text can be read on either theme.
function mixed(colour, share, other) {
  const value = Array.isArray(colour) ? `rgb(${colour.join(" ")})` : `var(--ansi-${colour % 8})`;
  return `color-mix(in oklab, ${value} ${share}%, var(${other}))`;
}

function painted(text, pen) {
  if (pen.styles.size === 0 && pen.ink === null && pen.ground === null) return lines(text);
  const style = {};
  if (pen.ink !== null) style.color = typeof pen.ink === "number" ? `var(--ansi-${pen.ink % 8})` : mixed(pen.ink, 55, "--ink");
  if (pen.ground !== null) style["background-color"] = mixed(pen.ground, 16, "--paper");
  return el("span", { class: [...pen.styles].join(" ") || null, style }, lines(text));
}

// Children for an element.
export function ansi(text) {
  text = String(text ?? "");
  if (!text.includes("\x1b")) return lines(text);
  const out = [], pen = { styles: new Set(), ink: null, ground: null };
  let from = 0;
  for (const match of text.matchAll(SEQUENCE)) {
    if (match.index > from) out.push(painted(text.slice(from, match.index), pen));
    if (match[2] === "m") obey(pen, match[1].split(/[;:]/).map(Number));
    from = match.index + match[0].length;
  }
  if (from < text.length) out.push(painted(text.slice(from), pen));
  return out;
}
