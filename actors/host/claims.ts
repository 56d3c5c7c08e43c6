/**
 * Granting and giving back: the host alone grants claims on itself, one at a time (P4). A grant is a promise in
 * memory for a moment; the commit of the instance makes it lasting and checks the counters again. Pure.
 */
import { drop, put } from '../../runtime/base/shared-map.ts';
import type { Effect } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import { fits, minus, plus, type Resources } from '../model/resources.ts';
import { schedulerRef } from '../scheduler/messages.ts';
import type { ClaimAnswer } from '../model/placement.ts';
import { claimKey, reportOf, withClaims, type HostState } from './state.ts';
import type { HostSettings } from './settings.ts';

type ClaimBody = { readonly instanceId: string; readonly generation: number; readonly need: Resources; readonly zone?: string };

export function claim(state: HostState, body: ClaimBody, facts: Facts, settings: HostSettings): Next<HostState> {
  if (state.phase !== 'ready') return { state, effects: [refuse('starting', state)] };
  const key = claimKey(body.instanceId, body.generation);
  if (state.claims.has(key)) return { state, effects: [granted(state)] };
  if (newestGeneration(state, body.instanceId) > body.generation) return { state, effects: [refuse('stale', state)] };
  if (body.zone !== undefined && body.zone !== state.zone) return { state, effects: [refuse('stale', state)] };
  if (!state.enabled) return { state, effects: [refuse('disabled', state)] };
  if (!fits(body.need, minus(state.capacity, state.used))) return { state, effects: [refuse('full', state)] };
  const { instanceId, generation, need } = body;
  const claims = put(state.claims, key, { instanceId, generation, need, untilMs: facts.upMs + settings.promiseMs, isDoomed: false });
  // Added to what is used rather than summed up anew: this runs for each boot.
  const held: HostState = { ...state, claims, used: plus(state.used, body.need), seen: state.seen + 1 };
  return { state: held, effects: [granted(held), ...report(held, settings, body.instanceId)] };
}

export function release(state: HostState, body: { instanceId: string; generation: number }, settings: HostSettings): Next<HostState> {
  const key = claimKey(body.instanceId, body.generation);
  const held = state.claims.get(key);
  if (!held) return { state, effects: [{ do: 'reply', value: undefined }] };
  const freed: HostState = { ...state, claims: drop(state.claims, key), used: minus(state.used, held.need), seen: state.seen + 1 };
  return { state: freed, effects: [{ do: 'reply', value: undefined }, ...report(freed, settings, null)] };
}

/** A verb came under this promise: its commit is done, the claim lasts. */
export function confirm(state: HostState, instanceId: string, generation: number): HostState {
  const key = claimKey(instanceId, generation);
  const held = state.claims.get(key);
  if (!held || held.untilMs === null) return state;
  return { ...state, claims: put(state.claims, key, { ...held, untilMs: null }) };
}

/** Promises whose moment is over and that no verb has used. */
export function expirePromises(state: HostState, upMs: number): HostState {
  const over = [...state.claims].filter(([, held]) => held.untilMs !== null && held.untilMs <= upMs);
  if (over.length === 0) return state;
  const claims = new Map(state.claims);
  for (const [key] of over) claims.delete(key);
  return withClaims(state, claims);
}

/** Tells the schedulers what is left. */
export function report(state: HostState, settings: HostSettings, instanceId: string | null): Effect[] {
  const message = { type: 'report', report: reportOf(state), granted: instanceId } as { type: string };
  return settings.slicesOf(state.name).map((slice) => ({ do: 'tell', to: schedulerRef(slice), message }));
}

function newestGeneration(state: HostState, instanceId: string): number {
  return state.lanes.get(instanceId)?.generation ?? 0;
}

function granted(state: HostState): Effect {
  const value: ClaimAnswer = { granted: true, hostEpoch: state.epoch };
  return { do: 'reply', value };
}

function refuse(why: 'full' | 'stale' | 'disabled' | 'starting', state: HostState): Effect {
  const value: ClaimAnswer = { granted: false, why, report: state.phase === 'ready' ? reportOf(state) : null };
  return { do: 'reply', value };
}
