/**
 * What membership costs: 50 control nodes with 1,024 shards on one real PostgreSQL. Each has the real leases, view, owner
 * table and connection for beats; all live in this one process, and a few of them share a connection for changes of owner
 * (the test server takes sixty). Statements are counted by name. In the end one node falls silent: until its shards are taken.
 * Run: `node --expose-gc test/bench/leases.ts`.
 */
import type { QueryResult, QueryResultRow } from 'pg';
import { migrate } from '../../actors/conductor/migrations/migrate.ts';
import { systemClock, type Clock } from '../../runtime/base/clock.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { nodeTable, type StoredNodeTable } from '../../runtime/database/node-table.ts';
import { Session } from '../../runtime/database/open.ts';
import { shardTable, type ShardTable } from '../../runtime/database/shard-table.ts';
import { MembershipView } from '../../runtime/membership/view.ts';
import { RUNTIME_LEASES } from '../../runtime/node/settings.ts';
import { Directory, ownersOf } from '../../runtime/shard/directory.ts';
import { Leases } from '../../runtime/shard/leases.ts';
import { SHARD_COUNT } from '../../runtime/shard/ring.ts';
import { startTestPostgres } from '../doubles/postgres.ts';
import { sleep } from './rig/http-load.ts';
import { ownCpuMs, usageOf } from './rig/processes.ts';
import { endWithParent, Report, secondsWanted } from './rig/program.ts';

const NODES = 50;
const OWNER_SESSIONS = 6;
const ROLE = 'control';
const SHARE_LIMIT_MS = 120_000;
const LOOK_MS = 20;
const SETTINGS = { leaseMs: RUNTIME_LEASES.controlMs, beatMs: RUNTIME_LEASES.beatMs, marginMs: RUNTIME_LEASES.marginMs };

const statements = new Map<string, number>();

/** Counts what is said to the server. */
function counting(session: Session): Pick<Session, 'run'> {
  return {
    run<Row extends QueryResultRow>(name: string, text: string, values: unknown[]): Promise<QueryResult<Row>> {
      statements.set(name, (statements.get(name) ?? 0) + 1);
      return session.run<Row>(name, text, values);
    },
  };
}

class BenchNode {
  readonly name: string;
  readonly #nodes: StoredNodeTable;
  readonly #shards: ShardTable;
  readonly #leases: Leases;
  readonly #directory: Directory;
  #isSilent = false;

  constructor(name: string, beats: Pick<Session, 'run'>, owners: Pick<Session, 'run'>) {
    this.name = name;
    this.#nodes = nodeTable(beats);
    this.#shards = shardTable(owners);
    const clock: Clock = { ...systemClock, after: (delayMs, run) => systemClock.after(delayMs, () => (this.#isSilent ? undefined : run())) };
    const view = new MembershipView({ self: name, nodes: this.#nodes, clock, settings: SETTINGS });
    this.#leases = new Leases({
      node: name,
      boot: `${name}-1`,
      nodes: this.#nodes,
      shards: this.#shards,
      view,
      role: ROLE,
      clock,
      log: silentLog,
      settings: SETTINGS,
      enter: () => this.#nodes.enter({ name, boot: `${name}-1`, endpoint: '', publicKey: '', roles: [ROLE] }),
      onTaken: () => undefined,
      onLost: () => undefined,
    });
    this.#directory = new Directory({
      owners: async (known) => {
        const table = ownersOf(await this.#shards.owners());
        return table.version === known ? null : table;
      },
      nodeKinds: {},
      refresh: async () => void (await this.#nodes.keys()),
      clock,
      log: silentLog,
    });
  }

  get owned(): number {
    return this.#leases.ownedCount;
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  async open(): Promise<void> {
    await this.#nodes.enter({ name: this.name, boot: `${this.name}-1`, endpoint: 'tcp://127.0.0.1:1', publicKey: this.name, roles: [ROLE] });
    await this.#leases.open();
    await this.#directory.open();
  }

  /** As a process that was stopped: no timer fires any more. */
  fallSilent(): void {
    this.#isSilent = true;
  }
}

async function untilShared(nodes: readonly BenchNode[]): Promise<number> {
  const beginMs = performance.now();
  const most = Math.ceil(SHARD_COUNT / nodes.length);
  const isShared = (): boolean => nodes.reduce((sum, node) => sum + node.owned, 0) === SHARD_COUNT && nodes.every((node) => node.owned <= most);
  while (!isShared()) {
    if (performance.now() - beginMs > SHARE_LIMIT_MS) throw new Error(`not shared in ${SHARE_LIMIT_MS} ms: ${nodes.map((node) => node.owned).join(' ')}`);
    await sleep(LOOK_MS);
  }
  return performance.now() - beginMs;
}

endWithParent();
const report = new Report();
const measuredMs = Math.max(3_000, secondsWanted() * 2_000);
const postgres = await startTestPostgres();
await migrate({ url: postgres.url });
const session = (name: string): Session => new Session({ url: postgres.url, name, clock: systemClock, log: silentLog });
const owners = Array.from({ length: OWNER_SESSIONS }, (_, index) => counting(session(`shards-${index + 1}`)));
const nodes = Array.from({ length: NODES }, (_, index) => {
  const changes = owners[index % owners.length] ?? counting(session('shards'));
  return new BenchNode(`node-${index + 1}`, counting(session(`beats-${index + 1}`)), changes);
});
const beginMs = performance.now();
for (const node of nodes) await node.open();
report.add('leases.open', performance.now() - beginMs, 'ms');
await untilShared(nodes);
report.add('leases.shared', performance.now() - beginMs, 'ms');

statements.clear();
const [ownBefore, postgresBefore] = [ownCpuMs(), usageOf([process.pid]).postgresCpuMs];
await sleep(measuredMs);
const seconds = measuredMs / 1_000;
const total = [...statements.values()].reduce((sum, count) => sum + count, 0);
report.add('leases.nodes', NODES, 'nodes');
report.add('leases.statements', total / seconds, 'statements/s');
for (const [name, count] of [...statements].toSorted(([, a], [, b]) => b - a)) report.add(`leases.statements.${name}`, count / seconds, 'statements/s');
report.add('leases.postgresCpu', (usageOf([process.pid]).postgresCpuMs - postgresBefore) / measuredMs, 'cores');
report.add('leases.nodesCpu', (ownCpuMs() - ownBefore) / measuredMs, 'cores');

const lostMs = performance.now();
nodes[0]?.fallSilent();
await untilShared(nodes.filter((node) => !node.isSilent));
report.add('leases.takeover', performance.now() - lostMs, 'ms');
for (const node of nodes) node.fallSilent();
await postgres.close();
report.print();
