/** What may be said to the one that watches over silent hosts: one per cell. */
import type { Answer } from '../../runtime/actor/effect.ts';
import type { Ref } from '../../runtime/actor/address.ts';
import { refTo } from '../../runtime/actor/address.ts';
import type { HostProof } from '../model/host-standing.ts';

/** A silent host, and what it waits for: `proof` when nothing proves it dead, `resume` while everything is paused. */
export type LostHost = { readonly host: string; readonly silentMs: number; readonly proof: HostProof | null; readonly waitsFor: 'proof' | 'resume' | null };

export type RecoveryView = {
  readonly auto: boolean;
  /** So many hosts fell silent at once that nothing is done by itself; null: it is not so. */
  readonly paused: { readonly lost: number; readonly of: number } | null;
  readonly hosts: readonly LostHost[];
};

export type RecoveryProtocol = {
  /** Be there; loading it begins the watch. */
  wake: { body: object; reply: undefined };
  state: { body: object; reply: RecoveryView };
  /** An administrator has looked: the hosts that are lost now may be recovered, however many they are. */
  resume: { body: object; reply: RecoveryView };

  // Its own: its timer, and ends of its jobs and asks.
  look: { body: object; reply: undefined };
  looked: { body: Omit<Answer, 'type'>; reply: undefined };
  proved: { body: Omit<Answer, 'type'>; reply: undefined };
  listed: { body: Omit<Answer, 'type'>; reply: undefined };
  moved: { body: Omit<Answer, 'type'>; reply: undefined };
  said: { body: Omit<Answer, 'type'>; reply: undefined };
};

export const RECOVERY: Ref<RecoveryProtocol> = refTo('recovery', 'cell');
