import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { takeLock } from '../../../drivers/simulated/lock.ts';
import { openSimulatedDriver } from '../../../drivers/simulated/driver.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { inFolder, orphanLock } from './rig.ts';

const CONTENDER = join(import.meta.dirname, 'contender.ts');
const CONTENDERS = 6;

function startContender(directory: string) {
  const child = spawn(process.execPath, [CONTENDER, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  return {
    word: once(child.stdout, 'data').then(([text]) => String(text).trim()),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

describe('the lock of a simulated hypervisor', () => {
  it('refuses a second driver of this process, and lets it in when the first is closed', async () => {
    await inFolder(async (directory) => {
      const open = () => openSimulatedDriver({ host: 'host-1', directory, clock: systemClock, random: systemRandom });
      const first = await open();
      await expect(open()).rejects.toSatisfy((error) => Fault.is(error, 'conflict'));
      await first.close();
      await (await open()).close();
    });
  });

  it('refuses a driver while another process lives, and lets it in when that one was killed', async () => {
    await inFolder(async (directory) => {
      const holder = startContender(directory);
      try {
        expect(await holder.word).toBe('won');
        expect(() => takeLock(directory)).toThrow(Fault);
        await holder.kill();
        takeLock(directory).release();
      } finally {
        await holder.kill();
      }
    });
  });

  it('lets one of many in when its holder is dead', { timeout: 60_000 }, async () => {
    await inFolder(async (directory) => {
      takeLock(directory);
      orphanLock(directory);
      const contenders = Array.from({ length: CONTENDERS }, () => startContender(directory));
      try {
        const words = await Promise.all(contenders.map((contender) => contender.word));
        expect(words.toSorted()).toEqual([...Array(CONTENDERS - 1).fill('refused'), 'won']);
      } finally {
        await Promise.all(contenders.map((contender) => contender.kill()));
      }
      takeLock(directory).release();
      expect(readdirSync(directory).length).toBe(1);
    });
  });

  it('does not take a process that got the number of the dead one for the holder', async () => {
    await inFolder(async (directory) => {
      takeLock(directory);
      orphanLock(directory); // number 1 lives, but it started at another time
      takeLock(directory).release();
    });
  });
});
