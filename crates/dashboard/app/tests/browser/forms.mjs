// A form: made by clicking, written by two people at once, put on a page of somebody else, and
// answered by visitors who confirm, or do not.
import { asking, browse, expect, signUp, until, url } from "./lib.mjs";

const SHOP = "http://shop.example";
const WORDS = "Send me your news. I can leave at any time.";

await browse(async (page, { context }) => {
  await signUp(page);
  const ask = await asking(context);
  const main = page.getByRole("main");
  const dialog = page.getByRole("dialog");
  const to = (name) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name }).click();
  const saved = () => page.locator('[data-save="saved"]').waitFor();

  // Without a list there is nothing that a form could lead to, and the way to one is shown.
  await to("Forms");
  await main.getByRole("button", { name: "New form" }).first().click();
  await dialog.getByText("A form leads to a list").waitFor();
  await dialog.getByRole("link", { name: "Lists" }).click();
  await main.getByRole("button", { name: "New list" }).first().click();
  await dialog.getByLabel("Name").fill("Newsletter");
  await dialog.getByRole("button", { name: "Create list" }).click();
  await main.getByRole("link", { name: "Newsletter" }).waitFor();

  // Made, and written on its own screen, where it saves itself.
  await to("Forms");
  await main.getByRole("button", { name: "New form" }).first().click();
  await dialog.getByLabel("Name").fill("Footer");
  await dialog.getByLabel("What people agree to").fill(WORDS);
  await dialog.getByRole("button", { name: "Create form" }).click();
  await page.waitForURL(/\/forms\/.+/);
  const id = new URL(page.url()).pathname.split("/").at(-1);
  const stored = () => ask("GET", `/forms/${id}`);
  await main.getByLabel("Title").fill("Our news");
  await main.getByRole("button", { name: "Ask something else" }).click();
  await main.getByLabel("Must be answered").check();
  await main.getByLabel("Button", { exact: true }).fill("Count me in");
  await main.getByLabel("Pages that may send it").fill(SHOP);
  await saved();
  await until("all of it is stored", async () => {
    const { title, button, fields, origins } = await stored();
    return JSON.stringify([title, button, fields, origins]) === JSON.stringify(["Our news", "Count me in", [{ field: "first_name", label: "First name", required: true }], [SHOP]]);
  });

  // What is wrong is said beside its field, and the rest is saved all the same.
  await main.getByLabel("Or lead people to").fill("thanks");
  await page.locator('[data-save="refused"]').waitFor();
  await main.getByText(/must (be a URL|be a web address|begin with)/).waitFor();
  await main.getByLabel("Or lead people to").fill("");
  await saved();

  // Two people: both versions are shown, and neither is lost unseen.
  await ask("PATCH", `/forms/${id}`, { text: "Theirs" });
  await main.getByLabel("Text", { exact: true }).fill("Mine");
  const conflict = page.getByRole("dialog", { name: "Somebody else changed this form" });
  await conflict.getByText("Theirs", { exact: true }).waitFor();
  await conflict.getByText("Mine", { exact: true }).waitFor();
  expect("before a choice", (await stored()).text, "Theirs");
  await conflict.getByRole("button", { name: "Keep mine" }).click();
  await until("mine is stored", async () => (await stored()).text === "Mine");
  await saved();

  // Closed, its page takes nobody; open again, it does.
  const { url: address } = await stored();
  const visitors = await context.browser().newContext({ locale: "en-GB" });
  visitors.setDefaultTimeout(60_000);
  const visitor = await visitors.newPage();
  await main.getByLabel("Takes people").uncheck();
  await until("it is closed", async () => !(await stored()).active);
  await visitor.goto(address);
  await visitor.getByText("This form is closed").waitFor();
  await main.getByLabel("Takes people").check();
  await until("it is open", async () => (await stored()).active);

  // The copy is what a page of somebody else is made of.
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await main.getByRole("button", { name: "Copy the HTML" }).click();
  await page.getByText("Copied", { exact: true }).waitFor();
  const html = await page.evaluate(() => navigator.clipboard.readText());
  await visitors.route(`${SHOP}/**`, (route) => route.fulfill({ contentType: "text/html", body: `<!doctype html><title>Shop</title>${html}` }));
  await visitor.goto(`${SHOP}/`);
  await visitor.getByLabel("Email address").fill("bob@example.com");
  await visitor.getByLabel("First name").fill("Bob");
  await visitor.getByLabel(WORDS).check();
  await visitor.getByRole("button", { name: "Count me in" }).click();
  await visitor.getByText("Please look into your mailbox").waitFor();

  // Another one comes by the page of the form, and misses what must be answered.
  await visitor.goto(address);
  await visitor.getByRole("heading", { name: "Our news" }).waitFor();
  await visitor.evaluate(() => { for (const form of document.forms) form.noValidate = true; });
  await visitor.getByLabel("Email address").fill("ada@example.com");
  await visitor.getByLabel(WORDS).check();
  await visitor.getByRole("button", { name: "Count me in" }).click();
  await visitor.getByText("Please fill this in").waitFor();
  expect("what was right stays", await visitor.getByLabel("Email address").inputValue(), "ada@example.com");
  await visitor.getByLabel("First name").fill("Ada");
  await visitor.getByRole("button", { name: "Count me in" }).click();
  await visitor.getByText("Please look into your mailbox").waitFor();

  // She confirms by the link in her mail, and he does not.
  let link;
  await until("the mail arrives", async () => {
    const { items } = await (await page.request.get(`${url}/mailbox/messages.json?rcpt=ada@example.com`)).json();
    if (items.length === 0) return false;
    const { text } = await (await page.request.get(`${url}/mailbox/messages/${items[0].id}.json`)).json();
    link = text.match(/https?:\/\/\S+\/f\/confirm\/\S+/)?.[0];
    return Boolean(link);
  });
  await visitor.goto(link);
  await visitor.getByText(WORDS).waitFor();
  await visitor.getByRole("button", { name: "Yes, I agree" }).click();
  await visitor.getByText("It is confirmed").waitFor();
  await visitors.close();

  await to("Forms");
  const row = main.getByRole("row", { name: /Footer/ });
  await row.getByRole("cell", { name: "2", exact: true }).waitFor();
  await row.getByRole("cell", { name: "1", exact: true }).waitFor();
  await to("Lists");
  await main.getByRole("link", { name: "Newsletter" }).click();
  await main.getByRole("row", { name: /ada@example.com/ }).getByText("Confirmed", { exact: true }).waitFor();
  await main.getByRole("row", { name: /bob@example.com/ }).getByText("Unconfirmed", { exact: true }).waitFor();
  await main.getByRole("link", { name: "ada@example.com" }).click();
  await main.getByText("Confirmed by mail").waitFor();
  await main.getByText(WORDS).first().waitFor();
  expect("whether she is held", await main.getByText("Never confirmed").count(), 0);
  await page.goBack();
  await main.getByRole("link", { name: "bob@example.com" }).click();
  await main.getByText("Never confirmed").waitFor();
  await main.getByText("so no campaign reaches it").waitFor();

  // Deleting asks for its name, and every copy is dead.
  await to("Forms");
  await row.getByRole("button", { name: "Delete" }).click();
  expect("before its name is typed", await dialog.getByRole("button", { name: "Delete" }).isDisabled(), true);
  await dialog.getByLabel(/to confirm/).fill("Footer");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await main.getByText("No forms yet").waitFor();
  expect("its page", (await page.request.get(address)).status(), 404);
});
