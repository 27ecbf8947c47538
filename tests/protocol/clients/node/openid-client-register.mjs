// openid-client: registers itself with an initial access token (RFC 7591), then signs in as the client it became.
import * as client from 'openid-client'
import { browse, finish } from './conversation.mjs'

const { ISSUER, INITIAL_TOKEN, REDIRECT_URI } = process.env

const wanted = {
  redirect_uris: [REDIRECT_URI],
  client_name: 'A library of its own',
  token_endpoint_auth_method: 'client_secret_post',
  id_token_signed_response_alg: 'ES256',
  scope: 'openid profile',
}
const config = await client.dynamicClientRegistration(new URL(ISSUER), wanted, undefined, {
  initialAccessToken: INITIAL_TOKEN,
})
client.enableNonRepudiationChecks(config)
const registered = config.clientMetadata()
const verifier = client.randomPKCECodeVerifier()
const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() }
const back = await browse(client.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI,
  scope: 'openid profile',
  state: checks.expectedState,
  nonce: checks.expectedNonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
}))
const tokens = await client.authorizationCodeGrant(config, back, checks)
const claims = tokens.claims()
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
const own = { headers: { authorization: `Bearer ${registered.registration_access_token}` } }
const read = await (await fetch(registered.registration_client_uri, own)).json()
const removed = await fetch(registered.registration_client_uri, { method: 'DELETE', ...own })
finish({ client_id: registered.client_id, claims, userinfo, read: read.redirect_uris, removed: removed.status })
