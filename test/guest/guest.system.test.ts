/** The tools of the other tests: what they make is whole, and of what they start nothing stays. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, type TestContext } from 'vitest';
import { buildGuest, guestObstacle } from './build.ts';
import { libvirtdObstacle, startLibvirtd } from './libvirtd.ts';

async function need(ctx: TestContext, obstacle: () => Promise<string | undefined>): Promise<void> {
  const missing = await obstacle();
  if (missing !== undefined && process.env['CI'] === undefined) ctx.skip(missing);
}

describe('the tiny guest', { timeout: 180_000 }, () => {
  it('is built once and found again, by several builders at the same time', async (ctx) => {
    await need(ctx, guestObstacle);
    const [one, two] = await Promise.all([buildGuest(), buildGuest()]);
    expect(two).toEqual(one);
    expect((await readFile(one.initramfs)).subarray(0, 2).toString('hex')).toBe('1f8b');
    expect((await stat(one.kernel)).size).toBeGreaterThan(1 << 20);
  });
});

describe('a private libvirtd', { timeout: 180_000 }, () => {
  it('starts twice in a row, sees none of the other, and leaves no process and no file', async (ctx) => {
    await need(ctx, libvirtdObstacle);
    const [one, two] = await Promise.all([startLibvirtd(), startLibvirtd()]);
    expect(one.socketPath).not.toBe(two.socketPath);
    expect(await processesOf(one.socketPath)).not.toEqual([]);
    await Promise.all([one.close(), two.close()]);
    const again = await startLibvirtd();
    expect((await again.virsh('list', '--all', '--name')).trim()).toBe('');
    await again.close();
    for (const { socketPath } of [one, two, again]) await expectGone(socketPath);
  });

  it('ends with the process that started it, even one that is killed', async (ctx) => {
    await need(ctx, libvirtdObstacle);
    const source = `const { startLibvirtd } = await import(${JSON.stringify(join(import.meta.dirname, 'libvirtd.ts'))}); console.log((await startLibvirtd()).socketPath); setInterval(() => {}, 1e6);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [chunk] = await once(child.stdout, 'data');
    const socketPath = String(chunk).trim();
    expect(await processesOf(socketPath)).not.toEqual([]);
    child.kill('SIGKILL');
    await expectGone(socketPath);
  });
});

const rootOf = (socketPath: string): string => join(socketPath, '../../..');

async function expectGone(socketPath: string): Promise<void> {
  const left = async (): Promise<unknown> => [await processesOf(socketPath), await stat(rootOf(socketPath)).catch(() => 'gone')];
  await expect.poll(left, { timeout: 30_000 }).toEqual([[], 'gone']);
}

/** Processes whose mounts come from this libvirtd's folder: all of its namespace, whatever they are called. */
async function processesOf(socketPath: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
    if (mounts.includes(`${rootOf(socketPath)}/run /run `)) found.push(pid);
  }
  return found;
}
