/**
 * `GuestMoves` and `LiveMoves` of drivers/driver.ts as code: drivers that have them pass these cases, between two
 * hypervisors and on one. A guest that sleeps for a move is not woken by anything but the verbs of moves.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuestKey, GuestMoves, GuestSpec, HypervisorDriver, LiveMoves, OpenDisk } from '../../drivers/driver.ts';
import { refused, type DriverRig } from './driver-rig.ts';

export function driverMovesContract(name: string, open: () => Promise<DriverRig>): void {
  describe(`${name} moves guests`, () => {
    let here: DriverRig;
    let there: DriverRig;
    beforeAll(async () => {
      [here, there] = [await open(), await open()];
    });
    afterAll(async () => {
      await here.close();
      await there.close();
    });
    const limit = (): AbortSignal => AbortSignal.timeout(30_000);
    const movesOf = ({ driver: { moves } }: DriverRig): GuestMoves => moves ?? expect.fail('the driver does not move guests');
    const liveOf = ({ driver: { live } }: DriverRig): LiveMoves => live ?? expect.fail('the driver does not move guests that run');
    const diskOf =
      (rig: DriverRig, guest: GuestKey): OpenDisk =>
      (signal) =>
        movesOf(rig).readDisk(guest, signal);
    const seen = async (driver: HypervisorDriver, { instanceId }: GuestKey): Promise<string[]> =>
      (await driver.list(limit()))
        .filter((guest) => guest.instanceId === instanceId)
        .map(({ generation, power }) => `${generation} ${power}`)
        .sort();
    const consoleOf = async (rig: DriverRig, guest: GuestKey): Promise<string> =>
      (await rig.driver.consoleOutput(guest, { maxBytes: 65_536 }, limit())).toString('utf8');
    const running = async (): Promise<GuestSpec> => {
      const spec = here.specFor();
      await here.driver.spawn(spec, limit());
      return spec;
    };
    const next = (spec: GuestSpec, more: Partial<GuestSpec> = {}): GuestSpec => ({ ...spec, generation: spec.generation + 1, ...more });

    it('parks a guest: it is off, and nothing but unpark wakes it, in another process neither', async () => {
      const spec = await running();
      for (let i = 0; i < 2; i++) expect(await movesOf(here).park(spec, { graceMs: 0 }, limit())).toEqual({ power: 'shutdown' });
      const again = await here.reopen();
      for (const driver of [again]) {
        await refused('conflict', driver.start(spec, limit()));
        await refused('conflict', driver.reboot(spec, { kind: 'hard', graceMs: 0 }, limit()));
        await refused('conflict', driver.spawn(spec, limit()));
      }
      here = { ...here, driver: again };
      for (let i = 0; i < 2; i++) expect(await movesOf(here).unpark(spec, limit())).toEqual({ power: 'shutdown' });
      expect(await here.driver.start(spec, limit())).toEqual({ power: 'running' });
      await here.driver.destroy(spec, limit());
    });

    it('gives the disk of a parked guest away, and of no other', async () => {
      const spec = await running();
      await refused('conflict', movesOf(here).readDisk(spec, limit()));
      await movesOf(here).park(spec, { graceMs: 0 }, limit());
      const bigger = next(spec, { vcpus: 2, rootGiB: spec.rootGiB + 1 });
      for (let i = 0; i < 2; i++) expect(await movesOf(there).receive(bigger, diskOf(here, spec), { memory: false }, limit())).toEqual({ power: 'shutdown' });
      expect(await there.driver.start(bigger, limit())).toEqual({ power: 'running' });
      expect((await consoleOf(there, bigger)).length).toBeGreaterThan((await consoleOf(here, spec)).length);
      expect([await seen(here.driver, spec), await seen(there.driver, spec)]).toEqual([['1 shutdown'], ['2 running']]);
      await here.driver.destroy(spec, limit());
      await there.driver.destroy(bigger, limit());
    });

    it('does not make a disk smaller', async () => {
      const spec = here.specFor({ rootGiB: 3 });
      await here.driver.spawn(spec, limit());
      await movesOf(here).park(spec, { graceMs: 0 }, limit());
      await refused('invalid', movesOf(there).receive(next(spec, { rootGiB: 2 }), diskOf(here, spec), { memory: false }, limit()));
      expect(await seen(there.driver, spec)).toEqual([]);
      await here.driver.destroy(spec, limit());
    });

    it('keeps a parked guest beside its newer one on the same host, until either goes', async () => {
      for (const goesBack of [true, false]) {
        const spec = await running();
        await movesOf(here).park(spec, { graceMs: 0 }, limit());
        const newer = next(spec);
        await movesOf(here).receive(newer, diskOf(here, spec), { memory: false }, limit());
        await here.driver.start(newer, limit());
        expect(await seen(here.driver, spec)).toEqual(['1 shutdown', '2 running']);
        await refused('conflict', movesOf(here).unpark(spec, limit()));
        here = { ...here, driver: await here.reopen() };
        expect(await seen(here.driver, spec)).toEqual(['1 shutdown', '2 running']);
        await here.driver.destroy(goesBack ? newer : spec, limit());
        if (goesBack) await movesOf(here).unpark(spec, limit());
        expect(await seen(here.driver, spec)).toEqual([goesBack ? '1 shutdown' : '2 running']);
        await here.driver.destroy(goesBack ? spec : newer, limit());
        expect(await seen(here.driver, spec)).toEqual([]);
      }
    });

    it('moves a guest that runs: it is held at the source before it lands, and says how far it is', async () => {
      const spec = await running();
      const newer = next(spec);
      const before = await consoleOf(here, spec);
      for (let i = 0; i < 2; i++) expect(await liveOf(there).prepare(newer, limit())).toEqual({ power: 'pending' });
      await refused('conflict', there.driver.start(newer, limit()));
      await refused('conflict', liveOf(there).land(newer, { paused: false }, limit()));
      const told: number[] = [];
      for (let i = 0; i < 2; i++) {
        const sent = await liveOf(here).send(spec, { force: false }, ({ memoryDone, memoryTotal }) => told.push(memoryDone / memoryTotal), limit());
        expect(sent).toEqual({ power: 'paused' });
      }
      expect(told.at(-1)).toBe(1);
      await refused('conflict', here.driver.start(spec, limit()));
      for (let i = 0; i < 2; i++) expect(await movesOf(there).receive(newer, diskOf(here, spec), { memory: true }, limit())).toEqual({ power: 'paused' });
      await refused('conflict', there.driver.start(newer, limit()));
      for (let i = 0; i < 2; i++) expect(await liveOf(there).land(newer, { paused: false }, limit())).toEqual({ power: 'running' });
      expect(await consoleOf(there, newer)).toBe(before); // it did not boot
      await here.driver.destroy(spec, limit());
      await there.driver.destroy(newer, limit());
    });

    it('lets a guest stay that was held, as it was', async () => {
      const spec = await running();
      const before = await consoleOf(here, spec);
      await liveOf(here).send(spec, { force: true }, () => {}, limit());
      for (let i = 0; i < 2; i++) expect(await liveOf(here).stay(spec, { paused: false }, limit())).toEqual({ power: 'running' });
      expect(await consoleOf(here, spec)).toBe(before);
      await here.driver.destroy(spec, limit());
    });

    it('sends no guest that does not run', async () => {
      const spec = await running();
      await here.driver.stop(spec, { graceMs: 0 }, limit());
      await refused(
        'conflict',
        liveOf(here).send(spec, { force: false }, () => {}, limit()),
      );
      await here.driver.destroy(spec, limit());
    });
  });
}
