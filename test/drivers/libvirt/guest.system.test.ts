/** Real guests on a private libvirtd: what the contract can't ask because it knows no guest from inside. */
import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { GuestEvent, GuestSpec, HypervisorDriver } from '../../../drivers/driver.ts';
import { firstAnswering } from '../../../drivers/libvirt/connection.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { libvirtObstacle, openRig, type LibvirtRig } from './rig.ts';

const run = promisify(execFile);
const CASE_MS = 180_000;
const WAIT = { timeout: 90_000, interval: 100 };
const limit = (): AbortSignal => AbortSignal.timeout(120_000);

for (const mode of ['system', 'session'] as const) {
  describe(`a guest of qemu:///${mode}`, { timeout: CASE_MS }, () => {
    let missing: string | undefined;
    let rig: LibvirtRig;
    let driver: HypervisorDriver;
    const events: (GuestEvent | null)[] = [];

    beforeAll(async () => {
      missing = await libvirtObstacle();
      if (missing !== undefined && process.env['CI'] === undefined) return;
      rig = await openRig(mode);
      driver = await rig.open();
      driver.watch((event) => events.push(event));
    }, CASE_MS);
    afterAll(() => rig?.close(), CASE_MS);

    function need(ctx: TestContext): void {
      if (missing !== undefined && process.env['CI'] === undefined) ctx.skip(missing);
    }
    const output = async (guest: GuestSpec): Promise<string> => (await driver.consoleOutput(guest, { maxBytes: 1 << 20 }, limit())).toString();
    const says = (guest: GuestSpec, words: string): Promise<void> => expect.poll(() => output(guest), WAIT).toContain(words);
    const powerOf = async (guest: GuestSpec): Promise<string | undefined> =>
      (await driver.list(limit())).find(({ instanceId }) => instanceId === guest.instanceId)?.power;
    const powersHeard = (guest: GuestSpec): (string | undefined)[] =>
      events.filter((event) => event?.instanceId === guest.instanceId).map((event) => event?.power);

    it('boots from kernel and ramdisk, goes through its life, and leaves nothing', async (ctx) => {
      need(ctx);
      const guest = rig.specFor({ rootGiB: 1, swapMiB: 8, displayName: `<&"'\n` });
      await driver.spawn(guest, limit());
      await says(guest, 'GUEST READY');
      expect(await output(guest)).toContain('GUEST BOOT 1');
      expect(await output(guest)).toContain(`GUEST DISK ${(1 << 30) / 512}`); // the flavor's size, not the image's
      await says(guest, `GUEST MAC ${guest.nics[0]?.mac}`);
      await says(guest, 'GUEST ADDRESS 10.0.2.15/24');

      expect(await driver.stop(guest, { graceMs: 60_000 }, limit())).toEqual({ power: 'shutdown' });
      expect(await output(guest)).toContain('GUEST POWEROFF'); // it went by itself
      await driver.start(guest, limit());
      await says(guest, 'GUEST BOOT 2'); // on the disk that it had
      await says(guest, 'GUEST READY');
      await driver.reboot(guest, { kind: 'soft', graceMs: 60_000 }, limit());
      await says(guest, 'GUEST BOOT 3');
      await driver.reboot(guest, { kind: 'hard', graceMs: 0 }, limit());
      await says(guest, 'GUEST BOOT 4');

      await rig.daemon.killGuest(guest.instanceId);
      await expect.poll(() => powersHeard(guest).at(-1), WAIT).toBe('crashed');
      expect(await powerOf(guest)).toBe('crashed');
      await driver.destroy(guest, limit());
      expect(await rig.leftovers(guest)).toEqual([]);
    });

    it('boots its own boot loader from a qcow2, beside another of the same image', async (ctx) => {
      need(ctx);
      const image = rig.bootable;
      if (image === undefined && process.env['CI'] === undefined) ctx.skip('needs mtools, dosfstools and syslinux');
      if (image === undefined) expect.fail('needs mtools, dosfstools and syslinux');
      const guest = rig.specFor({ image });
      const other = rig.specFor({ image });
      await driver.spawn(guest, limit());
      await says(guest, 'GUEST READY');
      await driver.stop(guest, { graceMs: 0 }, limit());
      await driver.spawn(other, limit());
      await says(other, 'GUEST BOOT 1'); // the first guest wrote to its own layer only
      for (const one of [guest, other]) await driver.destroy(one, limit());
    });

    it('lives on while libvirtd is away; the driver fails fast, comes back and says so', async (ctx) => {
      need(ctx);
      const guest = rig.specFor();
      await driver.spawn(guest, limit());
      await says(guest, 'GUEST READY');
      events.length = 0;
      await rig.daemon.stop('KILL');
      const error = await driver.list(limit()).catch((reason: unknown) => reason);
      expect(Fault.is(error, 'unavailable')).toBe(true);
      expect(await firstAnswering([rig.daemon.socketPath])).toBeUndefined();
      await rig.daemon.start();
      await expect.poll(() => events, WAIT).toContain(null);
      expect(await firstAnswering([rig.daemon.socketPath])).toBe(rig.daemon.socketPath);
      expect(await powerOf(guest)).toBe('running');
      await driver.stop(guest, { graceMs: 60_000 }, limit());
      await expect.poll(() => powersHeard(guest), WAIT).toContain('shutdown'); // events are registered again
      await driver.destroy(guest, limit());
    });

    it('shows its files to nobody else, and its shared base to nobody for writing (S13)', async (ctx) => {
      need(ctx);
      const guest = rig.specFor();
      await driver.spawn(guest, limit());
      const files = (await run('find', [rig.stateDir, '-type', 'f'])).stdout.trim().split('\n');
      expect(files.length).toBeGreaterThan(5);
      for (const file of files) {
        expect([file, ((await stat(file)).mode & 0o007).toString(8)]).toEqual([file, '0']);
        await expect(asUser(4242, 'cat', file)).rejects.toThrow(/denied/);
      }
      await expect(asUser(4242, 'ls', join(rig.stateDir, 'instances'))).rejects.toThrow(/denied/);
      for (const base of await readdir(join(rig.stateDir, 'images'))) {
        const { uid, mode } = await stat(join(rig.stateDir, 'images', base));
        expect([base, uid, (mode & 0o222).toString(8)]).toEqual([base, process.getuid?.(), '0']);
      }
      await driver.destroy(guest, limit());
    });
  });
}

function asUser(uid: number, ...command: string[]): Promise<unknown> {
  return run('setpriv', ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', ...command]);
}
