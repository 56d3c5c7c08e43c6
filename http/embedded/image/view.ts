/** Images and members as Image v2 shows them, and the schemas it publishes. Properties lie beside the base members. */
import type { ImageMember, ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { CONTAINER_FORMATS, DISK_FORMATS, STATUSES, VISIBILITIES } from './schema.ts';

export function renderImage(image: ImageRecord): object {
  const { id } = image;
  return {
    ...image.properties,
    id,
    name: image.name,
    status: image.status,
    visibility: image.visibility,
    owner: image.owner,
    protected: image.protected,
    os_hidden: image.hidden,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    min_disk: image.minDiskGiB,
    min_ram: image.minMemoryMiB,
    size: image.sizeBytes,
    virtual_size: image.virtualSizeBytes,
    checksum: image.checksum,
    os_hash_algo: image.hash === null ? null : 'sha512',
    os_hash_value: image.hash,
    tags: image.tags,
    created_at: seconds(image.createdAtMs),
    updated_at: seconds(image.updatedAtMs),
    self: `/v2/images/${id}`,
    file: `/v2/images/${id}/file`,
    schema: '/v2/schemas/image',
  };
}

export function renderMember({ imageId, projectId, status, createdAtMs, updatedAtMs }: ImageMember): object {
  return { image_id: imageId, member_id: projectId, status, created_at: seconds(createdAtMs), updated_at: seconds(updatedAtMs), schema: '/v2/schemas/member' };
}

function seconds(wallMs: number): string {
  return toIso(wallMs).replace(/\.\d+Z$/, 'Z');
}

const text = (description: string, more: object = {}): object => ({ type: 'string', description, ...more });
const nullText = (description: string, more: object = {}): object => ({ type: ['null', 'string'], description, ...more });
const fixed = { readOnly: true };
const UUID_PATTERN = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$';

export const IMAGE_SCHEMA = {
  name: 'image',
  properties: {
    id: text('An identifier for the image', { pattern: UUID_PATTERN }),
    name: nullText('Descriptive name for the image', { maxLength: 255 }),
    status: text('Status of the image', { ...fixed, enum: STATUSES }),
    visibility: text('Scope of image accessibility', { enum: VISIBILITIES }),
    owner: nullText('Owner of the image', { maxLength: 255 }),
    protected: { type: 'boolean', description: 'If true, image will not be deletable.' },
    os_hidden: { type: 'boolean', description: 'If true, image will not appear in default image list response.' },
    disk_format: nullText('Format of the disk', { enum: [null, ...DISK_FORMATS] }),
    container_format: nullText('Format of the container', { enum: [null, ...CONTAINER_FORMATS] }),
    min_disk: { type: 'integer', description: 'Amount of disk space (in GB) required to boot image.' },
    min_ram: { type: 'integer', description: 'Amount of ram (in MB) required to boot image.' },
    size: { type: ['null', 'integer'], ...fixed, description: 'Size of image file in bytes' },
    virtual_size: { type: ['null', 'integer'], ...fixed, description: 'Virtual size of image in bytes' },
    checksum: nullText('md5 hash of image contents.', { ...fixed, maxLength: 32 }),
    os_hash_algo: nullText('Algorithm to calculate the os_hash_value', { ...fixed, maxLength: 64 }),
    os_hash_value: nullText('Hexdigest of the image contents using the algorithm specified by the os_hash_algo', { ...fixed, maxLength: 128 }),
    tags: { type: 'array', items: { type: 'string', maxLength: 255 }, description: 'List of strings related to the image' },
    created_at: text('Date and time of image registration', fixed),
    updated_at: text('Date and time of the last image modification', fixed),
    self: text('An image self url', fixed),
    file: text('An image file url', fixed),
    schema: text('An image schema url', fixed),
  },
  additionalProperties: { type: 'string' },
  links: [
    { href: '{self}', rel: 'self' },
    { href: '{file}', rel: 'enclosure' },
    { href: '{schema}', rel: 'describedby' },
  ],
};

export const IMAGES_SCHEMA = {
  name: 'images',
  properties: { images: { type: 'array', items: IMAGE_SCHEMA }, first: { type: 'string' }, next: { type: 'string' }, schema: { type: 'string' } },
  links: [
    { href: '{first}', rel: 'first' },
    { href: '{next}', rel: 'next' },
    { href: '{schema}', rel: 'describedby' },
  ],
};

export const MEMBER_SCHEMA = {
  name: 'member',
  properties: {
    member_id: text('An identifier for the image member (tenantId)'),
    image_id: text('An identifier for the image', { pattern: UUID_PATTERN }),
    status: text('The status of this image member', { enum: ['pending', 'accepted', 'rejected'] }),
    created_at: text('Date and time of image member creation'),
    updated_at: text('Date and time of last modification of image member'),
    schema: text('The member schema url', fixed),
  },
};

export const MEMBERS_SCHEMA = {
  name: 'members',
  properties: { members: { type: 'array', items: MEMBER_SCHEMA }, schema: { type: 'string' } },
  links: [{ href: '{schema}', rel: 'describedby' }],
};
