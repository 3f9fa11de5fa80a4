// What a page's script sees of WebSockets: one by a ticket, one by the cookie, and how both end.

import { ORIGIN, equal, given, launch, person } from "./browser.mjs";

const browser = await launch();
const page = await person(browser);
await page.goto(`${ORIGIN}/public/page`);
const seen = await page.evaluate(async ({ username, password }) => {
  const post = (path, body, headers) =>
    fetch(path, {
      method: "POST",
      headers: body ? { "content-type": "application/json", ...headers } : headers,
      body: body && JSON.stringify(body),
    });
  const open = (target) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(location.origin.replace("https", "wss") + target);
      socket.onopen = () => resolve(socket);
      socket.onerror = () => reject(new Error(`${target} was refused`));
    });
  const echo = (socket) =>
    new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(data);
      socket.send("hello");
    });
  const end = (socket) =>
    new Promise((resolve) => {
      socket.onclose = ({ code, reason, wasClean }) => resolve(`${code} ${reason} ${wasClean}`);
    });
  await post("/auth/login", { username, password, cookie: true });
  const { csrfToken } = await (await fetch("/auth/csrf")).json();
  const proof = { "x-csrf-token": csrfToken };
  const { ticket } = await (await post("/auth/ws-ticket", { path: "/api/ws" }, proof)).json();
  const sockets = [await open(`/api/ws?ticket=${ticket}`), await open("/api/ws")];
  const heard = await Promise.all(sockets.map(echo));
  const ends = sockets.map(end);
  const out = await post("/auth/logout", undefined, proof);
  return { heard, out: out.status, ends: await Promise.all(ends) };
}, given);
equal(seen.heard.join(), "hello,hello", "what came back");
equal(seen.out, 204, "the sign-out");
equal(seen.ends.join("; "), "4401 session ended true; 4401 session ended true", "how they ended");
await browser.close();
process.exit(0);
