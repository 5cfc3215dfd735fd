/** What can be wrong with a server as it was set up. Errors of clients are theirs, and told to them. */
export type SignalingServerErrorType = 'redis-not-installed'

/** An error of the server, by its `type`; the text says what to do. */
export class SignalingServerError extends Error {
  override readonly name = 'SignalingServerError'
  readonly type: SignalingServerErrorType

  constructor(type: SignalingServerErrorType, message: string, options?: ErrorOptions) {
    super(message, options)
    this.type = type
  }
}
