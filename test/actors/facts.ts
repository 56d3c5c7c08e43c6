/** What a turn may know, with a counter in place of chance. */
import type { Facts } from '../../runtime/actor/kind.ts';

export const NOW_MS = Date.UTC(2026, 0, 1, 12);

export function factsAt(nowMs: number = NOW_MS, more: Partial<Facts> = {}): Facts {
  let drawn = 0;
  let held = 0;
  return { nowMs, upMs: nowMs, newId: () => `id-${++drawn}`, chance: () => 0, senderEpoch: 1, commandId: undefined, holdReply: () => ++held, ...more };
}
