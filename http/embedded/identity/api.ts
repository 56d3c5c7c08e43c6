/**
 * The embedded Identity v3 service (conventional port 5000): small, correct, and nothing but what a compute cloud
 * needs — passwords and tokens, users, projects, roles, grants, catalog. No federation, trusts, groups or quotas.
 *
 * It reaches its records only through the conductor. Changes need the role `admin`; see `caller.ts`.
 */
import type Koa from 'koa';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Named } from '../../../actors/conductor/messages/identity.ts';
import type { Route } from '../wire.ts';
import { ownUrl, wireApp } from '../wire.ts';
import { authRoutes } from './auth-routes.ts';
import { renderIdentityError, unauthenticated } from './error.ts';
import { grantRoutes } from './grant-routes.ts';
import { openLoginLimit } from './login-limit.ts';
import type { Identity, IdentityParts } from './parts.ts';
import { openPasswords } from './password.ts';
import { recordRoutes } from './record-routes.ts';
import { openTokenDesk } from './token-desk.ts';

export { IDENTITY_SETTINGS } from './parts.ts';

/** The published limit of the API. */
const BODY_MAX_BYTES = 114_688;

export function identityApi(parts: IdentityParts): Koa {
  const { actors, clock, random, log, settings } = parts;
  const base = (ctx: Koa.Context): string => ownUrl(ctx, settings.publicUrl);
  const passwords = openPasswords(random, settings.passwordCost);
  const limit = openLoginLimit(clock);
  const desk = openTokenDesk({ actors, clock, random, tokenTtlMs: settings.tokenTtlMs, addresses: settings.addresses });

  async function checkPassword(user: Named, password: string): Promise<{ userId: string; passwordHash: string }> {
    const login = await actors.ask(CONDUCTOR, { type: 'identityLogin', user });
    const key = login?.userId ?? JSON.stringify(user);
    if (!limit.admit(key)) throw unauthenticated();
    const right = await passwords.matches(password, login?.passwordHash ?? null);
    if (!right || !login?.enabled || login.passwordHash === null) {
      limit.failed(key);
      throw unauthenticated();
    }
    limit.succeeded(key);
    return { userId: login.userId, passwordHash: login.passwordHash };
  }

  const identity: Identity = { ...parts, desk, passwords, base, checkPassword };
  const routes = [...discoveryRoutes(base), ...authRoutes(identity), ...recordRoutes(identity), ...grantRoutes(identity)];
  return wireApp({ routes, clock, random, log, bodyMaxBytes: BODY_MAX_BYTES, renderError: renderIdentityError(base) });
}

function discoveryRoutes(base: (ctx: Koa.Context) => string): Route[] {
  const version = (url: string): object => ({
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${url}/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  });
  return [
    [
      'GET',
      '/',
      ({ ctx }) => {
        ctx.status = 300;
        ctx.set('Location', `${base(ctx)}/v3/`);
        ctx.body = { versions: { values: [version(base(ctx))] } };
      },
    ],
    [
      'GET',
      '/v3',
      ({ ctx }) => {
        ctx.body = { version: version(base(ctx)) };
      },
    ],
  ];
}
