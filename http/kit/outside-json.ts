/**
 * One way to ask a service over HTTP: JSON, a deadline, a bound on what it may answer, and one Fault when it does not
 * (`unavailable`, naming the service and nothing of its inside).
 */
import type { Dispatcher } from 'undici';
import { request } from 'undici';
import { Fault } from '../../runtime/base/fault.ts';

export type OutsideAnswer = { readonly status: number; readonly headers: { readonly [name: string]: string | string[] | undefined }; readonly body: unknown };

export type OutsideRequest = {
  /** As users know it: `identity`, `image`. */
  readonly service: string;
  readonly url: string;
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly headers: { readonly [name: string]: string };
  readonly json?: unknown;
  readonly signal?: AbortSignal;
  readonly timeoutMs: number;
  readonly dispatcher?: Dispatcher;
};

/** Longer answers than this are none: a page of images is far below it. */
const ANSWER_MAX = 16 * 1_048_576;

/** Any status below 500 is an answer. Faults: `unavailable`; `cancelled` when the signal fired. */
export async function askOutside(asked: OutsideRequest): Promise<OutsideAnswer> {
  const { service, signal, dispatcher } = asked;
  const deadline = AbortSignal.timeout(asked.timeoutMs);
  try {
    const answer = await request(asked.url, {
      method: asked.method ?? 'GET',
      headers: asked.json === undefined ? asked.headers : { 'content-type': 'application/json', ...asked.headers },
      body: asked.json === undefined ? null : JSON.stringify(asked.json),
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      ...(dispatcher === undefined ? {} : { dispatcher }),
    });
    const text = await readText(answer.body);
    if (answer.statusCode >= 500) throw serviceDown(service, `status ${answer.statusCode}`);
    return { status: answer.statusCode, headers: answer.headers, body: parse(text) };
  } catch (thrown) {
    if (Fault.is(thrown)) throw thrown;
    if (signal?.aborted) throw new Fault('cancelled', 'http.gone', 'The client closed the connection.');
    throw serviceDown(service, String(thrown));
  }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > ANSWER_MAX) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Names the service; what went wrong is for operators. */
export function serviceDown(service: string, detail: string): Fault {
  return new Fault('unavailable', `service.${service}`, `The ${service} service is unavailable at this time.`, { detail });
}
