// Every screen, empty and with hostile data, light and dark: nothing complains, nothing runs that
// should not, nothing is inaccessible, and nothing is wider than a phone.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { asking, browse, expect, signUp, until, url } from "./lib.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Each sets a mark if any way of running it is open. */
const HOSTILE = [
  "<script>window.ran=1</script>",
  "<img src=x onerror=window.ran=2>",
  "\"><svg onload=window.ran=3>",
  "javascript:window.ran=4",
  "{{constructor.constructor('window.ran=5')()}}",
  "</title><script>window.ran=6</script>",
];
const hostile = HOSTILE.join(" ");

/** An own part of each hostile text, for places that take one line of a certain shape. */
const nasty = (n) => HOSTILE[n % HOSTILE.length];

const found = [];
// Whatever stops the story, what was found so far is told.
process.on("exit", () => found.length > 0 && console.error(found.join("\n")));

async function look(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of violations) {
    if (violation.impact !== "serious" && violation.impact !== "critical") continue;
    const [node] = violation.nodes;
    found.push(`${name}: ${violation.id}, ${violation.nodes.length} times: ${node.html} ${node.failureSummary}`);
  }
  expect(`${name}: what ran`, await page.evaluate(() => globalThis.ran ?? null), null);
}

/** Looks at each screen in both themes, and at a phone's width. */
async function tour(page, screens, kind) {
  for (const theme of ["light", "dark"]) {
    await page.evaluate((chosen) => localStorage.setItem("clarion.theme", chosen), theme);
    for (const [path, ready] of screens) {
      await page.goto(url + path);
      await page.getByRole("main").getByText(ready).first().waitFor();
      await page.waitForFunction(() => !document.querySelector(".spin"));
      await look(page, `${kind} ${path} ${theme}`);
    }
  }
  await page.setViewportSize({ width: 360, height: 740 });
  for (const [path, ready] of screens) {
    await page.goto(url + path);
    await page.getByRole("main").getByText(ready).first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".spin"));
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > 360) found.push(`${kind} ${path} is ${width} wide on a phone of 360`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

await browse(async (page, { context }) => {
  // Nobody is signed in yet, and that is no error: the console has nothing to say at all.
  const said = [];
  page.on("console", (message) => message.type() === "error" && said.push(message.text()));
  await page.goto(`${url}/campaigns`);
  await page.waitForURL(/sign-in\?next=/);
  await page.getByLabel("Email").waitFor();
  await look(page, "sign-in");
  expect("what the console said before anybody signed in", said, []);
  expect("what is wrong so far", found, []);
  // The looking itself: it must find what is wrong.
  await page.evaluate(() => document.body.append(document.createElement("button")));
  await look(page, "a button without a name");
  expect("what it finds", found.splice(0).length, 1);
  await page.goto(`${url}/sign-up`);
  await page.getByLabel("Workspace").waitFor();
  await look(page, "sign-up");
  await page.goto(`${url}/forgot`);
  await page.getByLabel("Email").waitFor();
  await look(page, "forgot");
  await signUp(page, { name: `Ada ${nasty(0)}`, workspace: nasty(1) });

  await tour(page, [
    ["/", "Your first campaign"], ["/campaigns", "No campaigns yet"], ["/templates", "No templates yet"], ["/leads", "No leads yet"], ["/leads/import", "CSV file"],
    ["/lists", "No lists yet"], ["/forms", "No forms yet"], ["/segments", "No segments yet"], ["/segments/new", "Fill in every condition"], ["/suppressions", "Nobody is suppressed"],
    ["/analytics", "No link was followed"], ["/analytics/goals", "No goals yet"], ["/analytics/funnel", "Nobody took the first step"], ["/analytics/retention", "Nobody came in this period"],
    ["/analytics/attribution", "No goal or order yet"], ["/analytics/live", "Waiting for what happens"], ["/analytics/shares", "Nothing is shared"], ["/deliveries", "No messages here"], ["/settings", "Your account"], ["/settings/workspace", "Name of the workspace"],
    ["/settings/people", "Who works in this workspace"], ["/settings/domains", "No domains yet"], ["/settings/senders", "SMTP servers"],
    ["/settings/bounces", "No provider tells"], ["/settings/webhooks", "No webhooks yet"], ["/settings/keys", "No keys yet"], ["/settings/people", "No own roles"],
    ["/settings/write-keys", "No write keys yet"], ["/settings/audit", "how it was before"], ["/campaigns/nothing", "path"],
  ], "empty");

  const ask = await asking(context);
  const list = await ask("POST", "/lists", { name: hostile, description: hostile });
  await ask("POST", "/segments", { name: hostile, rule: { all: [{ field: "company", op: "contains", value: hostile }] } });
  const lead = await ask("POST", "/leads", {
    email: "ada@example.com", first_name: hostile, last_name: nasty(1), company: hostile, phone: nasty(3), source: nasty(2),
    tags: [nasty(0), nasty(1)], attributes: { plan: hostile, deep: { er: hostile } },
  });
  await ask("POST", `/lists/${list.id}/members`, { lead_id: lead.id, wording: hostile });
  await ask("POST", "/suppressions", { address: "nobody@example.com" });
  const form = await ask("POST", "/forms", {
    name: hostile, title: hostile, text: hostile, wording: hostile, button: nasty(0), success_message: hostile, list_ids: [list.id], origins: ["https://shop.example"],
    fields: [{ field: "first_name", label: hostile }, { field: `attributes.${nasty(0).replaceAll(".", "")}`, label: nasty(1), required: true }],
  });
  const body = `<p>${hostile}</p><a href="javascript:window.ran=7">x</a><form action="https://example.com"><button>x</button></form>
    <meta http-equiv="refresh" content="0;url=https://example.com/"><iframe srcdoc="<script>parent.ran=8</script>"></iframe>
    <style>@import "https://example.com/x.css"; body{color:red}</style><a href="{{ unsubscribe_url }}">leave</a>`.replace(HOSTILE[4], "");
  const mail = {
    name: hostile, subject: HOSTILE.toSpliced(4, 1).join(" "), preheader: nasty(0), from: { name: nasty(0).replaceAll(/[<>]/g, "'"), email: "ada@example.com" },
    content: { format: "html", body }, audience: { list_ids: [list.id] }, budget: { amount: 12_345, currency: "EUR" },
  };
  const draft = await ask("POST", "/campaigns", mail);
  const sent = await ask("POST", "/campaigns", mail);
  await ask("POST", `/campaigns/${sent.id}/start`, { accept_warnings: true });
  await until("it is sent", async () => (await ask("GET", `/campaigns/${sent.id}`)).status === "finished");
  const template = await ask("POST", "/templates", { name: hostile, subject: mail.subject, preheader: nasty(1), content: mail.content });
  await ask("POST", "/domains", { name: "example.com" });
  await ask("POST", "/senders", { name: nasty(0), host: "127.0.0.1", port: 2525 });
  // An address, so that no name has to be found; it is off at once, and nothing is posted.
  await ask("POST", "/hooks", { provider: "postmark" });
  const hook = await ask("POST", "/webhooks", { url: "https://93.184.215.14/hook", description: hostile.slice(0, 150) });
  await ask("PATCH", `/webhooks/${hook.id}`, { enabled: false });
  await ask("POST", "/api-keys", { name: nasty(1), scopes: ["leads:read"] });
  const share = await ask("POST", "/analytics/shares", { name: hostile.slice(0, 150) });
  const event = (type, more) => ({ type, anonymous_id: "x", name: nasty(0), url: `https://example.com/${nasty(1)}?utm_source=${nasty(2)}`, ...more });
  const events = () => ask("POST", "/analytics", { events: [event("view"), event("click", { campaign_id: sent.id, lead_id: lead.id }), event("goal", { lead_id: lead.id }), event(nasty(0).slice(0, 60), { lead_id: lead.id })] });
  await events();
  const role = await ask("POST", "/roles", { name: nasty(0), scopes: ["leads:read"] });
  await ask("POST", "/invitations", { email: "bob@example.com", role: "custom", role_id: role.id });
  await ask("POST", "/write-keys", { name: nasty(1), origins: ["https://shop.example"] });
  await until("the trail is there", async () => (await ask("GET", "/audit?resource=roles")).items.length > 0);

  await tour(page, [
    ["/", "Recent campaigns"], ["/campaigns", "window.ran"], ["/templates", "window.ran"], [`/templates/${template.id}`, "Preview"], [`/campaigns/${draft.id}`, "Preview"], [`/campaigns/${sent.id}`, "everybody is settled"],
    ["/leads", "ada@example.com"], [`/leads/${lead.id}`, "Timeline"], ["/lists", "window.ran"], [`/lists/${list.id}`, "ada@example.com"], ["/forms", "window.ran"], [`/forms/${form.id}`, "Where to use it"],
    ["/segments", "window.ran"], ["/suppressions", "nobody@example.com"], ["/deliveries", "ada@example.com"], ["/settings/people", "window.ran"],
    ["/settings/domains", "DKIM"], ["/settings/senders", "window.ran"], ["/settings/bounces", "Postmark"], ["/settings/webhooks", "93.184.215.14"], ["/settings/keys", "window.ran"],
    ["/settings", "Where you are signed in"], ["/settings/people", "bob@example.com"], ["/settings/write-keys", "window.ran"], ["/settings/audit", /· \w+ \d+, 20\d\d/],
  ], "full");

  // What happens now, and what whoever has a link sees.
  await ask("POST", "/analytics/goals", { name: hostile.slice(0, 150), type: "view" });
  await tour(page, [["/analytics", "window.ran"], ["/analytics/goals", "window.ran"], ["/analytics/funnel", "no further"], ["/analytics/retention", "Came"], ["/analytics/attribution", "window.ran"], ["/analytics/shares", "window.ran"],
    [`/shared/${share.url.split("/").at(-1)}`, "window.ran"], ["/shared/nothing", "shows nothing any more"]], "figures");
  await page.goto(`${url}/analytics/live`);
  await page.getByText("Live", { exact: true }).and(page.locator(".badge")).waitFor();
  await events();
  await page.getByRole("cell", { name: "window.ran" }).first().waitFor();
  await look(page, "the live view");

  // All that a line of the trail says.
  await page.goto(`${url}/settings/audit`);
  for (const line of (await page.locator("details > summary").all()).slice(0, 12)) await line.click();
  await look(page, "the trail's details");


  // What a mail brings stays in its frame: no script, no form, no other page.
  await page.goto(`${url}/campaigns/${draft.id}`);
  const frame = page.frameLocator("iframe[title='The mail']");
  await frame.getByText("leave").waitFor();
  expect("the frame's sandbox", await page.locator("iframe[title='The mail']").getAttribute("sandbox"), "");
  await frame.getByRole("button", { name: "x" }).click();
  await frame.getByRole("link", { name: "leave" }).click();
  await page.waitForTimeout(300);
  expect("pages", context.pages().length, 1);
  expect("what ran", await page.evaluate(() => globalThis.ran ?? null), null);

  // Dialogs, and typing into what searches.
  for (const [path, button] of [
    ["/campaigns", "New campaign"], ["/leads", "Add lead"], ["/lists", "New list"], ["/suppressions", "Suppress an address"], ["/settings/people", "Add with a password"],
    ["/settings/people", "Invite"], ["/settings/people", "New role"], ["/settings/write-keys", "New write key"], ["/analytics/shares", "New link"], ["/analytics/goals", "New goal"], ["/analytics/goals", "Edit"], [`/leads/${lead.id}`, "Add attribute"], [`/leads/${lead.id}`, "Add to a list"],
    [`/lists/${list.id}`, "Edit"], ["/settings/senders", "Edit"], ["/settings/webhooks", "Edit"], ["/", "Go to…"], ["/analytics/shares", "End"], ["/settings/write-keys", "Use it"],
    ["/settings/write-keys", "Revoke"], ["/settings", "Set up an authenticator app"],
    ["/settings/domains", "Add domain"], ["/settings/senders", "Add mail server"], ["/settings/bounces", "Add provider"], ["/settings/bounces", "Delete the address"], ["/settings/webhooks", "Add webhook"], ["/settings/keys", "New key"],
    ["/settings/domains", "New keys"], ["/settings/senders", "Warm-up"], ["/settings/webhooks", "New secret"], ["/templates", "New template"],
    [`/templates/${template.id}`, "Send test"], [`/campaigns/${draft.id}`, "Send test"], [`/campaigns/${draft.id}`, "Check and start"], [`/campaigns/${draft.id}`, "Delete"],
  ]) {
    await page.goto(url + path);
    await page.getByRole("button", { name: button }).first().click();
    await page.getByRole("dialog").waitFor();
    await look(page, `the dialog ${button}`);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }
  await page.goto(`${url}/leads`);
  await page.getByLabel("Search").fill(hostile);
  await page.waitForURL(/q=/);
  await page.getByText("Nobody fits").or(page.getByText("ada@example.com")).first().waitFor();
  await look(page, "searching");

  // The other language, and the other direction.
  await page.evaluate(() => localStorage.setItem("clarion.language", "de"));
  await page.goto(`${url}/`);
  await page.getByRole("link", { name: "Kampagnen", exact: true }).waitFor();
  expect("the page's language", await page.evaluate(() => document.documentElement.lang), "de");
  await page.evaluate(() => { document.documentElement.dir = "rtl"; });
  const nav = await page.getByRole("navigation").first().boundingBox();
  if (nav.x < 640) found.push("right to left, the navigation does not stand on the right");
  await look(page, "right to left");
  expect("what is wrong", found, []);
});
