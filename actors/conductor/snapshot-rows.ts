/** What the store knows of images that are made of servers: who is about which, and which nobody needs any more. */
import type pg from 'pg';
import type { ImageDraft } from '../model/image.ts';
import { openQuery } from './reads/query.ts';

export interface SnapshotRows {
  /** What the open operation of that server makes; undefined when none is about this image. */
  draft(instanceId: string, imageId: string): Promise<ImageDraft | undefined>;
  /** From now on it is looked after. Asked again, its time begins anew. */
  remember(imageId: string, instanceId: string): Promise<void>;
  forget(imageId: string): Promise<void>;
  /** The same, when it was remembered long ago: what was asked before and comes late has come by then. */
  forgetOld(imageId: string): Promise<void>;
  /** Of those that are looked after, what no open operation is about and no shelved server comes back from. null: of all. */
  unneeded(imageId: string | null, limit: number): Promise<readonly string[]>;
  /** A server with a claim on that host has an open operation about it. */
  isClaimed(host: string, instanceId: string, imageId: string): Promise<boolean>;
}

const OF_OPERATION = `record->'operation'->'args'->'image'->>'id'`;
const DRAFT = `select record->'operation'->'args'->'image' as draft from instance where id = $1 and not deleted and ${OF_OPERATION} = $2`;
const REMEMBER = `insert into snapshot_image (image_id, instance_id) values ($1, $2)
  on conflict (image_id) do update set made_at = clock_timestamp()`;
const FORGET = 'delete from snapshot_image where image_id = $1';
const UNNEEDED = `select s.image_id as id from snapshot_image s left join instance i on i.id = s.instance_id
  where coalesce(i.deleted or s.image_id::text not in (coalesce(i.${OF_OPERATION}, ''), coalesce(i.record->'shelved'->'image'->>'id', '')), true)
    and s.image_id = coalesce($1::uuid, s.image_id)
  order by s.made_at limit $2`;
const CLAIMED = `select 1 as one from claim c join instance i on i.id = c.instance_id
  where c.host = $1 and c.instance_id = $2 and c.role = 'active' and i.${OF_OPERATION} = $3`;

export function snapshotRows(pool: pg.Pool): SnapshotRows {
  const query = openQuery(pool);
  return {
    async draft(instanceId, imageId) {
      const [row] = await query<{ draft: ImageDraft }>({ text: DRAFT, values: [instanceId, imageId] });
      return row?.draft;
    },
    async remember(imageId, instanceId) {
      await query({ text: REMEMBER, values: [imageId, instanceId] });
    },
    async forget(imageId) {
      await query({ text: FORGET, values: [imageId] });
    },
    async forgetOld(imageId) {
      await query({ text: `${FORGET} and made_at < clock_timestamp() - interval '2 minutes'`, values: [imageId] });
    },
    async unneeded(imageId, limit) {
      const rows = await query<{ id: string }>({ text: UNNEEDED, values: [imageId, limit] });
      return rows.map(({ id }) => id);
    },
    async isClaimed(host, instanceId, imageId) {
      return (await query({ text: CLAIMED, values: [host, instanceId, imageId] })).length > 0;
    },
  };
}
