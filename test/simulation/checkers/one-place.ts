/**
 * P3: no guest runs in two places, none without a claim, and no server is active before it has one; in the end what
 * runs is what the records say.
 */
import type { CommitItem } from '../../../actors/conductor/write/item.ts';
import { toLoaded } from '../../doubles/memory-store.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

export const ONE_PLACE: Checker = {
  promise: 'P3',
  atCommit: (world, commits) => [...(commits.some(({ parts }) => parts.claims.length > 0) ? unclaimed(world) : []), ...tooEarly(world, commits)],
  atGuest: (world) => [...twice(world), ...unclaimed(world)],
  atEnd(world) {
    const problems: string[] = [];
    for (const row of world.tables.instances.values()) {
      const { record } = toLoaded(row);
      const guests = [...world.guests.values()].filter((guest) => guest.instanceId === row.id);
      if (record.host !== null && world.isLost(record.host)) continue; // nobody can look there
      const [guest] = guests.filter(
        ({ host, generation }) => !world.isLost(host) && !(record.move?.standby?.host === host && record.move.standby.generation === generation),
      );
      const standby = record.move?.standby ?? null;
      const beside = guests.filter(({ host, generation }) => standby?.host === host && standby.generation === generation);
      if (beside.some(({ power }) => power === 'running')) problems.push(`${row.id} runs beside its place`);
      if (record.vmState === 'resized' && standby && !world.isLost(standby.host) && beside.length !== 1)
        problems.push(`${row.id} kept ${beside.length} guests on ${standby.host}`);
      if (guests.filter((one) => !world.isLost(one.host) && !beside.includes(one)).length > 1)
        problems.push(`${row.id} has guests on ${guests.map(({ host }) => host).join(' and ')}`);
      if (guest && guest.host !== record.host) problems.push(`the guest of ${row.id} is on ${guest.host}, the record says ${record.host}`);
      if (guest && guest.asleep !== undefined && record.vmState !== 'error') problems.push(`the guest of ${row.id} is ${guest.asleep} on ${guest.host}`);
      if (record.vmState === 'active' && guest?.power !== 'running') problems.push(`${row.id} is active, its guest is ${guest?.power ?? 'nowhere'}`);
      if (record.vmState === 'stopped' && (!guest || guest.power === 'running'))
        problems.push(`${row.id} is stopped, its guest is ${guest?.power ?? 'nowhere'}`);
      const wanted = HELD[record.vmState];
      if (wanted !== undefined && !wanted.includes(guest?.power ?? 'nowhere'))
        problems.push(`${row.id} is ${record.vmState}, its guest is ${guest?.power ?? 'nowhere'}`);
    }
    return problems;
  },
};

/** What the guest may be in, of servers that are neither running nor off. */
const HELD: { readonly [vmState: string]: readonly string[] } = {
  paused: ['paused'],
  suspended: ['suspended'],
  'soft-delete': ['shutdown', 'crashed'],
};

/** What a server that has just left a dead host behind, or whose guest is being made again, may be at. */
const LEFT: ReadonlySet<string> = new Set(['evacuate', 'delete', 'rebuild']);

function tooEarly(world: World, commits: readonly CommitItem[]): string[] {
  return commits.flatMap(({ record: { id, host, vmState, operation } }) =>
    vmState === 'active' && !LEFT.has(operation?.name ?? '') && !isOn(world, id, host) ? [`${id} is active before it is on ${host}`] : [],
  );
}

/** In its place there, or set aside. */
function isOn(world: World, id: string, host: string | null): boolean {
  return [...world.guests.values()].some((guest) => guest.instanceId === id && guest.host === host);
}

function twice(world: World): string[] {
  const running = new Map<string, string>();
  const problems: string[] = [];
  for (const { host, instanceId, power, asleep } of world.guests.values()) {
    // One that sleeps for a move has memory, but nothing of it runs until a commit says where.
    if (power !== 'running' && (power !== 'paused' || asleep !== undefined)) continue;
    const other = running.get(instanceId);
    if (other !== undefined) problems.push(`${instanceId} runs on ${other} and on ${host}`);
    running.set(instanceId, host);
  }
  return problems;
}

function unclaimed(world: World): string[] {
  const { claims } = world.tables;
  const problems: string[] = [];
  for (const { host, instanceId, generation, power } of world.guests.values()) {
    if (claims.get(`${instanceId}/${generation}`)?.host !== host) problems.push(`${power} guest ${instanceId}/${generation} on ${host} has no claim`);
  }
  return problems;
}
