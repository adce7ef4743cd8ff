/** spawn(): what starts a command. What it gives is the handle of child.ts. */
import { statSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { ProcessError, SPAWN_STAGES } from '../errors.js';
import {
  closeId,
  type NativeEvent,
  NEVER,
  native,
  newId,
  POLICY_LEAVE,
  passId,
  type Receiver,
  receive,
  requestSpawn,
  requirePidfd,
} from '../native.js';
import { requireProc, self } from '../tree/identity.js';
import { carriesLimit, newMark } from '../tree/mark.js';
import { type Claim, selectMembers } from '../tree/members.js';
import { scan } from '../tree/scan.js';
import { terminate } from '../tree/terminate.js';
import type { Child, SpawnOptions } from '../types.js';
import { SpawnedChild } from './child.js';
import { planSpawn, type SpawnPlan } from './options.js';

type FailedEvent = Extract<NativeEvent, { type: 'failed' }>;

const EPIPE = -constants.errno.EPIPE;

/**
 * Starts a command in a session of its own and resolves once exec has succeeded. The call itself only hands over: the JavaScript
 * thread is blocked for microseconds, whatever the size of its heap.
 *
 * @throws (rejects) ProcessError ERR_INVALID_ARGUMENT for a wrong option; ERR_ABORTED when the signal fired before the command ran; else
 *   type SPAWN_FAILED with the kernel's code (ENOENT, EACCES ...) and `stage`, the step that failed. No process is left then.
 *   ERR_UNSUPPORTED_PLATFORM where there are no pidfds (Linux before 5.3, seccomp); ERR_SCAN for containment `group` without /proc.
 */
export function spawn(command: string, args?: readonly string[], options?: SpawnOptions): Promise<Child> {
  return new Promise((resolve, reject) => begin(new Start(planSpawn(command, args, options), false, resolve, reject)));
}

/**
 * The same for a plan that was made before, with the handle as corral itself knows it.
 * @param takesAborted also a child whose signal fired between its exec and the news of that: it is being ended, and the caller tells how
 */
export function spawnPlanned(plan: SpawnPlan, takesAborted = false): Promise<SpawnedChild> {
  return new Promise((resolve, reject) => begin(new Start(plan, takesAborted, resolve, reject)));
}

/** Receives the first event. The child receives the others: it outlives what was needed to start it. */
class Start implements Receiver {
  constructor(
    readonly plan: SpawnPlan,
    readonly takesAborted: boolean,
    readonly resolve: (child: SpawnedChild) => void,
    readonly reject: (error: unknown) => void,
  ) {}

  [receive](event: NativeEvent): void {
    conclude(this, event);
  }
}

let hasProc = false;

function begin(start: Start): void {
  const { request, termination } = start.plan;
  if (termination.abort?.aborted) throw aborted(termination.abort);
  requirePidfd();
  // The session's members can only be found there; a keeper does without. Once: asking costs as much as the rest of the call.
  if (start.plan.containment === 'group' && !hasProc) {
    requireProc();
    hasProc = true;
  }
  markTree(start.plan);
  const id = newId(start);
  try {
    requestSpawn(id, request);
  } catch (error) {
    closeId(id);
    throw error;
  }
}

/** What may be left by policy gets no mark: it must never pass for abandoned. */
function markTree(plan: SpawnPlan): void {
  const { request, containment, onLeaderExit, tree } = plan;
  if (containment === 'group' || onLeaderExit === 'leave' || request.onOwnerExit === POLICY_LEAVE) return;
  request.mark = newMark(tree);
}

/** The first event of a spawn decides it. */
function conclude({ plan, takesAborted, resolve, reject }: Start, event: NativeEvent): void {
  const { abort } = plan.termination;
  if (event.type === 'started') {
    try {
      const child = new SpawnedChild(plan, event);
      passId(event.id, child);
      if (takesAborted || !abort?.aborted) resolve(child);
      else void child.empty.then(() => reject(aborted(abort)));
      return;
    } catch (error) {
      native().kill(event.id);
      reject(error);
    }
  } else if (event.type === 'failed') {
    void endUnannounced(plan, event).then(() => reject(spawnError(plan, event)));
  }
  native().unref();
  closeId(event.id);
}

/**
 * A keeper that was killed before it could say anything (EPIPE) may have started the leader already: whoever carries the mark of the tree
 * or is in its cgroup is ended before the failure is reported. Any other failure leaves nothing.
 */
async function endUnannounced(plan: SpawnPlan, { errno, leaf }: FailedEvent): Promise<void> {
  if (errno !== EPIPE) return;
  const { request, termination } = plan;
  const { mark: limit, treeId } = request;
  const { killSignal, graceMs } = termination;
  const mark = { value: treeId, since: 0n, limit };
  let claim: Claim = { known: new Map(), groups: new Map(), sessions: new Map(), mark, ...(request.leaf && { leaf: request.leaf }) };
  const look = async () => {
    const table = await scan({ fields: ['name', 'state', 'env', 'cgroup'] });
    const seen = selectMembers(table, claim, self(), limit === undefined ? {} : { carriesLimit: carriesLimit(limit, table, 0n) });
    claim = seen.claim;
    return seen.members;
  };
  await terminate(look, { killSignal, forceKillAfterDelay: graceMs === NEVER ? false : graceMs }).catch(() => {});
  if (leaf?.directory && request.leaf) native().removeLeaf(leaf.directory, request.leaf);
}

function aborted(signal: AbortSignal): ProcessError {
  return new ProcessError('ERR_ABORTED', 'the start was aborted; no process is left', { cause: signal.reason });
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
