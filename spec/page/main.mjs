// main.mjs: the tests of the page in a browser. usage: node main.mjs BUILD [PART OF A FILE'S NAME [PART OF A TEST'S]]
//
// Each file NAME_test.mjs gives { tests, begin, end }: begin makes what its tests share. A test gets that and a way to
// open pages; one fails where it throws, or where a page of it had an error or broke its policy. The last line is
// "N passed, N failed".
import { mkdtempSync, readdirSync, rmSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [build, part = "", of_test = ""] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url)), root = join(here, "../..");
const PATIENCE = Number(process.env.PATIENCE ?? 60_000);

export const place = { build, root, orrery: join(build, "orrery"), flows: join(root, "spec/page/flows"), shots: join(here, "shots") };

// Chromium's own sandbox needs what containers do not give; what is opened here is ours.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
mkdirSync(place.shots, { recursive: true });

// A browser of its own for a test, whose pages note what goes wrong in them.
async function context_of(options, wrong) {
  const context = await browser.newContext({ reducedMotion: "reduce", viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  context.on("page", (page) => {
    page.on("pageerror", (error) => wrong.push(`error: ${error.stack ?? error.message}`));
    page.on("console", (message) => message.type() === "error" && wrong.push(`console: ${message.text()}`));
    page.on("dialog", (dialog) => {
      wrong.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
  });
  return context;
}

async function run_test(shared, { name, options, test, logged_in }) {
  const wrong = [], context = await context_of({ ...options, storageState: logged_in ? shared.state : undefined }, wrong);
  try {
    await test({ ...shared, context, page: await context.newPage(), wrong });
    if (wrong.length > 0) throw new Error(wrong.join("\n"));
    return true;
  } catch (error) {
    console.log(`FAILED ${name}\n${error.stack ?? error}${wrong.length > 0 ? `\n${wrong.join("\n")}` : ""}\n`);
    return false;
  } finally {
    await context.close();
  }
}

let passed = 0, failed = 0;
const files = readdirSync(here).filter((name) => name.endsWith("_test.mjs") && name.includes(part)).sort();
for (const file of files) {
  const folder = mkdtempSync(join(tmpdir(), "orrery-page-")), before = [passed, failed];
  try {
    const { begin, tests, end } = await import(`./${file}`);
    const shared = await begin(place, folder, browser);
    for (const one of tests.filter(({ name }) => name.includes(of_test))) await run_test(shared, one) ? passed++ : failed++;
    await end?.(shared);
  } catch (error) {
    console.log(`FAILED ${file}\n${error.stack ?? error}\n`);
    failed++;
  }
  rmSync(folder, { recursive: true });
  console.log(`${file.padEnd(32)} ${passed - before[0]} passed, ${failed - before[1]} failed`);
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
