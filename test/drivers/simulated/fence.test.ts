import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HypervisorDriver } from '../../../drivers/driver.ts';
import { openFence } from '../../../drivers/fence.ts';
import { openDriver } from '../../../drivers/open.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { uuidOf } from '../../actors/conductor/rows.ts';
import { simulatedSpec } from './rig.ts';

const { signal } = new AbortController();
const guestSpec = (nth: number) => simulatedSpec({ instanceId: uuidOf(nth), name: `instance-${nth}` });
let directory: string;
let driver: HypervisorDriver;

const open = () =>
  openDriver(
    { kind: 'simulated', directory, selfFence: true },
    { host: 'h1', clock: systemClock, random: seededRandom(1), log: silentLog, images: { open: () => Promise.reject(new Error('no image is read')) } },
  );
const fenced = () => openFence({ kind: 'simulated', directory }, { clock: systemClock, log: silentLog });

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'novact-fenced-'));
  driver = await open();
});
afterEach(async () => {
  await driver.close();
  rmSync(directory, { recursive: true, force: true });
});

const power = async (): Promise<(string | number)[][]> => (await driver.list(signal)).map((guest) => [guest.generation, guest.power]);

describe('the fence of a simulated host', () => {
  it('stops every guest from outside, with a mark, and says when none was left', async () => {
    const [one, two] = [guestSpec(1), guestSpec(2)];
    await driver.spawn(one, signal);
    await driver.spawn(two, signal);
    await driver.stop(two, { graceMs: 0 }, signal);
    const fence = await fenced();
    expect(await fence.close(signal)).toEqual({ stopped: 1 });
    expect(await fence.close(signal)).toEqual({ stopped: 0 });
    expect(JSON.parse(readFileSync(join(directory, 'guests', `${one.instanceId}.json`), 'utf8'))).toMatchObject({ power: 'shutdown', fenced: true });
  });

  it('keeps a driver that sleeps from bringing anything up when it wakes', async () => {
    const spec = guestSpec(1);
    await driver.spawn(spec, signal);
    await (await fenced()).close(signal);
    for (const verb of [() => driver.start(spec, signal), () => driver.spawn(guestSpec(2), signal), () => driver.list(signal)]) {
      await expect(verb()).rejects.toMatchObject({ code: 'unavailable', reason: 'host.fenced' });
    }
  });

  it('lets it see what became of its guests when the lease is back', async () => {
    const spec = guestSpec(1);
    await driver.spawn(spec, signal);
    const fence = await fenced();
    await fence.close(signal);
    await fence.open();
    expect(await power()).toEqual([[1, 'shutdown']]);
    await driver.start(spec, signal);
    expect(await power()).toEqual([[1, 'running']]);
    expect(readFileSync(join(directory, 'guests', `${spec.instanceId}.json`), 'utf8')).not.toContain('fenced');
  });

  it('is opened by the next driver of the host, which begins anew before it does anything', async () => {
    await driver.spawn(guestSpec(1), signal);
    await (await fenced()).close(signal);
    await driver.close();
    driver = await open();
    expect(await power()).toEqual([[1, 'shutdown']]);
  });

  it('of a host that never ran a guest has nothing to stop', async () => {
    const empty = await openFence({ kind: 'simulated', directory: join(directory, 'none') }, { clock: systemClock, log: silentLog });
    expect(await empty.close(signal)).toEqual({ stopped: 0 });
  });
});
