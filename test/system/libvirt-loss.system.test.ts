/**
 * Nothing is lost and nothing left over on a real hypervisor: the cloud is killed at named points of boot, stop and
 * delete (before and after commit, claim, verb and reply) and libvirtd goes away; what was accepted ends as it should.
 * `NOVACT_CHAOS_SECONDS` goes on with points drawn by chance for so long.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import type { Answer } from '../doubles/cloud.ts';
import { need, obstacle, openLibvirtCloud, type LibvirtCloud } from './libvirt-cloud.ts';

const CHAOS_MS = Number(process.env['NOVACT_CHAOS_SECONDS'] ?? 0) * 1_000;
const CASE_MS = 180_000 + CHAOS_MS;
const WAIT = { timeout: 60_000, interval: 100 };
/** A point that a verb passes is passed within this time; of points drawn by chance some are not passed at all. */
const DEATH_LIMIT_MS = 30_000;
const CHANCE_LIMIT_MS = 6_000;
/** The image that every cloud has needs no more; it hears no power button, so a stop ends by pulling the plug. */
const ARGS = ['--set', 'operations.stopGraceMs=1000', '--set', 'operations.destroyLimitMs=5000'];
const FLAVOR = { name: 'smallest', ram: 64, vcpus: 1, disk: 1 };

/** Points of one life: where the cloud dies in its boot, its stop and its delete; `17 ms` is that long after the order. */
type Deaths = { readonly boot: string; readonly stop: string; readonly remove: string };

const LIVES: readonly Deaths[] = [
  { boot: 'commit.after:1', stop: 'reply.before:1', remove: 'verb.destroy.before' }, // accepted, not answered
  { boot: 'verb.spawn.before', stop: 'verb.stop.after', remove: 'commit.after:1' },
  { boot: 'verb.spawn.after', stop: 'commit.before:2', remove: 'verb.destroy.after' }, // done, not recorded
  { boot: 'ask.claim.after', stop: 'verb.stop.before', remove: 'commit.after:2' }, // promised, not recorded
];
const MORE: readonly string[] = [
  ...[1, 2, 3].flatMap((n) => [`commit.before:${n}`, `commit.after:${n}`, `reply.before:${n}`, `reply.after:${n}`]),
  'ask.place.before',
  'ask.claim.before',
  'ask.claim.after',
  'ask.run.before',
  'ask.run.after',
  'verb.before',
  'verb.after',
];

type Server = { readonly id: string; readonly status: string; readonly 'OS-EXT-STS:task_state': string | null };

describe('a cloud on libvirt that dies', { timeout: CASE_MS }, () => {
  let rig: LibvirtCloud | undefined;
  let flavorRef = '';
  let imageRef = '';
  beforeAll(async () => {
    if ((await obstacle()) !== undefined) return;
    rig = await openLibvirtCloud(ARGS);
    const made = await rig.cloud.api<{ flavor: { id: string } }>('POST', '/flavors', { flavor: FLAVOR });
    flavorRef = made.body.flavor.id;
    const { body } = await rig.cloud.api<{ images: { id: string }[] }>('GET', `${rig.cloud.urls.image}/v2/images?name=tiny`);
    imageRef = body.images[0]?.id ?? '';
  }, CASE_MS);
  afterAll(() => rig?.close(), CASE_MS);

  /** The answer, or undefined when the cloud died over it. */
  async function dying(
    at: LibvirtCloud,
    [point, limitMs]: readonly [string, number],
    act: () => Promise<Answer<unknown>>,
  ): Promise<{ answer: Answer<unknown> | undefined; died: boolean }> {
    writeFileSync(at.failpointFile, point);
    const asked = act().catch(() => undefined);
    const afterMs = Number(/^(\d+) ms$/.exec(point)?.[1] ?? limitMs);
    const limit = new AbortController();
    const late = systemClock.sleep(afterMs, limit.signal).then(
      () => undefined,
      () => undefined,
    );
    const exit = await Promise.race([at.cloud.exited(), late]);
    limit.abort();
    await at.cloud.kill9();
    rmSync(at.failpointFile);
    const answer = await asked;
    await at.cloud.restart();
    return { answer, died: exit !== undefined };
  }
  async function server(at: LibvirtCloud, id: string): Promise<Server | undefined> {
    const { status, body } = await at.cloud.api<{ server: Server }>('GET', `/servers/${id}`);
    return status === 404 ? undefined : body.server;
  }
  /** Its status when nothing runs on it any more. */
  async function restOf(at: LibvirtCloud, id: string): Promise<string | undefined> {
    const found = await server(at, id);
    return found === undefined ? 'gone' : found['OS-EXT-STS:task_state'] === null ? found.status : undefined;
  }
  async function rests(at: LibvirtCloud, id: string): Promise<string> {
    await expect.poll(() => restOf(at, id), WAIT).toBeDefined();
    return (await restOf(at, id)) ?? '';
  }
  const well = (at: LibvirtCloud): Promise<void> => expect.poll(() => at.problems(), WAIT).toEqual([]);
  function create(at: LibvirtCloud, key: string): Promise<Answer<{ server: Server }>> {
    return at.cloud.api('POST', '/servers', { server: { name: key, flavorRef, imageRef } }, { headers: { 'idempotency-key': key } });
  }
  async function boot(at: LibvirtCloud): Promise<string> {
    const { status, body } = await create(at, randomUUID());
    expect(status).toBe(202);
    await expect.poll(() => restOf(at, body.server.id), WAIT).toBe('ACTIVE');
    return body.server.id;
  }

  async function live(at: LibvirtCloud, { boot: bootPoint, stop, remove }: Deaths, limitMs = DEATH_LIMIT_MS): Promise<string[]> {
    const missed: string[] = [];
    const note = (verb: string, point: string, died: boolean): void => void (died || point.endsWith(' ms') || missed.push(`${verb} never came to ${point}`));
    const key = randomUUID();
    const made = await dying(at, [bootPoint, limitMs], () => create(at, key));
    note('boot', bootPoint, made.died);
    // Asked again with its key, it is the same server: whether it was accepted before or only now.
    const again = await create(at, key);
    expect([bootPoint, again.status]).toEqual([bootPoint, 202]);
    const { id } = again.body.server;
    if (made.answer?.status === 202) expect(made.answer.body).toMatchObject({ server: { id } });
    expect([bootPoint, await rests(at, id)]).toEqual([bootPoint, 'ACTIVE']);
    await well(at);

    const stopped = await dying(at, [stop, limitMs], () => at.cloud.api('POST', `/servers/${id}/action`, { 'os-stop': null }));
    note('stop', stop, stopped.died);
    // Only what was not accepted may be as before.
    if ((await rests(at, id)) === 'ACTIVE' && stopped.answer === undefined) await at.cloud.api('POST', `/servers/${id}/action`, { 'os-stop': null });
    expect([stop, await rests(at, id)]).toEqual([stop, 'SHUTOFF']);
    await well(at);

    const removed = await dying(at, [remove, limitMs], () => at.cloud.api('DELETE', `/servers/${id}`));
    note('delete', remove, removed.died);
    if ((await rests(at, id)) !== 'gone' && removed.answer === undefined) await at.cloud.api('DELETE', `/servers/${id}`);
    expect([remove, await rests(at, id)]).toEqual([remove, 'gone']);
    await well(at);
    expect([await at.domains(), at.folders()]).toEqual([new Map(), []]);
    return missed;
  }

  it.for(LIVES)('finishes what it accepted: killed at $boot of a boot, $stop of a stop, $remove of a delete', async (deaths, ctx) => {
    const at = await need(ctx, rig);
    expect(await live(at, deaths)).toEqual([]);
  });

  it.runIf(CHAOS_MS > 0)('finishes what it accepted, killed at points drawn by chance', async (ctx) => {
    const at = await need(ctx, rig);
    const endMs = systemClock.monotonicMs() + CHAOS_MS;
    const draw = (): string => [`*:${1 + randomInt(24)}`, `${randomInt(2_500)} ms`, MORE[randomInt(MORE.length)] ?? ''][randomInt(3)] ?? '';
    for (let lives = 1; systemClock.monotonicMs() < endMs; lives++) {
      const deaths = { boot: draw(), stop: draw(), remove: draw() };
      const missed = await live(at, deaths, CHANCE_LIMIT_MS).catch((error: unknown) => {
        throw new Error(`life ${lives}, ${JSON.stringify(deaths)}: ${String(error)}`, { cause: error });
      });
      process.stdout.write(`life ${lives} ${JSON.stringify(deaths)} ${missed.join()}\n`);
    }
  });

  it('keeps its servers over a restart of libvirtd, and does afterwards what was asked meanwhile', async (ctx) => {
    const at = await need(ctx, rig);
    const [kept, stopped, removed] = [await boot(at), await boot(at), await boot(at)];
    await at.daemon.stop('KILL');
    expect((await at.cloud.api('POST', `/servers/${stopped}/action`, { 'os-stop': null })).status).toBe(202);
    expect((await at.cloud.api('DELETE', `/servers/${removed}`)).status).toBe(204);
    // The host does not answer in time: gone for the user, and for the host when it is back.
    await expect.poll(() => restOf(at, removed), WAIT).toBe('gone');
    expect(await restOf(at, kept)).toBe('ACTIVE');
    await at.daemon.start();
    await expect.poll(() => restOf(at, stopped), WAIT).toBe('SHUTOFF');
    await well(at);
    expect(await at.domains()).toEqual(
      new Map([
        [kept, 'running'],
        [stopped, 'shut off'],
      ]),
    );
  });

  it('starts without libvirtd, says so, and takes its servers up when libvirtd comes', async (ctx) => {
    const at = await need(ctx, rig);
    const id = await boot(at);
    await at.daemon.stop('KILL');
    await at.cloud.restart();
    expect(at.cloud.output()).toMatch(/Hosts +1 libvirt, down: no libvirt answers at .*libvirt-sock\n/);
    expect(at.cloud.output()).toContain('Start libvirt (systemctl start libvirtd');
    expect(await restOf(at, id)).toBe('ACTIVE');
    await at.daemon.killGuest(id);
    await at.daemon.start();
    await expect.poll(() => restOf(at, id), WAIT).toBe('SHUTOFF'); // what happened while nobody looked
    expect((await at.cloud.api('POST', `/servers/${id}/action`, { 'os-start': null })).status).toBe(202);
    await expect.poll(() => restOf(at, id), WAIT).toBe('ACTIVE');
    await well(at);
  });
});
