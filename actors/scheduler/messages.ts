/** What may be said to a scheduler: one slice of the hosts. It bids; it never grants. */
import type { Ref } from '../../runtime/actor/address.ts';
import { refTo } from '../../runtime/actor/address.ts';
import type { HostReport, Placed, PlacementRequest } from '../model/placement.ts';

export type SchedulerProtocol = {
  /** The slice's best bids, best first: at most `wanted` different hosts for each of `count` instances. */
  place: { body: { request: PlacementRequest; wanted: number }; reply: Placed };
  /** A host's state. Older epochs and numbers are dropped. `granted`: the open bid of this instance is in it now. */
  report: { body: { report: HostReport; granted: string | null }; reply: undefined };
  /** A claim ended otherwise than bid: the host is fuller, or the bid is free again. */
  unclaimed: { body: { host: string; instanceId: string }; reply: undefined };
  /** Its own: time goes on, and hosts that do not report any more are not bid. */
  tick: { body: object; reply: undefined };
};

export function schedulerRef(slice: number): Ref<SchedulerProtocol> {
  return refTo('scheduler', String(slice));
}
