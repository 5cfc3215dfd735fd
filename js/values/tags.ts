// First byte of every value in format 0. docs/protocol.md, "Values", has the bytes that follow each.
//
// 00–7f are the integers 0 to 127 themselves, 80–bf strings of 0 to 63 bytes UTF-8.

export const Text = 0x80
/** Strings of up to this many bytes have their length in the tag. */
export const textLimit = 0x3f

export const Undefined = 0xc0
export const Null = 0xc1
export const False = 0xc2
export const True = 0xc3
export const Positive = 0xc4
export const Negative = 0xc5
export const Float = 0xc6
export const BigPositive = 0xc7
export const BigNegative = 0xc8
export const Utf8 = 0xc9
export const Utf16 = 0xca
export const Again = 0xcb
/** An object with a shape that comes here for the first time. */
export const ObjectNew = 0xcc
export const ObjectLike = 0xcd
export const ObjectKeys = 0xce
export const List = 0xcf
export const Sparse = 0xd0
export const DateTime = 0xd1
export const Pattern = 0xd2
export const MapOf = 0xd3
export const SetOf = 0xd4
export const Failure = 0xd5
export const Exception = 0xd6
export const Buffer = 0xd7
/** A view that has its buffer for itself. */
export const View = 0xd8
/** A view of a buffer that something else in the value shows too. */
export const ViewOf = 0xd9
export const Boxed = 0xda
export const BlobOf = 0xdb
export const FileOf = 0xdc

/** Objects with more keys than this are dictionaries, not records: their keys are not remembered as a shape. */
export const shapeLimit = 32

/** Containers inside one another. Deeper values are refused by both sides: recursion must not be the limit. */
export const depthLimit = 256

/** Index = number on the wire. Names that structuredClone knows; others become 'Error'. */
export const errorNames = ['Error', 'EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError'] as const

/** Index = number on the wire. */
export const viewNames = [
  'DataView', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array',
  'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array', 'Float16Array',
] as const

export type ViewName = (typeof viewNames)[number]

/** Bytes of one element, by index in viewNames. */
export const elementSizes = [1, 1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 2] as const
