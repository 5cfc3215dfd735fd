import { EventEmitter } from 'eventemitter3'
import type { PeerError } from './errors.js'

/**
 * PeerJS's listeners of 'error' name the types that PeerJS has; ours has more. Such a listener is welcome all the same, and
 * one that names none gets all of ours.
 */
interface Listening<Events extends object> extends EventEmitter<Events> {
  on: Adding<Events, this>
  once: Adding<Events, this>
  addListener: Adding<Events, this>
  off: Removing<Events, this>
  removeListener: Removing<Events, this>
}

type Name<Events extends object> = EventEmitter.EventNames<Events>
type OfError = (error: PeerError<never>) => void

interface Adding<Events extends object, This> {
  <T extends Name<Events>>(event: T, listener: EventEmitter.EventListener<Events, T>, context?: unknown): This
  (event: 'error' & Name<Events>, listener: OfError, context?: unknown): This
}

interface Removing<Events extends object, This> {
  <T extends Name<Events>>(event: T, listener?: EventEmitter.EventListener<Events, T>, context?: unknown, once?: boolean): This
  (event: 'error' & Name<Events>, listener?: OfError, context?: unknown, once?: boolean): This
}

const Base = EventEmitter as unknown as new <Events extends object>() => Listening<Events>

/**
 * What `Peer`, connections and transfers extend: `on`, `once`, `off`, `emit`, `removeListener`,
 * `removeAllListeners`, `listenerCount`. An `'error'` event that nobody listens to is not thrown.
 */
export class Emitter<Events extends object> extends Base<Events> {
  /** Vue leaves this object as it is when it lands in reactive state: a proxy would break what is private in it. */
  get __v_skip(): true {
    return true
  }
}

export const noop = (): void => {}

/** A promise with its ends outside. Nobody has to look at it: a rejection is never an unhandled one. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T | PromiseLike<T>): void
  reject(error: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let resolve!: Deferred<T>['resolve']
  let reject!: Deferred<T>['reject']
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  promise.catch(noop)
  return { promise, resolve, reject }
}

/** A rejected promise that is never an unhandled rejection. */
export function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(noop)
  return promise
}

/** Runs code of the application: what it throws is its own affair, and keeps nothing from happening. */
export function guard(call: () => void): void {
  try {
    call()
  }
  catch (error) {
    surface(error)
  }
}

/** Lets an exception of application code surface as uncaught, without ending what called it. */
export function surface(error: unknown): void {
  if (typeof reportError === 'function') reportError(error)
  else setTimeout(() => { throw error })
}
