/** What can be undone, and for how long: soft deletes on a whole cloud, over a crash, with quota that is exact. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { invariants, settled } from '../chaos/checkers.ts';
import { tinyImage } from '../chaos/operations.ts';
import { startCloud, type Answer, type Cloud } from '../doubles/cloud.ts';

const LIMIT = 2;
/** Longer than a start takes, so that a server is still there after it. */
const RECLAIM_MS = 20_000;
const END_MS = 60_000;
const SOON = { timeout: 15_000, interval: 100 };

type Shown = { server: { id: string; status: string; 'OS-EXT-STS:task_state': string | null } };

describe('a soft delete', () => {
  let cloud: Cloud;
  let image: string;
  let token: string;
  beforeAll(async () => {
    cloud = await startCloud({ args: ['--set', `operations.reclaimAfterMs=${RECLAIM_MS}`, '--set', `quotas.instances=${LIMIT}`] });
    image = await tinyImage(cloud);
    token = await cloud.demoToken();
  });
  afterAll(async () => await cloud?.close());

  const ask = <Body>(method: string, path: string, body?: object): Promise<Answer<Body>> => cloud.api<Body>(method, path, body, { token });
  const act = async (id: string, body: object): Promise<number> => (await ask('POST', `/servers/${id}/action`, body)).status;
  async function create(): Promise<string> {
    const { status, body } = await ask<Shown>('POST', '/servers', { server: { name: 'one', flavorRef: '42', imageRef: image } });
    expect(status).toBe(202);
    await expect.poll(() => rest(body.server.id), SOON).toBe('ACTIVE');
    return body.server.id;
  }
  /** Its status when nothing runs on it any more; the code of the answer when it is not there. */
  async function rest(id: string): Promise<string | number | undefined> {
    const { status, body } = await ask<Shown>('GET', `/servers/${id}`);
    if (status !== 200) return status;
    return body.server['OS-EXT-STS:task_state'] === null ? body.server.status : undefined;
  }

  it('gives the quota back, is undone while there is quota, and ends in its time although the node was killed meanwhile', async () => {
    const [first, second] = [await create(), await create()];
    expect((await ask('DELETE', `/servers/${first}`)).status).toBe(204);
    await expect.poll(() => rest(first), SOON).toBe('SOFT_DELETED');
    expect((await ask<{ servers: unknown[] }>('GET', '/servers')).body.servers).toHaveLength(1);

    const third = await create(); // in its place
    const refused = await ask<{ forbidden: { message: string } }>('POST', `/servers/${first}/action`, { restore: null });
    expect([refused.status, refused.body.forbidden.message]).toEqual([403, 'Quota exceeded for instances: Requested 1, but already used 2 of 2 instances']);
    expect(await act(third, { forceDelete: null })).toBe(202);
    await expect.poll(() => rest(third), SOON).toBe(404);
    expect(await act(first, { restore: null })).toBe(202);
    await expect.poll(() => rest(first), SOON).toBe('ACTIVE');

    expect((await ask('DELETE', `/servers/${second}`)).status).toBe(204);
    await expect.poll(() => rest(second), SOON).toBe('SOFT_DELETED');
    await cloud.kill9();
    await cloud.restart();
    token = await cloud.demoToken();
    await expect.poll(() => rest(second), { timeout: END_MS, interval: 250 }).toBe(404);
    expect([await rest(first), await settled(cloud, END_MS), await invariants(cloud)]).toEqual(['ACTIVE', [], []]);
    const events = await ask<{ instanceActions: { action: string }[] }>('GET', `/servers/${second}/os-instance-actions`);
    expect(events.status).toBe(404);
    const later = await cloud.api<{ instanceActions: { action: string }[] }>('GET', `/servers/${second}/os-instance-actions`, undefined, {
      token,
      microversion: '2.21',
    });
    expect(later.body.instanceActions.map(({ action }) => action)).toEqual(['delete', 'delete', 'create']);
  });
});
