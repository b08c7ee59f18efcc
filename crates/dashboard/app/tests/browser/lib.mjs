// A real Chromium, and what every test of a screen watches for.
import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

export const url = process.argv[2] ?? process.env.CLARION_URL ?? "http://127.0.0.1:8080";
export const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => path && existsSync(path));

/** Runs `story` in a browser of its own, and fails if the page complained about anything. */
export async function browse(story, options = {}) {
  const browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-background-networking"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", ...options });
  // A busy machine is slow, and that is no failure.
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const complaints = watch(page);
  try {
    await story(page, { context, complaints });
    if (complaints.length > 0) throw new Error(`the browser complained:\n${complaints.join("\n")}`);
  } catch (error) {
    console.error(`at ${page.url()}\n${await page.locator("main, dialog").allInnerTexts().catch(() => "")}`);
    console.error(complaints.join("\n"));
    if (process.env.SCREENSHOT_ON_FAILURE) await page.screenshot({ path: process.env.SCREENSHOT_ON_FAILURE });
    throw error;
  } finally {
    await browser.close();
  }
}

/** Whom a page of ours may ask: us, and the identity provider of the story. */
const KNOWN = new Set([url, process.argv[3]].filter((site) => URL.canParse(site)).map((site) => new URL(site).host));

/** Whether the page itself asks; a mail in its preview shows foreign images. */
function ofPage(page, request) {
  try {
    return request.frame() === page.mainFrame();
  } catch {
    return true;
  }
}

/** Console errors, uncaught ones, answers that say that we are broken, and requests to anybody else. */
export function watch(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error}`));
  page.on("console", (message) => {
    const { url: where } = message.location();
    // A browser itself logs each answer of 400 and more; which of them are right, stories say.
    const answered = message.text().startsWith("Failed to load resource") && (where.includes("/api/v1/") || where.includes("/s/"));
    // What a hostile mail tries in its frame is blocked, and a browser says so.
    const framed = where === "about:srcdoc";
    if (message.type() === "error" && !answered && !framed) complaints.push(`console: ${message.text()} (${where})`);
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (/^https?:$/.test(protocol) && ofPage(page, request) && !KNOWN.has(host)) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 500) complaints.push(`${response.status()} ${response.request().method()} ${response.url()}`);
  });
  return complaints;
}

export function expect(what, seen, wanted) {
  if (JSON.stringify(seen) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: expected ${JSON.stringify(wanted)}, saw ${JSON.stringify(seen)}`);
  }
}

/** A figure as it is shown, as a number. */
export const number = (text) => Number(text.replace(/[^0-9]/g, ""));

export async function signUp(page, { name = "Ada Lovelace", email = `ada-${Date.now()}@example.com`, workspace = "Analytical Engines" } = {}) {
  await page.goto(`${url}/sign-up`);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Workspace").fill(workspace);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Create workspace" }).click();
  await page.getByRole("heading", { name: `Hello, ${name.split(" ")[0]}` }).waitFor();
  return { email, password: "correct horse battery" };
}

export async function until(what, holds) {
  const deadline = Date.now() + 120_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`it never came about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Asks the API as the person who is signed in in this browser. */
export async function asking(context) {
  const { csrf_token: csrf } = await (await context.request.get(`${url}/api/v1/session`)).json();
  return async (method, path, data, headers = {}) => {
    const answer = await context.request.fetch(`${url}/api/v1${path}`, {
      method, headers: { "x-csrf-token": csrf, ...headers }, ...(data !== undefined && { data }),
    });
    if (!answer.ok()) throw new Error(`${method} ${path}: ${answer.status()} ${await answer.text()}`);
    return answer.status() === 204 ? null : answer.json();
  };
}

/** What an authenticator app shows for a key (RFC 6238). */
export function codeOf(secret, now = Date.now()) {
  const bits = [...secret].map((sign) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(sign).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const hash = createHmac("sha1", key).update(step).digest();
  return String((hash.readUInt32BE(hash[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
