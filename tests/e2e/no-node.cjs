// In the place of what only exists on Node: pages that carry our hub use none of it.
module.exports = {}
