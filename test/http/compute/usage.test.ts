import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openRig, OTHER_PROJECT, PROJECT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
});
beforeEach(() => rig.cloud.servers.clear());
afterAll(() => rig.close());

const ALL = '/v2.1/os-simple-tenant-usage';
const window = 'start=2020-11-22T10:00:00&end=2020-11-22T14:00:00';

async function ran(launchedAt: string, terminatedAt: string | null, more: object = {}): Promise<string> {
  const id = await rig.server();
  rig.cloud.change(id, { launchedAt, terminatedAt, ...(terminatedAt === null ? {} : { deleted: true, vmState: 'deleted' }), ...more });
  return id;
}

describe('use of servers', () => {
  it('is what lies in the window, to the second, also of servers that were deleted', async () => {
    const before = await ran('2020-11-22T09:00:00.000Z', '2020-11-22T11:30:00.000Z');
    await ran('2020-11-22T13:59:15.000Z', null, { projectId: OTHER_PROJECT });
    await ran('2020-11-22T08:00:00.000Z', '2020-11-22T10:00:00.000Z');
    const { body } = await rig.ask('GET', `${ALL}?detailed=1&${window}`, { token: 'admin' });
    expect(body).toMatchObject({
      tenant_usages: [
        {
          tenant_id: PROJECT,
          start: '2020-11-22T10:00:00.000000',
          stop: '2020-11-22T14:00:00.000000',
          total_hours: 1.5,
          total_memory_mb_usage: 768,
          total_vcpus_usage: 1.5,
          total_local_gb_usage: 1.5,
          server_usages: [
            {
              instance_id: before,
              hours: 1.5,
              uptime: 9_000,
              state: 'terminated',
              started_at: '2020-11-22T09:00:00.000000',
              ended_at: '2020-11-22T11:30:00.000000',
              flavor: 'm1.tiny',
              vcpus: 1,
              memory_mb: 512,
              local_gb: 1,
            },
          ],
        },
        { tenant_id: OTHER_PROJECT, total_hours: 45 / 3_600, server_usages: [{ state: 'active', ended_at: null }] },
      ],
    });
    const own = await rig.ask('GET', `${ALL}/${PROJECT}?${window}`);
    expect(own.at('tenant_usage', 'server_usages')).toHaveLength(1);
    expect((await rig.ask('GET', `${ALL}/${PROJECT}?start=2020-11-22T05:00:00&end=2020-11-22T06:00:00`)).body).toEqual({ tenant_usage: {} });
    expect((await rig.ask('GET', `${ALL}/${OTHER_PROJECT}?${window}`)).status).toBe(403);
  });

  it('ends now for who asks for more', async () => {
    await ran(new Date(Date.now() - 3_600_000).toISOString(), null);
    const { body } = await rig.ask('GET', `${ALL}/${PROJECT}?start=2020-01-01T00:00:00&end=2099-01-01T00:00:00`);
    expect(body).toMatchObject({ tenant_usage: { total_hours: expect.toSatisfy((hours: number) => hours >= 1 && hours < 1.1) } });
  });

  it('comes in pages of servers from 2.40 on', async () => {
    const ids = (await Promise.all([1, 2, 3].map(() => ran('2020-11-22T11:00:00.000Z', null)))).sort();
    const first = await rig.ask('GET', `${ALL}/${PROJECT}?limit=2&${window}`, { version: '2.40' });
    expect(first.at('tenant_usage', 'total_hours')).toBe(6);
    const next = String(first.at('tenant_usage_links', 0, 'href'));
    expect([first.at('tenant_usage_links', 0, 'rel'), new URL(next).searchParams.get('marker')]).toEqual(['next', ids[1]]);
    const second = await rig.ask('GET', next.slice(next.indexOf('/v2.1')), { version: '2.40' });
    expect([second.at('tenant_usage', 'server_usages', 0, 'instance_id'), second.at('tenant_usage_links')]).toEqual([ids[2], undefined]);
    expect((await rig.ask('GET', `${ALL}?marker=none&${window}`, { token: 'admin', version: '2.40' })).status).toBe(400);
    expect((await rig.ask('GET', `${ALL}?limit=2&${window}`, { token: 'admin', version: '2.39' })).at('tenant_usages', 0, 'total_hours')).toBe(9);
  });

  it('is refused for times that are none, or end before they begin', async () => {
    for (const query of ['start=yesterday', 'start=2020-11-22', 'end=2020-11-22T10:00:00', 'start=2020-11-22T11:00:00&end=2020-11-22T11:00:00']) {
      expect([query, (await rig.ask('GET', `${ALL}?${query}`, { token: 'admin' })).status]).toEqual([query, 400]);
    }
    const spaced = await rig.ask('GET', `${ALL}?start=2020-11-22%2010:00:00.5&end=2020-11-22T11:00:00.25`, { token: 'admin' });
    expect([spaced.status, (await rig.ask('GET', ALL, { token: 'admin' })).status]).toEqual([200, 200]);
  });
});
