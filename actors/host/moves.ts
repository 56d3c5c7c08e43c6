/** The driver verbs of a move: what a driver lacks is refused, what is sent says how far it is. */
import type { GuestKey, GuestPower } from '../../drivers/driver.ts';
import type { GuestMoves, LiveMoves } from '../../drivers/driver.ts';
import { unreachable } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { VerbEnd } from './lanes.ts';
import { hostRef, type GuestVerb } from './messages.ts';
import type { HostParts } from './parts.ts';

const MOVES = ['park', 'offer', 'unpark', 'receive', 'prepare', 'send', 'stay', 'land'] as const;
export type MoveVerb = Extract<GuestVerb, { readonly name: (typeof MOVES)[number] }>;

export function isMove(verb: GuestVerb): verb is MoveVerb {
  return MOVES.some((name) => name === verb.name);
}

export async function runMove(parts: HostParts, verb: MoveVerb, guest: GuestKey, host: string | undefined, signal: AbortSignal): Promise<VerbEnd> {
  switch (verb.name) {
    case 'park':
      return movesOf(parts).park(guest, { graceMs: verb.graceMs }, signal);
    case 'offer': {
      const moves = movesOf(parts);
      return { power: null, way: disksOf(parts).offer(guest, (asked) => moves.readDisk(guest, asked)) };
    }
    case 'unpark': {
      // What cannot be parked never was.
      const lying: { power: GuestPower | null } = (await parts.driver.moves?.unpark(guest, signal)) ?? { power: null };
      return verb.run ? parts.driver.start(guest, signal) : lying;
    }
    case 'receive': {
      const disks = disksOf(parts);
      return movesOf(parts).receive(verb.spec, (asked) => disks.open(verb.way, asked), { memory: verb.memory }, signal);
    }
    case 'prepare':
      return liveOf(parts).prepare(verb.spec, signal);
    case 'send': {
      const { instanceId } = guest;
      const tell = (progress: Parameters<Parameters<LiveMoves['send']>[2]>[0]): void => {
        if (host !== undefined) parts.actors.tell(hostRef(host), { type: 'progressed', instanceId, progress });
      };
      return liveOf(parts).send(guest, { force: verb.force }, tell, signal);
    }
    case 'stay':
      return (await parts.driver.live?.stay(guest, { paused: verb.paused }, signal)) ?? { power: null };
    case 'land':
      return liveOf(parts).land(guest, { paused: verb.paused }, signal);
    default:
      return unreachable(verb);
  }
}

function movesOf({ driver: { moves } }: HostParts): GuestMoves {
  if (!moves) throw new Fault('invalid', 'host.cannotMove', 'The hypervisor of the host cannot take servers to another host or size.');
  return moves;
}

function liveOf({ driver: { live } }: HostParts): LiveMoves {
  if (!live) throw new Fault('invalid', 'host.cannotMoveLive', 'The hypervisor of the host cannot take running servers to another host.');
  return live;
}

function disksOf({ disks }: HostParts): NonNullable<HostParts['disks']> {
  if (!disks) throw new Fault('invalid', 'host.noRoad', 'The host reaches no other host.');
  return disks;
}
