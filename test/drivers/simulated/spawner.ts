/**
 * A process that dies at its work: makes, stops, replaces and destroys guests without an end, and writes each thing
 * to standard output once the driver has acknowledged it. Its argument is the driver's directory.
 */
import { writeSync } from 'node:fs';
import { openSimulatedDriver } from '../../../drivers/simulated/driver.ts';
import { check, must } from '../../../runtime/base/check.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { never, simulatedSpec } from './rig.ts';

const directory = must(process.argv[2], 'the directory is the first argument');
const capacity = { vcpus: 64, memoryMiB: 2 ** 40, diskGiB: 1 };
const driver = await openSimulatedDriver({ host: 'host-1', directory, clock: systemClock, random: systemRandom, capacity });
const say = (line: string): void => check(writeSync(1, `${line}\n`) > 0, 'what is acknowledged is said');

for (let n = 0; ; n++) {
  const spec = simulatedSpec();
  await driver.spawn(spec, never);
  say(`running 1 ${spec.instanceId}`);
  if (n % 4 === 1) {
    say(`touched 1 ${spec.instanceId}`);
    await driver.stop(spec, { graceMs: 0 }, never);
    say(`shutdown 1 ${spec.instanceId}`);
  }
  if (n % 4 === 2) {
    say(`touched 1 ${spec.instanceId}`);
    await driver.spawn({ ...spec, generation: 2 }, never);
    say(`running 2 ${spec.instanceId}`);
  }
  if (n % 4 === 3) {
    say(`touched 1 ${spec.instanceId}`);
    await driver.destroy(spec, never);
    say(`gone 1 ${spec.instanceId}`);
  }
}
