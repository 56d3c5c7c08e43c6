/** P4: counters are the sums of what they count, nothing is past its limit, no address is given twice, at any moment. */
import { quotaHeld } from '../../../actors/model/between.ts';
import { COUNTED } from '../../../actors/model/quota.ts';
import type { Resources } from '../../../actors/model/resources.ts';
import { hostRef } from '../../../actors/host/messages.ts';
import { toLoaded } from '../../doubles/memory-store.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

const ANSWER_MS = 5_000;
const RESOURCES = ['vcpus', 'memoryMiB', 'diskGiB'] as const satisfies readonly (keyof Resources)[];

export const SUMS: Checker = {
  promise: 'P4',
  atCommit: (world) => [...hosts(world), ...quota(world)],
  async atEnd(world) {
    return [...hosts(world), ...quota(world), ...addresses(world), ...claims(world), ...(await memories(world))];
  },
};

function hosts(world: World): string[] {
  const problems: string[] = [];
  for (const { name, used, claims: count, capacity } of world.tables.hosts.values()) {
    const own = [...world.tables.claims.values()].filter((claim) => claim.host === name);
    if (own.length !== count) problems.push(`${name} counts ${count} claims, there are ${own.length}`);
    for (const key of RESOURCES) {
      const sum = own.reduce((total, claim) => total + claim.need[key], 0);
      if (sum !== used[key]) problems.push(`${name} counts ${used[key]} ${key}, its claims are ${sum}`);
      if (sum > capacity[key]) problems.push(`${name} gave ${sum} ${key} of ${capacity[key]}`);
    }
  }
  return problems;
}

function quota(world: World): string[] {
  const problems: string[] = [];
  const living = [...world.tables.instances.values()]
    .map((row) => toLoaded(row).record)
    .filter((record) => !record.deleted && (record.reclaimAtMs ?? null) === null);
  for (const [key, use] of world.tables.quotaUse) {
    const [project, user] = key.split(' ');
    const needs = living.filter((record) => record.projectId === project && (user === '' || record.userId === user)).map((record) => quotaHeld(record));
    for (const name of COUNTED) {
      const sum = needs.reduce((total, need) => total + need[name], 0);
      if (sum !== use[name]) problems.push(`quota of ${key} counts ${use[name]} ${name}, the servers use ${sum}`);
      const limit = world.tables.quotaLimits.get(key)?.[name] ?? -1;
      if (limit >= 0 && sum > limit) problems.push(`${key} has ${sum} ${name} of ${limit}`);
    }
  }
  return problems;
}

/** A doomed guest may still use its address. */
function addresses(world: World): string[] {
  const doomed = new Set([...world.tables.claims.values()].filter((claim) => claim.role === 'doomed').map((claim) => claim.instanceId));
  const lasting = [...world.tables.fixedIps.values()].filter(({ instanceId, address }) => !doomed.has(instanceId) || hasAddress(world, instanceId, address));
  const given = lasting.map(({ instanceId, networkId, address }) => `${instanceId} ${networkId} ${address}`);
  const had = [...world.tables.instances.values()].flatMap((row) => toLoaded(row).record.nics.map((nic) => `${row.id} ${nic.networkId} ${nic.address}`));
  const wrong = [...given.filter((one) => !had.includes(one)), ...had.filter((one) => !given.includes(one))];
  return [...wrong.map((one) => `address ${one} stands in ${given.includes(one) ? 'the table only' : 'the record only'}`), ...outside(world)];
}

/** Neither the network's own address nor its broadcast address nor its gateway's is anybody else's. */
function outside(world: World): string[] {
  return [...world.tables.fixedIps.values()].flatMap(({ instanceId, networkId, address }) => {
    const { cidr = '', gateway } = world.tables.networks.get(networkId) ?? {};
    const [base = '', prefix = '32'] = cidr.split('/');
    const place = toNumber(address) - toNumber(base);
    const isInside = place > 0 && place < 2 ** (32 - Number(prefix)) - 1 && address !== gateway;
    return isInside ? [] : [`${instanceId} has ${address}, which is not to be given on ${cidr}`];
  });
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function hasAddress(world: World, instanceId: string, address: string): boolean {
  return world.tables.instances.get(instanceId)?.row.addresses.includes(address) ?? false;
}

function claims(world: World): string[] {
  const problems: string[] = [];
  for (const row of world.tables.instances.values()) {
    const { record } = toLoaded(row);
    const active = [...world.tables.claims.values()].filter((claim) => claim.instanceId === row.id && claim.role === 'active');
    const wanted = record.host === null ? [] : [`${record.host}/${record.generation}`];
    const found = active.map((claim) => `${claim.host}/${claim.generation}`);
    const beside = [...world.tables.claims.values()].filter((claim) => claim.instanceId === row.id && claim.role === 'standby');
    const { standby } = record.move ?? {};
    const kept = standby ? [`${standby.host}/${standby.generation}`] : [];
    const lying = beside.map((claim) => `${claim.host}/${claim.generation}`);
    if (lying.join() !== kept.join()) problems.push(`${row.id} has claims ${lying.join() || 'none'} beside, its record says ${kept.join() || 'none'}`);
    if (found.join() !== wanted.join()) problems.push(`${row.id} has claims ${found.join() || 'none'}, its record says ${wanted.join() || 'none'}`);
  }
  return problems;
}

/** A host actor that remembers other claims than the store refuses or promises what isn't so. */
async function memories(world: World): Promise<string[]> {
  const problems: string[] = [];
  for (const { name, used } of world.tables.hosts.values()) {
    if (world.isLost(name)) continue;
    // The node that is asked may end before it answers.
    const silence = world.time.clock.sleep(ANSWER_MS).then(() => undefined);
    const report = await Promise.race([silence, world.node?.actors.ask(hostRef(name), { type: 'report' }, { timeoutMs: ANSWER_MS }).catch(() => undefined)]);
    if (!report) problems.push(`${name} does not answer`);
    for (const key of RESOURCES)
      if (report && report.used[key] !== used[key]) problems.push(`${name} remembers ${report.used[key]} ${key} in use, the store has ${used[key]}`);
  }
  return problems;
}
