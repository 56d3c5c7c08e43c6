/**
 * Every planted bug is found by general workloads and checkers, and the unbroken build passes the same seeds. Each hunt
 * begins a little before the seed that found its bug last (planted/known-seeds.json) and goes on for hundreds, so that
 * a change that shifts the seeds costs time and no failure; `run.ts --learn` makes it quick again.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CATALOGUE } from './planted/catalogue.ts';

const PLANTED = join(import.meta.dirname, 'planted');
const NODE = join(import.meta.dirname, '../../node_modules/.bin/node');
/** Usually a minute or two. */
const LIMIT_MS = 1_200_000;

describe('planted bugs', () => {
  it(
    'are found, every one, and without them the same seeds are clean',
    async () => {
      const { code, out } = await run(['run.ts', '--near']);
      expect(out.split('\n').filter((line) => /^(MISSED|NOT CLEAN)/.test(line))).toEqual([]);
      expect(out).toContain(`${CATALOGUE.length} of ${CATALOGUE.length} planted bugs found`);
      expect(code).toBe(0);
    },
    LIMIT_MS,
  );

  it('have to be known by name', async () => {
    const { code, out } = await run(['hunt.ts'], { NOVACT_PLANTED: 'no-such-bug' });
    expect(code).not.toBe(0);
    expect(out).toContain('no planted bug no-such-bug');
  });
});

async function run([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; out: string }> {
  const child = spawn(NODE, [join(PLANTED, program), ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { code, out };
  } finally {
    if (child.exitCode === null) child.kill('SIGTERM');
  }
}
