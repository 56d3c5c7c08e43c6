/**
 * P3 where hosts are lost: a server leaves a host only when its guest is gone from there, or with proof that it does not
 * run, and such a proof is true; silence of the store proves nothing. Epochs of hosts only grow. In the end what stands
 * on hosts that are there has an active claim, and nothing waits there for its end.
 */
import type { CommitItem } from '../../../actors/conductor/write/item.ts';
import { provedBy } from '../../doubles/memory-tables.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

/** A host that can speak again does so within this time, and then its proof is over. */
const BEFORE_MS = 20_000;

type Place = { readonly host: string | null; readonly generation: number };
const PLACES = new WeakMap<World, Map<string, Place>>();
const EPOCHS = new WeakMap<World, Map<string, number>>();

export const HOST_LOSS: Checker = {
  promise: 'P3',
  atCommit: (world, commits) => [...commits.flatMap((commit) => [...moved(world, commit), ...evacuated(world, commit)]), ...epochs(world)],
  atSample: epochs,
  atEnd(world) {
    const problems: string[] = [];
    const { claims } = world.tables;
    for (const { host, instanceId, generation, role } of claims.values()) {
      if (role === 'doomed' && !world.isLost(host)) problems.push(`${instanceId}/${generation} is still doomed on ${host}, which is there`);
    }
    for (const { host, instanceId, generation } of world.guests.values()) {
      const claim = claims.get(`${instanceId}/${generation}`);
      if (!world.isLost(host) && (claim?.host !== host || claim.role === 'doomed'))
        problems.push(`guest ${instanceId}/${generation} stands on ${host} without a claim that lasts`);
    }
    return problems;
  },
};

/** Nothing else changes where a server is, an evacuation that was refused least of all. */
function moved(world: World, { record: { id, host, generation }, parts: { claims } }: CommitItem): string[] {
  const places = PLACES.get(world) ?? new Map<string, Place>();
  PLACES.set(world, places);
  const before = places.get(id) ?? { host: null, generation: 0 };
  places.set(id, { host, generation });
  const problems: string[] = [];
  if (before.host !== null && (before.host !== host || before.generation !== generation)) {
    const left = claims.find((claim) => claim.op !== 'add' && claim.generation === before.generation);
    const isSwap = claims.some((claim) => claim.op === 'activate' && claim.generation === generation && claim.host === host);
    const there = world.guests.get(`${before.host} ${id}`);
    if (isSwap && there?.generation === before.generation && there.power === 'running')
      problems.push(`${id} was swapped to ${host} while it runs on ${before.host}`);
    if (isSwap) return problems;
    if (!left) problems.push(`${id} left ${before.host} and kept its claim there`);
    else if (left.op === 'doom' && claims.some((claim) => claim.op === 'add')) problems.push(`${id} left ${before.host} for ${host} without proof`);
  }
  if ((before.host !== host || before.generation !== generation) && host !== null && !claims.some((claim) => claim.op === 'add' && claim.host === host))
    problems.push(`${id} came to ${host} without a claim`);
  return problems;
}

function evacuated(world: World, { record: { id }, parts: { claims } }: CommitItem): string[] {
  return claims.flatMap((claim) => {
    if (claim.op !== 'evacuate') return [];
    const row = world.tables.hosts.get(claim.host);
    const proof = row ? provedBy(row) : null;
    world.meet(`evacuated: ${proof}`);
    if (proof === null) return [`${id} was evacuated from ${claim.host}, which nothing proves dead`];
    if (world.guests.get(`${claim.host} ${id}`)?.power === 'running') return [`${id} was evacuated from ${claim.host}, where it runs (${proof})`];
    return proof === 'selfFence' && !wasCut(world, claim.host) ? [`${id} was evacuated from ${claim.host}, and only the store was away`] : [];
  });
}

/** Something befell the machine of this host itself, or what it says may get lost anyway. */
function wasCut(world: World, host: string): boolean {
  if (world.faults.plan.loss > 0) return true;
  const machine = world.machines.find(({ hosts }) => hosts.some((own) => own.name === host));
  const lately = world.outages.filter(({ toMs }) => toMs > world.time.nowMs - BEFORE_MS);
  // A machine without a database needs others to be heard.
  return lately.some(({ what }) => (machine?.hasDatabase ? what.split(' ').includes(machine.name) : what !== 'the store is away'));
}

function epochs(world: World): string[] {
  const seen = EPOCHS.get(world) ?? new Map<string, number>();
  EPOCHS.set(world, seen);
  const problems: string[] = [];
  for (const { name, epoch } of world.tables.hosts.values()) {
    const before = seen.get(name) ?? 0;
    if (epoch < before) problems.push(`the epoch of ${name} went from ${before} back to ${epoch}`);
    seen.set(name, epoch);
  }
  return problems;
}
