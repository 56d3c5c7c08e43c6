/** Bodies of server requests, by microversion. Source: member tables of the Compute API. */
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import {
  ANYTHING,
  BOOLEAN,
  DESCRIPTION,
  DISK_CONFIG,
  HOST_NAME,
  integer,
  list,
  members,
  METADATA,
  NAME,
  TAG,
  text,
  TEXT,
  UUID,
  ZONE_NAME,
  INTEGER_MAX,
} from '../parameter-types.ts';

export const TAGS_MAX = 50;
/** Items of one list in a create body: networks, devices, files, groups. */
const ITEMS_MAX = 64;
const CERTIFICATES_MAX = 50;

const IPV4: JsonSchema = { type: 'string', format: 'ipv4' };
const IPV6: JsonSchema = { type: 'string', format: 'ipv6' };
const ADDRESS: JsonSchema = { anyOf: [IPV4, IPV6] };
/** Creates and updates take no more digits than a host name has. */
const SHORT_HOSTNAME: JsonSchema = { type: 'string', minLength: 2, maxLength: 63, pattern: '^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$' };

function hostnameAt(version: number): JsonSchema {
  return version >= SINCE.longHostname ? HOST_NAME : SHORT_HOSTNAME;
}

function deviceTagsIn(version: number, until: number): boolean {
  return (version >= SINCE.deviceTags && version <= until) || version >= SINCE.deviceTagsAgain;
}

function networksAt(version: number): JsonSchema {
  const tag = deviceTagsIn(version, SINCE.networksRequired - 1) ? { tag: TAG } : {};
  const strict = version >= SINCE.networksRequired;
  const item = members({
    fixed_ip: ADDRESS,
    port: { type: ['string', 'null'], format: 'uuid' },
    uuid: strict ? UUID : text(1, 255),
    ...tag,
  });
  const networks = list(item, { maxItems: ITEMS_MAX });
  return strict ? { anyOf: [networks, { type: 'string', enum: ['none', 'auto'] }] } : networks;
}

function devicesAt(version: number): JsonSchema {
  return list(
    members({
      ...OLD_DEVICE,
      source_type: { type: 'string', enum: ['volume', 'image', 'snapshot', 'blank'] },
      uuid: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9._-]*$' },
      image_id: UUID,
      destination_type: { type: 'string', enum: ['local', 'volume'] },
      guest_format: text(0, 255),
      device_type: text(0, 255),
      disk_bus: text(0, 255),
      boot_index: { anyOf: [integer(-INTEGER_MAX), { type: 'null' }] },
      ...(deviceTagsIn(version, SINCE.deviceTags) ? { tag: TAG } : {}),
      ...(version >= SINCE.volumeType ? { volume_type: { type: ['string', 'null'], minLength: 0, maxLength: 255 } } : {}),
    }),
    { maxItems: ITEMS_MAX },
  );
}

const OLD_DEVICE: { readonly [name: string]: JsonSchema } = {
  virtual_name: text(0, 255),
  volume_id: UUID,
  snapshot_id: UUID,
  volume_size: integer(1),
  device_name: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9._/-]*$' },
  delete_on_termination: BOOLEAN,
  no_device: ANYTHING,
  connection_info: text(0, 16_777_215),
};

const UUID_OR_LIST: JsonSchema = { anyOf: [UUID, list(UUID, { maxItems: ITEMS_MAX })] };
const TEXT_OR_LIST: JsonSchema = { anyOf: [TEXT, list(TEXT, { maxItems: ITEMS_MAX })] };
const HINTS_MAX = 64;

const HINTS: JsonSchema = {
  type: 'object',
  maxProperties: HINTS_MAX,
  properties: {
    group: UUID_OR_LIST,
    different_host: UUID_OR_LIST,
    same_host: UUID_OR_LIST,
    query: { type: ['string', 'object'] },
    target_cell: NAME,
    different_cell: TEXT_OR_LIST,
    build_near_host_ip: ADDRESS,
    cidr: { type: 'string', pattern: '^/[0-9a-f.:]+$' },
  },
};

function serverAt(version: number): JsonSchema {
  const since = (minor: number, properties: { readonly [name: string]: JsonSchema }) => (version >= minor ? properties : {});
  const required = ['name', 'flavorRef', ...(version >= SINCE.networksRequired ? ['networks'] : [])];
  return members(
    {
      name: NAME,
      imageRef: { anyOf: [UUID, { type: 'string', maxLength: 0 }] },
      flavorRef: { type: ['string', 'integer'], minLength: 1, maxLength: 1_024 },
      adminPass: text(0, 255),
      metadata: METADATA,
      networks: networksAt(version),
      'OS-DCF:diskConfig': DISK_CONFIG,
      accessIPv4: IPV4,
      accessIPv6: IPV6,
      availability_zone: ZONE_NAME,
      block_device_mapping: list(members(OLD_DEVICE), { maxItems: ITEMS_MAX }),
      block_device_mapping_v2: devicesAt(version),
      config_drive: BOOLEAN,
      key_name: NAME,
      min_count: integer(1),
      max_count: integer(1),
      return_reservation_id: BOOLEAN,
      security_groups: list(members({ name: NAME }), { maxItems: ITEMS_MAX }),
      user_data: { type: 'string', maxLength: 65_535, format: 'base64' },
      ...(version < SINCE.noPersonality
        ? { personality: list(members({ path: TEXT, contents: { type: 'string', format: 'base64' } }), { maxItems: ITEMS_MAX }) }
        : {}),
      ...since(SINCE.serverDescription, { description: DESCRIPTION }),
      ...since(SINCE.createTags, { tags: list(TAG, { maxItems: TAGS_MAX }) }),
      ...since(SINCE.trustedCertificates, {
        trusted_image_certificates: { type: ['array', 'null'], minItems: 1, maxItems: CERTIFICATES_MAX, uniqueItems: true, items: text(1, 255) },
      }),
      ...since(SINCE.requestedHost, { host: HOST_NAME, hypervisor_hostname: HOST_NAME }),
      ...since(SINCE.hostname, { hostname: hostnameAt(version) }),
    },
    required,
  );
}

export const CREATE_BODY: BodySchema = {
  breaks: [
    1,
    SINCE.serverDescription,
    SINCE.deviceTags,
    SINCE.deviceTags + 1,
    SINCE.networksRequired,
    SINCE.deviceTagsAgain,
    SINCE.createTags,
    SINCE.noPersonality,
    SINCE.trustedCertificates,
    SINCE.volumeType,
    SINCE.requestedHost,
    SINCE.hostname,
    SINCE.longHostname,
  ],
  at: (version) => members({ server: serverAt(version), 'os:scheduler_hints': HINTS, 'OS-SCH-HNT:scheduler_hints': HINTS }, ['server']),
};

function rebuildAt(version: number): JsonSchema {
  const since = (minor: number, properties: { readonly [name: string]: JsonSchema }) => (version >= minor ? properties : {});
  return members(
    {
      name: NAME,
      imageRef: UUID,
      adminPass: TEXT,
      metadata: METADATA,
      preserve_ephemeral: BOOLEAN,
      'OS-DCF:diskConfig': DISK_CONFIG,
      accessIPv4: IPV4,
      accessIPv6: IPV6,
      ...(version < SINCE.noPersonality
        ? { personality: list(members({ path: TEXT, contents: { type: 'string', format: 'base64' } }), { maxItems: ITEMS_MAX }) }
        : {}),
      ...since(SINCE.serverDescription, { description: DESCRIPTION }),
      ...since(SINCE.rebuildKey, { key_name: { anyOf: [NAME, { type: 'null' }] } }),
      ...since(SINCE.noPersonality, { user_data: { type: ['string', 'null'], maxLength: 65_535, format: 'base64' } }),
      ...since(SINCE.trustedCertificates, {
        trusted_image_certificates: { type: ['array', 'null'], minItems: 1, maxItems: CERTIFICATES_MAX, uniqueItems: true, items: text(1, 255) },
      }),
      ...since(SINCE.hostname, { hostname: hostnameAt(version) }),
    },
    ['imageRef'],
  );
}

export const REBUILD_BODY: BodySchema = {
  breaks: [1, SINCE.serverDescription, SINCE.rebuildKey, SINCE.noPersonality, SINCE.trustedCertificates, SINCE.hostname, SINCE.longHostname],
  at: (version) => members({ rebuild: rebuildAt(version) }, ['rebuild']),
};

export const UPDATE_BODY: BodySchema = {
  breaks: [1, SINCE.serverDescription, SINCE.hostname, SINCE.longHostname, SINCE.changePinnedZone],
  at: (version) =>
    members(
      {
        server: members({
          name: NAME,
          'OS-DCF:diskConfig': DISK_CONFIG,
          accessIPv4: IPV4,
          accessIPv6: IPV6,
          ...(version >= SINCE.serverDescription ? { description: DESCRIPTION } : {}),
          ...(version >= SINCE.hostname ? { hostname: hostnameAt(version) } : {}),
          ...(version >= SINCE.changePinnedZone ? { pinned_availability_zone: { type: ['string', 'null'], minLength: 1, maxLength: 255 } } : {}),
        }),
      },
      ['server'],
    ),
};

export const METADATA_BODY: BodySchema = { breaks: [1], at: () => members({ metadata: METADATA }, ['metadata']) };
export const META_BODY: BodySchema = {
  breaks: [1],
  at: () => members({ meta: { ...METADATA, minProperties: 1, maxProperties: 1 } }, ['meta']),
};
export const TAGS_BODY: BodySchema = { breaks: [1], at: () => members({ tags: list(TAG, { maxItems: TAGS_MAX }) }, ['tags']) };
