/**
 * What an actor costs: memory of an idle one, of a server with its record, and of one that left memory; how fast actors
 * that left memory come back, one after the other at a rate and all at once, from a real PostgreSQL (one row each) and
 * from a store in memory (the runtime's part). Run: `node --expose-gc test/bench/actors.ts`.
 */
import type pg from 'pg';
import { migrate } from '../../actors/conductor/migrations/migrate.ts';
import { openPgStore } from '../../actors/conductor/store.ts';
import { instanceKind } from '../../actors/instance/kind.ts';
import { INSTANCE_DEFAULTS } from '../../actors/instance/settings.ts';
import { QUOTA_DEFAULTS } from '../../actors/model/quota.ts';
import type { Store } from '../../runtime/actor/store.ts';
import { systemClock, type Clock } from '../../runtime/base/clock.ts';
import { noFailpoint } from '../../runtime/base/failpoint.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { openPool, Session } from '../../runtime/database/open.ts';
import { RUNTIME_DEFAULTS } from '../../runtime/node/settings.ts';
import { insertInstances, instanceRecord, uuidOf } from '../actors/conductor/rows.ts';
import { startTestPostgres } from '../doubles/postgres.ts';
import { sleep } from './rig/http-load.ts';
import { ask, counted, counterKind, emptyStore, openInside, type Inside } from './rig/inside.ts';
import { asFastAsAnswered, atFixedRate } from './rig/pace.ts';
import { endWithParent, Report, secondsWanted } from './rig/program.ts';

const IDLE = 200_000;
const SERVERS = 20_000;
const BULK_IN_FLIGHT = 256;
const PASSED_MS = 120_000;

/** Time that can be moved on, so that actors leave memory now. */
class JumpClock implements Clock {
  aheadMs = 0;
  wallMs = systemClock.wallMs;
  sleep = systemClock.sleep;
  monotonicMs = (): number => systemClock.monotonicMs() + this.aheadMs;
  after = (delayMs: number, run: () => void): { cancel(): void } => systemClock.after(this.aheadMs > 0 ? 0 : delayMs, run);
}

function heapBytes(): number {
  for (let i = 0; i < 4; i++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function idleActors(report: Report): Promise<void> {
  const inside = openInside();
  const before = heapBytes();
  for (let index = 0; index < IDLE; index++) inside.room.start(counterKind, `counter/${index}`);
  report.add('actors.idle.fresh', (heapBytes() - before) / IDLE, 'bytes/actor');
  const done = counted.messages + IDLE;
  for (let index = 0; index < IDLE; index++) {
    inside.system.tell(`counter/${index}` as never, { type: 'note', n: index } as never);
    if (index % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  while (counted.messages < done) await sleep(1);
  await sleep(50);
  report.add('actors.idle.used', (heapBytes() - before) / IDLE, 'bytes/actor');
  report.add('actors.idle.rss', process.memoryUsage().rss / IDLE, 'bytes/actor');
  inside.close();
}

/** Rows as they come from the driver: each load makes its own objects. */
function memoryRows(): Store {
  const text = JSON.stringify(instanceRecord(1));
  return { ...emptyStore, load: () => Promise.resolve({ record: JSON.parse(text), version: 1, revision: 1 }) };
}

const addressOf = (nth: number): string => `instance/${uuidOf(nth)}`;
const read = (inside: Inside, nth: number): Promise<unknown> => ask(inside.system, addressOf(nth), { type: 'get' });

async function passivateAll(inside: Inside, clock: JumpClock): Promise<void> {
  clock.aheadMs += PASSED_MS;
  while (inside.shards.size > 0) await sleep(5);
  clock.aheadMs = 0;
}

async function serversInMemory(report: Report): Promise<void> {
  const clock = new JumpClock();
  const inside = openInside({ store: memoryRows(), clock });
  inside.system.register(instanceKind(INSTANCE_DEFAULTS));
  const before = heapBytes();
  let next = 1;
  const { perSecond } = await bulk(inside, () => next++);
  report.add('actors.activate.runtime', perSecond, 'activations/s');
  report.add('actors.server', (heapBytes() - before) / SERVERS, 'bytes/actor');
  report.add('actors.server.record', JSON.stringify(instanceRecord(1)).length, 'bytes of JSON');
  await passivateAll(inside, clock);
  report.add('actors.passivated', (heapBytes() - before) / SERVERS, 'bytes/actor');
  inside.close();
}

async function bulk(inside: Inside, next: () => number): Promise<{ perSecond: number }> {
  const beginMs = performance.now();
  const lane = async (): Promise<void> => {
    for (let nth = next(); nth <= SERVERS; nth = next()) await read(inside, nth);
  };
  await Promise.all(Array.from({ length: BULK_IN_FLIGHT }, lane));
  return { perSecond: (SERVERS / (performance.now() - beginMs)) * 1_000 };
}

async function serversInRows(report: Report, ms: number): Promise<void> {
  const postgres = await startTestPostgres();
  const url = postgres.url;
  await migrate({ url });
  const pool: pg.Pool = openPool({ url, max: RUNTIME_DEFAULTS.database.poolMax, log: silentLog });
  const writer = new Session({ url, name: 'write', clock: systemClock, log: silentLog });
  const store = openPgStore({ pool, writer, clock: systemClock, log: silentLog, quotas: QUOTA_DEFAULTS, failpoint: noFailpoint });
  const clock = new JumpClock();
  const inside = openInside({ store, clock });
  try {
    await insertInstances(
      pool,
      Array.from({ length: SERVERS }, (_, index) => instanceRecord(index + 1)),
      1,
    );
    inside.system.register(instanceKind(INSTANCE_DEFAULTS));
    let next = 1;
    await asFastAsAnswered(16, ms / 3, () => read(inside, (next++ % SERVERS) + 1)); // what a compiler warms
    await passivateAll(inside, clock);
    next = 1;
    const { perSecond } = await bulk(inside, () => next++);
    report.add('actors.activate.bulk', perSecond, 'activations/s');
    await passivateAll(inside, clock);
    next = 1;
    const rate = Math.min(perSecond / 2, (SERVERS / ms) * 1_000);
    const half = await atFixedRate(rate, ms, () => read(inside, next++));
    report.add('actors.activate.half', half.perSecond, 'activations/s');
    report.add('actors.activate.half.p50', half.p50Ms, 'ms');
    report.add('actors.activate.half.p99', half.p99Ms, 'ms');
    await passivateAll(inside, clock);
    next = 1;
    const single = await asFastAsAnswered(1, ms / 2, () => read(inside, (next++ % SERVERS) + 1));
    report.add('actors.activate.1.p50', single.p50Ms, 'ms');
    report.add('actors.activate.1.p99', single.p99Ms, 'ms');
  } finally {
    inside.close();
    await postgres.close();
  }
}

endWithParent();
const report = new Report();
await idleActors(report);
await serversInMemory(report);
await serversInRows(report, secondsWanted() * 1_000);
report.print();
