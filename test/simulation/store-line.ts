/**
 * The store as one life of a node reaches it: the shared tables, over a line that is slow, loses answers, or is cut.
 * Each life has connections of its own; what it asked for goes on when it has ended.
 */
import type { WriteAnswer, WriteItem } from '../../actors/conductor/write/item.ts';
import type { StatusEvent } from '../../actors/model/event.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Random } from '../../runtime/base/random.ts';
import { openFlight, type Misfortune } from '../doubles/memory-flight.ts';
import { memoryNodeTable, memoryShardTable } from '../doubles/memory-lease.ts';
import { openMemoryStore } from '../doubles/memory-store.ts';
import { provedBy, type MemoryTables, type ShardHolder } from '../doubles/memory-tables.ts';
import type { VirtualWorld } from '../doubles/virtual-clock.ts';
import { simulatedDesk, simulatedRows, simulatedSink, type SimImages } from './images.ts';
import type { NodeParts } from './node.ts';
import type { HistoryReads } from './reads.ts';

export type LineParts = {
  readonly tables: MemoryTables;
  /** Of the image service. */
  readonly images: SimImages;
  readonly time: VirtualWorld;
  readonly random: Random;
  readonly misfortune: (statement: string) => Misfortune | undefined;
  readonly isCut: () => boolean;
  readonly onGiven: (shard: number, holder: ShardHolder | undefined) => void;
  readonly onApplied: (items: readonly WriteItem[], answers: readonly WriteAnswer[]) => void;
};

export function openStoreLine({ tables, images, time, random, misfortune, isCut, onGiven, onApplied }: LineParts): NodeParts['store'] {
  const line = { clock: time.clock, random, latencyMs: { fromMs: 0.5, toMs: 4 }, misfortune, isCut };
  const flight = openFlight(line);
  const reads: HistoryReads = {
    history: (after, limit) => flight('history', () => history(tables, after, limit)),
    revision: () => flight('revision', () => ({ revision: tables.cell.revision, oldest: 1, incarnation: 'first' })),
    async forceService(host, down) {
      const refused = await flight('force', () => forceService(tables, host, down));
      if (refused) throw refused;
    },
  };
  const nowMs = (): number => time.nowMs;
  return {
    snapshots: { rows: simulatedRows(tables, flight, nowMs), desk: simulatedDesk(images, flight, nowMs) },
    sinkOf: (host, actors, clock) => simulatedSink(host, actors, images, flight, clock),
    ...openMemoryStore({ ...line, tables, onApplied }),
    ...reads,
    nodes: memoryNodeTable(tables, flight),
    shards: memoryShardTable(tables, flight, onGiven),
  };
}

/** FORCE_DOWN and FORCE_UP of actors/conductor/standings.ts, and what refuses the latter. */
function forceService({ hosts, claims }: MemoryTables, name: string, down: boolean): Fault | undefined {
  const row = hosts.get(name);
  if (!row) return new Fault('notFound', 'service', `Could not find binary nova-compute on host ${name}.`);
  if (down) {
    const stands = provedBy(row);
    const epoch = stands === null ? row.epoch + 1 : row.epoch;
    hosts.set(name, { ...row, forcedDown: true, epoch, proof: { by: stands ?? 'forceDown', epoch } });
    return undefined;
  }
  if (!row.forcedDown) return undefined;
  const isLeftBehind = [...claims.values()].some((claim) => claim.host === name && claim.role === 'doomed');
  if (isLeftBehind) return new Fault('invalid', 'service.leftBehind', `Unable to force up compute service on host ${name}.`);
  const { proof: _, ...rest } = row;
  hosts.set(name, { ...rest, forcedDown: false });
  return undefined;
}

/** Whole revisions, as runtime/database/history.ts gives them. */
function history({ events, cell }: MemoryTables, after: number, limit: number): Awaited<ReturnType<HistoryReads['history']>> {
  const from = events.findIndex((event) => event.revision > after);
  if (from < 0) return { events: [], upTo: cell.revision };
  let to = from;
  while (to < events.length && (to - from < limit || events[to]?.revision === events[to - 1]?.revision)) to++;
  const rows = events.slice(from, to).map(({ revision, body }) => ({ ...(body as Omit<StatusEvent, 'revision'>), revision }));
  return { events: rows, upTo: to < events.length ? (events[to - 1]?.revision ?? after) : cell.revision };
}
