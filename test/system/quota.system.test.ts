/** Quota under concurrency, many at once, and the order that comes twice: on a whole cloud, over HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settled } from '../chaos/checkers.ts';
import { tinyImage } from '../chaos/operations.ts';
import { startCloud, type Answer, type Cloud } from '../doubles/cloud.ts';

const LIMIT = 20;
const END_MS = 30_000;
type Made = { server?: { id: string }; reservation_id?: string; forbidden?: { code: number; message: string } };
type Servers = { servers: { id: string; name: string; status: string }[] };
type Use = { quota_set: { [name in 'instances' | 'cores' | 'ram']: { in_use: number; limit: number } } };

describe('quota', () => {
  let cloud: Cloud;
  let image: string;
  let token: string;
  let projectId: string;
  beforeAll(async () => {
    cloud = await startCloud({ args: ['--set', `quotas.instances=${LIMIT}`, '--set', 'quotas.cores=-1', '--set', 'quotas.ram=-1'] });
    image = await tinyImage(cloud);
    token = await cloud.demoToken();
    const { body } = await cloud.api<{ projects: { id: string }[] }>('GET', `${cloud.urls.identity}/projects?name=demo`);
    projectId = body.projects[0]?.id ?? '';
  });
  afterAll(async () => await cloud?.close());

  function create(name: string, more: object = {}, headers: { readonly [name: string]: string } = {}): Promise<Answer<Made>> {
    const server = { name, flavorRef: '42', imageRef: image, networks: 'auto', ...more };
    return cloud.api<Made>('POST', '/servers', { server }, { token, microversion: '2.74', headers });
  }
  async function servers(): Promise<Servers['servers']> {
    return (await cloud.api<Servers>('GET', '/servers/detail', undefined, { token })).body.servers;
  }
  async function inUse(): Promise<[number, number]> {
    const { body } = await cloud.api<Use>('GET', `/os-quota-sets/${projectId}/detail`, undefined, { token });
    return [body.quota_set.instances.in_use, body.quota_set.instances.limit];
  }
  async function deleteAll(): Promise<void> {
    await Promise.all((await servers()).map(async ({ id }) => expect((await cloud.api('DELETE', `/servers/${id}`, undefined, { token })).status).toBe(204)));
    expect(await settled(cloud, END_MS)).toEqual([]);
  }

  it('accepts exactly as many as it allows, whatever comes at once, and refuses the rest cleanly', async () => {
    const answers = await Promise.all(Array.from({ length: 2 * LIMIT }, (_, n) => create(`rush-${n}`)));
    const refused = answers.filter(({ status }) => status !== 202);
    expect(answers.length - refused.length).toBe(LIMIT);
    for (const { status, body } of refused) {
      expect([status, body.forbidden]).toEqual([
        403,
        { code: 403, message: expect.stringMatching(/^Quota exceeded for instances: Requested 1, but already used 20 of 20 instances$/) },
      ]);
    }
    expect(await settled(cloud, END_MS)).toEqual([]);
    expect((await servers()).map(({ status }) => status)).toEqual(Array.from({ length: LIMIT }, () => 'ACTIVE'));
    expect(await inUse()).toEqual([LIMIT, LIMIT]);
  });

  it('is given back by deletes, at once', async () => {
    const [first, second] = await servers();
    for (const one of [first, second]) expect((await cloud.api('DELETE', `/servers/${one?.id}`, undefined, { token })).status).toBe(204);
    expect(await settled(cloud, END_MS)).toEqual([]);
    expect(await inUse()).toEqual([LIMIT - 2, LIMIT]);
    expect((await create('again')).status).toBe(202);
    await deleteAll();
    expect(await inUse()).toEqual([0, LIMIT]);
  });

  it('gives a multi-create between its least and its most, and nothing below the least', async () => {
    const all = await create('set', { min_count: 2, max_count: 5, return_reservation_id: true });
    expect([all.status, typeof all.body.reservation_id]).toEqual([202, 'string']);
    expect(await settled(cloud, END_MS)).toEqual([]);
    expect((await servers()).map(({ name, status }) => `${name} ${status}`).sort()).toEqual([1, 2, 3, 4, 5].map((n) => `set-${n} ACTIVE`));
    expect((await create('part', { min_count: 10, max_count: 30 })).status).toBe(202);
    expect(await settled(cloud, END_MS)).toEqual([]);
    expect(await inUse()).toEqual([LIMIT, LIMIT]);
    await deleteAll();
    const none = await create('none', { min_count: LIMIT + 1, max_count: LIMIT + 5 });
    expect([none.status, await servers()]).toEqual([403, []]);
    expect(await inUse()).toEqual([0, LIMIT]);
  });

  it('counts an order that comes again with its Idempotency-Key once, also when all come at once and after a restart', async () => {
    const key = { 'idempotency-key': 'the-same' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => create('once', {}, key)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
    await cloud.kill9();
    await cloud.restart();
    const later = await create('once', {}, key);
    expect(new Set([...answers, later].map(({ body }) => body.server?.id)).size).toBe(1);
    expect(await settled(cloud, END_MS)).toEqual([]);
    expect((await servers()).map(({ name }) => name)).toEqual(['once']);
    expect(await inUse()).toEqual([1, LIMIT]);
  });

  it('refuses another body under a used key, and keeps keys of projects apart', async () => {
    const key = { 'idempotency-key': 'the-same' };
    expect((await create('another', {}, key)).status).toBe(422);
    const server = { name: 'of-admin', flavorRef: '42', imageRef: image, networks: 'auto' };
    const other = await cloud.api<Made>('POST', '/servers', { server }, { microversion: '2.74', headers: key });
    expect(other.status).toBe(202);
    expect((await servers()).map(({ name }) => name)).toEqual(['once']);
    expect(await settled(cloud, END_MS)).toEqual([]);
  });
});
