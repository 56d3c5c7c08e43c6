/**
 * Lists of servers: every filter, who may use it from which version on, and every order. What the door asks of the
 * store is what is looked at.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ServerFilter, ServerSort } from '../../../actors/conductor/messages/read.ts';
import { openRig, OTHER_PROJECT, PROJECT } from './rig.ts';
import type { Answer, Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.server();
});
afterAll(() => rig.close());
beforeEach(() => {
  rig.cloud.listed.length = 0;
});

type Asked = { readonly answer: Answer; readonly filter: ServerFilter | undefined; readonly sort: readonly ServerSort[] | undefined };

async function list(query: string, version = '2.1', token = 'member'): Promise<Asked> {
  rig.cloud.listed.length = 0;
  const answer = await rig.ask('GET', `/v2.1/servers?${query}`, { version, token });
  const asked = rig.cloud.listed.at(-1);
  return { answer, filter: asked?.filter, sort: asked?.sort };
}

const IMAGE = '70a599e0-31e7-49b7-b260-868f441e862b';
/** Filter, its value, the member that the store is asked for, and the versions: for everybody from the first on. */
const FILTERS: readonly (readonly [query: string, member: keyof ServerFilter, value: unknown, forAllFrom: number])[] = [
  ['reservation_id=r-1', 'reservationId', 'r-1', 1],
  ['name=web', 'name', 'web', 1],
  [`image=${IMAGE}`, 'imageId', IMAGE, 1],
  ['flavor=7', 'flavorId', '7', 1],
  ['ip=10.20', 'ip', '10.20', 1],
  ['ip=%5E10%5C.20%5C.', 'ip', '10.20.', 1],
  ['ip6=fd00', 'ip6', 'fd00', 5],
  ['changes-since=2026-01-01T00:00:00Z', 'changedSinceMs', Date.UTC(2026, 0, 1), 1],
  ['changes-before=2026-01-01T00:00:00Z', 'changedBeforeMs', Date.UTC(2026, 0, 1), 66],
  ['tags=a,b', 'tags', ['a', 'b'], 26],
  ['tags-any=a,b', 'tagsAny', ['a', 'b'], 26],
  ['not-tags=a', 'notTags', ['a'], 26],
  ['not-tags-any=a', 'notTagsAny', ['a'], 26],
  ['locked=true', 'locked', true, 73],
  ['availability_zone=nova', 'zone', 'nova', 83],
  ['config_drive=true', 'configDrive', true, 83],
  ['config_drive=', 'configDrive', false, 83],
  ['key_name=key', 'keyName', 'key', 83],
  ['power_state=4', 'powerState', 'shutdown', 83],
  ['task_state=spawning', 'taskState', 'spawning', 83],
  ['vm_state=active', 'vmState', 'active', 83],
  ['user_id=u', 'userId', 'u', 83],
  ['hostname=web', 'hostname', 'web', 90],
];
const FOR_ADMINS: readonly (readonly [query: string, member: keyof ServerFilter, value: unknown])[] = [
  ['host=host1', 'host', 'host1'],
  ['node=host1', 'host', 'host1'],
  [`uuid=${IMAGE}`, 'ids', [IMAGE]],
  [`image_ref=${IMAGE}`, 'imageId', IMAGE],
  ['display_name=web', 'name', 'web'],
  ['deleted=true', 'deleted', true],
  ['deleted=nonsense', 'deleted', false],
];
const NOTHING: Partial<ServerFilter> = { projectId: PROJECT, deleted: false };

describe('a filter', () => {
  it.each(FILTERS)('%s is for administrators, and for everybody from its version on', async (query, member, value, from) => {
    const nothing = member === 'deleted' ? false : null;
    if (from > 1) {
      const before = await list(query, `2.${from - 1}`);
      if (from - 1 >= 75 && before.answer.status === 400) expect(before.answer.text).toContain('Additional properties');
      else expect([before.answer.status, before.filter?.[member]]).toEqual([200, nothing]);
    }
    expect((await list(query, `2.${from}`)).filter?.[member]).toEqual(value);
    expect((await list(query, '2.90', 'reader')).filter?.[member]).toEqual(value);
    expect((await list(query, `2.${Math.max(from, 73)}`, 'admin')).filter?.[member]).toEqual(value);
  });

  it.each(FOR_ADMINS)('%s is for administrators and is dropped in silence otherwise', async (query, member, value) => {
    expect((await list(query, '2.1', 'admin')).filter?.[member]).toEqual(value);
    const { answer, filter } = await list(query, '2.104');
    expect([answer.status, filter?.[member]]).toEqual([200, member === 'deleted' ? false : null]);
    expect(filter).toMatchObject(NOTHING);
  });

  it.each([
    'kernel_id=a',
    'ramdisk_id=a',
    'launch_index=0',
    'access_ip_v4=1',
    'access_ip_v6=f',
    'description=d',
    'display_description=d',
    'locked_by=x',
    'root_device_name=vda',
    'auto_disk_config=1',
    'soft_deleted=1',
    'progress=0',
  ])('%s is known to every version', async (query) => {
    for (const token of ['member', 'admin']) for (const version of ['2.1', '2.104']) expect((await list(query, version, token)).answer.status).toBe(200);
  });

  it('status takes every word in any case, several at once, and refuses others from 2.38 on', async () => {
    const words = [
      'ACTIVE',
      'BUILD',
      'DELETED',
      'ERROR',
      'HARD_REBOOT',
      'MIGRATING',
      'PASSWORD',
      'PAUSED',
      'REBOOT',
      'REBUILD',
      'RESCUE',
      'RESIZE',
      'REVERT_RESIZE',
      'SHELVED',
    ];
    const more = ['SHELVED_OFFLOADED', 'SHUTOFF', 'SOFT_DELETED', 'SUSPENDED', 'VERIFY_RESIZE'];
    for (const word of [...words, ...more]) {
      for (const text of [word, word.toLowerCase()]) expect((await list(`status=${text}`, '2.38', 'admin')).answer.status, text).toBe(200);
    }
    expect((await list('status=ACTIVE&status=error')).filter?.states?.map(({ vmState }) => vmState).sort()).toEqual(['active', 'error']);
    const old = await list('status=nonsense', '2.37');
    expect([old.answer.status, old.answer.at('servers'), old.filter]).toEqual([200, [], undefined]);
    expect((await list('status=nonsense', '2.38')).answer.status).toBe(400);
    expect([(await list('status=deleted')).answer.status, (await list('status=deleted', '2.1', 'admin')).filter?.deleted]).toEqual([403, true]);
  });

  it('of all projects is for administrators; an empty value says yes, and nonsense is refused', async () => {
    for (const yes of ['1', 'true', 'on', '']) {
      expect((await list(`all_tenants=${yes}`)).answer.at('forbidden', 'message')).toBe(
        "Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed.",
      );
      expect((await list(`all_tenants=${yes}`, '2.1', 'admin')).filter?.projectId).toBeNull();
    }
    for (const no of ['0', 'false']) expect((await list(`all_tenants=${no}`)).filter?.projectId).toBe(PROJECT);
    expect((await list('all_tenants=perhaps', '2.1', 'admin')).answer.status).toBe(400);
  });

  it('by project counts with all projects alone', async () => {
    for (const name of ['project_id', 'tenant_id']) {
      expect((await list(`${name}=${OTHER_PROJECT}&all_tenants=1`, '2.1', 'admin')).filter?.projectId).toBe(OTHER_PROJECT);
      expect((await list(`${name}=${OTHER_PROJECT}`, '2.1', 'admin')).filter?.projectId).toBe(PROJECT);
      expect((await list(`${name}=${OTHER_PROJECT}`)).filter?.projectId).toBe(PROJECT);
    }
  });

  it.each(['metadata', 'system_metadata', 'block_device_mapping', 'services', 'info_cache', 'security_groups', 'pci_devices', '_sa_instance_state'])(
    'by %s is refused where it would count, and dropped elsewhere',
    async (name) => {
      const refused = await list(`${name}=x`, '2.1', 'admin');
      expect([refused.answer.status, refused.answer.at('badRequest', 'message')]).toEqual([400, `Invalid filter field: ${name}.`]);
      expect((await list(`${name}=x`)).answer.status).toBe(200);
    },
  );

  it('that is unknown is ignored up to 2.74 and refused from 2.75 on', async () => {
    for (const token of ['member', 'admin']) {
      expect((await list('nonsense=1', '2.74', token)).answer.status).toBe(200);
      expect((await list('nonsense=1', '2.75', token)).answer.at('badRequest', 'message')).toBe(
        "Additional properties are not allowed ('nonsense' was unexpected)",
      );
    }
  });

  it.each([
    ['name=%5B', '2.1'],
    ['ip=(', '2.1'],
    ['changes-since=yesterday', '2.1'],
    ['changes-before=x', '2.66'],
    ['changes-since=2026-02-01T00:00:00Z&changes-before=2026-01-01T00:00:00Z', '2.66'],
    ['locked=perhaps', '2.73'],
    ['config_drive=perhaps', '2.83'],
    ['limit=-1', '2.1'],
    ['limit=x', '2.1'],
    ['marker=nonsense', '2.1'],
    ['marker=99999999-9999-4999-8999-999999999999', '2.1'],
    ['sort_dir=up', '2.1'],
    ['sort_key=secret', '2.1'],
    ['sort_key=uuid&sort_dir=asc&sort_dir=asc', '2.1'],
  ])('that makes no sense is refused: %s', async (query, version) => {
    const { answer } = await list(query, version);
    expect([answer.status, Object.keys(answer.body ?? {})]).toEqual([400, ['badRequest']]);
  });

  it('by changes shows deleted servers too, unless an administrator says otherwise', async () => {
    expect((await list('changes-since=2026-01-01')).filter?.deleted).toBeNull();
    expect((await list('changes-before=2026-01-01', '2.66')).filter?.deleted).toBeNull();
    expect((await list('changes-since=2026-01-01&deleted=false', '2.1', 'admin')).filter?.deleted).toBe(false);
    expect((await list('')).filter?.deleted).toBe(false);
  });
});

describe('an order', () => {
  const KEYS = [
    'access_ip_v4',
    'access_ip_v6',
    'auto_disk_config',
    'availability_zone',
    'config_drive',
    'created_at',
    'display_description',
    'display_name',
    'hostname',
    'image_ref',
    'instance_type_id',
    'kernel_id',
    'key_name',
    'launch_index',
    'launched_at',
    'power_state',
    'project_id',
    'ramdisk_id',
    'task_state',
    'terminated_at',
    'updated_at',
    'user_id',
    'uuid',
    'vm_state',
  ];
  const IGNORED =
    'architecture cell_name cleaned default_ephemeral_device default_swap_device deleted deleted_at disable_terminate ephemeral_gb ephemeral_key_uuid id key_data launched_on memory_mb os_type reservation_id root_gb shutdown_terminate user_data vcpus vm_mode'.split(
      ' ',
    );

  it('is newest first when nothing is said', async () => {
    expect((await list('')).sort).toEqual([{ key: 'createdAt', descending: true }]);
  });

  it.each(KEYS)('by %s is a different one for each', async (key) => {
    const { sort } = await list(`sort_key=${key}&sort_dir=asc`);
    expect(sort).toEqual([{ key: expect.any(String), descending: false }]);
    const others = await Promise.all(KEYS.filter((other) => other !== key).map(async (other) => (await list(`sort_key=${other}&sort_dir=asc`)).sort?.[0]?.key));
    expect(others).not.toContain(sort?.[0]?.key);
  });

  it('by hosts is for administrators', async () => {
    for (const key of ['host', 'node']) {
      expect((await list(`sort_key=${key}`)).answer.status).toBe(403);
      expect((await list(`sort_key=${key}`, '2.1', 'admin')).sort?.[0]?.key).toBe('host');
    }
  });

  it('by what never ordered anything is taken and orders nothing', async () => {
    for (const key of [...IGNORED, 'locked_by', 'progress', 'root_device_name']) {
      for (const version of ['2.1', '2.104']) expect((await list(`sort_key=${key}`, version)).sort, key).toEqual([{ key: 'createdAt', descending: true }]);
    }
  });

  it('by locks is there from 2.73 on', async () => {
    expect((await list('sort_key=locked', '2.72')).sort?.[0]?.key).toBe('createdAt');
    expect((await list('sort_key=locked', '2.73')).sort?.[0]?.key).toBe('locked');
  });

  it('of several keys takes each its direction, and the first for those that have none', async () => {
    expect((await list('sort_key=vm_state&sort_key=display_name&sort_key=uuid&sort_dir=asc&sort_dir=desc')).sort).toEqual([
      { key: 'vmState', descending: false },
      { key: 'name', descending: true },
      { key: 'id', descending: false },
    ]);
  });
});

describe('a page', () => {
  it('is as long as was asked and never longer than allowed, and nothing is the empty one', async () => {
    for (const [limit, wanted] of [
      ['1', 1],
      ['999', 999],
      ['1000', 1_000],
      ['100000', 1_000],
      ['999999999999999999', 1_000],
    ] as const) {
      rig.cloud.listed.length = 0;
      await list(`limit=${limit}`);
      expect(rig.cloud.listed.at(-1)?.limit).toBe(wanted);
    }
    expect((await list('limit=0')).answer.body).toEqual({ servers: [] });
  });

  it('has a link to the next one when it is full, with the same query', async () => {
    await rig.server();
    const { answer } = await list('limit=1&name=te&sort_key=uuid&sort_dir=asc');
    const [next] = answer.at('servers_links') as { rel: string; href: string }[];
    const url = new URL(next?.href ?? '');
    expect([next?.rel, url.pathname, url.searchParams.get('marker')]).toEqual(['next', '/v2.1/servers', answer.at('servers', 0, 'id')]);
    expect([url.searchParams.get('limit'), url.searchParams.get('name'), url.searchParams.get('sort_key')]).toEqual(['1', 'te', 'uuid']);
    expect((await list('limit=5')).answer.at('servers_links')).toBeUndefined();
  });
});
