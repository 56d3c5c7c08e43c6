/** What hosts were asked to fetch ahead of time. A host reads it when it is told, and again at each of its looks, until nothing is left. */
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import type { GuestImage } from '../../drivers/driver.ts';
import type { ImageWantProtocol } from './messages/aggregate.ts';
import type { Query } from './reads/query.ts';

/** At once; the rest at the next look. */
const BATCH = 32;

export function imageWantServe(query: Query): ServiceKind<ImageWantProtocol>['serve'] {
  return {
    async hostWantedImages({ host }) {
      const text = `select image from image_wanted where host = $1 order by asked_at, image_id limit ${BATCH}`;
      return (await query<{ image: GuestImage }>({ text, values: [host] })).map((row) => row.image);
    },
    async hostImageDone({ host, imageId }) {
      await query({ text: 'delete from image_wanted where host = $1 and image_id = $2', values: [host, imageId] });
      return undefined;
    },
  };
}
