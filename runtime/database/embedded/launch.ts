/**
 * Starts the server process and waits until it takes connections. It gets a session of its own: Ctrl-C ends the node
 * first, which then ends the server. A server that does not come up is ended, and the end of its log is told.
 */
import { spawn } from 'node:child_process';
import { closeSync, statSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/fault.ts';
import type { Account } from './account.ts';
import { endServer, gone, readLockFile } from './postmaster.ts';
import { serverArguments, type ServerPlace } from './settings.ts';
import { logTail, openServerLog, type StoreFolder } from './store-folder.ts';

/** Recovery after a kill may read a gigabyte of log. */
const START_MS = 600_000;
const SLOW_START_MS = 3_000;
/** For a server that does not answer: no checkpoint, the next start recovers. */
export const QUICK_END = [
  ['SIGQUIT', 3_000],
  ['SIGKILL', 5_000],
] as const;

export type Launch = {
  readonly account: Account;
  readonly postgres: string;
  readonly environment: { readonly [name: string]: string };
  readonly folder: StoreFolder;
  readonly place: ServerPlace;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly progress: ((line: string) => void) | undefined;
};

/** The process number. Fault `unavailable` (reason `store.start`). */
export async function launchServer({ account, postgres, environment, folder, place, clock, signal, progress }: Launch): Promise<number> {
  const output = openServerLog(folder, account);
  const from = statSync(folder.logFile).size;
  const command = account.command(postgres, serverArguments(place));
  const child = spawn(command.program, command.args, {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: ['ignore', output, output],
    ...(command.uid === undefined ? {} : { uid: command.uid }),
    ...(command.gid === undefined ? {} : { gid: command.gid }),
  });
  closeSync(output);
  let ended: string | undefined;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code, by) => (ended ??= `ended with ${code ?? by}`));
  child.unref();
  const pid = child.pid ?? 0;

  const slow = clock.after(SLOW_START_MS, () => progress?.('The database recovers what an earlier run left; this may take a while'));
  try {
    const up = await gone(() => ended !== undefined || isReady(place.storePath, pid), clock, START_MS, signal);
    if (up && ended === undefined) return pid;
    const why = ended ?? 'it does not get ready';
    throw new Fault('unavailable', 'store.start', `The embedded database did not start (${why}). The end of ${folder.logFile}:\n${logTail(folder, from)}`);
  } catch (error) {
    if (ended === undefined) await endServer(pid, place.storePath, clock, QUICK_END);
    throw error;
  } finally {
    slow.cancel();
  }
}

function isReady(storePath: string, pid: number): boolean {
  const lock = readLockFile(storePath);
  return lock?.pid === pid && lock.ready;
}
