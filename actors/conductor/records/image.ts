/**
 * Serves the records of the embedded Image service. Status changes are compare-and-set in one statement, so two
 * uploads of one image, or an upload and a delete, can't both win. Lists are in `image-list.ts`.
 */
import type { EntityManager } from '@mikro-orm/postgresql';
import type { ImageMember, ImageProtocol, ImageRecord } from '../messages/image.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { ImageMemberRow, ImageRow } from '../tables/image.ts';
import type { EmbeddedStore, Serve } from './embedded-store.ts';
import { changedBy, gone, guarded, inTransaction, rowsOf } from './embedded-store.ts';
import { ADD_COPY, copyServe, SEEN_LATELY } from './image-copies.ts';
import { COLUMNS, listImages, visibleTo } from './image-list.ts';

/** For the conductor's `serve` table. */
export function imageServe(store: EmbeddedStore): Serve<ImageProtocol> {
  return guarded({ ...recordServe(store), ...uploadServe(store), ...copyServe(store), ...tagServe(store), ...memberServe(store) });
}

type Records = 'imageCreate' | 'imageShow' | 'imageList' | 'imageReplace' | 'imageSetStatus' | 'imageDelete';
function recordServe(store: EmbeddedStore): Serve<Pick<ImageProtocol, Records>> {
  return {
    async imageCreate({ record }) {
      await inTransaction(store, 'image', (em) => em.insert(ImageRow, toRow(record)));
      return record;
    },
    async imageShow({ id, viewer }) {
      const visible = visibleTo(viewer, { direct: true });
      const rows = await rowsOf<ImageRecord>(store.orm.em.fork(), `select ${COLUMNS} from image i where i.id = ? and ${visible.sql}`, [id, ...visible.params]);
      return rows[0] ?? null;
    },
    imageList: (message) => listImages(store.orm.em.fork(), message),
    imageReplace: ({ record }) =>
      inTransaction(store, 'image', async (em) => {
        const { status: _, sizeBytes: _size, checksum: _sum, hash: _hash, createdAt: _created, id, ...changed } = toRow(record);
        const version = record.version + 1;
        const done = await em.nativeUpdate(ImageRow, { id, version: record.version }, { ...changed, version });
        if (done === 0) throw await whyNot(em, id, 'image.version', 'The image was changed meanwhile.');
        return { ...record, version };
      }),
    imageSetStatus: ({ id, from, to, nowMs }) =>
      inTransaction(store, 'image', async (em) => {
        const done = await em.nativeUpdate(ImageRow, { id, status: { $in: [...from] } }, { status: to, updatedAt: new Date(nowMs) });
        if (done === 0) throw await whyNot(em, id, 'image.status', 'The image is in another status.');
        return one(em, id);
      }),
    async imageDelete({ id }) {
      await inTransaction(store, 'image', async (em) => {
        const done = await em.nativeDelete(ImageRow, { id, protected: false });
        if (done === 0) throw await whyNot(em, id, 'image.protected', 'The image is protected.');
      });
      return undefined;
    },
  };
}

type Uploads = 'imageBeginUpload' | 'imageEndUpload' | 'imageAbortUpload' | 'imageResetUploads';
function uploadServe(store: EmbeddedStore): Serve<Pick<ImageProtocol, Uploads>> {
  return {
    imageBeginUpload: ({ id, uploadId, node, nowMs }) =>
      inTransaction(store, 'image', async (em) => {
        const done = await em.nativeUpdate(ImageRow, { id, status: 'queued' }, { status: 'saving', uploadId, uploadNode: node, updatedAt: new Date(nowMs) });
        if (done === 0) throw await whyNot(em, id, 'image.status', 'The image has its bytes already, or is getting them.');
        return one(em, id);
      }),
    imageEndUpload: ({ id, uploadId, node, sizeBytes, checksum, hash, nowMs }) =>
      inTransaction(store, 'image', async (em) => {
        const change = { status: 'active', uploadId: null, uploadNode: null, sizeBytes, checksum, hash, updatedAt: new Date(nowMs) };
        const done = await em.nativeUpdate(ImageRow, { id, status: 'saving', uploadId }, change);
        if (done === 0) throw await whyNot(em, id, 'image.upload', 'The upload is no longer wanted.');
        await changedBy(em, ADD_COPY, [hash, node]);
        return one(em, id);
      }),
    async imageAbortUpload({ id, uploadId, nowMs }) {
      const em = store.orm.em.fork();
      await em.nativeUpdate(ImageRow, { id, status: 'saving', uploadId }, { status: 'queued', uploadId: null, uploadNode: null, updatedAt: new Date(nowMs) });
      return undefined;
    },
    imageResetUploads: ({ node, running, nowMs }) => changedBy(store.orm.em.fork(), RESET_UPLOADS, [new Date(nowMs), node, node, JSON.stringify(running)]),
  };
}

/** Of a node that was not seen lately nobody waits for the rest of an upload. */
const RESET_UPLOADS = `update image i set status = 'queued', upload_id = null, upload_node = null, updated_at = ?
  where i.status = 'saving' and case
    when coalesce(i.upload_node, ?) = ? then i.upload_id not in (select jsonb_array_elements_text(?::jsonb))
    else not exists (select from image_door d where d.node = i.upload_node and ${SEEN_LATELY}) end`;

function tagServe(store: EmbeddedStore): Serve<Pick<ImageProtocol, 'imageAddTag' | 'imageRemoveTag'>> {
  return {
    async imageAddTag({ id, tag, max, nowMs }) {
      await inTransaction(store, 'image', async (em) => {
        const sql = `update image set tags = array_append(tags, ?::text), version = version + 1, updated_at = ?
          where id = ? and not tags @> array[?::text] and cardinality(tags) < ?`;
        const done = await changedBy(em, sql, [tag, new Date(nowMs), id, tag, max]);
        if (done === 1) return;
        const { tags } = await one(em, id);
        if (!tags.includes(tag)) throw new Fault('tooLarge', 'image.tags', `An image may have ${max} tags.`);
      });
      return undefined;
    },
    async imageRemoveTag({ id, tag, nowMs }) {
      const sql = 'update image set tags = array_remove(tags, ?::text), version = version + 1, updated_at = ? where id = ? and tags @> array[?::text]';
      const done = await changedBy(store.orm.em.fork(), sql, [tag, new Date(nowMs), id, tag]);
      if (done === 0) throw gone('image.tag');
      return undefined;
    },
  };
}

type Members = 'imageListMembers' | 'imageAddMember' | 'imageSetMember' | 'imageRemoveMember';
function memberServe(store: EmbeddedStore): Serve<Pick<ImageProtocol, Members>> {
  return {
    async imageListMembers({ imageId }) {
      const rows = await store.orm.em.fork().find(ImageMemberRow, { imageId }, { orderBy: { projectId: 'asc' }, disableIdentityMap: true });
      return rows.map(toMember);
    },
    imageAddMember: ({ member, max }) =>
      inTransaction(store, 'image.member', async (em) => {
        const locked = await rowsOf(em, 'select 1 as one from image where id = ? for update', [member.imageId]);
        if (locked.length === 0) throw gone('image.none');
        if ((await em.count(ImageMemberRow, { imageId: member.imageId })) >= max) {
          throw new Fault('tooLarge', 'image.members', `An image may have ${max} members.`);
        }
        const { createdAtMs, updatedAtMs, ...rest } = member;
        await em.insert(ImageMemberRow, { ...rest, createdAt: new Date(createdAtMs), updatedAt: new Date(updatedAtMs) });
        return member;
      }),
    imageSetMember: ({ imageId, projectId, status, nowMs }) =>
      inTransaction(store, 'image.member', async (em) => {
        await em.nativeUpdate(ImageMemberRow, { imageId, projectId }, { status, updatedAt: new Date(nowMs) });
        const row = await em.findOne(ImageMemberRow, { imageId, projectId });
        if (!row) throw gone('image.member');
        return toMember(row);
      }),
    async imageRemoveMember({ imageId, projectId }) {
      const done = await store.orm.em.fork().nativeDelete(ImageMemberRow, { imageId, projectId });
      if (done === 0) throw gone('image.member');
      return undefined;
    },
  };
}

async function one(em: EntityManager, id: string): Promise<ImageRecord> {
  const [row] = await rowsOf<ImageRecord>(em, `select ${COLUMNS} from image i where i.id = ?`, [id]);
  if (!row) throw gone('image.none');
  return row;
}

/** A compare-and-set changed nothing: the image is gone, or is not as it should be. */
async function whyNot(em: EntityManager, id: string, reason: string, message: string): Promise<Fault> {
  const rows = await rowsOf(em, 'select 1 as one from image where id = ?', [id]);
  return rows.length === 0 ? gone('image.none') : new Fault('conflict', reason, message);
}

function toRow({ minDiskGiB, minMemoryMiB, createdAtMs, updatedAtMs, tags, properties, ...rest }: ImageRecord) {
  return {
    ...rest,
    minDiskGib: minDiskGiB,
    minMemoryMib: minMemoryMiB,
    tags: [...tags],
    properties: { ...properties },
    createdAt: new Date(createdAtMs),
    updatedAt: new Date(updatedAtMs),
  };
}

type MemberRow = { imageId: string; projectId: string; status: string; createdAt: Date; updatedAt: Date };
function toMember({ createdAt, updatedAt, imageId, projectId, status }: MemberRow): ImageMember {
  return { imageId, projectId, status: status as ImageMember['status'], createdAtMs: createdAt.getTime(), updatedAtMs: updatedAt.getTime() };
}
