/** Groups of hosts, and what they fetch ahead of time. A new table is nothing to the former release, which goes on. */
import { Migration } from '@mikro-orm/migrations';
import { AGGREGATE_SCHEMA } from '../tables/aggregates.ts';

export class Aggregates extends Migration {
  override async up(): Promise<void> {
    this.addSql(AGGREGATE_SCHEMA);
  }
}
