import { describe, expect, it } from 'vitest';
import { COMMAND_MEMORY_MS } from '../../../runtime/actor/activation.ts';
import type { Effect } from '../../../runtime/actor/effect.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { CRASH_LIMIT } from '../../../runtime/actor/supervision.ts';
import { openRig, type Rig } from './rig.ts';

const LIMIT_MS = 600_000;
const count = (outcome: unknown): number | undefined => (outcome as { value?: { record?: { count: number } } }).value?.record?.count;
const reason = (outcome: unknown): string | undefined => (outcome as { fault?: { reason: string } }).fault?.reason;
const within = <T>(rig: Rig, work: () => Promise<T>): Promise<T> => rig.world.run(work, LIMIT_MS);
const tell = (type: string): Effect => ({ do: 'tell', to: 'other/1', message: { type } });

describe('an activation', () => {
  it('says nothing to anybody before the commit that makes it true', async () => {
    const rig = openRig();
    let during: string[] = [];
    rig.store.committing = async () => {
      await rig.world.clock.sleep(10);
      during = [...rig.told];
    };
    const answer = await within(rig, () => rig.ask({ type: 'add', effects: [tell('hello')] } as never));
    expect(during).toEqual(['commit']);
    expect([rig.told, count(answer)]).toEqual([['commit', 'tell other/1 hello'], 1]);
  });

  it('answers reads without a commit, and nothing where there is no row', async () => {
    const rig = openRig();
    expect(await within(rig, () => rig.ask({ type: 'get' }))).toEqual({ ok: true, value: null });
    expect(rig.told).toEqual([]);
  });

  it('says nothing more after a commit that was refused for its epoch, but that it is elsewhere', async () => {
    const rig = openRig();
    rig.store.answers.push({ is: 'refused', why: 'epoch' });
    const [first, second] = await within(rig, () => Promise.all([rig.ask({ type: 'add', effects: [tell('hello')] } as never), rig.ask({ type: 'get' })]));
    expect([reason(first), reason(second), rig.told, rig.gone]).toEqual(['route.moved', 'route.moved', ['commit'], 1]);
  });

  it('says nothing after a commit during which its shard was lost, and answers that it is elsewhere', async () => {
    const rig = openRig();
    rig.store.committing = async () => void (rig.epoch = undefined);
    const answer = await within(rig, () => rig.ask({ type: 'add', effects: [tell('hello')] } as never));
    expect([reason(answer), rig.told, rig.gone]).toEqual(['route.moved', ['commit'], 1]);
  });

  it('that was discarded during a commit does nothing more, although its shard came back under the same epoch', async () => {
    const rig = openRig();
    rig.store.committing = async () => rig.actor.discard(new Fault('unavailable', 'route.moved', 'x'));
    const answer = await within(rig, () => rig.ask({ type: 'add', effects: [tell('hello')] } as never));
    expect([reason(answer), rig.told, rig.gone]).toEqual(['route.moved', ['commit'], 1]);
  });

  for (const outcome of [{ is: 'unknown' } as const, { is: 'refused', why: 'version' } as const]) {
    it(`after a commit that was ${outcome.is} forgets, loads, and lets recover go on from the row`, async () => {
      const rig = openRig();
      rig.store.rows.set('counter/1', { record: { count: 5, open: true, commands: [] }, version: 3, revision: 3 });
      rig.store.answers.push(outcome);
      const first = await within(rig, () => rig.ask({ type: 'add', effects: [tell('hello')] } as never));
      expect(reason(first)).toBe('route.moved');
      const second = await within(rig, () => rig.ask({ type: 'add' }));
      expect(count(second)).toBe(6);
      expect(rig.told).toEqual(['tell other/1 resumed', 'commit', 'tell other/1 resumed', 'commit']);
    });
  }

  it('loads again and again until the store is back when something may be open there', async () => {
    const rig = openRig();
    rig.store.rows.set('counter/1', { record: { count: 5, open: true, commands: [] }, version: 3, revision: 3 });
    rig.store.answers.push({ is: 'unknown' });
    await within(rig, () => rig.ask({ type: 'add' }));
    rig.told.length = 0;
    rig.store.away = 3;
    rig.store.answers.push({ is: 'unknown' });
    await within(rig, async () => {
      await rig.ask({ type: 'add' });
      await rig.world.clock.sleep(5_000);
    });
    expect([rig.told.at(-1), rig.gone]).toEqual(['tell other/1 resumed', 0]);
  });

  it('that cannot be loaded leaves memory when somebody only asked, who is told so', async () => {
    const rig = openRig();
    rig.store.away = 1;
    expect(reason(await within(rig, () => rig.ask({ type: 'get' })))).toBe('route.moved');
    expect(rig.gone).toBe(1);
  });

  it('does a command once, however often it is asked, in a later activation too', async () => {
    const rig = openRig();
    const asked = await within(rig, async () => [
      await rig.ask({ type: 'add' }, 'c1'),
      await rig.ask({ type: 'add' }, 'c1'),
      await rig.ask({ type: 'add' }, 'c2'),
    ]);
    expect(asked.map(count)).toEqual([1, 1, 2]);
    const later = openRig();
    for (const [address, row] of rig.store.rows) later.store.rows.set(address, row);
    expect(count(await within(later, () => later.ask({ type: 'add' }, 'c1')))).toBe(2);
  });

  it('of which the outcome is unknown does a command that was stored no second time', async () => {
    const rig = openRig();
    rig.store.committing = async () => {
      rig.store.committing = undefined;
      rig.store.rows.set('counter/1', { record: { count: 1, open: false, commands: [{ id: 'c1', atMs: rig.world.clock.wallMs() }] }, version: 1, revision: 1 });
      rig.store.answers.push({ is: 'unknown' });
    };
    const [first, second] = await within(rig, async () => [await rig.ask({ type: 'add' }, 'c1'), await rig.ask({ type: 'add' }, 'c1')]);
    expect([reason(first), count(second)]).toEqual(['route.moved', 1]);
  });

  it('remembers a command for two minutes, longer than any ask tries, and the newest ones whatever the clock says', async () => {
    const rig = openRig();
    const counted = (): number => (rig.store.rows.get('counter/1')?.record as { count: number }).count;
    await within(rig, () => rig.ask({ type: 'add' }, 'c1'));
    await within(rig, async () => {
      await rig.world.clock.sleep(COMMAND_MEMORY_MS + 1);
      await rig.ask({ type: 'add' }, 'c1');
      expect(counted()).toBe(1);
      for (const id of ['c2', 'c3', 'c4']) await rig.ask({ type: 'add' }, id);
      await rig.ask({ type: 'add' }, 'c3');
      expect(counted()).toBe(4);
      await rig.ask({ type: 'add' }, 'c1');
    });
    expect(counted()).toBe(5);
  });

  it('decides once on a refusal of a rule', async () => {
    const rig = openRig();
    rig.store.answers.push({ is: 'refused', why: 'full' });
    expect(await within(rig, () => rig.ask({ type: 'add' }))).toEqual({ ok: true, value: 'refused full' });
  });

  it('takes no more than its inbox holds, and says so at once', async () => {
    const rig = openRig();
    const answers = await within(rig, () => Promise.all(Array.from({ length: 7 }, () => rig.ask({ type: 'add' }))));
    expect(answers.map((answer) => answer.ok)).toEqual([true, true, true, true, false, false, false]);
  });
});

describe('an activation that crashes', () => {
  it('answers internal, does not repeat the message, and goes on from its row', async () => {
    const rig = openRig();
    const [boom, add] = await within(rig, () => Promise.all([rig.ask({ type: 'boom' }), rig.ask({ type: 'add' })]));
    expect([reason(boom), count(add), rig.told]).toEqual(['internal', 1, ['actor crashed', 'commit']]);
  });

  it('too often gives up what is open, once, and answers from then on', async () => {
    const rig = openRig();
    rig.store.rows.set('counter/1', { record: { count: 5, open: true, commands: [] }, version: 3, revision: 3 });
    await within(rig, async () => {
      for (let i = 0; i <= CRASH_LIMIT; i++) await rig.ask({ type: 'boom' });
      expect(count(await rig.ask({ type: 'get' }))).toBe(-1);
    });
    expect(rig.told.filter((one) => one === 'actor gives up what is open').length).toBe(1);
  });

  it('now and then does not give up', async () => {
    const rig = openRig();
    await within(rig, async () => {
      for (let i = 0; i < 3 * CRASH_LIMIT; i++) {
        await rig.ask({ type: 'boom' });
        await rig.world.clock.sleep(20_000);
      }
    });
    expect(rig.told).not.toContain('actor gives up what is open');
  });

  it('lets those whose answers it held back ask again', async () => {
    const rig = openRig();
    const [held] = await within(rig, () => Promise.all([rig.ask({ type: 'hold' }), rig.ask({ type: 'boom' })]));
    expect(reason(held)).toBe('route.moved');
  });
});

describe('effects', () => {
  it('bring answers back as messages, and those of a state that is gone are ignored', async () => {
    const rig = openRig();
    const late = Promise.withResolvers<unknown>();
    rig.replies.set('question', late.promise);
    await within(rig, async () => {
      await rig.ask({ type: 'add', effects: [{ do: 'ask', to: 'other/1', message: { type: 'question' }, as: 'boom', tag: 't', timeoutMs: 1_000 }] } as never);
      await rig.ask({ type: 'boom' });
      late.resolve('answer');
      await rig.world.clock.sleep(10);
    });
    expect(rig.told.filter((one) => one === 'actor crashed').length).toBe(1);
  });

  it('call off asks and jobs by their tag, and with the state', async () => {
    const rig = openRig();
    const ask = (type: string, tag: string): Effect => ({ do: 'ask', to: 'other/1', message: { type }, as: 'do', tag, timeoutMs: 9_000 });
    await within(rig, async () => {
      await rig.ask({ type: 'add', effects: [ask('first', 'a'), ask('second', 'b')] } as never);
      await rig.ask({ type: 'add', effects: [{ do: 'abort', tag: 'a' }] } as never);
      expect(rig.told).toContain('called off first');
      expect(rig.told).not.toContain('called off second');
      await rig.ask({ type: 'boom' });
    });
    expect(rig.told).toContain('called off second');
  });

  it('end a job that takes longer than its limit', async () => {
    const rig = openRig();
    await within(rig, async () => {
      await rig.ask({ type: 'add', effects: [{ do: 'perform', job: 'hang', args: {}, as: 'boom', tag: 't', timeoutMs: 3_000 }] } as never);
      await rig.world.clock.sleep(2_999);
      expect(rig.told).toEqual(['commit']);
      await rig.world.clock.sleep(2);
    });
    expect(rig.told).toEqual(['commit', 'actor crashed']);
  });

  it('wake once per tag: a later wake takes the place of the earlier, and sleep takes it back', async () => {
    const rig = openRig();
    const wake = (inMs: number, tag: string): Effect => ({ do: 'wake', inMs, message: { type: 'boom' }, tag });
    await within(rig, async () => {
      await rig.ask({ type: 'add', effects: [wake(10, 'a'), wake(50, 'a'), wake(10, 'b'), { do: 'sleep', tag: 'b' }] } as never);
      await rig.world.clock.sleep(40);
      expect(rig.told).toEqual(['commit']);
      await rig.world.clock.sleep(20);
    });
    expect(rig.told).toEqual(['commit', 'actor crashed']);
  });

  it('keep an actor in memory while something of it is under way', async () => {
    const rig = openRig();
    await within(rig, async () => {
      await rig.ask({ type: 'add', effects: [{ do: 'wake', inMs: 100, message: { type: 'get' }, tag: 'w' }] } as never);
      await rig.world.clock.sleep(1);
      expect(rig.actor.isIdle).toBe(false);
      await rig.world.clock.sleep(200);
      expect(rig.actor.isIdle).toBe(true);
      await rig.ask({ type: 'open' });
      await rig.world.clock.sleep(1);
      expect(rig.actor.isIdle).toBe(false);
    });
  });
});
