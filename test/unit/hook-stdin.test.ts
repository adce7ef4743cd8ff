import { describe, expect, it } from 'vitest';
import { InputCollector, JsonObjectEnd } from '../../src/hook/stdin.js';

/** Text → where the first object ends (in bytes), 'more' or 'garbage'. */
const ENDS: Array<[string, number | 'more' | 'garbage']> = [
  ['{}', 2],
  ['  \n\t{}', 6],
  ['\ufeff{}', 5],
  ['{}{}', 2],
  ['{"a":1}\n{"b":2}\n', 7],
  ['{"a":{"b":[1,{"c":2}]}} trailing', 23],
  ['{"a":"}"}', 9],
  ['{"a":"\\"}"}', 11],
  ['{"a":"\\\\"}', 10],
  ['{"a":"{[\\u007d"}x', 16],
  ['{"é":"ü"}', 11],
  ['{"a":[}', 'more'],
  ['', 'more'],
  ['   ', 'more'],
  ['{', 'more'],
  ['{"a":"unterminated }', 'more'],
  ['{"a":"\\', 'more'],
  ['[]', 'garbage'],
  ['"text"', 'garbage'],
  ['null', 'garbage'],
  ['hello', 'garbage'],
  ['}', 'garbage'],
  ['\0\0\0', 'garbage'],
  ['  x {}', 'garbage'],
];

describe('end of the first JSON object', () => {
  it.each(ENDS)('%j → %s, in one piece', (text, end) => {
    expect(new JsonObjectEnd().push(Buffer.from(text))).toBe(end);
  });

  it.each(ENDS)('%j → %s, byte by byte', (text, end) => {
    const scanner = new JsonObjectEnd();
    let found: number | 'more' | 'garbage' = 'more';
    for (const byte of Buffer.from(text)) {
      found = scanner.push(Uint8Array.of(byte));
      if (found !== 'more') break;
    }
    expect(found).toBe(end);
  });

  it('agrees with JSON.parse on nested random objects, wherever they are cut', () => {
    // A linear congruential generator: the same objects in every run.
    let seed = 42;
    const random = (limit: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % limit;
    };
    const value = (depth: number): unknown => {
      const kind = random(depth > 4 ? 3 : 5);
      if (kind === 0) return random(1000);
      if (kind === 1) return ['"', '\\', '{', '}', '[', ']', 'é', '\u2028', 'plain', '\\"'][random(10)];
      if (kind === 2) return [null, true, false][random(3)];
      const length = random(4);
      if (kind === 3) return Array.from({ length }, () => value(depth + 1));
      return Object.fromEntries(Array.from({ length }, (_, at) => [`k}${at}"`, value(depth + 1)]));
    };
    for (let round = 0; round < 300; round++) {
      const object = { value: value(0) };
      const text = Buffer.from(JSON.stringify(object, null, round % 3));
      const stream = Buffer.concat([text, Buffer.from('{"second":1}')]);
      const scanner = new JsonObjectEnd();
      const cut = random(text.length);
      const first = scanner.push(stream.subarray(0, cut));
      expect(first).toBe('more');
      expect(scanner.push(stream.subarray(cut))).toBe(text.length);
    }
  });
});

describe('collected input', () => {
  const collect = (chunks: string[], maxBytes = 1000) => {
    const collector = new InputCollector(maxBytes);
    for (const chunk of chunks) {
      const input = collector.push(Buffer.from(chunk));
      if (input !== undefined) return input;
    }
    return collector.finish('after 200 ms');
  };

  it.each([
    ['nothing', [], { kind: 'none' }],
    ['blanks only', [' ', '\n'], { kind: 'none' }],
    ['an object', ['{"hook_event_name":"Stop"}'], { kind: 'json', value: { hook_event_name: 'Stop' } }],
    ['an object in pieces', ['{"a', '":', '1', '}'], { kind: 'json', value: { a: 1 } }],
    ['a byte order mark', ['\ufeff{"a":1}'], { kind: 'json', value: { a: 1 } }],
    ['two objects: the first', ['{"a":1}{"a":2}'], { kind: 'json', value: { a: 1 } }],
    ['not JSON', ['hello'], { kind: 'garbage', problem: 'expected a JSON object' }],
    ['an array', ['[1]'], { kind: 'garbage', problem: 'expected a JSON object' }],
    ['half an object', ['{"a":'], { kind: 'garbage', problem: 'the JSON object was not complete after 200 ms' }],
  ] as const)('%s', (_name, chunks, input) => {
    expect(collect([...chunks])).toEqual(input);
  });

  it('says what JSON.parse disliked', () => {
    expect(collect(['{a:1}'])).toMatchObject({ kind: 'garbage', problem: expect.stringMatching(/^not valid JSON: /) });
  });

  it.each([
    ['still open', ['{"a":"', 'x'.repeat(60), 'y'.repeat(60)]],
    ['ended in the chunk that was too much', ['{"a":"', 'x'.repeat(60), `${'y'.repeat(60)}"}`]],
  ])('gives up on an object that is too long, %s', (_name, chunks) => {
    expect(collect(chunks, 100)).toEqual({ kind: 'garbage', problem: 'no JSON object ends within 100 bytes' });
  });
});
