/** The rig of the store's suite on tables in memory. */
import { QUOTA_DEFAULTS } from '../../actors/model/quota.ts';
import type { CellDump, StoreRig } from '../contract/store-rig.ts';
import { openMemoryStore, takeShards, toLoaded } from './memory-store.ts';
import { memoryTables, quotaKey, type MemoryTables } from './memory-tables.ts';

export async function memoryRig(): Promise<StoreRig> {
  const tables = memoryTables();
  return {
    open: async () => openMemoryStore({ tables, quotas: QUOTA_DEFAULTS }),
    take: async () => takeShards(tables).get(0) ?? 0,
    addNetwork: async (network) => void tables.networks.set(network.id, network),
    addAggregate: async (aggregate) => void tables.aggregates.push(aggregate),
    setLimit: async (project, user, limits) =>
      void tables.quotaLimits.set(quotaKey(project, user), { ...tables.quotaLimits.get(quotaKey(project, user)), ...limits }),
    addGroup: async (group) => void tables.serverGroups.set(group.id, group),
    addSecurityGroup: async (project, name) => void tables.securityGroups.add(quotaKey(project, name)),
    setDefaultClass: async (limits) => void Object.assign(tables.quotaClass, limits),
    dump: async () => dumpTables(tables),
    close: async () => {},
  };
}

export function dumpTables(tables: MemoryTables): CellDump {
  const { cell, instances, hosts, claims, quotaUse, fixedIps, events, idempotency, migrations } = tables;
  const sorted = <T>(items: Iterable<T>, key: (item: T) => string): T[] => [...items].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return {
    revision: cell.revision,
    lastNumber: cell.lastNumber,
    instances: sorted(instances.values(), ({ id }) => id).map((row) => {
      const { id, number, version, revision, open, dueAtMs } = row;
      const { deleted, generation, host } = row.row;
      return { id, number, version, revision, open, dueAtMs, deleted, generation, host, record: toLoaded(row).record };
    }),
    hosts: sorted(hosts.values(), ({ name }) => name).map(({ name, epoch, used, claims: count }) => ({ name, epoch, used, claims: count })),
    claims: sorted(claims.values(), ({ instanceId, generation }) => `${instanceId}/${generation}`),
    quota: sorted(quotaUse, ([key]) => key).map(([key, use]) => {
      const [project = '', user = ''] = key.split(' ');
      return { project, user, ...use };
    }),
    fixedIps: sorted(fixedIps.values(), ({ networkId, address }) => `${networkId} ${address}`),
    events: [...events],
    idempotency: sorted(idempotency, ([key]) => key).map(([name, row]) => {
      const [project = '', key = ''] = name.split(' ');
      return { project, key, ...row };
    }),
    migrations: sorted(migrations.values(), ({ uuid }) => uuid).map(({ uuid, instanceId, type, status, source, dest }) => ({
      uuid,
      instanceId,
      type,
      status,
      source,
      dest,
    })),
  };
}
