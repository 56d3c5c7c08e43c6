/** Both embedded services over real HTTP on loopback, seeded, their records in a real PostgreSQL. */
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import type Koa from 'koa';
import { IDENTITY_SETTINGS, identityApi } from '../../../http/embedded/identity/api.ts';
import type { SeededIdentity } from '../../../http/embedded/identity/seed.ts';
import { seedIdentity } from '../../../http/embedded/identity/seed.ts';
import { IMAGE_SETTINGS, imageApi } from '../../../http/embedded/image/api.ts';
import { openTickets, type Tickets } from '../../../http/embedded/image/ticket.ts';
import type { TokenCheck } from '../../../http/embedded/image/parts.ts';
import { seedImage } from '../../../http/embedded/image/seed.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { Log } from '../../../runtime/base/log.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import type { Answer, Rig } from './rig.ts';
import { call, listen, openRig, TEST_COST } from './rig.ts';

export type Cloud = {
  rig: Rig;
  seeded: SeededIdentity;
  tinyId: string;
  identityUrl: string;
  imageUrl: string;
  blobs: string;
  tickets: Tickets;
  /** What the services logged as wrong. */
  complaints: string[];
  /** A token of a user on a project. */
  login(name: string, project: string): Promise<string>;
  tokens: TokenCheck;
  close(): Promise<void>;
};

export const PASSWORDS: { readonly [user: string]: string } = { admin: 'secret admin', demo: 'secret demo', nova: 'secret nova' };
export const REGION = 'RegionOne';

export async function openCloud(options: { sizeMaxBytes?: number; clock?: Clock } = {}): Promise<Cloud> {
  const rig = await openRig();
  const clock = options.clock ?? systemClock;
  const complaints: string[] = [];
  const late: { identity?: RequestListener; image?: RequestListener } = {};
  const identity = await listen((request, response) => late.identity?.(request, response));
  const image = await listen((request, response) => late.image?.(request, response));
  const blobs = join(rig.directory, 'images');
  const log = complainingLog(complaints);
  const seeded = await seedIdentity(rig.actors, {
    adminPassword: PASSWORDS['admin'] ?? '',
    demoPassword: PASSWORDS['demo'] ?? '',
    servicePassword: PASSWORDS['nova'] ?? '',
    region: REGION,
    random: systemRandom,
    passwordCost: TEST_COST,
    endpoints: [
      { type: 'identity', name: 'keystone', url: `${identity.url}/v3` },
      { type: 'image', name: 'glance', url: image.url },
      { type: 'compute', name: 'nova', url: `http://127.0.0.1:8774/v2.1` },
      { type: 'compute_legacy', name: 'nova_legacy', url: `http://127.0.0.1:8774/v2/$(project_id)s` },
    ],
  });
  const parts = { actors: rig.actors, clock, random: systemRandom, log };
  late.identity = listenerOf(identityApi({ ...parts, settings: { ...IDENTITY_SETTINGS, passwordCost: TEST_COST } }));
  const tinyId = await seedImage(rig.actors, { blobs, owner: seeded.adminProjectId, clock, random: systemRandom, node: 'one', url: image.url });
  const tokens: TokenCheck = async (token) => {
    const answer = await call('GET', `${identity.url}/v3/auth/tokens?nocatalog`, { token, headers: { 'x-subject-token': token } });
    if (answer.status !== 200) return null;
    const { token: body } = answer.body as unknown as { token: { user: { id: string }; project?: { id: string }; roles?: { name: string }[] } };
    return { userId: body.user.id, projectId: body.project?.id ?? null, roles: (body.roles ?? []).map((role) => role.name) };
  };
  const settings = { ...IMAGE_SETTINGS, ...(options.sizeMaxBytes === undefined ? {} : { sizeMaxBytes: options.sizeMaxBytes }) };
  const tickets = openTickets('a key of this cloud', clock);
  const { app, close: closeImage } = await imageApi({ ...parts, node: 'one', url: image.url, tickets, blobs, tokens, settings });
  late.image = listenerOf(app);
  return {
    rig,
    seeded,
    tinyId,
    identityUrl: identity.url,
    imageUrl: image.url,
    blobs,
    tickets,
    complaints,
    tokens,
    async login(name, project) {
      const answer = await authenticate(identity.url, {
        name,
        password: PASSWORDS[name] ?? name,
        scope: { project: { name: project, domain: { id: 'default' } } },
      });
      const token = answer.headers.get('x-subject-token');
      if (token === null) throw new Error(`no token for ${name}: ${answer.status} ${answer.text}`);
      return token;
    },
    async close() {
      await closeImage();
      await identity.close();
      await image.close();
      await rig.close();
    },
  };
}

export function authenticate(url: string, wish: { name: string; password: string; scope?: object | string }): Promise<Answer> {
  const password = { user: { name: wish.name, domain: { name: 'Default' }, password: wish.password } };
  return call('POST', `${url}/v3/auth/tokens`, {
    body: { auth: { identity: { methods: ['password'], password }, ...(wish.scope === undefined ? {} : { scope: wish.scope }) } },
  });
}

/** Koa answers every error itself; its promise never rejects. */
export function listenerOf(app: Koa): RequestListener {
  const run = app.callback();
  return (request, response) => void run(request, response);
}

function complainingLog(complaints: string[]): Log {
  const keep = (event: string, fields?: object): void =>
    void complaints.push(`${event} ${JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? value.stack : value))}`);
  const log: Log = { debug: () => undefined, info: () => undefined, warn: keep, error: keep, with: () => log };
  return log;
}
