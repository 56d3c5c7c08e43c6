/**
 * One lane per guest: its driver verbs run in order, one at a time, under a known claim only. The same operation asked
 * again joins the running verb or gets its answer; another operation calls the running one off and follows it. Pure.
 */
import type { Effect, Outcome, ReplyHandle } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { DiskCopy } from '../../drivers/driver.ts';
import type { PowerState } from '../model/server-state.ts';
import { confirm } from './claims.ts';
import type { DiskWay, GuestVerb, VerbAnswer } from './messages.ts';
import type { HostSettings } from './settings.ts';
import { claimKey, withLane, type HeldClaim, type HostState, type Lane } from './state.ts';

/** Ended lanes are remembered so long, for asks that come again. */
export const LANE_MEMORY_MS = 120_000;

/** Disks and memory take as long as they take; who asked for them calls them off. */
const CARRIES: ReadonlySet<string> = new Set(['receive', 'send']);
const CARRY_LIMIT_MS = 86_400_000;

export type RunBody = {
  readonly instanceId: string;
  readonly generation: number;
  readonly operation: string;
  readonly verb: GuestVerb;
  readonly waitMs: number;
};

/** What a verb that ended well tells. */
export type VerbEnd = { readonly power: PowerState | null; readonly way?: DiskWay; readonly disk?: DiskCopy };

/** A verb is wanted, and the claim is known. `isRead`: the store has just said that this claim stands, though the guest has a newer one here, too. */
export function run(
  state: HostState,
  body: RunBody,
  handle: ReplyHandle | null,
  epoch: number,
  facts: Facts,
  settings: HostSettings,
  isRead = false,
): Next<HostState> {
  const lane = state.lanes.get(body.instanceId);
  if (lane && (epoch < lane.epoch || (body.generation < lane.generation && !isRead))) return answer(state, handle, STALE);
  const isSame = lane?.operation === body.operation;
  if (lane && isSame && lane.running) return join(state, body, { ...lane, epoch }, handle, facts);
  if (lane && isSame && lane.answer) return answer(state, handle, lane.answer);
  if (lane?.running) return follow(state, body, lane, handle, epoch, facts);
  return begin(confirm(state, body.instanceId, body.generation), body, handle, epoch, facts, settings);
}

/** The verb has ended: who waits is answered, and the follower begins. */
export function ended(
  state: HostState,
  instanceId: string,
  operation: string,
  outcome: Outcome<VerbEnd>,
  facts: Facts,
  settings: HostSettings,
): Next<HostState> {
  const lane = state.lanes.get(instanceId);
  if (!lane || lane.operation !== operation) return { state, effects: [] };
  const result: VerbAnswer = outcome.ok ? { is: 'done', ...outcome.value } : { is: 'failed', fault: outcome.fault };
  // A retryable failure is forgotten: the same operation asked again runs the verb again.
  const keep = outcome.ok || !Fault.fromRecord(outcome.fault).retryable;
  const effects = lane.waiters.flatMap((waiter): Effect[] => [
    { do: 'sleep', tag: `wait/${waiter}` },
    { do: 'reply', value: result, to: waiter },
  ]);
  const failures = lane.verb.name !== 'spawn' ? state.failures : outcome.ok ? 0 : state.failures + 1;
  const counted = { ...state, failures };
  if (lane.follower) {
    const { operation: following, generation, verb, epoch, waiters } = lane.follower;
    const body: RunBody = { instanceId, generation, operation: following, verb, waitMs: 0 };
    const begun = begin(confirm(counted, instanceId, generation), body, null, epoch, facts, settings);
    const started = begun.state.lanes.get(instanceId);
    const withWaiters = started ? withLane(begun.state, instanceId, { ...started, waiters }) : begun.state;
    return { state: withWaiters, effects: [...effects, ...begun.effects] };
  }
  const quiet: Lane = { ...lane, running: false, answer: keep ? result : null, waiters: [], endedMs: facts.upMs };
  return { state: withLane(counted, instanceId, quiet), effects };
}

/** This life of the host is over: who waits is to ask again, and what runs is called off. */
export function calledOff(instanceId: string, lane: Lane): Effect[] {
  const waiters = [...lane.waiters, ...(lane.follower?.waiters ?? [])];
  const effects = waiters.flatMap((waiter): Effect[] => [
    { do: 'sleep', tag: `wait/${waiter}` },
    { do: 'reply', value: { is: 'running' }, to: waiter },
  ]);
  return lane.running ? [{ do: 'abort', tag: `${instanceId} ${lane.operation}` }, ...effects] : effects;
}

/** Nobody needs the answers of long ended verbs. */
export function forgetOld(state: HostState, upMs: number): HostState {
  const old = [...state.lanes].filter(([, lane]) => !lane.running && upMs - lane.endedMs > LANE_MEMORY_MS);
  if (old.length === 0) return state;
  const lanes = new Map(state.lanes);
  for (const [instanceId] of old) lanes.delete(instanceId);
  return { ...state, lanes };
}

/** The wait of one asker is over: it asks again. */
export function waited(state: HostState, instanceId: string, handle: ReplyHandle): Next<HostState> {
  const lane = state.lanes.get(instanceId);
  const without = (waiters: readonly ReplyHandle[]): ReplyHandle[] => waiters.filter((waiter) => waiter !== handle);
  const left = lane && { ...lane, waiters: without(lane.waiters), follower: lane.follower && { ...lane.follower, waiters: without(lane.follower.waiters) } };
  const value: VerbAnswer = lane?.running && lane.progress ? { is: 'running', progress: lane.progress } : { is: 'running' };
  return { state: left ? withLane(state, instanceId, left) : state, effects: [{ do: 'reply', value, to: handle }] };
}

/** What is done for a guest that must not run: all of it leaves it asleep. */
const ASLEEP: ReadonlySet<string> = new Set(['destroy', 'park', 'offer', 'prepare', 'receive']);

/**
 * Whether the guest may be touched: a doomed one only to destroy it. undefined: what is known here does not say so, and
 * the store has to be asked, since a claim that stood beside the active one may be the active one by now, or the reverse.
 */
export function mayRun(state: HostState, { instanceId, generation, verb }: RunBody): boolean | undefined {
  const held = state.claims.get(claimKey(instanceId, generation));
  if (held?.isDoomed) return verb.name === 'destroy';
  if (held?.isStandby && !ASLEEP.has(verb.name)) return undefined;
  const lane = state.lanes.get(instanceId);
  return held && (lane === undefined || generation >= lane.generation || undefined);
}

/** The same when the store has just said how its claim stands. */
export function mayTouch({ isDoomed, isStandby }: HeldClaim, verb: GuestVerb): boolean {
  return isDoomed ? verb.name === 'destroy' : !isStandby || ASLEEP.has(verb.name);
}

export function answer(state: HostState, handle: ReplyHandle | null, value: VerbAnswer): Next<HostState> {
  return { state, effects: [handle === null ? { do: 'reply', value } : { do: 'reply', value, to: handle }] };
}

const STALE: VerbAnswer = {
  is: 'failed',
  fault: new Fault('conflict', 'host.stale', 'A newer owner or placement of this server has spoken already.').toRecord(),
};

function begin(state: HostState, body: RunBody, handle: ReplyHandle | null, epoch: number, facts: Facts, settings: HostSettings): Next<HostState> {
  const { instanceId, generation, operation, verb } = body;
  const waiter = handle ?? (body.waitMs > 0 ? facts.holdReply() : null);
  const lane: Lane = { operation, generation, verb, epoch, running: true, answer: null, waiters: waiter === null ? [] : [waiter], follower: null, endedMs: 0 };
  const graceMs = 'graceMs' in verb ? verb.graceMs : 0;
  const limitMs = 'limitMs' in verb ? verb.limitMs : settings.verbLimitMs;
  const work: Effect = {
    do: 'perform',
    job: 'verb',
    args: { instanceId, generation, verb, ...(verb.name === 'send' && { host: state.name }) },
    as: 'ended',
    tag: `${instanceId} ${operation}`,
    timeoutMs: (CARRIES.has(verb.name) ? CARRY_LIMIT_MS : limitMs) + graceMs,
  };
  return { state: withLane(state, instanceId, lane), effects: [work, ...waitFor(instanceId, waiter, body.waitMs)] };
}

function join(state: HostState, body: RunBody, lane: Lane, handle: ReplyHandle | null, facts: Facts): Next<HostState> {
  const waiter = handle ?? facts.holdReply();
  const joined = withLane(state, body.instanceId, { ...lane, waiters: [...lane.waiters, waiter] });
  return { state: joined, effects: waitFor(body.instanceId, waiter, body.waitMs) };
}

function follow(state: HostState, body: RunBody, lane: Lane, handle: ReplyHandle | null, epoch: number, facts: Facts): Next<HostState> {
  const waiter = handle ?? facts.holdReply();
  const again = lane.follower?.operation === body.operation ? lane.follower.waiters : [];
  const follower = { operation: body.operation, generation: body.generation, verb: body.verb, epoch, waiters: [...again, waiter] };
  const displaced = lane.follower && lane.follower.operation !== body.operation ? lane.follower.waiters : [];
  const effects: Effect[] = [
    { do: 'abort', tag: `${body.instanceId} ${lane.operation}` },
    ...displaced.map((old): Effect => ({ do: 'reply', value: { is: 'running' }, to: old })),
    ...waitFor(body.instanceId, waiter, body.waitMs),
  ];
  return { state: withLane(state, body.instanceId, { ...lane, follower }), effects };
}

function waitFor(instanceId: string, waiter: ReplyHandle | null, waitMs: number): Effect[] {
  if (waiter === null) return [];
  return [{ do: 'wake', inMs: waitMs, message: { type: 'waited', instanceId, handle: waiter } as { type: string }, tag: `wait/${waiter}` }];
}
