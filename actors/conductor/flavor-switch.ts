/**
 * Taking a flavor out of use, and back, for the operator: the API has no word for it. A disabled flavor makes no new
 * servers; those that there are keep what they have. Works on the database itself, whether or not a node runs.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';
import { Session } from '../../runtime/database/open.ts';

type Place = { readonly url: string; readonly clock: Clock; readonly log: Log };

/** As every change of records: under the cell's row, with a revision of its own. */
const SWITCH = `with raised as (update cell set revision = revision + 1 where exists (select from flavor where flavor_id = $1) returning revision)
  update flavor set disabled = $2 from raised where flavor_id = $1 returning name`;

/** The flavor's name; undefined when there is none of this id. Doors hear of it within seconds. */
export async function switchFlavor({ url, clock, log }: Place, flavorId: string, disabled: boolean): Promise<string | undefined> {
  const session = new Session({ url, name: 'flavors', clock, log });
  try {
    return (await session.run<{ name: string }>('switch-flavor', SWITCH, [flavorId, disabled])).rows[0]?.name;
  } finally {
    await session.close();
  }
}
