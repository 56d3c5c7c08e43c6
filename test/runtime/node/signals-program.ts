/** Ends on signals; its stop takes as long as the first argument says: `quick`, `never`, or it fails (`fails`). */
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { endOnSignals } from '../../../runtime/node/signals.ts';

const stops: Record<string, () => Promise<void>> = {
  quick: () => Promise.resolve(),
  never: () => new Promise(() => undefined),
  fails: () => Promise.reject(new Error('no')),
};
const [how = 'quick', bug] = process.argv.slice(2);
const fd = process.env['NOVACT_LAUNCHER_FD'];
endOnSignals({
  clock: systemClock,
  log: { ...silentLog, info: (event, fields) => console.log(`${event} ${fields?.['reason'] ?? ''}`) },
  say: (line) => console.log(line),
  stop: stops[how] ?? (() => Promise.resolve()),
  ...(fd === undefined ? {} : { launcherFd: Number(fd) }),
});
setInterval(() => undefined, 1_000);
console.log('ready');
if (bug === 'throws')
  setImmediate(() => {
    throw new Error('a bug');
  });
if (bug === 'rejects') void Promise.reject(new Error('a bug'));
