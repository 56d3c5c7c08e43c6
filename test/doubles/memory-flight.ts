/**
 * One flight of a statement to the database and back, in virtual time, with what may befall it on the way: it is slow,
 * its answer is lost, the database is away, the line to it is cut. Both twins of the store (memory-store.ts,
 * memory-lease.ts) fly with it.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Random } from '../../runtime/base/random.ts';
import { OutcomeUnknown } from '../../runtime/database/batch.ts';

/**
 * What befalls one statement. `unknown`: the asker can't tell whether it was applied, is not, or will be, since the
 * connection was lost and the server works on (`lateMs`). `never`: the process that asks is dead.
 */
export type Misfortune =
  | { readonly is: 'unknown'; readonly applied: boolean; readonly lateMs?: number }
  | { readonly is: 'away' }
  | { readonly is: 'slow'; readonly ms: number }
  | { readonly is: 'never' };

export type FlightOptions = {
  /** With it, every statement takes `latencyMs`, evenly drawn. */
  readonly clock?: Clock;
  readonly random?: Random;
  readonly latencyMs?: { readonly fromMs: number; readonly toMs: number };
  /** Asked for each statement. */
  readonly misfortune?: (statement: string) => Misfortune | undefined;
  /** The line to the database is cut now: what is on it is lost, and the asker gives up after `giveUpMs`. */
  readonly isCut?: () => boolean;
  readonly giveUpMs?: number;
};

/** A write's loss is told as OutcomeUnknown, a read's as Fault `unavailable`. */
export type Flight = <T>(statement: string, work: () => T, isWrite?: boolean) => Promise<T>;

const GIVE_UP_MS = 2_000;
const HELD_SHARE = 0.5;
const HEAL_LOOK_MS = 200;

export function openFlight(options: FlightOptions = {}): Flight {
  const { clock, random, latencyMs, misfortune, isCut = () => false, giveUpMs = GIVE_UP_MS } = options;

  function drawnMs(): number {
    return latencyMs && random ? latencyMs.fromMs + random.next() * (latencyMs.toMs - latencyMs.fromMs) : 0;
  }

  async function pause(ms: number): Promise<void> {
    if (ms > 0 && clock) await clock.sleep(ms);
    else await Promise.resolve();
  }

  function whenHealed(work: () => unknown): void {
    clock?.after(HEAL_LOOK_MS, () => (isCut() ? whenHealed(work) : work()));
  }

  /** Nobody answers: after a while the asker knows, and only that. */
  async function silence(isWrite: boolean): Promise<never> {
    await pause(giveUpMs);
    throw lost(isWrite);
  }

  return async (statement, work, isWrite = false) => {
    const fate = misfortune?.(statement);
    if (fate?.is === 'never') return new Promise(() => {});
    // A slow one is slow on both ways: what was asked for is true some time before the asker knows.
    const eachWayMs = fate?.is === 'slow' ? fate.ms / 2 : undefined;
    await pause(eachWayMs ?? drawnMs());
    if (isCut()) {
      // What was handed to the line may come through when it heals, long after the asker gave up.
      if (isWrite && random && random.next() < HELD_SHARE) whenHealed(work);
      return silence(isWrite);
    }
    if (fate?.is === 'away') throw new Fault('unavailable', 'store.away', 'The database does not answer.');
    if (fate?.is === 'unknown' && !fate.applied) {
      if (fate.lateMs !== undefined) clock?.after(fate.lateMs, () => void work());
      throw lost(isWrite);
    }
    const answer = work();
    if (fate?.is === 'unknown') throw lost(isWrite);
    await pause(eachWayMs ?? drawnMs());
    return isCut() ? silence(isWrite) : answer;
  };
}

function lost(isWrite: boolean): Error {
  const cause = new Error('connection lost');
  return isWrite ? new OutcomeUnknown(cause) : new Fault('unavailable', 'store.read', 'The database does not answer.', { cause });
}
