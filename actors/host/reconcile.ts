/**
 * Guests found against claims stored (P3): at start, and when events were lost. Destroys only what the store records
 * as deleted, moved or doomed; what it does not know is reported and left alone. Pure: the looking was done before.
 */
import type { Effect } from '../../runtime/actor/effect.ts';
import type { GuestSeen } from '../../drivers/driver.ts';
import { instanceRef } from '../instance/messages.ts';
import type { Claim } from '../model/placement.ts';

export type Reconciliation = {
  /** Tells each instance with a claim here what was seen of its guest. */
  readonly tells: readonly Effect[];
  /** Guests whose claim is doomed: destroy, then confirm. Those not found are confirmed without. */
  readonly doomed: readonly { readonly instanceId: string; readonly generation: number }[];
  /** Ours by their mark, but without a claim here: the store has to be asked. */
  readonly strays: readonly { readonly instanceId: string; readonly generation: number }[];
};

export function reconcile(host: string, claims: readonly Claim[], guests: readonly GuestSeen[]): Reconciliation {
  const seen = new Map<string, GuestSeen>();
  for (const guest of guests) if (guest.instanceId !== null) seen.set(`${guest.instanceId}/${guest.generation}`, guest);
  const claimed = new Set<string>();
  const tells: Effect[] = [];
  const doomed: { instanceId: string; generation: number }[] = [];
  for (const { instanceId, generation, role } of claims) {
    const key = `${instanceId}/${generation}`;
    claimed.add(key);
    if (role === 'doomed') doomed.push({ instanceId, generation });
    else tells.push(tellSeen(host, instanceId, generation, seen.get(key)));
  }
  const strays = [...seen.values()]
    .filter((guest) => !claimed.has(`${guest.instanceId}/${guest.generation}`))
    .map((guest) => ({ instanceId: guest.instanceId ?? '', generation: guest.generation }));
  return { tells, doomed, strays };
}

function tellSeen(host: string, instanceId: string, generation: number, guest: GuestSeen | undefined): Effect {
  const message = { type: 'guestSeen', host, generation, power: guest?.power ?? 'pending' } as { type: string };
  return { do: 'tell', to: instanceRef(instanceId), message };
}
