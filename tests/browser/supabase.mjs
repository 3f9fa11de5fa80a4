// What unmodified @supabase/ssr writes into cookies for a session: its names and values, as JSON, for
// each encoding, small and large.

import { createRequire } from "node:module";

const { modules, url, token } = JSON.parse(process.env.SUPABASE);
const require = createRequire(`${modules}/`);
// Node 20 has none, and the library looks for it at once.
globalThis.WebSocket ??= class {};
const { createServerClient } = require("@supabase/ssr");

const written = {};
for (const cookieEncoding of ["base64url", "raw"]) {
  for (const size of ["small", "large"]) {
    const user = {
      id: "8d2f5b0e-1111-4222-8333-444455556666",
      aud: "authenticated",
      email: "ana@corp.test",
      user_metadata: { name: "Ana São João", about: size === "large" ? "ã".repeat(4000) : "" },
    };
    const cookies = new Map();
    const client = createServerClient(url, "anon", {
      cookieEncoding,
      cookies: {
        getAll: () => [...cookies].map(([name, value]) => ({ name, value })),
        setAll: (all) => all.forEach(({ name, value }) => cookies.set(name, value)),
      },
      global: { fetch: async () => Response.json(user) },
    });
    const { error } = await client.auth.setSession({ access_token: token, refresh_token: "r" });
    if (error) throw error;
    const kept = [...cookies].filter(([, value]) => value !== "");
    // As a browser sends what a framework wrote with `Set-Cookie`.
    written[`${cookieEncoding} ${size}`] = kept.map(
      ([name, value]) => [name, encodeURIComponent(value)],
    );
  }
}
console.log(JSON.stringify(written));
process.exit(0);
