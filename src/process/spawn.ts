/** spawn(): what starts a command. What it gives is the handle of child.ts. */
import { statSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { ProcessError, SPAWN_STAGES } from '../errors.js';
import { closeId, type NativeEvent, NEVER, native, newId } from '../native.js';
import { self } from '../tree/identity.js';
import { type Claim, selectMembers } from '../tree/members.js';
import { scan } from '../tree/scan.js';
import { terminate } from '../tree/terminate.js';
import type { Child, SpawnOptions } from '../types.js';
import { receive, SpawnedChild } from './child.js';
import { planSpawn, type SpawnPlan } from './options.js';

type FailedEvent = Extract<NativeEvent, { type: 'failed' }>;

const EPIPE = -constants.errno.EPIPE;

/**
 * Starts a command in a session of its own and resolves once exec has succeeded. The call itself only hands over: the JavaScript
 * thread is blocked for microseconds, whatever the size of its heap.
 *
 * @throws (rejects) ProcessError ERR_INVALID_ARGUMENT for a wrong option; ERR_ABORTED when the signal fired before the command ran; else
 *   type SPAWN_FAILED with the kernel's code (ENOENT, EACCES ...) and `stage`, the step that failed. No process is left then.
 */
export function spawn(command: string, args?: readonly string[], options?: SpawnOptions): Promise<Child> {
  return new Promise((resolve, reject) => begin(planSpawn(command, args, options), resolve, reject));
}

/** The same for a plan that was made before, with the handle as corral itself knows it. */
export function spawnPlanned(plan: SpawnPlan): Promise<SpawnedChild> {
  return new Promise((resolve, reject) => begin(plan, resolve, reject));
}

function begin(plan: SpawnPlan, resolve: (child: SpawnedChild) => void, reject: (error: unknown) => void): void {
  const { abort } = plan.termination;
  if (abort?.aborted) throw aborted(abort);
  const addon = native();
  let child: SpawnedChild | undefined;
  const id = newId((event) => {
    if (child !== undefined) child[receive](event);
    else if (event.type === 'started') {
      try {
        child = new SpawnedChild(plan, event);
      } catch (error) {
        addon.kill(id);
        addon.unref();
        closeId(id);
        return reject(error);
      }
      if (!abort?.aborted) resolve(child);
      else child.empty.then(() => reject(aborted(abort)));
    } else if (event.type === 'failed') {
      closeId(id);
      void endUnannounced(plan, event).then(() => {
        addon.unref();
        reject(spawnError(plan, event));
      });
    }
  });
  plan.request.id = id;
  try {
    addon.spawn(plan.request);
  } catch (error) {
    closeId(id);
    throw error;
  }
  addon.ref();
  // Not needed any more, and it may be large and secret; the plan lives as long as the child.
  plan.request.argv = plan.request.env = '';
}

function aborted(signal: AbortSignal): ProcessError {
  return new ProcessError('ERR_ABORTED', 'the start was aborted; no process is left', { cause: signal.reason });
}

/**
 * A keeper that was killed before it could say anything (EPIPE) may have started the leader already: whoever carries the mark of the tree
 * is ended before the failure is reported. Any other failure leaves nothing.
 */
async function endUnannounced({ treeId, termination: { killSignal, graceMs } }: SpawnPlan, { errno }: FailedEvent): Promise<void> {
  if (errno !== EPIPE) return;
  let claim: Claim = { known: new Map(), groups: new Map(), sessions: new Map(), mark: { value: treeId, since: 0n } };
  const look = async () => {
    const seen = selectMembers(await scan({ fields: ['name', 'state', 'env'] }), claim, self());
    claim = seen.claim;
    return seen.members;
  };
  await terminate(look, { killSignal, forceKillAfterDelay: graceMs === NEVER ? false : graceMs }).catch(() => {});
}

/** Says which step failed, with what, and why; a wrong cwd is called by its name. */
function spawnError({ request }: SpawnPlan, { stage: index, errno }: FailedEvent): ProcessError {
  const stage = SPAWN_STAGES[index] ?? 'none';
  const [code, meaning] = getSystemErrorMap().get(errno) ?? [`errno ${-errno}`, 'unknown error'];
  const reason = `${code}, ${meaning}`;
  const message =
    stage === 'exec'
      ? `${JSON.stringify(request.file)} can not be executed: ${reason}${hint(request.file, code)}`
      : stage === 'cwd'
        ? `cwd ${JSON.stringify(request.cwd)}: ${reason}`
        : `the ${stage} step before ${JSON.stringify(request.file)} failed: ${reason}`;
  return new ProcessError('ERR_SPAWN', message, { errno, syscall: `spawn ${request.file}`, stage });
}

/** What execve(2) means with ENOENT and EACCES, which each have more than one cause. */
function hint(file: string, code: string): string {
  if (!file.includes('/')) return code === 'ENOENT' ? ' (not found in PATH)' : code === 'EACCES' ? ' (somewhere in PATH)' : '';
  const stat = statSync(file, { throwIfNoEntry: false });
  if (code === 'EACCES' && stat?.isDirectory()) return ' (it is a directory)';
  if (code === 'ENOENT' && stat?.isFile()) return ' (the interpreter or loader it names is missing)';
  return '';
}
