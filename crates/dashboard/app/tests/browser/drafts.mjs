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
  await again.getByLabel("Password").fill(password);
  await again.getByRole("button", { name: "Sign in", exact: true }).click();
  await again.waitFor({ state: "detached" });
  await saved();
  expect("the place", new URL(page.url()).pathname, `/campaigns/${draft.id}`);
  const fresh = await asking(context);
  expect("what is stored", (await fresh("GET", `/campaigns/${draft.id}`)).subject, "after the session");

  // Coming from a link without a session leads there after signing in.
  await context.clearCookies();
  await page.goto(`${url}/segments/new?x=1`);
  await page.waitForURL(/sign-in\?next=/);
  // Being offline is what this story was about.
  const left = complaints.filter((line) => !line.includes("ERR_INTERNET_DISCONNECTED"));
  complaints.splice(0, complaints.length, ...left);
});
