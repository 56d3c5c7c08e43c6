/**
 * Shard rows: who owns a shard and under which epoch. Every change of owner raises the epoch, by compare-and-set, after
 * taking the cell's row, so that no commit of the former owner can follow it (P1).
 */
import type { Session } from './open.ts';

export type OwnedShard = { readonly shard: number; readonly epoch: number };
export type ShardOwner = { readonly shard: number; readonly owner: string | null };

/** A former owner, exactly as it was seen: taking from it fails when its beat has moved since. */
export type FormerOwner = { readonly name: string; readonly boot: string; readonly beat: number };

export type ShardTable = {
  /** Takes what a former process of this very node held; a file lock proves that process to be dead. */
  takeBack(owner: string, boot: string): Promise<OwnedShard[]>;
  /** Takes at most so many free shards. */
  takeFree(owner: string, boot: string, max: number): Promise<OwnedShard[]>;
  /**
   * Takes at most so many shards of a node whose lease is over, if its beat still stands where it was seen. Of every boot
   * of it: it may have died before it took back what its former process had.
   */
  takeFrom(owner: string, boot: string, former: FormerOwner, max: number): Promise<OwnedShard[]>;
  owned(owner: string, boot: string): Promise<OwnedShard[]>;
  /** Who owns what, for finding the way. */
  owners(): Promise<ShardOwner[]>;
  /** Gives these back (all, when none are named): the next owner need not wait for a lease to end. */
  giveUp(owner: string, boot: string, shards?: readonly number[]): Promise<void>;
};

export function shardTable(session: Pick<Session, 'run'>): ShardTable {
  const read = async (name: string, text: string, values: unknown[]): Promise<OwnedShard[]> => {
    const { rows } = await session.run<{ id: number; epoch: string }>(name, text, values);
    return rows.map((row) => ({ shard: row.id, epoch: Number(row.epoch) }));
  };
  return {
    takeBack: (owner, boot) => read('shard-take-back', TAKE_BACK, [owner, boot]),
    takeFree: (owner, boot, max) => read('shard-take-free', TAKE_FREE, [owner, boot, max]),
    takeFrom: (owner, boot, former, max) => read('shard-take-from', TAKE_FROM, [owner, boot, max, former.name, former.boot, former.beat]),
    owned: (owner, boot) => read('shard-owned', 'select id, epoch from shard where owner = $1 and boot = $2', [owner, boot]),
    async owners() {
      const { rows } = await session.run<{ id: number; owner: string | null }>('shard-owners', 'select id, owner from shard', []);
      return rows.map((row) => ({ shard: row.id, owner: row.owner }));
    },
    async giveUp(owner, boot, shards) {
      await session.run('shard-give-up', GIVE_UP, [owner, boot, shards ?? null]);
    },
  };
}

/** First the cell's row, then the shards: the same order as every batch, so nothing can wait in a circle. */
const CELL = 'with cell_row as materialized (select revision from cell for update)';
const SET = 'update shard set owner = $1, boot = $2, epoch = shard.epoch + 1 from cell_row';

const TAKE_BACK = `${CELL} ${SET} where shard.owner = $1 and shard.boot is distinct from $2 returning id, epoch`;
const TAKE_FREE = `${CELL} ${SET} where shard.owner is null and shard.id in (select id from shard where owner is null order by id limit $3) returning id, epoch`;
/** The beat is looked at with a lock, after the cell's row was waited for: without one it would be the beat of before the wait. */
const TAKE_FROM = `${CELL},
  former as materialized (select node.name from node, cell_row where node.name = $4 and node.boot = $5 and node.beat = $6 for share of node)
  ${SET}
  where shard.owner = $4 and shard.id in (select id from shard where owner = $4 order by id limit $3)
    and exists (select from former)
  returning id, epoch`;
const GIVE_UP = `${CELL} update shard set owner = null, boot = null, epoch = shard.epoch + 1 from cell_row
  where shard.owner = $1 and shard.boot = $2 and ($3::integer[] is null or shard.id = any($3))`;
