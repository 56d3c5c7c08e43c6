/** What placing a server asks about its group. Said by servers' actors, on control nodes alone. */
import type { GroupPlaces } from '../../model/server-group.ts';

export type GroupProtocol = {
  /** Hosts of the other members; null: the group is gone, and nothing binds its servers any more. */
  groupPlaces: { body: { groupId: string; instanceId: string }; reply: GroupPlaces | null };
};
