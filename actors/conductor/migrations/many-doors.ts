/**
 * Several nodes answer Identity and Image: an upload belongs to a node, and the endpoints that a start has written
 * (they followed its configuration at each start, so nobody else's word is lost) name no node's address any more.
 */
import { Migration } from '@mikro-orm/migrations';

const ENDPOINTS = [
  ['identity', 'keystone', '{identity}/v3', '/v3'],
  ['compute', 'nova', '{compute}/v2.1', '/v2\\.1'],
  ['image', 'glance', '{image}', ''],
] as const;

export class ManyDoors extends Migration {
  override async up(): Promise<void> {
    this.addSql('alter table image add column if not exists upload_node text');
    for (const [type, name, url, path] of ENDPOINTS) {
      this.addSql(`update identity_endpoint e set url = '${url}' from identity_service s
        where s.id = e.service_id and s.type = '${type}' and s.name = '${name}' and e.url ~ '^http://[^/]+:[0-9]+${path}$'`);
    }
    this.addSql('update identity_revision set revision = revision + 1');
  }
}
