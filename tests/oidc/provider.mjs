// The identity provider: oidc-provider, the certified implementation, on loopback. People log in there by name, and are asked
// nothing else.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

/** The audience of access tokens that are for Floe. */
export const AUDIENCE = 'https://floe.test/api';

/** A signing key of its own name. */
export function signingKey(kid, alg = 'ES256') {
  const { privateKey } =
    alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

/** People, and what the provider says of them; a test may send one away. */
export class People {
  #known = new Map([
    ['ann', { roles: ['staff'] }],
    ['boss', { roles: ['staff', 'admin'] }],
    ['guest', { roles: ['guest'] }],
  ]);

  find(id) {
    const person = this.#known.get(id);
    return person && { accountId: id, claims: () => ({ sub: id, roles: person.roles }) };
  }

  sendAway(id) {
    this.#known.delete(id);
  }
}

/** Tokens and grants: they outlive a change of keys, as in a provider's database. */
class Memory {
  static all = new Map();
  constructor(name) {
    this.name = name;
  }
  key(id) {
    return `${this.name}:${id}`;
  }
  async upsert(id, payload) {
    Memory.all.set(this.key(id), payload);
  }
  async find(id) {
    return Memory.all.get(this.key(id));
  }
  async findByUid(uid) {
    return [...Memory.all.values()].find((payload) => payload.uid === uid);
  }
  async consume(id) {
    const payload = Memory.all.get(this.key(id));
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    Memory.all.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of Memory.all) if (payload.grantId === grantId) Memory.all.delete(key);
  }
}

const COOKIES = [randomBytes(32).toString('hex')];

/** Starts the provider. `floe` is where Floe is. Gives its issuer, and how to stop it. */
export async function start({ port = 0, keys, people, floe, accessTokenS = 600, loginTokenS = 600 }) {
  const server = http.createServer();
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    adapter: Memory,
    jwks: { keys },
    cookies: { keys: COOKIES },
    clients: [
      {
        client_id: 'floe',
        client_secret: 'a secret between two',
        redirect_uris: [`${floe}/login/callback`],
        post_logout_redirect_uris: [`${floe}/`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'client_secret_basic',
        id_token_signed_response_alg: keys[0].alg,
      },
      {
        client_id: 'machine',
        client_secret: 'another secret',
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: [],
        id_token_signed_response_alg: keys[0].alg,
      },
    ],
    findAccount: (_context, id) => people.find(id),
    claims: { openid: ['sub', 'roles'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    issueRefreshToken: async (_context, client, code) =>
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    rotateRefreshToken: true,
    ttl: { AccessToken: loginTokenS, ClientCredentials: accessTokenS, IdToken: 600, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: async (_context, audience) => ({
          scope: 'talk',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: accessTokenS,
          jwt: { sign: { alg: keys[0].alg } },
        }),
      },
    },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  });
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/interaction/')) return answer(request, response);
    // The page where somebody would type a name; here a cookie says it.
    try {
      const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
      if (prompt.name === 'login') {
        const name = /who=([a-z]+)/.exec(request.headers.cookie ?? '')?.[1];
        return await provider.interactionFinished(request, response, { login: { accountId: name } });
      }
      const grant =
        (grantId && (await provider.Grant.find(grantId))) ||
        new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  const stop = () =>
    new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    });
  return { issuer, port: server.address().port, stop };
}

/** An access token of the machine's, for this audience. */
export async function accessToken(issuer, audience = AUDIENCE) {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from('machine:another%20secret').toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience, scope: 'talk' }),
  });
  const body = await response.json();
  if (!body.access_token) throw new Error(JSON.stringify(body));
  return body.access_token;
}
