// Nothing that was typed is lost: not without a connection, not when the session ends, not when two
// people write at once.
import { asking, browse, expect, signUp, until, url } from "./lib.mjs";

await browse(async (page, { context, complaints }) => {
  const { password } = await signUp(page);
  const ask = await asking(context);
  const draft = await ask("POST", "/campaigns", { name: "Spring", content: { format: "text", body: "Hello {{ unsubscribe_url }}" } });
  const stored = () => ask("GET", `/campaigns/${draft.id}`);
  const saved = () => page.locator('[data-save="saved"]').waitFor();
  await page.goto(`${url}/campaigns/${draft.id}`);
  const subject = page.getByLabel("Subject", { exact: true });

  // Without a connection it waits in the browser, also across a reload that comes too early.
  await subject.fill("one");
  await saved();
  await context.setOffline(true);
  await subject.fill("two");
  await page.locator('[data-save="offline"]').waitFor();
  expect("what is stored", (await stored()).subject, "one");
  await context.setOffline(false);
  await saved();
  expect("what is stored", (await stored()).subject, "two");

  // A page that is closed before it could save has kept it.
  await context.setOffline(true);
  await subject.fill("three");
  await page.locator('[data-save="offline"]').waitFor();
  await page.evaluate(() => { globalThis.onbeforeunload = null; });
  await page.goto("about:blank");
  await context.setOffline(false);
  await page.goto(`${url}/campaigns/${draft.id}`);
  await saved();
  expect("the field", await subject.inputValue(), "three");
  await until("it is stored", async () => (await stored()).subject === "three");

  // Two people: nobody is overwritten unseen.
  await ask("PATCH", `/campaigns/${draft.id}`, { subject: "theirs", reply_to: "theirs@example.com" });
  await subject.fill("mine");
  const dialog = page.getByRole("dialog", { name: "Somebody else changed this campaign" });
  await dialog.waitFor();
  await dialog.getByText("theirs", { exact: true }).waitFor();
  await dialog.getByText("mine", { exact: true }).waitFor();
  expect("before a choice", (await stored()).subject, "theirs");
  await dialog.getByRole("button", { name: "Take the stored one" }).click();
  await saved();
  expect("the field", await subject.inputValue(), "theirs");
  expect("a field that nobody here touched", await page.getByLabel("Reply to").inputValue(), "theirs@example.com");
  await ask("PATCH", `/campaigns/${draft.id}`, { preheader: "theirs too" });
  await subject.fill("mine again");
  await dialog.getByRole("button", { name: "Keep mine" }).click();
  await until("mine is stored", async () => (await stored()).subject === "mine again");
  expect("the other field", (await stored()).preheader, "theirs too");
  expect("as it is shown", await page.getByLabel("Preheader").inputValue(), "theirs too");

  // The session ends: signing in goes on at the same place.
  await saved();
  await context.clearCookies();
  await subject.fill("after the session");
  const again = page.getByRole("dialog", { name: "Sign in again" });
  await again.waitFor();
  expect("the field behind it", await subject.inputValue(), "after the session");
  await again.getByLabel("Password").fill(password);
  await again.getByRole("button", { name: "Sign in", exact: true }).click();
  await again.waitFor({ state: "detached" });
  await saved();
  expect("the place", new URL(page.url()).pathname, `/campaigns/${draft.id}`);
  const fresh = await asking(context);
  expect("what is stored", (await fresh("GET", `/campaigns/${draft.id}`)).subject, "after the session");

  // What is saved by a button waits too: on another screen, and in a page that is closed.
  const main = page.getByRole("main");
  const dialogs = page.getByRole("dialog");
  const kept = () => page.locator('[data-save="kept"]').waitFor();
  await page.goto(`${url}/segments`);
  await main.getByRole("link", { name: "New segment" }).first().click();
  await main.getByLabel("Name").fill("Readers");
  await main.getByLabel("Value").fill("@example.com");
  await kept();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Segments" }).click();
  await main.getByText("that is not saved yet").waitFor();
  await page.reload();
  await main.getByRole("link", { name: "Go on with it" }).click();
  expect("the name", await main.getByLabel("Name").inputValue(), "Readers");
  expect("the value", await main.getByLabel("Value").inputValue(), "@example.com");
  await main.getByRole("button", { name: "Save" }).click();
  await page.waitForURL(/segments\/[0-9a-f-]{36}/);
  const segment = new URL(page.url()).pathname.split("/").at(-1);
  await main.getByLabel("Value").fill("@example.org");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Segments" }).click();
  await main.getByRole("row", { name: /Readers/ }).getByText("not saved").waitFor();
  await main.getByText("Email contains @example.com").waitFor();
  await main.getByRole("link", { name: "Readers" }).click();
  await main.getByRole("button", { name: "Discard changes" }).click();
  expect("as it is stored", await main.getByLabel("Value").inputValue(), "@example.com");
  await page.getByRole("button", { name: "Undo" }).click();
  expect("as it was typed", await main.getByLabel("Value").inputValue(), "@example.org");
  await fresh("PATCH", `/segments/${segment}`, { name: "Theirs" });
  await main.getByRole("button", { name: "Save" }).click();
  const other = page.getByRole("dialog", { name: "Somebody else changed this segment" });
  await other.getByText("Email contains @example.com").waitFor();
  await other.getByText("Email contains @example.org").waitFor();
  await other.getByRole("button", { name: "Keep mine" }).click();
  await until("mine is stored", async () => JSON.stringify((await fresh("GET", `/segments/${segment}`)).rule).includes("@example.org"));
  await other.waitFor({ state: "detached" });
  await main.getByRole("heading", { name: "Theirs" }).waitFor();
  await page.locator('[data-save="kept"]').waitFor({ state: "detached" });

  const lead = await fresh("POST", "/leads", { email: "grace@example.com" });
  await page.goto(`${url}/leads/${lead.id}`);
  await main.getByLabel("First name").fill("Grace");
  await kept();
  await main.getByRole("button", { name: "Add attribute" }).click();
  await dialogs.getByLabel("Name of the attribute").fill("plan");
  await dialogs.getByLabel("Value").fill("pro");
  await dialogs.getByRole("button", { name: "Save" }).click();
  await dialogs.waitFor({ state: "detached" });
  await page.reload();
  expect("the first name", await main.getByLabel("First name").inputValue(), "Grace");
  // The attribute made another version of the lead, and so does somebody else.
  await main.getByRole("button", { name: "Save" }).click();
  await until("it is stored", async () => (await fresh("GET", `/leads/${lead.id}`)).first_name === "Grace");
  await page.locator('[data-save="kept"]').waitFor({ state: "detached" });
  await main.getByLabel("Last name").fill("Hopper");
  await fresh("PATCH", `/leads/${lead.id}`, { last_name: "Murray" });
  await main.getByRole("button", { name: "Save" }).click();
  const changed = page.getByRole("dialog", { name: "Somebody else changed this lead" });
  await changed.getByText("Murray", { exact: true }).waitFor();
  await changed.getByText("Hopper", { exact: true }).waitFor();
  await changed.getByRole("button", { name: "Keep mine" }).click();
  await until("it is stored", async () => (await fresh("GET", `/leads/${lead.id}`)).last_name === "Hopper");

  // Coming from a link without a session leads there after signing in.
  await context.clearCookies();
  await page.goto(`${url}/segments/new?x=1`);
  await page.waitForURL(/sign-in\?next=/);
  // Being offline is what this story was about.
  const left = complaints.filter((line) => !line.includes("ERR_INTERNET_DISCONNECTED"));
  complaints.splice(0, complaints.length, ...left);
});
