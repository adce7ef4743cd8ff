import { describe, expect, it } from 'vitest';
import { runsCommand } from '../../src/orphans/command-word.js';

const RG = new Set(['rg', 'ripgrep']);
const script = (text: string) => runsCommand(['/bin/bash', '-c', text], RG);

describe('rg in the place of a command', () => {
  it.each([
    ['alone', 'rg'],
    ['with arguments', 'rg -n "TODO" src'],
    ['with a path', '/usr/local/bin/rg TODO'],
    ['after ;', 'cd src; rg TODO'],
    ['after ; without a blank', 'cd src;rg TODO'],
    ['after &&', 'cd src && rg TODO'],
    ['after ||', 'grep x || rg x'],
    ['in a pipeline', 'git ls-files | rg test'],
    ['after |&', 'make |& rg error'],
    ['in the background of another', 'sleep 5 & rg TODO'],
    ['on a later line', 'cd src\nrg TODO'],
    ['after a continued line', 'cd src && \\\n  rg TODO'],
    ['in $( )', 'files=$(rg -l TODO)'],
    ['in $( ) between double quotes', 'echo "$(rg -l TODO)"'],
    ['in $( ) in $( )', 'echo $(wc -l $(rg -l TODO))'],
    ['in backquotes', 'echo `rg -l TODO`'],
    ['in backquotes between double quotes', 'echo "`rg -l TODO`"'],
    ['in a subshell', '(cd src; rg TODO)'],
    ['in braces', '{ rg TODO; }'],
    ['in <( )', 'diff <(rg a) <(sort b)'],
    ['after assignments', 'LC_ALL=C FOO="a b" rg TODO'],
    ['after if', 'if rg -q TODO; then echo yes; fi'],
    ['after then', 'if true; then rg TODO; fi'],
    ['after !', '! rg TODO'],
    ['in a loop', 'for f in *; do rg TODO "$f"; done'],
    ['in while', 'while rg -q x; do sleep 1; done'],
    ['in a case', 'case $x in a) rg TODO;; esac'],
    ['by xargs', 'find . | xargs rg TODO'],
    ['by xargs with options', 'find . -print0 | xargs -0 -n 1 -P 4 rg TODO'],
    ['by env', 'env rg TODO'],
    ['by env with options', 'env -u HOME FOO=1 rg TODO'],
    ['by /usr/bin/env', '/usr/bin/env rg TODO'],
    ['by timeout', 'timeout -k 5 30 rg TODO'],
    ['by timeout -s', 'timeout -s KILL 30 rg TODO'],
    ['by nice', 'nice -n 10 rg TODO'],
    ['by nohup', 'nohup rg TODO &'],
    ['by sudo', 'sudo -u me rg TODO'],
    ['by exec', 'exec rg TODO'],
    ['by command', 'command rg TODO'],
    ['by time', 'time rg TODO'],
    ['by time with a format', '/usr/bin/time -f %e rg TODO'],
    ['in a timed subshell', 'time (rg TODO)'],
    ['by a chain of them', 'sudo env A=1 timeout 5 nice rg TODO'],
    ['by find -exec', 'find . -name "*.c" -exec rg TODO {} +'],
    ['by fd -x', 'fd -e c -x rg TODO'],
    ['by eval', "eval 'rg TODO' < /dev/null"],
    ['by eval with an escaped redirection', "eval 'rg TODO' \\< /dev/null"],
    ['by sh -c', "sh -c 'rg TODO'"],
    ['by bash -lc in eval', 'eval "bash -lc \\"rg TODO\\""'],
    ['with quotes in the word', "r'g' TODO"],
    ['escaped (no alias)', '\\rg TODO'],
    ['after a redirection', '< /dev/null rg TODO'],
    ['after a redirection with a number', '2>/dev/null rg TODO'],
    ['after a here-document', "cat <<'EOF' > notes\ntext\nEOF\nrg TODO"],
    ['by the other name', 'ripgrep TODO'],
    [
      'in the wrapper of an agent',
      "source /home/u/.claude/shell-snapshots/snapshot-bash-1-a.sh 2>/dev/null || true && eval 'rg TODO' < /dev/null && pwd -P >| /tmp/x-cwd",
    ],
  ])('%s', (_, text) => expect(script(text)).toBe(true));
});

describe('rg anywhere else', () => {
  it.each([
    ['cargo', 'cargo build'],
    ['merge', 'git merge origin/main'],
    ['target, org', 'ls target/org'],
    ['an argument', 'echo rg'],
    ['a quoted argument', "echo 'rg foo'"],
    ['a quoted sentence with a semicolon', 'echo "use this; rg is fast"'],
    ['a file', 'cat rg'],
    ['a path component', '/opt/rg/bin/tool'],
    ['a longer name', 'rg-wrapper x'],
    ['a name it ends', 'xrg foo; ./borg x'],
    ['an option', 'apt install --rg'],
    ['an assignment', 'rg=1 make'],
    ['a value', 'tool=rg make'],
    ['a comment', 'make # rg foo'],
    ['a comment on its own line', '# rg foo\nmake'],
    ['a here-document', 'cat <<EOF > x\nrg foo\nEOF\nmake'],
    ['a here-document with tabs', 'cat <<-EOF\n\trg foo\n\tEOF\nmake'],
    ['a here-string', 'cat <<< rg'],
    ['the file of a redirection', 'make > rg'],
    ['the file of &>', 'make &> rg'],
    ['a word of a loop', 'for x in rg ag; do echo $x; done'],
    ['a pattern of case', 'case $x in rg) echo a;; rg) echo b;; esac'],
    ['a function of that name', 'rg() { grep "$@"; }'],
    ['a value of an array', 'tools=(rg ag); make'],
    ['the duration of timeout', 'timeout rg make'],
    ['the user of sudo', 'sudo -u rg make'],
    ['a variable', '$rg TODO'],
    ['which', 'which rg'],
    ['command substitution of another', 'echo $(which rg)'],
    ['git grep', 'git grep rg'],
    ['an escaped separator', 'echo a\\; rg'],
    ['nothing', ''],
  ])('%s', (_, text) => expect(script(text)).toBe(false));
});

describe('how the shell was started', () => {
  it.each([
    [['bash', '-lc', 'rg x'], true],
    [['-bash', '-c', 'rg x'], true],
    [['bash', '-c', '-l', 'rg x'], true],
    [['bash', '-o', 'pipefail', '-ec', 'rg x'], true],
    [['bash', '--norc', '-c', 'rg x'], true],
    [['sh', '-c', 'exec "$@"', 'name', 'rg', 'x'], true],
    [['sh', '-c', '"$@"', 'name', 'env', 'rg'], true],
    [['sh', '-c', 'echo hello', 'rg'], false],
    [['bash', '/home/me/bin/rg', 'x'], true],
    [['bash', './merge.sh', 'rg'], false],
    [['bash', '--', 'rg'], true],
    [['bash'], false],
    [['-bash'], false],
    [['bash', '-i'], false],
    [['bash', '-s', 'rg'], false],
    [[], false],
  ] as const)('%j', (args, expected) => expect(runsCommand(args, RG)).toBe(expected));

  it('ends for text that never closes what it opens, and for nesting without end', () => {
    for (const text of [
      'echo "',
      "echo '",
      'echo $(',
      'echo `',
      '('.repeat(5000),
      '$('.repeat(5000),
      'cat <<EOF\nrg',
      'eval '.repeat(1000),
    ]) {
      expect(script(text)).toBe(false);
    }
  });
});
