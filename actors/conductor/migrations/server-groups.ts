/**
 * Servers belong to server groups from now on. The tables of groups are made with the schema's text; here are the
 * columns of tables that there were. A former release writes rows without them, which then stay null.
 */
import { Migration } from '@mikro-orm/migrations';

export class ServerGroups extends Migration {
  override async up(): Promise<void> {
    this.addSql('alter table instance add column if not exists group_id uuid');
  }
}
