#!/usr/bin/env node
// Only what an old Node can parse and run: it has to get as far as the message below.
// Silence is never success: whatever ends the process without saying how leaves this status.
process.exitCode = 70

const parts = process.versions.node.split('.')
const major = Number(parts[0])

if (major < 22 || (major === 22 && Number(parts[1]) < 19)) {
  process.exitCode = 69
  process.stderr.write('error: s3lo needs Node 22.19 or newer, this is ' + process.version + '\n')
} else {
  void import('./launch.ts')
}
