/** Server groups and what a project has beside servers, on a whole cloud over HTTP: exact also when all comes at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settled } from '../chaos/checkers.ts';
import { tinyImage } from '../chaos/operations.ts';
import { startCloud, type Answer, type Cloud } from '../doubles/cloud.ts';

const HOSTS = 3;
const END_MS = 60_000;
type Made = { server: { id: string } };
type Group = { server_group: { id: string; members: string[] } };
type Shown = { id: string; status: string; hostId: string; fault?: { message: string } };

describe('a project', () => {
  let cloud: Cloud;
  let image: string;
  let token: string;
  let projectId: string;
  beforeAll(async () => {
    cloud = await startCloud({ args: ['--hosts', String(HOSTS)] });
    image = await tinyImage(cloud);
    token = await cloud.demoToken();
    const { body } = await cloud.api<{ projects: { id: string }[] }>('GET', `${cloud.urls.identity}/projects?name=demo`);
    projectId = body.projects[0]?.id ?? '';
  });
  afterAll(async () => await cloud?.close());

  const ask = <Body>(method: string, path: string, body?: object): Promise<Answer<Body>> =>
    cloud.api<Body>(method, path, body, { token, microversion: '2.74' });
  const makeGroup = (policy: string, rules?: object) =>
    ask<Group>('POST', '/os-server-groups', { server_group: { name: policy, policy, ...(rules && { rules }) } });
  const create = (group: string, more: object = {}) =>
    ask<Made>('POST', '/servers', { server: { name: 's', flavorRef: '42', imageRef: image, networks: 'auto', ...more }, 'os:scheduler_hints': { group } });
  const servers = async (): Promise<Shown[]> => (await ask<{ servers: Shown[] }>('GET', '/servers/detail')).body.servers;
  const active = async () => (await servers()).filter(({ status }) => status === 'ACTIVE');
  async function deleteAll(): Promise<void> {
    await Promise.all((await servers()).map(({ id }) => ask('DELETE', `/servers/${id}`)));
    expect(await settled(cloud, END_MS)).toEqual([]);
  }

  it('has no two servers of an anti-affinity group on a host, however many come at once, and the place of a deleted one again', async () => {
    const { id } = (await makeGroup('anti-affinity')).body.server_group;
    const answers = await Promise.all(Array.from({ length: HOSTS + 2 }, () => create(id)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
    expect(await settled(cloud, END_MS)).toEqual([]);
    const there = await active();
    expect([there.length, new Set(there.map(({ hostId }) => hostId)).size]).toEqual([HOSTS, HOSTS]);
    const failed = (await servers()).filter(({ status }) => status === 'ERROR');
    expect(failed.map(({ fault }) => fault?.message)).toEqual(Array(2).fill(expect.stringContaining(`ServerGroupAntiAffinityFilter ${HOSTS}`)));
    expect((await ask<Group>('GET', `/os-server-groups/${id}`)).body.server_group.members).toHaveLength(HOSTS + 2);

    await ask('DELETE', `/servers/${there[0]?.id}`);
    expect(await settled(cloud, END_MS)).toEqual([]);
    const again = await create(id);
    expect(await settled(cloud, END_MS)).toEqual([]);
    const shown = (await ask<{ server: Shown & { server_groups: string[] } }>('GET', `/servers/${again.body.server.id}`)).body.server;
    expect(shown).toMatchObject({ status: 'ACTIVE', hostId: there[0]?.hostId, server_groups: [id] });
    await deleteAll();
  });

  it('has all servers of an affinity group on one host, and so many of a ruled one as its rule says', async () => {
    const { id } = (await makeGroup('affinity')).body.server_group;
    await Promise.all(Array.from({ length: 4 }, () => create(id)));
    expect(await settled(cloud, END_MS)).toEqual([]);
    const together = await active();
    expect([together.length, new Set(together.map(({ hostId }) => hostId)).size]).toEqual([4, 1]);
    await deleteAll();
    const ruled = (await makeGroup('anti-affinity', { max_server_per_host: 2 })).body.server_group.id;
    await create(ruled, { min_count: 2 * HOSTS, max_count: 2 * HOSTS });
    expect(await settled(cloud, END_MS)).toEqual([]);
    const counts = new Map<string, number>();
    for (const { hostId } of await active()) counts.set(hostId, (counts.get(hostId) ?? 0) + 1);
    expect([...counts.values()]).toEqual(Array(HOSTS).fill(2));
    await deleteAll();
  });

  it('has as many server groups, members and key pairs as its quota lets be, whatever comes at once', async () => {
    const limits = { server_groups: 8, server_group_members: 2 };
    expect((await cloud.api('PUT', `/os-quota-sets/${projectId}`, { quota_set: limits }, { microversion: '2.74' })).status).toBe(200);
    const made = await Promise.all(Array.from({ length: 15 }, () => makeGroup('soft-anti-affinity')));
    const accepted = made.filter(({ status }) => status === 200);
    type Detail = { quota_set: { server_groups: { limit: number; in_use: number } } };
    const { quota_set } = (await ask<Detail>('GET', `/os-quota-sets/${projectId}/detail`)).body;
    expect(quota_set.server_groups).toEqual({ limit: 8, in_use: 8, reserved: 0 });
    const group = accepted[0]?.body.server_group.id ?? '';
    const orders = await Promise.all(Array.from({ length: 6 }, () => create(group)));
    expect(orders.map(({ status }) => status).sort()).toEqual([202, 202, 403, 403, 403, 403]);
    await cloud.api('PUT', `/os-quota-sets/${projectId}`, { quota_set: { key_pairs: 0 } }, { microversion: '2.74' });
    const key = await cloud.api('POST', '/os-keypairs', { keypair: { name: 'k' } }, { token, microversion: '2.2' });
    expect([key.status, key.body]).toEqual([403, { forbidden: { code: 403, message: 'Quota exceeded, too many key pairs.' } }]);
    expect(await settled(cloud, END_MS)).toEqual([]);
  });

  it('is asked of Identity before its quota is shown to administrators', async () => {
    const { status, body } = await cloud.api('GET', '/os-quota-sets/no-such-project');
    expect([status, body]).toEqual([400, { badRequest: { code: 400, message: 'Project ID no-such-project is not a valid project.' } }]);
  });

  it('is told what its servers used after they are gone, and what a running one counts', async () => {
    const [one] = await active();
    const counted = await cloud.api<{ state: string; num_cpus: number }>('GET', `/servers/${one?.id}/diagnostics`, undefined, { microversion: '2.48' });
    expect([counted.status, counted.body]).toMatchObject([200, { state: 'running', driver: expect.any(String), num_cpus: 1, nic_details: [{}] }]);
    await deleteAll();
    type Usage = { tenant_usage: { server_usages: { state: string; uptime: number; instance_id: string }[]; total_hours: number } };
    const { body } = await ask<Usage>('GET', `/os-simple-tenant-usage/${projectId}?start=2020-01-01T00:00:00`);
    const found = body.tenant_usage.server_usages.find(({ instance_id }) => instance_id === one?.id);
    expect(found).toMatchObject({ state: 'terminated', uptime: expect.any(Number) });
    expect(body.tenant_usage.total_hours).toBeGreaterThan(0);
  });

  it('has security groups, and quota for them', async () => {
    const groups = async () =>
      (await cloud.api<{ security_groups: { name: string }[] }>('GET', '/os-security-groups', undefined, { token })).body.security_groups;
    expect((await groups()).map(({ name }) => name)).toEqual(['default']);
    const make = (name: string) => cloud.api('POST', '/os-security-groups', { security_group: { name, description: 'd' } }, { token });
    const made = await Promise.all(Array.from({ length: 14 }, (_, n) => make(`g${n}`)));
    expect(made.filter(({ status }) => status === 200)).toHaveLength(9); // ten, with the default
    expect(await groups()).toHaveLength(10);
  });
});
