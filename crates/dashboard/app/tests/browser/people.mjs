// Who may do what: invitations, own roles, the second factor, sign-ins, mails with links, the trail
// of changes, and keys for sites; all by clicking.
import { asking, browse, codeOf, expect, signUp, until, url, watch } from "./lib.mjs";

await browse(async (page, { context, complaints }) => {
  const { email, password } = await signUp(page);
  const ask = await asking(context);
  const main = page.getByRole("main");
  const dialog = page.getByRole("dialog");

  /** The link in the latest mail to somebody whose subject fits. */
  const linkTo = async (to, subject) => {
    let link;
    await until(`a mail to ${to}`, async () => {
      const { items } = await (await page.request.get(`${url}/mailbox/messages.json?to=${encodeURIComponent(to)}`)).json();
      const mail = items.find((one) => one.to.includes(to) && subject.test(one.subject));
      if (!mail) return false;
      const text = await (await page.request.get(`${url}/mailbox/messages/${mail.id}.json`)).text();
      link = text.match(/\/a\/[\w.~-]+/)?.[0];
      return link !== undefined;
    });
    return url + link;
  };
  const signIn = async (on, who, secret, code) => {
    await on.getByLabel("Email").fill(who);
    await on.getByLabel("Password").fill(secret);
    await on.getByRole("button", { name: "Sign in" }).click();
    if (!code) return;
    await on.getByLabel(/^Code of your/).fill(code);
    await on.getByRole("button", { name: "Sign in" }).click();
  };

  // The address is confirmed by the link in a mail.
  await page.goto(`${url}/settings`);
  await main.getByText("Not confirmed", { exact: true }).waitFor();
  await page.goto(await linkTo(email, /confirm/i));
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByText("is confirmed").waitFor();
  await page.goto(`${url}/settings`);
  await main.getByText("Confirmed", { exact: true }).waitFor();

  // An own role; somebody who changes it at the same time is not overwritten.
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "People" }).click();
  await main.getByText("No own roles").waitFor();
  await main.getByRole("button", { name: "New role" }).click();
  await dialog.getByLabel("Name").fill("Writer");
  await dialog.getByRole("group", { name: "Campaigns" }).getByLabel("see").check();
  await dialog.getByRole("group", { name: "Campaigns" }).getByLabel("change").check();
  await dialog.getByRole("group", { name: "Leads" }).getByLabel("see").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  const roles = main.getByRole("region", { name: "Own roles" });
  await roles.getByText("Campaigns: see, change").waitFor();
  const [role] = (await ask("GET", "/roles")).items;
  expect("its scopes", role.scopes.toSorted(), ["campaigns:read", "campaigns:write", "leads:read"]);
  await roles.getByRole("button", { name: "Edit" }).click();
  await dialog.getByLabel("Name").fill("Mine");
  await ask("PUT", `/roles/${role.id}`, { name: "Theirs", scopes: role.scopes });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("Somebody else changed this role").waitFor();
  await dialog.getByRole("button", { name: "Show the stored one" }).click();
  await until("the stored one is shown", async () => (await dialog.getByLabel("Name").inputValue()) === "Theirs");
  await dialog.getByLabel("Name").fill("Writer");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.waitFor({ state: "detached" });
  await roles.getByText("Writer", { exact: true }).waitFor();

  // An invitation is taken back, and again not; another is accepted by its link.
  const invitations = main.getByRole("region", { name: "Invitations" });
  const invite = async (who, as) => {
    await main.getByRole("button", { name: "Invite", exact: true }).click();
    await dialog.getByLabel("Email").fill(who);
    await dialog.getByLabel("Role").selectOption({ label: as });
    await dialog.getByRole("button", { name: "Send invitation" }).click();
    await dialog.waitFor({ state: "detached" });
    await invitations.getByRole("row", { name: new RegExp(who) }).getByText(as).waitFor();
  };
  const [bob, carol] = [`bob-${Date.now()}@example.com`, `carol-${Date.now()}@example.com`];
  await invite(carol, "Analyst");
  await invitations.getByRole("row", { name: /carol/ }).getByRole("button", { name: "Revoke" }).click();
  await invitations.getByText("No open invitations").waitFor();
  await page.getByRole("status").getByRole("button", { name: "Undo" }).click();
  await invitations.getByRole("row", { name: /carol/ }).waitFor();
  await invite(bob, "Writer");
  const other = await context.browser().newContext({ locale: "en-GB" });
  other.setDefaultTimeout(60_000);
  const theirs = await other.newPage();
  const theirComplaints = watch(theirs);
  await theirs.goto(await linkTo(bob, /invite|join/i));
  await theirs.getByLabel("Your name").fill("Bob Babbage");
  await theirs.getByLabel("New password").fill(password);
  await theirs.getByRole("button", { name: "Join" }).click();
  await theirs.getByRole("link", { name: "Go to Clarion" }).click();
  await signIn(theirs, bob, password);
  await theirs.getByRole("heading", { name: "Hello, Bob" }).waitFor();

  // What the role lists can be done, and nothing else is offered.
  await theirs.getByRole("link", { name: "Campaigns", exact: true }).click();
  await theirs.getByRole("button", { name: "New campaign" }).first().waitFor();
  await theirs.getByRole("link", { name: "Leads", exact: true }).click();
  await theirs.getByText("No leads yet").waitFor();
  expect("ways to import", await theirs.getByRole("link", { name: "Import CSV" }).count(), 0);
  await theirs.getByRole("link", { name: "Settings", exact: true }).click();
  const tabs = theirs.getByRole("navigation", { name: "Settings" }).getByRole("link");
  await theirs.getByRole("button", { name: "Set up an authenticator app" }).waitFor();
  expect("settings", await tabs.allInnerTexts(), ["Your account"]);
  expect("what Bob's browser complained about", theirComplaints, []);
  // Nobody is shown as an owner while it is not known what a role is called.
  let tell;
  const known = new Promise((resolve) => { tell = resolve; });
  await page.route("**/api/v1/roles?*", async (route) => { await known; await route.continue(); });
  await page.reload();
  const shown = main.getByLabel("Role of Bob Babbage").locator("option:checked");
  expect("Bob's role at first", await shown.innerText(), "Own role");
  tell();
  await until("Bob's role has its name", async () => (await shown.innerText()) === "Writer");
  await page.unroute("**/api/v1/roles?*");
  await roles.getByRole("button", { name: "Delete" }).click();
  await dialog.getByLabel(/^Type/).fill("Writer");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("alert").waitFor();
  await page.keyboard.press("Escape");
  await main.getByLabel("Role of Bob Babbage").selectOption({ label: "Analyst" });
  await until("Bob is an analyst", async () => (await ask("GET", "/users")).items.some((user) => user.email === bob && user.role === "analyst"));

  // Bob's sign-ins are ended for him; he may sign in again.
  await main.getByRole("row", { name: /Bob Babbage/ }).getByRole("button", { name: "End sign-ins" }).click();
  await dialog.getByRole("button", { name: "End sign-ins" }).click();
  await dialog.waitFor({ state: "detached" });
  expect("Bob's session", (await other.request.get(`${url}/api/v1/session`)).status(), 401);

  // A second factor: a wrong code, the right one, and the codes for when the phone is lost.
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Your account" }).click();
  await main.getByRole("button", { name: "Set up an authenticator app" }).click();
  await dialog.getByLabel("Current password").fill("not this one");
  await dialog.getByRole("button", { name: "Next" }).click();
  await dialog.getByText("is not right").waitFor();
  await dialog.getByLabel("Current password").fill(password);
  await dialog.getByRole("button", { name: "Next" }).click();
  await dialog.getByRole("img", { name: /QR code/ }).waitFor();
  const secret = (await dialog.getByTestId("secret").innerText()).replaceAll(/\s/g, "");
  await dialog.getByLabel("Code of the app").fill(codeOf(secret) === "000000" ? "111111" : "000000");
  await dialog.getByRole("button", { name: "Confirm" }).click();
  await dialog.getByText("The code is not right").waitFor();
  await dialog.getByLabel("Code of the app").fill(codeOf(secret));
  await dialog.getByRole("button", { name: "Confirm" }).click();
  const codes = (await dialog.getByTestId("recovery-codes").innerText()).split(/\s+/).filter(Boolean);
  expect("recovery codes", codes.length, 10);
  const [download] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("link", { name: "Download" }).click()]);
  const kept = Buffer.concat(await (await download.createReadStream()).toArray()).toString();
  expect("the downloaded codes", kept.trim().split("\n"), codes);
  await dialog.getByRole("button", { name: "I have kept them" }).click();
  await main.getByText("10 recovery codes are left").waitFor();

  // Demanded of everybody: Bob can do nothing else before he has one, too.
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Workspace" }).click();
  const demanded = main.getByLabel("Everybody here needs a second factor");
  await demanded.check();
  await main.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").getByText("Saved").waitFor();
  await theirs.goto(`${url}/sign-in`);
  await signIn(theirs, bob, password);
  await theirs.getByRole("heading", { name: "Set up a second factor first" }).waitFor();
  expect("ways to go", await theirs.getByRole("navigation", { name: "Main" }).getByRole("link").count(), 0);
  const step = theirs.getByRole("dialog");
  await theirs.getByRole("button", { name: "Set up an authenticator app" }).click();
  await step.getByLabel("Current password").fill(password);
  await step.getByRole("button", { name: "Next" }).click();
  const bobs = (await step.getByTestId("secret").innerText()).replaceAll(/\s/g, "");
  await step.getByLabel("Code of the app").fill(codeOf(bobs));
  await step.getByRole("button", { name: "Confirm" }).click();
  await step.getByRole("button", { name: "I have kept them" }).click();
  await theirs.getByRole("heading", { name: "Hello, Bob" }).waitFor();
  await theirs.getByRole("link", { name: "Campaigns", exact: true }).click();
  await theirs.getByText("No campaigns yet").waitFor();
  await demanded.uncheck();
  await main.getByRole("button", { name: "Save" }).click();
  await until("it is not demanded any more", async () => !(await ask("GET", "/workspaces/current")).second_factor_required);
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Your account" }).click();

  // Signed in twice, one of them is ended; then a forgotten password ends all.
  const third = await context.browser().newContext({ locale: "en-GB" });
  third.setDefaultTimeout(60_000);
  const elsewhere = await third.newPage();
  await elsewhere.goto(`${url}/campaigns`);
  await signIn(elsewhere, email, password, codes[0]);
  await elsewhere.getByText("No campaigns yet").waitFor();
  await page.reload();
  const signIns = main.getByRole("region", { name: "Where you are signed in" });
  await signIns.getByText("This one").waitFor();
  expect("sign-ins", await signIns.getByRole("listitem").count(), 2);
  // As it is for somebody who signed in long ago: the password first.
  await page.route(/\/api\/v1\/sessions\/./, (route) => route.fulfill({
    status: 403, contentType: "application/problem+json", body: JSON.stringify({ status: 403, code: "proof_needed", title: "Forbidden", detail: "your password is needed", errors: [] }),
  }), { times: 1 });
  await signIns.getByRole("button", { name: "End", exact: true }).click();
  await dialog.getByLabel("Current password").fill("not this one");
  await dialog.getByRole("button", { name: "End" }).click();
  await dialog.getByText("is not right").waitFor();
  await dialog.getByLabel("Current password").fill(password);
  await dialog.getByRole("button", { name: "End" }).click();
  await until("it is ended", async () => (await third.request.get(`${url}/api/v1/session`)).status() === 401);
  await elsewhere.getByRole("link", { name: "Lists" }).click();
  await elsewhere.getByRole("dialog", { name: "Sign in again" }).waitFor();
  await third.close();
  // Signing out leaves how the screen looks, and nothing of what was on it.
  await page.getByLabel("Theme").selectOption("dark");
  await page.evaluate(() => localStorage.setItem("clarion.unsaved.campaigns.x", JSON.stringify({ changes: { subject: "Hush" } })));
  await page.getByRole("button", { name: "Sign out" }).click();
  await dialog.getByText("Signing out forgets them").waitFor();
  await dialog.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Forgot your password?" }).waitFor();
  const stored = await page.evaluate(() => Object.entries(localStorage).filter(([key]) => key !== "clarion.language"));
  expect("what is stored", stored, [["clarion.theme", "dark"]]);
  expect("cookies that scripts can read", await page.evaluate(() => document.cookie), "");
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await page.getByLabel("Email").fill(email);
  await page.getByRole("button", { name: "Send me a link" }).click();
  await page.getByText("a mail is on its way to it").waitFor();
  await page.goto(await linkTo(email, /password/i));
  await page.getByLabel("New password").fill("a better horse battery");
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByRole("link", { name: "Go to Clarion" }).click();
  await signIn(page, email, "a better horse battery", codes[1]);
  await page.getByRole("heading", { name: "Hello, Ada" }).waitFor();
  await page.goto(`${url}/settings`);
  await main.getByText("8 recovery codes are left").waitFor();
  await main.getByRole("button", { name: "Remove", exact: true }).click();
  await dialog.getByLabel("Current password").fill("a better horse battery");
  await dialog.getByRole("button", { name: "Remove" }).click();
  await main.getByRole("button", { name: "Set up an authenticator app" }).waitFor();

  // The trail: who, what, before and after; filtered, and as a file.
  await until("the trail has the role", async () => {
    const fresh = await asking(context);
    return (await fresh("GET", "/audit?resource=roles&action=update")).items.length >= 2;
  });
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Audit trail" }).click();
  await main.getByLabel("Change").selectOption({ label: "Changed" });
  await main.getByLabel("What").selectOption({ label: "Role" });
  const line = main.locator("details", { hasText: "Writer" }).first();
  await line.locator("summary").click();
  await line.getByRole("row", { name: /name/ }).getByText("Theirs").waitFor();
  await line.getByRole("row", { name: /name/ }).getByText("Writer").waitFor();
  await line.getByText(/PUT \/api\/v1\/roles/).waitFor();
  await main.getByLabel("Who").selectOption({ label: "Bob Babbage" });
  await main.getByText("No change fits").waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), main.getByRole("link", { name: "Export CSV" }).click()]);
  const rows = Buffer.concat(await (await file.createReadStream()).toArray()).toString();
  if (!rows.includes("Writer")) throw new Error("the exported trail has the role");

  // A key for a site, with the line to paste; it counts, until it is revoked.
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Write keys" }).click();
  await main.getByText("No write keys yet").waitFor();
  await main.getByRole("button", { name: "New write key" }).first().click();
  await dialog.getByLabel("Name").fill("Shop");
  await dialog.getByLabel("Allowed origins").fill("shop");
  await dialog.getByRole("button", { name: "Make key" }).click();
  await dialog.getByText(/must be an origin/).waitFor();
  await dialog.getByLabel("Allowed origins").fill("https://shop.example\nhttps://www.shop.example");
  await dialog.getByRole("button", { name: "Make key" }).click();
  const snippet = await dialog.getByText(/^<script defer/).innerText();
  const key = snippet.match(/data-key="([^"]+)"/)[1];
  await dialog.getByRole("button", { name: "Close" }).click();
  const send = (origin) => page.request.post(`${url}/v1/page`, { headers: { origin }, data: { writeKey: key, anonymousId: "x", properties: { url: "https://shop.example/" } } });
  expect("from the shop", (await send("https://shop.example")).status(), 200);
  expect("from elsewhere", (await send("https://elsewhere.example")).status(), 403);
  await main.getByRole("button", { name: "Revoke" }).click();
  await dialog.getByLabel(/^Type/).fill("Shop");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await main.getByText("Revoked", { exact: true }).waitFor();
  await other.close();
  // Only the pages behind mails have nothing to complain about, too.
  expect("complaints", complaints, []);
});
