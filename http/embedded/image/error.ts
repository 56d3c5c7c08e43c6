/**
 * Faults as the Image API says them: an HTML page, or JSON for a client that asks for JSON and not HTML, or plain
 * text for one that names neither. Everything that came from outside is escaped.
 */
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
  overQuota: 413,
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
  416: 'Requested Range Not Satisfiable',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
};
const RETRY_AFTER_S = '1';

export function renderImageError(ctx: Koa.Context, fault: Fault): void {
  const status = STATUS_BY_REASON[fault.reason] ?? STATUS[fault.code];
  const title = TITLE[status] ?? 'Error';
  const headline = `${status} ${title}`;
  if (status === 503) ctx.set('Retry-After', RETRY_AFTER_S);
  // What a handler had set for the answer that it could not give.
  for (const name of ['Content-Length', 'Content-MD5']) ctx.remove(name);
  ctx.status = status;
  const accept = ctx.get('accept');
  if (/text\/html|\*\/\*|text\/\*/.test(accept)) {
    const page = `<html>\n <head>\n  <title>${headline}</title>\n </head>\n <body>\n  <h1>${headline}</h1>\n  ${escaped(fault.message)}<br /><br />\n\n </body>\n</html>`;
    ctx.type = 'text/html; charset=UTF-8';
    ctx.body = page;
  } else if (/application\/(?:json|\*)/.test(accept)) {
    ctx.body = { message: fault.message, code: headline, title };
  } else {
    ctx.type = 'text/plain; charset=UTF-8';
    ctx.body = `${headline}\n\n${fault.message}\n`;
  }
}

export function noImage(id: string): Fault {
  return new Fault('notFound', 'image.none', `No image found with ID ${id}`);
}

export function refuse(message: string): Fault {
  return new Fault('forbidden', 'image.policy', message);
}

export function invalid(message: string): Fault {
  return new Fault('invalid', 'image.invalid', message);
}

/** The store's words about what this request was for. */
export async function about<T>(id: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (Fault.is(error, 'notFound') && error.reason === 'image.none') throw noImage(id);
    throw error;
  }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
