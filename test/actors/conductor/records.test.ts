import type { MikroORM } from '@mikro-orm/postgresql';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { switchFlavor } from '../../../actors/conductor/flavor-switch.ts';
import { migrate } from '../../../actors/conductor/migrations/migrate.ts';
import { openOrm } from '../../../actors/conductor/migrations/orm.ts';
import type { RecordProtocol } from '../../../actors/conductor/messages/record.ts';
import { readServe } from '../../../actors/conductor/reads/serve.ts';
import { inCell } from '../../../actors/conductor/records/in-cell.ts';
import { seedRecords } from '../../../actors/conductor/records/seed.ts';
import { recordServe } from '../../../actors/conductor/records/serve.ts';
import { QUOTA_DEFAULTS } from '../../../actors/model/quota.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { MessageWith } from '../../../runtime/actor/protocol.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';
import { insertHost, insertInstances, instanceRecord, uuidOf } from './rows.ts';

const CONTEXT = { signal: new AbortController().signal, commandId: undefined };
const SETTINGS = { quotas: QUOTA_DEFAULTS, serviceDownMs: 60_000, defaultZone: 'nova' };

let postgres: TestPostgres;
let template: string;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  template = postgres.url;
  await migrate({ url: template });
}, 60_000);
beforeEach((ctx) => ctx.skip(mayLackPostgres(), 'needs PostgreSQL'));
afterAll(() => postgres?.close());

/** A migrated database of its own for one test. */
async function freshCell() {
  const url = await postgres.database(template);
  const pool = new pg.Pool({ connectionString: url, max: 3 });
  pool.on('error', () => {});
  const orm: MikroORM = await openOrm(url);
  onTestFinished(async () => {
    await orm.close(true);
    await pool.end();
  });
  const parts = { pool, orm, clock: systemClock, settings: SETTINGS };
  const serve = recordServe(parts);
  const ask = <T extends keyof RecordProtocol>(message: MessageWith<RecordProtocol, T>) =>
    serve[message.type](message as never, CONTEXT) as Promise<RecordProtocol[T]['reply']>;
  const revision = async () => Number((await pool.query<{ revision: string }>('select revision from cell')).rows[0]?.revision);
  return { url, pool, orm, ask, revision, reads: readServe(parts) };
}

function flavorOf(flavorId: string, more: Partial<Flavor> = {}): Flavor {
  return {
    flavorId,
    name: `f-${flavorId}`,
    vcpus: 1,
    memoryMiB: 512,
    rootGiB: 1,
    ephemeralGiB: 0,
    swapMiB: 0,
    rxtxFactor: 1.5,
    isPublic: true,
    disabled: false,
    description: null,
    extraSpecs: {},
    ...more,
  };
}

const ALL = {
  projectId: null,
  isPublic: null,
  minMemoryMiB: null,
  minRootGiB: null,
  name: null,
  sort: { key: 'flavorId', descending: false },
  marker: null,
  limit: 100,
} as const;

describe('a change of records', () => {
  it('raises the revision of the cell by one, and a refused one by none', async () => {
    const { ask, revision } = await freshCell();
    await ask({ type: 'createFlavor', flavor: flavorOf('a') });
    expect(await revision()).toBe(1);
    await expect(ask({ type: 'createFlavor', flavor: flavorOf('a') })).rejects.toMatchObject({ code: 'conflict' });
    expect(await revision()).toBe(1);
    await ask({ type: 'listFlavors', ...ALL });
    expect(await revision()).toBe(1);
  });

  it('waits for the change before it, and is undone as a whole', async () => {
    const { orm, pool, revision } = await freshCell();
    const order: string[] = [];
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const entered = new Promise<void>((resolve) => {
      void inCell(orm, async () => {
        resolve();
        await held;
        order.push('first');
      });
    });
    await entered;
    const second = inCell(orm, async (em) => {
      order.push('second');
      await em.execute(`insert into quota_class values ('c', 'cores', 1)`, [], 'run');
      throw new Fault('conflict', 'changed.mind', 'No.');
    });
    release();
    await expect(second).rejects.toMatchObject({ reason: 'changed.mind' });
    expect(order).toEqual(['first', 'second']);
    expect(await revision()).toBe(1);
    expect((await pool.query('select * from quota_class')).rows).toEqual([]);
  });

  it('fails as unavailable when the database is away', async () => {
    const orm = await openOrm('postgres://nobody@127.0.0.1:1/none');
    await expect(inCell(orm, async () => undefined)).rejects.toMatchObject({ code: 'unavailable', reason: 'store.away' });
    await orm.close(true);
  });
});

describe('flavors', () => {
  it('are shown as they were made', async () => {
    const { ask } = await freshCell();
    const flavor = flavorOf('a', { description: 'small', extraSpecs: { 'hw:x': 'y', b: '1' }, ephemeralGiB: 2, swapMiB: 3 });
    expect(await ask({ type: 'createFlavor', flavor })).toEqual(flavor);
    expect(await ask({ type: 'showFlavor', flavorId: 'a', projectId: 'blue' })).toEqual(flavor);
    expect(await ask({ type: 'showFlavor', flavorId: 'none', projectId: null })).toBeNull();
  });

  it('refuse a used id and a used name, saying which', async () => {
    const { ask } = await freshCell();
    await ask({ type: 'createFlavor', flavor: flavorOf('a') });
    await ask({ type: 'createFlavor', flavor: flavorOf('b') });
    await expect(ask({ type: 'createFlavor', flavor: flavorOf('b', { name: 'f-a' }) })).rejects.toMatchObject({ message: 'Flavor with ID b already exists.' });
    await expect(ask({ type: 'createFlavor', flavor: flavorOf('c', { name: 'f-a' }) })).rejects.toMatchObject({
      code: 'conflict',
      message: 'Flavor with name f-a already exists.',
    });
    await expect(ask({ type: 'createFlavor', flavor: flavorOf('c', { vcpus: 0 }) })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('that are private are for the projects with access only', async () => {
    const { ask } = await freshCell();
    const flavor = flavorOf('p', { isPublic: false });
    await ask({ type: 'createFlavor', flavor });
    expect(await ask({ type: 'addFlavorAccess', flavorId: 'p', projectId: 'blue' })).toEqual(['blue']);
    expect(await ask({ type: 'addFlavorAccess', flavorId: 'p', projectId: 'alpha' })).toEqual(['alpha', 'blue']);
    await expect(ask({ type: 'addFlavorAccess', flavorId: 'p', projectId: 'blue' })).rejects.toMatchObject({
      code: 'conflict',
      message: 'Flavor access already exists for flavor p and project blue combination.',
    });
    expect(await ask({ type: 'showFlavor', flavorId: 'p', projectId: 'blue' })).toEqual(flavor);
    expect(await ask({ type: 'showFlavor', flavorId: 'p', projectId: 'red' })).toBeNull();
    expect(await ask({ type: 'listFlavors', ...ALL, projectId: 'blue' })).toHaveLength(1);
    expect(await ask({ type: 'listFlavors', ...ALL, projectId: 'red' })).toHaveLength(0);
    expect(await ask({ type: 'listFlavorAccess', flavorId: 'p' })).toEqual(['alpha', 'blue']);
    expect(await ask({ type: 'removeFlavorAccess', flavorId: 'p', projectId: 'blue' })).toEqual(['alpha']);
    await expect(ask({ type: 'removeFlavorAccess', flavorId: 'p', projectId: 'blue' })).rejects.toMatchObject({ code: 'notFound', reason: 'flavor.access' });
    await expect(ask({ type: 'listFlavorAccess', flavorId: 'none' })).rejects.toMatchObject({ code: 'notFound' });
    await ask({ type: 'deleteFlavor', flavorId: 'p' });
    await expect(ask({ type: 'deleteFlavor', flavorId: 'p' })).rejects.toMatchObject({ code: 'notFound', message: 'Flavor p could not be found.' });
  });

  it('come filtered, sorted and page by page', async () => {
    const { ask } = await freshCell();
    for (const [id, memoryMiB, rootGiB] of [
      ['d', 512, 1],
      ['a', 1024, 9],
      ['c', 512, 5],
      ['b', 2048, 0],
    ] as const) {
      await ask({ type: 'createFlavor', flavor: flavorOf(id, { memoryMiB, rootGiB, isPublic: id !== 'c' }) });
    }
    const ids = async (more: Partial<RecordProtocol['listFlavors']['body']>) =>
      (await ask({ type: 'listFlavors', ...ALL, ...more })).map((flavor) => flavor.flavorId);
    expect(await ids({})).toEqual(['a', 'b', 'c', 'd']);
    expect(await ids({ sort: { key: 'memoryMiB', descending: true } })).toEqual(['b', 'a', 'c', 'd']);
    expect(await ids({ sort: { key: 'memoryMiB', descending: false }, limit: 2 })).toEqual(['d', 'c']);
    expect(await ids({ sort: { key: 'memoryMiB', descending: false }, marker: 'd', limit: 2 })).toEqual(['c', 'a']);
    expect(await ids({ sort: { key: 'isPublic', descending: false }, marker: 'c' })).toEqual(['d', 'a', 'b']);
    expect(await ids({ minMemoryMiB: 1024 })).toEqual(['a', 'b']);
    expect(await ids({ minRootGiB: 5 })).toEqual(['a', 'c']);
    expect(await ids({ isPublic: false })).toEqual(['c']);
    expect(await ids({ name: '-a' })).toEqual(['a']);
    expect(await ids({ name: '%' })).toEqual([]);
    expect(await ids({ limit: 0 })).toEqual([]);
    await expect(ids({ marker: 'x' })).rejects.toMatchObject({ code: 'invalid', reason: 'marker', message: 'marker [x] not found' });
  });

  it('change their description and specs', async () => {
    const { ask } = await freshCell();
    await ask({ type: 'createFlavor', flavor: flavorOf('a', { extraSpecs: { one: '1' } }) });
    expect(await ask({ type: 'updateFlavor', flavorId: 'a', description: 'new' })).toMatchObject({ description: 'new' });
    expect(await ask({ type: 'setFlavorSpecs', flavorId: 'a', specs: { one: '2', two: '3' } })).toMatchObject({ extraSpecs: { one: '2', two: '3' } });
    await ask({ type: 'deleteFlavorSpec', flavorId: 'a', key: 'one' });
    expect(await ask({ type: 'showFlavor', flavorId: 'a', projectId: null })).toMatchObject({ description: 'new', extraSpecs: { two: '3' } });
    await expect(ask({ type: 'deleteFlavorSpec', flavorId: 'a', key: 'one' })).rejects.toMatchObject({
      code: 'notFound',
      message: 'Flavor a has no extra specs with key one.',
    });
    await expect(ask({ type: 'updateFlavor', flavorId: 'x', description: null })).rejects.toMatchObject({ code: 'notFound' });
  });
});

describe('key pairs', () => {
  const keyPair = (name: string) => ({ userId: 'ann', name, type: 'ssh', publicKey: `ssh-rsa ${name}`, fingerprint: 'aa:bb' }) as const;

  it('are one per user and name, listed by name', async () => {
    const { ask } = await freshCell();
    for (const name of ['c', 'a', 'b']) await ask({ type: 'createKeyPair', keyPair: keyPair(name), projectId: 'blue' });
    const made = await ask({ type: 'createKeyPair', keyPair: { ...keyPair('a'), userId: 'bob' }, projectId: 'blue' });
    expect(made).toEqual({ ...keyPair('a'), userId: 'bob', id: expect.any(Number), createdAt: expect.stringMatching(/^\d{4}-.*Z$/) });
    expect(await ask({ type: 'showKeyPair', userId: 'bob', name: 'a' })).toEqual(made);
    await expect(ask({ type: 'createKeyPair', keyPair: keyPair('a'), projectId: 'blue' })).rejects.toMatchObject({
      code: 'conflict',
      message: `Key pair 'a' already exists.`,
    });
    const names = async (marker: string | null, limit: number | null) =>
      (await ask({ type: 'listKeyPairs', userId: 'ann', marker, limit })).map(({ name }) => name);
    expect(await names(null, null)).toEqual(['a', 'b', 'c']);
    expect(await names('a', 1)).toEqual(['b']);
    await expect(names('z', 1)).rejects.toMatchObject({ code: 'invalid', reason: 'marker' });
    await ask({ type: 'deleteKeyPair', userId: 'ann', name: 'a' });
    expect(await ask({ type: 'showKeyPair', userId: 'ann', name: 'a' })).toBeNull();
    await expect(ask({ type: 'deleteKeyPair', userId: 'ann', name: 'a' })).rejects.toMatchObject({
      code: 'notFound',
      message: 'Keypair a not found for user ann',
    });
  });

  it('are never more than the limit, whatever the concurrency', async () => {
    const { url, pool, ask } = await freshCell();
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { key_pairs: 9 } });
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: 'ann', limits: { key_pairs: 5 } });
    const other = await openOrm(url); // as another control node
    const elsewhere = recordServe({ pool, orm: other, clock: systemClock, settings: SETTINGS });
    const tries = Array.from({ length: 16 }, (_, i) =>
      i % 2 === 0
        ? ask({ type: 'createKeyPair', keyPair: keyPair(`k${i}`), projectId: 'blue' })
        : elsewhere.createKeyPair({ type: 'createKeyPair', keyPair: keyPair(`k${i}`), projectId: 'blue' }, CONTEXT),
    );
    const ends = await Promise.allSettled(tries);
    await other.close(true);
    expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(5);
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'overQuota', message: 'Quota exceeded, too many key pairs.' });
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: 'ann', limits: { key_pairs: -1 } });
    expect(await ask({ type: 'createKeyPair', keyPair: keyPair('free'), projectId: 'blue' })).toMatchObject({ name: 'free' });
  });
});

describe('quota limits', () => {
  it('are set for projects, users and classes, and reset', async () => {
    const { ask, reads } = await freshCell();
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { cores: 1, ram: -1 } });
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { cores: 2 } });
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: 'ann', limits: { cores: 1 } });
    await ask({ type: 'setQuotaClass', name: 'default', limits: { instances: 7 } });
    expect(await ask({ type: 'showQuotaLimits', projectId: 'blue', userId: null })).toEqual({ cores: 2, ram: -1 });
    expect(await ask({ type: 'showQuotaLimits', projectId: 'blue', userId: 'ann' })).toEqual({ cores: 1 });
    expect(await ask({ type: 'showQuotaClass', name: 'default' })).toEqual({ instances: 7 });
    const { limits } = await reads.showQuota({ type: 'showQuota', projectId: 'blue', userId: 'ann' }, CONTEXT);
    expect(limits).toMatchObject({ cores: 1, ram: -1, instances: 7, key_pairs: QUOTA_DEFAULTS.key_pairs });
    await ask({ type: 'resetQuotaLimits', projectId: 'blue', userId: 'ann' });
    expect(await ask({ type: 'showQuotaLimits', projectId: 'blue', userId: null })).toEqual({ cores: 2, ram: -1 });
    await ask({ type: 'resetQuotaLimits', projectId: 'blue', userId: null });
    expect(await ask({ type: 'showQuotaLimits', projectId: 'blue', userId: null })).toEqual({});
    await expect(ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { coffee: 1 } as never })).rejects.toMatchObject({ code: 'invalid' });
    await expect(ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { cores: -2 } })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('server groups', () => {
  const group = (nth: number, more: object = {}) => ({
    group: { id: uuidOf(nth), projectId: 'blue', userId: 'ann', name: `g${nth}`, policy: 'affinity', perHost: null, ...more } as const,
  });

  it('are listed oldest first with the servers that live in them, and leave their servers', async () => {
    const { pool, ask } = await freshCell();
    for (const nth of [2, 1]) await ask({ type: 'createServerGroup', ...group(nth) });
    await ask({ type: 'createServerGroup', ...group(3, { projectId: 'red', policy: 'anti-affinity', perHost: 2 }) });
    const inGroup = { group: { id: uuidOf(1) } };
    await insertInstances(
      pool,
      [instanceRecord(12, inGroup), instanceRecord(11, inGroup), instanceRecord(13, { ...inGroup, deleted: true, vmState: 'deleted' })],
      1,
    );
    expect(await ask({ type: 'showServerGroup', id: uuidOf(1) })).toEqual({ ...group(1).group, members: [uuidOf(11), uuidOf(12)] });
    const names = async (projectId: string | null, offset: number, limit: number) =>
      (await ask({ type: 'listServerGroups', projectId, offset, limit })).map(({ name }) => name);
    expect([await names('blue', 0, 9), await names('blue', 1, 9), await names(null, 0, 9), await names(null, 1, 1)]).toEqual([
      ['g2', 'g1'],
      ['g1'],
      ['g2', 'g1', 'g3'],
      ['g1'],
    ]);
    await ask({ type: 'deleteServerGroup', id: uuidOf(1) });
    expect(await ask({ type: 'showServerGroup', id: uuidOf(1) })).toBeNull();
    await expect(ask({ type: 'deleteServerGroup', id: uuidOf(1) })).rejects.toMatchObject({ code: 'notFound' });
    expect((await pool.query('select count(*)::int as n from instance')).rows).toEqual([{ n: 3 }]);
  });

  it('are never more than project and user may have, whatever the concurrency', async () => {
    const { ask, reads } = await freshCell();
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { server_groups: 5 } });
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: 'ann', limits: { server_groups: 3 } });
    const many = (from: number, userId: string) => Array.from({ length: 8 }, (_, i) => ask({ type: 'createServerGroup', ...group(from + i, { userId }) }));
    const ends = await Promise.allSettled([...many(1, 'ann'), ...many(11, 'bob')]);
    expect(ends.filter((end) => end.status === 'fulfilled')).toHaveLength(5);
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'overQuota', message: 'Quota exceeded, too many server groups.' });
    const { serverGroups, ofUsers } = await reads.showQuota({ type: 'showQuota', projectId: 'blue', userId: null }, CONTEXT);
    expect([serverGroups, ofUsers]).toEqual([5, { server_groups: 3 }]);
    expect((await reads.showQuota({ type: 'showQuota', projectId: 'blue', userId: 'ann' }, CONTEXT)).serverGroups).toBeLessThanOrEqual(3);
  });
});

describe('security groups', () => {
  const made = (nth: number, name: string) => ({ group: { id: uuidOf(nth), projectId: 'blue', userId: 'ann', name, description: 'd' } });
  const rule = (nth: number, more: object = {}) => ({
    rule: {
      id: uuidOf(nth),
      parentGroupId: uuidOf(1),
      userId: 'ann',
      protocol: 'tcp',
      fromPort: 22,
      toPort: 22,
      cidr: '0.0.0.0/0',
      sourceGroupId: null,
      ...more,
    },
  });

  it('of a project begin with its default, which stays', async () => {
    const { ask } = await freshCell();
    const list = () => ask({ type: 'listSecurityGroups', projectId: 'blue', offset: 0, limit: 100 });
    const [[first]] = [await list()];
    expect(first).toMatchObject({ name: 'default', projectId: 'blue', rules: [] });
    await ask({ type: 'createSecurityGroup', ...made(1, 'web') });
    expect((await list()).map(({ name }) => name)).toEqual(['default', 'web']);
    await expect(ask({ type: 'deleteSecurityGroup', id: first?.id ?? '' })).rejects.toMatchObject({
      code: 'invalid',
      message: "Unable to delete system group 'default'",
    });
    await expect(ask({ type: 'createSecurityGroup', ...made(2, 'web') })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('have rules, each once, up to the quota', async () => {
    const { ask } = await freshCell();
    await ask({ type: 'createSecurityGroup', ...made(1, 'web') });
    await ask({ type: 'setQuotaLimits', projectId: 'blue', userId: null, limits: { security_group_rules: 2, security_groups: 2 } });
    const first = await ask({ type: 'createSecurityRule', ...rule(11) });
    expect(first).toEqual({ id: uuidOf(11), parentGroupId: uuidOf(1), protocol: 'tcp', fromPort: 22, toPort: 22, cidr: '0.0.0.0/0', group: null });
    await expect(ask({ type: 'createSecurityRule', ...rule(12) })).rejects.toMatchObject({ code: 'invalid', reason: 'securityRule.same' });
    const second = await ask({ type: 'createSecurityRule', ...rule(13, { cidr: null, sourceGroupId: uuidOf(1) }) });
    expect(second.group).toEqual({ name: 'web', projectId: 'blue' });
    await expect(ask({ type: 'createSecurityRule', ...rule(14, { toPort: 23 }) })).rejects.toMatchObject({ code: 'overQuota' });
    await expect(ask({ type: 'createSecurityGroup', ...made(2, 'more') })).rejects.toMatchObject({ code: 'overQuota' });
    expect((await ask({ type: 'showSecurityGroup', id: uuidOf(1) }))?.rules).toEqual([first, second]);
    expect(await ask({ type: 'showSecurityRule', id: uuidOf(11) })).toEqual({ ...first, projectId: 'blue' });
    await ask({ type: 'deleteSecurityRule', id: uuidOf(11) });
    expect(await ask({ type: 'showSecurityRule', id: uuidOf(11) })).toBeNull();
  });

  it('that servers use keep their name and stay', async () => {
    const { pool, ask } = await freshCell();
    await ask({ type: 'createSecurityGroup', ...made(1, 'web') });
    await insertInstances(pool, [instanceRecord(5, { securityGroups: ['default', 'web'] })], 1);
    await expect(ask({ type: 'deleteSecurityGroup', id: uuidOf(1) })).rejects.toMatchObject({ reason: 'securityGroup.used' });
    await expect(ask({ type: 'updateSecurityGroup', id: uuidOf(1), name: 'w', description: '' })).rejects.toMatchObject({ reason: 'securityGroup.used' });
    expect(await ask({ type: 'updateSecurityGroup', id: uuidOf(1), name: 'web', description: 'new' })).toMatchObject({ description: 'new' });
    await pool.query("update instance set deleted = true, vm_state = 'deleted', open = false");
    await ask({ type: 'deleteSecurityGroup', id: uuidOf(1) });
    await expect(ask({ type: 'deleteSecurityGroup', id: uuidOf(1) })).rejects.toMatchObject({ code: 'notFound' });
  });
});

describe('services of hosts', () => {
  it('are enabled, disabled and forced down by uuid or host', async () => {
    const { pool, ask, reads } = await freshCell();
    await insertHost(pool, 'h1');
    const view = async () => (await reads.listHosts({ type: 'listHosts' }, CONTEXT))[0];
    const uuid = (await view())?.uuid ?? '';
    expect(await ask({ type: 'updateService', uuid, host: null, enabled: false, disabledReason: 'worn' })).toEqual({ host: 'h1' });
    expect(await view()).toMatchObject({ enabled: false, disabledReason: 'worn', forcedDown: false });
    await ask({ type: 'updateService', uuid: null, host: 'h1', forcedDown: true });
    expect(await view()).toMatchObject({ enabled: false, disabledReason: 'worn', forcedDown: true, up: false });
    await ask({ type: 'updateService', uuid: null, host: 'h1', enabled: true });
    expect(await view()).toMatchObject({ enabled: true, disabledReason: null });
    for (const unknown of ['no uuid', uuidOf(1)]) {
      await expect(ask({ type: 'updateService', uuid: unknown, host: null })).rejects.toMatchObject({
        code: 'notFound',
        message: `Service ${unknown} could not be found.`,
      });
    }
    await expect(ask({ type: 'updateService', uuid: null, host: 'h2' })).rejects.toMatchObject({ message: 'Could not find binary nova-compute on host h2.' });
  });

  it('that are forced down begin another epoch with that proof, once, and lose it when they are not any more', async () => {
    const { pool, ask } = await freshCell();
    await insertHost(pool, 'h1');
    await pool.query(`insert into host_beat (name, epoch) select name, epoch from host`);
    const row = async () => {
      const { rows } = await pool.query(
        'select h.epoch::int, b.epoch::int as beats, proof, (proof_epoch = h.epoch) as stands, forced_down as forced from host h join host_beat b using (name)',
      );
      return rows[0] as { epoch: number };
    };
    const force = (forcedDown: boolean) => ask({ type: 'updateService', uuid: null, host: 'h1', forcedDown });
    const { epoch } = await row();
    await force(true);
    const forced = { epoch: epoch + 1, beats: epoch + 1, proof: 'forceDown', stands: true, forced: true };
    expect(await row()).toEqual(forced);
    await force(true);
    expect(await row()).toEqual(forced);
    // It has come back since: said again, it is proved again.
    await pool.query('update host set epoch = epoch + 1, proof = null, proof_epoch = null');
    await force(true);
    expect(await row()).toEqual({ ...forced, epoch: epoch + 3, beats: epoch + 3 });
    await force(false);
    expect(await row()).toMatchObject({ epoch: epoch + 3, proof: null, stands: null, forced: false });
  });

  it('are not said to be up while they have not confirmed that what was left there is gone', async () => {
    const { pool, ask } = await freshCell();
    await insertHost(pool, 'h1');
    await insertInstances(pool, [instanceRecord(1)], 1);
    await ask({ type: 'updateService', uuid: null, host: 'h1', forcedDown: true });
    await pool.query(`insert into claim values ($1, 1, 'h1', 'doomed', 1, 1, 1)`, [uuidOf(1)]);
    const up = () => ask({ type: 'updateService', uuid: null, host: 'h1', forcedDown: false });
    await expect(up()).rejects.toMatchObject({ code: 'invalid', reason: 'service.leftBehind' });
    await pool.query('delete from claim');
    expect(await up()).toEqual({ host: 'h1' });
  });

  it('are deleted only when nothing is claimed there', async () => {
    const { pool, ask, reads } = await freshCell();
    await insertHost(pool, 'h1');
    await insertInstances(pool, [instanceRecord(1)], 1);
    await pool.query(`insert into claim values ($1, 1, 'h1', 'doomed', 1, 1, 1)`, [uuidOf(1)]);
    const uuid = (await reads.listHosts({ type: 'listHosts' }, CONTEXT))[0]?.uuid ?? '';
    await expect(ask({ type: 'deleteService', uuid })).rejects.toMatchObject({ code: 'conflict', reason: 'service.claims' });
    await pool.query('delete from claim');
    await ask({ type: 'deleteService', uuid });
    expect(await reads.listHosts({ type: 'listHosts' }, CONTEXT)).toEqual([]);
    await expect(ask({ type: 'deleteService', uuid })).rejects.toMatchObject({ code: 'notFound' });
  });

  it('of nodes refuse to be changed, saying why', async () => {
    const { pool, ask, reads } = await freshCell();
    await pool.query(`insert into node (name, boot, endpoint, public_key, roles) values ('n1', 'b', 'e', 'k', '{control}')`);
    const uuid = (await reads.listNodeServices({ type: 'listNodeServices' }, CONTEXT))[0]?.uuid ?? '';
    await expect(ask({ type: 'updateService', uuid, host: null, enabled: false })).rejects.toMatchObject({ code: 'invalid', reason: 'service.binary' });
    await expect(ask({ type: 'deleteService', uuid })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('the first records', () => {
  it('are made once, whoever starts at the same time', async () => {
    const { orm, ask, revision } = await freshCell();
    const network = { label: 'private', cidr: '10.20.0.0/16' };
    const seed = () => seedRecords({ orm, network, newId: randomUUID });
    const made = await Promise.all([seed(), seed(), seed()]);
    expect(made.filter((one) => one.network && one.flavors === 6)).toHaveLength(1);
    const flavors = await ask({ type: 'listFlavors', ...ALL });
    expect(flavors.map(({ flavorId, name }) => `${flavorId} ${name}`)).toEqual([
      '1 m1.tiny',
      '2 m1.small',
      '3 m1.medium',
      '4 m1.large',
      '42 m1.nano',
      '5 m1.xlarge',
    ]);
    expect(await ask({ type: 'listNetworks', projectId: 'blue' })).toEqual([
      { id: expect.stringMatching(/^[0-9a-f-]{36}$/), label: 'private', cidr: '10.20.0.0/16', gateway: '10.20.0.1', projectId: null },
    ]);
    const before = await revision();
    await ask({ type: 'deleteFlavor', flavorId: '1' });
    expect(await seed()).toEqual({ flavors: 0, network: false });
    expect(await revision()).toBe(before + 1);
    expect(await ask({ type: 'showFlavor', flavorId: '1', projectId: null })).toBeNull();
    expect(await seedRecords({ orm, network: { label: 'six', cidr: 'fd00:1::/64' }, newId: randomUUID })).toEqual({ flavors: 0, network: true });
    expect((await ask({ type: 'listNetworks', projectId: null }))[1]).toMatchObject({ label: 'six', gateway: 'fd00:1::1' });
  });

  it('of networks hide those of other projects', async () => {
    const { pool, ask } = await freshCell();
    await pool.query(`insert into network values ($1, 'red-net', '10.1.0.0/24', null, 'red')`, [uuidOf(1)]);
    expect(await ask({ type: 'listNetworks', projectId: 'blue' })).toEqual([]);
    expect(await ask({ type: 'listNetworks', projectId: 'red' })).toEqual([
      { id: uuidOf(1), label: 'red-net', cidr: '10.1.0.0/24', gateway: null, projectId: 'red' },
    ]);
    expect(await ask({ type: 'listNetworks', projectId: null })).toHaveLength(1);
  });
});

describe('a flavor that an operator takes out of use', () => {
  it('says so until it is taken back; one that is not there is none', async () => {
    const { url, ask, revision } = await freshCell();
    await ask({ type: 'createFlavor', flavor: flavorOf('a') });
    const place = { url, clock: systemClock, log: silentLog };
    expect(await switchFlavor(place, 'a', true)).toBe('f-a');
    expect(await ask({ type: 'showFlavor', flavorId: 'a', projectId: null })).toMatchObject({ disabled: true });
    expect(await switchFlavor(place, 'a', false)).toBe('f-a');
    expect(await ask({ type: 'showFlavor', flavorId: 'a', projectId: null })).toMatchObject({ disabled: false });
    expect(await revision()).toBe(3);
    expect(await switchFlavor(place, 'none', true)).toBeUndefined();
    expect(await revision()).toBe(3);
  });
});
