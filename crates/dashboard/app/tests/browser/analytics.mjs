// What happened: funnel, retention, attribution, the live view, and links that show it to others.
import { asking, browse, expect, signUp, until, url, watch } from "./lib.mjs";

await browse(async (page, { context }) => {
  await signUp(page);
  const ask = await asking(context);
  const main = page.getByRole("main");
  const dialog = page.getByRole("dialog");
  const [first, second] = [await ask("POST", "/campaigns", { name: "Spring" }), await ask("POST", "/campaigns", { name: "Summer" })];
  const lead = await ask("POST", "/leads", { email: "ada@example.com" });
  const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  await ask("POST", "/analytics", { events: [
    ...["a", "b", "c", "d"].map((who) => ({ type: "view", user_id: who, occurred_at: ago(30), url: "https://shop.example/" })),
    ...["a", "b"].map((who) => ({ type: "click", user_id: who, occurred_at: ago(20) })),
    { type: "goal", name: "Bought", user_id: "a", occurred_at: ago(10) },
    { type: "click", campaign_id: first.id, lead_id: lead.id, occurred_at: ago(9) },
    { type: "click", campaign_id: second.id, lead_id: lead.id, occurred_at: ago(6) },
    { type: "goal", name: "Signed up", lead_id: lead.id, occurred_at: ago(3), properties: { amount: 1250, currency: "EUR" } },
  ] });

  // The funnel is edited beside what it says, and its address keeps it.
  await page.goto(`${url}/analytics`);
  await page.getByRole("navigation", { name: "Analytics" }).getByRole("link", { name: "Funnel" }).click();
  const funnel = main.getByRole("region", { name: "Funnel" });
  const figures = async () => (await funnel.locator("li .num strong").allInnerTexts()).map(Number);
  await until("the funnel is right", async () => JSON.stringify(await figures()) === "[4,2,1]");
  await funnel.getByText("2 people went no further (50%)").waitFor();
  await main.getByRole("group", { name: "Step 3" }).getByLabel("Named").fill("Signed up");
  await until("nobody reached the other goal", async () => JSON.stringify(await figures()) === "[4,2,0]");
  await main.getByRole("group", { name: "Step 3" }).getByLabel("Named").fill("Bought");
  await main.getByRole("button", { name: "Remove step 2" }).click();
  await until("without clicks", async () => JSON.stringify(await figures()) === "[4,1]");
  await page.waitForURL(/Bought/);
  await page.reload();
  await until("it is the same after a reload", async () => JSON.stringify(await figures()) === "[4,1]");
  await main.getByRole("group", { name: "Step 1" }).getByLabel("What happens").selectOption({ label: "Another type…" });
  await funnel.getByText("Say of each step what happens").waitFor();
  await main.getByRole("group", { name: "Step 1" }).getByLabel("Type of event").fill("quiz");
  await funnel.getByText("Nobody took the first step").waitFor();

  // Who came; the five people, in this week's row.
  await page.getByRole("navigation", { name: "Analytics" }).getByRole("link", { name: "Retention" }).click();
  await main.getByRole("row", { name: /5/ }).waitFor();
  await main.getByLabel("They came by").selectOption({ label: "Page view" });
  await main.getByRole("row", { name: /4/ }).waitFor();

  // The model decides who is credited; the sum stays.
  await page.getByRole("navigation", { name: "Analytics" }).getByRole("link", { name: "Attribution" }).click();
  const credit = async (name) => {
    const cells = await main.getByRole("row", { name: new RegExp(name) }).getByRole("cell").allInnerTexts().catch(() => []);
    return cells.slice(1).join(" ");
  };
  await until("the last one is credited", async () => (await credit("Summer")) === "1 €12.50");
  expect("the first", await main.getByRole("row", { name: /Spring/ }).count(), 0);
  expect("without a campaign", await credit("No campaign"), "1 –");
  await main.getByLabel("Model").selectOption({ label: "First touch" });
  await until("the first one is credited", async () => (await credit("Spring")) === "1 €12.50");
  await main.getByLabel("Model").selectOption({ label: "Linear" });
  await until("both are credited", async () => (await credit("Spring")) === "0.5 €6.25" && (await credit("Summer")) === "0.5 €6.25");

  // Live: what comes in is there, once, also after a pause and after the stream was lost.
  await page.getByRole("navigation", { name: "Analytics" }).getByRole("link", { name: "Live" }).click();
  await main.locator(".badge").getByText("Live", { exact: true }).waitFor();
  const send = (name) => ask("POST", "/analytics", { type: "track", name, user_id: "a" });
  await send("Asked");
  await main.getByRole("row", { name: /Asked/ }).waitFor();
  await main.getByRole("button", { name: "Pause" }).click();
  await send("Answered");
  await send("Left");
  expect("while it stands still", await main.getByRole("row", { name: /Left/ }).count(), 0);
  await main.getByRole("button", { name: "Go on" }).click();
  await main.getByRole("row", { name: /Left/ }).waitFor();
  expect("each once", await main.getByRole("row", { name: /Asked|Answered|Left/ }).count(), 3);

  // A link for somebody without an account; it ends when it is ended.
  await page.getByRole("navigation", { name: "Analytics" }).getByRole("link", { name: "Share links" }).click();
  await main.getByRole("button", { name: "New link" }).first().click();
  await dialog.getByLabel("Name").fill("For the board");
  await dialog.getByLabel("Devices").uncheck();
  await dialog.getByRole("button", { name: "Make link" }).click();
  const link = await dialog.getByTestId("link").innerText();
  await dialog.getByRole("button", { name: "I have copied it" }).click();
  const other = await context.browser().newContext({ locale: "de-DE" });
  other.setDefaultTimeout(60_000);
  const theirs = await other.newPage();
  const complaints = watch(theirs);
  // The link names the public address, which is another one than a test's.
  await theirs.goto(url + new URL(link).pathname);
  await theirs.getByRole("heading", { name: "For the board" }).waitFor();
  await theirs.getByText("Kennzahlen").or(theirs.getByText("Seitenaufrufe")).first().waitFor();
  await theirs.getByRole("heading", { name: "Woher sie kommen" }).waitFor();
  expect("what the link does not show", await theirs.getByRole("heading", { name: "Womit sie kommen" }).count(), 0);
  expect("what the reader's browser complained about", complaints, []);
  await main.getByRole("row", { name: /For the board/ }).getByRole("button", { name: "End" }).click();
  await dialog.getByLabel(/^Type/).fill("For the board");
  await dialog.getByRole("button", { name: "End" }).click();
  await main.getByText("Nothing is shared").waitFor();
  await theirs.reload();
  await theirs.getByText("Dieser Link zeigt nichts mehr").waitFor();
  await other.close();

  // The overview moves with what happens, and says which part of it is away.
  await page.goto(`${url}/`);
  await page.locator('[data-live="open"]').waitFor();
  const goals = async () => Number(await main.locator("dl", { hasText: "Goals" }).locator("dd").first().innerText());
  await until("the goals are there", async () => (await goals()) === 2);
  await ask("POST", "/analytics", { type: "goal", name: "Bought", user_id: "b" });
  await until("one more, without a reload", async () => (await goals()) === 3);
  await main.getByText("One person in the last 5 minutes").waitFor();
  await page.route("**/api/v1/overview", async (route) => {
    const { parts } = await (await route.fetch()).json();
    const { analytics: _, ...others } = parts;
    await route.fulfill({ json: { parts: others, missing: [{ part: "analytics", code: "unavailable", detail: "analytics is away" }] } });
  });
  await page.reload();
  await main.getByText(/does not answer at the moment \(analytics is away\)/).waitFor();
  await main.getByRole("link", { name: "Summer" }).waitFor();
  await page.unroute("**/api/v1/overview");
  await main.getByRole("button", { name: "Try again" }).click();
  await until("the figures are back", async () => (await goals()) === 3);
});
