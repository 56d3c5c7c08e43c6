import { describe, expect, it } from 'vitest';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { defineService } from '../../../runtime/actor/kind.ts';
import { ActorSystem } from '../../../runtime/actor/system.ts';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { Remote } from '../../../runtime/node/remote.ts';
import { MemoryNetwork } from '../../doubles/memory-mesh.ts';
import { VirtualWorld } from '../../doubles/virtual-clock.ts';

const kind = defineService<never>({
  kind: 'thing',
  mailboxMax: 8,
  concurrency: 8,
  repeatable: new Set(['hello']),
  parse: (type, body) => ({ type, ...(body as object) }) as never,
  serve: { hello: async () => 'here' } as never,
});

/** Two nodes; what is asked of `thing/any` on `a` goes to `b`. */
function openPair() {
  const world = new VirtualWorld();
  const { clock } = world;
  const network = new MemoryNetwork({ clock, random: seededRandom(1) });
  const open = (name: string, other: string): ActorSystem => {
    const mesh = network.open({ node: name as NodeName, boot: `${name}1` as BootId });
    mesh.setPeers([{ node: other as NodeName, endpoint: '', publicKey: '', roles: [] }]);
    const system = new ActorSystem({ clock, random: seededRandom(2), log: silentLog, node: name });
    const locate = { nodeOf: () => other as NodeName, hint: () => undefined };
    system.plug({ remote: new Remote({ mesh, locate, system, clock, log: silentLog, mayTell: () => undefined, urgent: new Set() }) });
    return system;
  };
  const [a, b] = [open('a', 'b'), open('b', 'a')];
  a.register(kind, false);
  return { world, a: a as Actors, b };
}

describe('an ask of another node', () => {
  it('is tried again while that node is starting and does not know the kind yet', async () => {
    const { world, a, b } = openPair();
    await world.run(async () => {
      const asked = a.ask('thing/any' as never, { type: 'hello' } as never, { timeoutMs: 5_000 });
      await world.clock.sleep(700);
      b.register(kind);
      expect(await asked).toBe('here');
    }, 60_000);
  });
});
