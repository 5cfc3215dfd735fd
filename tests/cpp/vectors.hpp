// Golden vectors of tests/vectors, which the JavaScript tests read too.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace peerbridge {

/// The parsed file tests/vectors/<name>. Ends the program when it is not there or not JSON.
inline nlohmann::json readVectors(const std::string& name) {
  const std::string path = std::string(PEERBRIDGE_VECTORS) + "/" + name;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  std::string text;
  char chunk[4096];
  while (file) {
    const std::size_t got = std::fread(chunk, 1, sizeof chunk, file.get());
    if (got == 0) break;
    text.append(chunk, got);
  }
  nlohmann::json vectors = nlohmann::json::parse(text, nullptr, false);
  if (vectors.is_discarded()) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::abort();
  }
  return vectors;
}

}  // namespace peerbridge
