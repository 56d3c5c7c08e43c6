/**
 * What happens to a cluster: one node or its database is killed, paused, cut off, deafened, filled up or restarted,
 * and after a drawn time it is as before. Each is drawn from a seed; a thing that suffers already is left alone.
 */
import { systemClock } from '../../../runtime/base/clock.ts';
import type { Random } from '../../../runtime/base/random.ts';
import type { Cluster } from '../cluster.ts';
import type { Member } from '../rig/network.ts';
import type { ClusterNode } from '../rig/node.ts';

/** Kinds by how often they are drawn. */
export const FAULTS = {
  'kill a node': 5,
  'pause a node': 5,
  'cut two nodes apart': 3,
  'cut one way between nodes': 3,
  'cut a node from the database': 4,
  'cut one way to the database': 2,
  'pull the cable of a node': 4,
  'lose packets of a node': 2,
  'fill the disk of a node': 2,
  'kill the database': 2,
  'pause the database': 2,
  'restart a node in order': 2,
  'kill two nodes': 1,
  'restart all in turn': 1,
} as const;
export type FaultKind = keyof typeof FAULTS;

/** Those that the project's goal names: one random node is killed, paused or cut. */
export const GOAL_FAULTS: readonly FaultKind[] = [
  'kill a node',
  'pause a node',
  'cut two nodes apart',
  'cut one way between nodes',
  'cut a node from the database',
  'pull the cable of a node',
];

export type Range = { readonly from: number; readonly to: number };

/** From a short stutter to far beyond every lease; short ones are more frequent. */
const LASTS_MS = { from: 100, to: 20_000 };
const DATABASE_LASTS_MS = { from: 100, to: 6_000 };
const LOSS = 0.2;

export type Fault = {
  readonly kind: FaultKind;
  /** What suffers, for people. */
  readonly target: string;
  readonly lastsMs: number;
  /** From its beginning until everything is as before. */
  run(): Promise<void>;
};

export class Misfortune {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #kinds: readonly FaultKind[];
  readonly #lastsMs: Range;
  readonly #suffering = new Set<string>();

  constructor(cluster: Cluster, random: Random, chosen: { readonly kinds: readonly FaultKind[] | undefined; readonly lastsMs: Range | undefined }) {
    this.#cluster = cluster;
    this.#random = random;
    this.#kinds = chosen.kinds ?? (Object.keys(FAULTS) as FaultKind[]);
    this.#lastsMs = chosen.lastsMs ?? LASTS_MS;
  }

  /** The next one; undefined when what was drawn suffers already. */
  draw(): Fault | undefined {
    const kind = this.#drawKind();
    const [first, second] = this.#drawNodes(kind);
    const range = kind.endsWith('the database') && !kind.includes('cut') ? DATABASE_LASTS_MS : this.#lastsMs;
    const lastsMs = Math.round(range.from * (range.to / range.from) ** this.#random.next());
    if (first === undefined || second === undefined) return undefined;
    const targets = this.#targetsOf(kind, first, second);
    if (targets.some((name) => this.#suffering.has(name))) return undefined;
    for (const name of targets) this.#suffering.add(name);
    const act = this.#act(kind, first, second, lastsMs);
    return {
      kind,
      target: targets.length > 3 ? 'all nodes' : targets.join(', '),
      lastsMs,
      run: async () => {
        try {
          await act();
        } finally {
          for (const name of targets) this.#suffering.delete(name);
        }
      },
    };
  }

  #drawKind(): FaultKind {
    const sum = this.#kinds.reduce((total, kind) => total + FAULTS[kind], 0);
    let left = this.#random.next() * sum;
    return this.#kinds.find((kind) => (left -= FAULTS[kind]) < 0) ?? 'kill a node';
  }

  /** Two different ones; only control nodes know the database. */
  #drawNodes(kind: FaultKind): ClusterNode[] {
    const nodes = kind.includes('the database') ? this.#cluster.controls : this.#cluster.nodes;
    const first = Math.floor(this.#random.next() * nodes.length);
    const second = (first + 1 + Math.floor(this.#random.next() * (nodes.length - 1))) % nodes.length;
    return [first, second].flatMap((at) => nodes[at] ?? []);
  }

  #targetsOf(kind: FaultKind, first: ClusterNode, second: ClusterNode): string[] {
    switch (kind) {
      case 'kill the database':
      case 'pause the database':
        return ['database'];
      case 'cut two nodes apart':
      case 'cut one way between nodes':
      case 'kill two nodes':
        return [first.name, second.name];
      case 'restart all in turn':
        return this.#cluster.nodes.map(({ name }) => name);
      default:
        return [first.name];
    }
  }

  #act(kind: FaultKind, node: ClusterNode, other: ClusterNode, lastsMs: number): () => Promise<void> {
    const { network, postgres } = this.#cluster;
    const during = (begin: () => Promise<void>, end: () => Promise<void>) => async () => {
      try {
        await begin();
        await systemClock.sleep(lastsMs);
      } finally {
        await end();
      }
    };
    const apart = (pairs: readonly (readonly [Member, Member])[]) =>
      during(
        async () => void (await Promise.all(pairs.map(([from, to]) => network.cut(from, to)))),
        async () => void (await Promise.all(pairs.map(([from, to]) => network.mend(from, to)))),
      );
    const dead = (nodes: readonly ClusterNode[]) =>
      during(
        async () => void (await Promise.all(nodes.map((each) => each.kill()))),
        async () => {
          for (const each of nodes) each.start();
          await Promise.all(nodes.map((each) => each.up()));
        },
      );
    const [a, b, db] = [node.member, other.member, postgres.member];
    switch (kind) {
      case 'kill a node':
        return dead([node]);
      case 'kill two nodes':
        return dead([node, other]);
      case 'pause a node':
        return during(
          async () => node.pause(),
          async () => node.resume(),
        );
      case 'cut two nodes apart':
        return apart([
          [a, b],
          [b, a],
        ]);
      case 'cut one way between nodes':
        return apart([[a, b]]);
      case 'cut a node from the database':
        return apart([
          [a, db],
          [db, a],
        ]);
      case 'cut one way to the database':
        return apart([lastsMs % 2 === 0 ? [a, db] : [db, a]]);
      case 'pull the cable of a node':
        return during(
          () => network.plug(a, false),
          () => network.plug(a, true),
        );
      case 'lose packets of a node':
        return during(
          () => network.lose(a, LOSS),
          () => network.loseNothing(a, LOSS),
        );
      case 'fill the disk of a node':
        return during(
          async () => node.fillDisk(),
          async () => node.freeDisk(),
        );
      case 'kill the database':
        return during(
          () => postgres.kill(),
          () => postgres.start(),
        );
      case 'pause the database':
        return during(
          () => postgres.pause(),
          () => postgres.resume(),
        );
      case 'restart a node in order':
        return () => again(node);
      case 'restart all in turn':
        return async () => {
          for (const each of this.#cluster.nodes) await again(each);
        };
    }
  }
}

async function again(node: ClusterNode): Promise<void> {
  await node.stop();
  node.start();
  await node.up();
}
