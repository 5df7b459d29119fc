// report.js: one run in a file of its own, from the data that stands in it.
import "./run.js";
import { el } from "./dom.js";
import { theme_button } from "./theme.js";
import { parse } from "./value.js";
import { time } from "./words.js";

const report = parse(document.getElementById("data").textContent);
const view = el("orr-run", {});
document.body.append(
  el("header", { class: "bar" }, el("h1", {}, "Orrery"), el("span", { class: "quiet" }, `as it was at ${time(report.made)}`), theme_button()),
  el("main", {}, view));
view.data = report;
