/**
 * Every limit of the mesh with its unit and its answer when reached. A test or a configuration may hand in others.
 */
export type MeshLimits = {
  /** Ordinary frames that wait for one peer; past it `send` says false. */
  readonly framesMax: number;
  /** Bytes of ordinary frames that wait for one peer; past it `send` says false. */
  readonly bytesMax: number;
  /** Frames with `priority` that wait for one peer, beside the ordinary ones; past it `send` says false. */
  readonly urgentFramesMax: number;
  readonly urgentBytesMax: number;
  /** One frame; a larger one is refused, since bulk never travels in the mesh. */
  readonly frameBytesMax: number;
  /** Frames in one ZeroMQ message. */
  readonly batchFramesMax: number;
  /** A message is closed once it holds this much; it may pass it by one frame. */
  readonly batchBytesMax: number;
  /** A frame that waited longer is dropped: nobody waits for it any more. */
  readonly ageMaxMs: number;
  /** ZeroMQ's own queue per connection and direction, in messages: small, so that waiting happens where it is counted. */
  readonly highWaterMark: number;
  /** How often each event loop shows that it turns; each beat is answered on its connection. */
  readonly beatMs: number;
  /**
   * A connection on which no answer came for so long is made anew. ZeroMQ's own heartbeats are off: libzmq 4.3.5 aborts
   * the process when one is due or answered on a connection that broke while its queue was full.
   */
  readonly silenceMs: number;
  /** A greeting that gets no answer for this long is tried again on a new connection. */
  readonly greetMaxMs: number;
  /** First and longest wait before a lost or refused connection is tried again. */
  readonly reconnectMs: number;
  readonly reconnectMaxMs: number;
  /** How long `close` lets waiting frames leave. */
  readonly closeMaxMs: number;
  /** Received frames are passed on for this long before other work of the event loop gets its turn. */
  readonly sliceMs: number;
  /** Peers of one node; past it the rest is left out and logged. Each takes about three file descriptors. */
  readonly peersMax: number;
};

const KIB = 1024;
const MIB = 1024 * KIB;

export const MESH_LIMITS: MeshLimits = {
  framesMax: 8_192,
  bytesMax: 32 * MIB,
  urgentFramesMax: 1_024,
  urgentBytesMax: 4 * MIB,
  frameBytesMax: 8 * MIB,
  batchFramesMax: 256,
  batchBytesMax: 128 * KIB,
  ageMaxMs: 5_000,
  highWaterMark: 8,
  beatMs: 1_000,
  silenceMs: 4_000,
  greetMaxMs: 5_000,
  reconnectMs: 100,
  reconnectMaxMs: 1_000,
  closeMaxMs: 250,
  sliceMs: 8,
  peersMax: 4_096,
};

/** The largest message a peer may send us: a full batch, one frame past it, and the commas. */
export function messageBytesMax(limits: MeshLimits): number {
  return limits.batchBytesMax + limits.frameBytesMax + 64 * KIB;
}
