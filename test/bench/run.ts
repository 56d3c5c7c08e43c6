/**
 * `npm run bench [NAME…] [--json FILE] [--n N] [--c 16]`: measures and prints. Only figures that were taken in this run,
 * with the machine they were taken on. A benchmark that fails is told and the others go on; the exit code tells too.
 */
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { boots } from './boots.ts';
import { event } from './event.ts';
import { cold, memory } from './footprint.ts';
import { get, list } from './reads.ts';
import { closeClouds } from './rig/cloud.ts';
import { asText, type Figures, type Result } from './rig/figures.ts';
import { load1, machineOf, versionsOf } from './rig/machine.ts';
import type { Benchmark, Options } from './rig/subject.ts';
import { deletes, multi, quota } from './writes.ts';

const PROGRAM_MS = 120_000;
const REPORT = z.object({ results: z.array(z.object({ name: z.string(), value: z.number(), unit: z.string() })) });

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
  mesh: () => program('mesh.ts'),
  stream: () => program('stream.ts'),
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void closeClouds().then(() => process.exit(130)));
process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' }, n: { type: 'string' }, c: { type: 'string', default: '16' } },
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
    const figures = await run(name, { n: values.n === undefined ? undefined : Number(values.n), c: Number(values.c), progress });
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

/** A benchmark that is a program of its own and prints {results: [{name, value, unit}]} as its last line. */
async function program(file: string): Promise<Figures> {
  const path = join(import.meta.dirname, file);
  if (!existsSync(path)) return { skipped: `${file} is not there` };
  const text = await new Promise<string>((resolve, reject) => {
    const child = execFile(process.execPath, [path], { timeout: PROGRAM_MS }, (error, out) => (error === null ? resolve(out) : reject(error)));
    child.stderr?.pipe(process.stderr);
  });
  const { results } = REPORT.parse(JSON.parse(text.trim().split('\n').at(-1) ?? ''));
  return Object.fromEntries(results.map(({ name, value, unit }) => [`${name} (${unit})`, value]));
}
