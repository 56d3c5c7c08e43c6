/**
 * What a person reads when a node has started: what listens where, where things are kept, what to type next.
 * Plain text for any terminal or file. It never shows a secret.
 */
import { shellWord, type ClientFiles } from './client-files.ts';

export type SummaryHosts = {
  readonly kind: string;
  readonly count: number;
  /** What their driver says of itself. */
  readonly status?: { readonly isUp: boolean; readonly text: string };
};

export type Summary = {
  readonly version: string;
  readonly node: string;
  readonly tookMs: number;
  /** In the order to be shown: `Compute`, `http://127.0.0.1:8774/v2.1`. */
  readonly services: readonly { readonly name: string; readonly url: string }[];
  readonly hosts: readonly SummaryHosts[];
  /** What could be better, as sentences. */
  readonly hints: readonly string[];
  /** `embedded PostgreSQL 18.4`, or where the server is; without password. Empty on a node without one. */
  readonly database: string;
  /** Names of the further ones. */
  readonly processes: readonly string[];
  readonly dataDir: string;
  readonly logFile: string | undefined;
  /** Absent with an identity service of your own. */
  readonly client: ClientFiles | undefined;
  /** Names that exist in a fresh cloud, for the first command. */
  readonly example: { readonly flavor: string; readonly image: string } | undefined;
};

export function renderSummary(summary: Summary): string {
  const { version, node, tookMs, services, hosts, hints, database, processes, dataDir, logFile, client, example } = summary;
  const rows: [string, string][] = services.map(({ name, url }) => [name, url]);
  rows.push(['Hosts', hosts.map(hostsLine).join('; ') || 'none on this node']);
  if (processes.length > 0) rows.push(['Processes', `${processes.length + 1}: ${node}, ${range(processes)}`]);
  if (database !== '') rows.push(['Database', database]);
  rows.push(['Data', dataDir]);
  if (logFile !== undefined) rows.push(['Log', logFile]);
  const blocks = [`novact ${version} is up: node ${node}, in ${seconds(tookMs)}.`, table(rows)];
  if (hints.length > 0) blocks.push(hints.join('\n'));
  if (client !== undefined) blocks.push(firstSteps(client, example));
  blocks.push('Stop with Ctrl-C.');
  return `\n${blocks.join('\n\n')}\n`;
}

function hostsLine({ kind, count, status }: SummaryHosts): string {
  if (status === undefined) return `${count} ${kind}`;
  return `${count} ${kind}${status.isUp ? '' : ', down'}: ${status.text}`;
}

/** Their names count on: the first and the last say all. */
function range(names: readonly string[]): string {
  return names.length < 3 ? names.join(', ') : `${names[0]} to ${names.at(-1)}`;
}

function firstSteps(client: ClientFiles, example: Summary['example']): string {
  const lines = ['In another terminal, with any OpenStack client:', '', `  export OS_CLIENT_CONFIG_FILE=${shellWord(client.cloudsYaml)} OS_CLOUD=novact`];
  if (example !== undefined) {
    const { flavor, image } = example;
    lines.push(`  openstack server create --flavor ${shellWord(flavor)} --image ${shellWord(image)} --wait first`);
  }
  lines.push('  openstack server list', '', `The administrator is OS_CLOUD=novact-admin. For clients that want variables: source ${shellWord(client.openrc)}`);
  return lines.join('\n');
}

/** Two columns, indented. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

export function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 1_000)} s`;
}
