/** Faults as the Identity API says them: `{"error": {"code", "message", "title"}}`. Inner details never leave. */
import type Koa from 'koa';
import type { FaultCode } from '../../../runtime/base/fault.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { STATUS_BY_REASON } from '../wire.ts';

const STATUS = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  overQuota: 403,
  tooLarge: 413,
  unprocessable: 400,
  unsupported: 501,
  overloaded: 503,
  unavailable: 503,
  timeout: 503,
  cancelled: 503,
  internal: 500,
} as const satisfies Record<FaultCode, number>;

const TITLE: { readonly [status: number]: string } = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
};
const RETRY_AFTER_S = '1';

export function renderIdentityError(base: (ctx: Koa.Context) => string): (ctx: Koa.Context, fault: Fault) => void {
  return (ctx, fault) => {
    const status = STATUS_BY_REASON[fault.reason] ?? STATUS[fault.code];
    if (status === 401) ctx.set('WWW-Authenticate', `Keystone uri="${base(ctx)}/v3"`);
    if (status === 503) ctx.set('Retry-After', RETRY_AFTER_S);
    ctx.set('Vary', 'X-Auth-Token');
    ctx.status = status;
    ctx.body = { error: { code: status, message: fault.message, title: TITLE[status] ?? 'Error' } };
  };
}

/** The same words whatever was wrong: nobody learns whether a user exists. */
export function unauthenticated(): Fault {
  return new Fault('unauthorized', 'identity.auth', 'The request you have made requires authentication.');
}

export function forbiddenTo(rule: string): Fault {
  return new Fault('forbidden', `identity.${rule}`, `You are not authorized to perform the requested action: identity:${rule}.`);
}

export function notFound(what: string, id: string): Fault {
  return new Fault('notFound', `identity.${what}`, `Could not find ${what}: ${id}.`);
}

/** The store's refusals in words about this record. */
export async function about<T>(what: string, id: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (Fault.is(error, 'notFound')) throw notFound(what, id);
    if (!Fault.is(error, 'conflict')) throw error;
    if (error.reason.endsWith('.reference')) throw new Fault('invalid', error.reason, `The ${what} refers to what does not exist, or is still in use.`);
    throw new Fault('conflict', error.reason, `Conflict occurred attempting to store ${what} - Duplicate entry found with name ${id}.`);
  }
}
