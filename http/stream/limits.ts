/**
 * What bounds the status streams, with the answer that each limit gives. Settings are what an operator may want to
 * change; the rest are constants, since a client's right to a complete stream must not depend on an operator's taste.
 */

export type StreamSettings = {
  /** Origins of pages that may open a stream, exact: `https://host[:port]`. Programs send no Origin and are not asked. */
  readonly origins: readonly string[];
  /** Streams of this process, whatever their form. Past it: 503. */
  readonly streamsMax: number;
  /** Streams of one project. Past it: 429, or close code 4429 once the socket is open. */
  readonly streamsPerProjectMax: number;
  /** Past it: close code 4429. */
  readonly subscriptionsPerSocketMax: number;
  /** Bytes that wait for one reader. Past it: close code 4408. */
  readonly bufferMaxBytes: number;
  /** A bookmark comes at least so often; it is the heartbeat too. */
  readonly bookmarkMs: number;
  /** An open socket without token is closed after it (4401). */
  readonly authMs: number;
  /** A socket that answers no ping for so long is gone. */
  readonly pingMs: number;
  /** So long before its token ends a reader is warned. */
  readonly expiryWarningMs: number;
  /** A token is asked for anew so often: one that was revoked ends its streams. */
  readonly recheckMs: number;
  /** A reader that takes nothing for so long while we wait for it is closed (4408). */
  readonly stallMs: number;
};

export const STREAM_DEFAULTS: StreamSettings = {
  origins: [],
  streamsMax: 20_000,
  streamsPerProjectMax: 2_000,
  subscriptionsPerSocketMax: 16,
  bufferMaxBytes: 1_048_576,
  bookmarkMs: 4_000,
  authMs: 5_000,
  pingMs: 24_000,
  expiryWarningMs: 60_000,
  recheckMs: 60_000,
  stallMs: 30_000,
};

/** Sockets that have not said who they are: a stranger must not use up the others' places. Past it: 503. */
export const STRANGERS_MAX = 1_000;
/** The longest message of a client: a token and a filter of a hundred ids fit. Past it: close code 1009. */
export const MESSAGE_MAX_BYTES = 16_384;
/** Messages of one socket in one bookmark interval. Past it: close code 4400. */
export const MESSAGES_PER_ROUND = 64;
/** Bad messages of one socket that are answered with words. Past it: close code 4400. */
export const MISTAKES_MAX = 10;
export const FILTER_IDS_MAX = 100;
export const FILTER_STATUSES_MAX = 32;
/** Objects for which one `latest` subscription may owe the newest state. Past it: close code 4408. */
export const LATE_OBJECTS_MAX = 10_000;
/** The longest wait of a long poll; a longer one is cut to it. */
export const POLL_MAX_MS = 60_000;
/** No question to identity or to the store may take longer. */
export const ASK_MS = 5_000;

export const CLOSE = {
  restarting: 1001,
  tryAgain: 1013,
  violation: 4400,
  unauthorized: 4401,
  forbidden: 4403,
  slow: 4408,
  gone: 4410,
  tooMany: 4429,
} as const;
