// Pictures of the main screens: node screenshots.mjs <url> <folder>; those of the README, or with
// ALL=1 those of every main screen, empty and full, in both themes and on a phone.
import { mkdirSync } from "node:fs";
import { browse, signUp, until, url } from "./lib.mjs";

const folder = process.argv[3] ?? "pictures";
const README = new Set(["overview", "editor", "report-dark", "segment", "editor-360"]);
const PEOPLE = 400;
const FIRST = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Frances", "Niklaus"];
const LAST = ["Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Perlman", "Thompson", "Allen", "Wirth"];
const COMPANIES = ["Analytical Engines", "Remington", "Bletchley", "Eindhoven Labs", "Cambridge Systems"];

mkdirSync(folder, { recursive: true });

await browse(async (page, { context }) => {
  await signUp(page, { workspace: "Northwind Coffee" });
  const shoot = async (name, path, ready, theme = "light") => {
    if (!process.env.ALL && !README.has(name)) return;
    await page.evaluate((chosen) => localStorage.setItem("clarion.theme", chosen), theme);
    if (path) await page.goto(url + path);
    if (ready) await page.getByRole("main").getByText(ready).first().waitFor();
    await page.waitForLoadState("networkidle").catch(() => undefined);
    await page.waitForTimeout(300);
    await page.screenshot({ path: `${folder}/${name}.png` });
  };
  await shoot("overview-empty", "/", "Make a list");
  await shoot("campaigns-empty", "/campaigns", "No campaigns yet");
  await shoot("leads-empty", "/leads", "No leads yet");
  await page.goto(`${url}/`);
  const { csrf_token: csrf } = await (await context.request.get(`${url}/api/v1/session`)).json();
  const post = async (path, data, headers = {}) => {
    const answer = await context.request.post(`${url}/api/v1${path}`, { data, headers: { "x-csrf-token": csrf, ...headers } });
    if (!answer.ok()) throw new Error(`${path}: ${await answer.text()}`);
    return answer.json();
  };
  const list = await post("/lists", { name: "Monthly roast", description: "News and offers, once a month" });
  await post("/lists", { name: "Product news" });
  const rows = Array.from({ length: PEOPLE }, (_, n) => {
    const [first, last] = [FIRST[n % 10], LAST[Math.floor(n / 10) % 10]];
    const prefix = n % 97 === 5 ? "hard+" : n % 133 === 9 ? "full+" : "";
    return `${prefix}${first}.${last}.${n}@example.com,${first},${last},${COMPANIES[n % 5]},${["new", "customer", "qualified"][n % 3]},"${n % 4 ? "coffee" : "coffee,wholesale"}",${n % 2 ? "pro" : "free"}`;
  });
  const csv = ["email,first_name,last_name,company,status,tags,plan", ...rows].join("\n");
  const run = await post(`/leads/imports?list_id=${list.id}`, csv, { "content-type": "text/csv" });
  await until("the import is done", async () =>
    (await (await context.request.get(`${url}/api/v1/leads/imports/${run.id}`)).json()).status === "done");
  const content = {
    format: "mjml",
    body: `<mjml><mj-body background-color="#f6f1ea"><mj-section background-color="#3b2417" padding="28px"><mj-column><mj-text color="#f6e7d3" font-size="26px" font-weight="700" align="center" font-family="Georgia, serif">Northwind Coffee</mj-text></mj-column></mj-section><mj-section background-color="#ffffff" padding="28px 20px"><mj-column><mj-text font-size="22px" font-family="Georgia, serif">Hello {{ lead.first_name | default("there") }},</mj-text><mj-text font-size="16px" line-height="1.6">our spring roast is here: Ethiopian Yirgacheffe, floral and bright. Order by Friday and the shipping is on us.</mj-text><mj-button href="https://example.com/spring" background-color="#b4562a" border-radius="6px" font-size="16px">See the spring roast</mj-button></mj-column></mj-section><mj-section><mj-column><mj-text align="center" font-size="13px" color="#7a6a5c"><a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text></mj-column></mj-section></mj-body></mjml>`,
  };
  const base = {
    subject: "Spring roast for {{ lead.first_name | default(\"you\") }}", preheader: "Floral, bright, and shipped free until Friday",
    from: { name: "Northwind Coffee", email: "hello@northwind.example" }, content, audience: { list_ids: [list.id] },
    budget: { amount: 25000, currency: "EUR" },
  };
  const rule = {
    all: [
      { field: "status", op: "eq", value: "customer" },
      { any: [{ field: "tags", op: "contains", value: "wholesale" }, { field: "attributes.plan", op: "eq", value: "pro" }] },
    ],
  };
  const segment = await post("/segments", { name: "Customers worth a call", rule });
  await post("/domains", { name: "northwind.example" });
  const sent = await post("/campaigns", { name: "Spring roast", ...base });
  const draft = await post("/campaigns", { name: "Summer cold brew", ...base });
  await post(`/campaigns/${sent.id}/start`, { accept_warnings: true });
  await until("all but the full mailboxes are settled", async () => {
    const settlement = await (await context.request.get(`${url}/api/v1/campaigns/${sent.id}/settlement`)).json();
    return settlement.audience > 0 && settlement.accepted > settlement.audience - 10;
  });
  const reader = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };
  const inbox = (await (await page.request.get(`${url}/mailbox/messages.json?limit=100&subject=Spring`)).json()).items;
  for (const [n, mail] of inbox.entries()) {
    if (n % 3 === 2) continue;
    const text = await (await page.request.get(`${url}/mailbox/messages/${mail.id}.json`)).text();
    const open = text.match(/https?:\/\/[^"\\\s<>]+\/o\/[\w.~-]+\.gif/)?.[0];
    const click = text.match(/https?:\/\/[^"\\\s<>]+\/c\/[\w.~-]+/)?.[0];
    if (open) await page.request.get(open, { headers: reader });
    if (click && n % 3 === 0) await page.request.get(click, { headers: reader, maxRedirects: 0 });
  }
  const lead = (await (await context.request.get(`${url}/api/v1/leads?limit=1`)).json()).items[0];
  for (const theme of ["light", "dark"]) {
    const name = (screen) => (theme === "dark" ? `${screen}-dark` : screen);
    await shoot(name("overview"), "/", "Recent campaigns", theme);
    await shoot(name("campaigns"), "/campaigns", "Spring roast", theme);
    await shoot(name("report"), `/campaigns/${sent.id}`, "Since the start", theme);
    await shoot(name("editor"), `/campaigns/${draft.id}`, "Preview", theme);
    await shoot(name("leads"), "/leads", "leads so far", theme);
    await shoot(name("lead"), `/leads/${lead.id}`, "Timeline", theme);
    await shoot(name("lists"), "/lists", "Monthly roast", theme);
    await shoot(name("segment"), `/segments/${segment.id}`, "leads, found", theme);
    await shoot(name("deliveries"), `/deliveries?campaign_id=${sent.id}`, "@example.com", theme);
    await shoot(name("domains"), "/settings/domains", "DKIM", theme);
    await shoot(name("senders"), "/settings/senders", "per second", theme);
    await shoot(name("people"), "/settings/people", "Who works in this workspace", theme);
    await shoot(name("analytics"), "/analytics", "Over time", theme);
    await shoot(name("import"), "/leads/import", "CSV file", theme);
  }
  await page.setViewportSize({ width: 360, height: 740 });
  for (const [name, path, ready] of [
    ["overview", "/", "Recent campaigns"], ["campaigns", "/campaigns", "Spring roast"], ["editor", `/campaigns/${draft.id}`, "Preview"],
    ["report", `/campaigns/${sent.id}`, "Since the start"], ["leads", "/leads", "leads so far"], ["segment", `/segments/${segment.id}`, "leads, found"],
  ]) {
    await shoot(`${name}-360`, path, ready);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 360) console.error(`${name} is ${wide} wide at 360`);
  }
});
