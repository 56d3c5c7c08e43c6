import { describe, expect, it } from 'vitest';
import type { GuestEvent } from '../../../drivers/driver.ts';
import { memoryDisk } from '../../../drivers/simulated/disk.ts';
import { openSimulatedDriver } from '../../../drivers/simulated/driver.ts';
import { writeFaultScript } from '../../../drivers/simulated/faults.ts';
import type { Verb } from '../../../drivers/simulated/faults.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { never, simulatedSpec } from './rig.ts';

const broken = new Fault('unavailable', 'test.broken', 'The hypervisor is broken.');
const cancelled = (error: unknown): boolean => Fault.is(error, 'cancelled');
const unavailable = (error: unknown): boolean => Fault.is(error, 'unavailable');

async function open(disk = memoryDisk()) {
  const faults = writeFaultScript();
  const driver = await openSimulatedDriver({
    host: 'host-1',
    directory: '',
    clock: systemClock,
    random: systemRandom,
    disk,
    faults,
  });
  return { faults, driver };
}

async function outcomes(calls: number, call: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  for (let n = 0; n < calls; n++) {
    seen.push(
      await call().then(
        () => 'done',
        (error: unknown) => Fault.from(error).reason,
      ),
    );
  }
  return seen;
}

describe('a fault script', () => {
  it('fails the nth call of a verb, and as many after it as asked', async () => {
    const { faults, driver } = await open();
    faults.fail('spawn', broken, { nth: 3, times: 2 });
    expect(await outcomes(6, () => driver.spawn(simulatedSpec(), never))).toEqual(['done', 'done', 'test.broken', 'test.broken', 'done', 'done']);
    expect(await driver.list(never)).toHaveLength(4);
  });

  it('fails every verb once, and that one only', async () => {
    const { faults, driver } = await open();
    const spec = simulatedSpec();
    const imageId = spec.image.id;
    await driver.spawn(spec, never);
    const verbs = {
      inventory: () => driver.inventory(never),
      spawn: () => driver.spawn(spec, never),
      start: () => driver.start(spec, never),
      stop: () => driver.stop(spec, { graceMs: 0 }, never),
      reboot: () => driver.reboot(spec, { kind: 'hard', graceMs: 0 }, never),
      snapshot: () => driver.snapshot(spec, { imageId, quiesce: false }, never),
      openSnapshot: () => driver.openSnapshot(spec, { imageId }, never),
      dropSnapshot: () => driver.dropSnapshot(spec, never),
      pause: () => driver.pause!(spec, never),
      unpause: () => driver.unpause!(spec, never),
      suspend: () => driver.suspend(spec, never),
      resume: () => driver.resume(spec, never),
      rescue: () => driver.rescue(spec, { image: spec.image }, { graceMs: 0 }, never),
      unrescue: () => driver.unrescue(spec, never),
      setPassword: () => driver.setPassword!(spec, 'secret', never),
      crashDump: () => driver.crashDump!(spec, never),
      consoleOutput: () => driver.consoleOutput(spec, { maxBytes: 1 }, never),
      diagnostics: async () => driver.diagnostics?.(spec, never),
      list: () => driver.list(never),
      destroy: () => driver.destroy(spec, never),
    } satisfies { readonly [verb in Verb]?: () => Promise<unknown> };
    const changing = ['pause', 'unpause', 'suspend', 'resume', 'rescue', 'unrescue', 'setPassword', 'crashDump'] as const;
    const names = [
      'inventory',
      'spawn',
      'start',
      'stop',
      'reboot',
      ...changing,
      'snapshot',
      'openSnapshot',
      'dropSnapshot',
      'consoleOutput',
      'diagnostics',
      'list',
      'destroy',
    ] as const;
    await driver.snapshot(spec, { imageId, quiesce: false }, never);
    for (const name of names) faults.fail(name, broken);
    for (const name of names) expect([name, ...(await outcomes(2, verbs[name]))]).toEqual([name, 'test.broken', 'done']);
  });

  it('hits only the guest that it names', async () => {
    const { faults, driver } = await open();
    const unlucky = simulatedSpec();
    faults.fail('spawn', broken, { instanceId: unlucky.instanceId });
    expect(await outcomes(1, () => driver.spawn(simulatedSpec(), never))).toEqual(['done']);
    expect(await outcomes(2, () => driver.spawn(unlucky, never))).toEqual(['test.broken', 'done']);
  });

  it('can lose the answer of work that is done', async () => {
    const { faults, driver } = await open();
    const spec = simulatedSpec();
    faults.fail('spawn', broken, { at: 'after' });
    expect(await outcomes(1, () => driver.spawn(spec, never))).toEqual(['test.broken']);
    expect((await driver.list(never)).map((guest) => guest.power)).toEqual(['running']);
  });

  it('hangs a verb until it is aborted, and the next call goes through', async () => {
    const { faults, driver } = await open();
    const spec = simulatedSpec();
    const hang = faults.hang('spawn');
    const stop = new AbortController();
    const spawning = expect(driver.spawn(spec, stop.signal)).rejects.toSatisfy(cancelled);
    await hang.reached;
    stop.abort(new Error('the caller had enough'));
    await spawning;
    expect(await driver.list(never)).toEqual([]);
    expect(await driver.spawn(spec, never)).toEqual({ power: 'running' });
  });

  it('hangs a verb until it is released', async () => {
    const { faults, driver } = await open();
    const hang = faults.hang('spawn', { at: 'after' });
    const spawning = driver.spawn(simulatedSpec(), never);
    await hang.reached;
    expect(await driver.list(never)).toHaveLength(1);
    hang.release();
    expect(await spawning).toEqual({ power: 'running' });
  });

  it('lets close end a hanging verb', async () => {
    const { faults, driver } = await open();
    const hang = faults.hang('list');
    const listing = expect(driver.list(never)).rejects.toSatisfy(unavailable);
    await hang.reached;
    await driver.close();
    await listing;
  });

  it('takes the hypervisor away: verbs fail, events are lost, and watchers are told to list again', async () => {
    const { faults, driver } = await open();
    const spec = simulatedSpec();
    await driver.spawn(spec, never);
    const heard: (GuestEvent | null)[] = [];
    driver.watch((event) => heard.push(event));
    const hang = faults.hang('stop');
    const stopping = expect(driver.stop(spec, { graceMs: 0 }, never)).rejects.toSatisfy(unavailable);
    await hang.reached;
    faults.disconnect();
    await stopping;
    await expect(driver.list(never)).rejects.toSatisfy(unavailable);
    expect(faults.crash(spec.instanceId)).toBe(true);
    expect(heard).toEqual([]);
    faults.reconnect();
    expect(heard).toEqual([null]);
    expect((await driver.list(never)).map((guest) => guest.power)).toEqual(['crashed']);
  });
});

describe('a guest that goes off by itself', () => {
  it('is told to every watcher, once, and its console says how', async () => {
    const { faults, driver } = await open();
    const [crashing, leaving] = [simulatedSpec(), simulatedSpec()];
    await driver.spawn(crashing, never);
    await driver.spawn(leaving, never);
    const heard: (GuestEvent | null)[][] = [[], []];
    for (const ear of heard) driver.watch((event) => ear.push(event));
    expect(faults.crash(crashing.instanceId)).toBe(true);
    expect(faults.crash(crashing.instanceId)).toBe(false);
    expect(faults.shutDown(leaving.instanceId)).toBe(true);
    for (const ear of heard) {
      expect(ear).toEqual([
        { instanceId: crashing.instanceId, generation: 1, power: 'crashed' },
        { instanceId: leaving.instanceId, generation: 1, power: 'shutdown' },
      ]);
    }
    const said = async (guest: typeof crashing) => (await driver.consoleOutput(guest, { maxBytes: 200 }, never)).toString();
    expect(await said(crashing)).toContain('Kernel panic');
    expect(await said(leaving)).toContain('Power down');
  });

  it('stays off for the next driver, which starts it again', async () => {
    const disk = memoryDisk();
    const { faults, driver: former } = await open(disk);
    const spec = simulatedSpec();
    await former.spawn(spec, never);
    faults.crash(spec.instanceId);
    const { driver } = await open(disk);
    expect((await driver.list(never)).map((guest) => guest.power)).toEqual(['crashed']);
    expect(await driver.spawn(spec, never)).toEqual({ power: 'running' });
  });
});
