/**
 * Messages inside one process, through the actor system as a node joins it: tells to node actors and to activations of
 * shards (`burst`: messages that an actor gets before it has its turn; 1 is the dearest, since each turn is a nact
 * actor of its own), and asks. Run: `node --expose-gc test/bench/messages.ts`.
 */
import { ask, counted, counterKind, openInside, type Inside } from './rig/inside.ts';
import { percentile } from './rig/figures.ts';
import { endWithParent, Report, secondsWanted } from './rig/program.ts';

const ACTORS = 4_096;
/** Messages between two waits for all to be done. */
const SLICE = 4_096;
const BURSTS = [1, 8, 64];
const IN_FLIGHT = [1, 64];
const WARM_MS = 500;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Rate of wall and of CPU time, garbage collection included. */
async function flood({ system }: Inside, kind: string, burst: number, ms: number): Promise<{ perSecond: number; perCore: number }> {
  const addresses = Array.from({ length: ACTORS }, (_, index) => `${kind}/${index}`);
  const beginMs = performance.now();
  const cpu = process.cpuUsage();
  const before = counted.messages;
  let sent = 0;
  let next = 0;
  while (performance.now() - beginMs < ms) {
    for (let left = SLICE; left > 0; left -= burst) {
      const to = addresses[next++ % ACTORS] ?? '';
      for (let i = 0; i < burst; i++) system.tell(to, { type: 'note', n: sent++ } as never);
    }
    while (counted.messages - before < sent) await turn();
  }
  const tookMs = performance.now() - beginMs;
  const { user, system: kernel } = process.cpuUsage(cpu);
  return { perSecond: (sent / tookMs) * 1_000, perCore: (sent / (user + kernel)) * 1_000_000 };
}

async function askMany({ system }: Inside, kind: string, inFlight: number, ms: number): Promise<{ perSecond: number; tookMs: number[] }> {
  const tookMs: number[] = [];
  const beginMs = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() - beginMs < ms) {
      const sentMs = performance.now();
      await ask(system, `${kind}/${next++ % ACTORS}`, { type: 'read' });
      tookMs.push(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { perSecond: (tookMs.length / (performance.now() - beginMs)) * 1_000, tookMs };
}

endWithParent();
const ms = secondsWanted() * 1_000;
const report = new Report();
const inside = openInside();
for (let index = 0; index < ACTORS; index++) inside.room.start(counterKind, `counter/${index}`);
for (const kind of ['counter', 'keeper']) {
  const home = kind === 'counter' ? 'node' : 'shard';
  await flood(inside, kind, 8, WARM_MS);
  for (const burst of BURSTS) {
    const { perSecond, perCore } = await flood(inside, kind, burst, ms / 2);
    report.add(`messages.tell.${home}.burst${burst}`, perSecond, 'messages/s');
    report.add(`messages.tell.${home}.burst${burst}.perCore`, perCore, 'messages/s of CPU');
  }
  await askMany(inside, kind, 64, WARM_MS);
  for (const inFlight of IN_FLIGHT) {
    const { perSecond, tookMs } = await askMany(inside, kind, inFlight, ms / 2);
    report.add(`messages.ask.${home}.${inFlight}`, perSecond, 'asks/s');
    report.add(`messages.ask.${home}.${inFlight}.p50`, percentile(tookMs, 0.5), 'ms');
    report.add(`messages.ask.${home}.${inFlight}.p99`, percentile(tookMs, 0.99), 'ms');
  }
}
inside.close();
report.print();
