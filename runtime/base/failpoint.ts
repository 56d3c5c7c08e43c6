/**
 * Named points at which a test may end the process as a power cut would: before and after each await of commit,
 * claim, verb and reply. Off unless the environment names one: `NOVACT_FAILPOINT=commit.after:3` dies at the third
 * time that point is reached, `*:17` at the seventeenth point of any name.
 *
 * With `NOVACT_FAILPOINT_FILE` the same words are taken from that file whenever it appears or changes, and counting
 * begins there: what a test sets up before is not counted. Without words in it nothing is armed.
 */
import { readFileSync, statSync } from 'node:fs';

export type Failpoint = (name: string) => void;

export type FailpointSettings = {
  /** `name:count`; the count is 1 when left out. */
  readonly words?: string | undefined;
  readonly file?: string | undefined;
};

type Armed = { readonly wanted: string; left: number };

export const noFailpoint: Failpoint = () => {};

export function failpointFrom({ words, file }: FailpointSettings, die: () => void): Failpoint {
  let armed = parse(words);
  if (!file && !armed) return noFailpoint;
  const rearm = file ? watched(file) : undefined;
  return (name) => {
    const news = rearm?.();
    if (news !== undefined) armed = parse(news);
    if (armed && (armed.wanted === name || armed.wanted === '*') && --armed.left === 0) die();
  };
}

/** The file's text when it is another than at the last look; undefined otherwise. */
function watched(file: string): () => string | undefined {
  let seen = '';
  return () => {
    const found = statSync(file, { throwIfNoEntry: false });
    const mark = found ? `${found.ino} ${found.mtimeMs} ${found.size}` : '';
    if (mark === seen) return undefined;
    seen = mark;
    return found ? readFileSync(file, 'utf8') : '';
  };
}

function parse(words: string | undefined): Armed | undefined {
  const [wanted, count = '1'] = (words ?? '').trim().split(':');
  return wanted ? { wanted, left: Number(count) } : undefined;
}
