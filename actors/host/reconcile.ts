/**
 * Guests found against claims stored (P3): at start, and at every later look. Destroys only what the store records
 * as deleted, moved or doomed; what it does not know is reported and left alone. Pure: the looking was done before.
 */
import type { GuestSeen } from '../../drivers/driver.ts';
import type { Claim } from '../model/placement.ts';
import type { PowerState } from '../model/server-state.ts';
import { claimKey } from './state.ts';

export type SeenClaim = { readonly key: string; readonly instanceId: string; readonly generation: number; readonly power: PowerState };

export type Reconciliation = {
  /** Each claim that lasts, with what was seen of its guest; `pending`: there is none. */
  readonly seen: readonly SeenClaim[];
  /** Guests whose claim is doomed: destroy, then confirm. Those not found are confirmed without. */
  readonly doomed: readonly { readonly instanceId: string; readonly generation: number }[];
  /** Ours by their mark, but without a claim here: the store has to be asked. */
  readonly strays: readonly { readonly instanceId: string; readonly generation: number }[];
};

export function reconcile(claims: readonly Claim[], guests: readonly GuestSeen[]): Reconciliation {
  const found = new Map<string, GuestSeen>();
  for (const guest of guests) if (guest.instanceId !== null) found.set(claimKey(guest.instanceId, guest.generation), guest);
  const claimed = new Set<string>();
  const seen: SeenClaim[] = [];
  const doomed: { instanceId: string; generation: number }[] = [];
  for (const { instanceId, generation, role } of claims) {
    const key = claimKey(instanceId, generation);
    claimed.add(key);
    if (role === 'doomed') doomed.push({ instanceId, generation });
    else seen.push({ key, instanceId, generation, power: found.get(key)?.power ?? 'pending' });
  }
  const strays = [...found].filter(([key]) => !claimed.has(key)).map(([, guest]) => ({ instanceId: guest.instanceId ?? '', generation: guest.generation }));
  return { seen, doomed, strays };
}
