/**
 * Plants the bug that NOVACT_PLANTED names into the source of its file while this process loads it: before types are
 * stripped, and only in this process. To be imported before anything else:
 *
 *   NOVACT_PLANTED=quota-unchecked node --import ./test/simulation/planted/hook.ts test/simulation/run.ts --seed 1
 */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { plant } from './bug.ts';
import { CATALOGUE } from './catalogue.ts';

const ROOT = join(import.meta.dirname, '../../..');
const name = process.env['NOVACT_PLANTED'];
let planted = false;

/** Whether the file of the bug has been loaded: a bug that nobody runs cannot be found. */
export function isPlanted(): boolean {
  return planted;
}

if (name !== undefined && name !== '') {
  const bug = CATALOGUE.find((one) => one.name === name);
  if (!bug) throw new Error(`no planted bug ${name}; there are ${CATALOGUE.map((one) => one.name).join(', ')}`);
  const url = pathToFileURL(join(ROOT, bug.file)).href;
  registerHooks({
    load(loading, context, nextLoad) {
      const loaded = nextLoad(loading, context);
      if (loading !== url) return loaded;
      planted = true;
      const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source as Uint8Array);
      return { ...loaded, source: plant(bug, text) };
    },
  });
}
