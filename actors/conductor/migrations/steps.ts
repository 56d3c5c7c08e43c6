/**
 * Runs the schema's steps that a cell does not have yet, each in a transaction of its own, remembered in
 * `schema_step`. Loaded only when a cell is behind. A step that was released is never edited; the next one mends it.
 */
import type { Constructor } from '@mikro-orm/core';
import { Migrator, type Migration } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { reach } from '../../../runtime/database/primary.ts';
import { Aggregates } from './aggregates.ts';
import { FirstSchema } from './first-schema.ts';
import { HostProof } from './host-proof.ts';
import { ManyDoors } from './many-doors.ts';
import { Migrations } from './migrations.ts';
import { NodeKeys } from './node-keys.ts';
import { databaseOf } from './orm.ts';
import { ServerGroups } from './server-groups.ts';
import { STEP_NAMES, type StepName } from './step-names.ts';

const STEPS: { readonly [name in StepName]: Constructor<Migration> } = {
  '001-first-schema': FirstSchema,
  '002-node-keys': NodeKeys,
  '003-host-proof': HostProof,
  '004-many-doors': ManyDoors,
  '006-migrations': Migrations,
  '008-aggregates': Aggregates,
  '009-server-groups': ServerGroups,
};

/** The caller holds the lock that lets one node at a time in here. */
export async function applySteps(url: string): Promise<void> {
  const orm = await MikroORM.init({
    dbName: databaseOf(url),
    driverOptions: { ...reach(url) },
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    pool: { min: 0, max: 1 },
    migrations: {
      tableName: 'schema_step',
      migrationsList: STEP_NAMES.map((name) => ({ name, class: STEPS[name] })),
      snapshot: false,
      silent: true,
      allOrNothing: false,
    },
  });
  try {
    await orm.migrator.up();
  } finally {
    await orm.close();
  }
}
