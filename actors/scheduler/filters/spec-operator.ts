/**
 * The small language in which a flavor says what it wants of a word: `>= 4`, `<in> ssd`, `<or> a <or> b`, or plain text,
 * which must be equal. Source: scheduler page, extra spec operators.
 */

const NUMBERS: { readonly [operator: string]: (word: number, wanted: number) => boolean } = {
  '=': (word, wanted) => word >= wanted,
  '==': (word, wanted) => word === wanted,
  '!=': (word, wanted) => word !== wanted,
  '>=': (word, wanted) => word >= wanted,
  '<=': (word, wanted) => word <= wanted,
};

const TEXTS: { readonly [operator: string]: (word: string, wanted: string) => boolean } = {
  's==': (word, wanted) => word === wanted,
  's!=': (word, wanted) => word !== wanted,
  's<': (word, wanted) => word < wanted,
  's<=': (word, wanted) => word <= wanted,
  's>': (word, wanted) => word > wanted,
  's>=': (word, wanted) => word >= wanted,
};

/** Whether a word is what the spec wants. A number that is none fits nothing. */
export function fitsSpec(word: string, spec: string): boolean {
  const [operator = '', ...rest] = spec.trim().split(/\s+/);
  if (rest.length === 0) return word === spec;
  const wanted = rest.join(' ');
  if (Object.hasOwn(NUMBERS, operator)) {
    const [left, right] = [toNumber(word), toNumber(wanted)];
    return left !== undefined && right !== undefined && NUMBERS[operator]?.(left, right) === true;
  }
  if (Object.hasOwn(TEXTS, operator)) return TEXTS[operator]?.(word, wanted) === true;
  switch (operator) {
    case '<in>':
      return word.includes(wanted);
    case '<all-in>':
      return rest.filter((part) => part !== '<all-in>').every((part) => word.includes(part));
    case '<or>':
      return wanted.split('<or>').some((choice) => choice.trim() === word);
    case '<is>':
      return /^(1|true|yes|on)$/i.test(word) === /^(1|true|yes|on)$/i.test(wanted);
    default:
      return word === spec;
  }
}

function toNumber(text: string): number | undefined {
  const number = Number(text);
  return text.trim() === '' || Number.isNaN(number) ? undefined : number;
}
