import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { seenProcess } from '../runtime/base/proc.ts';
import { gone } from '../runtime/database/embedded/postmaster.ts';
import { systemClock } from '../runtime/base/clock.ts';

const CHECKOUT = dirname(import.meta.dirname);

/** Stands in for the program: tells what it sees, then does what its first argument says. */
const PROGRAM = `
import { systemClock } from '${CHECKOUT}/runtime/base/clock.ts';
import { silentLog } from '${CHECKOUT}/runtime/base/log.ts';
import { endOnSignals } from '${CHECKOUT}/runtime/node/signals.ts';
const [what, value]: string[] = process.argv.slice(2);
const fd = process.env['NOVACT_LAUNCHER_FD'];
if (what === 'exit') process.exit(Number(value));
if (what === 'die') process.kill(process.pid, value);
if (what === 'orderly') endOnSignals({ clock: systemClock, log: silentLog, say: () => undefined, stop: async () => undefined, ...(fd === undefined ? {} : { launcherFd: Number(fd) }) });
if (what === 'count') {
  const seen: string[] = [];
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => { seen.push(signal); console.log(signal); });
  setTimeout(() => process.exit(seen.length === 1 ? 40 : 41), 800);
}
console.log(JSON.stringify({ version: 'v' + process.versions.node, pid: process.pid, args: process.argv.slice(2) }));
if (what === 'echo') process.stdin.pipe(process.stdout);
else if (what !== 'tell') setInterval(() => undefined, 1_000);
`;

/** How an old Node is had: this one that says it is old, with or without the means to become another program; a real one. */
const PRETEND = `Object.defineProperty(process, 'version', { value: 'v20.1.0' });`;
const OLD = ['a Node that must start another', 'a Node that can become another', 'the old Node of this machine'] as const;
type Old = (typeof OLD)[number];

let folder: string;
let children: ChildProcess[];
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'launcher-')));
  children = [];
  install(folder);
  symlinkSync(join(CHECKOUT, 'node_modules'), join(folder, 'node_modules'));
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

describe.each(OLD)('the launcher on %s', { timeout: 30_000 }, (old) => {
  it('runs the program on the bundled Node, with the same arguments', async (ctx) => {
    const { told, child } = await run(ctx, old, ['tell', '--flag=a b', '']);
    expect(told.args).toEqual(['tell', '--flag=a b', '']);
    expect(told.version).toMatch(/^v2[4-9]\./);
    expect(await ended(child)).toEqual([0, null]);
  });

  it('hands standard streams on as they are', async (ctx) => {
    const { child, lines } = await run(ctx, old, ['echo']);
    child.stdin?.end('a line\n');
    expect(await ended(child)).toEqual([0, null]);
    expect(lines).toContain('a line');
  });

  it.each([0, 1, 3, 70, 255])('ends with the program’s code %d', async (code) => {
    // The program tells nothing before it ends.
    expect(await ended(start(oldNode(old), ['exit', String(code)]))).toEqual([code, null]);
  });

  it.each(['SIGKILL', 'SIGTERM', 'SIGABRT'])('ends by the signal that ended the program: %s', async (signal) => {
    expect(await ended(start(oldNode(old), ['die', signal]))).toEqual([null, signal]);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const)('passes %s on, once', async (signal) => {
    const { child, lines } = await run(undefined, old, ['count']);
    child.kill(signal);
    expect(await ended(child)).toEqual([40, null]);
    expect(lines).toContain(signal);
  });

  it('leaves no orphan when it is killed: the program stops in order', async (ctx) => {
    const { child, told } = await run(ctx, old, ['orderly']);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await gone(() => seenProcess(told.pid) === undefined, systemClock, 10_000)).toBe(true);
  });

  it('keeps the program in its process group', async (ctx) => {
    const { child, told } = await run(ctx, old, ['orderly']);
    const groupOf = (pid: number) => execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    expect(groupOf(told.pid)).toBe(groupOf(child.pid ?? 0));
  });

  it('says what to do when the bundled Node is not installed, and ends with 1', async () => {
    rmSync(join(folder, 'node_modules'));
    const { code, text } = await complaint(start(oldNode(old), ['tell']));
    expect(code).toBe(1);
    expect(text).toMatch(/^novact needs Node 24 or newer\. This is v\d+\..*package node-\w+-\w+.*not installed\.\nInstall again without --omit=optional/);
  });

  it('says so when the bundled Node cannot run here', async (ctx) => {
    if (old === 'a Node that can become another') return ctx.skip('this one ends in the kernel');
    rmSync(join(folder, 'node_modules'));
    const home = join(folder, 'node_modules', `node-${process.platform}-${process.arch}`);
    mkdirSync(join(home, 'bin'), { recursive: true });
    writeFileSync(join(home, 'package.json'), '{"version":"24.0.0"}');
    writeFileSync(join(home, 'bin/node'), '#!/no/such/loader\n');
    chmodSync(join(home, 'bin/node'), 0o755);
    const { code, text } = await complaint(start(oldNode(old), ['tell']));
    expect(code).toBe(1);
    expect(text).toContain('cannot be started: it was built for another system');
  });
});

describe('the launcher on a new Node', () => {
  it('runs the program itself', async () => {
    const { child, told } = await run(undefined, 'none', ['tell']);
    expect(told.pid).toBe(child.pid);
  });

  it('runs the compiled program of an installed package', async () => {
    const home = join(folder, 'app/node_modules/novact');
    mkdirSync(join(home, 'dist'), { recursive: true });
    install(home);
    writeFileSync(join(home, 'dist/novact.js'), `console.log(JSON.stringify({ version: 'compiled', pid: process.pid, args: [] }));`);
    const { told } = await run(undefined, 'none', ['tell'], home);
    expect(told.version).toBe('compiled');
  });
});

function install(home: string): void {
  copyFileSync(join(CHECKOUT, 'novact.js'), join(home, 'novact.js'));
  writeFileSync(join(home, 'package.json'), '{"type":"module"}');
  writeFileSync(join(home, 'novact.ts'), PROGRAM);
}

/** The words that start an old Node; none when there is no such here. */
function oldNode(old: Old | 'none'): string[] {
  const pretend = (script: string) => [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(script)}`];
  switch (old) {
    case 'none':
      return [process.execPath];
    case 'a Node that must start another':
      return pretend(`${PRETEND} process.execve = undefined;`);
    case 'a Node that can become another':
      return pretend(PRETEND);
    case 'the old Node of this machine':
      return (process.env['PATH'] ?? '')
        .split(delimiter)
        .map((dir) => join(dir, 'node'))
        .filter((file) => existsSync(file) && majorOf(file) < 24)
        .slice(0, 1);
  }
}

function majorOf(node: string): number {
  return Number(execFileSync(node, ['--version'], { encoding: 'utf8' }).slice(1).split('.')[0]);
}

function start(words: string[], args: string[], home = folder): ChildProcess {
  const [command = process.execPath, ...before] = words;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(command, [...before, join(home, 'novact.js'), ...args], { stdio: ['pipe', 'pipe', 'pipe'], env });
  children.push(child);
  return child;
}

type Told = { version: string; pid: number; args: string[] };

async function run(
  ctx: TestContext | undefined,
  old: Old | 'none',
  args: string[],
  home = folder,
): Promise<{ child: ChildProcess; told: Told; lines: string[] }> {
  const words = oldNode(old);
  // The other two ways to have an old Node are there in any case, so its absence hides nothing.
  if (words.length === 0) ctx?.skip('needs a Node older than 24 on the PATH');
  const child = start(words, args, home);
  const lines: string[] = [];
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += String(chunk)));
  if (child.stdout === null) throw new Error('no output');
  const reader = createInterface(child.stdout).on('line', (line) => lines.push(line));
  await Promise.race([once(reader, 'line'), once(child, 'close').then(() => Promise.reject(new Error(`ended early: ${text}`)))]);
  return { child, told: JSON.parse(lines[0] ?? ''), lines };
}

async function complaint(child: ChildProcess): Promise<{ code: unknown; text: string }> {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, text };
}

async function ended(child: ChildProcess): Promise<unknown[]> {
  return child.exitCode !== null || child.signalCode !== null ? [child.exitCode, child.signalCode] : once(child, 'close');
}
