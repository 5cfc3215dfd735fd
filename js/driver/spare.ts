// The option `warm`: what takes time is done before a connection wants it. A certificate, and one whole
// RTCPeerConnection that has gathered its candidates, which with TURN is the largest part of the time until a connection
// is open. Before its first description such an RTCPeerConnection fires no event and is in no other state than a new one
// (JSEP, RFC 8829, section 3.5.4: pooled candidates are told when a description is set).

/** Without requestIdleCallback (Safari): a connection that is being set up has the page to itself for so long. ms */
const pause = 1_000
/** setTimeout takes 31 bits. */
const longest = 0x7fff_ffff

export class Spare {
  /** Read anew every time: an application may put fresh TURN credentials into it. */
  readonly #rtc: RTCConfiguration
  readonly #end = new AbortController()
  #certificate: RTCCertificate | null = null
  #generating = false
  #pc: RTCPeerConnection | null = null
  #expiry: ReturnType<typeof setTimeout> | undefined
  #planned = false

  constructor(rtc: RTCConfiguration) {
    this.#rtc = rtc
    void this.#prepare()
  }

  /**
   * One that nobody has used: the spare, or a new one where there is none yet.
   * @throws what `new RTCPeerConnection()` throws
   */
  take(): RTCPeerConnection {
    const pc = this.#pc
    this.#pc = null
    this.#plan()
    const configuration = this.#configuration()
    if (pc) {
      try {
        // Where the configuration was changed meanwhile, it is up to date now (new servers are asked anew), or this throws.
        if (pc.signalingState !== 'closed') {
          pc.setConfiguration?.(configuration)
          return pc
        }
      }
      catch { // what cannot be changed was: bundlePolicy, certificates
      }
      pc.close()
    }
    return new RTCPeerConnection(configuration)
  }

  /** The network is another one: what the spare gathered may be worth nothing. */
  renew(): void {
    this.#pc?.close()
    this.#pc = null
    void this.#prepare()
  }

  /** Closes the spare. Twice is harmless. */
  dispose(): void {
    this.#end.abort()
    clearTimeout(this.#expiry)
    this.#pc?.close()
    this.#pc = null
  }

  #configuration(): RTCConfiguration {
    const rtc = this.#rtc
    const certificate = this.#certificate && this.#certificate.expires > Date.now() ? this.#certificate : null
    return {
      ...rtc,
      iceCandidatePoolSize: rtc.iceCandidatePoolSize ?? 1,
      ...(!rtc.certificates?.length && certificate && { certificates: [certificate] }),
    }
  }

  /** Another one, once there is nothing better to do. */
  #plan(): void {
    if (this.#planned) return
    this.#planned = true
    const prepare = (): void => {
      this.#planned = false
      void this.#prepare()
    }
    if (typeof requestIdleCallback === 'function') requestIdleCallback(prepare)
    else setTimeout(prepare, pause)
  }

  async #prepare(): Promise<void> {
    if (this.#generating) return
    this.#generating = true
    try {
      // One for all of the peer's connections; a browser's is good for 30 days.
      if (!this.#configuration().certificates) {
        this.#certificate = await RTCPeerConnection.generateCertificate({ name: 'ECDSA', namedCurve: 'P-256' } as EcKeyGenParams)
      }
    }
    catch { // then every RTCPeerConnection makes its own
    }
    this.#generating = false
    if (this.#end.signal.aborted || this.#pc) return
    const configuration = this.#configuration()
    try {
      this.#pc = new RTCPeerConnection(configuration)
    }
    catch { // the next link-create will say why
      return
    }
    clearTimeout(this.#expiry)
    const expires = Math.min(...(configuration.certificates ?? []).map(certificate => certificate.expires))
    if (expires < Infinity) this.#expiry = setTimeout(() => this.renew(), Math.min(Math.max(expires - Date.now(), 0), longest))
  }
}
