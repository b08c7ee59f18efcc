// Hostile text typed into every field of every screen and dialog, sent off, and looked at again:
// none of it ever runs, neither where it was typed nor in what is said about it nor where it is kept.
// Which fields there are is read from the source; one that nobody typed into fails the story.
import { missedFields } from "./fields.mjs";
import { asking, browse, codeOf, expect, signUp, until, url } from "./lib.mjs";

const LIST = [
  "<script>window.ran=1</script>", "<img src=x onerror=window.ran=2>", "\"><svg onload=window.ran=3>", "javascript:window.ran=4", "'-window.ran=5-'",
  "</title></textarea></style><script>window.ran=6</script>", "<a href=javascript:window.ran=7 autofocus onfocus=window.ran=8>", "<iframe srcdoc='<script>parent.ran=9</script>'>",
];

/** What is typed into the nth field: all of it where there is room, and one of it first. */
const text = (n) => [...LIST.slice(n % LIST.length), ...LIST.slice(0, n % LIST.length)].join(" ");
/** Addresses and numbers, as hostile as a field of their kind lets them be. */
const KINDS = { email: '"<img/src=x/onerror=window.ran=10>"@example.com', url: "javascript:window.ran=11//https://example.com/", number: "7", date: "2026-12-24", "datetime-local": "2026-12-24T10:00" };
const FIELDS = "input:not([type=checkbox]):not([type=radio]):not([type=file]):not([readonly]):enabled, textarea:enabled";

await browse(async (page, { context, complaints }) => {
  const { email, password } = await signUp(page);
  const ask = await asking(context);
  const list = await ask("POST", "/lists", { name: "Newsletter" });
  const other = await ask("POST", "/lists", { name: text(1).slice(0, 200) });
  const lead = await ask("POST", "/leads", { email: "ada@example.com", attributes: { plan: text(2) } });
  await ask("POST", `/lists/${list.id}/members`, { lead_id: lead.id, wording: "yes" });
  const mail = { content: { format: "html", body: "<a href='{{ unsubscribe_url }}'>x</a>" }, audience: { list_ids: [list.id] } };
  const campaign = await ask("POST", "/campaigns", { name: "Spring", ...mail });
  const waiting = await ask("POST", "/campaigns", { name: text(3).slice(0, 200), subject: "x", from: { email }, schedule: { at: "2030-01-01T09:00:00", timezone: "Europe/Berlin" }, ...mail });
  await ask("POST", `/campaigns/${waiting.id}/start`, { accept_warnings: true });
  const template = await ask("POST", "/templates", { name: "Welcome", content: mail.content });
  const segment = await ask("POST", "/segments", { name: text(4).slice(0, 200), rule: { all: [{ field: "email", op: "contains", value: "x" }] } });
  const footer = await ask("POST", "/forms", { name: text(5).slice(0, 200), title: "News", wording: "yes", list_ids: [list.id], fields: [{ field: "attributes.plan", label: "Plan" }] });
  await ask("POST", "/senders", { name: "Fresh", host: "127.0.0.1", port: 2525 });
  await ask("POST", "/hooks", { provider: "postmark" });
  await ask("POST", "/domains", { name: "example.com" });
  const hook = await ask("POST", "/webhooks", { url: "https://93.184.215.14/hook", description: text(5).slice(0, 150) });
  await ask("PATCH", `/webhooks/${hook.id}`, { enabled: false });
  await ask("POST", "/api-keys", { name: text(6).slice(0, 200), scopes: ["leads:read"] });
  await ask("POST", "/write-keys", { name: text(7).slice(0, 100), origins: ["https://shop.example"] });
  await ask("POST", "/analytics/shares", { name: text(0).slice(0, 200) });
  await ask("POST", "/analytics/goals", { name: text(1).slice(0, 200), type: "view" });
  await ask("POST", "/roles", { name: text(2).slice(0, 100), scopes: ["leads:read"] });
  await ask("POST", "/users", { name: text(3).slice(0, 200), email: `bob-${Date.now()}@example.com`, password: "correct horse battery", role: "analyst" });

  const main = page.getByRole("main");
  const dialog = page.getByRole("dialog");
  /** Every field that was typed into, by its label and the title of the dialog that it is in. */
  const typed = [];
  const ran = async (where) => expect(`what ran ${where}`, await page.evaluate(() => globalThis.ran ?? null), null);
  /** Types into every field in sight, whatever the browser itself would say to it. */
  const fill = async (within) => {
    await page.evaluate(() => { for (const form of document.forms) form.noValidate = true; });
    const fields = within.locator(FIELDS);
    const count = await fields.count();
    for (let n = 0; n < count; n++) {
      const field = fields.nth(n);
      if (!(await field.isVisible())) continue;
      const { type, ...place } = await field.evaluate((element) => ({
        type: element.type, label: (element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? "").trim(),
        title: element.closest("dialog")?.querySelector("h2")?.innerText ?? "",
      }));
      await field.fill(KINDS[type] ?? text(typed.length)).catch((error) => { throw new Error(`${page.url()} ${place.label}: ${error.message}`); });
      typed.push(place);
    }
    return count;
  };
  const still = () => page.waitForFunction(() => !document.querySelector('.spin, [data-save="waiting"], [data-save="saving"]'));
  const seen = async (path, ready) => {
    await page.goto(url + path);
    await page.getByText(ready).first().waitFor();
    await still();
  };
  /** Presses a button, and waits until what it sends is answered. */
  const send = async (button) => {
    if (!(await button.isEnabled())) return;
    await Promise.all([page.waitForResponse((answer) => answer.request().method() !== "GET"), button.click()]);
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
  };

  // Screens whose fields search or save by themselves, or by a button that is named; `first` brings
  // fields to light that are not there at once.
  const choose = (label, option) => async () => main.getByLabel(label).first().selectOption(option);
  for (const [path, ready, buttons, first] of [
    ["/leads", "Import CSV", []], ["/suppressions", "Nobody is suppressed", []], [`/leads/${lead.id}`, "Timeline", ["Save"]],
    ["/segments/new", "Fill in every condition", ["Save"], choose("Field", "attributes.")],
    [`/campaigns/${campaign.id}`, "Preview", [], async () => main.getByLabel("Add UTM parameters").check()], [`/templates/${template.id}`, "Preview", []], [`/forms/${footer.id}`, "Where to use it", []],
    ["/analytics/funnel", "took the first step", [], choose("What happens", "other")],
    ["/settings/audit", "how it was before", []], ["/settings/workspace", "Name of the workspace", ["Save"]], ["/settings", "Your account", ["Save", "Change password"]],
  ]) {
    await seen(path, ready);
    await first?.();
    if ((await fill(main)) === 0) throw new Error(`${path} has no field`);
    await page.keyboard.press("Escape");
    for (const name of buttons) await send(main.getByRole("button", { name, exact: true }));
    // Searches and drafts settle a moment after typing stops.
    await page.waitForTimeout(1_200);
    await still();
    await ran(`at ${path}`);
  }

  // Dialogs, sent off: what is taken is kept, what is refused is told. Where a name has to be typed,
  // the hostile one does not fit, and nothing is deleted.
  const press = (name) => async () => dialog.getByRole("button", { name, exact: true }).click();
  for (const [path, open, button, first] of [
    ["/campaigns", "New campaign", "Create"], ["/templates", "New template", "Create"], ["/leads", "Add lead", "Add lead"], ["/lists", "New list", "Create list"], ["/forms", "New form", "Create form"],
    ["/suppressions", "Suppress an address", "Suppress an address"], ["/analytics/shares", "New link", "Make link"], ["/analytics/goals", "New goal", "Make goal"],
    ["/settings/people", "Add with a password", "Add with a password"], ["/settings/people", "Invite", "Send invitation"],
    ["/settings/people", "New role", null, async () => dialog.getByLabel("see").first().check()],
    ["/settings/domains", "Add domain", "Add domain"], ["/settings/senders", "Add mail server", "Add mail server"],
    ["/settings/senders", "Warm-up", "Save", press("Growing")], ["/settings/senders", "Warm-up", null, press("Day by day")],
    ["/settings/bounces", "Add provider", "Make address"], ["/settings/webhooks", "Add webhook", "Add webhook"], ["/settings/keys", "New key", "Make key"],
    ["/settings/write-keys", "New write key", "Make key"], ["/settings", "Set up an authenticator app", "Next"],
    [`/campaigns/${campaign.id}`, "Send test", "Send test"], [`/templates/${template.id}`, "Send test", "Send test"],
    // Of what there is already.
    [`/lists/${other.id}`, "Edit", "Save"], ["/settings/senders", "Edit", "Save"], ["/settings/webhooks", "Edit", "Save"], ["/settings/write-keys", "Edit", "Save"],
    ["/settings/people", "Edit", null], ["/analytics/goals", "Edit", "Save"], [`/leads/${lead.id}`, "Add attribute", "Save"], [`/leads/${lead.id}`, "Edit plan", "Save"],
    [`/leads/${lead.id}`, "Add to a list", "Add to a list"],
    [`/campaigns/${campaign.id}`, "Delete"], [`/campaigns/${waiting.id}`, "Cancel campaign"], ["/templates", "Delete"], ["/forms", "Delete"], [`/leads/${lead.id}`, "Delete lead"],
    [`/lists/${other.id}`, "Delete"], [`/segments/${segment.id}`, "Delete"], ["/analytics/shares", "End"], ["/analytics/goals", "Delete"], ["/settings/people", "Remove"],
    ["/settings/people", "Delete"], ["/settings/domains", "Delete"], ["/settings/senders", "Delete"], ["/settings/bounces", "Delete the address for Postmark"], ["/settings/webhooks", "Delete"], ["/settings/keys", "Delete"],
    ["/settings/write-keys", "Revoke"],
  ]) {
    await page.goto(url + path);
    await main.getByRole("button", { name: open, exact: true }).first().click();
    await dialog.waitFor();
    await first?.();
    await dialog.locator(FIELDS).first().waitFor();
    await fill(dialog);
    if (button) await send(dialog.getByRole("button", { name: button, exact: true }));
    await ran(`in the dialog ${open} of ${path}`);
  }
  await seen("/", "Recent campaigns");
  await page.keyboard.press("Control+k");
  await dialog.waitFor();
  await fill(dialog);
  await page.getByText("Nothing is called so").waitFor();
  await ran("in the palette");

  // A file whose name, columns and cells are hostile, up to its refused rows.
  const row = (n) => [`"${n % 3 ? `person${n}@example.com` : text(n).replaceAll('"', '""')}"`, ...[text(n), LIST[n % LIST.length]].map((cell) => `"${cell.replaceAll('"', '""')}"`)].join(",");
  const head = ["email", `"${text(1).replaceAll('"', '""')}"`, "first_name"].join(",");
  await seen("/leads/import", "CSV file");
  await page.getByLabel("CSV file").setInputFiles({ name: `${LIST[1]}.csv`, mimeType: "text/csv", buffer: Buffer.from([head, ...[1, 2, 3, 4, 5, 6].map(row)].join("\n")) });
  await page.getByLabel("Add everybody to").selectOption(other.id);
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("window.ran").first().waitFor();
  await ran("in the columns of a file");
  await page.getByRole("button", { name: "Try it without changes" }).click();
  await page.getByText("Nothing has changed yet").waitFor();
  await page.getByLabel(/These people agreed/).check();
  await page.getByRole("button", { name: /^Import \d+ rows$/ }).click();
  await page.getByText(/^Done: /).waitFor();
  await ran("in an import");

  // And where it is kept.
  const imported = (await ask("GET", "/leads?q=person1@example.com")).items[0];
  for (const path of [
    "/", "/campaigns", `/campaigns/${campaign.id}`, `/campaigns/${waiting.id}`, "/templates", `/templates/${template.id}`, "/leads", `/leads/${lead.id}`, `/leads/${imported.id}`, "/leads/import",
    "/lists", `/lists/${other.id}`, "/forms", `/forms/${footer.id}`, "/segments", `/segments/${segment.id}`, "/suppressions", "/deliveries", "/analytics", "/analytics/goals", "/analytics/shares",
    "/settings", "/settings/workspace", "/settings/people", "/settings/domains", "/settings/senders", "/settings/bounces", "/settings/webhooks", "/settings/keys", "/settings/write-keys", "/settings/audit",
  ]) {
    await page.goto(url + path);
    await main.locator("h1, .empty").first().waitFor();
    await still();
    await ran(`at last at ${path}`);
  }

  // The code of an app, asked for when it is set up and when somebody signs in; then over a page
  // whose session ended.
  await seen("/settings", "Your account");
  await main.getByRole("button", { name: "Set up an authenticator app" }).click();
  await dialog.getByLabel("Current password").fill(password);
  await dialog.getByRole("button", { name: "Next" }).click();
  const secret = (await page.getByTestId("secret").innerText()).replaceAll(/\s/g, "");
  await fill(dialog);
  await send(dialog.getByRole("button", { name: "Confirm" }));
  await ran("where a code is asked for");
  await until("the code is taken", async () => {
    await dialog.getByLabel("Code of the app").fill(codeOf(secret));
    await send(dialog.getByRole("button", { name: "Confirm" }));
    // Its field goes with the answer, which takes a moment.
    return page.getByTestId("recovery-codes").waitFor({ timeout: 10_000 }).then(() => true, () => false);
  });
  await page.getByRole("button", { name: "I have kept them" }).click();
  await main.getByRole("button", { name: "Remove", exact: true }).click();
  await fill(dialog);
  await send(dialog.getByRole("button", { name: "Remove", exact: true }));
  await ran("where a second factor is removed");
  await seen(`/campaigns/${campaign.id}`, "Preview");
  await context.clearCookies();
  await page.getByLabel("Preheader").fill("after the session");
  await dialog.getByLabel("Password").waitFor();
  await fill(dialog);
  await send(dialog.getByRole("button", { name: "Sign in", exact: true }));
  await ran("where one signs in again");

  // Before anybody is signed in.
  await context.clearCookies();
  for (const [path, button] of [["/sign-in", "Sign in"], ["/forgot", "Send me a link"], ["/sign-up", "Create workspace"]]) {
    await page.goto(`${url}${path}`);
    await page.getByLabel("Email").waitFor();
    await fill(page.locator("main"));
    await send(page.getByRole("button", { name: button, exact: true }));
    await ran(`at ${path}`);
  }
  await context.clearCookies();
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByLabel(/^Code of your/).waitFor();
  await fill(main);
  await send(page.getByRole("button", { name: "Sign in", exact: true }));
  await ran("where a code is asked for at the sign-in");

  expect("fields that nobody typed into", missedFields(typed), []);
  expect("complaints", complaints, []);
});
