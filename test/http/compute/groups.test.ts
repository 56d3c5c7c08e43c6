import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { IMAGE_ID, openRig, OTHER_PROJECT, PROJECT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  rig.tokens.add('stranger', { projectId: OTHER_PROJECT });
});
beforeEach(() => {
  rig.cloud.serverGroups.clear();
  rig.cloud.securityGroups.clear();
  rig.cloud.securityRules.clear();
  rig.cloud.servers.clear();
  rig.cloud.limits.clear();
});
afterAll(() => rig.close());

const GROUPS = '/v2.1/os-server-groups';
const make = (server_group: object, version = '2.64', token = 'member') => rig.ask('POST', GROUPS, { version, token, body: { server_group } });
const boot = (hints: object, version = '2.1') =>
  rig.ask('POST', '/v2.1/servers', { version, body: { server: { name: 'a', imageRef: IMAGE_ID, flavorRef: '1' }, 'os:scheduler_hints': hints } });

describe('server groups', () => {
  it('change their form with the version', async () => {
    const old = await make({ name: 'old', policies: ['anti-affinity'] }, '2.1');
    expect([old.status, old.body]).toEqual([
      200,
      { server_group: { id: expect.any(String), name: 'old', policies: ['anti-affinity'], members: [], metadata: {} } },
    ]);
    const made = await make({ name: 'new', policy: 'anti-affinity', rules: { max_server_per_host: '3' } });
    const id = String(made.at('server_group', 'id'));
    expect(made.body).toEqual({
      server_group: { id, name: 'new', policy: 'anti-affinity', rules: { max_server_per_host: 3 }, members: [], project_id: PROJECT, user_id: 'user-member' },
    });
    expect((await rig.ask('GET', `${GROUPS}/${id}`, { version: '2.13' })).body).toEqual({
      server_group: { id, name: 'new', policies: ['anti-affinity'], members: [], metadata: {}, project_id: PROJECT, user_id: 'user-member' },
    });
    expect((await rig.ask('DELETE', `${GROUPS}/${id}`)).status).toBe(204);
    const gone = await rig.ask('GET', `${GROUPS}/${id}`);
    expect([gone.status, gone.at('itemNotFound', 'message')]).toEqual([404, `Instance group ${id} could not be found.`]);
  });

  it('are refused when policy or rules are none', async () => {
    const attempts: [object, string][] = [
      [{ name: 'g', policies: ['soft-affinity'] }, '2.14'],
      [{ name: 'g', policies: [] }, '2.15'],
      [{ name: 'g', policies: ['affinity', 'anti-affinity'] }, '2.15'],
      [{ name: 'g', policy: 'affinity' }, '2.63'],
      [{ name: 'g', policies: ['affinity'] }, '2.64'],
      [{ name: 'g', policy: 'affinity', rules: { max_server_per_host: 2 } }, '2.64'],
      [{ name: 'g', policy: 'anti-affinity', rules: { max_server_per_host: 0 } }, '2.64'],
      [{ name: 'g', policy: 'anti-affinity', rules: { other: 1 } }, '2.64'],
      [{ name: ' g', policy: 'affinity' }, '2.64'],
      [{ policy: 'affinity' }, '2.64'],
    ];
    for (const [group, version] of attempts) expect([group, (await make(group, version)).status]).toEqual([group, 400]);
    expect((await make({ name: 'g', policies: ['soft-affinity'] }, '2.15')).status).toBe(200);
    expect((await make({ name: 'g', policy: 'affinity', rules: {} })).status).toBe(200);
  });

  it('are listed in slices, of all projects for administrators', async () => {
    for (const name of ['a', 'b', 'c']) await make({ name, policy: 'affinity' });
    await make({ name: 'd', policy: 'affinity' }, '2.64', 'stranger');
    const names = async (query: string, token = 'member') =>
      ((await rig.ask('GET', `${GROUPS}?${query}`, { token, version: '2.64' })).at('server_groups') as { name: string }[]).map(({ name }) => name);
    expect([await names(''), await names('limit=2'), await names('offset=1&limit=1'), await names('limit=0'), await names('all_projects=True')]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b'],
      ['b'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    expect(await names('all_projects=True', 'admin')).toEqual(['a', 'b', 'c', 'd']);
    expect((await rig.ask('GET', `${GROUPS}?limit=-1`)).status).toBe(400);
    expect((await rig.ask('GET', `${GROUPS}?other=1`, { version: '2.75' })).status).toBe(400);
    const [foreign] = [...rig.cloud.serverGroups.values()].filter(({ projectId }) => projectId === OTHER_PROJECT);
    expect((await rig.ask('GET', `${GROUPS}/${foreign?.id}`)).status).toBe(404);
    expect((await rig.ask('DELETE', `${GROUPS}/${foreign?.id}`)).status).toBe(404);
  });

  it('are no more than the quota, which limits shows', async () => {
    rig.cloud.limits.set(`${PROJECT}/`, { server_groups: 1 });
    expect((await make({ name: 'a', policy: 'affinity' })).status).toBe(200);
    const over = await make({ name: 'b', policy: 'affinity' });
    expect([over.status, over.at('forbidden', 'message')]).toEqual([403, 'Quota exceeded, too many server groups.']);
    expect((await rig.ask('GET', '/v2.1/limits')).at('limits', 'absolute')).toMatchObject({ maxServerGroups: 1, totalServerGroupsUsed: 1 });
    expect((await rig.ask('GET', `/v2.1/os-quota-sets/${PROJECT}/detail`)).at('quota_set', 'server_groups')).toEqual({ limit: 1, in_use: 1, reserved: 0 });
  });

  it('have the servers that were created in them, and are shown with them as long as they are there', async () => {
    const id = String((await make({ name: 'g', policy: 'affinity' })).at('server_group', 'id'));
    const made = await boot({ group: id, same_host: [] });
    expect(made.status, made.text).toBe(202);
    const server = String(made.at('server', 'id'));
    expect(rig.cloud.servers.get(server)?.record).toMatchObject({ group: { id }, schedulerHints: { group: id } });
    expect((await rig.ask('GET', `${GROUPS}/${id}`)).at('server_group', 'members')).toEqual([server]);
    const shown = async (version: string) => (await rig.ask('GET', `/v2.1/servers/${server}`, { version })).at('server', 'server_groups');
    expect([await shown('2.70'), await shown('2.71')]).toEqual([undefined, [id]]);
    await rig.ask('DELETE', `${GROUPS}/${id}`);
    expect(await shown('2.71')).toEqual([]);
  });

  it('that are not the project’s own take no server', async () => {
    const id = String((await make({ name: 'g', policy: 'affinity' }, '2.64', 'stranger')).at('server_group', 'id'));
    for (const group of [id, '44444444-4444-4444-8444-444444444444']) {
      const refused = await boot({ group });
      expect([refused.status, refused.at('badRequest', 'message')]).toEqual([400, `Instance group ${group} could not be found.`]);
    }
    expect((await boot({ group: 'no uuid' })).status).toBe(400);
  });
});

describe('security groups', () => {
  const RULES = '/v2.1/os-security-group-rules';
  const group = (name: string) => rig.ask('POST', '/v2.1/os-security-groups', { body: { security_group: { name, description: 'd' } } });

  it('have rules as they were asked for, or the whole of a group', async () => {
    const id = String((await group('web')).at('security_group', 'id'));
    const rule = (more: object) => rig.ask('POST', RULES, { body: { security_group_rule: { parent_group_id: id, ...more } } });
    const plain = await rule({ ip_protocol: 'TCP', from_port: '22', to_port: 23 });
    expect(plain.body).toEqual({
      security_group_rule: {
        id: expect.any(String),
        parent_group_id: id,
        ip_protocol: 'tcp',
        from_port: 22,
        to_port: 23,
        group: {},
        ip_range: { cidr: '0.0.0.0/0' },
      },
    });
    expect((await rule({ ip_protocol: 'udp', group_id: id })).at('security_group_rule')).toMatchObject({
      from_port: 1,
      to_port: 65_535,
      group: { name: 'web', tenant_id: PROJECT },
      ip_range: {},
    });
    expect((await rig.ask('GET', `/v2.1/os-security-groups/${id}`)).at('security_group', 'rules')).toHaveLength(2);
    for (const [wrong, says] of [
      [{ ip_protocol: 'tcp', from_port: 5, to_port: 4 }, /Former value cannot be greater/],
      [{ ip_protocol: 'tcp', from_port: 0, to_port: 4 }, /between 1-65535/],
      [{ ip_protocol: 'icmp', from_port: 0, to_port: 256 }, /type:code must be valid/],
      [{ ip_protocol: 'sctp', from_port: 1, to_port: 4 }, /Invalid IP protocol sctp/],
      [{ from_port: 1, to_port: 4 }, /Not enough parameters/],
      [{ ip_protocol: 'tcp', from_port: 'x', to_port: 4 }, /must be integers/],
      [{ ip_protocol: 'tcp', from_port: 1, to_port: 4, cidr: '10.0.0.0/33' }, /not a valid IP network/],
    ] as const) {
      const refused = await rule(wrong);
      expect([refused.status, refused.at('badRequest', 'message')]).toEqual([400, expect.stringMatching(says)]);
    }
    const ruleId = String(plain.at('security_group_rule', 'id'));
    expect((await rig.ask('DELETE', `${RULES}/${ruleId}`)).status).toBe(202);
    expect((await rig.ask('DELETE', `${RULES}/${ruleId}`)).status).toBe(404);
    expect((await rig.ask('DELETE', `${RULES}/x`)).status).toBe(400);
    expect((await rig.ask('GET', '/v2.1/os-security-groups', { version: '2.36' })).status).toBe(404);
  });

  it('are added to servers and taken away, each once', async () => {
    await rig.ask('GET', '/v2.1/os-security-groups');
    await group('web');
    const id = await rig.server();
    const act = (name: string, action = 'addSecurityGroup') => rig.ask('POST', `/v2.1/servers/${id}/action`, { body: { [action]: { name } } });
    expect([(await act('web')).status, (await act('web')).status, (await act('none')).status]).toEqual([202, 400, 404]);
    expect((await rig.ask('GET', `/v2.1/servers/${id}`)).at('server', 'security_groups')).toEqual([{ name: 'default' }, { name: 'web' }]);
    const listed = (await rig.ask('GET', `/v2.1/servers/${id}/os-security-groups`)).at('security_groups') as { name: string; id: string }[];
    expect(listed.map(({ name }) => name)).toEqual(['default', 'web']);
    expect([(await act('default', 'removeSecurityGroup')).status, (await act('default', 'removeSecurityGroup')).status]).toEqual([202, 400]);
  });

  it('are looked up by name or id when a server is created', async () => {
    const id = String((await group('web')).at('security_group', 'id'));
    const create = (name: string) =>
      rig.ask('POST', '/v2.1/servers', { body: { server: { name: 'a', imageRef: IMAGE_ID, flavorRef: '1', security_groups: [{ name }, { name: 'web' }] } } });
    expect((await create(id)).at('server', 'security_groups')).toEqual([{ name: 'web' }]);
    expect((await create('none')).at('badRequest', 'message')).toBe(`Security group none not found for project ${PROJECT}.`);
  });
});
