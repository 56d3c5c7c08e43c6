/** What a door or an actor may do with addresses: tell and ask. Nobody outside `runtime/` knows which node answers. */
import type { Ref } from './address.ts';
import type { MessageWith, Protocol, ReplyOf } from './protocol.ts';

export const DEFAULT_ASK_MS = 5_000;
/** No ask waits longer; the memory of commands (two minutes) outlives it. */
export const LONGEST_ASK_MS = 60_000;

export type AskOptions = {
  readonly timeoutMs?: number;
  /** Makes the ask effectively once: a retry with the same id is answered from memory. */
  readonly commandId?: string;
  readonly signal?: AbortSignal;
  /** The asking actor's shard epoch. */
  readonly senderEpoch?: number;
};

export interface Actors {
  /** A hint; it may be lost. Never throws. */
  tell<P extends Protocol, T extends keyof P & string>(to: Ref<P>, message: MessageWith<P, T>): void;
  /** The reply, or a Fault: what the actor refused, `overloaded`, `unavailable`, `timeout`. */
  ask<P extends Protocol, T extends keyof P & string>(to: Ref<P>, message: MessageWith<P, T>, options?: AskOptions): Promise<ReplyOf<P, T>>;
}
