import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { callerOf, openRig, type Message, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => rig.close());

function ask(query: string, more: { [name: string]: string } = {}, path = '/v2.1/stream'): Promise<Response> {
  return fetch(`http://${rig.url}${path}${query}`, { headers: { 'X-Auth-Token': 'blue', ...more } });
}

type Sent = { id: string; event: string; message: Message };

/** Reads server-sent events one by one. */
class Source {
  readonly sent: Sent[] = [];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #text = '';

  constructor(response: Response) {
    this.#reader = response.body!.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  static async open(query = '', more: { [name: string]: string } = {}): Promise<Source> {
    const response = await ask(query, { Accept: 'text/event-stream', ...more });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    return new Source(response);
  }

  /** undefined at the end. */
  async next(event?: string): Promise<Sent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const fields = new Map(
          this.#text
            .slice(0, end)
            .split('\n')
            .map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
        );
        this.#text = this.#text.slice(end + 2);
        const sent = { id: fields.get('id') ?? '', event: fields.get('event') ?? '', message: JSON.parse(fields.get('data') ?? 'null') as Message };
        this.sent.push(sent);
        if (event === undefined || sent.event === event) return sent;
        continue;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += Buffer.from(value).toString('utf8');
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}

describe('what the rules refuse', () => {
  it('is refused in each form, and what they allow is not', async () => {
    rig = await openRig({}, { rights: (caller) => (caller.roles.includes('watcher') ? caller : null) });
    rig.callers.set('watcher', callerOf('watcher', { roles: ['watcher'] }));
    for (const form of [{ Accept: 'text/event-stream' }, {}]) {
      const refused = await ask('?wait=0&after=0', form);
      expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('os_compute_api:servers:detail')]);
    }
    expect((await ask('?wait=0&after=0', { 'X-Auth-Token': 'watcher' })).status).toBe(200);
    expect((await ask('?wait=0&after=0', { 'X-Auth-Token': 'nobody' })).status).toBe(401);
  });
});

describe('server-sent events', () => {
  it('tell snapshot, changes and bookmarks with the revisions of a socket, and go on from the last id', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 });
    const source = await Source.open('?from=snapshot');
    expect((await source.next('object'))?.message['record']).toMatchObject({ status: 'ACTIVE', host: null });
    expect(await source.next()).toMatchObject({ id: '1@first', event: 'synced', message: { revision: 1 } });
    rig.cell.commit({ nth: 1, patch: { vmState: 'stopped' } }, { nth: 2 });
    expect(await source.next('event')).toMatchObject({ id: '', message: { type: 'event', revision: 2, more: true, was: 'ACTIVE', status: 'SHUTOFF' } });
    expect(await source.next('event')).toMatchObject({ id: '2@first', message: { revision: 2, change: 'created', was: null } });
    expect(await source.next('bookmark')).toMatchObject({ id: '2@first' });
    await source.cancel();
    rig.cell.commit({ nth: 3 });
    const again = await Source.open('', { 'Last-Event-ID': '2@first' });
    expect(await again.next()).toMatchObject({ id: '3@first', message: { revision: 3 } });
    await again.cancel();
    while (rig.stream.stats().sockets > 0) await turn();
  });

  it('say gone and why they end', async () => {
    rig = await openRig();
    rig.cell.commit({ nth: 1 });
    const other = await Source.open('', { 'Last-Event-ID': '1@second' });
    expect(await other.next()).toMatchObject({ event: 'gone', message: { oldest: 1 } });
    expect(await other.next()).toMatchObject({ event: 'closed', message: { code: 4410 } });
    expect(await other.next()).toBeUndefined();
    rig.callers.set('blue', callerOf('blue', { expiresAtMs: Date.now() + 400 }));
    const short = await Source.open();
    expect((await short.next('expiring'))?.message).toBeDefined();
    expect((await short.next('closed'))?.message).toMatchObject({ code: 4401 });
  });
});

describe('a long poll', () => {
  it('answers at once with what is there, else waits for the first change', async () => {
    rig = await openRig();
    for (let i = 0; i < 3; i++) rig.cell.commit({ nth: i }, { nth: 100 + i, patch: { projectId: 'green' } });
    const first = (await (await ask('?after=1')).json()) as Message;
    expect(first).toMatchObject({ revision: 3, incarnation: 'first', events: [{ revision: 2 }, { revision: 3 }] });
    const waiting = ask('?after=3&wait=30&incarnation=first');
    while (rig.stream.stats().live === 0) await turn();
    rig.cell.commit({ nth: 9, patch: { projectId: 'green' } });
    rig.cell.commit({ nth: 1, patch: { vmState: 'error' } }, { nth: 2, patch: { vmState: 'error' } });
    const answer = (await (await waiting).json()) as Message;
    expect(answer).toMatchObject({
      revision: 5,
      events: [
        { revision: 5, more: true },
        { revision: 5, status: 'ERROR' },
      ],
    });
    expect(await (await ask('?after=5&wait=0.05')).json()).toEqual({ events: [], revision: 5, incarnation: 'first' });
    expect(await (await ask('?wait=0.05')).json()).toEqual({ events: [], revision: 5, incarnation: 'first' });
  });

  it('asked again and again with its last revision sees every event once', async () => {
    rig = await openRig({}, { ringMaxEvents: 50 });
    for (let i = 0; i < 3_000; i++) rig.cell.commit({ nth: i % 20 }, { nth: 20 + (i % 20) });
    const seen: number[] = [];
    for (let after = 0; after < 3_000;) {
      const { events, revision } = (await (await ask(`?after=${after}`)).json()) as { events: Message[]; revision: number };
      seen.push(...events.map((event) => event['revision'] as number));
      expect(revision).toBeGreaterThan(after);
      after = revision;
    }
    expect(seen).toEqual(Array.from({ length: 6_000 }, (_, i) => (i >> 1) + 1));
  });

  it('is answered 410 when the events are gone, and frees its place when the client leaves', async () => {
    rig = await openRig({ streamsPerProjectMax: 1 });
    rig.cell.commit({ nth: 1 });
    const gone = await ask('?after=1&incarnation=second');
    expect([gone.status, await gone.json()]).toEqual([410, { gone: { oldest: 1 } }]);
    const abort = new AbortController();
    const left = fetch(`http://${rig.url}/v2.1/blue/stream?wait=60`, { headers: { 'X-Auth-Token': 'blue' }, signal: abort.signal }).catch(() => 'left');
    while (rig.stream.stats().live === 0) await turn();
    expect((await ask('?wait=1')).status).toBe(429);
    abort.abort();
    expect(await left).toBe('left');
    while (rig.stream.stats().polls > 0) await turn();
    expect((await ask('?wait=0')).status).toBe(200);
  });

  it('refuses what a socket refuses', async () => {
    rig = await openRig();
    const statusOf = async (query: string, more = {}, path?: string): Promise<number> => (await ask(query, more, path)).status;
    expect(await statusOf('?wait=1', { 'X-Auth-Token': 'nobody' })).toBe(401);
    expect((await fetch(`http://${rig.url}/v2.1/stream?wait=1&token=blue`)).status).toBe(401);
    expect(await statusOf('?wait=1', { Origin: 'https://evil.example.org' })).toBe(403);
    expect(await statusOf('', { Origin: 'https://evil.example.org', Accept: 'text/event-stream' })).toBe(403);
    expect(await statusOf('?wait=1', {}, '/v2.1/green/stream')).toBe(400);
    expect(await statusOf('?wait=1&scope=all')).toBe(403);
    for (const query of ['?after=x', '?after=', '?wait=x', '?after=1&ids=7', '?wait=0&from=snapshot']) expect(await statusOf(query), query).toBe(400);
    expect(await statusOf('')).toBe(404); // no form of a stream: somebody else's
    expect(await statusOf('?wait=0&scope=all', { 'X-Auth-Token': 'admin' })).toBe(200);
  });
});
