/**
 * What is decided before a stream is opened: is the path ours, may this page open it (S14), where is the token. A token
 * is taken from the header, from the first message, or from a subprotocol that a browser can set; never from the
 * address, which ends up in logs and histories.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { TOKEN_MAX, type Caller } from '../kit/auth.ts';
import { errorText, RETRY_AFTER_S } from '../kit/errors.ts';

const PATH = /^\/v2\.1(?:\/([A-Za-z0-9_-]{1,64}))?\/stream$/;
const TOKEN_PROTOCOL = /^novact\.token\.([A-Za-z0-9_-]+)$/;
/** What a client that sends its token as a subprotocol offers beside it, so that the token is not echoed. */
export const PLAIN_PROTOCOL = 'novact.v1';

export type StreamPath = { readonly projectId: string | null; readonly query: URLSearchParams };

/** undefined: not our path. */
export function parseStreamPath(url: string | undefined): StreamPath | undefined {
  const [path = '', query = ''] = (url ?? '').split('?', 2);
  const match = PATH.exec(path);
  return match ? { projectId: match[1] ?? null, query: new URLSearchParams(query) } : undefined;
}

/** Programs send no Origin; a page must be on the list, character for character. */
export function isAllowedOrigin(req: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin } = req.headers;
  return origin === undefined || allowed.includes(origin);
}

/** The token of a request; undefined when it brings none. Empty when what it brings cannot be one. */
export function tokenOf(req: IncomingMessage): string | undefined {
  const header = req.headers['x-auth-token'];
  if (header !== undefined) return typeof header === 'string' ? header : '';
  for (const protocol of offeredProtocols(req)) {
    const encoded = TOKEN_PROTOCOL.exec(protocol)?.[1];
    if (encoded !== undefined) return encoded.length > TOKEN_MAX * 2 ? '' : Buffer.from(encoded, 'base64url').toString('latin1');
  }
  return undefined;
}

/** A browser wants one of its offers back: the plain one when it is there. */
export function chooseProtocol(offered: ReadonlySet<string>): string | false {
  if (offered.has(PLAIN_PROTOCOL)) return PLAIN_PROTOCOL;
  for (const protocol of offered) if (TOKEN_PROTOCOL.test(protocol)) return protocol;
  return false;
}

export type Refusal = { readonly status: number; readonly message: string };

export const UNAUTHORIZED: Refusal = { status: 401, message: 'The request you have made requires authentication.' };
export const MAY_NOT_WATCH: Refusal = { status: 403, message: "Policy doesn't allow os_compute_api:servers:detail to be performed." };
export const FOREIGN_ORIGIN: Refusal = { status: 403, message: 'This origin may not open streams.' };
export const TOO_MANY_OF_PROJECT: Refusal = { status: 429, message: 'Too many streams of this project.' };
export const TOO_MANY: Refusal = { status: 503, message: 'Too many streams are open here.' };
export const CLOSING: Refusal = { status: 503, message: 'This node is being stopped.' };

/** What is wrong between a caller and the project in the path, if anything. */
export function refusalOf(caller: Caller, projectId: string | null): Refusal | undefined {
  if (projectId === null || projectId === caller.projectId) return undefined;
  return { status: 400, message: "Malformed request URL: the URL's project does not match the token's." };
}

/** An answer to an upgrade that is refused. */
export function refuseUpgrade(socket: Duplex, { status, message }: Refusal): void {
  const text = textOf(status, message);
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Refused'}`,
    ...Object.entries(headersOf(status, text)).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    '',
    text,
  ];
  socket.end(lines.join('\r\n'), () => socket.destroy());
}

export function refuseRequest(res: ServerResponse, { status, message }: Refusal): void {
  if (res.destroyed || res.headersSent) return;
  const text = textOf(status, message);
  res.writeHead(status, headersOf(status, text)).end(text);
}

function textOf(status: number, message: string): string {
  return errorText(status, message, status === 429 ? String(RETRY_AFTER_S) : undefined);
}

function headersOf(status: number, text: string): { [name: string]: string } {
  const headers = { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(text)) };
  return status === 429 || status === 503 ? { ...headers, 'Retry-After': String(RETRY_AFTER_S) } : headers;
}

function offeredProtocols(req: IncomingMessage): string[] {
  return (req.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
}

const REASONS: { readonly [status: number]: string } = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
