/** One operation of S3's REST API: how it is asked for, and what its answer has to be. */
interface OperationFacts {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** The answer is the object's content, or has none; else what comes is read whole. */
  readonly isContent?: boolean
  /** The root elements of an answer that is a document. */
  readonly roots?: readonly string[]
  /**
   * The headers that the answer about an object, or a part of one, cannot be without. Its date is not
   * among them: some proxies take it, and the listing has it.
   */
  readonly headers?: readonly string[]
}

/** All operations that are used, by the names that S3 gives them. */
const OPERATIONS = {
  HeadBucket: { method: 'HEAD', isContent: true },
  HeadObject: { method: 'HEAD', isContent: true, headers: ['etag', 'content-length'] },
  GetObject: { method: 'GET', isContent: true, headers: ['etag'] },
  ListObjectsV2: { method: 'GET', roots: ['ListBucketResult'] },
  PutObject: { method: 'PUT' },
  DeleteObject: { method: 'DELETE' },
  DeleteObjects: { method: 'POST', roots: ['DeleteResult'] },
  CopyObject: { method: 'PUT', roots: ['CopyObjectResult'] },
  CreateMultipartUpload: { method: 'POST', roots: ['InitiateMultipartUploadResult'] },
  UploadPart: { method: 'PUT', headers: ['etag'] },
  // Some gateways call the copy of a part one of an object.
  UploadPartCopy: { method: 'PUT', roots: ['CopyPartResult', 'CopyObjectResult'] },
  CompleteMultipartUpload: { method: 'POST', roots: ['CompleteMultipartUploadResult'] },
  AbortMultipartUpload: { method: 'DELETE' },
  ListMultipartUploads: { method: 'GET', roots: ['ListMultipartUploadsResult'] },
  CreateSession: { method: 'GET', roots: ['CreateSessionResult'] },
  GetBucketLocation: { method: 'GET', roots: ['LocationConstraint'] },
  GetBucketVersioning: { method: 'GET', roots: ['VersioningConfiguration'] },
  GetBucketLifecycleConfiguration: { method: 'GET', roots: ['LifecycleConfiguration'] },
  GetObjectLockConfiguration: { method: 'GET', roots: ['ObjectLockConfiguration'] },
  ListBucketIntelligentTieringConfigurations: {
    method: 'GET',
    // AWS documents the first and sends the second.
    roots: [
      'ListBucketIntelligentTieringConfigurationsResult',
      'ListBucketIntelligentTieringConfigurationsOutput',
    ],
  },
} as const satisfies Readonly<Record<string, OperationFacts>>

export type Operation = keyof typeof OPERATIONS

export function factsOf(operation: Operation): OperationFacts {
  return OPERATIONS[operation]
}
