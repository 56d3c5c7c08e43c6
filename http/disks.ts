/**
 * The door at which a host gives the disk of a guest to the host that the guest goes to: one address per offer, with a
 * word that nobody else knows, for some minutes. What is given is read anew for each that asks. Nothing is stored: after
 * a restart nothing is offered any more, and whoever needs it asks the host again.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../runtime/base/clock.ts';
import { Fault } from '../runtime/base/fault.ts';
import type { Log } from '../runtime/base/log.ts';
import type { Door } from './server.ts';

/** For the beginning of a transfer. */
const LIFE_MS = 600_000;
/** More are open at once than a machine gives well; the oldest goes. */
const OFFERS_MAX = 1_024;
const PATH = /^\/disks\/([0-9a-f]{32})$/;

export type DiskOffers = {
  readonly door: Door;
  /** The path under which it is given, and the word for `X-Auth-Token`. */
  offer(read: (signal: AbortSignal) => Promise<Readable>): { readonly path: string; readonly token: string };
};

type Offer = { readonly token: string; readonly untilMs: number; readonly read: (signal: AbortSignal) => Promise<Readable> };

export function openDiskOffers({ clock, log }: { clock: Clock; log: Log }): DiskOffers {
  const offers = new Map<string, Offer>();

  function forgetOld(): void {
    for (const [id, { untilMs }] of offers) if (untilMs <= clock.monotonicMs() || offers.size >= OFFERS_MAX) offers.delete(id);
  }

  const door: Door = async (request, response) => {
    const id = PATH.exec(request.url ?? '')?.[1];
    const offer = id === undefined ? undefined : offers.get(id);
    const isKnown = offer !== undefined && offer.untilMs > clock.monotonicMs() && isSame(offer.token, String(request.headers['x-auth-token'] ?? ''));
    if (!isKnown || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Fault('cancelled', 'disk.cancelled', 'The other host has gone.')));
    try {
      const bytes = await offer.read(gone.signal);
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      // An answer that is cut has no end: whoever reads it sees that.
      await pipeline(bytes, response, { signal: gone.signal });
    } catch (error) {
      log.warn('disk.notGiven', { error: String(error) });
      if (response.headersSent) response.destroy();
      else response.writeHead(503).end();
    }
  };

  return {
    door,
    offer(read) {
      forgetOld();
      const [id, token] = [randomBytes(16).toString('hex'), randomBytes(32).toString('hex')];
      offers.set(id, { token, untilMs: clock.monotonicMs() + LIFE_MS, read });
      return { path: `/disks/${id}`, token };
    },
  };
}

function isSame(right: string, given: string): boolean {
  const [a, b] = [Buffer.from(right), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
