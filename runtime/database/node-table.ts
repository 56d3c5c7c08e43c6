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

/** A key that an operator has let in: which node it stands for, and what that node may do at most. */
export type NodeKey = { readonly name: string; readonly publicKey: string; readonly roles: readonly string[] };

/** Nodes whose rows are reached through others have this much of the table. */
export type NodeTable = {
  /** Makes the row or takes it over with a new boot. */
  enter(row: Omit<NodeRow, 'beat'>): Promise<void>;
  /** Raises the beat of this boot; false when another boot has the row. */
  beat(name: string, boot: string): Promise<boolean>;
  all(): Promise<NodeRow[]>;
  leave(name: string, boot: string): Promise<void>;
};

/** The table itself, where it is reached without others. */
export type StoredNodeTable = NodeTable & {
  /** As `enter`, for a node that holds no credentials of the store: only under its registered key and roles. */
  enterKnown(row: Omit<NodeRow, 'beat'>): Promise<boolean>;
  /** Raises all these beats in one statement; answers with the names of those that were raised. */
  beatAll(beats: readonly { readonly name: string; readonly boot: string }[]): Promise<ReadonlySet<string>>;
  keys(): Promise<NodeKey[]>;
  /** Lets a key in, or changes what it may do. False when the key stands for another node already. */
  addKey(key: NodeKey): Promise<boolean>;
  /** Takes a node's key back, and its row; false when there was none. */
  removeKey(name: string): Promise<boolean>;
};

/** `reads`: where what may take longer is read, so that no beat waits behind it. */
export function nodeTable(session: Pick<Session, 'run'>, reads: Pick<Session, 'run'> = session): StoredNodeTable {
  return {
    async enter(row) {
      await session.run('node-enter', ENTER, [row.name, row.boot, row.endpoint, row.publicKey, row.roles]);
    },
    async beat(name, boot) {
      const { rowCount } = await session.run('node-beat', BEAT, [name, boot]);
      return rowCount === 1;
    },
    async all() {
      const { rows } = await reads.run<NodeRow & { beat: string }>('node-all', ALL, []);
      return rows.map((row) => ({ ...row, beat: Number(row.beat) }));
    },
    async leave(name, boot) {
      await session.run('node-leave', 'delete from node where name = $1 and boot = $2', [name, boot]);
    },
    async enterKnown(row) {
      const { rowCount } = await session.run('node-enter-known', ENTER_KNOWN, [row.name, row.boot, row.endpoint, row.publicKey, row.roles]);
      return rowCount === 1;
    },
    async beatAll(beats) {
      const values = [beats.map((beat) => beat.name), beats.map((beat) => beat.boot)];
      const { rows } = await session.run<{ name: string }>('node-beat-all', BEAT_ALL, values);
      return new Set(rows.map((row) => row.name));
    },
    async keys() {
      const { rows } = await reads.run<NodeKey>('node-keys', 'select name, public_key as "publicKey", roles from node_key order by name', []);
      return rows;
    },
    async addKey({ name, publicKey, roles }) {
      const { rowCount } = await session.run('node-key-add', ADD_KEY, [name, publicKey, roles]);
      return rowCount === 1;
    },
    async removeKey(name) {
      const { rowCount } = await session.run('node-key-remove', REMOVE_KEY, [name]);
      return rowCount === 1;
    },
  };
}

const OVER = `on conflict (name) do update set boot = excluded.boot, endpoint = excluded.endpoint, public_key = excluded.public_key,
    roles = excluded.roles, beat = node.beat + 1, started_at = clock_timestamp(), beat_at = clock_timestamp()`;
const ENTER = `insert into node (name, boot, endpoint, public_key, roles) values ($1, $2, $3, $4, $5) ${OVER}`;
const ENTER_KNOWN = `insert into node (name, boot, endpoint, public_key, roles)
  select $1, $2, $3, $4, $5::text[] from node_key k where k.name = $1 and k.public_key = $4 and $5::text[] <@ k.roles ${OVER}`;
const BEAT_ALL = `update node set beat = node.beat + 1, beat_at = clock_timestamp()
  from unnest($1::text[], $2::text[]) as b(name, boot) where node.name = b.name and node.boot = b.boot returning node.name`;
const ADD_KEY = `insert into node_key (name, public_key, roles) select $1, $2, $3::text[]
  where not exists (select from node_key where public_key = $2 and name <> $1)
  on conflict (name) do update set public_key = excluded.public_key, roles = excluded.roles`;
const REMOVE_KEY = `with gone as (delete from node where name = $1 and exists (select from node_key where name = $1))
  delete from node_key where name = $1`;
const BEAT = `update node set beat = beat + 1, beat_at = clock_timestamp() where name = $1 and boot = $2`;
const ALL = `select name, boot, endpoint, public_key as "publicKey", roles, beat from node order by name`;
