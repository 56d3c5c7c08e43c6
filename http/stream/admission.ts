/**
 * Who may open a stream here, and how many: in all, of one project, and of strangers who have not said who they are. A
 * place is taken once per stream and given back when it ends.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { authenticate, type Caller, type TokenChecker } from '../kit/auth.ts';
import {
  CLOSING,
  FOREIGN_ORIGIN,
  isAllowedOrigin,
  MAY_NOT_WATCH,
  refusalOf,
  TOO_MANY,
  TOO_MANY_OF_PROJECT,
  tokenOf,
  UNAUTHORIZED,
  type Refusal,
  type StreamPath,
} from './door.ts';
import { ASK_MS, STRANGERS_MAX, type StreamSettings } from './limits.ts';

export type AdmissionParts = {
  readonly tokens: TokenChecker;
  readonly rights?: (caller: Caller) => Caller | null;
  readonly clock: Clock;
  readonly settings: StreamSettings;
};

export type Entrant = { readonly caller: Caller; readonly token: string };

export class Admission {
  /** Nobody is let in any more. */
  isClosed = false;
  readonly #parts: AdmissionParts;
  readonly #places = new Map<string | null, number>();

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** null: not valid (any more), or without any right here. Fault `unavailable` when identity does not answer. */
  async callerOf(token: string): Promise<Caller | null> {
    const caller = await this.#known(token);
    return caller === null ? null : this.#judged(caller);
  }

  #judged(caller: Caller): Caller | null {
    return this.#parts.rights === undefined ? caller : this.#parts.rights(caller);
  }

  async #known(token: string): Promise<Caller | null> {
    const { tokens, clock } = this.#parts;
    try {
      return await authenticate({ 'x-auth-token': token }, tokens, AbortSignal.timeout(ASK_MS), clock.wallMs());
    } catch (error) {
      if (Fault.is(error, 'unauthorized')) return null;
      throw error;
    }
  }

  /** Of an upgrade: who it is, or `stranger` for one who will say so by message. */
  async judgeUpgrade(req: IncomingMessage, path: StreamPath, open: { streams: number; strangers: number }): Promise<Refusal | Entrant | 'stranger'> {
    const refused = this.#refusedAtOnce(req, open.streams);
    if (refused) return refused;
    const token = tokenOf(req);
    if (token !== undefined) return this.#judge(token, path);
    return open.strangers < STRANGERS_MAX ? 'stranger' : TOO_MANY;
  }

  async judgeRequest(req: IncomingMessage, path: StreamPath, open: { streams: number }): Promise<Refusal | Entrant> {
    const token = tokenOf(req);
    return this.#refusedAtOnce(req, open.streams) ?? (token === undefined ? UNAUTHORIZED : this.#judge(token, path));
  }

  hasPlace(projectId: string | null): boolean {
    return (this.#places.get(projectId) ?? 0) < this.#parts.settings.streamsPerProjectMax;
  }

  /** False when all places of the project are taken. */
  takePlace(projectId: string | null): boolean {
    if (!this.hasPlace(projectId)) return false;
    this.#places.set(projectId, (this.#places.get(projectId) ?? 0) + 1);
    return true;
  }

  givePlaceBack(projectId: string | null): void {
    const left = (this.#places.get(projectId) ?? 0) - 1;
    if (left > 0) this.#places.set(projectId, left);
    else this.#places.delete(projectId);
  }

  #refusedAtOnce(req: IncomingMessage, streams: number): Refusal | undefined {
    if (!isAllowedOrigin(req, this.#parts.settings.origins)) return FOREIGN_ORIGIN;
    if (this.isClosed) return CLOSING;
    return streams >= this.#parts.settings.streamsMax ? TOO_MANY : undefined;
  }

  async #judge(token: string, path: StreamPath): Promise<Refusal | Entrant> {
    const known = await this.#known(token);
    if (known === null) return UNAUTHORIZED;
    const caller = this.#judged(known);
    if (caller === null) return MAY_NOT_WATCH;
    const refused = refusalOf(caller, path.projectId);
    if (refused) return refused;
    if (this.isClosed) return CLOSING;
    return this.hasPlace(caller.projectId) ? { caller, token } : TOO_MANY_OF_PROJECT;
  }
}
