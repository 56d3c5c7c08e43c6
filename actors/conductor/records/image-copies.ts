/**
 * Where bytes of images lie: the nodes that answer the Image API, and who of them holds which bytes, by SHA-512.
 * What is written here follows a file that is whole and on disk, or goes before its removal, so that a node which is
 * named has the bytes, unless its folder was lost. Times are the database's own and decide nothing but an order and
 * whom to wait for.
 */
import type { ImageBytes, ImageDoor, ImageProtocol } from '../messages/image.ts';
import type { EmbeddedStore, Serve } from './embedded-store.ts';
import { changedBy, inTransaction, rowsOf } from './embedded-store.ts';

/** Of `image_door d`. Long enough for a restart, short enough that a lost node's images are copied again. */
export const SEEN_LATELY = `d.seen_at > clock_timestamp() - interval '10 minutes'`;
/** Harmless twice. */
export const ADD_COPY = 'insert into image_copy (hash, node) values (?, ?) on conflict do nothing';

const DOORS_MAX = 16;
const IN_USE = `i.status in ('active', 'deactivated')`;
const LIST = 'select jsonb_array_elements_text(?::jsonb)';
const SEEN = `insert into image_door (node, url) values (?, ?)
  on conflict (node) do update set url = excluded.url, seen_at = clock_timestamp()`;
const DOORS = `select d.node, d.url, c.node is not null as holds from image_door d left join image_copy c on c.node = d.node and c.hash = ?
  where d.node is distinct from ? and (c.node is not null or ${SEEN_LATELY})
  order by c.node is null, not (${SEEN_LATELY}), random() limit ${DOORS_MAX}`;
const LACKING = `select i.id, i.hash, i.size_bytes::float8 as "sizeBytes" from image i
  where ${IN_USE} and i.size_bytes > 0
    and exists (select from image_copy c join image_door d on d.node = c.node and ${SEEN_LATELY} where c.hash = i.hash)
    and not exists (select from image_copy c where c.hash = i.hash and c.node = ?)
    and (select count(*) from image_copy c join image_door d on d.node = c.node and ${SEEN_LATELY} where c.hash = i.hash) < ?
  order by i.updated_at, i.id limit ?`;

type Copies = 'imageWithBytes' | 'imageHashes' | 'imageDoorOpen' | 'imageDoorSeen' | 'imageCopied' | 'imageDropCopy' | 'imageDoors' | 'imageLacking';

export function copyServe(store: EmbeddedStore): Serve<Pick<ImageProtocol, Copies>> {
  const em = () => store.orm.em.fork();
  return {
    async imageWithBytes({ hashes }) {
      const rows = await rowsOf<{ hash: string }>(em(), `select distinct i.hash from image i where ${IN_USE} and i.hash in (${LIST})`, [
        JSON.stringify(hashes),
      ]);
      return rows.map((row) => row.hash);
    },
    imageHashes: ({ ids }) => rowsOf(em(), `select i.id, i.hash from image i where ${IN_USE} and i.id::text in (${LIST})`, [JSON.stringify(ids)]),
    async imageDoorOpen({ node, url, hashes, after, upTo }) {
      const held = JSON.stringify(hashes);
      await inTransaction(store, 'image.door', async (within) => {
        await changedBy(within, SEEN, [node, url]);
        const drop = `delete from image_copy where node = ? and hash not in (${LIST}) and hash collate "C" > ? and (?::text is null or hash collate "C" <= ?)`;
        await changedBy(within, drop, [node, held, after, upTo, upTo]);
        const add = `insert into image_copy (hash, node) select h.hash, ? from (${LIST} as hash) h
          where exists (select from image i where i.hash = h.hash and ${IN_USE}) on conflict do nothing`;
        await changedBy(within, add, [node, held]);
      });
      return undefined;
    },
    async imageDoorSeen({ node, url }) {
      await changedBy(em(), SEEN, [node, url]);
      return undefined;
    },
    imageCopied: ({ node, hash }) =>
      inTransaction(store, 'image.copy', async (within) => {
        // Locked, so that its removal waits and is seen by the next sweep.
        const used = await rowsOf(within, `select 1 as one from image i where i.hash = ? and ${IN_USE} limit 1 for share`, [hash]);
        if (used.length > 0) await changedBy(within, ADD_COPY, [hash, node]);
        return used.length > 0;
      }),
    imageDropCopy: ({ node, hash }) =>
      inTransaction(store, 'image.copy', async (within) => {
        const used = await rowsOf(within, `select 1 as one from image i where i.hash = ? and ${IN_USE} limit 1`, [hash]);
        if (used.length > 0) return 'used';
        return (await changedBy(within, 'delete from image_copy where node = ? and hash = ?', [node, hash])) > 0 ? 'recorded' : 'unknown';
      }),
    imageDoors: ({ hash, except }) => rowsOf<ImageDoor>(em(), DOORS, [hash, except]),
    imageLacking: ({ node, copies, limit }) => rowsOf<ImageBytes>(em(), LACKING, [node, copies, limit]),
  };
}
