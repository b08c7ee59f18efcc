// Templates, and what keeps sending safe: variables that complete themselves, tests, keys and
// secrets that are renewed, and a plan for a new server.
import { asking, browse, expect, signUp, until, url } from "./lib.mjs";

await browse(async (page, { context, complaints }) => {
  const { email } = await signUp(page);
  const ask = await asking(context);
  const main = page.getByRole("main");
  const dialog = page.getByRole("dialog");
  const list = await ask("POST", "/lists", { name: "Newsletter" });
  const lead = await ask("POST", "/leads", { email: "ada@example.com", first_name: "Ada", attributes: { plan: "pro" } });
  await ask("POST", `/lists/${list.id}/members`, { lead_id: lead.id, wording: "yes" });

  // A template: written, saved by itself, tested, and begun from.
  await page.goto(`${url}/templates`);
  await main.getByRole("button", { name: "New template" }).first().click();
  await dialog.getByLabel("Name").fill("Welcome");
  await dialog.getByLabel("Start from").selectOption({ label: "Letter (Markdown)" });
  await dialog.getByRole("button", { name: "Create" }).click();
  const subject = page.getByLabel("Subject", { exact: true });
  const saved = () => page.locator('[data-save="saved"]').waitFor();
  await subject.click();
  await subject.pressSequentially("Hello {{ fir");
  const options = page.getByRole("listbox").getByRole("option");
  await options.first().waitFor();
  expect("what fits", await options.allInnerTexts(), ["lead.first_name"]);
  await page.keyboard.press("Enter");
  expect("the subject", await subject.inputValue(), 'Hello {{ lead.first_name | default("") }}');
  await page.keyboard.type("you");
  expect("what stands in", await subject.inputValue(), 'Hello {{ lead.first_name | default("you") }}');
  await saved();
  const id = new URL(page.url()).pathname.split("/").at(-1);
  expect("what is stored", (await ask("GET", `/templates/${id}`)).subject, 'Hello {{ lead.first_name | default("you") }}');
  await page.getByTestId("preview-subject").getByText("Hello Ada").waitFor();

  // Two people; nobody is overwritten unseen.
  const whole = async (changes) => {
    const { name, subject: line, preheader, content } = await ask("GET", `/templates/${id}`);
    return ask("PUT", `/templates/${id}`, { name, subject: line, preheader, content, ...changes });
  };
  await whole({ preheader: "theirs" });
  await page.getByLabel("Preheader").fill("mine");
  const conflict = page.getByRole("dialog", { name: "Somebody else changed this template" });
  await conflict.getByText("theirs", { exact: true }).waitFor();
  await conflict.getByRole("button", { name: "Keep mine" }).click();
  await until("mine is stored", async () => (await ask("GET", `/templates/${id}`)).preheader === "mine");

  // A mistake is named, and the rest is saved; without a connection it waits.
  const source = page.getByLabel("Source");
  const good = await source.inputValue();
  await source.fill("{{ lead.first_name ");
  await page.locator('[data-save="refused"]').waitFor();
  await source.fill(good);
  await saved();
  await context.setOffline(true);
  await page.getByLabel("Preheader").fill("offline");
  await page.locator('[data-save="offline"]').waitFor();
  await context.setOffline(false);
  await saved();
  expect("what is stored", (await ask("GET", `/templates/${id}`)).preheader, "offline");

  await page.getByRole("button", { name: "Send test" }).click();
  await dialog.getByRole("button", { name: "Send test" }).click();
  await page.getByText(`The test is on its way to ${email}`).waitFor();
  await until("the test arrives", async () => {
    const { items } = await (await page.request.get(`${url}/mailbox/messages.json?to=${encodeURIComponent(email)}`)).json();
    return items.some((one) => one.subject.includes("Hello Ada"));
  });
  expect("campaigns left of it", (await ask("GET", "/campaigns")).items.length, 0);
  await page.getByRole("link", { name: "Templates" }).first().click();
  await main.getByRole("row", { name: /Welcome/ }).getByRole("button", { name: "New campaign" }).click();
  await page.waitForURL(/\/campaigns\/.+/);
  expect("the campaign's subject", await subject.inputValue(), 'Hello {{ lead.first_name | default("you") }}');

  // In the editor too: an attribute of the audience is offered, by the mouse as well.
  await page.getByLabel("Newsletter").check();
  await page.getByTestId("preview-subject").getByText("Hello Ada").waitFor();
  await source.focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("\nYour plan: {{ pla");
  await options.getByText("lead.attributes.plan").click();
  await page.keyboard.type("none");
  await page.frameLocator("iframe").getByText("Your plan: pro").waitFor();
  await source.focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type(" {{ lead");
  await options.first().waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("listbox").waitFor({ state: "detached" });
  await page.keyboard.type(".email }}");
  expect("typed by oneself", (await source.inputValue()).endsWith(" {{ lead.email }}"), true);
  await saved();

  // New keys of a domain: more records to publish.
  await ask("POST", "/domains", { name: "shop.example" });
  await page.goto(`${url}/settings/domains`);
  const card = main.getByRole("article", { name: "shop.example" });
  await card.getByText("DKIM").first().waitFor();
  const before = await card.getByRole("row").allInnerTexts();
  await card.getByRole("button", { name: "New keys" }).click();
  await dialog.getByRole("button", { name: "New keys" }).click();
  await until("there are other records", async () => JSON.stringify(await card.getByRole("row").allInnerTexts()) !== JSON.stringify(before));

  // A plan for a new server: what it comes to is seen before it is kept.
  await ask("POST", "/senders", { name: "Fresh", host: "127.0.0.1", port: 2525 });
  await page.goto(`${url}/settings/senders`);
  const sender = main.getByRole("article", { name: "Fresh" });
  await sender.getByRole("button", { name: "Warm-up" }).click();
  await dialog.getByRole("button", { name: "Growing" }).click();
  await dialog.getByLabel("Mails on the first day").fill("100");
  await dialog.getByLabel("Times each day").fill("2");
  await dialog.getByLabel("Over above").fill("1000");
  expect("what it comes to", (await dialog.getByTestId("caps").innerText()).match(/: [\d,]+/g), [": 100", ": 200", ": 400", ": 800"]);
  await dialog.getByLabel("Times each day").fill("1");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("must be between 1.01 and 10").waitFor();
  await dialog.getByLabel("Times each day").fill("2");
  await dialog.getByRole("button", { name: "Save" }).click();
  await sender.getByText("At most 100 mails today").waitFor();

  // What providers tell of bounces: an address for each, shown once, and a key that must be theirs.
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Bounces" }).click();
  await main.getByRole("button", { name: "Add provider" }).first().click();
  await dialog.getByLabel("Provider").selectOption("ses");
  await dialog.getByLabel("ARN of the SNS topic").fill("bounces");
  await dialog.getByRole("button", { name: "Make address" }).click();
  await dialog.getByText("must be the ARN of the SNS topic that SES publishes to").waitFor();
  await dialog.getByLabel("Provider").selectOption("postmark");
  await dialog.getByText("Postmark signs nothing").waitFor();
  await dialog.getByRole("button", { name: "Make address" }).click();
  const address = await dialog.getByTestId("hook").innerText();
  await dialog.getByText("Paste it in Postmark").waitFor();
  await dialog.getByRole("button", { name: "I have copied it" }).click();
  const told = main.getByRole("row", { name: /Postmark/ });
  await told.getByText("Nothing yet").waitFor();
  const provider = await page.request.post(address, { data: { RecordType: "Bounce", Type: "HardBounce", Email: "gone@example.com", BouncedAt: new Date().toISOString(), MessageID: "1" } });
  expect("what the provider tells", provider.ok(), true);
  await until("it is suppressed", async () => (await ask("GET", "/suppressions")).items.some((one) => one.address === "gone@example.com"));
  await page.reload();
  await told.waitFor();
  expect("whether it told something", await told.getByText("Nothing yet").count(), 0);
  await told.getByRole("button", { name: "Delete the address for Postmark" }).click();
  await dialog.getByLabel(/to confirm/).fill("Postmark");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await main.getByText("No provider tells you anything yet").waitFor();
  expect("the address, deleted", (await page.request.post(address, { data: {} })).status(), 404);

  // A webhook's secret is renewed; the old one signs along for a while.
  const hook = await ask("POST", "/webhooks", { url: "https://93.184.215.14/hook" });
  await ask("PATCH", `/webhooks/${hook.id}`, { enabled: false });
  await page.goto(`${url}/settings/webhooks`);
  await main.getByRole("button", { name: "New secret" }).click();
  await dialog.getByRole("button", { name: "New secret" }).click();
  const secret = await dialog.getByTestId("secret").innerText();
  if (!secret.startsWith("whsec_") || secret === hook.secret) throw new Error("it is another secret");
  await dialog.getByRole("button", { name: "I have copied it" }).click();
  await main.getByText("The old one signs too until").waitFor();
  const left = complaints.filter((line) => !line.includes("ERR_INTERNET_DISCONNECTED"));
  complaints.splice(0, complaints.length, ...left);
});
