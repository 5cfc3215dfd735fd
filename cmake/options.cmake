# How every C++ file of this project is compiled: peerbridge_options.
add_library(peerbridge_options INTERFACE)
target_compile_options(peerbridge_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Werror
  # Native as in wasm, so that nothing sneaks in that the wasm build refuses, and inline code is the same everywhere.
  -fno-exceptions -fno-rtti)

if(EMSCRIPTEN)
  # With -Oz emcc says -fno-inline-functions, and then not even operator[] and std::min are inlined: an eighth more wasm,
  # and slower. The threshold: what makes the caller smaller, and nothing else.
  target_compile_options(peerbridge_options INTERFACE -flto -finline-functions "SHELL:-mllvm -inline-threshold=0"
    # In every browser that knows ES2022: memory.copy for memcpy, one instruction for a double that becomes an integer.
    -mbulk-memory -mnontrapping-fptoint -msign-ext)
  target_link_options(peerbridge_options INTERFACE -flto)
endif()

if(PEERBRIDGE_PLANTED_BUGS)
  target_compile_definitions(peerbridge_options INTERFACE PEERBRIDGE_PLANTED_BUGS)
endif()

if(PEERBRIDGE_SANITIZE)
  target_compile_options(peerbridge_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_definitions(peerbridge_options INTERFACE _GLIBCXX_ASSERTIONS)
  target_link_options(peerbridge_options INTERFACE -fsanitize=address,undefined)
endif()

if(PEERBRIDGE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PEERBRIDGE_FUZZ needs clang: use `cmake --preset fuzz`.")
  endif()
  target_compile_options(peerbridge_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
