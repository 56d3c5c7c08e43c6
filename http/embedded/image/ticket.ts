/**
 * Tickets: the bytes of one image, for some minutes, for a bearer without an account. Signed with a key that the nodes
 * of a cloud share, so that each of them honours what another has given; nothing is stored. A ticket comes in the
 * header where a token would, and can never be one: it has dots.
 *
 *   ticket.<use>.<end, wall ms>.<HMAC-SHA256 of use, image and end>
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageWay } from '../../../actors/conductor/messages/host.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Clock } from '../../../runtime/base/clock.ts';

/** `copy` is for another image service: it is given what lies here, and never sent on. `write` is for the first bytes of an image. */
export type TicketUse = 'host' | 'copy' | 'write';

export interface Tickets {
  issue(use: TicketUse, imageId: string): { readonly token: string; readonly expiresAtMs: number };
  /** What it is good for on that image now; undefined when it is none, for another image, or has ended. */
  check(token: string, imageId: string): TicketUse | undefined;
}

/** For the beginning of a download; clocks of two machines may differ by less. */
const LIFE_MS = 600_000;
const SHAPE = /^ticket\.(host|copy|write)\.(\d{1,15})\.([A-Za-z0-9_-]{43})$/;

export function openTickets(key: string, clock: Clock): Tickets {
  const sign = (use: string, imageId: string, endMs: number): Buffer => createHmac('sha256', key).update(`image ticket\n${use}\n${imageId}\n${endMs}`).digest();
  return {
    issue(use, imageId) {
      const expiresAtMs = Math.floor(clock.wallMs()) + LIFE_MS;
      return { token: `ticket.${use}.${expiresAtMs}.${sign(use, imageId, expiresAtMs).toString('base64url')}`, expiresAtMs };
    },
    check(token, imageId) {
      const [, use, end, proof] = SHAPE.exec(token) ?? [];
      if (use === undefined || end === undefined || proof === undefined) return undefined;
      const given = Buffer.from(proof, 'base64url');
      const right = sign(use, imageId, Number(end));
      if (given.length !== right.length || !timingSafeEqual(given, right) || Number(end) < clock.wallMs()) return undefined;
      return use === 'copy' || use === 'write' ? use : 'host';
    },
  };
}

/** For hosts: the image services that are known, those first that hold the bytes. Fault `unavailable` when there is none. */
export async function ticketWay(
  actors: Actors,
  tickets: Tickets,
  { id, hash }: { id: string; hash: { algorithm: string; hex: string } | null },
): Promise<ImageWay> {
  const doors = await actors.ask(CONDUCTOR, { type: 'imageDoors', hash: hash?.algorithm === 'sha512' ? hash.hex : null, except: null });
  if (doors.length === 0) throw new Fault('unavailable', 'image.noEndpoint', 'No image service is up.');
  return { urls: doors.map(({ url }) => `${url}/v2/images/${id}/file`), ...tickets.issue('host', id) };
}
