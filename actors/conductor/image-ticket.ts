/**
 * The way of hosts to the bytes of images: a ticket for one image, for some minutes, and only of an image that a
 * server with a claim on that host is made from, or that an operator wants there (P7). Who gives the ticket, an embedded image service or the account
 * at a real one, is behind a port. A ticket is never logged.
 */
import type pg from 'pg';
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { ImageRef } from '../model/image.ts';
import type { ImageTicketProtocol, ImageWay } from './messages/host.ts';
import { openQuery } from './reads/query.ts';

/** Port: whoever can open an image for others. Fault `unavailable` when no image service is known or answers. */
export interface ImageWays {
  /** `again`: what was given last was refused. */
  open(image: Pick<ImageRef, 'id' | 'hash'>, again: boolean): Promise<ImageWay>;
}

/** Also kernel and ramdisk, the image with the disk of a shelved server, and what a rescue boots while it runs. Claims that are doomed need no bytes any more. */
const CLAIMED = `select used.image
  from claim c join instance i on i.id = c.instance_id
  cross join lateral (values (i.record->'image'), (i.record->'shelved'->'image'), (i.record->'kernel'), (i.record->'ramdisk'),
    (i.record->'operation'->'args'->'image'), (i.record->'operation'->'args'->'kernel'), (i.record->'operation'->'args'->'ramdisk')) as used(image)
  where c.host = $1 and c.role <> 'doomed' and used.image->>'id' = $2
  limit 1`;
/** What the host was asked to fetch ahead of time. */
const WANTED = 'select image from image_wanted where host = $1 and image_id = $2';

export function imageTicketServe({ pool, ways }: { pool: pg.Pool; ways: ImageWays }): ServiceKind<ImageTicketProtocol>['serve'] {
  const query = openQuery(pool);
  return {
    async hostImageTicket({ host, imageId, again }) {
      const values = [host, imageId];
      const [claimed] = await query<{ image: Pick<ImageRef, 'id' | 'hash' | 'sizeBytes'> }>({ text: CLAIMED, values });
      const row = claimed ?? (await query<{ image: Pick<ImageRef, 'id' | 'hash' | 'sizeBytes'> }>({ text: WANTED, values }))[0];
      if (!row) throw new Fault('forbidden', 'image.notClaimed', `No server on host ${host} is made from image ${imageId}.`);
      const { id, hash, sizeBytes } = row.image;
      return { ...(await ways.open({ id, hash }, again)), sizeBytes, hash };
    },
  };
}
