// report_test.mjs: what `orrery show --html` has written, as a browser shows it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fits, is_accessible, shot, tab_to } from "./check.mjs";

const FLOWS = ["times", "failed", "hostile", "large"];

// One run of each workflow, written as a page.
export function begin(place, folder) {
  const url = {};
  for (const name of FLOWS) {
    const cwd = join(folder, name);
    mkdirSync(cwd);
    copyFileSync(join(place.flows, `${name}.lua`), join(cwd, "flow.lua"));
    spawnSync(place.orrery, ["run", "flow.lua", "--quiet"], { cwd, stdio: "ignore" });
    const shown = spawnSync(place.orrery, ["show", "--html", "run.html"], { cwd, encoding: "utf8" });
    assert.equal(shown.status, 0, shown.stderr);
    url[name] = `file://${cwd}/run.html`;
  }
  return { place, url };
}

async function open(page, url) {
  await page.goto(url);
  await page.locator("orr-run h2").waitFor();
}

const text_of = (page, selector) => page.locator(selector).innerText();

export const tests = [
  { name: "a run is shown with its parts", async test({ page, url, place }) {
    await open(page, url.times);
    assert.match(await text_of(page, "orr-run h2"), /times\s*✓ completed/);
    assert.equal(await page.locator("orr-graph g.node").count(), 7);
    assert.equal(await page.locator("orr-graph g.node.critical").count(), 3);
    assert.deepEqual(await page.locator("orr-chart li.critical .name").allInnerTexts(), ["start", "slow", "last"]);
    const slow = page.locator("orr-chart li", { hasText: "slow" });
    assert.ok(await slow.locator(".k-wait").count() === 1 && await slow.locator(".k-run").count() === 2);
    const flaky = page.locator("orr-chart li", { hasText: "flaky" });
    assert.ok(await flaky.locator(".k-retry").count() === 1 && await flaky.locator(".k-run.bad").count() === 1);
    assert.match(await text_of(page, "orr-logs .lines"), /start info begins/);
    await shot(page, place, "times");
  } },
  { name: "a bar is as long as its node took, on the axis", async test({ page, url }) {
    await open(page, url.times);
    const box = (name) => page.locator("orr-chart li", { hasText: name }).locator(".span").last().boundingBox();
    const [slow, last, track] = [await box("slow"), await box("last"), await page.locator("orr-chart .track").first().boundingBox()];
    assert.ok(last.x >= slow.x + slow.width - 1.5, "the last one begins where the slow one ends");
    assert.ok(Math.abs(last.x + last.width - track.x - track.width) < 2.5, "the last one ends at the end");
    const axis = await page.locator("orr-chart .axis").boundingBox();
    assert.ok(Math.abs(axis.x - track.x) < 1.5 && Math.abs(axis.width - track.width) < 3, "the axis stands over the tracks");
  } },
  { name: "a node opens beside the others, from graph, chart and table", async test({ page, url }) {
    await open(page, url.times);
    await page.getByRole("button", { name: "flaky", exact: true }).click();
    assert.match(await text_of(page, ".panel"), /only the second time/);
    assert.match(await text_of(page, ".panel"), /answer/);
    await page.getByRole("button", { name: "Close" }).click();
    assert.ok(await page.locator(".panel").isHidden());
    await page.locator("orr-graph g.node", { hasText: "each" }).click();
    assert.match(await text_of(page, ".panel"), /Oslo[^]*Rome[^]*Bern/);
    await page.locator("orr-chart li button", { hasText: "start" }).click();
    await page.getByRole("button", { name: "Its log lines" }).click();
    assert.equal(await page.locator("orr-logs .line").count(), 1);
  } },
  { name: "a failure says where and what helps", async test({ page, url, place }) {
    await open(page, url.failed);
    const said = await text_of(page, ".failures");
    assert.match(said, /attempt to index a nil value/);
    assert.match(said, /flow\.lua:12: in function/);
    assert.match(said, /Try: read the lines above/);
    assert.match(await text_of(page, "#nodes"), /was skipped: parse failed/);
    await shot(page, place, "failed");
  } },
  { name: "hostile names, values and lines are shown and never obeyed", async test({ page, url, place }) {
    await open(page, url.hostile);
    assert.match(await text_of(page, "orr-run h2"), /<\/script><img src=x onerror=alert\(1\)>U\+202Egnp\.exe/);
    assert.match(await page.title(), /^<\/script>/);
    assert.equal(await page.locator("img, main script, b").count(), 0);
    const lines = await page.locator("orr-logs .line").allInnerTexts();
    assert.match(lines[0], /red bold on blue cleared <\/script><script>document\.title='owned'/);
    assert.match(lines[1], /orangegreen U\+202Ereversed/);
    const red = page.locator("orr-logs span", { hasText: /^red$/ }).last();
    assert.notEqual(await red.evaluate((node) => getComputedStyle(node).color), await page.evaluate(() => getComputedStyle(document.body).color));
    await page.getByRole("button", { name: /Show all 10,?000 characters/ }).click();
    assert.ok((await page.locator("orr-logs .message").last().innerText()).length >= 9999);
    await page.getByRole("button", { name: "log", exact: true }).click();
    assert.match(await text_of(page, ".panel"), /9007199254740993/);
    await shot(page, place, "hostile");
  } },
  { name: "three thousand nodes are few elements from afar, and words near by", async test({ page, url, place }) {
    await open(page, url.large);
    await page.locator("orr-graph .far").first().waitFor();
    assert.ok(await page.locator("orr-graph svg *").count() < 20);
    assert.match(await text_of(page, "orr-graph .said"), /3,001 nodes, folded into 2,002/);
    await shot(page, place, "large");
    await page.locator("orr-graph svg").focus();
    await page.keyboard.press("ArrowRight");
    await page.locator("orr-graph g.node.current", { hasText: "n1_2" }).waitFor();
    assert.ok(await page.locator("orr-graph g.node").count() < 700);
    await page.keyboard.press("End");
    await page.locator("orr-graph g.node.current", { hasText: "× 1000" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator("orr-graph [aria-live]", { hasText: /^3,001 nodes$/ }).waitFor();
    const search = page.getByRole("searchbox", { name: "Search nodes by name" });
    await search.fill("work_77");
    assert.match(await text_of(page, "#nodes .said"), /^11 nodes$/);
  } },
  { name: "a run of many nodes opens at the keys' first press", async test({ page, url }) {
    await open(page, url.large);
    await page.getByRole("button", { name: /Show 200 more of 2801/ }).click();
    assert.equal(await page.locator("#nodes tbody tr").count(), 400);
    await page.getByRole("button", { name: /Show 60 more of/ }).click();
    assert.equal(await page.locator("orr-chart li").count(), 120);
  } },
  { name: "keys alone go everywhere and back", async test({ page, url }) {
    await open(page, url.times);
    await tab_to(page, "Graph of 7 nodes");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    await page.locator("orr-graph [aria-live]", { hasText: "flaky, lua, completed" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".panel", { hasText: "only the second time" }).waitFor();
    await page.keyboard.press("Escape");
    assert.ok(await page.locator(".panel").isHidden());
    assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Graph/);
    await tab_to(page, "Search the lines");
    await page.keyboard.type("nothing like it");
    await page.locator("orr-logs .said", { hasText: "0 lines" }).waitFor();
  } },
  ...["light", "dark"].flatMap((colorScheme) => FLOWS.slice(0, 3).map((flow) => ({
    name: `axe finds nothing: ${flow}, ${colorScheme}`, options: { colorScheme }, async test({ page, url, place }) {
      await open(page, url[flow]);
      await page.locator("#nodes .link").first().click();
      await page.locator(".panel").waitFor();
      await is_accessible(page);
      await shot(page, place, `${flow}-${colorScheme}`);
    },
  }))),
  ...FLOWS.map((flow) => ({
    name: `360 pixels are enough: ${flow}`, options: { viewport: { width: 360, height: 740 } }, async test({ page, url, place }) {
      await open(page, url[flow]);
      await fits(page);
      await page.locator("#nodes .link").first().click();
      await page.locator(".panel").waitFor();
      await fits(page);
      if (flow !== "large") await is_accessible(page);
      await shot(page, place, `${flow}-360`);
    },
  })),
  { name: "the theme is chosen by a button, and kept", options: { colorScheme: "light" }, async test({ page, url }) {
    await open(page, url.times);
    const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await paper();
    await page.getByRole("button", { name: "Theme: system" }).click();
    assert.notEqual(await paper(), light);
    await page.reload();
    await page.locator("orr-run h2").waitFor();
    assert.notEqual(await paper(), light);
  } },
  { name: "its policy keeps out what somebody puts in", async test({ page, url, wrong }) {
    await open(page, url.times);
    const ran = await page.evaluate(() => new Promise((resolve) => {
      const script = document.createElement("script");
      script.textContent = "window.owned = true";
      document.body.append(script);
      setTimeout(() => resolve(window.owned === true), 50);
    }));
    assert.equal(ran, false);
    assert.ok(wrong.length > 0 && wrong.every((text) => text.includes("Content Security Policy")), wrong.join("\n"));
    wrong.length = 0;
  } },
];
