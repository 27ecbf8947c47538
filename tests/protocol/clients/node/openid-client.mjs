// openid-client: discovery, code with PKCE, state, nonce and iss, refresh, introspection, revocation, sign-out.
import * as client from 'openid-client'
import { browse, finish } from './conversation.mjs'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, CLIENT_KEY, ID_TOKEN_ALG, REDIRECT_URI, SIGNED_OUT } = process.env

async function authentication() {
  if (CLIENT_SECRET) return client.ClientSecretBasic(CLIENT_SECRET)
  if (!CLIENT_KEY) return client.None()
  const der = Buffer.from(CLIENT_KEY, 'base64')
  const key = await crypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  return client.PrivateKeyJwt(key)
}

const metadata = { id_token_signed_response_alg: ID_TOKEN_ALG }
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, metadata, await authentication())
const verifier = client.randomPKCECodeVerifier()
const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() }
const back = await browse(client.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI,
  scope: 'openid profile edu offline_access',
  state: checks.expectedState,
  nonce: checks.expectedNonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
}))
client.enableNonRepudiationChecks(config) // the signature too, though the ID token came over TLS
const tokens = await client.authorizationCodeGrant(config, back, checks)
const claims = tokens.claims()
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
const confidential = Boolean(CLIENT_SECRET || CLIENT_KEY)
const before = confidential ? await client.tokenIntrospection(config, renewed.access_token) : null
await client.tokenRevocation(config, renewed.refresh_token)
const after = confidential ? await client.tokenIntrospection(config, renewed.access_token) : null
let refused = null
try {
  await client.refreshTokenGrant(config, renewed.refresh_token)
} catch (error) {
  refused = error.error
}
const out = await browse(client.buildEndSessionUrl(config, {
  id_token_hint: tokens.id_token,
  post_logout_redirect_uri: SIGNED_OUT,
  state: 'bye',
}))
finish({
  claims,
  userinfo,
  scope: tokens.scope,
  renewed: renewed.claims().sub,
  before,
  after,
  refused,
  out: out.href,
  iss: back.searchParams.get('iss'),
})
