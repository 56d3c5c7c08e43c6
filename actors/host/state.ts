/**
 * What a host actor remembers: memory only. The hypervisor knows the guests and the store knows the claims; a host
 * actor that starts reads both anew under a higher epoch.
 */
import { drop, put } from '../../runtime/base/shared-map.ts';
import type { ReplyHandle } from '../../runtime/actor/effect.ts';
import type { HostInventory } from '../../drivers/driver.ts';
import type { HostReport } from '../model/placement.ts';
import type { Progress } from '../model/migration.ts';
import { NOTHING, plus, type Resources } from '../model/resources.ts';
import type { PowerState } from '../model/server-state.ts';
import type { GuestVerb, VerbAnswer } from './messages.ts';

/** A share of this host. `until`: a promise runs out then; null: recorded in the store. `isDoomed`: only to be destroyed. */
export type HeldClaim = {
  readonly instanceId: string;
  readonly generation: number;
  readonly need: Resources;
  readonly untilMs: number | null;
  readonly isDoomed: boolean;
  /** Beside the active claim of a server that moves: its guest lies here and must not run. As far as is known here. */
  readonly isStandby?: boolean;
};

/** The verbs of one guest, one at a time. */
export type Lane = {
  readonly operation: string;
  readonly generation: number;
  readonly verb: GuestVerb;
  /** Newest shard epoch that spoke for this instance; older ones are not listened to. */
  readonly epoch: number;
  readonly running: boolean;
  readonly answer: VerbAnswer | null;
  readonly waiters: readonly ReplyHandle[];
  /** Waits for the running one to end. */
  readonly follower: Omit<Lane, 'running' | 'answer' | 'follower' | 'endedMs'> | null;
  readonly endedMs: number;
  /** Of what is sent, so far. */
  readonly progress?: Progress;
};

export type HostState = {
  readonly name: string;
  /** `new`: nothing read yet. `starting`: the first look is under way. */
  readonly phase: 'new' | 'starting' | 'ready';
  readonly epoch: number;
  readonly seen: number;
  readonly enabled: boolean;
  readonly zone: string;
  readonly aggregates: HostReport['aggregates'];
  readonly inventory: HostInventory | null;
  readonly capacity: Resources;
  readonly claims: ReadonlyMap<string, HeldClaim>;
  readonly used: Resources;
  readonly lanes: ReadonlyMap<string, Lane>;
  /** Lanes whose spawn runs: counted, since every report tells it. */
  readonly spawning: number;
  readonly failures: number;
  /** Images are fetched ahead of time now. */
  readonly fetching: boolean;
  /** When store and hypervisor were last compared. */
  readonly lookedMs: number;
  /** Looks so far. */
  readonly looks: number;
  /** The power that each guest's instance was last told, by claim. */
  readonly told: ReadonlyMap<string, PowerState>;
};

export function newHost(name: string): HostState {
  return {
    name,
    phase: 'new',
    epoch: 0,
    seen: 0,
    enabled: true,
    zone: '',
    aggregates: [],
    inventory: null,
    capacity: NOTHING,
    claims: new Map(),
    used: NOTHING,
    lanes: new Map(),
    spawning: 0,
    failures: 0,
    fetching: false,
    lookedMs: 0,
    looks: 0,
    told: new Map(),
  };
}

export function claimKey(instanceId: string, generation: number): string {
  return `${instanceId}/${generation}`;
}

/** The state with these claims and what they use. */
export function withClaims(state: HostState, claims: ReadonlyMap<string, HeldClaim>): HostState {
  let used = NOTHING;
  for (const claim of claims.values()) used = plus(used, claim.need);
  return { ...state, claims, used, seen: state.seen + 1 };
}

export function withLane(state: HostState, instanceId: string, lane: Lane | null): HostState {
  const spawning = state.spawning - spawns(state.lanes.get(instanceId)) + spawns(lane);
  return { ...state, spawning, lanes: lane ? put(state.lanes, instanceId, lane) : drop(state.lanes, instanceId) };
}

function spawns(lane: Lane | null | undefined): number {
  return lane?.running && lane.verb.name === 'spawn' ? 1 : 0;
}

export function reportOf(state: HostState): HostReport {
  const { inventory } = state;
  return {
    host: state.name,
    epoch: state.epoch,
    seen: state.seen,
    zone: state.zone,
    capacity: state.capacity,
    used: state.used,
    instances: state.claims.size,
    ioOps: state.spawning,
    enabled: state.enabled,
    up: state.phase === 'ready',
    hypervisorType: inventory?.hypervisorType ?? '',
    hypervisorVersion: inventory?.hypervisorVersion ?? 0,
    arch: inventory?.cpu.arch ?? '',
    aggregates: state.aggregates,
    failures: state.failures,
  };
}
