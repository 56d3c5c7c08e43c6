/** The status event of a change, and the compact record that it carries. Pure. */
import type { CompactInstance, StatusEvent } from './event.ts';
import type { InstanceRecord } from './instance.ts';
import { statusOf } from './server-state.ts';

export function toCompact(record: InstanceRecord): CompactInstance {
  return {
    id: record.id,
    name: record.name,
    projectId: record.projectId,
    userId: record.userId,
    status: statusOf(record),
    vmState: record.vmState,
    taskState: record.taskState,
    powerState: record.powerState,
    host: record.host,
    flavorId: record.flavor.flavorId,
    flavorName: record.flavor.name,
    imageId: record.image.id,
    addresses: record.nics.map((nic) => nic.address),
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    launchedAt: record.launchedAt,
    fault: record.fault && { reason: record.fault.reason, message: record.fault.message },
  };
}

export function eventOf(before: InstanceRecord | undefined, after: InstanceRecord): Omit<StatusEvent, 'revision'> {
  const cause = after.operation ?? before?.operation ?? null;
  return {
    kind: 'instance',
    id: after.id,
    projectId: after.projectId,
    change: !before ? 'created' : after.deleted && !before.deleted ? 'deleted' : 'changed',
    was: before ? statusOf(before) : null,
    status: statusOf(after),
    at: after.updatedAt,
    cause: { requestId: cause?.requestId ?? null, operation: cause?.name ?? null, step: cause?.step ?? null },
    record: toCompact(after),
  };
}
