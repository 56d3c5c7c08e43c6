import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../runtime/base/log.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { uuidOf } from '../../actors/conductor/rows.ts';
import { openRig, Socket, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => rig.close());

/** 40 KB of name: a few hundred events are more than any kernel buffer. */
const LARGE = 'x'.repeat(40_000);

describe('a slow reader', () => {
  it('of every change is closed with 4408 and the last revision that it got whole; a resume from there misses nothing', async () => {
    rig = await openRig({}, { ringMaxEvents: 100 });
    const [slow, quick] = [await Socket.open(rig, 'blue'), await Socket.open(rig, 'blue')];
    for (const socket of [slow, quick]) socket.subscribe();
    await quick.next('synced');
    await slow.next('synced');
    slow.ws.pause();
    for (let i = 0; rig.stream.stats().live === 2 && i < 1_000; i++) {
      rig.cell.commit({ nth: 1, patch: { name: LARGE } }, { nth: 2, patch: { name: LARGE } });
      await turn();
    }
    slow.ws.resume();
    const { code, reason } = await slow.closed;
    expect(code).toBe(4408);
    const delivered = Number(/last delivered revision (\d+)$/.exec(reason)?.[1]);
    const got = slow.of('event').map(({ revision }) => revision);
    expect(got).toEqual(Array.from({ length: delivered * 2 }, (_, i) => (i >> 1) + 1));
    const again = await Socket.open(rig, 'blue');
    again.subscribe({ from: { revision: delivered } });
    await again.next('synced');
    expect(again.of('event').map(({ revision }) => revision)).toEqual(
      Array.from({ length: (rig.cell.revision - delivered) * 2 }, (_, i) => delivered + 1 + (i >> 1)),
    );
    await quick.next('event', ({ revision, more }) => revision === rig.cell.revision && more !== true);
    expect(quick.of('event')).toHaveLength(rig.cell.revision * 2);
  }, 30_000);

  it('of the latest state gets the newest of each object, in order, and stays', async () => {
    rig = await openRig();
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe({ mode: 'latest' });
    await socket.next('synced');
    socket.ws.pause();
    const random = seededRandom(7);
    const last = new Map<string, number>();
    for (let i = 0; i < 900; i++) {
      const nth = Math.floor(random.next() * 11);
      last.set(uuidOf(nth), rig.cell.commit({ nth, patch: { name: `${i}-${LARGE}` } }).revision);
      await turn();
    }
    socket.ws.resume();
    await socket.next('bookmark', ({ revision }) => revision === 900);
    const events = socket.of('event');
    expect(events.length).toBeLessThan(900);
    expect(new Map(events.map(({ id, revision }) => [id, revision]))).toEqual(last);
    const revisions = events.map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect(rig.stream.stats().live).toBe(1);
  }, 30_000);

  it('that takes nothing while its past is read is closed after a while, and nothing is kept for it meanwhile', async () => {
    let closed = false;
    const log = { ...silentLog, debug: () => void (closed = true) };
    rig = await openRig({ stallMs: 200 }, { ringMaxEvents: 10, log });
    for (let i = 0; i < 400; i++) rig.cell.commit({ nth: 1, patch: { name: LARGE } });
    const socket = await Socket.open(rig, 'blue');
    socket.ws.pause();
    socket.subscribe({ from: { revision: 0 } });
    while (!closed) await turn();
    socket.ws.resume();
    const { code, reason } = await socket.closed;
    const last = socket.of('event').at(-1)?.['revision'];
    expect([code, reason]).toEqual([4408, `slow reader: last delivered revision ${last}`]);
    expect(last).toBeLessThan(400);
  }, 30_000);

  it('that answers no ping is cut off', async () => {
    rig = await openRig({ pingMs: 100 });
    const deaf = await Socket.open(rig, 'blue', { autoPong: false });
    const well = await Socket.open(rig, 'blue');
    well.subscribe();
    expect((await deaf.closed).code).toBe(1006);
    await well.next('bookmark');
    while (rig.stream.stats().sockets > 1) await turn();
    expect(rig.stream.stats().live).toBe(1);
  });
});
