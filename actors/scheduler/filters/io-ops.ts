/** Hosts that are busy making guests are left alone. */
import type { Filter } from './filter.ts';

/** Guests being made at once past which a host is left alone. */
const IO_OPS_MAX = 64;

export const IO_OPS: Filter = { name: 'IoOpsFilter', passes: ({ report }) => report.ioOps < IO_OPS_MAX };
