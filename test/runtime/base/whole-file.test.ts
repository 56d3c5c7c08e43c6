import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeWhole } from '../../../runtime/base/whole-file.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'whole-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a file written whole', () => {
  it('replaces what was there, is closed to others, and leaves no draft', () => {
    const path = join(folder, 'a');
    writeFileSync(path, 'old', { mode: 0o644 });
    writeWhole(path, 'new');
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('leaves what is there and no draft when it cannot be put in place', () => {
    const taken = join(folder, 'taken');
    mkdirSync(taken);
    expect(() => writeWhole(taken, 'new')).toThrow();
    expect(() => writeWhole(join(folder, 'missing/a'), 'new')).toThrow();
    expect(readdirSync(folder)).toEqual(['taken']);
  });
});
