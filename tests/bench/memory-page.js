/** What whoever measures asks of every page. To be imported before anything that loads a wasm: nobody else tells of its memory. */
const memories = []
const { instantiate } = WebAssembly
WebAssembly.instantiate = async (...args) => {
  const made = await instantiate.apply(WebAssembly, args)
  for (const exported of Object.values((made.instance ?? made).exports)) if (exported instanceof WebAssembly.Memory) memories.push(exported)
  return made
}

/** Bytes. */
export const wasmBytes = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)

/** Keeps the main thread busy: whoever looks at the processes meanwhile sees which one this page lives in. */
export function spin(ms) {
  for (const end = performance.now() + ms; performance.now() < end;);
}
