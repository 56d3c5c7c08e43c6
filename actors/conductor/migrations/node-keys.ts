/** Nodes that hold no credentials of the store come in by keys that were registered; each cluster has its own number. */
import { Migration } from '@mikro-orm/migrations';
import { NODE_KEY_SCHEMA } from '../../../runtime/database/tables.ts';

export class NodeKeys extends Migration {
  override async up(): Promise<void> {
    this.addSql(NODE_KEY_SCHEMA);
  }
}
