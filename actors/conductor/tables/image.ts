/** The mapper's view of the embedded Image service's tables (actors/conductor/migrations/embedded.ts makes them). */
import { defineEntity, p } from '@mikro-orm/postgresql';

export const ImageRow = defineEntity({
  name: 'EmbeddedImageRow',
  tableName: 'image',
  properties: {
    id: p.uuid().primary(),
    name: p.text().nullable(),
    status: p.text(),
    visibility: p.text(),
    owner: p.text().nullable(),
    protected: p.boolean(),
    hidden: p.boolean(),
    diskFormat: p.text().nullable(),
    containerFormat: p.text().nullable(),
    minDiskGib: p.integer(),
    minMemoryMib: p.integer(),
    sizeBytes: p.bigint('number').nullable(),
    virtualSizeBytes: p.bigint('number').nullable(),
    checksum: p.text().nullable(),
    hash: p.text().nullable(),
    tags: p.array(),
    properties: p.json<{ [key: string]: string }>(),
    /** The upload that is writing bytes; set while the status is `saving`. */
    uploadId: p.text().nullable(),
    /** The node that is writing them. */
    uploadNode: p.text().nullable(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    version: p.bigint('number'),
  },
});

export const ImageMemberRow = defineEntity({
  name: 'EmbeddedImageMemberRow',
  tableName: 'image_member',
  properties: {
    imageId: p.uuid().primary(),
    projectId: p.text().primary(),
    status: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
  },
});

export const IMAGE_ENTITIES = [ImageRow, ImageMemberRow];
