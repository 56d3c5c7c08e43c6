/**
 * Node rows and their beats. A beat is a statement of its own on a connection of its own: it never takes the cell's
 * row and never waits behind commits. No wall clock decides anything: others see a beat move or not.
 */
import type { Session } from './open.ts';

export type NodeRow = {
  readonly name: string;
  readonly boot: string;
  readonly endpoint: string;
  readonly publicKey: string;
  readonly roles: readonly string[];
  readonly beat: number;
};

export type NodeTable = {
  /** Makes the row or takes it over with a new boot. */
  enter(row: Omit<NodeRow, 'beat'>): Promise<void>;
  /** Raises the beat of this boot; false when another boot has the row. */
  beat(name: string, boot: string): Promise<boolean>;
  all(): Promise<NodeRow[]>;
  leave(name: string, boot: string): Promise<void>;
};

export function nodeTable(session: Session): NodeTable {
  return {
    async enter(row) {
      await session.run('node-enter', ENTER, [row.name, row.boot, row.endpoint, row.publicKey, row.roles]);
    },
    async beat(name, boot) {
      const { rowCount } = await session.run('node-beat', BEAT, [name, boot]);
      return rowCount === 1;
    },
    async all() {
      const { rows } = await session.run<NodeRow & { beat: string }>('node-all', ALL, []);
      return rows.map((row) => ({ ...row, beat: Number(row.beat) }));
    },
    async leave(name, boot) {
      await session.run('node-leave', 'delete from node where name = $1 and boot = $2', [name, boot]);
    },
  };
}

const ENTER = `insert into node (name, boot, endpoint, public_key, roles) values ($1, $2, $3, $4, $5)
  on conflict (name) do update set boot = excluded.boot, endpoint = excluded.endpoint, public_key = excluded.public_key,
    roles = excluded.roles, beat = node.beat + 1, started_at = clock_timestamp(), beat_at = clock_timestamp()`;
const BEAT = `update node set beat = beat + 1, beat_at = clock_timestamp() where name = $1 and boot = $2`;
const ALL = `select name, boot, endpoint, public_key as "publicKey", roles, beat from node order by name`;
