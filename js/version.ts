/** Of this package; a test compares it with package.json. Told to signaling servers. */
export const version = '0.1.0'
