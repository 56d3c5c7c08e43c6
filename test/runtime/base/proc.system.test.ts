import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { allPids, seenProcess, textOf } from '../../../runtime/base/proc.ts';

describe('processes seen in /proc', () => {
  it('tells command, working folder and start of a living process', async () => {
    const child = spawn('sleep', ['60'], { cwd: '/usr' });
    try {
      await once(child, 'spawn');
      const seen = seenProcess(child.pid ?? 0);
      expect(seen).toMatchObject({ command: ['sleep', '60'], cwd: '/usr' });
      expect(Number(seen?.startTicks)).toBeGreaterThan(0);
      expect(allPids()).toContain(child.pid);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(seenProcess(child.pid ?? 0)).toBeUndefined();
  });

  it('takes a process that has ended but was not reaped for gone', async () => {
    // The shell starts a child and becomes a program that never waits for it.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const [text] = await once(parent.stdout, 'data');
      const pid = Number(String(text).trim());
      await expect.poll(() => /\) Z /.test(textOf(`/proc/${pid}/stat`))).toBe(true);
      expect(seenProcess(pid)).toBeUndefined();
    } finally {
      parent.kill('SIGKILL');
      await once(parent, 'exit');
    }
  });

  it('is not misled by a program whose name holds brackets and spaces', async () => {
    const child = spawn(process.execPath, ['-e', `process.title = 'a) Z (b'; console.log('set'); setInterval(() => {}, 1000)`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(child.stdout, 'data');
      expect(seenProcess(child.pid ?? 0)?.startTicks).toMatch(/^\d+$/);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  it('says nothing of numbers that are none', () => {
    expect([0, -1, 1.5, Number.NaN].map(seenProcess)).toEqual([undefined, undefined, undefined, undefined]);
  });
});
