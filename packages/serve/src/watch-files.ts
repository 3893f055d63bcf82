import { unwatchFile, watchFile } from 'node:fs'

/** How often files are looked at (milliseconds). */
const INTERVAL = 10_000

/** Calls back after any of the files has changed, until the result is called. Keeps no process alive. */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  for (const file of files) watchFile(file, { interval: INTERVAL, persistent: false }, changed)
  return () => {
    for (const file of files) unwatchFile(file, changed)
  }
}
