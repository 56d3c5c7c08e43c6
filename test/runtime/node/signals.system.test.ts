import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';

const PROGRAM = join(import.meta.dirname, 'signals-program.ts');
let children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  children = [];
});

describe('the end of the process', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('is in order on %s, with code 0', async (signal) => {
    const { child, said } = await run(['quick']);
    child.kill(signal);
    expect(await ended(child)).toEqual([0, null]);
    expect(said()).toContain(`Stopping (${signal}); once more ends at once.`);
  });

  it('is at once on a second signal, but not on the same one told twice', async () => {
    const { child, heard } = await run(['never']);
    child.kill('SIGINT');
    await heard('stopping SIGINT');
    child.kill('SIGINT'); // as from terminal and launcher
    await sleep(1_100); // a person's second Ctrl-C comes later than that: the time itself is the subject
    expect(child.exitCode).toBeNull();
    child.kill('SIGINT');
    expect(await ended(child)).toEqual([130, null]);
  });

  it('has code 70 when the stop fails', async () => {
    const { child } = await run(['fails']);
    child.kill('SIGTERM');
    expect(await ended(child)).toEqual([70, null]);
  });

  it.each(['throws', 'rejects'])('has code 70 after a bug that %s, with an orderly stop first', async (bug) => {
    const { child, said } = await run(['quick', bug]);
    expect(await ended(child)).toEqual([70, null]);
    expect(said()).toMatch(/ends because of a bug: a bug\.[\s\S]*stopping bug/);
  });

  it('comes in order when the launcher dies', async () => {
    const { child, said } = await run(['quick'], true);
    child.stdio[3]?.destroy();
    expect(await ended(child)).toEqual([0, null]);
    expect(said()).toContain('stopping the launcher died');
  });

  it('is not brought by a launcher that never was', async () => {
    const { child } = await run(['quick'], false, { NOVACT_LAUNCHER_FD: '77' });
    child.kill('SIGTERM');
    expect(await ended(child)).toEqual([0, null]);
  });
});

async function run(args: string[], withLauncher = false, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', ...(withLauncher ? (['pipe'] as const) : [])],
    env: { ...process.env, ...(withLauncher ? { NOVACT_LAUNCHER_FD: '3' } : {}), ...env },
  });
  children.push(child);
  const lines: string[] = [];
  const reader = createInterface(child.stdout as Readable); // stdio says pipe
  reader.on('line', (line) => lines.push(line));
  const heard = async (text: string) => {
    while (!lines.some((line) => line.includes(text))) await once(reader, 'line');
  };
  await heard('ready');
  return { child, said: () => lines.join('\n'), heard };
}

async function ended(child: ChildProcess): Promise<unknown[]> {
  return child.exitCode !== null || child.signalCode !== null ? [child.exitCode, child.signalCode] : once(child, 'close');
}
