import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { resolveConfig, type Assignment } from '../../../runtime/node/config.ts';
import { environmentAssignments, setAssignments } from '../../../runtime/node/config-sources.ts';
import { choice, count, either, listOf, milliseconds, name, postgresUrl, ratio, secret, someOf, truth } from '../../../runtime/node/setting.ts';

const schema = z.strictObject({
  times: z.strictObject({ beatMs: milliseconds(50, 60_000), leaseMs: milliseconds(50, 60_000) }),
  label: name(),
  mode: choice(['plain', 'fancy']),
  isOn: truth(),
  parts: someOf(['a', 'b', 'c']),
  store: z.strictObject({ url: postgresUrl().exactOptional() }),
  door: either([z.literal('own'), z.strictObject({ user: name(), password: secret() })], 'own, or a section { user, password }'),
  weights: z.record(name(), ratio(0, 10)),
  things: listOf(z.strictObject({ size: count(1, 9) }), 0, 3),
});
const defaults = {
  times: { beatMs: 1_000, leaseMs: 3_000 },
  label: 'x',
  mode: 'plain',
  isOn: false,
  parts: ['a'],
  store: {},
  door: 'own',
  weights: {},
  things: [{ size: 1 }],
} satisfies z.input<typeof schema>;

const file = (path: string, value: unknown): Assignment => ({ source: 'file.ts', path: path.split('.'), value, isText: false });
const flag = (path: string, value: string): Assignment => ({ source: '--set', path: path.split('.'), value, isText: true });

function resolve(...assignments: Assignment[]) {
  return resolveConfig({
    schema,
    defaults,
    assignments,
    rules: [({ times }) => (times.beatMs < times.leaseMs ? [] : [{ path: ['times', 'beatMs'], text: 'must be less than times.leaseMs' }])],
  });
}

function complaint(...assignments: Assignment[]): string {
  try {
    resolve(...assignments);
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return 'none';
}

describe('configuration in layers', () => {
  it('is the defaults when nothing is assigned', () => {
    expect(resolve().config).toEqual(defaults);
    expect(new Set(resolve().settings.map(({ source }) => source))).toEqual(new Set(['default']));
  });

  it('lets later layers win setting by setting, and remembers who won', () => {
    const { config, settings } = resolve(file('times.beatMs', 100), file('times.leaseMs', 200), flag('times.beatMs', '60'));
    expect(config.times).toEqual({ beatMs: 60, leaseMs: 200 });
    expect(settings).toContainEqual({ path: 'times.beatMs', value: '60', source: '--set' });
    expect(settings).toContainEqual({ path: 'times.leaseMs', value: '200', source: 'file.ts' });
  });

  it('takes a list whole, and an entry of it by its number', () => {
    expect(resolve(file('things', [{ size: 2 }, { size: 3 }]), flag('things.1.size', '4')).config.things).toEqual([{ size: 2 }, { size: 4 }]);
    expect(defaults.things).toEqual([{ size: 1 }]);
  });

  it('replaces a single value by a section where both are allowed', () => {
    expect(resolve(flag('door.user', 'u'), flag('door.password', '123')).config.door).toEqual({ user: 'u', password: '123' });
  });

  it.each([
    ['label', '123', '123'],
    ['times.beatMs', '123', 123],
    ['isOn', 'true', true],
    ['parts', 'b, c', ['b', 'c']],
    ['parts', '["b"]', ['b']],
    ['parts', 'c', ['c']],
    ['weights.ram', '0.5', 0.5],
    ['TIMES.BEAT_MS', '99', 99],
  ])('reads the text of %s=%s as the setting wants it', (path, text, expected) => {
    const { config } = resolve(flag(path, text));
    const key = path === 'TIMES.BEAT_MS' ? 'times.beatMs' : path;
    expect(key.split('.').reduce<unknown>((at, part) => Reflect.get(Object(at), part), config)).toEqual(expected);
  });

  it.each([
    [file('tims.beatMs', 1), 'file.ts: tims.beatMs unknown setting, did you mean times? (known settings: times, label'],
    [file('times.beetMs', 1), 'file.ts: times.beetMs unknown setting, did you mean times.beatMs? (known in times: beatMs, leaseMs)'],
    [file('leaseMs', 1), 'did you mean times.leaseMs?'],
    [file('label.more', 1), 'file.ts: label.more unknown setting: label is a single value'],
    [flag('things.x', '1'), 'things has no such entry'],
    [file('times', 3), 'file.ts: times is 3: '],
    [file('times.beatMs', '5'), 'file.ts: times.beatMs is "5": must be milliseconds, a whole number from 50 to 60000'],
    [flag('times.beatMs', '5'), '--set: times.beatMs is 5: must be milliseconds, a whole number from 50 to 60000'],
    [flag('times.beatMs', 'soon'), '--set: times.beatMs is "soon": must be milliseconds'],
    [file('times.beatMs', 1.5), 'is 1.5: must be milliseconds, a whole number'],
    [file('mode', 'fanzy'), 'mode is "fanzy": must be one of plain, fancy'],
    [flag('parts', 'a,d'), 'parts.1 is "d": must be one of a, b, c'],
    [file('parts', ['a', 'a']), 'must be a list of some of a, b, c, each once'],
    [file('things', [{ size: 1 }, { size: 10 }]), 'things.1.size is 10: must be a whole number from 1 to 9'],
    [file('things', [{}]), 'things.0.size is missing: must be a whole number from 1 to 9'],
    [file('things', 'none'), 'things is "none": must be a list of 0 to 3 entries'],
    [file('door', 'other'), 'door is "other": must be own, or a section { user, password }'],
    [file('door.user', 'u'), 'file.ts: door.password is missing: must be text'],
    [flag('times.beatMs', '4000'), '--set: times.beatMs must be less than times.leaseMs'],
    [file('__proto__.polluted', 1), 'unknown setting'],
    [file('constructor', 1), 'unknown setting'],
  ])('refuses %j with where it stands, its value, and what is allowed', (assignment, text) => {
    expect(complaint(assignment)).toContain(text);
  });

  it('tells all problems at once', () => {
    const text = complaint(file('times.beatMs', 1), file('lable', 'x'), flag('mode', 'odd'));
    expect(text).toMatch(/^The configuration cannot be used \(3 problems\):\n/);
    expect(text.split('\n')).toHaveLength(4);
  });

  it('shows no secret, neither in problems nor in the list of settings', () => {
    const given = [file('door.user', 'u'), file('door.password', 'topsecret'), file('store.url', 'postgresql://me:topsecret@server/db')];
    expect(JSON.stringify(resolve(...given).settings)).not.toContain('topsecret');
    expect(resolve(...given).settings).toContainEqual({ path: 'store.url', value: '"postgresql://me:***@server/db"', source: 'file.ts' });
    const wrong = [
      file('door.user', 'no such name!'),
      file('door.password', ['topsecret']),
      file('store.url', 'mysql://me:topsecret@server/db'),
      file('pasword', 'topsecret'),
    ];
    expect(complaint(...wrong)).toMatch(/4 problems/);
    expect(complaint(...wrong)).not.toContain('topsecret');
  });
});

describe('settings from the environment', () => {
  it('have names of their own or the general one, and unknown ones are told', () => {
    const env = { NOVACT_DATA: 'd', NOVACT_SET_TIMES__BEAT_MS: '60', NOVACT_DTAA: 'x', NOVACT_TEST_ANYTHING: '1', HOME: '/' };
    const { assignments, problems } = environmentAssignments(env, { NOVACT_DATA: 'dataDir' });
    expect(assignments).toEqual([
      { source: 'NOVACT_SET_TIMES__BEAT_MS', path: ['TIMES', 'BEAT_MS'], value: '60', isText: true },
      { source: 'NOVACT_DATA', path: ['dataDir'], value: 'd', isText: true },
    ]);
    expect(problems).toEqual([{ source: 'NOVACT_DTAA', path: '', text: expect.stringContaining('did you mean NOVACT_DATA?') }]);
  });

  it('and from --set keep everything behind the first equals sign', () => {
    expect(setAssignments(['store.url=postgresql://a/b?c=d', 'oops'])).toMatchObject({
      assignments: [{ path: ['store', 'url'], value: 'postgresql://a/b?c=d' }],
      problems: [{ source: '--set oops', text: expect.stringContaining('key=value') }],
    });
  });
});
