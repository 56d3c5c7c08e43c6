/**
 * Looking around: guests of the hypervisor against claims of the store, at the start, when events were lost, and every
 * so often, since every hint may get lost: a release, a change of power, the order to destroy. What a look found may be
 * overtaken by verbs that ran meanwhile: their guests are left for the next look. Pure.
 */
import { put } from '../../runtime/base/shared-map.ts';
import type { Effect, Outcome } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { GuestSeen } from '../../drivers/driver.ts';
import { instanceRef } from '../instance/messages.ts';
import type { Claim } from '../model/placement.ts';
import type { PowerState } from '../model/server-state.ts';
import { reconcile, type SeenClaim } from './reconcile.ts';
import { claimKey, withClaims, type HeldClaim, type HostState } from './state.ts';

const LOOK_LIMIT_MS = 60_000;
/** A look tells changes, and every one of so many instances although nothing changed: it must not wake all of a host. */
const TELL_EVERY = 60;

export type Found = { readonly claims: readonly Claim[]; readonly guests: readonly GuestSeen[] };
type Cleared = { readonly gone: readonly { instanceId: string; generation: number }[] };

/** Begins a look; its end comes as `listed` with the time of the beginning in its tag. */
export function look(state: HostState, facts: Facts): Next<HostState> {
  const begun: HostState = { ...state, lookedMs: facts.upMs, looks: state.looks + 1 };
  return {
    state: begun,
    effects: [{ do: 'perform', job: 'look', args: { host: state.name }, as: 'listed', tag: `look ${facts.upMs}`, timeoutMs: LOOK_LIMIT_MS }],
  };
}

/** A look has ended, or what it had to clear is cleared. */
export function listed(state: HostState, tag: string, outcome: Outcome<Found | Cleared>): Next<HostState> {
  if (!outcome.ok || state.phase !== 'ready') return { state, effects: [] };
  if ('gone' in outcome.value) {
    const claims = new Map(state.claims);
    for (const { instanceId, generation } of outcome.value.gone) claims.delete(claimKey(instanceId, generation));
    return { state: withClaims(state, claims), effects: [] };
  }
  const begunMs = Number(tag.split(' ')[1]);
  const isQuiet = (instanceId: string): boolean => {
    const lane = state.lanes.get(instanceId);
    return !lane || (!lane.running && lane.endedMs < begunMs);
  };
  const claims = outcome.value.claims.filter(({ instanceId }) => isQuiet(instanceId));
  const guests = outcome.value.guests.filter(({ instanceId }) => instanceId === null || isQuiet(instanceId));
  // Promises and what a verb has used meanwhile stay as they are; for the rest the store is right.
  const held = new Map([...state.claims].filter(([, claim]) => claim.untilMs !== null || !isQuiet(claim.instanceId)));
  for (const claim of claims) held.set(claimKey(claim.instanceId, claim.generation), toHeld(claim));
  return settle(withClaims(state, held), { claims, guests }, false);
}

/** Acts on what was found. `tellAll`: each instance is told, whatever it was told before. */
export function settle(state: HostState, { claims, guests }: Found, tellAll: boolean): Next<HostState> {
  const { seen, doomed, strays } = reconcile(claims, guests);
  const isTurn = (i: number): boolean => (i + state.looks) % Math.min(TELL_EVERY, seen.length) === 0;
  const effects = seen.filter(({ key, power }, i) => tellAll || state.told.get(key) !== power || isTurn(i)).map((one) => tellSeen(state.name, one));
  if (doomed.length > 0 || strays.length > 0) {
    effects.push({ do: 'perform', job: 'clear', args: { host: state.name, doomed, strays }, as: 'listed', tag: 'cleared', timeoutMs: LOOK_LIMIT_MS });
  }
  return { state: { ...state, told: new Map(seen.map(({ key, power }) => [key, power])) }, effects };
}

export function toHeld({ instanceId, generation, need, role }: Claim): HeldClaim {
  return { instanceId, generation, need, untilMs: null, isDoomed: role === 'doomed', ...(role === 'standby' && { isStandby: true }) };
}

/** The power of a guest is known to its instance from now on. */
export function withTold(state: HostState, instanceId: string, generation: number, power: PowerState): HostState {
  return { ...state, told: put(state.told, claimKey(instanceId, generation), power) };
}

function tellSeen(host: string, { instanceId, generation, power }: SeenClaim): Effect {
  return { do: 'tell', to: instanceRef(instanceId), message: { type: 'guestSeen', host, generation, power } as { type: string } };
}
