/** `/os-volumes_boot` (..2.102): another name of `/servers` and the actions that there were when it was made. */
import { SINCE } from '../microversions.ts';
import type { ComputeRoute } from '../parts.ts';

const OLD_PATHS = new Set(['/servers', '/servers/detail', '/servers/:id', '/servers/:id/action']);
const OLD_ACTIONS = new Set(['reboot', 'rebuild', 'resize', 'confirmResize', 'revertResize', 'createImage', 'os-start', 'os-stop', 'trigger_crash_dump']);

export function bootAliases(routes: readonly ComputeRoute[]): ComputeRoute[] {
  return routes
    .filter(({ path, action }) => OLD_PATHS.has(path) && (action === undefined || OLD_ACTIONS.has(action)))
    .map((one) => {
      const [from, to] = one.versions ?? [1, Infinity];
      return { ...one, path: one.path.replace('/servers', '/os-volumes_boot'), versions: [from, Math.min(to, SINCE.noBootAlias - 1)] as const };
    });
}
