/**
 * The port of the mesh: frames between nodes, at most once, in order per sender, never blocking the caller.
 * What lies behind it is ZeroMQ in a product and a seeded network in a simulation; both pass
 * test/contract/mesh.ts. A frame may be lost without a word: whoever needs an answer asks again until its deadline.
 */
import type { BootId, NodeName } from '../base/ids.ts';
import type { Frame } from './frame.ts';

/** What is known of a node before it speaks: where it listens and which key it must prove to hold (P7). */
export type PeerKey = {
  readonly node: NodeName;
  /** `tcp://host:port` */
  readonly endpoint: string;
  /** The public half of its CURVE key, 40 characters of z85. */
  readonly publicKey: string;
  readonly roles: readonly string[];
};

/** The sender of a frame, proved: `roles` are those that its key was allowed for, not those it claims. */
export type FrameSender = { readonly node: NodeName; readonly boot: BootId; readonly roles: readonly string[] };
export type Receive = (from: FrameSender, frame: Frame) => void;

export type PeerView = {
  readonly node: NodeName;
  /** Undefined until the peer has proved who it is. */
  readonly boot: BootId | undefined;
  /** The peer has accepted our greeting on the present connection: what is sent now reaches a process. */
  readonly connected: boolean;
  /** When a frame or beat of its event loop came last, on our monotonic clock. */
  readonly lastHeardMonotonicMs: number | undefined;
  /** Frames that wait in its outbox. */
  readonly queued: number;
  /** Frames that `send` took and that were then dropped: too old, or lost with a connection while being written. */
  readonly dropped: number;
};

/** Since opening; they only grow. */
export type MeshCounters = {
  framesOut: number;
  messagesOut: number;
  framesIn: number;
  messagesIn: number;
  /** `send` answered false. */
  refused: number;
  /** Messages and frames that could not be read. */
  malformed: number;
  /** Frames of a kind this version does not know. */
  unknownKind: number;
  /** Frames meant for an earlier boot of this node. */
  staleBoot: number;
  /** Messages from connections that had not proved who they are, or no longer may speak. */
  untrusted: number;
  /** Connections and greetings refused: unknown key, wrong cluster, wrong name, wrong proof. */
  turnedAway: number;
};

export interface Mesh {
  readonly self: { readonly node: NodeName; readonly boot: BootId; readonly endpoint: string };
  /**
   * Queues a frame for a node. False when that peer's bounded outbox is full, the peer is unknown (this node itself
   * always is), the frame is larger than a frame may be or cannot be written as JSON. Never throws, never blocks.
   */
  send(to: NodeName, frame: Frame): boolean;
  /**
   * One receiver, set before the peers are: what comes earlier is dropped. Called in order per sender, with
   * validated frames; it must return quickly and may not await. What it throws is logged and ends nothing.
   */
  onFrame(receive: Receive): void;
  /** The whole list of peers: new ones are connected, missing ones forgotten with all that waits for them. */
  setPeers(peers: readonly PeerKey[]): void;
  peers(): readonly PeerView[];
  counters(): Readonly<MeshCounters>;
  /** Gives waiting frames a short moment to leave, then closes. Harmless when repeated. */
  close(): Promise<void>;
}

export function zeroCounters(): MeshCounters {
  return {
    framesOut: 0,
    messagesOut: 0,
    framesIn: 0,
    messagesIn: 0,
    refused: 0,
    malformed: 0,
    unknownKind: 0,
    staleBoot: 0,
    untrusted: 0,
    turnedAway: 0,
  };
}
