// oauth4webapi: every request and every answer by hand, the authorization request pushed (RFC 9126).
import * as oauth from 'oauth4webapi'
import { browse, finish } from './conversation.mjs'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, ID_TOKEN_ALG, REDIRECT_URI, SIGNED_OUT } = process.env

const issuer = new URL(ISSUER)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc' }))
const plain = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' }))
const client = { client_id: CLIENT_ID, id_token_signed_response_alg: ID_TOKEN_ALG }
const authentication = oauth.ClientSecretBasic(CLIENT_SECRET)
const verifier = oauth.generateRandomCodeVerifier()
const state = oauth.generateRandomState()
const nonce = oauth.generateRandomNonce()
const pushed = await oauth.processPushedAuthorizationResponse(
  as,
  client,
  await oauth.pushedAuthorizationRequest(as, client, authentication, {
    response_type: 'code',
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile offline_access',
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }),
)
const to = new URL(as.authorization_endpoint)
to.searchParams.set('client_id', CLIENT_ID)
to.searchParams.set('request_uri', pushed.request_uri)
const back = await browse(to)
const parameters = oauth.validateAuthResponse(as, client, back, state)
const answer = await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, REDIRECT_URI, verifier)
const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, {
  expectedNonce: nonce,
  requireIdToken: true,
})
await oauth.validateApplicationLevelSignature(as, answer)
const claims = oauth.getValidatedIdTokenClaims(tokens)
const userinfo = await oauth.processUserInfoResponse(
  as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token),
)
const renewed = await oauth.processRefreshTokenResponse(
  as, client, await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token),
)
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, authentication, renewed.refresh_token),
)
const after = await oauth.processIntrospectionResponse(
  as, client, await oauth.introspectionRequest(as, client, authentication, renewed.access_token),
)
const end = new URL(as.end_session_endpoint)
end.searchParams.set('id_token_hint', tokens.id_token)
end.searchParams.set('post_logout_redirect_uri', SIGNED_OUT)
end.searchParams.set('state', 'bye')
const out = await browse(end)
finish({
  same: plain.issuer === as.issuer && plain.token_endpoint === as.token_endpoint,
  expires_in: pushed.expires_in,
  claims,
  userinfo,
  renewed: oauth.getValidatedIdTokenClaims(renewed).sub,
  after,
  out: out.href,
})
