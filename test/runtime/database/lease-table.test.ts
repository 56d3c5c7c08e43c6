import { leaseContract } from '../../contract/lease.ts';
import { memoryNodeTable, memoryShardTable } from '../../doubles/memory-lease.ts';
import { memoryTables } from '../../doubles/memory-tables.ts';

leaseContract('the lease tables in memory', async () => {
  const tables = memoryTables();
  return { nodes: memoryNodeTable(tables), shards: memoryShardTable(tables), close: async () => {} };
});
