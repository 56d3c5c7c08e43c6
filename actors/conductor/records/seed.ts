/**
 * The records that a new cell starts with: usual flavors, once, so that one which an operator deleted stays deleted;
 * and the configured network whenever there is none of its name.
 */
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { must } from '../../../runtime/base/check.ts';
import type { Flavor } from '../../model/flavor.ts';
import { FlavorRow, NetworkRow } from './entities.ts';
import { inCell } from './in-cell.ts';

export type SeedNetwork = { readonly label: string; /** `10.20.0.0/16`; its first address is the gateway. */ readonly cidr: string };

/** Ids, names and sizes that scripts of users expect. */
export const USUAL_FLAVORS: readonly Flavor[] = [
  flavor('42', 'm1.nano', 1, 192, 1),
  flavor('1', 'm1.tiny', 1, 512, 1),
  flavor('2', 'm1.small', 1, 2_048, 20),
  flavor('3', 'm1.medium', 2, 4_096, 40),
  flavor('4', 'm1.large', 4, 8_192, 80),
  flavor('5', 'm1.xlarge', 8, 16_384, 160),
];

const WANTED = `select not seeded as flavors, not exists (select from network where label = ?) as network from schema_state`;
const GATEWAY = 'select host(network(?::cidr) + 1) as gateway';

/** Safe to repeat and to run from several nodes at once. Answers what was made. */
export async function seedRecords(options: {
  orm: MikroORM;
  network: SeedNetwork | null;
  flavors?: readonly Flavor[];
  newId: () => string;
}): Promise<{ flavors: number; network: boolean }> {
  const { orm, network, flavors = USUAL_FLAVORS } = options;
  // Looked up without the cell's row first: at almost every start there is nothing to do.
  const before = await wanted(orm.em.fork(), network);
  if (!before.flavors && !before.network) return { flavors: 0, network: false };
  return inCell(orm, async (em) => {
    const now = await wanted(em, network);
    if (now.flavors) await makeFlavors(em, flavors);
    if (now.network && network) await makeNetwork(em, network, options.newId());
    return { flavors: now.flavors ? flavors.length : 0, network: now.network };
  });
}

async function wanted(em: EntityManager, network: SeedNetwork | null): Promise<{ flavors: boolean; network: boolean }> {
  const [row] = await em.execute<{ flavors: boolean; network: boolean }[]>(WANTED, [network?.label ?? '']);
  const state = must(row, 'the schema was made before');
  return { flavors: state.flavors, network: network !== null && state.network };
}

async function makeFlavors(em: EntityManager, flavors: readonly Flavor[]): Promise<void> {
  for (const one of flavors) em.persist(em.create(FlavorRow, { ...one }));
  await em.flush();
  await em.execute('update schema_state set seeded = true', [], 'run');
}

async function makeNetwork(em: EntityManager, { label, cidr }: SeedNetwork, id: string): Promise<void> {
  const [row] = await em.execute<{ gateway: string }[]>(GATEWAY, [cidr]);
  const { gateway } = must(row, 'a select without from has one row');
  await em.persist(em.create(NetworkRow, { id, label, cidr, gateway, projectId: null })).flush();
}

function flavor(flavorId: string, name: string, vcpus: number, memoryMiB: number, rootGiB: number): Flavor {
  return {
    flavorId,
    name,
    vcpus,
    memoryMiB,
    rootGiB,
    ephemeralGiB: 0,
    swapMiB: 0,
    rxtxFactor: 1,
    isPublic: true,
    disabled: false,
    description: null,
    extraSpecs: {},
  };
}
