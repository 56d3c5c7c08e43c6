/** Hosts and zones from the rows of hosts. Whether one is up is judged by the database's clock, the same for all askers. */
import type { HostInventory } from '../../../drivers/driver.ts';
import type { HostView, ReadProtocol } from '../messages/read.ts';
import { zoneOf } from '../tables/aggregates.ts';
import type { Query } from './query.ts';

/** Hosts of a cell; see the size that the architecture names. */
const HOSTS_MAX = 20_000;

type HostRead = {
  name: string;
  id: number;
  uuid: string;
  service_id: number;
  service_uuid: string;
  driver: string;
  zone: string;
  inventory: HostInventory;
  used_vcpus: number;
  used_memory_mib: string;
  used_disk_gib: string;
  claims: number;
  disabled: boolean;
  disabled_reason: string | null;
  forced_down: boolean;
  beat_at: Date;
  silent_ms: number;
  /** Something proves its guests dead. */
  is_proved: boolean;
};

const HOSTS = `select h.name, id, uuid, service_id, service_uuid, driver, ${zoneOf('h.name', 'h.zone')} as zone, inventory, used_vcpus, used_memory_mib, used_disk_gib,
    claims, disabled, disabled_reason, forced_down, greatest(h.beat_at, b.beat_at) as beat_at,
    (extract(epoch from clock_timestamp() - greatest(h.beat_at, b.beat_at)) * 1000)::float8 as silent_ms,
    coalesce(h.proof is not null and h.proof_epoch = h.epoch, false) as is_proved
  from host h left join host_beat b on b.name = h.name where $1 or not deleted order by id limit ${HOSTS_MAX}`;

const ZONES = `select zone as name, bool_or(not disabled) as available, array_agg(name order by name) as hosts
  from (select h.name, h.disabled, ${zoneOf('h.name', 'h.zone')} as zone from host h where not h.deleted) placed group by zone order by zone`;

export async function readHosts(query: Query, options: { withDeleted: boolean; serviceDownMs: number }): Promise<HostView[]> {
  const rows = await query<HostRead>({ text: HOSTS, values: [options.withDeleted] });
  return rows.map((row) => toHostView(row, options.serviceDownMs));
}

/** A zone is available while one of its hosts is enabled, also when that host is silent. A cell without hosts has the default one. */
export async function readZones(query: Query, defaultZone: string): Promise<ReadProtocol['listZones']['reply']> {
  const zones = await query<{ name: string; available: boolean; hosts: string[] }>({ text: ZONES, values: [] });
  return zones.length > 0 ? zones : [{ name: defaultZone, available: false, hosts: [] }];
}

function toHostView(row: HostRead, serviceDownMs: number): HostView {
  const { inventory } = row;
  return {
    id: row.service_id,
    uuid: row.service_uuid,
    binary: 'nova-compute',
    host: row.name,
    zone: row.zone,
    enabled: !row.disabled,
    up: !row.forced_down && !row.is_proved && row.silent_ms < serviceDownMs,
    updatedAt: row.beat_at.toISOString(),
    disabledReason: row.disabled_reason,
    forcedDown: row.forced_down,
    hypervisorId: row.id,
    hypervisorUuid: row.uuid,
    driver: row.driver,
    hypervisorType: inventory.hypervisorType,
    hypervisorVersion: inventory.hypervisorVersion,
    hostIp: inventory.hostIp,
    ...(inventory.abilities && { abilities: inventory.abilities }),
    cpu: inventory.cpu,
    total: { vcpus: inventory.vcpus, memoryMiB: inventory.memoryMiB, diskGiB: inventory.diskGiB },
    used: { vcpus: row.used_vcpus, memoryMiB: Number(row.used_memory_mib), diskGiB: Number(row.used_disk_gib) },
    instances: row.claims,
  };
}
