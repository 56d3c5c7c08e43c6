/**
 * The first step: all tables as they are today. Later steps bring older cells here, so each of them must change
 * nothing in a cell that this step has just made.
 */
import { Migration } from '@mikro-orm/migrations';
import { RUNTIME_SCHEMA } from '../../../runtime/database/tables.ts';
import { AGGREGATE_SCHEMA } from '../tables/aggregates.ts';
import { COMPUTE_SCHEMA } from '../tables/compute.ts';
import { EMBEDDED_SCHEMA } from './embedded.ts';

export class FirstSchema extends Migration {
  override async up(): Promise<void> {
    this.addSql(RUNTIME_SCHEMA);
    this.addSql(COMPUTE_SCHEMA);
    this.addSql(AGGREGATE_SCHEMA);
    this.addSql(EMBEDDED_SCHEMA);
  }
}
