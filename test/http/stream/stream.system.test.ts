import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { uuidOf } from '../../actors/conductor/rows.ts';
import { callerOf, openRig, Socket, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => rig.close());

describe('the door of a status stream', () => {
  it('lets a program in by header, and tells it what is committed from then on', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 });
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe();
    expect(await socket.next('synced')).toEqual({ type: 'synced', sub: 's', revision: 1, incarnation: 'first' });
    const operation = { name: 'stop', requestId: 'req-1', step: 'power' } as never;
    rig.cell.commit({ nth: 1, patch: { vmState: 'stopped', operation } });
    const { record, at, ...event } = await socket.next('event');
    expect(event).toEqual({
      type: 'event',
      sub: 's',
      revision: 2,
      change: 'changed',
      id: uuidOf(1),
      was: 'ACTIVE',
      status: 'SHUTOFF',
      cause: { requestId: 'req-1', operation: 'stop', step: 'power' },
    });
    expect(record).toMatchObject({ id: uuidOf(1), projectId: 'blue', status: 'SHUTOFF', vmState: 'stopped' });
    expect(at).toBe(record.updatedAt);
    rig.cell.commit({ nth: 1, patch: { deleted: true, vmState: 'deleted' } });
    expect(await socket.next('event')).toMatchObject({ change: 'deleted', was: 'SHUTOFF', status: 'DELETED', record: { name: 'server-1' } });
  });

  it('lets a page in by its first message or by subprotocol, and never by address', async () => {
    rig = await openRig({ authMs: 50 });
    const byMessage = new Socket(rig);
    byMessage.ws.on('open', () => byMessage.say({ type: 'auth', token: 'blue' }));
    expect(await byMessage.next('authenticated')).toMatchObject({ projectId: 'blue' });
    const token = `novact.token.${Buffer.from('green').toString('base64url')}`;
    for (const protocols of [['novact.v1', token], [token]]) {
      const byProtocol = new Socket(rig, { protocols });
      byProtocol.ws.on('open', () => byProtocol.subscribe());
      await byProtocol.next('synced');
      expect(byProtocol.ws.protocol).toBe(protocols[0]);
    }
    const byAddress = new Socket(rig, { path: '/v2.1/stream?token=blue&X-Auth-Token=blue' });
    expect((await byAddress.closed).code).toBe(4401);
  });

  it('refuses a wrong token, another project in the path and a foreign origin before the socket opens', async () => {
    rig = await openRig({ origins: ['https://console.example.org'] });
    const cases: [number, ConstructorParameters<typeof Socket>[1]][] = [
      [401, { headers: { 'X-Auth-Token': 'nobody' } }],
      [401, { headers: { 'X-Auth-Token': '' } }],
      [400, { path: '/v2.1/green/stream', headers: { 'X-Auth-Token': 'blue' } }],
      ...[
        'https://evil.example.org',
        'null',
        'http://console.example.org',
        'https://sub.console.example.org',
        'https://console.example.org:8443',
        'https://console.example.org/',
        'HTTPS://CONSOLE.EXAMPLE.ORG',
      ].map((origin): [number, object] => [403, { headers: { 'X-Auth-Token': 'blue', Origin: origin } }]),
    ];
    for (const [status, options] of cases) expect((await new Socket(rig, options).refused).status, JSON.stringify(options)).toBe(status);
    const allowed = await Socket.open(rig, 'blue', { path: '/v2.1/blue/stream', headers: { Origin: 'https://console.example.org' } });
    allowed.subscribe();
    await allowed.next('synced');
  });

  it('closes with 4401 who says nothing in time, says something else first, or has a wrong token', async () => {
    rig = await openRig({ authMs: 50 });
    expect((await new Socket(rig).closed).code).toBe(4401);
    const early = new Socket(rig);
    early.ws.on('open', () => early.subscribe());
    expect((await early.closed).code).toBe(4401);
    const wrong = new Socket(rig);
    wrong.ws.on('open', () => wrong.say({ type: 'auth', token: 'nobody' }));
    expect((await wrong.closed).code).toBe(4401);
    const other = new Socket(rig, { path: '/v2.1/green/stream' });
    other.ws.on('open', () => other.say({ type: 'auth', token: 'blue' }));
    expect((await other.closed).code).toBe(4403);
  });

  it('answers a bad message in words, and a broken one with 4400', async () => {
    rig = await openRig();
    const socket = await Socket.open(rig, 'blue');
    for (const bad of [
      { type: 'dance' },
      { type: 'subscribe', id: 'a b' },
      { type: 'subscribe', id: 's', from: { revision: -1 } },
      { type: 'unsubscribe', id: 'x' },
      { type: 'subscribe', id: 's', filter: { names: [] } },
    ]) {
      socket.say(bad);
      expect((await socket.next('error'))['message']).toBeTypeOf('string');
    }
    socket.ws.send('{"type":');
    expect((await socket.closed).code).toBe(4400);
    for (const broken of ['[]', '7', Buffer.from([1, 2])]) {
      const other = await Socket.open(rig, 'blue');
      other.ws.send(broken);
      expect((await other.closed).code).toBe(4400);
    }
    const large = await Socket.open(rig, 'blue');
    large.ws.send('x'.repeat(20_000));
    expect((await large.closed).code).toBe(1009);
    const loud = await Socket.open(rig, 'blue');
    for (let i = 0; i < 200; i++) loud.say({ type: 'unsubscribe', id: 'x' });
    expect((await loud.closed).code).toBe(4400);
  });

  it('bounds subscriptions of a socket and streams of a project', async () => {
    rig = await openRig({ subscriptionsPerSocketMax: 2, streamsPerProjectMax: 2 });
    const first = await Socket.open(rig, 'blue');
    const second = await Socket.open(rig, 'blue');
    const { status, text } = await new Socket(rig, { headers: { 'X-Auth-Token': 'blue' } }).refused;
    expect([status, JSON.parse(text).overLimit.code]).toEqual([429, 429]);
    const late = new Socket(rig);
    late.ws.on('open', () => late.say({ type: 'auth', token: 'blue' }));
    expect((await late.closed).code).toBe(4429);
    for (const id of ['a', 'b', 'c']) first.subscribe({ id });
    expect((await first.closed).code).toBe(4429);
    second.subscribe();
    await second.next('synced');
    await Socket.open(rig, 'blue'); // the first one's place is free again
    await Socket.open(rig, 'green');
  });

  it('ends a subscription that is not wanted any more, and only that', async () => {
    rig = await openRig();
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe({ id: 'a' });
    socket.subscribe({ id: 'b' });
    await socket.next('synced', ({ sub }) => sub === 'b');
    socket.subscribe({ id: 'a' });
    expect(await socket.next('error')).toMatchObject({ sub: 'a' });
    socket.say({ type: 'unsubscribe', id: 'a' });
    await socket.next('unsubscribed');
    rig.cell.commit({ nth: 1 });
    await socket.next('bookmark', ({ revision }) => revision === 1);
    expect(socket.of('event').map(({ sub }) => sub)).toEqual(['b']);
    expect(rig.stream.stats()).toMatchObject({ sockets: 1, live: 1, deliveries: 1 });
  });

  it('tells everyone to go elsewhere when the node stops', async () => {
    rig = await openRig();
    const socket = await Socket.open(rig, 'blue');
    socket.subscribe();
    await socket.next('synced');
    await rig.stream.close();
    expect((await socket.closed).code).toBe(1001);
    expect((await new Socket(rig, { headers: { 'X-Auth-Token': 'blue' } }).refused).status).toBe(503);
  });
});

describe('authorisation of a status stream', () => {
  it('never shows a foreign project, nor hosts to users; an administrator sees all', async () => {
    rig = await openRig();
    const [blue, green, admin] = [await Socket.open(rig, 'blue'), await Socket.open(rig, 'green'), await Socket.open(rig, 'admin')];
    for (const socket of [blue, green]) socket.subscribe({ from: 'snapshot' });
    admin.subscribe({ scope: 'all', from: 'snapshot' });
    for (const socket of [blue, green, admin]) await socket.next('synced');
    for (let i = 0; i < 20; i++) rig.cell.commit({ nth: i }, { nth: 100 + i, patch: { projectId: 'green' } });
    for (const socket of [blue, green, admin]) await socket.next('bookmark', ({ revision }) => revision === 20);
    expect(new Set(blue.of('event').map(({ record }) => `${record.projectId}/${record.host}`))).toEqual(new Set(['blue/null']));
    expect(new Set(green.of('event').map(({ record }) => record.projectId))).toEqual(new Set(['green']));
    expect(admin.of('event')).toHaveLength(40);
    expect(admin.of('event')[0]?.['record'].host).toBe('h1');
    blue.subscribe({ id: 'all', scope: 'all' });
    expect(await blue.next('error')).toMatchObject({ sub: 'all' });
    const again = await Socket.open(rig, 'green');
    again.subscribe({ from: 'snapshot', filter: { ids: [uuidOf(1), uuidOf(101)] } });
    await again.next('synced');
    expect(again.of('object').map(({ record }) => [record.id, record.host])).toEqual([[uuidOf(101), null]]);
    again.subscribe({ id: 'past', from: { revision: 0 } });
    await again.next('synced', ({ sub }) => sub === 'past');
    expect(again.of('event').map(({ record }) => record.projectId)).toEqual(Array.from({ length: 20 }, () => 'green'));
  });

  it('warns before the token ends, closes with 4401 then, and shows nothing after it', async () => {
    rig = await openRig();
    rig.callers.set('short', callerOf('blue', { expiresAtMs: Date.now() + 600 }));
    const socket = await Socket.open(rig, 'short');
    socket.subscribe();
    expect(Date.parse((await socket.next('expiring'))['at'])).toBe(rig.callers.get('short')?.expiresAtMs);
    expect((await socket.closed).code).toBe(4401);
    expect(socket.of('expiring')).toHaveLength(1);
    expect(rig.stream.stats().live).toBe(0);
  });

  it('shows nothing to an ended token, even before its turn to be looked at has come', async () => {
    rig = await openRig({ bookmarkMs: 100_000 });
    const expiresAtMs = Date.now() + 200;
    rig.callers.set('short', callerOf('blue', { expiresAtMs }));
    const socket = await Socket.open(rig, 'short');
    socket.subscribe();
    await socket.next('synced');
    while (Date.now() <= expiresAtMs) await turn();
    rig.cell.commit({ nth: 1 });
    expect((await socket.closed).code).toBe(4401);
    expect(socket.of('event')).toEqual([]);
  });

  it('takes a renewed token of the same user and project, and no other', async () => {
    rig = await openRig({ recheckMs: 1_000_000 });
    rig.callers.set('short', callerOf('blue', { expiresAtMs: Date.now() + 500 }));
    const socket = await Socket.open(rig, 'short');
    socket.subscribe();
    await socket.next('expiring');
    socket.say({ type: 'auth', token: 'green' });
    await socket.next('error');
    socket.say({ type: 'auth', token: 'blue' });
    await socket.next('authenticated');
    const { revision } = rig.cell.commit({ nth: 1 });
    await socket.next('event', (event) => event['revision'] === revision);
    for (let i = 0; i < 4; i++) await socket.next('bookmark'); // past the old token's end
  });

  it('closes with 4401 when a token is revoked, and stops showing all projects when the role is taken', async () => {
    rig = await openRig({ recheckMs: 10 });
    const [blue, admin] = [await Socket.open(rig, 'blue'), await Socket.open(rig, 'admin')];
    blue.subscribe();
    admin.subscribe({ scope: 'all' });
    await admin.next('synced');
    rig.callers.delete('blue');
    expect((await blue.closed).code).toBe(4401);
    rig.callers.set('admin', callerOf('admin', { isAdmin: false }));
    expect(await admin.next('error')).toMatchObject({ sub: 's' });
    rig.cell.commit({ nth: 1 });
    admin.subscribe({ id: 'own' });
    await admin.next('bookmark', ({ sub }) => sub === 'own');
    expect(admin.of('event')).toEqual([]);
  });
});
