/**
 * Which servers ran between two moments: from their rows, which stay when the servers are deleted. A window begins at
 * `from` and ends before `to`; what ended before it or begins after it is left out.
 */
import { Fault } from '../../../runtime/base/fault.ts';
import type { ReadProtocol, ServerUse } from '../messages/read.ts';
import type { Query } from './query.ts';

/** The record says what it is; names and times have columns of their own. */
const USE = `select i.id, i.project_id as "projectId", i.name, i.vm_state as "vmState", i.record->'flavor'->>'name' as "flavorName",
  (i.record->'flavor'->>'vcpus')::integer as vcpus, (i.record->'flavor'->>'memoryMiB')::integer as "memoryMiB",
  (i.record->'flavor'->>'rootGiB')::integer + (i.record->'flavor'->>'ephemeralGiB')::integer as "diskGiB",
  i.record->>'launchedAt' as "launchedAt", i.record->>'terminatedAt' as "terminatedAt"
  from instance i
  where i.launched_at is not null and i.launched_at < to_timestamp($3::double precision / 1000)
    and (i.terminated_at is null or i.terminated_at > to_timestamp($2::double precision / 1000))
    and ($1::text is null or i.project_id = $1)
    and ($4::uuid is null or (i.project_id, i.id) > (select m.project_id, m.id from instance m where m.id = $4))
  order by i.project_id, i.id limit $5`;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export async function readUse(query: Query, { projectId, fromMs, toMs, marker, limit }: ReadProtocol['listServerUse']['body']): Promise<readonly ServerUse[]> {
  if (marker !== null && !(await isKnown(query, marker, projectId))) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
  return query<ServerUse>({ text: USE, values: [projectId, fromMs, toMs, marker, limit] });
}

async function isKnown(query: Query, id: string, projectId: string | null): Promise<boolean> {
  if (!UUID.test(id)) return false;
  const found = await query<object>({ text: 'select 1 from instance where id = $1 and ($2::text is null or project_id = $2)', values: [id, projectId] });
  return found.length > 0;
}
