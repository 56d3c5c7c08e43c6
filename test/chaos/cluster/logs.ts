/**
 * Reads what nodes wrote to their logs since the last time: a crash of an actor, a bug, a secret. What a node says
 * because the world was away (a beat that failed, a connection lost) is right.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster.ts';
import type { ClusterNode } from '../rig/node.ts';

type Line = { readonly level: number; readonly msg: string; readonly [field: string]: unknown };

const ERROR_LEVEL = 50;
/** Errors that a fault of the world explains. */
const EXPLAINED = new Set(['the node did not start', 'the stop takes too long, ending at once']);
const SUSPICIOUS = /\bbug\b|crashed|unhandled|TypeError|RangeError|ReferenceError/i;
const SECRET_MIN = 8;
const SHOWN_MAX = 6;
const LINE_SHOWN = 1_200;

export class LogReader {
  readonly #cluster: Cluster;
  readonly #read = new Map<string, number>();
  lines = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async problems(): Promise<string[]> {
    const secrets = await this.#secrets();
    return this.#cluster.nodes.flatMap((node) => {
      const found = this.#fresh(node).flatMap((text) => lineWrong(node.name, text, secrets));
      return found.length > SHOWN_MAX ? [...found.slice(0, SHOWN_MAX), `… ${found.length} such lines of ${node.name}`] : found;
    });
  }

  #fresh(node: ClusterNode): string[] {
    if (!existsSync(node.logFile)) return [];
    const file = openSync(node.logFile, 'r');
    try {
      const from = this.#read.get(node.name) ?? 0;
      const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - from));
      readSync(file, bytes, 0, bytes.length, from);
      this.#read.set(node.name, from + bytes.length);
      const lines = bytes.toString('utf8').split('\n').filter(Boolean);
      this.lines += lines.length;
      return lines;
    } finally {
      closeSync(file);
    }
  }

  async #secrets(): Promise<readonly string[]> {
    const keys = this.#cluster.nodes.flatMap((node) => {
      const path = join(node.dataDir, 'mesh-key.json');
      if (!existsSync(path)) return [];
      const pair = JSON.parse(readFileSync(path, 'utf8')) as { secretKey?: string };
      return pair.secretKey ?? [];
    });
    const own = Object.values(await this.#cluster.secrets());
    return [...own, ...keys, ...this.#cluster.keys, await this.#cluster.token(), this.#cluster.postgres.password].filter(
      (secret) => secret.length >= SECRET_MIN,
    );
  }
}

function lineWrong(name: string, text: string, secrets: readonly string[]): string[] {
  if (secrets.some((secret) => text.includes(secret))) return [`the log of ${name} tells a secret: ${text.slice(0, 200)}`];
  const line = parsed(text);
  if (line === undefined) return []; // cut off by a kill or a full disk
  const isError = line.level >= ERROR_LEVEL && !EXPLAINED.has(line.msg);
  return isError || SUSPICIOUS.test(text) ? [`the log of ${name}: ${text.slice(0, LINE_SHOWN)}`] : [];
}

function parsed(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}
