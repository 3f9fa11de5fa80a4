// A person signs in, enrols a second factor, signs out and in again, sees the sessions, ends them.

import { ORIGIN, code, equal, fail, given, launch, look, person } from "./browser.mjs";

const browser = await launch();
const page = await person(browser, { javaScriptEnabled: given.script });
const seen = async (name) => given.script && look(page, `${given.name}-${name}`);
const at = (path) =>
  page.waitForURL((url) => url.pathname + url.search === path).catch(() => fail(`not at ${path}: ${page.url()}`));
const alerted = (what) =>
  page.locator("[role=alert]").waitFor({ timeout: 10_000 }).catch(async () => fail(`nothing says what went wrong: ${what}: ${await page.content()}`));

async function signIn(username, password) {
  await page.locator("#username").fill(username);
  await page.locator("#password").fill(password);
  await page.locator("main button").click();
}

await page.goto(`${ORIGIN}/api/orders?page=2`);
await at("/login?return_to=/api/orders%3Fpage%3D2");
await seen("login");
await signIn(given.username, "not the password");
await alerted("a wrong password");
equal(await page.locator("#username").inputValue(), given.username, "the name that was typed");
await seen("login-refused");
await signIn(given.username, given.password);
await at("/api/orders?page=2");

await page.goto(`${ORIGIN}/account`);
await seen("account");
await page.locator("form:has(input[value=enrol]) button").click();
await seen("enrol");
await page.locator("figure svg").waitFor();
const secret = await page.locator("code.key").innerText();
await page.locator("#code").fill("000000");
await page.locator("main button").click();
await alerted("a wrong code");
await seen("enrol-refused");
await page.locator("#code").fill(code(secret));
await page.locator("main button").click();
await page.locator(".codes li").first().waitFor();
equal(await page.locator(".codes li").count(), 10, "recovery codes");
await seen("codes");
const recoveryCode = await page.locator(".codes li").first().innerText();
await page.locator("a.button").click();
await at("/account");
await seen("account-factor");

await page.locator("form:has(input[value=sign_out]) button").click();
await at("/login");
await page.goto(`${ORIGIN}/api/orders`);
await at("/login?return_to=/api/orders");
await signIn(given.username, given.password);
await at("/mfa?return_to=/api/orders");
await seen("mfa");
await page.locator("#code").fill("000000");
await page.locator("main button").click();
await alerted("a wrong code");
await page.locator("#code").fill(code(secret, 1));
await page.locator("main button").click();
await at("/api/orders");

await page.goto(`${ORIGIN}/account`);
await page.locator("form:has(input[value=end_all]) button").click();
await at("/login");
await signIn(given.username, given.password);
await at("/mfa");
await page.locator("#code").fill(recoveryCode);
await page.locator("main button").click();
await at("/account");
equal(await page.locator(".rows li").count(), 1, "sessions that are left");

await browser.close();
