/**
 * The last word about an error: which status, member and headers a Fault gets on the Compute API. Complete by type, so
 * a new fault code does not compile until it has a place here. A fault's `detail` never leaves the process (S28).
 */
import { Fault } from '../../runtime/base/fault.ts';
import type { FaultCode } from '../../runtime/base/fault.ts';

const STATUS: Record<FaultCode, number> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  overQuota: 403,
  tooLarge: 413,
  unprocessable: 422,
  unsupported: 501,
  overloaded: 503,
  unavailable: 503,
  timeout: 503,
  cancelled: 409,
  internal: 500,
};

/** What only a door can find wrong: not worth a fault code, but a status of its own. */
const STATUS_BY_REASON: { readonly [reason: string]: number } = {
  'http.dropped': 410,
  'http.method': 405,
  'http.version': 406,
  'http.mediaType': 415,
  'http.rate': 429,
};

const MEMBER: { readonly [status: number]: string } = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  405: 'badMethod',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  429: 'overLimit',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

/** Of a Fault whose detail is how many seconds to wait. */
export const RATE_REASON = 'http.rate';

/** Seconds after which a refused caller may ask again: one beat of most queues. */
export const RETRY_AFTER_S = 1;

/** The longest message that leaves: what clients sent comes back in it, cut. */
const MESSAGE_MAX = 2_000;

export type ErrorAnswer = { readonly status: number; readonly headers: { readonly [name: string]: string }; readonly text: string };

export function statusOfFault(fault: Fault): number {
  return STATUS_BY_REASON[fault.reason] ?? STATUS[fault.code];
}

export function errorAnswer(fault: Fault): ErrorAnswer {
  const status = statusOfFault(fault);
  const headers: Record<string, string> = {};
  const allow = fault.reason === 'http.method' ? allowed(fault) : undefined;
  if (allow !== undefined) headers['Allow'] = allow;
  if (fault.code === 'overloaded')
    headers['Retry-After'] = String(fault.reason === RATE_REASON && typeof fault.detail === 'number' ? fault.detail : RETRY_AFTER_S);
  return { status, headers, text: errorText(status, fault.message, headers['Retry-After']) };
}

/** `{"badRequest": {"code": 400, "message": "…"}}`; `retryAfter` only with 413 and 429. */
export function errorText(status: number, message: string, retryAfter?: string): string {
  const body: Record<string, unknown> = { code: status, message: message.slice(0, MESSAGE_MAX) };
  if (retryAfter !== undefined && (status === 413 || status === 429)) body['retryAfter'] = retryAfter;
  return JSON.stringify({ [MEMBER[status] ?? 'computeFault']: body });
}

function allowed(fault: Fault): string | undefined {
  return typeof fault.detail === 'string' ? fault.detail : undefined;
}

// Short forms of the faults that doors raise most.

export function invalid(message: string, reason = 'invalid'): Fault {
  return new Fault('invalid', reason, message);
}

export function notFound(message: string, reason = 'notFound'): Fault {
  return new Fault('notFound', reason, message);
}

export function conflict(message: string, reason = 'conflict'): Fault {
  return new Fault('conflict', reason, message);
}

export function forbidden(message: string, reason = 'forbidden'): Fault {
  return new Fault('forbidden', reason, message);
}
