/**
 * Runs the contract suites that a bug names, with the bug planted in them, and says which of their promises broke. A
 * suite that does not come so far as to run a test finds nothing.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Found } from './bug.ts';

const ROOT = join(import.meta.dirname, '../../..');
const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs');

type Report = {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly testResults: readonly { readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[] }[];
};

export async function contractRun(tests: readonly string[]): Promise<Found | null> {
  const folder = mkdtempSync(join(tmpdir(), 'novact-planted-'));
  try {
    const report = await run(tests, join(folder, 'report.json'));
    if (report.numPassedTests === 0) throw new Error(`of ${tests.join()} no test passed`);
    const failed = report.testResults.flatMap(({ assertionResults }) => assertionResults.filter(({ status }) => status === 'failed'));
    const [first] = failed;
    return first ? { seed: 1, problem: `${failed.length} of ${report.numTotalTests} tests fail: ${first.fullName}` } : null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(tests: readonly string[], outputFile: string): Promise<Report> {
  const config = join(import.meta.dirname, 'vitest.config.ts');
  const args = [VITEST, 'run', '--config', config, '--reporter=json', `--outputFile=${outputFile}`, ...tests];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  await new Promise((resolve) => child.on('close', resolve));
  return JSON.parse(readFileSync(outputFile, 'utf8')) as Report;
}
