/** The mapper's view of the embedded Identity service's tables (actors/conductor/migrations/embedded.ts makes them). */
import { defineEntity, p } from '@mikro-orm/postgresql';

export const DomainRow = defineEntity({
  name: 'IdentityDomainRow',
  tableName: 'identity_domain',
  properties: { id: p.text().primary(), name: p.text(), description: p.text(), enabled: p.boolean() },
});

export const ProjectRow = defineEntity({
  name: 'IdentityProjectRow',
  tableName: 'identity_project',
  properties: { id: p.text().primary(), name: p.text(), domainId: p.text(), description: p.text(), enabled: p.boolean() },
});

export const UserRow = defineEntity({
  name: 'IdentityUserRow',
  tableName: 'identity_user',
  properties: {
    id: p.text().primary(),
    name: p.text(),
    domainId: p.text(),
    enabled: p.boolean(),
    defaultProjectId: p.text().nullable(),
    email: p.text().nullable(),
    description: p.text().nullable(),
    /** Read only when it is named, so that no list can show it. */
    passwordHash: p.text().nullable().lazy(),
  },
});

export const RoleRow = defineEntity({
  name: 'IdentityRoleRow',
  tableName: 'identity_role',
  properties: { id: p.text().primary(), name: p.text(), description: p.text().nullable() },
});

export const RegionRow = defineEntity({
  name: 'IdentityRegionRow',
  tableName: 'identity_region',
  properties: { id: p.text().primary(), description: p.text() },
});

export const ServiceRow = defineEntity({
  name: 'IdentityServiceRow',
  tableName: 'identity_service',
  properties: { id: p.text().primary(), type: p.text(), name: p.text(), description: p.text(), enabled: p.boolean() },
});

export const EndpointRow = defineEntity({
  name: 'IdentityEndpointRow',
  tableName: 'identity_endpoint',
  properties: {
    id: p.text().primary(),
    serviceId: p.text(),
    regionId: p.text(),
    interface: p.text(),
    url: p.text(),
    enabled: p.boolean(),
  },
});

export const Ec2KeyRow = defineEntity({
  name: 'IdentityEc2KeyRow',
  tableName: 'identity_ec2_key',
  properties: { access: p.text().primary(), secret: p.text(), userId: p.text(), projectId: p.text() },
});

/** All of them, for `MikroORM.init`. Tokens and grants are read and written by statements, never by the mapper. */
export const IDENTITY_ENTITIES = [DomainRow, ProjectRow, UserRow, RoleRow, RegionRow, ServiceRow, EndpointRow, Ec2KeyRow];
