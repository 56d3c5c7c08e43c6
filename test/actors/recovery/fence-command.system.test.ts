import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fence } from '../../../actors/recovery/fence-command.ts';
import { ruleFor } from '../../../actors/recovery/rule.ts';
import type { FenceRule } from '../../../actors/recovery/settings.ts';
import { systemClock } from '../../../runtime/base/clock.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'novact-fence-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Commands of a pretended power switch: small programs that this very Node runs. */
function rule(off: string, status: string): FenceRule {
  const program = (name: string, text: string): string[] => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return [process.execPath, path, folder, '{host}'];
  };
  return { hosts: '*', off: program('off.mjs', off), status: program('status.mjs', status), offText: 'Chassis Power is off', limitMs: 5_000 };
}

const SWITCH = `import { writeFileSync } from 'node:fs'; writeFileSync(process.argv[2] + '/switched', process.argv[3]);`;
const run = (command: FenceRule, host = 'h1', signal = AbortSignal.timeout(5_000)) => fence(command, host, systemClock, signal);

describe('a fence command', () => {
  it('counts when it ended well and the status says off, on a line of its own', async () => {
    await run(rule(SWITCH, `console.log('a word before'); console.log('  Chassis Power is off ');`));
    expect(readFileSync(join(folder, 'switched'), 'utf8')).toBe('h1');
  });

  it('is given the name of the host as it is, and never through a shell', async () => {
    const name = '$(touch x); rm -rf / #';
    await run(rule(SWITCH, `console.log('Chassis Power is off');`), name);
    expect(readFileSync(join(folder, 'switched'), 'utf8')).toBe(name);
  });

  it('waits for a machine that takes its time', async () => {
    const slow = `import { existsSync, writeFileSync } from 'node:fs';
      const seen = existsSync(process.argv[2] + '/seen');
      writeFileSync(process.argv[2] + '/seen', '');
      console.log(seen ? 'Chassis Power is off' : 'Chassis Power is on');`;
    await run(rule(SWITCH, slow));
  });

  for (const [what, off, status] of [
    ['it failed', 'process.exit(1)', `console.log('Chassis Power is off')`],
    ['the status failed', SWITCH, `console.log('Chassis Power is off'); process.exitCode = 1`],
    ['the status says on', SWITCH, `console.log('Chassis Power is on')`],
    ['the status says more than the text', SWITCH, `console.log('Chassis Power is off (unknown)')`],
    ['the status says nothing', SWITCH, ''],
  ] as const) {
    it(`proves nothing when ${what}`, async () => {
      await expect(run(rule(off, status), 'h1', AbortSignal.timeout(900))).rejects.toThrow();
    });
  }

  it('proves nothing when the program is not there', async () => {
    const missing = { ...rule(SWITCH, ''), off: ['/nowhere/off', '{host}'] };
    await expect(run(missing)).rejects.toMatchObject({ code: 'unavailable', reason: 'fence.failed' });
  });
});

describe('the rule of a host', () => {
  it('is the first whose pattern fits the whole name', () => {
    const rules = ['rack1-*', '*.lab', 'a.b', '*'].map((hosts) => ({ ...rule('', ''), hosts }));
    expect(['rack1-7', 'x.lab', 'a.b', 'axb', 'my-rack1-7'].map((host) => ruleFor(rules, host)?.hosts)).toEqual(['rack1-*', '*.lab', 'a.b', '*', '*']);
    expect(ruleFor([], 'h1')).toBeUndefined();
  });
});
