import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { uuidOf } from '../../actors/conductor/rows.ts';
import { openRig, Socket, type Message, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => rig.close());

/** What a client that applies objects and events knows in the end. */
function stateOf(messages: readonly Message[]): { [id: string]: string } {
  const state: { [id: string]: string } = {};
  for (const message of messages) {
    const { id, status } = message.type === 'object' ? message['record'] : message;
    if (message.type === 'object') state[id] = status;
    if (message.type === 'event' && message['change'] !== 'deleted') state[id] = status;
    if (message.type === 'event' && message['change'] === 'deleted') delete state[id];
  }
  return state;
}

function truth(): { [id: string]: string } {
  const status: { [vmState: string]: string } = { active: 'ACTIVE', stopped: 'SHUTOFF', error: 'ERROR' };
  const live = [...rig.cell.servers.values()].filter(({ record }) => !record.deleted);
  return Object.fromEntries(live.map(({ record }) => [record.id, status[record.vmState] ?? '']));
}

describe('a snapshot', () => {
  it('shows every object with its revision, then says synced', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 }, { nth: 2 });
    rig.cell.commit({ nth: 2, patch: { vmState: 'stopped' } });
    rig.cell.commit({ nth: 3, patch: { deleted: true } });
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe({ from: 'snapshot' });
    expect(await socket.next('synced')).toMatchObject({ revision: 3 });
    expect(socket.messages.map(({ type, revision, record }) => [type, revision, record?.status])).toEqual([
      ['object', 1, 'ACTIVE'],
      ['object', 2, 'SHUTOFF'],
      ['synced', 3, undefined],
    ]);
    expect(socket.messages[0]?.['record'].host).toBeNull();
  });

  it('ends right for objects that are made, changed and deleted while it is listed, and sets none back', async () => {
    rig = await openRig();
    for (let nth = 0; nth < 1_200; nth++) rig.cell.commitUntold({ nth });
    let step = 0;
    rig.cell.whileListing = async () => {
      for (let i = 0; i < 60; i++) {
        const nth = (step * 37) % 1_200;
        step++;
        const gone = rig.cell.servers.get(uuidOf(nth))?.record.deleted === true;
        if (gone) continue;
        rig.cell[step % 3 === 0 ? 'commitUntold' : 'commit']({ nth, patch: step % 7 === 0 ? { deleted: true } : { vmState: step % 2 ? 'stopped' : 'error' } });
        if (step % 10 === 0) rig.cell.commit({ nth: 5_000 + step });
        if (step % 20 === 0) await turn();
      }
    };
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe({ from: 'snapshot' });
    const { revision } = await socket.next('synced');
    expect(revision).toBe(rig.cell.revision);
    expect(stateOf(socket.messages)).toEqual(truth());
    const shown = new Map<string, number>();
    for (const message of [...socket.of('object').map((object) => ({ id: object['record'].id, revision: object['revision'] })), ...socket.of('event')]) {
      expect(message['revision']).toBeGreaterThan(shown.get(message['id']) ?? 0);
      shown.set(message['id'], message['revision']);
    }
    rig.cell.whileListing = () => undefined;
    rig.cell.commit({ nth: 9_999 });
    await socket.next('event', (event) => event['revision'] === rig.cell.revision);
    expect(stateOf(socket.messages)).toEqual(truth());
  });

  it('of some statuses shows who is in them, enters and leaves them', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 }, { nth: 2, patch: { vmState: 'error' } });
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe({ from: 'snapshot', filter: { statuses: ['error'] } });
    await socket.next('synced');
    for (const vmState of ['stopped', 'error', 'paused', 'active'] as const) rig.cell.commit({ nth: 1, patch: { vmState } });
    await socket.next('bookmark', ({ revision }) => revision === 5);
    expect(socket.of('object').map(({ record }) => record.id)).toEqual([uuidOf(2)]);
    expect(socket.of('event').map(({ was, status }) => [was, status])).toEqual([
      ['SHUTOFF', 'ERROR'],
      ['ERROR', 'PAUSED'],
    ]);
  });
});

describe('a resume', () => {
  it('goes on from the history where the ring does not reach, page by page, and from the ring where it does', async () => {
    rig = await openRig({}, { ringMaxEvents: 100 });
    for (let i = 0; i < 2_000; i++) rig.cell.commit({ nth: i % 50 });
    for (const [after, asked] of [
      [0, 4],
      [1_950, 0],
    ] as const) {
      rig.cell.asked.history = 0;
      const socket = await Socket.open(rig, 'blue');
      socket.subscribe({ from: { revision: after, incarnation: 'first' } });
      await socket.next('synced');
      expect(socket.of('event').map(({ revision }) => revision)).toEqual(Array.from({ length: 2_000 - after }, (_, i) => after + 1 + i));
      expect(rig.cell.asked.history).toBe(asked);
    }
  });

  it('is answered gone with 4410 when the events are dropped, of another incarnation, or never were', async () => {
    rig = await openRig({}, { ringMaxEvents: 10 });
    for (let i = 0; i < 100; i++) rig.cell.commit({ nth: 1 });
    rig.cell.trim(50);
    for (const from of [{ revision: 3 }, { revision: 99, incarnation: 'second' }, { revision: 101 }]) {
      const socket = await Socket.open(rig, 'blue');
      socket.subscribe({ from });
      expect((await socket.closed).code).toBe(4410);
      expect(socket.messages).toEqual([{ type: 'gone', sub: 's', oldest: 50 }]);
    }
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe({ from: { revision: 49 } });
    await socket.next('synced');
    expect(socket.of('event')).toHaveLength(51);
  });

  it('ends for those who listen when the store is restored: their revisions are of another history', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 });
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe();
    await socket.next('synced');
    rig.cell.incarnation = 'second';
    expect((await socket.closed).code).toBe(4410);
  });

  it('ends for those who listen when the store stands below what they were told, whatever it calls itself', async () => {
    rig = await openRig();
    for (const nth of [1, 2, 3]) rig.cell.commit({ nth });
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe();
    await socket.next('synced');
    rig.cell.revision = 1;
    expect((await socket.closed).code).toBe(4410);
  });

  it('waits for a store that is away for a moment, and gives up with 1013 when it stays away', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 });
    rig.cell.isAway = true;
    const [patient, unlucky] = [await Socket.open(rig, 'blue'), await Socket.open(rig, 'blue')];
    unlucky.subscribe();
    expect((await unlucky.closed).code).toBe(1013);
    expect(unlucky.of('error')).toHaveLength(1);
    patient.subscribe({ from: { revision: 0 } });
    await turn();
    rig.cell.isAway = false;
    await patient.next('synced');
    expect(patient.of('event')).toHaveLength(1);
  }, 20_000);
});

describe('the fan-out', () => {
  it('finds what nobody told it of, and moves the bookmark over revisions without events', async () => {
    rig = await openRig();
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe();
    await socket.next('synced');
    rig.cell.commitUntold({ nth: 1 });
    rig.cell.plain();
    await socket.next('event');
    await socket.next('bookmark', ({ revision }) => revision === 2);
    rig.cell.plain();
    rig.cell.commit({ nth: 1, patch: { vmState: 'stopped' } }); // known to follow a hole
    expect(await socket.next('event')).toMatchObject({ revision: 4 });
  });

  it('asks the store nothing while nobody listens', async () => {
    rig = await openRig();
    for (let i = 0; i < 50; i++) {
      rig.cell.plain();
      rig.cell.commit({ nth: i });
      await turn();
    }
    expect(rig.cell.asked).toEqual({ history: 0, revision: 0, listServers: 0 });
  });
});
