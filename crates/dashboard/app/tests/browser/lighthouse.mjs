// What Lighthouse says of the main screens, as a person at a desk sees them, signed in, with data.
// node lighthouse.mjs <url> [rounds]; fails below 95 for performance, and below 100 for the others.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { asking, executablePath, signUp, url } from "./lib.mjs";

const { default: lighthouse, desktopConfig } = await import("../../lighthouse/node_modules/lighthouse/core/index.js");
const LIMITS = { performance: 95, accessibility: 100, "best-practices": 100 };
const ROUNDS = Number(process.argv[3] ?? 3);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const folder = mkdtempSync(join(tmpdir(), "lighthouse-"));
const port = 20_000 + (process.pid % 20_000);
const context = await chromium.launchPersistentContext(folder, {
  executablePath, args: ["--no-sandbox", "--disable-background-networking", `--remote-debugging-port=${port}`], locale: "en-GB",
});
let failed = false;
try {
  const page = await context.newPage();
  await page.goto(`${url}/sign-in`);
  const judge = async (path) => {
    const scores = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, []]));
    const faults = new Set();
    for (let round = 0; round < ROUNDS; round++) {
      const { lhr } = await lighthouse(url + path, { port, logLevel: "error", onlyCategories: Object.keys(LIMITS), disableStorageReset: true }, desktopConfig);
      for (const name of Object.keys(LIMITS)) {
        scores[name].push(Math.round((lhr.categories[name].score ?? 0) * 100));
        for (const { id } of lhr.categories[name].auditRefs) {
          const audit = lhr.audits[id];
          if (name !== "performance" && audit.score !== null && audit.score < 1) faults.add(`${id}: ${audit.title}`);
        }
      }
    }
    const medians = Object.entries(scores).map(([name, all]) => [name, median(all)]);
    console.log(`${path.padEnd(24)} ${medians.map(([name, score]) => `${name} ${score}`).join("  ")}`);
    for (const fault of faults) console.log(`  ${fault}`);
    if (medians.some(([name, score]) => score < LIMITS[name])) failed = true;
  };
  await judge("/sign-in");
  await signUp(page);
  const ask = await asking(context);
  const list = await ask("POST", "/lists", { name: "Newsletter" });
  for (let n = 0; n < 60; n++) await ask("POST", "/leads", { email: `person${n}@example.com`, first_name: `Person ${n}` });
  const draft = await ask("POST", "/campaigns", { name: "Spring", subject: "Hello", content: { format: "markdown", body: "Hello {{ unsubscribe_url }}" }, audience: { list_ids: [list.id] } });
  await ask("POST", "/analytics", { events: Array.from({ length: 40 }, (_, n) => ({ type: "view", user_id: String(n) })) });
  await page.close();
  for (const path of ["/", "/campaigns", `/campaigns/${draft.id}`, "/leads", "/analytics", "/settings/people", "/settings/domains"]) await judge(path);
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}
if (failed) {
  console.error(`below ${Object.entries(LIMITS).map(([name, limit]) => `${limit} for ${name}`).join(", ")}`);
  process.exit(1);
}
