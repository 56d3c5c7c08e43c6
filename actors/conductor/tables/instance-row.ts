/** From an instance's record to its row: the columns that lists filter and sort by, beside the record itself. */
import type { InstanceRecord } from '../../model/instance.ts';

export type InstanceRow = {
  readonly id: string;
  readonly project_id: string;
  readonly user_id: string;
  readonly name: string;
  readonly hostname: string;
  readonly vm_state: string;
  readonly task_state: string | null;
  readonly power_state: string;
  readonly host: string | null;
  readonly generation: number;
  readonly zone: string | null;
  readonly flavor_id: string;
  readonly image_id: string;
  readonly key_name: string | null;
  readonly reservation_id: string;
  readonly launch_index: number;
  readonly created_at: string;
  readonly updated_at: string;
  readonly launched_at: string | null;
  readonly terminated_at: string | null;
  readonly deleted: boolean;
  readonly locked: boolean;
  readonly config_drive: boolean;
  readonly tags: readonly string[];
  readonly addresses: readonly string[];
  readonly group_id: string | null;
  readonly record: InstanceRecord;
};

/** Column definitions as `json_to_recordset` wants them; order and names of `InstanceRow`. */
export const INSTANCE_COLUMNS = `id uuid, project_id text, user_id text, name text, hostname text, vm_state text,
  task_state text, power_state text, host text, generation integer, zone text, flavor_id text, image_id text,
  key_name text, reservation_id text, launch_index integer, created_at timestamptz, updated_at timestamptz,
  launched_at timestamptz, terminated_at timestamptz, deleted boolean, locked boolean, config_drive boolean,
  tags text[], addresses text[], group_id uuid, record json`;

/** The same names alone, for `insert` and `select` lists. */
export const INSTANCE_COLUMN_NAMES = INSTANCE_COLUMNS.split(',').map((column) => column.trim().split(' ')[0] ?? '');

export function toInstanceRow(record: InstanceRecord): InstanceRow {
  return {
    id: record.id,
    project_id: record.projectId,
    user_id: record.userId,
    name: record.name,
    hostname: record.hostname,
    vm_state: record.vmState,
    task_state: record.taskState,
    power_state: record.powerState,
    host: record.host,
    generation: record.generation,
    zone: record.zone,
    flavor_id: record.flavor.flavorId,
    image_id: record.image.id,
    key_name: record.keyName,
    reservation_id: record.reservationId,
    launch_index: record.launchIndex,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
    launched_at: record.launchedAt,
    terminated_at: record.terminatedAt,
    deleted: record.deleted,
    locked: record.locked,
    config_drive: record.configDrive,
    tags: record.tags,
    addresses: record.nics.map((nic) => nic.address),
    group_id: record.group?.id ?? null,
    record,
  };
}
