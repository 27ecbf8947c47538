// The OpenID Connect benchmark's peer: oidc-provider as its documentation sets it up, with what our provider does
// switched on here, too: signed ID tokens, PKCE, remembered grants, rotated refresh tokens, JWT access tokens for
// client_credentials. Bound to the loopback interface; the one person in it is invented.
//
//   PEER_PORT=7001 PEER_STORE=memory|redis PEER_REDIS_URL=redis://… PEER_CLIENT_ID=… PEER_CLIENT_SECRET=… PEER_REDIRECT_URI=… node peer.mjs
//
// Prints READY and its issuer once it listens.
import http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { env } = process;
const issuer = `http://127.0.0.1:${env.PEER_PORT}`;
const PERSON = 'person-1';
const SCOPES = ['openid', 'profile', 'offline_access'];

// What the library keeps under several names: a grant revokes its tokens, a session is found by its uid.
const byGrant = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);

class MemoryStore {
  // One map without a bound but its age: the store that the library ships forgets all but a thousand entries.
  static entries = new Map();
  static MOST = 400_000;

  constructor(kind) {
    this.kind = kind;
  }

  async upsert(id, payload) {
    const { entries } = MemoryStore;
    entries.set(`${this.kind}:${id}`, payload);
    if (payload.uid !== undefined && this.kind === 'Session') entries.set(`uid:${payload.uid}`, id);
    if (payload.grantId !== undefined && byGrant.has(this.kind)) {
      const ofGrant = entries.get(`grant:${payload.grantId}`) ?? [];
      if (ofGrant.length < 1000) ofGrant.push(`${this.kind}:${id}`);
      entries.set(`grant:${payload.grantId}`, ofGrant);
    }
    if (entries.size > MemoryStore.MOST) MemoryStore.forget();
  }

  static forget() {
    // The oldest codes and tokens go; sessions and grants stay. A Map keeps the order of insertion.
    let left = MemoryStore.MOST / 4;
    for (const key of MemoryStore.entries.keys()) {
      if (left === 0) break;
      left -= 1;
      if (byGrant.has(key.slice(0, key.indexOf(':')))) MemoryStore.entries.delete(key);
    }
  }

  async find(id) {
    return MemoryStore.entries.get(`${this.kind}:${id}`);
  }

  async findByUid(uid) {
    return this.find(MemoryStore.entries.get(`uid:${uid}`));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    MemoryStore.entries.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    MemoryStore.entries.delete(`${this.kind}:${id}`);
  }

  async revokeByGrantId(grantId) {
    for (const key of MemoryStore.entries.get(`grant:${grantId}`) ?? []) MemoryStore.entries.delete(key);
    MemoryStore.entries.delete(`grant:${grantId}`);
  }
}

async function redisStore(url) {
  const { default: Redis } = await import('ioredis');
  const redis = new Redis(url, { keyPrefix: 'peer:' });
  const consumable = new Set(['AuthorizationCode', 'RefreshToken']);
  // The commands of the library's own example of a Redis adapter: a hash for what can be consumed, a string for the
  // rest, one transaction a write.
  return class RedisStore {
    constructor(kind) {
      this.kind = kind;
    }

    key(id) {
      return `${this.kind}:${id}`;
    }

    async upsert(id, payload, expiresIn) {
      const key = this.key(id);
      const write = redis.multi();
      const text = JSON.stringify(payload);
      if (consumable.has(this.kind)) write.hset(key, 'payload', text);
      else write.set(key, text);
      if (expiresIn) write.expire(key, expiresIn);
      if (byGrant.has(this.kind) && payload.grantId !== undefined) {
        const ofGrant = `grant:${payload.grantId}`;
        write.rpush(ofGrant, key);
        write.ltrim(ofGrant, -1000, -1);
        write.expire(ofGrant, expiresIn);
      }
      if (this.kind === 'Session') write.set(`uid:${payload.uid}`, id, 'EX', expiresIn);
      await write.exec();
    }

    async find(id) {
      if (!consumable.has(this.kind)) {
        const text = await redis.get(this.key(id));
        return text === null ? undefined : JSON.parse(text);
      }
      const { payload, ...rest } = await redis.hgetall(this.key(id));
      return payload === undefined ? undefined : { ...JSON.parse(payload), ...rest };
    }

    async findByUid(uid) {
      const id = await redis.get(`uid:${uid}`);
      return id === null ? undefined : this.find(id);
    }

    async findByUserCode() {
      return undefined;
    }

    async consume(id) {
      await redis.hset(this.key(id), 'consumed', Math.floor(Date.now() / 1000));
    }

    async destroy(id) {
      await redis.del(this.key(id));
    }

    async revokeByGrantId(grantId) {
      const keys = await redis.lrange(`grant:${grantId}`, 0, -1);
      await redis.del(`grant:${grantId}`, ...keys);
    }
  };
}

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const signing = { ...(await exportJWK(privateKey)), kid: 'peer-es256', use: 'sig', alg: 'ES256' };

const provider = new Provider(issuer, {
  adapter: env.PEER_STORE === 'redis' ? await redisStore(env.PEER_REDIS_URL) : MemoryStore,
  jwks: { keys: [signing] },
  cookies: { keys: ['peer-cookie-key'] },
  clients: [
    {
      client_id: env.PEER_CLIENT_ID,
      client_secret: env.PEER_CLIENT_SECRET,
      redirect_uris: [env.PEER_REDIRECT_URI],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  enabledJWA: { idTokenSigningAlgValues: ['ES256', 'RS256'] },
  pkce: { required: () => true },
  scopes: [...SCOPES, 'statistics.read'],
  claims: { openid: ['sub'], profile: ['name', 'nickname'] },
  ttl: {
    AccessToken: 600,
    AuthorizationCode: 60,
    ClientCredentials: 600,
    Grant: 86_400,
    IdToken: 600,
    Interaction: 3600,
    RefreshToken: 86_400,
    Session: 86_400,
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Access tokens of persons stay opaque, those of client_credentials are JWTs, as with us.
      defaultResource: (ctx) => (ctx.oidc.params?.grant_type === 'client_credentials' ? `${issuer}/` : undefined),
      useGrantedResource: () => false,
      getResourceServerInfo: () => ({
        scope: 'statistics.read',
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  issueRefreshToken: async (ctx, client, code) => code.scopes.has('offline_access'),
  rotateRefreshToken: () => true,
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: '张三', nickname: '三同学' }),
  }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant(ctx) {
    const held = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
    if (held) return ctx.oidc.provider.Grant.find(held);
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope(SCOPES.join(' '));
    await grant.save();
    return grant;
  },
});
provider.on('server_error', (ctx, error) => console.error(error));

const answer = provider.callback();
const server = http.createServer((request, response) => {
  if (request.url.startsWith('/interaction/')) {
    // The person signs in and agrees to whatever is asked, once; what follows is measured.
    const result = { login: { accountId: PERSON }, consent: {} };
    provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false }).catch((error) => {
      console.error(error);
      response.writeHead(500).end();
    });
    return;
  }
  answer(request, response);
});
server.listen(Number(env.PEER_PORT), '127.0.0.1', () => console.log(`READY ${issuer}`));
process.on('SIGTERM', () => process.exit(0));
