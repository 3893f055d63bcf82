import { describeDouble } from './describe-double.ts'

// Only addresses for others need a signature: all else is what `conformance.test.ts` has seen.
describeDouble(false)
