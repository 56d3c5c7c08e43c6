import { describe, expect, it } from 'vitest';
import { Fault } from '../../../runtime/base/fault.ts';
import { OutcomeUnknown, WriteBatch } from '../../../runtime/database/batch.ts';

type Setup = { run: (items: readonly number[]) => Promise<readonly number[]>; maxSize?: number; maxWaiting?: number; sizeOf?: (item: number) => number };

function open({ run, maxSize = 100, maxWaiting = 100, sizeOf = () => 1 }: Setup) {
  const flights: (readonly number[])[] = [];
  const poison: number[] = [];
  const batch = new WriteBatch<number, number>({
    maxSize,
    maxWaiting,
    sizeOf,
    onPoison: (item) => void poison.push(item),
    run: (items) => {
      flights.push(items);
      return run(items);
    },
  });
  return { batch, flights, poison };
}

const twice = async (items: readonly number[]) => items.map((item) => 2 * item);
const ends = async (writes: readonly Promise<number>[]) =>
  (await Promise.allSettled(writes)).map((end) => (end.status === 'fulfilled' ? end.value : (end.reason as Error).name));

describe('a write batch', () => {
  it('carries all that is ready at once in one flight, and answers each with its own answer', async () => {
    const { batch, flights } = open({ run: twice });
    expect(await Promise.all([1, 2, 3].map((item) => batch.write(item)))).toEqual([2, 4, 6]);
    expect(flights).toEqual([[1, 2, 3]]);
  });

  it('has one flight in the air, and the next one takes all that came meanwhile', async () => {
    let inTheAir = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    const { batch, flights } = open({
      run: async (items) => {
        most = Math.max(most, ++inTheAir);
        await gate.promise;
        inTheAir -= 1;
        return twice(items);
      },
    });
    const first = batch.write(1);
    await new Promise((resolve) => setImmediate(resolve));
    const rest = [2, 3, 4].map((item) => batch.write(item));
    gate.resolve();
    expect(await Promise.all([first, ...rest])).toEqual([2, 4, 6, 8]);
    expect([flights, most]).toEqual([[[1], [2, 3, 4]], 1]);
  });

  it('is no larger than it may be, but carries an item that alone is larger', async () => {
    const { batch, flights } = open({ run: twice, maxSize: 5, sizeOf: (item) => item });
    await Promise.all([2, 2, 2, 9, 1].map((item) => batch.write(item)));
    expect(flights).toEqual([[2, 2, 2], [9], [1]]);
  });

  it('refuses at once what would wait in a full line, and goes on with the rest (P8)', async () => {
    const { batch } = open({ run: twice, maxWaiting: 2 });
    const writes = [1, 2, 3].map((item) => batch.write(item));
    await expect(writes[2]).rejects.toMatchObject({ code: 'overloaded' });
    expect(await Promise.all(writes.slice(0, 2))).toEqual([2, 4]);
    expect(await batch.write(4)).toBe(8);
  });

  it('is split until the item that the store cannot take stands alone; its neighbours are stored once', async () => {
    const stored: number[] = [];
    const { batch, poison } = open({
      run: async (items) => {
        if (items.includes(5)) throw new Error('a constraint');
        stored.push(...items);
        return twice(items);
      },
    });
    expect(await ends([1, 2, 3, 4, 5, 6, 7].map((item) => batch.write(item)))).toEqual([2, 4, 6, 8, 'Error', 12, 14]);
    expect([poison, stored]).toEqual([[5], [1, 2, 3, 4, 6, 7]]);
  });

  it('tells all of a flight whose outcome nobody knows just that, and flies on', async () => {
    let flight = 0;
    const { batch, flights } = open({
      run: async (items) => {
        if (++flight === 1) throw new OutcomeUnknown(new Error('cut'));
        return twice(items);
      },
    });
    expect(await ends([batch.write(1), batch.write(2)])).toEqual(['OutcomeUnknown', 'OutcomeUnknown']);
    expect([await batch.write(3), flights.length]).toEqual([6, 2]);
  });

  it('does not split for a store that is away', async () => {
    const { batch, flights, poison } = open({ run: () => Promise.reject(new Fault('unavailable', 'store.away', 'away')) });
    expect(await ends([1, 2, 3, 4].map((item) => batch.write(item)))).toEqual(['Fault', 'Fault', 'Fault', 'Fault']);
    expect([flights.length, poison]).toEqual([1, []]);
  });

  it('of which one half is unknown still stores the other', async () => {
    const { batch } = open({
      run: async (items) => {
        if (items.length > 1 && items.includes(1)) throw new Error('split me');
        if (items.includes(1)) throw new OutcomeUnknown(new Error('cut'));
        return twice(items);
      },
    });
    expect(await ends([batch.write(1), batch.write(2)])).toEqual(['OutcomeUnknown', 4]);
  });

  it('that closes stores what it has accepted and takes nothing more', async () => {
    const { batch, flights } = open({ run: twice, maxSize: 1 });
    const writes = [1, 2].map((item) => batch.write(item));
    const closing = batch.close();
    await expect(batch.write(3)).rejects.toMatchObject({ reason: 'store.closed' });
    await closing;
    expect([await Promise.all(writes), flights.length]).toEqual([[2, 4], 2]);
  });
});
