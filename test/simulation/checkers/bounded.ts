/** P8: what waits is bounded: messages for an actor, frames for another node. */
import { MESH_LIMITS } from '../../../runtime/mesh/limits.ts';
import type { Checker } from './checker.ts';

const QUEUED_MAX = MESH_LIMITS.framesMax + MESH_LIMITS.urgentFramesMax;

export const BOUNDED: Checker = {
  promise: 'P8',
  atSample(world) {
    const problems: string[] = [];
    for (const node of world.nodes) {
      for (const queued of node.queued) if (queued > QUEUED_MAX) problems.push(`${queued} frames wait at ${node.name} for one other node`);
      for (const { address, inbox } of node.activations) {
        const max = node.mailboxMax(address.split('/')[0] ?? '');
        if (inbox > max) problems.push(`${inbox} messages wait for ${address}, at most ${max} may`);
      }
    }
    return problems;
  },
};
