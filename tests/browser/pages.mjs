// Every page in one language, in each of the colour schemes that are given, as axe sees it.

import { ORIGIN, ask, code, given, launch, look, person } from "./browser.mjs";

const browser = await launch();
const token = new URL(await verification()).searchParams.get("token");

for (const colorScheme of given.schemes) {
  await all(given.locale, colorScheme);
}
await browser.close();
process.exit(0);

// A link as it is mailed; it is looked at, and never followed.
async function verification() {
  const page = await person(browser);
  await page.goto(`${ORIGIN}/verify-email`);
  await page.locator("#email").fill(given.email);
  await page.locator("main button").click();
  await page.locator("a.button").waitFor();
  const link = await ask("verification");
  await page.context().close();
  return link;
}

async function all(locale, colorScheme) {
  const page = await person(browser, { locale, colorScheme });
  const seen = (name) => look(page, `${locale}-${colorScheme}-${name}`);
  const press = async (form, shows) => {
    await page.locator(`${form} button`).first().click();
    await page.locator(shows).first().waitFor();
  };
  const visit = async (path, name) => {
    await page.goto(`${ORIGIN}${path}`);
    await seen(name);
  };

  await visit("/login", "login");
  await page.locator("#username").fill(given.username);
  await page.locator("#password").fill("not the password");
  await press("main", "[role=alert]");
  await seen("login-refused");
  await visit("/recover", "recover");
  await page.locator("#email").fill("nobody@example.test");
  await press("main", "a.button");
  await seen("recover-sent");
  await visit(`/reset?token=${token}`, "reset");
  await page.locator("#password").fill("some phrase that nobody knows");
  await press("main", "a.button");
  await seen("reset-void");
  await visit("/verify-email", "verify");
  await visit(`/verify-email?token=${token}`, "verify-link");

  await visit("/auth/oidc/nobody/callback?code=any&state=any", "provider-refused");
  await page.locator("main code").first().waitFor();

  await page.goto(`${ORIGIN}/login`);
  await page.locator("#username").fill(given.username);
  await page.locator("#password").fill(given.password);
  await press("main", "dl");
  await seen("account");
  await page.locator("summary").click();
  await seen("account-password");
  await press("form:has(input[value=enrol])", "figure svg");
  const secret = await page.locator("code.key").innerText();
  await seen("enrol");
  await page.locator("#code").fill(code(secret));
  await press("main", ".codes");
  await seen("codes");
  const codes = await page.locator(".codes code").allInnerTexts();
  await page.goto(`${ORIGIN}/account`);
  await seen("account-factor");
  await press("form:has(input[value=sign_out])", "#username");
  await page.locator("#username").fill(given.username);
  await page.locator("#password").fill(given.password);
  await press("main", "#code");
  await seen("mfa");
  await page.locator("#code").fill("000000");
  await press("main", "[role=alert]");
  await seen("mfa-refused");
  await page.locator("#code").fill(codes[0]);
  await press("main", "dl");
  await page.locator("#code").fill(codes[1]);
  await press("form:has(input[value=disable])", "form:has(input[value=enrol]) button");
  await press("form:has(input[value=end_all])", "#username");
  await page.context().close();
}
