// What nuxt.config cannot carry: functions, and what they look up when the server runs.
export default definePeerbridgeServer(() => {
  const { path } = useRuntimeConfig().public.peerbridge
  return { authorize: ({ id }) => id !== 'mallory' || `No mallory at ${path}` }
})
