import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KNOWN_RULES, POLICY_OPTIONS } from '../../../http/compute/further-rules.ts';
import { openPolicy } from '../../../http/kit/policy.ts';
import type { RuleTable } from '../../../http/kit/policy.ts';
import { parsePolicy, readPolicyFile, watchPolicyFile } from '../../../http/kit/policy-file.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { systemClock } from '../../../runtime/base/clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'policy-'));
afterAll(() => rmSync(folder, { recursive: true }));

const check = (changes: RuleTable): void => void openPolicy(KNOWN_RULES, changes, POLICY_OPTIONS);
const parse = (text: string): RuleTable => parsePolicy(text, 'policy.yaml', check);

describe('a policy file', () => {
  it('is YAML or JSON, by short or whole names, with older lists too', () => {
    expect(parse('# nothing\n')).toEqual({});
    expect(parse('servers:show: "@"\nos_compute_api:servers:create: role:member and project_id:%(project_id)s\n')).toEqual({
      'servers:show': '@',
      'os_compute_api:servers:create': 'role:member and project_id:%(project_id)s',
    });
    expect(parse('{"servers:show": "", "servers:create": "!"}')).toEqual({ 'servers:show': '', 'servers:create': '!' });
    expect(Object.keys(parse('servers:show: [["rule:admin_api"], ["role:reader", "project_id:%(project_id)s"]]'))).toEqual(['servers:show']);
    expect(Object.keys(parse('servers:show:\n'))).toEqual(['servers:show']);
  });

  it('takes names that were divided later, and rules of its own that others name', () => {
    expect(Object.keys(parse('os_compute_api:os-hypervisors: rule:auditor\nauditor: role:auditor\n'))).toHaveLength(2);
  });

  it.each([
    [
      'servers:show: "@"\n\nos_compute_api:servers:shw: "@"\n',
      'policy.yaml:3: rule os_compute_api:servers:shw: There is no policy rule os_compute_api:servers:shw.',
    ],
    ['servers:show: role:a and\n', 'policy.yaml:1: rule servers:show ends where a test should stand.'],
    [
      'servers:show: rule:none_such\n',
      'policy.yaml:1: rule servers:show: The policy rule os_compute_api:servers:show names the rule none_such, which does not exist.',
    ],
    ['servers:show: "@"\nservers:show: "!"\n', 'policy.yaml:2: Map keys must be unique.'],
    ['servers:show: {a: b}\n', 'policy.yaml:1: rule servers:show is not text, or a list of lists of texts.'],
    ['servers:show: &a "@"\nservers:index: *a\n', 'policy.yaml:2: rule servers:index is not text, or a list of lists of texts.'],
    ['- servers:show\n', "policy.yaml:1: a policy file is a list of lines 'rule: expression'."],
    ['{"servers:show": "@"', 'policy.yaml:1: '],
  ])('refuses %j with line and rule', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it('tells all that is wrong at once', () => {
    expect(() => parse('servers:show: role:a or\nservers:create: x\n')).toThrow(/policy\.yaml:1: .*\npolicy\.yaml:2: /);
  });

  it('that cannot be read says so', () => {
    expect(() => readPolicyFile(join(folder, 'none.yaml'), check)).toThrow(/none\.yaml cannot be read: ENOENT/);
  });

  it('is looked at again, and one that became wrong changes nothing', () => {
    const path = join(folder, 'live.yaml');
    writeFileSync(path, 'servers:show: "!"\n');
    let look = (): void => undefined;
    const clock = {
      ...systemClock,
      after(_delayMs: number, run: () => void) {
        look = run;
        return { cancel: () => (look = () => undefined) };
      },
    };
    const seen: RuleTable[] = [];
    const watch = watchPolicyFile(path, { clock, log: silentLog }, (changes) => {
      check(changes);
      seen.push(changes);
    });
    look();
    expect(seen).toEqual([]);
    writeFileSync(path, 'servers:show: "@" # more\n');
    look();
    expect(seen).toEqual([{ 'servers:show': '@' }]);
    writeFileSync(path, 'servers:shw: "@"\n');
    look();
    watch.close();
    writeFileSync(path, 'servers:show: role:member\n');
    look();
    expect(seen).toHaveLength(1);
  });
});
