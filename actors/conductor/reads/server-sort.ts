/** The columns that server lists sort by: a closed table, so that no request names a column. */
import { POWER_STATES } from '../../model/server-state.ts';
import type { ServerSort, ServerSortKey } from '../messages/read.ts';
import { totalOrder, type KeyColumn, type OrderKey } from './keyset.ts';

const text = (column: string): KeyColumn => ({ sql: `i.${column}`, type: 'text' });
const perhaps = (column: string): KeyColumn => ({ sql: `coalesce(i.${column}, '')`, type: 'text' });
const time = (column: string): KeyColumn => ({ sql: `i.${column}`, type: 'timestamptz' });
const perhapsTime = (column: string): KeyColumn => ({ sql: `coalesce(i.${column}, '-infinity')`, type: 'timestamptz' });
/** Rarely sorted by: not worth a column of its own. */
const inRecord = (path: string): KeyColumn => ({ sql: `coalesce(json_extract_path_text(i.record, ${path}), '')`, type: 'text' });

/** By the numbers that the Compute API shows. */
const powerNumber = `case i.power_state ${Object.entries(POWER_STATES)
  .map(([name, number]) => `when '${name}' then ${number}`)
  .join(' ')} else 0 end`;

const ID: KeyColumn = { sql: 'i.id', type: 'uuid' };

const COLUMNS: { readonly [key in ServerSortKey]: KeyColumn } = {
  createdAt: time('created_at'),
  updatedAt: time('updated_at'),
  launchedAt: perhapsTime('launched_at'),
  terminatedAt: perhapsTime('terminated_at'),
  name: text('name'),
  vmState: text('vm_state'),
  taskState: perhaps('task_state'),
  powerState: { sql: powerNumber, type: 'integer' },
  id: ID,
  host: perhaps('host'),
  projectId: text('project_id'),
  userId: text('user_id'),
  imageId: text('image_id'),
  flavorId: text('flavor_id'),
  keyName: perhaps('key_name'),
  zone: perhaps('zone'),
  hostname: text('hostname'),
  launchIndex: { sql: 'i.launch_index', type: 'integer' },
  locked: { sql: 'i.locked', type: 'boolean' },
  configDrive: { sql: 'i.config_drive', type: 'boolean' },
  description: inRecord("'description'"),
  diskConfig: inRecord("'diskConfig'"),
  accessIpV4: inRecord("'accessIpV4'"),
  accessIpV6: inRecord("'accessIpV6'"),
  kernelId: inRecord("'kernel', 'id'"),
  ramdiskId: inRecord("'ramdisk', 'id'"),
};

/** Newest first when nothing is asked; ends with the id, so that no two rows share a place. */
export function serverOrder(sort: readonly ServerSort[]): OrderKey[] {
  const wanted = sort.length > 0 ? sort : [{ key: 'createdAt', descending: true } as const];
  return totalOrder(
    wanted.map(({ key, descending }) => ({ ...COLUMNS[key], descending })),
    ID,
  );
}
