/**
 * All routes under odd requests, for as long as `NOVACT_FUZZ_SECONDS` says (`npm run fuzz` has a longer time). What
 * fails prints its seed; `NOVACT_FUZZ_SEED` runs it again.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import { MICROVERSIONS } from '../../../http/compute/microversions.ts';
import { ROUTES } from '../../../http/compute/routes.ts';
import { ODD_TEXTS, oddRequests } from './fuzz.ts';
import type { OddRequest } from './fuzz.ts';
import { HOST_ID, NETWORK_ID } from './memory-cloud.ts';
import { IMAGE_ID, openRig, PROJECT } from './rig.ts';
import type { Answer, Rig } from './rig.ts';

const SECONDS = Number(process.env['NOVACT_FUZZ_SECONDS'] ?? 6);
const SEED = process.env['NOVACT_FUZZ_SEED'];
const LONG = SECONDS >= 60;
/** An answer takes milliseconds; whoever waits for this long hangs. */
const HANG_MS = 5_000;

const OBJECTS: { readonly [before: string]: string } = {
  '/flavors': '1',
  '/images': IMAGE_ID,
  '/os-networks': NETWORK_ID,
  '/os-tenant-networks': NETWORK_ID,
  '/os-quota-sets': PROJECT,
  '/os-simple-tenant-usage': PROJECT,
  '/os-hypervisors': HOST_ID,
  '/os-services': HOST_ID,
};

describe('whatever is sent', () => {
  let rig: Rig;
  let serverId: string;
  let server: Stored<InstanceRecord>;

  beforeAll(async () => {
    rig = await openRig();
    serverId = await rig.server();
    server = rig.cloud.change(serverId, {});
  });
  afterAll(() => rig.close());

  /** Every request meets the same cloud, so that a seed means the same again. */
  function freshen(): void {
    rig.cloud.servers.clear();
    rig.cloud.servers.set(serverId, server);
    rig.cloud.orders.clear();
    rig.cloud.limits.clear();
    rig.cloud.classLimits.clear();
    rig.cloud.flavors.clear();
    rig.cloud.addFlavor({ flavorId: '1', name: 'm1.tiny' });
    rig.images.images.clear();
    rig.images.add({ id: IMAGE_ID, owner: PROJECT });
  }

  async function send({ method, path, token, headers, raw }: OddRequest): Promise<Answer> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${HANG_MS} ms`)), HANG_MS);
    });
    try {
      return await Promise.race([rig.ask(method, path, { token, headers, ...(raw === undefined ? {} : { raw }) }), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Refusals have their form, bugs are none, and nothing of the platform was changed. */
  function expectSound(request: OddRequest, answer: Answer): void {
    expect(answer.status < 500 || answer.status === 501, `${answer.status} ${answer.text}`).toBe(true);
    if (answer.status >= 400) {
      const members = Object.values(answer.body ?? {});
      expect(members).toEqual([{ code: answer.status, message: expect.any(String) }]);
      expect(answer.text.length).toBeLessThan(20_000);
    }
    expect(answer.headers['x-openstack-request-id']).toMatch(/^req-/);
    expect(Reflect.get({}, 'polluted'), `polluted by ${JSON.stringify(request).slice(0, 500)}`).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
  }

  it(
    'no route breaks, hangs, or is led astray',
    async () => {
      const counts = new Map<number, number>();
      const requests = fc.oneof(...ROUTES.map((route) => oddRequests(route, (before) => (before === '/servers' ? serverId : (OBJECTS[before] ?? 'unknown')))));
      await fc.assert(
        fc.asyncProperty(requests, async (request) => {
          freshen();
          const answer = await send(request);
          counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
          expectSound(request, answer);
        }),
        { numRuns: 10_000_000, interruptAfterTimeLimit: SECONDS * 1_000, markInterruptAsFailure: false, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
      );
      if (process.env['NOVACT_FUZZ_SECONDS'] !== undefined) console.log('answers by status:', Object.fromEntries([...counts].sort(([a], [b]) => a - b)));
      // A run that is refused as a whole would show nothing.
      expect([...counts].filter(([status]) => status < 300).reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(20);
      expect(counts.get(400) ?? 0).toBeGreaterThan(20);
    },
    (SECONDS + 60) * 1_000,
  );

  it('each parameter of each route stands each odd text by itself', { timeout: 300_000 }, async () => {
    // All of them when there is time; otherwise those that were trouble elsewhere.
    const texts = LONG ? ODD_TEXTS : ['__proto__', '', '\ud800', 'a'.repeat(256), '9'.repeat(40)];
    for (const route of ROUTES.filter(({ method }) => method === 'GET')) {
      const path = route.path.replaceAll(/:[A-Za-z_]+/g, serverId);
      for (const name of Object.keys(route.query?.parameters ?? {})) {
        for (const text of texts) {
          freshen();
          const headers = { 'openstack-api-version': `compute 2.${Math.min(route.versions?.[1] ?? MICROVERSIONS.max, MICROVERSIONS.max)}` };
          const request = {
            method: 'GET',
            path: `/v2.1${path}?${name}=${encodeURIComponent(text.toWellFormed().slice(0, 2_000))}`,
            token: 'admin',
            headers,
            raw: undefined,
          };
          expectSound(request, await send(request));
        }
      }
    }
  });

  it('bodies of actions have one member, and one that there is', async () => {
    const bodies = fc.oneof(
      fc.constantFrom<unknown>(null, [], {}, 5, 'os-stop', { __proto__: null }, { constructor: {} }, { toString: null }, { 'os-stop': null, 'os-start': null }),
      fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        freshen();
        const answer = await rig.ask('POST', `/v2.1/servers/${serverId}/action`, { raw: JSON.stringify(body) });
        expect([answer.status, Object.keys(answer.body ?? {})], answer.text).toEqual([400, ['badRequest']]);
      }),
      { numRuns: 200 },
    );
  });
});
