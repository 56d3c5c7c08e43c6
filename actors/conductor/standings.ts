/**
 * How hosts stand, on PostgreSQL: beats, proofs, and the servers of a host. Beats have rows of their own, so that a
 * statement that carries many never waits for a batch nor a batch for it; their epoch is the host's and changes with
 * it in one statement, so a beat that was heard came before every proof, and none is heard after it.
 */
import type pg from 'pg';
import type { HostProof, HostStanding, ServerOnHost } from '../model/host-standing.ts';
import type { RecoveryDoorProtocol } from './messages/recovery.ts';

export interface HostStandings {
  /** Those whose beats were heard, by `beatKey`: the epoch was still theirs. */
  hostBeats(hosts: readonly { host: string; epoch: number }[]): Promise<ReadonlySet<string>>;
  /** No guard watches this epoch any more: silence proves nothing. */
  hostLeave(host: string, epoch: number): Promise<void>;
  hostStandings(): Promise<HostStanding[]>;
  hostStanding(host: string): Promise<RecoveryDoorProtocol['hostStanding']['reply']>;
  hostProve(prove: RecoveryDoorProtocol['hostProve']['body']): Promise<boolean>;
  serversOn(host: string, limit: number): Promise<ServerOnHost[]>;
}

/** A host's beat under one epoch: another life of it may beat at the same time. */
export function beatKey(host: string, epoch: number | string): string {
  return `${host} ${epoch}`;
}

type Many = <Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]) => Promise<Row[]>;

export function hostStandings(many: Many): HostStandings {
  const read = async (name: string, text: string, values: unknown[]) => (await many<StandingRead>(name, text, values)).map(toStanding);
  return {
    async hostBeats(hosts) {
      const sorted = hosts.toSorted((a, b) => (a.host < b.host ? -1 : 1));
      const rows = await many<{ name: string; epoch: string }>('host-beats', BEATS, [sorted.map((beat) => beat.host), sorted.map((beat) => beat.epoch)]);
      return new Set(rows.map((row) => beatKey(row.name, row.epoch)));
    },
    async hostLeave(host, epoch) {
      await many('host-leave', 'update host set self_fence_ms = null where name = $1 and epoch = $2', [host, epoch]);
    },
    hostStandings: () => read('host-standings', `${STANDING} where not h.deleted`, []),
    hostStanding: async (host) => (await read('host-standing', `${STANDING} where not h.deleted and h.name = $1`, [host]))[0] ?? null,
    async hostProve({ host, epoch, mark, proof }) {
      return (await many('host-prove', PROVE, [host, epoch, mark, proof])).length > 0;
    },
    serversOn: (host, limit) => many('servers-on', SERVERS_ON, [host, limit]),
  };
}

type StandingRead = {
  host: string;
  node: string;
  epoch: string;
  mark: string;
  forcedDown: boolean;
  selfFenceMs: number | null;
  proof: HostProof | null;
  claims: number;
  silentMs: number;
};

function toStanding(row: StandingRead): HostStanding & { silentMs: number } {
  return { ...row, epoch: Number(row.epoch) };
}

/** The former release beats in the host's own row: moving there counts too. */
const MARK = `coalesce(b.beat, 0) || '/' || extract(epoch from h.beat_at)`;
const STANDING = `select h.name as host, h.node, h.epoch, ${MARK} as mark, h.forced_down as "forcedDown", h.claims,
    case when h.self_fence_epoch = h.epoch then h.self_fence_ms end as "selfFenceMs",
    case when h.proof_epoch = h.epoch then h.proof end as proof,
    (extract(epoch from clock_timestamp() - greatest(h.beat_at, b.beat_at)) * 1000)::float8 as "silentMs"
  from host h left join host_beat b on b.name = h.name`;
/** Locked in one order, whatever conductor beats for whom. */
const BEATS = `with given as (select * from unnest($1::text[], $2::bigint[]) as g(name, epoch)),
  ours as materialized (select b.name from host_beat b join given g on g.name = b.name where b.epoch = g.epoch order by b.name for update of b)
  update host_beat b set beat = b.beat + 1, beat_at = clock_timestamp() from ours, given
  where b.name = ours.name and given.name = b.name and b.epoch = given.epoch returning b.name, b.epoch`;
const PROVE = `with cell_row as materialized (select revision from cell for update),
  beat_row as materialized (select b.* from host_beat b, cell_row where b.name = $1 and b.epoch = $2 for update of b),
  proved as (
    update host h set epoch = h.epoch + 1, proof = $4, proof_epoch = h.epoch + 1, updated_at = clock_timestamp()
    from beat_row b where h.name = $1 and h.epoch = $2 and not h.deleted and ($3::text is null or ${MARK} = $3)
    returning h.name, h.epoch)
  update host_beat set epoch = proved.epoch from proved where host_beat.name = proved.name returning host_beat.name`;
const SERVERS_ON = `select i.id, i.vm_state as "vmState", i.launched_at is not null as launched, i.record -> 'operation' ->> 'name' as operation,
    coalesce(i.record -> 'move' ->> 'hasSwapped' = 'true', false) as moved
  from claim c join instance i on i.id = c.instance_id and i.generation = c.generation
  where c.host = $1 and c.role = 'active' and not i.deleted order by i.id limit $2`;

/** An operator's word, under the cell's row: proof and next epoch together. One that stands already is left as it is. */
export const FORCE_DOWN = [
  `update host set forced_down = true, proof = coalesce(n.stands, 'forceDown'), epoch = n.next, proof_epoch = n.next
    from (select name, case when proof_epoch = epoch then proof end as stands,
        case when proof is not null and proof_epoch = epoch then epoch else epoch + 1 end as next from host where name = ? for update) n
    where host.name = n.name`,
  `update host_beat set epoch = h.epoch from host h where h.name = host_beat.name and h.name = ?`,
] as const;
/** The word is taken back: nothing is proved any more. A host that lives begins anew with its next beat. */
export const FORCE_UP = [`update host set forced_down = false, proof = null, proof_epoch = null where name = ?`] as const;
