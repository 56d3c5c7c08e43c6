/**
 * A run in which nothing fails and many want the same few places at once: then every refusal must be a clean one, and
 * true. A create ends active, or says that there is no host or no address left; while a place is free none is refused;
 * nothing is retried until its time is over.
 */
import { pick, seededRandom, type Random } from '../../../runtime/base/random.ts';
import { toLoaded } from '../../doubles/memory-store.ts';
import { Client, type Action } from '../clients.ts';
import { NO_FAULTS } from '../faults.ts';
import type { RunResult } from '../runs.ts';
import { World } from '../world.ts';

const UNLIMITED = { instances: -1, cores: -1, ram: -1 };
const ACTIONS: readonly Action[] = ['create', 'burst', 'burst', 'multi', 'delete', 'delete', 'stop', 'start'];
const CLEAN = ['placement.noValidHost', 'network.noAddress'];
/** Where addresses are never the reason. */
const ROOMY = '10.20.0.0/24';

export async function contentionRun(seed: number): Promise<RunResult> {
  const random = seededRandom(seed ^ 0x3c6ef372);
  const cidr = pick(random, [ROOMY, ROOMY, '10.20.0.0/29']);
  const hosts = 1 + Math.floor(random.next() * 3);
  const vcpusPerHost = 1 + Math.floor(random.next() * 4);
  const quota = random.next() < 0.3 ? { ...UNLIMITED, instances: 1 + Math.floor(random.next() * 6) } : UNLIMITED;
  const withDeletes = random.next() < 0.5;
  const world = new World({ seed, hosts, vcpusPerHost, plan: NO_FAULTS, cidr, quota });
  const problems = await world.run(async () => {
    await world.time.clock.sleep(5_000);
    await Promise.all(Array.from({ length: 3 }, (_, i) => new Client(world, `c${i + 1}`).live(actionsOf(random, withDeletes), 300)));
  });
  return { problems: [...problems, ...unclean(world), ...(withDeletes || cidr !== ROOMY ? [] : untrue(world))], world };
}

function actionsOf(random: Random, withDeletes: boolean): Action[] {
  const actions = Array.from({ length: 2 + Math.floor(random.next() * 4) }, () => pick(random, ACTIONS));
  return ['create', ...actions.filter((action) => withDeletes || action !== 'delete')];
}

function unclean(world: World): string[] {
  return faultsOf(world)
    .filter(({ reason }) => !CLEAN.includes(reason))
    .map(({ id, reason }) => `P4 ${id} ended in ${reason}, and nothing had failed`);
}

function untrue(world: World): string[] {
  const refused = faultsOf(world).find(({ reason }) => reason === 'placement.noValidHost');
  const free = [...world.tables.hosts.values()].find(({ used, capacity }) => used.vcpus < capacity.vcpus);
  return refused && free ? [`P4 ${refused.id} was refused, and ${free.name} has room for it`] : [];
}

function faultsOf(world: World): { id: string; reason: string }[] {
  return [...world.tables.instances.values()].flatMap((row) => {
    const { fault } = toLoaded(row).record;
    return fault ? [{ id: row.id, reason: fault.reason }] : [];
  });
}
