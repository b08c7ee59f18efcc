// Pictures of the main screens: node screenshots.mjs <url> <folder>; those of the README, or with
// ALL=1 those of every main screen, empty and full, in both themes and on a phone.
import { mkdirSync } from "node:fs";
import { browse, signUp, until, url } from "./lib.mjs";

const folder = process.argv[3] ?? "pictures";
const README = new Set(["overview", "editor", "report-dark", "segment", "funnel", "retention-dark", "people", "editor-360"]);
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
    // The live stream never ends, so there is no moment without a connection to wait for.
    await page.waitForFunction(() => !document.querySelector(".spin"));
    await page.waitForTimeout(500);
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
  // A shop's visitors of the last weeks, some of whom the campaign brought to buy.
  const people = (await (await context.request.get(`${url}/api/v1/leads?limit=200`)).json()).items;
  const day = 86_400_000;
  const at = (days, n) => new Date(Date.now() - days * day + (n % 40) * 60_000).toISOString();
  const visits = people.flatMap(({ id }, n) => {
    const came = 2 + (n % 26);
    const visit = (days, more) => ({ type: "view", lead_id: id, occurred_at: at(days, n), url: `https://northwind.example/${more ?? ""}?utm_source=${["newsletter", "search", "friends"][n % 3]}` });
    const seen = [visit(came)];
    for (let week = 7; week <= came; week += 7) if ((n * week) % 5 < 3) seen.push(visit(came - week, "roasts"));
    if (n % 3) seen.push({ type: "track", name: "Added to basket", lead_id: id, occurred_at: at(came - 0.1, n) });
    if (n % 5 < 2) seen.push({ type: "click", campaign_id: n % 2 ? sent.id : draft.id, lead_id: id, occurred_at: at(1.5, n) });
    if (n % 5 < 2) seen.push({ type: "goal", name: "Bought", lead_id: id, occurred_at: at(1, n), properties: { amount: 1200 + (n % 7) * 350, currency: "EUR" } });
    return seen;
  });
  await post("/analytics", { events: visits.slice(0, 1000) });
  const steps = encodeURIComponent(JSON.stringify([{ type: "view" }, { type: "track", name: "Added to basket" }, { type: "goal", name: "Bought" }]));
  const template = await post("/templates", { name: "Monthly letter", subject: base.subject, preheader: base.preheader, content });
  const role = await post("/roles", { name: "Copywriter", scopes: ["campaigns:read", "campaigns:write", "leads:read"] });
  await post("/users", { name: "Grace Hopper", email: `grace-${Date.now()}@example.com`, password: "correct horse battery", role: "custom", role_id: role.id });
  await post("/invitations", { email: "alan@example.com", role: "analyst" });
  await post("/write-keys", { name: "Shop", origins: ["https://northwind.example"] });
  await post("/analytics/shares", { name: "For the board", reports: ["overview", "timeseries"] });
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
    await shoot(name("account"), "/settings", "Where you are signed in", theme);
    await shoot(name("audit"), "/settings/audit", "memberships", theme);
    await shoot(name("write-keys"), "/settings/write-keys", "northwind.example", theme);
    await shoot(name("templates"), "/templates", "Monthly letter", theme);
    await shoot(name("template"), `/templates/${template.id}`, "Preview", theme);
    await shoot(name("analytics"), "/analytics", "Over time", theme);
    await shoot(name("funnel"), `/analytics/funnel?steps=${steps}`, "no further", theme);
    await shoot(name("retention"), "/analytics/retention", "After 1 week", theme);
    await shoot(name("attribution"), "/analytics/attribution", "No campaign", theme);
    await shoot(name("shares"), "/analytics/shares", "For the board", theme);
    await shoot(name("import"), "/leads/import", "CSV file", theme);
  }
  // Dialogs, and what moves.
  await page.setViewportSize({ width: 1280, height: 900 });
  const dialog = async (name, path, ready, open) => {
    if (!process.env.ALL) return;
    await page.goto(url + path);
    await page.getByRole("main").getByText(ready).first().waitFor();
    await page.getByRole("button", { name: open, exact: true }).first().click();
    await page.getByRole("dialog").waitFor();
    if (name === "enrol") {
      await page.getByRole("dialog").getByLabel("Current password").fill("correct horse battery");
      await page.getByRole("button", { name: "Next" }).click();
      await page.getByRole("img", { name: /QR/ }).waitFor();
    }
    if (name === "warm-up") await page.getByRole("button", { name: "Growing" }).click();
    await page.screenshot({ path: `${folder}/${name}.png` });
  };
  if (process.env.ALL) await post("/senders", { name: "Fresh", host: "127.0.0.1", port: 2525 });
  await dialog("enrol", "/settings", "Where you are signed in", "Set up an authenticator app");
  await dialog("role", "/settings/people", "Own roles", "Edit");
  await dialog("snippets", "/settings/write-keys", "northwind.example", "Use it");
  await dialog("share", "/analytics/shares", "For the board", "New link");
  await dialog("warm-up", "/settings/senders", "Fresh", "Warm-up");
  if (process.env.ALL) {
    await page.goto(`${url}/analytics/live`);
    await page.locator(".badge").getByText("Live", { exact: true }).waitFor();
    await post("/analytics", { events: visits.slice(-8).map((event) => ({ ...event, occurred_at: new Date().toISOString() })) });
    await shoot("live", null, "northwind.example");
  }
  await page.setViewportSize({ width: 360, height: 740 });
  for (const [name, path, ready] of [
    ["overview", "/", "Recent campaigns"], ["campaigns", "/campaigns", "Spring roast"], ["editor", `/campaigns/${draft.id}`, "Preview"],
    ["account", "/settings", "Where you are signed in"], ["people", "/settings/people", "Own roles"], ["audit", "/settings/audit", "how it was before"],
    ["funnel", `/analytics/funnel?steps=${steps}`, "no further"], ["retention", "/analytics/retention", "After 1 week"],
    ["report", `/campaigns/${sent.id}`, "Since the start"], ["leads", "/leads", "leads so far"], ["segment", `/segments/${segment.id}`, "leads, found"],
  ]) {
    await shoot(`${name}-360`, path, ready);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 360) console.error(`${name} is ${wide} wide at 360`);
  }
});
