/**
 * A random sequence of batches and of steps between them, played on two stores: the answers and the final content
 * must be the same. A step of a batch goes out together with its neighbours, so that both stores see the same batches.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import { uuidOf } from '../actors/conductor/rows.ts';
import { after, broken, building, commit, deletion, NETWORK, orderOf, placedOn, startHost, type CellDump, type Change, type StoreRig } from './store-rig.ts';

type Write =
  | {
      readonly do: 'order';
      readonly project: string;
      readonly user: string;
      readonly count: number;
      readonly least: number;
      readonly key: string | null;
      readonly group: string | null;
      readonly body: string;
    }
  | { readonly do: 'place'; readonly server: number; readonly host: string; readonly oldEpoch: boolean; readonly address: number | null }
  | { readonly do: 'delete'; readonly server: number; readonly op: 'drop' | 'doom' }
  | { readonly do: 'rename'; readonly server: number; readonly oldEpoch: boolean; readonly oldVersion: boolean }
  | { readonly do: 'spoil'; readonly server: number };
type Alone = 'take' | 'host' | 'confirm' | 'limit' | 'prove';
type Step = { readonly writes: readonly Write[] } | { readonly alone: Alone; readonly pick: number };

const GROUPS = (['affinity', 'anti-affinity', 'anti-affinity'] as const).map((policy, nth) => {
  const group = { id: uuidOf(600_000 + nth), projectId: 'blue', userId: 'ann', name: policy, policy };
  return { ...group, perHost: nth === 2 ? 2 : null };
});

const flag = (): fc.Arbitrary<boolean> => fc.integer({ min: 0, max: 9 }).map((n) => n === 0);
const server = (): fc.Arbitrary<number> => fc.nat(8);
const write = (): fc.Arbitrary<Write> =>
  fc.oneof(
    fc.record({
      do: fc.constant('order' as const),
      project: fc.constantFrom('blue', 'red'),
      user: fc.constantFrom('ann', 'bob'),
      count: fc.integer({ min: 1, max: 3 }),
      least: fc.integer({ min: 1, max: 3 }),
      key: fc.constantFrom(null, null, 'k1', 'k2'),
      group: fc.constantFrom(null, null, ...GROUPS.map(({ id }) => id), uuidOf(600_009)),
      body: fc.constantFrom('one', 'two'),
    }),
    fc.record({
      do: fc.constant('place' as const),
      server: server(),
      host: fc.constantFrom('h1', 'h2', 'h3'),
      oldEpoch: flag(),
      address: fc.option(fc.integer({ min: 2, max: 7 })),
    }),
    fc.record({ do: fc.constant('delete' as const), server: server(), op: fc.constantFrom('drop' as const, 'doom' as const) }),
    fc.record({ do: fc.constant('rename' as const), server: server(), oldEpoch: flag(), oldVersion: flag() }),
    fc.record({ do: fc.constant('spoil' as const), server: server() }),
  );
export const script = (): fc.Arbitrary<readonly Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ writes: fc.array(write(), { minLength: 1, maxLength: 8 }) }) },
      { weight: 1, arbitrary: fc.record({ alone: fc.constantFrom<Alone>('take', 'host', 'confirm', 'limit', 'prove'), pick: fc.nat(8) }) },
    ),
    { minLength: 3, maxLength: 18 },
  );

export type Played = { readonly answers: readonly unknown[]; readonly dump: CellDump };

/** Plays a script on an empty cell. */
export async function play(rig: StoreRig, steps: readonly Step[]): Promise<Played> {
  const store = await rig.open();
  const player = new Player(rig, store);
  await rig.addNetwork(NETWORK);
  for (const group of GROUPS) await rig.addGroup(group);
  await player.alone('take', 0);
  for (const host of ['h1', 'h2']) await player.start(host);
  const answers: unknown[] = [];
  for (const step of steps)
    answers.push('writes' in step ? await Promise.all(step.writes.map((one) => player.write(one))) : await player.alone(step.alone, step.pick));
  const dump = await rig.dump();
  await store.close();
  return { answers, dump };
}

export function expectSame(found: Played, wanted: Played): void {
  expect(found.answers).toEqual(wanted.answers);
  expect(found.dump).toEqual(wanted.dump);
  expect(broken(found.dump)).toEqual([]);
}

class Player {
  readonly #rig: StoreRig;
  readonly #store: CellStore;
  readonly #servers: Stored<InstanceRecord>[] = [];
  readonly #hosts = new Map<string, number>();
  #epoch = 0;
  #made = 0;

  constructor(rig: StoreRig, store: CellStore) {
    this.#rig = rig;
    this.#store = store;
  }

  async start(host: string): Promise<number> {
    const { epoch } = await startHost(this.#store, host, { vcpus: 4, memoryMiB: 4_096, diskGiB: 100 });
    this.#hosts.set(host, epoch);
    return epoch;
  }

  async alone(what: Alone, pick: number): Promise<unknown> {
    switch (what) {
      case 'take':
        return (this.#epoch = await this.#rig.take());
      case 'host':
        return this.start(pick % 2 === 0 ? 'h1' : 'h2');
      case 'limit':
        return this.#rig.setLimit(
          'blue',
          pick % 2 === 0 ? '' : 'ann',
          pick < 5 ? { instances: pick } : { fixed_ips: pick - 5, server_group_members: pick - 5 },
        );
      case 'prove': {
        const host = pick % 2 === 0 ? 'h1' : 'h2';
        return this.#store.hostProve({ host, epoch: this.#hosts.get(host) ?? 0, mark: null, proof: 'fence' });
      }
      case 'confirm': {
        const claims = (await this.#rig.dump()).claims;
        const claim = claims[pick % Math.max(1, claims.length)];
        return claim && this.#store.hostConfirmGone(claim.host, claim.instanceId, claim.generation);
      }
    }
  }

  async write(one: Write): Promise<unknown> {
    if (one.do === 'order') return this.#order(one);
    const index = one.server % Math.max(1, this.#servers.length);
    const before = this.#servers[index];
    if (!before) return 'nothing';
    const change = this.#change(before, one);
    const answer = await commit(this.#store, before, change);
    if (answer.is === 'done') this.#servers[index] = after(before, change, answer);
    return answer.is === 'broken' ? 'broken' : answer;
  }

  #change(before: Stored<InstanceRecord>, one: Exclude<Write, { do: 'order' }>): Change {
    const epoch = this.#epoch;
    if (before.record.deleted && one.do !== 'spoil') return { epoch };
    switch (one.do) {
      case 'place': {
        const address = one.address === null ? undefined : `10.20.0.${one.address}`;
        return { epoch, ...placedOn(before, one.host, (this.#hosts.get(one.host) ?? 1) - Number(one.oldEpoch), address) };
      }
      case 'delete':
        return { epoch, ...deletion(before, one.op) };
      case 'rename':
        return {
          epoch: epoch - Number(one.oldEpoch),
          version: before.version - Number(one.oldVersion),
          record: { name: `name-${before.version}`, operation: null },
        };
      case 'spoil':
        return { epoch, record: { deleted: true, vmState: 'active' } };
    }
  }

  async #order(one: Extract<Write, { do: 'order' }>): Promise<unknown> {
    const { project: projectId, user: userId, count, least, key, group: id, body: bodyHash } = one;
    const records = Array.from({ length: count }, () => building((this.#made += 1), { projectId, userId, ...(id !== null && { group: { id } }) }));
    const order = orderOf(records, { minCount: Math.min(least, count), idempotency: key === null ? null : { key, bodyHash } });
    const answer = await this.#store.accept(order);
    if (answer.is === 'accepted') this.#servers.push(...answer.instances);
    return answer;
  }
}
