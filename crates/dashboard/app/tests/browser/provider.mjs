// Another provider vouches: linked under the account, signed in by, and removed again.
import { browse, expect, signUp, url } from "./lib.mjs";

await browse(async (page) => {
  await signUp(page, { email: "ada@example.com" });
  const main = page.getByRole("main");
  await page.goto(`${url}/settings`);
  const ways = main.getByRole("region", { name: "Other ways to sign in" });
  await ways.getByText("Example ID can vouch for you").waitFor();
  expect("links before", await ways.getByRole("listitem").count(), 0);

  // There and back: the provider of the test consents at once.
  await ways.getByRole("button", { name: "Link Example ID" }).click();
  const link = ways.getByRole("listitem");
  await link.getByText("ada@example.com").waitFor();
  expect("where it ends", new URL(page.url()).pathname, "/settings");

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Sign in with Example ID" }).click();
  await page.getByRole("heading", { name: "Hello, Ada" }).waitFor();

  // The same in German.
  await page.goto(`${url}/settings`);
  await page.getByLabel("Language").selectOption("de");
  const german = main.getByRole("region", { name: "Andere Wege hinein" });
  await german.getByRole("button", { name: "Example ID verknüpfen" }).waitFor();
  await page.getByLabel("Sprache").selectOption("en");

  await link.getByRole("button", { name: "Remove" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Your password still does").waitFor();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await link.waitFor({ state: "detached" });

  // Its word opens nothing now: the address alone is no way into an account.
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Sign in with Example ID" }).click();
  await page.getByText("There is an account with your email address").waitFor();
});
