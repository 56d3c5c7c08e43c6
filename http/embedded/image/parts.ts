/** What the Image service is made of: what it is given, how it is set, and what its routes share. Types, no behaviour. */
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { Log } from '../../../runtime/base/log.ts';
import type { Random } from '../../../runtime/base/random.ts';
import type { Blobs } from './blobs.ts';
import type { Copies } from './copies.ts';
import type { Tickets } from './ticket.ts';

export type TokenOwner = { readonly userId: string; readonly projectId: string | null; readonly roles: readonly string[] };
/** null: not a valid token. Throws Fault `unavailable` when that can't be found out. */
export type TokenCheck = (token: string, signal: AbortSignal) => Promise<TokenOwner | null>;

export type ImageSettings = {
  /** Larger uploads are refused with 413. */
  readonly sizeMaxBytes: number;
  /** Address in links, without `/v2`; null: as the client wrote it. */
  readonly publicUrl: string | null;
};
export const IMAGE_SETTINGS: ImageSettings = { sizeMaxBytes: 64 * 2 ** 30, publicUrl: null };

export type ImageParts = {
  readonly actors: Actors;
  /** This node's name, and where others reach its image service, without `/v2`. */
  readonly node: string;
  readonly url: string;
  /** Of the whole cloud: what one node gives, the others honour. */
  readonly tickets: Tickets;
  /** Directory of the bytes; made when it is not there. */
  readonly blobs: string;
  readonly tokens: TokenCheck;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: ImageSettings;
};

/** What the routes share. */
export type ImageService = Omit<ImageParts, 'blobs'> & {
  readonly blobs: Blobs;
  readonly copies: Copies;
  /** Ids of uploads that run here. */
  readonly uploads: Set<string>;
};
