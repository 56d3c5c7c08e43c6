import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONSOLE_MAX_BYTES } from '../../../drivers/simulated/console.ts';
import { memoryDisk } from '../../../drivers/simulated/disk.ts';
import { openSimulatedDriver } from '../../../drivers/simulated/driver.ts';
import type { SimulatedOptions } from '../../../drivers/simulated/driver.ts';
import { MEMORY_OVERCOMMIT } from '../../../drivers/simulated/limits.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { FaultCode } from '../../../runtime/base/fault.ts';
import { seededRandom, systemRandom } from '../../../runtime/base/random.ts';
import { inFolder, never, notedClock, simulatedSpec } from './rig.ts';

const capacity = { vcpus: 4, memoryMiB: 1024, diskGiB: 10 };
const is = (code: FaultCode) => (error: unknown) => Fault.is(error, code);

function open(options: Partial<SimulatedOptions> = {}) {
  const disk = memoryDisk();
  return openSimulatedDriver({
    host: 'host-1',
    directory: '',
    clock: systemClock,
    random: systemRandom,
    disk,
    capacity,
    ...options,
  });
}

describe('a full simulated host', () => {
  it('refuses the guest that would pass its physical memory by one MiB, and keeps nothing of it', async () => {
    const driver = await open();
    await driver.spawn(simulatedSpec({ memoryMiB: 1024 * MEMORY_OVERCOMMIT - 100 }), never);
    await expect(driver.spawn(simulatedSpec({ memoryMiB: 101 }), never)).rejects.toSatisfy(is('overloaded'));
    expect(await driver.list(never)).toHaveLength(1);
    await driver.spawn(simulatedSpec({ memoryMiB: 100 }), never);
  });

  it('gives the memory of a guest that is off to another, and refuses its start then', async () => {
    const driver = await open();
    const off = simulatedSpec({ memoryMiB: 2000 });
    await driver.spawn(off, never);
    await driver.stop(off, { graceMs: 0 }, never);
    const other = simulatedSpec({ memoryMiB: 2000 });
    await driver.spawn(other, never);
    await expect(driver.start(off, never)).rejects.toSatisfy(is('overloaded'));
    await driver.destroy(other, never);
    expect(await driver.start(off, never)).toEqual({ power: 'running' });
  });

  it('counts a replaced generation once, also after it was opened again', async () => {
    const disk = memoryDisk();
    const spec = simulatedSpec({ memoryMiB: 2000 });
    await (await open({ disk })).spawn(spec, never);
    const driver = await open({ disk });
    await driver.spawn({ ...spec, generation: 2 }, never);
    await driver.destroy({ ...spec, generation: 2 }, never);
    await driver.spawn(simulatedSpec({ memoryMiB: 2048 }), never);
  });

  it('keeps nothing of a guest whose memory was taken while it was made', async () => {
    const first = Promise.withResolvers<void>();
    let sleeps = 0;
    const clock = { ...systemClock, sleep: () => (++sleeps === 2 ? first.promise : Promise.resolve()) };
    const driver = await open({ clock, latency: { spawnMs: 10 } });
    const slow = simulatedSpec({ memoryMiB: 2000 });
    const spawning = expect(driver.spawn(slow, never)).rejects.toSatisfy(is('overloaded'));
    while (sleeps < 2) await new Promise(setImmediate);
    expect((await driver.list(never)).map((guest) => guest.power)).toEqual(['shutdown']); // defined, not started yet
    await driver.spawn(simulatedSpec({ memoryMiB: 2000 }), never);
    first.resolve();
    await spawning;
    expect(await driver.list(never)).toHaveLength(1);
  });
});

describe('a simulated host', () => {
  it.each([
    ['an id that is no uuid', { instanceId: '../../etc/passwd' }],
    ['no vCPU', { vcpus: 0 }],
    ['more vCPUs than a machine type has', { vcpus: 256 }],
    ['no memory', { memoryMiB: 0 }],
    ['half a GiB of disk', { rootGiB: 0.5 }],
    ['generation 0', { generation: 0 }],
    ['no name', { name: '' }],
  ])('refuses a spec with %s', async (_, wrong) => {
    const driver = await open();
    await expect(driver.spawn(simulatedSpec(wrong), never)).rejects.toSatisfy(is('invalid'));
    expect(await driver.list(never)).toEqual([]);
  });

  it('refuses an image that is larger than the root disk', async () => {
    const { image } = simulatedSpec();
    const spec = simulatedSpec({ rootGiB: 1, image: { ...image, sizeBytes: 1024 ** 3 + 1 } });
    await expect((await open()).spawn(spec, never)).rejects.toSatisfy(is('invalid'));
  });

  it('refuses a second guest of the same name', async () => {
    const driver = await open();
    const first = simulatedSpec();
    await driver.spawn(first, never);
    await expect(driver.spawn(simulatedSpec({ name: first.name }), never)).rejects.toSatisfy(is('conflict'));
    await driver.destroy(first, never);
    await driver.spawn(simulatedSpec({ name: first.name }), never);
  });

  it('takes the disk away from the driver that had it before', async () => {
    const disk = memoryDisk();
    const former = await open({ disk });
    await open({ disk });
    await expect(former.spawn(simulatedSpec(), never)).rejects.toSatisfy(is('unavailable'));
  });

  it('sets a broken file aside and finds all other guests', async () => {
    await inFolder(async (directory) => {
      const options = { host: 'host-1', directory, clock: systemClock, random: systemRandom };
      const guests = join(directory, 'guests');
      mkdirSync(guests);
      writeFileSync(join(guests, 'broken.json'), '{"version":1,');
      const driver = await openSimulatedDriver(options);
      await driver.spawn(simulatedSpec(), never);
      await driver.close();
      const again = await openSimulatedDriver(options);
      expect(await again.list(never)).toHaveLength(1);
      await again.close();
      expect(readdirSync(guests)).toContain('broken.json.broken');
    });
  });

  it('keeps no user data and no metadata', async () => {
    const disk = memoryDisk();
    const spec = simulatedSpec({ userData: 'c2VjcmV0', metadata: { note: 'private' } });
    await (await open({ disk })).spawn(spec, never);
    expect((await disk.take()).read(spec.instanceId)).not.toMatch(/c2VjcmV0|private/);
  });
});

describe('latency', () => {
  it('is none unless set: no verb sleeps', async () => {
    const clock = notedClock();
    const driver = await open({ clock });
    const spec = simulatedSpec();
    await driver.spawn(spec, never);
    await driver.reboot(spec, { kind: 'soft', graceMs: 1000 }, never);
    await driver.stop(spec, { graceMs: 1000 }, never);
    await driver.destroy(spec, never);
    expect(clock.sleptMs).toEqual([]);
  });

  it('is what was set for the verb, in two halves for spawn', async () => {
    const clock = notedClock();
    const driver = await open({ clock, latency: { spawnMs: 3000, listMs: 7 } });
    await driver.spawn(simulatedSpec(), never);
    await driver.list(never);
    expect(clock.sleptMs).toEqual([1500, 1500, 7]);
  });

  it('is drawn from its range, the same for the same seed', async () => {
    const run = async (): Promise<number[]> => {
      const clock = notedClock();
      const driver = await open({ clock, random: seededRandom(7), latency: { listMs: { fromMs: 10, toMs: 20 } } });
      for (let n = 0; n < 20; n++) await driver.list(never);
      return clock.sleptMs;
    };
    const slept = await run();
    expect(slept.every((ms) => ms >= 10 && ms < 20)).toBe(true);
    expect(new Set(slept).size).toBeGreaterThan(10);
    expect(await run()).toEqual(slept);
  });

  it('of a guest that takes its time to go down ends with the grace', async () => {
    const clock = notedClock();
    const driver = await open({ clock, latency: { shutdownMs: 5000 } });
    const spec = simulatedSpec();
    await driver.spawn(spec, never);
    await driver.stop(spec, { graceMs: 300 }, never);
    await driver.start(spec, never);
    await driver.stop(spec, { graceMs: 9000 }, never);
    expect(clock.sleptMs).toEqual([300, 5000]);
    const text = (await driver.consoleOutput(spec, { maxBytes: 65_536 }, never)).toString();
    expect(text.split('Power down')).toHaveLength(2); // the second time only
  });
});

describe('the console of a simulated guest', () => {
  it('shows a boot for each start, with the names of guest and host', async () => {
    const driver = await open();
    const spec = simulatedSpec({ hostname: 'db7' });
    await driver.spawn(spec, never);
    await driver.stop(spec, { graceMs: 0 }, never);
    await driver.start(spec, never);
    const text = (await driver.consoleOutput(spec, { maxBytes: 65_536 }, never)).toString();
    expect(text.split('db7 login: ')).toHaveLength(3);
    expect(text).toContain(`${spec.name} on host-1`);
  });

  it('keeps the last 64 KiB however often it boots, and a small file', async () => {
    const disk = memoryDisk();
    const driver = await open({ disk });
    const spec = simulatedSpec({ nics: [] });
    await driver.spawn(spec, never);
    for (let n = 0; n < 400; n++) await driver.reboot(spec, { kind: 'soft', graceMs: 1000 }, never);
    const output = await driver.consoleOutput(spec, { maxBytes: 10_000_000 }, never);
    expect(output.length).toBe(CONSOLE_MAX_BYTES);
    expect(output.toString().endsWith('login: \r\n')).toBe(true);
    expect((await disk.take()).read(spec.instanceId).length).toBeLessThan(20_000);
  });

  it('of a new generation begins anew', async () => {
    const driver = await open();
    const spec = simulatedSpec();
    await driver.spawn(spec, never);
    await driver.spawn({ ...spec, generation: 2 }, never);
    const text = (await driver.consoleOutput({ ...spec, generation: 2 }, { maxBytes: 65_536 }, never)).toString();
    expect(text.split('login: ')).toHaveLength(2);
  });
});
