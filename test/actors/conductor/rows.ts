/** Rows for tests of the store's reads: records with usual values, inserted as the write batch would have left them. */
import type pg from 'pg';
import { INSTANCE_COLUMNS, INSTANCE_COLUMN_NAMES, toInstanceRow } from '../../../actors/conductor/tables/instance-row.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { ServerFilter } from '../../../actors/conductor/messages/read.ts';

export const ANY: ServerFilter = {
  projectId: null,
  deleted: null,
  changedSinceMs: null,
  changedBeforeMs: null,
  name: null,
  states: null,
  vmState: null,
  taskState: null,
  powerState: null,
  imageId: null,
  flavorId: null,
  userId: null,
  host: null,
  zone: null,
  reservationId: null,
  keyName: null,
  ids: null,
  ip: null,
  ip6: null,
  hostname: null,
  configDrive: null,
  locked: null,
  tags: null,
  tagsAny: null,
  notTags: null,
  notTagsAny: null,
};

/** `nth` makes ids, names and times that follow each other. */
export function instanceRecord(nth: number, more: Partial<InstanceRecord> = {}): InstanceRecord {
  const at = new Date(Date.UTC(2026, 0, 1) + nth * 1_000).toISOString();
  return {
    id: uuidOf(nth),
    number: 0,
    projectId: 'blue',
    userId: 'ann',
    name: `server-${nth}`,
    description: null,
    hostname: `server-${nth}`,
    reservationId: `r-${nth}`,
    launchIndex: 0,
    vmState: 'active',
    taskState: null,
    powerState: 'running',
    createdAt: at,
    updatedAt: at,
    launchedAt: at,
    terminatedAt: null,
    deleted: false,
    flavor: {
      flavorId: '1',
      name: 'm1.tiny',
      vcpus: 1,
      memoryMiB: 512,
      rootGiB: 1,
      ephemeralGiB: 0,
      swapMiB: 0,
      rxtxFactor: 1,
      isPublic: true,
      disabled: false,
      description: null,
      extraSpecs: {},
    },
    image: {
      id: uuidOf(900_000),
      name: 'tiny',
      diskFormat: 'raw',
      containerFormat: 'bare',
      sizeBytes: 1,
      hash: null,
      minDiskGiB: 0,
      minMemoryMiB: 0,
      properties: {},
    },
    kernel: null,
    ramdisk: null,
    keyName: null,
    publicKey: null,
    userData: null,
    configDrive: false,
    diskConfig: 'AUTO',
    metadata: {},
    tags: [],
    securityGroups: ['default'],
    accessIpV4: null,
    accessIpV6: null,
    schedulerHints: {},
    requestedZone: null,
    requestedHost: null,
    zone: 'nova',
    host: 'h1',
    generation: 1,
    wantedNetworks: [],
    nics: [],
    locked: false,
    lockedReason: null,
    fault: null,
    operation: null,
    actions: [],
    commands: [],
    ...more,
  };
}

export function uuidOf(nth: number): string {
  return `00000000-0000-4000-8000-${nth.toString(16).padStart(12, '0')}`;
}

/** Inserts records at a revision; the row's number is 1,000 above the record's place, while the record says 0. */
export async function insertInstances(pool: pg.Pool, records: readonly InstanceRecord[], revision: number): Promise<void> {
  const names = INSTANCE_COLUMN_NAMES.join(', ');
  await pool.query(
    `insert into instance (number, shard, version, revision, open, ${names})
     select 1000 + (select count(*) from instance) + row_number() over (), 0, 1, $2, false, ${names} from json_to_recordset($1) as r(${INSTANCE_COLUMNS})`,
    [JSON.stringify(records.map(toInstanceRow)), revision],
  );
  await pool.query('update cell set revision = greatest(revision, $1)', [revision]);
}

/** Writes a changed record over its row, as a commit does. */
export async function updateInstance(pool: pg.Pool, record: InstanceRecord, revision: number): Promise<void> {
  const sets = INSTANCE_COLUMN_NAMES.map((name) => `${name} = r.${name}`).join(', ');
  await pool.query(
    `update instance i set version = i.version + 1, revision = $2, ${sets} from json_to_recordset($1) as r(${INSTANCE_COLUMNS}) where i.id = r.id`,
    [JSON.stringify([toInstanceRow(record)]), revision],
  );
  await pool.query('update cell set revision = greatest(revision, $1)', [revision]);
}

export async function insertHost(pool: pg.Pool, name: string, more: { zone?: string; silentMs?: number } = {}): Promise<void> {
  const inventory = {
    vcpus: 8,
    memoryMiB: 16_384,
    diskGiB: 100,
    hypervisorType: 'simulated',
    hypervisorVersion: 1_000_000,
    hostIp: '10.0.0.1',
    cpu: { arch: 'x86_64', model: 'm', vendor: 'v', topology: { sockets: 1, cores: 8, threads: 1 }, features: [] },
  };
  await pool.query(
    `insert into host (name, node, driver, zone, inventory, vcpus, memory_mib, disk_gib, beat_at)
     values ($1, 'n1', 'simulated', $2, $3, 128, 24576, 100, clock_timestamp() - $4 * interval '1 millisecond')`,
    [name, more.zone ?? 'nova', JSON.stringify(inventory), more.silentMs ?? 0],
  );
}
