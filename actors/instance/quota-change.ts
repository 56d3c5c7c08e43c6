/** What the record of a server gives back to its quota, and takes again: once each, whatever becomes of it. Pure. */
import { quotaHeld } from '../model/between.ts';
import type { QuotaChange } from '../model/commit.ts';
import type { InstanceRecord } from '../model/instance.ts';

/** What the end of a server gives back: nothing when it was given back before. */
export function quotaBack(record: InstanceRecord): QuotaChange | null {
  return (record.reclaimAtMs ?? null) === null ? quotaOf(record, -1) : null;
}

/** What a server takes that was soft-deleted and is to be one again; refused by the store when there is none left. */
export function quotaAgain(record: InstanceRecord): QuotaChange | null {
  return (record.reclaimAtMs ?? null) === null ? null : quotaOf(record, 1);
}

function quotaOf(record: InstanceRecord, times: 1 | -1): QuotaChange {
  const { projectId, userId } = record;
  const { instances, cores, ram } = quotaHeld(record);
  return { projectId, userId, instances: times * instances, cores: times * cores, ram: times * ram };
}
