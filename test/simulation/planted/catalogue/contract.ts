/**
 * Bugs that no simulation loads: the statements in PostgreSQL that its store stands for, the doors between nodes, the
 * limit of a queue. Their contract suites find them, the same that hold the store in memory to its word.
 */
import type { PlantedBug } from '../bug.ts';

const WRITE = 'actors/conductor/write/function.ts';
const STORE = ['test/actors/conductor/store.system.test.ts'];
const LEASE = ['test/runtime/database/lease-table.system.test.ts', 'test/runtime/database/lease-table.test.ts'];

export const CONTRACT_BUGS: readonly PlantedBug[] = [
  {
    name: 'sql-epoch-not-checked',
    promise: 'P1',
    file: WRITE,
    find: '    where c.wrong_epoch or c.wrong_version or c.turn > 1',
    replace: '    where c.wrong_version or c.turn > 1',
    why: 'PostgreSQL takes a commit of a former owner',
    suite: 'contract',
    tests: STORE,
  },
  {
    name: 'sql-capacity-of-each-alone',
    promise: 'P4',
    file: WRITE,
    find: '      run_v := run_v + r.vcpus; run_m := run_m + r.memory_mib; run_d := run_d + r.disk_gib;',
    replace: '      run_v := 0;',
    why: 'PostgreSQL looks at each claim of a batch as if it were alone',
    suite: 'contract',
    tests: STORE,
  },
  {
    name: 'sql-proof-of-any-epoch',
    promise: 'P3',
    file: WRITE,
    find: '           h.proof is not null and h.proof_epoch = h.epoch as is_proved,',
    replace: '           h.proof_epoch <= h.epoch as is_proved,',
    why: 'PostgreSQL believes a proof about a former life of a host',
    suite: 'contract',
    tests: STORE,
  },
  {
    name: 'sql-order-key-of-any-body',
    promise: 'P6',
    file: WRITE,
    find: "case when r.same then 'seen' else 'keyReused' end",
    replace: "'seen'",
    why: 'PostgreSQL answers another order with the servers of the first that used its key',
    suite: 'contract',
    tests: STORE,
  },
  {
    name: 'sql-beat-not-compared',
    promise: 'P1',
    file: 'runtime/database/shard-table.ts',
    find: 'and node.boot = $5 and node.beat = $6 for share of node)',
    replace: 'and node.boot = $5 and node.beat >= $6 for share of node)',
    why: 'PostgreSQL gives the shards of a node away whose beat has moved since',
    suite: 'contract',
    tests: LEASE,
  },
  {
    name: 'doors-left-open',
    promise: 'P7',
    file: 'actors/doors.ts',
    find: "    if (from.roles.includes('control')) return undefined;",
    replace: '    if (from.roles.length > 0) return undefined;',
    why: 'a node that drives hosts may say everything',
    suite: 'contract',
    tests: ['test/actors/doors.test.ts'],
  },
  {
    name: 'queue-without-limit',
    promise: 'P8',
    file: 'runtime/base/bounded-queue.ts',
    find: '    if (this.length >= this.max) return false;',
    replace: '',
    why: 'a queue takes what it has no room for',
    suite: 'contract',
    tests: ['test/runtime/actor', 'test/runtime/mesh/outbox.test.ts', 'test/runtime/database/batch.test.ts'],
  },
];
