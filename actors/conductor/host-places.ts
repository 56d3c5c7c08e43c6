/** Which node drives which host, as last read: for finding the way, and for knowing who may speak for a host. */
import type { HostPlaces } from './messages/node.ts';

export class KnownHosts {
  readonly #read: (known: string | null) => Promise<HostPlaces | null>;
  #places: HostPlaces | undefined;
  #nodes = new Map<string, string>();

  /** `read` answers null when nothing changed since the version that it is given. */
  constructor(read: (known: string | null) => Promise<HostPlaces | null>) {
    this.#read = read;
  }

  /** Reads anew; answers with the hosts that are new or have moved. */
  async refresh(): Promise<string[]> {
    const places = await this.#read(this.#places?.version ?? null);
    if (!places) return [];
    const before = this.#nodes;
    this.#places = places;
    this.#nodes = new Map(places.hosts.map(({ host, node }) => [host, node]));
    return places.hosts.filter(({ host, node }) => before.get(host) !== node).map(({ host }) => host);
  }

  /** A host has just begun there: known at once, and not by the next reading. */
  began(host: string, node: string): void {
    this.#nodes.set(host, node);
  }

  nodeOf(host: string): string | undefined {
    return this.#nodes.get(host);
  }

  names(): string[] {
    return [...this.#nodes.keys()];
  }

  /** The list as last read; null when it is the one of `known`. */
  list(known: string | null): HostPlaces | null {
    return this.#places === undefined || known === this.#places.version ? null : this.#places;
  }
}

/** Rows of the store as a list with a version of its own. */
export function placesOf(rows: readonly { readonly host: string; readonly node: string }[], known: string | null): HostPlaces | null {
  const hosts = rows.toSorted((a, b) => (a.host < b.host ? -1 : 1));
  const version = versionOf(hosts.map(({ host, node }) => `${host} ${node}`).join('\n'));
  return version === known ? null : { version, hosts };
}

/** Two numbers from the same text: enough to tell one list from the next. */
function versionOf(text: string): string {
  let one = 0x811c9dc5;
  let other = 5_381;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    one = Math.imul(one ^ unit, 0x01000193) >>> 0;
    other = (Math.imul(other, 33) + unit) >>> 0;
  }
  return `${text.length}.${one.toString(36)}.${other.toString(36)}`;
}
