/** The part of the store's suite about servers that move: two claims, one active; use of the larger size; migrations. */
import { describe, expect, it } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import type { ClaimChange } from '../../actors/model/commit.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import type { MigrationWrite } from '../../actors/model/migration.ts';
import { quotaDelta } from '../../actors/model/between.ts';
import { after, building, commit, orderOf, create, placedOn, startHost, type Change, type StoreRig } from './store-rig.ts';

const NEED = { vcpus: 1, memoryMiB: 512, diskGiB: 1 };

export function storeMovesContract(now: () => { rig: StoreRig; store: CellStore }): void {
  /** A server on h1, and h2 beside it. */
  async function onFirst(): Promise<Stored<InstanceRecord>> {
    const { store } = now();
    const { epoch } = await startHost(store, 'h1');
    await startHost(store, 'h2');
    const [server] = await create(store, [1]);
    const placing = placedOn(server!, 'h1', epoch, '10.20.0.5');
    return after(server!, placing, await commit(store, server!, placing));
  }
  const write = async (server: Stored<InstanceRecord>, record: Partial<InstanceRecord>, parts: NonNullable<Change['parts']>) => {
    const change: Change = { record, parts };
    const answer = await commit(now().store, server, change);
    return { answer, server: answer.is === 'done' ? after(server, change, answer) : server };
  };
  const standby = (generation = 2): ClaimChange => ({ op: 'add', generation, host: 'h2', hostEpoch: 1, need: NEED, standby: true });
  const roles = async () => (await now().rig.dump()).claims.map((claim) => `${claim.host}/${claim.generation} ${claim.role}`);

  describe('a server that moves (P3, P4)', () => {
    it('holds a claim beside the active one, and both count', async () => {
      const { answer } = await write(await onFirst(), {}, { claims: [standby()] });
      expect(answer.is).toBe('done');
      expect(await roles()).toEqual(['h1/1 active', 'h2/2 standby']);
      expect((await now().rig.dump()).hosts).toMatchObject([
        { name: 'h1', claims: 1 },
        { name: 'h2', claims: 1 },
      ]);
    });

    it('swaps its claims in one commit, and swaps them back while the other one goes', async () => {
      const moving = await write(await onFirst(), {}, { claims: [standby()] });
      const there = await write(moving.server, { host: 'h2', generation: 2 }, { claims: [{ op: 'activate', generation: 2, host: 'h2' }] });
      expect([there.answer.is, await roles()]).toEqual(['done', ['h1/1 standby', 'h2/2 active']]);
      const back = await write(
        there.server,
        { host: 'h1', generation: 1 },
        {
          claims: [
            { op: 'drop', generation: 2 },
            { op: 'activate', generation: 1, host: 'h1' },
          ],
        },
      );
      expect([back.answer.is, await roles()]).toEqual(['done', ['h1/1 active']]);
    });

    it('is not swapped to a claim that is not beside the active one, nor to one of another host: nothing changes', async () => {
      const moving = await write(await onFirst(), {}, { claims: [standby()] });
      const before = await now().rig.dump();
      for (const claim of [
        { op: 'activate', generation: 3, host: 'h2' },
        { op: 'activate', generation: 2, host: 'h1' },
        { op: 'activate', generation: 1, host: 'h1' },
      ] as const) {
        expect((await write(moving.server, {}, { claims: [claim] })).answer).toEqual({ is: 'refused', why: 'claimGone' });
      }
      expect(await now().rig.dump()).toEqual(before);
    });

    it('leaves a silent destination for the place that it kept only with proof', async () => {
      const moving = await write(await onFirst(), {}, { claims: [standby()] });
      const there = await write(moving.server, { host: 'h2', generation: 2 }, { claims: [{ op: 'activate', generation: 2, host: 'h2' }] });
      const claims: ClaimChange[] = [
        { op: 'evacuate', generation: 2, host: 'h2' },
        { op: 'activate', generation: 1, host: 'h1' },
      ];
      expect((await write(there.server, { host: 'h1', generation: 1 }, { claims })).answer).toEqual({ is: 'refused', why: 'hostNotProved' });
      await now().store.hostProve({ host: 'h2', epoch: 1, mark: null, proof: 'fence' });
      expect((await write(there.server, { host: 'h1', generation: 1 }, { claims })).answer.is).toBe('done');
      expect(await roles()).toEqual(['h1/1 active', 'h2/2 doomed']);
    });

    it('grows only into what its quota leaves, to the last core, and shrinks always', async () => {
      const server = await onFirst();
      const grow = (from: Stored<InstanceRecord>, vcpus: number) => {
        const flavor = { ...server.record.flavor, vcpus };
        const after = { ...from.record, flavor };
        return write(from, { flavor }, { quota: quotaDelta(from.record, after) });
      };
      expect((await grow(server, 21)).answer).toEqual({ is: 'refused', why: 'quota' });
      const full = await grow(server, 20);
      expect(full.answer.is).toBe('done');
      expect((await grow(full.server, 21)).answer).toEqual({ is: 'refused', why: 'quota' });
      // An order in the same batch is not let into what is taken, nor into what is only just given back.
      const [shrunk, order] = await Promise.all([grow(full.server, 1), now().store.accept(orderOf([building(7)]))]);
      expect([shrunk.answer.is, order.is]).toEqual(['done', 'overQuota']);
    });

    it('writes the record of its migration with the commit, anew and changed, and not when it is refused', async () => {
      const server = await onFirst();
      const migration: MigrationWrite = {
        uuid: '00000000-0000-4000-8000-0000000000aa',
        type: 'resize',
        status: 'migrating',
        source: 'h1',
        dest: null,
        oldFlavorId: '1',
        newFlavorId: '2',
        userId: 'ann',
        projectId: 'blue',
        createdAt: '2026-11-22T10:00:00.000Z',
        updatedAt: '2026-11-22T10:00:00.000Z',
        progress: null,
      };
      const begun = await write(server, {}, { migration });
      const done = await write(begun.server, {}, { migration: { ...migration, status: 'finished', dest: 'h2', updatedAt: '2026-11-22T10:01:00.000Z' } });
      await write(done.server, {}, { claims: [{ op: 'activate', generation: 9, host: 'h1' }], migration: { ...migration, status: 'error' } });
      const { migrations } = await now().rig.dump();
      expect(migrations).toMatchObject([{ uuid: migration.uuid, status: 'finished', source: 'h1', dest: 'h2', instanceId: server.record.id }]);
    });
  });
}
