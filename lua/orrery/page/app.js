// app.js: the page of a server. What is shown stands behind the # of the address.
import { ask } from "./api.js";
import { problem_view } from "./dialogs.js";
import { el, fill, line, plain } from "./dom.js";
import { compare_view } from "./compare.js";
import { delivery_view, hook_view, hooks_view } from "./hooks.js";
import { run_view } from "./live.js";
import { runs_view } from "./runs.js";
import { schedule_view, schedules_view } from "./schedules.js";
import { audit_view, tend_view } from "./tend.js";
import { theme_button } from "./theme.js";
import { workflow_view, workflows_view } from "./workflows.js";

const SCOPES = ["read", "run", "operate", "admin"];

const PAGES = [["runs", "Runs"], ["workflows", "Workflows"], ["schedules", "Schedules"], ["hooks", "Hooks"], ["pools", "Pools"], ["audit", "Audit"]];

const main = el("main", { tabindex: "-1" });
const nav = el("nav", { "aria-label": "Pages" }, PAGES.map(([name, word]) => el("a", { href: `#/${name}` }, word)));
let shown = null, me = null;

function may(scope) {
  return me !== null && !me.read_only && SCOPES.indexOf(me.scope) >= SCOPES.indexOf(scope);
}

function view_of([kind, name, part], query) {
  if (kind === "runs" && name) return [run_view(name, may), `Run ${name}`];
  if (kind === "compare" && name && part) return [compare_view(name, part), "Two runs"];
  if (kind === "workflows" && name) return [workflow_view(name, may), `Workflow ${name}`];
  if (kind === "workflows") return [workflows_view(), "Workflows"];
  if (kind === "schedules" && name) return [schedule_view(name, may), `Schedule ${name}`];
  if (kind === "schedules") return [schedules_view(), "Schedules"];
  if (kind === "hooks" && part) return [delivery_view(name, part, may), `Delivery ${part} to ${name}`];
  if (kind === "hooks" && name) return [hook_view(name), `Hook ${name}`];
  if (kind === "hooks") return [hooks_view(), "Hooks"];
  if (kind === "pools") return [tend_view(may), "Pools and breakers"];
  if (kind === "audit") return [audit_view(), "Audit"];
  return [runs_view(query, may), "Runs"];
}

function show() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").map(decodeURIComponent), kind = parts[0];
  shown?.stop?.();
  const [view, title] = view_of(parts, new URLSearchParams(search));
  shown = view;
  document.title = `${plain(title)} · Orrery`;
  for (const link of nav.children) {
    if (link.getAttribute("href") === `#/${kind || "runs"}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  fill(main, view.element);
}

const who = el("span", { class: "quiet" });
const leave = el("form", { method: "post", action: "/logout" }, el("button", { type: "submit" }, "Log out"));
document.body.append(el("header", { class: "bar" }, el("h1", {}, "Orrery"), nav, theme_button(), who, leave), main);

try {
  me = await ask("/me");
  fill(who, line(me.name), me.read_only ? " (only looks)" : ` (${me.scope})`);
  nav.lastChild.hidden = me.scope !== "admin";
  leave.hidden = me.via !== "session";
  addEventListener("hashchange", () => {
    show();
    main.focus();
    scrollTo(0, 0);
  });
  show();
} catch (problem) {
  fill(main, problem_view(problem));
}
