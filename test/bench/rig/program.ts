/**
 * Benchmarks that are programs of their own, so that nobody else's garbage or compiled code is in their figures. Started
 * by `run.ts` or by hand (`node --expose-gc test/bench/mesh.ts --seconds 3`). One ends when the process that started it
 * ends, however that ends; the same holds for a second process that it forks. Prints {results: [{name, value, unit}]} as
 * its last line.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { round, type Figures } from './figures.ts';
import { load1 } from './machine.ts';
import type { Options } from './subject.ts';

const PROGRAM_MS = 240_000;
const SECONDS = 3;
const REPORT = z.object({ results: z.array(z.object({ name: z.string(), value: z.number(), unit: z.string() })) });

const running = new Set<ChildProcess>();

/** Ends the programs that run: for who is interrupted. */
export function endPrograms(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Runs `test/bench/<file>` and reads its figures; the unit goes into the name. */
export async function runProgram(file: string, { seconds }: Pick<Options, 'seconds'>): Promise<Figures> {
  const path = join(import.meta.dirname, '..', file);
  if (!existsSync(path)) return { skipped: `${file} is not there` };
  const child = fork(path, seconds === undefined ? [] : ['--seconds', String(seconds)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  running.add(child);
  const limit = setTimeout(() => child.kill('SIGKILL'), PROGRAM_MS);
  try {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const how = await new Promise<string>((resolve) => child.once('close', (code, signal) => resolve(String(code ?? signal))));
    if (how !== '0') throw new Error(`${file} ended with ${how}`);
    const { results } = REPORT.parse(JSON.parse(text.trim().split('\n').at(-1) ?? ''));
    return Object.fromEntries(results.map(({ name, value, unit }) => [`${name} (${unit})`, value]));
  } finally {
    clearTimeout(limit);
    running.delete(child);
  }
}

/** In a program, first of all: its end comes with that of the process that forked it. */
export function endWithParent(): void {
  process.once('disconnect', () => process.exit(1));
}

/** How long each part of a program measures. */
export function secondsWanted(): number {
  const { values } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string', default: String(SECONDS) } } });
  return Number(values.seconds);
}

export class Report {
  readonly #results: { readonly name: string; readonly value: number; readonly unit: string }[] = [];
  readonly #loadBefore = load1();

  add(name: string, value: number, unit: string): void {
    this.#results.push({ name, value: round(value), unit });
    process.stderr.write(`  ${name}  ${round(value).toLocaleString('en-US')} ${unit}\n`);
  }

  /** Ends the program: what it opened may still keep it. */
  print(): void {
    this.add('load1.before', this.#loadBefore, 'processes');
    this.add('load1.after', load1(), 'processes');
    process.stdout.write(`${JSON.stringify({ results: this.#results })}\n`, () => process.exit(0));
  }
}
