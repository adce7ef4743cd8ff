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

/** Compiles one file of the consumer, strictly and with library checks on; answers with the messages. */
function compile(name: string, source: string): string[] {
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
    if (where === undefined || start === undefined) return text;
    return `${path.basename(where.fileName)}:${where.getLineAndCharacterOfPosition(start).line + 1}: ${text}`;
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
    expect(messages.map((message) => message.split(':').slice(0, 2).join(':'))).toEqual([
      'invalid.mts:2',
      'invalid.mts:3',
      'invalid.mts:4',
    ]);
  });
});

describe('the contract', () => {
  /** What callers hand in: the contract's type must be accepted. Everything else is handed out: ours must be usable as the contract's. */
  const isInput = (name: string) => /(Options|Option|Config|Policy|Rule|Probe|Signal|Logger|Field|Containment)$/.test(name);

  const source = ts.createSourceFile('api.d.ts', readFileSync(contractFile, 'utf8'), ts.ScriptTarget.ES2022, true);
  const declared = source.statements.flatMap((statement) => {
    if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement))
      return [{ name: statement.name?.text ?? '', isValue: true }];
    if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement))
      return [{ name: statement.name.text, isValue: false }];
    return [];
  });

  it('is read completely', () => {
    expect(declared.length).toBeGreaterThan(35);
    expect(declared.filter(({ isValue }) => isValue).map(({ name }) => name)).toContain('ProcessManager');
  });

  it.each(declared)('$name', ({ name, isValue }) => {
    cpSync(contractFile, path.join(consumer.directory, 'contract.d.ts'));
    const imports = `import * as ours from 'corral'; import type * as contract from './contract.js';`;
    const [given, wanted] = isInput(name) ? ['contract', 'ours'] : ['ours', 'contract'];
    const check = isValue
      ? `export const value: typeof contract.${name} = ours.${name};`
      : `declare const given: ${given}.${name}; export const value: ${wanted}.${name} = given;`;
    expect(compile('contract-check.ts', `${imports}\n${check}\n`)).toEqual([]);
  });
});

describe('the package', () => {
  const tool = (script: string, ...args: string[]) =>
    spawnSync(process.execPath, [path.join(projectRoot, 'node_modules', script), ...args], { cwd: consumer.directory, encoding: 'utf8' });

  it('passes publint', () => {
    const { status, stdout, stderr } = tool('publint/src/cli.js', 'run', consumer.tarball, '--strict');
    expect(`${stdout}${stderr}`).toMatch(/All good!/);
    expect(status).toBe(0);
  });

  it('has types that resolve (are the types wrong?)', () => {
    const { status, stdout } = tool('@arethetypeswrong/cli/dist/index.js', consumer.tarball, '--profile', 'esm-only', '--no-color');
    expect(stdout).toMatch(/No problems found/);
    expect(status).toBe(0);
  });
});
