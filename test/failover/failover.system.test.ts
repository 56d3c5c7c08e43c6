/**
 * The store loses a machine: the primary and its Patroni are killed under load. What was acknowledged is there and
 * there once, what was not can be repeated, the node goes on by itself on the server that took over, keeps its shards,
 * and the stream has no gap. What it took is said, not judged: Patroni permits no time to live below twenty seconds.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { settled, type Checked } from '../chaos/checkers.ts';
import { tinyImage } from '../chaos/operations.ts';
import { lacks, startCloud, type Cloud } from '../doubles/cloud.ts';
import { hasPatroni, startFailover, type Failover } from './patroni.ts';

const CLIENTS = 3;
const BEFORE = 12;
const AFTER = 12;
const AWAY_MS = 120_000;
const SETTLE_MS = 30_000;
const LOOK_MS = 20;
const TEST_MS = 300_000;
const STREAM_TURNS = 200;
/** Of many problems these tell enough. */
const SHOWN = 5;

type Order = { readonly key: string; readonly id: string; deleted: boolean | undefined };

let failover: Failover | undefined;
let cloud: Cloud | undefined;

beforeAll(async () => {
  if (!hasPatroni()) return;
  failover = await startFailover();
  const quota = ['instances', 'cores', 'ram'].flatMap((name) => ['--set', `quotas.${name}=-1`]);
  cloud = await startCloud({ args: ['--set', `database.url=${failover.url}`, ...quota] });
}, 180_000);

afterAll(async () => {
  await cloud?.close();
  await failover?.close();
}, 60_000);

describe('a store that loses its primary', () => {
  it('goes on with all that it acknowledged, and without the node being touched', (ctx) => goesOn(ctx, undefined), TEST_MS);

  // Its Patroni alone is gone: two servers take writes then, and the former one is not told. Besides the usual run, for it takes another minute.
  it.skipIf(process.env['NOVACT_CHAOS_SECONDS'] === undefined)('goes on beside a former primary that nobody ended', (ctx) => goesOn(ctx, 'patroni'), TEST_MS);
});

async function goesOn(ctx: TestContext, only: 'patroni' | undefined): Promise<void> {
  if (!failover || !cloud) return lacks(ctx.skip, 'patroni, etcd and PostgreSQL of the machine');
  const place = await primaryOf(failover);
  const load = new Load(cloud, await tinyImage(cloud), only ?? 'machine');
  const stream = new Stream(cloud);
  await stream.begin();
  const before = { pid: cloud.pid(), incarnation: await incarnationOf(failover.urlOf(place.port)) };

  const clients = Array.from({ length: CLIENTS }, (_, i) => load.run(i));
  await load.acknowledged(BEFORE);
  const killedMs = systemClock.monotonicMs();
  failover.kill9(place.name, only);
  await failover.whole(place.name);
  const wholeMs = systemClock.monotonicMs();
  await load.acknowledged(load.answered + AFTER);
  load.over = true;
  await Promise.all(clients);

  const next = await primaryOf(failover);
  const checked: Checked = { dataDir: cloud.dataDir, databaseUrl: failover.urlOf(next.port) };
  expect(next.name).not.toBe(place.name);
  expect([...load.problems]).toEqual([]);
  expect(await settled(checked, SETTLE_MS)).toEqual([]);
  const broken = await load.broken(checked.databaseUrl);
  expect(broken, broken.slice(0, SHOWN).join('\n')).toEqual([]);
  expect(await stream.missed(checked.databaseUrl)).toEqual([]);
  expect(await incarnationOf(checked.databaseUrl)).toBe(before.incarnation);
  expect(cloud.pid()).toBe(before.pid);
  const { body } = await cloud.api<{ parts: { shards: { owned: number } } }>('GET', cloud.urls.health, undefined, { token: null });
  expect(body.parts.shards.owned).toBe(1024);
  const log = readFileSync(join(cloud.dataDir, 'novact.log'), 'utf8');
  expect(log.split('\n').filter((line) => line.includes('"level":50'))).toEqual([]);
  const [whole, gap] = [wholeMs - killedMs, load.longestGapMs].map(Math.round);
  process.stdout.write(
    `  ${load.answered} answered, ${load.refused} refused and repeated; a new primary with a standby after ${whole} ms; no order answered for ${gap} ms\n`,
  );

  // The machine comes back as a standby: it had nothing that the others had not.
  failover.kill9(place.name);
  failover.start(place.name);
  await until('it follows again', async () => (await failover?.members())?.some(({ name, role }) => name === place.name && role === 'replica') ?? false);
}

/** Clients that create, and delete every other one; each repeats what was not answered until it is. */
class Load {
  over = false;
  answered = 0;
  refused = 0;
  longestGapMs = 0;
  readonly orders: Order[] = [];
  /** Answers that say something else than: not now. */
  readonly problems = new Set<string>();
  readonly #cloud: Cloud;
  readonly #imageId: string;
  readonly #name: string;
  #lastMs = systemClock.monotonicMs();

  constructor(cloud: Cloud, imageId: string, name: string) {
    this.#cloud = cloud;
    this.#imageId = imageId;
    this.#name = name;
  }

  async acknowledged(count: number): Promise<void> {
    await until(
      `${count} orders answered`,
      async () => this.answered >= count,
      () => `${this.answered} answered, ${this.refused} refused; ${[...this.problems].join('; ')}`,
    );
  }

  async run(client: number): Promise<void> {
    for (let turn = 0; !this.over; turn++) {
      const key = `${this.#name}-${client}-${turn}`;
      const server = { name: key, flavorRef: '42', imageRef: this.#imageId, networks: 'auto' };
      const made = await this.#insist('POST', '/servers', { server }, key, 202);
      const order: Order = { key, id: made?.server?.id ?? '', deleted: false };
      this.orders.push(order);
      if (turn % 2 === 1) {
        order.deleted = undefined; // until it is answered it may be or not
        await this.#insist('DELETE', `/servers/${order.id}`, undefined, `${key}-delete`, 204);
        order.deleted = true;
      }
    }
  }

  /** Acknowledged: exactly one server of that key, alive or deleted as was ordered. */
  async broken(url: string): Promise<string[]> {
    const text = "select id::text, name, deleted, vm_state, record->'fault'->>'message' as fault from instance";
    const rows = await ask<{ id: string; name: string; deleted: boolean; vm_state: string; fault: string | null }>(url, text);
    const byName = Map.groupBy(rows, (row) => row.name);
    return this.orders.flatMap(({ key, id, deleted }) => {
      const found = byName.get(key) ?? [];
      if (found.length !== 1 || found[0]?.id !== id) return [`${key} was answered as ${id} and is ${JSON.stringify(found)}`];
      const wanted = deleted === true ? 'deleted' : 'active';
      return found[0].vm_state === wanted ? [] : [`${key} is ${found[0].vm_state}, not ${wanted}: ${found[0].fault}`];
    });
  }

  async #insist(method: string, path: string, body: unknown, key: string, status: number): Promise<{ server?: { id: string } } | undefined> {
    for (;;) {
      const options = { microversion: '2.90', headers: { 'idempotency-key': key } };
      const answer = await this.#cloud.api<{ server?: { id: string } } | undefined>(method, path, body, options).catch(() => undefined);
      const isDone = answer?.status === status || (method === 'DELETE' && answer?.status === 404);
      if (isDone) {
        const nowMs = systemClock.monotonicMs();
        this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs);
        this.#lastMs = nowMs;
        this.answered++;
        return answer?.body;
      }
      if (answer !== undefined && answer.status !== 503 && answer.status !== 504)
        this.problems.add(`${method}: ${answer.status} ${JSON.stringify(answer.body)}`);
      this.refused++;
      await systemClock.sleep(LOOK_MS * 5);
    }
  }
}

/** A subscriber that asks on from what it was told last. */
class Stream {
  readonly #cloud: Cloud;
  readonly #seen: string[] = [];
  #from = 0;
  #after = 0;
  #polling: Promise<void> = Promise.resolve();
  #over = false;

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
  }

  async begin(): Promise<void> {
    const { body } = await this.#cloud.api<{ revision: number }>('GET', '/stream?scope=all&wait=0&after=0');
    this.#from = this.#after = body.revision;
    this.#polling = (async () => {
      while (!this.#over) await this.#poll(1);
    })();
  }

  async missed(url: string): Promise<string[]> {
    this.#over = true;
    await this.#polling;
    const rows = await ask<{ at: string }>(url, 'select revision || $2 || id as at from event where revision > $1 order by revision, ord', [this.#from, ' ']);
    for (let turns = 0; turns < STREAM_TURNS && this.#seen.length < rows.length; turns++) await this.#poll(0);
    const stored = rows.map(({ at }) => at);
    const wrong = stored.findIndex((at, i) => at !== this.#seen[i]);
    return wrong < 0 && stored.length === this.#seen.length
      ? []
      : [`told ${this.#seen.length} of ${stored.length}, other from the ${wrong}th on: ${this.#seen[wrong]} for ${stored[wrong]}`];
  }

  async #poll(waitSeconds: number): Promise<void> {
    const path = `/stream?scope=all&wait=${waitSeconds}&after=${this.#after}`;
    const answer = await this.#cloud.api<{ events?: { revision: number; id: string }[]; revision?: number }>('GET', path).catch(() => undefined);
    if (answer?.status !== 200 || answer.body.events === undefined) return systemClock.sleep(LOOK_MS);
    this.#seen.push(...answer.body.events.map(({ revision, id }) => `${revision} ${id}`));
    this.#after = answer.body.revision ?? this.#after;
  }
}

async function primaryOf(store: Failover) {
  const found = (await store.members()).find(({ role }) => role === 'master');
  if (found === undefined) throw new Error('no server is the primary');
  return found;
}

async function incarnationOf(url: string): Promise<string | undefined> {
  return (await ask<{ incarnation: string }>(url, 'select incarnation::text from cell'))[0]?.incarnation;
}

async function ask<Row extends pg.QueryResultRow>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, statement_timeout: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

async function until(what: string, isTrue: () => Promise<boolean>, why: () => string = () => ''): Promise<void> {
  const endMs = systemClock.monotonicMs() + AWAY_MS;
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`not in ${AWAY_MS} ms: ${what}\n${why()}`);
    await systemClock.sleep(LOOK_MS);
  }
}
