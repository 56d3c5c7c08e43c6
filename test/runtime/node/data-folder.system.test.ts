import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import { lockDataFolder, runningNode } from '../../../runtime/node/data-folder.ts';

const PROGRAM = join(import.meta.dirname, 'folder-program.ts');
const ABOUT = { name: 'n', version: '1', address: '127.0.0.1', ports: { health: 1 }, state: 'running' } as const;

let base: string;
let dir: string;
let children: ChildProcess[];
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'folder-')));
  dir = join(base, 'data');
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(base, { recursive: true, force: true });
});

describe('the data folder', () => {
  it('is made closed to others, and a laxer one is closed', () => {
    lockDataFolder(dir, systemClock).release();
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'lock')).mode & 0o777).toBe(0o600);
    chmodSync(dir, 0o755);
    lockDataFolder(dir, systemClock).release();
    expect(statSync(dir).mode & 0o067).toBe(0);
  });

  it('is named by its true path', () => {
    symlinkSync(dir, join(base, 'link'));
    mkdirSync(dir);
    const folder = lockDataFolder(join(base, 'link'), systemClock);
    expect(folder.path).toBe(dir);
    folder.release();
  });

  it('belongs to one process: a second start is refused, naming the first', async () => {
    const { child } = await run();
    expect(() => lockDataFolder(dir, systemClock)).toThrow(new RegExp(`${dir} is in use by novact process ${child.pid}, since 20\\d\\d-.*--port-offset`));
    expect(runningNode(dir)).toMatchObject({ pid: child.pid, ...ABOUT });
    child.stdin?.end();
    await once(child, 'exit');
    lockDataFolder(dir, systemClock).release();
  });

  it('is refused to a second lock of the same process', () => {
    const folder = lockDataFolder(dir, systemClock);
    expect(() => lockDataFolder(dir, systemClock)).toThrow(/in use/);
    folder.release();
    folder.release();
    lockDataFolder(dir, systemClock).release();
  });

  it('is free at once after a kill -9, and tells who was there', async () => {
    const { child } = await run();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(runningNode(dir)).toBeUndefined();
    const folder = lockDataFolder(dir, systemClock);
    expect(folder.former?.pid).toBe(child.pid);
    folder.release();
  });

  it('is not held by a living process that was given the dead holder’s number', () => {
    const folder = lockDataFolder(dir, systemClock);
    folder.describe(ABOUT);
    const text = readFileSync(join(dir, 'node.json'), 'utf8');
    folder.release();
    writeFileSync(join(dir, 'node.json'), text.replace(/"startTicks": "\d+"/, '"startTicks": "1"'));
    expect(runningNode(dir)).toBeUndefined();
    lockDataFolder(dir, systemClock).release();
  });

  it('goes to exactly one of many that start at once', async () => {
    const told = await Promise.all(Array.from({ length: 8 }, () => run()));
    expect(told.filter(({ answer }) => answer.locked)).toHaveLength(1);
    for (const { answer } of told) if (!answer.locked) expect(answer.message).toContain('is in use');
  }, 30_000);

  it('goes to one after another while holders are killed', async () => {
    for (let round = 0; round < 5; round++) {
      const { child, answer } = await run();
      expect(answer.locked).toBe(true);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }, 30_000);

  it('forgets its description at an orderly end and leaves nothing but the lock file', () => {
    const folder = lockDataFolder(dir, systemClock);
    folder.describe({ ...ABOUT, state: 'starting' });
    folder.describe(ABOUT);
    expect(runningNode(dir)).toMatchObject({ state: 'running', pid: process.pid });
    expect(readdirSync(dir)).toEqual(['lock', 'node.json']);
    folder.release();
    expect(readdirSync(dir)).toEqual(['lock']);
  });

  it('says what is wrong with a folder that cannot be used', () => {
    writeFileSync(dir, '');
    expect(() => lockDataFolder(dir, systemClock)).toThrow(/data folder .* cannot be used: .*--data/);
    rmSync(dir);
    mkdirSync(dir);
    writeFileSync(join(dir, 'lock'), 'x'.repeat(4_096));
    expect(() => lockDataFolder(dir, systemClock)).toThrow(/cannot be locked .*lock: /);
  });

  it('ignores a description that is none', () => {
    mkdirSync(dir);
    writeFileSync(join(dir, 'node.json'), '{"pid": 1');
    expect(runningNode(dir)).toBeUndefined();
    const folder = lockDataFolder(dir, systemClock);
    expect(folder.former).toBeUndefined();
    folder.release();
  });
});

type Answer = { locked: boolean; former?: number | null; message?: string };

async function run(): Promise<{ child: ChildProcess; answer: Answer }> {
  const child = spawn(process.execPath, [PROGRAM, dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = await once(createInterface(child.stdout), 'line');
  return { child, answer: JSON.parse(String(line)) };
}
