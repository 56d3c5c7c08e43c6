/**
 * The process is killed at each point between a request and its end, started again on the same data, and nothing is
 * lost: what was accepted ends as it should, what was not answered can be repeated, and all books agree.
 *
 * `npm test` runs the first hits of each point with all operations in flight at once. NOVACT_CHAOS_SECONDS=n goes
 * on for so long: further hits, then each operation alone, killed at its first, second, third… point until it reaches
 * its end.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { startCloud, type Cloud } from '../doubles/cloud.ts';
import { query, settled } from './checkers.ts';
import { broken, Client, NEEDS, OPERATIONS, serversIn, tinyImage, type Given, type Operation } from './operations.ts';

/** Points that an operation passes. `verb` is the host's job around the driver's verb. */
const POINTS = [
  'commit',
  'reply',
  'ask.place',
  'ask.propose',
  'ask.claim',
  'ask.run',
  'verb',
  'verb.spawn',
  'verb.stop',
  'verb.start',
  'verb.reboot',
  'verb.destroy',
].flatMap((name) => [`${name}.before`, `${name}.after`]);
/** A driver's verb is reached once by each operation that needs it. */
const hitsAlways = (point: string): number => (point.startsWith('verb.') ? 1 : 2);
const HITS_MAX = 60;
/** Operations end in milliseconds here; a busy machine is forgiven much. */
const END_LIMIT_MS = 20_000;
const LOOK_MS = 10;
const LIMIT_MS = Number(process.env['NOVACT_CHAOS_SECONDS'] ?? 0) * 1_000;

describe('nothing is lost', { timeout: 300_000 + LIMIT_MS * 2 }, () => {
  let cloud: Cloud;
  let client: Client;
  let armedFile: string;
  let orders = 0;
  const begunMs = systemClock.monotonicMs();
  /** Each test has its share of the time, and what those before it left. */
  const hasTime = (nth: number): boolean => systemClock.monotonicMs() - begunMs < (LIMIT_MS * (nth + 1)) / (POINTS.length + OPERATIONS.length);

  beforeAll(async () => {
    const quota = ['instances', 'cores', 'ram'].flatMap((name) => ['--set', `quotas.${name}=-1`]);
    cloud = await startCloud({ args: [...quota, '--set', 'log.level=warn'] });
    armedFile = join(cloud.dataDir, 'armed');
    await cloud.restart({ NOVACT_FAILPOINT_FILE: armedFile });
    client = new Client(cloud, await tinyImage(cloud));
  });
  afterAll(async () => await cloud?.close());

  function arm(words: string): void {
    writeFileSync(`${armedFile}.new`, words);
    renameSync(`${armedFile}.new`, armedFile);
  }

  /** One server for each operation, in the state that it needs. */
  async function servers(operations: readonly Operation[]): Promise<(string | undefined)[]> {
    for (const state of ['active', 'stopped'] as const) {
      const missing = operations.filter((operation) => NEEDS[operation] === state).length - (await serversIn(cloud, state)).length;
      const made = await Promise.all(Array.from({ length: Math.max(0, missing) }, () => client.boot(`made-${orders++}`)));
      expect(await settled(cloud, END_LIMIT_MS)).toEqual([]);
      if (state === 'stopped') await Promise.all(made.map(({ serverId }) => client.give('stop', serverId, '')));
      expect(await settled(cloud, END_LIMIT_MS)).toEqual([]);
    }
    const free = { active: await serversIn(cloud, 'active'), stopped: await serversIn(cloud, 'stopped') };
    return operations.map((operation) => {
      const state = NEEDS[operation];
      return state === undefined ? undefined : free[state].shift();
    });
  }

  /** Arms, orders, waits for the end of the work or of the process. True when the process died. */
  async function crashDuring(operations: readonly Operation[], words: string): Promise<{ died: boolean; given: Given[] }> {
    const on = await servers(operations);
    arm(words);
    const end = { died: false };
    void cloud.exited().then(() => (end.died = true));
    const given = await Promise.all(operations.map((operation, i) => client.give(operation, on[i], `order-${orders++}`)));
    const endMs = systemClock.monotonicMs() + END_LIMIT_MS;
    while (!end.died && (await openCount()) > 0 && systemClock.monotonicMs() < endMs) await systemClock.sleep(LOOK_MS);
    arm('');
    // A last point may have been reached in this very moment: only an answer tells that it lives on.
    const lives = await cloud.api('GET', cloud.urls.health, undefined, { token: null }).then(
      () => true,
      () => false,
    );
    if (!lives) await cloud.exited();
    return { died: end.died || !lives, given };
  }

  async function openCount(): Promise<number> {
    const [row] = await query<{ count: number }>(cloud, 'select count(*)::int as count from instance where open');
    return row?.count ?? 0;
  }

  /** One crash, one restart, and everything is as it was promised. False when the point was not reached. */
  async function lose(operations: readonly Operation[], words: string): Promise<boolean> {
    const { died, given } = await crashDuring(operations, words);
    if (died) await cloud.restart({ NOVACT_FAILPOINT_FILE: armedFile });
    const problems = [...(await settled(cloud, END_LIMIT_MS)), ...(await broken(cloud, given))];
    // A boot is repeated whether it was answered or not: the same key is the same server.
    const repeated = await Promise.all(
      given.filter(({ operation, status }) => operation === 'boot' || status === undefined).map((order) => client.repeat(order)),
    );
    problems.push(...(await settled(cloud, END_LIMIT_MS)), ...(await broken(cloud, repeated)), ...(await doubles(given, repeated)));
    expect({ words, operations, problems }).toEqual({ words, operations, problems: [] });
    return died;
  }

  /** The same key is the same server, answered or not, and there is no other of that name. */
  async function doubles(given: readonly Given[], repeated: readonly Given[]): Promise<string[]> {
    const problems: string[] = [];
    for (const { key, serverId } of repeated.filter(({ operation }) => operation === 'boot')) {
      const first = given.find((order) => order.key === key)?.serverId;
      if (serverId === undefined) problems.push(`the repeated boot ${key} was not accepted`);
      if (first !== undefined && first !== serverId) problems.push(`${key} is ${first} and ${serverId}`);
      const rows = await query<{ vm_state: string }>(cloud, 'select vm_state from instance where name = $1', [key]);
      if (rows.length !== 1 || rows[0]?.vm_state !== 'active') problems.push(`${key} made ${JSON.stringify(rows)}`);
    }
    return problems;
  }

  for (const [nth, point] of POINTS.entries()) {
    it(`when the process dies at ${point} with every operation in flight`, async () => {
      let hits = 0;
      while (hits < HITS_MAX && (hits < hitsAlways(point) || hasTime(nth)) && (await lose(OPERATIONS, `${point}:${hits + 1}`))) hits++;
      expect(hits).toBeGreaterThan(0); // a point that nothing reaches is no point
    });
  }

  for (const [nth, operation] of OPERATIONS.entries()) {
    it.skipIf(LIMIT_MS === 0)(`when the process dies anywhere in ${operation}`, async () => {
      let hits = 0;
      while (hits < HITS_MAX && hasTime(POINTS.length + nth) && (await lose([operation], `*:${hits + 1}`))) hits++;
    });
  }
});
