/**
 * Slows guessing: after `FREE_FAILURES` wrong passwords of one user, one try in `PAUSE_MS` is looked at, the others
 * are answered as wrong at once (401, without hashing). A right password clears it; nobody is locked out for good.
 *
 * Memory of one process, for the users that were tried last; with n processes a guesser has n times the tries.
 */
import type { Clock } from '../../../runtime/base/clock.ts';

const FREE_FAILURES = 10;
const PAUSE_MS = 5_000;
/** After this long without a failure the count starts anew. */
const FORGET_MS = 300_000;
const USERS_MAX = 10_000;

export interface LoginLimit {
  /** May this try be looked at? */
  admit(user: string): boolean;
  failed(user: string): void;
  succeeded(user: string): void;
}

export function openLoginLimit(clock: Clock): LoginLimit {
  const failures = new Map<string, { count: number; lastMs: number }>();
  return {
    admit(user) {
      const past = failures.get(user);
      const nowMs = clock.monotonicMs();
      if (past === undefined || past.count < FREE_FAILURES) return true;
      if (nowMs - past.lastMs < PAUSE_MS) return false;
      failures.set(user, { ...past, lastMs: nowMs }); // this one is looked at; those that come beside it are not
      return true;
    },
    failed(user) {
      const past = failures.get(user);
      const nowMs = clock.monotonicMs();
      const fresh = past === undefined || nowMs - past.lastMs > FORGET_MS;
      failures.delete(user); // back in as the newest: the map forgets in order of age
      failures.set(user, { count: fresh ? 1 : past.count + 1, lastMs: nowMs });
      const [oldest] = failures.keys();
      if (failures.size > USERS_MAX && oldest !== undefined) failures.delete(oldest);
    },
    succeeded: (user) => void failures.delete(user),
  };
}
