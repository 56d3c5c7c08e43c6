/**
 * Switching a machine off by an operator's command (IPMI, Redfish, a power strip): run without a shell, within a time
 * limit, and believed only when a second command says so: it ended with 0 and one line of its output is the very text
 * that means off. Everything else, silence too, is a Fault: nothing is proved.
 */
import { spawn } from 'node:child_process';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { FenceRule } from './settings.ts';

/** Between two looks at the status: a machine takes seconds to go off. */
const STATUS_EVERY_MS = 500;
const OUTPUT_MAX_BYTES = 65_536;

/** Resolves when the host is confirmed to be off. Faults: `unavailable` (reason `fence.failed`), `cancelled`. */
export async function fence(rule: FenceRule, host: string, clock: Clock, signal: AbortSignal): Promise<void> {
  await run(rule.off, host, signal);
  for (;;) {
    const said = await run(rule.status, host, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      return error instanceof Fault ? '' : Promise.reject(error);
    });
    if (said.split('\n').some((line) => line.trim() === rule.offText)) return;
    await clock.sleep(STATUS_EVERY_MS, signal);
  }
}

/** What the program wrote. The host's name is only ever a part of an argument, never of the program. */
function run(command: readonly string[], host: string, signal: AbortSignal): Promise<string> {
  const [program = '', ...rest] = command;
  const args = rest.map((word) => word.replaceAll('{host}', host));
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
    let out = '';
    const hear = (chunk: Buffer): void => void (out = (out + chunk.toString('utf8')).slice(-OUTPUT_MAX_BYTES));
    child.stdout.on('data', hear);
    child.stderr.on('data', () => undefined);
    child.once('error', (cause) => reject(failed(program, String(cause), cause)));
    child.once('close', (code) => (code === 0 ? resolve(out) : reject(failed(program, `ended with ${code ?? 'a signal'}`))));
  });
}

function failed(program: string, why: string, cause?: unknown): Fault {
  return new Fault('unavailable', 'fence.failed', 'The fence command failed.', { detail: `${program}: ${why}`, cause });
}
