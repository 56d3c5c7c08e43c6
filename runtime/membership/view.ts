/**
 * Who is alive, as this node sees it: every node's beat is read again and again, and one that did not move for a lease
 * and a margin, on our monotonic clock, is over. A failed read starts the wait anew, so nothing expires because the
 * store was away. No wall clock is compared with another.
 */
import type { Clock } from '../base/clock.ts';
import type { NodeRow, NodeTable } from '../database/node-table.ts';

export type ViewSettings = { readonly leaseMs: number; readonly marginMs: number };

/** A node whose lease is over for us: exactly what was seen, so that taking from it can compare. */
export type LapsedNode = { readonly name: string; readonly boot: string; readonly beat: number };

type Seen = { readonly row: NodeRow; readonly movedMs: number };

export class MembershipView {
  readonly #parts: { readonly self: string; readonly nodes: NodeTable; readonly clock: Clock; readonly settings: ViewSettings };
  readonly #listeners: ((alive: readonly NodeRow[]) => void)[] = [];
  #seen = new Map<string, Seen>();
  #failed = false;
  #shape = '';

  constructor(parts: { self: string; nodes: NodeTable; clock: Clock; settings: ViewSettings }) {
    this.#parts = parts;
  }

  /** Looks once. Rejects as the table does; what was seen before then counts from the next look on. */
  async look(): Promise<void> {
    let rows: NodeRow[];
    try {
      rows = await this.#parts.nodes.all();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
    const nowMs = this.#parts.clock.monotonicMs();
    const seen = new Map<string, Seen>();
    for (const row of rows) {
      const before = this.#seen.get(row.name);
      const unmoved = before && !this.#failed && before.row.boot === row.boot && before.row.beat === row.beat;
      seen.set(row.name, { row, movedMs: unmoved ? before.movedMs : nowMs });
    }
    this.#failed = false;
    this.#seen = seen;
    this.#tell();
  }

  /** Nodes whose beat moved lately, this one always among them once it is in the table. */
  alive(): NodeRow[] {
    return [...this.#seen.values()].filter((seen) => this.#isAlive(seen)).map(({ row }) => row);
  }

  /** Whether a row's beat, this node's own included, did not move for a lease and a margin. */
  isStill(name: string): boolean {
    const { clock, settings } = this.#parts;
    const seen = this.#seen.get(name);
    return seen !== undefined && clock.monotonicMs() - seen.movedMs >= settings.leaseMs + settings.marginMs;
  }

  lapsed(): LapsedNode[] {
    return [...this.#seen.values()].filter((seen) => !this.#isAlive(seen)).map(({ row }) => ({ name: row.name, boot: row.boot, beat: row.beat }));
  }

  /** Milliseconds until the first of the living is over for us, if its beat moves no more; undefined when there is no other. */
  get lapseInMs(): number | undefined {
    const { self, clock, settings } = this.#parts;
    const others = [...this.#seen.values()].filter((seen) => seen.row.name !== self && this.#isAlive(seen));
    if (others.length === 0) return undefined;
    return Math.min(...others.map(({ movedMs }) => movedMs)) + settings.leaseMs + settings.marginMs - clock.monotonicMs();
  }

  /** Every node in the table, alive or not. */
  all(): NodeRow[] {
    return [...this.#seen.values()].map(({ row }) => row);
  }

  /** Called when nodes come, go, or start anew. */
  onChange(listener: (alive: readonly NodeRow[]) => void): void {
    this.#listeners.push(listener);
  }

  #isAlive({ row, movedMs }: Seen): boolean {
    const { self, clock, settings } = this.#parts;
    return row.name === self || clock.monotonicMs() - movedMs < settings.leaseMs + settings.marginMs;
  }

  #tell(): void {
    const alive = this.alive();
    const shape = alive.map((row) => `${row.name}/${row.boot}`).join(' ');
    if (shape === this.#shape) return;
    this.#shape = shape;
    for (const listener of this.#listeners) listener(alive);
  }
}
