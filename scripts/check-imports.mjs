/**
 * The direction of imports in src/, as docs/architecture.md draws it: a file may import from its own layer or one below, never
 * upwards, never in a circle (neither files nor folders), and some packages have one door. Type imports count as well: they are
 * dependencies of the reader.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** Top to bottom. A name is a folder of src/, or a file in it without its extension. */
const LAYERS = [
  ['corral', 'cli', 'hook', 'index'],
  ['orphans', 'history', 'process'],
  ['tree'],
  ['native'],
  ['log', 'errors', 'types', 'signals'],
];

/** Packages that only one file may import. */
const DOORS = { 'node-gyp-build': 'native.ts', pino: 'log.ts' };

const unitOf = (file) => file.split('/')[0].replace(/\.[cm]?ts$/, '');
const layerOf = (file) => LAYERS.findIndex((names) => names.includes(unitOf(file)));
const packageOf = (specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');

/**
 * The violations of a set of files, one line each.
 * @param {Map<string, string[]>} imports file (relative to src/) → its import specifiers as written
 * @param {ReadonlySet<string>} dependencies packages that an installation has
 */
export function importViolations(imports, dependencies) {
  const found = [];
  const fileEdges = new Map();
  const folderEdges = new Map();
  for (const [file, specifiers] of imports) {
    if (layerOf(file) === -1) found.push(`${file}: "${unitOf(file)}" is in no layer; add it to LAYERS in scripts/check-imports.mjs`);
    for (const specifier of specifiers) {
      if (!specifier.startsWith('.')) {
        found.push(...packageViolations(file, specifier, dependencies));
        continue;
      }
      const target = resolve(file, specifier, imports);
      if (target === undefined) {
        if (specifier.endsWith('.node')) found.push(`${file}: imports ${specifier}; only native.ts loads the addon`);
        continue;
      }
      addEdge(fileEdges, file, target);
      if (unitOf(file) !== unitOf(target)) addEdge(folderEdges, unitOf(file), unitOf(target));
      if (layerOf(target) < layerOf(file)) found.push(`${file}: imports upwards from ${target}`);
    }
  }
  for (const edges of [fileEdges, folderEdges]) {
    const cycle = findCycle(edges);
    if (cycle !== undefined) found.push(`circle: ${cycle.join(' -> ')}`);
  }
  return found;
}

function packageViolations(file, specifier, dependencies) {
  const name = packageOf(specifier);
  if (name.startsWith('node:')) return [];
  if (builtinModules.includes(name)) return [`${file}: imports ${specifier} without "node:"`];
  if (!dependencies.has(name)) return [`${file}: imports ${name}, which is not in "dependencies"`];
  const door = DOORS[name];
  return door !== undefined && file !== door ? [`${file}: imports ${name}; only ${door} may`] : [];
}

/** What is generated (the bundled hook) is not among the sources and resolves to undefined. */
function resolve(file, specifier, imports) {
  const target = path.posix.join(path.posix.dirname(file), specifier);
  return [target, target.replace(/\.([cm]?)js$/, '.$1ts')].find((candidate) => imports.has(candidate));
}

function addEdge(edges, from, to) {
  if (!edges.has(from)) edges.set(from, new Set());
  edges.get(from).add(to);
}

/** Depth first; the path from the first node met twice, or undefined. */
function findCycle(edges) {
  const done = new Set();
  const visit = (node, trail) => {
    const seen = trail.indexOf(node);
    if (seen !== -1) return [...trail.slice(seen), node];
    if (done.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const cycle = visit(next, [...trail, node]);
      if (cycle !== undefined) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const cycle = visit(node, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/** Reads the import specifiers (static, dynamic, require) of every source below `directory`. */
export function readImports(directory) {
  const files = readdirSync(directory, { recursive: true }).filter((name) => /\.[cm]?ts$/.test(name));
  return new Map(
    files.map((name) => {
      const { importedFiles } = ts.preProcessFile(readFileSync(path.join(directory, name), 'utf8'), true, true);
      return [name.split(path.sep).join('/'), importedFiles.map((imported) => imported.fileName)];
    }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const violations = importViolations(readImports(fileURLToPath(new URL('../src', import.meta.url))), new Set(Object.keys(dependencies)));
  for (const line of violations) process.stderr.write(`${line}\n`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
