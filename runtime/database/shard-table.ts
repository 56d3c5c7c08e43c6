/**
 * Shard rows: who owns a shard and under which epoch. Every change of owner raises the epoch, by compare-and-set, after
 * taking the cell's row, so that no commit of the former owner can follow it (P1).
 */
import type { Session } from './open.ts';

export type OwnedShard = { readonly shard: number; readonly epoch: number };

export type ShardTable = {
  /** Takes every shard that is free or belongs to the named former owner (a boot that is proved to be over). */
  take(owner: string, boot: string, from: { readonly owner: string } | null): Promise<OwnedShard[]>;
  owned(owner: string, boot: string): Promise<OwnedShard[]>;
  /** Gives all back: the next owner need not wait for a lease to end. */
  giveUp(owner: string, boot: string): Promise<void>;
};

export function shardTable(session: Session): ShardTable {
  const read = async (name: string, text: string, values: unknown[]): Promise<OwnedShard[]> => {
    const { rows } = await session.run<{ id: number; epoch: string }>(name, text, values);
    return rows.map((row) => ({ shard: row.id, epoch: Number(row.epoch) }));
  };
  return {
    take: (owner, boot, from) => read('shard-take', TAKE, [owner, boot, from?.owner ?? null]),
    owned: (owner, boot) => read('shard-owned', 'select id, epoch from shard where owner = $1 and boot = $2', [owner, boot]),
    async giveUp(owner, boot) {
      await session.run('shard-give-up', GIVE_UP, [owner, boot]);
    },
  };
}

const TAKE = `with cell_row as (select revision from cell for update)
  update shard set owner = $1, boot = $2, epoch = epoch + 1 from cell_row
  where owner is null or owner = $3 returning id, epoch`;
const GIVE_UP = `with cell_row as (select revision from cell for update)
  update shard set owner = null, boot = null, epoch = epoch + 1 from cell_row where owner = $1 and boot = $2`;
