/**
 * Whether a shell runs a certain command: `rg` in the place of a command, not in cargo, merge, target or a quoted sentence.
 * A reader of the shell's word and command boundaries, pure and linear; it expands nothing, so what a variable or an alias
 * would become stays unseen. When in doubt the answer is no.
 */
import { basename } from './evidence.js';

/** Nesting of eval, sh -c and $( ) that is followed. */
const MAX_DEPTH = 8;

const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'ash']);
/** Shell options with a value in the next argument. */
const VALUED_SHELL_OPTION = /^(?:[-+][oO]|--rcfile|--init-file)$/;

/** Words after which a command follows in the same simple command. */
const KEYWORDS = new Set(['if', 'then', 'elif', 'else', 'while', 'until', 'do', '!', '{', 'coproc']);

/** Commands that run their arguments: which of their options take a value, and how many operands come before the command. */
const WRAPPERS: Record<string, { valued?: RegExp; operands?: number }> = {
  builtin: {},
  chrt: { operands: 1 },
  command: {},
  doas: { valued: /^-[uC]$/ },
  env: { valued: /^(?:-[uCS]|--unset|--chdir)$/ },
  exec: { valued: /^-a$/ },
  ionice: { valued: /^-[cnpPu]$/ },
  nice: { valued: /^(?:-n|--adjustment)$/ },
  nohup: {},
  parallel: { valued: /^-[jnNIL]$/ },
  setsid: {},
  stdbuf: { valued: /^-[ioe]$/ },
  sudo: { valued: /^-[ugUpCDhRrtT]$/ },
  taskset: { operands: 1 },
  time: { valued: /^-[fo]$/ },
  timeout: { valued: /^(?:-[ks]|--signal|--kill-after)$/, operands: 1 },
  unbuffer: {},
  watch: { valued: /^-n$/ },
  xargs: { valued: /^-[adEILnPs]$/ },
};
/** find -exec rg ... and fd -x rg ... */
const EXEC_OPTION: Record<string, RegExp> = {
  find: /^-(?:exec|execdir|ok|okdir)$/,
  fd: /^(?:-[xX]|--exec|--exec-batch)$/,
  fdfind: /^(?:-[xX]|--exec|--exec-batch)$/,
};

/** Whether the shell started with these arguments (argv[0] first) runs one of `commands`, itself or by eval, -c, a pipeline, $( ), xargs. */
export function runsCommand(args: readonly string[], commands: ReadonlySet<string>): boolean {
  return shellRuns(args, commands, 0);
}

function shellRuns(args: readonly string[], commands: ReadonlySet<string>, depth: number): boolean {
  let hasScriptText = false;
  let readsStdin = false;
  let at = 1;
  for (; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === '--') {
      at++;
      break;
    }
    if (VALUED_SHELL_OPTION.test(arg)) at++;
    else if (/^-[a-zA-Z]+$/.test(arg)) {
      hasScriptText ||= arg.includes('c');
      readsStdin ||= arg.includes('s');
    } else if (!/^[-+]./.test(arg)) break;
  }
  const operand = args[at];
  if (operand === undefined) return false;
  // Without -c the operand is a script; one that is called rg stands for it.
  if (!hasScriptText) return !readsStdin && commands.has(basename(operand));
  if (textRuns(operand, commands, depth)) return true;
  // sh -c 'exec "$@"' name rg PATTERN
  return /\$[@*]/.test(operand) && simpleCommandRuns(args.slice(at + 2), commands, depth);
}

function textRuns(text: string, commands: ReadonlySet<string>, depth: number): boolean {
  return depth < MAX_DEPTH && new Reader(text, commands, depth).list('') !== undefined;
}

/** A simple command, without its redirections: does it run one of `commands`? */
function simpleCommandRuns(words: readonly string[], commands: ReadonlySet<string>, depth: number): boolean {
  let at = 0;
  while (at < words.length && (KEYWORDS.has(words[at] as string) || /^[A-Za-z_]\w*\+?=/.test(words[at] as string))) at++;
  const head = words[at];
  if (head === undefined) return false;
  const name = basename(head);
  if (commands.has(name)) return true;
  const rest = words.slice(at + 1);
  if (name === 'eval') return textRuns(rest.join(' '), commands, depth + 1);
  if (SHELLS.has(name)) return depth < MAX_DEPTH && shellRuns([name, ...rest], commands, depth + 1);
  const execOption = Object.hasOwn(EXEC_OPTION, name) ? EXEC_OPTION[name] : undefined;
  if (execOption !== undefined) {
    return rest.some((word, index) => execOption.test(word) && simpleCommandRuns(rest.slice(index + 1), commands, depth));
  }
  const wrapper = Object.hasOwn(WRAPPERS, name) ? WRAPPERS[name] : undefined;
  if (wrapper === undefined) return false;
  let operands = wrapper.operands ?? 0;
  let next = 0;
  for (; next < rest.length; next++) {
    const word = rest[next] as string;
    if (word.startsWith('-')) {
      if (wrapper.valued?.test(word)) next++;
    } else if (!(name === 'env' && word.includes('=')) && operands-- <= 0) break;
  }
  return depth < MAX_DEPTH && simpleCommandRuns(rest.slice(next), commands, depth + 1);
}

/** Cuts a command list into simple commands and asks of each whether it runs what is looked for. */
class Reader {
  private at = 0;
  private readonly hereDocuments: Array<{ delimiter: string; tabs: boolean }> = [];

  constructor(
    private readonly text: string,
    private readonly commands: ReadonlySet<string>,
    private readonly depth: number,
  ) {}

  /** Reads up to the closing character ('' = the end of the text). true = found; undefined = not found. */
  list(close: string): true | undefined {
    let words: string[] = [];
    let word: string | undefined;
    const endWord = () => {
      if (word !== undefined) words.push(word);
      word = undefined;
    };
    const endCommand = (): boolean => {
      endWord();
      const found = simpleCommandRuns(words, this.commands, this.depth);
      words = [];
      return found;
    };
    while (this.at < this.text.length) {
      const char = this.text[this.at++] as string;
      if (close !== '' && char === close) return endCommand() || undefined;
      switch (char) {
        case ' ':
        case '\t':
          endWord();
          break;
        case '\n':
          if (endCommand()) return true;
          this.skipHereDocuments();
          break;
        case ';':
        case '&':
        case '|':
          // &> and &>> redirect; what follows is a file.
          if (char === '&' && this.text[this.at] === '>') break;
          if (endCommand()) return true;
          break;
        case '#':
          if (word === undefined) this.skipTo('\n');
          else word += char;
          break;
        case '\\':
          if (this.text[this.at] === '\n') this.at++;
          else word = (word ?? '') + (this.text[this.at++] ?? '');
          break;
        case "'":
          word = (word ?? '') + this.until("'");
          break;
        case '"': {
          const quoted = this.doubleQuoted();
          if (quoted === undefined) return true;
          word = (word ?? '') + quoted;
          break;
        }
        case '`':
          if (textRuns(this.until('`'), this.commands, this.depth + 1)) return true;
          word = `${word ?? ''}\``;
          break;
        case '$':
          if (this.text[this.at] === '(') {
            this.at++;
            if (this.nested()) return true;
          }
          word = `${word ?? ''}$`;
          break;
        case '<':
        case '>':
          if (this.redirection(char, word)) return true;
          if (word !== undefined && /^\d+$/.test(word)) word = undefined;
          endWord();
          break;
        case '(': {
          // After a word: a function's parentheses or the values of an array, no commands.
          const isCommand = word === undefined && words.every((previous) => KEYWORDS.has(previous) || previous === 'time');
          const found = this.nested();
          if (found && isCommand) return true;
          words = [];
          word = undefined;
          break;
        }
        case ')':
          // None is open: the end of a pattern of `case`.
          words = [];
          word = undefined;
          break;
        default:
          word = (word ?? '') + char;
      }
    }
    return endCommand() || undefined;
  }

  private nested(): boolean {
    const inner = new Reader(this.text, this.commands, this.depth + 1);
    inner.at = this.at;
    const found = this.depth < MAX_DEPTH && inner.list(')') === true;
    this.at = this.depth < MAX_DEPTH ? inner.at : this.text.length;
    return found;
  }

  /** The rest of a "..." word; undefined = a command substitution in it runs what is looked for. */
  private doubleQuoted(): string | undefined {
    let content = '';
    while (this.at < this.text.length) {
      const char = this.text[this.at++] as string;
      if (char === '"') return content;
      if (char === '\\') content += this.text[this.at++] ?? '';
      else if (char === '`') {
        if (textRuns(this.until('`'), this.commands, this.depth + 1)) return undefined;
      } else if (char === '$' && this.text[this.at] === '(') {
        this.at++;
        if (this.nested()) return undefined;
        content += '$';
      } else content += char;
    }
    return content;
  }

  /** After < or >: the file is skipped; true = a process substitution runs what is looked for. */
  private redirection(char: string, word: string | undefined): boolean {
    if (char === '<' && this.text.startsWith('<<', this.at)) {
      this.at += 2; // here-string: its word is data
    } else if (char === '<' && this.text[this.at] === '<') {
      const tabs = this.text[this.at + 1] === '-';
      this.at += tabs ? 2 : 1;
      this.hereDocuments.push({ delimiter: this.plainWord(), tabs });
      return false;
    } else if (this.text[this.at] === '(' && word === undefined) {
      this.at++;
      return this.nested();
    } else {
      while (/[<>&|]/.test(this.text[this.at] ?? '')) this.at++;
    }
    this.plainWord();
    return false;
  }

  /** One word that is not a command: a file, a delimiter. */
  private plainWord(): string {
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at++;
    let word = '';
    while (this.at < this.text.length && !/[\s;&|()<>]/.test(this.text[this.at] as string)) {
      const char = this.text[this.at++] as string;
      if (char === "'" || char === '"') word += this.until(char);
      else if (char === '\\') word += this.text[this.at++] ?? '';
      else word += char;
    }
    return word;
  }

  private skipHereDocuments(): void {
    for (const { delimiter, tabs } of this.hereDocuments.splice(0)) {
      while (this.at < this.text.length) {
        const line = this.until('\n');
        if ((tabs ? line.replace(/^\t+/, '') : line) === delimiter) break;
      }
    }
  }

  /** Everything up to `end`, which is consumed. */
  private until(end: string): string {
    const close = this.text.indexOf(end, this.at);
    const content = this.text.slice(this.at, close < 0 ? undefined : close);
    this.at = close < 0 ? this.text.length : close + 1;
    return content;
  }

  /** Stops before `end`. */
  private skipTo(end: string): void {
    const close = this.text.indexOf(end, this.at);
    this.at = close < 0 ? this.text.length : close;
  }
}
