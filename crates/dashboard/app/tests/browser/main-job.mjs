// The main job by clicking alone: sign up, import, write, check, test, start, watch, report.
import { browse, expect, number, signUp, until, url } from "./lib.mjs";

const PEOPLE = 40;
const rows = Array.from({ length: PEOPLE }, (_, n) => `person${n}@example.com,Person ${n},${n % 2 ? "pro" : "free"}`);
const csv = ["E-Mail,Vorname,Plan", ...rows, "not an address,Nobody,free"].join("\n");

await browse(async (page, { complaints }) => {
  const { email } = await signUp(page);
  const main = page.getByRole("main");

  // A list, from the first step that the overview names.
  await page.getByRole("link", { name: "Make a list" }).click();
  await main.getByRole("button", { name: "New list" }).first().click();
  await page.getByRole("dialog").getByLabel("Name").fill("Newsletter");
  await page.getByRole("button", { name: "Create list" }).click();
  await main.getByRole("link", { name: "Newsletter" }).waitFor();

  // The import, with its dry run.
  await page.getByRole("navigation").getByRole("link", { name: "Leads" }).click();
  await main.getByRole("link", { name: "Import CSV" }).first().click();
  await page.getByLabel("CSV file").setInputFiles({ name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await page.getByLabel("Add everybody to").selectOption({ label: "Newsletter" });
  await page.getByRole("button", { name: "Next" }).click();
  expect("the guess", await page.getByLabel("Column Vorname becomes").inputValue(), "first_name");
  await page.getByRole("button", { name: "Try it without changes" }).click();
  await page.getByText("Nothing has changed yet").waitFor();
  await page.getByText("One row cannot be used").waitFor();
  const go = page.getByRole("button", { name: `Import ${PEOPLE} rows` });
  expect("without the people's word", await go.isDisabled(), true);
  await page.getByLabel(/These people agreed/).check();
  await go.click();
  await page.getByText(/^Done: 41 rows/).waitFor();
  const [errors] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download them with reasons" }).click(),
  ]);
  const reasons = await (await errors.createReadStream()).toArray();
  if (!Buffer.concat(reasons).includes("not an address")) throw new Error("the error file names the bad row");
  await page.getByRole("link", { name: "Show the leads" }).click();
  await page.getByText(`${PEOPLE} leads`, { exact: true }).waitFor();

  // The campaign.
  await page.getByRole("navigation").getByRole("link", { name: "Campaigns" }).click();
  await main.getByRole("button", { name: "New campaign" }).first().click();
  await page.getByRole("dialog").getByLabel("Name").fill("Spring");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await page.getByLabel("Subject", { exact: true }).fill("Hello {{ lead.first_name }}");
  await page.getByLabel("Sender name").fill("Ada");
  await page.getByLabel("Sender email").fill("ada@example.com");
  await page.getByLabel("Newsletter").check();
  await page.getByTestId("audience").getByText(`${PEOPLE} people get it`).waitFor();
  // The preview is of a person of this list, in a frame that shows the mail and runs nothing.
  await page.getByTestId("preview-subject").getByText("Hello Person 0").waitFor();
  const frame = page.frameLocator("iframe");
  await frame.getByText("Hello Person 0").waitFor();
  await page.locator('[data-save="saved"]').waitFor();

  // A mistake is named with its place, and the rest is saved all the same.
  const source = page.getByLabel("Source");
  const good = await source.inputValue();
  await source.fill("{{ lead.first_name");
  await page.locator('[data-save="refused"]').waitFor();
  await page.getByText(/Line 1, column/).first().waitFor();
  await source.fill(good);
  await page.locator('[data-save="saved"]').waitFor();

  // A test mail.
  await page.getByRole("button", { name: "Send test" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Send test" }).click();
  await page.getByText(`The test is on its way to ${email}`).waitFor();
  await until("the test arrives", async () => {
    const answer = await page.request.get(`${url}/mailbox/messages.json?to=${encodeURIComponent(email)}`);
    return (await answer.json()).items.some((one) => one.to.includes(email) && one.subject.includes("Hello Person 0"));
  });

  // What would go wrong is said before it does.
  await page.getByRole("button", { name: "Check and start" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(/deserve/).waitFor();
  const send = dialog.getByRole("button", { name: "Send now" });
  expect("before warnings are accepted", await send.isDisabled(), true);
  await dialog.getByLabel(/I have read/).check();
  await send.click();

  // Everybody is accounted for, at every moment.
  const figure = async (name) => number(await page.locator(`[data-outcome="${name}"] dd`).innerText());
  await page.getByTestId("sum").waitFor();
  await until("everybody is settled", async () => {
    const said = await page.getByTestId("sum").innerText();
    const [sum, audience] = said.match(/[\d,.]+/g).map(number);
    expect("the sum at any moment", sum, audience);
    return said.includes("everybody is settled");
  });
  expect("accepted", await figure("accepted"), PEOPLE);
  await page.locator("h1 + .badge, .badge").getByText("Finished").waitFor();

  // Somebody reads it and follows a link; the report counts one person.
  const inbox = await (await page.request.get(`${url}/mailbox/messages.json?to=person3@example.com`)).json();
  const message = inbox.items.find((one) => one.to.includes("person3@example.com"));
  const text = await (await page.request.get(`${url}/mailbox/messages/${message.id}.json`)).text();
  const link = text.match(/https?:\/\/[^"\\\s<>]+\/c\/[\w.~-]+/)[0];
  const reader = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };
  await page.request.get(link, { headers: reader, maxRedirects: 0 });
  await page.getByRole("link", { name: "Campaigns" }).first().click();
  await page.getByRole("row", { name: /Spring/ }).getByText("Finished").waitFor();
  await page.getByRole("link", { name: "Spring" }).click();
  await page.getByRole("cell", { name: "https://example.com/" }).waitFor();

  // By a few letters to anywhere, without the mouse.
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "A screen, campaign, list or person" }).fill("person3@");
  await page.getByRole("option", { name: /person3@example.com/ }).waitFor();
  await page.getByRole("combobox").last().fill("newsl");
  await page.getByRole("option", { name: /Newsletter/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Newsletter" }).waitFor();
  // From a list it is one step to a campaign to it.
  await page.getByRole("button", { name: "Write to them" }).click();
  await page.waitForURL(/\/campaigns\/.+/);
  await page.getByTestId("audience").getByText("people get it").waitFor();
  expect("who is chosen", await page.getByLabel("Newsletter").isChecked(), true);
  await page.goBack();
  await page.getByRole("heading", { name: "Newsletter" }).waitFor();
  await page.goBack();

  // It all works again after the page was left: nothing was kept but the session's cookie.
  await page.reload();
  await page.getByRole("heading", { name: "Spring" }).waitFor();
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  if (/token|csrf|eyJ/i.test(stored)) throw new Error(`a secret is stored: ${stored}`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  // Coming back to a screen asks who one is, and then shows that screen.
  await page.goto(`${url}/campaigns`);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("is not right").waitFor();
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: "Spring" }).waitFor();
  expect("complaints", complaints, []);
});
