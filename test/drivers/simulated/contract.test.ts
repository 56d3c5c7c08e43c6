import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryDisk } from '../../../drivers/simulated/disk.ts';
import type { GuestDisk } from '../../../drivers/simulated/disk.ts';
import { openSimulatedDriver } from '../../../drivers/simulated/driver.ts';
import { writeFaultScript } from '../../../drivers/simulated/faults.ts';
import type { Latencies } from '../../../drivers/simulated/latency.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { driverContract } from '../../contract/driver.ts';
import type { DriverRig } from '../../contract/driver.ts';
import { driverMovesContract } from '../../contract/driver-moves.ts';
import { orphanLock, simulatedSpec } from './rig.ts';

async function openRig(disk: GuestDisk | undefined, latency: Partial<Latencies>): Promise<DriverRig> {
  const directory = mkdtempSync(join(tmpdir(), 'novact-simulated-'));
  const faults = writeFaultScript();
  const options = { host: 'host-1', directory, clock: systemClock, random: systemRandom, latency, faults };
  const open = () => openSimulatedDriver(disk === undefined ? options : { ...options, disk });
  const driver = await open();
  const leftovers: DriverRig['leftovers'] = async (guest) => [join(directory, 'guests', `${guest.instanceId}.json`)].filter((file) => existsSync(file));
  return {
    ...(disk === undefined && { leftovers }),
    driver,
    async reopen() {
      orphanLock(directory);
      return open();
    },
    specFor: simulatedSpec,
    bootText: 'login:',
    async plantForeign() {
      const name = `foreign-${randomUUID()}`;
      faults.plant({ name, memoryMiB: 64 });
      return { name, remove: async () => {} };
    },
    async cutPower(guest) {
      faults.crash(guest.instanceId);
    },
    async close() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

driverContract('the simulated driver on files', () => openRig(undefined, {}));
driverContract('the simulated driver in memory', () => openRig(memoryDisk(), {}));
driverContract('the simulated driver that takes its time', () =>
  openRig(undefined, { spawnMs: { fromMs: 20, toMs: 60 }, stopMs: 5, rebootMs: 5, listMs: 1, shutdownMs: 1_000_000 }),
);
driverMovesContract('the simulated driver on files', () => openRig(undefined, {}));
driverMovesContract('the simulated driver that takes its time', () => openRig(undefined, { sendMs: 100, receiveMs: 10, parkMs: 5, landMs: 5 }));
