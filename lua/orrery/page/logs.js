// logs.js: <orr-logs>, what nodes have logged, as far as it is wanted.
import { ansi } from "./ansi.js";
import { el, fill, line } from "./dom.js";
import { brief } from "./value.js";
import { clock, count, plural, task, time } from "./words.js";

const LINES_SHOWN = 1000; // lines shown at once, the last ones
const LONG_MESSAGE = 2000; // characters
const LEVEL_RANK = { debug: 1, info: 2, warn: 3, warning: 3, error: 4 };

function rank_of_level(level) {
  return LEVEL_RANK[level] ?? 2;
}

function message_view(text) {
  const message = el("span", { class: "message" }, ansi(text.slice(0, LONG_MESSAGE)));
  return text.length <= LONG_MESSAGE ? message : [message, " ", el("button", { type: "button", class: "more", onclick: (event) => {
    fill(message, ansi(text));
    event.target.remove();
  } }, `Show all ${plural(text.length, "character")}`)];
}

class Logs extends HTMLElement {
  #all = []; #shown = LINES_SHOWN; #before = 0;

  connectedCallback() {
    if (this.firstChild) return;
    const ask = () => {
      this.#shown = LINES_SHOWN;
      this.#draw(true);
    };
    this.words = el("input", { type: "search", "aria-label": "Search the lines", placeholder: "Search", oninput: ask });
    this.level = el("select", { "aria-label": "Level", onchange: ask },
      ["debug", "info", "warn", "error"].map((level) => el("option", { value: level }, level === "debug" ? "all levels" : `${level} and above`)));
    this.node = el("select", { "aria-label": "Node", onchange: ask }, el("option", { value: "" }, "all nodes"));
    this.said = el("span", { class: "said", role: "status" });
    this.list = el("div", { class: "lines", tabindex: "0", role: "region", "aria-label": "Log lines" });
    this.append(el("div", { class: "tools" }, this.words, this.level, this.node, this.said), this.list);
    this.#draw(true);
  }

  // Puts lines in the place of those there are. before: how many earlier ones are not here.
  set lines({ lines: list, before }) {
    this.#all = list, this.#before = before;
    if (!this.list) return;
    const names = [...new Set(list.map((row) => row.node ?? "run"))].sort();
    if (names.length + 1 !== this.node.options.length) {
      const chosen = this.node.value;
      fill(this.node, el("option", { value: "" }, "all nodes"), names.map((name) => el("option", { value: name }, line(name))));
      this.node.value = names.includes(chosen) ? chosen : "";
    }
    this.#draw(false);
  }

  // Only of this node.
  choose(node) {
    this.node.value = node;
    this.#draw(true);
  }

  #fits() {
    const words = this.words.value.toLowerCase(), rank = rank_of_level(this.level.value), node = this.node.value;
    return (row) => rank_of_level(row.level) >= rank && (node === "" || (row.node ?? "run") === node)
      && (words === "" || String(row.message).toLowerCase().includes(words)
        || (row.fields !== undefined && JSON.stringify(row.fields).toLowerCase().includes(words)));
  }

  #draw(anew) {
    const at_end = anew || this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 8;
    const found = this.#all.filter(this.#fits()), from = Math.max(0, found.length - this.#shown);
    const earlier = from > 0 && el("button", { type: "button", class: "more",
      onclick: () => {
        this.#shown += LINES_SHOWN;
        this.#draw(false);
      } }, `Show ${count(Math.min(LINES_SHOWN, from))} earlier lines of ${count(from)}`);
    fill(this.list, earlier, found.slice(from).map((row) => this.#line(row)));
    this.said.textContent = plural(found.length, "line")
      + (this.#before > 0 ? `; ${count(this.#before)} earlier ones are not in this page` : "");
    if (at_end) this.list.scrollTop = this.list.scrollHeight;
  }

  #line(row) {
    const level = row.level ?? "info";
    return el("div", { class: `line ${["", "", "", "is-warn", "is-error"][rank_of_level(level)]}` },
      el("time", { title: time(row.time) }, clock(row.time)), " ",
      el("span", { class: "name" }, line(task(row.node ?? "run", row.item, row.item_name))), " ",
      el("span", { class: "level" }, line(level)), " ", message_view(String(row.message ?? "")),
      row.fields !== undefined && row.fields !== null && el("span", { class: "fields" }, " ", brief(row.fields, 400)));
  }
}

customElements.define("orr-logs", Logs);
