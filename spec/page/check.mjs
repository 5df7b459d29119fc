// check.mjs: what several tests ask of a page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// axe finds nothing. Its script is put in from outside, which the page's policy does not concern.
export async function is_accessible(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any[0]?.message ?? node.all[0]?.message ?? ""}`).join(" | ")}`), []);
}

// Nothing stands out to the right of the window.
export async function fits(page) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    return document.documentElement.scrollWidth <= width ? [] : [...document.querySelectorAll("body *")]
      .filter((node) => node.getBoundingClientRect().right > width + 0.5).map((node) => node.outerHTML.slice(0, 120));
  });
  assert.deepEqual(wide, []);
}

// Goes with the tabulator until something with that accessible name has the focus.
export async function tab_to(page, name, most = 200) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent);
    if (focused.trim().startsWith(name)) return;
  }
  assert.fail(`the tabulator does not come to ${name}`);
}

export async function shot(page, place, name) {
  await page.screenshot({ path: join(place.shots, `${name}.png`), fullPage: true });
}
