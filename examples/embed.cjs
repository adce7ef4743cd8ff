const { spawn: nodeSpawn } = require('node:child_process');
const { once } = require('node:events');
const { killTree, listProcesses, ProcessManager, spawn } = require('corral');

async function main() {
  // A tree of our own: its members ignore SIGTERM, and one has moved to another session.
  const child = await spawn('sh', ['-c', 'trap "" TERM; setsid sleep 1000 & sleep 1001 & echo up; wait']);
  await once(child.stdout, 'data');
  console.log((await child.members()).length, 'members');
  const report = await child.stop({ forceKillAfterDelay: 300 });
  console.log(report.terminated.length, 'ended,', report.survivors.length, 'left, proof:', report.proof);

  // A tree that somebody else started.
  const foreign = nodeSpawn('sh', ['-c', 'sleep 1002 & echo up; wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(foreign.stdout, 'data');
  console.log((await killTree(foreign)).terminated.length, 'ended,', (await listProcesses()).length > 0 ? 'others live on' : '');

  // One command under management.
  const manager = new ProcessManager();
  await manager.start({ command: 'sleep', args: ['1003'] });
  await manager.stop();
  console.log(manager.status);
}

main();
