/**
 * drivers/driver.ts as code: every hypervisor driver passes these cases. One hypervisor is opened for all of them;
 * each case makes guests of its own and takes them away again. Real hypervisors are slow, so nothing here is timed:
 * limits only say when to give up.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GuestEvent, GuestKey, GuestPower, GuestSeen, GuestSpec, HypervisorDriver, RescueDisk } from '../../drivers/driver.ts';
import { doneOrCancelled, refused, within } from './driver-rig.ts';
import type { ContractOptions, DriverRig } from './driver-rig.ts';

export type { ContractOptions, DriverRig } from './driver-rig.ts';

const POLL_MS = 50;
const OFF: readonly GuestPower[] = ['shutdown', 'crashed'];

export function driverContract(name: string, open: () => Promise<DriverRig>, options: ContractOptions = {}): void {
  const { testTimeoutMs = 60_000, crowd = 20 } = options;

  describe(`${name} keeps the hypervisor contract`, { timeout: testTimeoutMs }, () => {
    let rig: DriverRig;
    let driver: HypervisorDriver;
    let missing: string | undefined;
    let made: GuestSpec[] = [];

    beforeAll(async () => {
      missing = await options.missing?.();
      if (missing !== undefined && process.env['CI'] === undefined) return;
      rig = await open();
      driver = rig.driver;
    }, testTimeoutMs);

    afterEach(async () => {
      for (const guest of made) await destroyAll(guest.instanceId);
      made = [];
    }, testTimeoutMs);

    afterAll(async () => {
      await rig?.close();
    }, testTimeoutMs);

    /** One promise of the contract; `needs` names the rig's optional part without which it can't be tried. */
    function promise(title: string, run: () => Promise<void>, needs?: keyof DriverRig): void {
      it(title, async (ctx) => {
        if (missing !== undefined && process.env['CI'] === undefined) ctx.skip(missing);
        if (needs !== undefined && rig[needs] === undefined) ctx.skip(`the rig has no ${needs}`);
        await run();
      });
    }

    const limit = (): AbortSignal => AbortSignal.timeout(rig.hardTimeoutMs ?? 30_000);

    function newSpec(overrides: Partial<GuestSpec> = {}): GuestSpec {
      const spec = rig.specFor(overrides);
      made.push(spec);
      return spec;
    }

    async function spawned(overrides: Partial<GuestSpec> = {}): Promise<GuestSpec> {
      const spec = newSpec(overrides);
      expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
      return spec;
    }

    async function seen(guest: { instanceId: string }): Promise<GuestSeen[]> {
      return (await driver.list(limit())).filter((each) => each.instanceId === guest.instanceId);
    }

    async function destroyAll(instanceId: string): Promise<void> {
      for (const { generation } of await seen({ instanceId })) await driver.destroy({ instanceId, generation }, limit());
    }

    async function expectOnly(guest: GuestSpec, power: GuestPower): Promise<void> {
      const { instanceId, generation } = guest;
      expect(await seen(guest)).toEqual([{ instanceId, generation, name: guest.name, power }]);
    }

    /** Looks again until it is so, or the hypervisor had its time. */
    async function settles(look: () => Promise<boolean>): Promise<void> {
      const given = AbortSignal.timeout(rig.settleMs ?? 10_000);
      while (!(await look())) {
        if (given.aborted) expect.fail('it did not come to be in time');
        await pause(POLL_MS);
      }
    }

    const stopNow = (guest: GuestKey) => driver.stop(guest, { graceMs: 0 }, limit());
    const rebootNow = (guest: GuestKey) => driver.reboot(guest, { kind: 'hard', graceMs: 0 }, limit());
    const readConsole = (guest: GuestKey) => driver.consoleOutput(guest, { maxBytes: 65_536 }, limit());
    const verbsOf = (guest: GuestKey): [string, () => Promise<unknown>][] => [
      ['start', () => driver.start(guest, limit())],
      ['stop', () => stopNow(guest)],
      ['reboot', () => rebootNow(guest)],
      ['consoleOutput', () => readConsole(guest)],
      ['pause', () => driver.pause?.(guest, limit()) ?? readConsole(guest)],
      ['unpause', () => driver.unpause?.(guest, limit()) ?? readConsole(guest)],
      ['suspend', () => driver.suspend(guest, limit())],
      ['resume', () => driver.resume(guest, limit())],
      ['setPassword', () => driver.setPassword?.(guest, 'secret', limit()) ?? readConsole(guest)],
      ['crashDump', () => driver.crashDump?.(guest, limit()) ?? readConsole(guest)],
    ];
    const suspend = (guest: GuestKey) => driver.suspend(guest, limit());
    const resume = (guest: GuestKey) => driver.resume(guest, limit());
    const rescue = (spec: GuestSpec) => {
      const { image, kernel, ramdisk } = spec;
      const own: RescueDisk = { image, ...(kernel && { kernel }), ...(ramdisk && { ramdisk }) };
      return driver.rescue(spec, rig.rescueWith ?? own, { graceMs: 0 }, limit());
    };
    const unrescue = (spec: GuestSpec) => driver.unrescue(spec, limit());

    describe('inventory', () => {
      promise('tells how long its machine has been up, if at all: it only grows', async () => {
        if (driver.hostUptime === undefined) return;
        const { upMs, load } = await driver.hostUptime(limit());
        expect([upMs >= 0, load.length, load.every((part) => part >= 0)]).toEqual([true, 3, true]);
        expect((await driver.hostUptime(limit())).upMs).toBeGreaterThanOrEqual(upMs);
      });

      promise('fetches an image ahead of time, if at all, as often as asked, and spawns from it', async () => {
        if (driver.fetchImage === undefined) return;
        const spec = newSpec();
        await driver.fetchImage(spec.image, limit());
        await driver.fetchImage(spec.image, limit());
        expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
        await refused('cancelled', driver.fetchImage({ ...spec.image, id: randomUUID(), hash: null }, AbortSignal.abort()));
      });

      promise('tells what the host can give in all', async () => {
        const inventory = await driver.inventory(limit());
        for (const amount of [inventory.vcpus, inventory.memoryMiB, inventory.diskGiB]) {
          expect(amount).toBeGreaterThan(0);
          expect(Number.isInteger(amount)).toBe(true);
        }
        expect(inventory.hypervisorType).not.toBe('');
        expect(inventory.hypervisorVersion).toBeGreaterThan(0);
        expect(inventory.cpu.arch).not.toBe('');
      });

      promise('does not depend on what is used', async () => {
        const before = await driver.inventory(limit());
        await spawned();
        const { vcpus, memoryMiB, diskGiB } = await driver.inventory(limit());
        expect({ vcpus, memoryMiB, diskGiB }).toEqual({
          vcpus: before.vcpus,
          memoryMiB: before.memoryMiB,
          diskGiB: before.diskGiB,
        });
      });
    });

    describe('spawn', () => {
      promise('makes a guest that runs and is listed once', async () => {
        await expectOnly(await spawned(), 'running');
      });

      promise('asked again, answers the same and makes no second guest', async () => {
        const spec = await spawned();
        expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('asked again, starts the guest that is off', async () => {
        const spec = await spawned();
        await stopNow(spec);
        expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('replaces a lower generation of the instance', async () => {
        const old = await spawned({ generation: 1 });
        const next = await spawned({ instanceId: old.instanceId, name: old.name, generation: 2 });
        await expectOnly(next, 'running');
      });

      promise('replaces a lower generation that is off', async () => {
        const old = await spawned({ generation: 1 });
        await stopNow(old);
        const next = await spawned({ instanceId: old.instanceId, name: old.name, generation: 3 });
        await expectOnly(next, 'running');
      });

      promise('refuses as a conflict when a higher generation is there, and leaves that one alone', async () => {
        const spec = await spawned({ generation: 2 });
        await refused('conflict', driver.spawn({ ...spec, generation: 1 }, limit()));
        await expectOnly(spec, 'running');
      });

      promise('refuses a spec that it cannot run, and leaves nothing of it', async () => {
        const spec = newSpec();
        const wrong = { ...spec, image: { ...spec.image, diskFormat: 'punched-cards' } };
        await refused('invalid', driver.spawn(wrong, limit()));
        expect(await seen(spec)).toEqual([]);
        expect((await rig.leftovers?.(spec)) ?? []).toEqual([]);
      });

      promise(`makes ${crowd} guests at once, and takes them away at once`, async () => {
        const specs = Array.from({ length: crowd }, () => newSpec());
        const answers = await Promise.all(specs.map((spec) => driver.spawn(spec, limit())));
        expect(answers).toEqual(specs.map(() => ({ power: 'running' })));
        const listed = await driver.list(limit());
        for (const spec of specs) {
          expect(listed.filter((each) => each.instanceId === spec.instanceId).map((each) => each.power)).toEqual(['running']);
        }
        await Promise.all(specs.map((spec) => driver.destroy(spec, limit())));
        const mine = new Set<string | null>(specs.map((spec) => spec.instanceId));
        expect((await driver.list(limit())).filter((each) => mine.has(each.instanceId))).toEqual([]);
      });
    });

    describe('destroy', () => {
      promise('takes a running guest away', async () => {
        const spec = await spawned();
        await driver.destroy(spec, limit());
        expect(await seen(spec)).toEqual([]);
      });

      promise('takes a guest away that is off', async () => {
        const spec = await spawned();
        await stopNow(spec);
        await driver.destroy(spec, limit());
        expect(await seen(spec)).toEqual([]);
      });

      promise('is no error when the guest is gone already, or never was', async () => {
        const spec = await spawned();
        await driver.destroy(spec, limit());
        await driver.destroy(spec, limit());
        await driver.destroy({ instanceId: randomUUID(), generation: 1 }, limit());
      });

      promise('never touches another generation', async () => {
        const spec = await spawned({ generation: 2 });
        await driver.destroy({ instanceId: spec.instanceId, generation: 1 }, limit());
        await driver.destroy({ instanceId: spec.instanceId, generation: 3 }, limit());
        await expectOnly(spec, 'running');
      });

      promise('takes the console log away, too', async () => {
        const spec = await spawned();
        await driver.destroy(spec, limit());
        await refused('notFound', readConsole(spec));
      });

      promise(
        'leaves nothing on the hypervisor',
        async () => {
          const spec = await spawned();
          await driver.destroy(spec, limit());
          expect(await rig.leftovers?.(spec)).toEqual([]);
        },
        'leftovers',
      );

      promise('makes room for the same instance again', async () => {
        const spec = await spawned();
        await driver.destroy(spec, limit());
        await expectOnly(await spawned({ ...spec, generation: spec.generation + 1 }), 'running');
      });
    });

    describe('power', () => {
      promise('stop turns a guest off at once when there is no grace; again is no error', async () => {
        const spec = await spawned();
        expect(await stopNow(spec)).toEqual({ power: 'shutdown' });
        expect(await stopNow(spec)).toEqual({ power: 'shutdown' });
        await expectOnly(spec, 'shutdown');
      });

      promise('stop turns a guest off after its grace at the latest', async () => {
        const spec = await spawned();
        expect(await driver.stop(spec, { graceMs: 500 }, limit())).toEqual({ power: 'shutdown' });
        await expectOnly(spec, 'shutdown');
      });

      promise('start turns a guest on; again is no error', async () => {
        const spec = await spawned();
        await stopNow(spec);
        expect(await driver.start(spec, limit())).toEqual({ power: 'running' });
        expect(await driver.start(spec, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('a hard reboot ends with the guest running; again is no error', async () => {
        const spec = await spawned();
        expect(await rebootNow(spec)).toEqual({ power: 'running' });
        expect(await rebootNow(spec)).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('a soft reboot ends with the guest running, after its grace at the latest', async () => {
        const spec = await spawned();
        expect(await driver.reboot(spec, { kind: 'soft', graceMs: 500 }, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('a reboot of a guest that is off starts it, as after a crash half way', async () => {
        const spec = await spawned();
        await stopNow(spec);
        expect(await rebootNow(spec)).toEqual({ power: 'running' });
        await stopNow(spec);
        expect(await driver.reboot(spec, { kind: 'soft', graceMs: 500 }, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('of an unknown guest is notFound', async () => {
        for (const [, verb] of verbsOf({ instanceId: randomUUID(), generation: 1 })) await refused('notFound', verb());
      });

      promise('of another generation is a conflict, and changes nothing', async () => {
        const spec = await spawned({ generation: 2 });
        for (const generation of [1, 3]) {
          for (const [, verb] of verbsOf({ ...spec, generation })) await refused('conflict', verb());
        }
        await expectOnly(spec, 'running');
      });
    });

    describe('pausing', () => {
      promise('holds a guest and lets it run again; each again is no error', async () => {
        const spec = await spawned();
        expect(await driver.pause?.(spec, limit())).toEqual({ power: 'paused' });
        expect(await driver.pause?.(spec, limit())).toEqual({ power: 'paused' });
        await expectOnly(spec, 'paused');
        expect(await driver.unpause?.(spec, limit())).toEqual({ power: 'running' });
        expect(await driver.unpause?.(spec, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('is refused for a guest that is off, and so is the way back', async () => {
        const spec = await spawned();
        await stopNow(spec);
        await refused('conflict', driver.pause?.(spec, limit()) ?? stopNow(spec));
        await refused('conflict', driver.unpause?.(spec, limit()) ?? stopNow(spec));
        await expectOnly(spec, 'shutdown');
      });

      promise('of a guest keeps it from being started, and not from being stopped, rebooted or destroyed', async () => {
        const [stopped, rebooted, destroyed] = [await spawned(), await spawned(), await spawned()];
        for (const spec of [stopped, rebooted, destroyed]) await driver.pause?.(spec, limit());
        await refused('conflict', driver.start(stopped, limit()));
        expect(await stopNow(stopped)).toEqual({ power: 'shutdown' });
        expect(await rebootNow(rebooted)).toEqual({ power: 'running' });
        await driver.destroy(destroyed, limit());
        expect(await seen(destroyed)).toEqual([]);
      });
    });

    describe('suspending', () => {
      promise('saves a guest and brings it back; each again is no error', async () => {
        const spec = await spawned();
        expect(await suspend(spec)).toEqual({ power: 'suspended' });
        expect(await suspend(spec)).toEqual({ power: 'suspended' });
        await expectOnly(spec, 'suspended');
        expect(await resume(spec)).toEqual({ power: 'running' });
        expect(await resume(spec)).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('takes a paused guest, and brings it back running', async () => {
        const spec = await spawned();
        await driver.pause?.(spec, limit());
        expect(await suspend(spec)).toEqual({ power: 'suspended' });
        expect(await resume(spec)).toEqual({ power: 'running' });
      });

      promise('is refused for a guest that is off; one with nothing saved is started', async () => {
        const spec = await spawned();
        await stopNow(spec);
        await refused('conflict', suspend(spec));
        expect(await resume(spec)).toEqual({ power: 'running' });
      });

      promise('of a guest keeps it from being started, and from being paused', async () => {
        const spec = await spawned();
        await suspend(spec);
        await refused('conflict', driver.start(spec, limit()));
        await refused('conflict', driver.pause?.(spec, limit()) ?? driver.start(spec, limit()));
        await expectOnly(spec, 'suspended');
      });

      promise('is over when the guest is stopped or rebooted: nothing stays saved', async () => {
        const [stopped, rebooted] = [await spawned(), await spawned()];
        await suspend(stopped);
        await suspend(rebooted);
        expect(await stopNow(stopped)).toEqual({ power: 'shutdown' });
        await expectOnly(stopped, 'shutdown');
        expect(await driver.start(stopped, limit())).toEqual({ power: 'running' });
        expect(await rebootNow(rebooted)).toEqual({ power: 'running' });
        await stopNow(rebooted);
        await expectOnly(rebooted, 'shutdown');
      });

      promise('outlives a crash, and ends with the guest', async () => {
        const [resumed, destroyed] = [await spawned(), await spawned()];
        await suspend(resumed);
        await suspend(destroyed);
        driver = await rig.reopen();
        await expectOnly(resumed, 'suspended');
        expect(await resume(resumed)).toEqual({ power: 'running' });
        await driver.destroy(destroyed, limit());
        expect(await seen(destroyed)).toEqual([]);
        expect((await rig.leftovers?.(destroyed)) ?? []).toEqual([]);
      });
    });

    describe('rescue', () => {
      promise('boots a guest from another disk and back from its own; each again is no error', async () => {
        const spec = await spawned();
        expect(await rescue(spec)).toEqual({ power: 'running' });
        expect(await rescue(spec)).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
        expect(await unrescue(spec)).toEqual({ power: 'running' });
        expect(await unrescue(spec)).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('takes a guest that is off or suspended', async () => {
        const [off, suspended] = [await spawned(), await spawned()];
        await stopNow(off);
        await suspend(suspended);
        expect(await rescue(off)).toEqual({ power: 'running' });
        expect(await rescue(suspended)).toEqual({ power: 'running' });
        expect(await unrescue(suspended)).toEqual({ power: 'running' });
      });

      promise('outlives a crash and a power cut, and the guest is destroyed with it', async () => {
        const spec = await spawned();
        await rescue(spec);
        driver = await rig.reopen();
        await stopNow(spec);
        expect(await rescue(spec)).toEqual({ power: 'running' });
        await driver.destroy(spec, limit());
        expect(await seen(spec)).toEqual([]);
        expect((await rig.leftovers?.(spec)) ?? []).toEqual([]);
      });

      promise('refuses an image that it cannot boot, and the guest goes on', async () => {
        const spec = await spawned();
        const wrong = { image: { ...spec.image, diskFormat: 'punched-cards' } };
        await refused('invalid', driver.rescue(spec, wrong, { graceMs: 0 }, limit()));
        await expectOnly(spec, 'running');
      });

      promise('of an unknown guest is notFound, of another generation a conflict', async () => {
        const spec = await spawned({ generation: 2 });
        await refused('notFound', rescue(rig.specFor()));
        await refused('notFound', unrescue(rig.specFor()));
        for (const generation of [1, 3]) {
          await refused('conflict', rescue({ ...spec, generation }));
          await refused('conflict', unrescue({ ...spec, generation }));
        }
        await expectOnly(spec, 'running');
      });
    });

    describe('into the guest', () => {
      promise('a password is set, or refused as a conflict where nobody inside does it', async () => {
        const spec = await spawned();
        await driver.setPassword?.(spec, 'secret', limit()).catch((error: unknown) => refused('conflict', Promise.reject(error)));
        await stopNow(spec);
        if (driver.setPassword) await refused('conflict', driver.setPassword(spec, 'secret', limit()));
      });

      promise('an interrupt for a crash dump reaches a guest that is on', async () => {
        const spec = await spawned();
        await driver.crashDump?.(spec, limit());
        await stopNow(spec);
        if (driver.crashDump) await refused('conflict', driver.crashDump(spec, limit()));
      });
    });

    describe('consoleOutput', () => {
      promise('is never longer than asked', async () => {
        const spec = await spawned();
        for (const maxBytes of [0, 1, 100]) {
          const output = await driver.consoleOutput(spec, { maxBytes }, limit());
          expect(output.length).toBeLessThanOrEqual(maxBytes);
        }
      });

      promise(
        'holds what the guest wrote, also when it is off',
        async () => {
          const spec = await spawned();
          const wrote = async (): Promise<boolean> => (await readConsole(spec)).includes(rig.bootText ?? '');
          await settles(wrote);
          await stopNow(spec);
          expect(await wrote()).toBe(true);
        },
        'bootText',
      );

      promise(
        'gives the end of the log',
        async () => {
          const spec = await spawned();
          await settles(async () => (await readConsole(spec)).includes(rig.bootText ?? ''));
          await stopNow(spec); // it writes no more
          const all = await readConsole(spec);
          const end = await driver.consoleOutput(spec, { maxBytes: 10 }, limit());
          expect(end.equals(all.subarray(-10))).toBe(true);
        },
        'bootText',
      );
    });

    describe('snapshot', () => {
      const copyOf = (guest: GuestKey, imageId: string) => driver.snapshot(guest, { imageId, quiesce: false }, limit());
      async function bytesOf(guest: GuestKey, imageId: string): Promise<Buffer> {
        const { body, sizeBytes } = await driver.openSnapshot(guest, { imageId }, limit());
        const chunks: Buffer[] = [];
        for await (const chunk of body) chunks.push(Buffer.from(chunk));
        const bytes = Buffer.concat(chunks);
        expect(bytes.length).toBe(sizeBytes);
        return bytes;
      }

      promise('of a running guest copies its disk and lets it run; again is the same copy', async () => {
        const spec = await spawned();
        const imageId = randomUUID();
        const copy = await copyOf(spec, imageId);
        expect(copy.virtualBytes).toBeGreaterThan(0);
        const bytes = await bytesOf(spec, imageId);
        expect(bytes.length).toBe(copy.sizeBytes);
        expect(await copyOf(spec, imageId)).toEqual(copy);
        expect((await bytesOf(spec, imageId)).equals(bytes)).toBe(true);
        await expectOnly(spec, 'running');
      });

      promise('of a guest that is off copies its disk, too', async () => {
        const spec = await spawned();
        await stopNow(spec);
        const imageId = randomUUID();
        expect((await copyOf(spec, imageId)).sizeBytes).toBe((await bytesOf(spec, imageId)).length);
        await expectOnly(spec, 'shutdown');
      });

      promise('is kept over a crash until it is dropped, another one is made, or the guest is destroyed', async () => {
        const spec = await spawned();
        await stopNow(spec);
        const [first, second] = [randomUUID(), randomUUID()];
        await copyOf(spec, first);
        driver = await rig.reopen();
        await bytesOf(spec, first);
        await copyOf(spec, second);
        await refused('notFound', driver.openSnapshot(spec, { imageId: first }, limit()));
        await bytesOf(spec, second);
        await driver.dropSnapshot(spec, limit());
        await driver.dropSnapshot(spec, limit());
        await refused('notFound', driver.openSnapshot(spec, { imageId: second }, limit()));
        await copyOf(spec, second);
        await driver.destroy(spec, limit());
        await refused('notFound', driver.openSnapshot(spec, { imageId: second }, limit()));
        await driver.dropSnapshot(spec, limit());
        expect((await rig.leftovers?.(spec)) ?? []).toEqual([]);
      });

      promise('of another generation is a conflict, of an unknown guest notFound', async () => {
        const spec = await spawned({ generation: 2 });
        await refused('conflict', copyOf({ ...spec, generation: 1 }, randomUUID()));
        await refused('notFound', copyOf({ instanceId: randomUUID(), generation: 1 }, randomUUID()));
        await driver.dropSnapshot({ ...spec, generation: 1 }, limit());
      });

      promise('that is aborted leaves a guest of which another copy can be made', async () => {
        const spec = await spawned();
        const imageId = randomUUID();
        await doneOrCancelled((signal) => driver.snapshot(spec, { imageId, quiesce: false }, signal), 20);
        expect((await copyOf(spec, imageId)).sizeBytes).toBe((await bytesOf(spec, imageId)).length);
        await expectOnly(spec, 'running');
      });
    });

    describe('diagnostics', () => {
      promise('counts what a running guest has, and is refused for one that is off or unknown', async () => {
        const { diagnostics } = driver;
        if (diagnostics === undefined) return; // a hypervisor may count nothing
        const spec = await spawned();
        const found = await driver.diagnostics?.(spec, limit());
        expect(found).toMatchObject({ power: 'running', memory: { maximumMiB: expect.toSatisfy((mib) => mib === null || mib === spec.memoryMiB) } });
        expect(found?.cpus.length).toBeLessThanOrEqual(spec.vcpus);
        await stopNow(spec);
        await expect(driver.diagnostics?.(spec, limit())).rejects.toMatchObject({ code: 'conflict' });
        await expect(driver.diagnostics?.(rig.specFor(), limit())).rejects.toMatchObject({ code: 'notFound' });
      });
    });

    describe('after a crash', () => {
      promise('list finds every guest as it was, and verbs go on', async () => {
        const on = await spawned();
        const off = await spawned();
        await stopNow(off);
        driver = await rig.reopen();
        await expectOnly(on, 'running');
        await expectOnly(off, 'shutdown');
        expect(await driver.start(off, limit())).toEqual({ power: 'running' });
        expect(await stopNow(on)).toEqual({ power: 'shutdown' });
      });

      promise('spawn finds what it did, and answers the same', async () => {
        const spec = await spawned();
        driver = await rig.reopen();
        expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
        await expectOnly(spec, 'running');
      });

      promise('a guest that was destroyed stays gone', async () => {
        const spec = await spawned();
        await driver.destroy(spec, limit());
        driver = await rig.reopen();
        expect(await seen(spec)).toEqual([]);
      });
    });

    describe('list', () => {
      promise(
        'shows a foreign guest without an instance id',
        async () => {
          const foreign = await rig.plantForeign?.();
          try {
            const found = (await driver.list(limit())).filter((each) => each.name === foreign?.name);
            expect(found.map((each) => each.instanceId)).toEqual([null]);
          } finally {
            await foreign?.remove();
          }
        },
        'plantForeign',
      );
    });

    describe('an abort', () => {
      promise('before a verb refuses it as cancelled, and nothing is done', async () => {
        const spec = await spawned();
        const unborn = newSpec();
        const gone = AbortSignal.abort();
        await refused('cancelled', driver.spawn(unborn, gone));
        await refused('cancelled', driver.stop(spec, { graceMs: 0 }, gone));
        await refused('cancelled', driver.start(spec, gone));
        await refused('cancelled', driver.reboot(spec, { kind: 'hard', graceMs: 0 }, gone));
        await refused('cancelled', driver.consoleOutput(spec, { maxBytes: 10 }, gone));
        await refused('cancelled', driver.destroy(spec, gone));
        await refused('cancelled', driver.list(gone));
        await refused('cancelled', driver.inventory(gone));
        await expectOnly(spec, 'running');
        expect(await seen(unborn)).toEqual([]);
      });

      promise('ends a running spawn, and spawning again makes one guest', async () => {
        // At once, a moment later, and later: the verb is caught in other steps, or is done already.
        for (const delayMs of [0, 20, 200]) {
          const spec = newSpec();
          await doneOrCancelled((signal) => driver.spawn(spec, signal), delayMs);
          expect(await driver.spawn(spec, limit())).toEqual({ power: 'running' });
          await expectOnly(spec, 'running');
        }
      });

      promise('ends a running spawn, and destroying leaves nothing', async () => {
        const spec = newSpec();
        await doneOrCancelled((signal) => driver.spawn(spec, signal), 20);
        await driver.destroy(spec, limit());
        expect(await seen(spec)).toEqual([]);
        expect((await rig.leftovers?.(spec)) ?? []).toEqual([]);
      });

      promise('ends the grace of a stop; stopping again works', async () => {
        const spec = await spawned();
        await doneOrCancelled((signal) => driver.stop(spec, { graceMs: 3_600_000 }, signal), 20);
        expect(await stopNow(spec)).toEqual({ power: 'shutdown' });
        await expectOnly(spec, 'shutdown');
      });
    });

    /** The next event that says of this guest that it is off. */
    function hearOff(guest: GuestKey): Promise<GuestEvent> {
      const heard = new Promise<GuestEvent>((resolve) => {
        driver.watch((event) => {
          if (event?.instanceId === guest.instanceId && OFF.includes(event.power)) resolve(event);
        });
      });
      return within(rig.settleMs ?? 10_000, heard);
    }

    describe('watch', () => {
      promise(
        'hears of a guest that goes off by itself, and list agrees',
        async () => {
          const spec = await spawned();
          const off = hearOff(spec);
          await rig.cutPower?.(spec);
          expect((await off).generation).toBe(spec.generation);
          expect((await seen(spec)).map((each) => OFF.includes(each.power))).toEqual([true]);
          expect(await driver.start(spec, limit())).toEqual({ power: 'running' });
        },
        'cutPower',
      );
    });

    describe('watch', () => {
      promise(
        'hears of a guest that is paused by somebody else, and list agrees',
        async () => {
          const spec = await spawned();
          const paused = new Promise<GuestEvent>((resolve) => {
            driver.watch((event) => void (event?.instanceId === spec.instanceId && event.power === 'paused' && resolve(event)));
          });
          await rig.pauseGuest?.(spec);
          expect((await within(rig.settleMs ?? 10_000, paused)).generation).toBe(spec.generation);
          await expectOnly(spec, 'paused');
          expect(await driver.unpause?.(spec, limit())).toEqual({ power: 'running' });
        },
        'pauseGuest',
      );
    });

    // Each case closes the driver that the others use, and leaves them a new one.
    describe('close', () => {
      promise('lets guests go on, and refuses verbs', async () => {
        const spec = await spawned();
        await driver.close();
        await refused('unavailable', driver.list(limit()));
        driver = await rig.reopen();
        await expectOnly(spec, 'running');
      });

      promise(
        'ends watches',
        async () => {
          const spec = await spawned();
          const heard: GuestPower[] = [];
          driver.watch((event) => {
            if (event?.instanceId === spec.instanceId) heard.push(event.power);
          });
          await driver.close();
          const heardBefore = heard.length;
          driver = await rig.reopen();
          const off = hearOff(spec); // when the new driver has heard it, the old one has, too
          await rig.cutPower?.(spec);
          await off;
          expect(heard.length).toBe(heardBefore);
        },
        'cutPower',
      );
    });
  });
}
