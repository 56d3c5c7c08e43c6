/** What an operator may set about hosts that fall silent. Milliseconds unless said otherwise. */

/** A command that switches machines off, and one that says whether they are. `{host}` in an argument is the host's name. */
export type FenceRule = {
  /** Names of hosts; `*` stands for any letters. The first rule that fits is taken. */
  readonly hosts: string;
  /** Program and arguments, run without a shell. Must end with 0. */
  readonly off: readonly string[];
  /** Asked until it ends with 0 and says `offText`, a whole line of its output. Only then the host counts as off. */
  readonly status: readonly string[];
  readonly offText: string;
  /** For all of it. */
  readonly limitMs: number;
};

export type RecoverySettings = {
  /** Whether silent hosts are fenced and their servers evacuated without being asked to. */
  readonly auto: boolean;
  /** At least two hosts and more than this share of all fall silent at once: nothing is done by itself. */
  readonly brakeShare: number;
  /** Evacuations begun per second. */
  readonly perSecond: number;
  readonly fence: readonly FenceRule[];
  /** How long a host may be silent. */
  readonly hostMs: number;
  readonly marginMs: number;
};

export const RECOVERY_DEFAULTS = { auto: false, brakeShare: 0.2, perSecond: 50, fence: [] } as const satisfies Partial<RecoverySettings>;

export const FENCE_LIMIT_MS = 60_000;
