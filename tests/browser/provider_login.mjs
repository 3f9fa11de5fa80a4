// A person logs in through a provider, and comes back to where they wanted to go.

import { ORIGIN, equal, fail, given, launch, look, person } from "./browser.mjs";

const browser = await launch();
for (const { name, label } of given.providers) {
  for (const javaScriptEnabled of [true, false]) {
    const page = await person(browser, { javaScriptEnabled });
    await page.goto(`${ORIGIN}/api/x?provider=${name}`);
    equal(new URL(page.url()).pathname, "/login", "not signed in");
    if (javaScriptEnabled) await look(page, `sign-in-with-${name}`);
    await page.getByRole("link", { name: label }).click();
    await page.locator("input[name=login]").fill(given.username);
    await page.locator("input[name=password]").fill("any");
    await page.locator("button[type=submit]").click();
    // The provider asks whether we may know.
    await page.locator("button[type=submit]").click();
    await page.waitForURL(`${ORIGIN}/api/x?provider=${name}`);
    const cookies = await page.context().cookies(ORIGIN);
    const session = cookies.find((cookie) => cookie.name === "__Host-guarita-session");
    if (!session?.httpOnly || !session.secure || session.sameSite !== "Lax") fail("no safe cookie");
    // Whoever signs out is asked at the provider too, and has to log in there anew.
    await page.goto(`${ORIGIN}/account`);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.locator("button[name=logout]").click();
    await page.waitForURL(`${ORIGIN}/login`);
    const left = await page.context().cookies(ORIGIN);
    if (left.some((cookie) => cookie.name === "__Host-guarita-session")) fail("still signed in");
    await page.getByRole("link", { name: label }).click();
    await page.locator("input[name=login]").waitFor();
    await page.context().close();
  }
}
await browser.close();
process.exit(0);
