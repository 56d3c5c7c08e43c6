/** Flavors and who may use the private ones. Read by statements (a create order looks one up), changed by the mapper. */
import type { EntityManager, InferEntity, MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Flavor } from '../../model/flavor.ts';
import type { FlavorSortKey, RecordProtocol } from '../messages/record.ts';
import { behind, orderOf, placeColumns, totalOrder, type KeyColumn, type OrderKey } from '../reads/keyset.ts';
import { escapeLike, openValues, type Query } from '../reads/query.ts';
import { FlavorAccessRow, FlavorRow } from './entities.ts';
import { inCell } from './in-cell.ts';

/** One more than the largest page of the API. */
const PAGE_MAX = 1_001;
/** Projects with access to one flavor, and specs of one. */
const ACCESS_MAX = 10_000;
const SPECS_MAX = 512;

type List = RecordProtocol['listFlavors'];
type FlavorServe = Pick<
  ServiceKind<RecordProtocol>['serve'],
  | 'listFlavors'
  | 'showFlavor'
  | 'createFlavor'
  | 'updateFlavor'
  | 'deleteFlavor'
  | 'setFlavorSpecs'
  | 'deleteFlavorSpec'
  | 'listFlavorAccess'
  | 'addFlavorAccess'
  | 'removeFlavorAccess'
>;

const COLUMNS = `f.flavor_id as "flavorId", f.name, f.vcpus, f.memory_mib as "memoryMiB", f.root_gib as "rootGiB",
  f.ephemeral_gib as "ephemeralGiB", f.swap_mib as "swapMiB", f.rxtx_factor as "rxtxFactor", f.is_public as "isPublic",
  f.disabled, f.description, f.extra_specs as "extraSpecs"`;

const ID: KeyColumn = { sql: 'f.id', type: 'integer' };
const SORT: { readonly [key in FlavorSortKey]: KeyColumn } = {
  flavorId: { sql: 'f.flavor_id', type: 'text' },
  name: { sql: 'f.name', type: 'text' },
  memoryMiB: { sql: 'f.memory_mib', type: 'integer' },
  vcpus: { sql: 'f.vcpus', type: 'integer' },
  rootGiB: { sql: 'f.root_gib', type: 'integer' },
  ephemeralGiB: { sql: 'f.ephemeral_gib', type: 'integer' },
  swapMiB: { sql: 'f.swap_mib', type: 'integer' },
  isPublic: { sql: 'f.is_public', type: 'boolean' },
  createdAt: { sql: 'f.created_at', type: 'timestamptz' },
  id: ID,
};

export function flavorServe(orm: MikroORM, query: Query): FlavorServe {
  return {
    listFlavors: (body) => list(query, body),
    showFlavor: ({ flavorId, projectId }) => show(query, flavorId, projectId),
    createFlavor: ({ flavor }) => inCell(orm, (em) => create(em, flavor)),
    updateFlavor: ({ flavorId, description }) => change(orm, flavorId, (row) => (row.description = description)),
    deleteFlavor: ({ flavorId }) =>
      inCell(orm, async (em) => {
        await em.remove(await found(em, flavorId)).flush(); // who had access goes with it, by the foreign key
        return undefined;
      }),
    setFlavorSpecs: ({ flavorId, specs }) => change(orm, flavorId, (row) => (row.extraSpecs = mergedSpecs(row.extraSpecs, specs))),
    deleteFlavorSpec: async ({ flavorId, key }) => {
      await change(orm, flavorId, (row) => (row.extraSpecs = withoutSpec(flavorId, row.extraSpecs, key)));
      return undefined;
    },
    listFlavorAccess: ({ flavorId }) => listAccess(query, flavorId),
    addFlavorAccess: ({ flavorId, projectId }) => inCell(orm, (em) => addAccess(em, flavorId, projectId)),
    removeFlavorAccess: ({ flavorId, projectId }) => inCell(orm, (em) => removeAccess(em, flavorId, projectId)),
  };
}

async function list(query: Query, body: List['body']): Promise<Flavor[]> {
  const { values, put } = openValues();
  const keys = totalOrder([{ ...SORT[body.sort.key], descending: body.sort.descending }], ID);
  const conditions = ['true'];
  if (body.projectId !== null) conditions.push(visibleTo(put(body.projectId)));
  if (body.isPublic !== null) conditions.push(`f.is_public = ${put(body.isPublic)}`);
  if (body.minMemoryMiB !== null) conditions.push(`f.memory_mib >= ${put(body.minMemoryMiB)}::bigint`);
  if (body.minRootGiB !== null) conditions.push(`f.root_gib >= ${put(body.minRootGiB)}::bigint`);
  if (body.name !== null) conditions.push(`f.name like ${put(`%${escapeLike(body.name)}%`)}`);
  if (body.marker !== null) conditions.push(behind(keys, await placeOf(query, keys, body.marker), put));
  const text = `select ${COLUMNS} from flavor f where ${conditions.join(' and ')} order by ${orderOf(keys)}
    limit ${put(Math.max(0, Math.min(body.limit, PAGE_MAX)))}`;
  return query<Flavor>({ text, values });
}

async function placeOf(query: Query, keys: readonly OrderKey[], marker: string): Promise<string[]> {
  const text = `select ${placeColumns(keys)} from flavor f where f.flavor_id = $1`;
  const [row] = await query<Record<string, string>>({ text, values: [marker] });
  if (!row) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
  return keys.map((_, i) => row[`k${i}`] ?? '');
}

async function show(query: Query, flavorId: string, projectId: string | null): Promise<Flavor | null> {
  const text = `select ${COLUMNS} from flavor f where f.flavor_id = $1 and ($2::text is null or ${visibleTo('$2')})`;
  const [flavor] = await query<Flavor>({ text, values: [flavorId, projectId] });
  return flavor ?? null;
}

/** `project` is the name of a parameter. */
function visibleTo(project: string): string {
  return `(f.is_public or exists (select from flavor_access a where a.flavor = f.id and a.project_id = ${project}))`;
}

async function listAccess(query: Query, flavorId: string): Promise<string[]> {
  const text = `select a.project_id as "projectId" from flavor f left join flavor_access a on a.flavor = f.id
    where f.flavor_id = $1 order by a.project_id limit ${ACCESS_MAX}`;
  const rows = await query<{ projectId: string | null }>({ text, values: [flavorId] });
  if (rows.length === 0) throw unknownFlavor(flavorId);
  return rows.flatMap((row) => row.projectId ?? []);
}

async function create(em: EntityManager, flavor: Flavor): Promise<Flavor> {
  const taken = await em.find(FlavorRow, { $or: [{ flavorId: flavor.flavorId }, { name: flavor.name }] });
  if (taken.some((row) => row.flavorId === flavor.flavorId)) {
    throw new Fault('conflict', 'flavor.id', `Flavor with ID ${flavor.flavorId} already exists.`);
  }
  if (taken.length > 0) throw new Fault('conflict', 'flavor.name', `Flavor with name ${flavor.name} already exists.`);
  const row = em.create(FlavorRow, { ...flavor });
  await em.persist(row).flush();
  return toFlavor(row);
}

function change(orm: MikroORM, flavorId: string, edit: (row: InferEntity<typeof FlavorRow>) => void): Promise<Flavor> {
  return inCell(orm, async (em) => {
    const row = await found(em, flavorId);
    edit(row);
    await em.flush();
    return toFlavor(row);
  });
}

function mergedSpecs(before: Flavor['extraSpecs'], specs: Flavor['extraSpecs']): Flavor['extraSpecs'] {
  const merged = { ...before, ...specs };
  if (Object.keys(merged).length > SPECS_MAX) throw new Fault('invalid', 'flavor.specs', `A flavor can have at most ${SPECS_MAX} extra specs.`);
  return merged;
}

function withoutSpec(flavorId: string, before: Flavor['extraSpecs'], key: string): Flavor['extraSpecs'] {
  if (!Object.hasOwn(before, key)) {
    throw new Fault('notFound', 'flavor.spec', `Flavor ${flavorId} has no extra specs with key ${key}.`);
  }
  return Object.fromEntries(Object.entries(before).filter(([name]) => name !== key));
}

async function addAccess(em: EntityManager, flavorId: string, projectId: string): Promise<string[]> {
  const { id } = await found(em, flavorId);
  if (await em.findOne(FlavorAccessRow, { flavor: id, projectId })) {
    const message = `Flavor access already exists for flavor ${flavorId} and project ${projectId} combination.`;
    throw new Fault('conflict', 'flavor.access', message);
  }
  await em.persist(em.create(FlavorAccessRow, { flavor: id, projectId })).flush();
  return accessOf(em, id);
}

async function removeAccess(em: EntityManager, flavorId: string, projectId: string): Promise<string[]> {
  const { id } = await found(em, flavorId);
  const removed = await em.nativeDelete(FlavorAccessRow, { flavor: id, projectId });
  if (removed === 0) {
    throw new Fault('notFound', 'flavor.access', `Flavor access not found for ${flavorId} / ${projectId} combination.`);
  }
  return accessOf(em, id);
}

async function accessOf(em: EntityManager, flavor: number): Promise<string[]> {
  const rows = await em.find(FlavorAccessRow, { flavor }, { orderBy: { projectId: 'asc' }, limit: ACCESS_MAX });
  return rows.map((row) => row.projectId);
}

async function found(em: EntityManager, flavorId: string): Promise<InferEntity<typeof FlavorRow>> {
  const row = await em.findOne(FlavorRow, { flavorId });
  if (!row) throw unknownFlavor(flavorId);
  return row;
}

function unknownFlavor(flavorId: string): Fault {
  return new Fault('notFound', 'flavor', `Flavor ${flavorId} could not be found.`);
}

function toFlavor(row: Flavor): Flavor {
  const { flavorId, name, vcpus, memoryMiB, rootGiB, ephemeralGiB, swapMiB, rxtxFactor, isPublic, disabled, description, extraSpecs } = row;
  return { flavorId, name, vcpus, memoryMiB, rootGiB, ephemeralGiB, swapMiB, rxtxFactor, isPublic, disabled, description, extraSpecs };
}
