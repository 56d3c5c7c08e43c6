/**
 * The two models hold in all their interleavings, and would not if the mistakes were made that are planted in them:
 * a model that finds nothing proves nothing. Each check is Spin's own, exhaustive within the bounds in the files.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lacks } from '../doubles/cloud.ts';

/** Steps of one history; what is longer is said to be cut, and fails. */
const DEPTH_MAX = 4_000_000;
const LIMIT_MS = 120_000;
const EVERYWHERE = { gcc: ['-O2', '-DSAFETY'], pan: [] };
/** A mistake shows after few states: to compile is most of the work. */
const QUICK = { gcc: ['-O0', '-DSAFETY'], pan: [] };
/** Acceptance cycles under weak fairness: a step that stays possible is not put off for ever. */
const FOR_EVER = { spin: ['-DENDS', '-DEPOCHS=2', '-DDEATHS=1'], gcc: ['-O2', '-DNFAIR=3'], pan: ['-a', '-f'] };

type Check = { readonly spin?: readonly string[]; readonly gcc: readonly string[]; readonly pan: readonly string[] };

describe('the model', { timeout: LIMIT_MS }, () => {
  it.for([
    ['never lets two nodes believe that a shard is theirs', 'lease', EVERYWHERE],
    ['keeps one writer and one place, and rests only when all work has ended', 'ownership', EVERYWHERE],
    ['ends what was accepted', 'ownership', FOR_EVER],
  ] as const)('%s', ([, model, check], ctx) => {
    if (!isInstalled()) return lacks(ctx.skip, 'spin and gcc');
    expect(errorsOf(model, check)).toBe(0);
  });

  it.for([
    ['a lease that counts from the answer', 'lease', '-DFROM_ANSWER', QUICK],
    ['a lease that goes on after its end', 'lease', '-DKEEP_ENDED', QUICK],
    ['a wait that is shorter than a lease and its drift', 'lease', '-DWAIT=3', QUICK],
    ['a commit that is not fenced by the epoch', 'ownership', '-DSKIP_EPOCH', QUICK],
    ['an evacuation without proof', 'ownership', '-DNO_PROOF', QUICK],
    ['proof that outlives the life of the host it was given for', 'ownership', '-DSKIP_HOST_EPOCH', QUICK],
    ['a host that acts before it has reconciled', 'ownership', '-DACT_FIRST', QUICK],
    ['a host that believes the claims it remembers', 'ownership', '-DOLD_CLAIM', QUICK],
    ['an operation that the next owner does not take up', 'ownership', '-DNOT_TAKEN_UP', QUICK],
  ] as const)('finds %s', ([, model, mistake, check], ctx) => {
    if (!isInstalled()) return lacks(ctx.skip, 'spin and gcc');
    expect(errorsOf(model, { ...check, spin: [mistake] })).toBeGreaterThan(0);
  });
});

function errorsOf(model: string, { spin = [], gcc, pan }: Check): number {
  const folder = mkdtempSync(join(tmpdir(), 'model-'));
  try {
    run(folder, 'spin', [...spin, '-a', join(import.meta.dirname, `${model}.pml`)]);
    run(folder, 'gcc', ['-w', ...gcc, '-o', 'pan', 'pan.c']);
    const said = run(folder, './pan', [...pan, `-m${DEPTH_MAX}`]);
    const errors = /errors: (\d+)/.exec(said)?.[1];
    if (errors === undefined || said.includes('max search depth too small')) throw new Error(`the search did not end:\n${said}`);
    return Number(errors);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(cwd: string, program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 64 * 1024 ** 2 });
  if (error !== undefined || status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `ended with ${status}`}\n${stdout}${stderr}`);
  return stdout;
}

function isInstalled(): boolean {
  return ['spin', 'gcc'].every((program) => spawnSync(program, [program === 'spin' ? '-V' : '--version']).status === 0);
}
