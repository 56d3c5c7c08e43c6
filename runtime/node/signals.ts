/**
 * What ends the process: a signal asks for an orderly stop, a second one ends it at once; a bug that nobody caught is
 * logged and ends it after the attempt of an orderly stop, since its state can no longer be trusted. Under a launcher
 * its death counts as a signal, so that nobody is orphaned.
 */
import { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';

/** `EX_SOFTWARE`: ended by a bug. */
export const EXIT_BUG = 70;
/** Ctrl-C reaches this process from the terminal and once more from its launcher; a person is slower. */
const SAME_SIGNAL_MS = 1_000;
const STOP_LIMIT_MS = 60_000;

export type Ending = {
  readonly clock: Clock;
  readonly log: Log;
  /** Orderly; called once. */
  readonly stop: () => Promise<void>;
  /** What a person at the terminal reads. */
  readonly say: (line: string) => void;
  /** Number of the descriptor by which the launcher is seen to live. */
  readonly launcherFd?: number;
  readonly exit?: (code: number) => void;
};

/** Installs the handlers; what it returns removes them again. The process ends with 0 after a stop that was asked for. */
export function endOnSignals(ending: Ending): () => void {
  const { clock, log, stop, say } = ending;
  const exit = ending.exit ?? ((code: number) => process.exit(code));
  let firstMs: number | undefined;
  let code = 0;

  function end(reason: string): void {
    firstMs = clock.monotonicMs();
    log.info('stopping', { reason });
    clock.after(STOP_LIMIT_MS, () => {
      log.error('the stop takes too long, ending at once');
      exit(code === 0 ? EXIT_BUG : code);
    });
    stop().then(
      () => exit(code),
      (error: unknown) => {
        log.error('the stop failed', { error });
        exit(EXIT_BUG);
      },
    );
  }

  function onSignal(signal: NodeJS.Signals): void {
    if (firstMs === undefined) {
      say(`Stopping (${signal}); once more ends at once.`);
      return end(signal);
    }
    if (clock.monotonicMs() - firstMs < SAME_SIGNAL_MS) return;
    log.warn('ending at once', { reason: signal });
    exit(128 + constants.signals[signal]);
  }

  /** Begins a stop, never hastens one. */
  function onOrphaned(): void {
    if (firstMs === undefined) end('the launcher died');
  }

  function onBug(error: unknown): void {
    log.error('a bug that nobody caught', { error });
    if (code !== EXIT_BUG) say(`novact ends because of a bug: ${error instanceof Error ? error.message : String(error)}. The log has more.`);
    code = EXIT_BUG;
    if (firstMs === undefined) end('bug');
  }

  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.on('uncaughtException', onBug);
  process.on('unhandledRejection', onBug);
  const unwatch = ending.launcherFd === undefined ? undefined : watchLauncher(ending.launcherFd, onOrphaned);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off('uncaughtException', onBug);
    process.off('unhandledRejection', onBug);
    unwatch?.();
  };
}

/** The launcher holds the other end of this descriptor open and never writes: its end is the launcher's. */
function watchLauncher(fd: number, onDeath: () => void): (() => void) | undefined {
  let socket: Socket;
  try {
    socket = new Socket({ fd, readable: true, writable: false });
  } catch {
    return undefined; // started by hand with the variable set: there is no launcher
  }
  socket.on('error', () => undefined);
  socket.on('close', onDeath);
  socket.resume();
  socket.unref();
  return () => {
    socket.off('close', onDeath);
    socket.destroy();
  };
}
