/** The published types: usable by a strict consumer, and no narrower than the contract in contract/api.d.ts. */
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Consumer, makeConsumer, projectRoot } from './consumer.js';

const contractFile = path.join(projectRoot, 'test/package/contract/api.d.ts');

let consumer: Consumer;
beforeAll(() => {
  consumer = makeConsumer({ ignoreScripts: true });
});
afterAll(() => consumer.remove());

interface Message {
  line: number;
  text: string;
}

/** Compiles one file of the consumer, strictly and with library checks on. */
function compile(name: string, source: string): Message[] {
  const file = path.join(consumer.directory, name);
  writeFileSync(file, source);
  const program = ts.createProgram([file], {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [path.join(projectRoot, 'node_modules/@types')],
  });
  return ts.getPreEmitDiagnostics(program).map(({ file: where, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    // Line 0: the message is about another file, a declaration file of ours for instance.
    const line = where?.fileName === file && start !== undefined ? where.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return { line, text };
  });
}

describe('a strict consumer', () => {
  const valid = `
    import { killTree, listProcesses, ProcessError, ProcessManager, run, snapshot, spawn, sweep, type Child, type TerminationReport } from 'corral';
    export async function use(): Promise<TerminationReport> {
      await using child: Child = await spawn('sleep', ['1'], { timeout: 1000, containment: 'tree', rlimits: { nofile: 10 }, signal: new AbortController().signal });
      const { stdout, exitCode } = await run('echo', ['x'], { input: 'x', reject: false });
      const names: Array<string | undefined> = (await listProcesses({ fields: ['name'] })).map((process) => process.name);
      for (const process of await snapshot()) names.push(process.name, String(process.startTicks));
      const manager = new ProcessManager();
      await manager.start({ command: 'sleep', successCodes: [0, exitCode ?? 1] });
      try { await manager.healthCheck(); } catch (error) { if (error instanceof ProcessError) console.log(error.type, error.pid, error.code, stdout); }
      await sweep({ dryRun: true });
      await killTree(child.pid);
      return child.stop({ forceKillAfterDelay: false });
    }`;

  it('compiles as a module', () => {
    expect(compile('valid.mts', valid)).toEqual([]);
  });

  it('compiles as CommonJS', () => {
    expect(compile('valid.cts', valid)).toEqual([]);
  });

  it('is told about wrong names and values', () => {
    const messages = compile(
      'invalid.mts',
      `import { spawn } from 'corral';
       await spawn('sleep', ['1'], { contanment: 'tree' });
       await spawn('sleep', ['1'], { containment: 'jail' });
       await spawn('sleep', [1]);`,
    );
    expect(messages.map((message) => message.line)).toEqual([2, 3, 4]);
  });
});

describe('the contract', () => {
  /** What callers hand in: the contract's type must be accepted. Everything else is handed out: ours must be usable as the contract's. */
  const isInput = (name: string) => /(Options|Option|Config|Policy|Rule|Probe|Signal|Logger|Field|Containment)$/.test(name);

  const source = ts.createSourceFile('api.d.ts', readFileSync(contractFile, 'utf8'), ts.ScriptTarget.ES2022, true);
  const declared = source.statements.flatMap((statement) => {
    if (ts.isFunctionDeclaration(statement)) return [{ name: statement.name?.text ?? '', isValue: true }];
    // A class that callers make is checked with its constructor, others as what is handed out.
    if (ts.isClassDeclaration(statement))
      return [{ name: statement.name?.text ?? '', isValue: statement.members.some(ts.isConstructorDeclaration) }];
    if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement))
      return [{ name: statement.name.text, isValue: false }];
    return [];
  });
  const lineOf = (name: string) => declared.findIndex((entry) => entry.name === name) + 2;

  /** Of one compilation with a line for each name. */
  let messages: Message[] = [];
  beforeAll(() => {
    cpSync(contractFile, path.join(consumer.directory, 'contract.d.ts'));
    const lines = declared.map(({ name, isValue }) => {
      if (isValue) return `export const ${name}: typeof contract.${name} = ours.${name};`;
      const [given, wanted] = isInput(name) ? ['contract', 'ours'] : ['ours', 'contract'];
      return `export const ${name} = (given: ${given}.${name}): ${wanted}.${name} => given;`;
    });
    messages = compile(
      'check.ts',
      ["import * as ours from 'corral'; import type * as contract from './contract.js';", ...lines].join('\n'),
    );
  });

  it('is read completely', () => {
    expect(declared.length).toBeGreaterThan(35);
    expect(declared.filter(({ isValue }) => isValue).map(({ name }) => name)).toContain('ProcessManager');
    expect(messages.filter(({ line }) => line < 2)).toEqual([]);
  });

  it.each(declared.map(({ name }) => name))('%s', (name) => {
    expect(messages.filter(({ line }) => line === lineOf(name)).map(({ text }) => text)).toEqual([]);
  });
});

describe('the package', () => {
  const tool = (script: string, ...args: string[]) =>
    spawnSync(process.execPath, [path.join(projectRoot, 'node_modules', script), ...args], { cwd: consumer.directory, encoding: 'utf8' });

  it('passes publint', () => {
    const { status, stdout, stderr } = tool('publint/src/cli.js', 'run', consumer.tarball, '--strict');
    expect(status, `${stdout}${stderr}`).toBe(0);
  });

  it('has types that resolve (are the types wrong?)', () => {
    const { status, stdout } = tool('@arethetypeswrong/cli/dist/index.js', consumer.tarball, '--profile', 'esm-only', '--no-color');
    expect(status, stdout).toBe(0);
  });
});
