// Loaded into a measured process: at its end it writes down what the kernel counted for it. No ES
// module, which would make Node load what a command does without.
const { readFileSync, writeFileSync } = require('node:fs')

process.on('exit', () => {
  // Not the maximum that the kernel gives for a process: that begins with what its parent had.
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))
  const written = /write_bytes: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))
  writeFileSync(
    process.env.S3LO_BENCH_PROBE,
    JSON.stringify({
      rssMb: Number(peak?.[1] ?? Number.NaN) / 1024,
      written: Number(written?.[1] ?? 0),
    }),
  )
})
