import { describeDouble } from './describe-double.ts'

describeDouble(true)
