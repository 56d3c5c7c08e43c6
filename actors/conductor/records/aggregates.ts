/**
 * Groups of hosts. A change is made, and then looked at: no host may be in two zones, and none that has servers may
 * have come to another zone; otherwise all is taken back. Changes of a cell are serial, so nothing moves meanwhile.
 *
 * A host whose zone changes gets a new epoch: what it had promised as a host of the former zone is refused by the
 * commit, and the server is placed anew.
 */
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { AGGREGATE_WORDS_MAX, AGGREGATES_PER_HOST_MAX, HOST_WORDS_MAX_BYTES, ZONE_KEY, type Aggregate } from '../../model/aggregate.ts';
import type { AggregateProtocol } from '../messages/aggregate.ts';
import type { Query } from '../reads/query.ts';
import { zoneOf } from '../tables/aggregates.ts';
import { inCell } from './in-cell.ts';

/** Aggregates of a cell; a list has no pages. */
const AGGREGATES_MAX = 10_000;
/** Images that one host may still have to fetch. */
const WANTED_MAX = 256;

const COLUMNS = `a.id, a.uuid, a.name, a.metadata, a.created_at as "createdAt", a.updated_at as "updatedAt",
  coalesce((select array_agg(m.host order by m.host) from aggregate_host m where m.aggregate = a.id), '{}') as hosts`;
const LIST = `select ${COLUMNS} from aggregate a order by a.id limit ${AGGREGATES_MAX}`;
const SHOW = `select ${COLUMNS} from aggregate a where a.id = $1`;
const ZONES = `select h.name as host, ${zoneOf('h.name', 'h.zone')} as zone,
    exists (select from claim c where c.host = h.name and c.role <> 'doomed') as occupied,
    (select count(*)::integer from aggregate_host m where m.host = h.name) as groups,
    (select coalesce(sum(octet_length(a.metadata::text)), 0)::integer from aggregate_host m join aggregate a on a.id = m.aggregate where m.host = h.name) as bytes,
    (select array_agg(distinct a.metadata->>'${ZONE_KEY}') from aggregate_host m join aggregate a on a.id = m.aggregate
      where m.host = h.name and a.metadata->>'${ZONE_KEY}' is not null) as named
  from host h where h.name in (select json_array_elements_text(?::json))`;
/** A host that is proved dead has begun an epoch already in which it promised nothing; its proof stays. */
const RAISE_EPOCH = [
  `update host set epoch = epoch + 1, updated_at = clock_timestamp()
    where name in (select json_array_elements_text(?::json)) and not coalesce(proof is not null and proof_epoch = epoch, false)`,
  'update host_beat b set epoch = h.epoch from host h where h.name = b.name and h.name in (select json_array_elements_text(?::json))',
] as const;

type Serve = Pick<ServiceKind<AggregateProtocol>['serve'], keyof AggregateProtocol>;
type AggregateRead = Omit<Aggregate, 'createdAt' | 'updatedAt'> & { createdAt: Date; updatedAt: Date | null };
type HostZone = { host: string; zone: string; occupied: boolean; groups: number; bytes: number; named: string[] | null };
type Action = 'add_host_to_aggregate' | 'remove_host_from_aggregate' | 'update_aggregate' | 'update_aggregate_metadata' | 'delete_aggregate';

export function aggregateServe(orm: MikroORM, query: Query): Serve {
  const show = async (id: number): Promise<Aggregate | null> => {
    const [row] = await query<AggregateRead>({ text: SHOW, values: [id] });
    return row ? toAggregate(row) : null;
  };
  const changed = async (id: number): Promise<Aggregate> => {
    const aggregate = await show(id);
    if (!aggregate) throw unknownAggregate(id);
    return aggregate;
  };
  return {
    listAggregates: async () => (await query<AggregateRead>({ text: LIST, values: [] })).map(toAggregate),
    showAggregate: ({ id }) => show(id),
    async createAggregate({ name, zone }) {
      const metadata = JSON.stringify(zone === null ? {} : { [ZONE_KEY]: zone });
      const id = await inCell(orm, async (em) => {
        await refuseTakenName(em, name, null);
        const [row] = await em.execute<{ id: number }[]>('insert into aggregate (name, metadata) values (?, ?::jsonb) returning id', [name, metadata]);
        return row?.id ?? 0;
      });
      return changed(id);
    },
    async updateAggregate({ id, change: { name, zone } }) {
      await inCell(orm, async (em) => {
        const { hosts } = await found(em, id);
        if (name !== undefined) {
          await refuseTakenName(em, name, id);
          await em.execute('update aggregate set name = ?, updated_at = clock_timestamp() where id = ?', [name, id], 'run');
        }
        if (zone !== undefined) {
          await withZonesKept(em, { hosts, action: 'update_aggregate', id }, () =>
            setWords(em, id, zone === null ? {} : { [ZONE_KEY]: zone }, zone === null ? [ZONE_KEY] : []),
          );
        }
      });
      return changed(id);
    },
    async deleteAggregate({ id }) {
      await inCell(orm, async (em) => {
        const { hosts } = await found(em, id);
        if (hosts.length > 0) throw refusedAction('delete_aggregate', id, 'Host aggregate is not empty', 'aggregate.hosts');
        await em.execute('delete from aggregate where id = ?', [id], 'run');
      });
      return undefined;
    },
    async addAggregateHost({ id, host }) {
      await inCell(orm, async (em) => {
        const { hosts } = await found(em, id);
        await refuseUnknownHost(em, host);
        if (hosts.includes(host)) throw new Fault('conflict', 'aggregate.has', `Aggregate ${id} already has host ${host}.`);
        await withZonesKept(em, { hosts: [host], action: 'add_host_to_aggregate', id }, () =>
          em.execute('insert into aggregate_host (aggregate, host) values (?, ?)', [id, host], 'run'),
        );
        await touch(em, id);
      });
      return changed(id);
    },
    async removeAggregateHost({ id, host }) {
      await inCell(orm, async (em) => {
        const { hosts } = await found(em, id);
        if (!hosts.includes(host)) {
          await refuseUnknownHost(em, host);
          throw new Fault('notFound', 'aggregate.host', `Aggregate ${id} has no host ${host}.`);
        }
        await withZonesKept(em, { hosts: [host], action: 'remove_host_from_aggregate', id }, () =>
          em.execute('delete from aggregate_host where aggregate = ? and host = ?', [id, host], 'run'),
        );
        await touch(em, id);
      });
      return changed(id);
    },
    async setAggregateWords({ id, set, drop }) {
      await inCell(orm, async (em) => {
        const { hosts } = await found(em, id);
        await withZonesKept(em, { hosts, action: 'update_aggregate_metadata', id }, () => setWords(em, id, set, drop));
      });
      return changed(id);
    },
    async wantImages({ id, images }) {
      return inCell(orm, async (em) => {
        const { hosts } = await found(em, id);
        const names = JSON.stringify(hosts);
        for (const image of images) await em.execute(WANT, [image.id, JSON.stringify(image), names], 'run');
        const [full] = await em.execute<{ host: string }[]>(FULL, [names]);
        if (full) throw new Fault('conflict', 'aggregate.images', `Host ${full.host} has ${WANTED_MAX} images to fetch already.`);
        return { hosts };
      });
    },
  };
}

const WANT = `insert into image_wanted (image_id, image, host) select ?, ?::json, json_array_elements_text(?::json)
  on conflict (host, image_id) do update set image = excluded.image, asked_at = clock_timestamp()`;

/** A list goes as JSON: the mapper takes arrays apart. */
const FULL = `select host from image_wanted where host in (select json_array_elements_text(?::json)) group by host having count(*) > ${WANTED_MAX} limit 1`;

async function found(em: EntityManager, id: number): Promise<{ hosts: readonly string[] }> {
  const [row] = await em.execute<{ hosts: string[] }[]>(
    `select coalesce((select array_agg(host order by host) from aggregate_host where aggregate = a.id), '{}') as hosts from aggregate a where id = ?`,
    [id],
  );
  if (!row) throw unknownAggregate(id);
  return row;
}

async function setWords(em: EntityManager, id: number, set: { readonly [key: string]: string }, drop: readonly string[]): Promise<void> {
  if (Object.hasOwn(set, '__proto__')) throw new Fault('invalid', 'aggregate.key', 'The key __proto__ is not allowed.');
  const text =
    'update aggregate set metadata = (metadata || ?::jsonb) - array(select json_array_elements_text(?::json)), updated_at = clock_timestamp() where id = ? returning metadata';
  const [row] = await em.execute<{ metadata: object }[]>(text, [JSON.stringify(set), JSON.stringify(drop), id]);
  if (Object.keys(row?.metadata ?? {}).length > AGGREGATE_WORDS_MAX) {
    throw new Fault('invalid', 'aggregate.words', `An aggregate holds at most ${AGGREGATE_WORDS_MAX} metadata items.`);
  }
}

async function touch(em: EntityManager, id: number): Promise<void> {
  await em.execute('update aggregate set updated_at = clock_timestamp() where id = ?', [id], 'run');
}

/** Makes the change between two looks at the zones of the hosts that it is about. */
async function withZonesKept(
  em: EntityManager,
  { hosts, action, id }: { hosts: readonly string[]; action: Action; id: number },
  change: () => Promise<unknown>,
): Promise<void> {
  const look = (): Promise<HostZone[]> => em.execute<HostZone[]>(ZONES, [JSON.stringify(hosts)]);
  const before = new Map((await look()).map((one) => [one.host, one.zone]));
  await change();
  const after = await look();
  const torn = after.find(({ named }) => (named?.length ?? 0) > 1);
  if (torn) throw refusedAction(action, id, `One or more hosts already in availability zone(s) ${(torn.named ?? []).join(', ')}`);
  const crowded = after.find(({ groups }) => groups > AGGREGATES_PER_HOST_MAX);
  if (crowded) throw new Fault('conflict', 'aggregate.many', `Host ${crowded.host} is in ${AGGREGATES_PER_HOST_MAX} aggregates already.`);
  const wordy = after.find(({ bytes }) => bytes > HOST_WORDS_MAX_BYTES);
  if (wordy) throw refusedAction(action, id, `The aggregates of host ${wordy.host} would have more than ${HOST_WORDS_MAX_BYTES} bytes of metadata`);
  const moved = after.filter(({ host, zone }) => before.get(host) !== zone);
  if (moved.some(({ occupied }) => occupied)) throw refusedAction(action, id, 'One or more hosts contain instances in this zone');
  if (moved.length > 0) for (const statement of RAISE_EPOCH) await em.execute(statement, [JSON.stringify(moved.map(({ host }) => host))], 'run');
}

/** A changed word is a wrong request; a host that cannot come or go is a conflict. */
function refusedAction(action: Action, id: number, reason: string, why = 'aggregate.zone'): Fault {
  const isHost = action === 'add_host_to_aggregate' || action === 'remove_host_from_aggregate';
  return new Fault(isHost ? 'conflict' : 'invalid', why, `Cannot perform action '${action}' on aggregate ${id}. Reason: ${reason}.`);
}

async function refuseTakenName(em: EntityManager, name: string, id: number | null): Promise<void> {
  const [taken] = await em.execute<object[]>('select from aggregate where name = ? and id is distinct from ?::integer', [name, id]);
  if (taken) throw new Fault('conflict', 'aggregate.name', `Aggregate ${name} already exists.`);
}

async function refuseUnknownHost(em: EntityManager, host: string): Promise<void> {
  const [known] = await em.execute<object[]>('select from host where name = ? and not deleted', [host]);
  if (!known) throw new Fault('notFound', 'host.unknown', `Compute host ${host} could not be found.`);
}

function unknownAggregate(id: number): Fault {
  return new Fault('notFound', 'aggregate', `Aggregate ${id} could not be found.`);
}

function toAggregate({ createdAt, updatedAt, ...rest }: AggregateRead): Aggregate {
  return { ...rest, createdAt: createdAt.toISOString(), updatedAt: updatedAt?.toISOString() ?? null };
}
