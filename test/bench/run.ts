/**
 * `npm run bench [NAME…] [--json FILE] [--n N] [--c 16] [--seconds N]`: measures and prints. Only figures that were taken in this run,
 * with the machine they were taken on. A benchmark that fails is told and the others go on; the exit code tells too.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { boots } from './boots.ts';
import { claims } from './claims.ts';
import { cluster } from './cluster.ts';
import { event } from './event.ts';
import { failover } from './failover.ts';
import { cold, memory } from './footprint.ts';
import { many } from './many.ts';
import { get, list } from './reads.ts';
import { closeClouds } from './rig/cloud.ts';
import { asText, type Figures, type Result } from './rig/figures.ts';
import { load1, machineOf, versionsOf } from './rig/machine.ts';
import { endPrograms, runProgram } from './rig/program.ts';
import type { Benchmark, Options } from './rig/subject.ts';
import { deletes, multi, quota } from './writes.ts';

const BENCHMARKS: { readonly [name: string]: Benchmark } = {
  boots,
  get,
  list,
  event,
  multi,
  delete: deletes,
  quota,
  memory,
  cold,
  messages: (options) => runProgram('messages.ts', options),
  remote: (options) => runProgram('remote.ts', options),
  mesh: (options) => runProgram('mesh.ts', options),
  sockets: (options) => runProgram('sockets.ts', options),
  stream: (options) => runProgram('stream.ts', options),
  leases: (options) => runProgram('leases.ts', options),
  actors: (options) => runProgram('actors.ts', options),
  failover,
  cluster,
  many,
  claims,
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
process.exitCode = await main();

function end(): void {
  endPrograms();
  void closeClouds().then(() => process.exit(130));
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' }, n: { type: 'string' }, c: { type: 'string', default: '16' }, seconds: { type: 'string' } },
  });
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
  const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown.length > 0) {
    process.stderr.write(`No such benchmark: ${unknown.join(', ')}. There are ${Object.keys(BENCHMARKS).join(', ')}.\n`);
    return 2;
  }
  const [machine, versions] = [machineOf(), versionsOf()];
  process.stdout.write(
    `${machine.cores} cores (${machine.model}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}; novact ${versions.novact}, Node ${versions.node}, PostgreSQL ${versions.postgresql}\n\n`,
  );
  const results: Result[] = [];
  let failed = false;
  for (const name of names) {
    const progress = (line: string): void => void process.stderr.write(`${name}: ${line}\n`);
    const loadBefore = load1();
    const figures = await run(name, { n: optional(values.n), c: Number(values.c), seconds: optional(values.seconds), progress });
    failed ||= 'failed' in figures;
    const result = { name, ...figures, loadBefore };
    results.push(result);
    process.stdout.write(`${asText(result)}\n`);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, versions, results }, null, 1)}\n`);
  }
  return failed ? 1 : 0;
}

async function run(name: string, options: Options): Promise<Figures> {
  try {
    return (await BENCHMARKS[name]?.(options)) ?? {};
  } catch (error) {
    options.progress(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

function optional(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
