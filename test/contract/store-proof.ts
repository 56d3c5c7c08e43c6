/** The part of the store's suite about hosts that are silent: beats, proofs, and what an evacuation may take (P3). */
import { describe, expect, it } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import { beatKey } from '../../actors/conductor/standings.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import { after, commit, create, deletion, placedOn, startHost, type Change, type StoreRig } from './store-rig.ts';

export function storeProofContract(now: () => { rig: StoreRig; store: CellStore }): void {
  /** A server on h1, and h2 beside it. */
  async function onFirst(): Promise<Stored<InstanceRecord>> {
    const { store } = now();
    const { epoch } = await startHost(store, 'h1');
    await startHost(store, 'h2');
    const [server] = await create(store, [1]);
    const placing = placedOn(server!, 'h1', epoch, '10.20.0.5');
    return after(server!, placing, await commit(store, server!, placing));
  }
  const prove = (epoch: number, mark: string | null = null, host = 'h1') => now().store.hostProve({ host, epoch, mark, proof: 'fence' });
  const standing = async (host = 'h1') => (await now().store.hostStanding(host))!;
  function evacuation(server: Stored<InstanceRecord>, host = 'h2', hostEpoch = 1): Change {
    const moving = placedOn(server, host, hostEpoch);
    const left = { op: 'evacuate' as const, generation: server.record.generation, host: server.record.host ?? '' };
    return { ...moving, parts: { ...moving.parts, claims: [left, ...(moving.parts?.claims ?? [])] } };
  }

  describe('a silent host (P3)', () => {
    it('is left behind in one commit that dooms the old claim and takes the new one, and keeps the address', async () => {
      const { store, rig } = now();
      const server = await onFirst();
      expect(await prove(1)).toBe(true);
      expect(await commit(store, server, evacuation(server))).toMatchObject({ is: 'done' });
      const { claims, fixedIps, hosts } = await rig.dump();
      expect(claims).toMatchObject([
        { host: 'h1', generation: 1, role: 'doomed' },
        { host: 'h2', generation: 2, role: 'active' },
      ]);
      expect(fixedIps).toMatchObject([{ address: '10.20.0.5' }]);
      expect(hosts).toMatchObject([
        { name: 'h1', claims: 1 },
        { name: 'h2', claims: 1 },
      ]);
    });

    it('without proof is not left behind, and nothing changes', async () => {
      const { store, rig } = now();
      const server = await onFirst();
      const before = await rig.dump();
      expect(await commit(store, server, evacuation(server))).toEqual({ is: 'refused', why: 'hostNotProved' });
      expect(await rig.dump()).toEqual(before);
    });

    it('that came back in between wins: its start ends what was proved', async () => {
      const { store } = now();
      const server = await onFirst();
      await prove(1);
      expect(await startHost(store, 'h1')).toMatchObject({ epoch: 3, claims: [{ generation: 1, role: 'active' }] });
      expect(await standing()).toMatchObject({ proof: null, epoch: 3 });
      expect(await commit(store, server, evacuation(server))).toEqual({ is: 'refused', why: 'hostNotProved' });
    });

    it('is not left behind on the proof of another host', async () => {
      const { store } = now();
      const server = await onFirst();
      await prove(1, null, 'h2');
      expect(await commit(store, server, { ...evacuation(server, 'h2', 2) })).toEqual({ is: 'refused', why: 'hostNotProved' });
    });

    it('refuses an evacuation to a full or newly begun host, and the old claim stays as it was', async () => {
      const { store, rig } = now();
      const server = await onFirst();
      await prove(1);
      const { epoch } = await startHost(store, 'h3', { vcpus: 0, memoryMiB: 0, diskGiB: 0 });
      expect(await commit(store, server, evacuation(server, 'h3', epoch))).toEqual({ is: 'refused', why: 'hostFull' });
      expect(await commit(store, server, evacuation(server, 'h2', 9))).toEqual({ is: 'refused', why: 'hostEpoch' });
      expect((await rig.dump()).claims).toMatchObject([{ host: 'h1', role: 'active' }]);
    });

    it('of an evacuation and a delete in one batch the first is taken alone', async () => {
      const { store } = now();
      const server = await onFirst();
      await prove(1);
      const answers = await Promise.all([commit(store, server, deletion(server, 'doom')), commit(store, server, evacuation(server))]);
      expect(answers).toMatchObject([{ is: 'done' }, { is: 'refused', why: 'version' }]);
    });

    it('gives a claim on it to nobody once it is proved dead: its epoch has ended', async () => {
      const { store } = now();
      await onFirst();
      const [server] = await create(store, [2]);
      await prove(1);
      expect(await commit(store, server!, placedOn(server!, 'h1', 1))).toEqual({ is: 'refused', why: 'hostEpoch' });
    });

    it('is proved only as it was seen: not after it has started, nor after a beat when its beat was the evidence', async () => {
      const { store } = now();
      await startHost(store, 'h1');
      const { mark, epoch } = await standing();
      await store.hostBeats([{ host: 'h1', epoch }]);
      expect(await prove(epoch, mark)).toBe(false);
      expect(await prove(epoch + 1)).toBe(false);
      expect(await standing()).toMatchObject({ proof: null, epoch });
      expect(await prove(epoch, (await standing()).mark)).toBe(true);
      expect(await standing()).toMatchObject({ proof: 'fence', epoch: epoch + 1 });
      expect(await prove(epoch)).toBe(false);
    });

    it('is heard while its epoch is the newest, and never after a proof', async () => {
      const { store } = now();
      const { epoch } = await startHost(store, 'h1');
      const before = await standing();
      expect(
        await store.hostBeats([
          { host: 'h1', epoch },
          { host: 'nobody', epoch: 1 },
        ]),
      ).toEqual(new Set([beatKey('h1', epoch)]));
      expect((await standing()).mark).not.toBe(before.mark);
      await prove(epoch);
      const proved = await standing();
      expect(await store.hostBeats([{ host: 'h1', epoch }])).toEqual(new Set());
      expect(await standing()).toEqual({ ...proved, silentMs: expect.any(Number) });
      const again = await startHost(store, 'h1');
      expect(await store.hostBeats([epoch, again.epoch].map((one) => ({ host: 'h1', epoch: one })))).toEqual(new Set([beatKey('h1', again.epoch)]));
    });

    it('is watched by a guard in the life that said so, until that life says goodbye', async () => {
      const { store } = now();
      const { epoch } = await startHost(store, 'h1', undefined, 15_000);
      expect(await standing()).toMatchObject({ selfFenceMs: 15_000 });
      await store.hostLeave('h1', epoch + 1);
      expect(await standing()).toMatchObject({ selfFenceMs: 15_000 });
      await store.hostLeave('h1', epoch);
      expect(await standing()).toMatchObject({ selfFenceMs: null });
      await startHost(store, 'h1', undefined, 15_000);
      await startHost(store, 'h1');
      expect(await standing()).toMatchObject({ selfFenceMs: null });
    });

    it('has the servers whose active claim is there, and no others', async () => {
      const { store } = now();
      const server = await onFirst();
      const [other] = await create(store, [2]);
      await commit(store, other!, placedOn(other!, 'h2', 1));
      expect(await store.serversOn('h1', 9)).toEqual([{ id: server.record.id, vmState: 'building', launched: false, operation: 'create', moved: false }]);
      await prove(1);
      await commit(store, server, evacuation(server));
      expect(await store.serversOn('h1', 9)).toEqual([]);
      expect((await store.serversOn('h2', 9)).length).toBe(2);
      expect((await store.serversOn('h2', 1)).length).toBe(1);
    });
  });
}
