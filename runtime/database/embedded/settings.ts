/**
 * How the embedded server is set: full durability, small memory, cheap batch commits. Everything stands on its command
 * line, so that a store made by an earlier version runs with the settings of this one.
 */
export type ServerPlace = {
  readonly storePath: string;
  readonly socketDir: string;
  readonly port: number;
  /** Address to listen on besides the socket, or none. */
  readonly listen: string | undefined;
  /** Nodes that share it. */
  readonly nodes: number;
};

/** More than all pools of one node, and one more for tools; each costs memory only when used. */
const CONNECTIONS_PER_NODE = 40;

const SETTINGS = {
  // What was acknowledged is not lost (P6): these three are PostgreSQL's defaults and may not be loosened by a file.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // One server, no replicas: the log needs no more than recovery does.
  wal_level: 'minimal',
  max_wal_senders: '0',
  wal_compression: 'on',
  // Rare checkpoints: each makes the next change of every page write the whole page again.
  checkpoint_timeout: '15min',
  max_wal_size: '1GB',
  min_wal_size: '80MB',
  shared_buffers: '32MB',
  work_mem: '4MB',
  maintenance_work_mem: '32MB',
  io_method: 'sync', // no worker processes for reads
  max_parallel_workers_per_gather: '0',
  jit: 'off',
  track_io_timing: 'off',
  autovacuum: 'on',
  autovacuum_naptime: '30s', // rows of nodes and shards are rewritten every second
  password_encryption: 'scram-sha-256',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_statement: 'none',
  // A failed statement may carry a user's secret.
  log_min_error_statement: 'panic',
  log_line_prefix: '%m [%p] ',
} as const;

/** The server's words after its program. Same place, same words: a running server is compared by them. */
export function serverArguments({ storePath, socketDir, port, listen, nodes }: ServerPlace): string[] {
  const placed = {
    ...SETTINGS,
    max_connections: String(CONNECTIONS_PER_NODE * nodes),
    port: String(port),
    listen_addresses: listen ?? '',
    unix_socket_directories: `"${socketDir.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
  };
  return ['-D', storePath, ...Object.entries(placed).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}
