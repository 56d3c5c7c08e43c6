/**
 * How a host stands with the store: whether its beat moves, and whether something proves that its guests are dead.
 * A proof belongs to one epoch, which it began itself: a host that starts again raises its epoch, and the proof is over.
 */

/** An operator's word; a fence command that confirmed; the hypervisor's own word; a guard that stopped all guests in time. */
export const HOST_PROOFS = ['forceDown', 'fence', 'hypervisor', 'selfFence'] as const;
export type HostProof = (typeof HOST_PROOFS)[number];

export type HostStanding = {
  readonly host: string;
  readonly node: string;
  readonly epoch: number;
  /** Moves with each beat. Only compared with itself: nothing may be read from it. */
  readonly mark: string;
  readonly forcedDown: boolean;
  /** A guard stops the guests of this epoch before so long has passed without a beat; null: nobody does. */
  readonly selfFenceMs: number | null;
  /** What proves the guests of this host dead now; null: nothing does. */
  readonly proof: HostProof | null;
  /** Claims on this host, doomed ones too. */
  readonly claims: number;
};

/** A server whose active claim is on a host. `moved`: it came there from a place that it can go back to. */
export type ServerOnHost = {
  readonly id: string;
  readonly vmState: string;
  readonly launched: boolean;
  readonly operation: string | null;
  readonly moved: boolean;
};
