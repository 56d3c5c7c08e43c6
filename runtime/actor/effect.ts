/**
 * Effects are a closed list of plain data: what a decision wants to happen. The runtime commits the new record first
 * and runs them after. The answer of an `ask` or a `perform` comes back as the message named by `as`, so an effect
 * can be printed, compared and replayed. Committing is not an effect: it happens whenever the record changed.
 */
import type { FaultRecord } from '../base/fault.ts';
import type { Address } from './address.ts';
import type { AnyMessage } from './protocol.ts';

export type Effect =
  /** Answers the message of this turn, or (with `to`) an earlier one whose reply was kept open. */
  | { readonly do: 'reply'; readonly value: unknown; readonly to?: ReplyHandle }
  /** Answers with the record as it is stored now: `{record, version, revision}`, or null when there is none. */
  | { readonly do: 'replyStored'; readonly to?: ReplyHandle }
  | { readonly do: 'refuse'; readonly fault: FaultRecord; readonly to?: ReplyHandle }
  /** A hint: it may be lost. */
  | { readonly do: 'tell'; readonly to: Address; readonly message: AnyMessage }
  /** The answer arrives as `{type: as, tag, outcome}`. Tries again until `timeoutMs`. */
  | { readonly do: 'ask'; readonly to: Address; readonly message: AnyMessage; readonly as: string; readonly tag: string; readonly timeoutMs: number }
  /** Work outside: a job of the kind's `perform` table. Its end arrives as `{type: as, tag, outcome}`. */
  | { readonly do: 'perform'; readonly job: string; readonly args: object; readonly as: string; readonly tag: string; readonly timeoutMs: number }
  /** Calls off asks and jobs of this tag that are still under way. */
  | { readonly do: 'abort'; readonly tag: string }
  /** A message to itself later; a new wake of the same tag replaces the old one. Not durable: the row's due time is. */
  | { readonly do: 'wake'; readonly inMs: number; readonly message: AnyMessage; readonly tag: string }
  /** Takes a wake back. */
  | { readonly do: 'sleep'; readonly tag: string };

/** Names a message whose reply is still open. Valid while the activation lives. */
export type ReplyHandle = number;

/** How an ask or a job ended. */
export type Outcome<T = unknown> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: FaultRecord };

/** The message by which an answer comes back. */
export type Answer<T = unknown> = { readonly type: string; readonly tag: string; readonly outcome: Outcome<T> };
