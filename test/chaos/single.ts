/**
 * Random chaos on a cloud of one process, for as long as wanted: clients order and look, one follows the stream of
 * events, while the process is killed, paused for longer than its lease, and loses its database. Now and then
 * everything is left in peace, and then it must be right. Ends after the first wrong thing.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../runtime/base/clock.ts';
import { seededRandom, type Random } from '../../runtime/base/random.ts';
import { startCloud, type Cloud } from '../doubles/cloud.ts';
import { invariants, query, settled } from './checkers.ts';
import { broken, Client, NEEDS, rowsOf, tinyImage, wasAccepted, type Given, type Operation } from './operations.ts';

const CLIENTS = 16;
const SERVERS_EACH = 4;
/** Between blows; longer than a start takes, so that work gets done too. */
const CALM_MS = { from: 200, to: 6_000 };
/** The lease is 3 s: some pauses end before it does, most after. */
const PAUSE_MS = { from: 500, to: 8_000 };
const ROUND_MS = 30_000;
const SETTLE_LIMIT_MS = 90_000;
const PATIENCE_MS = 90_000;
const LOOK_MS = 40;
const REFUSED_MS = 200;

const BLOWS = ['kill the process', 'kill the process', 'pause the process', 'kill the database', 'kill both', 'stop in order'] as const;
type Blow = (typeof BLOWS)[number];
type Tally = { orders: number; accepted: number; unanswered: number; refused: { [status: string]: number }; blows: { [blow: string]: number }; rounds: number };

/** Answers with the exit code; the data folder of a run that went wrong is kept. */
export async function runSingle(seconds: number, seed: number): Promise<number> {
  const again = `npm run chaos -- --single --seconds ${seconds} --seed ${seed}`;
  console.log(`seed ${seed}; repeat with: ${again}`);
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-chaos-')));
  const quota = ['instances', 'cores', 'ram'].flatMap((name) => ['--set', `quotas.${name}=-1`]);
  const cloud = await startCloud({ dataDir: join(folder, 'data'), args: ['--hosts', '4', ...quota] });
  const tally: Tally = { orders: 0, accepted: 0, unanswered: 0, refused: {}, blows: {}, rounds: 0 };
  let problems: string[] = [];
  try {
    const run = new Run(cloud, await tinyImage(cloud), seededRandom(seed), tally);
    const endMs = systemClock.monotonicMs() + seconds * 1_000;
    while (problems.length === 0 && systemClock.monotonicMs() < endMs) problems = await run.round();
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await cloud.close();
  }
  console.log(JSON.stringify(tally));
  if (problems.length === 0) {
    rmSync(folder, { recursive: true, force: true });
    return 0;
  }
  console.log(`WRONG after ${tally.rounds} rounds; data kept in ${folder}; repeat with: ${again}\n${problems.join('\n')}`);
  return 1;
}

class Run {
  readonly #cloud: Cloud;
  readonly #random: Random;
  readonly #tally: Tally;
  readonly #clients: Person[];
  readonly #watcher: Watcher;

  constructor(cloud: Cloud, imageId: string, random: Random, tally: Tally) {
    this.#cloud = cloud;
    this.#random = random;
    this.#tally = tally;
    this.#watcher = new Watcher(cloud);
    this.#clients = Array.from(
      { length: CLIENTS },
      (_, number) => new Person(cloud, imageId, seededRandom(Math.floor(random.next() * 2 ** 31)), number, tally),
    );
  }

  /** Load and blows, then peace, and then what is wrong. */
  async round(): Promise<string[]> {
    this.#tally.rounds++;
    const begunMs = systemClock.monotonicMs();
    const over = new AbortController();
    await this.#watcher.begin();
    const watch = this.#watcher.watch(over.signal);
    const work = Promise.all(this.#clients.map((client) => client.work(over.signal)));
    const endMs = systemClock.monotonicMs() + ROUND_MS;
    const seen: string[] = [];
    while (systemClock.monotonicMs() < endMs && seen.length === 0) {
      await systemClock.sleep(between(this.#random, CALM_MS));
      const atMs = systemClock.monotonicMs();
      const blow = BLOWS[Math.floor(this.#random.next() * BLOWS.length)] ?? 'kill the process';
      await this.#strike(blow);
      console.log(`  ${blow}: ${seconds(atMs)} s`);
      seen.push(...(await invariants(this.#cloud).catch(() => []))); // the database may be away just now
    }
    const peaceMs = systemClock.monotonicMs();
    over.abort();
    const given = (await work).flat();
    await watch;
    const late = await settled(this.#cloud, SETTLE_LIMIT_MS);
    const wrong = [
      ...seen,
      ...late,
      ...(await this.#watcher.missed()),
      ...(await broken(this.#cloud, last(given))),
      ...this.#clients.flatMap((client) => client.problems),
    ];
    console.log(`round ${this.#tally.rounds}, ${seconds(begunMs)} s, of which ${seconds(peaceMs)} s to rest: ${JSON.stringify(this.#tally)}`);
    return wrong;
  }

  async #strike(blow: Blow): Promise<void> {
    const { blows } = this.#tally;
    blows[blow] = (blows[blow] ?? 0) + 1;
    const cloud = this.#cloud;
    switch (blow) {
      case 'kill the process':
        return cloud.restart();
      case 'stop in order':
        await cloud.stop();
        return cloud.restart();
      case 'kill the database':
        return killDatabase(cloud);
      case 'kill both':
        killDatabase(cloud);
        return cloud.restart();
      case 'pause the process':
        process.kill(cloud.pid(), 'SIGSTOP');
        await systemClock.sleep(between(this.#random, PAUSE_MS));
        process.kill(cloud.pid(), 'SIGCONT');
    }
  }
}

/** One client: a few servers of its own, one order at a time, repeated until it is answered, then awaited. */
class Person {
  readonly problems: string[] = [];
  readonly #cloud: Cloud;
  readonly #client: Client;
  readonly #random: Random;
  readonly #number: number;
  readonly #tally: Tally;
  readonly #servers: string[] = [];
  #orders = 0;

  constructor(cloud: Cloud, imageId: string, random: Random, number: number, tally: Tally) {
    this.#cloud = cloud;
    this.#client = new Client(cloud, imageId);
    this.#random = random;
    this.#number = number;
    this.#tally = tally;
  }

  /** Answers with the orders that were accepted, and with those of which nobody knows. */
  async work(over: AbortSignal): Promise<Given[]> {
    const orders: Given[] = [];
    while (!over.aborted && this.problems.length === 0) {
      const given = await this.#order();
      this.#tally.orders++;
      if (given === undefined) continue;
      // Of one that was answered 5xx nobody knows whether it happened, as of one that was not answered.
      if (wasAccepted(given) || given.status === undefined) orders.push(given);
      else if (given.status >= 500) orders.push({ ...given, status: undefined });
      await this.#await(given, over);
    }
    return orders;
  }

  /** Undefined when the order came to nothing that is known. */
  async #order(): Promise<Given | undefined> {
    const key = `client-${this.#number}-${this.#orders++}`;
    if (this.#servers.length < SERVERS_EACH && (this.#servers.length === 0 || this.#random.next() < 0.4)) return this.#boot(key);
    const at = Math.floor(this.#random.next() * this.#servers.length);
    const serverId = this.#servers[at] ?? '';
    const [row] = await rowsOf(this.#cloud, [serverId]).catch(() => []);
    if (row === undefined) {
      await systemClock.sleep(LOOK_MS);
      return undefined;
    }
    const possible = (['stop', 'start', 'softReboot', 'hardReboot', 'delete', 'delete'] as const).filter(
      (operation) => NEEDS[operation] === row.vm_state || operation === 'delete',
    );
    const operation: Operation = possible[Math.floor(this.#random.next() * possible.length)] ?? 'delete';
    const given = await this.#client.give(operation, serverId, key);
    this.#count(given);
    if (operation === 'delete' && (wasAccepted(given) || given.status === 404)) this.#servers.splice(at, 1);
    else if (given.status !== undefined && !wasAccepted(given)) await this.#refused(given);
    return given;
  }

  /** Until it is answered: an unanswered one may have made the server already. */
  async #boot(key: string): Promise<Given | undefined> {
    const endMs = systemClock.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const given = await this.#client.boot(key);
      this.#count(given);
      if (given.serverId !== undefined) {
        this.#servers.push(given.serverId);
        return { ...given, requestId: undefined }; // an earlier try may be the one that history tells of
      }
      if (given.status !== undefined) await this.#refused(given);
      if (this.problems.length > 0) return undefined;
      if (systemClock.monotonicMs() > endMs) {
        this.problems.push(`${key} was not accepted in ${PATIENCE_MS} ms; last answer ${given.status}`);
        return undefined;
      }
      await systemClock.sleep(LOOK_MS);
    }
  }

  /** 409 while an unanswered order of before is under way, 5xx and 429 while something is away; nothing else. */
  async #refused({ operation, status = 0, serverId, key }: Given): Promise<void> {
    this.#tally.refused[status] = (this.#tally.refused[status] ?? 0) + 1;
    if (status !== 409 && status !== 429 && status !== 503 && status !== 504) this.problems.push(`${operation} of ${serverId ?? key} was answered ${status}`);
    await systemClock.sleep(REFUSED_MS);
  }

  #count({ status }: Given): void {
    if (status === undefined) this.#tally.unanswered++;
    else if (status < 300) this.#tally.accepted++;
  }

  /** Polls as a client would, so that reads are under way too. */
  async #await({ serverId, operation }: Given, over: AbortSignal): Promise<void> {
    const endMs = systemClock.monotonicMs() + PATIENCE_MS;
    while (serverId !== undefined && systemClock.monotonicMs() < endMs) {
      const answer = await this.#cloud
        .api<{ server?: { status: string; 'OS-EXT-STS:task_state': string | null } }>('GET', `/servers/${serverId}`)
        .catch(() => undefined);
      if (answer?.status === 404 || (answer?.status === 200 && answer.body.server?.['OS-EXT-STS:task_state'] === null)) return;
      if (over.aborted && operation !== 'boot') return; // the end of the round looks at all of them
      await systemClock.sleep(LOOK_MS);
    }
    if (serverId !== undefined) this.problems.push(`${operation} of ${serverId} did not end in ${PATIENCE_MS} ms`);
  }
}

/** A subscriber who polls through everything that happens, from the last revision that it was told. */
class Watcher {
  readonly #cloud: Cloud;
  readonly #seen: string[] = [];
  #from = 0;
  #after = 0;

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
  }

  async begin(): Promise<void> {
    const [row] = await query<{ revision: string }>(this.#cloud, 'select revision from cell');
    this.#from = this.#after = Number(row?.revision ?? 0);
    this.#seen.length = 0;
  }

  async watch(over: AbortSignal): Promise<void> {
    while (!over.aborted) await this.#poll(2);
  }

  /** What it was told other than what is stored, once everything is at rest. */
  async missed(): Promise<string[]> {
    const rows = await query<{ at: string }>(this.#cloud, `select revision || ' ' || id as at from event where revision > $1 order by revision, ord`, [
      this.#from,
    ]);
    for (let turns = 0; turns < 100 && this.#seen.length < rows.length; turns++) await this.#poll(0);
    const wrong = rows.findIndex(({ at }, index) => at !== this.#seen[index]);
    if (wrong >= 0)
      return [`P5 a subscriber was told ${this.#seen[wrong]} where ${rows[wrong]?.at} is stored, the ${wrong + 1}th after revision ${this.#from}`];
    return this.#seen.length === rows.length ? [] : [`P5 a subscriber was told ${this.#seen.length} events of ${rows.length}`];
  }

  async #poll(waitSeconds: number): Promise<void> {
    const path = `/stream?scope=all&wait=${waitSeconds}&after=${this.#after}`;
    const answer = await this.#cloud.api<{ events?: { revision: number; id: string }[]; revision?: number }>('GET', path).catch(() => undefined);
    if (answer?.status !== 200 || answer.body.events === undefined) return systemClock.sleep(LOOK_MS);
    this.#seen.push(...answer.body.events.map(({ revision, id }) => `${revision} ${id}`));
    this.#after = answer.body.revision ?? this.#after;
  }
}

/** PostgreSQL's own postmaster: the node starts it again. */
function killDatabase(cloud: Cloud): void {
  const pid = cloud.databasePid();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}

/** Of each server the last order alone: what came before it is not to be seen any more. */
function last(given: readonly Given[]): Given[] {
  return [...new Map(given.map((order) => [order.serverId, order])).values()];
}

function seconds(sinceMs: number): number {
  return Math.round((systemClock.monotonicMs() - sinceMs) / 100) / 10;
}

function between(random: Random, { from, to }: { from: number; to: number }): number {
  return from + random.next() * (to - from);
}
