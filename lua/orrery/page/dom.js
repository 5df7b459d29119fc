// dom.js: elements made of data. Text becomes text nodes and nothing else, so that no data is ever read as HTML; what
// could not be seen in it, or would make it look like another text, is shown by a sign.

const UNSEEN = "\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
  + "\\ud800-\\udfff\\u{e0000}-\\u{e007f}";
const IN_LINE = new RegExp(`[\\u0000-\\u001f${UNSEEN}]`, "gu");
const IN_TEXT = new RegExp(`[\\u0000-\\u0008\\u000b-\\u001f${UNSEEN}]`, "gu");

// The pictures of control characters stand in the same order from U+2400 on.
function sign(character) {
  const code = character.codePointAt(0), hex = code.toString(16).toUpperCase().padStart(4, "0");
  const text = code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : `U+${hex}`;
  return el("span", { class: "unseen", title: `U+${hex}` }, text);
}

function pieces(text, unseen) {
  const out = [];
  let from = 0;
  for (const match of text.matchAll(unseen)) {
    if (match.index > from) out.push(text.slice(from, match.index));
    out.push(sign(match[0]));
    from = match.index + match[0].length;
  }
  if (from < text.length) out.push(text.slice(from));
  return out;
}

// Text of one line, such as a name, as children of an element.
export function line(text) {
  return pieces(String(text ?? ""), IN_LINE);
}

// Text of several lines.
export function lines(text) {
  return pieces(String(text ?? ""), IN_TEXT);
}

// The same where only text may stand, such as in a label or a title.
export function plain(text) {
  return String(text ?? "").replace(IN_LINE, "\ufffd");
}

function set(node, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "style") for (const key in value) node.style.setProperty(key, value[key]);
  else if (name === "value" || name === "checked") node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
}

function build(node, properties, children) {
  for (const name in properties) set(node, name, properties[name]);
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// An element: `properties` are attributes, on… listeners, and `style`, an object; strings among the children are text.
export function el(tag, properties, ...children) {
  return build(document.createElement(tag), properties, children);
}

// The same of SVG.
export function shape(tag, properties, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

// A part of a page that can be folded.
export function part(title, ...children) {
  return el("details", { class: "part", open: true }, el("summary", {}, el("h3", {}, title)), el("div", { class: "body" }, children));
}

// Names with what is known by them; those of nothing are left out.
export function fact_list(list) {
  return el("dl", { class: "facts" }, list.filter(([, fact]) => fact).map(([name, fact]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, typeof fact === "string" ? line(fact) : fact))));
}

// Puts children in the place of those an element has.
export function fill(node, ...children) {
  node.replaceChildren();
  return build(node, {}, children);
}

// Fills an element with the first part of a list, and gives it with a button for the next.
export function growing(parent, list, make, step) {
  let shown = 0;
  const more = el("button", { type: "button", class: "more", onclick: () => grow() });
  const grow = () => {
    parent.append(...list.slice(shown, shown + step).map(make));
    shown = Math.min(list.length, shown + step);
    const left = list.length - shown;
    more.textContent = `Show ${Math.min(left, step)} more of ${left}`;
    more.hidden = left === 0;
  };
  grow();
  return [parent, more];
}
