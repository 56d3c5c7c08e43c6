/** How hosts stand, in memory: the twin of actors/conductor/standings.ts. Each function is one statement. */
import { beatKey, type HostStandings } from '../../actors/conductor/standings.ts';
import type { HostStanding, ServerOnHost } from '../../actors/model/host-standing.ts';
import { provedBy, type HostRow, type MemoryTables } from './memory-tables.ts';

type Twin = {
  readonly [name in keyof HostStandings]: (...args: Parameters<HostStandings[name]>) => Awaited<ReturnType<HostStandings[name]>>;
};

export function memoryStandings(tables: MemoryTables, wallMs: () => number): Twin {
  const standing = (row: HostRow): HostStanding & { silentMs: number } => ({
    host: row.name,
    node: row.node,
    epoch: row.epoch,
    mark: String(row.beats),
    forcedDown: row.forcedDown ?? false,
    selfFenceMs: row.selfFence?.epoch === row.epoch ? row.selfFence.ms : null,
    proof: provedBy(row),
    claims: row.claims,
    silentMs: wallMs() - (row.beatMs ?? 0),
  });

  function serversOn(host: string, limit: number): ServerOnHost[] {
    const held = [...tables.claims.values()].filter((claim) => claim.host === host && claim.role === 'active');
    const rows = held.flatMap(({ instanceId, generation }) => {
      const row = tables.instances.get(instanceId)?.row;
      return row && row.generation === generation && !row.deleted ? [row] : [];
    });
    return rows
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .map(({ id, vm_state: vmState, launched_at, record }) => ({
        id,
        vmState,
        launched: launched_at !== null,
        operation: record.operation?.name ?? null,
        moved: record.move?.hasSwapped ?? false,
      }));
  }

  return {
    hostBeats(beats) {
      const heard = new Set<string>();
      for (const { host, epoch } of beats) {
        const row = tables.hosts.get(host);
        if (row?.epoch !== epoch) continue;
        tables.hosts.set(host, { ...row, beats: row.beats + 1, beatMs: wallMs() });
        heard.add(beatKey(host, epoch));
      }
      return heard;
    },
    hostLeave(host, epoch) {
      const row = tables.hosts.get(host);
      if (row?.epoch !== epoch) return;
      const { selfFence: _, ...rest } = row;
      tables.hosts.set(host, rest);
    },
    hostStandings: () => [...tables.hosts.values()].map(standing),
    hostStanding(host) {
      const row = tables.hosts.get(host);
      return row ? standing(row) : null;
    },
    hostProve({ host, epoch, mark, proof }) {
      const row = tables.hosts.get(host);
      if (row?.epoch !== epoch || (mark !== null && mark !== String(row.beats))) return false;
      tables.hosts.set(host, { ...row, epoch: epoch + 1, proof: { by: proof, epoch: epoch + 1 } });
      return true;
    },
    serversOn,
  };
}
