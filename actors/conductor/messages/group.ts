/** What placing a server asks about its group. Stays on control nodes, where servers' actors and the store are. */
import type { GroupPlaces } from '../../model/server-group.ts';

export type GroupProtocol = {
  /** Hosts of the other members; null: the group is gone, and nothing binds its servers any more. */
  groupPlaces: { body: { groupId: string; instanceId: string }; reply: GroupPlaces | null };
};
