/**
 * Events: from a change that a client made to the moment when a WebSocket subscriber has it. The answer to the change
 * comes after its commit, so the time since the answer is what a subscriber waits at most longer than the one who asked
 * (negative when the event was first), and the time since the request is all of it, commit included.
 */
import { round, spread, type Figures } from './rig/figures.ts';
import { atRate } from './rig/http-load.ts';
import { StreamReader } from './rig/stream-reader.ts';
import { fill, withCloud, type Options } from './rig/subject.ts';

const SERVERS = 100;
const PER_SECOND = 100;
const CHANGES = 1_000;
const WARM_UP = 200;
const EVENT_LIMIT_MS = 5_000;

export function event(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute }) => {
    const ids = await fill(compute, options.n ?? SERVERS);
    const stream = await StreamReader.open(compute);
    if (stream === undefined) return { skipped: 'there is no stream to subscribe to' };
    const waiting = new Map<string, (atMs: number) => void>();
    stream.onEvent(({ id, atMs }) => waiting.get(id)?.(atMs));
    const sinceAnswerMs: number[] = [];
    const sinceRequestMs: number[] = [];
    let lost = 0;
    let turn = 0;
    const change = async (index: number): Promise<void> => {
      const id = ids[turn++ % ids.length] ?? '';
      const came = new Promise<number | undefined>((resolve) => {
        waiting.set(id, resolve);
        setTimeout(() => resolve(undefined), EVENT_LIMIT_MS).unref();
      });
      const answer = await compute.write('PUT', `/servers/${id}`, { server: { name: `bench-${turn}` } });
      const atMs = await came;
      if (atMs === undefined || answer.status !== 200) lost++;
      else if (index >= 0) {
        sinceAnswerMs.push(atMs - answer.sentMs - answer.tookMs);
        sinceRequestMs.push(atMs - answer.sentMs);
      }
    };
    await atRate(PER_SECOND * 2, WARM_UP, () => change(-1));
    options.progress(`${CHANGES} changes, ${PER_SECOND} per second`);
    await atRate(PER_SECOND, CHANGES, change);
    stream.close();
    return { changes: CHANGES, perSecond: PER_SECOND, ...spread('sinceAnswer', sinceAnswerMs), ...spread('sinceRequest', sinceRequestMs), lost: round(lost) };
  });
}
