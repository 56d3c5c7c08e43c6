import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { seenProcess } from '../../runtime/base/proc.ts';
import { gone } from '../../runtime/database/embedded/postmaster.ts';
import { startCloud } from './cloud.ts';

it('starts, answers, is killed, starts again on the same data, and leaves nothing', async () => {
  const cloud = await startCloud();
  try {
    const { status, body } = await cloud.api<{ servers: unknown[] }>('GET', '/servers');
    expect([status, body.servers]).toEqual([200, []]);
    const database = cloud.databasePid();
    expect(database).toBeGreaterThan(0);
    await cloud.kill9();
    expect(cloud.databasePid()).toBe(database);
    await cloud.restart();
    expect((await cloud.api('GET', '/servers')).status).toBe(200);
    const pids = [cloud.pid(), cloud.databasePid() ?? 0];
    await cloud.close();
    expect(pids.map(seenProcess)).toEqual([undefined, undefined]);
    expect(existsSync(cloud.dataDir)).toBe(false);
  } finally {
    await cloud.close();
  }
});

it('leaves nothing behind a test process that is killed', async () => {
  const program = `import { startCloud } from '${import.meta.dirname}/cloud.ts'; const c = await startCloud(); console.log(JSON.stringify([c.pid(), c.databasePid(), c.dataDir]));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const [pid, database, folder] = JSON.parse(line) as [number, number, string];
    child.kill('SIGKILL');
    expect(await gone(() => seenProcess(pid) === undefined && seenProcess(database) === undefined && !existsSync(folder), systemClock, 20_000)).toBe(true);
  } finally {
    child.kill('SIGKILL');
  }
});
