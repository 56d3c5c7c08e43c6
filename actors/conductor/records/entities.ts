/**
 * The mapper's view of plain records: flavors, key pairs, quota limits, networks, and of a host's row only what
 * administrators change. The tables and their constraints stand in tables/compute.ts; this adds none.
 */
import { defineEntity, p } from '@mikro-orm/postgresql';

export const FlavorRow = defineEntity({
  name: 'FlavorRow',
  tableName: 'flavor',
  properties: {
    id: p.integer().primary(),
    flavorId: p.text(),
    name: p.text(),
    vcpus: p.integer(),
    memoryMiB: p.integer().fieldName('memory_mib'),
    rootGiB: p.integer().fieldName('root_gib'),
    ephemeralGiB: p.integer().fieldName('ephemeral_gib'),
    swapMiB: p.integer().fieldName('swap_mib'),
    rxtxFactor: p.float(),
    isPublic: p.boolean(),
    disabled: p.boolean(),
    description: p.text().strictNullable(),
    extraSpecs: p.json<{ readonly [key: string]: string }>(),
  },
});

export const FlavorAccessRow = defineEntity({
  name: 'FlavorAccessRow',
  tableName: 'flavor_access',
  properties: { flavor: p.integer().primary(), projectId: p.text().primary() },
});

export const KeyPairRow = defineEntity({
  name: 'KeyPairRow',
  tableName: 'key_pair',
  properties: {
    id: p.integer().primary(),
    userId: p.text(),
    name: p.text(),
    type: p.text().$type<'ssh' | 'x509'>(),
    publicKey: p.text(),
    fingerprint: p.text(),
    createdAt: p.datetime().defaultRaw('clock_timestamp()'),
  },
});

/** `userId` is empty for the limits of the project as a whole. */
export const QuotaLimitRow = defineEntity({
  name: 'QuotaLimitRow',
  tableName: 'quota_limit',
  properties: { projectId: p.text().primary(), userId: p.text().primary(), name: p.text().primary(), value: p.bigint('number') },
});

export const QuotaClassRow = defineEntity({
  name: 'QuotaClassRow',
  tableName: 'quota_class',
  properties: { class: p.text().primary(), name: p.text().primary(), value: p.bigint('number') },
});

export const NetworkRow = defineEntity({
  name: 'NetworkRow',
  tableName: 'network',
  properties: {
    id: p.uuid().primary(),
    label: p.text(),
    cidr: p.text(),
    gateway: p.text().strictNullable(),
    projectId: p.text().strictNullable(),
  },
});

/** Only what administrators change; the rest of the row belongs to the host's actor and the write batch. */
export const ServiceHostRow = defineEntity({
  name: 'ServiceHostRow',
  tableName: 'host',
  properties: {
    name: p.text().primary(),
    serviceUuid: p.uuid(),
    disabled: p.boolean(),
    disabledReason: p.text().strictNullable(),
    forcedDown: p.boolean(),
    deleted: p.boolean(),
    updatedAt: p.datetime(),
  },
});

export const RECORD_ENTITIES = [FlavorRow, FlavorAccessRow, KeyPairRow, QuotaLimitRow, QuotaClassRow, NetworkRow, ServiceHostRow];
