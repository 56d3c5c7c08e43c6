/**
 * The guard as a process: `guard-program.ts FOLDER`, started by the node (guard-keeper.ts) in a session of its own, so
 * that no signal to the node's group reaches it. It ends by itself when it is not wanted any more.
 */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { openFence } from '../../drivers/fence.ts';
import { must } from '../../runtime/base/check.ts';
import { systemClock } from '../../runtime/base/clock.ts';
import { openLog } from '../../runtime/base/log.ts';
import { machineBoot, uptimeMs } from '../../runtime/base/proc.ts';
import { Guard } from './guard.ts';
import { isAlive, processWord } from './process-word.ts';

const folder = must(process.argv[2], 'the guard is told its folder');
const log = openLog({ level: 'info', path: join(folder, 'guard.log') });
/** Signals that end a node must not end its guard: only the node's goodbye does. */
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => log.info('the guard stays', { signal }));
try {
  writeFileSync('/proc/self/oom_score_adj', '-1000'); // the last one to be ended for want of memory
} catch {
  // only root may
}
const guard = new Guard({
  folder,
  self: processWord(process.pid),
  clock: systemClock,
  log,
  boot: machineBoot(),
  uptimeMs: () => must(uptimeMs(), 'the machine tells its uptime'),
  lives: isAlive,
  openFence: (settings) => openFence(settings, { clock: systemClock, log }),
});
await guard.run(new AbortController().signal);
process.exit(0);
