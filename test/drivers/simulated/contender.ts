/** A process that wants a lock: says `won` or `refused`, and lives until its standard input ends. */
import { writeSync } from 'node:fs';
import { takeLock } from '../../../drivers/simulated/lock.ts';
import { must } from '../../../runtime/base/check.ts';
import { Fault } from '../../../runtime/base/fault.ts';

const directory = must(process.argv[2], 'the directory is the first argument');
try {
  takeLock(directory);
  writeSync(1, 'won\n');
} catch (error) {
  if (!Fault.is(error, 'conflict')) throw error;
  writeSync(1, 'refused\n');
}
process.stdin.resume();
