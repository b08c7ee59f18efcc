// Scrolls through a table of many rows: node scroll.mjs <url> [rows] [longest task in ms]
import { asking, browse, signUp, until, url } from "./lib.mjs";

const ROWS = Number(process.argv[3] ?? 100_000);
const LONGEST = Number(process.argv[4] ?? 50);

await browse(async (page, { context }) => {
  await signUp(page);
  const ask = await asking(context);
  const rows = Array.from({ length: ROWS }, (_, n) => `person${n}@example.com,Person,Number ${n},Company ${n % 977},"${n % 3 ? "coffee" : "coffee,tea"}"`);
  const { csrf_token: csrf } = await (await context.request.get(`${url}/api/v1/session`)).json();
  const answer = await context.request.post(`${url}/api/v1/leads/imports`, {
    headers: { "x-csrf-token": csrf, "content-type": "text/csv" }, data: ["email,first_name,last_name,company,tags", ...rows].join("\n"),
  });
  const run = await answer.json();
  await until("they are imported", async () => (await ask("GET", `/leads/imports/${run.id}`)).status === "done");
  await page.goto(`${url}/leads`);
  await page.getByRole("row", { name: /person/ }).first().waitFor();
  // Noted from here on: what is measured is scrolling, not the first drawing.
  await page.evaluate(() => {
    globalThis.tasks = [];
    new PerformanceObserver((list) => globalThis.tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: "longtask" });
  });
  const seen = await page.evaluate(async (wanted) => {
    const frame = () => new Promise((resolve) => { requestAnimationFrame(resolve); });
    const table = document.querySelector(".vtable");
    const rowHeight = 42;
    let frames = 0;
    // Down to the end, as fast as rows come; they are asked for while one scrolls.
    while (table.scrollHeight < wanted * rowHeight || table.scrollTop + table.clientHeight < table.scrollHeight - 1) {
      table.scrollTop += 2_000;
      await frame();
      if (++frames > 100_000) throw new Error(`rows stopped coming at ${table.scrollHeight / rowHeight}`);
    }
    // And about in it.
    for (let jump = 0; jump < 200; jump++) {
      table.scrollTop = (((jump * 7_919) % 1_000) / 1_000) * table.scrollHeight;
      await frame();
      frames++;
    }
    table.scrollTop = table.scrollHeight;
    await frame();
    await frame();
    return { frames, drawn: table.querySelectorAll(".vbody > .vrow").length, last: Number(table.querySelector(".vbody > .vrow:last-child").getAttribute("aria-rowindex")) - 1 };
  }, ROWS);
  const tasks = await page.evaluate(() => globalThis.tasks);
  const over = tasks.filter((ms) => ms > LONGEST);
  console.log(`${ROWS} rows, ${seen.frames} frames, ${seen.drawn} rows drawn at once; tasks over 50 ms: ${tasks.length}; the longest ${Math.max(0, ...tasks)} ms`);
  if (seen.last !== ROWS) throw new Error(`the last row is ${seen.last}`);
  if (over.length > 0) throw new Error(`${over.length} tasks were longer than ${LONGEST} ms: ${over.slice(0, 10).join(", ")}`);
});
