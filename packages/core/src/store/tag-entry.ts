import type { ObjectInfo } from '../contract/storage-backend.ts'
import type { TagName } from '../layout/parse-key.ts'

/** A tag and the object that publishes it. */
export interface TagEntry extends TagName {
  /** Of the manifest. */
  readonly info: ObjectInfo
  /** v1.0.0 keeps everything of a tag in the tag's own folder. */
  readonly layout: '1.0.0' | '1.1.0'
}
