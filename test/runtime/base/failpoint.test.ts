import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failpointFrom, noFailpoint } from '../../../runtime/base/failpoint.ts';

let folder: string;
let deaths: number;
const die = (): void => void deaths++;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'failpoint-'));
  deaths = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function arm(words: string): void {
  writeFileSync(join(folder, 'new'), words);
  renameSync(join(folder, 'new'), join(folder, 'armed'));
}

describe('a failpoint', () => {
  it('is nothing at all unless the environment names one', () => {
    expect(failpointFrom({}, die)).toBe(noFailpoint);
    expect(failpointFrom({ words: '' }, die)).toBe(noFailpoint);
  });

  it('dies once, at the named point’s n-th time', () => {
    const reach = failpointFrom({ words: 'commit.after:2' }, die);
    for (const name of ['commit.after', 'commit.before', 'commit.before']) reach(name);
    expect(deaths).toBe(0);
    for (const name of ['commit.after', 'commit.after']) reach(name);
    expect(deaths).toBe(1);
  });

  it('dies at the first time without a number, and at the n-th point of any name with a star', () => {
    failpointFrom({ words: 'reply.before' }, die)('reply.before');
    expect(deaths).toBe(1);
    const reach = failpointFrom({ words: '*:3' }, die);
    for (const name of ['a', 'b', 'c', 'd']) reach(name);
    expect(deaths).toBe(2);
  });

  it('begins to count when its file appears, anew when it changes, and stops when it is emptied', () => {
    const reach = failpointFrom({ file: join(folder, 'armed') }, die);
    for (let i = 0; i < 5; i++) reach('commit.after');
    arm('commit.after:2');
    reach('commit.after');
    arm('commit.after:2');
    reach('commit.after');
    expect(deaths).toBe(0);
    reach('commit.after');
    expect(deaths).toBe(1);
    arm('commit.after:1');
    arm('');
    reach('commit.after');
    expect(deaths).toBe(1);
  });
});
