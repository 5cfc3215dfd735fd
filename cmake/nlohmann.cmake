# nlohmann/json comes from the distribution (Debian: nlohmann-json3-dev), and it is all that may come from there:
# a cross compile that sees the whole of the host's /usr/include picks up the host's C library. So the one folder
# is linked into the build tree, and only that is on the include path. Every preset does the same.
find_path(PEERBRIDGE_NLOHMANN_ROOT nlohmann/json.hpp
  PATHS /usr/include /usr/local/include
  NO_CMAKE_FIND_ROOT_PATH)
if(NOT PEERBRIDGE_NLOHMANN_ROOT)
  message(FATAL_ERROR "nlohmann/json.hpp was not found. On Debian and Ubuntu: apt-get install nlohmann-json3-dev. "
    "Elsewhere: -DPEERBRIDGE_NLOHMANN_ROOT=<the folder that holds nlohmann/json.hpp>.")
endif()

set(_nlohmann_include ${CMAKE_BINARY_DIR}/nlohmann-include)
file(MAKE_DIRECTORY ${_nlohmann_include})
if(NOT EXISTS ${_nlohmann_include}/nlohmann/json.hpp)
  file(CREATE_LINK ${PEERBRIDGE_NLOHMANN_ROOT}/nlohmann ${_nlohmann_include}/nlohmann SYMBOLIC RESULT _linked)
  if(NOT _linked EQUAL 0)
    file(COPY ${PEERBRIDGE_NLOHMANN_ROOT}/nlohmann DESTINATION ${_nlohmann_include})
  endif()
endif()

add_library(peerbridge_nlohmann INTERFACE)
target_include_directories(peerbridge_nlohmann SYSTEM INTERFACE ${_nlohmann_include})
# No iostream adapters: they would drag <iostream> into the wasm. Everybody who includes the header has to agree.
target_compile_definitions(peerbridge_nlohmann INTERFACE JSON_NO_IO=1)
