/**
 * A backup is put back while newer guests run: none of them is destroyed, all are reported, what the backup knows goes
 * on, and cursors into what was lost are answered `gone`. The store is the real one of `npm start`; its backup is the
 * copied folder of the stopped server.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { guestsOf, query } from '../chaos/checkers.ts';
import { Client, tinyImage } from '../chaos/operations.ts';
import { CHECKOUT, endProcess, startCloud, type Cloud } from '../doubles/cloud.ts';
import { mayLackPostgres } from '../doubles/postgres.ts';

const WAIT_MS = 60_000;
const LOOK_MS = 50;

let cloud: Cloud;
let client: Client;
beforeAll(async () => {
  if (mayLackPostgres()) return;
  cloud = await startCloud();
  client = new Client(cloud, await tinyImage(cloud));
});
afterAll(async () => cloud?.close());

describe.skipIf(mayLackPostgres())('a store that was put back from its backup', () => {
  it('destroys no newer guest, reports each, and begins a new history', async () => {
    const old = await boot('old');
    const moved = await boot('moved');
    await cloud.stop();
    copyStore('postgres/data', 'backup');
    await cloud.restart();
    const newer = await boot('newer');
    const another = await boot('another');
    const cursor = await standing();
    const before = guestsOf(cloud).map(({ instanceId }) => instanceId);
    expect(new Set(before)).toEqual(new Set([old, moved, newer, another]));
    await until('this node remembers it', () => remembered().revision >= cursor.revision);
    await crash();
    copyStore('backup', 'postgres/data');

    await cloud.restart();
    const log = () => readFileSync(join(cloud.dataDir, 'novact.log'), 'utf8');
    for (const id of [newer, another]) {
      await until(`${id} is reported`, () =>
        log()
          .split('\n')
          .some((line) => line.includes('unknown guest is left alone') && line.includes(id)),
      );
    }
    expect(
      guestsOf(cloud)
        .map(({ instanceId, power }) => `${instanceId} ${power}`)
        .sort(),
    ).toEqual(before.map((id) => `${id} running`).sort());
    expect(log()).toContain('the store was restored');

    const now = await standing();
    expect(now.incarnation).not.toBe(cursor.incarnation);
    const gone = await cloud.api('GET', `/stream?scope=all&wait=0&after=${cursor.revision}&incarnation=${cursor.incarnation}`);
    expect(gone.status).toBe(410);
    // One that the new history has reached again is of another history all the same.
    const early = await cloud.api('GET', `/stream?scope=all&wait=0&after=1&incarnation=${cursor.incarnation}`);
    expect(early.status).toBe(410);

    expect((await client.give('stop', old, 'stop')).status).toBe(202);
    await until('what the backup knows is still served', async () => (await stateOf(old)) === 'stopped');
  }, 240_000);

  it('is told of a guest that may be of the lost history by its generation', async () => {
    const [active] = await query<{ id: string }>(cloud, `select id::text from instance where vm_state = 'active' limit 1`);
    const id = active?.id ?? '';
    const kept = await query<{ generation: number }>(cloud, 'select generation from restored where instance_id = $1', [id]);
    expect(kept).toEqual([{ generation: 1 }]);
  });

  it('begins a new history when the operator says so, since a whole folder that is put back remembers nothing', async () => {
    const before = await standing();
    await cloud.stop();
    const { PATH, HOME, TMPDIR } = process.env;
    const told = spawnSync(process.execPath, [join(CHECKOUT, 'novact.js'), 'restored', '--data', cloud.dataDir], {
      encoding: 'utf8',
      cwd: cloud.dataDir,
      env: { PATH, HOME, TMPDIR },
    });
    expect(told.stdout).toContain('new incarnation');
    await cloud.restart();
    const after = await standing();
    expect(after.incarnation).not.toBe(before.incarnation);
    await cloud.stop();
    await cloud.restart();
    expect((await standing()).incarnation).toBe(after.incarnation);
  }, 120_000);
});

function copyStore(from: string, to: string): void {
  rmSync(join(cloud.dataDir, to), { recursive: true, force: true });
  // With its owner: another account runs the server for root.
  const { status, stderr } = spawnSync('cp', ['-a', join(cloud.dataDir, from), join(cloud.dataDir, to)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

async function crash(): Promise<void> {
  await cloud.kill9();
  // By the lock of its socket. It goes too: a server that is dead and not yet buried is alive to the next one.
  const run = join(cloud.dataDir, 'postgres/run');
  const locks = readdirSync(run).filter((name) => name.endsWith('.lock'));
  expect(locks).toHaveLength(1);
  for (const name of locks) {
    await endProcess(Number(readFileSync(join(run, name), 'utf8').split('\n')[0]));
    rmSync(join(run, name), { force: true });
  }
}

function remembered(): { readonly revision: number } {
  return JSON.parse(readFileSync(join(cloud.dataDir, 'store.json'), 'utf8')) as { revision: number };
}

async function boot(key: string): Promise<string> {
  const { serverId, status } = await client.boot(key);
  expect(status).toBe(202);
  await until(`${key} runs`, async () => (await stateOf(serverId ?? '')) === 'active');
  return serverId ?? '';
}

async function stateOf(id: string): Promise<string | undefined> {
  return (await query<{ vm_state: string }>(cloud, 'select vm_state from instance where id = $1 and not open', [id]))[0]?.vm_state;
}

async function standing(): Promise<{ readonly revision: number; readonly incarnation: string }> {
  const [row] = await query<{ revision: string; incarnation: string }>(cloud, 'select revision, incarnation::text from cell');
  return { revision: Number(row?.revision), incarnation: row?.incarnation ?? '' };
}

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + WAIT_MS;
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await systemClock.sleep(LOOK_MS);
  }
}
