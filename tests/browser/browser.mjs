// A real browser for the tests: one context per person, every page looked at by axe.

import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";

const { modules, chromium: executablePath, address, pictures } = JSON.parse(process.env.BROWSER);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const { AxeBuilder } = require("@axe-core/playwright");

export const ORIGIN = "https://app.example.test";

// Chromium asks the gateway of this test for the standard host.
export async function launch() {
  return chromium.launch({
    executablePath,
    args: [`--host-resolver-rules=MAP app.example.test:443 ${address}`, "--no-sandbox"],
  });
}

// A person with cookies of their own; what the browser complains of fails the test.
export async function person(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A provider's page and what it loads is not ours.
    if (!(message.location().url || ORIGIN).startsWith(ORIGIN)) return;
    // Answers such as 401 are told as errors too, and are meant.
    if (message.type() === "error" && !message.text().includes("status of 4")) {
      fail(`the console says: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => fail(`a script failed: ${error}`));
  return page;
}

// What axe finds on the page as it is now, in the picture's name.
export async function look(page, name) {
  if (pictures) {
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  }
  // Our pages have no frames; with them in mind axe would open a second page for each look.
  const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
  if (violations.length > 0) {
    const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html}`);
    fail(`axe on ${name} (${page.url()}):\n${found.join("\n")}`);
  }
}

export function fail(message) {
  console.error(message);
  process.exit(1);
}

export function equal(found, expected, what) {
  if (found !== expected) fail(`${what}: ${found} instead of ${expected}`);
}

// RFC 6238 with SHA-1, six digits, steps of 30 s; `later` steps from now.
export function code(secret, later = 0) {
  const bits = [...secret.replace(/\s/g, "")]
    .map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"))
    .join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const hash = createHmac("sha1", key).update(counter).digest();
  const offset = hash[19] & 15;
  const number = hash.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

// Asks the test, which answers with one line: the link in the mail of a kind.
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export async function ask(kind) {
  console.log(kind);
  return (await answers.next()).value;
}

// What the test gives: names and passwords.
export const given = JSON.parse(process.argv[2] ?? "{}");
