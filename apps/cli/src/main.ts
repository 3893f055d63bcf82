#!/usr/bin/env node
// Only what an old Node can parse and run: it has to get as far as the message below.

// Silence is never success: a process that ends without a result has this status.
process.exitCode = 70

import { printVersion } from './version.ts'

const parts = process.versions.node.split('.')
const major = Number(parts[0])

if (major < 22 || (major === 22 && Number(parts[1]) < 19)) {
  process.exitCode = 69
  process.stderr.write('error: s3lo needs Node 22.19 or newer, this is ' + process.version + '\n')
} else if (!printVersion(process.argv.slice(2))) {
  void import('./launch.ts')
}
