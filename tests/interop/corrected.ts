/**
 * Where what arrives is not what PeerJS delivers to PeerJS, by serialization and kind of value (page/values.ts): PeerJS loses or
 * corrupts it, and we do not, as far as the other end allows. Everything that is not here has to arrive as in PeerJS.
 */
export type Way = 'to PeerJS' | 'from PeerJS' | 'between us'
type Corrected = Partial<Record<Way, string[]>>

const everyWay = (value: string): Corrected => ({ 'to PeerJS': [value], 'from PeerJS': [value], 'between us': [value] })
/** PeerJS's encoder spoils or refuses it; its decoder would read it right. */
const whenWeSend = (value: string): Corrected => ({ 'to PeerJS': [value], 'between us': [value] })
const refused = ['refused']

const zeros = (count: number): string => `[${Array.from({ length: count }, () => 0).join()}]`

export const corrected: Record<string, Record<string, Corrected>> = {
  'binary': {
    'number -2147483649': everyWay('-2147483649'),
    'number -5000000000': everyWay('-5000000000'),
    'number -9007199254740991': everyWay('-9007199254740991'),
    'number 1e+300': whenWeSend('1e+300'),
    'number 1023.9999999999999': whenWeSend('1023.9999999999999'),
    'number 1.862645149230957e-9': whenWeSend('1.862645149230957e-9'),
    'number Infinity': whenWeSend('Infinity'),
    'number -Infinity': whenWeSend('-Infinity'),
    // Its decoder has no bytes for them.
    'number 5e-324': whenWeSend('0'),
    'number NaN': { 'from PeerJS': ['NaN'], 'between us': ['NaN'] },
    // At PeerJS's receiver they throw.
    'null': { 'to PeerJS': refused, 'from PeerJS': ['null'], 'between us': refused },
    'undefined': { 'to PeerJS': refused, 'from PeerJS': ['null'], 'between us': refused },
    'array 10000': whenWeSend(zeros(10_000)),
    'array 65535': whenWeSend(zeros(65_535)),
    // There, it becomes the prototype.
    '__proto__ key': { 'from PeerJS': ['{__proto__:{bad:1},ok:2}'], 'between us': ['{__proto__:{bad:1},ok:2}'] },
  },
  'json': {
    'number NaN': { 'to PeerJS': refused, 'from PeerJS': ['null'], 'between us': refused },
    'number Infinity': { 'to PeerJS': refused, 'from PeerJS': ['null'], 'between us': refused },
    'number -Infinity': { 'to PeerJS': refused, 'from PeerJS': ['null'], 'between us': refused },
    'null': { 'to PeerJS': refused, 'from PeerJS': ['null'], 'between us': refused },
    // It sends an empty frame for these, which is no JSON.
    'undefined': { 'to PeerJS': refused, 'from PeerJS': ['error protocol-violation'], 'between us': refused },
    'function': { 'to PeerJS': refused, 'from PeerJS': ['error protocol-violation'], 'between us': refused },
    'symbol': { 'to PeerJS': refused, 'from PeerJS': ['error protocol-violation'], 'between us': refused },
  },
  'MsgPack': {
    // It sends {} for all of these.
    'ArrayBuffer 0': whenWeSend('Uint8Array(0) 811c9dc5'),
    'ArrayBuffer 1': whenWeSend('Uint8Array(1) 240c8dec'),
    'ArrayBuffer 7': whenWeSend('Uint8Array(7) 39f5f122'),
    'ArrayBuffer 14': whenWeSend('Uint8Array(14) b291276d'),
    'ArrayBuffer 15': whenWeSend('Uint8Array(15) 781da17'),
    'ArrayBuffer 16': whenWeSend('Uint8Array(16) 50775d25'),
    'ArrayBuffer 28': whenWeSend('Uint8Array(28) 9bced99d'),
    'raw bytes': whenWeSend('Uint8Array(40) b2187104'),
    'bytes in an object': whenWeSend('{a:Uint8Array(20) ce0c5cc7,list:[Uint8Array(3) c7bf2d8c]}'),
    ...Object.fromEntries(['Blob', 'File', 'Blob inside', 'Map', 'Set', 'RegExp'].map(kind => [kind, whenWeSend('refused')])),
  },
}

/** What ends PeerJS's connection, or its reader, for good; and what it cannot be relied on to send in order. */
export const avoided: Record<string, RegExp> = {
  raw: /^(string 1700000|array (10000|65535)|symbol|Blob|File)$/,
  MsgPack: /^(null|undefined|__proto__ key)$/,
}
