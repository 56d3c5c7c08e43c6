/**
 * Reads what simulated hypervisors keep of their guests, in the files of all nodes, and says who runs. It asks no node:
 * what it sees is what is there. While it watches, it looks every few milliseconds for a server that runs twice.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const EVERY_MS = 10;

export type Running = { readonly id: string; readonly generation: number; readonly host: string };

export class Witness {
  readonly #dataDirs: readonly string[];
  #timer: NodeJS.Timeout | undefined;
  /** Servers that were seen to run in two places at once. */
  readonly doubled: Running[][] = [];

  constructor(dataDirs: readonly string[]) {
    this.#dataDirs = dataDirs;
  }

  /** `id/generation` of what runs, of these servers. */
  running(ids: readonly string[]): string[] {
    return this.guests()
      .filter(({ id }) => ids.includes(id))
      .map(({ id, generation }) => `${id}/${generation}`);
  }

  guests(): Running[] {
    return this.#dataDirs.flatMap((dataDir) =>
      namesIn(join(dataDir, 'hosts')).flatMap((host) => {
        const folder = join(dataDir, 'hosts', host, 'guests');
        return namesIn(folder)
          .filter((name) => name.endsWith('.json'))
          .flatMap((name) => runningOf(join(folder, name), host));
      }),
    );
  }

  watch(): void {
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Seen twice in a row: reading two folders takes a moment, in which one that moved may be seen in both. */
  #look(): void {
    const twice = doubledIn(this.guests());
    if (twice.length === 0) return;
    const still = doubledIn(this.guests()).filter(([one]) => twice.some(([other]) => other?.id === one?.id));
    this.doubled.push(...still);
  }
}

function doubledIn(guests: readonly Running[]): Running[][] {
  const byId = Map.groupBy(guests, ({ id }) => id);
  return [...byId.values()].filter((places) => places.length > 1);
}

function runningOf(path: string, host: string): Running[] {
  try {
    const guest: { instanceId: string; generation: number; power: string } = JSON.parse(readFileSync(path, 'utf8'));
    return guest.power === 'running' ? [{ id: guest.instanceId, generation: guest.generation, host }] : [];
  } catch {
    return []; // gone between listing and reading
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
