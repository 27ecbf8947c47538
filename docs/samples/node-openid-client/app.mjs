// A platform in one file with openid-client 6. Its state is in memory: for reading, not for production.
//   npm install openid-client
//   ISSUER=... CLIENT_ID=... CLIENT_SECRET=... node app.mjs, then open http://127.0.0.1:19090/login
import * as http from 'node:http'
import { randomUUID } from 'node:crypto'
import * as client from 'openid-client'

const issuer = new URL(process.env.ISSUER)
const platform = process.env.PLATFORM ?? 'http://127.0.0.1:19090'
const config = await client.discovery(
  issuer,
  process.env.CLIENT_ID,
  { id_token_signed_response_alg: 'ES256' }, // as registered; the library expects RS256 where nothing is said
  client.ClientSecretBasic(process.env.CLIENT_SECRET),
  // plain http is for a provider on this machine's loopback only
  issuer.protocol === 'http:' ? { execute: [client.allowInsecureRequests] } : undefined,
)
client.enableNonRepudiationChecks(config) // check the ID token's signature too, not only TLS
const sessions = new Map() // cookie -> what the platform knows of this browser

const pages = {
  // Send the browser away with state, nonce and PKCE.
  async '/login'(session, url, answer) {
    session.checks = {
      pkceCodeVerifier: client.randomPKCECodeVerifier(),
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
    }
    answer.redirect(client.buildAuthorizationUrl(config, {
      redirect_uri: `${platform}/callback`,
      scope: 'openid profile edu offline_access',
      state: session.checks.expectedState,
      nonce: session.checks.expectedNonce,
      code_challenge: await client.calculatePKCECodeChallenge(session.checks.pkceCodeVerifier),
      code_challenge_method: 'S256',
    }))
  },

  // Redeem the code; the library compares state, nonce and iss and checks the ID token.
  async '/callback'(session, url, answer) {
    const checks = session.checks
    delete session.checks
    session.tokens = await client.authorizationCodeGrant(config, url, checks)
    const claims = session.tokens.claims()
    const userinfo = await client.fetchUserInfo(config, session.tokens.access_token, claims.sub)
    session.user = { iss: claims.iss, sub: claims.sub } // the account's key: never a name or a school
    answer.json({ id_token: claims, userinfo, scope: session.tokens.scope })
  },

  // Each refresh token is good once: store the new one before anything else.
  async '/refresh'(session, url, answer) {
    const old = session.tokens.refresh_token
    session.tokens = { id_token: session.tokens.id_token, ...(await client.refreshTokenGrant(config, old)) }
    answer.json({ renewed: session.tokens.refresh_token !== old })
  },

  // End the session here, then at the provider, which sends the browser back.
  async '/logout'(session, url, answer) {
    const hint = session.tokens.id_token
    for (const name of Object.keys(session)) delete session[name]
    answer.redirect(client.buildEndSessionUrl(config, {
      id_token_hint: hint,
      post_logout_redirect_uri: `${platform}/signed-out`,
    }))
  },

  async '/signed-out'(session, url, answer) {
    answer.json({ signed_out: true })
  },
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, platform)
  let cookie = /(?:^|; )platform=([^;]+)/.exec(request.headers.cookie ?? '')?.[1]
  if (!sessions.has(cookie)) sessions.set((cookie = randomUUID()), {})
  const headers = { 'set-cookie': `platform=${cookie}; Path=/; HttpOnly; SameSite=Lax` } // add Secure behind https
  const answer = {
    redirect: (to) => response.writeHead(303, { ...headers, location: to.href }).end(),
    json: (body, status = 200) =>
      response.writeHead(status, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify(body)),
  }
  try {
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined
    await (page ? page(sessions.get(cookie), url, answer) : answer.json({ error: 'no such page' }, 404))
  } catch (refused) {
    // `error` of the address or of the token endpoint, and the parameter and rule behind it
    answer.json({ error: refused.error ?? refused.code, rule: refused.error_description }, 400)
  }
}).listen(Number(new URL(platform).port), '127.0.0.1')
