/**
 * What administrators say of a host's service: enabled, forced down, gone. The host's actor is told by whoever asked;
 * the rest of the row belongs to it and to the write batch.
 */
import type { EntityManager, InferEntity, MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { RecordProtocol } from '../messages/record.ts';
import { readNodeServices } from '../reads/node-services.ts';
import { isUuid, type Query } from '../reads/query.ts';
import { FORCE_DOWN, FORCE_UP } from '../standings.ts';
import { ServiceHostRow } from './entities.ts';
import { inCell } from './in-cell.ts';

type Update = RecordProtocol['updateService']['body'];
type ServiceRow = InferEntity<typeof ServiceHostRow>;
type ServiceServe = Pick<ServiceKind<RecordProtocol>['serve'], 'updateService' | 'deleteService'>;
type Parts = { readonly orm: MikroORM; readonly query: Query; readonly clock: Clock; readonly serviceDownMs: number };

export function serviceServe(parts: Parts): ServiceServe {
  const { orm, clock } = parts;
  return {
    async updateService(update) {
      if (update.uuid !== null) await refuseNodeService(parts, update.uuid, 'updated');
      return inCell(orm, async (em) => {
        const row = await found(em, update);
        // Said again of a host that has come back since: it counts again.
        if (update.forcedDown === true || (update.forcedDown === false && row.forcedDown)) await force(em, row.name, update.forcedDown);
        apply(row, update);
        row.updatedAt = new Date(clock.wallMs());
        await em.flush();
        return { host: row.name };
      });
    },
    async deleteService({ uuid }) {
      await refuseNodeService(parts, uuid, 'deleted');
      await inCell(orm, async (em) => {
        const row = await found(em, { uuid, host: null });
        await refuseClaimed(em, row.name);
        await leaveAggregates(em, row.name);
        row.deleted = true;
        row.updatedAt = new Date(clock.wallMs());
        await em.flush();
      });
      return undefined;
    },
  };
}

function apply(row: ServiceRow, { enabled, disabledReason, forcedDown }: Update): void {
  if (enabled !== undefined) row.disabled = !enabled;
  if (disabledReason !== undefined) row.disabledReason = disabledReason;
  else if (enabled === true) row.disabledReason = null; // an old reason would explain nothing
  if (forcedDown !== undefined) row.forcedDown = forcedDown;
}

/** An operator's word that a host is dead, or that it is not; what is proved by it changes in the same transaction. */
async function force(em: EntityManager, host: string, down: boolean): Promise<void> {
  if (!down) await refuseLeftBehind(em, host);
  for (const statement of down ? FORCE_DOWN : FORCE_UP) await em.execute(statement, [host], 'run');
}

/** What was evacuated from it may run there still: it has to come back and say that it does not. */
async function refuseLeftBehind(em: EntityManager, host: string): Promise<void> {
  const doomed = await em.execute<object[]>(`select 1 from claim where host = ? and role = 'doomed' limit 1`, [host]);
  if (doomed.length === 0) return;
  const text = `Unable to force up compute service on host ${host}: servers were evacuated or deleted from it, and it has not confirmed yet that they are gone.`;
  throw new Fault('invalid', 'service.leftBehind', text);
}

async function found(em: EntityManager, { uuid, host }: { uuid: string | null; host: string | null }): Promise<ServiceRow> {
  if (uuid !== null) {
    const row = isUuid(uuid) ? await em.findOne(ServiceHostRow, { serviceUuid: uuid, deleted: false }) : null;
    if (!row) throw new Fault('notFound', 'service', `Service ${uuid} could not be found.`);
    return row;
  }
  const row = host === null ? null : await em.findOne(ServiceHostRow, { name: host, deleted: false });
  if (!row) throw new Fault('notFound', 'service', `Could not find binary nova-compute on host ${host ?? ''}.`);
  return row;
}

/** A host that comes back later is a new one to its former groups. */
async function leaveAggregates(em: EntityManager, host: string): Promise<void> {
  await em.execute('delete from aggregate_host where host = ?', [host], 'run');
  await em.execute('delete from image_wanted where host = ?', [host], 'run');
}

/** A claim of any role: the host may still have to say that a doomed guest is gone. */
async function refuseClaimed(em: EntityManager, host: string): Promise<void> {
  const claims = await em.execute<object[]>('select 1 from claim where host = ? limit 1', [host]);
  if (claims.length === 0) return;
  const message = 'Unable to delete compute service that is hosting instances. Migrate or delete the instances first.';
  throw new Fault('conflict', 'service.claims', message);
}

/** Services without a row of their own are what their node's configuration says. */
async function refuseNodeService({ query, serviceDownMs }: Parts, uuid: string, what: 'updated' | 'deleted'): Promise<void> {
  const service = (await readNodeServices(query, serviceDownMs)).find((one) => one.uuid === uuid);
  if (!service) return;
  throw new Fault('invalid', 'service.binary', `A ${service.binary} service cannot be ${what}. Only nova-compute services can be ${what}.`);
}
