/**
 * The way of hosts to the bytes of images: a ticket for one image, for some minutes, and only of an image that a
 * server with a claim on that host is made from (P7). Who gives the ticket, an embedded image service or the account
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

/** Also kernel and ramdisk, and the image with the disk of a shelved server. Claims that are doomed need no bytes any more. */
const CLAIMED = `select coalesce(
    case when i.record->'image'->>'id' = $2 then i.record->'image' end,
    case when i.record->'shelved'->'image'->>'id' = $2 then i.record->'shelved'->'image' end,
    case when i.record->'kernel'->>'id' = $2 then i.record->'kernel' end,
    i.record->'ramdisk') as image
  from claim c join instance i on i.id = c.instance_id
  where c.host = $1 and c.role <> 'doomed' and $2 in (i.record->'image'->>'id', i.record->'shelved'->'image'->>'id', i.record->'kernel'->>'id', i.record->'ramdisk'->>'id')
  limit 1`;

export function imageTicketServe({ pool, ways }: { pool: pg.Pool; ways: ImageWays }): ServiceKind<ImageTicketProtocol>['serve'] {
  const query = openQuery(pool);
  return {
    async hostImageTicket({ host, imageId, again }) {
      const [row] = await query<{ image: ImageRef }>({ text: CLAIMED, values: [host, imageId] });
      if (!row) throw new Fault('forbidden', 'image.notClaimed', `No server on host ${host} is made from image ${imageId}.`);
      const { id, hash, sizeBytes } = row.image;
      return { ...(await ways.open({ id, hash }, again)), sizeBytes, hash };
    },
  };
}
