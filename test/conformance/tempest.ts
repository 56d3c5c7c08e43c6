/**
 * Tempest's compute tests (Debian: `apt install tempest`) against a cloud of our own, started as a user would start it.
 * Prints what passed, failed and was skipped, each skip with the reason that `skips.ts` gives it. Exit code 0: nothing
 * failed, and no test was skipped for a reason that is not in the table.
 *
 *   npm run tempest                                     all compute tests
 *   npm run tempest -- --regex 'servers.test_server_actions' --keep /tmp/workspace
 *   npm run tempest -- --times 2                        twice in a row on the same cloud
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { startCloud } from '../doubles/cloud.ts';
import { writeWorkspace } from './tempest-workspace.ts';
import { reasonFor } from './skips.ts';

const PROGRAM = '/usr/bin/tempest';
const COMPUTE = '^tempest\\.api\\.compute\\.';
const HOSTS = 4;
/** `{1} tempest.api.compute.test_x.Y.test_z[id-…] [0.4s] ... ok` */
const LINE = /^\{\d+\} (?:setUpClass |tearDownClass )?\(?(tempest\.[^\s)]+)\)? \[[\d.]+s\] \.\.\. (ok|FAILED|SKIPPED)(?:: (.*))?$/;

type Ended = { readonly id: string; readonly how: 'ok' | 'FAILED' | 'SKIPPED'; readonly why: string };

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      regex: { type: 'string', default: COMPUTE },
      times: { type: 'string', default: '1' },
      concurrency: { type: 'string', default: '2' },
      keep: { type: 'string' },
    },
  });
  const cloud = await startCloud({ args: ['--hosts', String(HOSTS)] });
  const workspace = values.keep ?? mkdtempSync(join(tmpdir(), 'novact-tempest-'));
  mkdirSync(workspace, { recursive: true });
  try {
    await writeWorkspace(workspace, cloud, HOSTS);
    let bad = 0;
    for (let turn = 1; turn <= Number(values.times); turn++) {
      const ended = await run(workspace, values.regex, values.concurrency);
      bad += tell(ended);
    }
    return bad === 0 ? 0 : 1;
  } finally {
    await cloud.close();
    if (values.keep === undefined) rmSync(workspace, { recursive: true, force: true });
  }
}

function run(workspace: string, regex: string, concurrency: string): Promise<readonly Ended[]> {
  const child = spawn(PROGRAM, ['run', '--concurrency', concurrency, '--regex', regex], {
    cwd: workspace,
    env: { PATH: '/usr/bin:/bin', HOME: workspace, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended: Ended[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    const [, id, how, why = ''] = LINE.exec(line) ?? [];
    if (id === undefined) return;
    ended.push({ id, how: how as Ended['how'], why });
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${ended.length} ended, ${ended.filter((one) => one.how === 'FAILED').length} failed`);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(ended));
  });
}

/** Prints the table; answers with how many are not as they have to be. */
function tell(ended: readonly Ended[]): number {
  const of = (how: Ended['how']): readonly Ended[] => ended.filter((one) => one.how === how);
  const skipped = Map.groupBy(of('SKIPPED'), ({ id, why }) => reasonFor(id, why) ?? `NO REASON KNOWN: ${why}`);
  process.stdout.write('\n');
  for (const { id, why } of of('FAILED')) process.stdout.write(`FAILED   ${id} ${why}\n`);
  for (const [reason, tests] of [...skipped].sort(([, a], [, b]) => b.length - a.length))
    process.stdout.write(`skipped  ${String(tests.length).padStart(3)}  ${reason}\n`);
  const unknown = [...skipped].filter(([reason]) => reason.startsWith('NO REASON')).flatMap(([, tests]) => tests);
  for (const { id } of unknown) process.stdout.write(`         ${id}\n`);
  process.stdout.write(
    `${of('ok').length} passed, ${of('FAILED').length} failed, ${of('SKIPPED').length} skipped (${unknown.length} without a known reason)\n`,
  );
  return of('FAILED').length + unknown.length + (ended.length === 0 ? 1 : 0);
}

process.exitCode = await main();
