/**
 * The planted bugs stand where they should: a bug whose text has moved is noticed here at once, and not when nothing
 * finds it any more. That each of them is found is the system test's.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { plant } from './planted/bug.ts';
import { CATALOGUE } from './planted/catalogue.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('each planted bug', () => {
  for (const bug of CATALOGUE) {
    it(`${bug.name} has its place in ${bug.file}, and what stands there then still runs`, () => {
      const source = readFileSync(join(ROOT, bug.file), 'utf8');
      const broken = plant(bug, source);
      expect(broken).not.toBe(source);
      expect(() => stripTypeScriptTypes(broken, { mode: 'strip' })).not.toThrow();
    });
  }
});

describe('the planted bugs', () => {
  it('are many, have names of their own, and break most promises', () => {
    const names = CATALOGUE.map((bug) => bug.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(36);
    expect([...new Set(CATALOGUE.map((bug) => bug.promise))]).toEqual(expect.arrayContaining(['P1', 'P2', 'P3', 'P4', 'P5', 'P6']));
  });

  it('are unknown to the product', () => {
    const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts', '*.js', '*.json'], { cwd: ROOT, encoding: 'utf8' });
    const product = files.split('\n').filter((path) => path !== '' && !path.startsWith('test/'));
    const knowing = product.filter((path) => /NOVACT_PLANTED|simulation\/planted/.test(textOf(path)));
    expect(knowing).toEqual([]);
  });
});

function textOf(path: string): string {
  try {
    return readFileSync(join(ROOT, path), 'utf8');
  } catch {
    return ''; // listed and removed since
  }
}
