/**
 * Merging the layers of the configuration, pure: values in, one plain object and warnings out.
 *
 * Layers are applied from the weakest to the strongest, with one exception: the project's own file comes after the user's,
 * because it may only restrict. Whoever clones a repository must not have it choose what is killed, but the
 * repository may well say what has to be spared; so the stricter of the two wins. Flags and CORRAL_* still override it.
 *
 * What is not understood is named with file, key, what was expected and what came. If it could have protected something, the run
 * only reports: an unreadable wish to spare must never become "no protections".
 */
import { describe } from '../errors.js';
import type { OrphanPolicy, OrphanRule, ProtectRule } from '../types.js';
import { BoundedPattern } from './pattern.js';
import { CLASS_IDS, DEFAULT_MIN_AGE_SECONDS, defaultPolicy, type Mode, REQUIREMENTS, RESERVED_CLASS_IDS } from './policy.js';

/** What a run of the cleanup is told. Times in the unit their name says. */
export interface CleanupConfig {
  projectRoot: string;
  policy: OrphanPolicy;
  /** Nothing younger is ended, zombies aside. */
  minAgeSeconds: number;
  maxKills: number;
  /** Between SIGTERM and SIGKILL, and after SIGKILL. */
  termGraceMs: number;
  killWaitMs: number;
  /** A run that ends more than this many asks the user to look at the workflow. */
  notifyThreshold: number;
  hooks: { timeoutMs: number; gracefulDegradation: boolean };
  /** `path` null: by rule, see history/paths.ts. */
  log: { path: string | null; keep: number };
  dryRun: boolean;
  /** Some of the configuration was not understood: look and say, end nothing. */
  reportOnly: boolean;
  /** Sentences for the user. */
  warnings: string[];
  sources: ConfigSource[];
}

export interface ConfigSource {
  kind: Layer['kind'];
  origin: string;
  state: 'read' | 'absent' | 'broken';
}

/** One place the configuration comes from. No `value`: there is none; `problem`: it could not be read. */
export interface Layer {
  kind: 'moai' | 'project' | 'user' | 'environment' | 'flags';
  /** File, or how else to name it in a warning. */
  origin: string;
  value?: unknown;
  problem?: string;
}

/** What a command line may set; undefined = not given. */
export interface ConfigFlags {
  mode?: Mode | undefined;
  dryRun?: boolean | undefined;
  maxKills?: number | undefined;
  timeoutMs?: number | undefined;
}

type Values = { [name: string]: unknown };

interface ClassSettings {
  enabled?: boolean;
  maxAgeSeconds?: number;
  action?: 'terminate' | 'report';
  names?: string[];
  cmdline?: BoundedPattern;
  require?: string[];
}

/** The configuration while layers are laid on it: rules are made from it at the end. */
interface Draft extends Omit<CleanupConfig, 'policy'> {
  mode: Mode;
  classes: Map<string, ClassSettings>;
  protect: ProtectRule[];
}

/** Thrown while a value is read; the key path is added on the way out. */
class Misfit extends Error {
  constructor(
    readonly expected: string,
    readonly received: unknown,
    readonly key = '',
  ) {
    super(expected);
  }
}

/**
 * How one key is read and laid on the draft. `guards`: it can protect something, so a value that is not understood means
 * report-only. `restrict`: what the project's file may do with it; returns false when that would not be stricter.
 */
interface Setting {
  apply(draft: Draft, value: unknown): void;
  guards?: true;
  restrict?(draft: Draft, value: unknown): unknown;
}

const MAX_AGE_SECONDS = 10 * 365 * 86400;

const SETTINGS: Record<string, Setting> = {
  policy: { guards: true, apply: (draft, value) => (draft.mode = oneOf(value, ['guarded', 'seed'])) },
  dry_run: {
    guards: true,
    apply: (draft, value) => (draft.dryRun = boolean(value)),
    restrict: (draft, value) => {
      if (!boolean(value)) return false;
      draft.dryRun = true;
      return true;
    },
  },
  max_kills: { guards: true, apply: (draft, value) => (draft.maxKills = Math.floor(within(draft, 'max_kills', value, 0, 1000))) },
  term_grace_ms: { apply: (draft, value) => (draft.termGraceMs = within(draft, 'term_grace_ms', value, 0, 60_000)) },
  kill_wait_ms: { apply: (draft, value) => (draft.killWaitMs = within(draft, 'kill_wait_ms', value, 0, 60_000)) },
  min_age_seconds: {
    guards: true,
    apply: (draft, value) => (draft.minAgeSeconds = within(draft, 'min_age_seconds', value, 0, MAX_AGE_SECONDS)),
    restrict: (draft, value) => raise(seconds(value), draft.minAgeSeconds, (age) => (draft.minAgeSeconds = age)),
  },
  thresholds: {
    guards: true,
    apply: (draft, value) => {
      if (oneOf(value, ['static', 'dynamic']) === 'dynamic')
        draft.warnings.push('thresholds: this version has "static" only, which is used');
    },
  },
  classes: {
    guards: true,
    apply: (draft, value) => classes(draft, value, false),
    restrict: (draft, value) => classes(draft, value, true),
  },
  protect: { guards: true, apply: protections, restrict: protections },
  notify_threshold: {
    apply: (draft, value) => (draft.notifyThreshold = Math.floor(within(draft, 'notify_threshold', value, 0, 1_000_000))),
  },
  hooks: { apply: hooks },
  log: { apply: log },
};

/** CORRAL_* and the key it stands for; what is structured (classes, protect) has none. */
const ENVIRONMENT: Record<string, readonly string[]> = {
  CORRAL_POLICY: ['policy'],
  CORRAL_DRY_RUN: ['dry_run'],
  CORRAL_MAX_KILLS: ['max_kills'],
  CORRAL_TERM_GRACE_MS: ['term_grace_ms'],
  CORRAL_KILL_WAIT_MS: ['kill_wait_ms'],
  CORRAL_MIN_AGE_SECONDS: ['min_age_seconds'],
  CORRAL_NOTIFY_THRESHOLD: ['notify_threshold'],
  CORRAL_TIMEOUT_MS: ['hooks', 'timeout_ms'],
  CORRAL_GRACEFUL_DEGRADATION: ['hooks', 'graceful_degradation'],
  CORRAL_LOG_PATH: ['log', 'path'],
  CORRAL_LOG_KEEP: ['log', 'keep'],
};

export function environmentLayer(env: NodeJS.ProcessEnv): Layer {
  const value: Values = {};
  for (const [name, [key, inner]] of Object.entries(ENVIRONMENT)) {
    const text = env[name];
    if (text === undefined || text === '' || key === undefined) continue;
    const plain = fromText(text, key === 'dry_run' || inner === 'graceful_degradation');
    if (inner === undefined) value[key] = plain;
    else value[key] = { ...(value[key] as Values | undefined), [inner]: plain };
  }
  return { kind: 'environment', origin: 'environment (CORRAL_*)', ...(Object.keys(value).length > 0 ? { value } : {}) };
}

export function flagsLayer(flags: ConfigFlags): Layer {
  const value: Values = {};
  if (flags.mode !== undefined) value.policy = flags.mode;
  if (flags.dryRun !== undefined) value.dry_run = flags.dryRun;
  if (flags.maxKills !== undefined) value.max_kills = flags.maxKills;
  if (flags.timeoutMs !== undefined) value.hooks = { timeout_ms: flags.timeoutMs };
  return { kind: 'flags', origin: 'command line', ...(Object.keys(value).length > 0 ? { value } : {}) };
}

/** Merges the layers, in any order. Does not throw. */
export function mergeLayers(layers: readonly Layer[], projectRoot: string): CleanupConfig {
  const draft: Draft = {
    projectRoot,
    mode: 'guarded',
    classes: new Map(),
    protect: [],
    minAgeSeconds: DEFAULT_MIN_AGE_SECONDS,
    maxKills: 20,
    termGraceMs: 3000,
    killWaitMs: 1000,
    notifyThreshold: 10,
    hooks: { timeoutMs: 5000, gracefulDegradation: true },
    log: { path: null, keep: 30 },
    dryRun: false,
    reportOnly: false,
    warnings: [],
    sources: [],
  };
  for (const kind of ['moai', 'user', 'project', 'environment', 'flags'] as const) {
    for (const layer of layers) if (layer.kind === kind) lay(draft, layer);
  }
  const { mode, classes: settings, protect, ...config } = draft;
  const defaults = defaultPolicy(mode);
  const policy = {
    mode,
    rules: rulesOf(defaults.rules, settings),
    protect: [...defaults.protect, ...protect],
    minAgeSeconds: config.minAgeSeconds,
  };
  return { ...config, policy };
}

function lay(draft: Draft, { kind, origin, value, problem }: Layer): void {
  if (value === undefined && problem === undefined) {
    draft.sources.push({ kind, origin, state: 'absent' });
    return;
  }
  if (problem !== undefined || !isRecord(value)) {
    draft.reportOnly = true;
    draft.warnings.push(`${origin}: ${problem ?? `expected an object, received ${describe(value)}`}; nothing is ended until it is mended`);
    draft.sources.push({ kind, origin, state: 'broken' });
    return;
  }
  draft.sources.push({ kind, origin, state: 'read' });

  // .moai/config.json is another tool's file: two of its keys are ours, the rest is not looked at.
  const entries = kind === 'moai' ? moaiEntries(value) : Object.entries(value);
  for (const [key, inner] of entries) laySetting(draft, kind, origin, key, inner);
}

function laySetting(draft: Draft, kind: Layer['kind'], origin: string, key: string, value: unknown): void {
  const said = draft.warnings.length;
  const setting = Object.hasOwn(SETTINGS, key) ? SETTINGS[key] : undefined;
  try {
    if (setting === undefined) {
      if (key !== '$schema') draft.warnings.push(`${key}: unknown key, ignored`);
    } else if (kind !== 'project') setting.apply(draft, value);
    else if (setting.restrict === undefined || setting.restrict(draft, value) === false) draft.warnings.push(notStricter(key));
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    const consequence = setting?.guards ? 'nothing is ended until it is mended' : 'ignored';
    if (setting?.guards) draft.reportOnly = true;
    draft.warnings.push(`${key}${error.key}: expected ${error.expected}, received ${describe(error.received)}; ${consequence}`);
  }
  for (let at = said; at < draft.warnings.length; at++) draft.warnings[at] = `${origin}: ${draft.warnings[at]}`;
}

function notStricter(key: string): string {
  return `${key}: a project may only make the cleanup stricter (raise ages, disable classes, add protections, set dry_run); ignored`;
}

function moaiEntries(value: Values): Array<[string, unknown]> {
  if (!isRecord(value.hooks)) return [];
  const known: Values = {};
  for (const key of ['timeout_ms', 'graceful_degradation']) if (value.hooks[key] !== undefined) known[key] = value.hooks[key];
  return [['hooks', known]];
}

// The keys with something inside.

function hooks(draft: Draft, value: unknown): void {
  each(draft, 'hooks', value, {
    timeout_ms: (milliseconds) => {
      const misfit = new Misfit('a positive number of milliseconds', milliseconds);
      if (typeof milliseconds !== 'number' || !Number.isFinite(milliseconds) || milliseconds <= 0) throw misfit;
      draft.hooks.timeoutMs = within(draft, 'hooks.timeout_ms', milliseconds, 100, 60_000);
    },
    graceful_degradation: (on) => (draft.hooks.gracefulDegradation = boolean(on)),
  });
}

function log(draft: Draft, value: unknown): void {
  each(draft, 'log', value, {
    path: (file) => {
      if (file !== null && (typeof file !== 'string' || !file.startsWith('/'))) throw new Misfit('an absolute path or null', file);
      draft.log.path = file;
    },
    keep: (count) => (draft.log.keep = Math.floor(within(draft, 'log.keep', count, 1, 10_000))),
  });
}

/** Keys whose values protect nothing: one that is not understood is ignored, its neighbours still count. */
function each(draft: Draft, parent: string, value: unknown, keys: Record<string, (value: unknown) => unknown>): void {
  if (!isRecord(value)) throw new Misfit('an object', value);
  for (const [key, inner] of Object.entries(value)) {
    const read = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (read === undefined) {
      draft.warnings.push(`${parent}.${key}: unknown key, ignored`);
      continue;
    }
    try {
      read(inner);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      draft.warnings.push(`${parent}.${key}: expected ${error.expected}, received ${describe(error.received)}; ignored`);
    }
  }
}

function classes(draft: Draft, value: unknown, restrictOnly: boolean): void {
  if (!isRecord(value)) throw new Misfit('an object', value);
  // All of them are looked at before one is complained of: the others still count.
  let misfit: Misfit | undefined;
  for (const [id, settings] of Object.entries(value)) {
    try {
      classSettings(draft, id, settings, restrictOnly);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      misfit ??= new Misfit(error.expected, error.received, `.${id}${error.key}`);
    }
  }
  if (misfit !== undefined) throw misfit;
}

function classSettings(draft: Draft, id: string, value: unknown, restrictOnly: boolean): void {
  if (!isRecord(value)) throw new Misfit('an object', value);
  const isOwn = !(CLASS_IDS as readonly string[]).includes(id);
  if (RESERVED_CLASS_IDS.has(id)) {
    if (value.enabled !== false) draft.warnings.push(`classes.${id}: this version has no such class, ignored`);
    return;
  }
  const read: ClassSettings = {};
  for (const [key, inner] of Object.entries(value)) {
    try {
      if (key === 'enabled') read.enabled = boolean(inner);
      else if (key === 'max_age_seconds') read.maxAgeSeconds = seconds(inner);
      else if (key === 'action') read.action = oneOf(inner, ['terminate', 'report']);
      else if (isOwn && key === 'names') read.names = strings(inner);
      else if (isOwn && key === 'cmdline') read.cmdline = pattern(inner);
      else if (isOwn && key === 'require') read.require = strings(inner).map((name) => oneOf(name, REQUIREMENTS));
      else draft.warnings.push(`classes.${id}.${key}: unknown key, ignored`);
    } catch (error) {
      throw error instanceof Misfit ? new Misfit(error.expected, error.received, `.${key}`) : error;
    }
  }
  const current = draft.classes.get(id);
  if (restrictOnly) {
    restrictClass(draft, id, read, current);
    return;
  }
  const next = { ...current, ...read };
  if (isOwn && next.enabled !== false) {
    if (next.names === undefined && next.cmdline === undefined) throw new Misfit('names or cmdline, which say what it is about', value);
    if (next.maxAgeSeconds === undefined) throw new Misfit('max_age_seconds', value);
  }
  draft.classes.set(id, next);
}

function restrictClass(draft: Draft, id: string, read: ClassSettings, current: ClassSettings | undefined): void {
  const defaultAge = defaultPolicy().rules.find((rule) => rule.id === id)?.olderThanSeconds;
  const refused: string[] = Object.keys(read).filter((key) => key !== 'enabled' && key !== 'maxAgeSeconds');
  if (current === undefined && defaultAge === undefined) {
    if (read.enabled !== false) draft.warnings.push(notStricter(`classes.${id}`));
    return;
  }
  const next = { ...current };
  if (read.enabled === false) next.enabled = false;
  else if (read.enabled) refused.push('enabled');
  if (read.maxAgeSeconds !== undefined) {
    const age = current?.maxAgeSeconds ?? defaultAge ?? 0;
    if (!raise(read.maxAgeSeconds, age, (raised) => (next.maxAgeSeconds = raised))) refused.push('max_age_seconds');
  }
  draft.classes.set(id, next);
  for (const key of refused) draft.warnings.push(notStricter(`classes.${id}.${key}`));
}

function protections(draft: Draft, value: unknown): void {
  if (!Array.isArray(value)) throw new Misfit('an array', value);
  let misfit: Misfit | undefined;
  value.forEach((entry, index) => {
    try {
      draft.protect.push(protection(entry));
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      misfit ??= new Misfit(error.expected, error.received, `[${index}]${error.key}`);
    }
  });
  if (misfit !== undefined) throw misfit;
}

function protection(value: unknown): ProtectRule {
  if (!isRecord(value)) throw new Misfit('an object', value);
  const rule: ProtectRule = { scope: 'tree' };
  for (const [key, inner] of Object.entries(value)) {
    try {
      if (key === 'name') rule.names = [string(inner)];
      else if (key === 'cmdline') rule.match = pattern(inner);
      else if (key === 'cwd') rule.cwd = absolutePath(inner);
      else if (key === 'pid') rule.pid = processId(inner);
      else if (key === 'scope') rule.scope = oneOf(inner, ['self', 'tree']);
      else throw new Misfit('name, cmdline, cwd, pid or scope', key);
    } catch (error) {
      throw error instanceof Misfit ? new Misfit(error.expected, error.received, `.${key}`) : error;
    }
  }
  if (rule.names === undefined && rule.match === undefined && rule.cwd === undefined && rule.pid === undefined) {
    throw new Misfit('name, cmdline, cwd or pid', value);
  }
  return rule;
}

/** The built-in rules as configured, then the classes of one's own. */
function rulesOf(defaults: readonly OrphanRule[], settings: ReadonlyMap<string, ClassSettings>): OrphanRule[] {
  const rules: OrphanRule[] = [];
  for (const rule of defaults) {
    const { enabled = true, maxAgeSeconds = rule.olderThanSeconds, action } = settings.get(rule.id) ?? {};
    if (enabled) rules.push({ ...rule, olderThanSeconds: maxAgeSeconds, ...(action === undefined ? {} : { action }) });
  }
  for (const [id, { enabled = true, maxAgeSeconds, action, names, cmdline, require }] of settings) {
    if (!enabled || maxAgeSeconds === undefined || (names === undefined && cmdline === undefined)) continue;
    rules.push({
      id,
      type: id,
      reason: 'long_running',
      olderThanSeconds: maxAgeSeconds,
      ...(names === undefined ? {} : { names }),
      ...(cmdline === undefined ? {} : { match: cmdline }),
      ...(require === undefined ? {} : { require }),
      ...(action === undefined ? {} : { action }),
    });
  }
  return rules;
}

// Reading one value.

function raise(value: number, current: number, set: (value: number) => void): boolean {
  if (value < current) return false;
  set(value);
  return true;
}

/** A number, brought into its range with a warning. */
function within(draft: Draft, key: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Misfit(`a number from ${least} to ${most}`, value);
  const clamped = Math.min(most, Math.max(least, value));
  if (clamped !== value) draft.warnings.push(`${key}: expected ${least} to ${most}, received ${value}; ${clamped} is used`);
  return clamped;
}

function seconds(value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= MAX_AGE_SECONDS)) throw new Misfit('a number of seconds, 0 or more', value);
  return value;
}

function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Misfit('true or false', value);
  return value;
}

function string(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new Misfit('a string that is not empty', value);
  return value;
}

function strings(value: unknown): string[] {
  if (!Array.isArray(value) || value.length === 0) throw new Misfit('an array of strings', value);
  return value.map(string);
}

function oneOf<const T extends string>(value: unknown, allowed: readonly T[]): T {
  if (!(allowed as readonly unknown[]).includes(value)) throw new Misfit(allowed.map((name) => `"${name}"`).join(' or '), value);
  return value as T;
}

function pattern(value: unknown): BoundedPattern {
  try {
    return new BoundedPattern(string(value));
  } catch (error) {
    if (error instanceof Misfit) throw error;
    throw new Misfit(`a regular expression (${(error as Error).message})`, value);
  }
}

function absolutePath(value: unknown): string {
  if (typeof value !== 'string' || !value.startsWith('/')) throw new Misfit('an absolute path', value);
  return value.length > 1 ? value.replace(/\/+$/, '') : value;
}

function processId(value: unknown): number {
  if (!Number.isInteger(value) || (value as number) < 1) throw new Misfit('a process id', value);
  return value as number;
}

/** Variables are text: numbers and yes or no are recognised, everything else stays text and is complained of like in a file. */
function fromText(text: string, isBoolean: boolean): unknown {
  if (isBoolean) return /^(?:1|true|yes|on)$/i.test(text) ? true : /^(?:0|false|no|off)$/i.test(text) ? false : text;
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}

function isRecord(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
