import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openSimulatedDriver } from '../../../drivers/simulated/driver.ts';
import { parseRecord } from '../../../drivers/simulated/record.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { inFolder, never } from './rig.ts';

const ROUNDS = 6;
const SPAWNER = join(import.meta.dirname, 'spawner.ts');

/** Everything that the child said until it was killed, at a moment that its own speed decides. */
async function killAfterLines(child: ChildProcess, lines: number): Promise<string[]> {
  let said = '';
  let killed = false;
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (!killed && said.split('\n').length > lines) killed = child.kill('SIGKILL');
  });
  await once(child, 'close');
  expect(child.signalCode).toBe('SIGKILL');
  return said.split('\n').slice(0, -1);
}

it('loses no acknowledged change and breaks no file when its process is killed', { timeout: 60_000 }, async () => {
  await inFolder(async (directory) => {
    // The last word about each guest. `touched`: a change was under way, so both states are right.
    const last = new Map<string, { power: string; generation: number }>();
    for (let round = 0; round < ROUNDS; round++) {
      const child = spawn(process.execPath, [SPAWNER, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        for (const line of await killAfterLines(child, 150 + 37 * round)) {
          const [power = '', generation = '', instanceId = ''] = line.split(' ');
          last.set(instanceId, { power, generation: Number(generation) });
        }
      } finally {
        child.kill('SIGKILL');
      }
      for (const file of readdirSync(join(directory, 'guests')).filter((name) => name.endsWith('.json'))) {
        parseRecord(readFileSync(join(directory, 'guests', file), 'utf8'));
      }
    }

    const driver = await openSimulatedDriver({ host: 'host-1', directory, clock: systemClock, random: systemRandom });
    const found = new Map((await driver.list(never)).map((guest) => [guest.instanceId ?? '', guest]));
    await driver.close();

    expect(last.size).toBeGreaterThan(ROUNDS * 75);
    for (const [instanceId, { power, generation }] of last) {
      const guest = found.get(instanceId);
      if (power === 'gone') expect(guest).toBeUndefined();
      else if (power !== 'touched') expect(guest).toMatchObject({ power, generation });
    }
    // One guest in each round may have been made without a chance to say so.
    const unsaid = [...found.keys()].filter((instanceId) => !last.has(instanceId));
    expect(unsaid.length).toBeLessThanOrEqual(ROUNDS);
    expect(readdirSync(join(directory, 'guests')).filter((name) => !name.endsWith('.json'))).toEqual([]);
  });
});
