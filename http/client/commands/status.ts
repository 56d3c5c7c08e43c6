/**
 * `novact status`: asks a running node how it is. Reads only; a node that does not answer in time is told as such.
 */
import { request } from 'undici';
import { z } from 'zod';
import { table } from './summary.ts';

/** What the node wrote about itself in its data folder. */
export type RunningNode = {
  readonly name: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly version: string;
  readonly state: string;
  readonly healthUrl: string;
};

export type Health = { readonly isWell: boolean; readonly answer: unknown };

const ANSWER_MS = 5_000;
const DEPTH_MAX = 4;
const LIST_MAX = 20;
const tree = z.record(z.string(), z.unknown());

/** Not by `fetch`, which refuses some ports that a node may well have. */
export async function askHealth(url: string): Promise<Health> {
  const limit = AbortSignal.timeout(ANSWER_MS);
  try {
    const { statusCode, body } = await request(url, { signal: limit });
    return { isWell: statusCode === 200, answer: parse(await body.text()) };
  } catch (error) {
    return {
      isWell: false,
      answer: limit.aborted ? `no answer in ${ANSWER_MS / 1_000} s` : `no answer: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

export function renderStatus(node: RunningNode, health: Health): string {
  const head = `novact ${node.version} runs: node ${node.name}, process ${node.pid}, since ${node.startedAt}, ${node.state}.`;
  const rows: [string, string][] = [
    ['health', health.isWell ? 'well' : 'NOT WELL'],
    ['asked', node.healthUrl],
  ];
  return `${head}\n\n${table([...rows, ...flat(health.answer, '', 0)])}\n`;
}

/** Nested members as rows `a.b.c`; long lists are cut. */
function flat(value: unknown, path: string, depth: number): [string, string][] {
  const members = tree.safeParse(value);
  if (members.success && depth < DEPTH_MAX) {
    return Object.entries(members.data).flatMap(([key, item]) => flat(item, path === '' ? key : `${path}.${key}`, depth + 1));
  }
  if (Array.isArray(value) && depth < DEPTH_MAX) {
    const rows = value.slice(0, LIST_MAX).flatMap((item, index) => flat(item, `${path}.${index}`, depth + 1));
    return value.length > LIST_MAX ? [...rows, [path, `… and ${value.length - LIST_MAX} more`]] : rows;
  }
  return [[path === '' ? 'answer' : path, typeof value === 'string' ? value : (JSON.stringify(value) ?? '')]];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 200);
  }
}
