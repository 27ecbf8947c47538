// openid-client: the device authorization grant (RFC 8628), polled as the library polls.
import * as client from 'openid-client'
import { approve, finish } from './conversation.mjs'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, ID_TOKEN_ALG } = process.env

const metadata = { id_token_signed_response_alg: ID_TOKEN_ALG }
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, metadata, client.ClientSecretBasic(CLIENT_SECRET))
client.enableNonRepudiationChecks(config)
const started = await client.initiateDeviceAuthorization(config, { scope: 'openid profile' })
await approve(started.verification_uri_complete)
const tokens = await client.pollDeviceAuthorizationGrant(config, started)
const claims = tokens.claims()
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
finish({ user_code: started.user_code, verification_uri: started.verification_uri, claims, userinfo })
