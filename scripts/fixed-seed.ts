import { configureGlobal } from 'fast-check'

// A gate is no lottery: it looks at the same cases each time. Elsewhere every run looks at new ones.
if (process.env['CI']) configureGlobal({ seed: 20_261_121 })
