/**
 * One process per directory, also after a kill -9. The holder's identity stands in a file `lock.<n>`; the highest n is
 * the lock. A lock whose holder is dead is never taken out of a contender's way, it is outnumbered: `link` makes
 * `lock.<n+1>` for one contender only, complete in one step. A contender that read an outdated list sees a higher
 * number when it looks again, and withdraws. (Unlink and make anew, the usual way, lets two contenders in.)
 *
 * Not seen: a holder in another process id namespace or on another machine that shares the directory.
 */
import { linkSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../runtime/base/fault.ts';

const LOCK = /^lock\.(\d{1,15})$/;
const RELEASED = 'released';

/** Fault `conflict` when a living process, this one too, holds the directory. Other errors are the file system's. */
export function takeLock(directory: string): { release(): void } {
  const highest = highestLock(directory);
  if (highest > 0 && isAlive(readText(join(directory, `lock.${highest}`)))) throw refuse();

  const draft = join(directory, `lock-draft.${process.pid}`);
  const mine = highest + 1;
  const path = join(directory, `lock.${mine}`);
  writeFileSync(draft, identityOf(process.pid) ?? String(process.pid));
  try {
    linkSync(draft, path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw refuse();
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  if (highestLock(directory) !== mine) {
    rmSync(path, { force: true });
    throw refuse();
  }
  for (const n of locks(directory)) if (n < mine) rmSync(join(directory, `lock.${n}`), { force: true });

  return {
    // The file stays: numbers must only grow.
    release() {
      writeFileSync(draft, RELEASED);
      renameSync(draft, path);
    },
  };
}

function refuse(): Fault {
  return new Fault('conflict', 'host.locked', 'Another process drives this simulated hypervisor.');
}

function locks(directory: string): number[] {
  return readdirSync(directory).flatMap((name) => {
    const n = LOCK.exec(name)?.[1];
    return n === undefined ? [] : [Number(n)];
  });
}

function highestLock(directory: string): number {
  return Math.max(0, ...locks(directory));
}

function isAlive(identity: string): boolean {
  if (identity === RELEASED || identity === '') return false;
  const pid = Number(identity.split(' ')[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  if (identity.includes(' ')) return identityOf(pid) === identity;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * `pid start-time boot-id`, so that a number given again (always so in a container that restarts) is not taken for
 * the dead holder. Undefined for no process, a zombie, or a machine without /proc.
 */
function identityOf(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The program's name stands in brackets and may hold anything; state is the first field behind it, start time the 20th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const started = fields[19];
  if (started === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return `${pid} ${started} ${readText('/proc/sys/kernel/random/boot_id').trim()}`;
}

/** Empty when it cannot be read: a lock that was outnumbered and removed meanwhile. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
