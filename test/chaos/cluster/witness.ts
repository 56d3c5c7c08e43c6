/**
 * Looks on while everything goes wrong: no server may run in two places at any moment, and epochs of hosts and shards
 * only grow. What it sees of two guests counts when both were seen running at one moment: the first one is looked at
 * again after the second.
 */
import { systemClock } from '../../../runtime/base/clock.ts';
import { guestsOf, query, type Guest } from '../checkers.ts';
import type { Cluster } from '../cluster.ts';

const LOOK_MS = 400;
/** Looks between two readings of epochs. */
const EPOCHS_EVERY = 10;

export class Witness {
  readonly problems: string[] = [];
  looks = 0;
  readonly #cluster: Cluster;
  readonly #epochs = new Map<string, number>();
  readonly #seen = new Set<string>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async watch(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      this.look();
      if (this.looks % EPOCHS_EVERY === 0) await this.lookAtEpochs().catch(() => undefined); // the store may be away
      await systemClock.sleep(LOOK_MS, over).catch(() => undefined);
    }
  }

  look(): void {
    this.looks++;
    const running = new Map<string, Guest>();
    for (const guest of guestsOf(this.#cluster)) {
      const { instanceId, power } = guest;
      if (instanceId === null || power !== 'running') continue;
      const other = running.get(instanceId);
      running.set(instanceId, guest);
      if (other !== undefined && other.host !== guest.host && this.#stillRuns(other)) this.#doubled(other, guest);
    }
  }

  async lookAtEpochs(): Promise<void> {
    const rows = await query<{ what: string; epoch: string }>(
      this.#cluster,
      `select 'host ' || name as what, epoch from host union all select 'shard ' || id, epoch from shard`,
    );
    for (const { what, epoch } of rows) {
      const before = this.#epochs.get(what) ?? 0;
      if (Number(epoch) < before) this.problems.push(`P1 the epoch of ${what} went from ${before} back to ${epoch}`);
      this.#epochs.set(what, Number(epoch));
    }
  }

  #stillRuns({ instanceId, host, generation }: Guest): boolean {
    return guestsOf(this.#cluster).some(
      (guest) => guest.instanceId === instanceId && guest.host === host && guest.generation === generation && guest.power === 'running',
    );
  }

  #doubled(one: Guest, other: Guest): void {
    const text = `P3 a guest runs in two places at one moment: ${one.instanceId} on ${one.host} (generation ${one.generation}) and ${other.host} (generation ${other.generation})`;
    if (!this.#seen.has(text)) this.problems.push(text);
    this.#seen.add(text);
  }
}
