// A real OpenID Connect provider for the tests. It prints its issuer and runs until its input ends.
// `shape` says whose claims it plays: Okta says groups, Entra says roles.

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const { modules, shape, client, redirectUri, afterLogout, audience, people } = JSON.parse(process.env.PROVIDER);
const require = createRequire(`${modules}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

console.warn = () => {};
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const said = (id) => {
    const person = people[id] ?? { roles: [] };
    return shape === "okta" ? { groups: ["Everyone", ...person.roles] } : { roles: person.roles };
  };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: [afterLogout],
        grant_types: ["authorization_code", "client_credentials"],
        response_types: ["code"],
      },
    ],
    claims: {
      openid: ["sub", "groups", "roles"],
      profile: ["preferred_username"],
      email: ["email", "email_verified"],
    },
    conformIdTokenClaims: false,
    cookies: { keys: ["a key for the tests"] },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // The application's own tokens are for the API; what a login brings is for the login.
        defaultResource: ({ oidc }) =>
          oidc.params.grant_type === "client_credentials" ? audience : undefined,
        getResourceServerInfo: () => ({
          scope: "api",
          audience,
          accessTokenTTL: 600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
        useGrantedResource: () => true,
      },
    },
    extraTokenClaims: (_, token) => said(token.accountId ?? token.clientId),
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        preferred_username: id,
        email: `${id}@corp.test`,
        email_verified: true,
        ...said(id),
      }),
    }),
  });
  provider.on("server_error", (_, error) => console.error(error));
  server.on("request", provider.callback());
  console.log(issuer);
  // Nobody reads on.
  console.log = () => {};
  console.info = () => {};
});
process.stdin.on("end", () => process.exit(0)).resume();
