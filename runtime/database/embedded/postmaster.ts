/**
 * The server process of a store, found again by its lock file (`postmaster.pid`) and proven by what /proc says of it.
 * No signal goes to a process that is not proven to serve this very store: the number in the file may have been given
 * to somebody else since. What cannot be proven is left alone.
 */
import { openSync, readFileSync, readSync, closeSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { allPids, seenProcess } from '../../base/proc.ts';

/** The lock file's lines, as PostgreSQL's `pidfile.h` lists them. */
export type LockFile = {
  readonly pid: number;
  readonly storePath: string;
  readonly port: number;
  readonly socketDir: string;
  readonly ready: boolean;
};

const POLL_MS = 10;

export function readLockFile(storePath: string): LockFile | undefined {
  let text: string;
  try {
    text = readFileSync(join(storePath, 'postmaster.pid'), 'utf8');
  } catch {
    return undefined;
  }
  const [pid = '', path = '', , port = '', socketDir = '', , , status = ''] = text.split('\n').map((line) => line.trim());
  return { pid: Number(pid), storePath: path, port: Number(port), socketDir, ready: status === 'ready' };
}

/** The words by which a living server of this store was started, or undefined when `pid` is no such process. */
export function provenServer(pid: number, storePath: string): readonly string[] | undefined {
  const seen = seenProcess(pid);
  if (seen === undefined) return undefined;
  const at = seen.command.indexOf('-D');
  const named = basename(seen.command[0] ?? '') === 'postgres' && at > 0 && seen.command[at + 1] === storePath;
  // A server works in its store. Where this account may not see that, its words (which name the store) must do.
  // One whose store was removed under it is still its server, and must be ended at close.
  const isAtHome = seen.cwd === undefined || seen.cwd === storePath || seen.cwd === `${storePath} (deleted)`;
  return named && isAtHome ? seen.command : undefined;
}

/** Every living process that works in the store: a server that was killed leaves its children for a moment. */
export function processesIn(storePath: string): number[] {
  return allPids().filter((pid) => pid !== process.pid && seenProcess(pid)?.cwd === storePath);
}

/**
 * Ends a proven server: first the signals with their patience in order, each sent only after a new proof.
 * SIGINT ends sessions and writes a checkpoint; SIGQUIT leaves that to the recovery of the next start. True when it is gone.
 */
export async function endServer(pid: number, storePath: string, clock: Clock, steps: readonly (readonly [NodeJS.Signals, number])[]): Promise<boolean> {
  const started = seenProcess(pid)?.startTicks;
  // A process that is ending has no words any more, and is still there.
  const isGone = () => started === undefined || seenProcess(pid)?.startTicks !== started;
  for (const [signal, patienceMs] of steps) {
    if (provenServer(pid, storePath) !== undefined) send(pid, signal);
    else if (isGone() || seenProcess(pid)?.command.length !== 0) return true;
    if (await gone(isGone, clock, patienceMs)) return true;
  }
  return isGone();
}

export async function gone(isGone: () => boolean, clock: Clock, patienceMs: number, signal?: AbortSignal): Promise<boolean> {
  const start = clock.monotonicMs();
  for (;;) {
    if (isGone()) return true;
    if (clock.monotonicMs() - start >= patienceMs) return false;
    await clock.sleep(POLL_MS, signal);
  }
}

/** The number that PostgreSQL gave this store when it was made: the first eight bytes of its control file. */
export function systemIdentifier(storePath: string): string | undefined {
  const bytes = Buffer.alloc(8);
  try {
    const file = openSync(join(storePath, 'global/pg_control'), 'r');
    try {
      if (readSync(file, bytes, 0, 8, 0) < 8) return undefined;
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
  const isLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  return (isLittle ? bytes.readBigUInt64LE() : bytes.readBigUInt64BE()).toString();
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // Gone meanwhile; or another account's, which the next look shows as still there.
    if (!(error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'))) throw error;
  }
}
