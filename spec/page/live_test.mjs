// live_test.mjs: the page of `orrery serve`, over its API, as runs go on.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fits, is_accessible, shot, tab_to } from "./check.mjs";

// A server over the workflows of the tests and one that does not load, and a browser's state that is logged in.
export async function begin(place, folder, browser) {
  const flows = join(folder, "flows");
  mkdirSync(flows);
  for (const name of readdirSync(place.flows)) copyFileSync(join(place.flows, name), join(flows, name));
  writeFileSync(join(flows, "broken.lua"), 'local w = require "orrery".workflow { name = "broken" }\nw.a = { after = "b", run = function() end }\nreturn w\n');
  const server = spawn(place.orrery, ["serve", "flows", "--listen", "127.0.0.1:0"], { cwd: folder });
  let said = "";
  const link = await new Promise((resolve, reject) => {
    server.stderr.on("data", (data) => {
      said += data;
      const found = said.match(/log in once: (\S+)/);
      if (found) resolve(found[1]);
    });
    server.on("exit", (code) => reject(new Error(`the server ended with ${code}\n${said}`)));
  });
  const url = new URL("/", link).href, context = await browser.newContext(), page = await context.newPage();
  await page.goto(link);
  assert.equal(page.url(), url);
  const state = await context.storageState();
  await context.close();
  const ask = async (path, body) => {
    const response = await fetch(`${url}api/v1${path}`, { method: body ? "POST" : "GET", body: body && JSON.stringify(body),
      headers: { cookie: state.cookies.map(({ name, value }) => `${name}=${value}`).join("; "), "content-type": "application/json" } });
    assert.ok(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
    return response.json();
  };
  const start = async (workflow, input, labels) => (await ask("/runs", { workflow, input, labels })).id;
  return { place, folder, url, state, ask, start, server };
}

export function end({ server }) {
  server.removeAllListeners("exit");
  server.kill("SIGKILL");
}

const logged_in = (name, test, options) => ({ name, logged_in: true, options, test });

async function until_ended(ask, id) {
  for (;;) {
    const run = await ask(`/runs/${id}`);
    if (run.ended) return run;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const open_run = async (page, url, id) => {
  await page.goto(`${url}#/runs/${id}`);
  await page.locator("orr-run h2").waitFor();
};

export const tests = [
  { name: "who is not logged in gets a form and no page", async test({ page, url, wrong }) {
    const response = await page.goto(url);
    assert.equal(response.status(), 401);
    assert.equal(await page.locator("input[name=token]").count(), 1);
    assert.ok(wrong.every((text) => text.includes("401")));
    wrong.length = 0;
  } },
  logged_in("a form starts a run, and the page of the run follows it to its end", async ({ page, url, place }) => {
    await page.goto(`${url}#/workflows`);
    await page.getByRole("link", { name: "approve" }).click();
    await page.getByRole("button", { name: "Start a run" }).click();
    await page.getByLabel("city").fill("Oslo");
    await page.getByLabel("days").fill("3");
    await page.getByLabel("kind").selectOption({ label: "b" });
    await shot(page, place, "start-form");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    const approve = page.locator("orr-run header").getByRole("button", { name: "Approve go" });
    await approve.waitFor();
    await page.locator("#values", { hasText: "Oslo" }).waitFor();
    await shot(page, place, "live-waiting");
    await approve.click();
    await page.getByLabel("Why").fill("all is well");
    await page.locator("dialog").getByRole("button", { name: "Approve" }).click();
    await page.locator("orr-run h2", { hasText: "completed" }).waitFor();
    await page.locator("orr-logs .line", { hasText: "ships to Oslo" }).waitFor();
    await page.locator("#signals", { hasText: "all is well" }).waitFor();
  }),
  logged_in("what keeps a node has its remedy as a button", async ({ page, url, start }) => {
    await open_run(page, url, await start("approve", { city: "Bern", kind: "a" }));
    await page.locator("#nodes", { hasText: "waits for approval (Ship app for Bern?)" }).waitFor();
    await page.locator("#nodes .link", { hasText: "go" }).click();
    await page.locator(".panel").getByRole("button", { name: "Approve go" }).click();
    await page.locator("dialog").getByRole("button", { name: "Approve" }).click();
    await page.locator("orr-run h2", { hasText: "completed" }).waitFor();
  }),
  logged_in("a run is paused, goes on, and is cancelled once it was asked", async ({ page, url, start }) => {
    await open_run(page, url, await start("steady"));
    const button = (name) => page.locator("orr-run header").getByRole("button", { name, exact: true });
    await button("Pause").click();
    await page.locator("orr-run h2", { hasText: "paused" }).waitFor();
    await button("Resume").click();
    await page.locator("orr-run h2", { hasText: "waiting" }).waitFor();
    await button("Cancel").click();
    await page.getByRole("button", { name: "Leave" }).click();
    assert.match(await page.locator("orr-run h2").innerText(), /waiting/);
    await button("Cancel").click();
    await page.getByRole("button", { name: "Cancel the run" }).click();
    await page.locator("orr-run h2", { hasText: "cancelled" }).waitFor();
    await button("Retry").click();
    await page.locator("orr-run h2", { hasText: "waiting" }).waitFor();
    await button("Send go").click();
    await page.locator("dialog textarea").fill("{ not json");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator("dialog .problem", { hasText: "is no JSON" }).waitFor();
    await page.locator("dialog textarea").fill('{"a": 1}');
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator("orr-run h2", { hasText: "completed" }).waitFor();
  }),
  logged_in("a fork with another input is a run of its own", async ({ page, url, ask, start }) => {
    const id = await start("failed", { city: "Rome" });
    await until_ended(ask, id);
    await open_run(page, url, id);
    await page.locator(".failures", { hasText: "attempt to index a nil value" }).waitFor();
    await page.locator(".failures", { hasText: "Try: read the lines above" }).waitFor();
    await page.locator(".failures .place", { hasText: "failed.lua:12: in function" }).waitFor();
    await page.getByRole("button", { name: "Fork" }).click();
    await page.locator("dialog textarea").fill('{"city": "Bern"}');
    await page.getByRole("button", { name: "Start the fork" }).click();
    await page.waitForFunction((old) => !location.hash.endsWith(old), id);
    await page.locator("#values", { hasText: "Bern" }).waitFor();
    await page.locator("orr-run .facts", { hasText: id }).waitFor();
  }),
  logged_in("the list shows a run as it begins and ends, by every filter", async ({ page, url, ask, start, place }) => {
    await page.goto(`${url}#/runs`);
    await page.locator(".said", { hasText: /run/i }).waitFor();
    const id = await start("steady", undefined, { suite: "nightly" });
    const row = page.locator("tbody tr", { has: page.locator(`a[href$="${id}"]`) });
    await row.filter({ hasText: "waiting" }).waitFor();
    await ask(`/runs/${id}/signal`, { name: "go" });
    await row.filter({ hasText: "completed" }).waitFor();
    const count = async (query) => {
      await page.goto(`${url}#/runs?${query}`);
      await page.reload();
      await page.locator("main .said", { hasText: /run/i }).waitFor();
      return page.locator("tbody tr").count();
    };
    assert.equal(await count("label=suite%3Dnightly"), 1);
    assert.equal(await count("label=suite%3Dnightly&state=failed"), 0);
    assert.equal(await count("label=suite%3Dnightly&state=failed&state=completed&workflow=steady&since=1d"), 1);
    assert.equal(await count("until=2001-01-01"), 0);
    await page.goto(`${url}#/runs`);
    await page.getByLabel("Labels").fill("suite=nightly");
    await page.getByText("States", { exact: true }).click();
    await page.getByLabel("completed", { exact: true }).check();
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.waitForFunction(() => location.hash.includes("state=completed"));
    await page.locator("main .said", { hasText: /^1 run$/ }).waitFor();
    await shot(page, place, "live-list");
  }),
  logged_in("what happens before the stream has opened is seen, in each tab", async ({ page, context, url, ask, start }) => {
    const waits = [];
    await context.route("**/api/v1/events*", (route) => new Promise((open) => waits.push(open)).then(() => route.continue()));
    const id = await start("steady"), other = await context.newPage();
    await page.goto(`${url}#/runs?label=suite%3Dgap`);
    await page.locator("main .said", { hasText: "No run is like that." }).waitFor();
    await open_run(other, url, id);
    await other.locator("orr-run h2", { hasText: "waiting" }).waitFor();
    const missed = await start("steady", undefined, { suite: "gap" });
    await ask(`/runs/${missed}/signal`, { name: "go" });
    await ask(`/runs/${id}/signal`, { name: "go" });
    for (const one of [missed, id]) await until_ended(ask, one);
    for (const open of waits) open();
    await page.locator("tbody tr", { has: page.locator(`a[href$="${missed}"]`) }).filter({ hasText: "completed" }).waitFor();
    await other.locator("orr-run h2", { hasText: "completed" }).waitFor();
  }),
  logged_in("several runs are cancelled at once, after a look", async ({ page, url, ask, start }) => {
    const ids = [await start("steady", undefined, { bulk: "yes" }), await start("steady", undefined, { bulk: "yes" })];
    await page.goto(`${url}#/runs?label=bulk%3Dyes`);
    for (const id of ids) await page.locator("tr", { has: page.locator(`a[href$="${id}"]`) }).getByRole("checkbox").check();
    await page.getByRole("button", { name: "Cancel the chosen" }).click();
    await page.locator("dialog", { hasText: ids[1] }).getByRole("button", { name: "Cancel", exact: true }).click();
    for (const id of ids) assert.equal((await until_ended(ask, id)).state, "cancelled");
    await page.locator("tbody tr", { hasText: "cancelled" }).nth(1).waitFor();
  }),
  logged_in("an action is done to all that the filter finds, and says of each what came of it", async ({ page, url, ask, start, place }) => {
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push(await start("steady", undefined, { all: "yes" }));
    const apart = await start("steady", undefined, { all: "no" });
    await page.goto(`${url}#/runs?label=all%3Dyes`);
    await page.locator("main .said", { hasText: "3 runs" }).waitFor();
    const button = (word) => page.getByRole("button", { name: `${word} the chosen` });
    assert.ok(await button("Pause").isDisabled());
    await page.getByLabel("Choose all that are like this").press("Space");
    await button("Retry").click();
    await page.locator("main", { hasText: "no run that the filter finds is in a state for this" }).waitFor();
    await button("Cancel").press("Enter");
    const dialog = page.locator("dialog", { hasText: "Cancel 3 runs?" });
    await dialog.waitFor();
    await is_accessible(page);
    await shot(page, place, "bulk-preview");
    await ask(`/runs/${ids[0]}/cancel`, {});
    await until_ended(ask, ids[0]);
    const later = await start("steady", undefined, { all: "yes" });
    await dialog.getByRole("button", { name: "Cancel 3 runs" }).click();
    const results = page.getByRole("region", { name: "What came of it" });
    await results.getByText("Cancel: 2 of 3 runs done, 1 not.").waitFor();
    await results.getByRole("link", { name: ids[0].slice(0, 13) }).waitFor();
    for (const id of ids) assert.equal((await until_ended(ask, id)).state, "cancelled");
    for (const id of [apart, later]) assert.equal((await ask(`/runs/${id}`)).ended, undefined);
    await is_accessible(page);
    await shot(page, place, "bulk-results");
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
    await shot(page, place, "bulk-narrow");
    await button("Signal").click();
    await page.locator("#bulk-signal").fill("go");
    await page.locator("dialog").getByRole("button", { name: "Signal 1 run" }).click();
    await results.getByText("Signal: 1 of 1 run done.").waitFor();
    assert.equal((await until_ended(ask, later)).state, "completed");
    await ask(`/runs/${apart}/cancel`, {});
  }),
  logged_in("a workflow has its graph, its source and its mistakes", async ({ page, url, place }) => {
    await page.goto(`${url}#/workflows`);
    await page.getByRole("link", { name: "broken" }).click();
    await page.locator(".failures", { hasText: 'there is no node "b"' }).waitFor();
    await page.goto(`${url}#/workflows/large`);
    await page.locator("orr-graph .far").first().waitFor();
    await page.goto(`${url}#/workflows/times`);
    await page.locator("orr-graph g.node", { hasText: "flaky" }).waitFor();
    await page.locator("pre", { hasText: 'w.flaky = { after = "start"' }).waitFor();
    await shot(page, place, "workflow");
  }),
  logged_in("hostile names are shown and never obeyed", async ({ page, url, ask, start, place }) => {
    const { workflows } = await ask("/workflows");
    const id = await start(workflows.find(({ name }) => name.startsWith("</script>")).name);
    await until_ended(ask, id);
    for (const hash of ["#/workflows", "#/runs", `#/runs/${id}`]) {
      await page.goto(`${url}${hash}`);
      await page.locator("main .name", { hasText: "<img src=x onerror=alert(1)>" }).first().waitFor();
      assert.equal(await page.locator("img, main script, b").count(), 0);
    }
    await page.locator("orr-logs .line", { hasText: "red bold on blue" }).waitFor();
    await shot(page, place, "live-hostile");
  }),
  logged_in("twenty tabs have one stream", async ({ page, context, url, start }) => {
    const id = await start("steady");
    let streams = 0;
    context.on("request", (request) => request.url().includes("/api/v1/events") && streams++);
    const tabs = [page];
    for (let i = 1; i < 20; i++) tabs.push(await context.newPage());
    await Promise.all(tabs.map((tab) => open_run(tab, url, id)));
    assert.equal(streams, 1);
    await tabs[0].locator("orr-run header").getByRole("button", { name: "Send go" }).click();
    await tabs[0].locator("dialog").getByRole("button", { name: "Send" }).click();
    for (const tab of tabs) await tab.locator("orr-run h2", { hasText: "completed" }).waitFor();
    const next = await start("steady");
    const first = tabs.shift();
    await open_run(tabs[0], url, next);
    await first.close(); // the next one takes the stream over
    await tabs[0].locator("orr-run header").getByRole("button", { name: "Send go" }).click();
    await tabs[0].locator("dialog").getByRole("button", { name: "Send" }).click();
    await tabs[0].locator("orr-run h2", { hasText: "completed" }).waitFor();
  }),
  logged_in("keys alone start a run", async ({ page, url }) => {
    await page.goto(`${url}#/workflows/steady`);
    await page.getByRole("button", { name: "Start a run" }).waitFor();
    await tab_to(page, "Start a run");
    await page.keyboard.press("Enter");
    await page.locator("dialog").waitFor();
    await tab_to(page, "Start");
    await page.keyboard.press("Enter");
    await page.locator("orr-run h2", { hasText: "waiting" }).waitFor();
  }),
  logged_in("schedules have a calendar, are paused, let go on and asked for a run", async ({ page, url, ask, place }) => {
    await ask("/schedules", { workflow: "steady", name: "nightly", cron: "30 2 * * *", zone: "Europe/Berlin" });
    await page.goto(`${url}#/schedules`);
    await page.getByRole("link", { name: "steady:nightly" }).click();
    await page.locator("td", { hasText: "02:30" }).nth(20).waitFor();
    const button = (name) => page.getByRole("button", { name, exact: true });
    await button("Pause").click();
    await page.locator("#pause-why").fill("holidays");
    await page.locator("dialog").getByRole("button", { name: "Pause" }).click();
    await page.locator("main", { hasText: "holidays" }).waitFor();
    await button("Resume").click();
    await page.locator("h2", { hasText: "active" }).waitFor();
    await button("Start a run now").click();
    for (;;) {
      const { runs } = await ask("/schedules/steady%3Anightly");
      if (runs.length > 0) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await page.reload();
    await page.getByRole("region", { name: "Its last runs" }).getByRole("link").first().waitFor();
    await is_accessible(page);
    await shot(page, place, "schedule");
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
    await shot(page, place, "schedule-narrow");
  }),
  logged_in("two runs stand beside each other, from the list and from a run", async ({ page, url, place, ask, start, wrong }) => {
    const ids = [];
    for (const city of ["Oslo", "Bern"]) {
      ids.push(await start("approve", { city, kind: "a" }, { pair: "yes" }));
      for (let i = 0; i < 200 && (await ask(`/runs/${ids.at(-1)}`)).state !== "waiting"; i++) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await ask(`/runs/${ids[0]}/cancel`, {});
    await until_ended(ask, ids[0]);
    await page.goto(`${url}#/runs?label=pair%3Dyes`);
    const button = page.getByRole("button", { name: "Compare two" });
    for (const id of [...ids].reverse()) {
      assert.ok(await button.isDisabled());
      await page.locator("tr", { has: page.locator(`a[href$="${id}"]`) }).getByRole("checkbox").press("Space");
    }
    await button.press("Enter");
    await page.waitForFunction(([one, other]) => location.hash === `#/compare/${one}/${other}`, ids);
    await page.getByRole("region", { name: "Nodes of both" }).waitFor();
    await page.locator(".part", { hasText: "Input" }).locator(".beside", { hasText: "Bern" }).waitFor();
    await page.locator(".part", { hasText: "Code" }).getByText("the same").first().waitFor();
    await page.getByRole("region", { name: "Nodes of both" }).locator("tbody tr", { hasText: "cancelled" }).first().waitFor();
    await is_accessible(page);
    await shot(page, place, "compare");
    await page.emulateMedia({ colorScheme: "dark" });
    await is_accessible(page);
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
    await shot(page, place, "compare-narrow");
    await open_run(page, url, ids[1]);
    await page.getByRole("button", { name: "Compare with…" }).press("Enter");
    const dialog = page.locator("dialog");
    assert.equal(await dialog.locator("input").inputValue(), ids[0]);
    await is_accessible(page);
    await dialog.locator("input").fill("00000000");
    await dialog.getByRole("button", { name: "Compare" }).click();
    await dialog.locator(".problem", { hasText: "00000000" }).waitFor();
    assert.ok(wrong.every((text) => text.includes("404")));
    wrong.length = 0;
    await dialog.locator("input").fill(ids[0]);
    await dialog.getByRole("button", { name: "Compare" }).click();
    await page.waitForFunction(([one, other]) => location.hash === `#/compare/${one}/${other}`, ids);
    await page.locator("h2", { hasText: "Two runs beside each other" }).waitFor();
    await ask(`/runs/${ids[1]}/cancel`, {});
  }),
  logged_in("what differs in the code of two runs is shown by lines", async ({ page, url, place, folder, ask, start }) => {
    const before = await start("hooked", { order: "a" });
    await until_ended(ask, before);
    const file = join(folder, "flows", "hooked.lua");
    writeFileSync(file, readFileSync(file, "utf8").replace("  return ctx.input.order\n", "  return ctx.input.order .. '<b>!'\n").replace("return w\n", "w.late = { after = 'take', run = function() end }\nreturn w\n"));
    await ask("/workflows/reload", {});
    const later = await start("hooked", { order: "a" });
    await until_ended(ask, later);
    await page.goto(`${url}#/compare/${before}/${later}`);
    await page.locator(".diff ins", { hasText: "<b>!" }).waitFor();
    await page.locator(".diff del", { hasText: "return ctx.input.order" }).waitFor();
    await page.locator("li", { hasText: 'node "late" is new' }).waitFor();
    await page.locator("tr", { hasText: "late" }).getByText("presence").waitFor();
    const rows = page.getByRole("region", { name: "Nodes of both" }).locator("tbody tr");
    assert.equal(await rows.count(), 3);
    await page.getByLabel("Only what differs").press("Space");
    assert.equal(await rows.count(), 2);
    await is_accessible(page);
    await shot(page, place, "compare-code");
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await is_accessible(page);
  }),
  logged_in("pools are paused and breakers are shut", async ({ page, url, place, ask, start }) => {
    await until_ended(ask, await start("tended"));
    await page.goto(`${url}#/pools`);
    await page.getByRole("button", { name: "Pause narrow" }).click();
    await page.locator("tr", { hasText: "narrow" }).getByText("paused").waitFor();
    await is_accessible(page);
    await shot(page, place, "pools");
    await page.getByRole("button", { name: "Resume narrow" }).click();
    await page.getByRole("button", { name: "Pause narrow" }).waitFor();
    await page.getByRole("button", { name: "Reset far" }).click();
    await page.locator("tr", { hasText: "far" }).getByText("closed").waitFor();
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
  }),
  logged_in("hooks tell what came to them, and a delivery is done once more", async ({ page, url, place }) => {
    const send = async (body, id) => (await fetch(`${url}hooks/orders`, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body),
      headers: { "content-type": "application/json", "webhook-id": id } })).status;
    assert.equal(await send({ type: "made", order: "<b>A-1</b>" }, "first"), 202);
    assert.equal(await send({ type: "lost" }, "second"), 202);
    assert.ok(await send({ type: "made", order: 7 }, "third") >= 400);
    const bytes = await fetch(`${url}hooks/orders`, { method: "POST", body: new Uint8Array([255, 254, 0]), headers: { "content-type": "application/octet-stream" } });
    await page.goto(`${url}#/hooks`);
    await page.locator("tr", { hasText: "orders" }).filter({ hasText: "hooked" }).waitFor();
    await is_accessible(page);
    await shot(page, place, "hooks");
    await page.getByRole("link", { name: "orders", exact: true }).press("Enter");
    await page.locator("main .said", { hasText: "4 deliveries" }).waitFor();
    assert.equal(await page.locator("tbody tr", { hasText: "failed" }).count(), 1);
    assert.equal(await page.locator("tbody tr", { hasText: "ignored" }).count(), 2);
    await is_accessible(page);
    await shot(page, place, "hook");
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
    await shot(page, place, "hook-narrow");
    await page.locator("tbody tr", { hasText: "started" }).getByRole("link").first().click();
    await page.locator(".json", { hasText: "<b>A-1</b>" }).waitFor();
    await page.locator("tr", { hasText: "webhook-id" }).getByText("first").waitFor();
    await page.getByRole("button", { name: "Redeliver" }).press("Enter");
    await page.locator("[role=status]", { hasText: "existing" }).waitFor();
    await is_accessible(page);
    await fits(page);
    await shot(page, place, "delivery");
    await page.locator("[role=status] a").click();
    await page.locator("#published", { hasText: "shelf" }).waitFor();
    await fits(page);
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.locator("#published").screenshot({ path: `${place.shots}/published.png` });
    await page.goto(`${url}#/hooks/orders`);
    await page.locator("main .said", { hasText: "5 deliveries" }).waitFor();
    await page.locator("tbody tr", { hasText: "once more" }).waitFor();
    await page.locator("tbody tr", { hasText: String(bytes.status) }).filter({ hasText: "3 B" }).getByRole("link").first().click();
    await page.locator(".json", { hasText: "$bytes" }).waitFor();
    await page.getByRole("button", { name: "Redeliver" }).waitFor();
  }),
  logged_in("the audit is narrowed and verified", async ({ page, url, place, ask, start }) => {
    await ask(`/runs/${await start("steady")}/cancel`, {});
    await page.goto(`${url}#/audit`);
    await page.locator("tbody tr", { hasText: "run.start" }).first().waitFor();
    await page.getByLabel("Action").fill("run.cancel");
    await page.locator("tbody tr", { hasText: "run.cancel" }).first().waitFor();
    assert.equal(await page.locator("tbody tr", { hasText: "run.start" }).count(), 0);
    await page.getByRole("button", { name: "Verify" }).click();
    await page.locator("main", { hasText: "are as they were written" }).waitFor();
    await is_accessible(page);
    await shot(page, place, "audit");
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page);
  }),
  ...["light", "dark"].map((colorScheme) => logged_in(`axe finds nothing, ${colorScheme}`, async ({ page, url, start }) => {
    const id = await start("approve", { city: "Oslo", kind: "a" });
    await page.goto(`${url}#/runs`);
    await page.locator("tbody tr").first().waitFor();
    await is_accessible(page);
    await page.goto(`${url}#/workflows/approve`);
    await page.locator("orr-graph g.node").first().waitFor();
    await is_accessible(page);
    await page.getByRole("button", { name: "Start a run" }).click();
    await page.locator("dialog").waitFor();
    await is_accessible(page);
    await page.keyboard.press("Escape");
    await open_run(page, url, id);
    await page.locator("#nodes .link").first().click();
    await is_accessible(page);
  }, { colorScheme })),
  logged_in("360 pixels are enough", async ({ page, url, start, place }) => {
    const id = await start("approve", { city: "Oslo", kind: "a" });
    for (const [hash, seen] of [["runs", "tbody tr"], ["workflows", "tbody tr"], ["workflows/approve", "orr-graph g.node"], [`runs/${id}`, "orr-graph g.node"]]) {
      await page.goto(`${url}#/${hash}`);
      await page.locator(seen).first().waitFor();
      await fits(page);
      await shot(page, place, `live-360-${hash.split("/")[0]}${hash.includes("/") ? "-one" : ""}`);
    }
    await is_accessible(page);
  }, { viewport: { width: 360, height: 740 } }),
];
