/**
 * The right by which a line is open: the caller, the token that proved it, and when it must be proved again. It decides
 * nothing about the line; `client.ts` does.
 */
import type { Caller } from '../../kit/auth.ts';

export class Pass {
  readonly caller: Caller;
  readonly token: string;
  #checkedAtMs: number;
  #warned = false;

  /** `nowMs` is monotonic, as in `isCheckDue`. */
  constructor(caller: Caller, token: string, nowMs: number) {
    this.caller = caller;
    this.token = token;
    this.#checkedAtMs = nowMs;
  }

  isValid(wallMs: number): boolean {
    return this.caller.expiresAtMs > wallMs;
  }

  /** True once: less than `beforeMs` are left. */
  isWarningDue(wallMs: number, beforeMs: number): boolean {
    if (this.#warned || this.caller.expiresAtMs - wallMs > beforeMs) return false;
    return (this.#warned = true);
  }

  /** True at most once in `everyMs`: identity should be asked whether the token still holds. */
  isCheckDue(nowMs: number, everyMs: number): boolean {
    if (nowMs - this.#checkedAtMs < everyMs) return false;
    this.#checkedAtMs = nowMs;
    return true;
  }

  /** The same user in the same project: a token that may take this one's place. */
  fits(caller: Caller): boolean {
    return caller.userId === this.caller.userId && caller.projectId === this.caller.projectId;
  }

  /** What was learned when it was checked again; the warning is not repeated for the same end. */
  renewed(caller: Caller, token: string, nowMs: number): Pass {
    const pass = new Pass(caller, token, nowMs);
    pass.#warned = this.#warned && caller.expiresAtMs === this.caller.expiresAtMs;
    return pass;
  }
}
