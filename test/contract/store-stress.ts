/** The part of the store's suite with several writers at once: whatever the interleaving, the sums are right. */
import { describe, expect, it } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import { seededRandom } from '../../runtime/base/random.ts';
import { uuidOf } from '../actors/conductor/rows.ts';
import { accepted, after, building, commit, deletion, orderOf, placedOn, startHost, type StoreRig } from './store-rig.ts';

export function storeStress(now: () => { rig: StoreRig; store: CellStore }): void {
  describe('two writers at once', () => {
    it('accept together exactly what the quota allows', async () => {
      const { rig, store } = now();
      const second = await rig.open();
      const nths = Array.from({ length: 40 }, (_, i) => i + 1);
      const answers = await Promise.all(nths.map((nth) => (nth % 2 === 0 ? store : second).accept(orderOf([building(nth)]))));
      expect(accepted(answers)).toBe(10);
      await second.close();
    });

    it('of one instance at one version win once', async () => {
      const { rig, store } = now();
      const second = await rig.open();
      const answer = await store.accept(orderOf([building(1)]));
      const [server] = answer.is === 'accepted' ? answer.instances : [];
      const answers = await Promise.all([store, second, store, second].map((writer) => commit(writer, server!, {})));
      expect(answers.map(({ is }) => is).sort()).toEqual(['done', 'refused', 'refused', 'refused']);
      await second.close();
    });

    it('create, place, doom, confirm and delete in any order: the sums agree and revisions have no gap', async () => {
      const { rig, store } = now();
      const writers = [store, await rig.open()];
      await rig.setLimit('blue', '', { instances: 30, cores: -1, ram: -1 });
      const hosts = ['h1', 'h2'];
      for (const host of hosts) await startHost(store, host);
      const random = seededRandom(7);
      const lives = Array.from({ length: 60 }, (_, i) => live(writers[i % 2]!, i + 1, hosts[i % 2]!, random.next()));
      const ends = await Promise.all(lives);
      expect(ends.filter((end) => end === 'gone').length).toBeGreaterThan(5);
      // What must hold is looked at after each case.
      await writers[1]!.close();
    });
  });
}

/** The short life of one server; says how far it came. */
async function live(store: CellStore, nth: number, host: string, chance: number): Promise<string> {
  const accepting = await store.accept(orderOf([building(nth)]));
  if (accepting.is !== 'accepted') return accepting.is;
  const [server] = accepting.instances;
  const placing = placedOn(server!, host, 1, `10.20.0.${nth + 10}`);
  const placed = await step(store, server!, placing);
  if (!placed) return 'full';
  if (chance < 0.2) return 'stays';
  const op = chance < 0.6 ? 'doom' : 'drop';
  if (!(await step(store, placed, deletion(placed, op)))) return 'stays';
  if (op === 'doom') await Promise.all([store.hostConfirmGone(host, uuidOf(nth), 1), store.hostConfirmGone(host, uuidOf(nth), 1)]);
  return 'gone';
}

async function step(store: CellStore, server: Stored<InstanceRecord>, change: Parameters<typeof commit>[2]): Promise<Stored<InstanceRecord> | undefined> {
  const answer = await commit(store, server, change);
  return answer.is === 'done' ? after(server, change, answer) : undefined;
}
