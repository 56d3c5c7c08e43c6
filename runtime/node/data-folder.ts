/**
 * The data folder belongs to one process at a time. The lock is the kernel's own on an open file (taken through
 * SQLite, the one thing in the platform that can): it ends with the process however that ends, and knows no process
 * numbers that could be given again. A file beside it says who holds it, for people and for `novact status`.
 *
 * Nothing in this process may open the lock file again: closing it anywhere would give the lock back.
 * It also proves that a former process on this folder is dead, which lets a node take back its shards at once.
 */
import { chmodSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { toIso, type Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { seenProcess } from '../base/proc.ts';
import { writeWhole } from '../base/whole-file.ts';

const nodeFile = z.object({
  name: z.string(),
  pid: z.number(),
  /** With `pid` it names one process; see runtime/base/proc.ts. */
  startTicks: z.string(),
  startedMs: z.number(),
  version: z.string(),
  address: z.string(),
  ports: z.record(z.string(), z.number()),
  state: z.enum(['starting', 'running', 'stopping']),
});
export type NodeFile = z.output<typeof nodeFile>;

export type DataFolder = {
  /** Links resolved. */
  readonly path: string;
  /** What a former process left about itself: it is dead, whatever it says. */
  readonly former: NodeFile | undefined;
  /** Replaces what is told about this process, in one step. */
  describe(about: Pick<NodeFile, 'name' | 'version' | 'address' | 'ports' | 'state'>): void;
  /** Removes the description, then gives the lock back. Harmless twice. */
  release(): void;
};

const LOCK_FILE = 'lock';
const NODE_FILE = 'node.json';
/** Two that come at once must not both give up: the loser waits so long before it says so. */
const LOCK_WAIT_MS = 1_000;
const SQLITE_BUSY = 5;
/** A lock that nobody refers to any more would be collected, and given back. */
const held = new Set<DatabaseSync>();

/** Fault `conflict` (reason `folder.locked`) naming the holder; `unavailable` when the folder cannot be used. */
export function lockDataFolder(dir: string, clock: Clock): DataFolder {
  const path = openFolder(dir);
  const lock = takeLock(path);
  const former = readNodeFile(path);
  const started = { pid: process.pid, startTicks: seenProcess(process.pid)?.startTicks ?? '', startedMs: clock.wallMs() };
  let isHeld = true;
  return {
    path,
    former,
    describe(about) {
      const { name, version, address, ports, state } = about;
      writeWhole(join(path, NODE_FILE), `${JSON.stringify({ name, version, address, ports, state, ...started }, null, 2)}\n`);
    },
    release() {
      if (!isHeld) return;
      isHeld = false;
      rmSync(join(path, NODE_FILE), { force: true });
      lock.close();
      held.delete(lock);
    },
  };
}

/** What a living process tells about itself in this folder; undefined when none does. */
export function runningNode(dir: string): NodeFile | undefined {
  const found = readNodeFile(dir);
  return found !== undefined && seenProcess(found.pid)?.startTicks === found.startTicks ? found : undefined;
}

function openFolder(dir: string): string {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const { mode } = statSync(dir);
    // Nobody else reads here; an account that runs the database may pass (see runtime/database/embedded).
    if ((mode & 0o067) !== 0) chmodSync(dir, mode & 0o710);
    return realpathSync(dir);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('unavailable', 'folder', `The data folder ${dir} cannot be used: ${why}. Choose another with --data.`, { cause });
  }
}

function takeLock(path: string): DatabaseSync {
  const file = join(path, LOCK_FILE);
  try {
    const lock = new DatabaseSync(file, { timeout: LOCK_WAIT_MS });
    chmodSync(file, 0o600);
    // Nothing is ever written: the transaction is the lock. A journal in memory leaves no file beside it.
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    held.add(lock);
    return lock;
  } catch (cause) {
    if (cause instanceof Error && 'errcode' in cause && cause.errcode === SQLITE_BUSY) throw refuse(path);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault(
      'unavailable',
      'folder',
      `The data folder ${path} cannot be locked (${file}: ${why}). It must be writable and on a file system with locks; choose another with --data.`,
      { cause },
    );
  }
}

function refuse(path: string): Fault {
  const holder = runningNode(path);
  const who = holder === undefined ? 'by another novact' : `by novact process ${holder.pid}, since ${toIso(holder.startedMs)}`;
  const message = `The data folder ${path} is in use ${who}. Stop it first, or start this one with another folder and other ports: --data DIR --port-offset 1000.`;
  return new Fault('conflict', 'folder.locked', message, { detail: holder === undefined ? null : { pid: holder.pid } });
}

function readNodeFile(dir: string): NodeFile | undefined {
  try {
    return nodeFile.safeParse(JSON.parse(readFileSync(join(dir, NODE_FILE), 'utf8'))).data;
  } catch {
    return undefined;
  }
}
