/** corral: processes that do not outlive their purpose. Exports only. */
export { ERROR_CODES, type ErrorCode, ProcessError } from './errors.js';
export { createLogger, type LoggerOptions, type LogLevel } from './log.js';
export { classify } from './orphans/classify.js';
export { sweep } from './orphans/sweep.js';
export { type ManagerEvents, ProcessManager, type StatusChange } from './process/manager.js';
export { reapOrphans } from './process/reap-orphans.js';
export { RunError, type RunLinesResult, type RunOptions, run } from './process/run.js';
export { spawn } from './process/spawn.js';
export { attach } from './tree/attach.js';
export { killTree } from './tree/kill-tree.js';
export { listProcesses, snapshot } from './tree/scan.js';
export type * from './types.js';
