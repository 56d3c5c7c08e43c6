/**
 * A second process of the same program, for what has two ends: `near` measures, `far` answers. They speak by the channel
 * between parent and child until what is measured is open. `far` ends with `near`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';

export type Far = {
  tell(message: object): void;
  /** The next message of the other process. */
  next<T>(): Promise<T>;
  end(): void;
};

/** `mode` is what the other process finds as its first word. */
export function openFar(program: string, mode: string): Far {
  const child = fork(program, [mode], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const failed = new Promise<never>((_, reject) => child.once('exit', (code, signal) => reject(new Error(`the other process ended with ${code ?? signal}`))));
  failed.catch(() => undefined);
  return {
    tell: (message) => void child.send(message),
    next: async <T>() => (await Promise.race([once(child, 'message'), failed]))[0] as T,
    end: () => void child.kill('SIGKILL'),
  };
}

/** In `far`: what `near` says next. */
export async function heardFromNear<T>(): Promise<T> {
  return (await once(process, 'message'))[0] as T;
}

export function tellNear(message: object): void {
  process.send?.(message);
}
