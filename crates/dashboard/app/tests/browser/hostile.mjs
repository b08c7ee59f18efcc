// Hostile text typed into every field of every screen and dialog, sent off, and looked at again:
// none of it ever runs, neither where it was typed nor in what is said about it nor where it is kept.
import { asking, browse, expect, signUp, url } from "./lib.mjs";

const LIST = [
  "<script>window.ran=1</script>", "<img src=x onerror=window.ran=2>", "\"><svg onload=window.ran=3>", "javascript:window.ran=4", "'-window.ran=5-'",
  "</title></textarea></style><script>window.ran=6</script>", "<a href=javascript:window.ran=7 autofocus onfocus=window.ran=8>", "<iframe srcdoc='<script>parent.ran=9</script>'>",
];

/** What is typed into the nth field: all of it where there is room, and one of it first. */
const text = (n) => [...LIST.slice(n % LIST.length), ...LIST.slice(0, n % LIST.length)].join(" ");
/** Addresses and numbers, as hostile as a field of their kind lets them be. */
const KINDS = { email: '"<img/src=x/onerror=window.ran=10>"@example.com', url: "javascript:window.ran=11//https://example.com/", number: "7", date: "2026-12-24", "datetime-local": "2026-12-24T10:00" };

await browse(async (page, { context, complaints }) => {
  await signUp(page);
  const ask = await asking(context);
  const list = await ask("POST", "/lists", { name: "Newsletter" });
  const lead = await ask("POST", "/leads", { email: "ada@example.com" });
  await ask("POST", `/lists/${list.id}/members`, { lead_id: lead.id, wording: "yes" });
  const campaign = await ask("POST", "/campaigns", { name: "Spring", content: { format: "html", body: "x" }, audience: { list_ids: [list.id] } });
  const template = await ask("POST", "/templates", { name: "Welcome", content: { format: "html", body: "x" } });
  await ask("POST", "/senders", { name: "Fresh", host: "127.0.0.1", port: 2525 });
  let typed = 0;

  const ran = async (where) => expect(`what ran ${where}`, await page.evaluate(() => globalThis.ran ?? null), null);
  /** Types into every field there is, whatever the browser itself would say to it. */
  const fill = async (within) => {
    await page.evaluate(() => { for (const form of document.forms) form.noValidate = true; });
    const fields = within.locator("input:not([type=checkbox]):not([type=radio]):not([type=file]):not([readonly]):enabled, textarea:enabled");
    const count = await fields.count();
    for (let n = 0; n < count; n++) {
      const field = fields.nth(n);
      if (!(await field.isVisible())) continue;
      const kind = await field.getAttribute("type");
      await field.fill(KINDS[kind] ?? text(typed)).catch((error) => { throw new Error(`${page.url()}: ${error.message}`); });
      typed++;
    }
    await page.keyboard.press("Escape");
    return count;
  };

  const seen = async (path, ready) => {
    await page.goto(url + path);
    await page.getByText(ready).first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".spin"));
  };
  // Screens whose fields search or save by themselves, or by a button that is named.
  for (const [path, ready, buttons] of [
    ["/leads", "Import CSV", []], ["/suppressions", "Nobody is suppressed", []], ["/segments/new", "Fill in every condition", ["Save"]], [`/leads/${lead.id}`, "Timeline", ["Save"]],
    [`/campaigns/${campaign.id}`, "Preview", []], [`/templates/${template.id}`, "Preview", []], ["/analytics/funnel", "took the first step", []],
    ["/settings/audit", "how it was before", []], ["/settings/workspace", "Name of the workspace", ["Save"]], ["/settings", "Your account", ["Save", "Change password"]],
  ]) {
    await seen(path, ready);
    if ((await fill(page.getByRole("main"))) === 0) throw new Error(`${path} has no field`);
    for (const name of buttons) {
      const button = page.getByRole("main").getByRole("button", { name, exact: true });
      if (await button.isEnabled()) await Promise.all([page.waitForResponse((answer) => answer.request().method() !== "GET"), button.click()]);
    }
    // Searches and drafts settle a moment after typing stops.
    await page.waitForTimeout(1_200);
    await page.waitForFunction(() => !document.querySelector('.spin, [data-save="waiting"], [data-save="saving"]'));
    await ran(`at ${path}`);
  }

  // Dialogs, sent off: what is taken is kept, what is refused is told.
  for (const [path, open, send] of [
    ["/campaigns", "New campaign", "Create"], ["/templates", "New template", "Create"], ["/leads", "Add lead", "Add lead"], ["/lists", "New list", "Create list"],
    ["/suppressions", "Suppress an address", "Suppress an address"], ["/analytics/shares", "New link", "Make link"],
    ["/settings/people", "Add with a password", "Add with a password"], ["/settings/people", "Invite", "Send invitation"], ["/settings/people", "New role", null],
    ["/settings/domains", "Add domain", "Add domain"], ["/settings/senders", "Add mail server", "Add mail server"], ["/settings/senders", "Warm-up", "Save"],
    ["/settings/webhooks", "Add webhook", "Add webhook"], ["/settings/keys", "New key", "Make key"],
    ["/settings/write-keys", "New write key", "Make key"], ["/settings", "Set up an authenticator app", "Next"],
    [`/campaigns/${campaign.id}`, "Send test", "Send test"], [`/campaigns/${campaign.id}`, "Delete", null], [`/templates/${template.id}`, "Send test", "Send test"],
  ]) {
    await page.goto(url + path);
    await page.getByRole("main").getByRole("button", { name: open, exact: true }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    if (open === "New role") await dialog.getByLabel("see").first().check();
    if (open === "Warm-up") await dialog.getByRole("button", { name: "Growing" }).click();
    await page.evaluate(() => { for (const form of document.forms) form.noValidate = true; });
    const fields = dialog.locator("input:not([type=checkbox]):not([type=radio]):not([type=file]):not([readonly]):enabled, textarea:enabled");
    for (let n = 0; n < (await fields.count()); n++) {
      await fields.nth(n).fill(KINDS[await fields.nth(n).getAttribute("type")] ?? text(typed));
      typed++;
    }
    const button = send && dialog.getByRole("button", { name: send, exact: true });
    if (button && (await button.isEnabled())) {
      await Promise.all([page.waitForResponse((answer) => answer.request().method() !== "GET"), button.click()]);
      await page.waitForTimeout(300);
    }
    await ran(`in the dialog ${open} of ${path}`);
  }

  // And where it is kept.
  for (const path of [
    "/", "/campaigns", `/campaigns/${campaign.id}`, "/templates", `/templates/${template.id}`, "/leads", `/leads/${lead.id}`, "/lists", "/segments", "/suppressions", "/deliveries", "/analytics", "/analytics/shares",
    "/settings", "/settings/workspace", "/settings/people", "/settings/domains", "/settings/senders", "/settings/webhooks", "/settings/keys", "/settings/write-keys", "/settings/audit",
  ]) {
    await page.goto(url + path);
    await page.getByRole("main").locator("h1, .empty").first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".spin"));
    await ran(`at last at ${path}`);
  }

  // Before anybody is signed in.
  await context.clearCookies();
  for (const [path, button] of [["/sign-in", "Sign in"], ["/forgot", "Send me a link"], ["/sign-up", "Create workspace"]]) {
    await page.goto(`${url}${path}`);
    await page.getByLabel("Email").waitFor();
    await fill(page.locator("main"));
    await Promise.all([page.waitForResponse((answer) => answer.request().method() === "POST"), page.getByRole("button", { name: button, exact: true }).click()]);
    await page.waitForTimeout(300);
    await ran(`at ${path}`);
  }
  if (typed < 70) throw new Error(`only ${typed} fields were typed into`);
  expect("complaints", complaints, []);
});
