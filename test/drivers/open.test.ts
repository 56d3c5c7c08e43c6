import { expect, it } from 'vitest';
import { openDriver } from '../../drivers/open.ts';
import { systemClock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { systemRandom } from '../../runtime/base/random.ts';
import { inFolder, never } from './simulated/rig.ts';

const parts = {
  host: 'host-1',
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  images: { open: () => Promise.reject(new Fault('notFound', 'image.unknown', 'There is no such image.')) },
};

it('opens the driver that the settings name, with its own settings', async () => {
  await inFolder(async (directory) => {
    const capacity = { vcpus: 3, memoryMiB: 512, diskGiB: 5 };
    const driver = await openDriver({ kind: 'simulated', directory, capacity }, parts);
    expect(await driver.inventory(never)).toMatchObject({ hypervisorType: 'simulated', ...capacity });
    await driver.close();
  });
});
