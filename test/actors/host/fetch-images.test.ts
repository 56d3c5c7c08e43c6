import { describe, expect, it } from 'vitest';
import { fetchImages } from '../../../actors/host/fetch-images.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import type { GuestImage } from '../../../drivers/driver.ts';
import { factsAt } from '../facts.ts';
import { jobs, ready, replies, say } from './states.ts';

const { signal } = new AbortController();
const image = (id: string): GuestImage => ({ id, diskFormat: 'raw', sizeBytes: 1, hash: null, properties: {} });

/** A host whose driver fetches, and a conductor that remembers what is wanted. */
function world(failing: { readonly [id: string]: Fault } = {}) {
  const wanted = [image('a'), image('b'), image('c')];
  const fetched: string[] = [];
  const driver = {
    async fetchImage({ id }: GuestImage) {
      if (failing[id]) throw failing[id];
      fetched.push(id);
    },
  };
  const actors = {
    tell: () => {},
    ask: async (_to: string, message: { type: string; imageId?: string }) => {
      if (message.type === 'hostWantedImages') return wanted.slice(0, 2) as never;
      const at = wanted.findIndex(({ id }) => id === message.imageId);
      return wanted.splice(at, at < 0 ? 0 : 1) as never;
    },
  };
  const run = () => fetchImages({ driver: driver as never, actors: actors as never, log: silentLog }, 'h1', signal);
  return { run, fetched, left: () => wanted.map(({ id }) => id) };
}

describe('images that are wanted ahead of time', () => {
  it('are all fetched, list after list, and not wanted any more', async () => {
    const { run, fetched, left } = world();
    await run();
    expect([fetched, left()]).toEqual([['a', 'b', 'c'], []]);
  });

  it('that cannot be had are given up, so that the others come', async () => {
    const { run, fetched, left } = world({ a: new Fault('invalid', 'image.bytes', 'Wrong.') });
    await run();
    expect([fetched, left()]).toEqual([['b', 'c'], []]);
  });

  it('whose source is away stay wanted', async () => {
    const { run, fetched, left } = world({ b: new Fault('unavailable', 'service.image', 'Away.') });
    await expect(run()).rejects.toMatchObject({ code: 'unavailable' });
    expect([fetched, left()]).toEqual([['a'], ['b', 'c']]);
  });

  it('are looked for when the host begins and whenever its row says so, by one fetch at a time', () => {
    const row = (wantsImages: boolean) => ({
      type: 'rowRead' as const,
      tag: 'row',
      outcome: { ok: true as const, value: { epoch: 3, enabled: true, zone: 'nova', aggregates: [], wantsImages } },
    });
    const host = ready().state;
    expect(jobs(say(host, row(false)).effects)).toEqual([]);
    const fetching = say(host, row(true));
    expect(jobs(fetching.effects)).toEqual(['fetchImages images']);
    expect(jobs(say(fetching.state, row(true)).effects)).toEqual([]);
    const over = say(fetching.state, { type: 'imagesFetched', tag: 'images', outcome: { ok: true, value: {} } }).state;
    expect(jobs(say(over, row(true)).effects)).toEqual(['fetchImages images']);
  });
});

describe('the uptime of a host', () => {
  it('is asked of its driver and told to whoever asked', () => {
    const asked = say(ready().state, { type: 'hostUptime' }, factsAt(undefined, { holdReply: () => 7 }));
    expect(jobs(asked.effects)).toEqual(['uptime 7']);
    const uptime = { upMs: 5, load: [0, 0, 0] };
    const told = say(asked.state, { type: 'uptimeRead', tag: '7', outcome: { ok: true, value: { uptime } } });
    expect([replies(told.effects), told.effects]).toMatchObject([[uptime], [{ do: 'reply', to: 7 }]]);
  });
});
