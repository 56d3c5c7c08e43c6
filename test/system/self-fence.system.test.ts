/**
 * Hosts with a guard, and recovery by itself: a node is killed, its guard stops the guests before the lease can be
 * given away, and only then do they go elsewhere. A database that is away longer than every lease evacuates nothing.
 * The witness reads the hypervisors' files all the while: never does a server run in two places.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cloud } from '../doubles/cloud.ts';
import { allPids, seenProcess, textOf } from '../../runtime/base/proc.ts';
import { guardPid, openPair, type Pair } from './pair.ts';
import { Witness } from './witness.ts';

const SERVERS = 6;
const HOST_MS = 10_000;
const SETTINGS = [`leases.hostMs=${HOST_MS}`, 'recovery.auto=true', 'recovery.brakeShare=1'];

let pair: Pair;
let witness: Witness;
let first: Cloud;
let second: Cloud;
let ids: string[] = [];

beforeAll(async () => {
  pair = await openPair({ settings: SETTINGS, firstHosts: 2, secondHosts: 2, secondSettings: ['hosts.0.selfFence=true'] });
  ({ first, second } = pair);
  witness = new Witness([first.dataDir, second.dataDir]);
  ids = [...(await pair.serversOn('second-1', SERVERS / 2)), ...(await pair.serversOn('second-2', SERVERS / 2))];
  witness.watch();
});

afterAll(async () => {
  witness?.end();
  await pair?.close();
});

const hostsOf = async (): Promise<string[]> => Promise.all(ids.map(async (id) => (await pair.show(id))['OS-EXT-SRV-ATTR:host']));
const generations = async () =>
  new Map((await pair.query<{ id: string; generation: number }>('select id, generation from instance')).map((row) => [row.id, row.generation]));
/** Where the servers are placed now, so many generations after then. */
const placed = async (more = 0, since?: ReadonlyMap<string, number>): Promise<string[]> => {
  const from = since ?? (await generations());
  return ids.map((id) => `${id}/${(from.get(id) ?? 0) + more}`);
};
const guards = async () => pair.query<{ name: string; ms: number | null }>('select name, self_fence_ms as ms from host order by name');

describe('a host whose guard stops its guests in time', () => {
  it('says so to the store, and others do not', async () => {
    expect(await guards()).toEqual([
      { name: 'first-1', ms: null },
      { name: 'first-2', ms: null },
      { name: 'second-1', ms: HOST_MS },
      { name: 'second-2', ms: HOST_MS },
    ]);
    const pid = guardPid(second.dataDir);
    expect(seenProcess(pid ?? 0)?.command.join(' ')).toContain('guard-program');
    expect(guardPid(first.dataDir)).toBeUndefined();
  });

  it('goes on under its guard when its node is started again before the lease ends', async (ctx) => {
    const killedMs = performance.now();
    await second.kill9();
    await second.restart();
    if (performance.now() - killedMs > HOST_MS / 2) ctx.skip('needs a machine that restarts a node within half a lease');
    await pair.until('both hosts are up', async () => (await pair.service('second-1')).state === 'up' && (await pair.service('second-2')).state === 'up');
    expect(witness.running(ids).sort()).toEqual(ids.map((id) => `${id}/1`).sort());
    expect(seenProcess(guardPid(second.dataDir) ?? 0)).toBeDefined();
    expect((await hostsOf()).every((host) => host.startsWith('second'))).toBe(true);
  });

  it('is recovered by itself when its node is lost: first the guests are stopped, then they run elsewhere', async () => {
    const before = await generations();
    await second.kill9();
    await pair.until('its guests are stopped', async () => witness.guests().every(({ host }) => host.startsWith('first')));
    await pair.until('all are active elsewhere', async () => {
      const servers = await Promise.all(ids.map((id) => pair.show(id)));
      return servers.every((server) => server.status === 'ACTIVE' && server['OS-EXT-SRV-ATTR:host'].startsWith('first'));
    });
    await pair.until('the witness sees all of them', async () => witness.running(ids).length === SERVERS);
    expect(witness.running(ids).sort()).toEqual((await placed(1, before)).sort());
    expect(witness.doubled).toEqual([]);
  });

  it('ends its guard when nothing is left to stop', async () => {
    await pair.until('the guard has ended', async () => seenProcess(guardPid(second.dataDir) ?? 0) === undefined);
  });

  it('comes back, destroys its copies and takes servers again', async () => {
    await second.restart();
    await pair.until('its claims are gone', async () => (await pair.claims('second-1')).length + (await pair.claims('second-2')).length === 0);
    expect(witness.running(ids).sort()).toEqual((await placed()).sort());
    ids.push(...(await pair.serversOn('second-1', 2)));
    expect(witness.doubled).toEqual([]);
  });

  it('is recovered also when its node only sleeps, and that node runs nothing of what it slept through when it wakes', async () => {
    const slept = ids.slice(SERVERS);
    process.kill(second.pid(), 'SIGSTOP');
    try {
      await pair.until('its servers run elsewhere', async () => (await hostsOf()).every((host) => host.startsWith('first')));
    } finally {
      process.kill(second.pid(), 'SIGCONT');
    }
    await pair.until('its claims are gone', async () => (await pair.claims('second-1')).length === 0);
    expect(witness.running(slept).sort()).toEqual(slept.map((id) => `${id}/2`).sort());
    expect(witness.doubled).toEqual([]);
  });

  it('is not evacuated when the database is away for longer than every lease', async () => {
    const mine = await pair.serversOn('second-1', 2);
    const before = await pair.query<{ id: string; host: string }>('select instance_id as id, host from claim order by 1');
    const postmaster = first.databasePid();
    expect(postmaster).toBeDefined();
    process.kill(postmaster!, 'SIGSTOP');
    const children = childrenOf(postmaster!);
    for (const pid of children) process.kill(pid, 'SIGSTOP');
    try {
      await new Promise((resolve) => setTimeout(resolve, 2 * HOST_MS)); // the outage itself: nothing tells its length but time
    } finally {
      for (const pid of [...children, postmaster!]) process.kill(pid, 'SIGCONT');
    }
    await pair.until('hosts beat again', async () => (await pair.service('second-1')).state === 'up' && (await pair.service('first-1')).state === 'up');
    await new Promise((resolve) => setTimeout(resolve, 2 * HOST_MS)); // longer than a wait that began anew takes
    expect(await pair.query('select instance_id as id, host from claim order by 1')).toEqual(before);
    // Its guard did what it is for: this host's guests were stopped, and nobody else's.
    expect(witness.running(mine)).toEqual([]);
    expect(witness.running(ids.slice(0, SERVERS)).length).toBe(SERVERS);
    expect(witness.doubled).toEqual([]);
  });

  it('goes on without a guard after an orderly stop, and its silence proves nothing', async () => {
    await pair.until('stopped servers can be started', async () => {
      const [server] = await pair.query<{ id: string }>(`select instance_id as id from claim where host = 'second-1' limit 1`);
      const { status } = await first.api('POST', `/servers/${server?.id}/action`, { 'os-start': null });
      return status === 202;
    });
    await pair.until('it runs', async () => witness.guests().some(({ host }) => host === 'second-1'));
    await second.stop();
    expect((await guards()).map(({ ms }) => ms)).toEqual([null, null, null, null]);
    await new Promise((resolve) => setTimeout(resolve, 2 * HOST_MS)); // longer than the lease: nobody may take it for proof
    expect(witness.guests().some(({ host }) => host === 'second-1')).toBe(true);
    expect(await pair.query(`select 1 from host where proof is not null and proof_epoch = epoch`)).toEqual([]);
    expect(witness.doubled).toEqual([]);
  });
});

function childrenOf(pid: number): number[] {
  return allPids().filter((one) => {
    const stat = textOf(`/proc/${one}/stat`);
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
  });
}
