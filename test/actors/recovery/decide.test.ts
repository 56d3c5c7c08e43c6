import { describe, expect, it } from 'vitest';
import { begin, decide, type Reading } from '../../../actors/recovery/decide.ts';
import type { RecoveryView } from '../../../actors/recovery/messages.ts';
import { RECOVERY_DEFAULTS, type RecoverySettings } from '../../../actors/recovery/settings.ts';
import { NOTHING_SEEN, type RecoveryState } from '../../../actors/recovery/state.ts';
import type { HostStanding, ServerOnHost } from '../../../actors/model/host-standing.ts';
import type { Effect, Outcome } from '../../../runtime/actor/effect.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { factsAt } from '../facts.ts';

const SETTINGS: RecoverySettings = { ...RECOVERY_DEFAULTS, auto: true, hostMs: 10_000, marginMs: 500 };
const RULE = { hosts: 'h*', off: ['off', '{host}'], status: ['status', '{host}'], offText: 'off', limitMs: 5_000 };
const FENCED: RecoverySettings = { ...SETTINGS, fence: [RULE] };
/** Lease, margin, and the moment that is waited for others. */
const WAIT_MS = 10_000 + 500 + 2_500;
const AWAY: Outcome<never> = { ok: false, fault: new Fault('unavailable', 'store.read', 'The database does not answer.').toRecord() };

function standing(host: string, mark = '1', more: Partial<HostStanding> = {}): HostStanding {
  return { host, node: 'n1', epoch: 3, mark, forcedDown: false, selfFenceMs: null, proof: null, claims: 2, ...more };
}

/** A watch whose readings come when they are told to. */
class Watch {
  state: RecoveryState = NOTHING_SEEN;
  readonly settings: RecoverySettings;

  constructor(settings: RecoverySettings = SETTINGS) {
    this.settings = settings;
  }

  /** One reading at that time. */
  read(atMs: number, ...standings: HostStanding[]): readonly Effect[] {
    const reading: Reading = { beforeMs: atMs, afterMs: atMs, standings };
    return this.#take({ type: 'looked', tag: 'look', outcome: { ok: true, value: reading } });
  }

  fail(): readonly Effect[] {
    return this.#take({ type: 'looked', tag: 'look', outcome: AWAY });
  }

  /** Reads every second of the span; answers with all that was done. */
  readAll(fromMs: number, toMs: number, of: (atMs: number) => HostStanding[]): readonly Effect[] {
    const done: Effect[] = [];
    for (let atMs = fromMs; atMs <= toMs; atMs += 1_000) done.push(...this.read(atMs, ...of(atMs)));
    return done;
  }

  list(host: string, servers: readonly ServerOnHost[]): readonly Effect[] {
    return this.#take({ type: 'listed', tag: host, outcome: { ok: true, value: servers } });
  }

  view(): RecoveryView {
    const [reply] = this.#take({ type: 'state' });
    return (reply?.do === 'reply' ? reply.value : undefined) as RecoveryView;
  }

  resume(): readonly Effect[] {
    return this.#take({ type: 'resume' });
  }

  #take(message: Parameters<typeof decide>[1]): readonly Effect[] {
    const next = decide(this.state, message, factsAt(), this.settings);
    this.state = next.state;
    return next.effects;
  }
}

function jobs(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.do === 'perform' ? [`${effect.job} ${effect.tag}`] : []));
}

/** So many living hosts beside the ones that matter, so that these are no mass. */
const others = (atMs: number) => Array.from({ length: 9 }, (_, i) => standing(`o${i}`, String(atMs)));

describe('the watch over hosts', () => {
  it('begins with a look and looks again and again', () => {
    expect(begin(NOTHING_SEEN).effects).toMatchObject([{ do: 'wake', message: { type: 'look' } }]);
    const watch = new Watch();
    expect(watch.read(0, standing('h1'))).toMatchObject([{ do: 'wake', message: { type: 'look' }, inMs: 1_000 }]);
    expect(watch.fail()).toMatchObject([{ do: 'wake', message: { type: 'look' }, inMs: 1_000 }]);
  });

  it('does nothing about a host whose beat moves, however slowly', () => {
    const watch = new Watch(FENCED);
    const done = watch.readAll(0, 300_000, (atMs) => [standing('h1', String(Math.floor(atMs / 12_000))), ...others(atMs)]);
    expect(jobs(done)).toEqual([]);
    expect(watch.view()).toEqual({ auto: true, paused: null, hosts: [] });
  });

  it('fences a host that is silent for longer than every lease, and not a moment earlier', () => {
    const watch = new Watch(FENCED);
    const before = watch.readAll(0, WAIT_MS - 1_000, (atMs) => [standing('h1'), ...others(atMs)]);
    expect(jobs(before)).toEqual([]);
    expect(jobs(watch.read(WAIT_MS, standing('h1'), ...others(WAIT_MS)))).toEqual(['fence h1']);
    // Under way: not twice.
    expect(jobs(watch.readAll(WAIT_MS + 1_000, WAIT_MS + 30_000, (atMs) => [standing('h1'), ...others(atMs)]))).toEqual([]);
    expect(jobs(watch.readAll(WAIT_MS + 31_000, WAIT_MS + 40_000, (atMs) => [standing('h1'), ...others(atMs)]))).toEqual(['fence h1']);
  });

  it('takes the silence of a guarded host for proof after the lease that its guard knows', () => {
    const guarded = standing('h1', '1', { selfFenceMs: 20_000 });
    const watch = new Watch();
    expect(jobs(watch.readAll(0, WAIT_MS + 9_000, (atMs) => [guarded, ...others(atMs)]))).toEqual([]);
    const effects = watch.read(WAIT_MS + 10_000, guarded, ...others(1));
    expect(effects[0]).toMatchObject({ do: 'perform', job: 'guarded', args: { host: 'h1', epoch: 3, mark: '1' } });
  });

  it('records what a guard proves although nothing goes by itself, but fences and evacuates nothing', () => {
    const watch = new Watch({ ...FENCED, auto: false });
    const hosts = (atMs: number) => [
      standing('h1', '1', { selfFenceMs: 5_000 }),
      standing('h2'),
      standing('h3', '1', { proof: 'forceDown', forcedDown: true }),
      ...others(atMs),
    ];
    const done = jobs(watch.readAll(0, WAIT_MS, hosts));
    expect(done).toEqual(['guarded h1', 'say say']);
  });

  it('says once that a host waits for proof when nothing could bring it', () => {
    const watch = new Watch();
    const done = watch.readAll(0, 60_000, (atMs) => [standing('h1'), ...others(atMs)]);
    expect(jobs(done)).toEqual(['say say']);
    expect(watch.view().hosts).toMatchObject([{ host: 'h1', proof: null, waitsFor: 'proof' }]);
  });

  it('leaves a silent host alone on which nothing is claimed', () => {
    const watch = new Watch(FENCED);
    expect(jobs(watch.readAll(0, 60_000, (atMs) => [standing('h1', '1', { claims: 0 }), ...others(atMs)]))).toEqual([]);
  });

  it('begins the wait anew when the store was away, for however long', () => {
    const watch = new Watch(FENCED);
    watch.readAll(0, 9_000, (atMs) => [standing('h1'), ...others(atMs)]);
    for (let i = 0; i < 60; i++) watch.fail();
    const fromMs = 70_000;
    const done = watch.readAll(fromMs, fromMs + WAIT_MS - 1_000, (atMs) => [standing('h1'), ...others(atMs)]);
    expect(jobs(done)).toEqual([]);
    expect(jobs(watch.read(fromMs + WAIT_MS, standing('h1'), ...others(1)))).toEqual(['fence h1']);
  });

  it('begins the wait anew after one failed reading, and after a pause of its own', () => {
    for (const interrupt of ['failed', 'paused']) {
      const watch = new Watch(FENCED);
      const all = (atMs: number) => [standing('h1'), ...others(atMs)];
      watch.readAll(0, 12_000, all);
      if (interrupt === 'failed') watch.fail();
      const fromMs = interrupt === 'failed' ? 13_000 : 40_000;
      expect(jobs(watch.readAll(fromMs, fromMs + WAIT_MS - 1_000, all)), interrupt).toEqual([]);
    }
  });

  it('evacuates nothing when all hosts were cut off from a store that it reached', () => {
    const watch = new Watch(FENCED);
    const done = watch.readAll(0, 120_000, () => Array.from({ length: 10 }, (_, i) => standing(`h${i}`)));
    expect(jobs(done)).toEqual(['say say']);
    expect(watch.view().paused).toEqual({ lost: 10, of: 10 });
  });
});

describe('the brake', () => {
  const cloud = (dead: number, atMs: number) => Array.from({ length: 10 }, (_, i) => standing(`h${i}`, i < dead ? '1' : String(atMs)));

  it('lets a fifth of the hosts go, and pauses for more', () => {
    const two = new Watch(FENCED);
    expect(jobs(two.readAll(0, WAIT_MS, (atMs) => cloud(2, atMs)))).toEqual(['fence h0', 'fence h1']);
    const three = new Watch(FENCED);
    expect(jobs(three.readAll(0, 60_000, (atMs) => cloud(3, atMs)))).toEqual(['say say']);
    expect(three.view().hosts.map(({ waitsFor }) => waitsFor)).toEqual(['resume', 'resume', 'resume']);
  });

  it('lets the only host of two go', () => {
    const watch = new Watch(FENCED);
    const pair = (atMs: number) => [standing('h0'), standing('h1', String(atMs))];
    expect(jobs(watch.readAll(0, WAIT_MS, pair))).toEqual(['fence h0']);
  });

  it('goes on by itself when enough are back', () => {
    const watch = new Watch(FENCED);
    watch.readAll(0, 20_000, (atMs) => cloud(4, atMs));
    expect(watch.view().paused).toEqual({ lost: 4, of: 10 });
    const done = watch.readAll(21_000, 22_000, (atMs) => cloud(1, atMs));
    expect(jobs(done)).toEqual(['say say', 'fence h0']);
    expect(watch.view().paused).toBeNull();
  });

  it('goes on when an administrator has looked, and pauses again for more that are lost after that', () => {
    const watch = new Watch(FENCED);
    watch.readAll(0, 20_000, (atMs) => cloud(4, atMs));
    expect(jobs(watch.resume())).toEqual(['say say']);
    expect(jobs(watch.read(21_000, ...cloud(4, 21_000)))).toEqual(['fence h0', 'fence h1', 'fence h2', 'fence h3']);
    watch.readAll(22_000, 40_000, (atMs) => cloud(4, atMs));
    const done = watch.readAll(41_000, 41_000 + WAIT_MS + 1_000, (atMs) => cloud(9, atMs));
    expect(jobs(done)).toContain('say say');
    expect(watch.view().paused).toMatchObject({ lost: 5 });
  });

  it('does not count hosts of which somebody has said that they are down', () => {
    const watch = new Watch(FENCED);
    const forced = (atMs: number) => cloud(5, atMs).map((host, i) => (i < 5 ? { ...host, forcedDown: true, proof: 'forceDown' as const } : host));
    watch.readAll(0, 20_000, forced);
    expect(watch.view().paused).toBeNull();
  });
});

describe('a host that is proved dead', () => {
  const server = (id: string, more: Partial<ServerOnHost> = {}): ServerOnHost => ({
    id,
    vmState: 'active',
    launched: true,
    operation: null,
    moved: false,
    ...more,
  });
  const proved = standing('h1', '1', { proof: 'fence' });

  it('is evacuated, whatever else was running there; what was being made or deleted is told', () => {
    const watch = new Watch();
    watch.read(0, proved, ...others(0));
    expect(jobs(watch.read(1_000, proved, ...others(1)))).toEqual(['servers h1']);
    const effects = watch.list('h1', [
      server('a'),
      server('b', { vmState: 'stopped', operation: 'start' }),
      server('c', { vmState: 'building', launched: false, operation: 'create' }),
      server('d', { operation: 'delete' }),
      server('e', { operation: 'evacuate' }),
    ]);
    expect(effects.map((effect) => (effect.do === 'ask' || effect.do === 'tell' ? `${effect.to} ${effect.message.type}` : effect.do))).toEqual([
      'instance/a act',
      'instance/b act',
      'instance/c hostLost',
      'instance/d hostLost',
    ]);
    expect(effects[0]).toMatchObject({ message: { verb: { name: 'evacuate', target: null, force: false }, caller: { isAdmin: true } } });
  });

  it('is evacuated at the rate that is set, and what does not go is tried again later', () => {
    const watch = new Watch({ ...SETTINGS, perSecond: 2 });
    const servers = Array.from({ length: 5 }, (_, i) => server(`s${i}`));
    const begun: number[] = [];
    for (let atMs = 0; atMs <= 5_000; atMs += 1_000) {
      watch.read(atMs, proved, ...others(atMs));
      begun.push(watch.list('h1', servers).length);
    }
    expect(begun).toEqual([0, 2, 2, 1, 0, 0]);
    watch.readAll(6_000, 33_000, (atMs) => [proved, ...others(atMs)]);
    expect(watch.list('h1', servers).length).toBe(2);
  });

  it('tries what fits nowhere after twice as long each time, at most after eight minutes', () => {
    const watch = new Watch();
    const begun: number[] = [];
    for (let atMs = 0; atMs <= 1_800_000; atMs += 1_000) {
      watch.read(atMs, proved, ...others(atMs));
      if (watch.list('h1', [server('s')]).length > 0) begun.push(atMs / 1_000);
    }
    expect(begun.map((at, i) => at - (begun[i - 1] ?? at))).toEqual([0, 30, 60, 120, 240, 480, 480]);
  });

  it('waits while everything is paused', () => {
    const watch = new Watch();
    const hosts = (atMs: number) => [proved, ...Array.from({ length: 4 }, (_, i) => standing(`l${i}`)), standing('o', String(atMs))];
    watch.readAll(0, WAIT_MS, hosts);
    expect(watch.view().paused).not.toBeNull();
    expect(watch.list('h1', [server('a')])).toEqual([]);
  });
});
