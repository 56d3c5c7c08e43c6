import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { policyChanges, policyRows, renderPolicy } from '../../../../http/client/commands/policy.ts';

const folder = mkdtempSync(join(tmpdir(), 'policy-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('shows each rule with its default, what the file makes of it, and who passes it', () => {
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, 'os_compute_api:servers:create: rule:project_manager_or_admin\nservers:start: "!"\nservers:stop: "@"\n');
  expect(renderPolicy(policyRows(policyChanges(file), true))).toBe(
    [
      'RULE                           DEFAULT                       OVERRIDE                       WHO MAY',
      'os_compute_api:servers:create  rule:project_member_or_admin  rule:project_manager_or_admin  manager, admin',
      'os_compute_api:servers:start   rule:project_member_or_admin  !                              nobody',
      'os_compute_api:servers:stop    rule:project_member_or_admin  @                              anybody with a token',
      '',
    ].join('\n'),
  );
  expect(policyRows(policyChanges(file)).length).toBeGreaterThan(200);
});

it('shows the defaults without a file', () => {
  expect(renderPolicy(policyRows({}, true))).toBe('No rule is changed.\n');
  const rows = policyRows(policyChanges(undefined));
  expect(rows.find(({ rule }) => rule === 'os_compute_api:servers:show')).toEqual({
    rule: 'os_compute_api:servers:show',
    standard: 'rule:project_reader_or_admin',
    change: null,
    may: ['reader', 'member', 'manager', 'admin'],
  });
});

it('says where a file is wrong', () => {
  const file = join(folder, 'wrong.yaml');
  writeFileSync(file, '# rules\nservers:shw: "@"\n');
  expect(() => policyChanges(file)).toThrow(`${file}:2: rule servers:shw: There is no policy rule servers:shw.`);
});
