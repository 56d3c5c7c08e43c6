/** Server groups of the store in memory: who is in one, and where. The twin of what the write batch and `groupPlaces` read. */
import type { GroupPolicy } from '../../actors/model/server-group.ts';
import { provedBy, type MemoryTables } from './memory-tables.ts';

/** Ids of the living members, of one user where it is named. */
export function groupMembers(tables: MemoryTables, group: string, userId?: string): string[] {
  return [...tables.instances.values()]
    .filter(({ row }) => row.group_id === group && !row.deleted && (userId === undefined || row.user_id === userId))
    .map(({ id }) => id);
}

/** Other members by host: every claim for anti-affinity, active ones on hosts that are not proved dead for affinity. */
export function groupPlaces(
  tables: MemoryTables,
  group: string,
  instance: string,
): { policy: GroupPolicy; perHost: number; here: Map<string, Set<string>> } | null {
  const found = tables.serverGroups.get(group);
  if (found === undefined) return null;
  const { policy, perHost } = found;
  const here = new Map<string, Set<string>>();
  for (const { instanceId, host, role } of tables.claims.values()) {
    if (instanceId === instance || tables.instances.get(instanceId)?.row.group_id !== group) continue;
    const row = tables.hosts.get(host);
    if (policy !== 'anti-affinity' && role !== 'active') continue;
    if (policy === 'affinity' && row !== undefined && provedBy(row) !== null) continue;
    here.set(host, (here.get(host) ?? new Set()).add(instanceId));
  }
  return { policy, perHost: policy === 'anti-affinity' ? (perHost ?? 1) : 0, here };
}
