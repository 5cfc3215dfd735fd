// Prints docs/state-machine.md; `npm run docs:states` writes it.
#include <cstdio>
#include <string>

#include "state_diagram.hpp"

int main() {
  const std::string text = peerbridge::stateDiagram();
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
