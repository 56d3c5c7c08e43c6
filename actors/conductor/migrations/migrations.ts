/**
 * Servers that move: the write function knows claims beside the active one, and records of migrations. The table comes
 * with the schema text; this step tells the former release that its function is no longer to be put back.
 */
import { Migration } from '@mikro-orm/migrations';
import { COMPUTE_SCHEMA } from '../tables/compute.ts';

export class Migrations extends Migration {
  override async up(): Promise<void> {
    this.addSql(COMPUTE_SCHEMA);
  }
}
