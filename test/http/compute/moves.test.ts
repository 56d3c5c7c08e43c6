import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostView, migrationView, moveOf } from './memory-cloud.ts';
import { openRig, PROJECT, type Rig } from './rig.ts';

const ADMIN = { token: 'admin' };
const AT = '2026-11-22T10:00:00.000Z';
let rig: Rig;
let id: string;

beforeEach(async () => {
  rig = await openRig();
  id = await rig.server();
  rig.cloud.hosts = [
    { ...hostView('host1', 1), abilities: ['moves', 'live'] },
    { ...hostView('host2', 2), abilities: ['moves', 'live'] },
  ];
});
afterEach(() => rig.close());

function act(version: string, body: object, who: object = ADMIN) {
  return rig.ask('POST', `/v2.1/servers/${id}/action`, { version, body, ...who });
}
const messageOf = (answer: { at(...path: string[]): unknown }): unknown => answer.at('badRequest', 'message');

describe('resize', () => {
  it('takes a flavor, shows the server as waiting, and is confirmed or reverted once', async () => {
    expect((await act('2.1', { resize: { flavorRef: '2', 'OS-DCF:diskConfig': 'AUTO' } }, {})).status).toBe(202);
    expect((await rig.ask('GET', `/v2.1/servers/${id}`)).at('server', 'status')).toBe('VERIFY_RESIZE');
    expect((await act('2.1', { confirmResize: null }, {})).status).toBe(204);
    expect((await act('2.1', { confirmResize: null }, {})).status).toBe(409);
    const { record } = rig.cloud.servers.get(id)!;
    rig.cloud.change(id, { vmState: 'resized', move: moveOf(record, 'resize') });
    expect((await act('2.1', { revertResize: null }, {})).status).toBe(202);
    rig.cloud.change(id, { vmState: 'resized', move: null });
    expect(messageOf(await act('2.1', { revertResize: null }, {}))).toBe('Instance has not been resized.');
  });

  it('refuses the size that it has, one that is unknown or no longer given, and a smaller disk', async () => {
    rig.cloud.addFlavor({ flavorId: 'off', disabled: true, rootGiB: 9 });
    rig.cloud.addFlavor({ flavorId: 'none', rootGiB: 0 });
    for (const [flavorRef, text] of [
      ['1', 'When resizing, instances must change flavor!'],
      ['nonsense', 'Flavor nonsense could not be found.'],
      ['off', 'Flavor off could not be found.'],
      ['none', 'Server disk was unable to be resized because: Resize to zero disk flavor is not allowed.'],
    ]) {
      const answer = await act('2.1', { resize: { flavorRef } }, {});
      expect([answer.status, messageOf(answer)]).toEqual([400, text]);
    }
    for (const resize of [{}, { flavorRef: '' }, { flavorRef: '2', more: 1 }, null]) expect((await act('2.1', { resize }, {})).status).toBe(400);
  });

  it('says by how much it is over the quota', async () => {
    await rig.ask('PUT', `/v2.1/os-quota-sets/${PROJECT}`, { ...ADMIN, body: { quota_set: { ram: 1_000 } } });
    const answer = await act('2.1', { resize: { flavorRef: '2' } }, {});
    expect([answer.status, answer.at('forbidden', 'message')]).toEqual([403, 'Quota exceeded for ram: Requested 1536, but already used 512 of 1000 ram']);
  });

  it('is refused while something else runs, where the server waits already, and while its host is away', async () => {
    rig.cloud.change(id, { taskState: 'rebooting' });
    expect((await act('2.1', { resize: { flavorRef: '2' } }, {})).status).toBe(409);
    rig.cloud.change(id, { taskState: null, vmState: 'paused' });
    expect((await act('2.1', { resize: { flavorRef: '2' } }, {})).text).toContain(`Cannot 'resize' instance ${id} while it is in vm_state paused`);
    rig.cloud.change(id, { vmState: 'active' });
    rig.cloud.hosts = [{ ...hostView('host1', 1), up: false }];
    expect((await act('2.1', { resize: { flavorRef: '2' } }, {})).status).toBe(409);
  });
});

describe('a migration', () => {
  it('takes a host from 2.56 on', async () => {
    for (const [version, argument, status] of [
      ['2.1', null, 202],
      ['2.55', { host: 'host2' }, 202],
      ['2.56', { host: 'host2' }, 202],
      ['2.56', { host: null }, 202],
      ['2.56', { host: 'nowhere' }, 400],
      ['2.56', { host: 'host1' }, 400],
      ['2.56', { hots: 'host2' }, 400],
      ['2.56', { host: 'a b' }, 400],
    ] as const) {
      rig.cloud.change(id, { vmState: 'active', move: null });
      expect((await act(version, { migrate: argument })).status, `${version} ${JSON.stringify(argument)}`).toBe(status);
    }
  });

  it('of a server that runs takes by version what the reference takes', async () => {
    const all = { host: 'host2', block_migration: false, disk_over_commit: false };
    for (const [version, argument, status] of [
      ['2.1', all, 202],
      ['2.24', { host: 'host2', block_migration: true }, 400],
      ['2.24', { ...all, block_migration: 'auto' }, 400],
      ['2.25', { host: 'host2', block_migration: 'auto' }, 202],
      ['2.25', all, 400],
      ['2.29', { host: 'host2', block_migration: 'auto', force: true }, 400],
      ['2.30', { host: 'host2', block_migration: 'auto', force: true }, 202],
      ['2.30', { host: null, block_migration: 'auto', force: true }, 400],
      ['2.67', { host: 'host2', block_migration: 'auto', force: 'false' }, 202],
      ['2.68', { host: 'host2', block_migration: 'auto', force: true }, 400],
      ['2.68', { host: null, block_migration: 'auto' }, 202],
      ['2.68', { block_migration: 'auto' }, 400],
      ['2.68', { host: 'host1', block_migration: 'auto' }, 400],
      ['2.68', { host: 'nowhere', block_migration: 'auto' }, 400],
    ] as const) {
      rig.cloud.change(id, { taskState: null, move: null });
      expect((await act(version, { 'os-migrateLive': argument })).status, `${version} ${JSON.stringify(argument)}`).toBe(status);
    }
  });

  it('of a server that runs, where hosts cannot do it, is refused at once up to 2.33, and later fails by itself', async () => {
    rig.cloud.hosts = [hostView('host1', 1), hostView('host2', 2)];
    const argument = { host: null, block_migration: 'auto' };
    expect(messageOf(await act('2.33', { 'os-migrateLive': argument }))).toMatch(/^Migration pre-check error: /);
    expect((await act('2.34', { 'os-migrateLive': argument })).status).toBe(202);
  });
});

describe('what is known of a live migration', () => {
  const path = (more = '') => `/v2.1/servers/${id}/migrations${more}`;
  beforeEach(() => {
    const progress = { memoryTotal: 100, memoryDone: 30, diskTotal: 50, diskDone: 20 };
    rig.cloud.change(id, { taskState: 'migrating' });
    rig.cloud.migrations = [
      migrationView(id, { id: 7, type: 'live-migration', status: 'running', progress }),
      migrationView(id, { id: 6, type: 'live-migration', status: 'completed' }),
      migrationView(id, { id: 5 }),
    ];
  });

  it('is shown while it runs, from 2.23 on', async () => {
    expect((await rig.ask('GET', path(), { ...ADMIN, version: '2.22' })).status).toBe(404);
    const list = await rig.ask('GET', path(), { ...ADMIN, version: '2.23' });
    expect(list.at('migrations')).toHaveLength(1);
    expect(list.at('migrations', 0)).toMatchObject({ id: 7, server_uuid: id, memory_total_bytes: 100, memory_remaining_bytes: 70, disk_remaining_bytes: 30 });
    expect(list.at('migrations', 0)).not.toHaveProperty('uuid');
    expect((await rig.ask('GET', path('/7'), { ...ADMIN, version: '2.80' })).at('migration')).toMatchObject({
      status: 'running',
      user_id: 'u',
      project_id: 'p',
    });
    for (const other of ['/6', '/5', '/99', '/x']) expect((await rig.ask('GET', path(other), { ...ADMIN, version: '2.23' })).status).toBe(404);
  });

  it('is hurried from 2.22 on, and only while it runs', async () => {
    const force = (number: string, version = '2.22') => rig.ask('POST', path(`/${number}/action`), { ...ADMIN, version, body: { force_complete: null } });
    expect((await force('7', '2.21')).status).toBe(404);
    expect((await force('7')).status).toBe(202);
    expect((await force('6')).status).toBe(400);
    expect((await force('99')).status).toBe(404);
    rig.cloud.change(id, { taskState: null });
    expect((await force('7')).status).toBe(409);
  });

  it('is called off from 2.24 on, one that has not begun to run from 2.65 on', async () => {
    const abort = (version: string) => rig.ask('DELETE', path('/7'), { ...ADMIN, version });
    expect((await abort('2.23')).status).toBe(404);
    rig.cloud.migrations = [migrationView(id, { id: 7, type: 'live-migration', status: 'preparing' })];
    expect(messageOf(await abort('2.64'))).toMatch(/is preparing\. Cannot abort live migration/);
    expect((await abort('2.65')).status).toBe(202);
    expect((await abort('2.65')).status).toBe(409);
  });
});

describe('the list of migrations', () => {
  const list = (query = '', version = '2.80', who: object = ADMIN) => rig.ask('GET', `/v2.1/os-migrations${query}`, { version, ...who });
  const uuids = ['', '1', '2'].map((_, i) => `0000000${i}-0000-4000-8000-000000000000`);
  beforeEach(() => {
    rig.cloud.migrations = [
      migrationView(id, { id: 3, uuid: uuids[0]!, type: 'live-migration', status: 'running', projectId: PROJECT }),
      migrationView(id, { id: 2, uuid: uuids[1]!, type: 'evacuation', status: 'done', source: 'host3', updatedAt: '2026-11-20T10:00:00.000Z' }),
      migrationView(id, { id: 1, uuid: uuids[2]!, userId: 'other' }),
    ];
  });
  const idsOf = async (query: string, version?: string) => ((await list(query, version)).at('migrations') as { id: number }[]).map((one) => one.id);

  it('has by version what the reference shows', async () => {
    const members = async (version: string, nth = 0) => Object.keys((await list('', version)).at('migrations', nth) as object);
    expect(await members('2.22')).not.toContain('migration_type');
    expect(await members('2.23')).toEqual(expect.arrayContaining(['migration_type', 'links']));
    expect(await members('2.23', 1)).not.toContain('links');
    expect(await members('2.58')).not.toContain('uuid');
    expect(await members('2.59')).toContain('uuid');
    expect(await members('2.79')).not.toContain('user_id');
    expect((await list()).at('migrations', 0)).toMatchObject({
      instance_uuid: id,
      created_at: AT.replace('.000Z', '.000000'),
      user_id: 'u',
      project_id: PROJECT,
    });
  });

  it('is filtered by all that it can be filtered by', async () => {
    expect(await idsOf('?status=done')).toEqual([2]);
    expect(await idsOf('?migration_type=resize')).toEqual([1]);
    expect(await idsOf('?host=host3')).toEqual([2]);
    expect(await idsOf('?source_compute=host1')).toEqual([3, 1]);
    expect(await idsOf(`?instance_uuid=${id}`)).toEqual([3, 2, 1]);
    expect(await idsOf('?user_id=other')).toEqual([1]);
    expect(await idsOf('?changes-since=2026-11-21T00:00:00Z')).toEqual([3, 1]);
    expect(await idsOf('?changes-before=2026-11-21T00:00:00Z')).toEqual([2]);
    expect(await idsOf('?hidden=1')).toEqual([]);
    expect(await idsOf('?anything=1', '2.58')).toEqual([3, 2, 1]);
    expect((await list('?anything=1', '2.59')).status).toBe(400);
    expect((await list('?changes-before=2026-11-21T00:00:00Z', '2.65')).status).toBe(400);
    expect((await list('?user_id=u', '2.79')).status).toBe(400);
    expect((await list('?changes-since=2026-11-23T00:00:00Z&changes-before=2026-11-22T00:00:00Z')).status).toBe(400);
  });

  it('comes in pages from 2.59 on', async () => {
    const first = await list('?limit=1', '2.59');
    expect([first.at('migrations', 0, 'id'), first.at('migrations_links', 0, 'href')]).toEqual([3, expect.stringContaining(`marker=${uuids[0]}`)]);
    expect(await idsOf(`?limit=1&marker=${uuids[0]}`)).toEqual([2]);
    expect(await idsOf('?limit=0')).toEqual([]);
    expect((await list('?marker=00000000-0000-4000-8000-00000000ffff')).status).toBe(400);
    expect((await list('?limit=-1')).status).toBe(400);
  });

  it('shows managers those of their project, without hosts', async () => {
    rig.tokens.add('manager', { roles: ['manager', 'member', 'reader'] });
    const answer = await list('', '2.80', { token: 'manager' });
    expect((answer.at('migrations') as object[]).length).toBe(1);
    expect(answer.at('migrations', 0)).toMatchObject({ id: 3, source_compute: null, dest_host: null });
  });
});
