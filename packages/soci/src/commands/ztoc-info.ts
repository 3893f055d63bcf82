import { decodeText } from '@s3lo/core/tar'
import { argument, defineCommand, escapeJson } from '@s3lo/core/plugin'
import { spanAt } from '../ztoc/read.ts'
import { readZtoc } from './read-ztoc.ts'
import { findArtifactDigest, onStore } from './soci-command.ts'

/** `s3lo soci ztoc info`: the document of the original. */
export default defineCommand({
  examples: [
    ['Show where files lie', 's3lo soci ztoc info s3://my-bucket/ sha256:4bcf…'],
    ['As YAML', 's3lo soci ztoc info s3://my-bucket/ sha256:4bcf… -o yaml'],
  ],
  parameters: { store: argument('store'), digest: argument('digest') },
  run(work) {
    const { args } = work
    const { signal } = work.options
    return onStore(args.store, work, async (artifacts) => {
      const digest = await findArtifactDigest(artifacts, args.digest, { signal })
      const { record, opened } = await readZtoc(artifacts, digest, {
        signal,
      })
      const { ztoc, spans } = opened
      const files = ztoc.entries.map(({ name, offset, size, type }) => ({
        filename: decodeText(name),
        offset,
        size,
        type,
        start_span: spanAt(spans, offset),
        end_span: spanAt(spans, offset + size),
      }))
      const result = {
        version: ztoc.version,
        build_tool: ztoc.buildToolIdentifier,
        size: record.size,
        span_size: record.spanSize,
        num_spans: spans.length,
        num_files: files.length,
        num_multi_span_files: files.filter((file) => file.start_span !== file.end_span).length,
        files,
      }
      return { result, render: () => `${escapeJson(JSON.stringify(result, undefined, 2))}\n` }
    })
  },
})
