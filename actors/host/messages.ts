/**
 * What may be said to a host: claims (it alone grants them, one at a time), driver verbs under a known claim, reads.
 * Every message of an instance carries its generation; an older one than the host knows is refused as `stale`.
 */
import type { Ref } from '../../runtime/actor/address.ts';
import { refTo } from '../../runtime/actor/address.ts';
import type { Answer } from '../../runtime/actor/effect.ts';
import type { FaultRecord } from '../../runtime/base/fault.ts';
import type { DiskCopy, GuestDiagnostics, GuestEvent, GuestSeen, GuestSpec, HostInventory, HostUptime, RescueDisk } from '../../drivers/driver.ts';
import type { Claim, ClaimAnswer, HostReport } from '../model/placement.ts';
import type { Progress } from '../model/migration.ts';
import type { PowerState } from '../model/server-state.ts';
import type { Resources } from '../model/resources.ts';

/** A driver verb for one guest. `operation` tells a repeated ask from a new one. */
export type GuestVerb =
  | { readonly name: 'spawn'; readonly spec: GuestSpec }
  | { readonly name: 'destroy' }
  | { readonly name: 'start' }
  | { readonly name: 'stop'; readonly graceMs: number }
  | { readonly name: 'reboot'; readonly kind: 'soft' | 'hard'; readonly graceMs: number }
  /** The answer tells the copy. */
  | { readonly name: 'snapshot'; readonly imageId: string; readonly quiesce: boolean; readonly limitMs: number }
  /** Brings the copy to its image, then drops it. */
  | { readonly name: 'upload'; readonly imageId: string; readonly limitMs: number }
  | { readonly name: 'dropSnapshot' }
  // Moves (drivers/moves.ts). At the source: off and set aside, its disk for another host, back in its place.
  | { readonly name: 'park'; readonly graceMs: number }
  | { readonly name: 'offer' }
  | { readonly name: 'unpark'; readonly run: boolean }
  | { readonly name: 'send'; readonly force: boolean }
  | { readonly name: 'stay'; readonly paused: boolean }
  // At the destination.
  | { readonly name: 'prepare'; readonly spec: GuestSpec }
  | { readonly name: 'receive'; readonly spec: GuestSpec; readonly way: DiskWay; readonly memory: boolean }
  | { readonly name: 'land'; readonly paused: boolean }
  | { readonly name: 'pause' | 'unpause' | 'suspend' | 'resume' | 'crashDump' }
  | { readonly name: 'rescue'; readonly spec: GuestSpec; readonly boot: RescueDisk; readonly graceMs: number }
  | { readonly name: 'unrescue'; readonly spec: GuestSpec }
  | { readonly name: 'setPassword'; readonly password: string };

/** Where another host gives the disk of a guest, and the word that opens it there; for some minutes. */
export type DiskWay = { readonly urls: readonly string[]; readonly token: string };

/** `running`: still at work, ask again (the same operation) for the end. */
export type VerbAnswer =
  | { readonly is: 'done'; readonly power: PowerState | null; readonly disk?: DiskCopy; readonly way?: DiskWay }
  | { readonly is: 'running'; readonly progress?: Progress }
  | { readonly is: 'failed'; readonly fault: FaultRecord }
  /** The host knows no claim of this generation: nothing was done. */
  | { readonly is: 'noClaim' };

export type HostProtocol = {
  /**
   * Sets resources aside for a moment; the commit of the instance makes it lasting. The same again answers the same.
   * `zone`: where the host was when it was bid; one that is elsewhere by now is `stale`.
   */
  claim: { body: { instanceId: string; generation: number; need: Resources; zone?: string }; reply: ClaimAnswer };
  /** Gives that generation's claim back. Harmless when there is none. */
  release: { body: { instanceId: string; generation: number }; reply: undefined };
  /** Runs a verb, or joins the running one of the same operation; waits for its end at most `waitMs`. */
  run: {
    body: { instanceId: string; generation: number; operation: string; verb: GuestVerb; waitMs: number };
    reply: VerbAnswer;
  };
  /** What is sent of that guest is to be sent soon: see `hurry` in drivers/moves.ts. A hint. */
  hurry: { body: { instanceId: string; generation: number }; reply: undefined };
  /** Base64 of the end of the guest's console. Faults: `notFound` (no guest, no log), `unavailable`. */
  consoleOutput: { body: { instanceId: string; generation: number; maxBytes: number }; reply: { base64: string } };
  /** Of its machine; null when the hypervisor does not tell it. */
  hostUptime: { body: object; reply: HostUptime | null };
  /** Counters of a guest; null: this hypervisor has none. Faults: `notFound`, `conflict` (it does not run), `unavailable`. */
  diagnostics: { body: { instanceId: string; generation: number }; reply: GuestDiagnostics | null };
  /** Current state, for schedulers and views. */
  report: { body: object; reply: HostReport };
  /** An administrator changed what the row says (enabled, zone, aggregates): read it again. */
  rowChanged: { body: object; reply: undefined };

  /** From the driver: a guest changed by itself; null: events were lost, look again. */
  guestChanged: { body: { event: GuestEvent | null }; reply: undefined };
  /** Begin, and from then on: beat, report, forget what is over. */
  tick: { body: object; reply: undefined };

  /** What a `send` under way has sent so far. */
  progressed: { body: { instanceId: string; progress: Progress }; reply: undefined };

  // Its own: ends of jobs and asks, and timers.
  started: { body: Omit<Answer, 'type'>; reply: undefined };
  beaten: { body: Omit<Answer, 'type'>; reply: undefined };
  listed: { body: Omit<Answer, 'type'>; reply: undefined };
  ended: { body: Omit<Answer, 'type'>; reply: undefined };
  claimRead: { body: Omit<Answer, 'type'>; reply: undefined };
  rowRead: { body: Omit<Answer, 'type'>; reply: undefined };
  hurried: { body: Omit<Answer, 'type'>; reply: undefined };
  consoleRead: { body: Omit<Answer, 'type'>; reply: undefined };
  uptimeRead: { body: Omit<Answer, 'type'>; reply: undefined };
  imagesFetched: { body: Omit<Answer, 'type'>; reply: undefined };
  diagnosed: { body: Omit<Answer, 'type'>; reply: undefined };
  waited: { body: { instanceId: string; handle: number }; reply: undefined };
};

/** What the first look found: the row and claims of the store, the guests of the hypervisor. */
export type HostBeginning = {
  readonly start: HostStart;
  readonly inventory: HostInventory;
  readonly capacity: Resources;
  readonly guests: readonly GuestSeen[];
};

/** What the conductor gives a host actor that starts: its row with the epoch just raised, and its claims. */
export type HostStart = {
  readonly epoch: number;
  readonly enabled: boolean;
  readonly zone: string;
  readonly aggregates: HostReport['aggregates'];
  /** There are images to fetch ahead of time. Absent: none. */
  readonly wantsImages?: boolean;
  readonly claims: readonly Claim[];
};

export function hostRef(name: string): Ref<HostProtocol> {
  return refTo('host', name);
}
